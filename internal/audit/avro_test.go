package audit_test

import (
	"fmt"
	"testing"
	"time"
)

func timeOf(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// avroConfigs are configurations of worlds whose events are Avro.
func avroConfigs() []string {
	return []string{
		`{visits: {format: avro}}`,
		`{output: {fields: full, headers: true}, visits: {started: true, format: avro},
			time: {lateness: 30m, out_of_order: 10s},
			session: {ids: assign, timeout: 4m, mobile_timeout: 2m, dedupe: {last: 20}},
			rules: [{when: {type: identify}, class: attach}, {when: {properties.n: {gt: 100, lt: 140}}, class: ignore},
				{when: {properties.text: cd}, drop: true}, {when: {properties.blob: {exists: true}, event: "Order <done>"}, end: true}]}`,
		`{profile: snowplow, output: {fields: full}, session: {ids: assign, timeout: 1m, max_duration: 4m}}`,
		`{profile: tracardi, session: {timeout: 1m, on_invalid: strip}, visits: {started: true, format: avro, key: anonymous_id}}`,
		`{profile: rudderstack, output: {fields: full}, time: {lateness: 5m, out_of_order: 1m}, session:
			{ids: enforce, timeout: 2m, splits: [client_start, user_change, campaign], max_events: 6}}`,
	}
}

func TestRun_AnHonestPipelineOfAvroIsClean(t *testing.T) {
	for i, yaml := range avroConfigs() {
		for _, way := range []int{framed, mixed, rawFile} {
			t.Run(fmt.Sprint(i, "-", way), func(t *testing.T) {
				t.Parallel()
				for seed := range uint64(2) {
					w := newAvroWorld(t, yaml, way, seed)
					w.draw(t, 500)
					w.run(t)
					r := w.verify(t)
					for _, f := range r.Findings {
						t.Errorf("seed %d: %v", seed, f)
					}
					if r.EventsIn != 500 || r.EventsOut < 300 || r.Sessions == 0 || r.Visits == 0 ||
						r.Unproved > 0 {
						t.Errorf("seed %d: %+v", seed, r)
					}
				}
			})
		}
	}
}
