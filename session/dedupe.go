package session

import (
	"bytes"
	"crypto/sha256"
)

// digestBytes is what a key keeps of a message id. Two ids share it once in 2^128.
const digestBytes = 16

// digest is the first half of the SHA-256 of a message id. Rows hold digests: it must not change.
type digest [digestBytes]byte

// recognize reports whether the event is a duplicate: its message id is one of those the key saw
// last. It leaves the id's digest in d. A blank id is none.
func (r *Rules) recognize(s *State, e *Event, d *decision) bool {
	if len(bytes.TrimSpace(e.MessageID)) == 0 {
		return false
	}
	sum := sha256.Sum256(e.MessageID)
	d.message, d.hasMessage = digest(sum[:digestBytes]), true
	messages := s.messagesKept(r.DedupeLast)
	for at := len(messages) - digestBytes; at >= 0; at -= digestBytes {
		if digest(messages[at:at+digestBytes]) == d.message {
			d.isDuplicate = true
			return true
		}
	}
	return false
}

// messagesKept returns the newest digests, oldest first, at most so many: the limit may have been
// lowered since they were written.
func (s *State) messagesKept(limit int) []byte {
	return s.Messages[max(0, len(s.Messages)-limit*digestBytes):]
}

// keepMessage makes the message id of an event the newest one, whatever became of the event. A
// duplicate leaves all as they are. A key without a session keeps none: nothing says when it could
// be forgotten.
func (r *Rules) keepMessage(s *State, d *decision) {
	switch {
	case r.DedupeLast == 0:
		s.Messages = nil
	case !d.hasMessage || d.isDuplicate || s.Count == 0:
		return
	default:
		s.messages = append(s.messages[:0], s.messagesKept(r.DedupeLast-1)...)
		s.messages = append(s.messages, d.message[:]...)
		s.Messages = s.messages
	}
	s.RowChanged = true
}
