package processor

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Sizes of the blocks that a box takes memory in.
const (
	boxRecords = 1024
	boxBytes   = 256 << 10
)

// box holds the records a task has made in the open transaction and the bytes of their values.
// Both stay in place until reset: the client reads them until the transaction has ended.
type box struct {
	records [][]kgo.Record
	record  int // next free record, over all blocks

	blocks [][]byte // values; the last one that is in use has room behind its length
	block  int      // the block in use

	ready   []*kgo.Record // not yet taken by the lane
	offsets []int64       // by record: the input offset it came of
	count   int           // records since reset
	bytes   int           // bytes of values since reset
}

// add returns a zeroed record that came of an input offset and is part of what the lane takes
// next.
func (b *box) add(offset int64) *kgo.Record {
	i, j := b.record/boxRecords, b.record%boxRecords
	if i == len(b.records) {
		b.records = append(b.records, make([]kgo.Record, boxRecords))
	}
	r := &b.records[i][j]
	*r = kgo.Record{}
	b.record++
	b.count++
	b.ready = append(b.ready, r)
	b.offsets = append(b.offsets, offset)
	return r
}

// origin returns the input offset that a record came of. It is for the rare record that failed.
func (b *box) origin(r *kgo.Record) (int64, bool) {
	for i := range b.record {
		if &b.records[i/boxRecords][i%boxRecords] == r {
			return b.offsets[i], true
		}
	}
	return 0, false
}

// room returns an empty slice with space for n bytes that stays in place until reset. The caller
// appends to it and hands the result to keep; if it outgrew the space, append has moved it to
// memory of its own, which is as good.
func (b *box) room(n int) []byte {
	for b.block < len(b.blocks) {
		if c := b.blocks[b.block]; cap(c)-len(c) >= n {
			return c[len(c):len(c):cap(c)]
		}
		b.block++
	}
	b.blocks = append(b.blocks, make([]byte, 0, max(n, boxBytes)))
	return b.blocks[b.block][:0:cap(b.blocks[b.block])]
}

// keep takes back what was appended to the last room and returns it, cut to its length.
func (b *box) keep(v []byte) []byte {
	c := b.blocks[b.block]
	if n := len(v); n > 0 && cap(c)-len(c) >= n && &v[0] == &c[len(c) : len(c)+1][0] {
		b.blocks[b.block] = c[:len(c)+n]
	}
	b.bytes += len(v)
	return v[:len(v):len(v)]
}

// take hands over the records added since the last take, in order. Valid until the next add.
func (b *box) take() []*kgo.Record {
	r := b.ready
	b.ready = b.ready[:0]
	return r
}

// reset makes all memory free for the next transaction. Nobody may hold a record any more.
// Memory beyond what a usual transaction needs is given back, and so is that of large values.
func (b *box) reset() {
	const blocksKept, recordsKept = 64, 32
	b.blocks = slices.DeleteFunc(b.blocks, func(block []byte) bool { return cap(block) > boxBytes })
	if len(b.blocks) > blocksKept {
		b.blocks = b.blocks[:blocksKept:blocksKept]
	}
	if len(b.records) > recordsKept {
		b.records = b.records[:recordsKept:recordsKept]
	}
	for i := range b.blocks {
		b.blocks[i] = b.blocks[i][:0]
	}
	b.record, b.block, b.count, b.bytes = 0, 0, 0, 0
	b.ready, b.offsets = b.ready[:0], b.offsets[:0]
}
