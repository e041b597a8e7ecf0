package sim

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/internal/oracle"
	"sessionizer/schemas"
	"sessionizer/session"
)

// reference plays the rules once over the records of one input partition, with nothing going wrong:
// no overlay, no timers, no store, every key's rows in a map. It makes what the topics should hold.
// With an oracle for each key it holds every decision against that too.
type reference struct {
	set       *settings
	partition int32
	marks     session.Watermarks
	latest    session.Time // greatest event time, as the oracle is told
	asks      bool         // the oracle
	keys      map[string]*refKey
	order     []*refKey // by first event
	scanned   schemas.Scanned
	state     session.State
	out       session.Outcome
	row       []byte // as the state is written, ahead of what it was read from
	history   []byte
	counts    *counts
	finals    map[[16]byte]string // by session: the last record that is not a merge's

	made   made // by the last step or tick
	next   int64
	origin schemas.Origin
}

// refKey is a key and its rows.
type refKey struct {
	key          []byte // of the state
	row, history []byte
	due          session.Time
	oracle       *oracle.Oracle
	oracleDue    session.Time
}

// made is what comes of a record or a tick.
type made struct {
	outputs, visits, dead []wanted
}

// wanted is a record that has to be there. It owns its bytes only until the next step.
type wanted struct {
	key, value, headers []byte
	time                int64
}

func newReference(set *settings, partition int32, asks bool, c *counts) *reference {
	return &reference{
		set: set, partition: partition, asks: asks, counts: c, keys: map[string]*refKey{},
		marks:  session.Watermarks{Event: session.NoTime, Tick: session.NoTime},
		latest: session.NoTime, finals: map[[16]byte]string{},
		origin: schemas.Origin{Topic: inputTopic, Partition: partition},
	}
}

func (m *made) reset() {
	m.outputs, m.visits, m.dead = m.outputs[:0], m.visits[:0], m.dead[:0]
}

// step plays one input record.
func (f *reference) step(s *sent, offset int64) error {
	f.made.reset()
	f.next = offset + 1
	in := schemas.Record{Key: s.key, Timestamp: session.Time(s.time)}
	if s.value == nil {
		f.made.outputs = append(f.made.outputs, wanted{key: s.key, time: s.time})
		return nil
	}
	f.counts[cntEvents]++
	bad := f.set.codec.Scan(s.value, in, &f.scanned)
	reason := schemas.Reason("")
	if bad != nil {
		reason = bad.Reason
	}
	switch {
	case reason != s.bad:
		return fmt.Errorf("%s is read as bad: %q, it was made as %q", s.value, reason, s.bad)
	case bad != nil:
		f.refuse(s, offset, bad)
		return nil
	}
	e := &f.scanned.Event
	e.Offset = offset
	k := f.keyOf(e)
	if err := f.state.Decode(k.row, k.history); err != nil {
		return err
	}
	marks := f.marks
	marks.Tick = marks.Event
	f.set.rules.Step(&f.state, e, &marks, &f.out)
	if err := f.state.Err(); err != nil {
		return err
	}
	isOut := f.out.Dead == session.DeadNone && f.out.Stamp.Status != session.Dropped
	if s.big && isOut {
		f.refuse(s, offset, tooBig())
		return nil // and nothing of it happened
	}
	f.marks = marks
	if f.asks {
		if err := f.askStep(k, s, offset); err != nil {
			return err
		}
	}
	f.tell()
	if f.out.Dead != session.DeadNone {
		f.refuse(s, offset, deadLetterOf(f.out.Dead))
		return nil
	}
	f.visits(f.out.Before, offset, f.set.codec.AppendEnded, e.AnonymousID)
	f.visits(f.out.Begun, offset, f.set.codec.AppendStarted, e.AnonymousID)
	if isOut {
		f.forward(s)
	}
	f.visits(f.out.After, offset+1, f.set.codec.AppendEnded, e.AnonymousID)
	f.keep(k)
	return nil
}

func (f *reference) keyOf(e *session.Event) *refKey {
	k := f.keys[string(e.AnonymousID)]
	if k == nil {
		k = &refKey{
			key: session.AppendKey(nil, e.Source, e.AnonymousID), due: session.NoTime,
			oracleDue: session.NoTime,
		}
		if f.asks {
			k.oracle = oracle.New(f.set.rules)
		}
		f.keys[string(e.AnonymousID)] = k
		f.order = append(f.order, k)
	}
	return k
}

// keep puts the key's rows back.
func (f *reference) keep(k *refKey) {
	k.due = f.set.rules.Due(&f.state)
	f.row = f.state.AppendRow(f.row[:0]) // the state's texts are those of the rows it was read from
	if f.state.HistoryChanged {
		f.history = f.state.AppendHistory(f.history[:0])
		k.history = append(k.history[:0], f.history...)
	}
	k.row = append(k.row[:0], f.row...)
}

func (f *reference) forward(s *sent) {
	w := wanted{key: s.key, time: s.time}
	w.value = f.set.codec.AppendStamped(nil, s.value, &f.scanned, &f.out.Stamp)
	if f.set.topics.Headers {
		w.headers = headersText(schemas.AppendHeaders([]kgo.RecordHeader(nil), nil, &f.out.Stamp))
	}
	f.made.outputs = append(f.made.outputs, w)
}

func (f *reference) refuse(s *sent, offset int64, bad *schemas.BadInput) {
	f.counts[cntDead]++
	headers := schemas.DeadLetterHeaders(nil, inputTopic, f.partition, offset, bad)
	text := make([]kgo.RecordHeader, 0, len(headers))
	for _, h := range headers {
		text = append(text, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	f.made.dead = append(f.made.dead, wanted{s.key, s.value, headersText(text), s.time})
}

// deadLetterOf is what the dead letters say of a record that the rules refuse.
func deadLetterOf(d session.Dead) *schemas.BadInput {
	if d == session.DeadInvalidID {
		return &schemas.BadInput{Reason: schemas.InvalidID, Message: "the session id is not valid"}
	}
	return &schemas.BadInput{
		Reason:  schemas.TooLate,
		Message: "the event is older than the watermark by more than time.lateness",
	}
}

// appendVisit is one of the Codec's methods that append the record of a visit.
type appendVisit func(
	dst, source, anonymousID []byte, e *session.Ended, o schemas.Origin,
) []byte

func (f *reference) visits(all []session.Ended, decided int64, form appendVisit, id []byte) {
	for i := range all {
		e := &all[i]
		f.counts[cntVisits]++
		if e.Revision > 1 {
			f.counts[cntRevisions]++
		}
		w := wanted{key: id}
		if !f.set.topics.VisitsByAnonymousID {
			w.key = session.AppendUUID(nil, e.Session.UUID)
		}
		f.origin.DecidedAt = decided
		w.value = form(nil, nil, id, e, f.origin)
		f.made.visits = append(f.made.visits, w)
		f.final(e)
	}
}

// final remembers the totals of a session as the last record tells them. What is said there as of
// the record, or because of when it was sent, is left out.
func (f *reference) final(e *session.Ended) {
	if e.Reason == session.ReasonMerged {
		delete(f.finals, e.Session.UUID)
		return
	}
	if e.Revision == 0 {
		return // it has begun
	}
	x := &e.Session
	f.finals[x.UUID] = fmt.Sprintf("%s #%d %d..%d events=%d/%d/%d/%d late=%d active=%d timeout=%d "+
		"amendable=%d", oracle.IDText(x.ID), x.Index, x.First, x.Last, x.Events, x.Pages, x.Screens,
		x.Tracks, x.Late, x.ActiveMs, x.Timeout, e.AmendableUntil) + oracle.CollectedText(x)
}

// tick ends what is due at a tick watermark, ahead of an input record: of every key that there is.
func (f *reference) tick(at session.Time, next int64) error {
	f.made.reset()
	f.next = next
	if at == session.NoTime {
		return nil
	}
	marks := session.Watermarks{Event: f.marks.Event, Tick: max(at, f.marks.Event)}
	for _, k := range f.order {
		isDue := k.due != session.NoTime && k.due < at
		if f.asks && isDue != (k.oracleDue != session.NoTime && k.oracleDue < at) {
			return f.keyError(k, fmt.Errorf("key %q at tick %d: due at %d, the oracle says %d", k.key,
				at, k.due, k.oracleDue))
		}
		if !isDue {
			continue
		}
		if err := f.state.Decode(k.row, k.history); err != nil {
			return err
		}
		f.set.rules.Expire(&f.state, marks, &f.out)
		if err := f.state.Err(); err != nil {
			return err
		}
		if f.asks {
			if err := f.askTick(k, marks.Tick); err != nil {
				return err
			}
		}
		_, id, err := session.SplitKey(k.key, nil)
		if err != nil {
			return err
		}
		f.visits(f.out.Before, f.next, f.set.codec.AppendEnded, id)
		f.keep(k)
	}
	return nil
}

// finish ends all that is open.
func (f *reference) finish() error { return f.tick(math.MaxInt64, f.next) }

// askStep holds a decision against the oracle's, which hears of the event from its maker.
func (f *reference) askStep(k *refKey, s *sent, offset int64) error {
	e := s.event
	e.Offset = offset
	o := k.oracle
	o.Tick = session.NoTime
	if f.latest != session.NoTime {
		o.Advance(f.latest)
	}
	want := o.Step(&e)
	if f.out.Dead == session.DeadNone {
		f.latest = max(f.latest, e.Time)
	}
	k.oracleDue = o.Due()
	got := oracle.StampText(&f.out) + oracle.RecordsText(oracle.EndedTexts(f.out.Before),
		oracle.EndedTexts(f.out.Begun), oracle.EndedTexts(f.out.After))
	if want += oracle.RecordsText(o.Before, o.Begun, o.After); got != want {
		return &keyError{string(e.AnonymousID), offset, fmt.Errorf(
			"%s/%d@%d %s\nthe rules say   %s\nthe oracle says %s", inputTopic, f.partition, offset,
			s.value, got, want)}
	}
	return nil
}

func (f *reference) askTick(k *refKey, tick session.Time) error {
	o := k.oracle
	o.Tick = session.NoTime
	o.Advance(f.latest)
	o.Expire(tick)
	k.oracleDue = o.Due()
	if got := oracle.EndedTexts(f.out.Before); !slices.Equal(got, o.Before) {
		return f.keyError(k, fmt.Errorf("key %q at tick %d\nthe rules end   %q\nthe oracle ends %q",
			k.key, tick, got, o.Before))
	}
	return nil
}

func (f *reference) keyError(k *refKey, err error) error {
	_, id, splitErr := session.SplitKey(k.key, nil)
	return &keyError{string(id), f.next, errors.Join(err, splitErr)}
}

// tell counts what was decided.
func (f *reference) tell() {
	for _, n := range []struct {
		note session.Notes
		at   counter
	}{
		{session.NoteLate, cntLate}, {session.NoteTooLate, cntTooLate},
		{session.NoteMerged, cntMerges}, {session.NoteEvicted, cntEvictions},
		{session.NoteSplit, cntSplits}, {session.NoteResumed, cntResumed},
		{session.NoteDuplicate, cntDuplicates},
	} {
		if f.out.Notes&n.note != 0 {
			f.counts[n.at]++
		}
	}
}
