//go:build kafka

package kafkatest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// reader reads a topic from its beginning.
type reader struct {
	topic   string
	cl      *kgo.Client
	next    map[int32]int64 // by partition: behind the last record seen, markers too
	records []*kgo.Record   // without markers
}

func (p *pipeline) newReader(t *testing.T, topic string, level kgo.IsolationLevel) *reader {
	t.Helper()
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(p.brokers...),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(level),
		kgo.KeepControlRecords(), // they say how far a partition was read
		kgo.FetchMaxWait(100*time.Millisecond),
		kgo.MetadataMaxAge(5*time.Second),
		kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return &reader{topic: topic, cl: cl, next: map[int32]int64{}}
}

// follow returns a reader of what is committed.
func (p *pipeline) follow(t *testing.T, topic string) *reader {
	t.Helper()
	return p.newReader(t, topic, kgo.ReadCommitted())
}

// until reads on until enough says so. It blocks in the broker's fetch, not in a loop of its own.
func (r *reader) until(
	t *testing.T, within time.Duration, what string, enough func() (bool, string),
) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for {
		yes, seen := enough()
		if yes {
			return
		}
		fetches := r.cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%s: not within %s; last seen: %s", what, within, seen)
		}
		for _, e := range fetches.Errors() {
			t.Logf("read %s/%d: %v", e.Topic, e.Partition, e.Err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			rec := it.Next()
			r.next[rec.Partition] = rec.Offset + 1
			if !rec.Attrs.IsControl() {
				r.records = append(r.records, rec)
			}
		}
	}
}

// upTo reads until the given ends.
func (r *reader) upTo(t *testing.T, ends, starts map[int32]int64) {
	t.Helper()
	r.until(t, drainWithin, "read all of "+r.topic, func() (bool, string) {
		for id, end := range ends {
			if end > starts[id] && r.next[id] < end {
				return false, fmt.Sprintf("partition %d at %d of %d", id, r.next[id], end)
			}
		}
		return true, ""
	})
}

// byPartition are the records in the order of their offsets.
func (r *reader) byPartition() map[int32][]*kgo.Record {
	sorted := map[int32][]*kgo.Record{}
	for _, rec := range r.records {
		sorted[rec.Partition] = append(sorted[rec.Partition], rec)
	}
	return sorted
}

// all reads everything that is committed in a topic, after every transaction on it has ended.
func (p *pipeline) all(t *testing.T, topic string) map[int32][]*kgo.Record {
	t.Helper()
	eventually(t, drainWithin, "no transaction is open on "+topic, func() (bool, string) {
		stable, last := p.ends(t, topic, true), p.ends(t, topic, false)
		return fmt.Sprint(stable) == fmt.Sprint(last), fmt.Sprintf("stable %v, end %v", stable, last)
	})
	r := p.follow(t, topic)
	r.upTo(t, p.ends(t, topic, false), p.starts(t, topic))
	return r.byPartition()
}

// aborted counts the records of a topic that were written and never committed.
func (p *pipeline) aborted(t *testing.T, topic string) int {
	t.Helper()
	count := func(level kgo.IsolationLevel) int {
		r := p.newReader(t, topic, level)
		r.upTo(t, p.ends(t, topic, false), p.starts(t, topic))
		return len(r.records)
	}
	return count(kgo.ReadUncommitted()) - count(kgo.ReadCommitted())
}

func (p *pipeline) starts(t *testing.T, topic string) map[int32]int64 {
	t.Helper()
	listed, err := p.adm.ListStartOffsets(ask(t), topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		t.Fatalf("look up the start of %s: %v", topic, err)
	}
	starts := map[int32]int64{}
	for id, o := range listed[topic] {
		starts[id] = o.Offset
	}
	return starts
}
