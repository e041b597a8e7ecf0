package session

import (
	"cmp"
	"slices"
)

// carryOut does what was decided and stamps the event. It returns the position of its session.
func (r *Rules) carryOut(d *decision, s *State, e *Event, watermark Time, out *Outcome) int {
	at := d.at
	if d.isLateStart {
		out.Notes |= NoteLateStart
	}
	switch d.cause {
	case causeMerge:
		at = r.merge(s, e, out)
	case causeResume:
		at = s.resume(&d.entry, out)
	case causeSplit:
		r.close(&s.Sessions[at], e.Time, d.reason, out)
		at = r.open(d, s, e, out)
	case causeOpen:
		at = r.open(d, s, e, out)
	}
	x := &s.Sessions[at]
	// A session that had ended goes on, or a split has closed the one before.
	s.stirred = s.stirred || !x.Open && d.cause != causeOpen
	if d.cause == causeJoinByID || d.cause == causeResume {
		x.unbind(e.Time)
	}
	if d.cause != causeMerge && x.Events > 0 {
		gap := x.distance(e.Time)
		out.Stamp.GapMs = Millis(gap)
		if gap <= r.reachTowards(x, e) {
			x.ActiveMs += Millis(gap)
		}
	}
	s.take(x, e, r.TimeoutOf(e), r.maxDuration(e), watermark)
	s.Stamped = x.Index
	if s.isLate(x) {
		x.Late++
		out.Stamp.Late = true
		out.Notes |= NoteLate
	}
	if !x.Started {
		x.Started = true
		out.Stamp.Start = true
		out.Stamp.Reason = d.reason
		if !d.client.IsZero() && !e.Start {
			out.Notes |= NoteStartAdded
		}
		if r.Started {
			out.Begun = append(out.Begun, Ended{Session: *x, Reason: d.reason, AmendableUntil: NoTime})
		}
	}
	x.stamp(&out.Stamp)
	if d.isEnd {
		x.NotAfter, x.EndReason = x.Last, ReasonEnd
		r.end(x, &out.After)
		s.stirred = true
		out.Notes |= NoteEnded
	}
	return at
}

// attach stamps an event with the session at d.at, which counts it and is otherwise left as it is.
func (s *State) attach(d *decision, e *Event, out *Outcome) {
	x := &s.Sessions[d.at]
	s.stirred = s.stirred || !x.Open
	if d.isDuplicate {
		x.Duplicates++
	} else {
		x.Attached++
		out.Notes |= NoteAttached
	}
	x.stamp(&out.Stamp)
	out.Stamp.EventIndex = 0
	out.Stamp.GapMs = Millis(x.distance(e.Time))
	if s.isLate(x) {
		out.Stamp.Late = true
		out.Notes |= NoteLate
	}
	s.RowChanged = true
}

// reachTowards returns the T that judges the gap between a session and an event: the session's for
// an event behind it, the event's for one ahead of it.
func (r *Rules) reachTowards(x *Session, e *Event) Time {
	if e.Time < x.First {
		return r.reach(r.TimeoutOf(e))
	}
	return r.reach(x.Timeout)
}

// unbind lifts a bound that an event at t crosses. Only a client id in Adopt gets here: a split or
// an end does not bind it, and the session it reopens goes on.
func (x *Session) unbind(t Time) {
	if t > x.NotAfter {
		x.NotAfter = MaxTime
	}
	if t < x.NotBefore {
		x.NotBefore = NoTime
	}
}

// close is a split at t, not before the last event of x: nothing later joins x, and its visit ends
// at once if it is open.
func (r *Rules) close(x *Session, t Time, reason Reason, out *Outcome) {
	x.NotAfter = max(x.Last, t-1)
	x.EndReason = reason
	if x.Open {
		r.end(x, &out.Before)
	}
	out.Notes |= NoteSplit
}

// resume brings a session back from the history.
func (s *State) resume(e *entry, out *Outcome) int {
	x, ok := s.read(e)
	if !ok {
		// The step is void, see State.Err; it goes on with a session that breaks nothing.
		x = Session{ID: ID{Int: 1}, Index: s.Count, EndReason: ReasonInactivity, NotBefore: NoTime,
			NotAfter: MaxTime}
	}
	s.history.remove(e)
	s.HistoryChanged = true
	*s.add() = x
	out.Notes |= NoteResumed
	return len(s.Sessions) - 1
}

// merge makes the sessions of s.touched one, around an event at e.Time that is yet to be taken, and
// returns its position. The one with the earliest first survives (ties: the smallest index).
func (r *Rules) merge(s *State, e *Event, out *Outcome) int {
	out.Notes |= NoteMerged
	out.Stamp.GapMs = Millis(s.Sessions[s.touched[0]].distance(e.Time)) // group: nearest first
	slices.SortFunc(s.touched, func(i, j int) int {
		x, y := &s.Sessions[i], &s.Sessions[j]
		return cmp.Or(cmp.Compare(x.First, y.First), cmp.Compare(x.Index, y.Index))
	})
	survivor := &s.Sessions[s.touched[0]]
	active := s.activeTogether(e.Time)
	for _, i := range s.touched[1:] {
		x := &s.Sessions[i]
		survivor.absorb(x)
		x.becomeAbsorbed()
		out.Before = append(out.Before, Ended{
			Session:        *x,
			Reason:         ReasonMerged,
			Revision:       x.Revision,
			MergedInto:     survivor.ID,
			AmendableUntil: NoTime,
		})
		r.remember(s, x, survivor.ID)
	}
	survivor.ActiveMs = active
	at := s.touched[0]
	for _, i := range s.touched[1:] {
		if i < s.touched[0] {
			at--
		}
	}
	s.remove(s.touched[1:])
	return at
}

// activeTogether returns the active time of the sessions of s.touched, ascending by first, once an
// event at t joins them: their own and the gaps between them and t. Each of these gaps is within
// the T that made t touch the sessions at its ends.
func (s *State) activeTogether(t Time) Millis {
	covered := min(t, s.Sessions[s.touched[0]].First)
	var active Millis
	cover := func(first, last Time) {
		active += Millis(max(first-covered, 0))
		covered = max(covered, last)
	}
	isCovered := false
	for _, i := range s.touched {
		x := &s.Sessions[i]
		if !isCovered && t <= x.First {
			cover(t, t)
			isCovered = true
		}
		cover(x.First, x.Last)
		active += x.ActiveMs
	}
	if !isCovered {
		cover(t, t)
	}
	return active
}

// isLate reports whether another session than x has later events: x is not the live one.
func (s *State) isLate(x *Session) bool {
	for i := range s.Sessions {
		if s.Sessions[i].Last > x.Last {
			return true
		}
	}
	return false
}

// stamp writes what the event shows of its session.
func (x *Session) stamp(stamp *Stamp) {
	stamp.Status = InSession
	stamp.ID, stamp.UUID, stamp.Server = x.ID, x.UUID, x.Server
	stamp.Index, stamp.EventIndex = x.Index, x.EventIndex
	stamp.Previous = x.Previous
	stamp.StartedAt, stamp.FirstEvent = x.First, x.FirstEvent
	stamp.TimeoutMs = x.Timeout
	stamp.Campaign = x.Campaign.Bytes
}
