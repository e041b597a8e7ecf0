package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Kafka is the log of topics on brokers, as consumers of committed records see it, up to a frontier
// that is taken when it is opened. The topics may go on moving behind it.
type Kafka struct {
	connect Connect
	client  *kgo.Client
	admin   *kadm.Client
	group   string
	topics  Topics

	starts, ends kadm.ListedOffsets
	frontier     kadm.OffsetResponses
	compacted    map[string]bool
}

// Connect makes a client: how the brokers are reached, and what is asked for here.
type Connect func(more ...kgo.Opt) (*kgo.Client, error)

// OpenKafka takes the frontier. The caller closes what is returned.
//
// The order matters. First the committed offsets, stable ones: what they cover has been decided,
// and its records lie below the ends of the other topics as they are afterwards, though the marker
// of the last transaction may still be on its way to some of them; so the ends are those of all
// records, and reading waits until the transactions below them are over. The ends of the input come
// last: every record of the output is of one below them.
func OpenKafka(ctx context.Context, connect Connect, group string, t Topics) (_ *Kafka, err error) {
	k := &Kafka{connect: connect, group: group, topics: t, compacted: map[string]bool{}}
	if k.client, err = connect(); err != nil {
		return nil, err
	}
	k.admin = kadm.NewClient(k.client)
	if err := k.look(ctx); err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

// Close gives the connections back.
func (k *Kafka) Close() { k.client.Close() }

func (k *Kafka) look(ctx context.Context) (err error) {
	others := []string{k.topics.Output, k.topics.Visits, k.topics.DeadLetters}
	if k.frontier, err = k.offsets(ctx); err != nil {
		return err
	}
	if k.ends, err = listed(k.admin.ListEndOffsets(ctx, others...)); err != nil {
		return fmt.Errorf("look up the ends of %v: %w", others, err)
	}
	inputs, err := listed(k.admin.ListCommittedOffsets(ctx, k.topics.Input...))
	if err != nil {
		return fmt.Errorf("look up the ends of %v: %w", k.topics.Input, err)
	}
	for topic, partitions := range inputs {
		k.ends[topic] = partitions
	}
	all := slices.Concat(others, k.topics.Input)
	if k.starts, err = listed(k.admin.ListStartOffsets(ctx, all...)); err != nil {
		return fmt.Errorf("look up the starts of %v: %w", all, err)
	}
	described, err := k.admin.DescribeTopicConfigs(ctx, k.topics.Visits)
	if err != nil {
		return fmt.Errorf("look up the settings of %s: %w", k.topics.Visits, err)
	}
	for _, d := range described {
		for _, c := range d.Configs {
			if c.Key == "cleanup.policy" && c.Value != nil && *c.Value != "delete" {
				k.compacted[d.Name] = true
			}
		}
	}
	return nil
}

func listed(o kadm.ListedOffsets, err error) (kadm.ListedOffsets, error) {
	if err == nil {
		err = o.Error()
	}
	return o, err
}

// offsets are the committed ones. Without RequireStable an old one comes back while one is pending.
func (k *Kafka) offsets(ctx context.Context) (kadm.OffsetResponses, error) {
	o, err := k.admin.FetchOffsetsForTopics(kadm.RequireStable(ctx), k.group, k.topics.Input...)
	if err == nil {
		err = o.Error()
	}
	if errors.Is(err, kerr.GroupIDNotFound) {
		return kadm.OffsetResponses{}, nil // nobody ever committed
	}
	if err != nil {
		return nil, fmt.Errorf("look up the committed offsets of group %s: %w", k.group, err)
	}
	return o, nil
}

// Partitions is how many a topic has.
func (k *Kafka) Partitions(topic string) int32 { return int32(len(k.ends[topic])) }

// Frontier is the committed offset of an input partition as it was at the beginning.
func (k *Kafka) Frontier(topic string, partition int32) int64 {
	if o, ok := k.frontier.Lookup(topic, partition); ok {
		return o.At
	}
	return -1
}

// Committed is the committed offset as it is now.
func (k *Kafka) Committed(ctx context.Context, topic string, partition int32) (int64, error) {
	all, err := k.offsets(ctx)
	if err != nil {
		return 0, err
	}
	if o, ok := all.Lookup(topic, partition); ok {
		return o.At, nil
	}
	return -1, nil
}

// Compacted reports whether a topic may lose records other than the oldest.
func (k *Kafka) Compacted(topic string) bool { return k.compacted[topic] }

// Records is about how many records there are to read.
func (k *Kafka) Records() (n int64) {
	for topic, partitions := range k.ends {
		times := int64(1)
		if topic == k.topics.Visits {
			times = int64(len(k.topics.Input))
		}
		for p, end := range partitions {
			if start, ok := k.starts.Lookup(topic, p); ok {
				n += times * (end.Offset - start.Offset)
			}
		}
	}
	return n
}

// Open begins to read a partition.
func (k *Kafka) Open(_ context.Context, topic string, partition int32) (Stream, error) {
	start, ok := k.starts.Lookup(topic, partition)
	end, ok2 := k.ends.Lookup(topic, partition)
	if !ok || !ok2 {
		return emptyStream{}, nil
	}
	s := &kafkaStream{topic: topic, partition: partition, start: start.Offset, next: start.Offset,
		end: end.Offset}
	if s.next >= s.end {
		return s, nil
	}
	var err error
	s.client, err = k.connect(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			topic: {partition: kgo.NewOffset().At(start.Offset)},
		}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// The last offset of a partition is often a transaction's marker: without them there is no
		// telling that the end was reached.
		kgo.KeepControlRecords(),
		// Not FetchMaxBytes: where that one ends a fetch, kfake leaves out which transactions aborted.
		kgo.FetchMaxPartitionBytes(fetchBytesMax),
	)
	return s, err
}

const (
	// fetchBytesMax bounds what a stream holds, of which there are a few at a time. It counts what is
	// compressed; in memory it is ten times as much.
	fetchBytesMax = 1 << 20
	// silenceMax is how long a partition may yield nothing below its end: longer than a transaction
	// that was left open there takes to be aborted.
	silenceMax = 30 * time.Second
)

// kafkaStream is a partition on a broker.
type kafkaStream struct {
	topic            string
	partition        int32
	client           *kgo.Client // nil: there is nothing to read
	start, next, end int64
	records          []*kgo.Record
}

func (s *kafkaStream) Start() int64 { return s.start }
func (s *kafkaStream) End() int64   { return s.end }

func (s *kafkaStream) Close() {
	if s.client != nil {
		s.client.Close()
	}
}

func (s *kafkaStream) Next(ctx context.Context) (*Record, error) {
	for {
		for len(s.records) > 0 {
			r := s.records[0]
			s.records = s.records[1:]
			s.next = r.Offset + 1
			if !r.Attrs.IsControl() && r.Offset < s.end {
				return auditRecord(r), nil
			}
		}
		if s.next >= s.end || s.client == nil {
			s.Close()
			return nil, nil
		}
		if err := s.poll(ctx); err != nil {
			return nil, err
		}
	}
}

// poll waits for records. Nothing below the end for a long time: what is left there was compacted
// away, or a transaction is open that holds it back, which is none of those before the frontier.
func (s *kafkaStream) poll(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, silenceMax)
	defer cancel()
	fetches := s.client.PollFetches(wait)
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, e := range fetches.Errors() {
		if errors.Is(e.Err, context.DeadlineExceeded) {
			s.next = s.end
			continue
		}
		return fmt.Errorf("read %s/%d at %d: %w", s.topic, s.partition, s.next, e.Err)
	}
	s.records = fetches.Records()
	return nil
}

func auditRecord(k *kgo.Record) *Record {
	r := &Record{
		Topic: k.Topic, Partition: k.Partition, Offset: k.Offset,
		TimestampMs: k.Timestamp.UnixMilli(), Key: k.Key, Value: k.Value,
	}
	for _, h := range k.Headers {
		r.Headers = append(r.Headers, Header{Key: h.Key, Value: h.Value})
	}
	return r
}
