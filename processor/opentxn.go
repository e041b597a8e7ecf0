package processor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

// openTxn is a transaction of this group that was seen to be open in a partition.
type openTxn struct {
	at          tp
	id          string
	producer    int64
	epoch       int16 // of its last records
	coordinator int32 // epoch of the coordinator that was last heard of there
	start       int64 // its first offset
}

func openOf(p kadm.DescribedProducer, txn string) openTxn {
	return openTxn{tp{p.Topic, p.Partition}, txn, p.ProducerID, p.ProducerEpoch, p.CoordinatorEpoch,
		p.CurrentTxnStartOffset}
}

// groupOffsets is Kafka's topic of committed offsets. Those of a transaction that hangs there stay
// pending, and nobody is told a stable one.
const groupOffsets = "__consumer_offsets"

// hasOneOwner reports whether a partition of a topic is written by the owner of the input partition
// of its number alone. With several input topics the output's partition has several owners, living
// ones too. Dead letters go by key if there are fewer partitions of them.
func (h *host) hasOneOwner(topic string) bool {
	for _, in := range h.cfg.Input {
		if topic == h.cfg.ChangelogTopic(in) {
			return true
		}
	}
	return len(h.cfg.Input) == 1 && h.topology.Count(topic) >= h.partitions
}

// writtenBy are the partitions that only the owner of an input partition writes to.
func (h *host) writtenBy(x tp) kadm.TopicsSet {
	topics := kadm.TopicsSet{h.cfg.ChangelogTopic(x.topic): {x.id: {}}}
	for _, topic := range []string{h.cfg.Output, h.cfg.Visits, h.cfg.DeadLetters} {
		if topic != "" && h.hasOneOwner(topic) {
			topics.Add(topic, x.id)
		}
	}
	return topics
}

// writtenByAny are the partitions that any transaction of this group writes to.
func (h *host) writtenByAny() kadm.TopicsSet {
	topics := kadm.TopicsSet{}
	for _, p := range h.topology.Plans {
		for id := range h.topology.Count(p.Name) {
			topics.Add(p.Name, id)
		}
	}
	return topics
}

// offsetsAt is the partition that the group's offsets are committed to; none where there is no
// right to see it, or before anything was ever committed.
func (h *host) offsetsAt(ctx context.Context) (kadm.TopicsSet, error) {
	listed, err := h.adm.ListTopicsWithInternal(ctx, groupOffsets)
	if err == nil {
		err = listed[groupOffsets].Err
	}
	switch {
	case denied(err), errors.Is(err, kerr.UnknownTopicOrPartition):
		return kadm.TopicsSet{}, nil
	case err != nil:
		return nil, fmt.Errorf("look up the partitions of %s: %w", groupOffsets, err)
	}
	n := len(listed[groupOffsets].Partitions)
	if n == 0 {
		return kadm.TopicsSet{}, nil
	}
	return kadm.TopicsSet{groupOffsets: {groupPartition(h.cfg.Group, n): {}}}, nil
}

// groupPartition is where Kafka's coordinator keeps a group (GroupCoordinatorService.partitionFor):
// the absolute value of Java's hash of the name, 0 for the one that has none.
func groupPartition(group string, partitions int) int32 {
	var hash int32
	for _, c := range utf16.Encode([]rune(group)) {
		hash = 31*hash + int32(c)
	}
	if hash < 0 {
		hash = max(-hash, 0)
	}
	return hash % int32(partitions)
}

// look is what was seen to be open on partitions. Of those that may not be seen nothing is said.
type look struct {
	open   []openTxn
	untold []tp  // another try may tell
	why    error // of the first of them
	denied map[string]error
}

// openOn finds the transactions that are open on partitions.
func (h *host) openOn(ctx context.Context, topics kadm.TopicsSet) (look, error) {
	l := look{denied: map[string]error{}}
	if len(topics) == 0 { // which would ask about all there are
		return l, nil
	}
	described, err := h.adm.DescribeProducers(ctx, topics)
	if !denied(err) {
		err = l.take(topics, described, err)
		return l, err
	}
	for topic, ids := range topics { // what is denied of one is denied of all together
		one := kadm.TopicsSet{topic: ids}
		described, err := h.adm.DescribeProducers(ctx, one)
		if denied(err) {
			l.denied[topic] = err
		} else if err := l.take(one, described, err); err != nil {
			return l, err
		}
	}
	return l, nil
}

// take takes an answer in, of which parts may be missing.
func (l *look) take(topics kadm.TopicsSet, d kadm.DescribedProducersTopics, err error) error {
	var parts *kadm.ShardErrors
	if err != nil && !errors.As(err, &parts) {
		return err
	}
	for topic, ids := range topics {
		for id := range ids {
			p, told := d[topic].Partitions[id]
			switch {
			case told && denied(p.Err):
				l.denied[topic] = p.Err
			case !told || p.Err != nil:
				l.miss(tp{topic, id}, cmp.Or(p.Err, err, errUntold))
			}
			for _, a := range p.ActiveProducers {
				if a.CurrentTxnStartOffset >= 0 {
					l.open = append(l.open, openOf(a, ""))
				}
			}
		}
	}
	return nil
}

var errUntold = errors.New("the answer lacks it")

func (l *look) miss(x tp, why error) {
	if l.untold = append(l.untold, x); l.why == nil {
		l.why = fmt.Errorf("%s: %w", x, why)
	}
}

// openTransactions finds those of this group on the partitions that the owner of an input partition
// writes to. It cannot do without one of them: what hangs there would be ended by its next owner.
func (h *host) openTransactions(ctx context.Context, x tp) ([]openTxn, error) {
	l, err := h.openOn(ctx, h.writtenBy(x))
	switch {
	case err != nil:
		return nil, err
	case l.why != nil:
		return nil, l.why
	case l.denied[h.cfg.ChangelogTopic(x.topic)] != nil:
		return nil, l.denied[h.cfg.ChangelogTopic(x.topic)]
	}
	return h.ours(ctx, l.open)
}

// ours names the transactional ids, and leaves out what is not of this group.
func (h *host) ours(ctx context.Context, open []openTxn) ([]openTxn, error) {
	if len(open) == 0 {
		return nil, nil
	}
	var producers []int64
	for _, t := range open {
		producers = append(producers, t.producer)
	}
	listed, err := h.adm.ListTransactions(ctx, producers, nil)
	if err != nil {
		return nil, err
	}
	ids := map[int64]string{}
	for _, t := range listed {
		ids[t.ProducerID] = t.TxnID
	}
	kept := open[:0]
	for _, t := range open {
		if t.id = ids[t.producer]; strings.HasPrefix(t.id, h.cfg.Group+"-") {
			kept = append(kept, t)
		}
	}
	return kept, nil
}

// abilities are what the brokers can do about transactions.
type abilities struct {
	describe  bool // they tell of them
	epochEach bool // each has a producer epoch of its own, as since KIP-890
}

func (h *host) able(ctx context.Context) (abilities, error) {
	h.mu.Lock()
	known := h.abilities
	h.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	resp, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, h.cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return abilities{}, fmt.Errorf("look up what the brokers can do: %w", err)
	}
	var a abilities
	for _, k := range resp.ApiKeys {
		a.describe = a.describe || k.ApiKey == kmsg.DescribeTransactions.Int16()
	}
	const feature, since = "transaction.version", 2
	for _, f := range resp.FinalizedFeatures {
		a.epochEach = a.epochEach || f.Name == feature && f.MaxVersionLevel >= since
	}
	h.mu.Lock()
	h.abilities = &a
	h.mu.Unlock()
	return a, nil
}

// beginsAt reports whether what is open has no records of an epoch before first.
func (h *host) beginsAt(ctx context.Context, t openTxn, first int16) (bool, error) {
	r, err := h.recordAt(ctx, t.at, t.start)
	switch {
	case denied(err), errors.Is(err, kerr.OffsetOutOfRange):
		return false, nil
	case err != nil:
		return false, err
	}
	return r.ProducerID == t.producer && r.ProducerEpoch >= first, nil
}

// recordAt reads one record, which may lie behind the first offset that is not stable.
func (h *host) recordAt(ctx context.Context, at tp, offset int64) (*kgo.Record, error) {
	cl, err := kgo.NewClient(append(h.cfg.clientOpts(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			at.topic: {at.id: kgo.NewOffset().At(offset)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset().AtStart()),
		kgo.FetchMaxWait(fetchMaxWait))...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := h.bound(ctx, readStall)
	defer cancel()
	fetches := cl.PollRecords(ctx, 1)
	if err := fetches.Err(); err != nil {
		return nil, fmt.Errorf("read offset %d of %s: %w", offset, at, err)
	}
	r := fetches.Records()
	if len(r) != 1 || r[0].Offset != offset {
		return nil, fmt.Errorf("read offset %d of %s: no record is there", offset, at)
	}
	return r[0], nil
}

// writeMarker writes the marker that the coordinator left out.
func (h *host) writeMarker(ctx context.Context, t openTxn, commit bool) error {
	topics := kadm.TopicsSet{}
	topics.Add(t.at.topic, t.at.id)
	resp, err := h.adm.WriteTxnMarkers(ctx, kadm.TxnMarkers{
		ProducerID: t.producer, ProducerEpoch: t.epoch, Commit: commit,
		CoordinatorEpoch: max(t.coordinator, 0), Topics: topics,
	})
	if err == nil {
		p, told := resp[t.producer].Topics[t.at.topic].Partitions[t.at.id]
		if err = p.Err; !told {
			err = errUntold
		}
	}
	how := "abort"
	if commit {
		how = "commit"
	}
	what := fmt.Sprintf("%s the transaction of %s that hangs on %s from offset %d on", how, t.id, t.at,
		t.start)
	switch {
	case errors.Is(err, kerr.ClusterAuthorizationFailed), errors.Is(err, kerr.UnsupportedVersion):
		return &StopError{What: what, Cause: err, Do: hangingTransactions}
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	}
	h.log.Warn("ended a transaction that Kafka had completed without a marker",
		zap.String("with", how), zap.String("transactional_id", t.id), zap.Stringer("partition", t.at),
		zap.Int64("offset", t.start))
	return nil
}
