package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"sessionizer/internal/events"
)

// An explanation that is not of what the engine did is worse than none: here each event and each
// visit of some customers, from a log with everything in it, are compared with what stamp wrote.
func TestExplain_SaysWhatStampDoes(t *testing.T) {
	t.Chdir(t.TempDir())
	const customers = 12
	g := events.New(events.Standard(5, customers, 1_767_225_600_000))
	var input bytes.Buffer
	for range 4000 {
		input.Write(g.Next().Value)
		input.WriteByte('\n')
	}
	write(t, ".", "events.ndjson", input.String())
	r := sessionizer(t, "", "stamp", "--visits", "visits", "--dead-letters", "dead", "events.ndjson")
	if r.code != exitFine {
		t.Fatal(r.stderr)
	}
	stamped, visits := map[string][]string{}, map[string][]string{}
	for line := range strings.Lines(r.stdout) {
		event := decodeMembers([]byte(line))
		key, ok := event["anonymousId"].(string)
		if ok {
			stamped[key] = append(stamped[key], flowValue(event.at("context.session.id")))
		}
	}
	for line := range strings.Lines(read(t, ".", "visits")) {
		key, ok := decodeMembers([]byte(line))["anonymousId"].(string)
		if ok {
			visits[key] = append(visits[key], strings.TrimSpace(line))
		}
	}
	explainedEvents := 0
	for key := range stamped {
		if explainedEvents > 2000 {
			break
		}
		var ids, ended []string
		r := sessionizer(t, "", "explain", key, "--json", "--file", "events.ndjson")
		for line := range strings.Lines(r.stdout) {
			var x explained
			if err := json.Unmarshal([]byte(line), &x); err != nil {
				t.Fatal(err)
			}
			switch {
			case x.Kind == kindVisit:
				ended = append(ended, string(x.Record))
			case x.Kind == kindEvent && x.Decision == decisionDeadLetter:
			case x.Kind == kindEvent && x.Session == nil:
				ids = append(ids, "null")
			case x.Kind == kindEvent:
				id := decodeMembers([]byte(line)).at("session.id")
				ids = append(ids, flowValue(id))
			}
		}
		explainedEvents += len(ids)
		if r.code != exitFine || !slices.Equal(ids, stamped[key]) {
			t.Fatalf("%s: %d events, stamp has %d: %s", key, len(ids), len(stamped[key]), r.stderr)
		}
		// The moment at which a visit ends may differ, what is in its record may not.
		if !slices.Equal(undecided(ended), undecided(visits[key])) {
			t.Fatalf("%s: the visits are\n%s\nstamp has\n%s", key, strings.Join(ended, "\n"),
				strings.Join(visits[key], "\n"))
		}
	}
	if explainedEvents < 1000 {
		t.Fatalf("only %d events were compared", explainedEvents)
	}
}

// undecided is visit records without the offset at which they were decided, sorted.
func undecided(records []string) []string {
	var all []string
	for _, r := range records {
		r, _, _ = strings.Cut(r, `,"decidedAt":`)
		all = append(all, r)
	}
	slices.Sort(all)
	return all
}
