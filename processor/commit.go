package processor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"sessionizer/internal/failpoint"
	"sessionizer/schemas"
)

// commit ends the open transaction.
//
// Order of effects: the changelog records are produced and all of the transaction is
// acknowledged before its end; the offsets are committed inside the end, by the hook; rebalances
// are allowed behind it, or while it takes long; and the state is confirmed only after it.
//
// Why behind it: a rebalance that waits would go on to its join at once, and from then on the
// client holds offsets back until the join is over. While rebalances are held the heartbeat loop
// answers the end even though a rebalance waits. Why not later than endHold: it does not answer
// once it has died, and begins again only after the callbacks that are held.
//
// Where a revoke comes between the two, the session aborts instead, or the group coordinator
// refuses our generation; either way the end says "not committed" and nothing of the transaction
// survives.
func (l *lane) commit(ctx context.Context) error {
	began := time.Now()
	touched, err := l.closeTasks()
	if err != nil {
		return err
	}
	ctx, cancel := l.host.bound(context.WithoutCancel(ctx), l.host.cfg.endDeadline())
	defer cancel()
	if err := l.sess.Client().Flush(ctx); err != nil {
		return l.broken("flush", err)
	}
	if err := l.host.store.Err(); err != nil {
		return l.host.stateFault(err)
	}
	if at, err := l.failed.first(); err != nil {
		return l.refused(touched, err, at)
	}
	committed, err := l.endAndAllow(ctx, touched)
	switch {
	case err != nil:
		return l.broken("end a transaction", err)
	case !committed:
		if err := l.mustBeAborted(touched); err != nil {
			return l.broken("end a transaction", err)
		}
		return l.aborted(touched)
	}
	if err := l.confirm(touched); err != nil {
		return err
	}
	return l.settleCommitted(ctx, time.Since(began))
}

// closeTasks produces the changelog records of every partition the transaction touched.
func (l *lane) closeTasks() ([]*part, error) {
	var touched []*part
	for _, p := range l.parts {
		if p.task != nil && p.task.Touched() {
			touched = append(touched, p)
		}
	}
	now := time.Now()
	return touched, sideBySide(touched, func(p *part) error { return l.closeTask(p, now) })
}

// closeTask is a worker, as step is.
func (l *lane) closeTask(p *part, now time.Time) error {
	if err := p.task.Sweep(now); err != nil {
		return err
	}
	meta, err := p.task.Close(l.host.partitions, l.host.inputID(p.tp.topic), now)
	if err != nil {
		return err
	}
	p.metaEnd.Store(0)
	failed := l.failed
	usual := failed.promise // one for all: to name the method is to allocate
	for _, records := range [][]*kgo.Record{p.later, p.task.Ready()} {
		for _, r := range records {
			promise := usual
			if r == meta {
				promise = func(r *kgo.Record, err error) {
					p.metaEnd.Store(r.Offset + 1)
					failed.promise(r, err)
				}
			}
			failed.given.Add(1)
			l.sess.Produce(l.produceCtx, r, promise)
		}
	}
	return nil
}

// endAndAllow is end, and lets rebalances go on.
func (l *lane) endAndAllow(ctx context.Context, touched []*part) (bool, error) {
	released := make(chan struct{})
	release := time.AfterFunc(endHold, func() {
		defer close(released)
		l.sess.AllowRebalance()
	})
	committed, err := l.end(ctx, touched)
	if !release.Stop() {
		<-released // it must not let go of the next poll
	}
	l.allow()
	return committed, err
}

// end commits offsets and transaction. Every touched partition commits its offset, one that
// moved none too: only so the group fences a member that has lost it.
func (l *lane) end(ctx context.Context, touched []*part) (bool, error) {
	l.sent = false
	ctx = kgo.PreTxnCommitFnContext(ctx, func(req *kmsg.TxnOffsetCommitRequest) error {
		return l.offsets(req, touched)
	})
	committed, err := l.sess.End(ctx, kgo.TryCommit)
	return committed, err
}

// offsets replaces what the client would commit by what the tasks say.
func (l *lane) offsets(req *kmsg.TxnOffsetCommitRequest, touched []*part) error {
	if len(touched) == 0 {
		return errors.New("the transaction touched no partition")
	}
	byTopic := map[string]*kmsg.TxnOffsetCommitRequestTopic{}
	var order []string
	for _, p := range touched {
		if !l.calls.owns(p.tp) {
			return errLost(p.tp)
		}
		t := byTopic[p.tp.topic]
		if t == nil {
			nt := kmsg.NewTxnOffsetCommitRequestTopic()
			nt.Topic, nt.TopicID = p.tp.topic, l.host.inputID(p.tp.topic)
			t, byTopic[p.tp.topic] = &nt, &nt
			order = append(order, p.tp.topic)
		}
		pos, meta := p.task.Pending(), p.meta()
		if len(meta) > metadataBytesMax || p.metaEnd.Load() <= 0 {
			return fmt.Errorf("%s: no place in the changelog to commit (%q)", p.tp, meta)
		}
		o := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		o.Partition, o.Offset, o.LeaderEpoch, o.Metadata = p.tp.id, pos.Offset, p.task.epoch, &meta
		t.Partitions = append(t.Partitions, o)
	}
	l.sent = true
	req.Topics = req.Topics[:0]
	for _, name := range order {
		req.Topics = append(req.Topics, *byTopic[name])
	}
	return nil
}

// meta is the metadata of the offset that the closed transaction commits. No other transaction has
// the same: it names the end of this one in the changelog.
func (p *part) meta() string { return p.task.Metadata(p.metaEnd.Load()) }

// mustBeAborted makes sure of what an end has reported as a clean abort. It need not be one: where
// a broker answers the request to commit with UNKNOWN_SERVER_ERROR, the client tries again as an
// abort, which for it is a new epoch of its producer id and always succeeds, and reports that. The
// broker may have committed before it failed. Only the committed offset tells, a stable one, which
// waits for whatever is still being ended. If the offsets never went out nothing was asked to
// commit.
func (l *lane) mustBeAborted(touched []*part) error {
	if !l.sent {
		return nil
	}
	ctx, cancel := l.host.bound(context.Background(), l.host.cfg.endDeadline())
	defer cancel()
	for _, p := range touched {
		at, err := l.host.committed(ctx, p.tp)
		if err != nil {
			return fmt.Errorf("it was reported as aborted, which cannot be checked: %w", err)
		}
		if at.Metadata == p.meta() {
			return fmt.Errorf("it was reported as aborted, but offset %d of %s is committed", at.At, p.tp)
		}
	}
	return nil
}

func errLost(x tp) error { return fmt.Errorf("%s is no longer ours", x) }

// confirm makes what was committed the state to go on from.
func (l *lane) confirm(touched []*part) error {
	failpoint.Hit(failpoint.Committed)
	l.ended()
	err := sideBySide(touched, func(p *part) error {
		id := l.host.changelogID(p.tp.topic)
		if err := p.task.Commit(p.metaEnd.Load(), id); err != nil {
			return &StopError{What: "confirm " + p.tp.String(), Cause: err,
				Do: "start again: the state is restored from the changelog"}
		}
		p.atMost, p.first = -1, -1
		return nil
	})
	if err != nil {
		return err
	}
	for _, p := range l.parts {
		p.ahead = len(p.waiting) > 0 // the client takes all it returned for committed
	}
	l.host.stats.commits.Add(1)
	return nil
}

func (l *lane) ended() {
	l.open = false
	for _, p := range l.parts {
		p.later = p.later[:0]
	}
	l.cancelProduce()
	l.failed.clear()
	l.recycle()
}

// aborted goes back to the confirmed state. The client has gone back to the offsets it committed
// last; that is checked with the first records it brings. A partition that has no committed
// offset yet has nothing to go back to in the client: the lane begins anew.
func (l *lane) aborted(touched []*part) error {
	l.ended()
	l.unsettled.Store(true)
	l.host.stats.aborts.Add(1)
	l.log.Info("transaction aborted: a rebalance came between", zap.Int("partitions", len(touched)))
	l.dropAside()
	if err := l.settleAborted(); err != nil {
		return err
	}
	for _, p := range touched {
		p.task.Abort()
		p.atMost, p.first = p.first, -1
		if p.ahead {
			return &resetError{"go back to what waited for a schema", fmt.Errorf("%s was read on", p.tp)}
		}
		if len(p.waiting) > 0 {
			recycle(l.unwait(p)) // it comes again
		}
		if p.task.Next() == unknownOffset {
			return &resetError{"go back to the beginning", fmt.Errorf("%s has no offset yet", p.tp)}
		}
	}
	return nil
}

// refused deals with a record that the broker did not take: the transaction must not commit.
// An event that became too large goes to the dead letters on the next try; anything else that is
// wrong with our records would be wrong again.
func (l *lane) refused(touched []*part, cause error, at *kgo.Record) error {
	for _, p := range touched {
		offset, ok := p.task.Origin(at)
		if !ok || at.Topic != l.host.cfg.Output || !errors.Is(cause, kerr.MessageTooLarge) {
			continue
		}
		if l.host.poisonOf(p.tp)[offset] != nil || recordBytes(at) < int(l.host.batchBytes(at.Topic)) {
			break // passed on as it is, or its batch was refused and not the record
		}
		l.host.addPoison(p.tp, offset, &schemas.BadInput{
			Reason: schemas.Limit,
			Message: fmt.Sprintf("with the session it has %d bytes and the output topic takes fewer",
				len(at.Value)),
		})
		return &resetError{"produce to " + at.Topic, cause}
	}
	what := fmt.Sprintf("produce to %s/%d", at.Topic, at.Partition)
	switch {
	case errors.Is(cause, kerr.MessageTooLarge):
		return &StopError{What: what, Cause: cause, Do: fmt.Sprintf(
			"a record of %d bytes is too large for the topic: raise its max.message.bytes", len(at.Value))}
	case errors.Is(cause, kerr.UnknownTopicOrPartition), errors.Is(cause, kerr.UnknownTopicID),
		errors.Is(cause, kerr.InconsistentTopicID):
		return &StopError{What: what, Cause: cause,
			Do: "the topic was deleted while in use: run `sessionizer topics --create` and start again"}
	case errors.Is(cause, kerr.InvalidTimestamp):
		return &StopError{What: what, Cause: cause,
			Do: "the topic refuses the events' own timestamps: raise its message.timestamp.before.max.ms " +
				"and message.timestamp.after.max.ms"}
	}
	if stop := refusal(what, cause); stop != nil {
		return stop
	}
	return l.broken(what, cause)
}
