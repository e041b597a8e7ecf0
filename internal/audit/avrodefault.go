package audit

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// isDefault reports whether a value is the one that is made where nothing else is known.
func (f *avroField) isDefault(native any) bool {
	if isNull := f.typ.isNull(native); isNull || !f.hasDefault {
		return isNull
	}
	standard, ok := f.typ.native(f.standard)
	if !ok {
		return false
	}
	var is, want document
	is.nodes, want.nodes = []node{{}}, []node{{}}
	return is.avro(0, f.typ, native, nil, nil) && want.avro(0, f.typ, standard, nil, nil) &&
		bytes.Equal(is.text, want.text)
}

// native is a default in the form in which goavro has values; of a union it is the first branch's.
func (t *avroType) native(standard any) (any, bool) {
	switch v := standard.(type) {
	case nil:
		return nil, t.kind == "null"
	case bool:
		return v, t.kind == "boolean"
	}
	switch t.kind {
	case "union":
		inner, ok := t.branches[0].native(standard)
		return map[string]any{"b0_": map[string]any{"f0": inner}}, ok
	case "record":
		return t.nativeRecord(standard)
	case "array", "map":
		return t.nativeItems(standard)
	}
	switch v := standard.(type) {
	case json.Number:
		return t.nativeNumber(v)
	case string:
		return t.nativeText(v)
	}
	return nil, false
}

func (t *avroType) nativeNumber(v json.Number) (any, bool) {
	bits := 64
	switch t.kind {
	case "int", "long":
		n, err := v.Int64()
		return n, err == nil
	case "float":
		bits = 32
	case "double":
	default:
		return nil, false
	}
	n, err := strconv.ParseFloat(v.String(), bits)
	if bits == 32 {
		return float32(n), err == nil
	}
	return n, err == nil
}

func (t *avroType) nativeText(v string) (any, bool) {
	switch t.kind {
	case "string":
		return v, true
	case "enum":
		i := slices.Index(t.symbols, v)
		return int64(i), i >= 0
	case "bytes", "fixed":
		b := []byte{}
		for _, c := range v {
			b = append(b, byte(c)) // each character is a byte
		}
		return b, true
	}
	return nil, false
}

func (t *avroType) nativeRecord(standard any) (any, bool) {
	members, ok := standard.(map[string]any)
	made := map[string]any{}
	for i := range t.fields {
		field := &t.fields[i]
		value, given := members[field.name]
		if !given {
			value = field.standard
		}
		one, fine := field.typ.native(value)
		made["f"+strconv.Itoa(i)], ok = one, ok && fine
	}
	return made, ok
}

func (t *avroType) nativeItems(standard any) (any, bool) {
	made, ok := []any{}, true
	switch v := standard.(type) {
	case []any:
		for _, one := range v {
			item, fine := t.items.native(one)
			made, ok = append(made, item), ok && fine
		}
		return made, ok && t.kind == "array"
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			item, fine := t.items.native(v[name])
			made, ok = append(made, map[string]any{"f0": name, "f1": item}), ok && fine
		}
		return made, ok && t.kind == "map"
	}
	return nil, false
}
