// Package schemas is the wire formats: it scans an event once, splices the session into its bytes,
// and writes the records about visits and bad input.
//
// The bytes of an event are read in one strict pass that allocates nothing; what is written back
// is the same bytes but for the session members. No general JSON package does that: they decode
// what nobody looks at, or read the text once for each path.
//
// Nothing here logs, reads a clock or does I/O.
package schemas

import (
	"fmt"

	"sessionizer/session"
)

// Header is a header of a Kafka record.
type Header struct {
	Key   string
	Value []byte
}

// Reason is why an event is bad input. It is a metric label and the value of a record header.
type Reason string

// The reasons for dead letters. The last two are decided by the session rules, not here.
const (
	Malformed  Reason = "malformed"   // no JSON object, or not UTF-8
	Limit      Reason = "limit"       // larger or deeper than allowed
	NoKey      Reason = "no_key"      // no usable anonymous ID
	NoTime     Reason = "no_time"     // no usable time
	BadContext Reason = "bad_context" // what session members belong into is neither object nor null
	InvalidID  Reason = "invalid_id"
	TooLate    Reason = "too_late"
)

// Reasons returns all reasons.
func Reasons() []Reason {
	return []Reason{Malformed, Limit, NoKey, NoTime, BadContext, InvalidID, TooLate}
}

// BadInput says why an event cannot be processed. Its message names members and offsets, never
// values: it may be logged.
type BadInput struct {
	Reason  Reason
	Message string
}

func (b *BadInput) Error() string { return string(b.Reason) + ": " + b.Message }

func bad(reason Reason, format string, args ...any) *BadInput {
	return &BadInput{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Limits bounds what one event may cost.
type Limits struct {
	Record      int // bytes of an event; default 1 MiB, at most recordBytesMax
	JSONDepth   int // objects and arrays open at once, the event being the first; default 64
	AnonymousID int // bytes of an anonymous ID, a source, a user ID; default 1 KiB
}

const (
	recordBytesDefault      = 1 << 20
	recordBytesMax          = 1 << 30 // offsets in an event are 32 bits wide
	jsonDepthDefault        = 64
	jsonDepthMax            = 10_000 // what encoding/json allows; bounds the stack of a scan
	anonymousIDBytesDefault = 1 << 10
	anonymousIDBytesMax     = 1 << 16 // bounds the state's keys and texts
)

// TimeSource is a place an event's time is looked for.
type TimeSource uint8

// The sources of time, in the order of the default.
const (
	TimeTimestamp         TimeSource = iota // the path timestamp
	TimeOriginalTimestamp                   // the path original_timestamp
	TimeRecord                              // the record's own timestamp
	TimeCorrected                           // original_timestamp + (received_at - sent_at)

	timeSources
)

var timeSourceNames = [timeSources]string{
	"timestamp", "originalTimestamp", "record", "corrected",
}

func (t TimeSource) String() string { return timeSourceNames[t] }

// ParseTimeSource returns the source of that name: timestamp, originalTimestamp, record, corrected.
func ParseTimeSource(name string) (TimeSource, error) {
	for i, n := range timeSourceNames {
		if n == name {
			return TimeSource(i), nil
		}
	}
	return 0, fmt.Errorf("time source %q: want one of %q", name, timeSourceNames)
}

// Config is what a Codec is made of. The zero values stand for the defaults.
type Config struct {
	Profile Profile

	// Paths replaces paths of the profile, by their names there (anonymous_id, session_id, ...).
	// anonymous_id may be, or end with, KeyPath.
	Paths map[string][]string

	IDType session.IDType

	// Fields are the session members written, or one of the sets minimal, standard, full.
	Fields []string

	TimeSources     []TimeSource   // default: timestamp, originalTimestamp, record
	FutureTolerance session.Millis // 0: none

	// Rules are tried in their order: the first one that holds is the event's.
	Rules []Match

	Limits Limits

	// Format says how events are written. Avro needs a Book, which holds the schemas.
	Format Format
	Book   *Book // nil: no Avro

	// VisitsFormat is that of the records about visits: Avro, else JSON.
	VisitsFormat Format
}

// KeyPath stands for the record key among the paths of anonymous_id.
const KeyPath = "$key"

// Record is what an event's record says beside its value.
type Record struct {
	Key       []byte
	Timestamp session.Time // NoTime: none

	// File: the event is a line of a file. Its received_at takes the place of Timestamp; a line
	// without one is never clamped and has Fallback for its record time.
	File     bool
	Fallback session.Time // the greatest event time so far; NoTime: none yet
}
