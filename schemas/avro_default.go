package schemas

import (
	"encoding/binary"
	"encoding/json"
	"maps"
	"math"
	"slices"
)

// appendDefault appends a default of a schema, as Avro writes them in JSON: a union's is one of its
// first branch, bytes are texts of characters below 256. False: it is none of the type.
func appendDefault(dst []byte, t *avroType, value any) ([]byte, bool) {
	switch t.kind {
	case avroNull:
		return dst, value == nil
	case avroBoolean:
		is, ok := value.(bool)
		if is {
			return append(dst, 1), ok
		}
		return append(dst, 0), ok
	case avroInt, avroLong, avroFloat, avroDouble:
		n, ok := value.(json.Number)
		return appendNumber(dst, t.kind, n, ok)
	case avroString:
		text, ok := value.(string)
		return append(appendAvroLong(dst, int64(len(text))), text...), ok
	case avroBytes, avroFixed:
		text, ok := value.(string)
		return appendBytes(dst, t, text, ok)
	case avroEnum:
		symbol, ok := value.(string)
		index := slices.Index(t.symbols, symbol)
		return appendAvroLong(dst, int64(index)), ok && index >= 0
	case avroUnion:
		return appendDefault(appendAvroLong(dst, 0), t.branches[0], value)
	case avroRecord:
		members, ok := value.(map[string]any)
		for i := range t.fields {
			f := &t.fields[i]
			v, given := members[f.name]
			if !given {
				v, given = f.props["default"]
			}
			if !ok || !given {
				return dst, false
			}
			dst, ok = appendDefault(dst, f.typ, v)
		}
		return dst, ok
	case avroMap:
		members, ok := value.(map[string]any)
		if len(members) > 0 {
			dst = appendAvroLong(dst, int64(len(members)))
		}
		for _, key := range slices.Sorted(maps.Keys(members)) {
			dst = append(appendAvroLong(dst, int64(len(key))), key...)
			var is bool
			dst, is = appendDefault(dst, t.items, members[key])
			ok = ok && is
		}
		return append(dst, 0), ok
	}
	items, ok := value.([]any)
	if len(items) > 0 {
		dst = appendAvroLong(dst, int64(len(items)))
	}
	for _, item := range items {
		var is bool
		dst, is = appendDefault(dst, t.items, item)
		ok = ok && is
	}
	return append(dst, 0), ok
}

func appendNumber(dst []byte, kind avroKind, n json.Number, ok bool) ([]byte, bool) {
	if kind == avroInt || kind == avroLong {
		i, err := n.Int64()
		if f, e := n.Float64(); err != nil && e == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			i, err = int64(f), nil // 1.0
		}
		return appendAvroLong(dst, i), ok && err == nil && (kind == avroLong || i == int64(int32(i)))
	}
	f, err := n.Float64()
	if kind == avroFloat {
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(f))), ok && err == nil
	}
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f)), ok && err == nil
}

func appendBytes(dst []byte, t *avroType, text string, ok bool) ([]byte, bool) {
	var content []byte
	for _, r := range text {
		ok = ok && r < 256
		content = append(content, byte(r))
	}
	if t.kind == avroBytes {
		dst = appendAvroLong(dst, int64(len(content)))
	} else {
		ok = ok && len(content) == t.size
	}
	return append(dst, content...), ok
}
