package processor

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"sessionizer/schemas/registry"
)

// A partition whose next event has a schema that is not known yet waits: what was polled of it from
// there on is kept here, and nothing more of it is fetched. The lane goes on meanwhile, commits
// and takes part in rebalances, so that nothing hangs on how long a registry takes. The partition's
// position stays before the event that waits, for the position is the task's and not the client's.
//
// The client counts what it returned as read: with the next commit of any partition it takes its
// own position, behind what waits, for the committed one, and that is where it goes back to when a
// transaction is aborted. What was stepped of what waited would then not come again. part.ahead
// says so; the lane begins anew instead. An abort before that goes back far enough.

// take returns what can be processed of a partition's records now, and has the rest wait.
func (l *lane) take(p *part, records []*kgo.Record) ([]*kgo.Record, error) {
	if len(p.waiting) > 0 {
		p.waiting = append(p.waiting, records...)
		return nil, nil
	}
	s := l.host.lessons
	if s == nil {
		return records, nil
	}
	open := map[uint32]bool{} // asked for, and not answered
	for i, r := range records {
		id, unknown := p.task.Unknown(r)
		if !unknown || open[id] {
			continue
		}
		if len(open) >= lessonsMax {
			break
		}
		bad, err := s.ask(id, l.calls)
		switch {
		case err != nil:
			return nil, err
		case bad == nil:
			open[id] = true
		case len(p.waiting) == 0:
			p.task.Poison(r.Offset, bad)
		}
		if bad != nil || len(p.waiting) > 0 {
			continue // it is asked for in good time
		}
		p.waiting, records = records[i:len(records):len(records)], records[:i]
		l.log.Debug("partition waits for a schema", zap.Stringer("partition", p.tp),
			zap.Int64("offset", r.Offset), zap.Uint32("schema_id", id))
		l.sess.Client().PauseFetchPartitions(map[string][]int32{p.tp.topic: {p.tp.id}})
	}
	return records, nil
}

// release takes up the partitions whose next schema has been learned.
func (l *lane) release() ([]batch, error) {
	var batches []batch
	for _, p := range l.parts {
		if len(p.waiting) == 0 {
			continue
		}
		if id, unknown := p.task.Unknown(p.waiting[0]); unknown {
			open, err := l.host.lessons.open(id)
			if err != nil {
				return nil, err
			}
			if open {
				continue
			}
		}
		records := l.unwait(p)
		if err := p.continuous(records[0].Offset, 0); err != nil {
			return nil, err
		}
		now, err := l.take(p, records)
		if err != nil {
			return nil, err
		}
		if len(now) > 0 {
			batches = append(batches, batch{p, now})
		}
	}
	return batches, nil
}

// unwait has a partition wait for nothing. The records that waited are returned.
func (l *lane) unwait(p *part) []*kgo.Record {
	records := p.waiting
	p.waiting = nil
	l.resume(p)
	return records
}

// resume fetches a partition again if nothing speaks against it.
func (l *lane) resume(p *part) {
	if p.hold.until.IsZero() && len(p.waiting) == 0 && p.aside == nil {
		l.sess.Client().ResumeFetchPartitions(map[string][]int32{p.tp.topic: {p.tp.id}})
	}
}

// enroll has the registry give the visits' schema its id, for as long as the registry takes to
// answer.
func (h *host) enroll(ctx context.Context) error {
	if h.cfg.VisitsSchema == "" || h.cfg.Registry == nil {
		return nil
	}
	b := newBackoff()
	for {
		id, err := h.enrollOnce(ctx)
		var e *registry.Error
		switch {
		case err == nil:
			h.cfg.Codec.FrameVisits(id)
			h.log.Info("schema of the visits", zap.Uint32("schema_id", id))
			return nil
		case ctx.Err() != nil, h.halted():
			return err
		case errors.As(err, &e) && e.Final():
			return refusedBy(e)
		}
		wait := b.next()
		h.log.Warn("the schema registry does not answer; waiting for it, which the visits need",
			zap.Stringer("registry", h.cfg.Registry.Client), zap.Error(err),
			zap.Duration("again_in", wait))
		if err := h.pause(ctx, wait); err != nil {
			return err
		}
	}
}

func (h *host) enrollOnce(ctx context.Context) (uint32, error) {
	ctx, cancel := h.bound(ctx, lessonTimeout)
	defer cancel()
	return h.cfg.Registry.Enroll(ctx, h.cfg.Visits+"-value", h.cfg.VisitsSchema,
		"visit-ended")
}
