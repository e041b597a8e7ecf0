package audit

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Topics names what to audit and how to reach it.
type Topics struct {
	Client      []kgo.Opt // brokers, TLS, SASL: nothing about consuming
	Input       []string  // all with the same number of partitions
	Output      string
	Visits      string
	DeadLetters string
	// Progress is told of every partition number that was audited; nil: nobody is.
	Progress func(done, of int)
}

// Run audits topics from their beginning to where they end now, as a consumer
// of committed records sees them. Nobody should be writing.
func Run(ctx context.Context, c Config, t Topics) (Report, error) {
	a := New(c)
	client, err := kgo.NewClient(t.Client...)
	if err != nil {
		return Report{}, fmt.Errorf("audit: %w", err)
	}
	defer client.Close()
	r := &reader{topics: t, admin: kadm.NewClient(client)}
	if err := r.look(ctx); err != nil {
		return Report{}, fmt.Errorf("audit: %w", err)
	}
	for p := range r.partitions(t.DeadLetters) {
		if err := r.read(ctx, t.DeadLetters, p, a.DeadLetter); err != nil {
			return Report{}, err
		}
	}
	count := int32(0)
	for _, topic := range append([]string{t.Output, t.Visits}, t.Input...) {
		count = max(count, r.partitions(topic))
	}
	for p := range count {
		if err := r.partition(ctx, a, p); err != nil {
			return Report{}, err
		}
		if t.Progress != nil {
			t.Progress(int(p)+1, int(count))
		}
	}
	return a.Report(), nil
}

// reader reads single partitions from their start to their end.
type reader struct {
	topics Topics
	admin  *kadm.Client
	starts kadm.ListedOffsets
	ends   kadm.ListedOffsets
}

// look finds out where everything begins and ends. The ends are those of the
// committed records: behind them there may be an open transaction.
func (r *reader) look(ctx context.Context) (err error) {
	all := append([]string{r.topics.Output, r.topics.Visits, r.topics.DeadLetters},
		r.topics.Input...)
	if r.ends, err = r.admin.ListCommittedOffsets(ctx, all...); err == nil {
		err = r.ends.Error()
	}
	if err != nil {
		return fmt.Errorf("list the ends of %v: %w", all, err)
	}
	if r.starts, err = r.admin.ListStartOffsets(ctx, all...); err == nil {
		err = r.starts.Error()
	}
	if err != nil {
		return fmt.Errorf("list the starts of %v: %w", all, err)
	}
	return nil
}

func (r *reader) partitions(topic string) int32 { return int32(len(r.ends[topic])) }

func (r *reader) partition(ctx context.Context, a *Auditor, p int32) error {
	for _, topic := range r.topics.Input {
		if err := r.read(ctx, topic, p, a.Input); err != nil {
			return err
		}
	}
	if err := r.read(ctx, r.topics.Output, p, a.Output); err != nil {
		return err
	}
	if err := r.read(ctx, r.topics.Visits, p, a.Visit); err != nil {
		return err
	}
	a.EndPartition()
	return nil
}

func (r *reader) read(ctx context.Context, topic string, p int32, f func(*Record)) error {
	end, ok := r.ends.Lookup(topic, p)
	start, _ := r.starts.Lookup(topic, p)
	if !ok || start.Offset >= end.Offset {
		return nil
	}
	opts := append(slices.Clone(r.topics.Client),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			topic: {p: kgo.NoResetOffset().At(start.Offset)},
		}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// The last offset of a partition is often a transaction's marker: without
		// them there is no telling that the end was reached.
		kgo.KeepControlRecords(),
	)
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("audit %s/%d: %w", topic, p, err)
	}
	defer client.Close()
	for next := start.Offset; next < end.Offset; {
		fetches, err := poll(ctx, client)
		if err != nil {
			return fmt.Errorf("audit %s/%d at %d, before its end at %d: %w", topic, p, next,
				end.Offset, err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			k := it.Next()
			next = k.Offset + 1
			if !k.Attrs.IsControl() && k.Offset < end.Offset {
				f(record(k))
			}
		}
	}
	return nil
}

// stalledAfter is how long a partition may yield nothing before its end.
const stalledAfter = 30 * time.Second

func poll(ctx context.Context, client *kgo.Client) (kgo.Fetches, error) {
	ctx, cancel := context.WithTimeout(ctx, stalledAfter)
	defer cancel()
	fetches := client.PollFetches(ctx)
	for _, e := range fetches.Errors() {
		return nil, e.Err
	}
	return fetches, nil
}

func record(k *kgo.Record) *Record {
	r := &Record{
		Topic: k.Topic, Partition: k.Partition, Offset: k.Offset,
		TimestampMs: k.Timestamp.UnixMilli(), Key: k.Key, Value: k.Value,
	}
	for _, h := range k.Headers {
		r.Headers = append(r.Headers, Header{Key: h.Key, Value: h.Value})
	}
	return r
}
