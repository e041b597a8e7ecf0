package session

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// freshMax is how many ended sessions the first row keeps before all of them move to the history:
// the first row is written with every event, the history as a whole.
const freshMax = 2

// rest is retained sessions whose visit has ended. They stay encoded until they can matter to an
// event: most events are later than anything that touches them. The newest lie in the first row,
// the others in the history, so that a row that changes with every event holds little but the live
// session. In a row they are
//
//	number of sessions   uvarint; 0: nothing follows
//	reach                varint
//	least                varint
//	length               uvarint, of the sessions
//	sessions             each as appendSession writes it
type rest struct {
	count int
	// No later event touches one of them, whatever the boundary is.
	reach Time
	// The least max(last + T, changed), or less: none is forgotten before the lateness after it.
	least    Time
	sessions []byte
	own      []byte // the buffer of sessions once they changed
}

func (p *rest) clear() { p.count, p.sessions = 0, nil }

// keep takes these sessions for its own, in a buffer of its own.
func (p *rest) keep(bounds rest, sessions ...[]byte) {
	p.own = p.own[:0]
	for _, b := range sessions {
		p.own = append(p.own, b...)
	}
	p.count, p.reach, p.least, p.sessions = bounds.count, bounds.reach, bounds.least, p.own
}

// with returns the bounds of both.
func (p *rest) with(q *rest) rest {
	switch {
	case p.count == 0:
		return rest{count: q.count, reach: q.reach, least: q.least}
	case q.count == 0:
		return rest{count: p.count, reach: p.reach, least: p.least}
	}
	return rest{count: p.count + q.count, reach: max(p.reach, q.reach), least: min(p.least, q.least)}
}

// widen takes a session into the bounds.
func (p *rest) widen(x *Session) {
	reach, least := x.Last+Time(x.Timeout), max(x.Last+Time(x.Timeout)-1, x.Changed)
	if p.count == 0 {
		p.reach, p.least = reach, least
	}
	p.reach, p.least = max(p.reach, reach), min(p.least, least)
	p.count++
}

func (p *rest) appendTo(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(p.count))
	if p.count == 0 {
		return dst
	}
	dst = binary.AppendVarint(dst, int64(p.reach))
	dst = binary.AppendVarint(dst, int64(p.least))
	dst = binary.AppendUvarint(dst, uint64(len(p.sessions)))
	return append(dst, p.sessions...)
}

// decode reads all but the sessions themselves.
func (p *rest) decode(r *reader) {
	count := r.uvarint()
	if count == 0 {
		return
	}
	p.reach, p.least = Time(r.varint()), Time(r.varint())
	sessions := r.bytes(r.uvarint())
	if count > uint64(len(sessions)/sessionBytesMin) {
		r.fail(errRange)
		return
	}
	p.count, p.sessions = int(count), sessions
}

// isResting reports whether ended sessions lie encoded.
func (s *State) isResting() bool { return !s.unpacked && s.rest.count+s.fresh.count > 0 }

// disturbs reports whether a resting session can matter to an event at t, or to no event (NoTime),
// at this event watermark: it may be touched, be forgotten, or have to make room. What decide finds
// among the open sessions alone holds else, unless it opens one or follows an id.
func (r *Rules) disturbs(s *State, t, watermark Time) bool {
	if !s.isResting() {
		return false
	}
	p := s.rest.with(&s.fresh)
	if t != NoTime && t <= p.reach || watermark > p.least+Time(r.Lateness) ||
		len(s.Sessions)+p.count >= r.Retained {
		return true
	}
	for i := range s.Sessions {
		if r.isForgettable(&s.Sessions[i], watermark) {
			return true
		}
	}
	return false
}

// keepsToOpen reports whether a decision made among the open sessions alone is the same with the
// resting ones, if they were left undisturbed.
func (c cause) keepsToOpen() bool {
	return c == causeNone || c == causeDrop || c == causeJoin || c == causeJoinByID ||
		c == causeMerge
}

// unpack brings the resting sessions among the others, in front of them and in their order. There
// they stay until one of them changes. Their texts are copied: settle writes where they lay.
func (s *State) unpack() {
	if !s.isResting() {
		return
	}
	s.unpacked = true
	count, open := s.rest.count+s.fresh.count, len(s.Sessions)
	s.Sessions = slices.Grow(s.Sessions, count)[:open+count]
	copy(s.Sessions[count:], s.Sessions[:open])
	clear(s.Sessions[:count])
	from := len(s.texts)
	s.texts = append(append(s.texts, s.rest.sessions...), s.fresh.sessions...)
	r := reader{b: s.texts[from:len(s.texts):len(s.texts)], texts: s.texts}
	for i := range count {
		if r.session(&s.Sessions[i]); r.err != nil {
			break
		}
	}
	s.texts = r.texts
	s.restMax = len(s.texts) - from
	s.textsMax += s.restMax
	if r.err == nil && len(r.b) > 0 {
		r.err = errTrailing
	}
	if r.err != nil {
		s.history.damage = fmt.Errorf("read %d ended sessions: %w", count, r.err)
		s.Sessions = s.Sessions[count:]
		s.rest.clear()
		s.fresh.clear()
	}
}

// leaveRest notes that no resting session is among the others any more.
func (s *State) leaveRest() {
	s.unpacked = false
	s.textsMax -= s.restMax
	s.restMax = 0
}

// open returns the sessions that do not rest, once all have settled.
func (s *State) open() []Session {
	if s.unpacked {
		return s.Sessions[s.rest.count+s.fresh.count:]
	}
	return s.Sessions
}

// settle puts the sessions whose visit has ended to rest. Those that were unpacked stay so if
// nothing of them has changed: the next event may need them too, and a row is written without them.
func (s *State) settle() {
	switch {
	case s.unpacked && !s.stirred:
	case s.unpacked:
		s.repack()
	case s.hasEnded():
		ended, _ := s.pack(0)
		fresh := s.fresh.with(&ended)
		s.fresh.keep(fresh, s.fresh.sessions, s.packed)
		s.RowChanged = true
		if fresh.count > freshMax {
			s.rest.keep(s.rest.with(&fresh), s.rest.sessions, s.fresh.sessions)
			s.fresh.clear()
			s.HistoryChanged = true
		}
	}
	s.stirred = false
}

// repack is settle for sessions that were unpacked: seldom anything of those that lie in the
// history has changed.
func (s *State) repack() {
	s.leaveRest()
	ended, newer := s.pack(s.rest.count)
	tail, isSame := bytes.CutPrefix(s.packed, s.rest.sessions)
	switch {
	case isSame && bytes.Equal(tail, s.fresh.sessions):
	case isSame && newer.count <= freshMax:
		s.fresh.keep(newer, tail)
		s.RowChanged = true
	default:
		s.rest.keep(ended, s.packed)
		s.fresh.clear()
		s.HistoryChanged, s.RowChanged = true, true
	}
}

func (s *State) hasEnded() bool {
	for i := range s.Sessions {
		if !s.Sessions[i].Open {
			return true
		}
	}
	return false
}

// pack encodes the ended sessions into s.packed, takes them out of Sessions, and returns the bounds
// of all and of those behind the first so many.
func (s *State) pack(first int) (all, newer rest) {
	s.packed = s.packed[:0]
	open := s.Sessions[:0]
	for i := range s.Sessions {
		x := &s.Sessions[i]
		if x.Open {
			open = append(open, *x)
			continue
		}
		if s.packed = appendSession(s.packed, x); all.count >= first {
			newer.widen(x)
		}
		all.widen(x)
	}
	s.Sessions = open
	return all, newer
}
