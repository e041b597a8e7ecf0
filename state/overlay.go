package state

import (
	"fmt"

	"sessionizer/session"
)

// An overlay is the open transaction: for each dirty key its new rows, in memory only. It is
// handed over as a whole to the write-behind queue at Commit and forgotten at Abort.
type overlay struct {
	arena   arena
	changes []change
	rows    int // dirty rows
	bytes   int // their changelog keys and values
}

// change is a dirty key.
type change struct {
	key        place // Pebble key of the session row; the history's differs in its last byte
	row        place
	history    place
	keyLen     uint32
	slot       slotID
	rowLen     int32 // absent: deleted
	rowCap     int32
	historyLen int32
	historyCap int32
	due        session.Time
	hasRow     bool
	hasHistory bool
}

// arena is memory that is freed as a whole.
type arena struct {
	chunks [][]byte
	used   int // of the last chunk
}

// place is a spot in an arena: chunk in the upper half, offset in the lower.
type place uint64

const arenaChunkBytes = 256 << 10

// alloc returns n bytes; grow gives a chunk of arenaChunkBytes.
func (a *arena) alloc(n int, grow func() []byte) place {
	if len(a.chunks) == 0 || a.used+n > len(a.chunks[len(a.chunks)-1]) {
		var chunk []byte
		if n > arenaChunkBytes {
			chunk = make([]byte, n)
		} else {
			chunk = grow()
		}
		a.chunks = append(a.chunks, chunk)
		a.used = 0
	}
	at := place(len(a.chunks)-1)<<32 | place(a.used)
	a.used += n
	return at
}

// reuse keeps the first chunk and forgets what was in it.
func (a *arena) reuse() {
	if len(a.chunks) > 0 {
		a.chunks, a.used = a.chunks[:1], 0
	}
}

func (a *arena) bytesOf(at place, n int) []byte {
	off := int(uint32(at))
	return a.chunks[at>>32][off : off+n : off+n]
}

func (o *overlay) rowOf(c *change) []byte {
	if c.rowLen < 0 {
		return nil
	}
	return o.arena.bytesOf(c.row, int(c.rowLen))
}

func (o *overlay) historyOf(c *change) []byte {
	if c.historyLen < 0 {
		return nil
	}
	return o.arena.bytesOf(c.history, int(c.historyLen))
}

// storeKey is the Pebble key of the session row; it is made the history's by its last byte.
func (o *overlay) storeKey(c *change) []byte { return o.arena.bytesOf(c.key, int(c.keyLen)) }

// Put sets the session row of a key in the open transaction; an empty row deletes it. due is
// when its timer is due (NoTime: never); it replaces the earlier one. row is copied.
// Put reads the key if it is not live; if that is not possible the error comes from Commit.
func (p *Partition) Put(key, row []byte, due session.Time) {
	p.mustBeReady()
	if id := p.locate(key); id != 0 {
		p.put(id, row, due)
	}
}

func (p *Partition) put(id slotID, row []byte, due session.Time) {
	s := p.cache.at(id)
	c := p.changeOf(id, s)
	o := &p.overlay
	if !c.hasRow {
		c.hasRow = true
		o.rows++
		o.bytes += int(s.keyLen) + 1
	}
	o.bytes += len(row) - int(max(c.rowLen, 0))
	if len(row) == 0 {
		c.rowLen, due = absent, session.NoTime
	} else {
		c.row, c.rowCap = p.write(c.row, c.rowCap, row)
		c.rowLen = int32(len(row))
	}
	c.due = due
	p.schedule(id, s, due)
}

// PutHistory sets the history row of a key in the open transaction; an empty one deletes it.
func (p *Partition) PutHistory(key, history []byte) {
	p.mustBeReady()
	if id := p.locate(key); id != 0 {
		p.putHistory(id, history)
	}
}

func (p *Partition) putHistory(id slotID, history []byte) {
	s := p.cache.at(id)
	if s.historyLen == unloaded && !p.loadHistory(s) {
		return
	}
	c := p.changeOf(id, s)
	o := &p.overlay
	if !c.hasHistory {
		c.hasHistory = true
		o.rows++
		o.bytes += int(s.keyLen) + 1
	}
	o.bytes += len(history) - int(max(c.historyLen, 0))
	if len(history) == 0 {
		c.historyLen = absent
		return
	}
	c.history, c.historyCap = p.write(c.history, c.historyCap, history)
	c.historyLen = int32(len(history))
}

// changeOf is the key's change in the overlay, a new one if there is none yet.
func (p *Partition) changeOf(id slotID, s *slot) *change {
	p.digestKnown = false
	o := &p.overlay
	if s.change != 0 {
		return &o.changes[s.change-1]
	}
	if s.listed {
		p.cache.unlist(id)
	}
	p.scratch = appendStoreKey(p.scratch[:0], p.prefix, p.cache.keyOf(s), kindRow)
	at, _ := p.write(0, 0, p.scratch)
	o.changes = append(o.changes, change{
		key: at, keyLen: uint32(len(p.scratch)), slot: id,
		rowLen: absent, historyLen: absent, due: s.due,
	})
	s.change = uint32(len(o.changes))
	return &o.changes[s.change-1]
}

// write puts bytes into the overlay: where the last ones were if they fit, else in a new place
// with some room, because rows grow a little with most events.
func (p *Partition) write(at place, capacity int32, b []byte) (place, int32) {
	const roomUnit = 16
	if len(b) > int(capacity) {
		capacity = int32((len(b) + roomUnit) &^ (roomUnit - 1))
		at = p.overlay.arena.alloc(int(capacity), p.store.chunk)
	}
	copy(p.overlay.arena.bytesOf(at, len(b)), b)
	return at, capacity
}

// Dirty is how many rows the open transaction changes, and the bytes of their changelog
// records (keys and values).
func (p *Partition) Dirty() (rows, bytes int) { return p.overlay.rows, p.overlay.bytes }

// Changes yields the changelog records of the open transaction, one per dirty row, in the
// order in which their keys became dirty: key is a kind byte (1: session row, 2: history row)
// and the key; value is the row as Pebble will hold it, nil for a deleted one. Both are valid
// during the yield only. The META record is not among them.
func (p *Partition) Changes(yield func(key, value []byte) bool) {
	o := &p.overlay
	for i := range o.changes {
		c := &o.changes[i]
		key := p.cache.keyOf(p.cache.at(c.slot))
		if c.hasRow {
			p.yielded = append(append(p.yielded[:0], kindRow), key...)
			if !yield(p.yielded, o.rowOf(c)) {
				return
			}
		}
		if c.hasHistory {
			p.yielded = append(append(p.yielded[:0], kindHistory), key...)
			if !yield(p.yielded, o.historyOf(c)) {
				return
			}
		}
	}
}

// Digest is that of the rows including the open transaction. The first call after a change
// hashes every dirty row.
func (p *Partition) Digest() Digest {
	if p.digestKnown {
		return p.digestNext
	}
	d := p.digest
	for i := range p.overlay.changes {
		c := &p.overlay.changes[i]
		s := p.cache.at(c.slot)
		hash := keyHash(p.cache.keyOf(s))
		if c.hasRow {
			d.replace(hash, kindRow, p.cache.rowOf(s), p.overlay.rowOf(c))
		}
		if c.hasHistory {
			d.replace(hash, kindHistory, p.cache.historyOf(s), p.overlay.historyOf(c))
		}
	}
	p.digestNext, p.digestKnown = d, true
	return d
}

// replace takes the row before out and the row after in; nil is none.
func (d *Digest) replace(hash uint64, kind byte, before, after []byte) {
	if before != nil {
		d.sub(rowHash(hash, kind, before))
	}
	if after != nil {
		d.add(rowHash(hash, kind, after))
	}
}

// Commit makes the open transaction the confirmed state. Call it when, and only when, the Kafka
// transaction with Changes and META is known to be committed; pos is what META said, and where
// it ended up. Pebble is written behind: Commit waits only if that is more than
// writeBehindBytesMax or writeBehindCommitsMax behind.
// Its error is that of the store (see Store.Err), or of a read that a Put needed; Pebble is then
// behind, which the changelog makes good at the next start. Commit panics if pos does not
// follow the last position or has not the Digest of the rows.
func (p *Partition) Commit(pos Position) error {
	p.mustBeReady()
	if p.err != nil {
		return fmt.Errorf("commit %s at seq %d: %w", p.name, pos.Seq, p.err)
	}
	if d := p.Digest(); d != pos.Digest {
		panic(fmt.Sprintf("state: commit %s at seq %d: rows are %s, position says %s",
			p.name, pos.Seq, d, pos.Digest))
	}
	if last := p.position; p.confirmed && (pos.Seq <= last.Seq || pos.Offset < last.Offset ||
		pos.Watermarks.Event < last.Watermarks.Event ||
		pos.Watermarks.Tick < last.Watermarks.Tick) {
		panic(fmt.Sprintf("state: commit %s: position %+v does not follow %+v",
			p.name, pos, last))
	}
	if err := p.confirm(&pos); err != nil {
		return fmt.Errorf("commit %s at seq %d: %w", p.name, pos.Seq, err)
	}
	return nil
}

// confirm moves the overlay to the cache and queues it for Pebble. A nil position takes the
// one in Pebble away: the rows are then between two positions.
func (p *Partition) confirm(pos *Position) error {
	p.digest = p.Digest()
	p.commits++
	for i := range p.overlay.changes {
		c := &p.overlay.changes[i]
		s := p.cache.at(c.slot)
		if c.hasRow {
			p.cache.setRow(s, p.overlay.rowOf(c))
			s.due = c.due
		}
		if c.hasHistory {
			p.cache.setHistory(s, p.overlay.historyOf(c))
		}
		s.change, s.commit = 0, p.commits
		p.settle(c.slot, s)
	}
	j := &job{
		partition: p, commit: p.commits, arena: p.overlay.arena, changes: p.overlay.changes,
		bytes: int64(p.overlay.bytes), prefix: p.prefix, event: session.NoTime,
	}
	p.confirmed = pos != nil
	if pos != nil {
		p.position = *pos
		j.position = encodeStored(p.topic, p.id, *pos)
		j.writtenAt, j.event = pos.WrittenAt, pos.Watermarks.Event
	}
	p.overlay = overlay{changes: p.store.changeList()}
	p.endTransaction()
	return p.store.enqueue(j)
}

// Abort forgets the open transaction: rows, digest and timers are as after the last Commit.
func (p *Partition) Abort() {
	for i := range p.overlay.changes {
		c := &p.overlay.changes[i]
		s := p.cache.at(c.slot)
		s.change = 0
		p.schedule(c.slot, s, s.due)
		p.settle(c.slot, s)
	}
	p.store.recycle(p.overlay.arena, p.overlay.changes)
	p.overlay = overlay{changes: p.store.changeList()}
	p.endTransaction()
	p.err = nil
}

// endTransaction is what Commit and Abort have in common.
func (p *Partition) endTransaction() {
	p.digestKnown = false
	p.rearm()
	p.closeReader()
	p.evict(evictCommitMax)
}

// settle makes a clean key without a timer evictable.
func (p *Partition) settle(id slotID, s *slot) {
	if s.due == session.NoTime && !s.listed {
		p.cache.list(id)
	}
}
