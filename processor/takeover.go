package processor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

// takeOverPoll is how often an abort that was asked for is looked after.
const takeOverPoll = 20 * time.Millisecond

// takeOver ends the open transaction that the partition's former owner left behind. It would
// hold back the committed offset, and every reader of the output, until its timeout.
//
// The abort names exactly the producer id and epoch that were seen to be open, so it is a
// compare-and-swap: if the former owner has moved on since, the broker refuses it, and one that
// is alive loses no more than this transaction, which it could not have committed without the
// partition. To initialise its producer id instead would abort whatever it does now.
func (h *host) takeOver(ctx context.Context, x tp, own string) error {
	open, err := h.openTransactions(ctx, x)
	switch {
	case denied(err):
		h.log.Info("no right to look up transactions: waiting for the former owner's to time out",
			zap.Stringer("partition", x), zap.Error(err))
		return nil
	case err != nil:
		return fmt.Errorf("look up the open transactions of %s: %w", x, err)
	}
	seen := map[string]bool{own: true}
	for _, t := range open {
		if seen[t.id] {
			continue
		}
		seen[t.id] = true
		if err := h.abortOpen(ctx, x, t); err != nil {
			return err
		}
		if err := h.settleEnded(ctx, t.id, h.writtenBy(x), always); err != nil {
			return err
		}
	}
	return nil
}

// abortOpen ends one open transaction, if it is still the one that was seen.
func (h *host) abortOpen(ctx context.Context, x tp, t openTxn) error {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID = t.id
	req.ProducerID, req.ProducerEpoch = t.producer, t.epoch
	req.Commit = false
	resp, err := req.RequestWith(ctx, h.cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	switch {
	case denied(err):
		h.log.Info("no right to end the former owner's transaction: waiting for it to time out",
			zap.Stringer("partition", x), zap.String("transactional_id", t.id))
		return nil
	case fenced(err) || errors.Is(err, kerr.InvalidTxnState) ||
		errors.Is(err, kerr.ConcurrentTransactions) || errors.Is(err, kerr.InvalidProducerIDMapping):
		return nil // it moved on by itself
	case err != nil:
		return fmt.Errorf("abort the open transaction %s: %w", t.id, err)
	}
	h.stats.takeovers.Add(1)
	h.log.Info("aborted the transaction that the former owner left open",
		zap.Stringer("partition", x), zap.String("transactional_id", t.id))
	return h.awaitAborted(ctx, t.id)
}

func denied(err error) bool {
	return errors.Is(err, kerr.TransactionalIDAuthorizationFailed) ||
		errors.Is(err, kerr.ClusterAuthorizationFailed) ||
		errors.Is(err, kerr.TopicAuthorizationFailed) ||
		errors.Is(err, kerr.UnsupportedVersion)
}

// awaitAborted waits until the coordinator has written the abort everywhere.
func (h *host) awaitAborted(ctx context.Context, txnID string) error {
	ctx, cancel := h.bound(ctx, h.cfg.TransactionTimeout)
	defer cancel()
	for {
		d, err := h.adm.DescribeTransactions(ctx, txnID)
		switch t := d[txnID]; {
		case err != nil && !denied(err):
			return fmt.Errorf("look after the abort of %s: %w", txnID, err)
		case err != nil:
			return nil
		case denied(t.Err):
			return nil
		case t.Err != nil:
			return fmt.Errorf("look after the abort of %s: %w", txnID, t.Err)
		case t.State != "PrepareAbort":
			return nil
		}
		if err := h.pause(ctx, takeOverPoll); err != nil {
			return err
		}
	}
}
