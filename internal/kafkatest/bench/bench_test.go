//go:build kafka

// Package bench measures the processor end to end beside the least that any exactly-once program
// can do on the same broker: poll, produce and commit, with the same client and the same options.
package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"sessionizer/internal/events"
	"sessionizer/processor"
	"sessionizer/schemas"
	"sessionizer/session"
	"sessionizer/state"
)

const (
	partitions = 8
	inputCount = 1_200_000 // events of about 1.2 KB
	customers  = 20_000
)

func brokers(b *testing.B) []string {
	b.Helper()
	list := os.Getenv("KAFKA_BROKERS")
	if list == "" {
		b.Fatal("KAFKA_BROKERS names no brokers: run `make bench`, or start one with `make kafka`")
	}
	return strings.Split(list, ",")
}

// BenchmarkPipeline copies the same input with the bare loop and with the processor, in turn, with
// as many lanes each, and reports the processor's share of the loop's throughput and its CPU per
// event in loops.
func BenchmarkPipeline(b *testing.B) {
	addrs := brokers(b)
	cl, err := kgo.NewClient(kgo.SeedBrokers(addrs...),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	run := fmt.Sprintf("bench-%d", time.Now().UnixNano())
	input := run + "-in"
	makeTopics(b, adm, input)
	fill(b, cl, input)
	for _, lanes := range []int{1, 2} {
		b.Run(fmt.Sprintf("lanes=%d", lanes), func(b *testing.B) {
			pipeline(b, adm, fmt.Sprintf("%s-%d", run, lanes), input, lanes)
		})
	}
}

func pipeline(b *testing.B, adm *kadm.Client, run, input string, lanes int) {
	b.Helper()
	addrs := brokers(b)
	var bare, full usage
	for i := 0; b.Loop(); i++ {
		name := fmt.Sprintf("%s-%d", run, i)
		makeTopics(b, adm, name+"-copy")
		bare.add(measure("bare", func() { copyLoops(b, addrs, name, input, lanes) }))
		c := config(b, addrs, name, input)
		c.Lanes = lanes
		top, err := processor.Inspect(b.Context(), adm, &c)
		if err != nil {
			b.Fatal(err)
		}
		made, err := processor.CreateTopics(b.Context(), adm, top)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := processor.Await(b.Context(), adm, &c, made); err != nil {
			b.Fatal(err)
		}
		full.add(measure("full", func() {
			if err := processor.Run(b.Context(), c); err != nil {
				b.Fatal(err)
			}
		}))
		_, err = adm.DeleteTopics(b.Context(), name+"-copy", c.Output, c.Visits, c.DeadLetters)
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(bare.wall.Seconds()/full.wall.Seconds(), "throughput/bare")
	b.ReportMetric(full.cpu.Seconds()/bare.cpu.Seconds(), "cpu/bare")
	n := float64(bare.runs * inputCount)
	b.ReportMetric(n/full.wall.Seconds(), "events/s")
	b.ReportMetric(n/bare.wall.Seconds(), "bare-events/s")
	b.ReportMetric(float64(full.cpu.Microseconds())/n, "cpu-µs/event")
}

// usage is what a number of runs took of the clock and of the processors.
type usage struct {
	runs      int
	wall, cpu time.Duration
}

func (u *usage) add(v usage) { u.runs, u.wall, u.cpu = u.runs+1, u.wall+v.wall, u.cpu+v.cpu }

// measure runs a phase. A CPU profile tells the phases apart: go tool pprof -tagfocus full.
func measure(phase string, work func()) usage {
	began, cpu := time.Now(), processTime()
	pprof.Do(context.Background(), pprof.Labels("phase", phase), func(context.Context) { work() })
	return usage{1, time.Since(began), processTime() - cpu}
}

func processTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(fmt.Sprintf("getrusage: %v", err))
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func makeTopics(b *testing.B, adm *kadm.Client, names ...string) {
	b.Helper()
	forever := "-1" // the events are older than what a broker keeps by default
	rs, err := adm.CreateTopics(b.Context(), partitions, 1,
		map[string]*string{"retention.ms": &forever}, names...)
	if err == nil {
		err = rs.Error()
	}
	if err != nil {
		b.Fatal(err)
	}
}

func fill(b *testing.B, cl *kgo.Client, topic string) {
	b.Helper()
	g := events.New(events.Standard(1, customers, 1_700_000_000_000))
	var failed error
	var mu sync.Mutex
	for range inputCount {
		e := g.Next()
		r := &kgo.Record{
			Topic: topic, Key: append([]byte(nil), e.Key...), Value: append([]byte(nil), e.Value...),
			Timestamp: time.UnixMilli(e.TimestampMs),
		}
		cl.Produce(b.Context(), r, func(_ *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
			}
		})
	}
	if err := cl.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	if failed != nil {
		b.Fatal(failed)
	}
}

func config(b *testing.B, addrs []string, name, input string) processor.Config {
	b.Helper()
	rules := session.DefaultRules()
	if err := rules.Compile(); err != nil {
		b.Fatal(err)
	}
	profile, err := schemas.LoadProfile("krenalis")
	if err != nil {
		b.Fatal(err)
	}
	codec, err := schemas.NewCodec(schemas.Config{
		Profile: profile, Fields: []string{"standard"}, FutureTolerance: 60_000,
	})
	if err != nil {
		b.Fatal(err)
	}
	return processor.Config{
		Brokers: addrs, Group: name, Instance: "bench",
		SessionTimeout: 10 * time.Second, TransactionTimeout: 10 * time.Second,
		Input: []string{input}, Output: name + "-out", Visits: name + "-visits",
		DeadLetters: name + "-dead", Compression: kgo.Lz4Compression(),
		Rules: &rules, Codec: codec, IdleAfter: 10 * time.Second,
		CommitInterval: 200 * time.Millisecond, Lanes: 1, UntilEnd: true,
		StateDir: b.TempDir(), State: state.Options{Cache: 256 << 20}, Log: logger(b),
	}
}

// copyLoop is the bare transactional copy: what franz-go moves when it does nothing else.
func copyLoops(b *testing.B, addrs []string, name, input string, lanes int) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var copied atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, lanes)
	for i := range lanes {
		wg.Go(func() {
			defer cancel()
			errs[i] = copyLoop(ctx, addrs, name, input, fmt.Sprintf("%s-%d", name, i), &copied)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		b.Fatal(err)
	}
}

// copyLoop is one lane of it, until all is copied.
func copyLoop(
	ctx context.Context, addrs []string, name, input, lane string, copied *atomic.Int64,
) error {
	s, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(addrs...), kgo.ConsumerGroup(name+"-copy"), kgo.ConsumeTopics(input),
		kgo.InstanceID(lane), kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.TransactionalID(lane),
		kgo.TransactionTimeout(10*time.Second), kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()), kgo.StreamingCompression(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.FetchMaxWait(500*time.Millisecond), kgo.FetchMaxBytes(4<<20),
		kgo.MaxBufferedRecords(200_000),
		kgo.MaxBufferedBytes(128<<20), kgo.DisableClientMetrics(),
		kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return err
	}
	defer s.Close()
	for {
		fetches := s.PollRecords(ctx, 10_000)
		switch {
		case ctx.Err() != nil:
			return nil
		case fetches.Err() != nil:
			return fetches.Err()
		}
		if err := s.Begin(); err != nil {
			return err
		}
		began := time.Now()
		n := produceAll(ctx, s, fetches, name+"-copy")
		for time.Since(began) < 200*time.Millisecond && copied.Load()+int64(n) < inputCount {
			pollCtx, cancel := context.WithTimeout(ctx, 200*time.Millisecond-time.Since(began))
			n += produceAll(ctx, s, s.PollRecords(pollCtx, 10_000), name+"-copy")
			cancel()
		}
		committed, err := s.End(context.WithoutCancel(ctx), kgo.TryCommit)
		switch {
		case err != nil:
			return err
		// If not committed a rebalance came between, and all of it comes again.
		case committed && copied.Add(int64(n)) >= inputCount:
			return nil
		}
	}
}

func produceAll(
	ctx context.Context, s *kgo.GroupTransactSession, fetches kgo.Fetches, topic string,
) int {
	n := 0
	for it := fetches.RecordIter(); !it.Done(); n++ {
		in := it.Next()
		s.Produce(ctx, &kgo.Record{
			Topic: topic, Partition: in.Partition, Key: in.Key, Value: in.Value,
			Headers: in.Headers, Timestamp: in.Timestamp,
		}, nil)
	}
	return n
}

// logger tells of what should not happen in a benchmark: every reset costs time.
func logger(b *testing.B) *zap.Logger {
	b.Helper()
	c := zap.NewDevelopmentConfig()
	c.Level = zap.NewAtomicLevelAt(zap.InfoLevel)
	log, err := c.Build()
	if err != nil {
		b.Fatal(err)
	}
	return log
}
