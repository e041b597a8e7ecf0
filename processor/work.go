package processor

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/internal/failpoint"
	"sessionizer/session"
)

// batch is what can be processed of a partition now.
type batch struct {
	p       *part
	records []*kgo.Record
}

// work lets the tasks process what was polled, partitions side by side.
func (l *lane) work(ctx context.Context, fetches kgo.Fetches) error {
	batches, err := l.release()
	if err != nil {
		return err
	}
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if len(f.Records) == 0 || err != nil {
			return
		}
		p := l.parts[tp{f.Topic, f.Partition}]
		if p == nil || p.task == nil {
			err = &resetError{"take a poll's records",
				fmt.Errorf("%s/%d is not open here", f.Topic, f.Partition)}
			return
		}
		if err = p.continuous(f.Records[0].Offset, f.LogStartOffset); err != nil {
			return
		}
		var now []*kgo.Record
		if now, err = l.take(p, f.Records); len(now) > 0 {
			batches = append(batches, batch{p, now})
		}
	})
	if err != nil || len(batches) == 0 {
		return err
	}
	if err := l.ensureOpen(ctx); err != nil {
		return err
	}
	for _, b := range batches {
		l.held = append(l.held, b.records...)
	}
	return sideBySide(batches, func(b batch) error { return l.step(b.p, b.records) })
}

// sideBySide calls f for each of all at the same time, and waits for it. Of several errors the
// first in the order of all is returned.
func sideBySide[T any](all []T, f func(T) error) error {
	if len(all) == 1 {
		return f(all[0])
	}
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, x := range all {
		wg.Go(func() { errs[i] = f(x) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// continuous guards the order of offsets: nothing may lie between the position and the first
// record but what compaction and transactions leave out of a log.
func (p *part) continuous(first, logStart int64) error {
	next := p.task.Next()
	switch {
	case next == unknownOffset || first <= next:
	case logStart > next:
		return &StopError{
			What: fmt.Sprintf("%s: the next record is %d, but the log begins at %d", p.tp, next, logStart),
			Do:   "see OPERATING.md, \"Input lost\"",
		}
	}
	if p.atMost >= 0 {
		if first > p.atMost {
			return &resetError{"go on after an abort",
				fmt.Errorf("%s: expected offset %d or less, got %d", p.tp, p.atMost, first)}
		}
		p.atMost = -1
	}
	if p.first < 0 {
		p.first = max(first, next)
	}
	return nil
}

// step processes the records of one partition and produces what comes of them. It is a worker:
// it runs beside those of other partitions and is joined before the transaction goes on.
func (l *lane) step(p *part, records []*kgo.Record) error {
	for _, r := range records {
		if err := p.task.Step(r); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(records, func(r *kgo.Record) bool { return !r.Attrs.IsControl() }) {
		p.arrived = time.Now()
	}
	if err := l.expire(p, p.task.Watermark()); err != nil {
		return err
	}
	l.produce(p)
	return nil
}

// expire ends what is due, and remembers if that is more than a transaction may hold.
func (l *lane) expire(p *part, tick session.Time) error {
	n, err := p.task.Tick(tick)
	if n == timersPerTickMax {
		l.unsettled.Store(true)
	}
	return err
}

// produce hands over what goes to the output topic. The rest waits for the end of the transaction,
// before which nobody sees it: a few visits with every request would be as many small batches.
func (l *lane) produce(p *part) {
	promise := l.failed.promise // one for all: to name the method is to allocate
	for _, r := range p.task.Ready() {
		if r.Topic != l.host.cfg.Output {
			p.later = append(p.later, r)
			continue
		}
		l.failed.given.Add(1)
		l.sess.Produce(l.produceCtx, r, promise)
	}
}

// failures is the first record of the open transaction that the broker did not take. The end of
// the transaction alone would report success without it. Every client has its own: one that was
// thrown away may still fail records when its successor has begun.
type failures struct {
	given sync.WaitGroup // promises that are not kept or broken yet

	mu  sync.Mutex
	err error
	at  *kgo.Record
}

func (f *failures) promise(r *kgo.Record, err error) {
	defer f.given.Done()
	if err == nil {
		failpoint.Hit(failpoint.OpenTransaction)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err, f.at = err, r
	}
}

// first waits for every promise: a flush does not wait for one that was refused at the door.
func (f *failures) first() (*kgo.Record, error) {
	f.given.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at, f.err
}

func (f *failures) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.at = nil, nil
}
