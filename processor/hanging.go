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
// same producer would end it like itself, whatever had become of it.

// endHanging ends the hanging transactions on what the owner of an input partition writes to, as
// the partition's committed offset says. settle has ended before what the coordinator knows of.
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
		commit := false
		if !t.isAfter(last) {
			if commit, err = h.isLast(ctx, t, last); err != nil {
				return err
			}
			if !commit {
				return &StopError{
					What: fmt.Sprintf("a transaction of %s hangs on %s from offset %d on, and may have been "+
						"committed", t.id, t.at, t.start),
					Do: hangingTransactions,
				}
			}
		}
		if err := h.writeMarker(ctx, t, commit); err != nil {
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

// isLast reports whether a transaction is the one that was committed last.
func (h *host) isLast(ctx context.Context, t openTxn, last *committer) (bool, error) {
	if t.producer != last.producer || t.epoch != last.epoch {
		return false, nil
	}
	if each, err := h.epochEach(ctx); err != nil || !each {
		return false, err
	}
	return h.beginsAt(ctx, t, t.epoch)
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
	r, err := h.recordAt(ctx, c.at, c.end-1)
	if err != nil {
		return nil, err
	}
	c.producer, c.epoch = r.ProducerID, r.ProducerEpoch
	return c, nil
}

// recordAt reads one record, which may lie behind the first offset that is not stable.
func (h *host) recordAt(ctx context.Context, at tp, offset int64) (*kgo.Record, error) {
	cl, err := kgo.NewClient(append(h.cfg.clientOpts(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			at.topic: {at.id: kgo.NewOffset().At(offset)}}),
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
		return nil, fmt.Errorf("read offset %d of %s: %w", offset, at, err)
	}
	r := fetches.Records()
	if len(r) != 1 || r[0].Offset != offset {
		return nil, fmt.Errorf("read offset %d of %s: no record is there", offset, at)
	}
	return r[0], nil
}

// writeMarker writes the marker that the coordinator left out.
func (h *host) writeMarker(ctx context.Context, t openTxn, commit bool) error {
	topics := kadm.TopicsSet{}
	topics.Add(t.at.topic, t.at.id)
	resp, err := h.adm.WriteTxnMarkers(ctx, kadm.TxnMarkers{
		ProducerID: t.producer, ProducerEpoch: t.epoch, Commit: commit,
		CoordinatorEpoch: max(t.coordinator, 0), Topics: topics,
	})
	if err == nil {
		err = resp[t.producer].Topics[t.at.topic].Partitions[t.at.id].Err
	}
	how := "abort"
	if commit {
		how = "commit"
	}
	what := fmt.Sprintf("%s the transaction of %s that hangs on %s from offset %d on", how, t.id, t.at,
		t.start)
	switch {
	case errors.Is(err, kerr.ClusterAuthorizationFailed), errors.Is(err, kerr.UnsupportedVersion):
		return &StopError{What: what, Cause: err, Do: hangingTransactions}
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	}
	h.log.Warn("ended a transaction that Kafka had completed without a marker",
		zap.String("with", how), zap.String("transactional_id", t.id), zap.Stringer("partition", t.at),
		zap.Int64("offset", t.start))
	return nil
}
