package sim

import (
	"errors"
	"slices"
)

// What a broker answers to a producer or a member that is of the past.
var (
	errFenced     = errors.New("the producer's epoch is of the past")
	errGeneration = errors.New("the generation of the group is another")
	errUnstable   = errors.New("the offset is about to be replaced")
)

// broker is the cluster: logs, the transactions of its producers, and one consumer group.
type broker struct {
	now        int64 // its clock, ms
	input      []*plog
	output     []*plog
	visits     []*plog
	dead       []*plog
	changelogs []*plog

	epochs map[string]int  // by transactional id
	open   map[string]*txn // by transactional id

	generation int
	owner      []int      // member that a partition is assigned to
	since      []int      // by partition: the generation that assigned it
	offsets    []commitTo // of the group, by partition; offset -1: none
	ticks      [][]tickAt // by partition: those of committed transactions
	note       func(what string, l *plog, e *entry)
}

// Names of the topics.
const (
	inputTopic     = "events"
	outputTopic    = "out"
	visitsTopic    = "visits"
	deadTopic      = "dead"
	changelogTopic = "sim-events-changelog"
)

func newBroker(partitions int) *broker {
	b := &broker{
		epochs: map[string]int{}, open: map[string]*txn{}, owner: make([]int, partitions),
		since: make([]int, partitions),
		ticks: make([][]tickAt, partitions),
	}
	for i := range int32(partitions) {
		b.input = append(b.input, &plog{topic: inputTopic, id: i})
		b.output = append(b.output, &plog{topic: outputTopic, id: i})
		b.visits = append(b.visits, &plog{topic: visitsTopic, id: i})
		b.dead = append(b.dead, &plog{topic: deadTopic, id: i})
		b.changelogs = append(b.changelogs, &plog{topic: changelogTopic, id: i})
		b.offsets = append(b.offsets, commitTo{partition: i, offset: -1})
	}
	return b
}

// logOf is nil for a topic that is not there.
func (b *broker) logOf(topic string, id int32) *plog {
	switch topic {
	case inputTopic:
		return b.input[id]
	case outputTopic:
		return b.output[id]
	case visitsTopic:
		return b.visits[id]
	case deadTopic:
		return b.dead[id]
	case changelogTopic:
		return b.changelogs[id]
	}
	return nil
}

// initialise begins a new epoch of a transactional id, which aborts what the one before left open.
func (b *broker) initialise(name string) (epoch int) {
	if t := b.open[name]; t != nil {
		b.finish(t, txnAborted)
	}
	b.epochs[name]++
	return b.epochs[name]
}

// begin returns the transaction that is open for an epoch of a transactional id.
func (b *broker) begin(name string, epoch int) (*txn, error) {
	if b.epochs[name] != epoch {
		return nil, errFenced
	}
	if b.open[name] == nil {
		b.open[name] = &txn{name: name, epoch: epoch, beganAt: b.now}
	}
	return b.open[name], nil
}

// isOpen reports whether a transaction can still be written to.
func (b *broker) isOpen(t *txn) bool { return b.open[t.name] == t && b.epochs[t.name] == t.epoch }

// produce adds a record of a transaction.
func (b *broker) produce(t *txn, l *plog, e entry) (int64, error) {
	if !b.isOpen(t) {
		return 0, errFenced
	}
	e.txn, e.at = t, b.now
	offset := l.append(e)
	b.note("produce", l, &l.entries[len(l.entries)-1])
	return offset, nil
}

// sendOffsets adds the group's offsets to a transaction. They wait for its end.
func (b *broker) sendOffsets(t *txn, generation int, offsets []commitTo) error {
	switch {
	case !b.isOpen(t):
		return errFenced
	case generation != b.generation:
		return errGeneration
	}
	t.offsets, t.announced = append(t.offsets, offsets...), true
	return nil
}

// endTxn ends a transaction as its producer asks for.
func (b *broker) endTxn(t *txn, commit bool) error {
	if !b.isOpen(t) {
		return errFenced
	}
	if commit {
		b.finish(t, txnCommitted)
	} else {
		b.finish(t, txnAborted)
	}
	return nil
}

// abortExactly is the compare-and-swap of a take-over: it ends this transaction and no other. The
// producer's epoch is of the past then.
func (b *broker) abortExactly(t *txn) {
	b.finish(t, txnAborted)
	b.epochs[t.name]++
}

func (b *broker) finish(t *txn, state txnState) {
	t.state = state
	delete(b.open, t.name)
	for _, l := range t.logs {
		l.end(t, b.now)
		b.note("end", l, &l.entries[len(l.entries)-1])
	}
	if state != txnCommitted {
		return
	}
	for _, o := range t.offsets {
		b.offsets[o.partition] = o
	}
	for _, tick := range t.ticks {
		b.ticks[tick.partition] = append(b.ticks[tick.partition], tick)
	}
}

// names are the transactional ids with an open transaction, sorted.
func (b *broker) names() []string {
	names := make([]string, 0, len(b.open))
	for name := range b.open {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// holding returns the open transactions that have records in a log, by name.
func (b *broker) holding(l *plog) []*txn {
	var open []*txn
	for _, name := range b.names() {
		if t := b.open[name]; slices.Contains(t.logs, l) {
			open = append(open, t)
		}
	}
	return open
}

// committedOffset is the group's stable offset of a partition.
func (b *broker) committedOffset(partition int32) (commitTo, error) {
	for _, t := range b.open {
		for _, o := range t.offsets {
			if o.partition == partition {
				return commitTo{}, errUnstable
			}
		}
	}
	return b.offsets[partition], nil
}

// assign gives a partition to another member, which makes a new generation of the group.
func (b *broker) assign(partition int32, to int) {
	b.generation++
	b.owner[partition], b.since[partition] = to, b.generation
}

// tickAt is a tick of a partition: ahead of the input record next, at a tick watermark.
type tickAt struct {
	partition int32
	next      int64
	tick      int64
}
