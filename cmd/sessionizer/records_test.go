package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/internal/avrojson"
	"sessionizer/internal/config"
	"sessionizer/schemas"
	"sessionizer/session"
)

// What the program writes is what its schemas say, and they say no more than it writes: here on the
// events of all conformance cases.

// caseRecord is what came of an event or of time that passed.
type caseRecord struct {
	kind   string // outputRecords, visitRecords, deadRecords
	value  []byte
	status session.Status // of the event
}

// caseRecords runs a case with a codec of its own.
func caseRecords(t *testing.T, c *testCase, change func(*schemas.Config)) (all []caseRecord) {
	t.Helper()
	of, err := c.cfg.CodecConfig()
	if err != nil {
		t.Fatal(err)
	}
	change(&of)
	codec, err := schemas.NewCodec(of)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := c.cfg.SessionRules()
	if err != nil {
		t.Fatal(err)
	}
	r := &caseRun{c: c, rules: ruleNames(c.cfg)}
	r.engine, err = newOfflineOf(rules, codec, c.cfg,
		offlineOptions{topic: c.cfg.Input.Topics[0], memory: true, endures: true})
	if err != nil {
		t.Fatal(err)
	}
	r.engine.take = func(record *kgo.Record) error {
		made := caseRecord{record.Topic, bytes.Clone(record.Value), session.Bypass}
		if _, out := r.engine.task.Last(); out != nil {
			made.status = out.Stamp.Status
		}
		all = append(all, made)
		if record.Topic == visitRecords {
			return nil // take wants JSON
		}
		return r.take(record)
	}
	for i := range c.steps {
		if err := r.step(&c.steps[i], int64(i)); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
	}
	if err := r.engine.finish(); err != nil {
		t.Fatal(err)
	}
	if err := r.engine.close(); err != nil {
		t.Fatal(err)
	}
	return all
}

// conformanceCases are all of them.
func conformanceCases(t *testing.T) (all []*testCase) {
	t.Helper()
	for _, name := range conformanceNames(t) {
		file, faults := readCases(name, (&app{}).loadCase)
		if len(faults) > 0 {
			t.Fatal(strings.Join(faults, "\n"))
		}
		all = append(all, file.cases...)
	}
	return all
}

func TestRecords_VisitsAreTheSameInAvroAndJSON(t *testing.T) {
	forms, err := avrojson.New(schemas.VisitSchema(), "profile") // that of tracardi
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, c := range conformanceCases(t) {
		asJSON := visitsOf(caseRecords(t, c, func(*schemas.Config) {}))
		asAvro := visitsOf(caseRecords(t, c, func(of *schemas.Config) {
			of.VisitsFormat = schemas.FormatAvro
		}))
		if len(asJSON) != len(asAvro) {
			t.Fatalf("%s: %d visits in JSON, %d in Avro", c.name, len(asJSON), len(asAvro))
		}
		for i := range asJSON {
			if err := forms.Compare(asAvro[i], asJSON[i]); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			compared++
		}
	}
	if compared < 150 {
		t.Errorf("only %d visits were compared", compared)
	}
	t.Logf("%d visits", compared)
}

func visitsOf(records []caseRecord) (visits [][]byte) {
	for _, r := range records {
		if r.kind == visitRecords {
			visits = append(visits, r.value)
		}
	}
	return visits
}

// jsonSchema is a schema with what it has seen.
type jsonSchema struct {
	schema *jsonschema.Schema
	seen   map[string]bool // paths of members of what was valid
	valid  int
}

func jsonSchemas(t *testing.T) map[string]*jsonSchema {
	t.Helper()
	all := map[string]*jsonSchema{}
	for _, text := range schemas.Texts() {
		parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(text.JSON))
		if err != nil {
			t.Fatalf("%s: %v", text.Name, err)
		}
		compiler := jsonschema.NewCompiler()
		compiler.AssertFormat()
		compiler.AssertContent()
		if err := compiler.AddResource(text.Name, parsed); err != nil {
			t.Fatal(err)
		}
		schema, err := compiler.Compile(text.Name)
		if err != nil {
			t.Fatal(err)
		}
		all[text.Name] = &jsonSchema{schema: schema, seen: map[string]bool{}}
	}
	return all
}

// validate checks a record and notes its members.
func (s *jsonSchema) validate(t *testing.T, what string, record any) {
	t.Helper()
	if err := s.schema.Validate(record); err != nil {
		t.Fatalf("%s: %v\n%v", what, err, record)
	}
	s.valid++
	s.note("", record)
}

func (s *jsonSchema) note(path string, value any) {
	s.seen[path] = true
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			s.note(path+"."+name, member)
		}
	case []any:
		for _, element := range v {
			s.note(path, element)
		}
	case string:
		s.seen[path+"="+v] = true
	}
}

// unseen lists the members and the texts that the schema names and that nothing had.
func (s *jsonSchema) unseen() (missing []string) {
	var walk func(path string, schema *jsonschema.Schema)
	walk = func(path string, schema *jsonschema.Schema) {
		if schema.Ref != nil {
			schema = schema.Ref
		}
		for name, member := range schema.Properties {
			at := path + "." + name
			if !s.seen[at] {
				missing = append(missing, at)
				continue
			}
			if member.Enum != nil {
				for _, value := range member.Enum.Values {
					if one := fmt.Sprint(at, "=", value); !s.seen[one] {
						missing = append(missing, one)
					}
				}
			}
			walk(at, member)
		}
		if items, ok := schema.Items2020, schema.Items2020 != nil; ok {
			walk(path, items)
		}
	}
	walk("", s.schema)
	slices.Sort(missing)
	return missing
}

func TestRecords_AreWhatTheirJSONSchemasSay(t *testing.T) {
	all := jsonSchemas(t)
	for _, c := range conformanceCases(t) {
		for _, fields := range [][]string{{"minimal"}, {"standard"}, {"full"}, {"uuid", "late"}} {
			for i, r := range caseRecords(t, c, func(of *schemas.Config) { of.Fields = fields }) {
				what := fmt.Sprintf("%s, %v, record %d", c.name, fields, i)
				switch r.kind {
				case visitRecords:
					all[visitName(r.value)].validate(t, what, parseJSON(t, r.value))
				case outputRecords:
					if s := sessionIn(t, all["session"], c.cfg, r); s != nil {
						all["session"].validate(t, what, s)
					}
				}
			}
		}
	}
	for _, r := range recordsOfAllKinds(t) {
		if r.kind == visitRecords {
			all[visitName(r.value)].validate(t, string(r.value), parseJSON(t, r.value))
		} else {
			event, _ := parseJSON(t, r.value).(map[string]any)
			context, _ := event["context"].(map[string]any)
			all["session"].validate(t, string(r.value), context["session"])
		}
	}
	for _, name := range []string{"session", "visit-started", "visit-ended"} {
		if s := all[name]; s.valid < 50 || len(s.unseen()) > 0 {
			t.Errorf("%s: %d records were valid; none had %v", name, s.valid, s.unseen())
		}
	}
}

func visitName(visit []byte) string {
	if bytes.Contains(visit, []byte(`"revision":0`)) {
		return "visit-started"
	}
	return "visit-ended"
}

// recordsOfAllKinds have what no conformance case has: all that is collected, and every reason.
func recordsOfAllKinds(t *testing.T) (all []caseRecord) {
	t.Helper()
	dir := t.TempDir()
	config := write(t, dir, "sessionizer.yaml", `
paths: {source: writeKey}
output: {fields: full}
visits: {started: true}
session: {splits: [client_start, user_change, campaign], max_duration: 1h, max_events: 3,
  midnight: UTC, retained: 2}
rules: [{when: {event: Bye}, end: true}]
`)
	r := sessionizer(t, eventsOfAllKinds(), "stamp", "--config", config,
		"--visits", filepath.Join(dir, "visits"))
	if r.code != exitFine {
		t.Fatal(r.stderr)
	}
	for line := range fields(r.stdout) {
		all = append(all, caseRecord{kind: outputRecords, value: []byte(line)})
	}
	for line := range fields(read(t, dir, "visits")) {
		all = append(all, caseRecord{kind: visitRecords, value: []byte(line)})
	}
	return all
}

// eventsOfAllKinds are events of several users, in the order of their times: what is to be evicted
// must not be due, and nothing be too late.
func eventsOfAllKinds() string {
	const page, click = `"type":"page"`, `"type":"track","event":"Click"`
	var lines strings.Builder
	for _, e := range []struct{ who, time, event string }{
		{"evicted", "00:00:00", click + `,"context":{"sessionId":1}`},
		{"evicted", "00:00:01", click + `,"context":{"sessionId":2}`},
		{"evicted", "00:00:02", click + `,"context":{"sessionId":3}`},
		{"collected", "00:00:00", `"userId":"u1",` + page + `,"context":{"page":{"url":` +
			`"https://x.io/?utm_source=s&gclid=1","referrer":"https://y.io/"},"locale":"de"}`},
		{"screen", "00:00:00", `"type":"screen","name":"Home"`},
		{"foreground", "00:00:00", `"type":"track","event":"Application Opened"`},
		{"background", "00:00:00", `"type":"track","event":"Application Backgrounded"`},
		{"first user", "00:00:00", `"userId":"u1",` + click + `,"context":{"sessionId":9}`},
		{"first user", "00:00:01", `"userId":"u2",` + click + `,"context":{"sessionId":9}`},
		{"user_change", "00:00:00", `"userId":"u1",` + click},
		{"user_change", "00:00:01", `"userId":"u2",` + click},
		{"client_start", "00:00:00", click},
		{"client_start", "00:00:01", click + `,"context":{"sessionStart":true}`},
		{"campaign", "00:00:00", page + `,"context":{"campaign":{"source":"a"}}`},
		{"campaign", "00:00:01", page + `,"context":{"campaign":{"source":"b"}}`},
		{"max_duration", "00:00:00", click}, {"max_duration", "00:29:00", click},
		{"max_duration", "00:58:00", click}, {"max_duration", "01:10:00", click},
		{"max_events", "00:00:00", click}, {"max_events", "00:00:01", click},
		{"max_events", "00:00:02", click}, {"max_events", "00:00:03", click},
		{"end", "00:00:00", `"type":"track","event":"Bye"`},
		{"midnight", "23:50:00", click}, {"midnight", "24:05:00", click},
	} {
		day := "2026-01-01"
		if e.time >= "24" {
			day, e.time = "2026-01-02", "00"+e.time[2:]
		}
		fmt.Fprintf(&lines, `{"anonymousId":%q,"writeKey":"app","timestamp":"%sT%sZ",%s}`+"\n",
			e.who, day, e.time, e.event)
	}
	return lines.String()
}

func parseJSON(t *testing.T, text []byte) any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return value
}

// sessionIn is the session that was put into an event; nil: none.
func sessionIn(t *testing.T, of *jsonSchema, cfg *config.Config, r caseRecord) any {
	t.Helper()
	switch r.status {
	case session.InSession, session.TooLate, session.Unattached:
	default:
		return nil // what is there is the client's
	}
	event, _ := parseJSON(t, r.value).(map[string]any)
	switch cfg.Profile {
	case "tracardi": // has members of its own beside ours
		object, _ := event["session"].(map[string]any)
		ours := map[string]any{}
		for name, value := range object {
			if of.schema.Properties[name] != nil {
				ours[name] = value
			}
		}
		if len(ours) == 0 {
			return nil
		}
		return ours
	case "snowplow":
		entities, _ := event["contexts_sessionizer_session_1"].([]any)
		if len(entities) == 0 {
			return nil
		}
		return entities[0]
	}
	context, _ := event["context"].(map[string]any)
	return context["session"]
}
