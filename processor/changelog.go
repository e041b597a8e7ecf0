package processor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// readStall is how long a changelog may bring nothing before its end is looked up anew.
const readStall = 5 * time.Second

// read hands the committed records of a changelog partition to each, from an offset (negative:
// the beginning) up to end, exclusive. Progress of a long read is logged.
func (h *host) read(
	ctx context.Context, x tp, from, end int64, each func(*kgo.Record) error,
) error {
	topic := h.cfg.ChangelogTopic(x.topic)
	start := kgo.NewOffset().AtStart()
	if from >= 0 {
		start = kgo.NewOffset().At(from)
	}
	cl, err := kgo.NewClient(append(h.cfg.clientOpts(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {x.id: start}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset().AtStart()),
		kgo.FetchMaxWait(fetchMaxWait))...)
	if err != nil {
		return fmt.Errorf("read %s/%d: %w", topic, x.id, err)
	}
	defer cl.Close()
	logged := time.Now()
	for next := int64(0); next < end; {
		pollCtx, cancel := h.bound(ctx, readStall)
		fetches := cl.PollFetches(pollCtx)
		cancel()
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, e := range fetches.Errors() {
			if errors.Is(e.Err, context.DeadlineExceeded) {
				first, last, err := h.changelogBounds(ctx, x, false)
				if err == nil {
					err = reaches(tp{topic, x.id}, first, last, end)
				}
				if err != nil {
					return err
				}
				continue
			}
			return fmt.Errorf("read %s/%d: %w", topic, x.id, e.Err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			rec := it.Next()
			next = rec.Offset + 1
			if rec.Attrs.IsControl() || next > end {
				continue
			}
			if err := each(rec); err != nil {
				return err
			}
		}
		if time.Since(logged) > readStall {
			logged = time.Now()
			h.log.Info("restoring", zap.Stringer("partition", x),
				zap.Int64("changelog_offset", next), zap.Int64("of", end))
		}
	}
	return nil
}
