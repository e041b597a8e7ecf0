package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Open begins to read a partition.
func (k *Kafka) Open(_ context.Context, topic string, partition int32) (Stream, error) {
	start, ok := k.starts.Lookup(topic, partition)
	end, ok2 := k.ends.Lookup(topic, partition)
	if !ok || !ok2 {
		return emptyStream{}, nil
	}
	s := &kafkaStream{log: k, topic: topic, partition: partition, start: start.Offset,
		next: start.Offset, end: end.Offset}
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

// fetchBytesMax bounds what a stream holds, of which there are a few at a time. It counts what is
// compressed; in memory it is ten times as much.
const fetchBytesMax = 1 << 20

// kafkaStream is a partition on a broker.
type kafkaStream struct {
	log              *Kafka
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
		if err := s.wait(ctx); err != nil {
			return nil, err
		}
	}
}

const (
	pollMax        = time.Second // a poll that brings nothing; then the broker is asked
	probeBytesMax  = 1 << 20     // of one answer: at least one batch comes all the same
	probeAnswerMax = 10 * time.Second
)

// wait waits for records, or for the proof that there are none below the end. Silence is no proof:
// a broker may be away, and a transaction that is open may hold back what lies behind it. What is
// left may also have been compacted away, or be nothing but the traces of transactions; no poll
// says so, for it returns records and there are none. So in silence the log itself is asked, and
// who does not answer is waited for.
func (s *kafkaStream) wait(ctx context.Context) error {
	what := fmt.Sprintf("read %s/%d at %d, which ends at %d", s.topic, s.partition, s.next, s.end)
	w := s.log.newWait(what)
	for {
		polled := s.poll(ctx)
		if len(s.records) > 0 {
			return nil
		}
		before := s.next
		seen, err := s.probe(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", what, ctx.Err())
		}
		if s.next >= s.end {
			return nil
		}
		if s.next > before {
			w = s.log.newWait(what) // it goes on, through what was aborted
		}
		for _, err := range []error{polled, err} {
			// That the topic is unknown is what a broker says, too, that has just come back.
			if err != nil && !isTransient(err) && !errors.Is(err, kerr.UnknownTopicOrPartition) {
				return fmt.Errorf("%s: %w%s", what, err, s.hint(err))
			}
		}
		err = firstError(err, polled)
		if !w.isOver(seen.text(s, err)) {
			continue
		}
		stuck := &StuckError{Topic: s.topic, Partition: s.partition, Offset: s.next, End: s.end,
			Why: seen.text(s, err)}
		if err == nil && seen.stable < s.end && seen.stable < seen.end {
			stuck.Offset = seen.stable
			stuck.Why += ". " + s.log.openTransaction(ctx, s.topic, s.partition)
		}
		return stuck
	}
}

// poll takes what the consumer has, and waits a moment for it.
func (s *kafkaStream) poll(ctx context.Context) (err error) {
	wait, cancel := context.WithTimeout(ctx, pollMax)
	defer cancel()
	fetches := s.client.PollFetches(wait)
	for _, e := range fetches.Errors() {
		if !errors.Is(e.Err, context.DeadlineExceeded) {
			err = firstError(err, e.Err)
		}
	}
	s.records = fetches.Records()
	return err
}

func (s *kafkaStream) hint(err error) string {
	if errors.Is(err, kerr.OffsetOutOfRange) {
		return ": the records there were deleted while they were being read, verify again"
	}
	return ""
}

// seen is what the leader of a partition says of its log.
type seen struct{ stable, end int64 }

// text says why there is nothing to read.
func (x seen) text(s *kafkaStream, err error) string {
	switch {
	case err != nil:
		return "the broker does not answer: " + err.Error()
	case x.end < s.end:
		return fmt.Sprintf("the leader's log ends at %d: it has not caught up, or has lost records", x.end)
	case x.stable < s.end:
		return fmt.Sprintf("a transaction is open there and holds back what is behind offset %d", x.stable)
	}
	return "the broker has records there, and the consumer does not get them"
}

// probe asks the leader for what lies at the next offset and goes past what it proves to be
// nothing: batches without a committed record, and everything up to the end once the leader knows
// of the end, has no transaction open below it and finds no batch.
func (s *kafkaStream) probe(ctx context.Context) (x seen, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeAnswerMax)
	defer cancel()
	for s.next < s.end {
		rp, err := s.fetch(ctx)
		if err != nil {
			return x, err
		}
		fp, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
			Offset: s.next, IsolationLevel: kgo.ReadCommitted(), Topic: s.topic, Partition: s.partition,
		}, rp, kgo.DefaultDecompressor(), nil)
		x = seen{fp.LastStableOffset, fp.HighWatermark}
		switch {
		case fp.Err != nil:
			return x, fp.Err
		case len(fp.Records) > 0 && fp.Records[0].Offset < s.end:
			s.next = max(s.next, fp.Records[0].Offset)
			return x, nil // a poll will bring it
		case len(fp.Records) > 0:
			s.next = s.end
		case len(rp.RecordBatches) == 0 && x.stable >= s.end:
			s.next = s.end // a broker looks as far as it must to find a batch
		case next <= s.next:
			return x, nil
		default:
			s.next = next
		}
	}
	return x, nil
}

// fetch asks the leader, whoever that is now.
func (s *kafkaStream) fetch(ctx context.Context) (*kmsg.FetchResponseTopicPartition, error) {
	topics, err := s.log.admin.ListTopics(ctx, s.topic)
	if err != nil {
		return nil, fmt.Errorf("look up the leader: %w", err)
	}
	topic := topics[s.topic]
	leader := topic.Partitions[s.partition]
	if err := firstError(topic.Err, leader.Err); err != nil {
		return nil, fmt.Errorf("look up the leader: %w", err)
	}
	req := kmsg.NewPtrFetchRequest()
	req.MinBytes, req.MaxBytes, req.IsolationLevel = 0, probeBytesMax, 1 // read committed
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = s.topic, topic.ID
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = s.partition, s.next, probeBytesMax
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	answer, err := s.log.client.Broker(int(leader.Leader)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	resp, ok := answer.(*kmsg.FetchResponse)
	if !ok {
		return nil, fmt.Errorf("the answer is a %T", answer)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 ||
		resp.Topics[0].Partitions[0].Partition != s.partition {
		return nil, errors.New("the answer is not of this partition")
	}
	return &resp.Topics[0].Partitions[0], nil
}

// openTransaction names the transaction that holds a partition back, and what to do about it.
func (k *Kafka) openTransaction(ctx context.Context, topic string, partition int32) string {
	ctx, cancel := context.WithTimeout(ctx, lookupMax)
	defer cancel()
	const todo = "If its producer lives, let it end the transaction; else wait until the broker has timed " +
		"it out, or end it by hand (OPERATING.md, Hanging transactions). Then verify again"
	described, err := k.admin.DescribeProducers(ctx, kadm.TopicsSet{topic: {partition: {}}})
	if err != nil {
		return fmt.Sprintf("Whose it is could not be looked up: %v. %s", err, todo)
	}
	var first *kadm.DescribedProducer
	described.EachProducer(func(p kadm.DescribedProducer) {
		if p.CurrentTxnStartOffset >= 0 &&
			(first == nil || p.CurrentTxnStartOffset < first.CurrentTxnStartOffset) {
			first = &p
		}
	})
	if first == nil {
		for _, p := range described.SortedPartitions() {
			if p.Err != nil {
				return fmt.Sprintf("Whose it is could not be looked up: %v. %s", p.Err, todo)
			}
		}
		return "The broker names no producer. " + todo
	}
	name := "no transactional id is known for it: it hangs, or the right to see it is missing"
	if txns, err := k.admin.ListTransactions(ctx, []int64{first.ProducerID}, nil); err == nil {
		for _, t := range txns.Sorted() {
			if t.ProducerID == first.ProducerID {
				name = fmt.Sprintf("transactional id %q, state %s", t.TxnID, t.State)
			}
		}
	}
	return fmt.Sprintf("It is open since offset %d, by producer id %d, epoch %d (%s). %s",
		first.CurrentTxnStartOffset, first.ProducerID, first.ProducerEpoch, name, todo)
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
