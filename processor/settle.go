package processor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"go.uber.org/zap"
)

// outcome is what became of the transactions of a producer from one epoch to another.
type outcome struct {
	producer    int64
	first, last int16
	commit      bool
}

// covers reports whether the last records of a transaction are of these epochs.
func (o outcome) covers(t openTxn) bool {
	return t.producer == o.producer && t.epoch >= o.first && t.epoch <= o.last
}

// settleEnded writes the markers that Kafka has left out of the last transaction of a transactional
// id. The coordinator tells what became of it until the id's producer is initialised again: whoever
// does that settles first. needed says of which partitions it must know.
func (h *host) settleEnded(
	ctx context.Context, txn string, topics kadm.TopicsSet, needed func(tp) bool,
) error {
	last, err := h.lastOf(ctx, txn)
	if err != nil || last == nil {
		return err
	}
	return h.settleLast(ctx, last, topics, needed)
}

// settleLast is settleEnded for what the coordinator has told.
func (h *host) settleLast(
	ctx context.Context, last *kadm.DescribedTransaction, topics kadm.TopicsSet, needed func(tp) bool,
) error {
	if last.State != completeCommit && last.State != completeAbort {
		return nil
	}
	epoch := last.ProducerEpoch - 1 // an end raises it
	uncertain, err := h.settle(ctx, settling{last.TxnID, topics, last.Topics, needed},
		outcome{last.ProducerID, epoch, epoch, last.State == completeCommit})
	for _, t := range uncertain {
		h.log.Warn("a transaction may have been completed without a marker; should it last, "+
			hangingTransactions, zap.String("transactional_id", t.id),
			zap.Stringer("partition", t.at), zap.Int64("offset", t.start))
	}
	return err
}

// settling is where markers may be missing.
type settling struct {
	txn    string
	topics kadm.TopicsSet // and the group's offsets
	coming kadm.TopicsSet // where they are still to come
	needed func(tp) bool  // of which partitions it must be known; of the group's offsets always
}

// settle writes the markers that are missing of transactions whose outcome is known. It returns
// those that an older one lies below, which may have ended in another way.
func (h *host) settle(
	ctx context.Context, s settling, known ...outcome,
) (uncertain []openTxn, err error) {
	offsets, err := h.offsetsAt(ctx)
	if err != nil {
		return nil, err
	}
	maps.Copy(s.topics, offsets)
	l, err := h.openOn(ctx, s.topics)
	if err != nil {
		return nil, fmt.Errorf("look for what is open of %s: %w", s.txn, err)
	}
	for _, x := range l.untold {
		if x.topic == groupOffsets || s.needed(x) {
			return nil, fmt.Errorf("look for what is open of %s: %w", s.txn, l.why)
		}
	}
	for _, t := range l.open {
		if _, is := s.coming[t.at.topic][t.at.id]; is {
			continue
		}
		t.id = s.txn
		for _, o := range known {
			if !o.covers(t) {
				continue
			}
			certain, err := h.isOf(ctx, t, o)
			if err == nil && certain {
				err = h.writeMarker(ctx, t, o.commit)
			}
			if err != nil {
				return nil, err
			}
			if !certain {
				uncertain = append(uncertain, t)
			}
		}
	}
	return uncertain, nil
}

// isOf reports whether all that is open belongs to the transactions of an outcome.
func (h *host) isOf(ctx context.Context, t openTxn, o outcome) (bool, error) {
	able, err := h.able(ctx)
	if err != nil || !able.epochEach {
		return false, err
	}
	return h.beginsAt(ctx, t, o.first)
}

const (
	completeCommit = "CompleteCommit"
	completeAbort  = "CompleteAbort"
)

// lastOf is the last transaction of a transactional id, nil if there is none or it is not told. One
// that is being ended is waited for.
func (h *host) lastOf(ctx context.Context, txn string) (*kadm.DescribedTransaction, error) {
	ctx, cancel := h.bound(ctx, h.cfg.TransactionTimeout+h.cfg.SessionTimeout)
	defer cancel()
	for wait := takeOverPoll; ; wait = min(2*wait, time.Second) {
		able, err := h.able(ctx)
		if err == nil && !able.describe {
			return nil, nil
		}
		var d kadm.DescribedTransaction
		if err == nil {
			var described kadm.DescribedTransactions
			described, err = h.adm.DescribeTransactions(ctx, txn)
			if d = described[txn]; err == nil {
				err = d.Err
			}
		}
		switch {
		case denied(err), errors.Is(err, kerr.TransactionalIDNotFound):
			return nil, nil
		case kerr.IsRetriable(err): // a cluster that has just begun has no coordinators yet
		case err != nil:
			return nil, fmt.Errorf("look up the last transaction of %s: %w", txn, err)
		case !strings.HasPrefix(d.State, "Prepare"):
			return &d, nil
		}
		if err := h.pause(ctx, wait); err != nil {
			return nil, fmt.Errorf("wait for the end of %s: %w", txn, err)
		}
	}
}

// settlePending settles what holds back the committed offset of a partition, and says so.
func (h *host) settlePending(ctx context.Context, x tp) error {
	at, err := h.offsetsAt(ctx)
	if err != nil {
		return err
	}
	l, err := h.openOn(ctx, at)
	var open []openTxn
	if err == nil {
		open, err = h.ours(ctx, l.open)
	}
	if err != nil && !denied(err) {
		return fmt.Errorf("look up who holds back the offset of %s: %w", x, err)
	}
	var ids []string
	for _, t := range open {
		ids = append(ids, t.id)
	}
	h.log.Warn("waiting for a committed offset that a transaction is about to replace; should it "+
		"last, "+hangingTransactions, zap.Stringer("partition", x), zap.Strings("transactional_ids", ids))
	for _, id := range ids {
		if err := h.settleEnded(ctx, id, h.writtenBy(x), always); err != nil {
			return err
		}
	}
	return nil
}

func always(tp) bool { return true }

// settleBegin settles what the lane's name has left behind, before the producer is initialised. A
// transaction that is open is aborted by that: it is returned, for settleOpen.
//
// Of partitions that are not told the restore looks again, by their committed offset, at those that
// have one owner.
func (l *lane) settleBegin(ctx context.Context) (*kadm.DescribedTransaction, error) {
	ctx, cancel := l.host.bound(ctx, l.host.cfg.TransactionTimeout+l.host.cfg.SessionTimeout)
	defer cancel()
	last, err := l.host.lastOf(ctx, l.txn)
	l.beats()
	switch {
	case err != nil || last == nil:
		return nil, l.unsettledBy(err)
	case last.State == "Ongoing":
		return last, nil
	}
	needed := func(x tp) bool { return !l.host.hasOneOwner(x.topic) }
	err = l.host.settleLast(ctx, last, l.host.writtenByAny(), needed)
	l.beats()
	return nil, l.unsettledBy(err)
}

// settleOpen settles a transaction that was open before the producer was initialised.
func (l *lane) settleOpen(ctx context.Context, was *kadm.DescribedTransaction) error {
	if was == nil {
		return nil
	}
	ctx, cancel := l.host.bound(ctx, l.host.cfg.endDeadline())
	defer cancel()
	needed := func(x tp) bool { _, in := was.Topics[x.topic][x.id]; return in }
	_, err := l.host.settle(ctx, settling{l.txn, l.host.writtenByAny(), nil, needed},
		outcome{was.ProducerID, was.ProducerEpoch, was.ProducerEpoch, false})
	l.beats()
	return l.unsettledBy(err)
}

// slowEnd is longer than the end of a transaction takes while all brokers are there.
const slowEnd = time.Second

// settleCommitted settles what the lane has just committed, if a broker was away meanwhile. No
// other transaction begins before that: its abort would be one of what hangs below it.
func (l *lane) settleCommitted(ctx context.Context, took time.Duration) error {
	if away := l.calls.away.Swap(false); !away && took < slowEnd {
		return nil
	}
	return l.settleOwn(ctx, outcome{l.producer, l.firstEpoch, l.epoch, true})
}

// settleAborted sees to it that nothing of an aborted transaction can be committed with the next,
// and nothing of those before it be aborted.
func (l *lane) settleAborted() error {
	ctx, cancel := l.host.bound(context.Background(), l.host.cfg.endDeadline())
	defer cancel()
	known := []outcome{{l.producer, l.epoch, l.epoch, false}}
	if l.firstEpoch < l.epoch {
		known = append(known, outcome{l.producer, l.firstEpoch, l.epoch - 1, true})
	}
	l.firstEpoch = noEpoch
	return l.settleOwn(ctx, known...)
}

// settleOwn is settle for what the lane knows of its own transactions.
func (l *lane) settleOwn(ctx context.Context, known ...outcome) error {
	last, err := l.host.lastOf(ctx, l.txn)
	if last == nil || err != nil {
		return l.unsettledBy(err)
	}
	ids := map[int32]bool{}
	for x := range l.parts {
		ids[x.id] = true
	}
	needed := func(x tp) bool { return ids[x.id] || x.topic == l.host.cfg.DeadLetters }
	open, err := l.host.settle(ctx, settling{l.txn, l.host.writtenByAny(), last.Topics, needed},
		known...)
	if err == nil && len(open) > 0 {
		err = uncertain(open[0])
	}
	return l.unsettledBy(err)
}

const noEpoch = -1

// epochs takes note of the producer epoch of a transaction that begins.
func (l *lane) epochs(ctx context.Context) error {
	producer, epoch, err := l.sess.Client().ProducerID(ctx)
	if err != nil {
		return err
	}
	if l.firstEpoch == noEpoch || l.producer != producer {
		l.firstEpoch = epoch
	}
	l.producer, l.epoch = producer, epoch
	return nil
}

// unsettledBy is the error of a lane that could not see to the end of its own transactions.
func (l *lane) unsettledBy(err error) error {
	var stop *StopError
	if err == nil || errors.As(err, &stop) {
		return err
	}
	what := "settle the last transaction of " + l.txn
	if stop := refusal(what, err); stop != nil {
		return stop
	}
	return &resetError{what, err}
}
