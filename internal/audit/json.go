package audit

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf8"
)

// document is a JSON text taken apart. It is read once it is known to be well formed. Of a value in
// Avro it is what JSON would say: see readAvro.
type document struct {
	text  []byte
	nodes []node
	depth int // of objects and arrays, at most

	isAvro  bool
	isStuck bool // what the session belongs into is null, and cannot be made
}

// node is a value and where it stands: a member of an object, an element of an array, or the whole.
type node struct {
	name        string // of a member, decoded
	from        int    // where the member begins, with its name; of others start
	start, end  int
	first, next int32 // children in their order; 0: none, for node 0 is the whole
	last        int32
	kind        byte // the first byte of the value

	// It has nothing but defaults: what the session belongs into may have been made so.
	isDefault bool
}

// read takes a value apart and reports whether it is a JSON object that everybody reads alike.
func (d *document) read(value []byte) bool {
	d.text, d.nodes, d.depth = value, d.nodes[:0], 0
	d.isAvro, d.isStuck = false, false
	if !json.Valid(value) || !utf8.Valid(value) {
		return false
	}
	at := d.space(0)
	if value[at] != '{' {
		return false
	}
	d.nodes = append(d.nodes, node{})
	d.value(0, at, 1)
	return true
}

func (d *document) space(i int) int {
	for i < len(d.text) && (d.text[i] == ' ' || d.text[i] == '\t' || d.text[i] == '\n' ||
		d.text[i] == '\r') {
		i++
	}
	return i
}

// value reads the value at start into a node and returns its end.
func (d *document) value(n int32, start, depth int) int {
	d.nodes[n].start, d.nodes[n].kind = start, d.text[start]
	end := start
	switch d.text[start] {
	case '{', '[':
		d.depth = max(d.depth, depth)
		end = d.container(n, start, depth)
	case '"':
		end = d.quoted(start)
	default:
		for end < len(d.text) && bytes.IndexByte([]byte(",]} \t\r\n"), d.text[end]) < 0 {
			end++
		}
	}
	d.nodes[n].end = end
	return end
}

func (d *document) container(n int32, start, depth int) int {
	isObject := d.text[start] == '{'
	i := d.space(start + 1)
	for d.text[i] != '}' && d.text[i] != ']' {
		if d.text[i] == ',' {
			i = d.space(i + 1)
		}
		child := int32(len(d.nodes))
		d.nodes = append(d.nodes, node{from: i})
		if d.nodes[n].first == 0 {
			d.nodes[n].first = child
		} else {
			d.nodes[d.nodes[n].last].next = child
		}
		d.nodes[n].last = child
		if isObject {
			end := d.quoted(i)
			d.nodes[child].name = string(unquote(d.text[i:end]))
			i = d.space(d.space(end) + 1)
		}
		i = d.space(d.value(child, i, depth+1))
	}
	return i + 1
}

// quoted returns the end of the string that begins at i.
func (d *document) quoted(i int) int {
	for i++; d.text[i] != '"'; i++ {
		if d.text[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// unquote decodes a JSON string.
func unquote(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return nil
	}
	return []byte(s)
}

// place is a path: the names of the members from the outside in.
type place []string

// find returns the value at a place; nil: there is none. Of a repeated name the last counts, and a
// decimal name is the position of an element where an array is.
func (d *document) find(p place) *node {
	if len(d.nodes) == 0 {
		return nil
	}
	n := &d.nodes[0]
	for _, name := range p {
		if n = d.child(n, name); n == nil {
			return nil
		}
	}
	return n
}

func (d *document) child(n *node, name string) *node {
	var found *node
	position := -1
	if n.kind == '[' {
		i, err := strconv.Atoi(name)
		if err != nil || strconv.Itoa(i) != name {
			return nil
		}
		position = i
	}
	if n.kind != '{' && n.kind != '[' {
		return nil
	}
	count := 0
	for c := n.first; c != 0; c = d.nodes[c].next {
		if position == count || position < 0 && d.nodes[c].name == name {
			found = &d.nodes[c]
		}
		count++
	}
	return found
}

func (d *document) raw(n *node) []byte { return d.text[n.start:n.end] }

// content is the decoded text of a string; nil: the node is none.
func (d *document) content(n *node) []byte {
	if n == nil || n.kind != '"' {
		return nil
	}
	return unquote(d.raw(n))
}

// known returns the first text that is not empty among some places.
func (d *document) known(places []place) []byte {
	for _, p := range places {
		if text := d.content(d.find(p)); len(text) > 0 {
			return text
		}
	}
	return nil
}

// cut is a set of places that hold the session: what lies there is left out of a comparison.
type cut struct {
	whole bool
	kids  map[string]*cut
}

// kid is the set below a name; nil: there is none.
func (c *cut) kid(name string) *cut {
	if c == nil {
		return nil
	}
	return c.kids[name]
}

func (c *cut) add(p place) {
	for _, name := range p {
		if c.kids == nil {
			c.kids = map[string]*cut{}
		}
		if c.kids[name] == nil {
			c.kids[name] = &cut{}
		}
		c = c.kids[name]
	}
	c.whole = true
}

// covers reports whether a place is within one of the set.
func (c *cut) covers(p place) bool {
	for _, name := range p {
		if c = c.kids[name]; c == nil || c.whole {
			return c != nil
		}
	}
	return false
}

// rest appends the document without what the cut names. All else stands with its bytes, but for
// the white space between the members of objects that members are cut out of, and for objects that
// have nothing else: they may have been made for the session. Of a repeated name only the last
// object can have been made.
func (d *document) rest(b []byte, c *cut) []byte {
	b, _ = d.appendRest(b, &d.nodes[0], c)
	return b
}

func (d *document) appendRest(b []byte, n *node, c *cut) ([]byte, bool) {
	if n.kind == 'n' {
		return b, false
	}
	if n.kind != '{' && n.kind != '[' {
		return append(b, d.raw(n)...), true
	}
	b = append(b, n.kind)
	isWhole := !d.isAvro && !c.isCutInto()
	some, position, end := false, 0, n.start+1
	for i := n.first; i != 0; i = d.nodes[i].next {
		m := &d.nodes[i]
		name := m.name
		between := d.text[end:max(end, m.from)]
		if end = m.end; !isWhole {
			between = nil
		}
		if n.kind == '[' {
			name = strconv.Itoa(position)
			position++
		}
		kid := c.kids[name]
		switch {
		case kid == nil:
			b, some = append(append(b, between...), d.text[m.from:m.end]...), true
		case kid.whole:
			continue
		default:
			kept := len(b)
			b = append(append(append(b, between...), name...), ':')
			var more bool
			if b, more = d.appendRest(b, m, kid); !d.isRepeated(m) && (!more || m.isDefault) {
				b = appendBut(b[:kept], between, ',') // it was added with a comma in front of it
				continue
			}
			some = true
		}
		if !isWhole {
			b = append(b, ',')
		}
	}
	if isWhole {
		b = append(b, d.text[end:n.end-1]...)
	}
	return append(b, n.kind), some
}

// isCutInto reports whether a member is left out: the white space around it went with it.
func (c *cut) isCutInto() bool {
	for _, kid := range c.kids {
		if kid.whole {
			return true
		}
	}
	return false
}

// isRepeated reports whether a member of the same name follows.
func (d *document) isRepeated(m *node) bool {
	for c := m.next; c != 0; c = d.nodes[c].next {
		if m.name != "" && d.nodes[c].name == m.name {
			return true
		}
	}
	return false
}

// count is how often there is something at a place, repeated names counted.
func (d *document) count(n *node, p place) (times int) {
	if len(p) == 0 {
		return 1
	}
	if n.kind == '[' {
		if child := d.child(n, p[0]); child != nil {
			times = d.count(child, p[1:])
		}
		return times
	}
	if n.kind != '{' {
		return 0
	}
	for c := n.first; c != 0; c = d.nodes[c].next {
		if d.nodes[c].name == p[0] {
			times += d.count(&d.nodes[c], p[1:])
		}
	}
	return times
}

// appendBut appends a text without one of its bytes.
func appendBut(b, text []byte, but byte) []byte {
	before, behind, _ := bytes.Cut(text, []byte{but})
	return append(append(b, before...), behind...)
}

// isBlank reports whether a text names nobody.
func isBlank(text []byte) bool {
	blank := []string{"", "null", "undefined", "00000000-0000-0000-0000-000000000000"}
	return slices.Contains(blank, string(bytes.TrimSpace(text)))
}
