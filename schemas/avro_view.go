package schemas

import (
	"encoding/binary"
	"math"
	"strconv"

	"sessionizer/session"
)

// What is asked of an event is looked at as JSON has it: the view is the event, and behind it, as
// texts, the values that are none. In it keys, times, ids, rules and what sessions collect are
// found as in an event that is JSON.

// avroForm is how a value is written in the view.
type avroForm uint8

const (
	formOpaque avroForm = iota // bytes, fixed, decimals: no text of anybody's
	formBoolean
	formInteger
	formFloat
	formDouble
	formText
	formSymbol
	formUUID // of 16 bytes
	formDate
	formMillis
	formMicros
	formNanos
	formObject // a campaign: its texts and numbers
)

// avroShape is what is known of a value that is asked.
type avroShape struct {
	form avroForm
	typ  *avroType
}

// formOf returns how a scalar is written.
func formOf(t *avroType) avroForm {
	switch t.kind {
	case avroBoolean:
		return formBoolean
	case avroInt, avroLong:
		switch t.logical {
		case "date":
			return formDate
		case "timestamp-millis", "local-timestamp-millis":
			return formMillis
		case "timestamp-micros", "local-timestamp-micros":
			return formMicros
		case "timestamp-nanos", "local-timestamp-nanos":
			return formNanos
		}
		return formInteger
	case avroFloat:
		return formFloat
	case avroDouble:
		return formDouble
	case avroString:
		return formText
	case avroEnum:
		return formSymbol
	case avroFixed:
		if t.logical == "uuid" {
			return formUUID
		}
	}
	return formOpaque
}

// see makes the view.
func (sc *Scanned) see(p *AvroProgram, b []byte) {
	a := &sc.avro
	a.view = append(a.view[:0], b...)
	for _, id := range p.noted {
		s := &sc.reader.slots[id]
		if s.first != avroScalar {
			continue
		}
		shape := &p.shapes[a.walker.forms[id]]
		value := b[s.start:s.end]
		n := len(a.view)
		var first byte
		a.view, first = appendSeen(a.view, shape, value)
		*s = slot{start: int32(n), end: int32(len(a.view)), first: first}
	}
}

// appendSeen appends a value, and returns what is the first byte of its slot.
func appendSeen(dst []byte, shape *avroShape, value []byte) ([]byte, byte) {
	n := len(dst)
	switch shape.form {
	case formBoolean:
		dst = strconv.AppendBool(dst, value[0] == 1)
	case formInteger:
		dst = appendInt(dst, avroNumber(value))
	case formFloat:
		return appendFloat(dst, float64(math.Float32frombits(binary.LittleEndian.Uint32(value))), 32)
	case formDouble:
		return appendFloat(dst, math.Float64frombits(binary.LittleEndian.Uint64(value)), 64)
	case formSymbol:
		dst = append(dst, '"')
		dst = append(dst, shape.typ.symbols[avroNumber(value)]...)
		dst = append(dst, '"')
	case formUUID:
		dst = appendUUIDText(dst, (*[16]byte)(value))
	case formDate, formMillis, formMicros, formNanos:
		return appendInstant(dst, avroNumber(value), shape.form)
	case formObject:
		members := 0
		dst = append(dst, '{')
		dst, _ = appendPairs(dst, shape.typ, value, &members)
		dst = append(dst, '}')
	default:
		return dst, avroOpaque
	}
	return dst, dst[n]
}

// avroNumber reads the varint of a value that was walked over.
func avroNumber(value []byte) int64 {
	n, _ := avroVarint(value)
	return n
}

// avroVarint reads a varint that was walked over, and returns what is behind it.
func avroVarint(b []byte) (int64, []byte) {
	x, size := binary.Uvarint(b)
	return unzigzag(x), b[size:]
}

// avroContent is a string or bytes without its length.
func avroContent(value []byte) []byte {
	_, content := avroVarint(value)
	return content
}

// appendFloat appends a number as encoding/json has it. What JSON has no number for is opaque.
func appendFloat(dst []byte, f float64, bits int) ([]byte, byte) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return dst, avroOpaque
	}
	form := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		form = 'e'
	}
	n := len(dst)
	dst = strconv.AppendFloat(dst, f, form, -1, bits)
	return dst, dst[n]
}

// appendInstant appends a time as RFC 3339 has it, of a date the day alone. One that is not in the
// years 1 to 9999 is opaque.
func appendInstant(dst []byte, n int64, form avroForm) ([]byte, byte) {
	perMs, digits := int64(1), 3
	switch form {
	case formDate:
		if n < -1e6 || n > 1e7 {
			return dst, avroOpaque
		}
		n *= 86_400_000
	case formMicros:
		perMs, digits = 1e3, 6
	case formNanos:
		perMs, digits = 1e6, 9
	}
	ms, finer := n/perMs, n%perMs
	if finer < 0 {
		ms, finer = ms-1, finer+perMs
	}
	t := session.Time(ms)
	if !t.IsValid() {
		return dst, avroOpaque
	}
	at := len(dst)
	dst = appendTimeText(dst, t)
	if form == formDate {
		dst = append(dst[:at+len(`"2006-01-02`)], '"')
	}
	if digits > 3 {
		dst = dst[:len(dst)-len(`Z"`)]
		for perMs /= 10; perMs > 0; perMs /= 10 {
			dst = append(dst, '0'+byte(finer/perMs%10))
		}
		dst = append(dst, `Z"`...)
	}
	return dst, '"'
}
