// Package audit proves from the topics alone what a sessionizer did to the
// events: none lost, none doubled, none wrong. It reads what any consumer can
// read and shares no code with the engine: it folds the events again, by hand,
// and compares.
package audit

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"strconv"
	"strings"
)

// Record is a record of a topic.
type Record struct {
	Topic       string
	Partition   int32
	Offset      int64
	TimestampMs int64
	Key, Value  []byte // a nil Value is a tombstone
	Headers     []Header
}

// Header is a header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Config is what the auditor has to know of the sessionizer's configuration.
type Config struct {
	// TimeoutMs is the greatest timeout a session can have. A visit has to be
	// ended once the watermark is beyond its last event by more than that.
	TimeoutMs         int64
	OutOfOrderMs      int64
	FutureToleranceMs int64
	// Started says that every session has a Visit Started record.
	Started bool
	// Indexed says that the output has eventIndex on every event that a session counts: those that
	// have an id without it are attached, or duplicates.
	Indexed bool
	// Headers says that events of the output name their session in headers too.
	Headers bool
	// Dropped reports whether an event of the input, by its value, has to be missing in the output;
	// nil: none has.
	Dropped func(value []byte) bool
}

// Report is the verdict.
type Report struct {
	EventsIn    int64 `json:"eventsIn"` // records of the input topics
	EventsOut   int64 `json:"eventsOut"`
	DeadLetters int64 `json:"deadLetters"`
	Dropped     int64 `json:"dropped,omitempty"`
	Sessions    int64 `json:"sessions"`           // ids that are in the output
	Visits      int64 `json:"visits"`             // Visit Ended records
	Started     int64 `json:"started,omitempty"`  // Visit Started records
	Attached    int64 `json:"attached,omitempty"` // events that no session counts as its own
	Merged      int64 `json:"merged"`             // sessions that others took in
	Open        int64 `json:"open"`               // sessions whose end is not due at the end of the input
	Lost        int64 `json:"lost"`
	Doubled     int64 `json:"doubled"`
	Wrong       int64 `json:"wrong"`
	// Findings are the first findingsMax of what was lost, doubled or wrong.
	Findings []string `json:"findings,omitempty"`
}

// Clean says that nothing was found.
func (r *Report) Clean() bool { return r.Lost == 0 && r.Doubled == 0 && r.Wrong == 0 }

// findingsMax bounds the report of a run that went wrong everywhere.
const findingsMax = 20

// verdict is the kind of a finding.
type verdict string

const (
	lost    verdict = "lost"
	doubled verdict = "doubled"
	wrong   verdict = "wrong"
)

func (r *Report) find(v verdict, format string, args ...any) {
	switch v {
	case lost:
		r.Lost++
	case doubled:
		r.Doubled++
	case wrong:
		r.Wrong++
	}
	if len(r.Findings) < findingsMax {
		r.Findings = append(r.Findings, string(v)+": "+fmt.Sprintf(format, args...))
	}
}

// Auditor takes all dead letters first, then one partition number after the
// other: its input, its output, its visits, and EndPartition.
type Auditor struct {
	config Config
	report Report
	seed   maphash.Seed
	dead   map[place]*deadLetter
	part   *partition
	buffer []byte
}

// place is where a record of the input lies.
type place struct {
	topic     string
	partition int32
	offset    int64
}

func (p place) String() string { return fmt.Sprintf("%s/%d@%d", p.topic, p.partition, p.offset) }

// deadLetter is what the dead-letter topic holds of a record of the input.
type deadLetter struct {
	sum     uint64
	records int
	seen    bool // the input has the record
}

// New prepares an audit.
func New(c Config) *Auditor {
	a := &Auditor{config: c, seed: maphash.MakeSeed(), dead: map[place]*deadLetter{}}
	a.part = a.newPartition()
	return a
}

// Report ends the audit and returns the verdict.
func (a *Auditor) Report() Report {
	for p, d := range a.dead {
		if !d.seen {
			a.report.find(wrong, "a dead letter names %v, which is not in the input", p)
		}
	}
	return a.report
}

// errorHeaders begin the names of the headers that a dead letter has more than
// its record.
const errorHeaders = "__sessionizer.errors."

// redrivenHeader is the only header of a record that says which dead letters
// before it were sent back to the input, where each is a record like any other.
const redrivenHeader = "__sessionizer.redriven"

// DeadLetter takes a record of the dead-letter topic.
func (a *Auditor) DeadLetter(r *Record) {
	if len(r.Key)+len(r.Value) == 0 && len(r.Headers) == 1 && r.Headers[0].Key == redrivenHeader {
		return
	}
	a.report.DeadLetters++
	at := place{partition: -1, offset: -1}
	plain := *r
	plain.Headers = nil
	for _, h := range r.Headers {
		name, ok := strings.CutPrefix(h.Key, errorHeaders)
		if !ok {
			plain.Headers = append(plain.Headers, h)
			continue
		}
		n, err := strconv.ParseInt(string(h.Value), 10, 64)
		switch {
		case name == "topic":
			at.topic = string(h.Value)
		case name == "partition" && err == nil:
			at.partition = int32(n)
		case name == "offset" && err == nil:
			at.offset = n
		}
	}
	if at.topic == "" || at.partition < 0 || at.offset < 0 {
		a.report.find(wrong, "the dead letter %s/%d@%d does not say where it is from",
			r.Topic, r.Partition, r.Offset)
		return
	}
	if d := a.dead[at]; d != nil {
		d.records++
		a.report.find(doubled, "%v is %d times among the dead letters", at, d.records)
		return
	}
	a.dead[at] = &deadLetter{sum: a.sum(&plain, r.Value), records: 1}
}

// sum is a checksum of a record and of what its value comes to without the
// session: key, timestamp, headers and every byte that must not change.
func (a *Auditor) sum(r *Record, value []byte) uint64 {
	b := a.buffer[:0]
	b = binary.AppendVarint(b, r.TimestampMs)
	b = appendCounted(b, r.Key)
	for _, h := range r.Headers {
		if a.config.Headers && isSessionHeader(h.Key) {
			continue
		}
		b = appendCounted(b, []byte(h.Key))
		b = appendCounted(b, h.Value)
	}
	b = append(b, 0) // no header begins with a nil key
	b = appendCounted(b, value)
	a.buffer = b
	return maphash.Bytes(a.seed, b)
}

// The headers that name a session.
const (
	headerID    = "session-id"
	headerStart = "session-start"
	headerIndex = "session-index"
)

func isSessionHeader(name string) bool {
	return name == headerID || name == headerStart || name == headerIndex
}

// appendCounted appends bytes and their number; nil is not the same as empty.
func appendCounted(b, text []byte) []byte {
	if text == nil {
		return append(b, 0)
	}
	return append(binary.AppendUvarint(b, uint64(len(text))+1), text...)
}
