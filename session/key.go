package session

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strconv"
)

// A state key begins with its form: the ids of most keys are UUIDs, and 17 bytes hold those.
const (
	keyUUID = 1 // the 16 bytes of a canonical UUID; no source
	keyText = 2 // length of the source (uvarint), source, anonymous id
)

// AppendKey appends the state key of (source, anonymousID): a canonical lower-case UUID without a
// source as a tag and its 16 bytes, everything else as a tag, the length of the source as an
// unsigned varint, source, id. Different pairs have different keys.
func AppendKey(dst, source, anonymousID []byte) []byte {
	if len(source) == 0 {
		if uuid, ok := parseUUID(anonymousID); ok {
			return append(append(dst, keyUUID), uuid[:]...)
		}
	}
	dst = append(dst, keyText)
	dst = binary.AppendUvarint(dst, uint64(len(source)))
	dst = append(dst, source...)
	return append(dst, anonymousID...)
}

var errKey = errors.New("not the form of a state key")

// SplitKey is the inverse of AppendKey. The results alias key or scratch, which is used if it has
// room for 36 bytes.
func SplitKey(key, scratch []byte) (source, anonymousID []byte, err error) {
	if len(key) == 0 {
		return nil, nil, errKey
	}
	switch rest := key[1:]; key[0] {
	case keyUUID:
		if len(rest) != 16 {
			return nil, nil, errKey
		}
		return nil, AppendUUID(scratch[:0], [16]byte(rest)), nil
	case keyText:
		length, n := binary.Uvarint(rest)
		if n <= 0 || length > uint64(len(rest)-n) {
			return nil, nil, errKey
		}
		rest = rest[n:]
		return rest[:length:length], rest[length:], nil
	default:
		return nil, nil, errKey
	}
}

const (
	uuidTextLength = 36
	// uuidShiftMs is how far the time of a session's UUIDv7 lies before its id. Krenalis' published
	// mapping; ids whose time does not fit the 48 bits of a UUIDv7 get a UUIDv8.
	uuidShiftMs  = 1000
	uuidTimeEnd  = int64(1) << 48
	hashedAtOnce = 1200 // bytes of source, anonymous id and id that are hashed without an allocation
)

// UUID returns the uuid of a session.
//
// An id with a number (every server id) has the UUIDv7 of time id - 1000 ms whose other 74 bits are
// the first of SHA-256(anonymousID + "|" + decimal id), Krenalis' published mapping; where that
// time is negative or has more than 48 bits it is the UUIDv8 of the first bits of the same hash. A
// client's UUID is its own. A client's string has the UUIDv8 of SHA-256(anonymousID + "|" + text).
// A source that is not empty is hashed in front: source + NUL + anonymousID.
func UUID(source, anonymousID []byte, id ID, t IDType) [16]byte {
	if id.Int == 0 && t == IDUUID {
		uuid, _ := parseUUID(id.Text)
		return uuid
	}
	var room [hashedAtOnce]byte
	text := room[:0]
	if len(source) > 0 {
		text = append(append(text, source...), 0)
	}
	text = append(append(text, anonymousID...), '|')
	if id.Int == 0 {
		text = append(text, id.Text...)
	} else {
		text = strconv.AppendInt(text, id.Int, 10)
	}
	hash := sha256.Sum256(text)
	var uuid [16]byte
	if id.Int >= uuidShiftMs && id.Int < uuidTimeEnd+uuidShiftMs {
		var time [8]byte
		binary.BigEndian.PutUint64(time[:], uint64(id.Int-uuidShiftMs))
		copy(uuid[:6], time[2:])
		copy(uuid[6:], hash[:])
		uuid[6] = uuid[6]&0x0f | 0x70
	} else {
		copy(uuid[:], hash[:])
		uuid[6] = uuid[6]&0x0f | 0x80
	}
	uuid[8] = uuid[8]&0x3f | 0x80
	return uuid
}

// uuidAt is where the two digits of each byte of a UUID stand in its text.
var uuidAt = [16]uint8{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34}

// AppendUUID appends the canonical text of a UUID: 36 characters, RFC 9562 section 4.
func AppendUUID(dst []byte, uuid [16]byte) []byte {
	const form = "00000000-0000-0000-0000-000000000000"
	dst = append(dst, form...)
	text := (*[len(form)]byte)(dst[len(dst)-len(form):])
	e := binary.BigEndian
	second, third := hex8(e.Uint32(uuid[4:])), hex8(e.Uint32(uuid[8:]))
	e.PutUint64(text[0:], hex8(e.Uint32(uuid[0:])))
	e.PutUint32(text[9:], uint32(second>>32))
	e.PutUint32(text[14:], uint32(second))
	e.PutUint32(text[19:], uint32(third>>32))
	e.PutUint32(text[24:], uint32(third))
	e.PutUint64(text[28:], hex8(e.Uint32(uuid[12:])))
	return dst
}

// hex8 returns the eight hexadecimal digits of x, the first one in the highest byte: each step
// spreads halves over twice the room, and a digit above 9 is a letter.
func hex8(x uint32) uint64 {
	n := uint64(x)
	n = (n | n<<16) & 0x0000ffff_0000ffff
	n = (n | n<<8) & 0x00ff00ff_00ff00ff
	n = (n | n<<4) & 0x0f0f0f0f_0f0f0f0f
	letters := (n + 0x0606060606060606) >> 4 & 0x01010101_01010101
	return n + 0x30303030_30303030 + letters*('a'-'9'-1)
}

// parseUUID reads the canonical text of a UUID: 36 characters, hexadecimal digits in lower case.
func parseUUID(text []byte) (uuid [16]byte, ok bool) {
	if len(text) != uuidTextLength ||
		text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return uuid, false
	}
	all := (*[uuidTextLength]byte)(text)
	var bad byte
	for i, at := range uuidAt {
		high, low := hexValue[all[at]], hexValue[all[at+1]]
		bad |= high | low
		uuid[i] = high<<4 | low
	}
	return uuid, bad < 16
}

// hexValue maps the digits of a canonical UUID to their values and every other byte to 255. It is a
// table because message ids and keys are packed with it at every event.
var hexValue = func() (table [256]byte) {
	for i := range table {
		table[i] = 255
	}
	for i, c := range []byte("0123456789abcdef") {
		table[c] = byte(i)
	}
	return table
}()
