//go:build kafka

package kafkatest

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/internal/failpoint"
)

// A dead letter goes back to the input once, on a real broker: however often the command is killed,
// inside a transaction or at any moment, and with another one at its side, while run goes on.

func TestDLQRedrive_SendsEachOnceHoweverOftenItIsKilled(t *testing.T) {
	t.Parallel()
	rng := random(t)
	binary := filepath.Join(t.TempDir(), "sessionizer-failpoint")
	if err := build(binary, "-tags", "failpoint"); err != nil {
		t.Fatal(err)
	}
	const partitions, bad, killed = 3, 3000, 6
	p := newPipeline(t, partitions, nil, "time.sources=timestamp")
	p.make(t)
	at := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	var records []*kgo.Record
	for i := range bad {
		records = append(records, &kgo.Record{
			Key: fmt.Appendf(nil, "key-%d", i), Timestamp: at,
			Value: fmt.Appendf(nil, `{"anonymousId":"","timestamp":%q,"n":%d}`, at.Format(time.RFC3339), i),
		})
	}
	p.send(t, records...)
	p.runUntilEnd(t, "one")

	// The mended configuration takes the record key: what is sent back gets a session.
	service := p.run(t, "one", "paths.anonymous_id=anonymousId,$key", "dead_letters.on.malformed=fail")
	// Its reader sees what is not committed yet: that is when a process is killed.
	input := p.newReader(t, p.input, kgo.ReadUncommitted())
	redriven := func(records []*kgo.Record) (all []*kgo.Record) {
		for _, r := range records {
			if n := len(r.Headers); n > 0 && r.Headers[n-1].Key == "__sessionizer.redrive.attempts" {
				all = append(all, r)
			}
		}
		return all
	}
	command := []string{"dlq", "redrive", "--yes", "--limit", "0"}
	redrive := func(args ...string) *process {
		return start(t, "redrive", p.dir, p.args("one", append(command, args...)...)...)
	}
	for i := range killed {
		if i%2 == 0 {
			point := fmt.Sprintf("%s:%d", failpoint.OpenTransaction, 1+rng.IntN(3))
			proc, err := launchProgram(t, binary, []string{failpoint.Variable + "=" + point}, point, p.dir,
				p.args("one", append(command, "--rate", "100")...)...)
			if err != nil {
				t.Fatal(err)
			}
			proc.ends(t, drainWithin, -1, "failpoint: killed at "+failpoint.OpenTransaction)
			continue
		}
		proc := redrive("--rate", "100")
		want := len(redriven(input.records)) + 1 + 100*rng.IntN(3)
		input.until(t, drainWithin, "some are sent back", func() (bool, string) {
			n := len(redriven(input.records))
			return n >= want, fmt.Sprintf("%d of %d", n, want)
		})
		if !proc.alive() {
			t.Fatalf("run %d had ended before it was killed", i)
		}
		proc.kill()
	}
	// Two at once: the older one is shut out, or had done its work.
	older, newer := redrive("--rate", "1000"), redrive()
	newerEnds := newer.wait(t, drainWithin)
	olderEnds := older.wait(t, drainWithin)
	t.Logf("of two at once: exit codes %d and %d", olderEnds, newerEnds)
	redrive().ends(t, drainWithin, 0)

	times := map[string]int{}
	for _, records := range p.all(t, p.input) {
		for _, r := range redriven(records) {
			times[string(r.Value)]++
		}
	}
	for _, r := range records {
		if n := times[string(r.Value)]; n != 1 {
			t.Errorf("%s was sent back %d times", r.Value, n)
		}
	}
	if len(times) != bad {
		t.Errorf("%d were sent back, want %d", len(times), bad)
	}
	output := p.follow(t, p.output)
	output.until(t, drainWithin, "all that was sent back has a session", func() (bool, string) {
		return len(output.records) >= bad, fmt.Sprintf("%d of %d", len(output.records), bad)
	})
	service.stop(t)
	if out := p.all(t, p.output); len(out[0])+len(out[1])+len(out[2]) != bad {
		t.Errorf("the output has %d, %d and %d events, want %d", len(out[0]), len(out[1]),
			len(out[2]), bad)
	}
	if p.aborted(t, p.input) == 0 {
		t.Error("no death was inside a transaction")
	}
}
