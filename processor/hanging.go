package processor

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
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
	switch {
	case denied(err) || err == nil && len(hanging) == 0:
		return nil // takeOver has told of the missing right
	case err != nil:
		return fmt.Errorf("look for hanging transactions on %s: %w", x, err)
	}
	last, err := h.lastCommitted(ctx, x, at)
	if err != nil {
		return fmt.Errorf("look up who committed offset %d of %s: %w", at.At, x, err)
	}
	for _, t := range hanging {
		commit, certain, err := h.judge(ctx, t, last)
		switch {
		case err != nil:
			return err
		case !certain:
			return uncertain(t)
		}
		if err := h.writeMarker(ctx, t, commit); err != nil {
			return err
		}
	}
	return nil
}

// judge tells from the last commit of the partition what became of a transaction. A producer raises
// its epoch with every one, as since KIP-890; of one with the same epoch only the place in the
// changelog tells otherwise. That of another producer is from after the commit: one from before
// would have been ended when the committer took the partition.
func (h *host) judge(
	ctx context.Context, t openTxn, last *committer,
) (commit, certain bool, err error) {
	if last == nil || t.producer != last.producer || t.at == last.at && t.start >= last.end {
		return false, true, nil
	}
	able, err := h.able(ctx)
	switch {
	case err != nil:
		return false, false, err
	case !able.epochEach:
		return false, t.epoch > last.epoch, nil
	}
	commit = t.epoch == last.epoch
	first := last.epoch
	if !commit {
		first++
	}
	certain, err = h.beginsAt(ctx, t, first)
	return commit, certain && t.epoch >= first, err
}

func uncertain(t openTxn) error {
	return &StopError{
		What: fmt.Sprintf("a transaction of %s hangs on %s from offset %d on, and may have been committed",
			t.id, t.at, t.start),
		Do: hangingTransactions,
	}
}

const hangingTransactions = "see OPERATING.md, \"Hanging transactions\""

// hanging are those that are still there after their coordinators were asked about them: had one
// been in work when it was seen first, then its coordinator knew of it, or it has ended since.
func (h *host) hanging(ctx context.Context, x tp) ([]openTxn, error) {
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
