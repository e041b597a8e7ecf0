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
	changelog := h.cfg.ChangelogTopic(x.topic)
	open, err := h.openTransaction(ctx, changelog, x.id)
	switch {
	case denied(err):
		h.log.Info("no right to look up transactions: waiting for the former owner's to time out",
			zap.Stringer("partition", x), zap.Error(err))
		return nil
	case err != nil:
		return fmt.Errorf("look up open transactions of %s/%d: %w", changelog, x.id, err)
	case open == nil || open.TxnID == own || !strings.HasPrefix(open.TxnID, h.cfg.Group+"-"):
		return nil
	}
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID = open.TxnID
	req.ProducerID, req.ProducerEpoch = open.ProducerID, open.epoch
	req.Commit = false
	resp, err := req.RequestWith(ctx, h.cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	switch {
	case denied(err):
		h.log.Info("no right to end the former owner's transaction: waiting for it to time out",
			zap.Stringer("partition", x), zap.String("transactional_id", open.TxnID))
		return nil
	case fenced(err) || errors.Is(err, kerr.InvalidTxnState) ||
		errors.Is(err, kerr.ConcurrentTransactions) || errors.Is(err, kerr.InvalidProducerIDMapping):
		return nil // it moved on by itself
	case err != nil:
		return fmt.Errorf("abort the open transaction %s: %w", open.TxnID, err)
	}
	h.stats.takeovers.Add(1)
	h.log.Info("aborted the transaction that the former owner left open",
		zap.Stringer("partition", x), zap.String("transactional_id", open.TxnID))
	return h.awaitAborted(ctx, open.TxnID)
}

func denied(err error) bool {
	return errors.Is(err, kerr.TransactionalIDAuthorizationFailed) ||
		errors.Is(err, kerr.ClusterAuthorizationFailed) || errors.Is(err, kerr.TopicAuthorizationFailed) ||
		errors.Is(err, kerr.UnsupportedVersion)
}

type openTxn struct {
	TxnID      string
	ProducerID int64
	epoch      int16
}

// openTransaction finds the transaction that is open on a partition, nil if none is.
func (h *host) openTransaction(ctx context.Context, topic string, id int32) (*openTxn, error) {
	producers, err := h.adm.DescribeProducers(ctx, kadm.TopicsSet{topic: {id: {}}})
	if err != nil {
		return nil, err
	}
	d, ok := producers[topic].Partitions[id]
	if !ok || d.Err != nil {
		return nil, d.Err
	}
	for _, p := range d.ActiveProducers {
		if p.CurrentTxnStartOffset < 0 {
			continue
		}
		listed, err := h.adm.ListTransactions(ctx, []int64{p.ProducerID}, nil)
		if err != nil {
			return nil, err
		}
		for _, t := range listed {
			if t.ProducerID == p.ProducerID {
				return &openTxn{t.TxnID, p.ProducerID, p.ProducerEpoch}, nil
			}
		}
	}
	return nil, nil
}

// awaitAborted waits until the coordinator has written the abort everywhere.
func (h *host) awaitAborted(ctx context.Context, txnID string) error {
	ctx, cancel := h.bound(ctx, h.cfg.TransactionTimeout)
	defer cancel()
	for {
		d, err := h.adm.DescribeTransactions(ctx, txnID)
		if err != nil {
			return fmt.Errorf("look after the abort of %s: %w", txnID, err)
		}
		switch t := d[txnID]; {
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
