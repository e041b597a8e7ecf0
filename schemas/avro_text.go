package schemas

import (
	"encoding/binary"
	"math"
	"strconv"
)

// EventJSON returns an event as JSON text for people to look into, whatever it came as: JSON as it
// is; of Avro all that has a text in JSON, with null in the place of bytes. nil: it cannot be read.
func (c *Codec) EventJSON(value []byte) []byte {
	if !c.isAvro(value) {
		return value
	}
	var at avroScan
	if _, unknown := c.Unknown(value); unknown || c.programOf(value, &at) != nil {
		return nil
	}
	b := value[at.begin:]
	if n, err := at.program.Length(b); err != nil || n != len(b) {
		return nil
	}
	text, _ := appendAvroJSON(nil, at.program.input, b)
	return text
}

// appendAvroJSON appends a value of which avroSkip has found the end.
func appendAvroJSON(dst []byte, t *avroType, b []byte) (text, rest []byte) {
	long := func() (n int64) {
		n, width := binary.Varint(b)
		b = b[width:]
		return n
	}
	switch t.kind {
	case avroBoolean:
		return strconv.AppendBool(dst, b[0] != 0), b[1:]
	case avroInt, avroLong:
		n := long()
		return strconv.AppendInt(dst, n, 10), b
	case avroFloat:
		f := float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
		return appendFinite(dst, f, 32), b[4:]
	case avroDouble:
		return appendFinite(dst, math.Float64frombits(binary.LittleEndian.Uint64(b)), 64), b[8:]
	case avroString:
		n := long()
		return appendText(dst, b[:n]), b[n:]
	case avroEnum:
		if n := long(); n >= 0 && n < int64(len(t.symbols)) {
			return appendText(dst, t.symbols[n]), b
		}
	case avroBytes:
		n := long()
		b = b[n:]
	case avroFixed:
		b = b[t.size:]
	case avroUnion:
		n := long()
		return appendAvroJSON(dst, t.branches[n], b)
	case avroRecord:
		dst = append(dst, '{')
		for i := range t.fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendText(dst, t.fields[i].name), ':')
			dst, b = appendAvroJSON(dst, t.fields[i].typ, b)
		}
		return append(dst, '}'), b
	case avroArray, avroMap:
		return appendAvroItems(dst, t, b)
	}
	return append(dst, "null"...), b
}

// appendFinite appends a number that JSON has, else null.
func appendFinite(dst []byte, f float64, bits int) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, bits)
}

// appendAvroItems appends the items of an array or a map.
func appendAvroItems(dst []byte, t *avroType, b []byte) (text, rest []byte) {
	long := func() (n int64) {
		n, width := binary.Varint(b)
		b = b[width:]
		return n
	}
	open, end := byte('['), byte(']')
	if t.kind == avroMap {
		open, end = '{', '}'
	}
	dst = append(dst, open)
	for first := true; ; {
		count := long()
		if count == 0 {
			return append(dst, end), b
		}
		if count < 0 {
			long()
			count = -count
		}
		for ; count > 0; count-- {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			if t.kind == avroMap {
				n := long()
				dst = append(appendText(dst, b[:n]), ':')
				b = b[n:]
			}
			dst, b = appendAvroJSON(dst, t.items, b)
		}
	}
}
