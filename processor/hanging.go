package processor

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// A hanging transaction is open in a partition, and its coordinator knows nothing of it. Kafka 4
// leaves one behind when a transaction ends while the leader of a partition is offline, as all are
// on a broker that comes back from a long pause: the coordinator takes the partition for deleted
// and completes the transaction without a marker in it (KAFKA-20734). The next transaction of the
// same producer would bring the records of the hanging one to light, whatever had become of it.

// endHanging ends the hanging transactions on what the owner of an input partition writes to, as
// the partition's committed offset says: what it does not know of was aborted.
func (h *host) endHanging(ctx context.Context, x tp, at kadm.Offset) error {
	hanging, err := h.hanging(ctx, x)
	if err != nil || len(hanging) == 0 {
		return err
	}
	last, err := h.lastCommitted(ctx, x, at)
	if err != nil {
		return fmt.Errorf("look up who committed offset %d of %s: %w", at.At, x, err)
	}
	for _, t := range hanging {
		if !t.isAfter(last) {
			return &StopError{
				What: fmt.Sprintf("a transaction of %s hangs on %s from offset %d on, and may have been "+
					"committed", t.id, t.at, t.start),
				Do: hangingTransactions,
			}
		}
		if err := h.abortHanging(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// endAborted ends what is left hanging of a transaction that a lane has just aborted.
func (h *host) endAborted(ctx context.Context, x tp, txn string) error {
	hanging, err := h.hanging(ctx, x)
	if err != nil {
		return err
	}
	for _, t := range hanging {
		if t.id != txn {
			continue
		}
		if err := h.abortHanging(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

const hangingTransactions = "see OPERATING.md, \"Hanging transactions\""

// hanging are the hanging transactions as far as there is a right to see them; takeOver tells of a
// missing one.
func (h *host) hanging(ctx context.Context, x tp) ([]openTxn, error) {
	hanging, err := h.lookUpHanging(ctx, x)
	switch {
	case denied(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look for hanging transactions on %s: %w", x, err)
	}
	return hanging, nil
}

// lookUpHanging returns those that are still there after their coordinators were asked about them:
// had one been in work when it was seen first, then its coordinator knew of it, or it has ended
// since.
func (h *host) lookUpHanging(ctx context.Context, x tp) ([]openTxn, error) {
	open, err := h.openTransactions(ctx, x)
	if err != nil || len(open) == 0 {
		return nil, err
	}
	var ids []string
	for _, t := range open {
		ids = append(ids, t.id)
	}
	described, err := h.adm.DescribeTransactions(ctx, ids...)
	if err != nil {
		return nil, err
	}
	again, err := h.openTransactions(ctx, x)
	if err != nil {
		return nil, err
	}
	var hanging []openTxn
	for _, t := range open {
		d := described[t.id]
		if d.Err != nil {
			return nil, d.Err
		}
		_, known := d.Topics[t.at.topic][t.at.id]
		for _, u := range again {
			if !known && u.at == t.at && u.producer == t.producer && u.start == t.start {
				hanging = append(hanging, u)
			}
		}
	}
	return hanging, nil
}

// committer is the producer of a transaction that is committed for certain.
type committer struct {
	at       tp    // where its last record is, in the changelog
	end      int64 // behind it
	producer int64
	epoch    int16
}

// isAfter reports whether a transaction is younger than the last one that was committed, nil for
// none: then it was not. A producer raises its epoch with every transaction; of one with the same
// epoch only the place in the changelog tells. That of another producer is from after the commit:
// one from before would have been ended when the committer took the partition.
func (t *openTxn) isAfter(last *committer) bool {
	return last == nil || t.producer != last.producer || t.epoch > last.epoch ||
		t.at == last.at && t.start >= last.end
}

// lastCommitted is who committed a partition's offset; nil: nobody did.
func (h *host) lastCommitted(ctx context.Context, x tp, at kadm.Offset) (*committer, error) {
	if at.At < 0 {
		return nil, nil
	}
	meta, ok := parseOffsetMeta(at.Metadata)
	if !ok {
		return nil, fmt.Errorf("its metadata is %q", at.Metadata)
	}
	c := &committer{at: tp{h.cfg.ChangelogTopic(x.topic), x.id}, end: meta.changelogEnd}
	// It may lie behind the first offset that is not stable.
	cl, err := kgo.NewClient(append(h.cfg.clientOpts(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			c.at.topic: {c.at.id: kgo.NewOffset().At(c.end - 1)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset().AtStart()),
		kgo.FetchMaxWait(fetchMaxWait))...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := h.bound(ctx, readStall)
	defer cancel()
	fetches := cl.PollRecords(ctx, 1)
	if err := fetches.Err(); err != nil {
		return nil, err
	}
	r := fetches.Records()
	if len(r) != 1 || r[0].Offset != c.end-1 {
		return nil, fmt.Errorf("%s has no record at offset %d", c.at, c.end-1)
	}
	c.producer, c.epoch = r[0].ProducerID, r[0].ProducerEpoch
	return c, nil
}

// abortHanging writes the marker that the coordinator left out.
func (h *host) abortHanging(ctx context.Context, t openTxn) error {
	topics := kadm.TopicsSet{}
	topics.Add(t.at.topic, t.at.id)
	resp, err := h.adm.WriteTxnMarkers(ctx, kadm.TxnMarkers{
		ProducerID: t.producer, ProducerEpoch: t.epoch, CoordinatorEpoch: max(t.coordinator, 0),
		Topics: topics,
	})
	if err == nil {
		err = resp[t.producer].Topics[t.at.topic].Partitions[t.at.id].Err
	}
	what := fmt.Sprintf("abort the transaction of %s that hangs on %s from offset %d on", t.id, t.at,
		t.start)
	switch {
	case errors.Is(err, kerr.ClusterAuthorizationFailed), errors.Is(err, kerr.UnsupportedVersion):
		return &StopError{What: what, Cause: err, Do: hangingTransactions}
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	}
	h.log.Warn("aborted a transaction that Kafka had completed without a marker",
		zap.String("transactional_id", t.id), zap.Stringer("partition", t.at),
		zap.Int64("offset", t.start))
	return nil
}
