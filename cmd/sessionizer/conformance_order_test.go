package main

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"sessionizer/session"
)

// With one timeout, ids of the server's and no splits, the set of sessions that are left when the
// input has ended is that of the same events sorted by time, in whatever order within the lateness
// they came. Here through the program; the tests of package session try many more.

var orderSeed = flag.Uint64("order.seed", 0, "seed of the orders that events are tried in; 0: any")

const ordersTried = 10

// orderedEvent is an event of somebody at a time.
type orderedEvent struct {
	value []byte
	who   string
	time  session.Time
}

// batchSessions is the definition: events sorted by time, cut where the gap is above the timeout.
func batchSessions(events []orderedEvent, timeout session.Millis) []string {
	byKey := map[string][]session.Time{}
	for _, e := range events {
		byKey[e.who] = append(byKey[e.who], e.time)
	}
	var sessions []string
	for who, times := range byKey {
		slices.Sort(times)
		first := 0
		for i := range times {
			if i+1 == len(times) || session.Millis(times[i+1]-times[i]) > timeout {
				sessions = append(sessions, fmt.Sprintf("%s %s..%s events=%d", who,
					formatTime(times[first]), formatTime(times[i]), i+1-first))
				first = i + 1
			}
		}
	}
	slices.Sort(sessions)
	return sessions
}

// checkAnyOrder stamps the events in random orders. arrive draws when an event comes.
func checkAnyOrder(
	t *testing.T, events []orderedEvent, timeout session.Millis, config string,
	arrive func(r *rand.Rand, e orderedEvent) session.Time,
) {
	t.Helper()
	seed := *orderSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test ./cmd/sessionizer -run %s -order.seed %d", t.Name(), seed)
	r := rand.New(rand.NewPCG(seed, 0))
	want := batchSessions(events, timeout)
	for n := range ordersTried {
		at := map[int]session.Time{}
		order := r.Perm(len(events))
		for _, i := range order {
			at[i] = arrive(r, events[i])
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(at[a], at[b]) })
		c := &testCase{name: t.Name()}
		for _, i := range order {
			c.steps = append(c.steps, caseStep{value: events[i].value})
		}
		out := stampedCase(t, config, c)
		got := make([]string, len(out.visits))
		for i, v := range out.visits {
			_, got[i], _ = strings.Cut(v, " ") // ids are those of the order
		}
		slices.Sort(got)
		if len(out.events) != len(events) || len(out.dead) > 0 || !slices.Equal(got, want) {
			t.Fatalf("order %d of seed %d: %d of %d events, %d dead letters\ngot\n%s\nwant\n%s", n, seed,
				len(out.events), len(events), len(out.dead), strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func TestConformance_SnowplowsEventsGiveTheSameInAnyOrder(t *testing.T) {
	const minute = 60_000
	var events []orderedEvent
	for _, e := range snowplowEvents(t) {
		events = append(events, orderedEvent{e.value, e.user, e.time})
	}
	// They are of 46 days. One rule in front of the profile's own makes the timeout the same for all.
	config := `
profile: snowplow
session: {ids: assign, splits: []}
rules: [{when: {}, timeout: 30m}]
time: {lateness: 60d}
`
	checkAnyOrder(t, events, 30*minute, config,
		func(*rand.Rand, orderedEvent) session.Time { return 0 })
}

func TestConformance_MadeUpEventsGiveTheSameInAnyOrder(t *testing.T) {
	const second, timeout, lateness = 1000, 30 * 60_000, 6 * 3_600_000
	r := rand.New(rand.NewPCG(1, 1))
	var events []orderedEvent
	gaps := []session.Time{0, 1, 20 * second, timeout - 1, timeout, timeout + 1, 2 * timeout}
	for who := range 8 {
		key, at := fmt.Sprint("visitor-", who), casesStart+session.Time(r.IntN(3_600_000))
		for i := range 60 {
			at += gaps[r.IntN(len(gaps))] + session.Time(r.IntN(2)*r.IntN(20*60*second))
			events = append(events, orderedEvent{fmt.Appendf(nil,
				`{"anonymousId":%q,"messageId":"%s-%d","type":"page","timestamp":%q}`,
				key, key, i, formatTime(at)), key, at})
		}
	}
	config := `
session: {ids: assign, splits: [], timeout: 30m, mobile_timeout: 30m}
time: {lateness: 6h}
`
	checkAnyOrder(t, events, timeout, config, func(r *rand.Rand, e orderedEvent) session.Time {
		return e.time + session.Time(r.IntN(lateness))
	})
}
