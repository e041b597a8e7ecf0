package session

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// rest is the retained sessions whose visit has ended. They lie in the history row, so that a row
// that changes with every event holds little but the live session, and stay encoded until they can
// matter to an event: most events are later than anything that touches them.
//
// In a history row it is
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
	spare    []byte // the other one: what lies in own is compared with it
	unpacked bool   // they are in State.Sessions, with what is open
}

func (p *rest) clear() {
	p.count, p.sessions, p.unpacked = 0, nil, false
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

// disturbs reports whether a resting session can matter to an event at t, or to no event (NoTime),
// at this event watermark: it may be touched, be forgotten, or have to make room. What decide finds
// among the open sessions alone holds else, unless it opens one or follows an id.
func (r *Rules) disturbs(s *State, t, watermark Time) bool {
	p := &s.rest
	if p.count == 0 || p.unpacked {
		return false
	}
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

// unpack brings the resting sessions among the others. Their texts are copied: settle writes where
// they lay.
func (s *State) unpack() {
	p := &s.rest
	if p.unpacked || p.count == 0 {
		return
	}
	p.unpacked = true
	open := len(s.Sessions)
	from := len(s.texts)
	s.texts = append(s.texts, p.sessions...)
	r := reader{b: s.texts[from:len(s.texts):len(s.texts)], texts: s.texts}
	for range p.count {
		if r.session(s.add()); r.err != nil {
			break
		}
	}
	s.texts = r.texts
	if r.err == nil && len(r.b) > 0 {
		r.err = errTrailing
	}
	if r.err != nil {
		s.history.damage = fmt.Errorf("read %d ended sessions: %w", p.count, r.err)
		s.Sessions = s.Sessions[:open]
	}
}

// settle puts the sessions whose visit has ended to rest.
func (s *State) settle() {
	p := &s.rest
	if p.unpacked {
		s.repack()
		return
	}
	if !s.hasEnded() {
		return
	}
	p.own = s.pack(append(p.own[:0], p.sessions...))
	p.sessions = p.own
	s.HistoryChanged = true
}

// repack is settle for sessions that were unpacked: often nothing of them has changed.
func (s *State) repack() {
	p := &s.rest
	p.unpacked, p.count = false, 0
	p.spare = s.pack(p.spare[:0])
	if bytes.Equal(p.spare, p.sessions) {
		return
	}
	p.own, p.spare = p.spare, p.own
	p.sessions = p.own
	s.HistoryChanged, s.RowChanged = true, true
}

func (s *State) hasEnded() bool {
	for i := range s.Sessions {
		if !s.Sessions[i].Open {
			return true
		}
	}
	return false
}

// pack appends the ended sessions to dst and takes them out of Sessions.
func (s *State) pack(dst []byte) []byte {
	open := s.Sessions[:0]
	for i := range s.Sessions {
		if x := &s.Sessions[i]; x.Open {
			open = append(open, *x)
		} else {
			dst = appendSession(dst, x)
			s.rest.widen(x)
		}
	}
	s.Sessions = open
	return dst
}
