package state

import (
	"bytes"

	"sessionizer/session"
)

// A cache holds the rows of live keys, and those of others while the budget allows it. It has
// no pointers a garbage collector would follow per key: slots and index entries are numbers,
// keys and rows lie in a slab.
type cache struct {
	slab  slab
	index index
	slots [][]slot // pages of slotsPerPage; slot 0 is not used
	freed slotID   // list of free slots through next
	fresh slotID   // first slot never used
	inUse int

	// The evictable slots, from the one used last to the one used longest ago: those that are
	// not in the overlay and have no timer.
	newest, oldest slotID
}

// slotID is a slot's number; 0 is none.
type slotID uint32

const slotsPerPage = 1 << 10

// slot is what is known of one key. Lengths of rows: absent is a key that has none, unloaded a
// row that is in Pebble only. It fills a cache line.
type slot struct {
	row        ref // a block with the key and behind it the row
	history    ref
	rowLen     int32
	historyLen int32
	change     uint32 // 1 + index of the change in the overlay; 0: none
	keyLen     uint16
	listed     bool // among the evictable
	// due is that of the confirmed row. timer is the due of the heap entry that counts, NoTime:
	// none. Invariant outside of Due: a current due is never before timer.
	due, timer session.Time
	commit     uint64 // number of the partition's commit that confirmed it last
	prev, next slotID
}

const (
	absent   = -1
	unloaded = -2

	slotBytes = 64 // of a slot, for the budget
)

func newCache() cache {
	return cache{slab: newSlab(), fresh: 1}
}

func (c *cache) at(id slotID) *slot { return &c.slots[id/slotsPerPage][id%slotsPerPage] }

func (c *cache) keyOf(s *slot) []byte { return c.slab.bytesOf(s.row, int(s.keyLen)) }

// rowOf is nil for an absent row.
func (c *cache) rowOf(s *slot) []byte {
	if s.rowLen < 0 {
		return nil
	}
	return c.slab.bytesOf(s.row+ref(s.keyLen), int(s.rowLen))
}

func (c *cache) historyOf(s *slot) []byte {
	if s.historyLen < 0 {
		return nil
	}
	return c.slab.bytesOf(s.history, int(s.historyLen))
}

// usedBytes is what the cache takes from the budget.
func (c *cache) usedBytes() int64 {
	return c.slab.bytes + int64(c.inUse)*slotBytes + c.index.bytes
}

func (c *cache) find(hash uint64, key []byte) slotID {
	t := &c.index.tables[hash>>indexShift]
	if t.n == 0 {
		return 0
	}
	mask := uint64(len(t.entries) - 1)
	tag := tagOf(hash)
	for i := tag & mask; ; i = (i + 1) & mask {
		e := t.entries[i]
		if e == 0 {
			return 0
		}
		if e>>32 != tag {
			continue
		}
		id := slotID(e)
		if bytes.Equal(c.keyOf(c.at(id)), key) {
			return id
		}
	}
}

// insert adds a key that is not there, with no rows.
func (c *cache) insert(hash uint64, key []byte) slotID {
	id := c.freed
	if id != 0 {
		c.freed = c.at(id).next
	} else {
		id = c.fresh
		c.fresh++
		if int(id/slotsPerPage) == len(c.slots) {
			c.slots = append(c.slots, make([]slot, slotsPerPage))
		}
	}
	c.inUse++
	s := c.at(id)
	*s = slot{
		keyLen: uint16(len(key)), row: c.slab.alloc(len(key)),
		rowLen: absent, historyLen: absent, due: session.NoTime, timer: session.NoTime,
	}
	copy(c.slab.bytesOf(s.row, len(key)), key)
	c.index.add(hash, id)
	return id
}

func (c *cache) remove(id slotID) {
	s := c.at(id)
	if s.listed {
		c.unlist(id)
	}
	c.index.remove(keyHash(c.keyOf(s)), id)
	c.slab.free(s.row)
	if s.history != 0 {
		c.slab.free(s.history)
	}
	*s = slot{next: c.freed, due: session.NoTime, timer: session.NoTime}
	c.freed = id
	c.inUse--
}

// setRow copies a row in; nil: the key has none.
func (c *cache) setRow(s *slot, row []byte) {
	size := int(s.keyLen) + len(row)
	if size > c.slab.capOf(s.row) || size*4 < c.slab.capOf(s.row) {
		moved := c.slab.alloc(size)
		copy(c.slab.bytesOf(moved, int(s.keyLen)), c.keyOf(s))
		c.slab.free(s.row)
		s.row = moved
	}
	if row == nil {
		s.rowLen = absent
		return
	}
	copy(c.slab.bytesOf(s.row+ref(s.keyLen), len(row)), row)
	s.rowLen = int32(len(row))
}

// setHistory copies a history in; nil: the key has none.
func (c *cache) setHistory(s *slot, history []byte) {
	if s.history != 0 && (history == nil || len(history) > c.slab.capOf(s.history) ||
		len(history)*4 < c.slab.capOf(s.history)) {
		c.slab.free(s.history)
		s.history = 0
	}
	if history == nil {
		s.historyLen = absent
		return
	}
	if s.history == 0 {
		s.history = c.slab.alloc(len(history))
	}
	copy(c.slab.bytesOf(s.history, len(history)), history)
	s.historyLen = int32(len(history))
}

// list makes a slot the newest of the evictable.
func (c *cache) list(id slotID) {
	s := c.at(id)
	s.listed, s.prev, s.next = true, 0, c.newest
	if c.newest != 0 {
		c.at(c.newest).prev = id
	} else {
		c.oldest = id
	}
	c.newest = id
}

func (c *cache) unlist(id slotID) {
	s := c.at(id)
	if s.prev != 0 {
		c.at(s.prev).next = s.next
	} else {
		c.newest = s.next
	}
	if s.next != 0 {
		c.at(s.next).prev = s.prev
	} else {
		c.oldest = s.prev
	}
	s.listed, s.prev, s.next = false, 0, 0
}

// used notes that a key was looked at.
func (c *cache) used(id slotID, s *slot) {
	if s.listed && c.newest != id {
		c.unlist(id)
		c.list(id)
	}
}

// An index finds a key's slot by its hash: open addressing with linear probing. An entry is the
// hash's lower half, its tag, over the slot's number; 0 is empty. The tag alone says where an
// entry belongs, so tables grow and close gaps without a look at the slots. There are many
// tables, by the upper bits of the hash, so that the growth of one is a short pause.
type index struct {
	tables [1 << (64 - indexShift)]indexTable
	bytes  int64
}

type indexTable struct {
	entries []uint64
	n       int
}

const (
	indexShift    = 56
	indexTableMin = 8
)

func tagOf(hash uint64) uint64 { return hash & (1<<32 - 1) }

func (x *index) add(hash uint64, id slotID) {
	t := &x.tables[hash>>indexShift]
	if (t.n+1)*4 > len(t.entries)*3 {
		x.grow(t)
	}
	t.put(tagOf(hash)<<32 | uint64(id))
	t.n++
}

func (t *indexTable) put(entry uint64) {
	mask := uint64(len(t.entries) - 1)
	i := entry >> 32 & mask
	for t.entries[i] != 0 {
		i = (i + 1) & mask
	}
	t.entries[i] = entry
}

func (x *index) grow(t *indexTable) {
	old := t.entries
	t.entries = make([]uint64, max(indexTableMin, 2*len(old)))
	x.bytes += int64(len(t.entries)-len(old)) * 8
	for _, e := range old {
		if e != 0 {
			t.put(e)
		}
	}
}

// remove closes the gap it leaves, so that there are no tombstones.
func (x *index) remove(hash uint64, id slotID) {
	t := &x.tables[hash>>indexShift]
	mask := uint64(len(t.entries) - 1)
	i := tagOf(hash) & mask
	for slotID(t.entries[i]) != id {
		i = (i + 1) & mask
	}
	t.n--
	for j := (i + 1) & mask; t.entries[j] != 0; j = (j + 1) & mask {
		home := t.entries[j] >> 32 & mask
		if (j-home)&mask >= (j-i)&mask {
			t.entries[i] = t.entries[j]
			i = j
		}
	}
	t.entries[i] = 0
}
