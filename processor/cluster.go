package processor

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// recovery is that of one partition, which the lane with a transactional id is to have.
func (h *host) recovery(x tp, txn string) *Recovery {
	changelog := h.cfg.ChangelogTopic(x.topic)
	tombstones := 24 * time.Hour
	if ms, ok := h.topology.Int(changelog, "delete.retention.ms"); ok {
		tombstones = time.Duration(ms) * time.Millisecond
	}
	return &Recovery{
		Cluster: &brokers{h, x, txn}, Store: h.store, Log: h.log, Now: time.Now(),
		Topic: x.topic, Partition: x.id, Partitions: h.partitions, Changelog: changelog,
		InputID: h.inputID(x.topic), ChangelogID: h.changelogID(x.topic), Tombstones: tombstones,
		Group: h.cfg.Group, Broker: h.cfg.Brokers[0],
	}
}

// brokers are the Cluster of one partition's Recovery.
type brokers struct {
	host *host
	tp   tp
	txn  string // of the lane that is to have it
}

func (b *brokers) TakeOver(ctx context.Context) error { return b.host.takeOver(ctx, b.tp, b.txn) }

func (b *brokers) EndHanging(ctx context.Context, at kadm.Offset) error {
	return b.host.endHanging(ctx, b.tp, at)
}

func (b *brokers) Committed(ctx context.Context) (kadm.Offset, error) {
	return b.host.committed(ctx, b.tp)
}

func (b *brokers) ChangelogBounds(
	ctx context.Context, stable bool,
) (start, end int64, err error) {
	return b.host.changelogBounds(ctx, b.tp, stable)
}

func (b *brokers) ReadChangelog(
	ctx context.Context, from, end int64, each func(*kgo.Record) error,
) error {
	return b.host.read(ctx, b.tp, from, end, each)
}

func (b *brokers) InputStart(ctx context.Context) (int64, error) {
	starts, err := b.host.adm.ListStartOffsets(ctx, b.tp.topic)
	if err != nil {
		return 0, fmt.Errorf("look up the start of %s: %w", b.tp, err)
	}
	return offsetOf(starts, b.tp), nil
}

func (b *brokers) CurrentInputID(ctx context.Context) ([16]byte, error) {
	topics, err := b.host.adm.ListTopics(ctx, b.tp.topic)
	if err == nil {
		err = topics[b.tp.topic].Err
	}
	if err != nil {
		return [16]byte{}, fmt.Errorf("look up the input topic %s: %w", b.tp.topic, err)
	}
	return topics[b.tp.topic].ID, nil
}

// changelogBounds are those of the changelog of an input partition.
func (h *host) changelogBounds(
	ctx context.Context, x tp, stable bool,
) (start, end int64, err error) {
	at := tp{h.cfg.ChangelogTopic(x.topic), x.id}
	starts, err := h.adm.ListStartOffsets(ctx, at.topic)
	if err != nil {
		return 0, 0, fmt.Errorf("look up the start of %s: %w", at, err)
	}
	list := h.adm.ListEndOffsets
	if stable {
		list = h.adm.ListCommittedOffsets
	}
	ends, err := list(ctx, at.topic)
	if err != nil {
		return 0, 0, fmt.Errorf("look up the end of %s: %w", at, err)
	}
	return offsetOf(starts, at), offsetOf(ends, at), nil
}

// offsetOf is a partition's among those listed, negative where it has none.
func offsetOf(listed kadm.ListedOffsets, x tp) int64 {
	o, ok := listed.Lookup(x.topic, x.id)
	if !ok || o.Err != nil {
		return -1
	}
	return o.Offset
}

const changelogLost = "the changelog was truncated or created anew: see OPERATING.md, " +
	"\"Changelog lost\""

// reaches refuses to wait for changelog records that are not there. Bounds that are not known
// refuse nothing.
func reaches(changelog tp, start, end, want int64) error {
	var what string
	switch {
	case end >= 0 && end < want:
		what = fmt.Sprintf("ends at %d", end)
	case start >= want:
		what = fmt.Sprintf("begins at %d", start)
	default:
		return nil
	}
	return &StopError{
		What: fmt.Sprintf("the changelog %s %s, the committed offset needs it up to %d",
			changelog, what, want),
		Do: changelogLost,
	}
}
