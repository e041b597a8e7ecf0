package processor

import (
	"errors"
	"fmt"
	"math/bits"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/schemas"
	"sessionizer/session"
	"sessionizer/state"
)

// Task is the work on one input partition: events in, records for the output topics out. It
// touches no broker and reads no clock. One goroutine at a time may use it.
//
//	Step, Tick   change the state and add records to Ready
//	Close        adds the changelog records; after it neither Step nor Tick may be called
//	Commit       after the transaction with all of Ready has committed
//	Abort        if it did not
type Task struct {
	rules  *session.Rules
	codec  *schemas.Codec
	part   *state.Partition
	topics Topics
	policy Policy

	topic     string
	partition int32

	// next is the offset of the next input record, unknownOffset before the first one of a
	// partition that has no position. Records below it were processed already.
	next int64
	// epoch is the leader epoch of the last record, for the committed offset; -1: none.
	epoch   int32
	marks   session.Watermarks
	touched bool

	confirmed state.Position // as of the last commit
	pending   state.Position // as of Close

	// poison holds offsets whose records the broker refused, with what is said of them.
	poison map[int64]*schemas.BadInput
	// deadMax is what a record of the dead-letter topic may take, in bytes; 0: anything.
	deadMax int

	box     box
	scanned schemas.Scanned
	live    live
	state   session.State // of one key at a time, where none need live on
	outcome session.Outcome
	decided bool // scanned and outcome are those of the last Step
	key     []byte
	row     []byte
	history []byte
	headers []schemas.Header
	due     [][]byte

	sweep, swept sweep  // swept: as of the last commit
	sweepRowsMax int    // a constant but for tests, which have few rows
	proposed     []byte // keys that a sweep has found, behind each other
	proposedEnds []int  // where each of them ends

	Stats TaskStats
}

// Topics names where a task's records go. An empty changelog: none is written.
type Topics struct {
	Output, Visits, DeadLetters, Changelog string
	VisitsByAnonymousID                    bool // the record key of visits; false: the session's uuid
	Headers                                bool // stamped events name their session in headers too
}

// TaskStats counts what a task did since it was made, aborted work included.
type TaskStats struct {
	In, Out, Visits, DeadLetters, Skipped int64
	Started                               int64 // Visit Started records; Visits has the others
	Forgotten                             int64 // keys that sweeps have deleted
	Dropped                               int64 // events that the rules or the deduplication drop
	BytesIn                               int64
	Notes                                 [32]int64 // by bit of session.Notes
	ScanNotes                             [32]int64 // by bit of schemas.ScanNotes
	Invalid                               [16]int64 // client ids, by session.Invalid
	Dead                                  map[schemas.Reason]int64
}

const unknownOffset = -1

// NewTask returns the task of an open partition. The partition's confirmed position is where it
// goes on; without one it begins with the first record it is given.
func NewTask(
	r *session.Rules, c *schemas.Codec, p *state.Partition, topic string, partition int32,
	topics Topics, policy Policy,
) *Task {
	t := &Task{
		rules: r, codec: c, part: p, topics: topics, policy: policy,
		topic: topic, partition: partition,
		epoch:  -1,
		poison: map[int64]*schemas.BadInput{},

		sweepRowsMax: sweepRowsMax,
	}
	t.Stats.Dead = map[schemas.Reason]int64{}
	t.rewind()
	t.swept = sweep{wait: session.NoTime}
	t.sweep = t.swept
	return t
}

// rewind goes back to the confirmed position.
func (t *Task) rewind() {
	pos, ok := t.part.Position()
	if !ok {
		pos = state.Position{
			Offset:     unknownOffset,
			Watermarks: session.Watermarks{Event: session.NoTime, Tick: session.NoTime},
		}
	}
	t.confirmed, t.next, t.marks, t.touched = pos, pos.Offset, pos.Watermarks, false
	t.marks.Tick = t.marks.Event
	t.box.reset()
}

// SkipTo goes on at an offset ahead of the position: an operator has found that all before it is
// gone. One behind the position, or a negative one, changes nothing.
func (t *Task) SkipTo(offset int64) {
	if t.next != unknownOffset {
		t.next = max(t.next, offset)
	}
}

// Pass goes on at the end of the log: nothing is left before it. Unlike SkipTo it is part of the
// open transaction, and so it holds for a partition of which no record was seen too.
func (t *Task) Pass(end int64) {
	if end > t.next {
		t.next, t.touched = end, true
	}
}

// Next is the offset of the next input record, negative where none was seen yet.
func (t *Task) Next() int64 { return t.next }

// Touched reports whether the open transaction holds anything of this partition.
func (t *Task) Touched() bool { return t.touched }

// Watermark is the partition's event watermark.
func (t *Task) Watermark() session.Time { return t.marks.Event }

// Last returns what the last Step or StepLine read and decided, valid until the next call of any
// method; nil: it decided nothing, since the record is a tombstone, a control record, one that was
// processed before or no event that could be read. A dead letter of the rules has an Outcome.
func (t *Task) Last() (*schemas.Scanned, *session.Outcome) {
	if !t.decided {
		return nil, nil
	}
	return &t.scanned, &t.outcome
}

// Step processes one input record. An error is not the record's fault: the state cannot be read,
// or the policy for its kind of badness is to stop. A *schemas.UnknownSchema has changed nothing.
func (t *Task) Step(in *kgo.Record) error {
	t.decided = false
	if t.next != unknownOffset && in.Offset < t.next {
		t.Stats.Skipped++
		return nil
	}
	if id, unknown := t.Unknown(in); unknown {
		return &schemas.UnknownSchema{ID: id}
	}
	t.next, t.epoch, t.touched = in.Offset+1, in.LeaderEpoch, true
	if in.Attrs.IsControl() {
		return nil
	}
	t.Stats.In++
	t.Stats.BytesIn += int64(len(in.Value))
	if in.Value == nil {
		t.forward(in, nil)
		return nil
	}
	if bad := t.poison[in.Offset]; bad != nil {
		return t.refuse(in, bad)
	}
	at := schemas.Record{Key: in.Key, Timestamp: session.Time(in.Timestamp.UnixMilli())}
	return t.step(in, at)
}

// Unknown reports that a record names a schema that must be learned before Step can process it.
func (t *Task) Unknown(in *kgo.Record) (id uint32, unknown bool) {
	if id, unknown = t.codec.Unknown(in.Value); !unknown {
		return 0, false
	}
	// What goes unread needs no schema.
	unread := in.Attrs.IsControl() || t.next != unknownOffset && in.Offset < t.next ||
		t.poison[in.Offset] != nil
	return id, !unread
}

// StepLine is Step for a line of a file, whose record timestamp is in the line.
func (t *Task) StepLine(in *kgo.Record, fallback session.Time) error {
	t.decided = false
	t.next, t.touched = in.Offset+1, true
	t.Stats.In++
	t.Stats.BytesIn += int64(len(in.Value))
	return t.step(in, schemas.Record{Key: in.Key, File: true, Fallback: fallback})
}

func (t *Task) step(in *kgo.Record, at schemas.Record) error {
	if bad := t.codec.Scan(in.Value, at, &t.scanned); bad != nil {
		return t.refuse(in, bad)
	}
	e := &t.scanned.Event
	e.Offset = in.Offset
	t.key = session.AppendKey(t.key[:0], e.Source, e.AnonymousID)
	x, err := t.enliven(t.key)
	if err != nil {
		return err
	}
	t.marks.Tick = t.marks.Event
	t.rules.Step(&x.state, e, &t.marks, &t.outcome)
	t.live.measure(x)
	if err := x.state.Err(); err != nil {
		t.live.void = t.unreadable(err)
		return t.live.void
	}
	t.decided = true
	note(&t.Stats.Notes, t.outcome.Notes)
	note(&t.Stats.ScanNotes, t.scanned.Notes)
	if t.outcome.Notes&session.NoteInvalidID != 0 {
		t.Stats.Invalid[e.Invalid]++
	}
	if bad := deadOf(t.outcome.Dead); bad != nil {
		return t.refuse(in, bad)
	}
	t.visits(t.outcome.Before, e.Source, e.AnonymousID, in.Offset)
	for i := range t.outcome.Begun {
		b := &t.outcome.Begun[i]
		t.visit(t.codec.AppendStarted, e.Source, e.AnonymousID, b, in.Offset)
		t.Stats.Started++
	}
	if t.outcome.Stamp.Status == session.Dropped {
		t.Stats.Dropped++
	} else {
		t.forward(in, &t.outcome.Stamp)
	}
	t.visits(t.outcome.After, e.Source, e.AnonymousID, in.Offset+1)
	return nil
}

// note counts each bit of a set.
func note[N ~uint16 | ~uint32](counts *[32]int64, set N) {
	for ; set != 0; set &= set - 1 {
		counts[bits.TrailingZeros32(uint32(set))]++
	}
}

// store puts the key's rows back.
func (t *Task) store(key []byte, s *session.State) {
	t.row = s.AppendRow(t.row[:0])
	if s.HistoryChanged {
		t.history = s.AppendHistory(t.history[:0])
		t.part.PutHistory(key, t.history)
	}
	t.part.Put(key, t.row, t.rules.Due(s))
}

// Tick ends the visits that are due at a tick watermark, at most timersPerTickMax of them, and
// returns how many keys it looked at. tick is the event watermark, or on an idle partition what
// the wall clock allows.
func (t *Task) Tick(tick session.Time) (int, error) {
	if err := t.writeLive(); err != nil || tick == session.NoTime {
		return 0, err
	}
	t.decided = false
	t.due = t.part.Due(tick, timersPerTickMax, t.due[:0])
	marks := session.Watermarks{Event: t.marks.Event, Tick: max(tick, t.marks.Event)}
	for _, key := range t.due {
		if err := t.load(key, &t.state); err != nil {
			return 0, err
		}
		t.rules.Expire(&t.state, marks, &t.outcome)
		source, anonymousID, err := session.SplitKey(key, t.row)
		if err != nil {
			return 0, t.unreadable(err)
		}
		t.visits(t.outcome.Before, source, anonymousID, t.next)
		t.store(key, &t.state)
	}
	if len(t.due) > 0 {
		t.touched = true
		t.marks.Tick = max(t.marks.Tick, marks.Tick)
	}
	return len(t.due), nil
}

// Ready returns the records to produce since the last call, in their order. They stay valid
// until Commit or Abort.
func (t *Task) Ready() []*kgo.Record { return t.box.take() }

// Origin returns the offset of the input record that a record of Ready came of.
func (t *Task) Origin(r *kgo.Record) (int64, bool) { return t.box.origin(r) }

// Load says how much the open transaction holds. States that live are counted as if both rows of
// each had changed.
func (t *Task) Load() (records, bytes, rows int) {
	rows, rowBytes := t.part.Dirty()
	return t.box.count, t.box.bytes + rowBytes + t.live.bytes, rows + 2*len(t.live.used)
}

// ErrNoPosition says that a partition without a position was touched before a record of it was
// seen.
var ErrNoPosition = errors.New("no position")

// Close completes the transaction: it adds the changelog records, the position last. now is the
// wall clock; it is kept only as the age of the local copy.
func (t *Task) Close(partitions int32, inputID [16]byte, now time.Time) (*kgo.Record, error) {
	if t.next == unknownOffset {
		return nil, fmt.Errorf("commit %s/%d: %w", t.topic, t.partition, ErrNoPosition)
	}
	if err := t.writeLive(); err != nil {
		return nil, err
	}
	t.part.Changes(func(key, value []byte) bool {
		t.change(key, value)
		return true
	})
	p := t.confirmed
	p.Seq++
	p.Offset, p.Partitions, p.InputID = t.next, partitions, inputID
	p.Watermarks.Event = t.marks.Event
	// Once the partition receives events again its ticks are the event watermark, which may be far
	// behind the wall clock that ended visits before. What is stored does not go back.
	p.Watermarks.Tick = max(t.marks.Tick, t.confirmed.Watermarks.Tick)
	p.WrittenAt = session.Time(now.UnixMilli())
	p.Digest = t.part.Digest()
	t.pending = p
	if t.topics.Changelog == "" {
		return nil, nil
	}
	return t.change(state.MetaKey, state.AppendMeta(nil, p)), nil
}

// Pending is the position that the open transaction commits, valid after Close.
func (t *Task) Pending() state.Position { return t.pending }

// Metadata is that of the offset which the closed transaction commits. changelogEnd is the
// changelog offset behind its last record.
func (t *Task) Metadata(changelogEnd int64) string {
	return offsetMeta{t.pending.Seq, changelogEnd, t.pending.Partitions}.String()
}

// Commit makes the closed transaction the confirmed state. changelogEnd is the changelog offset
// behind its last record, changelogID the changelog's topic id.
func (t *Task) Commit(changelogEnd int64, changelogID [16]byte) error {
	t.pending.ChangelogEnd, t.pending.ChangelogID = changelogEnd, changelogID
	if err := t.part.Commit(t.pending); err != nil {
		return fmt.Errorf("confirm %s/%d: %w", t.topic, t.partition, err)
	}
	t.confirmed, t.touched, t.swept = t.pending, false, t.sweep
	t.box.reset()
	t.decided = false
	t.scanned.Shrink()
	for offset := range t.poison {
		if offset < t.next {
			delete(t.poison, offset) // it is a dead letter now
		}
	}
	return nil
}

// Abort drops what the open transaction did.
func (t *Task) Abort() {
	t.live.clear()
	t.part.Abort()
	t.rewind()
	t.swept.last = t.sweep.last
	t.sweep = t.swept
}

// Poison marks an input offset whose record cannot be produced; the next Step of it goes to the
// dead letters.
func (t *Task) Poison(offset int64, bad *schemas.BadInput) { t.poison[offset] = bad }
