package schemas

import (
	"encoding/binary"
	"fmt"
)

// Length returns how many bytes the event takes that b begins with: where the next one begins. The
// event may still be bad input. An error says that no event of the schema ends within b.
func (p *AvroProgram) Length(b []byte) (int, error) {
	rest, ok := avroSkip(p.input, b)
	if !ok {
		place, at := avroBroken(p.input, b)
		return 0, fmt.Errorf("the bytes are no event of the schema: %s, at byte %d of it",
			place, len(b)-len(at))
	}
	return len(b) - len(rest), nil
}

// avroBroken finds the field of a record that is not there, and where it would begin.
func avroBroken(t *avroType, b []byte) (place string, at []byte) {
	for i := range t.fields {
		f := &t.fields[i]
		rest, ok := avroSkip(f.typ, b)
		if ok {
			b = rest
			continue
		}
		place = f.name
		if f.typ.kind == avroRecord {
			var inner string
			inner, b = avroBroken(f.typ, b)
			place += "." + inner
		}
		break
	}
	return place, b
}

// avroSkip returns what is behind a value. It takes no byte for granted, and no text for text.
func avroSkip(t *avroType, b []byte) (rest []byte, ok bool) {
	switch t.kind {
	case avroNull:
		return b, true
	case avroBoolean:
		return avroSkipBytes(b, 1)
	case avroFloat:
		return avroSkipBytes(b, 4)
	case avroDouble:
		return avroSkipBytes(b, 8)
	case avroFixed:
		return avroSkipBytes(b, int64(t.size))
	case avroInt, avroLong, avroEnum:
		_, width := binary.Varint(b)
		return b[max(width, 0):], width > 0
	case avroBytes, avroString:
		return avroSkipText(b)
	case avroUnion:
		index, width := binary.Varint(b)
		if width <= 0 || index < 0 || index >= int64(len(t.branches)) {
			return nil, false
		}
		return avroSkip(t.branches[index], b[width:])
	case avroRecord:
		for i := range t.fields {
			if b, ok = avroSkip(t.fields[i].typ, b); !ok {
				return nil, false
			}
		}
		return b, true
	}
	return avroSkipBlocks(t, b)
}

// avroSkipBlocks steps over an array or a map. No item takes less than a byte, so a count that lies
// ends with the bytes.
func avroSkipBlocks(t *avroType, b []byte) (rest []byte, ok bool) {
	for {
		count, width := binary.Varint(b)
		if width <= 0 {
			return nil, false
		}
		if b = b[width:]; count == 0 {
			return b, true
		}
		if count < 0 { // its size follows, and the items are looked through all the same
			if _, width = binary.Varint(b); width <= 0 {
				return nil, false
			}
			b, count = b[width:], -count
		}
		if count < 0 || count > int64(len(b)) {
			return nil, false
		}
		for ; count > 0; count-- {
			if t.kind == avroMap {
				if b, ok = avroSkipText(b); !ok {
					return nil, false
				}
			}
			if b, ok = avroSkip(t.items, b); !ok {
				return nil, false
			}
		}
	}
}

func avroSkipText(b []byte) (rest []byte, ok bool) {
	n, width := binary.Varint(b)
	if width <= 0 {
		return nil, false
	}
	return avroSkipBytes(b[width:], n)
}

func avroSkipBytes(b []byte, n int64) (rest []byte, ok bool) {
	if n < 0 || n > int64(len(b)) {
		return nil, false
	}
	return b[n:], true
}
