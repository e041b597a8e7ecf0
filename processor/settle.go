package processor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

// groupOffsets is Kafka's topic of committed offsets. Those of a transaction that hangs there stay
// pending, and nobody is told a stable one.
const groupOffsets = "__consumer_offsets"

// outcome is what became of the transactions of a producer from one epoch to another.
type outcome struct {
	producer    int64
	first, last int16
	commit      bool
	own         bool // the lane itself saw it
}

// settle writes the markers that Kafka has left out of the last transactions of a transactional id,
// wherever they wrote. If their outcome is not known it is what the coordinator says of the last
// one: it can until the id's producer is initialised again, and whoever does that settles first.
func (h *host) settle(ctx context.Context, txn string, known *outcome) error {
	last, err := h.lastOf(ctx, txn)
	if err != nil || last == nil {
		return err
	}
	o := known
	switch {
	case o != nil:
	case last.State == completeCommit, last.State == completeAbort:
		epoch := last.ProducerEpoch - 1 // an end raises it
		o = &outcome{last.ProducerID, epoch, epoch, last.State == completeCommit, false}
	default:
		return nil
	}
	topics, err := h.writtenTopics(ctx)
	if err != nil {
		return err
	}
	producers, err := h.adm.DescribeProducers(ctx, topics)
	if err != nil {
		return fmt.Errorf("look for what is open of %s: %w", txn, err)
	}
	for _, p := range producers.SortedPartitions() {
		switch {
		case denied(p.Err):
			continue
		case p.Err != nil:
			return fmt.Errorf("look for what is open of %s in %s/%d: %w",
				txn, p.Topic, p.Partition, p.Err)
		}
		if _, in := last.Topics[p.Topic][p.Partition]; in {
			continue
		}
		for _, a := range p.ActiveProducers {
			if a.CurrentTxnStartOffset < 0 || !o.covers(a) {
				continue
			}
			if err := h.settleOne(ctx, openOf(a, txn), o); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *outcome) covers(a kadm.DescribedProducer) bool {
	return a.ProducerID == o.producer && a.ProducerEpoch >= o.first && a.ProducerEpoch <= o.last
}

// settleOne writes one marker, unless an older transaction lies below it, which may have ended in
// another way. Where epochs do not tell them apart a lane still knows what it has aborted.
func (h *host) settleOne(ctx context.Context, t openTxn, o *outcome) error {
	each, err := h.epochEach(ctx)
	certain := !each && o.own && !o.commit
	if err == nil && each {
		certain, err = h.beginsAt(ctx, t, o.first)
	}
	if err != nil || !certain {
		return err
	}
	return h.writeMarker(ctx, t, o.commit)
}

// beginsAt reports whether what is open has no records of an epoch before first.
func (h *host) beginsAt(ctx context.Context, t openTxn, first int16) (bool, error) {
	r, err := h.recordAt(ctx, t.at, t.start)
	switch {
	case denied(err):
		return false, nil
	case err != nil:
		return false, err
	}
	return r.ProducerID == t.producer && r.ProducerEpoch >= first, nil
}

// epochEach reports whether every transaction has a producer epoch of its own, as since KIP-890.
func (h *host) epochEach(ctx context.Context) (bool, error) {
	const feature, since = "transaction.version", 2
	resp, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, h.cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return false, fmt.Errorf("look up the features of the cluster: %w", err)
	}
	for _, f := range resp.FinalizedFeatures {
		if f.Name == feature {
			return f.MaxVersionLevel >= since, nil
		}
	}
	return false, nil
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
	for {
		described, err := h.adm.DescribeTransactions(ctx, txn)
		d := described[txn]
		if err == nil {
			err = d.Err
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
		if err := h.pause(ctx, takeOverPoll); err != nil {
			return nil, fmt.Errorf("wait for the end of %s: %w", txn, err)
		}
	}
}

// writtenTopics is every partition that a transaction of this group may have written to.
func (h *host) writtenTopics(ctx context.Context) (kadm.TopicsSet, error) {
	names := []string{h.cfg.Output, groupOffsets}
	for _, name := range []string{h.cfg.Visits, h.cfg.DeadLetters} {
		if name != "" {
			names = append(names, name)
		}
	}
	for _, input := range h.cfg.Input {
		names = append(names, h.cfg.ChangelogTopic(input))
	}
	listed, err := h.adm.ListTopicsWithInternal(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("look up the partitions of %v: %w", names, err)
	}
	set := kadm.TopicsSet{}
	for name, t := range listed {
		switch {
		case denied(t.Err), errors.Is(t.Err, kerr.UnknownTopicOrPartition):
			continue
		case t.Err != nil:
			return nil, fmt.Errorf("look up the partitions of %s: %w", name, t.Err)
		}
		for id := range t.Partitions {
			set.Add(name, id)
		}
	}
	return set, nil
}

// settlePending settles what holds back committed offsets of the group.
func (h *host) settlePending(ctx context.Context, x tp) error {
	listed, err := h.adm.ListTopicsWithInternal(ctx, groupOffsets)
	if err != nil {
		return fmt.Errorf("look up the partitions of %s: %w", groupOffsets, err)
	}
	set := kadm.TopicsSet{}
	for id := range listed[groupOffsets].Partitions {
		set.Add(groupOffsets, id)
	}
	open, err := h.openOn(ctx, set)
	switch {
	case denied(err):
	case err != nil:
		return fmt.Errorf("look up who holds back the offset of %s: %w", x, err)
	}
	for _, t := range open {
		h.log.Warn("waiting for a committed offset that a transaction is about to replace; should it "+
			"last, "+hangingTransactions, zap.Stringer("partition", x),
			zap.String("transactional_id", t.id), zap.Stringer("pending_in", t.at))
		if err := h.settle(ctx, t.id, nil); err != nil {
			return err
		}
	}
	return nil
}

// slowEnd is longer than the end of a transaction takes while all brokers are there.
const slowEnd = time.Second

// settleBegin settles what the lane's name has left behind, before the producer is initialised.
func (l *lane) settleBegin(ctx context.Context) error {
	return l.resetUnsettled(l.host.settle(ctx, l.txn, nil))
}

// settleAfter settles what the lane has just committed, if a broker was away meanwhile.
func (l *lane) settleAfter(ctx context.Context, took time.Duration) error {
	if away := l.calls.away.Swap(false); !away && took < slowEnd {
		return nil
	}
	return l.resetUnsettled(l.host.settle(ctx, l.txn,
		&outcome{l.producer, l.firstEpoch, l.epoch, true, true}))
}

// settleAborted sees to it that nothing of an aborted transaction can be committed with the next.
func (l *lane) settleAborted() error {
	ctx, cancel := l.host.bound(context.Background(), l.host.cfg.endDeadline())
	defer cancel()
	l.firstEpoch = noEpoch
	return l.resetUnsettled(l.host.settle(ctx, l.txn,
		&outcome{l.producer, l.epoch, l.epoch, false, true}))
}

// epochs takes note of the producer epoch of a transaction that begins.
func (l *lane) epochs(ctx context.Context) (err error) {
	l.producer, l.epoch, err = l.sess.Client().ProducerID(ctx)
	if err == nil && l.firstEpoch == noEpoch {
		l.firstEpoch = l.epoch
	}
	return err
}

const noEpoch = -1

func (l *lane) resetUnsettled(err error) error {
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
