package audit

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// Schemas knows the schemas of a registry.
type Schemas interface {
	// Schema returns the Avro schema of an id, or why no event can be read with it. An error is that
	// nobody knows.
	Schema(ctx context.Context, id uint32) (text, unfit string, err error)
}

// The forms of events.
const (
	formatAvro = "avro"
	formatAuto = "auto"
)

// books are the schemas that have been met.
type books struct {
	byID                  map[uint32]*avroSchema
	input, output, visits *avroSchema // of values without an id
}

func (f *form) openBooks() {
	f.books.byID = map[uint32]*avroSchema{}
	for _, one := range []struct {
		text string
		to   **avroSchema
	}{
		{f.InputSchema, &f.books.input}, {f.OutputSchema, &f.books.output},
		{f.VisitsSchema, &f.books.visits},
	} {
		if one.text != "" {
			*one.to = newAvroSchema(one.text, f)
		}
	}
}

// frame is how long the byte 0 and the id of a schema are.
const frame = 5

// isAvro reports whether an event is Avro.
func (f *form) isAvro(value []byte) bool {
	return f.Format == formatAvro ||
		f.Format == formatAuto && f.Schemas != nil && len(value) > 0 && value[0] == 0
}

// isRaw reports whether events name no schema.
func (f *form) isRaw() bool { return f.Format == formatAvro && f.InputSchema != "" }

// learn asks for the schema of a value, if it names one that is not known.
func (f *form) learn(ctx context.Context, value []byte) error {
	if f.Schemas == nil || len(value) < frame || value[0] != 0 {
		return nil
	}
	id := binary.BigEndian.Uint32(value[1:])
	if f.books.byID[id] != nil {
		return nil
	}
	text, unfit, err := f.Schemas.Schema(ctx, id)
	if err != nil {
		return fmt.Errorf("what cannot be read cannot be proved: %w", err)
	}
	s := &avroSchema{why: unfit}
	if unfit == "" {
		s = newAvroSchema(text, f)
	}
	f.books.byID[id] = s
	return nil
}

// learnEvent is learn for events.
func (f *form) learnEvent(ctx context.Context, value []byte) error {
	if !f.isAvro(value) || f.isRaw() {
		return nil
	}
	return f.learn(ctx, value)
}

// learnOutput is learnEvent for an event of the output: without its schema there is no verdict, but
// where it may have been passed on as it came.
func (f *form) learnOutput(ctx context.Context, value []byte) error {
	if err := f.learnEvent(ctx, value); err != nil || !f.isAvro(value) || f.isRaw() {
		return err
	}
	s, _ := f.named(value)
	if s != nil && s.why != "" && f.DeadLetterPolicies["malformed"] != "pass" {
		return fmt.Errorf("schema id %d of the output cannot be used: %s",
			binary.BigEndian.Uint32(value[1:]), s.why)
	}
	return nil
}

// named returns the schema that a value names, and the bytes that have it; nil: it names none.
func (f *form) named(value []byte) (*avroSchema, []byte) {
	if len(value) < frame || value[0] != 0 {
		return nil, nil
	}
	return f.books.byID[binary.BigEndian.Uint32(value[1:])], value[frame:]
}

// readInput reads an event as it came, and reports whether it is one. What is Avro is looked at as
// JSON: docs/avro.md says what its values mean.
func (f *form) readInput(value []byte, d *document) bool {
	s, b := f.schemaOf(value, f.books.input)
	switch {
	case !f.isAvro(value):
		return d.read(value)
	case s == nil || s.unfit != "":
		return false
	}
	return d.readAvro(s, b, f.wanted, f.cut)
}

// readOutput reads an event as it went.
func (f *form) readOutput(value []byte, d *document) bool {
	if !f.isAvro(value) {
		return d.read(value)
	}
	s, b := f.schemaOf(value, f.books.output)
	return d.readAvro(s, b, nil, f.cut)
}

// schemaOf returns the schema of an event, and the bytes that have it. raw is that of events which
// name none.
func (f *form) schemaOf(value []byte, raw *avroSchema) (*avroSchema, []byte) {
	if f.isRaw() {
		return raw, value
	}
	return f.named(value)
}

// isOdd reports whether goavro may be wrong that an event is well formed.
func (f *form) isOdd(value []byte) bool {
	s, b := f.schemaOf(value, f.books.input)
	return f.isAvro(value) && s != nil && !s.isPlain(b)
}

// readAvro makes the document of a value's bytes. w is where the session is written, c what is left
// out of comparisons.
func (d *document) readAvro(s *avroSchema, b []byte, w, c *cut) bool {
	d.text, d.nodes, d.depth, d.isAvro, d.isStuck = nil, d.nodes[:0], 0, true, false
	if s == nil {
		return false
	}
	native, ok := s.read(b)
	if !ok {
		return false
	}
	d.nodes = append(d.nodes, node{})
	if !d.avro(0, s.root, native, w, c) {
		d.nodes = d.nodes[:0]
		return false
	}
	return true
}

// avro puts a value at the end of the text and into a node. w is nil where nothing is written, c
// where nothing is left out.
func (d *document) avro(n int32, t *avroType, native any, w, c *cut) bool {
	for t.kind == "union" {
		t, native = t.branch(native)
	}
	start := len(d.text)
	var kind byte
	var ok bool
	switch t.kind {
	case "record":
		ok = d.avroRecord(n, t, native.(map[string]any), w, c)
	case "array":
		ok = d.avroArray(n, t, native.([]any), w, c)
	case "map":
		ok = d.avroMap(n, t, native.([]any))
	default:
		kind, ok = d.avroScalar(t, native)
	}
	if kind == 0 && ok {
		kind = d.text[start]
	}
	d.nodes[n].start, d.nodes[n].end, d.nodes[n].kind = start, len(d.text), kind
	return ok
}

// branch is what a union's value is.
func (t *avroType) branch(native any) (*avroType, any) {
	for name, inner := range native.(map[string]any) {
		i := 0
		for _, c := range name[1:] {
			if c == '_' {
				break
			}
			i = i*10 + int(c-'0')
		}
		return t.branches[i], inner.(map[string]any)["f0"]
	}
	return t.branches[0], nil
}

// child adds a member or an element.
func (d *document) addChild(n int32, name string) int32 {
	child := int32(len(d.nodes))
	if d.nodes[n].first != 0 {
		d.text = append(d.text, ',')
		d.nodes[d.nodes[n].last].next = child
	} else {
		d.nodes[n].first = child
	}
	d.nodes[n].last = child
	d.nodes = append(d.nodes, node{name: name, from: len(d.text)})
	return child
}

func (d *document) avroRecord(n int32, t *avroType, native map[string]any, w, c *cut) bool {
	d.text = append(d.text, '{')
	isDefault := c != nil
	for i := range t.fields {
		field := &t.fields[i]
		value := native["f"+strconv.Itoa(i)]
		kid, left := w.kid(field.name), c.kid(field.name)
		if left == nil {
			isDefault = isDefault && field.isDefault(value)
		}
		if kid != nil && !kid.whole && field.typ.isNone(value) && field.typ.isStuck(kid) {
			d.isStuck = true
		}
		if field.typ.isNull(value) {
			continue // as good as absent
		}
		child := d.addChild(n, field.name)
		d.text = append(appendQuoted(d.text, field.name), ':')
		if !d.avro(child, field.typ, value, kid, left) {
			return false
		}
		if left != nil && !left.whole {
			isDefault = isDefault && d.nodes[child].isDefault
		}
	}
	d.nodes[n].isDefault = isDefault
	d.text = append(d.text, '}')
	return true
}

func (t *avroType) isNull(native any) bool {
	for t.kind == "union" {
		t, native = t.branch(native)
	}
	return t.kind == "null"
}

// isNone reports whether a value has to be made where the session is written.
func (t *avroType) isNone(native any) bool {
	for t.kind == "union" {
		t, native = t.branch(native)
	}
	list, isList := native.([]any)
	return t.kind == "null" || isList && t.kind == "array" && len(list) == 0
}

func (d *document) avroArray(n int32, t *avroType, native []any, w, c *cut) bool {
	d.text = append(d.text, '[')
	for i, value := range native {
		at := strconv.Itoa(i)
		child := d.addChild(n, "")
		if !d.avro(child, t.items, value, w.kid(at), c.kid(at)) {
			return false
		}
		d.nodes[n].isDefault = len(native) == 1 && d.nodes[child].isDefault
	}
	d.text = append(d.text, ']')
	return true
}

func (d *document) avroMap(n int32, t *avroType, native []any) bool {
	d.text = append(d.text, '{')
	for _, one := range native {
		pair := one.(map[string]any)
		name := pair["f0"].(string)
		if !utf8.ValidString(name) {
			return false
		}
		child := d.addChild(n, name)
		d.text = append(appendQuoted(d.text, name), ':')
		if !d.avro(child, t.items, pair["f1"], nil, nil) {
			return false
		}
	}
	d.text = append(d.text, '}')
	return true
}

// opaque is the kind of what is there and neither text nor number.
const opaque = 'b'

// avroScalar appends a scalar, and returns its kind; 0: that of its text.
func (d *document) avroScalar(t *avroType, native any) (kind byte, ok bool) {
	switch v := native.(type) {
	case nil:
		d.text = append(d.text, "null"...)
	case bool:
		d.text = strconv.AppendBool(d.text, v)
	case int64:
		return d.avroLong(t, v)
	case float32:
		return d.avroFloat(float64(v), 32), true
	case float64:
		return d.avroFloat(v, 64), true
	case string:
		d.text = appendQuoted(d.text, v)
		return 0, utf8.ValidString(v)
	case []byte:
		if t.kind == "fixed" && t.logical == "uuid" && len(v) == 16 {
			d.text = fmt.Appendf(d.text, `"%x-%x-%x-%x-%x"`, v[:4], v[4:6], v[6:8], v[8:10], v[10:])
			return 0, true
		}
		d.appendOpaque(base64.StdEncoding.EncodeToString(v))
		return opaque, true
	default:
		return 0, false
	}
	return 0, true
}

func (d *document) appendOpaque(text string) {
	d.text = append(append(append(d.text, '"'), text...), '"')
}

func (d *document) avroLong(t *avroType, v int64) (kind byte, ok bool) {
	switch {
	case t.kind == "int" && (v < math.MinInt32 || v > math.MaxInt32):
		return 0, false
	case t.kind == "enum":
		if v < 0 || v >= int64(len(t.symbols)) {
			return 0, false
		}
		d.text = appendQuoted(d.text, t.symbols[v])
		return 0, true
	}
	var at time.Time
	layout := ""
	switch {
	case t.kind == "int" && t.logical == "date":
		at, layout = time.Unix(v*86400, 0), "2006-01-02"
	case t.kind != "long":
	case t.logical == "timestamp-millis" || t.logical == "local-timestamp-millis":
		at, layout = time.UnixMilli(v), "2006-01-02T15:04:05.000Z"
	case t.logical == "timestamp-micros" || t.logical == "local-timestamp-micros":
		at, layout = time.UnixMicro(v), "2006-01-02T15:04:05.000000Z"
	case t.logical == "timestamp-nanos" || t.logical == "local-timestamp-nanos":
		at, layout = time.Unix(0, v), "2006-01-02T15:04:05.000000000Z"
	}
	if layout == "" {
		d.text = strconv.AppendInt(d.text, v, 10)
		return 0, true
	}
	if year := at.UTC().Year(); year < 1 || year > 9999 {
		d.appendOpaque(number(v))
		return opaque, true
	}
	d.text = at.UTC().AppendFormat(append(d.text, '"'), layout)
	d.text = append(d.text, '"')
	return 0, true
}

// avroFloat appends a number as JSON has it.
func (d *document) avroFloat(v float64, bits int) byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		d.appendOpaque(fmt.Sprintf("%x", math.Float64bits(v)))
		return opaque
	}
	format := byte('f')
	if size := math.Abs(v); size != 0 && (size < 1e-6 || size >= 1e21) {
		format = 'e'
	}
	d.text = strconv.AppendFloat(d.text, v, format, -1, bits)
	return 0
}

func appendQuoted(b []byte, text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil {
		return append(b, `""`...)
	}
	return append(b, quoted...)
}
