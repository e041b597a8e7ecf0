package session

import (
	"bytes"
	"slices"
)

// cause is what happens with an event.
type cause uint8

const (
	causeNone     cause = iota // no session
	causeTooLate               // no session, too late
	causeJoin                  // the session at decision.at takes it
	causeJoinByID              // likewise, whatever its bounds: a client id outranks them
	causeMerge                 // the sessions of State.touched become one, which takes it
	causeResume                // the forgotten session of decision.entry takes it
	causeOpen                  // a new session takes it
	causeSplit                 // likewise, and the session at decision.at is closed before
)

// decision is all that decide found out. The rest only carries it out.
type decision struct {
	cause       cause
	at          int    // position in State.Sessions
	entry       entry  // in the history
	name        ID     // causeOpen, causeSplit: the client id to take; zero: a server id
	client      ID     // the client id in force
	reason      Reason // of the opening
	isMarked    bool   // a start marker counts here
	isLateStart bool   // a start marker that joins a session with later events
}

// clientInForce returns the client id that counts; zero: none.
func (r *Rules) clientInForce(e *Event) ID {
	if r.Mode == Assign {
		return ID{}
	}
	return e.Client
}

// getsNone reports whether the event gets no session because of what its client id is not. In
// Assign ids are not looked at.
func (r *Rules) getsNone(e *Event) bool {
	if r.Mode == Assign || !e.Client.IsZero() {
		return false
	}
	if e.Invalid != ValidID && r.OnInvalid == InvalidStrip {
		return true
	}
	return r.OnMissing == MissingNone
}

// isMarker reports whether the event carries a start marker that can split: without any id beside
// it. Beside an id, a valid one or not, it is that id's.
func (r *Rules) isMarker(e *Event) bool {
	return r.SplitClientStart && e.Start && e.Client.IsZero() && e.Invalid == ValidID
}

// decide finds the session of an event at this event watermark. It is the one place that branches
// on the rules; it changes nothing but the scratch in s.touched.
func (r *Rules) decide(s *State, e *Event, watermark Time) decision {
	d := decision{client: r.clientInForce(e), isMarked: r.isMarker(e)}
	byID := !d.client.IsZero()
	if r.getsNone(e) {
		return d
	}
	if byID && r.Mode == Adopt {
		return r.decideByID(s, d)
	}
	nearest, blocked := r.touch(s, e, d.client)
	switch {
	case nearest >= 0 && d.isMarked && !s.touchesLater(e.Time):
		d.cause, d.at, d.reason = causeSplit, nearest, ReasonClientStart
	case nearest >= 0 && len(s.touched) > 1 && r.group(s, e, nearest) > 1:
		d.cause, d.isLateStart = causeMerge, d.isMarked
	case nearest >= 0:
		d.cause, d.at, d.isLateStart = causeJoin, nearest, d.isMarked
	case byID && r.touchForgotten(s, e, &d):
		d.cause = causeResume
	case !byID && e.Time+Time(r.Lateness) < watermark:
		d.cause = causeTooLate
	default:
		r.decideOpening(s, e, &d, blocked)
	}
	return d
}

// decideByID follows a client id in Adopt: the session with that id, else a new one.
func (r *Rules) decideByID(s *State, d decision) decision {
	if d.at = s.find(d.client); d.at >= 0 {
		d.cause = causeJoinByID
		return d
	}
	retained, forgotten, ok := s.trace(d.client)
	switch {
	case ok && retained >= 0:
		d.cause, d.at = causeJoinByID, retained
	case ok:
		d.cause, d.entry = causeResume, forgotten
	default:
		d.cause, d.name, d.reason = causeOpen, d.client, s.first(ReasonClientID)
	}
	return d
}

// decideOpening names the new session of an event that touches none. blocked is the nearest session
// that only its user kept from being touched; -1: none. A session with later events is not closed:
// a late event ends nobody.
//
// In Enforce the session is named by the client if that id was never given, as far as the key
// remembers; else the server names it, because a session with that id exists.
func (r *Rules) decideOpening(s *State, e *Event, d *decision, blocked int) {
	d.cause, d.reason = causeOpen, s.first(ReasonInactivity)
	if !d.client.IsZero() && !s.remembers(d.client) {
		d.name, d.reason = d.client, s.first(ReasonClientID)
	}
	if blocked >= 0 {
		d.reason = ReasonUserChange
		if e.Time >= s.Sessions[blocked].Last {
			d.cause, d.at = causeSplit, blocked
		}
	}
}

// first returns ReasonFirst for the key's first session, else the reason given.
func (s *State) first(other Reason) Reason {
	if s.Count == 0 {
		return ReasonFirst
	}
	return other
}

// fit says how an event meets a session.
type fit uint8

const (
	apart   fit = iota
	blocked     // in time and in bounds, but of another user
	touched
)

// fit compares an event with a session, of which only one opened under the client id in force
// counts, if there is such an id.
func (r *Rules) fit(x *Session, e *Event, client ID) fit {
	t := e.Time
	switch {
	case t > r.expiry(x) || t < x.First-r.reach(r.timeout(e)):
		return apart
	case t < x.NotBefore || t > x.NotAfter:
		return apart
	case !client.IsZero() && !x.Client.Equal(client):
		return apart
	case r.SplitUserChange && !isCompatible(x.LastUser.Bytes, e.UserID):
		return blocked
	default:
		return touched
	}
}

// isCompatible reports whether two users can be one: the same, or one of them unknown.
func isCompatible(a, b []byte) bool {
	return len(a) == 0 || len(b) == 0 || bytes.Equal(a, b)
}

// distance returns how far t lies outside the session; 0: inside.
func (x *Session) distance(t Time) Time { return max(x.First-t, t-x.Last, 0) }

// isNearer orders sessions by their nearness to t: the smallest distance, then the greatest last,
// then the greatest index.
func (x *Session) isNearer(than *Session, t Time) bool {
	a, b := x.distance(t), than.distance(t)
	switch {
	case a != b:
		return a < b
	case x.Last != than.Last:
		return x.Last > than.Last
	default:
		return x.Index > than.Index
	}
}

// touch collects in s.touched the positions of the retained sessions the event touches and returns
// the nearest of them, and the nearest of those that are blocked; -1: none.
func (r *Rules) touch(s *State, e *Event, client ID) (nearest, nearestBlocked int) {
	s.touched = s.touched[:0]
	nearest, nearestBlocked = -1, -1
	for i := range s.Sessions {
		x := &s.Sessions[i]
		switch r.fit(x, e, client) {
		case touched:
			s.touched = append(s.touched, i)
			if nearest < 0 || x.isNearer(&s.Sessions[nearest], e.Time) {
				nearest = i
			}
		case blocked:
			if nearestBlocked < 0 || x.isNearer(&s.Sessions[nearestBlocked], e.Time) {
				nearestBlocked = i
			}
		}
	}
	return nearest, nearestBlocked
}

// touchesLater reports whether a touched session has events after t: a start marker is late then,
// and joins.
func (s *State) touchesLater(t Time) bool {
	for _, i := range s.touched {
		if t < s.Sessions[i].Last {
			return true
		}
	}
	return false
}

// touchForgotten finds the nearest forgotten session opened under the client id in force that the
// event touches. In Enforce an id resumes only as far as it obeys the gaps.
func (r *Rules) touchForgotten(s *State, e *Event, d *decision) bool {
	h := &s.history
	isFound := false
	var nearest Session
	for at, more := h.next(0); more; at, more = h.next(at.to) {
		if at.isMerged() || !isOpenedUnder(at.session, d.client, s) {
			continue
		}
		x, ok := s.read(&at)
		if !ok || r.fit(&x, e, d.client) != touched {
			continue
		}
		if !isFound || x.isNearer(&nearest, e.Time) {
			isFound, nearest, d.entry = true, x, at
		}
	}
	return isFound
}

// isOpenedUnder reads just enough of an encoded session to compare its client id.
func isOpenedUnder(session []byte, client ID, s *State) bool {
	var x Session
	r := reader{b: session, texts: s.texts}
	r.sessionHead(&x)
	return r.err != nil || x.Client.Equal(client)
}

// group reduces s.touched to the sessions that merge: the nearest one, and every other one, nearest
// first, with the same client id, whose user is compatible with all and with which the union still
// fits all bounds. It returns how many they are. Users matter only where a change of user splits.
func (r *Rules) group(s *State, e *Event, nearest int) int {
	slices.SortFunc(s.touched, func(i, j int) int {
		if s.Sessions[i].isNearer(&s.Sessions[j], e.Time) {
			return -1
		}
		return 1
	})
	chosen := &s.Sessions[nearest]
	first, last := min(chosen.First, e.Time), max(chosen.Last, e.Time)
	notBefore, notAfter := chosen.NotBefore, chosen.NotAfter
	user := e.UserID
	if len(user) == 0 {
		user = chosen.LastUser.Bytes
	}
	kept := s.touched[:0]
	for _, i := range s.touched {
		x := &s.Sessions[i]
		if i != nearest {
			lo, hi := min(first, x.First), max(last, x.Last)
			from, to := max(notBefore, x.NotBefore), min(notAfter, x.NotAfter)
			if !x.Client.Equal(chosen.Client) || lo < from || hi > to ||
				r.SplitUserChange && !isCompatible(user, x.LastUser.Bytes) {
				continue
			}
			first, last, notBefore, notAfter = lo, hi, from, to
			if len(user) == 0 {
				user = x.LastUser.Bytes
			}
		}
		kept = append(kept, i)
	}
	s.touched = kept
	return len(kept)
}

// dead returns why the event is a dead letter. It must not change anything.
func (r *Rules) dead(s *State, e *Event, w Watermarks) Dead {
	switch {
	case !e.Time.IsValid():
		return DeadNoTime
	case e.Debug:
		return DeadNone
	case r.Mode != Assign && e.Invalid != ValidID && r.OnInvalid == InvalidDeadLetter:
		return DeadInvalidID
	case r.TooLate == TooLateDeadLetter && r.isTooLate(s, e, w.Event):
		return DeadTooLate
	default:
		return DeadNone
	}
}

// isTooLate reports, ahead of the work that forgets, what decide finds behind it.
func (r *Rules) isTooLate(s *State, e *Event, watermark Time) bool {
	if e.Time+Time(r.Lateness) >= watermark || !r.clientInForce(e).IsZero() || r.getsNone(e) {
		return false
	}
	if r.isGone(s, watermark) {
		return true
	}
	live := s.live()
	for i := range s.Sessions {
		x := &s.Sessions[i]
		if (i == live || !r.isForgettable(x, watermark)) && r.fit(x, e, ID{}) == touched {
			return false
		}
	}
	return true
}
