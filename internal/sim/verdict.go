package sim

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"sessionizer/session"
)

// drain lets everything come to rest: nothing goes wrong any more, all that arrived is processed,
// and the wall clock ends every visit.
func (w *world) drain() error {
	const roundsMax = 100
	w.step++
	if t := w.broker.open["feed"]; t != nil {
		if err := w.broker.endTxn(t, true); err != nil {
			return err
		}
	}
	for _, m := range w.members {
		m.paused = false
	}
	isOver := false
	for round := 0; !isOver; round++ {
		if round > roundsMax {
			return fmt.Errorf("after %d rounds not all of the input is committed", round)
		}
		isOver = true
		for _, m := range w.members {
			if m.store == nil {
				if err := m.restart(); err != nil {
					return err
				}
			}
			isDone, err := m.finish()
			if err := w.handle(m, err); err != nil {
				return err
			}
			isOver = isOver && isDone && err == nil
		}
	}
	return nil
}

// finish processes all there is and lets the wall clock end all visits. It returns whether there
// was nothing left to do.
func (m *member) finish() (bool, error) {
	const farAhead = 1 << 44 // ms
	w := m.w
	if err := m.arrange(false); err != nil {
		return false, err
	}
	isDone := m.txn == nil
	w.skew = farAhead
	w.advance(w.set.idleAfter)
	for _, p := range m.parts {
		if p == nil {
			continue
		}
		for w.broker.input[p.id].stable() > max(p.task.Next(), 0) {
			isDone = false
			if err := m.poll(p, 1000, 0); err != nil {
				return false, err
			}
		}
	}
	if err := m.commit(pointNone); err != nil {
		return false, err
	}
	w.advance(w.set.idleAfter)
	for _, p := range m.parts {
		if p != nil {
			if err := m.idle(p); err != nil {
				return false, err
			}
		}
	}
	isDone = isDone && m.txn == nil
	return isDone, m.commit(pointNone)
}

// verdict holds what the run has left on the topics and in the stores against the reference.
func (w *world) verdict() error {
	for _, t := range w.dying {
		if t.state != txnAborted {
			return fmt.Errorf("the transaction of %s, which died in it, has state %d", t.name, t.state)
		}
		if t.announced {
			w.count(cntOffsetsSent)
		} else {
			w.count(cntOpen)
		}
	}
	for id := range int32(w.set.partitions) {
		if err := w.judge(id); err != nil {
			return fmt.Errorf("%s/%d: %w", inputTopic, id, err)
		}
	}
	return nil
}

// judge holds one partition against the rules, played with the ticks that were committed, and that
// against the rules without the wall clock.
func (w *world) judge(id int32) error {
	var still counts
	ref := newReference(w.set, id, true, &w.counts)
	calm := newReference(w.set, id, false, &still)
	ticks := w.broker.ticks[id]
	j := judge{
		outputs: reader{log: w.broker.output[id]}, visits: reader{log: w.broker.visits[id]},
		dead: reader{log: w.broker.dead[id]},
	}
	var err error
	const calmEvery = 16
	n := 0
	input := w.broker.input[id]
	input.committed(0, input.next, func(e *entry) bool {
		for ; len(ticks) > 0 && ticks[0].next <= e.offset && err == nil; ticks = ticks[1:] {
			if err = ref.tick(session.Time(ticks[0].tick), ticks[0].next); err == nil {
				err = j.compare(&ref.made, true)
			}
		}
		if e.marker || err != nil {
			return err == nil
		}
		s := &w.sent[id][e.offset]
		if err = ref.step(s, e.offset); err == nil {
			err = j.compare(&ref.made, false)
		}
		if err == nil {
			err = calm.step(s, e.offset)
		}
		if err == nil && !sameStamps(ref.made.outputs, calm.made.outputs) {
			err = fmt.Errorf("offset %d has another stamp where the wall clock ends no visits", e.offset)
		}
		if n++; n%calmEvery == 0 && err == nil {
			err = calm.tick(calm.marks.Event, calm.next)
		}
		return err == nil
	})
	for ; len(ticks) > 0 && err == nil; ticks = ticks[1:] {
		if err = ref.tick(session.Time(ticks[0].tick), ticks[0].next); err == nil {
			err = j.compare(&ref.made, true)
		}
	}
	var about *keyError
	if errors.As(err, &about) {
		err = fmt.Errorf("%w\n\n%s", err, w.scenario(id, about))
	}
	if err == nil {
		err = j.atEnd()
	}
	if err == nil {
		err = w.judgeState(id, ref)
	}
	if err == nil {
		if err = ref.finish(); err == nil && len(ref.made.visits) > 0 {
			err = fmt.Errorf("a visit never ended: %s", ref.made.visits[0].value)
		}
	}
	if err == nil {
		err = calm.finish()
	}
	if err == nil && !maps.Equal(ref.finals, calm.finals) {
		err = differing(ref.finals, calm.finals)
	}
	return err
}

func sameStamps(a, b []wanted) bool {
	return slices.EqualFunc(a, b, func(x, y wanted) bool {
		return bytes.Equal(x.value, y.value) && bytes.Equal(x.headers, y.headers)
	})
}

func differing(a, b map[[16]byte]string) error {
	for _, uuid := range slices.SortedFunc(maps.Keys(a), func(x, y [16]byte) int {
		return bytes.Compare(x[:], y[:])
	}) {
		if a[uuid] != b[uuid] {
			return fmt.Errorf("visit %x ended as %q, without the wall clock as %q", uuid, a[uuid], b[uuid])
		}
	}
	return fmt.Errorf("%d visits ended, without the wall clock %d", len(a), len(b))
}

// judgeState holds the rows that the owner of a partition has, and the group's offset, against the
// reference. Rows of keys of which nothing matters any more may be gone.
func (w *world) judgeState(id int32, ref *reference) error {
	p := w.members[w.broker.owner[id]].parts[id]
	end := w.broker.input[id].stable()
	at, err := w.broker.committedOffset(id)
	if err != nil || at.offset != max(end, -1) && (end > 0 || at.offset >= 0) {
		return fmt.Errorf("the committed offset is %d, the input ends at %d: %w", at.offset, end, err)
	}
	for _, k := range ref.order {
		row, history, err := p.state.Get(k.key)
		if err != nil {
			return err
		}
		if bytes.Equal(row, k.row) && bytes.Equal(history, k.history) {
			continue
		}
		if err := ref.state.Decode(k.row, k.history); err != nil {
			return err
		}
		if len(row) == 0 && len(history) == 0 && w.set.rules.IsGone(&ref.state, ref.marks.Event) {
			continue
		}
		return fmt.Errorf("key %q has the rows %x and %x, they should be %x and %x", k.key, row,
			history, k.row, k.history)
	}
	return nil
}

// judge compares a partition's topics with what they should hold, record by record.
type judge struct {
	outputs, visits, dead reader
}

// reader goes through the committed records of a log.
type reader struct {
	log *plog
	at  int
}

// next is nil at the end.
func (r *reader) next() *entry {
	for stable := r.log.stable(); r.at < len(r.log.entries); {
		e := &r.log.entries[r.at]
		if e.offset >= stable {
			break
		}
		r.at++
		if !e.marker && e.isVisible() {
			return e
		}
	}
	return nil
}

// compare reads as many records as were made. Those of a tick are of many keys, which come in any
// order; the records of one key keep theirs.
func (j *judge) compare(m *made, isTick bool) error {
	if err := j.outputs.expect(m.outputs); err != nil {
		return err
	}
	if err := j.dead.expect(m.dead); err != nil {
		return err
	}
	if !isTick {
		return j.visits.expect(m.visits)
	}
	missing := slices.Clone(m.visits)
	for range m.visits {
		e := j.visits.next()
		i := slices.IndexFunc(missing, func(w wanted) bool { return e != nil && w.is(e) })
		if i < 0 {
			return mismatch(j.visits.log, e, &missing[0])
		}
		missing = slices.Delete(missing, i, i+1)
	}
	return nil
}

func (r *reader) expect(all []wanted) error {
	for i := range all {
		if e := r.next(); e == nil || !all[i].is(e) {
			return mismatch(r.log, e, &all[i])
		}
	}
	return nil
}

func (w *wanted) is(e *entry) bool {
	return (w.value == nil) == (e.value == nil) && bytes.Equal(w.value, e.value) &&
		bytes.Equal(w.key, e.key) && bytes.Equal(w.headers, e.headers) && w.time == e.time
}

func mismatch(l *plog, e *entry, w *wanted) error {
	want := fmt.Sprintf("%s %s %q at %d", w.key, w.value, w.headers, w.time)
	if e == nil {
		return fmt.Errorf("%s ends too early: %s is missing", l.topic, want)
	}
	return fmt.Errorf("%s@%d is %s %s %q at %d\nit should be %s", l.topic, e.offset, e.key, e.value,
		e.headers, e.time, want)
}

// atEnd finds records that nothing accounts for.
func (j *judge) atEnd() error {
	for _, r := range []*reader{&j.outputs, &j.visits, &j.dead} {
		if e := r.next(); e != nil {
			return fmt.Errorf("%s@%d is one too many: %s %s", r.log.topic, e.offset, e.key, e.value)
		}
	}
	return nil
}
