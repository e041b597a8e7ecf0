package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What does not answer is waited for, and what was not read is never taken for read: either an
// answer comes, or there is no verdict.

const (
	noticeAfter = 30 * time.Second // then people hear what is waited for
	// stuckMax ends a wait: longer than a broker takes to restart, or to time out the transaction of
	// a process that died.
	stuckMax    = 5 * time.Minute
	lookupMax   = 15 * time.Second       // for one answer; then it is asked again
	lookupPause = 100 * time.Millisecond // between two look-ups; a commit takes about as long
)

// StuckError says that there is no verdict, since the topics could not be read to their ends.
type StuckError struct {
	Topic       string // empty: it is no partition that is stuck, but a look-up
	Partition   int32
	Offset, End int64  // where it is stuck, and where the partition ended when the audit began
	What        string // the look-up
	Why         string
	Cause       error
}

func (e *StuckError) Error() string {
	what := e.What
	if e.Topic != "" {
		what = fmt.Sprintf("stuck at %s/%d@%d, which was to be read up to %d", e.Topic, e.Partition,
			e.Offset, e.End)
	}
	return fmt.Sprintf("%s: no progress for %v: %s", what, stuckMax, e.Why)
}

func (e *StuckError) Unwrap() error { return e.Cause }

// wait is one thing that is waited for.
type wait struct {
	what  string
	begun time.Time
	told  bool
	tell  func(string)
}

func (k *Kafka) newWait(what string) *wait {
	return &wait{what: what, begun: time.Now(), tell: k.tell}
}

// isOver reports whether it has taken too long, and says once that it takes long, and why.
func (w *wait) isOver(why string) bool {
	taken := time.Since(w.begun)
	if taken >= noticeAfter && !w.told && w.tell != nil {
		w.told = true
		w.tell(fmt.Sprintf("waiting for %v, and for %v at most: %s: %s", taken.Round(time.Second),
			stuckMax, w.what, why))
	}
	return taken >= stuckMax
}

// patiently asks until there is an answer.
func (k *Kafka) patiently(
	ctx context.Context, what string, ask func(context.Context) error,
) error {
	w := k.newWait(what)
	for {
		try, cancel := context.WithTimeout(ctx, lookupMax)
		err := ask(try)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil, !isTransient(err):
			return fmt.Errorf("%s: %w", what, err)
		case w.isOver(err.Error()):
			return &StuckError{What: what, Why: err.Error(), Cause: err}
		}
		pause := time.NewTimer(lookupPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return fmt.Errorf("%s: %w", what, ctx.Err())
		}
	}
}

// isTransient reports whether the same question may be answered later: the broker is away, or says
// so. A topic that is not there is retriable for Kafka, and for people an answer.
func isTransient(err error) bool {
	var network net.Error
	return !errors.Is(err, kerr.UnknownTopicOrPartition) && (kerr.IsRetriable(err) ||
		kgo.IsRetryableBrokerErr(err) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, io.EOF) || errors.As(err, &network))
}
