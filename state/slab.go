package state

import "sort"

// A slab holds byte blocks of many sizes in few large pages, so that the garbage collector sees
// one object for hundreds of rows. A page holds blocks of one size class; freed blocks form a
// list inside their page, and a page without blocks serves any class again.
type slab struct {
	data    [][]byte // the pages; the first is not used: the zero ref is none
	pages   []page   // what is known of them
	partial []uint32 // per class: first page with room, 0 none
	empty   []uint32 // pages of pageBytes without a block
	unused  []uint32 // numbers of pages that were given back
	bytes   int64    // of the blocks in use, rounded up to their classes
}

// ref is a block: page number in the upper half, offset in the lower.
type ref uint64

type page struct {
	class      int16  // index into blockSizes; classNone: one block of the whole page
	live       uint16 // blocks in use
	bump       uint32 // offset of the first block never used
	freed      uint32 // offset + 1 of a freed block, which holds the next such number
	prev, next uint32 // list of pages of the class with room
	listed     bool
}

const (
	pageBytes = 64 << 10
	blockMax  = 32 << 10 // larger blocks get a page of their own
	blockUnit = 16       // small sizes are multiples of it
	classNone = -1

	emptyPagesMax = 16 // kept for the next block; more go back to the garbage collector
)

// blockSizes grow by at most a quarter, so a block wastes at most a fifth.
var blockSizes = [...]int{
	16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 192, 224, 256, 288, 320, 384, 448, 512, 576, 640,
	768, 896, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 4096, 5440, 6544, 8192, 10912, 13104,
	16384, 21840, 32768,
}

// classSmall[n] is the class of a size of up to n units.
var classSmall = func() (c [1024/blockUnit + 1]uint8) {
	for i := range c {
		c[i] = uint8(sort.SearchInts(blockSizes[:], i*blockUnit))
	}
	return c
}()

func classOf(size int) int {
	if size <= 1024 {
		return int(classSmall[(size+blockUnit-1)/blockUnit])
	}
	return sort.SearchInts(blockSizes[:], size)
}

// newSlab allocates nothing until the first block.
func newSlab() slab {
	return slab{
		data: make([][]byte, 1), pages: make([]page, 1),
		partial: make([]uint32, len(blockSizes)),
	}
}

// bytesOf are the first n bytes of a block.
func (s *slab) bytesOf(r ref, n int) []byte {
	at := int(uint32(r))
	return s.data[r>>32][at : at+n : at+n]
}

// capOf is how many bytes fit into a block.
func (s *slab) capOf(r ref) int {
	p := &s.pages[r>>32]
	if p.class == classNone {
		return len(s.data[r>>32])
	}
	return blockSizes[p.class]
}

// alloc returns a block of at least size bytes; what it holds is undefined.
func (s *slab) alloc(size int) ref {
	if size > blockMax {
		return s.allocLarge(size)
	}
	class := classOf(size)
	n := s.partial[class]
	if n == 0 {
		n = s.addPage(class)
	}
	p := &s.pages[n]
	var at uint32
	if p.freed != 0 {
		at = p.freed - 1
		p.freed = getUint32(s.data[n][at:])
	} else {
		at = p.bump
		p.bump += uint32(blockSizes[class])
	}
	p.live++
	s.bytes += int64(blockSizes[class])
	if p.freed == 0 && int(p.bump)+blockSizes[class] > pageBytes {
		s.unlist(n)
	}
	return ref(n)<<32 | ref(at)
}

func (s *slab) free(r ref) {
	n, at := uint32(r>>32), uint32(r)
	p := &s.pages[n]
	if p.class == classNone {
		s.bytes -= int64(len(s.data[n]))
		s.pages[n], s.data[n] = page{}, nil
		s.unused = append(s.unused, n)
		return
	}
	s.bytes -= int64(blockSizes[p.class])
	p.live--
	if p.live == 0 {
		if p.listed {
			s.unlist(n)
		}
		if len(s.empty) == emptyPagesMax {
			s.pages[n], s.data[n] = page{}, nil
			s.unused = append(s.unused, n)
			return
		}
		s.empty = append(s.empty, n)
		return
	}
	putUint32(s.data[n][at:], p.freed)
	p.freed = at + 1
	if !p.listed {
		s.list(n)
	}
}

func (s *slab) allocLarge(size int) ref {
	const unit = 4 << 10
	n := s.newNumber()
	data := make([]byte, (size+unit-1)/unit*unit)
	s.pages[n], s.data[n] = page{class: classNone, live: 1}, data
	s.bytes += int64(len(data))
	return ref(n) << 32
}

// addPage gives the class a page, an empty one of any class if there is one.
func (s *slab) addPage(class int) uint32 {
	var n uint32
	if last := len(s.empty) - 1; last >= 0 {
		n = s.empty[last]
		s.empty = s.empty[:last]
	} else {
		n = s.newNumber()
		s.data[n] = make([]byte, pageBytes)
	}
	s.pages[n] = page{class: int16(class)}
	s.list(n)
	return n
}

func (s *slab) newNumber() uint32 {
	if last := len(s.unused) - 1; last >= 0 {
		n := s.unused[last]
		s.unused = s.unused[:last]
		return n
	}
	s.pages, s.data = append(s.pages, page{}), append(s.data, nil)
	return uint32(len(s.pages) - 1)
}

func (s *slab) list(n uint32) {
	p := &s.pages[n]
	p.listed, p.prev, p.next = true, 0, s.partial[p.class]
	if p.next != 0 {
		s.pages[p.next].prev = n
	}
	s.partial[p.class] = n
}

func (s *slab) unlist(n uint32) {
	p := &s.pages[n]
	p.listed = false
	if p.prev != 0 {
		s.pages[p.prev].next = p.next
	} else {
		s.partial[p.class] = p.next
	}
	if p.next != 0 {
		s.pages[p.next].prev = p.prev
	}
}

func getUint32(b []byte) uint32 {
	_ = b[3]
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

func putUint32(b []byte, v uint32) {
	_ = b[3]
	b[0], b[1], b[2], b[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
}
