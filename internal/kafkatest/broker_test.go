//go:build kafka

package kafkatest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/internal/kafka"
)

// A broker that goes away ends no process, whatever was on its way when it went: records, offsets
// or the end of a transaction, whose answer is then never known.

func TestBroker_ThatGoesAwayAndComesBack(t *testing.T) {
	t.Parallel()
	outcome(t, "broker killed twice, paused for 13 s and for 3 s: went on")
	faults := []struct {
		name string
		away func(t *testing.T, b *kafka.Broker)
	}{
		// A broker that is alone must not be stopped in good order: fenced already, it takes its own
		// partitions for deleted and completes a transaction without markers, which then hangs.
		{"Killed", restart},
		// Longer than a transaction and a membership may last.
		{"Paused", func(t *testing.T, b *kafka.Broker) { freeze(t, b, 13*time.Second) }},
		// Shorter: what was on its way arrives late.
		{"PausedShortly", func(t *testing.T, b *kafka.Broker) { freeze(t, b, 3*time.Second) }},
		{"KilledAgain", restart},
	}
	rng := random(t)
	b := ownBroker(t)
	p := newPipelineAt(t, []string{b.Addr()}, 4, nil)
	p.make(t)
	const feedFor = 30 * time.Second
	records := customers(rng, 60, 12_000)
	fed := p.feed(t, feedFor, records)
	one, two := p.run(t, "one"), p.run(t, "two")
	p.awaitOwners(t, startWithin, map[string]int{"one-0": 2, "two-0": 2})
	done := 0
	for _, fault := range faults {
		done = p.awaitOutput(t, done+300)
		t.Logf("%s, after %d events", fault.name, done)
		fault.away(t, b)
	}
	if err := <-fed; err != nil {
		t.Fatal(err)
	}
	// What the producer knows of its own records is not to be trusted after this; the topic is.
	records = p.takeInput(t)
	p.awaitVisits(t, drainWithin, len(records))
	one.stop(t)
	two.stop(t)
	p.audit(t).matches(t, batch(t, records, timeout))
	t.Logf("%d records were never committed", p.aborted(t, p.output))
}

// takeInput takes what the input topic holds for what was sent, and returns it.
func (p *pipeline) takeInput(t *testing.T) []*kgo.Record {
	t.Helper()
	var there []*kgo.Record
	for _, records := range p.all(t, p.input) {
		there = append(there, records...)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	t.Logf("%d records were sent, the topic has %d", len(p.sent), len(there))
	p.sent = there
	return there
}

// ownBroker starts a broker that no other test has to do with.
func ownBroker(t *testing.T) *kafka.Broker {
	t.Helper()
	return startBroker(t, kafka.Options{})
}

// startBroker starts a broker in a folder and at a port of its own.
func startBroker(t *testing.T, o kafka.Options) *kafka.Broker {
	t.Helper()
	dir, err := kafka.Dir()
	if err != nil {
		t.Fatal(err)
	}
	if o.Jars, err = kafka.Jars(t.Context(), dir, t.Output()); err != nil {
		t.Fatal(err)
	}
	const triesMax = 5 // a port that was free may be taken
	for try := 1; ; try++ {
		o.Dir, o.Port = filepath.Join(t.TempDir(), "broker"), lowPorts(t)
		b, err := kafka.New(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := b.Kill(); err != nil {
				t.Errorf("end the broker: %v", err)
			}
		})
		switch err := b.Start(t.Context()); {
		case err == nil:
			return b
		case !errors.Is(err, syscall.EADDRINUSE) || try == triesMax:
			t.Fatal(err)
		}
	}
}

// lowPorts returns a port that is free, as the next one is, and that no connection goes out from:
// while the broker is away, a client that asks for such a port may be given it and meet itself.
func lowPorts(t *testing.T) int {
	t.Helper()
	const first, count, triesMax = 20_000, 10_000, 100
	for range triesMax {
		port := first + rand.IntN(count)
		if free(t, port) && free(t, port+1) {
			return port
		}
	}
	t.Fatalf("no port is free in %d tries from %d", triesMax, first)
	return 0
}

func free(t *testing.T, port int) bool {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func restart(t *testing.T, b *kafka.Broker) {
	t.Helper()
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	// The process may be gone a moment before its port is free.
	eventually(t, startWithin, "the broker is back", func() (bool, string) {
		err := b.Start(t.Context())
		return err == nil, fmt.Sprint(err)
	})
}

// freeze stops the broker's process where it is for a time. The time is the fault itself.
func freeze(t *testing.T, b *kafka.Broker, length time.Duration) {
	t.Helper()
	if err := b.Pause(); err != nil {
		t.Fatal(err)
	}
	over := time.NewTimer(length)
	defer over.Stop()
	select {
	case <-over.C:
	case <-t.Context().Done():
	}
	if err := b.Continue(); err != nil {
		t.Fatal(err)
	}
}
