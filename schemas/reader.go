package schemas

import (
	"math/bits"
	"slices"
)

// slot is where a value was found: its first byte, the offset of that and the one behind its end.
// Of a member that is there more than once it holds the last one.
type slot struct {
	start, end int32
	first      byte // 0: absent
	escaped    bool // a string that holds an escape
	raw        bool // it stands as it is, without the escapes that JSON may want in it
}

// edit is a place in the event that a splice may have to change. Edits are in the order of the
// bytes and do not overlap.
type edit struct {
	kind editKind
	node int32
	// Of a member: its separator in front (a comma, or the brace that opens its object), its value
	// and the byte behind it, which is a comma or the closing brace.
	// Of an object's end: start and end are both where a further member goes, sep is the brace
	// that opened it, after counts its members; of an array's the same. Of a null: start and end
	// are its own.
	sep, start, end, after int32
}

type editKind uint8

const (
	editMember editKind = iota // a session member: it is written anew or removed
	editEnd                    // the end of an object or array that session members belong into
	editNull                   // a null in the place of such a one
)

// editsMax bounds what an event can make us remember: an object of a name that comes again has its
// members written or removed each time. A usual event has some ten.
const editsMax = 1 << 14

// reader is a checker that keeps where the values of its paths are. It is reused: no read after
// the first few allocates.
type reader struct {
	checker
	trie  trie
	slots []slot // as many as the trie has nodes
	// Also by node: what the event before had in the object there.
	guesses []guesses
	edits   []edit
	removed []int32 // by node: members that a splice removes from the object it is at
	name    []byte  // a member name with its escapes decoded
}

// read checks the event, notes its values, and returns false with the fault noted.
func (r *reader) read(b []byte) bool {
	r.fault, r.at = faultNone, 0
	r.edits = r.edits[:0]
	clear(r.slots)
	i := past(b, 0)
	if i >= len(b) {
		r.fail(i, faultEnd)
		return false
	}
	if b[i] != '{' {
		return r.readOther(b, i)
	}
	if i = r.object(b, i, 0, 0); i < 0 {
		return false
	}
	if i = past(b, i); i < len(b) {
		r.fail(i, faultTrailing)
		return false
	}
	return true
}

// readOther tells well-formed JSON that is no object from a text that is not JSON.
func (r *reader) readOther(b []byte, at int) bool {
	i := r.value(b, at, 0)
	if i < 0 {
		return false
	}
	if i = past(b, i); i < len(b) {
		r.fail(i, faultTrailing)
		return false
	}
	r.fail(at, faultTop)
	return false
}

// object reads the object at i, which is the place id of the trie, inside of depth containers.
func (r *reader) object(b []byte, i, id, depth int) int {
	if depth >= r.depthMax {
		return r.fail(i, faultDepth)
	}
	n := &r.trie[id]
	open, sep, count, last := i, i, 0, i+1
	if i = past(b, i+1); i < len(b) && b[i] == '}' {
		if n.inner {
			r.end(id, open, last, count)
		}
		return i + 1
	}
	seen := r.guesses[id]
	for {
		var child int
		if count < len(seen) && seen[count].isAt(b, i) {
			child = int(seen[count].child)
			if i += int(seen[count].size); b[i] <= ' ' {
				i = past(b, i)
			}
		} else if child, i = r.named(b, i, count, id); i < 0 {
			return i
		}
		start := i
		switch {
		case i < len(b) && b[i] == '"':
			r.escaped = false
			if i = short(b, start+1); i == 0 {
				i = r.text(b, start+1)
			}
			if child != 0 {
				if r.slots[child].first != 0 {
					r.forget(child)
				}
				r.slots[child].keep(start, i, r.escaped)
			}
		case child == 0:
			i = r.value(b, i, depth+1)
		default:
			i = r.known(b, i, child, depth+1)
		}
		if i < 0 {
			return i
		}
		count, last = count+1, i
		if i = past(b, i); i >= len(b) {
			return r.fail(i, faultEnd)
		}
		if child != 0 {
			if r.trie[child].owned {
				r.edit(editMember, child, sep, start, last, i)
			}
			if len(r.edits) > editsMax {
				return r.fail(start, faultEdits)
			}
		}
		if b[i] == '}' {
			break
		}
		if b[i] != ',' {
			return r.fail(i, faultSyntax)
		}
		sep = i
		i = past(b, i+1)
	}
	if n.inner {
		r.end(id, open, last, count)
	}
	return i + 1
}

// named reads the name at i and the colon behind it, and learns them for the next event. It returns
// the child of n and where the value begins.
func (r *reader) named(b []byte, i, at, id int) (child, value int) {
	key := i
	if child, i = r.member(b, i, &r.trie[id]); i < 0 {
		return 0, i
	}
	if i+1 < len(b) && b[i] == ':' && b[i+1] > ' ' {
		r.guesses[id].learn(at, b[key:i+1], child)
		return child, i + 1
	}
	return child, r.colon(b, i)
}

// end notes where a further member of an object goes: behind the last one.
func (r *reader) end(id, open, last, count int) { r.edit(editEnd, id, open, last, last, count) }

// edit notes a place that may be edited. It is filled in where it stays: one that is made elsewhere
// and copied is read back before it is written.
//
//go:noinline // object has it in three places, and few members need it
func (r *reader) edit(kind editKind, id, sep, start, end, after int) {
	r.edits = append(r.edits, edit{})
	e := &r.edits[len(r.edits)-1]
	e.kind, e.node = kind, int32(id)
	e.sep, e.start, e.end, e.after = int32(sep), int32(start), int32(end), int32(after)
}

// member checks the member name at i and returns which child of n it names, 0 for none, and the
// offset behind its closing quote.
func (r *reader) member(b []byte, i int, n *node) (child, behind int) {
	if i >= len(b) || b[i] != '"' {
		return 0, r.failAt(b, i, faultSyntax)
	}
	i++
	// The names at the end of a text have no eight bytes behind their quote.
	if i+8 > len(b) {
		return r.memberSlow(b, i, n)
	}
	x := load(b, i)
	size := plain(x)
	if size < 8 {
		if b[i+size] != '"' {
			return r.memberSlow(b, i, n)
		}
		x &= 1<<(8*size) - 1
		return n.find(x, b[i:i+size]), i + size + 1
	}
	end := i + 8
	for end+8 <= len(b) {
		m := special(load(b, end))
		if m != 0 {
			end += bits.TrailingZeros64(m) >> 3
			break
		}
		end += 8
	}
	if end >= len(b) || b[end] != '"' {
		return r.memberSlow(b, i, n)
	}
	return n.find(x, b[i:end]), end + 1
}

// memberSlow is member for names with escapes, above ASCII, or at the end of the text.
func (r *reader) memberSlow(b []byte, i int, n *node) (child, behind int) {
	r.escaped = false
	end := r.text(b, i)
	if end < 0 {
		return 0, end
	}
	name := b[i : end-1]
	if r.escaped {
		r.name = unquote(slices.Grow(r.name[:0], len(name)), name)
		name = r.name
	}
	return n.find(head(name), name), end
}

// keep notes a string. It fills in the slot field by field: one that is made elsewhere and copied
// is read back before it is written.
func (s *slot) keep(start, end int, escaped bool) {
	s.start, s.end, s.first, s.escaped = int32(start), int32(end), '"', escaped
}

// forget forgets what an earlier member of the same name held, all below it too: the last one
// counts wholly.
//
//go:noinline // it is rare
func (r *reader) forget(id int) { clear(r.slots[id:r.trie[id].end]) }

// known reads the value at i, which is no string, of a member that some path leads to.
func (r *reader) known(b []byte, i, id, depth int) int {
	n := &r.trie[id]
	if r.slots[id].first != 0 {
		r.forget(id) // ahead of what is found below it now
	}
	if i >= len(b) {
		return r.fail(i, faultEnd)
	}
	start, first := i, b[i]
	switch {
	case first == '{' && !n.leaf:
		i = r.object(b, i, id, depth)
	case first == '[' && len(n.elements) > 0:
		i = r.array(b, i, id, depth)
	default:
		i = r.value(b, i, depth)
		if n.inner && first == 'n' && i > 0 {
			r.edit(editNull, id, 0, start, i, 0)
		}
	}
	s := &r.slots[id]
	s.start, s.end, s.first = int32(start), int32(i), first
	return i
}

// array reads the array at i, as object does an object.
func (r *reader) array(b []byte, i, id, depth int) int {
	if depth >= r.depthMax {
		return r.fail(i, faultDepth)
	}
	n := &r.trie[id]
	open, count, last := i, 0, i+1
	if i = past(b, i+1); i < len(b) && b[i] == ']' {
		if n.inner {
			r.end(id, open, last, count)
		}
		return i + 1
	}
	for {
		child := 0
		if count < len(n.elements) {
			child = int(n.elements[count])
		}
		switch {
		case child == 0:
			i = r.value(b, i, depth+1)
		case i < len(b) && b[i] == '"':
			start := i
			r.escaped = false
			i = r.text(b, start+1)
			if r.slots[child].first != 0 {
				r.forget(child)
			}
			r.slots[child].keep(start, i, r.escaped)
		default:
			i = r.known(b, i, child, depth+1)
		}
		if i < 0 {
			return i
		}
		count, last = count+1, i
		if i = past(b, i); i >= len(b) {
			return r.fail(i, faultEnd)
		}
		if b[i] == ']' {
			break
		}
		if b[i] != ',' {
			return r.fail(i, faultSyntax)
		}
		i = past(b, i+1)
	}
	if n.inner {
		r.end(id, open, last, count)
	}
	return i + 1
}
