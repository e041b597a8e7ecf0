package processor

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/internal/events"
	"sessionizer/schemas"
	"sessionizer/session"
	"sessionizer/state"
)

// The whole way of an event but for the broker: scan, state, step, splice, changelog, commit.

const (
	benchEvents    = 20_000 // of one transaction
	benchCustomers = 5_000
)

// newBenchTask returns a task on a store in memory and the input of one transaction.
func newBenchTask(tb testing.TB) (*Task, []*kgo.Record) {
	tb.Helper()
	rules := session.DefaultRules()
	if err := rules.Compile(); err != nil {
		tb.Fatal(err)
	}
	profile, err := schemas.LoadProfile("krenalis")
	if err != nil {
		tb.Fatal(err)
	}
	codec, err := schemas.NewCodec(schemas.Config{
		Profile: profile, Fields: []string{"standard"}, FutureTolerance: 60_000,
	})
	if err != nil {
		tb.Fatal(err)
	}
	store, err := state.Open("state", state.Options{
		FS: vfs.NewMem(), Cache: 64 << 20, Due: DueOf(&rules),
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := store.Close(); err != nil {
			tb.Error(err)
		}
	})
	part, err := store.Partition("events", 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := part.Close(); err != nil {
			tb.Error(err)
		}
	})
	g := events.New(events.Standard(1, benchCustomers, 1_700_000_000_000))
	in := make([]*kgo.Record, benchEvents)
	for i := range in {
		e := g.Next()
		in[i] = &kgo.Record{
			Key: append([]byte(nil), e.Key...), Value: append([]byte(nil), e.Value...),
			Timestamp: time.UnixMilli(e.TimestampMs),
		}
	}
	topics := Topics{Output: "out", Visits: "visits", DeadLetters: "dead", Changelog: "log"}
	return NewTask(&rules, codec, part, "events", 0, topics, Policy{}), in
}

// transact steps one transaction's input, beginning at an offset, and commits it.
func transact(tb testing.TB, t *Task, in []*kgo.Record, offset int64) {
	tb.Helper()
	for i, r := range in {
		r.Offset = offset + int64(i)
		if err := t.Step(r); err != nil {
			tb.Fatal(err)
		}
	}
	if _, err := t.Tick(t.Watermark()); err != nil {
		tb.Fatal(err)
	}
	if _, err := t.Close(1, [16]byte{1}, time.UnixMilli(1)); err != nil {
		tb.Fatal(err)
	}
	if n := len(t.Ready()); n < len(in) {
		tb.Fatalf("%d records of %d events", n, len(in))
	}
	if err := t.Commit(offset, [16]byte{2}); err != nil {
		tb.Fatal(err)
	}
}

func TestTask_AllocatesLittlePerEvent(t *testing.T) {
	const allocsMax = 4 // per event, amortised over a transaction
	task, in := newBenchTask(t)
	offset := int64(0)
	next := func() {
		transact(t, task, in, offset)
		offset += int64(len(in))
	}
	next()
	if got := testing.AllocsPerRun(3, next) / float64(len(in)); got > allocsMax {
		t.Errorf("%.2f allocations per event, want at most %d", got, allocsMax)
	}
}

func BenchmarkTask(b *testing.B) {
	task, in := newBenchTask(b)
	bytes := 0
	for _, r := range in {
		bytes += len(r.Value)
	}
	b.SetBytes(int64(bytes / len(in)))
	b.ReportAllocs()
	offset := int64(0)
	transact(b, task, in, offset)
	b.ResetTimer()
	for n := b.N; n > 0; n -= len(in) {
		offset += int64(len(in))
		transact(b, task, in[:min(n, len(in))], offset)
	}
}

// BenchmarkTask_Sweep is BenchmarkTask with 100,000 more keys in the store and a step of a sweep in
// every transaction of 20,000 events: none, what the pace asks for at a commit each 200 ms
// (sweepRowsMin), and the most there is.
func BenchmarkTask_Sweep(b *testing.B) {
	const stored = 100_000
	for _, rows := range []int{0, sweepRowsMin, sweepRowsMax} {
		b.Run(fmt.Sprint("rows=", rows), func(b *testing.B) {
			task, in := newBenchTask(b)
			offset := int64(len(in))
			transact(b, task, in, 0)
			row, history, err := task.part.Get(session.AppendKey(nil, nil, in[0].Key))
			if err != nil || row == nil {
				b.Fatal(row, err)
			}
			row, history = bytes.Clone(row), bytes.Clone(history)
			for i := range stored {
				key := session.AppendKey(nil, nil, fmt.Append(nil, "stored-", i))
				task.part.Put(key, row, session.NoTime)
				task.part.PutHistory(key, history)
			}
			transact(b, task, in, offset)
			if err := task.part.Flush(); err != nil {
				b.Fatal(err)
			}
			task.sweepRowsMax = rows
			now := time.UnixMilli(0)
			var swept time.Duration
			b.ReportAllocs()
			b.ResetTimer()
			for n := b.N; n > 0; n -= len(in) {
				if rows > 0 {
					task.sweep.last, task.sweep.wait = now, session.NoTime
					now = now.Add(sweepEvery)
					began := time.Now()
					if err := task.Sweep(now); err != nil {
						b.Fatal(err)
					}
					swept += time.Since(began)
				}
				offset += int64(len(in))
				transact(b, task, in[:min(n, len(in))], offset)
			}
			b.ReportMetric(100*float64(swept)/float64(b.Elapsed()), "sweep-%")
		})
	}
}
