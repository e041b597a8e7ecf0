package processor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
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
		p, from, err := h.recovery(x, txn).Run(ctx)
		var stop *StopError
		switch {
		case err == nil, errors.As(err, &stop):
			return p, from, err
		case ctx.Err() != nil || h.halted() || h.store.Err() != nil:
			return p, from, &resetError{"restore " + x.String(), err}
		}
		if stop := refusal("restore "+x.String(), err); stop != nil {
			return p, from, stop
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
	var refusal error
	all.Each(func(o kadm.OffsetResponse) {
		meta, ours := parseOffsetMeta(o.Metadata)
		if o.Err == nil && ours && meta.partitions != h.partitions {
			refusal = grown(o.Topic, h.partitions, meta.partitions)
		}
	})
	return refusal
}

// committed is the group's committed offset of a partition: a stable one, not one that a
// transaction that is still open is about to replace. At is negative where there is none. A
// transaction that nobody may end is waited for here, beside the lane's other partitions, until
// the broker times it out; of one that has ended long since what Kafka has left out is made up for.
func (h *host) committed(ctx context.Context, x tp) (kadm.Offset, error) {
	looked := time.Now()
	for {
		o, err := h.stable(ctx, x)
		if !errors.Is(err, kerr.UnstableOffsetCommit) {
			return o, err
		}
		if time.Since(looked) >= pendingLook {
			if err := h.settlePending(ctx, x); err != nil {
				return kadm.Offset{}, err
			}
			looked = time.Now()
		}
		if err := h.pause(ctx, unstablePoll); err != nil {
			return kadm.Offset{}, err
		}
	}
}

const (
	// unstablePoll is how often an offset is looked up that a transaction is about to replace.
	unstablePoll = 100 * time.Millisecond
	// pendingLook is how often it is looked after that transaction.
	pendingLook = 3 * time.Second
)

// stable asks for the partition by name: asked for all that a group has, Kafka does not tell of one
// whose first offset is pending.
func (h *host) stable(ctx context.Context, x tp) (kadm.Offset, error) {
	topic := kmsg.NewOffsetFetchRequestGroupTopic()
	topic.Topic, topic.TopicID, topic.Partitions = x.topic, h.inputID(x.topic), []int32{x.id}
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group = h.cfg.Group
	group.Topics = append(group.Topics, topic)
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = true
	req.Groups = append(req.Groups, group)
	resp, err := req.RequestWith(ctx, h.cl)
	if err == nil && len(resp.Groups) == 1 {
		err = kerr.ErrorForCode(resp.Groups[0].ErrorCode)
	}
	if err != nil {
		return kadm.Offset{}, fmt.Errorf("fetch the committed offset of %s: %w", x, err)
	}
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				err := kerr.ErrorForCode(p.ErrorCode)
				switch {
				case p.Partition != x.id:
					continue
				case err != nil:
					return kadm.Offset{}, fmt.Errorf("fetch the committed offset of %s: %w", x, err)
				}
				o := kadm.Offset{Topic: x.topic, Partition: x.id, At: p.Offset, LeaderEpoch: p.LeaderEpoch}
				if p.Metadata != nil {
					o.Metadata = *p.Metadata
				}
				return o, nil
			}
		}
	}
	return kadm.Offset{}, fmt.Errorf("fetch the committed offset of %s: the answer lacks it", x)
}
