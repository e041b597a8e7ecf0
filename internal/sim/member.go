package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/processor"
	"sessionizer/schemas"
	"sessionizer/session"
	"sessionizer/state"
)

// member is one process of the group: a disk, a store on it, and one lane with its producer. It
// does with tasks and recoveries what processor's lane does, one call at a time, so that it can be
// stopped between any two.
type member struct {
	w     *world
	id    int
	name  string // transactional id
	disk  *vfs.MemFS
	store *state.Store // nil: the process does not run

	paused     bool
	epoch      int
	generation int // of the group as it has joined it
	txn        *txn
	parts      []*part                       // by partition; nil: not here
	poison     []map[int64]*schemas.BadInput // by partition, since the process began
	cut        func(op errorfs.Op)           // looks at what is written to the disk
	old        *vfs.MemFS                    // what the disk held some time ago; nil: not copied yet
	damage     uint64                        // not 0: how the disk is damaged before the next start
	after      []expectation                 // of the next recoveries
}

// part is a partition that a member works on.
type part struct {
	id      int32
	since   int // the generation of the group that has brought it here
	state   *state.Partition
	task    *processor.Task
	arrived int64    // the member's clock at the last record
	ticks   []tickAt // of the open transaction
	metaEnd int64
}

const stateDir = "state"

// inputID and changelogID are the ids of those topics.
func inputID() [16]byte     { return [16]byte{1} }
func changelogID() [16]byte { return [16]byte{2} }

// Errors of the world that a lane answers with a reset, as those of clients.
var (
	errLost    = errors.New("the answer was lost")
	errTooBig  = errors.New("the topic does not take a record of this size")
	errRebirth = errors.New("the transaction was reported as aborted and is committed")
)

// start begins the process: the store is opened, and wiped first if it is damaged.
func (m *member) start() error {
	m.parts = make([]*part, m.w.set.partitions)
	m.poison = make([]map[int64]*schemas.BadInput, m.w.set.partitions)
	o := state.Options{
		FS: errorfs.Wrap(m.disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if m.cut != nil {
				m.cut(op)
			}
			return nil
		})),
		Cache: m.w.set.cache, Due: processor.DueOf(&m.w.set.rules),
	}
	store, err := state.Open(stateDir, o)
	if errors.Is(err, state.ErrDamaged) {
		m.w.count(cntWiped)
		if err := state.Wipe(stateDir, o); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		store, err = state.Open(stateDir, o)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	m.store = store
	m.join()
	return nil
}

// restart begins it again, on what is left of its disk.
func (m *member) restart() error {
	if m.damage != 0 {
		if err := spoil(m.disk, m.damage); err != nil {
			return err
		}
		m.damage = 0
	}
	return m.start()
}

// join begins a life of the lane: a new epoch of its producer, and its place in the group.
func (m *member) join() {
	m.epoch = m.w.broker.initialise(m.name)
	m.txn = nil
	m.generation = m.w.broker.generation
}

// stop ends the process as a crash does: nothing is flushed or finished. disk is what is left.
func (m *member) stop(disk *vfs.MemFS) {
	m.cut = nil
	m.store.Abandon()
	m.w.settle()
	for _, p := range m.parts {
		m.tell(p)
	}
	m.store, m.txn, m.paused, m.parts = nil, nil, false, nil
	m.disk = disk
}

// reset throws the client and everything that is not confirmed away and begins anew.
func (m *member) reset() error {
	m.w.count(cntResets)
	for i, p := range m.parts {
		if p != nil {
			if err := m.drop(int32(i)); err != nil {
				return err
			}
		}
	}
	m.join()
	return nil
}

// drop gives a partition back.
func (m *member) drop(id int32) error {
	p := m.parts[id]
	m.parts[id] = nil
	m.tell(p)
	p.task.Abort()
	if err := p.state.Close(); err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	return m.writeOut()
}

// tell counts what a task has done.
func (m *member) tell(p *part) {
	if p != nil {
		m.w.counts[cntForgotten] += p.task.Stats.Forgotten
		m.w.counts[cntSkipped] += p.task.Stats.Skipped
	}
}

// writeOut brings what all partitions have confirmed to Pebble. Whoever waits for one of them lets
// the others be written too, or not, as the threads happen to run: this takes the chance out of it.
func (m *member) writeOut() error {
	for _, p := range m.parts {
		if p != nil {
			if err := p.state.WriteOut(); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
	}
	m.w.settle()
	return nil
}

// arrange takes in what the group has assigned. A partition that is gone while the open
// transaction holds something of it makes a reset.
// With hurt set the restores break off half-way, and are tried again.
func (m *member) arrange(hurt bool) error {
	m.generation = m.w.broker.generation
	for id, owner := range m.w.broker.owner {
		p := m.parts[id]
		if p == nil || owner == m.id && p.since == m.w.broker.since[id] {
			continue
		}
		if m.txn != nil && p.task.Touched() {
			return m.reset()
		}
		if err := m.drop(int32(id)); err != nil {
			return err
		}
	}
	for id, owner := range m.w.broker.owner {
		if owner == m.id && m.parts[id] == nil {
			if err := m.adopt(int32(id), hurt); err != nil {
				return err
			}
		}
	}
	m.after = nil
	return nil
}

// adopt recovers a partition.
func (m *member) adopt(id int32, hurt bool) error {
	c := &cluster{m: m, partition: id}
	if hurt {
		c.hurt = 3
	}
	r := &processor.Recovery{
		Cluster: c, Store: m.store, Log: m.w.logger, Now: m.w.clock(),
		Topic: inputTopic, Partition: id, Partitions: int32(m.w.set.partitions),
		Changelog: changelogTopic, InputID: inputID(), ChangelogID: changelogID(),
		Tombstones: time.Duration(m.w.set.tombstones) * time.Millisecond,
		Group:      "sim", Broker: "none",
	}
	st, from, err := r.Run(m.w.ctx)
	if hurt && errors.Is(err, errLost) {
		m.w.count(cntCutRestores)
		if st != nil {
			if err := st.Close(); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
		st, from, err = r.Run(m.w.ctx)
	}
	if err != nil {
		if st != nil {
			err = errors.Join(err, st.Close())
		}
		return fmt.Errorf("%s: restore %s/%d: %w", m.name, inputTopic, id, err)
	}
	set := m.w.set
	p := &part{id: id, since: m.w.broker.since[id], state: st, arrived: m.w.now}
	p.task = processor.NewTask(&set.rules, set.codec, st, inputTopic, id, set.topics, set.policy)
	p.task.SkipTo(from)
	for offset, bad := range m.poison[id] {
		p.task.Poison(offset, bad)
	}
	m.parts[id] = p
	m.w.recovered(m, p, c)
	return m.writeOut()
}

// open sees to it that a transaction is open.
func (m *member) open() (err error) {
	if m.txn == nil {
		m.txn, err = m.w.broker.begin(m.name, m.epoch)
	}
	return err
}

// poll takes up to n records of a partition, from an offset that is behind the next one after the
// client has gone back, and processes them.
func (m *member) poll(p *part, n int, back int64) error {
	log := m.w.broker.input[p.id]
	from := log.start
	if next := p.task.Next(); next >= 0 {
		from = max(log.start, next-back)
	}
	if log.stable() <= from {
		return nil
	}
	if err := m.open(); err != nil {
		return err
	}
	var err error
	log.committed(from, log.next, func(e *entry) bool {
		if e.marker {
			p.task.Pass(e.offset + 1) // what Step does with a control record
		} else {
			p.arrived = m.w.now
			m.w.count(cntSteps)
			err = p.task.Step(&kgo.Record{
				Topic: inputTopic, Partition: p.id, Offset: e.offset, Key: e.key, Value: e.value,
				Timestamp: time.UnixMilli(e.time), LeaderEpoch: -1,
			})
		}
		n--
		return n > 0 && err == nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	if err := m.tick(p, p.task.Watermark()); err != nil {
		return err
	}
	return m.produce(p)
}

// tick ends what is due.
func (m *member) tick(p *part, tick session.Time) error {
	n, err := p.task.Tick(tick)
	if err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	m.w.say("tick %s/%d ahead of %d at %d: %d", m.name, p.id, p.task.Next(), tick, n)
	p.ticks = append(p.ticks, tickAt{p.id, p.task.Next(), int64(tick)})
	return nil
}

// idle lets the wall clock end visits of a partition that is silent and was read to its end.
func (m *member) idle(p *part) error {
	if p.task.Next() < 0 || p.task.Touched() || m.w.now-p.arrived < m.w.set.idleAfter ||
		m.w.broker.input[p.id].stable() != p.task.Next() {
		return nil
	}
	m.w.count(cntIdleTicks)
	watermark := session.Time(m.w.wall()) - session.Time(m.w.set.rules.OutOfOrder)
	if err := m.tick(p, watermark); err != nil {
		return err
	}
	return m.touched(p)
}

// sweep lets a partition forget keys.
func (m *member) sweep(p *part) error {
	if err := p.task.Sweep(m.w.clock()); err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	if err := m.writeOut(); err != nil {
		return err
	}
	return m.touched(p)
}

// touched produces what was made of a partition outside of a poll.
func (m *member) touched(p *part) error {
	if !p.task.Touched() {
		return nil
	}
	if err := m.open(); err != nil {
		return err
	}
	return m.produce(p)
}

// produce hands what the task has ready to the broker.
func (m *member) produce(p *part) error {
	for _, r := range p.task.Ready() {
		offset, err := m.send(r)
		switch {
		case errors.Is(err, errTooBig):
			return m.refused(p, r)
		case err != nil:
			return err
		}
		if r.Topic == changelogTopic {
			p.metaEnd = offset + 1 // META is the last one
		}
	}
	return nil
}

func (m *member) send(r *kgo.Record) (int64, error) {
	l := m.w.broker.logOf(r.Topic, r.Partition)
	if l == nil {
		return 0, fmt.Errorf("a record for %s/%d, which is no topic", r.Topic, r.Partition)
	}
	if r.Topic == outputTopic && isBig(r.Value) {
		return 0, errTooBig
	}
	time := r.Timestamp.UnixMilli()
	if r.Timestamp.IsZero() {
		time = 0
	}
	return m.w.broker.produce(m.txn, l, entry{
		key: m.w.keep(r.Key), value: m.w.keep(r.Value), headers: headersText(r.Headers), time: time,
	})
}

// refused marks the event whose record the topic does not take; it is a dead letter the next time.
func (m *member) refused(p *part, r *kgo.Record) error {
	m.w.count(cntPoison)
	offset, ok := p.task.Origin(r)
	if !ok {
		return fmt.Errorf("%s: a record that is too big has no origin", m.name)
	}
	if m.poison[p.id] == nil {
		m.poison[p.id] = map[int64]*schemas.BadInput{}
	}
	m.poison[p.id][offset] = tooBig()
	return errTooBig
}

func tooBig() *schemas.BadInput {
	return &schemas.BadInput{Reason: schemas.Limit, Message: "too big with its session"}
}
