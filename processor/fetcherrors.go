package processor

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// A poll returns errors too: those of partitions that the client does not try again by itself,
// those of the group, and those of looking topics up.

func (l *lane) fetchErrors(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		if errors.Is(e.Err, context.DeadlineExceeded) || errors.Is(e.Err, context.Canceled) {
			continue
		}
		var group *kgo.ErrGroupSession
		var err error
		switch {
		case errors.Is(e.Err, kgo.ErrClientClosed):
			return &resetError{"the client was closed", e.Err}
		case errors.As(e.Err, &group):
			err = l.groupError(group.Err)
		case e.Partition < 0:
			err = l.topicError(e.Topic, e.Err)
		default:
			err = l.fetchError(tp{e.Topic, e.Partition}, e.Err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// groupError is about the membership. The client joins again, with pauses that grow.
func (l *lane) groupError(cause error) error {
	if errors.Is(cause, kerr.FencedInstanceID) {
		return l.host.replaced(l.txn, cause)
	}
	if stop := refusal("be a member of the group "+l.host.cfg.Group, cause); stop != nil {
		return stop
	}
	l.log.Warn("the group membership was interrupted", zap.Error(cause))
	return nil
}

// topicError is about the metadata of a topic. The client asks again, and goes on meanwhile with
// what it knows.
func (l *lane) topicError(topic string, cause error) error {
	if stop := refusal("look up the topic "+topic, cause); stop != nil {
		return stop
	}
	l.log.Warn("look up a topic", zap.String("topic", topic), zap.Error(cause))
	return nil
}

// hold is how a partition is kept from being fetched after an error.
type hold struct {
	until   time.Time // zero: it is fetched
	last    time.Time // of the last error
	backoff *backoff
}

// fetchError holds a partition back for a while. The client asks again at once: a broker that
// goes on refusing would be asked as fast as it answers.
func (l *lane) fetchError(x tp, cause error) error {
	if stop := fetchFault(x, cause); stop != nil {
		return stop
	}
	p := l.parts[x]
	if p == nil {
		return nil // it has gone meanwhile
	}
	if l.setAside(p, cause) {
		return nil
	}
	now := time.Now()
	if p.hold.backoff == nil || now.Sub(p.hold.last) > p.hold.backoff.quiet() {
		p.hold.backoff = newBackoff()
	}
	wait := p.hold.backoff.next()
	p.hold.last, p.hold.until = now, now.Add(wait)
	l.sess.Client().PauseFetchPartitions(map[string][]int32{x.topic: {x.id}})
	l.log.Warn("a partition cannot be fetched", zap.Stringer("partition", x), zap.Error(cause),
		zap.Duration("again_in", wait))
	return nil
}

// letGo fetches partitions again that were held back long enough. One that is still being restored
// is paused for that too.
func (l *lane) letGo(now time.Time) {
	for _, p := range l.parts {
		if p.hold.until.IsZero() || now.Before(p.hold.until) || p.task == nil || p.aside != nil {
			continue
		}
		p.hold.until = time.Time{}
		l.resume(p)
	}
}
