package schemas

import (
	"math"
	"unicode/utf8"
)

// avroOp is a step over the bytes of an event. What lies side by side and nobody asks for is one
// step where its width is known.
type avroOp struct {
	code avroCode
	node int32 // opMark, opNull, opNote, opText, opObject, opMap: the place in the trie; -1: none
	// opFixed: bytes; opInts, opLongs: how many; opEnum: symbols; opNote, opObject: the form of the
	// value; opNullable: the index of null; opString, opText: that of null beside the string, -1: it
	// is never null; opEdit, opNullEdit: the action; opArray: the action of
	// its blocks' counts, behind which stands that of its end, -1: none.
	n      int32
	jump   int32    // opNullable: the steps behind it that are over the value, where it is not null
	fenced bool     // the last one of those: no later one becomes one with it
	sub    []avroOp // the value inside; of opArray and opMap every one that many does not have
	// opUnion: by the index of the branch; opArray: by position; opMap: by node, from the one behind
	// its own.
	many [][]avroOp
}

type avroCode uint8

const (
	opFixed avroCode = iota
	opBoolean
	opInts
	opLongs
	opEnum
	opBytes
	opString
	opUnion
	opNullable // a union of null and one more, whose steps stand behind it
	opArray
	opMap

	opMark     // a record begins
	opNull     // a null that is noted
	opText     // a string that is noted
	opNote     // another scalar that is noted
	opObject   // a record or map that is noted with where it ends
	opEdit     // what a splice may change
	opNullEdit // a union's null that a splice may replace
)

// avroEdit is a place in the event that a splice may have to change, as its action says. Edits are
// in the order of their starts; one that holds others comes ahead of them.
type avroEdit struct{ action, start, end int32 }

// avroEditsMax bounds what an event can make us remember: arrays that session members belong into
// have some edits for every element.
const avroEditsMax = 1 << 14

// avroFault says what is wrong with bytes that are no event of the schema.
type avroFault uint8

const (
	avroFaultNone avroFault = iota
	avroFaultEnd
	avroFaultNumber
	avroFaultBoolean
	avroFaultIndex
	avroFaultLength
	avroFaultCount
	avroFaultSize
	avroFaultUTF8
	avroFaultTrailing
	avroFaultEdits
)

var avroFaultTexts = [...]string{
	avroFaultNone:     "no fault",
	avroFaultEnd:      "unexpected end",
	avroFaultNumber:   "an integer of too many bits",
	avroFaultBoolean:  "a boolean that is neither 0 nor 1",
	avroFaultIndex:    "no such branch of a union or symbol of an enum",
	avroFaultLength:   "a length that is negative or reaches behind the end",
	avroFaultCount:    "a block of more items than there can be",
	avroFaultSize:     "a block that does not have the size it says",
	avroFaultUTF8:     "a string that is not UTF-8",
	avroFaultTrailing: "data behind the event",
	avroFaultEdits:    "too many elements in arrays that session members belong into",
}

func (f avroFault) String() string { return avroFaultTexts[f] }

// avroWalker goes over an event once and keeps where the values of its paths are, and what a
// splice may change. It is reused: no walk after the first few allocates.
type avroWalker struct {
	trie  trie
	slots []slot  // by node
	forms []int32 // by node: how the value of a slot that is avroScalar is written
	edits []avroEdit
	union int // where the index of the last union that was met begins
	fault avroFault
	at    int // of the fault
}

// avroScalar is the first byte of a slot whose value is still that of the event. avroOpaque is that
// of a value which is there, and of no use to anybody: neither text nor number.
const (
	avroScalar = 'a'
	avroOpaque = 'b'
)

// fail notes the fault and returns the offset that means one.
func (w *avroWalker) fail(at int, f avroFault) int {
	w.fault, w.at = f, at
	return -1
}

// walk goes over an event that begins at i, and returns false with the fault noted.
func (w *avroWalker) walk(b []byte, i int, ops []avroOp) bool {
	w.fault, w.at = avroFaultNone, 0
	w.edits = w.edits[:0]
	clear(w.slots)
	if i = w.run(b, i, ops); i < 0 {
		return false
	}
	if i < len(b) {
		w.fail(i, avroFaultTrailing)
		return false
	}
	return true
}

// run does the steps from i on, and returns the offset behind them, or a negative number.
//
//nolint:gocyclo,cyclop // one case for each step
func (w *avroWalker) run(b []byte, i int, ops []avroOp) int {
	for k := 0; k < len(ops); k++ {
		op := &ops[k]
		switch op.code {
		case opString, opText:
			if op.n >= 0 {
				var index int
				if i < len(b) && (b[i] == 0 || b[i] == 2) {
					index = int(b[i] >> 1)
					i++
				} else if index, i = w.index(b, i, 2); i < 0 {
					return i
				}
				if index == int(op.n) {
					continue
				}
			}
			begin, behind := w.text(b, i)
			if behind < 0 {
				return behind
			}
			if i = behind; op.code == opText {
				s := &w.slots[op.node]
				s.start, s.end = int32(begin-1), int32(behind+1)
				s.first, s.escaped, s.raw = '"', true, true
			}
		case opNullable:
			var index int
			if i < len(b) && (b[i] == 0 || b[i] == 2) {
				index = int(b[i] >> 1)
				i++
			} else if index, i = w.index(b, i, 2); i < 0 {
				return i
			}
			if index == int(op.n) {
				k += int(op.jump)
			}
		case opUnion:
			var index int
			w.union = i
			if index, i = w.index(b, i, len(op.many)); i < 0 {
				return i
			}
			if i = w.run(b, i, op.many[index]); i < 0 {
				return i
			}
		case opInts:
			for range op.n {
				if i = w.skipInt(b, i); i < 0 {
					return i
				}
			}
		case opLongs:
			for range op.n {
				if i = w.skipLong(b, i); i < 0 {
					return i
				}
			}
		case opMark:
			w.slots[op.node] = slot{first: '{'}
		default:
			if i = w.more(b, i, op); i < 0 {
				return i
			}
		}
	}
	return i
}

// text steps over a string, and returns where its bytes begin.
func (w *avroWalker) text(b []byte, i int) (begin, behind int) {
	if i+9 <= len(b) && b[i] < 16 && b[i]&1 == 0 { // less than eight bytes: they are in one word
		size := int(b[i] >> 1)
		if load(b, i+1)<<(64-8*size)&highs == 0 {
			return i + 1, i + 1 + size
		}
	}
	begin, behind = w.length(b, i)
	if behind >= 0 && !isASCII(b[begin:behind]) && !utf8.Valid(b[begin:behind]) {
		return 0, w.fail(i, avroFaultUTF8)
	}
	return begin, behind
}

// isASCII reports whether a text has only bytes below 0x80.
func isASCII(text []byte) bool {
	var all uint64
	if len(text) >= 8 {
		for i := 0; i+8 < len(text); i += 8 {
			all |= load(text, i)
		}
		all |= load(text, len(text)-8)
		return all&highs == 0
	}
	for _, c := range text {
		all |= uint64(c)
	}
	return all&highs == 0
}

// more is run for one of the other steps.
func (w *avroWalker) more(b []byte, i int, op *avroOp) int {
	start := i
	switch op.code {
	case opEnum:
		_, i = w.index(b, i, int(op.n))
	case opFixed:
		if int(op.n) > len(b)-i {
			return w.fail(i, avroFaultEnd)
		}
		i += int(op.n)
	case opBoolean:
		if i >= len(b) {
			return w.fail(i, avroFaultEnd)
		}
		if b[i] > 1 {
			return w.fail(i, avroFaultBoolean)
		}
		i++
	case opBytes:
		_, i = w.length(b, i)
	case opArray:
		return w.array(b, i, op)
	case opMap:
		return w.pairs(b, i, op)
	case opNull:
		w.slots[op.node] = slot{first: 'n'}
	case opNote, opObject:
		if i = w.run(b, i, op.sub); i < 0 {
			return i
		}
		w.slots[op.node] = slot{start: int32(start), end: int32(i), first: avroScalar}
		w.forms[op.node] = op.n
	case opNullEdit:
		return w.edit(op.n, w.union, i)
	default: // opEdit
		at := len(w.edits)
		if i = w.edit(op.n, start, i); i < 0 {
			return i
		}
		if i = w.run(b, i, op.sub); i >= 0 {
			w.edits[at].end = int32(i)
		}
	}
	return i
}

// edit notes a place that a splice may change, and returns where it ends.
func (w *avroWalker) edit(action int32, start, end int) int {
	if len(w.edits) == avroEditsMax {
		return w.fail(start, avroFaultEdits)
	}
	w.edits = append(w.edits, avroEdit{action, int32(start), int32(end)})
	return end
}

// skipInt steps over an int: a varint of 32 bits.
func (w *avroWalker) skipInt(b []byte, i int) int {
	start := i
	for ; i < len(b); i++ {
		if b[i] < 0x80 {
			if n := i - start; n > 4 || n == 4 && b[i] > 0x0f {
				return w.fail(start, avroFaultNumber)
			}
			return i + 1
		}
		if i-start > 4 {
			return w.fail(start, avroFaultNumber)
		}
	}
	return w.fail(i, avroFaultEnd)
}

// skipLong steps over a long: a varint of 64 bits.
func (w *avroWalker) skipLong(b []byte, i int) int {
	if i < len(b) && b[i] < 0x80 {
		return i + 1
	}
	_, i = w.long(b, i)
	return i
}

// long reads a long.
func (w *avroWalker) long(b []byte, i int) (n int64, behind int) {
	start := i
	var x uint64
	for shift := 0; i < len(b); shift += 7 {
		c := b[i]
		i++
		if c < 0x80 {
			if shift == 63 && c > 1 {
				return 0, w.fail(start, avroFaultNumber)
			}
			x |= uint64(c) << shift
			return unzigzag(x), i
		}
		if shift == 63 {
			return 0, w.fail(start, avroFaultNumber)
		}
		x |= uint64(c&0x7f) << shift
	}
	return 0, w.fail(i, avroFaultEnd)
}

// unzigzag returns the number of a varint: small ones of either sign are short.
func unzigzag(x uint64) int64 { return int64(x>>1) ^ -int64(x&1) }

// index reads a number below end.
func (w *avroWalker) index(b []byte, i, end int) (index, behind int) {
	if i < len(b) && b[i] < 0x80 && b[i]&1 == 0 && int(b[i]>>1) < end {
		return int(b[i] >> 1), i + 1
	}
	n, behind := w.long(b, i)
	if behind >= 0 && (n < 0 || n >= int64(end)) {
		behind = w.fail(i, avroFaultIndex)
	}
	return int(n), behind
}

// length steps over bytes with their length, and returns where they begin.
func (w *avroWalker) length(b []byte, i int) (begin, behind int) {
	if i < len(b) && b[i] < 0x80 && b[i]&1 == 0 && int(b[i]>>1) < len(b)-i {
		return i + 1, i + 1 + int(b[i]>>1)
	}
	n, begin := w.long(b, i)
	if begin < 0 {
		return 0, begin
	}
	if n < 0 || n > int64(len(b)-begin) {
		return 0, w.fail(i, avroFaultLength)
	}
	return begin, begin + int(n)
}

// block reads the count of a block of an array or a map, and its size where there is one: end is
// where it ends then, else -1.
func (w *avroWalker) block(b []byte, i int) (count int64, end, behind int) {
	start, end := i, -1
	if count, i = w.long(b, i); i < 0 {
		return 0, 0, i
	}
	if count < 0 && count != math.MinInt64 {
		var size int64
		count = -count
		if size, i = w.long(b, i); i < 0 {
			return 0, 0, i
		}
		if size < 0 || size > int64(len(b)-i) {
			return 0, 0, w.fail(start, avroFaultSize)
		}
		end = i + int(size)
	}
	// No item takes less than a byte.
	if count < 0 || count > int64(len(b)-i) {
		return 0, 0, w.fail(start, avroFaultCount)
	}
	return count, end, i
}

// array goes over an array.
func (w *avroWalker) array(b []byte, i int, op *avroOp) int {
	if op.node >= 0 {
		w.slots[op.node] = slot{first: '['}
	}
	at := 0
	for {
		start := i
		count, end, next := w.block(b, i)
		if i = next; i < 0 {
			return i
		}
		if op.n >= 0 && (end >= 0 || count == 0 && at == 0) {
			action := op.n
			if count == 0 {
				action++
			}
			if i = w.edit(action, start, i); i < 0 {
				return i
			}
		}
		if count == 0 {
			return i
		}
		for ; count > 0; count-- {
			sub := op.sub
			if at < len(op.many) && op.many[at] != nil {
				sub = op.many[at]
			}
			if i = w.run(b, i, sub); i < 0 {
				return i
			}
			at++
		}
		if end >= 0 && i != end {
			return w.fail(start, avroFaultSize)
		}
	}
}

// pairs goes over a map. Of a key that is there more than once the last value counts, as in JSON.
func (w *avroWalker) pairs(b []byte, i int, op *avroOp) int {
	if op.node >= 0 {
		w.slots[op.node] = slot{first: '{'}
	}
	for {
		start := i
		count, end, next := w.block(b, i)
		if i = next; i < 0 || count == 0 {
			return i
		}
		for ; count > 0; count-- {
			begin, behind := w.text(b, i)
			if behind < 0 {
				return behind
			}
			sub := op.sub
			if op.node >= 0 {
				key := b[begin:behind]
				if child := w.trie[op.node].find(headAt(b, begin, behind), key); child > 0 {
					clear(w.slots[child:w.trie[child].end])
					sub = op.many[child-int(op.node)-1]
				}
			}
			if i = w.run(b, behind, sub); i < 0 {
				return i
			}
		}
		if end >= 0 && i != end {
			return w.fail(start, avroFaultSize)
		}
	}
}

// headAt is head of the bytes from begin up to end.
func headAt(b []byte, begin, end int) uint64 {
	if begin+8 > len(b) {
		return head(b[begin:end])
	}
	x, size := load(b, begin), end-begin
	if size < 8 {
		x &= 1<<(8*size) - 1
	}
	return x
}
