package schemas

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"sessionizer/session"
)

// What a schema's users must be able to count on: what is refused, what becomes of fields that
// cannot hold a session, what a hostile event costs.

func compileAvro(t *testing.T, profile, schema string) (*Codec, *AvroProgram, error) {
	t.Helper()
	p, err := LoadProfile(profile)
	if err != nil {
		t.Fatal(err)
	}
	c := newCodec(t, Config{Profile: p, IDType: profileIDTypes[profile], Format: FormatAvro,
		Book: NewBook()})
	program, err := c.CompileAvro(schema)
	if err == nil {
		c.book.Accept(7, program, 9)
	}
	return c, program, err
}

func TestCompileAvro_RefusesWhereNothingCanBeWritten(t *testing.T) {
	for schema, want := range map[string]string{
		recordOf("E", nullableField("context", `{"type":"map","values":"string"}`)): "context: session members belong into it",
		recordOf("E", `{"name":"context","type":"string"}`):                         "it is no record",
		recordOf("E", `{"name":"context","type":["null",{"type":"map","values":"int"},`+
			recordOf("C", nullableFields(`"int"`, "x"))+`]}`): "it is no record",
	} {
		if _, _, err := compileAvro(t, "krenalis", schema); err == nil ||
			!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "a profile of your own") {
			t.Errorf("%s: %v, want one with %q", schema, err, want)
		}
	}
}

// outputField returns a field of the output, by its path through records beside null.
func outputField(t *testing.T, p *AvroProgram, path string) (text string, there bool) {
	t.Helper()
	at, err := parseAvro(p.Output(), 64)
	if err != nil {
		t.Fatal(err)
	}
	var field *avroField
	for name := range strings.SplitSeq(path, ".") {
		for _, b := range branchesOf(at) {
			if b.kind == avroRecord {
				at = b
			}
		}
		field = nil
		for i := range at.fields {
			if at.fields[i].name == name {
				field = &at.fields[i]
			}
		}
		if field == nil {
			return "", false
		}
		at = field.typ
	}
	out, err := json.Marshal(field.props["type"])
	if err != nil {
		t.Fatal(err)
	}
	return string(out), true
}

func TestAvroOutput_TypesOfFields(t *testing.T) {
	const session = "sessionizer"
	with := func(context string) string {
		return recordOf("E", `{"name":"anonymousId","type":"string"},`+
			nullableField("context", recordOf("Context", context)))
	}
	for _, c := range []struct{ profile, schema, path, want string }{
		{"rudderstack", with(`{"name":"sessionId","type":"long"}`), "context.sessionId", `["null","long"]`},
		{"rudderstack", with(`{"name":"sessionId","type":["long","null"]}`), "context.sessionId", `["long","null"]`},
		{"rudderstack", with(`{"name":"sessionId","type":["null","string"]}`), "context.sessionId", `["null","long"]`},
		{"rudderstack", with(`{"name":"x","type":"int"}`), "context.sessionStart", `["null","boolean"]`},
		{"krenalis", with(`{"name":"sessionId","type":["null","long"]}`), "context.sessionId", `["null","long"]`},
		{"krenalis", with(`{"name":"sessionId","type":"long"}`), "context.sessionId", ``},
		{"krenalis", with(nullableField("session", recordOf("Mine", `{"name":"id","type":"long"},{"name":"y","type":"int"}`))),
			"context.session.id", `["null","long"]`},
		{"krenalis", with(nullableField("session", recordOf("Mine", `{"name":"id","type":"long"},{"name":"y","type":"int"}`))),
			"context.session.y", ``},
		{"krenalis", with(`{"name":"x","type":"int"}`), "context.session.startedAt",
			`["null",{"logicalType":"timestamp-millis","type":"long"}]`},
		{"tracardi", recordOf("E", nullableFields(`"string"`, "x")), "session.id", `["null","string"]`},
		{"snowplow", recordOf("E", nullableFields(`"string"`, "x")), "domain_sessionidx", `["null","long"]`},
	} {
		_, p, err := compileAvro(t, c.profile, c.schema)
		if err != nil {
			t.Errorf("%s: %v", c.schema, err)
			continue
		}
		if got, _ := outputField(t, p, c.path); got != c.want {
			t.Errorf("%s: %s is %s, want %s", c.schema, c.path, got, c.want)
		}
		if c.profile == "krenalis" && !strings.Contains(c.schema, "Mine") &&
			!strings.Contains(p.Output(), session) {
			t.Errorf("no record of ours in %s", p.Output())
		}
	}
}

// A record that is used twice and changed once is two records.
func TestAvroOutput_TellsTypesOfOneNameApart(t *testing.T) {
	_, p, err := compileAvro(t, "krenalis", recordOf("E", nullableField("context",
		recordOf("Context", nullableFields(`"string"`, "x")))+`,{"name":"other","type":"Context"}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := outputField(t, p, "other"); !strings.Contains(got, `"Context_2"`) {
		t.Errorf("other is %s in %s", got, p.Output())
	}
}

func TestAvroScan_Frames(t *testing.T) {
	c, p, err := compileAvro(t, "krenalis", recordOf("E", `{"name":"anonymousId","type":"string"}`))
	if err != nil {
		t.Fatal(err)
	}
	c.book.Refuse(8, "it holds itself")
	for value, want := range map[string]string{
		"":                              "no Avro as Confluent frames it",
		"{}":                            "no Avro as Confluent frames it",
		"\x00\x00\x00\x00\x08\x02a":     "schema 8: it holds itself",
		"\x00\x00\x00\x00\x07\x02":      "at byte 5",
		"\x00\x00\x00\x00\x07\x02a\x00": "data behind the event at byte 7",
		"\x00\x00\x00\x00\x07\x02\xff":  "not UTF-8",
	} {
		var sc Scanned
		if bad := c.Scan([]byte(value), benchRecord, &sc); bad == nil || bad.Reason != Malformed ||
			!strings.Contains(bad.Message, want) {
			t.Errorf("%q: %v, want one with %q", value, bad, want)
		}
	}
	c.book.SetRaw(p)
	var sc Scanned
	bad := c.Scan([]byte("\x02a"), benchRecord, &sc)
	if bad != nil || string(sc.Event.AnonymousID) != "a" {
		t.Errorf("without a frame: %v", bad)
	}
}

// A debug session of Tracardi passes untouched; without a frame its schema is the output's.
func TestAvroSplice_KeepsWhatPassesUntouched(t *testing.T) {
	schema := profileSchemas()["tracardi"]
	c, p, err := compileAvro(t, "tracardi", schema)
	if err != nil {
		t.Fatal(err)
	}
	value := asAvro(t, standardCodec(t, schema), profileEvents()["tracardi"][2])
	bypass := &session.Stamp{Status: session.Bypass}
	var sc Scanned
	framed := append(appendFrame(nil, 7), value...)
	if bad := c.Scan(framed, benchRecord, &sc); bad != nil {
		t.Fatal(bad)
	}
	if got := c.AppendStamped(nil, framed, &sc, bypass); string(got) != string(framed) {
		t.Errorf("got %x, want %x", got, framed)
	}
	c.book.SetRaw(p)
	if bad := c.Scan(value, benchRecord, &sc); bad != nil {
		t.Fatal(bad)
	}
	out := standardCodec(t, p.Output())
	got := c.AppendStamped(nil, value, &sc, bypass)
	sameStamped(t, out, "tracardi", got, []byte(profileEvents()["tracardi"][2]))
}

func TestAvroAllocatesNothing(t *testing.T) {
	for profile, schema := range profileSchemas() {
		in := standardCodec(t, schema)
		for _, fields := range []string{"minimal", "full"} {
			_, c, _ := avroCodecs(t, profile, schema, fields, nil)
			id, previous := idOf(c)
			st := stampOf(id, previous, true)
			for _, event := range profileEvents()[profile] {
				value := append(appendFrame(nil, 7), asAvro(t, in, event)...)
				var sc Scanned
				var dst []byte
				if c.Scan(value, benchRecord, &sc) != nil {
					continue
				}
				n := testing.AllocsPerRun(50, func() {
					if bad := c.Scan(value, benchRecord, &sc); bad != nil {
						t.Fatal(bad)
					}
					dst = c.AppendStamped(dst[:0], value, &sc, st)
				})
				if n != 0 {
					t.Errorf("%s, %s: %v allocations for %s", profile, fields, n, event)
				}
			}
		}
	}
}

// Lengths and counts that an event claims reserve nothing, and arrays that are written into cannot
// make us remember more than a bound.
func TestAvroScan_HostileEventsCostLittle(t *testing.T) {
	schema := recordOf("E", `{"name":"domain_userid","type":"string"},{"name":"`+entityName+
		`","type":{"type":"array","items":`+recordOf("S", `{"name":"sessionIndex","type":"int"}`)+
		`}},{"name":"m","type":{"type":"map","values":"bytes"}}`)
	c, _, err := compileAvro(t, "snowplow", schema)
	if err != nil {
		t.Fatal(err)
	}
	events := map[string][]byte{"a length": appendAvroLong(nil, math.MaxInt64)}
	head := append([]byte("\x02u"), 0)
	events["a count"] = appendAvroLong([]byte("\x02u"), math.MaxInt64)
	events["a negative count"] = appendAvroLong([]byte("\x02u"), math.MinInt64)
	events["a map's count"] = appendAvroLong(head, math.MaxInt32)
	many := appendAvroLong([]byte("\x02u"), 900_000)
	many = append(many, make([]byte, 900_002)...)
	events["elements"] = many
	for name, event := range events {
		value := append(appendFrame(nil, 7), event...)
		var sc Scanned
		bad := c.Scan(value, benchRecord, &sc)
		want := Malformed
		if name == "elements" {
			want = Limit
		}
		if bad == nil || bad.Reason != want {
			t.Errorf("%s: %v", name, bad)
		}
		kept := cap(sc.avro.walker.edits)*12 + cap(sc.avro.view) + cap(sc.scratch)
		if most := 4*len(value) + 1<<20; kept > most {
			t.Errorf("%s: %d bytes are kept for an event of %d", name, kept, len(value))
		}
	}
}

// The steps of a walk grow with the bytes: every byte is looked at once, however it is nested.
func TestAvroView_IsBounded(t *testing.T) {
	schema := recordOf("E", `{"name":"anonymousId","type":"string"},`+nullableField("context",
		recordOf("C", nullableField("campaign", `{"type":"map","values":"string"}`))))
	c, _, err := compileAvro(t, "krenalis", schema)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{100, 3000, 300_000} {
		text := strings.Repeat("\x01", size)
		value := append(appendFrame(nil, 7), "\x02a\x02\x02"...)
		count := 700_000 / (size + 10)
		value = appendAvroLong(value, int64(count))
		for i := range count {
			value = appendSized(appendSized(value, fmt.Sprintf("%07d", i)), text)
		}
		value = append(value, 0)
		var sc Scanned
		if bad := c.Scan(value, benchRecord, &sc); bad != nil {
			t.Fatal(bad)
		}
		if got, most := cap(sc.avro.view)+cap(sc.scratch), 4*len(value)+1<<20; got > most {
			t.Errorf("texts of %d: %d bytes for an event of %d", size, got, len(value))
		}
		if campaign := sc.Event.Details.Campaign(); size > collectedObjectBytesMax && campaign != nil {
			t.Errorf("texts of %d are collected", size)
		}
	}
}

func TestFieldDocs_AreThoseOfTheSchema(t *testing.T) {
	text, err := os.ReadFile("session.avsc")
	if err != nil {
		t.Fatal(err)
	}
	record, err := parseAvro(string(text), 64)
	if err != nil {
		t.Fatal(err)
	}
	if len(record.fields) != int(fieldsPublic) {
		t.Errorf("%d fields, want %d", len(record.fields), fieldsPublic)
	}
	for i := range record.fields {
		f := &record.fields[i]
		if doc := f.props["doc"]; doc != fieldDocs[i] || f.name != fieldNames[i] {
			t.Errorf("%s says %q, the table %q", f.name, doc, fieldDocs[i])
		}
	}
}

// goavro does not look at the sizes of blocks, and refuses a key that is there twice.
func TestAvroScan_BlocksAndKeys(t *testing.T) {
	c, _, err := compileAvro(t, "krenalis", recordOf("E", `{"name":"anonymousId","type":"string"},`+
		`{"name":"properties","type":{"type":"map","values":["null","string"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	block := appendSized(append(appendSized(nil, "url"), 2), "u1")
	twice := appendSized(append(appendSized(nil, "url"), 2), "u2")
	null := append(appendSized(nil, "url"), 0)
	for name, one := range map[string]struct {
		count, size int64
		items       []byte
		bad         bool
		first       byte
	}{
		"its size":     {-1, int64(len(block)), block, false, '"'},
		"too short":    {-1, int64(len(block)) - 1, block, true, 0},
		"too long":     {-1, int64(len(block)) + 1, block, true, 0},
		"twice":        {2, 0, append(append([]byte{}, block...), twice...), false, '"'},
		"null at last": {2, 0, append(append([]byte{}, block...), null...), false, 'n'},
	} {
		value := appendAvroLong(append(appendFrame(nil, 7), "\x02a"...), one.count)
		if one.count < 0 {
			value = appendAvroLong(value, one.size)
		}
		value = append(append(value, one.items...), 0)
		var sc Scanned
		bad := c.Scan(value, benchRecord, &sc)
		if (bad != nil) != one.bad || bad != nil && !strings.Contains(bad.Message, "the size it says") {
			t.Errorf("%s: %v", name, bad)
		}
		if bad != nil {
			continue
		}
		url := sc.reader.slots[c.paths[pathURL][1]]
		if url.first != one.first {
			t.Errorf("%s: the url begins with %c, want %c", name, url.first, one.first)
		}
		if name == "twice" && string(sc.text(sc.avro.view, &url)) != "u2" {
			t.Errorf("the url is %q", sc.text(sc.avro.view, &url))
		}
	}
}
