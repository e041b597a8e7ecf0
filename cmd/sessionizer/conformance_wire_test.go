package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v3"
	"golang.org/x/sync/errgroup"

	"sessionizer/session"
)

// The events of all conformance cases, as lines of files through stamp and as records of a topic
// through run, come out the same: every byte of each event, the visits, the dead letters. Cases of
// one configuration share a topic, where each has a partition of its own.

// wireGroup is cases of one configuration.
type wireGroup struct {
	config string // all of it, as a file
	cases  []*testCase
}

// wireOutcome is what came out of one case.
type wireOutcome struct {
	events []string
	visits []string // of each session that was not merged away, its greatest revision; sorted
	begun  []string // ids of Visit Started records, sorted
	dead   []string // reason and original
}

func TestConformance_FilesAndTopicsGiveTheSame(t *testing.T) {
	groups := wireGroups(t)
	pipe := newWirePipe(t)
	var atOnce errgroup.Group
	atOnce.SetLimit(8) // most of the time is spent waiting for the broker
	for i, g := range groups {
		atOnce.Go(func() error {
			t.Run(g.cases[0].name, func(t *testing.T) { checkGroup(t, pipe, i, g) })
			return nil
		})
	}
	if err := atOnce.Wait(); err != nil {
		t.Fatal(err)
	}
}

func checkGroup(t *testing.T, pipe *wirePipe, number int, g *wireGroup) {
	t.Helper()
	topics := pipe.run(t, number, g, 1)
	for p, c := range g.cases {
		lines := stampedCase(t, g.config, c)
		checkSameOutcome(t, c, lines, topics[p])
		checkVirtualRun(t, c, lines)
		if len(lines.events)+len(lines.dead) == 0 {
			t.Errorf("%s:%d: %s: nothing came out", c.file.name, c.line, c.name)
		}
	}
}

// wireGroups reads the cases, with the time each event arrived at in its payload: what the
// timestamp of a record is for a topic.
func wireGroups(t *testing.T) []*wireGroup {
	t.Helper()
	var groups []*wireGroup
	for _, name := range conformanceNames(t) {
		file, faults := readCases(name, (&app{}).loadCase)
		var keys struct {
			Config map[string]any
			Cases  []struct{ Config map[string]any }
		}
		if err := yaml.Unmarshal(file.text, &keys); err != nil || len(faults) > 0 {
			t.Fatalf("%s: %v %v", name, err, faults)
		}
		for i, c := range file.cases {
			places, err := c.cfg.Places()
			if err != nil {
				t.Fatal(err)
			}
			for s := range c.steps {
				if step := &c.steps[s]; !step.idle {
					step.value = arrived(t, step.value, eventPaths(places).first("received_at"), step.received)
				}
			}
			config, err := yaml.Marshal(mergedKeys(keys.Config, keys.Cases[i].Config))
			if err != nil {
				t.Fatal(err)
			}
			at := slices.IndexFunc(groups, func(g *wireGroup) bool { return g.config == string(config) })
			if at < 0 {
				at, groups = len(groups), append(groups, &wireGroup{config: string(config)})
			}
			groups[at].cases = append(groups[at].cases, c)
		}
	}
	return groups
}

// mergedKeys are the keys of a file with those of a case over them.
func mergedKeys(file, over map[string]any) map[string]any {
	merged := maps.Clone(file)
	for name, value := range over {
		inner, isMapping := value.(map[string]any)
		if under, ok := merged[name].(map[string]any); ok && isMapping {
			value = mergedKeys(under, inner)
		}
		merged[name] = value
	}
	return merged
}

// arrived puts the time of arrival in front of the members of an event.
func arrived(t *testing.T, value []byte, member string, at session.Time) []byte {
	t.Helper()
	if member == "" || strings.Contains(member, ".") || bytes.Contains(value, []byte(member)) {
		t.Fatalf("%s has no place for the time of arrival, %q", value, member)
	}
	rest, ok := bytes.CutPrefix(value, []byte("{"))
	if !ok {
		return value
	}
	comma := ","
	if bytes.HasPrefix(rest, []byte("}")) {
		comma = ""
	}
	return fmt.Appendf(nil, "{%q:%q%s%s", member, formatTime(at), comma, rest)
}

// stampedCase runs the events of a case through stamp.
func stampedCase(t *testing.T, config string, c *testCase) wireOutcome {
	t.Helper()
	var lines strings.Builder
	for i := range c.steps {
		if !c.steps[i].idle {
			fmt.Fprintf(&lines, "%s\n", c.steps[i].value)
		}
	}
	dir := t.TempDir()
	file := write(t, dir, "sessionizer.yaml", config)
	r := sessionizer(t, lines.String(), "stamp", "--config", file,
		"--visits", filepath.Join(dir, "visits"), "--dead-letters", filepath.Join(dir, "dead"))
	if r.code != exitFine {
		t.Fatalf("%s: exit code %d: %s", c.name, r.code, r.stderr)
	}
	out := wireOutcome{events: slices.Collect(fields(r.stdout))}
	out.visits, out.begun = finalVisits(t, slices.Collect(fields(read(t, dir, "visits"))))
	for line := range fields(read(t, dir, "dead")) {
		var dead struct{ Reason, Original string }
		if err := json.Unmarshal([]byte(line), &dead); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		out.dead = append(out.dead, dead.Reason+" "+dead.Original)
	}
	return out
}

// fields yields the lines of a text without their ends.
func fields(text string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for line := range strings.Lines(text) {
			if !yield(strings.TrimSuffix(line, "\n")) {
				return
			}
		}
	}
}

// finalVisits returns of each session its record of the greatest revision, without those that were
// merged away and without what tells of the way to it; and the ids of those that were announced.
func finalVisits(t *testing.T, records []string) (visits, begun []string) {
	t.Helper()
	type visit struct {
		AnonymousID, Reason, StartedAt, EndedAt string
		Revision                                int
		Session                                 struct{ UUID string }
		Counts                                  struct{ Events int }
	}
	last := map[string]visit{}
	for _, record := range records {
		var v visit
		if err := json.Unmarshal([]byte(record), &v); err != nil {
			t.Fatalf("%v in %s", err, record)
		}
		if v.Revision == 0 {
			begun = append(begun, v.Session.UUID)
		} else if v.Revision > last[v.Session.UUID].Revision {
			last[v.Session.UUID] = v
		}
	}
	for id, v := range last {
		if v.Reason != "merged" {
			visits = append(visits, fmt.Sprintf("%s %s %s..%s events=%d", id, v.AnonymousID,
				v.StartedAt, v.EndedAt, v.Counts.Events))
		}
	}
	slices.Sort(visits)
	slices.Sort(begun)
	return visits, begun
}

func checkSameOutcome(t *testing.T, c *testCase, lines, topics wireOutcome) {
	t.Helper()
	for what, pair := range map[string][2][]string{
		"events": {lines.events, topics.events}, "visits": {lines.visits, topics.visits},
		"announced visits": {lines.begun, topics.begun}, "dead letters": {lines.dead, topics.dead},
	} {
		if !slices.Equal(pair[0], pair[1]) {
			t.Errorf("%s:%d: %s: %s of the file\n%s\nof the topic\n%s", c.file.name, c.line, c.name, what,
				strings.Join(pair[0], "\n"), strings.Join(pair[1], "\n"))
		}
	}
	for _, line := range lines.events {
		if strings.Contains(line, `"start":false`) && !strings.Contains(line, `"state":"bypass"`) {
			t.Errorf("%s:%d: %s: a start that is false is left out, not written: %s", c.file.name, c.line,
				c.name, line)
		}
	}
}

// checkVirtualRun runs the case as the test command does, time passing where it says so.
func checkVirtualRun(t *testing.T, c *testCase, lines wireOutcome) {
	t.Helper()
	result, err := runCase(c)
	if err != nil || len(result.failures) > 0 {
		t.Fatalf("%s:%d: %s: %v %v", c.file.name, c.line, c.name, err, result.failures)
	}
	var visits []string
	at := 0
	for _, step := range result.steps {
		for _, v := range step.visits {
			record, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			visits = append(visits, string(record))
		}
		if step.output == nil {
			continue
		}
		if at == len(lines.events) ||
			!reflect.DeepEqual(step.output, decodeMembers([]byte(lines.events[at]))) {
			t.Fatalf("%s:%d: %s: event %d: %v of the case, of the file %q", c.file.name, c.line, c.name,
				at, step.output, lines.events)
		}
		at++
	}
	got, begun := finalVisits(t, visits)
	if at != len(lines.events) || !slices.Equal(got, lines.visits) ||
		!slices.Equal(begun, lines.begun) {
		t.Errorf("%s:%d: %s: %d events, visits %v of the case, %d, %v of the file", c.file.name, c.line,
			c.name, at, got, len(lines.events), lines.visits)
	}
}
