package state

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Limits of a full restore.
const (
	runBytesMax     = 32 << 20  // records in memory before they are sorted and written out
	runBufferBytes  = 64 << 10  // for each run while they are merged
	tableBytesMax   = 64 << 20  // of a finished table
	valueBytesMax   = 256 << 20 // of a value in a run; more is damage
	diskCategory    = vfs.DiskWriteCategory("state-restore")
	tombstoneLength = -1
)

// A sorter puts the records of a changelog in the order of their Pebble keys, keeping the last
// one of each key, in bounded memory: it writes sorted runs and merges them.
type sorter struct {
	store   *Store
	dir     string
	prefix  []byte
	arena   arena
	records []sortRecord
	bytes   int
	runs    int
}

// sortRecord is a record in memory.
type sortRecord struct {
	order    uint64 // the first bytes of the key behind the partition's prefix
	key      place
	value    place
	keyLen   int32
	valueLen int32
	seq      uint32 // order of arrival
}

func newSorter(s *Store, prefix []byte) (*sorter, error) {
	parent := s.fs.PathJoin(s.dir, restoreName)
	x := &sorter{store: s, prefix: prefix, dir: s.fs.PathJoin(parent, fmt.Sprintf("%x", prefix))}
	return x, s.fs.MkdirAll(x.dir, 0o755)
}

// close removes what is left of the files.
func (x *sorter) close() error {
	x.arena, x.records = arena{}, nil
	return x.store.fs.RemoveAll(x.dir)
}

func (x *sorter) add(key, value []byte) error {
	if x.bytes > x.store.limits.runBytes {
		if err := x.spill(); err != nil {
			return x.store.fail(err)
		}
	}
	size := int32(len(value))
	if len(value) == 0 {
		size = tombstoneLength
	}
	at := x.arena.alloc(len(key)+len(value), newChunk)
	b := x.arena.bytesOf(at, len(key)+len(value))
	copy(b[copy(b, key):], value)
	var order [8]byte
	copy(order[:], key[len(x.prefix):])
	x.records = append(x.records, sortRecord{
		order: binary.BigEndian.Uint64(order[:]), key: at, value: at + place(len(key)),
		keyLen: int32(len(key)), valueLen: size, seq: uint32(len(x.records)),
	})
	x.bytes += len(b)
	return nil
}

func newChunk() []byte { return make([]byte, arenaChunkBytes) }

func (x *sorter) keyOf(r *sortRecord) []byte { return x.arena.bytesOf(r.key, int(r.keyLen)) }

// sort leaves the last record of each key, in the order of the keys. A key's order is cut off
// or padded with zeros, which agrees with the order of bytes unless two are equal.
func (x *sorter) sort() {
	slices.SortFunc(x.records, func(a, b sortRecord) int {
		if a.order != b.order {
			return cmp.Compare(a.order, b.order)
		}
		if c := bytes.Compare(x.keyOf(&a), x.keyOf(&b)); c != 0 {
			return c
		}
		return cmp.Compare(b.seq, a.seq)
	})
	x.records = slices.CompactFunc(x.records, func(a, b sortRecord) bool {
		return a.order == b.order && bytes.Equal(x.keyOf(&a), x.keyOf(&b))
	})
}

// spill writes the records in memory as a run: uvarint length and bytes of the key, varint
// length (-1: tombstone) and bytes of the value.
func (x *sorter) spill() error {
	x.sort()
	f, err := x.store.fs.Create(x.runPath(x.runs), diskCategory)
	if err != nil {
		return err
	}
	x.runs++
	w := bufio.NewWriterSize(f, arenaChunkBytes)
	var number [binary.MaxVarintLen64]byte
	for i := range x.records {
		r := &x.records[i]
		_, err1 := w.Write(binary.AppendUvarint(number[:0], uint64(r.keyLen)))
		_, err2 := w.Write(x.keyOf(r))
		_, err3 := w.Write(binary.AppendVarint(number[:0], int64(r.valueLen)))
		_, err4 := w.Write(x.arena.bytesOf(r.value, int(max(r.valueLen, 0))))
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	x.records, x.bytes = x.records[:0], 0
	x.arena.reuse()
	return errors.Join(w.Flush(), f.Close())
}

func (x *sorter) runPath(n int) string {
	return x.store.fs.PathJoin(x.dir, fmt.Sprintf("%06d.run", n))
}

// source is a sorted run: that in memory, or a file.
type source struct {
	key, value []byte // the current record; value nil: tombstone
	age        int    // later runs have greater ones
	next       func(*source) (ok bool, err error)
}

// memory reads the sorted records in memory.
func (x *sorter) memory() *source {
	at := 0
	return &source{age: x.runs, next: func(s *source) (bool, error) {
		if at == len(x.records) {
			return false, nil
		}
		r := &x.records[at]
		at++
		s.key, s.value = x.keyOf(r), nil
		if r.valueLen >= 0 {
			s.value = x.arena.bytesOf(r.value, int(r.valueLen))
		}
		return true, nil
	}}
}

// file reads a run.
func (x *sorter) file(n int) (*source, io.Closer, error) {
	f, err := x.store.fs.Open(x.runPath(n), vfs.SequentialReadsOption)
	if err != nil {
		return nil, nil, err
	}
	r := bufio.NewReaderSize(f, runBufferBytes)
	return &source{age: n, next: func(s *source) (bool, error) {
		size, err := binary.ReadUvarint(r)
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err == nil && size > 2*keyBytesMax {
			err = fmt.Errorf("%w: a key in a run has %d bytes", ErrDamaged, size)
		}
		if err != nil {
			return false, err
		}
		if s.key, err = readInto(r, s.key, int(size)); err != nil {
			return false, err
		}
		length, err := binary.ReadVarint(r)
		if err == nil && (length < tombstoneLength || length > valueBytesMax) {
			err = fmt.Errorf("%w: a value in a run has %d bytes", ErrDamaged, length)
		}
		if err != nil {
			return false, err
		}
		if length == tombstoneLength {
			s.value = nil
			return true, nil
		}
		s.value, err = readInto(r, s.value, int(length))
		return true, err
	}}, f, nil
}

func readInto(r io.Reader, b []byte, n int) ([]byte, error) {
	b = slices.Grow(b[:0], n)[:n]
	_, err := io.ReadFull(r, b)
	return b, err
}

// sources is a heap: the least key first, and of equal keys the latest run.
type sources []*source

func (h sources) Len() int { return len(h) }
func (h sources) Less(i, j int) bool {
	if c := bytes.Compare(h[i].key, h[j].key); c != 0 {
		return c < 0
	}
	return h[i].age > h[j].age
}
func (h sources) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *sources) Push(s any)   { *h = append(*h, s.(*source)) }
func (h *sources) Pop() any {
	old := *h
	s := old[len(old)-1]
	*h = old[:len(old)-1]
	return s
}

// merge yields the last record of each key in the order of the keys, tombstones left out.
func (x *sorter) merge(yield func(key, value []byte) error) (err error) {
	x.sort()
	all := []*source{x.memory()}
	var files []io.Closer
	defer func() {
		for _, f := range files {
			err = errors.Join(err, f.Close())
		}
	}()
	for n := range x.runs {
		s, f, err := x.file(n)
		if err != nil {
			return err
		}
		all, files = append(all, s), append(files, f)
	}
	var h sources
	for _, s := range all {
		ok, err := s.next(s)
		if err != nil {
			return err
		}
		if ok {
			h = append(h, s)
		}
	}
	heap.Init(&h)
	return h.drain(yield)
}

func (h *sources) drain(yield func(key, value []byte) error) error {
	var last []byte
	for len(*h) > 0 {
		s := (*h)[0]
		if !bytes.Equal(s.key, last) {
			last = append(last[:0], s.key...)
			if s.value != nil {
				if err := yield(s.key, s.value); err != nil {
					return err
				}
			}
		}
		ok, err := s.next(s)
		if err != nil {
			return err
		}
		if ok {
			heap.Fix(h, 0)
		} else {
			heap.Pop(h)
		}
	}
	return nil
}

// build merges into tables for an ingest, and passes every row to the loader on the way.
func (x *sorter) build(l *loader) (paths []string, err error) {
	var w *sstable.Writer
	err = x.merge(func(storeKey, value []byte) error {
		key, kind, err := splitStoreKey(storeKey, len(x.prefix))
		if err != nil {
			return err
		}
		l.add(key, kind, value)
		if w != nil && w.Raw().EstimatedSize() > x.store.limits.tableBytes {
			err = w.Close()
			w = nil
			if err != nil {
				return err
			}
		}
		if w == nil {
			path := x.store.fs.PathJoin(x.dir, fmt.Sprintf("%06d.sst", len(paths)))
			f, err := x.store.fs.Create(path, diskCategory)
			if err != nil {
				return err
			}
			paths = append(paths, path)
			w = sstable.NewWriter(objstorageprovider.NewFileWritable(f), x.store.tableOptions())
		}
		return w.Set(storeKey, value)
	})
	if w != nil {
		err = errors.Join(err, w.Close())
	}
	return paths, err
}
