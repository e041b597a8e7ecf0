package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/linkedin/goavro/v2"
)

// avroType is a type of an Avro schema, with the types that it names put in.
type avroType struct {
	kind     string // as Avro's schemas have it
	logical  string
	fields   []avroField // of a record
	branches []*avroType // of a union
	items    *avroType   // of an array, a map
	symbols  []string
	size     int  // of a fixed
	empty    bool // it takes no bytes
	depth    int  // of records, arrays and maps
	places   int
}

type avroField struct {
	name       string
	typ        *avroType
	hasDefault bool
	standard   any // the default, as JSON
}

// What a schema may have: beyond that its events cannot be processed.
const (
	avroPlacesMax = 10_000
	avroTextMax   = 1 << 20
)

// avroSchema is a schema made ready to read values with.
type avroSchema struct {
	root   *avroType
	reader *goavro.Codec
	why    string // why nothing can be read with it; empty: it can
	unfit  string // why its events have to be refused
}

// newAvroSchema reads a schema. goavro is given another one of the same bytes: every map is an
// array of pairs, every branch of a union a record of its own, every int and enum a long. So it
// says which branch a value has, repeats a repeated key and cuts no number, and what a logical type
// means is left to us.
func newAvroSchema(text string, f *form) *avroSchema {
	s := &avroSchema{}
	p := &avroParser{named: map[string]namedType{}}
	s.root, s.why = p.parseText(text)
	switch {
	case s.why != "":
		return s
	case len(text) > avroTextMax:
		s.unfit = "it is too long"
	case s.root.kind != "record":
		s.unfit = "it is no record"
	case s.root.places > avroPlacesMax:
		s.unfit = "it has too many places"
	case f.DepthMax > 0 && s.root.depth > f.DepthMax:
		s.unfit = "it is too deep"
	case !s.root.takes(f.wanted):
		s.unfit = "session members do not fit into it"
	}
	n := 0
	plain, err := json.Marshal(s.root.rewritten(&n))
	if err == nil {
		s.reader, err = goavro.NewCodec(string(plain))
	}
	if err != nil {
		s.why = err.Error()
	}
	return s
}

type namedType struct {
	props map[string]any
	space string
}

type avroParser struct {
	named  map[string]namedType
	open   []string
	places int // all that were made: names are put in, and could be many
	why    string
}

func (p *avroParser) parseText(text string) (*avroType, string) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var tree any
	if d.Decode(&tree) != nil || d.More() {
		return nil, "it is no JSON"
	}
	t := p.parse(tree, "")
	return t, p.why
}

func (p *avroParser) refuse(format string, args ...any) *avroType {
	if p.why == "" {
		p.why = fmt.Sprintf(format, args...)
	}
	return &avroType{kind: "null", empty: true}
}

func (p *avroParser) parse(tree any, space string) *avroType {
	if p.places++; p.places > 4*avroPlacesMax || p.why != "" {
		return p.refuse("it has too many places")
	}
	switch v := tree.(type) {
	case string:
		return p.byName(v, nil, space)
	case []any:
		t := &avroType{kind: "union"}
		for _, one := range v {
			b := p.parse(one, space)
			t.branches = append(t.branches, b)
			t.depth, t.places = max(t.depth, b.depth), t.places+b.places
		}
		if len(v) == 0 {
			return p.refuse("a union has no branch")
		}
		return t
	case map[string]any:
		if name, ok := v["type"].(string); ok {
			return p.byName(name, v, space)
		}
		return p.parse(v["type"], space)
	}
	return p.refuse("a type is missing")
}

func (p *avroParser) byName(name string, props map[string]any, space string) *avroType {
	t := &avroType{kind: name, places: 1}
	switch name {
	case "null", "boolean", "int", "long", "float", "double", "bytes", "string":
		t.empty = name == "null"
		t.logical, _ = props["logicalType"].(string)
		return t
	case "array", "map":
		word := map[string]string{"array": "items", "map": "values"}[name]
		t.items = p.parse(props[word], space)
		t.depth, t.places = t.items.depth+1, t.items.places+1
		if t.items.empty {
			return p.refuse("what is in an %s takes no bytes", name)
		}
		return t
	case "record", "error", "enum", "fixed":
		full, inner := fullName(props, space)
		if _, twice := p.named[full]; twice {
			return p.refuse("%s is defined twice", full)
		}
		p.named[full] = namedType{props, inner}
		return p.define(full)
	}
	full := name
	if _, known := p.named[name]; !known && space != "" {
		full = space + "." + name
	}
	if _, known := p.named[full]; !known || slices.Contains(p.open, full) {
		return p.refuse("%s is not defined, or holds itself", name)
	}
	return p.define(full)
}

func fullName(props map[string]any, space string) (full, inner string) {
	full, _ = props["name"].(string)
	if own, ok := props["namespace"].(string); ok && own != "" {
		space = own
	}
	if !strings.Contains(full, ".") && space != "" {
		full = space + "." + full
	}
	return full, full[:max(strings.LastIndex(full, "."), 0)]
}

// define makes the type that has a name.
func (p *avroParser) define(full string) *avroType {
	def := p.named[full]
	t := &avroType{kind: def.props["type"].(string), places: 1}
	t.logical, _ = def.props["logicalType"].(string)
	switch t.kind {
	case "enum":
		symbols, _ := def.props["symbols"].([]any)
		for _, s := range symbols {
			text, _ := s.(string)
			t.symbols = append(t.symbols, text)
		}
	case "fixed":
		n, err := strconv.Atoi(fmt.Sprint(def.props["size"]))
		if err != nil || n < 0 {
			return p.refuse("a fixed has no size")
		}
		t.size, t.empty = n, n == 0
	default:
		t.kind, t.empty = "record", true
		p.open = append(p.open, full)
		fields, _ := def.props["fields"].([]any)
		for _, one := range fields {
			props, _ := one.(map[string]any)
			f := avroField{typ: p.parse(one, def.space)}
			f.name, _ = props["name"].(string)
			f.standard, f.hasDefault = props["default"]
			t.fields = append(t.fields, f)
			t.depth, t.places = max(t.depth, f.typ.depth), t.places+f.typ.places
			t.empty = t.empty && f.typ.empty
		}
		t.depth++
		p.open = p.open[:len(p.open)-1]
	}
	return t
}

// rewritten is the schema that goavro reads values with. n numbers the names.
func (t *avroType) rewritten(n *int) any {
	record := func(fields ...any) any {
		*n++
		return map[string]any{"type": "record", "name": fmt.Sprintf("r%d", *n), "fields": fields}
	}
	field := func(i int, typ any) any {
		return map[string]any{"name": fmt.Sprintf("f%d", i), "type": typ}
	}
	switch t.kind {
	case "int", "enum":
		return "long"
	case "fixed":
		*n++
		return map[string]any{"type": "fixed", "name": fmt.Sprintf("r%d", *n), "size": t.size}
	case "array":
		return map[string]any{"type": "array", "items": t.items.rewritten(n)}
	case "map":
		return map[string]any{"type": "array",
			"items": record(field(0, "string"), field(1, t.items.rewritten(n)))}
	case "union":
		var branches []any
		for i, b := range t.branches {
			inner := b.rewritten(n)
			*n++
			branches = append(branches, map[string]any{"type": "record", "fields": []any{field(0, inner)},
				"name": fmt.Sprintf("b%d_%d", i, *n)})
		}
		return branches
	case "record":
		fields := []any{}
		for i := range t.fields {
			fields = append(fields, field(i, t.fields[i].typ.rewritten(n)))
		}
		return record(fields...)
	}
	return t.kind
}

// read takes the bytes of a value apart; false: they are none of this schema.
func (s *avroSchema) read(value []byte) (native any, ok bool) {
	if s.why != "" {
		return nil, false
	}
	defer func() {
		if recover() != nil { // what goavro cannot read it may panic with
			native, ok = nil, false
		}
	}()
	native, rest, err := s.reader.NativeFromBinary(value)
	return native, err == nil && len(rest) == 0
}

// isPlain reports whether a value has the bytes that goavro writes for what it reads there. One
// that has not may break a rule that goavro does not hold it to: the size of a block, or 64 bits.
func (s *avroSchema) isPlain(value []byte) bool {
	native, ok := s.read(value)
	if !ok {
		return true
	}
	again, err := s.reader.BinaryFromNative(nil, native)
	return err == nil && bytes.Equal(again, value)
}

// inner is the record, the array, of what may be null or another type beside it.
func (t *avroType) inner(kind string) *avroType {
	if t.kind == kind {
		return t
	}
	for _, b := range t.branches {
		if b.kind == kind {
			return b
		}
	}
	return nil
}

func (t *avroType) isNullable() bool { return t.kind == "null" || t.inner("null") != nil }

// takes reports whether session members can be put into values of a type: what they belong into is
// not there, or null, or a record, and of arrays an array.
func (t *avroType) takes(w *cut) bool {
	if w.whole || t.kind == "null" {
		return true
	}
	if _, isList := w.kids["0"]; isList {
		list := t.inner("array")
		return list != nil && t.inner("map") == nil && list.items.takes(w.kids["0"])
	}
	record := t.inner("record")
	if record == nil || t.kind == "union" && t.inner("map") != nil {
		return false
	}
	for i := range record.fields {
		if kid := w.kids[record.fields[i].name]; kid != nil && !record.fields[i].typ.takes(kid) {
			return false
		}
	}
	return true
}

// isStuck reports whether what session members belong into cannot be made where it is null: it has
// another field that is neither null nor has a default.
func (t *avroType) isStuck(w *cut) bool {
	if list := t.inner("array"); list != nil {
		return w.kids["0"] != nil && list.items.isStuck(w.kids["0"])
	}
	record := t.inner("record")
	if record == nil {
		return false
	}
	for i := range record.fields {
		field := &record.fields[i]
		kid := w.kids[field.name]
		switch {
		case kid != nil && kid.whole:
		case kid != nil:
			if field.typ.isStuck(kid) {
				return true
			}
		case !field.typ.isNullable() && !field.hasDefault:
			return true
		}
	}
	return false
}
