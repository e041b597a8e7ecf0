package dlq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/internal/failpoint"
)

// Limits of one transaction.
const (
	BatchLetters = 500
	BatchBytes   = 8 << 20
)

// Redriver sends dead letters back. Its client has a transactional id that all redrives of a group
// share: the newest one fences the others, so no two read the marks at the same time and send the
// same letter.
type Redriver struct {
	client  *kgo.Client
	timeout time.Duration // of one transaction
}

// NewRedriver takes the transactional id from whoever had it before: what that one left open is
// undone, what it has committed is there to be read. The marks must be read after this.
func NewRedriver(
	ctx context.Context, client *kgo.Client, timeout time.Duration,
) (*Redriver, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if _, _, err := client.ProducerID(ctx); err != nil {
		return nil, fmt.Errorf("initialise the producer id: %w", err)
	}
	return &Redriver{client, timeout}, nil
}

// Send sends letters back and marks them as sent, all or none. After an error the marks know which
// it was, so to run it again is always right. A stop of the program waits for a transaction that
// has begun.
func (r *Redriver) Send(ctx context.Context, letters []*Letter) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.timeout)
	defer cancel()
	if err := r.client.BeginTransaction(); err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	if err := r.produce(ctx, letters); err != nil {
		undone := r.client.EndTransaction(ctx, kgo.TryAbort)
		if fenced(err) || fenced(undone) {
			return errOther
		}
		return errors.Join(err, undone)
	}
	failpoint.Hit(failpoint.OpenTransaction)
	err := r.client.EndTransaction(ctx, kgo.TryCommit)
	switch {
	case fenced(err):
		return errOther
	case err != nil:
		return fmt.Errorf("commit %d dead letters, which may have gone or not: %w; run it again, "+
			"it knows then", len(letters), err)
	}
	return nil
}

var errOther = errors.New("another redrive of this group has begun: it goes on, this one stops")

func fenced(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch)
}

func (r *Redriver) produce(ctx context.Context, letters []*Letter) error {
	var records []*kgo.Record
	offsets := map[Place][]int64{} // by partition of the dead letters
	for _, l := range letters {
		records = append(records, l.back())
		at := Place{Topic: l.At.Topic, Partition: l.At.Partition}
		offsets[at] = append(offsets[at], l.At.Offset)
	}
	for at, of := range offsets {
		slices.Sort(of)
		records = append(records, mark(at.Topic, at.Partition, of))
	}
	results := r.client.ProduceSync(ctx, records...)
	for _, result := range results {
		if err := result.Err; err != nil {
			return produceFault(result.Record, letters, records, err)
		}
	}
	return nil
}

// produceFault says whose record it was that the brokers did not take.
func produceFault(of *kgo.Record, letters []*Letter, records []*kgo.Record, err error) error {
	where := fmt.Sprintf("%s/%d", of.Topic, of.Partition)
	i := slices.Index(records, of)
	if i < 0 || i >= len(letters) {
		return fmt.Errorf("write to %s which dead letters have gone: %w", where, err)
	}
	do := ""
	switch {
	case errors.Is(err, kerr.MessageTooLarge):
		do = "; raise max.message.bytes of " + of.Topic + ", or leave it out with --offset"
	case errors.Is(err, kerr.InvalidTimestamp):
		do = "; " + of.Topic + " does not take its timestamp, see message.timestamp.before.max.ms"
	}
	return fmt.Errorf("send %v back to %s: %w%s", letters[i].At, where, err, do)
}
