package schemas

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/avro"

	"sessionizer/session"
)

// Tables and consumers are made from the schemas, and outlive the version they were made with. So a
// schema and each earlier one of testdata/avsc (a directory for each released version that changed
// one) can read what was written with the other: what a registry calls full compatibility,
// transitively. A change that breaks it gets a new record and a new topic, not a new version.

// avroFiles are the schemas of a directory, by file name.
func avroFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.avsc"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%d files in %s: %v", len(names), dir, err)
	}
	texts := map[string]string{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(name)] = string(text)
	}
	return texts
}

// incompatible says why one of two schemas cannot read what was written with the other.
func incompatible(earlier, now string) error {
	before, err := avro.Parse(earlier)
	if err != nil {
		return fmt.Errorf("the earlier schema: %w", err)
	}
	after, err := avro.Parse(now)
	if err != nil {
		return fmt.Errorf("the schema: %w", err)
	}
	if err := avro.CheckCompatibility(before, after); err != nil {
		return fmt.Errorf("records of the earlier version cannot be read: %w", err)
	}
	if err := avro.CheckCompatibility(after, before); err != nil {
		return fmt.Errorf("consumers of the earlier version cannot read: %w", err)
	}
	return nil
}

func TestSchemasAreCompatibleWithEveryEarlierVersion(t *testing.T) {
	now := avroFiles(t, ".")
	versions, err := filepath.Glob("testdata/avsc/v*")
	if err != nil || len(versions) == 0 {
		t.Fatalf("%d versions: %v", len(versions), err)
	}
	for _, version := range versions {
		for name, earlier := range avroFiles(t, version) {
			if now[name] == "" {
				t.Errorf("%s of %s is gone", name, version)
			} else if err := incompatible(earlier, now[name]); err != nil {
				t.Errorf("%s and that of %s: %v", name, version, err)
			}
		}
	}
}

// Each kind of change on one of our own schemas: those that break a reader must be refused, those
// that do not must pass, or the test above says nothing.
func TestSchemasThatAreIncompatibleAreFoundOut(t *testing.T) {
	origin := `"name": "decidedAt", "type": "long"`
	for _, c := range []struct {
		what, from, to string
		fits           bool
	}{
		{"nothing", "", "", true},
		{"another doc", `"doc": "Input topic."`, `"doc": "The input topic."`, true},
		{"a new field with a default", `{"name": "userId"`,
			`{"name": "x", "type": ["null", "long"], "default": null}, {"name": "userId"`, true},
		{"a new field without a default", `{"name": "userId"`,
			`{"name": "x", "type": "long"}, {"name": "userId"`, false},
		{"a field that had a default is gone", `{"name": "userId", "type": ["null", "string"], ` +
			`"default": null, "doc": "The last known user, by event time."},`, "", true},
		{"a field that had no default is gone", `, "doc": "Input topic."`, `X`, false},
		{"a field has another name", `"name": "activeMs"`, `"name": "active"`, false},
		{"a longer number", `"name": "partition", "type": "int"`, `"name": "partition", "type": "long"`,
			false}, // the earlier consumer has an int
		{"a shorter number", origin, `"name": "decidedAt", "type": "int"`, false},
		{"another type", origin, `"name": "decidedAt", "type": "string"`, false},
		{"a type becomes nullable", origin, `"name": "decidedAt", "type": ["null", "long"]`, false},
		{"a branch goes", `"type": ["long", "string"]`, `"type": ["long"]`, false},
		{"a branch comes", `"type": ["long", "string"]`, `"type": ["long", "string", "double"]`, false},
		{"branches in another order", `"type": ["long", "string"]`, `"type": ["string", "long"]`, true},
		{"a text becomes an enum", `"name": "reason", "type": "string"`,
			`"name": "reason", "type": {"type": "enum", "name": "Reason", "symbols": ["end"]}`, false},
		{"a record has another name", `"name": "VisitOrigin"`, `"name": "VisitPlaceOfInput"`, false},
		{"values of a map", `{"type": "map", "values": "string"}], "default": null, "doc": "First c`,
			`{"type": "map", "values": "long"}], "default": null, "doc": "First c`, false},
	} {
		if !strings.Contains(visitSchema, c.from) {
			t.Errorf("%s: the schema has no %s", c.what, c.from)
			continue
		}
		changed := strings.Replace(visitSchema, c.from, c.to, 1)
		if c.to == "X" {
			field := regexp.MustCompile(`\{"name": "topic"[^}]*\},`)
			changed = field.ReplaceAllString(visitSchema, "")
		}
		if (changed == visitSchema) != (c.from == c.to) {
			t.Errorf("%s: nothing has changed", c.what)
		}
		if err := incompatible(visitSchema, changed); (err == nil) != c.fits {
			t.Errorf("%s: %v, want fit %t", c.what, err, c.fits)
		}
	}
}

// Those who make tables of it read the docs there: every record and field has one, a number with
// its unit. What may be null is null by default.
func TestSchemasSayWhatEveryFieldIs(t *testing.T) {
	for name, text := range avroFiles(t, ".") {
		if _, err := goavro.NewCodec(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		fields := 0
		for _, fault := range undocumented(t, text, &fields) {
			t.Errorf("%s: %s", name, fault)
		}
		if fields < 10 {
			t.Errorf("%s: only %d fields were found", name, fields)
		}
	}
	for _, bad := range []string{
		`{"type":"record","name":"a","doc":"A.","fields":[{"name":"b","type":["null","string"],` +
			`"doc":"B."}]}`,
		`{"type":"record","name":"a","doc":"A.","fields":[{"name":"b","type":"long"}]}`,
		`{"type":"record","name":"a","fields":[]}`,
		`{"type":"record","name":"a","doc":"A.","fields":[{"name":"b","type":"long","doc":"B."}]}`,
		`{"type":"record","name":"a","doc":"A.","fields":[{"name":"b","doc":"B.","default":null,` +
			`"type":["null",{"type":"record","name":"c","doc":"C.","fields":[{"name":"d","type":"string"}]}]}]}`,
	} {
		if n := 0; len(undocumented(t, bad, &n)) != 1 {
			t.Errorf("what lacks in %s was not found out", bad)
		}
	}
}

// undocumented lists what has no doc, and the numbers whose doc has no unit.
func undocumented(t *testing.T, text string, fields *int) (faults []string) {
	t.Helper()
	unit := regexp.MustCompile(`(?i)millisecond|number|offset|count|id of|how many|session id|\d: `)
	var walk func(path string, schema any)
	walk = func(path string, schema any) {
		switch s := schema.(type) {
		case []any:
			for _, branch := range s {
				walk(path, branch)
			}
		case map[string]any:
			doc, _ := s["doc"].(string)
			if s["type"] == "record" && doc == "" {
				faults = append(faults, path+": a record without a doc")
			}
			members, _ := s["fields"].([]any)
			for _, m := range members {
				f, _ := m.(map[string]any)
				*fields++
				doc, _ := f["doc"].(string)
				kind := fmt.Sprint(f["type"])
				at := fmt.Sprintf("%s.%v", path, f["name"])
				switch isNumber := regexp.MustCompile(`\b(long|int)\b`).MatchString(kind) &&
					!strings.Contains(kind, "fields"); {
				case doc == "":
					faults = append(faults, at+": no doc")
				case isNumber && !unit.MatchString(doc):
					faults = append(faults, at+": a number of what? "+doc)
				}
				// The checker of compatibility takes null for granted there; registries do not.
				if _, ok := f["default"]; !ok && strings.HasPrefix(kind, "[null ") {
					faults = append(faults, at+": null is possible and not the default")
				}
				walk(at, f["type"])
			}
			walk(path, s["items"])
			walk(path, s["values"])
		}
	}
	var schema any
	if err := json.Unmarshal([]byte(text), &schema); err != nil {
		t.Fatal(err)
	}
	walk("", schema)
	return faults
}

// All fields of output.fields are in the record, in their order and with no other, with the docs
// that they have in the schemas of events.
func TestSchemaOfTheSessionHasTheFieldsOfOutputFields(t *testing.T) {
	var schema struct{ Fields []struct{ Name, Doc string } }
	if err := json.Unmarshal([]byte(sessionSchema), &schema); err != nil {
		t.Fatal(err)
	}
	var names []string
	for i, f := range schema.Fields {
		names = append(names, f.Name)
		if i < len(fieldDocs) && f.Doc != fieldDocs[i] {
			t.Errorf("%s: doc %q, in events %q", f.Name, f.Doc, fieldDocs[i])
		}
	}
	if want := fieldNames[:fieldsPublic]; !slices.Equal(names, want) {
		t.Errorf(" got %v\nwant %v", names, want)
	}
}

// A consumer that knows session.avsc reads the sessions of every profile, whatever their ids are
// and whichever fields are asked for.
func TestSchemaOfTheSessionReadsThoseInEvents(t *testing.T) {
	reader, err := avro.Parse(sessionSchema)
	if err != nil {
		t.Fatal(err)
	}
	for _, profile := range Profiles() {
		for _, ids := range []session.IDType{session.IDInt64, session.IDUUID, session.IDString} {
			for _, fields := range [][]string{{"full"}, {"timeoutMs", "late"}} {
				c := newCodec(t, Config{Profile: Profile{Name: profile}, IDType: ids, Fields: fields})
				events, err := c.CompileAvro(recordOf("Event", nullableFields(`"string"`, "anonymousId",
					"domain_userid")+","+nullableField("profile", recordOf("Profile",
					nullableFields(`"string"`, "id")))))
				if err != nil {
					t.Fatalf("%s: %v", profile, err)
				}
				writer, err := avro.Parse(sessionRecord(t, events.Output()))
				if err == nil {
					err = avro.CheckCompatibility(writer, reader)
				}
				if err != nil {
					t.Errorf("%s, ids %d, %v: %v in\n%s", profile, ids, fields, err, events.Output())
				}
			}
		}
	}
}

// sessionRecord is the record in a schema of events that has fields of a session, by its usual
// name.
func sessionRecord(t *testing.T, schema string) string {
	t.Helper()
	var found map[string]any
	var walk func(any)
	walk = func(x any) {
		switch x := x.(type) {
		case []any:
			for _, y := range x {
				walk(y)
			}
		case map[string]any:
			fields, _ := x["fields"].([]any)
			for _, f := range fields {
				if m, ok := f.(map[string]any); ok && m["name"] == "timeoutMs" {
					found = x
				}
			}
			for _, y := range x {
				walk(y)
			}
		}
	}
	var parsed any
	if err := json.Unmarshal([]byte(schema), &parsed); err != nil {
		t.Fatal(err)
	}
	walk(parsed)
	if found == nil {
		t.Fatalf("no record has timeoutMs: %s", schema)
	}
	found["name"], found["namespace"] = "Session", "sessionizer"
	text, err := json.Marshal(found)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
