package session

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// historyVersion is the first byte of a history row.
const historyVersion = 1

// droppedMax bounds the ids beyond those remembered whose reuse is still noticed, though not
// prevented.
const droppedMax = 256

// droppedBytes is what is kept of a dropped id: the last bytes of its session's uuid.
const droppedBytes = 4

// history is the forgotten and the merged-away sessions of a key: a queue of encoded entries,
// oldest first. Entries stay encoded, and only those that return are decoded: most events need
// none.
//
// An entry is
//
//	length          uvarint, of the rest
//	id              as appendIDKey writes it
//	merged into     as appendIDKey writes it; none: forgotten
//	session         as appendSession writes it; of a merged one the counts are 0
//
// and a history row is the version, the resting sessions, the number of entries (uvarint), the
// number of dropped ids (uvarint), 4 bytes of each, oldest first, the bytes of the entries
// (uvarint), the entries.
type history struct {
	entries []byte // aliases the decoded row until it changes
	count   int
	dropped []byte // likewise
	own     []byte // the buffer of entries once they changed
	ownDrop []byte // the buffer of dropped once it changed
	scratch []byte
	damage  error // what is wrong with an entry that was needed
}

func (h *history) clear() {
	h.entries, h.dropped, h.count = nil, nil, 0
	h.damage = nil
}

func (h *history) isEmpty() bool { return h.count == 0 && len(h.dropped) == 0 }

// AppendHistory appends the key's history row; nothing if there is no history: the key has no such
// row then.
func (s *State) AppendHistory(dst []byte) []byte {
	h := &s.history
	if h.isEmpty() && s.rest.count == 0 {
		return dst
	}
	dst = append(dst, historyVersion)
	dst = s.rest.appendTo(dst)
	dst = binary.AppendUvarint(dst, uint64(h.count))
	dst = binary.AppendUvarint(dst, uint64(len(h.dropped)/droppedBytes))
	dst = append(dst, h.dropped...)
	dst = binary.AppendUvarint(dst, uint64(len(h.entries)))
	return append(dst, h.entries...)
}

// decodeHistory reads a row as far as what is read when it is needed: the resting sessions and the
// entries.
func (s *State) decodeHistory(row []byte) error {
	if len(row) == 0 {
		return nil
	}
	if row[0] != historyVersion {
		return fmt.Errorf("%w %d", errVersion, row[0])
	}
	r := reader{b: row[1:]}
	s.rest.decode(&r)
	h := &s.history
	count := r.uvarint()
	dropped := r.uvarint()
	if dropped > droppedMax {
		return errRange
	}
	h.dropped = r.bytes(dropped * droppedBytes)
	h.entries = r.bytes(r.uvarint())
	switch {
	case r.err != nil:
		return r.err
	case len(r.b) > 0:
		return errTrailing
	case count > uint64(len(h.entries)/sessionBytesMin), count == 0 && len(h.entries) > 0:
		return errRange
	}
	h.count = int(count)
	return nil
}

// entry is where one lies in entries, and its parts.
type entry struct {
	from, to   int
	id         []byte
	mergedInto []byte
	session    []byte
}

func (e *entry) isMerged() bool { return len(e.mergedInto) > 0 && e.mergedInto[0] != idNone }

// next returns the entry that begins at from; false at the end, and where it cannot be read.
func (h *history) next(from int) (entry, bool) {
	if from >= len(h.entries) {
		return entry{}, false
	}
	r := reader{b: h.entries[from:]}
	body := r.bytes(r.uvarint())
	e := entry{from: from, to: len(h.entries) - len(r.b)}
	r.b = body
	e.id = r.idKey()
	e.mergedInto = r.idKey()
	e.session = r.b
	if r.err != nil {
		h.damage = fmt.Errorf("read the head of a remembered session at %d: %w", from, r.err)
	}
	return e, r.err == nil
}

// idKey takes what appendIDKey wrote, undecoded.
func (r *reader) idKey() []byte {
	from := r.b
	switch r.byte() {
	case idNone:
	case idInt:
		r.uvarint()
	case idText:
		if v := r.uvarint(); v == 1 {
			r.bytes(16)
		} else {
			r.bytes(v >> 1)
		}
	default:
		r.fail(errForm)
	}
	return from[:len(from)-len(r.b)]
}

// find returns the newest entry of the id with this key. No key begins another, so that the front
// of an entry tells.
func (h *history) find(key []byte) (found entry, ok bool) {
	at := -1
	r := reader{b: h.entries}
	for range h.count {
		from := len(h.entries) - len(r.b)
		if bytes.HasPrefix(r.bytes(r.uvarint()), key) {
			at = from
		}
	}
	if r.err == nil && len(r.b) > 0 {
		r.err = errTrailing
	}
	if r.err != nil {
		h.damage = fmt.Errorf("look through %d remembered sessions: %w", h.count, r.err)
		return entry{}, false
	}
	if at < 0 {
		return entry{}, false
	}
	return h.next(at)
}

// push remembers x, as forgotten or as merged into another. The oldest entries make room.
func (h *history) push(x *Session, mergedInto ID, limit int) {
	h.scratch = appendIDKey(h.scratch[:0], x.ID)
	h.scratch = appendIDKey(h.scratch, mergedInto)
	h.scratch = appendSession(h.scratch, x)
	h.own = append(h.own[:0], h.entries...)
	h.own = binary.AppendUvarint(h.own, uint64(len(h.scratch)))
	h.own = append(h.own, h.scratch...)
	h.entries = h.own
	h.count++
	for h.count > limit {
		oldest, ok := h.next(0)
		if !ok {
			h.entries, h.count = nil, 0
			return
		}
		h.drop(&oldest)
		h.entries = h.entries[oldest.to:]
		h.count--
	}
}

// drop keeps of an entry what tells that its id was given.
func (h *history) drop(e *entry) {
	r := reader{b: e.session}
	r.uvarint()
	uuid := r.bytes(16)
	if r.err != nil {
		return
	}
	h.ownDrop = append(h.ownDrop[:0], h.dropped...)
	h.ownDrop = append(h.ownDrop, uuid[16-droppedBytes:]...)
	h.dropped = h.ownDrop
	if excess := len(h.dropped) - droppedMax*droppedBytes; excess > 0 {
		h.dropped = h.dropped[excess:]
	}
}

// hasDropped reports whether the id of this uuid was given and is no longer remembered. Two ids
// share the bytes that are compared once in 2^32.
func (h *history) hasDropped(uuid [16]byte) bool {
	want := binary.LittleEndian.Uint32(uuid[16-droppedBytes:])
	for rest := h.dropped; len(rest) >= droppedBytes; rest = rest[droppedBytes:] {
		if binary.LittleEndian.Uint32(rest) == want {
			return true
		}
	}
	return false
}

// remove takes an entry out. Slices of other entries are invalid afterwards.
func (h *history) remove(e *entry) {
	h.own = append(h.own[:0], h.entries...)
	h.own = append(h.own[:e.from], h.own[e.to:]...)
	h.entries = h.own
	h.count--
}

// find returns the position of the retained session with this id; -1: none.
func (s *State) find(id ID) int {
	for i := range s.Sessions {
		if s.Sessions[i].ID.Equal(id) {
			return i
		}
	}
	return -1
}

// remembers reports whether the id was given to a session the key still knows of.
func (s *State) remembers(id ID) bool {
	if s.find(id) >= 0 {
		return true
	}
	if s.history.count == 0 {
		return false
	}
	var room [160]byte
	_, ok := s.history.find(appendIDKey(room[:0], id))
	return ok
}

// trace finds what has become of an id that is not retained: the retained session it was merged
// into, however many merges lie between, or the forgotten session that carries it on. An id whose
// survivor is no longer remembered is carried on by itself.
func (s *State) trace(id ID) (retained int, forgotten entry, ok bool) {
	var room [160]byte
	key := appendIDKey(room[:0], id)
	for range s.history.count {
		e, found := s.history.find(key)
		if !found {
			break
		}
		forgotten, ok = e, true
		if !e.isMerged() {
			break
		}
		key = e.mergedInto
		if i := s.findKey(key); i >= 0 {
			return i, entry{}, true
		}
	}
	return -1, forgotten, ok
}

// findKey is find for an id as appendIDKey writes it.
func (s *State) findKey(key []byte) int {
	var room [160]byte
	for i := range s.Sessions {
		if bytes.Equal(appendIDKey(room[:0], s.Sessions[i].ID), key) {
			return i
		}
	}
	return -1
}

// read decodes the session of an entry. Its texts are copied: entries move.
func (s *State) read(e *entry) (x Session, ok bool) {
	from := len(s.texts)
	s.texts = append(s.texts, e.session...)
	r := reader{b: s.texts[from:len(s.texts):len(s.texts)], texts: s.texts}
	r.session(&x)
	s.texts = r.texts
	if r.err != nil {
		s.history.damage = fmt.Errorf("read a remembered session of %d bytes: %w", len(e.session), r.err)
		return Session{}, false
	}
	return x, true
}
