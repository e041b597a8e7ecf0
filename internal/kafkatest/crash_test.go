//go:build kafka

package kafkatest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The same four days of a web server, through Kafka in every way that a deployment may take: the
// visits are the same each time, and the topics hold every event once.

func TestAccessLog_IsTheSameVisitsHoweverItRuns(t *testing.T) {
	t.Parallel()
	ways := []struct {
		name    string
		shuffle bool
		process func(t *testing.T, p *pipeline, rng *rand.Rand, records []*kgo.Record)
	}{
		{"OneProcess", false, oneProcess},
		{"OneProcessShuffled", true, oneProcess},
		{"TwoProcesses", false, twoProcesses},
		{"TwoProcessesKilledEverySecond", false, twoKilled},
		{"TwoProcessesKilledEverySecondShuffled", true, twoKilled},
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			records := apache(t)
			want := batch(t, records, timeout)
			if len(want) != apacheSessions {
				t.Fatalf("the log sorted by time has %d sessions, want %d", len(want), apacheSessions)
			}
			rng := random(t)
			if way.shuffle {
				records = shuffled(rng, records, 24*time.Hour)
			}
			p := newPipeline(t, 4, nil)
			p.make(t)
			way.process(t, p, rng, records)
			v := p.audit(t)
			v.matches(t, want)
			if v.stamped != apacheEvents {
				t.Errorf("%d events have a session, want all %d", v.stamped, apacheEvents)
			}
			t.Logf("%d sessions, %d merged, %d visits ended", v.sessions, v.merged, v.visits)
		})
	}
}

func oneProcess(t *testing.T, p *pipeline, _ *rand.Rand, records []*kgo.Record) {
	t.Helper()
	p.send(t, records...)
	proc := p.run(t, "one", "lanes=2")
	p.awaitVisits(t, drainWithin, len(records))
	proc.stop(t)
}

func twoProcesses(t *testing.T, p *pipeline, _ *rand.Rand, records []*kgo.Record) {
	t.Helper()
	one, two := p.run(t, "one"), p.run(t, "two")
	p.awaitOwners(t, startWithin, map[string]int{"one-0": 2, "two-0": 2})
	p.send(t, records...)
	p.awaitVisits(t, drainWithin, len(records))
	one.stop(t)
	two.stop(t)
}

// twoKilled feeds two processes for a while, in which each is killed about every second.
func twoKilled(t *testing.T, p *pipeline, rng *rand.Rand, records []*kgo.Record) {
	t.Helper()
	const feedFor, killsMin = 12 * time.Second, 10
	fed := p.feed(t, feedFor, records)
	hunts := []*hunt{p.hunt(t, "one", rng.Uint64()), p.hunt(t, "two", rng.Uint64())}
	if err := <-fed; err != nil {
		t.Fatal(err)
	}
	kills := int64(0)
	for _, h := range hunts {
		h.rest()
		kills += h.kills.Load()
	}
	p.awaitVisits(t, drainWithin, len(records))
	for _, h := range hunts {
		h.last.stop(t)
	}
	aborted := p.aborted(t, p.output)
	t.Logf("%d kills, %d records of their open transactions were never committed", kills, aborted)
	if kills < killsMin || aborted == 0 {
		t.Errorf("%d kills and %d aborted records: want at least %d kills, some of them inside a "+
			"transaction", kills, aborted, killsMin)
	}
}

// hunt kills a process at random moments, about one second apart, and starts it again.
type hunt struct {
	kills atomic.Int64
	last  *process // the living one, after rest

	calm chan struct{}
	done sync.WaitGroup
}

func (p *pipeline) hunt(t *testing.T, instance string, seed uint64) *hunt {
	t.Helper()
	const startsMax = 120
	rng := rand.New(rand.NewPCG(seed, 1))
	h := &hunt{calm: make(chan struct{}), last: p.run(t, instance)}
	h.done.Go(func() {
		for n := range startsMax {
			lifetime := time.NewTimer(500*time.Millisecond + time.Duration(rng.Int64N(int64(time.Second))))
			select {
			case <-lifetime.C:
			case <-h.last.exited:
				lifetime.Stop()
				t.Errorf("%s ended by itself", h.last.name)
				return
			case <-h.calm:
				lifetime.Stop()
				return
			}
			h.last.kill()
			h.kills.Add(1)
			next, err := launch(t, fmt.Sprintf("run %s, start %d", instance, n+2), p.dir,
				p.args(instance, "run")...)
			if err != nil {
				t.Error(err)
				return
			}
			h.last = next
		}
	})
	t.Cleanup(h.rest)
	return h
}

// rest lets the process live from now on.
func (h *hunt) rest() {
	select {
	case <-h.calm:
	default:
		close(h.calm)
	}
	h.done.Wait()
}

// A process that is stopped longer than its session may last is taken for dead. When it goes on it
// holds an open transaction and a state that are no longer its own.

func TestPause_OfAMemberUnderLoadDoublesNothing(t *testing.T) {
	t.Parallel()
	outcome(t, "member paused under load: went on")
	rng := random(t)
	p := newPipeline(t, 4, nil)
	p.make(t)
	records := customers(rng, 60, 6_000)
	one, two := p.run(t, "one"), p.run(t, "two")
	p.awaitOwners(t, startWithin, map[string]int{"one-0": 2, "two-0": 2})
	before, after := records[:4_000], records[4_000:]
	fed := p.feed(t, 8*time.Second, before)
	p.awaitOutput(t, 500) // in the middle of it
	if err := one.signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := <-fed; err != nil {
		t.Fatal(err)
	}
	p.awaitOwners(t, startWithin, map[string]int{"two-0": 4})
	p.awaitOutput(t, len(before))
	t.Log("the other process has taken over and done everything")
	fed = p.feed(t, 4*time.Second, after)
	if err := one.signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := <-fed; err != nil {
		t.Fatal(err)
	}
	p.awaitOwners(t, startWithin, map[string]int{"one-0": 2, "two-0": 2})
	p.awaitVisits(t, drainWithin, len(records))
	one.stop(t)
	two.stop(t)
	v := p.audit(t)
	v.matches(t, batch(t, records, timeout))
	t.Logf("%d records were never committed", p.aborted(t, p.output))
}

func TestPause_WhileVisitsComeDueEndsEachOnce(t *testing.T) {
	t.Parallel()
	outcome(t, "member paused while visits come due: went on")
	p := newPipeline(t, 4, nil,
		"session.timeout=4s", "session.mobile_timeout=4s", "time.out_of_order=1s")
	p.make(t)
	one, two := p.run(t, "one"), p.run(t, "two")
	p.awaitOwners(t, startWithin, map[string]int{"one-0": 2, "two-0": 2})
	now := time.Now()
	records := make([]*kgo.Record, 400)
	for i := range records {
		records[i] = event(fmt.Sprintf("m-%d", i), fmt.Sprintf("customer-%d", i), now, `{}`)
	}
	p.send(t, records...)
	p.awaitOutput(t, len(records))
	// Everything is committed, and nothing but timers is left to do: they come due while one
	// process is stopped, and the other one ends the visits of both.
	if err := one.signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.awaitVisits(t, drainWithin, len(records))
	if _, owned := p.owners(t); len(owned["two-0"]) != 4 {
		t.Errorf("the visits are ended and the members hold %v, want all at the second", owned)
	}
	if err := one.signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	// It has to notice, and to come back.
	p.awaitOwners(t, startWithin, map[string]int{"one-0": 2, "two-0": 2})
	more := event("more", "customer-1", now.Add(time.Second), `{}`)
	p.send(t, more)
	p.awaitVisits(t, drainWithin, len(records)+1)
	one.stop(t)
	two.stop(t)
	p.audit(t).matches(t, batch(t, p.sentSoFar(), 4*time.Second))
}

// awaitOutput waits until so many events are committed in the output, and returns how many are.
func (p *pipeline) awaitOutput(t *testing.T, count int) int {
	t.Helper()
	r := p.follow(t, p.output)
	r.until(t, drainWithin, fmt.Sprintf("%d events are in the output", count), func() (bool, string) {
		return len(r.records) >= count, fmt.Sprint(len(r.records), " events")
	})
	return len(r.records)
}

// The changelog alone is enough: no state directory, and no input to read again.

func TestRestore_WithoutStateDirectoryAndInput(t *testing.T) {
	t.Parallel()
	outcome(t, "state directory and input gone: restored")
	rng := random(t)
	p := newPipeline(t, 3, nil)
	p.make(t)
	records := customers(rng, 50, 3_000)
	want := batch(t, records, timeout)
	parts := [][]*kgo.Record{records[:1_000], records[1_000:2_000], records[2_000:]}
	for i, part := range parts {
		p.send(t, part...)
		if i == len(parts)-1 {
			break
		}
		p.runUntilEnd(t, "one")
		if err := os.RemoveAll(p.stateDir("one")); err != nil {
			t.Fatal(err)
		}
		p.deleteCommittedInput(t)
	}
	proc := p.run(t, "one")
	p.awaitVisits(t, drainWithin, len(records))
	proc.says(t, startWithin, "state restored")
	proc.stop(t)
	p.audit(t).matches(t, want)
}

// deleteCommittedInput removes the records in front of the committed offsets.
func (p *pipeline) deleteCommittedInput(t *testing.T) {
	t.Helper()
	offsets, err := p.adm.FetchOffsets(ask(t), p.group)
	if err != nil {
		t.Fatal(err)
	}
	deleted, err := p.adm.DeleteRecords(ask(t), offsets.Offsets())
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		t.Fatalf("delete the input that is processed: %v", err)
	}
	for id, start := range p.starts(t, p.input) {
		if start == 0 {
			t.Fatalf("partition %d still begins at 0", id)
		}
	}
}
