package processor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"sessionizer/state"
)

// restored is a partition that is ready to go on, or why it is not.
type restored struct {
	task  *Task
	state *state.Partition
	free  func()
	err   error
}

// restore opens the state of a partition and brings it to the transaction that the group's
// committed offset belongs to. It ends with ctx; what it returns then is of no use but to be
// closed. Errors that another try can mend come as *resetError.
func (h *host) restore(ctx context.Context, x tp, txn string) restored {
	if x.id >= h.partitions {
		return restored{err: &StopError{What: fmt.Sprintf(
			"the input topic %s has a partition %d now, it had %d partitions before",
			x.topic, x.id, h.partitions), Do: rescale}}
	}
	free, err := h.acquire(ctx, x)
	if err != nil {
		return restored{err: &resetError{"open " + x.String(), err}}
	}
	r := restored{free: free}
	var from int64
	if r.state, from, r.err = h.recoverFor(ctx, x, txn); r.err != nil {
		return r
	}
	topics := h.cfg.topics(x.topic)
	r.task = NewTask(h.cfg.Rules, h.cfg.Codec, r.state, x.topic, x.id, topics, h.cfg.Policy)
	r.task.SkipTo(from)
	r.task.deadMax = int(h.batchBytes(h.cfg.DeadLetters))
	for offset, bad := range h.poisonOf(x) {
		r.task.Poison(offset, bad)
	}
	return r
}

// recoverFor tries to recover for as long as only brokers stand against it, so that the lane's
// other partitions go on. It ends with ctx, and with what only an operator can mend.
func (h *host) recoverFor(ctx context.Context, x tp, txn string) (*state.Partition, int64, error) {
	b := newBackoff()
	for {
		p, from, err := h.recover(ctx, x, txn)
		var stop *StopError
		switch {
		case err == nil, errors.As(err, &stop):
			return p, from, err
		case ctx.Err() != nil || h.halted() || h.store.Err() != nil:
			return p, from, &resetError{"restore " + x.String(), err}
		}
		wait := b.next()
		h.log.Warn("the partition cannot be restored yet", zap.Stringer("partition", x),
			zap.Error(err), zap.Duration("again_in", wait))
		if p != nil {
			if err := p.Close(); err != nil {
				return nil, 0, &resetError{"restore " + x.String(), err}
			}
		}
		if err := h.pause(ctx, wait); err != nil {
			return nil, 0, &resetError{"restore " + x.String(), err}
		}
	}
}

// recover returns the partition's state as of the committed offset, and that offset.
func (h *host) recover(ctx context.Context, x tp, txn string) (*state.Partition, int64, error) {
	if err := h.takeOver(ctx, x, txn); err != nil {
		return nil, 0, err
	}
	at, err := h.committed(ctx, x)
	if err != nil {
		return nil, 0, err
	}
	p, err := h.store.Partition(x.topic, x.id)
	if errors.Is(err, state.ErrDamaged) {
		h.log.Warn("the local state is damaged: restoring it from the changelog",
			zap.Stringer("partition", x), zap.Error(err))
		p, err = h.fresh(x)
	}
	if err != nil {
		return nil, 0, &StopError{What: "open the state of " + x.String(), Cause: err,
			Do: "see OPERATING.md, \"State directory\": it may be deleted, the changelog has all of it"}
	}
	if p, err = h.catchUp(ctx, x, p, at); err != nil {
		return p, 0, err
	}
	return p, at.At, h.sameInput(x, p)
}

// grown is the refusal of an input that has another number of partitions than the state.
func (h *host) grown(topic string, now, before int32) error {
	return &StopError{What: fmt.Sprintf(
		"the input topic %s has %d partitions now, the state was made with %d", topic, now, before),
		Do: rescale}
}

// checkGrowth refuses before anything is written if a committed offset was made with another
// number of partitions: the new ones have no state that could tell.
func (h *host) checkGrowth(ctx context.Context) error {
	all, err := h.adm.FetchOffsetsForTopics(ctx, h.cfg.Group, h.cfg.Input...)
	switch {
	case errors.Is(err, kerr.GroupIDNotFound):
		return nil // its first start
	case err != nil:
		return fmt.Errorf("fetch the committed offsets of %s: %w", h.cfg.Group, err)
	}
	var grown error
	all.Each(func(o kadm.OffsetResponse) {
		meta, ours := parseOffsetMeta(o.Metadata)
		if o.Err == nil && ours && meta.partitions != h.partitions {
			grown = h.grown(o.Topic, h.partitions, meta.partitions)
		}
	})
	return grown
}

// sameInput refuses a state that belongs to another shape of the input.
func (h *host) sameInput(x tp, p *state.Partition) error {
	pos, ok := p.Position()
	switch {
	case !ok:
		return nil
	case pos.InputID != h.inputID(x.topic):
		return recreated(x.topic)
	case pos.Partitions != h.partitions:
		return h.grown(x.topic, h.partitions, pos.Partitions)
	}
	return nil
}

func (h *host) fresh(x tp) (*state.Partition, error) {
	if err := h.store.Drop(x.topic, x.id); err != nil {
		return nil, err
	}
	return h.store.Partition(x.topic, x.id)
}

// committed is the group's committed offset of a partition: a stable one, not one that a
// transaction that is still open is about to replace. At is negative where there is none. A
// transaction that nobody may end is waited for here, beside the lane's other partitions, until
// the broker times it out.
func (h *host) committed(ctx context.Context, x tp) (kadm.Offset, error) {
	for {
		o, err := h.stable(ctx, x)
		if !errors.Is(err, kerr.UnstableOffsetCommit) {
			return o, err
		}
		if err := h.pause(ctx, unstablePoll); err != nil {
			return kadm.Offset{}, err
		}
	}
}

// unstablePoll is how often an offset is looked up that a transaction is about to replace.
const unstablePoll = 100 * time.Millisecond

func (h *host) stable(ctx context.Context, x tp) (kadm.Offset, error) {
	all, err := h.adm.FetchOffsetsForTopics(kadm.RequireStable(ctx), h.cfg.Group, x.topic)
	if err != nil {
		return kadm.Offset{}, fmt.Errorf("fetch the committed offset of %s: %w", x, err)
	}
	o, ok := all.Lookup(x.topic, x.id)
	switch {
	case !ok:
		return kadm.Offset{At: -1}, nil
	case o.Err != nil:
		return kadm.Offset{}, fmt.Errorf("fetch the committed offset of %s: %w", x, o.Err)
	}
	return o.Offset, nil
}

// catchUp decides how the local state p gets to the committed offset: it is there, the tail of
// the changelog is missing, or all of it is read again. What it returns is open, with an error
// too; nil if nothing is.
func (h *host) catchUp(
	ctx context.Context, x tp, p *state.Partition, at kadm.Offset,
) (*state.Partition, error) {
	local, have := p.Position()
	target, ours := parseOffsetMeta(at.Metadata)
	switch {
	case at.At < 0:
		return p, h.mustBeNew(ctx, x, have)
	case !ours:
		return h.adoptOffset(ctx, x, p, at)
	case have && local.ChangelogID == h.changelogID(x.topic) && local.Seq == target.seq:
		if local.Offset != at.At || local.ChangelogEnd != target.changelogEnd {
			return p, h.refuse(x, fmt.Sprintf(
				"the committed offset is %d and the state of the same transaction is at %d", at.At, local.Offset))
		}
		return p, nil
	}
	if have && local.ChangelogID == h.changelogID(x.topic) && local.Seq > target.seq {
		return p, h.refuse(x, fmt.Sprintf(
			"the committed offset went back to %d, %d was confirmed here", at.At, local.Offset))
	}
	var err error
	if have && h.tailWillDo(x, local, target) {
		err = h.replay(ctx, x, p, local.ChangelogEnd, target)
		if errors.Is(err, state.ErrDamaged) || errors.Is(err, kerr.OffsetOutOfRange) {
			h.log.Warn("the local state does not fit the changelog: restoring all of it",
				zap.Stringer("partition", x), zap.Error(err))
			p, err = h.refill(ctx, x, p, true, target)
		}
	} else {
		p, err = h.refill(ctx, x, p, have, target)
	}
	if err != nil {
		return p, err
	}
	if pos, ok := p.Position(); !ok || pos.Seq != target.seq || pos.Offset != at.At {
		return p, h.refuse(x, fmt.Sprintf(
			"the committed offset is %d of transaction %d, the changelog ends with offset %d of transaction %d",
			at.At, target.seq, pos.Offset, pos.Seq))
	}
	return p, nil
}

// refill restores all of a partition from the beginning of its changelog. What is there locally
// is dropped only when the changelog reaches the target: it may be the last copy.
func (h *host) refill(
	ctx context.Context, x tp, p *state.Partition, drop bool, target offsetMeta,
) (*state.Partition, error) {
	changelog := h.cfg.ChangelogTopic(x.topic)
	if err := h.checkEnd(ctx, changelog, x.id, target.changelogEnd); err != nil {
		return p, err
	}
	if drop {
		var err error
		if p, err = h.reopen(x, p); err != nil {
			return p, err
		}
	}
	err := h.replay(ctx, x, p, -1, target)
	if errors.Is(err, state.ErrDamaged) && h.store.Err() == nil {
		err = &StopError{
			What:  fmt.Sprintf("the changelog %s/%d lacks rows of the committed state", changelog, x.id),
			Do:    changelogLost,
			Cause: err,
		}
	}
	return p, err
}

// tailWillDo reports whether the local rows are a prefix of the changelog that no compaction can
// have outdated: the same changelog, behind the target, and younger than its tombstones live.
func (h *host) tailWillDo(x tp, local state.Position, target offsetMeta) bool {
	keep, ok := h.topology.Int(h.cfg.ChangelogTopic(x.topic), "delete.retention.ms")
	if !ok {
		keep = (24 * time.Hour).Milliseconds()
	}
	age := time.Now().UnixMilli() - int64(local.WrittenAt)
	return local.ChangelogID == h.changelogID(x.topic) && local.ChangelogID != [16]byte{} &&
		local.InputID == h.inputID(x.topic) && local.Seq < target.seq &&
		local.ChangelogEnd > 0 && local.ChangelogEnd < target.changelogEnd &&
		age >= 0 && age < keep/2
}

func (h *host) reopen(x tp, p *state.Partition) (*state.Partition, error) {
	if err := p.Close(); err != nil {
		return nil, fmt.Errorf("close the state of %s: %w", x, err)
	}
	q, err := h.fresh(x)
	if err != nil {
		return nil, fmt.Errorf("begin the state of %s anew: %w", x, err)
	}
	return q, nil
}

// mustBeNew allows a partition without a committed offset only if nothing was ever done for it.
func (h *host) mustBeNew(ctx context.Context, x tp, haveLocal bool) error {
	meta, err := h.lastMeta(ctx, x)
	if err != nil {
		return err
	}
	switch {
	case meta == nil && !haveLocal:
		return nil
	case meta != nil && meta.InputID != h.inputID(x.topic): // the offsets went with the topic
		return recreated(x.topic)
	}
	if err := h.mustBeTheInput(ctx, x.topic); err != nil {
		return err
	}
	what := "the group has no committed offset, but the state directory has a position"
	do := "the changelog topic is gone or empty: restore it, or start over with a new kafka.group " +
		"and an empty state.dir"
	if meta != nil {
		what = fmt.Sprintf("the group has no committed offset, but the changelog goes up to offset %d",
			meta.Offset)
		do = fmt.Sprintf("set it back with: kafka-consumer-groups.sh --bootstrap-server %s --group %s "+
			"--topic %s:%d --reset-offsets --to-offset %d --execute",
			h.cfg.Brokers[0], h.cfg.Group, x.topic, x.id, meta.Offset)
	}
	return &StopError{What: x.String() + ": " + what, Do: do}
}

// mustBeTheInput looks whether an input topic is the one that was there at the start: a topic that
// is deleted takes the group's offsets along.
func (h *host) mustBeTheInput(ctx context.Context, topic string) error {
	topics, err := h.adm.ListTopics(ctx, topic)
	if err == nil {
		err = topics[topic].Err
	}
	switch {
	case err != nil:
		return fmt.Errorf("look up the input topic %s: %w", topic, err)
	case topics[topic].ID != h.inputID(topic):
		return recreated(topic)
	}
	return nil
}

// adoptOffset goes on from a committed offset that is not ours, which an operator has set: if the
// changelog's last position is exactly that offset, or if all that lies between them is gone from
// the input, so that nothing which is there is skipped.
func (h *host) adoptOffset(
	ctx context.Context, x tp, p *state.Partition, at kadm.Offset,
) (*state.Partition, error) {
	meta, err := h.lastMeta(ctx, x)
	if err != nil {
		return p, err
	}
	if meta == nil {
		return p, h.refuse(x, fmt.Sprintf(
			"the group has the committed offset %d, which no sessionizer wrote, and there is no state for it", at.At))
	}
	if meta.Offset != at.At {
		starts, err := h.adm.ListStartOffsets(ctx, x.topic)
		if err != nil {
			return p, fmt.Errorf("look up the start of %s: %w", x, err)
		}
		start, ok := starts.Lookup(x.topic, x.id)
		if at.At < meta.Offset || !ok || start.Err != nil || at.At > start.Offset {
			return p, h.refuse(x, fmt.Sprintf(
				"the group's committed offset was set to %d, the state is at %d", at.At, meta.Offset))
		}
		h.log.Warn("going on behind records that are gone", zap.Stringer("partition", x),
			zap.Int64("from", meta.Offset), zap.Int64("to", at.At))
	}
	if p, err = h.reopen(x, p); err != nil {
		return p, err
	}
	return p, h.replay(ctx, x, p, -1, offsetMeta{meta.Seq, meta.ChangelogEnd, meta.Partitions})
}

func (h *host) refuse(x tp, what string) error {
	return &StopError{What: x.String() + ": " + what,
		Do: "see OPERATING.md, \"Offsets and state disagree\": set the group's offset back to the " +
			"state's, or start over with a new kafka.group and an empty state.dir"}
}

// replay reads the changelog read_committed from an offset (negative: its beginning) up to the
// target transaction's META record and makes it the partition's state.
func (h *host) replay(
	ctx context.Context, x tp, p *state.Partition, from int64, target offsetMeta,
) error {
	began := time.Now()
	r, err := p.Restore()
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	var last *state.Position
	rows := 0
	err = h.read(ctx, x, from, target.changelogEnd, func(rec *kgo.Record) error {
		if !state.IsMeta(rec.Key) {
			rows++
			return r.Apply(rec.Key, rec.Value)
		}
		pos, err := state.DecodeMeta(rec.Value)
		if err != nil {
			return err
		}
		pos.ChangelogEnd, pos.ChangelogID = rec.Offset+1, h.changelogID(x.topic)
		last = &pos
		return nil
	})
	if err == nil && (last == nil || last.Seq != target.seq) {
		err = h.refuse(x, "the changelog lacks the transaction that the committed offset belongs to")
	}
	if err == nil {
		err = r.Finish(*last)
	}
	if err != nil {
		err = fmt.Errorf("changelog %s/%d: %w", h.cfg.ChangelogTopic(x.topic), x.id, err)
		return errors.Join(err, r.Abort())
	}
	h.log.Info("state restored", zap.Stringer("partition", x), zap.Int("rows", rows),
		zap.Bool("tail", from >= 0), zap.Duration("took", time.Since(began)))
	return nil
}
