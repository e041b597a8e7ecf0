package schemas

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// A path names a member of an event: member names from the outside in, with dots between them.
// Names are compared byte for byte after their escapes are decoded. A decimal name (0, 1, ... below
// pathIndexMax) is also the position of an element where an array is.

// node is a place in an event that some path goes through or ends at. The nodes of a trie are in
// pre-order: the descendants of node n are those from n+1 up to its end.
type node struct {
	table []kid // the children by the hash of their names, open addressing
	shift uint8 // of a hash, to an index of table
	leaf  bool  // no children

	// owned: the member is a session member, written or removed by us. Nothing below is owned.
	owned bool
	// inner: some descendant is owned.
	inner bool
	// array: the descendants that are owned are all inside of its first element: what is written
	// here is an array, not an object.
	array bool

	elements []int32 // the children that are elements of an array, by their position; 0: none

	end    int
	kids   []int // the children, in the order they were added
	parent int
	name   string
}

// kid is a child in a table; node 0: the entry is empty.
type kid struct {
	head uint64 // the first eight bytes of name, the first the lowest; zeros behind a shorter one
	name string
	node int32
	size int32 // bytes of name
}

// tableShare is how many entries of a table there are for each child: most names of an event are
// known to be no child's after one look.
const tableShare = 4

// trie is a set of paths. Node 0 is the event itself.
type trie []node

// trieBuilder collects paths; numbers are given when all are known.
type trieBuilder struct {
	name  string
	owned bool
	path  string
	kids  []*trieBuilder
	node  int
}

func splitPath(path string) ([]string, error) {
	names := strings.Split(path, ".")
	if slices.Contains(names, "") {
		return nil, fmt.Errorf("path %q: an empty name", path)
	}
	if len(names) > pathNamesMax {
		return nil, fmt.Errorf("path %q: more than %d names", path, pathNamesMax)
	}
	return names, nil
}

// add returns the place of the path, which is made if it is not there.
func (t *trieBuilder) add(path string) (*trieBuilder, error) {
	names, err := splitPath(path)
	if err != nil {
		return nil, err
	}
	at := t
	for _, name := range names {
		i := slices.IndexFunc(at.kids, func(k *trieBuilder) bool { return k.name == name })
		if i < 0 {
			i = len(at.kids)
			at.kids = append(at.kids, &trieBuilder{name: name})
		}
		at = at.kids[i]
	}
	at.path = path
	return at, nil
}

// build gives every place its number. No owned place may lie below another. Its errors are all
// there are, joined, each a memberError.
func (t *trieBuilder) build() (trie, error) {
	var nodes trie
	var faults []error
	t.number(&nodes, -1, nil, &faults)
	if len(nodes) > pathsMax {
		faults = append(faults, fmt.Errorf("paths: %d places in an event, at most %d", len(nodes),
			pathsMax))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return nodes, nil
}

// memberError says why the member at a path cannot be ours.
type memberError struct{ path, what string }

func (e *memberError) Error() string { return e.path + ": " + e.what }

// number numbers a place and those below it, and reports whether one below it is owned.
func (t *trieBuilder) number(nodes *trie, parent int, above *trieBuilder, faults *[]error) bool {
	if t.owned {
		if above != nil {
			*faults = append(*faults, &memberError{t.path,
				"lies inside of session member " + above.path})
		}
		above = t
	}
	t.node = len(*nodes)
	*nodes = append(*nodes, node{name: t.name, parent: parent, owned: t.owned})
	var kids []int
	inner, array := false, false
	for _, k := range t.kids {
		below := k.number(nodes, t.node, above, faults)
		kids = append(kids, k.node)
		if !below && !k.owned {
			continue
		}
		isElement, err := k.element()
		if err == nil && inner && isElement != array {
			err = errors.New("a member beside an element of an array")
		}
		if err != nil {
			*faults = append(*faults, &memberError{k.ownedPath(), err.Error()})
			continue
		}
		inner, array = true, isElement
	}
	n := &(*nodes)[t.node]
	n.kids, n.leaf, n.inner, n.end = kids, len(kids) == 0, inner, len(*nodes)
	n.array = array
	n.makeTable(t.kids)
	n.makeElements(t.kids)
	return inner
}

// element reports whether what is owned here is inside of an element of an array. It must be the
// first then, which can be made where there is none, and not the element itself: without it the
// next one would be the first.
func (t *trieBuilder) element() (bool, error) {
	i, ok := pathIndex(t.name)
	if ok && (i != 0 || t.owned) {
		return true, errors.New("of an array only what is inside of the first element can be ours")
	}
	return ok, nil
}

// somePath is the path of a place, or of one below it that was asked for.
func (t *trieBuilder) somePath() string {
	for t.path == "" {
		t = t.kids[0]
	}
	return t.path
}

// ownedPath is the path of an owned place, or of the first one below; empty: there is none.
func (t *trieBuilder) ownedPath() string {
	if t.owned {
		return t.path
	}
	for _, k := range t.kids {
		if path := k.ownedPath(); path != "" {
			return path
		}
	}
	return ""
}

// pathIndex returns the position in an array that a name may stand for.
func pathIndex(name string) (int, bool) {
	i, err := strconv.Atoi(name)
	return i, err == nil && i >= 0 && i < pathIndexMax && strconv.Itoa(i) == name
}

func (n *node) makeElements(kids []*trieBuilder) {
	for _, k := range kids {
		if i, ok := pathIndex(k.name); ok {
			for len(n.elements) <= i {
				n.elements = append(n.elements, 0)
			}
			n.elements[i] = int32(k.node)
		}
	}
}

func (n *node) makeTable(kids []*trieBuilder) {
	indexBits := bits.Len(uint(max(len(kids)*tableShare, 2) - 1))
	n.table, n.shift = make([]kid, 1<<indexBits), uint8(64-indexBits)
	for _, k := range kids {
		at := n.hash(head(k.name), len(k.name))
		for n.table[at].node != 0 {
			at = (at + 1) % len(n.table)
		}
		n.table[at] = kid{head: head(k.name), name: k.name, node: int32(k.node),
			size: int32(len(k.name))}
	}
}

// hash is Fibonacci hashing (Knuth, volume 3, section 6.4): the factor is 2^64 over the golden
// ratio.
func (n *node) hash(head uint64, size int) int {
	return int((head ^ uint64(size)) * 0x9e3779b97f4a7c15 >> (n.shift & 63))
}

// head packs the first eight bytes of a name.
func head[T string | []byte](name T) uint64 {
	var x uint64
	for i := range min(len(name), 8) {
		x |= uint64(name[i]) << (8 * i)
	}
	return x
}

// path returns the path of a node.
func (t trie) path(id int) string {
	name := t[id].name
	for id = t[id].parent; id > 0; id = t[id].parent {
		name = t[id].name + "." + name
	}
	return name
}

// find returns the child of that name, or 0: no child is the root.
func (n *node) find(head uint64, name []byte) int {
	for at := n.hash(head, len(name)); ; at++ {
		k := &n.table[at&(len(n.table)-1)]
		if k.node == 0 {
			return 0
		}
		if k.head == head && int(k.size) == len(name) &&
			(len(name) <= 8 || k.name[8:] == string(name[8:])) {
			return int(k.node)
		}
	}
}

// Limits of the paths of a configuration.
const (
	pathNamesMax = 16
	pathsMax     = 1000
	pathIndexMax = 100
)
