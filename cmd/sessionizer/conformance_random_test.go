package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"sessionizer/session"
)

// What no row thought of: events drawn at random, in every profile, under tight settings, so that
// sessions split, merge, are evicted, forgotten and taken up again. They too come out of a topic as
// they come out of a file, and by several processes in turn.

const randomCases = 8 // of each configuration, 150 events each

func TestConformance_RandomEventsComeOutOfFilesAndTopicsTheSame(t *testing.T) {
	seed := *orderSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test ./cmd/sessionizer -run %s -order.seed %d", t.Name(), seed)
	pipe := newWirePipe(t)
	for i, config := range []string{
		`{profile: krenalis, output: {fields: full}, time: {lateness: 20m, out_of_order: 10s}, session:
			{timeout: 2m, mobile_timeout: 30s, retained: 12, remembered: 3, dedupe: {last: 5}}}`,
		`{profile: rudderstack, output: {fields: full}, time: {lateness: 5m, out_of_order: 1m}, session:
			{ids: enforce, timeout: 2m, splits: [client_start, user_change, campaign], max_events: 6}}`,
		`{profile: snowplow, output: {fields: full}, session: {ids: assign, timeout: 1m, max_duration: 4m}}`,
		`{profile: tracardi, session: {timeout: 1m, on_invalid: strip}, visits: {started: true}}`,
		`{profile: krenalis, session: {on_missing: none, on_invalid: dead_letter, midnight: Europe/Rome},
			time: {lateness: 10m, retention: 15m, too_late: dead_letter}, visits: {started: true},
			rules: [{when: {type: track}, class: attach}, {when: {type: screen}, end: true}]}`,
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			g := &wireGroup{config: config}
			for n := range randomCases {
				g.cases = append(g.cases, randomCase(t, config, seed+uint64(n)))
			}
			topics := pipe.run(t, i, g, 3)
			for p, c := range g.cases {
				checkSameOutcome(t, c, stampedCase(t, config, c), topics[p])
			}
		})
	}
}

// randomCase draws the events of a case.
func randomCase(t *testing.T, config string, seed uint64) *testCase {
	t.Helper()
	a := &app{configFile: write(t, t.TempDir(), "sessionizer.yaml", config)}
	cfg, err := a.loadCase()
	if err != nil {
		t.Fatal(err)
	}
	places, err := cfg.Places()
	if err != nil {
		t.Fatal(err)
	}
	d := &draw{rand.New(rand.NewPCG(seed, 3)), places}
	c := &testCase{
		file: &caseFile{name: "seed"}, line: int(seed), name: config, cfg: cfg, start: casesStart,
	}
	now := c.start
	for i := range 150 {
		now += session.Time(d.IntN(40_000))
		if d.IntN(20) == 0 {
			now += 10 * 60_000
		}
		step := caseStep{received: now}
		step.value = arrived(t, d.event(i, now), d.first("received_at"), now)
		c.steps = append(c.steps, step)
	}
	return c
}

// draw makes events for the places of a profile.
type draw struct {
	*rand.Rand
	eventPaths
}

func (d *draw) one(texts ...string) json.RawMessage {
	return json.RawMessage(texts[d.IntN(len(texts))])
}

func (d *draw) event(number int, now session.Time) []byte {
	const a, b = `"11111111-1111-4111-8111-111111111111"`, `"22222222-2222-4222-8222-222222222222"`
	e := &jsonObject{}
	put := func(name string, chance int, texts ...string) {
		if path := d.first(name); path != "" && d.IntN(100) < chance {
			e.put(path, d.one(texts...))
		}
	}
	put("anonymous_id", 98, `"ana"`, `"bob"`, `"eve"`, `"ana"`, `"bob"`, `""`)
	at := now - session.Time(d.IntN(2)*d.IntN(2)*d.IntN(30*60_000))
	put("timestamp", 95, string(rawText(formatTime(at))), fmt.Sprint(int64(at)))
	put("session_id", 50, a, b, `1767225600001`, `1767225600002`, `1767225600003`, `"one"`, `"two"`,
		`"@debug-x"`, `null`, `7`, `1.5`, `1767225600001.0`, `""`)
	put("session_start", 15, `true`, `false`, `"yes"`)
	put("user_id", 30, `"u1"`, `"u2"`, `""`)
	put("message_id", 90, fmt.Sprintf(`"m%d"`, number), fmt.Sprintf(`"m%d"`, number-d.IntN(4)))
	put("type", 95, `"page"`, `"screen"`, `"track"`, `"page-view"`, `"page_view"`, `"page_ping"`,
		`"application_background"`, `"identify"`)
	put("channel", 40, `"mobile"`, `"mob"`, `"web"`)
	put("url", 40, `"https://a.example/?utm_source=s&utm_campaign=c1"`, `"https://a.example/x?gclid=1"`,
		`"https://a.example/"`)
	put("referrer", 20, `"https://b.example/"`, `7`)
	return appendJSON(nil, e)
}
