package main

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sessionizer/schemas"
)

// A schema that lets everything pass says nothing. Each record here is valid, and no longer so when
// a member is missing, when one is added anywhere, or when one is of another type.

func TestRecords_ThatAreBrokenAreRefusedByTheirJSONSchemas(t *testing.T) {
	const uuid = "0193ca01-50bb-7b17-acea-34706793f387"
	const visit = `"anonymousId":"a","userId":"u","source":"s","session":{"id":5,"uuid":"` + uuid +
		`","index":2,"previousId":"x"},"startedAt":"2026-01-01T00:00:00.000Z",` +
		`"endedAt":"2026-01-01T00:00:00.000Z","timeoutMs":5,"counts":{"events":0,"pages":0,` +
		`"screens":0,"tracks":0,"late":0,"duplicates":0,"attached":0},"entry":{"url":"u"},` +
		`"origin":{"topic":"e","partition":0,"firstOffset":0,"lastOffset":0,"decidedAt":1},` +
		`"durationMs":0,"activeMs":0,`
	all := jsonSchemas(t)
	for _, c := range []struct {
		name, record string
		optional     string // paths of members that may be missing
	}{
		{"visit-ended", `{"type":"track","event":"Visit Ended","messageId":"` + uuid + `-2",` + visit +
			`"reason":"merged","revision":2,"mergedInto":7}`,
			".userId .source .session.previousId .entry"},
		{"visit-ended", `{"type":"visit-ended","event":"Visit Ended","messageId":"` + uuid + `-1",` +
			strings.Replace(visit, `"events":0`, `"events":3`, 1) + `"reason":"end","revision":1,` +
			`"amendableUntil":"2026-01-01T00:00:00.000Z",` +
			`"profile":{"id":"a","metadata":{"time":{"visit":{"count":2}}}}}`,
			".userId .source .session.previousId .entry"},
		{"visit-started", `{"type":"track","event":"Visit Started","messageId":"` + uuid + `-0",` +
			visit + `"reason":"first","revision":0}`, ".userId .source .session.previousId .entry"},
		{"dead-letter", `{"file":"a","line":1,"reason":"limit","message":"m","original":"o"}`, ".file"},
		{"dead-letter", `{"topic":"e","partition":0,"offset":3,"timestamp":` +
			`"2026-01-01T00:00:00.000Z","reason":"no_key","message":"m","key":"k","attempts":1,` +
			`"redriven":true,"headers":[{"key":"h","value":"v"}],"deadLetter":{"topic":"d",` +
			`"partition":0,"offset":1},"originalBase64":"/w=="}`,
			".key .headers .attempts .redriven"},
		{"session", `{"start":true,"reason":"first","index":1,"late":true}`,
			".start .reason .index .late"},
	} {
		whole := parseJSON(t, []byte(c.record))
		if err := all[c.name].schema.Validate(whole); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		tried := 0
		for what, broken := range brokenOnes(t, c.record, strings.Fields(c.optional)) {
			if all[c.name].schema.Validate(broken) == nil {
				t.Errorf("%s with %s is taken: %v", c.name, what, broken)
			}
			tried++
		}
		if tried < 6 {
			t.Errorf("%s: only %d broken ones", c.name, tried)
		}
	}
}

// brokenOnes are copies of a record with one thing wrong, by what that is.
func brokenOnes(t *testing.T, record string, optional []string) map[string]any {
	t.Helper()
	all := map[string]any{}
	var walk func(path string, at func(root any) map[string]any)
	walk = func(path string, at func(root any) map[string]any) {
		change := func(what string, with func(object map[string]any)) {
			root := parseJSON(t, []byte(record))
			with(at(root))
			all[what+" "+path] = root
		}
		change("one more member in", func(o map[string]any) { o["more"] = "x" })
		object := at(parseJSON(t, []byte(record)))
		for _, name := range slices.Sorted(maps.Keys(object)) {
			place := path + "." + name
			if !slices.Contains(optional, place) {
				change("no "+name+" in", func(o map[string]any) { delete(o, name) })
			}
			change(name+" of another type in", func(o map[string]any) { o[name] = []any{} })
			switch object[name].(type) {
			case map[string]any:
				walk(place, func(root any) map[string]any {
					m, _ := at(root)[name].(map[string]any)
					return m
				})
			case []any:
				delete(all, name+" of another type in "+path)
				change(name+" of something else in", func(o map[string]any) { o[name] = []any{1} })
			case string:
				change("an empty "+name+" in", func(o map[string]any) { o[name] = "" })
				if slices.Contains([]string{"original", "originalBase64", "value", "key"}, name) {
					delete(all, "an empty "+name+" in "+path)
				}
			default:
				change("half of "+name+" in", func(o map[string]any) { o[name] = json.Number("0.5") })
			}
		}
	}
	walk("", func(root any) map[string]any {
		m, _ := root.(map[string]any)
		return m
	})
	return all
}

func TestRecords_DeadLettersAreWhatTheirJSONSchemaSays(t *testing.T) {
	s := jsonSchemas(t)["dead-letter"]
	t.Chdir(t.TempDir())
	const time = `"timestamp":"2026-01-01T00:00:00Z"`
	lines := strings.Join([]string{
		"{", "\xff{}", `{"anonymousId":"",` + time + `}`, `{"anonymousId":"a"}`,
		`{"anonymousId":"a","context":7,` + time + `}`,
		`{"anonymousId":"a","context":{"sessionId":"x"},` + time + `}`,
		`{"anonymousId":"` + strings.Repeat("a", 2000) + `"` + strings.Repeat(" ", 9000) + `}`,
		`{"anonymousId":"a","timestamp":"2026-02-01T00:00:00Z"}`, `{"anonymousId":"b",` + time + `}`,
	}, "\n")
	r := sessionizer(t, lines, "stamp", "--dead-letters", "dead", "--set", "limits.record=8KiB",
		"--set", "session.on_invalid=dead_letter", "--set", "time.too_late=dead_letter",
		"--set", "time.sources=timestamp")
	if r.code != exitFine {
		t.Fatal(r.stderr)
	}
	for line := range fields(read(t, ".", "dead")) {
		s.validate(t, line, parseJSON(t, []byte(line)))
	}
	inAvro := shopEvents(rand.New(rand.NewPCG(1, 1)), 3)
	inAvro[1]["anonymousId"] = "null"
	write(t, ".", "events.avro", asContainer(t, eventSchema, "null", inAvro))
	r = sessionizer(t, "", "stamp", "--dead-letters", "avro.dead", "events.avro")
	line := strings.TrimSuffix(read(t, ".", "avro.dead"), "\n")
	if !strings.Contains(line, `"line":2,"reason":"no_key"`) || r.code != exitFine {
		t.Fatalf("%s, %s", line, r.stderr)
	}
	s.validate(t, line, parseJSON(t, []byte(line)))
	c := newDLQCluster(t)
	c.redrive("--yes", "--reason", "no_key")
	shown := c.sessionizer(exitFine, "dlq", "show", "--json")
	for line := range fields(shown.stdout) {
		s.validate(t, line, parseJSON(t, []byte(line)))
	}
	// What did not fit, and what was sent back twice, the tests of dlq make.
	if got := s.unseen(); !slices.Equal(got, []string{".attempts", ".cut"}) {
		t.Errorf("no dead letter has %v", got)
	}
	if s.valid < 10 {
		t.Errorf("only %d dead letters", s.valid)
	}
}

// In Avro and in JSON Schema the members have the same names, but for what only one of them has.
func TestRecords_HaveTheSameMembersInBothSchemas(t *testing.T) {
	for _, text := range schemas.Texts() {
		inAvro, inJSON := avroMembers(t, text.Avro), jsonSchemas(t)[text.Name].schema.Properties
		for name := range inJSON {
			base := strings.TrimSuffix(name, "Base64") // bytes in Avro
			if !inAvro[base] && name != "profile" {
				t.Errorf("%s: Avro has no %s", text.Name, name)
			}
		}
		for name := range inAvro {
			ended := []string{"mergedInto", "amendableUntil", "firstUserId"}
			if inJSON[name] == nil && (text.Name != "visit-started" || !slices.Contains(ended, name)) {
				t.Errorf("%s: JSON has no %s", text.Name, name)
			}
		}
	}
}

func avroMembers(t *testing.T, schema string) map[string]bool {
	t.Helper()
	var record avroRecord
	if err := json.Unmarshal([]byte(schema), &record); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range record.Fields {
		names[f.Name] = true
	}
	return names
}
