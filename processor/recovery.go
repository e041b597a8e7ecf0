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

// Recovery brings the local state of an input partition to the transaction that the group's
// committed offset belongs to. It is the one way to it: at a start, after a crash, a move and a
// reset. All that it decides is here; what it has to know of the brokers it asks Cluster, so that a
// simulation without any makes the same decisions. All fields are required.
type Recovery struct {
	Cluster Cluster
	Store   *state.Store
	Log     *zap.Logger
	Now     time.Time // decides whether the local copy is too old for the tail to do

	Topic      string // of the input
	Partition  int32
	Partitions int32 // of the input topic
	Changelog  string
	// The topics' ids: state that was made with others is of another time.
	InputID, ChangelogID [16]byte
	// Tombstones is how long the changelog keeps the records of deleted rows.
	Tombstones time.Duration
	// Group and Broker are named in what an operator is told to run.
	Group, Broker string
}

// Cluster answers what a Recovery asks about its partition. Errors that another try can mend are
// returned as they are, what only an operator can as *StopError.
type Cluster interface {
	// TakeOver ends the transaction that a former owner has left open, if that is possible.
	TakeOver(ctx context.Context) error
	// EndHanging ends what Kafka has forgotten to end, as the committed offset says.
	EndHanging(ctx context.Context, at kadm.Offset) error
	// Committed is the group's committed offset, a stable one: not one that a transaction which is
	// still open is about to replace. At is negative where there is none.
	Committed(ctx context.Context) (kadm.Offset, error)
	// ChangelogBounds are the first offset of the changelog and its end; with stable set the end of
	// what is committed. One that is not known is negative.
	ChangelogBounds(ctx context.Context, stable bool) (start, end int64, err error)
	// ReadChangelog hands the committed records from an offset (negative: the beginning) up to end,
	// exclusive, to each. A kerr.OffsetOutOfRange says that from is not there any more.
	ReadChangelog(ctx context.Context, from, end int64, each func(*kgo.Record) error) error
	// InputStart is the first offset of the input partition; negative: not known.
	InputStart(ctx context.Context) (int64, error)
	// CurrentInputID is the id that the input topic has now.
	CurrentInputID(ctx context.Context) ([16]byte, error)
}

// Run returns the partition's state as of the committed offset, and that offset. With an error it
// returns what is open of it, nil if nothing is.
func (r *Recovery) Run(ctx context.Context) (*state.Partition, int64, error) {
	if err := r.Cluster.TakeOver(ctx); err != nil {
		return nil, 0, err
	}
	at, err := r.Cluster.Committed(ctx)
	if err != nil {
		return nil, 0, err
	}
	if err := r.Cluster.EndHanging(ctx, at); err != nil {
		return nil, 0, err
	}
	p, err := r.Store.Partition(r.Topic, r.Partition)
	if errors.Is(err, state.ErrDamaged) {
		r.Log.Warn("the local state is damaged: restoring it from the changelog",
			zap.Stringer("partition", r), zap.Error(err))
		p, err = r.fresh()
	}
	switch {
	case errors.Is(err, state.ErrDamaged):
		return nil, 0, &StopError{What: "open the state of " + r.String(), Cause: err, Do: startAgain}
	case err != nil:
		return nil, 0, &StopError{What: "open the state of " + r.String(), Cause: err,
			Do: "see OPERATING.md, \"State directory\": it may be deleted, the changelog has all of it"}
	}
	if p, err = r.catchUp(ctx, p, at); err != nil {
		return p, 0, err
	}
	return p, at.At, r.sameInput(p)
}

// String names the input partition.
func (r *Recovery) String() string { return tp{r.Topic, r.Partition}.String() }

// sameInput refuses a state that belongs to another shape of the input.
func (r *Recovery) sameInput(p *state.Partition) error {
	pos, ok := p.Position()
	switch {
	case !ok:
		return nil
	case pos.InputID != r.InputID:
		return recreated(r.Topic)
	case pos.Partitions != r.Partitions:
		return grown(r.Topic, r.Partitions, pos.Partitions)
	}
	return nil
}

// grown is the refusal of an input that has another number of partitions than the state.
func grown(topic string, now, before int32) error {
	return &StopError{What: fmt.Sprintf(
		"the input topic %s has %d partitions now, the state was made with %d", topic, now, before),
		Do: rescale}
}

func (r *Recovery) fresh() (*state.Partition, error) {
	if err := r.Store.Drop(r.Topic, r.Partition); err != nil {
		return nil, err
	}
	return r.Store.Partition(r.Topic, r.Partition)
}

// catchUp decides how the local state p gets to the committed offset: it is there, the tail of
// the changelog is missing, or all of it is read again. What it returns is open, with an error
// too; nil if nothing is.
func (r *Recovery) catchUp(
	ctx context.Context, p *state.Partition, at kadm.Offset,
) (*state.Partition, error) {
	local, have := p.Position()
	target, ours := parseOffsetMeta(at.Metadata)
	switch {
	case at.At < 0:
		return p, r.mustBeNew(ctx, have)
	case !ours:
		return r.adoptOffset(ctx, p, at)
	case have && local.ChangelogID == r.ChangelogID && local.Seq == target.seq:
		if local.Offset != at.At || local.ChangelogEnd != target.changelogEnd {
			return p, r.refuse(fmt.Sprintf(
				"the committed offset is %d and the state of the same transaction is at %d", at.At, local.Offset))
		}
		return p, nil
	}
	if have && local.ChangelogID == r.ChangelogID && local.Seq > target.seq {
		return p, r.refuse(fmt.Sprintf(
			"the committed offset went back to %d, %d was confirmed here", at.At, local.Offset))
	}
	var err error
	if have && r.tailWillDo(local, target) {
		err = r.replay(ctx, p, local.ChangelogEnd, target)
		if errors.Is(err, state.ErrDamaged) || errors.Is(err, kerr.OffsetOutOfRange) {
			r.Log.Warn("the local state does not fit the changelog: restoring all of it",
				zap.Stringer("partition", r), zap.Error(err))
			p, err = r.refill(ctx, p, true, target)
		}
	} else {
		p, err = r.refill(ctx, p, have, target)
	}
	if err != nil {
		return p, err
	}
	if pos, ok := p.Position(); !ok || pos.Seq != target.seq || pos.Offset != at.At {
		return p, r.refuse(fmt.Sprintf(
			"the committed offset is %d of transaction %d, the changelog ends with offset %d of transaction %d",
			at.At, target.seq, pos.Offset, pos.Seq))
	}
	return p, nil
}

// refill restores all of a partition from the beginning of its changelog. What is there locally
// is dropped only when the changelog reaches the target: it may be the last copy.
func (r *Recovery) refill(
	ctx context.Context, p *state.Partition, drop bool, target offsetMeta,
) (*state.Partition, error) {
	start, end, err := r.Cluster.ChangelogBounds(ctx, false)
	switch {
	case err != nil:
		return p, err
	case end < 0:
		return p, r.endUnknown()
	}
	if err := reaches(tp{r.Changelog, r.Partition}, start, end, target.changelogEnd); err != nil {
		return p, err
	}
	if drop {
		if p, err = r.reopen(p); err != nil {
			return p, err
		}
	}
	err = r.replay(ctx, p, -1, target)
	if errors.Is(err, state.ErrDamaged) && r.Store.Err() == nil {
		err = &StopError{
			What: fmt.Sprintf("the changelog %s/%d lacks rows of the committed state",
				r.Changelog, r.Partition),
			Do:    changelogLost,
			Cause: err,
		}
	}
	return p, err
}

// tailWillDo reports whether the local rows are a prefix of the changelog that no compaction can
// have outdated: the same changelog, behind the target, and younger than its tombstones live.
func (r *Recovery) tailWillDo(local state.Position, target offsetMeta) bool {
	age := time.Duration(r.Now.UnixMilli()-int64(local.WrittenAt)) * time.Millisecond
	return local.ChangelogID == r.ChangelogID && local.ChangelogID != [16]byte{} &&
		local.InputID == r.InputID && local.Seq < target.seq &&
		local.ChangelogEnd > 0 && local.ChangelogEnd < target.changelogEnd &&
		age >= 0 && age < r.Tombstones/2
}

func (r *Recovery) reopen(p *state.Partition) (*state.Partition, error) {
	if err := p.Close(); err != nil {
		return nil, fmt.Errorf("close the state of %s: %w", r, err)
	}
	q, err := r.fresh()
	if err != nil {
		return nil, fmt.Errorf("begin the state of %s anew: %w", r, err)
	}
	return q, nil
}

// mustBeNew allows a partition without a committed offset only if nothing was ever done for it.
func (r *Recovery) mustBeNew(ctx context.Context, haveLocal bool) error {
	meta, err := r.lastMeta(ctx)
	if err != nil {
		return err
	}
	switch {
	case meta == nil && !haveLocal:
		return nil
	case meta != nil && meta.InputID != r.InputID: // the offsets went with the topic
		return recreated(r.Topic)
	}
	// A topic that is deleted takes the group's offsets along.
	id, err := r.Cluster.CurrentInputID(ctx)
	switch {
	case err != nil:
		return err
	case id != r.InputID:
		return recreated(r.Topic)
	}
	what := "the group has no committed offset, but the state directory has a position"
	do := "the changelog topic is gone or empty: restore it, or start over with a new kafka.group " +
		"and an empty state.dir"
	if meta != nil {
		what = fmt.Sprintf("the group has no committed offset, but the changelog goes up to offset %d",
			meta.Offset)
		do = fmt.Sprintf("set it back with: kafka-consumer-groups.sh --bootstrap-server %s --group %s "+
			"--topic %s:%d --reset-offsets --to-offset %d --execute (once the group is empty, which takes "+
			"the session timeout; a command for each partition)",
			r.Broker, r.Group, r.Topic, r.Partition, meta.Offset)
	}
	return &StopError{What: r.String() + ": " + what, Do: do}
}

func (r *Recovery) endUnknown() error {
	return fmt.Errorf("look up the end of %s/%d: it is not known", r.Changelog, r.Partition)
}

// lastMeta reads a whole changelog partition and returns its last position, nil if it has none.
func (r *Recovery) lastMeta(ctx context.Context) (*state.Position, error) {
	start, end, err := r.Cluster.ChangelogBounds(ctx, true)
	switch {
	case err != nil:
		return nil, err
	case end < 0:
		return nil, r.endUnknown()
	case start >= end:
		return nil, nil
	}
	var last *state.Position
	err = r.Cluster.ReadChangelog(ctx, -1, end, func(rec *kgo.Record) error {
		if !state.IsMeta(rec.Key) {
			return nil
		}
		pos, err := state.DecodeMeta(rec.Value)
		pos.ChangelogEnd = rec.Offset + 1
		last = &pos
		return err
	})
	return last, err
}

// adoptOffset goes on from a committed offset that is not ours, which an operator has set: if the
// changelog's last position is exactly that offset, or if all that lies between them is gone from
// the input, so that nothing which is there is skipped.
func (r *Recovery) adoptOffset(
	ctx context.Context, p *state.Partition, at kadm.Offset,
) (*state.Partition, error) {
	meta, err := r.lastMeta(ctx)
	if err != nil {
		return p, err
	}
	if meta == nil {
		return p, r.refuse(fmt.Sprintf(
			"the group has the committed offset %d, which no sessionizer wrote, and there is no state for it", at.At))
	}
	if meta.Offset != at.At {
		start, err := r.Cluster.InputStart(ctx)
		if err != nil {
			return p, err
		}
		if at.At < meta.Offset || at.At > start {
			return p, r.refuse(fmt.Sprintf(
				"the group's committed offset was set to %d, the state is at %d", at.At, meta.Offset))
		}
		r.Log.Warn("going on behind records that are gone", zap.Stringer("partition", r),
			zap.Int64("from", meta.Offset), zap.Int64("to", at.At))
	}
	if p, err = r.reopen(p); err != nil {
		return p, err
	}
	return p, r.replay(ctx, p, -1, offsetMeta{meta.Seq, meta.ChangelogEnd, meta.Partitions})
}

func (r *Recovery) refuse(what string) error {
	return &StopError{What: r.String() + ": " + what,
		Do: "see OPERATING.md, \"Offsets and state disagree\": set the group's offset back to the " +
			"state's, or start over with a new kafka.group and an empty state.dir"}
}

// replay reads the changelog read_committed from an offset (negative: its beginning) up to the
// target transaction's META record and makes it the partition's state.
func (r *Recovery) replay(
	ctx context.Context, p *state.Partition, from int64, target offsetMeta,
) error {
	began := time.Now()
	restore, err := p.Restore()
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	var last *state.Position
	rows := 0
	err = r.Cluster.ReadChangelog(ctx, from, target.changelogEnd, func(rec *kgo.Record) error {
		if !state.IsMeta(rec.Key) {
			rows++
			return restore.Apply(rec.Key, rec.Value)
		}
		pos, err := state.DecodeMeta(rec.Value)
		if err != nil {
			return err
		}
		pos.ChangelogEnd, pos.ChangelogID = rec.Offset+1, r.ChangelogID
		last = &pos
		return nil
	})
	if err == nil && (last == nil || last.Seq != target.seq) {
		err = r.refuse("the changelog lacks the transaction that the committed offset belongs to")
	}
	if err == nil {
		err = restore.Finish(*last)
	}
	if err != nil {
		err = fmt.Errorf("changelog %s/%d: %w", r.Changelog, r.Partition, err)
		return errors.Join(err, restore.Abort())
	}
	r.Log.Info("state restored", zap.Stringer("partition", r), zap.Int("rows", rows),
		zap.Bool("tail", from >= 0), zap.Duration("took", time.Since(began)))
	return nil
}
