//go:build kafka

package kafkatest

import (
	"syscall"
	"testing"
	"time"
)

// Deployments stop and start processes all the time, and now and then two of them by mistake.

func TestSignals_StopUnderLoadAndGoOn(t *testing.T) {
	t.Parallel()
	signals := map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT}
	for name, signal := range signals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rng := random(t)
			p := newPipeline(t, 4, nil)
			p.make(t)
			records := customers(rng, 50, 5_000)
			fed := p.feed(t, 6*time.Second, records)
			for done, stops := 0, 0; stops < 4; stops++ {
				proc := p.run(t, "one", "lanes=2")
				proc.says(t, startWithin, "starting") // before that a signal ends any program
				done = p.awaitOutput(t, min(done+500, len(records)))
				if err := proc.signal(signal); err != nil {
					t.Fatal(err)
				}
				proc.ends(t, stopWithin, 0, "stopped")
			}
			proc := p.run(t, "one", "lanes=2")
			if err := <-fed; err != nil {
				t.Fatal(err)
			}
			p.awaitVisits(t, drainWithin, len(records))
			proc.stop(t)
			p.audit(t).matches(t, batch(t, records, timeout))
		})
	}
}

func TestSignals_EndAProcessThatWaitsForItsBrokers(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, 1, nil)
	nobody := unusedAddress(t)
	proc := p.run(t, "one", "kafka.brokers="+nobody)
	proc.says(t, startWithin, nobody)
	proc.says(t, startWithin, "waiting")
	if !proc.alive() {
		t.Fatalf("it ended, and should wait:\n%s", proc.tail())
	}
	proc.stop(t)
}

func TestInstance_TheStateDirectoryIsLocked(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, 2, nil)
	p.make(t)
	one := p.run(t, "one")
	p.awaitOwners(t, startWithin, map[string]int{"one-0": 2})
	two := p.run(t, "two", "state.dir="+p.stateDir("one"))
	two.ends(t, startWithin, 1, "the state directory is in use", p.stateDir("one"))

	at := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	p.send(t, event("1", "steady", at, `{}`))
	p.awaitVisits(t, startWithin, 1) // the first one goes on
	one.stop(t)
	p.audit(t).matches(t, batch(t, p.sentSoFar(), timeout))
}

func TestInstance_TheEarlierOfTwoWithOneNameEnds(t *testing.T) {
	t.Parallel()
	for _, busy := range []bool{false, true} {
		name := "Idle"
		if busy {
			name = "Busy"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rng := random(t)
			p := newPipeline(t, 2, nil)
			p.make(t)
			records := customers(rng, 30, 3_000)
			earlier := p.run(t, "one")
			p.awaitOwners(t, startWithin, map[string]int{"one-0": 2})
			fed := make(<-chan error)
			if busy {
				fed = p.feed(t, 8*time.Second, records)
				p.awaitOutput(t, 300)
			}
			later := p.run(t, "one", "state.dir="+p.stateDir("elsewhere"))
			earlier.ends(t, stopWithin, 1, "kafka.instance", `"one"`)
			if !busy {
				fed = p.feed(t, time.Second, records)
			}
			if err := <-fed; err != nil {
				t.Fatal(err)
			}
			p.awaitVisits(t, drainWithin, len(records))
			later.stop(t)
			p.audit(t).matches(t, batch(t, records, timeout))
		})
	}
}
