package audit_test

import (
	"fmt"
	"testing"

	"sessionizer/session"
)

func sessionTime(ms int64) session.Time { return session.Time(ms) }

// configs are what worlds are made of: every profile, every mode, every split.
func configs() []string {
	return []string{
		`{}`,
		`{output: {fields: full, headers: true}, time: {lateness: 20m, out_of_order: 10s}, session:
			{timeout: 2m, mobile_timeout: 30s, retained: 12, remembered: 3, dedupe: {last: 5}}}`,
		`{profile: rudderstack, output: {fields: full}, time: {lateness: 5m, out_of_order: 1m}, session:
			{ids: enforce, timeout: 2m, splits: [client_start, user_change, campaign], max_events: 6}}`,
		`{profile: snowplow, output: {fields: full}, session: {ids: assign, timeout: 1m, max_duration: 4m}}`,
		`{profile: snowplow, time: {lateness: 10m}}`,
		`{profile: tracardi, session: {timeout: 1m, on_invalid: strip}, visits: {started: true, key: anonymous_id}}`,
		`{session: {on_missing: none, on_invalid: dead_letter, midnight: Europe/Rome, boundary: at},
			time: {lateness: 10m, retention: 15m, too_late: dead_letter}, visits: {started: true},
			rules: [{when: {type: track}, class: attach}, {when: {type: screen}, end: true}]}`,
		`{profile: segment, session: {timeout: 3m, dedupe: {last: 20, action: drop}}, input: {topics: [a, b]},
			time: {lateness: 4m}, dead_letters: {on: {no_key: pass}},
			rules: [{when: {type: identify}, drop: true}, {when: {type: {glob: "s?r*"}}, class: ignore},
				{when: {properties.n: {gt: 100, lt: 140}}, class: extend},
				{when: {context.page.url: {prefix: "https://a.example/x"}}, start: true}]}`,
		`{output: {fields: minimal}, session: {ids: enforce, timeout: 5m, splits: [campaign]}}`,
	}
}

func TestRun_AnHonestPipelineIsClean(t *testing.T) {
	for i, yaml := range configs() {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(4) {
				w := newWorld(t, yaml, seed)
				w.draw(t, 600)
				w.run(t)
				r := w.verify(t)
				for _, f := range r.Findings {
					t.Errorf("seed %d: %v", seed, f)
				}
				if r.EventsIn != 600 || r.EventsOut == 0 || r.Sessions == 0 || r.Visits == 0 || r.Unproved > 0 {
					t.Errorf("seed %d: %+v", seed, r)
				}
			}
		})
	}
}
