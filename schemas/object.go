package schemas

import (
	"sessionizer/session"
)

// Most of what a splice costs is the object that it writes into every event: seven members, in the
// default. Their labels are pieces of one size, which are copied without a look at their length,
// and all goes into room that was found to be enough at once.

const labelBytes = 16

// Rooms of values, in bytes, with what is written beyond their end.
const (
	intRoom  = 24
	textRoom = 40
)

// member is a member of an object that is written.
type member struct {
	label string // `,"name":`
	field field

	piece [labelBytes]byte // the label, if it fits
	size  int              // of the label
}

func newMember(name string, f field) member {
	label := append(appendText([]byte{','}, name), ':')
	m := member{label: string(label), field: f, size: len(label)}
	copy(m.piece[:], label)
	return m
}

// fieldsPlain are those that a plain object may have: the room of each is known.
const fieldsPlain = fieldsStandard | 1<<fieldReason | 1<<fieldGapMs | 1<<fieldClamped |
	1<<fieldDuplicate | 1<<fieldTimeoutMs | 1<<fieldIDSource | 1<<fieldLate | 1<<fieldInSession

// roomOf returns the bytes that an object takes at most where it is plain; 0: it never is.
func roomOf(members []member) int {
	room := 0
	for i := range members {
		m := &members[i]
		if m.size > labelBytes {
			return 0
		}
		room += labelBytes + textRoom
	}
	return room
}

// isPlain reports whether all members that are written of an object with a room have no texts, and
// no number that an int64 does not hold.
func (sp *splice) isPlain(dst []byte, e *edge) bool {
	return e.room != 0 && cap(dst)-len(dst) >= e.room && sp.set&e.fields&^fieldsPlain == 0 &&
		len(sp.st.ID.Text) == 0 && len(sp.st.Previous.Text) == 0 && int64(sp.st.EventIndex) >= 0
}

// appendPlain appends a plain object.
func appendPlain(dst []byte, e *edge, set fieldSet, st *session.Stamp, dates *dates) []byte {
	b, n := dst[len(dst):len(dst)+e.room], 0
	for i := range e.members {
		m := &e.members[i]
		if !set.has(m.field) {
			continue
		}
		*(*[labelBytes]byte)(b[n:]) = m.piece
		n += m.size
		var number int64
		switch m.field {
		case fieldID:
			number = st.ID.Int
		case fieldIndex:
			number = int64(st.Index)
		case fieldEventIndex:
			number = int64(st.EventIndex)
		case fieldPreviousID:
			number = st.Previous.Int
		case fieldUUID:
			n += putUUID((*[uuidCharacters + 2]byte)(b[n:]), &st.UUID)
			continue
		case fieldStartedAt:
			n += dates.put((*[timeCharacters]byte)(b[n:]), st.StartedAt)
			continue
		default:
			n += len(appendField(b[n:n], m.field, st))
			continue
		}
		n += putInt(b[n:], number)
	}
	b[0], b[n] = '{', '}' // the first in the place of a comma
	return dst[:len(dst)+n+1]
}
