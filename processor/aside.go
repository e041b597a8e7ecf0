package processor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// A batch that the client cannot read, because it is larger than it may be in memory or because it
// is not what it says, is read aside: the partition is paused in the client, the log is asked for
// the batch once more, and its records are taken one by one. Each of them has its outcome like any
// other. When the transaction behind them has committed the client goes on behind them.

const (
	asideRecordsMax = 1000        // of a partition in one turn
	asideBytesMax   = 16 << 20    // likewise
	asideHeldMax    = 32 << 20    // of all partitions in one transaction, but for a record
	asideTries      = 5           // fetches of a batch that is damaged
	asidePause      = time.Second // between them
	// asideSchemaPause is how often a record that waits for its schema looks for it.
	asideSchemaPause = 100 * time.Millisecond
	fullMax          = 10 * time.Second // without room and with nothing held
)

// aside is the reading of what the client could not read of a partition.
type aside struct {
	from    int64    // where it begins, negative until it does
	batches *batches // nil: to be fetched
	next    *piece   // waits for its schema
	done    bool     // all of it was stepped
	tries   int
	again   time.Time // not before
}

// setAside takes an error of a fetch that the client's next try would only meet again: of what it
// got, not of the broker.
func (l *lane) setAside(p *part, cause error) bool {
	if errors.Is(cause, errInflatedFull) {
		l.full = true
		return true
	}
	var ofBroker *kerr.Error
	if p.task == nil || errors.As(cause, &ofBroker) {
		return false
	}
	if p.aside != nil {
		return true
	}
	l.log.Info("reading a batch record by record", zap.Stringer("partition", p.tp), zap.Error(cause))
	l.sess.Client().PauseFetchPartitions(p.tp.set())
	p.aside = &aside{from: p.task.Next()}
	return true
}

func (x tp) set() map[string][]int32 { return map[string][]int32{x.topic: {x.id}} }

// reads reports whether a partition has records to read aside right now.
func (l *lane) reads() bool {
	for _, p := range l.parts {
		if p.asides() {
			return true
		}
	}
	return false
}

// asides reports whether there is something to read aside right now: not ahead of records that wait
// for a schema, which come first.
func (p *part) asides() bool {
	a := p.aside
	return a != nil && !a.done && p.task != nil && len(p.waiting) == 0 && !time.Now().Before(a.again)
}

// readAside takes the next records that are read aside.
func (l *lane) readAside(ctx context.Context) error {
	for _, p := range l.parts {
		if !p.asides() || l.asideBytes >= asideHeldMax {
			continue
		}
		a := p.aside
		if a.batches == nil {
			a.from = max(a.from, p.task.Next()) // what waited came before
			if err := l.fetchAside(ctx, p); err != nil {
				if stop := fetchFault(p.tp, err); stop != nil {
					return stop
				}
				l.log.Warn("fetch a batch to read it record by record", zap.Stringer("partition", p.tp),
					zap.Int64("from", a.from), zap.Error(err))
				a.again = time.Now().Add(asidePause)
				continue
			}
		}
		if err := l.stepAside(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (l *lane) fetchAside(ctx context.Context, p *part) error {
	ctx, cancel := l.host.bound(ctx, l.host.cfg.endDeadline())
	defer cancel()
	if p.aside.from == unknownOffset { // nothing of it was ever committed: the client began there
		start, err := l.logStart(ctx, p.tp)
		if err != nil {
			return err
		}
		p.aside.from = start
	}
	rp, err := l.fetch(ctx, p.tp, p.aside.from)
	if err == nil {
		err = kerr.ErrorForCode(rp.ErrorCode)
	}
	if err != nil {
		return err
	}
	p.aside.batches = newBatches(p.tp, rp, p.aside.from, l.host.cfg.batchBytes())
	return nil
}

// stepAside lets the task process what one turn may take.
func (l *lane) stepAside(ctx context.Context, p *part) error {
	a := p.aside
	for n, bytes := 0, 0; n < asideRecordsMax && bytes < asideBytesMax &&
		l.asideBytes < asideHeldMax; n++ {
		x := a.next
		if x == nil {
			var err error
			if x, err = a.batches.read(); err != nil {
				return l.damaged(p, err)
			}
		}
		if x == nil && a.batches.next <= a.from {
			a.batches, a.again = nil, time.Now().Add(asidePause) // the broker had nothing to give
			return nil
		}
		if wait, err := l.unlearned(p, x); wait || err != nil {
			a.next, a.again = x, time.Now().Add(asideSchemaPause)
			return err
		}
		a.next = nil
		if err := l.ensureOpen(ctx); err != nil {
			return err
		}
		if x == nil {
			a.done = true
			p.task.Pass(a.batches.next)
			break
		}
		bytes += x.bytes
		l.asideBytes += x.bytes
		l.asided += int64(x.bytes)
		if err := p.stepPiece(x); err != nil {
			return err
		}
	}
	p.arrived = time.Now()
	if err := l.expire(p, p.task.Watermark()); err != nil {
		return err
	}
	l.produce(p)
	return nil
}

// unlearned reports whether a record must wait for its schema.
func (l *lane) unlearned(p *part, x *piece) (bool, error) {
	if x == nil || x.bad != nil || l.host.lessons == nil {
		return false, nil
	}
	id, unknown := p.task.Unknown(x.record)
	if !unknown {
		return false, nil
	}
	bad, err := l.host.lessons.ask(id, l.calls)
	if bad != nil {
		p.task.Poison(x.record.Offset, bad)
	}
	return bad == nil, err
}

func (p *part) stepPiece(x *piece) error {
	if err := p.continuous(x.record.Offset, 0); err != nil {
		return err
	}
	if x.bad != nil {
		return p.task.Unreadable(x.record, x.last, x.bad)
	}
	return p.task.Step(x.record)
}

// damaged tries again, for a broker or a network may have been at fault, and stops then: what the
// disk has lost another replica may still have, and no dead letter could say what it was.
func (l *lane) damaged(p *part, err error) error {
	a := p.aside
	if a.tries++; a.tries < asideTries {
		l.log.Warn("a batch is damaged: fetching it again", zap.Error(err))
		a.from, a.batches, a.again = a.batches.next, nil, time.Now().Add(asidePause)
		return nil
	}
	return &StopError{
		What: fmt.Sprintf("fetch %s", p.tp), Cause: err,
		Do: "see OPERATING.md, \"A damaged batch\": nothing is skipped silently; mend the log, for " +
			"instance from another replica, or set the group's offset behind the batch",
	}
}

// passAside lets the client go on behind what was read aside, when that is committed. It is called
// with rebalances held: the partition is ours.
//
// The client moves no partition that it knows no offset of: one of which nothing was committed when
// it was taken and no record was polled since. The lane begins anew then, from what is committed.
func (l *lane) passAside() error {
	l.mustHaveRoom()
	if l.open {
		return nil
	}
	for _, p := range l.parts {
		if p.aside == nil || !p.aside.done || p.task == nil || p.task.Next() == unknownOffset {
			continue
		}
		to := kgo.EpochOffset{Epoch: p.task.epoch, Offset: p.task.Next()}
		cl := l.sess.Client()
		cl.SetOffsets(map[string]map[int32]kgo.EpochOffset{p.tp.topic: {p.tp.id: to}})
		if at, ok := cl.CommittedOffsets()[p.tp.topic][p.tp.id]; !ok || at != to {
			return &resetError{"go on behind what was read record by record",
				fmt.Errorf("the client has no offset of %s yet", p.tp)}
		}
		p.aside = nil
		l.resume(p)
	}
	return nil
}

// dropAside forgets what was read aside: the client has gone back to what is committed, and comes
// upon the batch again.
func (l *lane) dropAside() {
	l.asideBytes = 0
	for _, p := range l.parts {
		if p.aside != nil {
			p.aside = nil
			l.resume(p)
		}
	}
}

// recycle lets go of the records of a transaction that has ended: beside what follows, unless there
// was no room for more, which the next poll would only meet again.
func (l *lane) recycle() {
	l.recycling.Wait()
	ended := l.held
	l.held, l.recycled = l.recycled[:0], ended
	l.recycling.Go(func() { recycle(ended) })
	if l.full {
		l.recycling.Wait()
	}
	l.asideBytes, l.full = 0, false
}

// recycle gives what records lie in back to the client. Nothing may alias them any more.
func recycle(records []*kgo.Record) {
	for i, r := range records {
		r.Recycle()
		records[i] = nil
	}
}

// mustHaveRoom counts the memory of fetched batches anew where there is no room for one though
// nothing is held: what the client has thrown away without a word would take it for ever.
func (l *lane) mustHaveRoom() {
	switch {
	case len(l.held) > 0 || l.sess.Client().BufferedFetchRecords() > 0 || l.waits():
		l.fullSince = time.Time{}
	case l.full && l.fullSince.IsZero():
		l.fullSince = time.Now()
	case l.full && time.Since(l.fullSince) > fullMax:
		l.log.Warn("no fetched batch is held, and there is no room for one: counting anew")
		l.inflater.sum.Store(0)
		l.fullSince = time.Time{}
	}
	l.full = l.full && l.open
}

// waits reports whether a partition waits for a schema.
func (l *lane) waits() bool {
	for _, p := range l.parts {
		if len(p.waiting) > 0 {
			return true
		}
	}
	return false
}
