//go:build kafka

package kafkatest

import (
	"fmt"
	"testing"
	"time"
)

// On a topic on which nothing happens any more no event brings time forward: the wall clock must
// end the visits, and events that come after it must find everything in order.

func TestSilence_EndsTheVisit(t *testing.T) {
	t.Parallel()
	const (
		gap        = 2 * time.Second
		outOfOrder = time.Second
		idle       = 2 * time.Second
		rounds     = 4
	)
	p := newPipeline(t, 2, nil,
		"session.timeout="+gap.String(), "session.mobile_timeout="+gap.String(),
		"time.out_of_order="+outOfOrder.String(), "time.idle_after="+idle.String())
	p.make(t)
	proc := p.run(t, "one")
	p.awaitOwners(t, startWithin, map[string]int{"one-0": 2})
	ended := p.follow(t, p.visits)
	for i := range rounds {
		last := time.Now()
		p.send(t, event(fmt.Sprintf("m-%d", i), "quiet", last, `{}`))
		promised := time.Now().Add(idle)
		if due := last.Add(gap + outOfOrder); due.After(promised) {
			promised = due
		}
		// The bound guards against a deadlock; the latency is for people, a busy machine has others.
		ended.until(t, startWithin, "the visit has ended", func() (bool, string) {
			return len(ended.records) > i, fmt.Sprint(len(ended.records), " visits")
		})
		t.Logf("Visit Ended %s after it was due", time.Since(promised).Round(time.Millisecond))
	}
	proc.stop(t)
	p.audit(t).matches(t, batch(t, p.sentSoFar(), gap))
}

func TestSilence_EventsOfThePastAfterItJoinTheirSessions(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, 1, nil)
	p.make(t)
	proc := p.run(t, "one")
	at := time.Now().Add(-5 * time.Hour).Truncate(time.Millisecond)
	for i := range 6 {
		// The wall clock has ended the visit before the next event of it arrives.
		p.send(t, event(fmt.Sprintf("m-%d", i), "steady", at.Add(time.Duration(i)*time.Minute), `{}`))
		p.awaitVisits(t, startWithin, i+1)
	}
	proc.stop(t)
	v := p.audit(t)
	v.matches(t, batch(t, p.sentSoFar(), timeout))
	if v.sessions != 1 || v.visits != 6 {
		t.Errorf("%d sessions with %d visits ended, want one with a revision for each event",
			v.sessions, v.visits)
	}
}

func TestSilence_UntilEndDoesNotUseTheWallClock(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, 1, nil, "time.idle_after=100ms")
	p.make(t)
	at := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	p.send(t,
		event("1", "early", at, `{}`),
		event("2", "steady", at.Add(timeout+time.Minute), `{}`),             // early is due at exactly + 0
		event("3", "steady", at.Add(timeout+time.Minute+time.Second), `{}`)) // and now beyond it
	p.runUntilEnd(t, "one")
	v := p.audit(t)
	if v.sessions != 2 || v.visits != 1 || len(v.finals) != 1 {
		t.Errorf("%d sessions, ended: %v; want that of the first event alone", v.sessions, v.finals)
	}
}
