package session

import (
	"encoding/binary"
	"errors"
	"math"
	"strconv"
)

// The bytes that rows and histories are made of: varints of encoding/binary, texts and ids.
//
//	text   uvarint 1: 16 bytes, the UUID whose canonical form the text is;
//	       uvarint 2n: n bytes
//	id     one byte of form, then as the form says

// The forms of an id.
const (
	idNone        = iota
	idInt         // varint
	idText        // text
	idIntText     // varint, text
	idIntDecimal  // varint; the text is its decimal form
	idIntUUID     // varint; the text is the session's uuid
	idUUIDText    // the text is the session's uuid
	idSameAsFirst // the session's own id
)

var (
	errTruncated = errors.New("it ends too early")
	errForm      = errors.New("unknown form")
	errRange     = errors.New("a value is out of range")
	errTrailing  = errors.New("bytes follow its end")
	errVersion   = errors.New("unknown version")
)

// appendText appends a text. Most message ids and many user ids are UUIDs.
func appendText(dst, text []byte) []byte {
	if uuid, ok := parseUUID(text); ok {
		return append(append(dst, 1), uuid[:]...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(text))<<1)
	return append(dst, text...)
}

// appendID appends an id. uuid is that of the session it belongs to, whose own id is first.
func appendID(dst []byte, id ID, uuid *[16]byte, first *ID) []byte {
	var room [20]byte
	switch {
	case id.IsZero():
		return append(dst, idNone)
	case first != nil && id.Int == first.Int && id.Equal(*first):
		return append(dst, idSameAsFirst)
	case len(id.Text) == 0:
		return binary.AppendVarint(append(dst, idInt), id.Int)
	case id.Int == 0 && first == nil && isUUIDText(id.Text, uuid):
		return append(dst, idUUIDText)
	case id.Int == 0:
		return appendText(append(dst, idText), id.Text)
	case first == nil && isUUIDText(id.Text, uuid):
		return binary.AppendVarint(append(dst, idIntUUID), id.Int)
	case string(id.Text) == string(strconv.AppendInt(room[:0], id.Int, 10)):
		return binary.AppendVarint(append(dst, idIntDecimal), id.Int)
	default:
		return appendText(binary.AppendVarint(append(dst, idIntText), id.Int), id.Text)
	}
}

func isUUIDText(text []byte, uuid *[16]byte) bool {
	parsed, ok := parseUUID(text)
	return ok && parsed == *uuid
}

// appendIDKey appends the form under which an id is looked up in a history: equal ids have equal
// bytes, and none begins another.
func appendIDKey(dst []byte, id ID) []byte {
	switch {
	case len(id.Text) > 0:
		return appendText(append(dst, idText), id.Text)
	case id.Int != 0:
		return binary.AppendVarint(append(dst, idInt), id.Int)
	default:
		return append(dst, idNone)
	}
}

// reader takes values from the front of b. The first one that is not there, or not in range, sets
// err; from then on every value is zero. Texts alias b, or texts where they have to be made.
type reader struct {
	b     []byte
	texts []byte
	err   error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) uvarint() uint64 {
	if len(r.b) > 0 && r.b[0] < 0x80 {
		v := uint64(r.b[0])
		r.b = r.b[1:]
		return v
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail(errTruncated)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v := r.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func (r *reader) uint32() uint32 {
	v := r.uvarint()
	if v > math.MaxUint32 {
		r.fail(errRange)
		return 0
	}
	return uint32(v)
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail(errTruncated)
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail(errTruncated)
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// time reads a time that is delta away from base.
func (r *reader) time(base Time, delta int64) Time {
	t := base + Time(delta)
	if delta > int64(TimeMax-TimeMin) || delta < int64(TimeMin-TimeMax) || !t.IsValid() {
		r.fail(errRange)
		return 0
	}
	return t
}

func (r *reader) millis() Millis {
	v := r.uvarint()
	if v > uint64(DurationMax) {
		r.fail(errRange)
		return 0
	}
	return Millis(v)
}

func (r *reader) text() []byte {
	v := r.uvarint()
	switch {
	case v == 1:
		if raw := r.bytes(16); raw != nil {
			return r.make(AppendUUID(r.texts, [16]byte(raw)))
		}
		return nil
	case v&1 != 0:
		r.fail(errForm)
		return nil
	default:
		return r.bytes(v >> 1)
	}
}

// passText is text for who does not need it.
func (r *reader) passText() {
	switch v := r.uvarint(); {
	case v == 1:
		r.bytes(16)
	case v&1 != 0:
		r.fail(errForm)
	default:
		r.bytes(v >> 1)
	}
}

// make takes r.texts with a new text behind it and returns that text.
func (r *reader) make(grown []byte) []byte {
	from := len(r.texts)
	r.texts = grown
	return grown[from:len(grown):len(grown)]
}

func (r *reader) id(uuid *[16]byte, first *ID) ID {
	var id ID
	form := r.byte()
	switch form {
	case idInt, idIntText, idIntDecimal, idIntUUID:
		if id.Int = r.varint(); id.Int == 0 {
			r.fail(errRange)
			return ID{}
		}
	}
	switch form {
	case idNone, idInt:
	case idText, idIntText:
		if id.Text = r.text(); len(id.Text) == 0 {
			r.fail(errRange)
		}
	case idIntDecimal:
		id.Text = r.make(strconv.AppendInt(r.texts, id.Int, 10))
	case idIntUUID, idUUIDText:
		id.Text = r.make(AppendUUID(r.texts, *uuid))
	case idSameAsFirst:
		if first == nil {
			r.fail(errForm)
			return ID{}
		}
		return *first
	default:
		r.fail(errForm)
	}
	if r.err != nil {
		return ID{}
	}
	return id
}
