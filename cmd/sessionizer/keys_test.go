package main

import (
	"fmt"
	"strings"
	"testing"
)

// Each key of the rules does what it says from the configuration file to the
// stamped line: a key that is read and leads nowhere is worse than none.

// stampLines are events of one customer, a second (or as given) apart.
func stampLines(events ...string) string {
	var b strings.Builder
	for i, e := range events {
		at, members, _ := strings.Cut(e, " ")
		fmt.Fprintf(&b, `{"anonymousId":"ana","messageId":"m%d","timestamp":"2024-12-15T%sZ"%s}`+"\n",
			i, at, members)
	}
	return b.String()
}

// indexesOf are the numbers of the sessions that the stamped lines say.
func indexesOf(t *testing.T, stdout string) string {
	t.Helper()
	var all []string
	for line := range strings.Lines(stdout) {
		index := "-"
		if _, rest, ok := strings.Cut(line, `"index":`); ok {
			index = rest[:strings.IndexAny(rest, ",}")]
		}
		all = append(all, index)
	}
	return strings.Join(all, " ")
}

func TestKeys_DoWhatTheySay(t *testing.T) {
	for _, c := range []struct {
		name, config string
		events       []string
		want         string // sessions of the events
	}{
		{"None", "lanes: 1\n", []string{"10:00:00", "10:20:00", "10:40:00"}, "1 1 1"},
		{"MaxDuration", "session: {max_duration: 30m}\n",
			[]string{"10:00:00", "10:20:00", "10:40:00"}, "1 1 2"},
		{"MaxEvents", "session: {max_events: 2}\n",
			[]string{"10:00:00", "10:00:01", "10:00:02"}, "1 1 2"},
		{"Midnight", "session: {midnight: Europe/Rome}\n",
			[]string{"22:50:00", "22:59:59", "23:00:00"}, "1 1 2"},
		{"Timeout", "rules:\n  - when: {event: Application Backgrounded}\n    timeout: 15s\n",
			[]string{"10:00:00", `10:00:03 ,"event":"Application Backgrounded"`, "10:00:30"}, "1 1 2"},
		{"Drop", "rules: [{when: {type: [page, screen], properties.debug: true}, drop: true}]\n",
			[]string{"10:00:00", `10:00:01 ,"type":"page","properties":{"debug":true}`,
				`10:00:01 ,"type":"page","properties":{"debug":"true"}`}, "1 1"},
		{"Extend", "rules: [{when: {event: {prefix: ping}}, class: extend}]\n",
			[]string{`10:00:00 ,"event":"ping"`, "10:00:01", `10:20:00 ,"event":"ping2"`, "10:40:00"},
			"- 1 1 1"},
		{"Attach", "rules: [{when: {context.server: {exists: true}}, class: attach}]\n",
			[]string{`10:00:00 ,"context":{"server":null}`, "10:00:01",
				`10:20:00 ,"context":{"server":1}`, "10:40:00"}, "- 1 1 2"},
		{"Ignore", "rules: [{when: {event: {glob: 'a*z'}}, class: ignore}]\n",
			[]string{"10:00:00", `10:20:00 ,"event":"abcz"`, "10:40:00"}, "1 - 2"},
		{"Start", "rules: [{when: {properties.step: {gte: 2, lt: 3}}, start: true}]\n",
			[]string{"10:00:00", `10:00:01 ,"properties":{"step":2.5}`,
				`10:00:02 ,"properties":{"step":3}`}, "1 2 2"},
		{"End", "rules: [{when: {event: Logout}, end: true}]\n",
			[]string{"10:00:00", `10:00:01 ,"event":"Logout"`, "10:00:02"}, "1 1 2"},
		{"TheFirstMatchCounts", "rules:\n  - when: {event: x}\n    timeout: 1h\n" +
			"  - when: {}\n    timeout: 1m\n",
			[]string{"10:00:00", `10:00:01 ,"event":"x"`, "10:50:00", "10:51:01"}, "1 1 1 2"},
		{"MaxDurationOfARule", "rules: [{when: {event: x}, max_duration: 1m}]\n",
			[]string{"10:00:00", "10:20:00", `10:20:01 ,"event":"x"`}, "1 1 2"},
		{"Campaign", "session: {splits: [campaign]}\n", []string{
			`10:00:00 ,"type":"page","context":{"page":{"url":"https://a.example/?utm_source=x"}}`,
			"10:00:01",
			`10:00:02 ,"type":"page","context":{"page":{"url":"https://a.example/?utm_source=y"}}`,
		}, "1 1 2"},
		{"UserChange", "session: {splits: [user_change]}\n",
			[]string{`10:00:00 ,"userId":"a"`, "10:00:01", `10:00:02 ,"userId":"b"`}, "1 1 2"},
		{"Paths", "session: {splits: [campaign]}\npaths: {campaign: [props.utm]}\n", []string{
			`10:00:00 ,"props":{"utm":{"source":"x"}}`, `10:00:02 ,"props":{"utm":{"source":"y"}}`,
		}, "1 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			write(t, ".", "sessionizer.yaml", c.config)
			r := sessionizer(t, stampLines(c.events...), "stamp")
			if got := indexesOf(t, r.stdout); r.code != exitFine || got != c.want {
				t.Fatalf("code %d, %s, sessions %s, want %s\n%s", r.code, r.stderr, got, c.want, r.stdout)
			}
		})
	}
}

func TestKeys_DedupeFlagsOrDrops(t *testing.T) {
	t.Chdir(t.TempDir())
	line := stampLines("10:00:00")
	r := sessionizer(t, line+line, "stamp", "--set", "session.dedupe.last=5",
		"--set", "output.fields=id,duplicate")
	if r.code != exitFine || strings.Count(r.stdout, `"duplicate":true`) != 1 {
		t.Fatalf("%+v", r)
	}
	r = sessionizer(t, line+line, "stamp", "--set", "session.dedupe.last=5",
		"--set", "session.dedupe.action=drop")
	if r.code != exitFine || strings.Count(r.stdout, "\n") != 1 {
		t.Fatalf("%+v", r)
	}
}

func TestKeys_VisitsStartedAreWritten(t *testing.T) {
	t.Chdir(t.TempDir())
	r := sessionizer(t, stampLines("10:00:00", "12:00:00"), "stamp", "--visits", "v.ndjson",
		"--set", "visits.started=true")
	visits := read(t, ".", "v.ndjson")
	if r.code != exitFine || strings.Count(visits, `"event":"Visit Started"`) != 2 ||
		strings.Count(visits, `"event":"Visit Ended"`) != 2 {
		t.Fatalf("%+v\n%s", r, visits)
	}
}

func TestKeys_TheCampaignIsAFieldAndThePathsOfTheContextAreCollected(t *testing.T) {
	t.Chdir(t.TempDir())
	event := stampLines(`10:00:00 ,"type":"page","app":{"name":"shop"},` +
		`"context":{"page":{"url":"https://a.example/?utm_source=x"}}`)
	r := sessionizer(t, event, "stamp", "--visits", "v.ndjson", "--set", "output.fields=id,campaign",
		"--set", "paths.context=app.name")
	visits := read(t, ".", "v.ndjson")
	if r.code != exitFine || !strings.Contains(r.stdout, `"campaign":{"source":"x"}`) ||
		!strings.Contains(visits, `"context":{"app":{"name":"shop"}}`) {
		t.Fatalf("%+v\n%s", r, visits)
	}
}

// A profile presets rules of its own: they must be in force, behind the user's.
func TestKeys_TheRulesOfAProfileAreInForce(t *testing.T) {
	t.Chdir(t.TempDir())
	var lines strings.Builder
	for i, e := range []string{"application_foreground 0", "application_background 3", "screen 30"} {
		name, second, _ := strings.Cut(e, " ")
		fmt.Fprintf(&lines, `{"domain_userid":"0193ca01-50bb-7b17-acea-34706793f387","event_id":"e%d",`+
			`"event_name":%q,"platform":"mob","derived_tstamp":"2024-12-15T10:00:%02sZ"}`+"\n",
			i, name, second)
	}
	visitsOf := func(args ...string) int {
		r := sessionizer(t, lines.String(), append([]string{"stamp", "--visits", "v.ndjson",
			"--set", "profile=snowplow"}, args...)...)
		if r.code != exitFine {
			t.Fatalf("%+v", r)
		}
		return strings.Count(read(t, ".", "v.ndjson"), "\n")
	}
	if n := visitsOf(); n != 2 {
		t.Errorf("%d visits with a background timeout of 15 s, want 2", n)
	}
	rule := "rules=[{when: {event_name: application_background}, timeout: 1m}]"
	if n := visitsOf("--set", rule); n != 1 {
		t.Errorf("%d visits with a background timeout of a minute, want 1", n)
	}
}

// Lines of a file have no record key, wherever it is asked for.
func TestKeys_AProfileThatReadsRecordKeysIsRefusedForFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, ".", "mine.yaml", "name: mine\npaths: {anonymous_id: $key}\n")
	r := sessionizer(t, stampLines("10:00:00"), "stamp", "--set", "profile=./mine.yaml")
	if r.code != exitUsage || !strings.Contains(r.stderr, "paths.anonymous_id is $key alone") {
		t.Fatalf("%+v", r)
	}
}
