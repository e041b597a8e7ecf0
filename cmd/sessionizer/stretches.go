package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/processor"
)

// silenceMax is how long a partition may say nothing below the end that it had: what is left there
// was compacted away, or belongs to a transaction that is open.
const silenceMax = 15 * time.Second

// stretch is what there is to read of a partition: [from, to).
type stretch struct {
	topic     string
	partition int32
	from, to  int64
}

func (s stretch) String() string { return fmt.Sprintf("%s/%d", s.topic, s.partition) }

// committedEnds are the ends that a consumer of committed records can reach without waiting: below
// the first transaction that is open.
func committedEnds(
	ctx context.Context, adm *kadm.Client, topics ...string,
) (kadm.ListedOffsets, error) {
	return adm.ListCommittedOffsets(ctx, topics...)
}

// allEnds are those of everything that was written. Who reads up to there waits for transactions
// that are open.
func allEnds(ctx context.Context, adm *kadm.Client, topics ...string) (kadm.ListedOffsets, error) {
	return adm.ListEndOffsets(ctx, topics...)
}

// lookUpStretches finds what there is to read of some topics now, in their order.
func lookUpStretches(
	ctx context.Context, cl *kgo.Client, topics []string,
	ends func(context.Context, *kadm.Client, ...string) (kadm.ListedOffsets, error),
) ([]stretch, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	adm := kadm.NewClient(cl)
	first, err := adm.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = first.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("look up the begin of %v: %w", topics, err)
	}
	last, err := ends(ctx, adm, topics...)
	if err == nil {
		err = last.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("look up the end of %v: %w", topics, err)
	}
	var all []stretch
	for _, topic := range topics {
		for p := range int32(len(first[topic])) {
			all = append(all, stretch{topic, p, first[topic][p].Offset, last[topic][p].Offset})
		}
	}
	return all, nil
}

// readStretches hands over the committed records of some stretches, those of a partition in their
// order. It commits nothing. Where nothing more comes below the ends of some partitions, silent is
// asked what that means; without an error of it, it is taken for the end.
func readStretches(
	ctx context.Context, kafka *processor.Config, stretches []stretch,
	take func(*kgo.Record) error, silent func(partitions int) error,
) error {
	from := map[string]map[int32]kgo.Offset{}
	left := map[string]map[int32]int64{} // ends
	n := 0
	for _, s := range stretches {
		if s.from >= s.to {
			continue
		}
		if from[s.topic] == nil {
			from[s.topic], left[s.topic] = map[int32]kgo.Offset{}, map[int32]int64{}
		}
		from[s.topic][s.partition] = kgo.NewOffset().At(s.from)
		left[s.topic][s.partition] = s.to
		n++
	}
	if n == 0 {
		return nil
	}
	cl, err := processor.Client(kafka, kgo.ConsumePartitions(from),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	if err != nil {
		return err
	}
	defer cl.Close()
	for n > 0 {
		poll, cancel := context.WithTimeout(ctx, silenceMax)
		fetches := cl.PollFetches(poll)
		cancel()
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		if fetches.NumRecords() == 0 && errors.Is(fetches.Err0(), context.DeadlineExceeded) {
			return silent(n)
		}
		if err := fetchError(fetches); err != nil {
			return err
		}
		for records := fetches.RecordIter(); !records.Done(); {
			r := records.Next()
			end, ok := left[r.Topic][r.Partition]
			if !ok {
				continue
			}
			if r.Offset < end {
				if err := take(r); err != nil {
					return fmt.Errorf("%s/%d, offset %d: %w", r.Topic, r.Partition, r.Offset, err)
				}
			}
			if r.Offset+1 >= end {
				delete(left[r.Topic], r.Partition)
				n--
			}
		}
	}
	return nil
}

// fetchError is what is wrong with a partition for good.
func fetchError(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		return fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err)
	}
	return nil
}

// readingProgress says on a terminal how far a partition has been read.
type readingProgress struct {
	*progress
	s stretch
}

func (a *app) reading(s stretch) *readingProgress {
	return &readingProgress{newProgress(a.stderr, nil, nil), s}
}

func (p *readingProgress) at(offset int64) {
	if p.progress == nil || time.Since(p.shown) < progressEvery {
		return
	}
	p.shown = time.Now()
	p.draw(fmt.Sprintf("reading %v  %3d %%  %s of %s records", p.s,
		100*(offset-p.s.from)/max(p.s.to-p.s.from, 1), grouped(offset-p.s.from),
		grouped(p.s.to-p.s.from)))
}
