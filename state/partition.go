package state

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"sessionizer/session"
)

// keyBytesMax bounds a key: far above the limit on ids, far below what a changelog record holds.
const keyBytesMax = 1<<16 - 1

// Partition is the state of one input partition: its confirmed rows and position, and the rows
// of the open transaction. One goroutine at a time uses it.
//
// Byte slices that Get returns are valid until the next call of any method; keys and rows that
// are passed in are copied.
type Partition struct {
	store  *Store
	name   string // topic/partition
	topic  string
	id     int32
	prefix []byte // of its keys in Pebble

	position  Position
	confirmed bool // there is a position

	cache  cache
	timers timers
	taken  []slotID // by Due in the open transaction

	// digest is that of the confirmed rows; digestNext, if digestKnown, includes the overlay.
	digest, digestNext Digest
	digestKnown        bool
	overlay            overlay
	err                error // of a read that a Put needed; ends with the transaction

	commits uint64        // so far, since it was opened
	applied atomic.Uint64 // of these, are in Pebble
	evicted uint64        // greatest commit of a key that was evicted
	written atomic.Int64  // event watermark of the last commit in Pebble

	// reader sees Pebble as of commit readerSees; it lives no longer than the transaction,
	// because it holds on to memtables and files.
	reader     *pebble.Iterator
	readerSees uint64

	scratch, yielded []byte
	restore          *Restore // the one under way
	broken           error    // an abandoned restore left rows without a position
	closed           bool
}

// Partition opens a partition: it reads the position and scans the rows once, to check the
// digest and to arm the timers. errors.Is(err, ErrDamaged): Drop it and restore.
func (s *Store) Partition(topic string, id int32) (*Partition, error) {
	name := fmt.Sprintf("%s/%d", topic, id)
	p, err := s.openPartition(name, topic, id)
	if err != nil {
		return nil, fmt.Errorf("open state of %s: %w", name, err)
	}
	return p, nil
}

func (s *Store) openPartition(name, topic string, id int32) (*Partition, error) {
	if topic == "" || id < 0 {
		return nil, errors.New("a partition needs a topic and a number that is not negative")
	}
	if err := s.reserve(name); err != nil {
		return nil, err
	}
	p := &Partition{store: s, name: name, topic: topic, id: id, cache: newCache()}
	p.written.Store(int64(session.NoTime))
	number, err := s.topicNumber(topic)
	if err == nil {
		p.prefix = appendPrefix(nil, number, id)
		err = p.load()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		delete(s.partitions, name)
		return nil, err
	}
	s.partitions[name] = p
	s.opened.Add(1)
	return p, nil
}

// reserve keeps others from opening or dropping the partition.
func (s *Store) reserve(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	if s.closing {
		return errors.New("the store is closed")
	}
	if _, there := s.partitions[name]; there {
		return errors.New("it is open already")
	}
	s.partitions[name] = nil
	return nil
}

func (s *Store) release(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.partitions, name)
}

// Drop forgets all of a partition, which must not be open. It is durable when it returns.
func (s *Store) Drop(topic string, id int32) error {
	name := fmt.Sprintf("%s/%d", topic, id)
	if err := s.reserve(name); err != nil {
		return fmt.Errorf("drop state of %s: %w", name, err)
	}
	defer s.release(name)
	number, err := s.topicNumber(topic)
	if err == nil {
		err = s.dropRows(appendPrefix(nil, number, id))
	}
	if err == nil {
		err = s.flush()
	}
	if err != nil {
		return fmt.Errorf("drop state of %s: %w", name, err)
	}
	return nil
}

func (s *Store) dropRows(prefix []byte) error {
	start, end := prefixBounds(prefix)
	if err := s.db.DeleteRange(start, end, pebble.NoSync); err != nil {
		return s.fail(err)
	}
	return nil
}

// load reads position and rows. Rows without a position are those of a restore that was cut
// short; they are dropped.
func (p *Partition) load() error {
	value, err := p.store.get(positionKey(p.prefix))
	if err != nil {
		return p.store.fail(err)
	}
	if value != nil {
		if p.position, err = decodeStored(value, p.topic, p.id); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		p.confirmed = true
		p.written.Store(int64(p.position.Watermarks.Event))
	}
	l := loader{p: p}
	if err := p.scan(&l); err != nil {
		return err
	}
	if !p.confirmed && l.digest.Rows > 0 {
		p.reset()
		return p.store.dropRows(p.prefix)
	}
	return l.finish(p.position.Digest)
}

// scan passes all rows to the loader.
func (p *Partition) scan(l *loader) error {
	i, err := p.newReader()
	if err != nil {
		return p.store.fail(err)
	}
	for ok := i.First(); ok && err == nil; ok = i.Next() {
		key, kind, keyErr := splitStoreKey(i.Key(), len(p.prefix))
		if keyErr != nil || (len(key) == 0) != (kind == kindMeta) || kind > kindHistory {
			err = fmt.Errorf("%w: the key %x is none of ours", ErrDamaged, i.Key())
			break
		}
		if kind != kindMeta {
			var value []byte
			if value, err = i.ValueAndErr(); err == nil {
				l.add(key, kind, value)
			}
		}
	}
	if pebbleErr := errors.Join(i.Error(), i.Close()); pebbleErr != nil {
		return p.store.fail(pebbleErr)
	}
	return err
}

// A loader takes the rows of a partition in the order of their keys in Pebble, keeps those with
// a timer in memory, and counts the digest.
type loader struct {
	p      *Partition
	digest Digest
	last   slotID // the session row that was kept last
	err    error  // first error of Options.Due
}

func (l *loader) add(key []byte, kind byte, value []byte) {
	hash := keyHash(key)
	l.digest.add(rowHash(hash, kind, value))
	c := &l.p.cache
	if kind == kindHistory {
		if l.last != 0 && bytes.Equal(c.keyOf(c.at(l.last)), key) {
			c.at(l.last).historyLen = unloaded
		}
		return
	}
	due, err := l.p.store.due(value)
	if err != nil && l.err == nil {
		l.err = fmt.Errorf("due time of a row of %d bytes: %w", len(value), err)
	}
	if l.last = 0; due == session.NoTime || err != nil {
		return
	}
	l.last = c.insert(hash, key)
	s := c.at(l.last)
	c.setRow(s, value)
	s.due, s.timer = due, due
	l.p.timers.heap = append(l.p.timers.heap, timer{due: due, slot: l.last})
}

// finish checks the digest, and only then whether the rows could be read: what is damaged can
// often not be read.
func (l *loader) finish(want Digest) error {
	if l.digest != want {
		return fmt.Errorf("%w: it holds %s, its position says %s", ErrDamaged, l.digest, want)
	}
	if l.err != nil {
		return l.err
	}
	l.p.digest = l.digest
	l.p.timers.build()
	return nil
}

// reset forgets all that is in memory.
func (p *Partition) reset() {
	p.cache, p.timers, p.digest = newCache(), timers{}, Digest{}
	p.position, p.confirmed = Position{}, false
}

// Position is that of the last commit; false: there is none, the partition is new, dropped, or
// its last restore was not finished.
func (p *Partition) Position() (Position, bool) { return p.position, p.confirmed }

// Flush returns when all confirmed commits of the partition are in Pebble, durably.
func (p *Partition) Flush() error {
	err := p.store.awaitApplied(p)
	if err == nil {
		err = p.store.flush()
	}
	if err != nil {
		return fmt.Errorf("flush state of %s: %w", p.name, err)
	}
	return nil
}

// Close aborts the open transaction or restore and lets the partition go; it can then be opened
// again. It waits until what is confirmed is in Pebble, which makes it durable when the Store
// is closed or its buffers are full, and at a Flush.
func (p *Partition) Close() error {
	if p.closed {
		return nil
	}
	var errs []error
	if p.restore != nil {
		errs = append(errs, p.restore.Abort())
	}
	p.Abort()
	p.closed = true
	errs = append(errs, p.store.awaitApplied(p))
	p.store.release(p.name)
	p.store.opened.Add(-1)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close state of %s: %w", p.name, err)
	}
	return nil
}

// mustBeReady catches calls that no correct caller makes.
func (p *Partition) mustBeReady() {
	if p.closed || p.restore != nil || p.broken != nil {
		p.notReady()
	}
}

func (p *Partition) notReady() {
	switch {
	case p.closed:
		panic(fmt.Sprintf("state: %s is closed", p.name))
	case p.restore != nil:
		panic(fmt.Sprintf("state: %s is being restored", p.name))
	default:
		panic(fmt.Sprintf("state: %s: %v", p.name, p.broken))
	}
}
