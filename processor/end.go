package processor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"sessionizer/session"
)

// A partition is read to its end when our position is its end. It can be read to its end and not
// be there: compaction takes records and transaction markers away, those at the end of the log too,
// and no poll says so, for it returns records and there are none. Then the log itself is asked
// whether there is anything left.

const (
	probeEvery      = time.Second      // between two looks at the logs of silent partitions
	endsAtLeast     = 10 * time.Second // between two however busy the others are
	probeFetchesMax = 16               // fetches of one look
	probeBytesMax   = 1 << 20          // of one fetch: at least one batch comes all the same
)

// passEnd takes a silent partition to the end that was looked up for it, if nothing is left there
// that a poll could return.
func (l *lane) passEnd(ctx context.Context, p *part, end int64) {
	ctx, cancel := l.host.bound(ctx, l.host.cfg.endDeadline())
	defer cancel()
	from := p.task.Next()
	now := time.Now()
	if end <= from || now.Sub(p.probed) < probeEvery {
		return
	}
	p.probed = now
	if from == unknownOffset {
		start, err := l.logStart(ctx, p.tp)
		if err != nil || start >= end {
			return
		}
		from = start
	}
	empty, err := l.nothingLeft(ctx, p.tp, from, end)
	if err != nil {
		l.log.Warn("look for records at the end of a silent partition",
			zap.Stringer("partition", p.tp), zap.Int64("from", from), zap.Error(err))
		return
	}
	if !empty {
		return
	}
	l.log.Info("nothing is left up to the end of the log", zap.Stringer("partition", p.tp),
		zap.Int64("from", from), zap.Int64("end", end))
	p.task.Pass(end)
}

// logStart is the first offset of a partition's log.
func (l *lane) logStart(ctx context.Context, x tp) (int64, error) {
	starts, err := l.host.adm.ListStartOffsets(ctx, x.topic)
	start, ok := starts.Lookup(x.topic, x.id)
	switch {
	case err != nil:
		return 0, fmt.Errorf("look up where %s begins: %w", x, err)
	case !ok:
		return 0, fmt.Errorf("look up where %s begins: no answer", x)
	case start.Err != nil:
		return 0, fmt.Errorf("look up where %s begins: %w", x, start.Err)
	}
	return start.Offset, nil
}

// nothingLeft reports whether no committed record lies from one offset up to another, exclusive.
func (l *lane) nothingLeft(ctx context.Context, x tp, from, end int64) (bool, error) {
	for range probeFetchesMax {
		rp, err := l.fetch(ctx, x, from)
		if err != nil {
			return false, fmt.Errorf("fetch %s at %d: %w", x, from, err)
		}
		fp, first, next := l.inflater.look(x, rp, from)
		switch {
		case errors.Is(fp.Err, errUnreadable), errors.Is(fp.Err, errInflatedFull):
			return false, nil
		case fp.Err != nil:
			return false, fmt.Errorf("fetch %s at %d: %w", x, from, fp.Err)
		case fp.LastStableOffset < end:
			return false, nil // it does not know of the end that another broker has named
		case first != unknownOffset:
			return first >= end, nil
		case len(rp.RecordBatches) == 0 || next >= end:
			return true, nil // a broker looks as far as it must to find a batch
		case next <= from:
			return false, nil
		}
		from = next
	}
	return false, nil
}

// look reads what was fetched of a partition, and gives back at once what it decompressed: of the
// records there remain the first offset, unknownOffset without any, and the next one.
func (d *inflater) look(
	x tp, rp *kmsg.FetchResponseTopicPartition, from int64,
) (fp kgo.FetchPartition, first, next int64) {
	fp, next = kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: from, IsolationLevel: kgo.ReadCommitted(), Topic: x.topic, Partition: x.id,
		Pools: []kgo.Pool{d},
	}, rp, d, nil)
	first = unknownOffset
	if len(fp.Records) > 0 {
		first = fp.Records[0].Offset
	}
	recycle(fp.Records)
	fp.Records = nil
	return fp, first, next
}

// fetch asks the leader of a partition for what lies at an offset.
func (l *lane) fetch(
	ctx context.Context, x tp, from int64,
) (*kmsg.FetchResponseTopicPartition, error) {
	leader, _, err := l.sess.Client().PartitionLeader(x.topic, x.id)
	if err != nil {
		return nil, fmt.Errorf("look up the leader: %w", err)
	}
	req := kmsg.NewPtrFetchRequest()
	req.MinBytes, req.MaxBytes, req.IsolationLevel = 0, probeBytesMax, 1 // read committed
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = x.topic, l.host.inputID(x.topic)
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = x.id, from, probeBytesMax
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	kresp, err := l.host.cl.Broker(int(leader)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	resp, ok := kresp.(*kmsg.FetchResponse)
	if !ok {
		return nil, fmt.Errorf("the answer is a %T", kresp)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, errors.New("the answer is not of this partition")
	}
	return &resp.Topics[0].Partitions[0], nil
}

// reachEnds takes the silent partitions of a run until the end to their ends: the run is over when
// all ends are committed.
//
// Partitions come one after the other out of what the client has fetched: while there is any left
// those that are silent have only to wait, but not for ever where there always is.
func (l *lane) reachEnds(ctx context.Context, now time.Time) error {
	if l.sess.Client().BufferedFetchRecords() > 0 && now.Sub(l.lastEnds) < endsAtLeast {
		return nil
	}
	l.lastEnds = now
	waiting := map[string][]*part{}
	for _, p := range l.parts {
		if p.task != nil && !p.task.Touched() && len(p.waiting) == 0 &&
			now.Sub(p.arrived) >= probeEvery && now.Sub(p.probed) >= probeEvery {
			waiting[p.tp.topic] = append(waiting[p.tp.topic], p)
		}
	}
	for topic, parts := range waiting {
		if err := l.tickTopic(ctx, topic, parts, session.NoTime); err != nil {
			return err
		}
	}
	return nil
}
