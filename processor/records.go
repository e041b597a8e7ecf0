package processor

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/schemas"
	"sessionizer/session"
)

// forward adds the event itself, with its stamp if it has one.
func (t *Task) forward(in *kgo.Record, stamp *session.Stamp) {
	r := t.box.add(in.Offset)
	r.Topic, r.Partition = t.topics.Output, t.partition
	r.Key, r.Value, r.Headers, r.Timestamp = in.Key, in.Value, in.Headers, in.Timestamp
	t.Stats.Out++
	if stamp == nil {
		t.box.bytes += len(in.Value)
		return
	}
	const stampBytes = 512 // what a stamp adds at most, in the usual case
	v := t.box.room(len(in.Value) + stampBytes)
	r.Value = t.box.keep(t.codec.AppendStamped(v, in.Value, &t.scanned, stamp))
	if t.topics.Headers {
		const own = 3 // headers of a session
		h := make([]kgo.RecordHeader, 0, len(in.Headers)+own)
		r.Headers = schemas.AppendHeaders(h, in.Headers, stamp)
	}
}

// visits adds Visit Ended records.
func (t *Task) visits(ended []session.Ended, source, anonymousID []byte, decidedAt int64) {
	for i := range ended {
		t.visit(t.codec.AppendEnded, source, anonymousID, &ended[i], decidedAt)
		t.Stats.Visits++
	}
}

// appendVisit is one of the Codec's methods that append the record of a visit.
type appendVisit func(
	dst, source, anonymousID []byte, e *session.Ended, o schemas.Origin,
) []byte

// visit adds the record of a visit that begins or has ended.
func (t *Task) visit(
	form appendVisit, source, anonymousID []byte, e *session.Ended, decidedAt int64,
) {
	const visitBytes = 1024
	o := schemas.Origin{Topic: t.topic, Partition: t.partition, DecidedAt: decidedAt}
	key := t.box.room(visitBytes)
	if t.topics.VisitsByAnonymousID {
		key = append(key, anonymousID...)
	} else {
		key = session.AppendUUID(key, e.Session.UUID)
	}
	key = t.box.keep(key)
	r := t.box.add(decidedAt)
	r.Topic, r.Partition, r.Key = t.topics.Visits, t.partition, key
	r.Value = t.box.keep(form(t.box.room(visitBytes), source, anonymousID, e, o))
}

// change adds a changelog record.
func (t *Task) change(key, value []byte) *kgo.Record {
	v := t.box.keep(append(t.box.room(len(value)), value...))
	k := t.box.keep(append(t.box.room(len(key)), key...))
	r := t.box.add(t.next)
	r.Topic, r.Partition, r.Key, r.Value = t.topics.Changelog, t.partition, k, v
	if len(value) == 0 {
		r.Value = nil // a tombstone: the row is gone
	}
	return r
}
