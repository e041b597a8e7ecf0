package processor

import (
	"context"
	"time"

	"go.uber.org/zap"

	"sessionizer/session"
)

// tick lets the wall clock end visits on partitions that are idle: silent for IdleAfter and read
// to their end, which is looked up, not guessed. What an event watermark makes due is ended with
// the events themselves.
func (l *lane) tick(ctx context.Context) error {
	if err := l.drain(ctx); err != nil {
		return err
	}
	now := time.Now()
	if now.Sub(l.lastTick) < tickEvery {
		return nil
	}
	l.lastTick = now
	if l.host.cfg.UntilEnd {
		return l.reachEnds(ctx, now)
	}
	if err := l.sweep(ctx, now); err != nil {
		return err
	}
	watermark := session.Time(now.UnixMilli()) - session.Time(l.host.cfg.Rules.OutOfOrder)
	waiting := map[string][]*part{}
	for _, p := range l.parts {
		if p.task == nil || p.task.Next() == unknownOffset || p.task.Touched() || len(p.waiting) > 0 ||
			now.Sub(p.arrived) < l.host.cfg.IdleAfter || !p.dueAt(watermark) {
			continue
		}
		waiting[p.tp.topic] = append(waiting[p.tp.topic], p)
	}
	for topic, parts := range waiting {
		if err := l.tickTopic(ctx, topic, parts, watermark); err != nil {
			return err
		}
	}
	return nil
}

// sweep lets partitions that the open transaction has not touched forget keys; the others do when
// they are committed.
func (l *lane) sweep(ctx context.Context, now time.Time) error {
	for _, p := range l.parts {
		if p.task == nil || p.task.Touched() {
			continue
		}
		if err := p.task.Sweep(now); err != nil {
			return err
		}
		if err := l.produceTouched(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// dueAt reports whether a timer may be due at a watermark.
func (p *part) dueAt(watermark session.Time) bool {
	next := p.state.NextDue()
	return next != session.NoTime && next < watermark
}

func (l *lane) tickTopic(
	ctx context.Context, topic string, parts []*part, watermark session.Time,
) error {
	lookup, cancel := l.host.bound(ctx, l.host.cfg.endDeadline())
	defer cancel()
	ends, err := l.host.adm.ListCommittedOffsets(lookup, topic)
	defer func() {
		if err != nil {
			l.log.Warn("look up the end of an idle topic", zap.String("topic", topic), zap.Error(err))
			l.lastTick = time.Now().Add(probeEvery - tickEvery)
		}
	}()
	for _, p := range parts {
		end, ok := ends.Lookup(topic, p.tp.id)
		if !ok {
			continue
		}
		if end.Err != nil {
			err = end.Err
			continue
		}
		if end.Offset != p.task.Next() {
			// Its timers end with a later tick, at an end that is committed.
			l.passEnd(ctx, p, end.Offset)
		} else if err := l.expire(p, watermark); err != nil {
			return err
		}
		if err := l.produceTouched(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// produceTouched produces what a tick made of a partition. A lazy timer may have turned out to
// have nothing to do: then no transaction is begun for it.
func (l *lane) produceTouched(ctx context.Context, p *part) error {
	if !p.task.Touched() {
		return nil
	}
	if err := l.ensureOpen(ctx); err != nil {
		return err
	}
	l.produce(p)
	return nil
}

// drain ends the visits that are due at the event watermark and that the events' own transactions
// did not end: more of them than one may hold, or left by a former life. It settles the lane once
// a pass over all its partitions, with nothing open, finds none.
func (l *lane) drain(ctx context.Context) error {
	if l.open || !l.unsettled.Load() {
		return nil
	}
	more := !l.calls.joined.Load()
	for _, p := range l.parts {
		if p.task == nil {
			more = true // it is being restored
			continue
		}
		if !p.dueAt(p.task.Watermark()) {
			continue
		}
		n, err := p.task.Tick(p.task.Watermark())
		if err != nil {
			return err
		}
		more = more || n > 0
		if err := l.produceTouched(ctx, p); err != nil {
			return err
		}
	}
	l.unsettled.Store(more) // not before: a run until the end looks at it from beside
	return nil
}
