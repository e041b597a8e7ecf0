package session

import (
	"math"
	"strconv"
)

// indexMax is where the index stops growing: consumers read it as a signed 32-bit number.
const indexMax = math.MaxInt32

// serverIDLeast is the smallest server id: below it the uuid mapping has no time.
const serverIDLeast = uuidShiftMs

// open adds a new session for e, without its event. A start marker bounds it: earlier events are
// not of this start.
func (r *Rules) open(d *decision, s *State, e *Event, out *Outcome) int {
	if s.Count < indexMax {
		s.Count++
	} else {
		out.Notes |= NoteIndexFull
	}
	if d.id.IsZero() {
		r.identify(d, s, e)
	}
	client := s.ownID(d.client)
	id := client // a session is named by the client id in force, or by the server
	if d.name.IsZero() {
		id, s.MaxServerID = d.id, d.id.Int
	}
	x := s.add()
	*x = Session{
		ID:        id,
		Client:    client,
		Previous:  d.previous,
		UUID:      UUID(e.Source, e.AnonymousID, id, r.IDType),
		Index:     s.Count,
		Server:    d.name.IsZero(),
		EndReason: ReasonInactivity,
		First:     e.Time,
		Last:      e.Time,
		NotBefore: NoTime,
		NotAfter:  MaxTime,
	}
	if d.isMarked {
		x.NotBefore = e.Time
	}
	if !x.Server && s.history.hasDropped(x.UUID) {
		out.Notes |= NoteIDReused
	}
	return len(s.Sessions) - 1
}

// identify finds the id of the session that d opens and the one before it, among the sessions that
// do not rest. It returns the place of the latter in time.
func (r *Rules) identify(d *decision, s *State, e *Event) lasted {
	d.id, d.previous = d.name, ID{}
	if d.name.IsZero() {
		d.id = r.serverID(s, e)
	}
	var previous lasted
	for i := range s.Sessions {
		if x := &s.Sessions[i]; previous.isBefore(x, e.Time) {
			previous, d.previous = lasted{x.Last, x.Index, true}, x.ID
		}
	}
	return previous
}

// lasted says of the session that is the last one before a time, as far as was looked, when that
// one ended. The zero value: none is.
type lasted struct {
	last  Time
	index uint32
	is    bool
}

// isBefore reports whether x takes that place before t: the greatest last <= t has it. Ties: the
// greatest index.
func (l lasted) isBefore(x *Session, t Time) bool {
	return x.Last <= t &&
		(!l.is || x.Last > l.last || x.Last == l.last && x.Index > l.index)
}

// opensBeside reports whether a decision to open a session, made among the open ones alone, is the
// same with the resting ones, which are left undisturbed, and then identifies that session.
//
// The event is later than all that they reach, so that it meets none of them, none is later than
// the new one, and there is room for it without an eviction. A split closes an open one. What the
// resting ones may still decide is whether the id was given, and which session was the one before:
// their ids and when they ended tell, and the rest of them is passed over. Where one of them has
// the id, or cannot be read, the answer is no.
func (r *Rules) opensBeside(s *State, e *Event, d *decision) bool {
	if d.cause != causeOpen && d.cause != causeSplit {
		return false
	}
	previous := r.identify(d, s, e)
	isResting := false
	made := s.packed[:0]
	for _, p := range [...]*rest{&s.rest, &s.fresh} {
		b := reader{b: p.sessions, texts: made}
		for range p.count {
			var x Session
			flags := b.sessionNumbers(&x)
			if b.passSessionTexts(x.First, flags); b.err != nil || x.ID.Equal(d.id) {
				return false
			}
			if previous.isBefore(&x, e.Time) {
				previous, d.previous, isResting = lasted{x.Last, x.Index, true}, x.ID, true
			}
		}
		if len(b.b) > 0 {
			return false
		}
		made = b.texts
	}
	if s.packed = made; isResting {
		d.previous = s.ownID(d.previous) // it lies where settle writes
	}
	return true
}

// serverID returns the smallest integer >= max(t, greatest server id + 1, 1000) that is no id the
// key remembers.
func (r *Rules) serverID(s *State, e *Event) ID {
	n := max(int64(e.Time), s.MaxServerID+1, serverIDLeast)
	for {
		from := len(s.texts)
		id := ID{Int: n}
		switch r.IDType {
		case IDUUID:
			s.texts = AppendUUID(s.texts, UUID(e.Source, e.AnonymousID, id, IDInt64))
			id.Text = s.texts[from:len(s.texts):len(s.texts)]
		case IDString:
			s.texts = strconv.AppendInt(s.texts, n, 10)
			id.Text = s.texts[from:len(s.texts):len(s.texts)]
		}
		if !s.remembers(id) {
			return id
		}
		s.texts = s.texts[:from]
		n++
	}
}
