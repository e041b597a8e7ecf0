package processor

import (
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/schemas"
	"sessionizer/session"
)

func deadOf(d session.Dead) *schemas.BadInput {
	switch d {
	case session.DeadInvalidID:
		return &schemas.BadInput{Reason: schemas.InvalidID, Message: "the session id is not valid"}
	case session.DeadTooLate:
		return &schemas.BadInput{
			Reason:  schemas.TooLate,
			Message: "the event is older than the watermark by more than time.lateness",
		}
	case session.DeadNoTime:
		return &schemas.BadInput{
			Reason: schemas.NoTime, Message: "the time is outside the years 1 to 9999",
		}
	}
	return nil
}

// refuse sends a bad event where the policy says.
func (t *Task) refuse(in *kgo.Record, bad *schemas.BadInput) error {
	t.Stats.Dead[bad.Reason]++
	switch t.policy.Of(bad.Reason) {
	case Pass:
		t.forward(in, nil)
		return nil
	case Fail:
		return t.stopAt(in, bad)
	}
	t.deadLetter(in, bad)
	return nil
}

// Unreadable is Step for a record that is here in part, or for all records from its offset up to
// last of which nothing is: they cannot be passed on. What they were is at their place in the
// input.
func (t *Task) Unreadable(in *kgo.Record, last int64, bad *schemas.BadInput) error {
	t.decided = false
	if t.next != unknownOffset && last < t.next {
		t.Stats.Skipped++
		return nil
	}
	t.next, t.epoch, t.touched = last+1, in.LeaderEpoch, true
	t.Stats.In++
	t.Stats.Dead[bad.Reason]++
	if t.policy.Of(bad.Reason) == Fail {
		return t.stopAt(in, bad)
	}
	r := t.deadLetter(in, bad)
	what := "a part of the record"
	if last > in.Offset {
		what = fmt.Sprintf("the records up to offset %d", last)
	}
	r.Headers = append(r.Headers, kgo.RecordHeader{Key: schemas.HeaderErrorCut, Value: []byte(what)})
	return nil
}

func (t *Task) stopAt(in *kgo.Record, bad *schemas.BadInput) error {
	return &StopError{
		What: fmt.Sprintf("record %s/%d@%d is bad (%s: %s) and dead_letters.on says fail",
			t.topic, t.partition, in.Offset, bad.Reason, bad.Message),
		Do: "mend or skip the record, or set dead_letters.on." + string(bad.Reason) +
			" to dead_letter or pass",
	}
}

// deadLetter adds the dead letter of a record.
func (t *Task) deadLetter(in *kgo.Record, bad *schemas.BadInput) *kgo.Record {
	r := t.box.add(in.Offset)
	r.Topic, r.Partition = t.topics.DeadLetters, t.partition
	r.Key, r.Value, r.Timestamp = in.Key, in.Value, in.Timestamp
	t.headers = schemas.DeadLetterHeaders(t.headers[:0], t.topic, t.partition, in.Offset, bad)
	r.Headers = make([]kgo.RecordHeader, 0, len(in.Headers)+len(t.headers)+1)
	r.Headers = append(r.Headers, in.Headers...)
	for _, h := range t.headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	t.cut(r, len(in.Headers))
	t.box.bytes += len(r.Value)
	t.Stats.DeadLetters++
	return r
}

// cut makes a dead letter fit its topic. A topic's limit counts a batch as it is compressed, the
// client counts a record as it is: an event that compresses well passes the input's limit and not
// the client's, and must not stop the pipeline. The value is cut first, then the record's own
// headers go, then the key is cut.
func (t *Task) cut(r *kgo.Record, own int) {
	const room = 512 // for the header that says so, and the batch around the record
	if t.deadMax == 0 || recordBytes(r) <= t.deadMax {
		return
	}
	what := fmt.Sprintf("value of %d bytes", len(r.Value))
	r.Value = r.Value[:max(0, len(r.Value)-(recordBytes(r)+room-t.deadMax))]
	if recordBytes(r)+room > t.deadMax {
		what += fmt.Sprintf(", %d headers", own)
		r.Headers = r.Headers[own:]
	}
	if recordBytes(r)+room > t.deadMax {
		what += fmt.Sprintf(", key of %d bytes", len(r.Key))
		r.Key = r.Key[:max(0, len(r.Key)-(recordBytes(r)+room-t.deadMax))]
	}
	r.Headers = append(r.Headers, kgo.RecordHeader{Key: schemas.HeaderErrorCut, Value: []byte(what)})
}

// recordBytes is about what a record takes in a batch, before compression.
func recordBytes(r *kgo.Record) int {
	const overhead = 128 // of the batch and the record's own lengths
	n := overhead + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value) + 2*binary.MaxVarintLen32
	}
	return n
}
