package session

import (
	"cmp"
	"slices"
)

// advance moves the watermarks on with an event at t.
func (w *Watermarks) advance(t Time, outOfOrder Millis) {
	w.Event = max(w.Event, t-Time(outOfOrder))
	w.Tick = max(w.Tick, w.Event)
}

// Step decides one event of the key s, which is (e.Source, e.AnonymousID), and advances the
// partition's watermarks with it. The order of work, which the records show: end the key's visits
// that are due, forget, decide; close a split, merge, stamp; end by a rule; end again; evict. An
// event that a rule drops or lets pass only moves the watermarks.
//
// A dead letter (out.Dead) leaves state and watermarks untouched. Step does not allocate once the
// buffers of s and out have grown.
func (r *Rules) Step(s *State, e *Event, w *Watermarks, out *Outcome) {
	out.reset()
	s.tidy()
	if r.Mode != Assign && e.Invalid != ValidID {
		out.Notes |= NoteInvalidID
	}
	if r.disturbs(s, e.Time, max(w.Event, e.Time-Time(r.OutOfOrder))) {
		s.unpack()
	}
	defer s.settle()
	if out.Dead = r.dead(s, e, *w); out.Dead != DeadNone {
		return
	}
	w.advance(e.Time, r.OutOfOrder)
	out.Stamp.Client, out.Stamp.Clamped = e.Client, e.Clamped
	if e.Clamped {
		out.Notes |= NoteClamped
	}
	if out.Stamp.Status = r.fate(e); out.Stamp.Status != InSession {
		out.Notes |= passed(out.Stamp.Status, e)
		return
	}
	r.endDue(s, w.Tick, &out.Before)
	r.forget(s, w.Event)
	var d decision
	r.decide(s, e, w.Event, &d)
	if s.isResting() && !d.cause.keepsToOpen() && !r.opensBeside(s, e, &d) {
		s.unpack()
		d = decision{}
		r.decide(s, e, w.Event, &d)
	}
	switch d.cause {
	case causeNone:
		out.Stamp.Status = NoSession
	case causeTooLate:
		out.Stamp.Status = TooLate
		out.Notes |= NoteTooLate
	case causeUnattached:
		out.Stamp.Status = Unattached
		out.Notes |= NoteUnattached
	case causeDrop:
		out.Stamp.Status = Dropped
	case causeAttach:
		s.attach(&d, e, out)
	default:
		at := r.carryOut(&d, s, e, w.Event, out)
		s.RowChanged = true
		r.endDue(s, w.Tick, &out.After)
		r.evict(s, at, out)
	}
	if d.isDuplicate {
		out.Stamp.Duplicate = true
		out.Notes |= NoteDuplicate
	}
	if r.DedupeLast > 0 || len(s.Messages) > 0 {
		r.keepMessage(s, &d)
	}
	if e.Start && !out.Stamp.Start && r.Mode != Assign && d.cause != causeDrop {
		out.Notes |= NoteStartRemoved
	}
}

// passed returns what is worth counting of an event that has nothing to do with sessions.
func passed(status Status, e *Event) Notes {
	switch {
	case status == Dropped:
		return NoteDropped
	case !e.Debug:
		return NoteIgnored
	default:
		return 0
	}
}

// Expire ends into out.Before what is due at w.Tick and forgets what is due at w.Event. When it is
// called changes nothing but when records go out: the next Step of the key would do the same first.
func (r *Rules) Expire(s *State, w Watermarks, out *Outcome) {
	out.reset()
	s.tidy()
	if r.disturbs(s, NoTime, w.Event) {
		s.unpack()
	}
	r.endDue(s, w.Tick, &out.Before)
	r.forget(s, w.Event)
	s.settle()
}

// Due returns the time above which the tick watermark lets Expire end a visit; NoTime: nothing is
// waiting.
func (r *Rules) Due(s *State) Time {
	due := NoTime
	for i := range s.Sessions {
		x := &s.Sessions[i]
		if at := r.dueAt(x); x.Open && (due == NoTime || at < due) {
			due = at
		}
	}
	return due
}

// IsGone reports whether nothing of the key matters any more at this event watermark: its next
// event starts the key anew, whether or not its rows were removed before. No visit of it may be
// open.
func (r *Rules) IsGone(s *State, watermark Time) bool {
	s.unpack()
	return r.isGone(s, watermark)
}

// isGone is IsGone with the resting sessions as they are. Where they need not be unpacked for this
// watermark they are not forgotten.
func (r *Rules) isGone(s *State, watermark Time) bool {
	if s.isResting() {
		return false
	}
	until := r.KeptUntil(s)
	return until != NoTime && watermark > until
}

// KeptUntil returns a watermark up to which, inclusive, IsGone does not hold; NoTime: there is
// nothing to keep. It may be less than the greatest such one, because it leaves the resting
// sessions encoded: who looks through all keys for those that may be gone needs no more.
func (r *Rules) KeptUntil(s *State) Time {
	latest := s.Forgotten
	for i := range s.Sessions {
		latest = max(latest, r.activeUntil(&s.Sessions[i]))
	}
	if s.isResting() {
		p := s.rest.with(&s.fresh)
		latest = max(latest, p.reach-1) // the reach of a boundary that does not continue
	}
	if latest == NoTime {
		return NoTime
	}
	return latest + Time(r.Retention)
}

// expiry returns last + T: the visit goes on until then, inclusive.
func (r *Rules) expiry(x *Session) Time { return x.Last + r.reach(x.Timeout) }

// activeUntil returns max(last + T, changed), from which lateness and retention count.
func (r *Rules) activeUntil(x *Session) Time { return max(r.expiry(x), x.Changed) }

// dueAt returns the time the tick watermark must be above for the visit's next record. Later
// revisions also wait for out of order to pass, so that a burst of late events gives one.
func (r *Rules) dueAt(x *Session) Time {
	if x.Revision == 0 {
		return r.expiry(x)
	}
	return max(r.expiry(x), x.Changed+Time(r.OutOfOrder))
}

// isForgettable reports whether x is no longer retained at this event watermark, unless it is live.
func (r *Rules) isForgettable(x *Session, watermark Time) bool {
	return watermark > r.activeUntil(x)+Time(r.Lateness)
}

// endDue ends the visits that are due, ascending by last + T, then index.
func (r *Rules) endDue(s *State, tick Time, ended *[]Ended) {
	s.picked = s.picked[:0]
	for i := range s.Sessions {
		if x := &s.Sessions[i]; x.Open && tick > r.dueAt(x) {
			s.picked = append(s.picked, i)
		}
	}
	if len(s.picked) == 0 {
		return
	}
	slices.SortFunc(s.picked, func(i, j int) int {
		x, y := &s.Sessions[i], &s.Sessions[j]
		return cmp.Or(cmp.Compare(r.expiry(x), r.expiry(y)), cmp.Compare(x.Index, y.Index))
	})
	for _, i := range s.picked {
		r.end(&s.Sessions[i], ended)
	}
	s.RowChanged, s.stirred = true, true
}

// end sends the next record of a visit, with the reason it has been given.
func (r *Rules) end(x *Session, ended *[]Ended) {
	x.Revision++
	x.Open = false
	*ended = append(*ended, Ended{
		Session:        *x,
		Reason:         x.EndReason,
		Revision:       x.Revision,
		AmendableUntil: r.activeUntil(x) + Time(r.Lateness),
	})
}

// live returns the position of the session with the greatest last; -1: there is none. Ties: the one
// just stamped, then the one whose last event arrived later.
func (s *State) live() int {
	live := -1
	for i := range s.Sessions {
		if live < 0 || s.isLiver(&s.Sessions[i], &s.Sessions[live]) {
			live = i
		}
	}
	return live
}

func (s *State) isLiver(x, than *Session) bool {
	switch {
	case x.Last != than.Last:
		return x.Last > than.Last
	case x.Index == s.Stamped || than.Index == s.Stamped:
		return x.Index == s.Stamped
	default:
		return x.LastOffset > than.LastOffset
	}
}

// forget drops the sessions that are no longer retained, in the order in which they ceased to be,
// so that it makes no difference how often it is called; and everything once the retention is over.
// Whatever it drops has ended: lateness >= out of order, so endDue came first.
func (r *Rules) forget(s *State, watermark Time) {
	s.picked = s.picked[:0]
	live := -1
	for i := range s.Sessions {
		if !r.isForgettable(&s.Sessions[i], watermark) {
			continue
		}
		if live < 0 {
			live = s.live()
		}
		if i != live {
			s.picked = append(s.picked, i)
		}
	}
	if len(s.picked) > 0 {
		slices.SortFunc(s.picked, func(i, j int) int {
			x, y := &s.Sessions[i], &s.Sessions[j]
			return cmp.Or(cmp.Compare(r.activeUntil(x), r.activeUntil(y)), cmp.Compare(x.Index, y.Index))
		})
		for _, i := range s.picked {
			r.remember(s, &s.Sessions[i], ID{})
		}
		s.remove(s.picked)
	}
	if live >= 0 && r.isGone(s, watermark) {
		s.HistoryChanged = s.HistoryChanged || !s.history.isEmpty() || len(s.rest.sessions) > 0
		s.clear()
		s.RowChanged = true
	}
}

// remember puts a session that leaves the retained ones into the history.
func (r *Rules) remember(s *State, x *Session, mergedInto ID) {
	if mergedInto.IsZero() {
		s.Forgotten = max(s.Forgotten, r.activeUntil(x))
	}
	if r.Mode != Assign {
		s.history.push(x, mergedInto, r.Remembered)
		s.HistoryChanged = true
	}
}

// remove takes the sessions at these positions out of the retained ones. It sorts the positions.
func (s *State) remove(positions []int) {
	slices.Sort(positions)
	kept := s.Sessions[:positions[0]]
	for i, at := range positions {
		end := len(s.Sessions)
		if i+1 < len(positions) {
			end = positions[i+1]
		}
		kept = append(kept, s.Sessions[at+1:end]...)
	}
	s.Sessions = kept
	s.RowChanged, s.stirred = true, true
}

// evict makes room: the session with the smallest last goes first, never the one just stamped.
// Ties: the smallest index.
func (r *Rules) evict(s *State, stamped int, out *Outcome) {
	for len(s.Sessions) > max(r.Retained, 1) {
		oldest := -1
		for i := range s.Sessions {
			x := &s.Sessions[i]
			if i == stamped {
				continue
			}
			if oldest < 0 || x.Last < s.Sessions[oldest].Last ||
				x.Last == s.Sessions[oldest].Last && x.Index < s.Sessions[oldest].Index {
				oldest = i
			}
		}
		x := &s.Sessions[oldest]
		if x.Open { // else its visit has ended for another reason, and nothing changed since
			x.EndReason = ReasonEvicted
			r.end(x, &out.After)
		}
		out.Notes |= NoteEvicted
		r.remember(s, x, ID{})
		s.picked = append(s.picked[:0], oldest)
		s.remove(s.picked)
		if oldest < stamped {
			stamped--
		}
	}
}
