package audit

import (
	"context"
	"fmt"
)

// Log is what is audited: the committed records of topics, between where they begin and where they
// ended when the audit began.
type Log interface {
	// Partitions is how many a topic has.
	Partitions(topic string) int32
	// Open begins to read a partition.
	Open(ctx context.Context, topic string, partition int32) (Stream, error)
	// Frontier is the committed offset of an input partition: of all before it the outcome is in
	// the topics. Negative: there is none.
	Frontier(topic string, partition int32) int64
	// Committed is the committed offset as it is now, when everything has been read.
	Committed(ctx context.Context, topic string, partition int32) (int64, error)
	// Compacted reports whether a topic keeps only the last record of each key.
	Compacted(topic string) bool
}

// Stream is a partition, read in the order of offsets.
type Stream interface {
	// Next returns the next record; nil at the end.
	Next(ctx context.Context) (*Record, error)
	// Start is the first offset that the partition still has, End the one behind its last.
	Start() int64
	End() int64
	Close()
}

// Run audits.
func Run(ctx context.Context, c Config, log Log) (Report, error) {
	a := &auditor{f: newForm(&c), log: log}
	count := int32(0)
	for _, topic := range append([]string{c.Topics.Output, c.Topics.Visits}, c.Topics.Input...) {
		count = max(count, log.Partitions(topic))
	}
	for p := range count {
		if err := a.partition(ctx, p); err != nil {
			return a.r, fmt.Errorf("audit partition %d: %w", p, err)
		}
	}
	return a.r, nil
}

// auditor goes through the partitions.
type auditor struct {
	f    *form
	r    Report
	log  Log
	done int64 // records read, for the progress
}

// opened is a stream that counts what is read of it.
type opened struct {
	Stream
	a *auditor
}

func (o opened) Next(ctx context.Context) (*Record, error) {
	r, err := o.Stream.Next(ctx)
	if err == nil && r != nil {
		if o.a.done++; o.a.f.Progress != nil {
			o.a.f.Progress(o.a.done)
		}
	}
	return r, err
}

func (a *auditor) open(ctx context.Context, topic string, p int32) (Stream, error) {
	if p >= a.log.Partitions(topic) {
		return emptyStream{}, nil
	}
	s, err := a.log.Open(ctx, topic, p)
	if err != nil {
		return nil, fmt.Errorf("open %s/%d: %w", topic, p, err)
	}
	return opened{s, a}, nil
}

// emptyStream is a partition that a topic does not have.
type emptyStream struct{}

func (emptyStream) Next(context.Context) (*Record, error) { return nil, nil }
func (emptyStream) Start() int64                          { return 0 }
func (emptyStream) End() int64                            { return 0 }
func (emptyStream) Close()                                {}

// partition audits one partition number.
func (a *auditor) partition(ctx context.Context, number int32) (err error) {
	p := newPass(a, number)
	defer func() { err = firstError(err, p.close()) }()
	if err := p.prepare(ctx); err != nil {
		return err
	}
	if err := p.run(ctx); err != nil {
		return err
	}
	for _, l := range p.lanes {
		for i := range buckets {
			if l.spill.isEmpty(i) {
				continue
			}
			j := &judge{f: a.f, r: &a.r, topic: l.topic, partition: number, keys: map[string]*key{},
				gaps: p.gaps}
			if err := l.spill.each(i, j.take); err != nil {
				return err
			}
			j.end(l.watermark, l.frontier, l.more)
		}
		if end := l.source.End(); !l.noOffset && l.frontier > end {
			a.r.find(Finding{Check: CheckOffsets, Topic: l.topic, Partition: number, Offset: l.frontier,
				What: fmt.Sprintf("the committed offset is %d, and the input ends at %d: a restart would "+
					"pass over what comes next", l.frontier, end)})
		}
		committed, err := a.log.Committed(ctx, l.topic, number)
		if err != nil {
			return fmt.Errorf("look up the committed offset of %s/%d: %w", l.topic, number, err)
		}
		if committed < l.reached && !(committed < 0 && l.noOffset) {
			a.r.find(Finding{Check: CheckOffsets, Topic: l.topic, Partition: number, Offset: committed,
				What: fmt.Sprintf("the committed offset is %d, and there are outcomes of records up to %d: "+
					"a restart would process them again", committed, l.reached-1)})
		}
	}
	return nil
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
