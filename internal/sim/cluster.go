package sim

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// cluster answers the recovery of one partition from the broker in memory, and notes how it went.
type cluster struct {
	m         *member
	partition int32

	read bool  // the changelog was read
	from int64 // from there; negative: the beginning
	hurt int   // so many records until a read breaks off; 0: never
}

func (c *cluster) broker() *broker { return c.m.w.broker }

// TakeOver ends the transactions that others have open on what the partition's owner writes to, if
// members may.
func (c *cluster) TakeOver(context.Context) error {
	b := c.broker()
	id := c.partition
	for _, l := range []*plog{b.changelogs[id], b.output[id], b.visits[id]} {
		for _, t := range b.holding(l) {
			if t.name != c.m.name && c.m.w.set.mayTake {
				c.m.w.count(cntTakeOvers)
				b.abortExactly(t)
			}
		}
	}
	return nil
}

// EndHanging has nothing to do: this broker writes all its markers.
func (c *cluster) EndHanging(context.Context, kadm.Offset) error { return nil }

// Committed waits for the timeout of a transaction that nobody ends.
func (c *cluster) Committed(context.Context) (kadm.Offset, error) {
	at, err := c.broker().committedOffset(c.partition)
	for errors.Is(err, errUnstable) {
		c.m.w.count(cntTimeouts)
		c.m.w.timeOut()
		at, err = c.broker().committedOffset(c.partition)
	}
	return kadm.Offset{Partition: c.partition, At: at.offset, Metadata: at.metadata}, err
}

// ChangelogBounds are those of the changelog.
func (c *cluster) ChangelogBounds(
	_ context.Context, stable bool,
) (start, end int64, err error) {
	l := c.broker().changelogs[c.partition]
	if stable {
		return l.start, l.stable(), nil
	}
	return l.start, l.next, nil
}

// ReadChangelog reads what is committed of it. A transaction that holds the stable end back is
// waited for.
func (c *cluster) ReadChangelog(
	_ context.Context, from, end int64, each func(*kgo.Record) error,
) error {
	l := c.broker().changelogs[c.partition]
	if from >= 0 && from < l.start {
		return kerr.OffsetOutOfRange
	}
	c.read, c.from = true, from
	for l.stable() < min(end, l.next) {
		c.m.w.count(cntTimeouts)
		c.m.w.timeOut()
	}
	var err error
	l.committed(max(from, l.start), end, func(e *entry) bool {
		if e.marker {
			return true
		}
		if c.hurt > 0 {
			if c.hurt--; c.hurt == 0 {
				err = errLost
				return false
			}
		}
		err = each(&kgo.Record{
			Topic: l.topic, Partition: l.id, Offset: e.offset, Key: e.key, Value: e.value,
		})
		return err == nil
	})
	return err
}

// InputStart is the first offset of the input.
func (c *cluster) InputStart(context.Context) (int64, error) {
	return c.broker().input[c.partition].start, nil
}

// CurrentInputID is the input's id, which never changes here.
func (c *cluster) CurrentInputID(context.Context) ([16]byte, error) { return inputID(), nil }
