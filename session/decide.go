package session

import "slices"

// cause is what happens with an event.
type cause uint8

const (
	causeNone       cause = iota // no session
	causeTooLate                 // no session, too late
	causeUnattached              // no session: there is none it may go to, and it may open none
	causeDrop                    // the event goes nowhere
	causeAttach                  // it gets the id of the session at decision.at, which stays as it is
	causeJoin                    // the session at decision.at takes it
	causeJoinByID                // likewise, whatever its bounds: a client id outranks them
	causeMerge                   // the sessions of State.touched become one, which takes it
	causeResume                  // the forgotten session of decision.entry takes it
	causeOpen                    // a new session takes it
	causeSplit                   // likewise, and the session at decision.at is closed before
)

// decision is all that decide found out. The rest only carries it out.
type decision struct {
	cause       cause
	at          int    // position in State.Sessions
	entry       entry  // in the history
	name        ID     // causeOpen, causeSplit: the client id to take; zero: a server id
	id          ID     // of the session that is opened, once identified; zero: not yet
	previous    ID     // with id: that of the session before it; zero: none
	client      ID     // the client id in force
	reason      Reason // of the opening
	isMarked    bool   // a start marker counts here
	isLateStart bool   // a start marker that joins a session with later events
	isEnd       bool   // a rule ends the session that takes the event
	isDuplicate bool
	hasMessage  bool // the event has a message id, and deduplication is on: message is its digest
	message     digest
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

// isMarker reports whether a start marker that can split counts: a rule's where no client id is in
// force, the client's without any id beside it. Beside an id, a valid one or not, it is that id's.
func (r *Rules) isMarker(e *Event, effect *Effect) bool {
	if effect.Start {
		return r.clientInForce(e).IsZero()
	}
	return r.SplitClientStart && e.Start && e.Client.IsZero() && e.Invalid == ValidID
}

// decide finds the session of an event at this event watermark; d must be zero. It is the one place
// that branches on the rules; it changes nothing but the scratch in s.touched.
func (r *Rules) decide(s *State, e *Event, watermark Time, d *decision) {
	effect := r.effect(e)
	class := effect.Class
	d.client, d.isEnd = r.clientInForce(e), effect.End
	if r.DedupeLast > 0 && r.recognize(s, e, d) {
		class = ClassAttach // and so its start and its end do nothing
		if r.DedupeDrop {
			d.cause = causeDrop
			return
		}
	}
	if r.getsNone(e) {
		return
	}
	byID := !d.client.IsZero()
	if byID && r.Mode == Adopt {
		s.decideByID(d, class)
		return
	}
	d.isMarked = class == ClassStart && r.isMarker(e, effect)
	m := r.meet(s, e, d.client)
	switch {
	case class == ClassAttach && m.nearest >= 0:
		d.cause, d.at = causeAttach, m.nearest
	case class == ClassAttach:
		d.cause = causeUnattached
	case m.fitting >= 0 && d.isMarked && !m.isLate:
		d.cause, d.at, d.reason = causeSplit, m.fitting, ReasonClientStart
	case m.fitting >= 0 && len(s.touched) > 1 && r.group(s, e, m.fitting) > 1:
		d.cause, d.isLateStart = causeMerge, d.isMarked
	case m.fitting >= 0:
		d.cause, d.at, d.isLateStart = causeJoin, m.fitting, d.isMarked
	case byID && r.touchForgotten(s, e, d):
		d.cause = causeResume
	case class == ClassExtend:
		d.cause = causeUnattached
	case !byID && m.nearest < 0 && e.Time+Time(r.Lateness) < watermark:
		d.cause = causeTooLate
	default:
		s.decideOpening(e, d, &m)
	}
}

// decideByID follows a client id in Adopt: the session with that id, else a new one. To attach it
// has to be retained: what is forgotten resumes only for an event that it takes.
func (s *State) decideByID(d *decision, class Class) {
	join := causeJoinByID
	if class == ClassAttach {
		join = causeAttach
	}
	if d.at = s.find(d.client); d.at >= 0 {
		d.cause = join
		return
	}
	retained, forgotten, ok := s.trace(d.client)
	switch {
	case ok && retained >= 0:
		d.cause, d.at = join, retained
	case ok && class != ClassAttach:
		d.cause, d.entry = causeResume, forgotten
	case class != ClassStart:
		d.cause = causeUnattached
	default:
		d.cause, d.name, d.reason = causeOpen, d.client, s.first(ReasonClientID)
	}
}

// decideOpening names the new session of an event that fits none. The nearest of those that only
// a split keeps from it gives the reason and is closed, but not if it has later events: a late
// event ends nobody.
//
// In Enforce the session is named by the client if that id was never given, as far as the key
// remembers; else the server names it, because a session with that id exists.
func (s *State) decideOpening(e *Event, d *decision, m *meeting) {
	d.cause, d.reason = causeOpen, s.first(ReasonInactivity)
	if !d.client.IsZero() && !s.remembers(d.client) {
		d.name, d.reason = d.client, s.first(ReasonClientID)
	}
	if m.blocked >= 0 {
		d.reason = m.reason
		if e.Time >= s.Sessions[m.blocked].Last {
			d.cause, d.at = causeSplit, m.blocked
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

// meeting is what decide finds out about the sessions an event meets. The positions are -1 where
// there is none.
type meeting struct {
	fitting int    // the nearest of the touched sessions that no split keeps from the event
	nearest int    // the nearest of the touched ones
	blocked int    // the nearest of those that only a split keeps from the event
	reason  Reason // of that split
	isLate  bool   // a touched session has events after the event: a start marker is late, and joins
}

// meet looks at all retained sessions and collects in s.touched the positions of those that fit.
// A session is touched if the event lies within its timeout and bounds and their users are
// compatible.
func (r *Rules) meet(s *State, e *Event, client ID) meeting {
	m := meeting{fitting: -1, nearest: -1, blocked: -1}
	s.touched = s.touched[:0]
	for i := range s.Sessions {
		x := &s.Sessions[i]
		obstacle := r.obstacle(x, e, client)
		if obstacle == ReasonInactivity {
			continue
		}
		if obstacle == ReasonNone {
			s.touched = append(s.touched, i)
			m.fitting = s.nearer(m.fitting, i, e.Time)
		} else if m.blocked = s.nearer(m.blocked, i, e.Time); m.blocked == i {
			m.reason = obstacle
		}
		if obstacle != ReasonUserChange {
			m.nearest = s.nearer(m.nearest, i, e.Time)
			m.isLate = m.isLate || e.Time < x.Last
		}
	}
	return m
}

// nearer returns the position of the session that is nearer to t; the first one may be -1.
func (s *State) nearer(i, j int, t Time) int {
	if i < 0 || s.Sessions[j].isNearer(&s.Sessions[i], t) {
		return j
	}
	return i
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
		if !ok || r.obstacle(&x, e, d.client) != ReasonNone {
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
// first, as far as the union fits. It returns how many they are.
func (r *Rules) group(s *State, e *Event, nearest int) int {
	slices.SortFunc(s.touched, func(i, j int) int {
		if s.Sessions[i].isNearer(&s.Sessions[j], e.Time) {
			return -1
		}
		return 1
	})
	u := r.unionOf(&s.Sessions[nearest], e)
	kept := s.touched[:0]
	for _, i := range s.touched {
		if i == nearest || u.add(r, &s.Sessions[i]) {
			kept = append(kept, i)
		}
	}
	s.touched = kept
	return len(kept)
}

// fate returns what becomes of an event that has nothing to do with sessions; InSession: it has.
func (r *Rules) fate(e *Event) Status {
	effect := r.effect(e)
	switch {
	case effect.Drop:
		return Dropped
	case e.Debug || effect.Class == ClassIgnore:
		return Bypass
	default:
		return InSession
	}
}

// dead returns why the event is a dead letter. It must not change anything.
func (r *Rules) dead(s *State, e *Event, w Watermarks) Dead {
	switch {
	case !e.Time.IsValid():
		return DeadNoTime
	case r.fate(e) != InSession:
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
	if e.Time+Time(r.Lateness) >= watermark || !r.clientInForce(e).IsZero() || r.getsNone(e) ||
		r.effect(e).Class != ClassStart {
		return false
	}
	if r.isGone(s, watermark) {
		return true
	}
	if r.DedupeLast > 0 && r.recognize(s, e, &decision{}) {
		return false
	}
	live := s.live()
	for i := range s.Sessions {
		x := &s.Sessions[i]
		if i != live && r.isForgettable(x, watermark) {
			continue
		}
		if o := r.obstacle(x, e, ID{}); o != ReasonInactivity && o != ReasonUserChange {
			return false
		}
	}
	return true
}
