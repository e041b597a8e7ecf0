package state

import (
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"sessionizer/session"
)

// Limits of what is confirmed but not in Pebble yet. Commit waits above them.
const (
	writeBehindBytesMax   = 64 << 20
	writeBehindCommitsMax = 256

	// flushAfterMs bounds, by the clock of the positions, how much of the changelog a crash
	// makes a quiet store read again.
	flushAfterMs = 5 * 60 * 1000

	freeChunksMax = 128 // arena chunks kept for the next transactions
	freeListsMax  = 64  // lists of changes, likewise
)

// job is one commit on its way to Pebble. Nobody but the write-behind goroutine touches it
// once it is queued.
type job struct {
	partition *Partition
	commit    uint64
	prefix    []byte
	arena     arena
	changes   []change
	bytes     int64
	position  []byte // encoded; nil: take the position away
	writtenAt session.Time
	event     session.Time // event watermark of the position
}

// enqueue waits until there is room, or a fault.
func (s *Store) enqueue(j *job) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.failed == nil && len(s.queue) > 0 && (len(s.queue) >= s.limits.behindCommits ||
		s.queued+j.bytes > s.limits.behindBytes) {
		s.cond.Wait()
	}
	if s.failed != nil {
		return s.failed
	}
	s.queue = append(s.queue, j)
	s.queued += j.bytes
	s.cond.Broadcast()
	return nil
}

// writeBehind applies the queue, one batch for each commit, until the store closes or fails.
// A partition's owner and this goroutine share no memory but the job, which changes hands in the
// queue, and applied, which is stored after the batch is visible to readers of Pebble: an owner
// that reads it may evict the rows of that commit.
func (s *Store) writeBehind() {
	defer close(s.written)
	var unchecked int64 // bytes since room was last looked after
	lastFlush := session.NoTime
	for {
		j := s.next()
		if j == nil {
			break
		}
		err := s.apply(j)
		if unchecked += j.bytes; err == nil && unchecked > memTableMin/2 {
			unchecked = 0
			s.awaitRoom()
		}
		if lastFlush == session.NoTime {
			lastFlush = j.writtenAt
		}
		if err == nil && j.writtenAt > lastFlush+flushAfterMs {
			lastFlush = j.writtenAt
			_, err = s.db.AsyncFlush()
		}
		if err != nil {
			s.fault(err)
			break
		}
		s.done(j)
	}
	if errors.Is(s.Err(), ErrDamaged) {
		s.markDamaged()
	}
}

// next waits for the oldest job; nil: the store failed, or closes and all is written.
func (s *Store) next() *job {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.failed == nil && len(s.queue) == 0 && !s.closing {
		s.cond.Wait()
	}
	if s.failed != nil || len(s.queue) == 0 {
		return nil
	}
	return s.queue[0]
}

func (s *Store) done(j *job) {
	j.partition.applied.Store(j.commit)
	j.partition.written.Store(int64(j.event))
	s.recycle(j.arena, j.changes)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue[0] = nil
	s.queue = s.queue[1:]
	s.queued -= j.bytes
	s.cond.Broadcast()
}

// apply writes the rows in the order of their keys, which Pebble's memtable takes faster.
func (s *Store) apply(j *job) error {
	o := overlay{arena: j.arena, changes: j.changes}
	slices.SortFunc(o.changes, o.compareChanges)
	b := s.db.NewBatchWithSize(int(j.bytes) + len(j.position) + 64)
	var err error
	key := positionKey(j.prefix)
	if j.position == nil {
		err = b.Delete(key, nil)
	} else {
		err = b.Set(key, j.position, nil)
	}
	for i := range o.changes {
		c := &o.changes[i]
		key := o.storeKey(c)
		if c.hasRow && err == nil {
			err = setOrDelete(b, key, o.rowOf(c))
		}
		if c.hasHistory && err == nil {
			key[len(key)-1] = kindHistory
			err = setOrDelete(b, key, o.historyOf(c))
		}
	}
	if err == nil {
		err = b.Commit(pebble.NoSync)
	}
	return errors.Join(err, b.Close())
}

func setOrDelete(b *pebble.Batch, key, value []byte) error {
	if value == nil {
		return b.Delete(key, nil)
	}
	return b.Set(key, value, nil)
}

// awaitRoom waits while Pebble's flushes or compactions are too far behind. Pebble calls
// flushed after the change can be seen in Metrics, so none is missed.
func (s *Store) awaitRoom() {
	for {
		s.mu.Lock()
		seen := s.flushes
		s.mu.Unlock()
		m := s.db.Metrics()
		if m.MemTable.Size <= memTablesMax*s.options.MemTableSize &&
			m.Levels[0].Sublevels <= sublevelsMax {
			return
		}
		s.mu.Lock()
		for s.failed == nil && s.flushes == seen {
			s.cond.Wait()
		}
		failed := s.failed
		s.mu.Unlock()
		if failed != nil {
			return
		}
	}
}

// flushed is called by Pebble with its lock held. Who holds s.mu never calls Pebble.
func (s *Store) flushed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushes++
	s.cond.Broadcast()
}

// awaitApplied waits until all commits of a partition are in Pebble.
func (s *Store) awaitApplied(p *Partition) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.failed == nil && p.applied.Load() < p.commits {
		s.cond.Wait()
	}
	if p.applied.Load() < p.commits {
		return s.failed
	}
	return nil
}

// markDamaged leaves a file that makes the next Open report the damage. If that is not possible
// either, the next reader of the damaged block meets it again.
func (s *Store) markDamaged() {
	f, err := s.fs.Create(s.fs.PathJoin(s.dir, damagedName), "state")
	if err != nil {
		return
	}
	if errors.Join(f.Sync(), f.Close()) == nil {
		_ = syncDir(s.fs, s.dir)
	}
}

// chunk is a free arena chunk.
func (s *Store) chunk() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := len(s.chunks) - 1; last >= 0 {
		c := s.chunks[last]
		s.chunks = s.chunks[:last]
		return c
	}
	return make([]byte, arenaChunkBytes)
}

// changeList is a free list of changes.
func (s *Store) changeList() []change {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := len(s.changes) - 1; last >= 0 {
		c := s.changes[last]
		s.changes = s.changes[:last]
		return c
	}
	return nil
}

// recycle takes the memory of a transaction back.
func (s *Store) recycle(a arena, changes []change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range a.chunks {
		if len(c) == arenaChunkBytes && len(s.chunks) < freeChunksMax {
			s.chunks = append(s.chunks, c)
		}
	}
	if cap(changes) > 0 && len(s.changes) < freeListsMax {
		s.changes = append(s.changes, changes[:0])
	}
}
