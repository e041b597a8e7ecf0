package state

import (
	"bytes"
	"fmt"
	"testing"
	"unsafe"

	"sessionizer/session"
)

// The cache is the only copy of what is confirmed but not in Pebble yet; a block that two rows
// share would be silent.

func TestSlab(t *testing.T) {
	t.Run("BlocksDoNotOverlap", func(t *testing.T) {
		r := testRand(t, 1)
		s := newSlab()
		type block struct {
			ref  ref
			size int
			fill byte
		}
		var blocks []block
		for i := range 20_000 {
			if len(blocks) > 0 && (r.IntN(100) < 48 || i > 16_000) {
				n := r.IntN(len(blocks))
				b := blocks[n]
				for _, got := range s.bytesOf(b.ref, b.size) {
					if got != b.fill {
						t.Fatalf("block of %d bytes holds %d, want %d", b.size, got, b.fill)
					}
				}
				s.free(b.ref)
				blocks[n] = blocks[len(blocks)-1]
				blocks = blocks[:len(blocks)-1]
				continue
			}
			size := 1 + r.IntN(1<<r.IntN(17))
			b := block{ref: s.alloc(size), size: size, fill: byte(i)}
			if s.capOf(b.ref) < size {
				t.Fatalf("a block of %d bytes for %d", s.capOf(b.ref), size)
			}
			data := s.bytesOf(b.ref, size)
			for j := range data {
				data[j] = b.fill
			}
			blocks = append(blocks, b)
		}
		for _, b := range blocks {
			s.free(b.ref)
		}
		if s.bytes != 0 {
			t.Fatalf("%d bytes are in use after all were freed", s.bytes)
		}
		if len(s.empty) > emptyPagesMax {
			t.Fatalf("%d empty pages are kept", len(s.empty))
		}
	})
	t.Run("WastesAtMostAFifth", func(t *testing.T) {
		for size := 256; size <= blockMax; size++ {
			if got := blockSizes[classOf(size)]; got < size || (got-size)*4 > got*3/2 {
				t.Fatalf("%d bytes get a block of %d", size, got)
			}
		}
	})
}

func TestCache(t *testing.T) {
	t.Run("ASlotFillsACacheLine", func(t *testing.T) {
		if size := unsafe.Sizeof(slot{}); size != slotBytes {
			t.Fatalf("a slot has %d bytes", size)
		}
	})
	t.Run("FindsWhatWasInserted", func(t *testing.T) {
		r := testRand(t, 2)
		c := newCache()
		model := map[string]string{}
		for i := range 100_000 {
			key := fmt.Sprint("key-", r.IntN(10_000))
			hash := keyHash([]byte(key))
			id := c.find(hash, []byte(key))
			want, there := model[key]
			if (id != 0) != there {
				t.Fatalf("key %s: slot %d, in the model: %v", key, id, there)
			}
			switch {
			case id == 0:
				id = c.insert(hash, []byte(key))
			case string(c.rowOf(c.at(id))) != want:
				t.Fatalf("key %s is %q, want %q", key, c.rowOf(c.at(id)), want)
			case r.IntN(3) == 0:
				c.remove(id)
				delete(model, key)
				continue
			}
			row := bytes.Repeat([]byte{byte(i)}, 1+r.IntN(300))
			c.setRow(c.at(id), row)
			c.setHistory(c.at(id), row[:len(row)/2])
			model[key] = string(row)
		}
		if c.inUse != len(model) {
			t.Fatalf("%d slots in use for %d keys", c.inUse, len(model))
		}
	})
}

func TestIndex(t *testing.T) {
	t.Run("ClosesTheGapsOfLongRuns", func(t *testing.T) {
		r := testRand(t, 4)
		var x index
		var t0 = &x.tables[7]
		type entry struct {
			id   slotID
			hash uint64
		}
		var there []entry
		for i := range 20_000 {
			if len(there) > 0 && r.IntN(2) == 0 {
				n := r.IntN(len(there))
				x.remove(there[n].hash, there[n].id)
				there[n] = there[len(there)-1]
				there = there[:len(there)-1]
			} else {
				// Few places for many entries, some at the end of the table.
				hash := 7<<indexShift | uint64(r.IntN(4))<<30 | (1<<20 - uint64(r.IntN(6)))
				x.add(hash, slotID(i+1))
				there = append(there, entry{slotID(i + 1), hash})
			}
			if i%16 != 0 {
				continue
			}
			mask := uint64(len(t0.entries) - 1)
			found := 0
			for at, e := range t0.entries {
				if e == 0 {
					continue
				}
				found++
				for j := e >> 32 & mask; j != uint64(at); j = (j + 1) & mask {
					if t0.entries[j] == 0 {
						t.Fatalf("entry %x at %d is behind a gap at %d", e, at, j)
					}
				}
			}
			if found != len(there) || t0.n != found {
				t.Fatalf("%d entries, counted %d, want %d", found, t0.n, len(there))
			}
		}
	})
}

func TestTimersHeap(t *testing.T) {
	t.Run("PopsInOrder", func(t *testing.T) {
		r := testRand(t, 3)
		var pushed, built timers
		for i := range 1000 {
			e := timer{due: session.Time(r.IntN(500)), slot: slotID(i)}
			pushed.push(e)
			built.heap = append(built.heap, e)
		}
		built.build()
		for last := session.Time(0); len(pushed.heap) > 0; {
			a, b := pushed.pop(), built.pop()
			if a.due != b.due || a.due < last {
				t.Fatalf("popped %d and %d after %d", a.due, b.due, last)
			}
			last = a.due
		}
	})
}
