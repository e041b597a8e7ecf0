package session

// A State owns its texts. Those that were read from rows alias State.rows; all others, of events
// and those that are made here, are appended to State.texts, where they stay in place: an Outcome
// shows them until the next Step, and that is when tidy may leave behind what no session has any
// more.

// textsRoom is how much of State.texts may be garbage before tidy looks at it.
const textsRoom = 2 << 10

// own returns a copy of a text, which stays as it is until the next Step at least, and for as long
// as a session has it.
func (s *State) own(text []byte) []byte {
	if len(text) == 0 {
		return nil
	}
	from := len(s.texts)
	s.texts = append(s.texts, text...)
	return s.texts[from:len(s.texts):len(s.texts)]
}

func (s *State) ownID(id ID) ID {
	id.Text = s.own(id.Text)
	return id
}

// tidy bounds what texts take, however many events a State sees between its rows, by a multiple of
// what its open sessions hold. Sessions that rest are left to their rows again.
func (s *State) tidy() {
	if len(s.texts) <= s.textsMax {
		return
	}
	if s.unpacked {
		s.Sessions = append(s.Sessions[:0], s.open()...)
		s.leaveRest()
	}
	s.texts, s.packed = s.packed[:0], s.texts
	for i := range s.Sessions {
		s.ownTexts(&s.Sessions[i])
	}
	s.textsMax = 2*len(s.texts) + textsRoom
}

// ownTexts copies all texts of a session.
func (s *State) ownTexts(x *Session) {
	x.ID, x.Client, x.Previous = s.ownID(x.ID), s.ownID(x.Client), s.ownID(x.Previous)
	x.FirstEvent, x.LastEvent = s.own(x.FirstEvent), s.own(x.LastEvent)
	x.FirstUser.Bytes, x.LastUser.Bytes = s.own(x.FirstUser.Bytes), s.own(x.LastUser.Bytes)
	for _, c := range x.collections() {
		c.text.Bytes = s.own(c.text.Bytes)
	}
}

// Bytes returns about how much memory the buffers of s take.
func (s *State) Bytes() int {
	const sessionBytes = 608
	h := &s.history
	return cap(s.Sessions)*sessionBytes + cap(s.rows) + cap(s.texts) + cap(s.packed) +
		cap(s.messages) + cap(s.rest.own) + cap(s.fresh.own) +
		cap(h.own) + cap(h.ownDrop) + cap(h.scratch)
}
