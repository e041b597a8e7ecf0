package audit_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"sort"
	"strings"
	"testing"

	"github.com/linkedin/goavro/v2"

	"sessionizer/internal/audit"
	"sessionizer/internal/audit/setup"
	"sessionizer/internal/config"
	"sessionizer/schemas"
)

// avroEvents are the schemas of a world whose events are Avro, or some of them: the drawn events
// fit all of its input schemas.
type avroEvents struct {
	input  []string // schema id 1, 2, ...; their output is 101, 102, ...
	texts  map[uint32]string
	codecs map[uint32]*goavro.Codec
	raw    bool
	mixed  bool // every third event is JSON
}

const (
	outputIDs = 100
	visitsID  = 200
	refusedID = 50 // the schema holds itself
)

// Schema makes it a registry.
func (a *avroEvents) Schema(_ context.Context, id uint32) (text, unfit string, err error) {
	if text, ok := a.texts[id]; ok {
		return text, "", nil
	}
	return "", "it is not there", nil
}

// schemaTree is what is at some paths.
type schemaTree map[string]schemaTree

func (s schemaTree) add(path string) {
	for _, name := range strings.Split(path, ".") {
		if s[name] == nil {
			s[name] = schemaTree{}
		}
		s = s[name]
	}
}

const scalars = `["null","string","long","double","boolean"]`

// record is the schema of a record with the fields of a tree.
func (s schemaTree) record(name, extra string) string {
	var fields []string
	var names []string
	for name := range s {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, field := range names {
		typ := scalars
		switch kids := s[field]; {
		case field == "campaign" || field == "utm":
			typ = `["null",{"type":"map","values":["string","long"]}]`
		case field == "timestamp" || strings.HasSuffix(field, "_tstamp"):
			typ = `["null","string",{"type":"long","logicalType":"timestamp-millis"}]`
		case kids["0"] != nil:
			kids["0"].add("mine")
			typ = `["null",{"type":"array","items":` + kids["0"].record(name+field+"0", "") + `}]`
		case len(kids) > 0:
			extra := ""
			if field == "context" { // it can be made, of defaults
				extra = `,{"name":"region","type":"string","default":"eu"},
					{"name":"level","type":["long","null"],"default":3}`
			}
			typ = `["null",` + kids.record(name+field, extra) + `]`
		}
		fields = append(fields, fmt.Sprintf(`{"name":%q,"type":%s,"default":null}`, field, typ))
	}
	return fmt.Sprintf(`{"type":"record","name":%q,"fields":[%s%s]}`, name, strings.Join(fields, ","), extra)
}

// newAvroEvents makes the schemas for the events that are drawn with a configuration.
func newAvroEvents(t testing.TB, c *config.Config) *avroEvents {
	t.Helper()
	places, err := c.Places()
	if err != nil {
		t.Fatal(err)
	}
	tree := schemaTree{}
	for what, paths := range places {
		for i, path := range paths {
			if what == "context" || i == 0 {
				if _, from, renamed := strings.Cut(path, "="); renamed {
					path = from
				}
				tree.add(path)
			}
		}
	}
	delete(tree, "properties")
	const more = `,{"name":"properties","type":{"type":"record","name":"P","fields":[{"name":"n","type":"int"},
		{"name":"price","type":"double"},{"name":"text","type":{"type":"enum","name":"T","symbols":["ab","cd"]}},
		{"name":"blob","type":"bytes"},{"name":"tags","type":{"type":"map","values":["null","float"]}}]}}`
	a := &avroEvents{texts: map[uint32]string{}, codecs: map[uint32]*goavro.Codec{}}
	a.input = []string{tree.record("Event", more),
		tree.record("Event", more+`,{"name":"new","type":["null","string"],"default":null}`)}
	for i, text := range a.input {
		a.define(t, uint32(i+1), text)
	}
	a.texts[refusedID] = `{"type":"record","name":"E","fields":[{"name":"e","type":["null","E"]}]}`
	return a
}

func (a *avroEvents) define(t testing.TB, id uint32, text string) {
	t.Helper()
	codec, err := goavro.NewCodec(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	a.texts[id], a.codecs[id] = text, codec
}

func (a *avroEvents) takes(n int) bool { return !a.mixed || n%3 > 0 }

// encode makes the n-th event.
func (a *avroEvents) encode(n int, e map[string]any) []byte {
	id := uint32(1)
	if n > 200 && n%2 == 0 && !a.raw {
		id = 2 // a producer has gone over to another schema
		e["new"] = fmt.Sprint(n)
	}
	native := nativeOf(e, "Event").(map[string]any)
	native["properties"] = map[string]any{"n": n, "price": 1.5, "text": "ab",
		"blob": []byte{0, byte(n)},
		"tags": map[string]any{"a": goavro.Union("float", 1.25), "b": nil}}
	var b []byte
	if !a.raw {
		if n%37 == 0 {
			id = refusedID
		}
		b = binary.BigEndian.AppendUint32([]byte{0}, id)
	}
	if id == refusedID {
		return append(b, 0)
	}
	b, err := a.codecs[id].BinaryFromNative(b, native)
	if err != nil {
		panic(fmt.Sprintf("%v: %v", native, err))
	}
	if n%41 == 0 {
		b = append(b, 1) // too much
	}
	return b
}

// nativeOf is what goavro has for a value of a drawn event.
func nativeOf(v any, name string) any {
	switch v := v.(type) {
	case map[string]any:
		m := map[string]any{}
		for field, one := range v {
			inner := nativeOf(one, name+field)
			switch one := one.(type) {
			case map[string]any:
				branch := name + field
				if field == "campaign" || field == "utm" {
					branch, inner = "map", mapOf(one)
				}
				inner = goavro.Union(branch, inner)
			case []any:
				inner = goavro.Union("array", []any{nativeOf(one[0], name+field+"0")})
			}
			if text, isText := inner.(map[string]any); isText && text["long"] != nil &&
				(field == "timestamp" || strings.HasSuffix(field, "_tstamp")) {
				inner = goavro.Union("long.timestamp-millis", timeOf(text["long"].(int64)))
			}
			m[field] = inner
		}
		return m
	case string:
		return goavro.Union("string", v)
	case int:
		return goavro.Union("long", int64(v))
	case int64:
		return goavro.Union("long", v)
	case float64:
		return goavro.Union("double", v)
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			panic(err)
		}
		return goavro.Union("double", f)
	case bool:
		return goavro.Union("boolean", v)
	}
	return nil
}

func mapOf(m map[string]any) map[string]any {
	to := map[string]any{}
	for name, v := range m {
		to[name] = nativeOf(v, "")
	}
	return to
}

// teach gives a codec the schemas that a registry would.
func (a *avroEvents) teach(t testing.TB, c *config.Config, codec *schemas.Codec) {
	t.Helper()
	if a == nil {
		return
	}
	a.define(t, visitsID, schemas.VisitSchema())
	if c.Visits.Format == "avro" && c.Registry.URL != "" {
		codec.FrameVisits(visitsID)
	}
	if a.raw {
		return
	}
	for i, text := range a.input {
		program, err := codec.CompileAvro(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		id := uint32(i + 1)
		codec.Book().Accept(id, program, id+outputIDs)
		a.define(t, id+outputIDs, program.Output())
	}
	codec.Book().Refuse(refusedID, "it holds itself")
}

// The ways in which a world is Avro.
const (
	framed = iota
	mixed
	rawFile
)

// newAvroWorld is newWorld for events in Avro. yaml is a flow mapping.
func newAvroWorld(t testing.TB, yaml string, way int, seed uint64) *world {
	t.Helper()
	more := map[int]string{framed: `registry: {url: "http://localhost:1"}, input: {format: avro}`,
		mixed:   `registry: {url: "http://localhost:1"}`,
		rawFile: `input: {format: avro, schema: events.avsc}`}[way]
	w := newWorld(t, yaml, seed)
	w.avro = newAvroEvents(t, w.config)
	w.avro.raw, w.avro.mixed = way == rawFile, way == mixed
	if yaml = strings.TrimSuffix(yaml, "}"); yaml != "{" {
		yaml += ", "
	}
	w.config = loadConfigWith(t, yaml+more+"}", w.avro.input[0])
	var err error
	if w.audit, err = setup.From(w.config); err != nil {
		t.Fatal(err)
	}
	if !w.avro.raw {
		w.audit.Schemas = w.avro
	}
	return w
}

func loadConfigWith(t testing.TB, yaml, schema string) *config.Config {
	t.Helper()
	c, _, err := config.Load(config.Sources{
		File: "world.yaml", Offline: true,
		Hostname: func() (string, error) { return "world", nil },
		ReadFile: func(name string) ([]byte, error) {
			if text, ok := map[string]string{"world.yaml": yaml, "events.avsc": schema}[name]; ok {
				return []byte(text), nil
			}
			return nil, fs.ErrNotExist
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var _ audit.Schemas = (*avroEvents)(nil)
var _ audit.Schemas = (*avroEvents)(nil)
