package state

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"sessionizer/internal/failpoint"
	"sessionizer/session"
)

// Limits of what is confirmed but not in Pebble yet. Commit waits above them.
const (
	writeBehindBytesMax   = 64 << 20
	writeBehindCommitsMax = 256

	// memTablesGathered is how many memtables of changes gather: with more of them a disk that
	// fails would be noticed late.
	memTablesGathered = 2

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
	s.awaitWriter(func() bool {
		return len(s.queue) == 0 || len(s.queue) < s.limits.behindCommits &&
			s.queued+j.bytes <= s.limits.behindBytes
	})
	if s.failed != nil {
		return s.failed
	}
	s.queue = append(s.queue, j)
	s.queued += j.bytes
	s.cond.Broadcast()
	return nil
}

// awaitWriter waits until the write-behind goroutine has made something so, or a fault. While
// anyone waits it holds nothing back. The caller holds s.mu.
func (s *Store) awaitWriter(isSo func() bool) {
	s.waiting++
	defer func() { s.waiting-- }()
	for first := true; s.failed == nil && !isSo(); first = false {
		if first {
			s.cond.Broadcast()
		}
		s.cond.Wait()
	}
}

// writeBehind applies the queue until the store closes or fails. It lets commits gather and brings
// those of a partition to Pebble in one batch, where each row is written once: a key that is busy
// changes with every commit, and what is not in Pebble yet a crash only reads again.
// A partition's owner and this goroutine share no memory but the job, which changes hands in the
// queue, and applied, which is stored after the batch is visible to readers of Pebble: an owner
// that reads it may evict the rows of that commit.
func (s *Store) writeBehind() {
	defer close(s.written)
	var unchecked int64 // bytes since room was last looked after
	lastFlush := session.NoTime
	// A batch of more than half a memtable becomes one, and its memory is Pebble's.
	b := s.db.NewBatch(pebble.WithMaxRetainedSizeBytes(int(s.options.MemTableSize)))
	for {
		jobs := s.next()
		if len(jobs) == 0 {
			break
		}
		size, err := writeJobs(b, jobs)
		failpoint.Hit(failpoint.WriteBehind)
		if unchecked += size; err == nil && unchecked > memTableMin/2 {
			unchecked = 0
			s.awaitRoom()
		}
		newest := jobs[len(jobs)-1]
		if lastFlush == session.NoTime {
			lastFlush = newest.writtenAt
		}
		if err == nil && newest.writtenAt > lastFlush+flushAfterMs {
			lastFlush = newest.writtenAt
			_, err = s.db.AsyncFlush()
		}
		if err != nil {
			s.fault(err)
			break
		}
		s.done(jobs)
	}
	_ = b.Close() // empty, or of a fault that is known
	if errors.Is(s.Err(), ErrDamaged) {
		s.markDamaged()
	}
}

// next waits for the oldest job and returns it with all others of its partition, oldest first;
// none: the store failed, or closes and all is written.
func (s *Store) next() []*job {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.failed == nil && !s.closing && !s.isFull() {
		s.cond.Wait()
	}
	if s.failed != nil || len(s.queue) == 0 {
		return nil
	}
	var jobs []*job
	for _, j := range s.queue {
		if j.partition == s.queue[0].partition {
			jobs = append(jobs, j)
		}
	}
	return jobs
}

// isFull reports whether enough has gathered to be written, or somebody waits for it.
func (s *Store) isFull() bool {
	return len(s.queue) > 0 && (s.waiting > 0 || len(s.queue) > s.limits.behindCommits/2 ||
		s.queued > min(s.limits.behindBytes/2, memTablesGathered*int64(s.options.MemTableSize)))
}

func (s *Store) done(jobs []*job) {
	newest := jobs[len(jobs)-1]
	newest.partition.applied.Store(newest.commit)
	newest.partition.written.Store(int64(newest.event))
	for _, j := range jobs {
		s.recycle(j.arena, j.changes)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.queue[:0]
	for _, j := range s.queue {
		if j.partition == newest.partition && j.commit <= newest.commit {
			s.queued -= j.bytes
		} else {
			kept = append(kept, j)
		}
	}
	clear(s.queue[len(kept):])
	s.queue = kept
	s.cond.Broadcast()
}

// written is a change of one of several jobs, small because many of them are put in order.
type written struct {
	begin       uint64 // of the key behind the partition's prefix: most keys differ there
	job, change uint32 // their positions
}

// writeJobs writes the newest state of each row in the order of their keys, which Pebble's memtable
// takes faster, and the newest position, in a batch that is empty before and behind. It returns
// about how many bytes that were.
func writeJobs(b *pebble.Batch, jobs []*job) (int64, error) {
	newest := jobs[len(jobs)-1]
	from := make([]overlay, len(jobs))
	for i, j := range jobs {
		from[i] = overlay{arena: j.arena, changes: j.changes}
	}
	var err error
	key := positionKey(newest.prefix)
	if newest.position == nil {
		err = b.Delete(key, nil)
	} else {
		err = b.Set(key, newest.position, nil)
	}
	var row, history []byte // the last key of each kind that was written: older ones follow
	for _, w := range gather(from, len(newest.prefix)) {
		o := &from[w.job]
		c := &o.changes[w.change]
		storeKey := o.storeKey(c)
		if c.hasRow && err == nil && !bytes.Equal(row, storeKey) {
			row = storeKey
			err = setOrDelete(b, storeKey, o.rowOf(c))
		}
		if c.hasHistory && err == nil && !bytes.Equal(history, storeKey) {
			history = storeKey
			key = append(key[:0], storeKey...)
			key[len(key)-1] = kindHistory
			err = setOrDelete(b, key, o.historyOf(c))
		}
	}
	size := int64(b.Len())
	if err == nil {
		err = b.Commit(pebble.NoSync)
	}
	if err == nil { // after an error the batch may still be in Pebble's queue
		b.Reset()
	}
	return size, err
}

// gather returns the changes of a partition's commits in the order of their keys, the newest of a
// key first.
func gather(from []overlay, prefixLen int) []written {
	n := 0
	for i := range from {
		n += len(from[i].changes)
	}
	changes := make([]written, 0, n)
	keyOf := func(w written) []byte {
		o := &from[w.job]
		return o.storeKey(&o.changes[w.change])[prefixLen:]
	}
	for j := range from {
		for i := range from[j].changes {
			w := written{job: uint32(j), change: uint32(i)}
			var begin [8]byte
			copy(begin[:], keyOf(w))
			w.begin = binary.BigEndian.Uint64(begin[:])
			changes = append(changes, w)
		}
	}
	slices.SortFunc(changes, func(a, b written) int {
		if a.begin != b.begin {
			return cmp.Compare(a.begin, b.begin)
		}
		return cmp.Or(bytes.Compare(keyOf(a), keyOf(b)), cmp.Compare(b.job, a.job))
	})
	return changes
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
	s.awaitWriter(func() bool { return p.applied.Load() >= p.commits })
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
