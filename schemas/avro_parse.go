package schemas

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// avroParser makes types of a schema's JSON. Names are found as goavro finds them: first the name
// as it stands, then the one of the namespace around it.
type avroParser struct {
	named    map[string]*avroType
	open     []string // full names of the records around
	depthMax int
	defaults int // what the defaults met so far say: see spend
}

// parse reads a type that stands at a place, in a namespace.
func (p *avroParser) parse(schema any, place, namespace string) (*avroType, error) {
	switch v := schema.(type) {
	case string:
		return p.parseName(v, nil, place, namespace)
	case []any:
		return p.parseUnion(v, place, namespace)
	case map[string]any:
		switch name := v["type"].(type) {
		case string:
			return p.parseName(name, v, place, namespace)
		case map[string]any, []any:
			return p.parse(name, place, namespace)
		}
		return nil, unfit(place, "a type without a type")
	}
	return nil, unfit(place, "neither a name, an object nor a list of types")
}

// parseName reads a type by its name. props is the object that it stands in; nil: it stands alone.
func (p *avroParser) parseName(name string, props map[string]any, place, namespace string,
) (*avroType, error) {
	kind := avroKind(slices.Index(avroKindNames[:], name))
	switch {
	case kind < avroFixed: // a primitive one
		t := &avroType{kind: kind, props: props, places: 1, width: 1}
		t.logical = logicalOf(t, props)
		if kind == avroNull {
			t.width = 0
		}
		return t, nil
	case kind >= avroKinds || kind == avroUnion:
		return p.refer(name, place, namespace)
	case props == nil:
		return nil, unfit(place, "%s: the word alone says nothing: want an object", name)
	}
	t := &avroType{kind: kind, props: props, places: 1}
	if kind.isNamed() {
		if err := p.define(t, place, namespace); err != nil {
			return nil, err
		}
	}
	var err error
	switch kind {
	case avroRecord:
		err = p.parseRecord(t, place)
	case avroEnum:
		err = t.parseSymbols(place)
	case avroFixed:
		err = t.parseSize(place)
	default:
		err = p.parseItems(t, place, namespace)
	}
	if err == nil && t.places > avroPlacesMax {
		err = unfit(place, "more than %d places, each counted as often as an event may hold it",
			avroPlacesMax)
	}
	if err == nil && t.depth > p.depthMax {
		err = unfit(place, "more than %d records, arrays and maps open at once "+
			"(limits.json_depth)", p.depthMax)
	}
	return t, err
}

// refer returns the type of that name.
func (p *avroParser) refer(name, place, namespace string) (*avroType, error) {
	full := name
	t := p.named[name]
	if namespace != "" && !strings.Contains(name, ".") {
		inner := p.named[namespace+"."+name]
		if t != nil && inner != nil {
			return nil, unfit(place, "%s: there is one with and one without the namespace %s: "+
				"want its full name", name, namespace)
		}
		if t == nil {
			t, full = inner, namespace+"."+name
		}
	}
	if t == nil {
		return nil, unfit(place, "unknown type name: %q", name)
	}
	if slices.Contains(p.open, full) {
		return nil, unfit(place, "%s holds itself: want a schema without recursion, because the "+
			"depth of what is read has to be known", full)
	}
	return t, nil
}

// define gives a type its full name.
func (p *avroParser) define(t *avroType, place, namespace string) error {
	name, _ := t.props["name"].(string)
	if own, ok := t.props["namespace"].(string); ok && own != "" {
		namespace = own
	}
	if !strings.Contains(name, ".") && namespace != "" {
		name = namespace + "." + name
	}
	if len(name) > avroNameBytesMax {
		return unfit(place, "%s with a name of %d bytes: at most %d", t.kind, len(name),
			avroNameBytesMax)
	}
	for part := range strings.SplitSeq(name, ".") {
		if !isAvroName(part) {
			return unfit(place, "%s named %q: want letters, digits and _", t.kind, name)
		}
	}
	if i := slices.Index(avroKindNames[:], avroShort(name)); i >= 0 {
		return unfit(place, "%s named %s: that is a word of Avro", t.kind, name)
	}
	if p.named[name] != nil {
		return unfit(place, "%s: defined twice: want the name alone where it stands again", name)
	}
	t.name = name
	p.named[name] = t
	return nil
}

// isAvroName reports whether a text is a name without a namespace.
func isAvroName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || !isDigit(c)) {
			return false
		}
	}
	return name != ""
}

// avroShort is a full name without its namespace, avroSpace the namespace.
func avroShort(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

func avroSpace(name string) string { return name[:max(strings.LastIndexByte(name, '.'), 0)] }

func (p *avroParser) parseRecord(t *avroType, place string) error {
	list, ok := t.props["fields"].([]any)
	if !ok {
		return unfit(place, "record %s without a list of fields", t.name)
	}
	p.open = append(p.open, t.name)
	defer func() { p.open = p.open[:len(p.open)-1] }()
	seen, namespace := make(map[string]bool, len(list)), avroSpace(t.name)
	for i := range list {
		props, ok := list[i].(map[string]any)
		name, _ := props["name"].(string)
		if !ok || !isAvroName(name) || seen[name] || len(name) > avroNameBytesMax {
			return unfit(place, "field %d of record %s: want an object with a name of its own, "+
				"of letters, digits and _, at most %d bytes", i+1, t.name, avroNameBytesMax)
		}
		seen[name] = true
		at := strings.TrimPrefix(place+"."+name, ".")
		if kind, ok := props["type"].(string); ok {
			if k := slices.Index(avroKindNames[:], kind); k >= int(avroFixed) {
				return unfit(at, `the type %q stands in the field: want "type": {"type": %q, ...}`,
					kind, kind)
			}
		}
		typ, err := p.parse(props, at, namespace)
		if err != nil {
			return err
		}
		if _, ok := props["type"].(string); ok && !typ.kind.isNamed() {
			typ.props = nil // they are the field's
		}
		if value, ok := props["default"]; ok && !p.spend(typ, value) {
			return unfit(at, "the defaults of the schema say more than %d values, all together",
				avroDefaultsMax)
		}
		t.fields = append(t.fields, avroField{name: name, typ: typ, props: props})
		t.hold(typ)
		t.width = max(t.width, typ.width)
	}
	t.depth++
	return nil
}

// hold counts a part of a type.
func (t *avroType) hold(part *avroType) {
	t.places = min(t.places+part.places, avroPlacesMax+1)
	t.depth = max(t.depth, part.depth)
}

func (p *avroParser) parseItems(t *avroType, place, namespace string) (err error) {
	t.width = 1 // the end of its blocks
	key := "items"
	if t.kind == avroMap {
		key = "values"
	}
	if t.items, err = p.parse(t.props[key], place, namespace); err != nil {
		return err
	}
	if t.items.width == 0 {
		return unfit(place, "%s of %s take no bytes: a few bytes could claim any number of them",
			key, t.kind.article())
	}
	t.hold(t.items)
	t.depth++
	return nil
}

func (p *avroParser) parseUnion(list []any, place, namespace string) (*avroType, error) {
	t := &avroType{kind: avroUnion, places: 1, width: 1}
	if len(list) == 0 || len(list) > avroUnionBranchsMax {
		return nil, unfit(place, "a union of %d types: want 1 to %d", len(list),
			avroUnionBranchsMax)
	}
	seen := map[string]bool{}
	for i := range list {
		b, err := p.parse(list[i], place, namespace)
		if err != nil {
			return nil, err
		}
		name := b.name
		if name == "" {
			name = b.kind.String()
		}
		if b.kind == avroUnion || seen[name] {
			return nil, unfit(place, "a union with %s inside of it, or twice", name)
		}
		seen[name] = true
		t.branches = append(t.branches, b)
		t.hold(b)
	}
	return t, nil
}

func (t *avroType) parseSymbols(place string) error {
	t.width = 1
	list, _ := t.props["symbols"].([]any)
	seen := make(map[string]bool, len(list))
	for i := range list {
		symbol, _ := list[i].(string)
		if !isAvroName(symbol) || seen[symbol] {
			return unfit(place, "enum %s: symbol %d: want a name of its own", t.name, i+1)
		}
		seen[symbol] = true
		t.symbols = append(t.symbols, symbol)
	}
	if len(list) == 0 {
		return unfit(place, "enum %s without symbols", t.name)
	}
	return nil
}

func (t *avroType) parseSize(place string) error {
	text := fmt.Sprint(t.props["size"])
	size, err := strconv.Atoi(text)
	if err != nil || size < 0 || size > avroFixedBytesMax {
		return unfit(place, "fixed %s of size %s: want a number of bytes, at most %d", t.name, text,
			avroFixedBytesMax)
	}
	t.size, t.width = size, min(size, 1)
	t.logical = logicalOf(t, t.props)
	return nil
}

// logicalOf returns a logical type that fits; others count as absent, as Avro has it.
func logicalOf(t *avroType, props map[string]any) string {
	logical, _ := props["logicalType"].(string)
	fits := false
	switch logical {
	case "date", "time-millis":
		fits = t.kind == avroInt
	case "timestamp-millis", "timestamp-micros", "timestamp-nanos", "local-timestamp-millis",
		"local-timestamp-micros", "local-timestamp-nanos", "time-micros":
		fits = t.kind == avroLong
	case "uuid":
		fits = t.kind == avroString || t.kind == avroFixed && t.size == 16
	}
	if !fits {
		return ""
	}
	return logical
}
