package schemas

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sessionizer/session"
)

// A record that the session belongs into may be null, its array may be empty, and its other fields
// may have neither null nor a default. JSON knows of no such thing, so it must not matter in Avro.

// besideCase is a schema with such fields, and events with and without the record.
type besideCase struct {
	profile Profile
	idType  session.IDType
	schema  string
	events  []string
}

func besideCases(t *testing.T) map[string]besideCase {
	t.Helper()
	profile := func(name string) Profile {
		p, err := LoadProfile(name)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	entity := strings.Join([]string{
		`{"name":"userId","type":"string"}`, `{"name":"sessionId","type":"string"}`,
		`{"name":"os","type":"string"}`, `{"name":"n","type":["int","string"]}`,
		`{"name":"storageMechanism","type":{"type":"enum","name":"Storage","symbols":["SQLITE","LOCAL_STORAGE"]}}`,
	}, ",")
	own := elementProfile()
	own.Write = append(own.Write, Write{Path: "e.0.key", Copy: PathList{"e.0.other", "b"}})
	return map[string]besideCase{
		"krenalis": {profile("krenalis"), session.IDInt64, besideSchema, []string{
			`{"anonymousId":"a","context":{"l":"x","u":3,"d":4,"page":{"url":"https://x/","at":5},"later":{"l":"q","k":"A"}},"other":{"l":"y","k":"B"},` +
				`"twin":{"l":"z","u":"v","d":6,"page":{"url":"","at":1},"later":{"l":"","k":"B"}}}`,
			`{"anonymousId":"a","context":null,"other":{"l":"y","k":"A"}}`,
			`{"anonymousId":"a","context":{"l":"","u":"t","d":4,"page":{"url":"","at":0},"later":{"l":"","k":"B"}},"other":{"l":"","k":"A"}}`,
		}},
		"snowplow": {profile("snowplow"), session.IDUUID, recordOf("Enriched",
			nullableFields(`"string"`, "domain_userid", "derived_tstamp")+","+
				nullableField(entityName, `{"type":"array","items":`+recordOf("Entity", entity)+`}`)),
			[]string{
				`{"domain_userid":"u","` + entityName + `":null}`,
				`{"domain_userid":"u","` + entityName + `":[]}`,
				`{"` + entityName + `":[{"userId":"U","sessionId":"` + uuidA + `","os":"iOS","n":1,"storageMechanism":"SQLITE"}]}`,
				`{"` + entityName + `":[{"userId":"U","sessionId":"` + uuidA + `","os":"iOS","n":"one","storageMechanism":"SQLITE"},` +
					`{"userId":"V","sessionId":"","os":"","n":"2","storageMechanism":"LOCAL_STORAGE"},` +
					`{"userId":"","sessionId":"W","os":"x","n":2,"storageMechanism":"SQLITE"}]}`,
			}},
		"an element": {own, session.IDString, recordOf("E", `{"name":"a","type":"string"},`+
			nullableFields(`"string"`, "b")+`,{"name":"e","type":{"type":"array","items":`+
			recordOf("El", `{"name":"user","type":"string"},{"name":"key","type":"string"},{"name":"other","type":["string","int"]},`+
				`{"name":"at","type":"double"}`)+`}}`),
			[]string{
				`{"a":"k","b":"c","e":[]}`,
				`{"a":"k","e":[]}`,
				`{"a":"k","e":[{"user":"u","key":"z","other":"o","at":1.5}]}`,
				`{"a":"k","e":[{"user":"u","key":"","other":"p","at":1.5},{"user":"v","key":"w","other":3,"at":2.5}]}`,
			}},
	}
}

// besideSchema has in its context what must become nullable, and what must not.
var besideSchema = recordOf("E", `{"name":"anonymousId","type":"string"},`+
	nullableField("context", recordOf("Context", strings.Join([]string{
		`{"name":"l","type":"string","doc":"<l>"}`, `{"name":"u","type":["int","string"]}`,
		`{"name":"d","type":"long","default":5}`,
		`{"name":"page","type":` + recordOf("Page", `{"name":"url","type":"string"},{"name":"at","type":"double"}`) + `}`,
		`{"name":"later","type":` + recordOf("Part", `{"name":"l","type":"string"},{"name":"k","type":{"type":"enum","name":"K","symbols":["A","B"]}}`) + `}`,
	}, ",")))+`,{"name":"other","type":"Part"},{"name":"twin","type":["null","Context"],"default":null}`)

// What JSON gets, Avro gets; the output is read again as what it is, and has its own schema.
func TestAvroBeside_IsThatOfJSON(t *testing.T) {
	for name, c := range besideCases(t) {
		config := Config{Profile: c.profile, IDType: c.idType, Fields: []string{"full"}}
		asJSON := newCodec(t, config)
		config.Format, config.Book = FormatAvro, NewBook()
		codec := newCodec(t, config)
		program, err := codec.CompileAvro(c.schema)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		again, err := codec.CompileAvro(program.Output())
		if err != nil || again.Output() != program.Output() {
			t.Fatalf("%s: no fixed point: %v\n%s\n%s", name, err, program.Output(), again.Output())
		}
		config.Book.Accept(7, program, 9)
		config.Book.Accept(9, again, 9)
		out, err := parseAvro(program.Output(), 64)
		if err != nil {
			t.Fatal(err)
		}
		in := standardCodec(t, c.schema)
		id, previous := idOf(asJSON)
		for _, event := range c.events {
			value := append(appendFrame(nil, 7), asAvro(t, in, event)...)
			var j, a, o Scanned
			jBad, aBad := asJSON.Scan([]byte(event), benchRecord, &j), codec.Scan(value, benchRecord, &a)
			if jBad != nil || aBad != nil {
				t.Fatalf("%s: %s: as JSON %v, as Avro %v", name, event, jBad, aBad)
			}
			for _, st := range []*session.Stamp{stampOf(id, previous, true), {Status: session.NoSession}} {
				want := asJSON.AppendStamped(nil, []byte(event), &j, st)
				if name == "krenalis" && st.Status == session.InSession {
					want = bytes.Replace(want, []byte(`"context":{"session"`),
						[]byte(`"context":{"d":5,"session"`), 1) // the default
				}
				got := codec.AppendStamped(nil, value, &a, st)
				native := plainOf(out, nativeOf(t, program.Output(), got[frameBytes:]))
				x := jsonText(t, withoutNulls(withoutRecordNulls(native)))
				y := jsonText(t, withoutNulls(withoutRecordNulls(decoded(t, want))))
				if string(x) != string(y) {
					t.Errorf("%s: %s\nAvro %s\nJSON %s", name, event, x, y)
				}
				if bad := codec.Scan(got, benchRecord, &o); bad != nil {
					t.Fatalf("%s: %s: an output is refused: %v", name, event, bad)
				}
				if second := codec.AppendStamped(nil, got, &o, st); !bytes.Equal(second, got) {
					t.Errorf("%s: %s\n%x\nspliced again\n%x", name, event, got, second)
				}
			}
		}
	}
}

func TestAvroBeside_TypesOfFields(t *testing.T) {
	_, p, err := compileAvro(t, "krenalis", besideSchema)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"anonymousId":  `"string"`,
		"context.l":    `["string","null"]`,
		"context.u":    `["int","string","null"]`,
		"context.d":    `"long"`,
		"context.page": `[{"fields":[{"name":"url","type":"string"},{"name":"at","type":"double"}],"name":"Page","type":"record"},"null"]`,
		"other":        `"Part"`,
	} {
		if got, _ := outputField(t, p, path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	// The context is a type of its own now: who has the one of before has it unchanged.
	if got, _ := outputField(t, p, "twin.l"); got != `"string"` {
		t.Errorf("twin.l is %s, want what it was", got)
	}
	// A record that is always there is never made: nothing changes in it.
	_, p, err = compileAvro(t, "krenalis", recordOf("E", `{"name":"context","type":`+
		recordOf("Context", `{"name":"l","type":"string"}`)+`}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := outputField(t, p, "context.l"); got != `"string"` {
		t.Errorf("context.l is %s though context is always there", got)
	}
	// What a field says of its type goes into the union with it, and what else it says stays.
	_, p, err = compileAvro(t, "krenalis", recordOf("E", nullableField("context", recordOf("Context",
		`{"name":"at","doc":"<at>","type":"long","logicalType":"timestamp-millis"}`))))
	if want := `{"name":"at","type":[{"type":"long","logicalType":"timestamp-millis"},"null"],` +
		`"doc":"<at>"}`; err != nil || !strings.Contains(p.Output(), want) {
		t.Errorf("%v, no %s in %s", err, want, p.Output())
	}
}

// A reader has the branch of T where it had T: one byte in front, and a union's bytes as they were.
func TestAvroBeside_Bytes(t *testing.T) {
	c, _, err := compileAvro(t, "krenalis", recordOf("E", `{"name":"anonymousId","type":"string"},`+
		nullableField("context", recordOf("Context", `{"name":"l","type":"string"},`+
			`{"name":"u","type":["int","string"]},{"name":"d","type":"long","default":5}`))))
	if err != nil {
		t.Fatal(err)
	}
	id, previous := idOf(c)
	for event, want := range map[string]string{
		"\x02a\x02\x02x\x00\x06\x08":  "\x02a\x02\x00\x02x\x00\x06\x08",
		"\x02a\x02\x02x\x02\x02y\x08": "\x02a\x02\x00\x02x\x02\x02y\x08",
		"\x02a\x00":                   "\x02a\x02\x02\x04\x0a",
	} {
		value := append(appendFrame(nil, 7), event...)
		var sc Scanned
		if bad := c.Scan(value, benchRecord, &sc); bad != nil {
			t.Fatalf("%q: %v", event, bad)
		}
		got := c.AppendStamped(nil, value, &sc, stampOf(id, previous, true))
		if !strings.HasPrefix(string(got[frameBytes:]), want+"\x02") { // behind it the session
			t.Errorf("%q: got %q, want %q and the session", event, got[frameBytes:], want)
		}
		got = c.AppendStamped(nil, value, &sc, &session.Stamp{Status: session.NoSession})
		if isNull := strings.HasSuffix(event, "a\x00"); isNull && string(got[frameBytes:]) != event {
			t.Errorf("without a session %q became %q", event, got[frameBytes:])
		}
	}
}

// What stands in the place of a record and is none cannot be helped, in JSON and in Avro.
func TestAvroBeside_ScalarInThePlaceOfARecord(t *testing.T) {
	c, _, err := compileAvro(t, "krenalis", recordOf("E", `{"name":"anonymousId","type":"string"},`+
		`{"name":"context","type":["null",`+recordOf("Context", `{"name":"l","type":"string"}`)+`,"string"]}`))
	if err != nil {
		t.Fatal(err)
	}
	var sc Scanned
	bad := c.Scan(append(appendFrame(nil, 7), "\x02a\x04\x02x"...), benchRecord, &sc)
	if bad == nil || bad.Reason != BadContext {
		t.Errorf("a text for a context: %v", bad)
	}
	if bad := c.Scan(append(appendFrame(nil, 7), "\x02a\x00"...), benchRecord, &sc); bad != nil {
		t.Errorf("null for a context: %v", bad)
	}
}

// checkBeside compares the fields that are not ours with those of the output: they are the same, or
// have null as one more branch where the record around them may be absent.
func (ra *randomAvro) checkBeside(t *testing.T, in, out *avroType, id int, optional bool) {
	t.Helper()
	places := ra.avro.trie
	switch in.kind {
	case avroArray:
		ra.checkBeside(t, in.items, out.items, ra.g.kid(id, "0"), true)
	case avroUnion:
		for i, b := range in.branches {
			ra.checkBeside(t, b, out.branches[i], id, optional || in.nullBranch() >= 0)
		}
	case avroRecord:
		for i := range in.fields {
			f, kid := &in.fields[i], ra.g.kid(id, in.fields[i].name)
			at := slices.IndexFunc(out.fields, func(o avroField) bool { return o.name == f.name })
			isInner := kid >= 0 && places[kid].inner
			switch {
			case kid >= 0 && places[kid].owned || isInner && isOnlyNull(f.typ):
			case at < 0:
				t.Fatalf("%s\n%s is gone in\n%s", ra.schema, f.name, ra.program.Output())
			case isInner:
				ra.checkBeside(t, f.typ, out.fields[at].typ, kid, optional)
			default:
				if why := unlike(f, out.fields[at].typ, optional); why != "" {
					t.Fatalf("%s\n%s %s in\n%s", ra.schema, f.name, why, ra.program.Output())
				}
			}
		}
	}
}

// unlike says what is wrong with the type of a field in the output.
func unlike(f *avroField, out *avroType, optional bool) string {
	r := avroRenderer{}
	if r.same(f.typ, out) {
		return ""
	}
	branches := branchesOf(f.typ)
	null, hasNull := nullIndex(f.typ)
	_, hasDefault := f.props["default"]
	switch {
	case !optional || hasNull || hasDefault:
		return fmt.Sprintf("changed without need (null %x, default %t)", null, hasDefault)
	case out.kind != avroUnion || len(out.branches) != len(branches)+1 ||
		!slices.EqualFunc(branches, out.branches[:len(branches)], r.same):
		return "has other branches"
	case out.branches[len(branches)].kind != avroNull:
		return "has no null at last"
	}
	return ""
}
