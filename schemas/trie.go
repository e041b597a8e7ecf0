package schemas

import (
	"fmt"
	"slices"
	"strings"
)

// A path names a member of an event: member names from the outside in, with dots between them.
// Names are compared byte for byte after their escapes are decoded.

// node is a place in an event that some path goes through or ends at. The nodes of a trie are in
// pre-order: the descendants of node n are those from n+1 up to its end.
type node struct {
	name   string
	parent int
	end    int
	kids   []kid
	// lengths has a bit for each length of a name among kids, lengths beyond it share the last.
	lengths uint64
	// owned: the member is a session member, written or removed by us. Nothing below is owned.
	owned bool
	// inner: some descendant is owned, so the value has to be an object, null or absent.
	inner bool
}

// kid leads from a node to a child. Most names differ in length or in their first eight bytes.
type kid struct {
	head uint64 // the first eight bytes of name, the first the lowest; zeros behind a shorter one
	name string
	node int
}

const lengthBits = 63

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

// build gives every place its number. No owned place may lie below another.
func (t *trieBuilder) build() (trie, error) {
	var nodes trie
	if _, err := t.number(&nodes, -1, nil); err != nil {
		return nil, err
	}
	if len(nodes) > pathsMax {
		return nil, fmt.Errorf("paths: %d places in an event, at most %d", len(nodes), pathsMax)
	}
	return nodes, nil
}

func (t *trieBuilder) number(nodes *trie, parent int, above *trieBuilder) (inner bool, err error) {
	if t.owned {
		if above != nil {
			return false, fmt.Errorf("session member %s: lies inside of session member %s",
				t.path, above.path)
		}
		above = t
	}
	t.node = len(*nodes)
	*nodes = append(*nodes, node{name: t.name, parent: parent, owned: t.owned})
	var kids []kid
	var lengths uint64
	for _, k := range t.kids {
		below, err := k.number(nodes, t.node, above)
		if err != nil {
			return false, err
		}
		inner = inner || below || k.owned
		kids = append(kids, kid{head: head(k.name), name: k.name, node: k.node})
		lengths |= 1 << min(len(k.name), lengthBits)
	}
	n := &(*nodes)[t.node]
	n.kids, n.lengths, n.inner, n.end = kids, lengths, inner, len(*nodes)
	return inner, nil
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
	for i := range n.kids {
		k := &n.kids[i]
		if k.head == head && k.name == string(name) {
			return k.node
		}
	}
	return 0
}

// Limits of the paths of a configuration.
const (
	pathNamesMax = 16
	pathsMax     = 1000
)
