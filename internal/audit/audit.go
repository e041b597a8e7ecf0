// Package audit proves from the topics alone what a sessionizer did to the events: none lost, none
// doubled, none wrong. It reads what any consumer can read and shares no code with the engine: it
// reads the payloads, evaluates the rules and folds the sessions once more, by hand, and compares.
//
// It goes through the partitions one after the other. A first pass (match.go) runs along input,
// output and visits at the same time, gives every record of the input its outcome, and sets aside
// what the sessions of a key depend on (fact.go), by the hash of the key. A second pass (judge.go)
// holds each key's facts, in the order in which things were decided, against the semantics.
package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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

// Check names what is held against the topics.
type Check string

// The checks.
const (
	CheckLost         Check = "lost"          // a record of the input has no outcome
	CheckDoubled      Check = "doubled"       // a record of the input came out more than once
	CheckStranger     Check = "stranger"      // a record of the output is none of the input
	CheckOrder        Check = "order"         // events come out in another order
	CheckKey          Check = "key"           // the record key changed
	CheckHeaders      Check = "headers"       // the headers changed, or name another session
	CheckTimestamp    Check = "timestamp"     // the record timestamp changed
	CheckPayload      Check = "payload"       // something else than the session changed
	CheckDropped      Check = "dropped"       // an event that has to be dropped came out
	CheckDeadLetter   Check = "dead-letter"   // a dead letter that should be none, or is ill-formed
	CheckSession      Check = "session"       // an event is in another session than the rules say
	CheckReused       Check = "id-reused"     // an id was given twice
	CheckUUID         Check = "uuid"          // the uuid is not the id's
	CheckStart        Check = "start"         // the start flag
	CheckIndex        Check = "index"         // the session's number
	CheckEventIndex   Check = "event-index"   // the event's number
	CheckPreviousID   Check = "previous-id"   // the session before
	CheckFields       Check = "fields"        // another field of the stamp
	CheckVisit        Check = "visit"         // a record about a visit that should not be
	CheckVisitMissing Check = "visit-missing" // a Visit Ended that is due is not there
	CheckVisitDoubled Check = "visit-doubled" // one is there again
	CheckVisitOrder   Check = "visit-order"   // they are not in the order of decision
	CheckRevision     Check = "revision"      // a revision is left out
	CheckTotals       Check = "totals"        // a Visit Ended says something else than the events
	CheckMerged       Check = "merged"        // a merge that is none
	CheckEarly        Check = "early"         // a visit ended before it was due
	CheckStarted      Check = "visit-started" // a Visit Started is missing, doubled or wrong
	CheckOffsets      Check = "offsets"       // the committed offset is behind what is in the output
)

// Finding is a violation, at a record.
type Finding struct {
	Check     Check  `json:"check"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`        // -1: of no record
	Key       string `json:"key,omitempty"` // a hash of the event's key
	What      string `json:"what"`
}

func (f Finding) String() string {
	key := ""
	if f.Key != "" {
		key = " key " + f.Key
	}
	return fmt.Sprintf("%s: %s/%d@%d%s: %s", f.Check, f.Topic, f.Partition, f.Offset, key, f.What)
}

// Report is the verdict.
type Report struct {
	EventsIn    int64 `json:"eventsIn"` // records of the input topics up to the frontier
	EventsOut   int64 `json:"eventsOut"`
	DeadLetters int64 `json:"deadLetters"`
	Dropped     int64 `json:"dropped"`     // as the rules or the deduplication ask for
	Sessions    int64 `json:"sessions"`    // ids that began
	Sessionless int64 `json:"sessionless"` // events without a session, as the rules ask for
	Visits      int64 `json:"visits"`      // Visit Ended records
	Started     int64 `json:"started"`     // Visit Started records
	Attached    int64 `json:"attached"`    // events that no session counts as its own
	Merged      int64 `json:"merged"`      // sessions that others took in
	Open        int64 `json:"open"`        // sessions whose end is not due at the frontier
	Due         int64 `json:"due"`         // sessions whose end is due and was not yet to be seen
	Unproved    int64 `json:"unproved"`    // events whose session could not be held against the rules

	// Lost, Doubled and Wrong count all findings.
	Lost    int64 `json:"lost"`
	Doubled int64 `json:"doubled"`
	Wrong   int64 `json:"wrong"`
	// Checks counts them by their check. Findings are the first of each, findingsMax at most.
	Checks   map[Check]int64 `json:"checks"`
	Findings []Finding       `json:"findings,omitempty"`
	// NotProvable says what the topics cannot tell, and why.
	NotProvable []string `json:"notProvable,omitempty"`
}

// Clean says that nothing was found.
func (r *Report) Clean() bool { return r.Lost == 0 && r.Doubled == 0 && r.Wrong == 0 }

// findingsMax bounds the findings of one check that a report shows.
const findingsMax = 10

func (r *Report) find(f Finding) {
	switch f.Check {
	case CheckLost, CheckVisitMissing:
		r.Lost++
	case CheckDoubled, CheckVisitDoubled:
		r.Doubled++
	default:
		r.Wrong++
	}
	if r.Checks == nil {
		r.Checks = map[Check]int64{}
	}
	if r.Checks[f.Check]++; r.Checks[f.Check] <= findingsMax {
		r.Findings = append(r.Findings, f)
	}
}

// note says once what cannot be proved.
func (r *Report) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for _, n := range r.NotProvable {
		if n == text {
			return
		}
	}
	r.NotProvable = append(r.NotProvable, text)
}

// left counts a session whose last change no visit tells of.
func (r *Report) left(j *judge, s *session, f *fact, watermark int64) {
	switch {
	case !s.open:
	case watermark <= j.f.due(s):
		r.Open++
	case j.f.Settled && !j.gaps:
		last := *f
		last.offset = s.last.offset
		j.find(CheckVisitMissing, &last, "visit #%d is due since %s and has no record of its last change",
			s.index, timeText(j.f.due(s)))
	default:
		r.Due++
	}
}

func (v *visit) count() int64 {
	if v.begins {
		return 0
	}
	return 1
}

// hashText names a key without telling it.
func hashText(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:6])
}
