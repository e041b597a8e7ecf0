package processor

import (
	"time"

	"sessionizer/session"
)

// Limits of a sweep.
const (
	// sweepEvery is how long a pass over all keys of a partition is to take: its steps are as large
	// as the time since the last one asks for.
	sweepEvery = time.Hour
	// sweepPause is how long Pebble is given between two passes to compact away what the first one
	// has deleted.
	sweepPause   = time.Minute
	sweepRowsMin = 256  // of one step, unless the partition has fewer: seeking has its price too
	sweepFirst   = 1024 // rows a second at least until a task's first pass is done: it may live
	// for seconds only, as in runs until the end
	sweepRowsMax  = 4096    // of one step, which a commit waits for
	sweepBytesMax = 1 << 20 // of rows, likewise
)

// sweep is how far the task has looked for keys of which nothing matters any more. Such a key
// starts anew with its next event, whether its rows are there or not (session.Rules.IsGone); the
// sweep only gives their room back. So it may stop and begin again at any time: a new task begins
// at the first key.
//
// A pass goes through Pebble, which is behind what is confirmed and knows nothing of the open
// transaction. It therefore only proposes: a key that may be gone by what lies there is read as an
// event would read it, and decided by that.
type sweep struct {
	cursor string       // the pass goes on here; empty: none is under way
	began  session.Time // event watermark of what Pebble had at the beginning of the pass
	least  session.Time // until when the keys are kept that the pass has met: the earliest one
	// wait is the event watermark that a pass would be in vain before; NoTime: none.
	wait session.Time
	last time.Time // wall clock of the last step; zero: none since the task was made
	once bool      // a pass was done since then
	gone int       // keys that the pass has deleted
}

// Sweep goes on looking for keys that nothing is left to be remembered of, and deletes their rows
// in the open transaction; Touched tells whether it has found any. now is the wall clock, which
// sets the pace and nothing else. It may be called at any time but between Close and Commit or
// Abort.
func (t *Task) Sweep(now time.Time) error {
	t.decided = false
	s := &t.sweep
	if t.next == unknownOffset || t.marks.Event == session.NoTime ||
		s.cursor == "" && s.wait != session.NoTime && t.marks.Event <= s.wait {
		if s.last.Before(now) {
			s.last = now // nothing to do: time that passes meanwhile is not to be made good
		}
		return nil
	}
	rows := t.sweepRows(now)
	if rows == 0 {
		return nil
	}
	if err := t.writeLive(); err != nil {
		return err
	}
	if s.cursor == "" {
		if err := t.part.WriteOut(); err != nil {
			return t.unreadable(err)
		}
		s.began, s.least, s.gone = t.part.Written(), session.NoTime, 0
	}
	s.last = now
	t.proposed, t.proposedEnds = t.proposed[:0], t.proposedEnds[:0]
	next, err := t.part.Walk(s.cursor, rows, sweepBytesMax, t.propose)
	if err == nil {
		err = t.forgetProposed()
	}
	if err != nil {
		return t.unreadable(err)
	}
	if s.cursor = next; next == "" {
		s.once = true
		return t.endSweep(now)
	}
	return nil
}

// endSweep ends a pass.
func (t *Task) endSweep(now time.Time) error {
	s := &t.sweep
	// Keys that were not there yet are kept for the retention at least.
	s.wait = max(s.began, session.TimeMin) + session.Time(t.rules.Retention)
	if s.least != session.NoTime {
		s.wait = min(s.wait, s.least)
	}
	if s.gone == 0 {
		return nil
	}
	s.last = now.Add(sweepPause)
	if err := t.part.FlushSoon(); err != nil {
		return t.unreadable(err)
	}
	return nil
}

// sweepRows is how many rows the next step may read; 0: it is too early for one.
func (t *Task) sweepRows(now time.Time) int {
	all := float64(t.confirmed.Digest.Rows)
	most := float64(t.sweepRowsMax)
	var due float64
	if t.sweep.last.IsZero() {
		t.sweep.last, due = now, sweepRowsMin
	} else {
		elapsed := now.Sub(t.sweep.last)
		due = all * float64(elapsed) / float64(sweepEvery)
		if !t.sweep.once {
			due = max(due, sweepFirst*elapsed.Seconds())
		}
	}
	if due < min(sweepRowsMin, all, most) || all == 0 {
		return 0
	}
	return int(min(due, most))
}

// propose takes a key as Pebble holds it.
func (t *Task) propose(key, row, history []byte) error {
	if err := t.state.Decode(row, history); err != nil {
		return err
	}
	until := t.rules.KeptUntil(&t.state)
	if until != session.NoTime && t.marks.Event <= until {
		t.sweep.keep(until)
		return nil
	}
	t.proposed = append(t.proposed, key...)
	t.proposedEnds = append(t.proposedEnds, len(t.proposed))
	return nil
}

func (s *sweep) keep(until session.Time) {
	if s.least == session.NoTime || until < s.least {
		s.least = until
	}
}

// forgetProposed deletes those of the proposed keys that are gone as the open transaction sees
// them. One with a visit that is still to end is left to its timer, and to the next pass.
func (t *Task) forgetProposed() error {
	marks := session.Watermarks{Event: t.marks.Event, Tick: t.marks.Event}
	from := 0
	for _, end := range t.proposedEnds {
		key := t.proposed[from:end]
		from = end
		if err := t.load(key, &t.state); err != nil {
			return err
		}
		if t.state.IsEmpty() {
			continue // its rows are deleted already, and Pebble does not know yet
		}
		if t.rules.Due(&t.state) != session.NoTime {
			t.sweep.keep(t.marks.Event)
			continue
		}
		t.rules.Expire(&t.state, marks, &t.outcome)
		if err := t.state.Err(); err != nil {
			return err
		}
		if !t.state.IsEmpty() {
			t.sweep.keep(max(t.rules.KeptUntil(&t.state), t.marks.Event))
			continue
		}
		t.part.PutHistory(key, nil)
		t.part.Put(key, nil, session.NoTime)
		t.touched = true
		t.sweep.gone++
		t.Stats.Forgotten++
	}
	return nil
}
