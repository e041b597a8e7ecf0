package processor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"sessionizer/state"
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
				if err := h.checkEnd(ctx, topic, x.id, end); err != nil {
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

const changelogLost = "the changelog was truncated or created anew: see OPERATING.md, \"Changelog lost\""

// checkEnd refuses to wait for changelog records that are not there.
func (h *host) checkEnd(ctx context.Context, topic string, id int32, end int64) error {
	starts, err := h.adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return fmt.Errorf("look up the start of %s/%d: %w", topic, id, err)
	}
	ends, err := h.adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return fmt.Errorf("look up the end of %s/%d: %w", topic, id, err)
	}
	if o, ok := ends.Lookup(topic, id); ok && o.Err == nil && o.Offset < end {
		return &StopError{
			What: fmt.Sprintf("the changelog %s/%d ends at %d, the committed offset needs it up to %d",
				topic, id, o.Offset, end),
			Do: changelogLost,
		}
	}
	if o, ok := starts.Lookup(topic, id); ok && o.Err == nil && o.Offset >= end {
		return &StopError{
			What: fmt.Sprintf("the changelog %s/%d begins at %d, the committed offset needs it up to %d",
				topic, id, o.Offset, end),
			Do: changelogLost,
		}
	}
	return nil
}

// lastMeta reads a whole changelog partition and returns its last position, nil if it has none.
func (h *host) lastMeta(ctx context.Context, x tp) (*state.Position, error) {
	topic := h.cfg.ChangelogTopic(x.topic)
	starts, err := h.adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("look up the start of %s: %w", topic, err)
	}
	ends, err := h.adm.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("look up the end of %s: %w", topic, err)
	}
	start, _ := starts.Lookup(topic, x.id)
	end, ok := ends.Lookup(topic, x.id)
	if !ok || end.Err != nil {
		return nil, fmt.Errorf("look up the end of %s/%d: %w", topic, x.id, end.Err)
	}
	if start.Offset >= end.Offset {
		return nil, nil
	}
	var last *state.Position
	err = h.read(ctx, x, -1, end.Offset, func(rec *kgo.Record) error {
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
