package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"
)

// Real events, which are no part of the repository, get the same visits as lines of JSON and in a
// container.

// sameVisits stamps both forms and returns the visits.
func sameVisits(t *testing.T, lines, container string, flags ...string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	flags = append([]string{"stamp", "--visits", "visits", "--json", "--strict"}, flags...)
	want := sessionizer(t, lines, flags...)
	wantVisits := read(t, ".", "visits")
	got := sessionizer(t, container, flags...)
	if want.code != exitFine || got.code != exitFine || got.stderr != want.stderr {
		t.Fatalf("lines: %d, %s\ncontainer: %d, %s", want.code, want.stderr, got.code, got.stderr)
	}
	if visits := read(t, ".", "visits"); visits != wantVisits {
		t.Errorf("the visits differ:\n%.2000s\nwant\n%.2000s", visits, wantVisits)
	}
	return wantVisits
}

func TestStampAvro_SnowplowsEvents(t *testing.T) {
	const entity = "contexts_com_snowplowanalytics_snowplow_client_session_1"
	var lines strings.Builder
	var events []map[string]any
	columns := map[string]bool{}
	for _, e := range snowplowEvents(t) {
		lines.Write(append(slices.Clone(e.value), '\n'))
		var event map[string]any
		if err := json.Unmarshal(e.value, &event); err != nil {
			t.Fatal(err)
		}
		for name, value := range event {
			if text, ok := value.(string); ok {
				event[name] = goavro.Union("string", text)
			}
			columns[name] = true
		}
		of := event[entity].([]any)[0].(map[string]any)
		if text, ok := of["previousSessionId"].(string); ok {
			of["previousSessionId"] = goavro.Union("string", text)
		}
		events = append(events, event)
	}
	var fields []string
	for name := range columns {
		if name != entity {
			fields = append(fields, `{"name":"`+name+`","type":["null","string"],"default":null}`)
		}
	}
	slices.Sort(fields)
	schema := `{"type":"record","name":"enriched","fields":[` + strings.Join(fields, ",") +
		`,{"name":"` + entity + `","type":{"type":"array","items":{"type":"record",` +
		`"name":"client_session","fields":[{"name":"userId","type":"string"},` +
		`{"name":"sessionId","type":"string"},{"name":"sessionIndex","type":"int"},` +
		`{"name":"eventIndex","type":"int"},{"name":"previousSessionId","type":["null","string"]},` +
		`{"name":"firstEventId","type":"string"},{"name":"firstEventTimestamp","type":"string"},` +
		`{"name":"storageMechanism","type":"string"}]}}}]}`
	visits := sameVisits(t, lines.String(), asContainer(t, schema, "deflate", events),
		"--set", "profile=snowplow")
	if len(events) != 130 || strings.Count(visits, "\n") < 8 {
		t.Errorf("%d events, visits\n%s", len(events), visits)
	}
}

func TestStampAvro_TheLogOfAWebServer(t *testing.T) {
	text, err := os.ReadFile("../../../shared/data/apache_logs/apache_logs")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no data: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var events []map[string]any
	form := regexp.MustCompile(`^(\S+) \S+ \S+ \[([^]]+)\] "\S+ (\S+)`)
	for line := range strings.Lines(string(text)) {
		m := form.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		at, err := time.Parse("02/Jan/2006:15:04:05 -0700", m[2])
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, map[string]any{
			"anonymousId": m[1], "type": "page", "messageId": "", "timestamp": at.Format(time.RFC3339),
			"properties": map[string]any{"url": m[3]}, "tags": []any{}, "price": 0.5,
			"context": map[string]any{"ip": m[1]},
		})
	}
	visits := sameVisits(t, asLines(t, events), asContainer(t, eventSchema, "snappy", events))
	// By IP, with a gap above 30 minutes.
	if n := strings.Count(visits, `"revision":1,`); len(events) < 9999 || n != 3052 {
		t.Errorf("%d events, %d sessions, want 3,052", len(events), n)
	}
}
