package schemas

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"sessionizer/session"
)

// What a splice changes. Session members are those that the profile writes or removes, and those
// it reads a client's session from. Everything else keeps its bytes, its order and its spelling.
//
//   - A member that is written takes the place of the value of its last occurrence; where it is
//     absent it becomes the last member of the object it belongs into. That object is made where it
//     is absent or null, in the same way.
//   - Every other occurrence of a session member is removed: those without anything to write, the
//     earlier ones of a repeated name, and all inside of an object (context, say) that a later one
//     of the same name replaces. So no reader finds a second session, whether it takes the first of
//     a repeated name, the last, or merges them.
//   - A member that is copied from elsewhere is written where it is absent or says something else,
//     and only in a session. It is none of the client's session: it is never removed.
//   - A member goes with the white space in front of it and one comma.
//
// Splicing an output again with the same stamp gives the same bytes.

// edge is what is written at a place.
type edge struct {
	fields  fieldSet // any of which makes that it is written; empty: nothing is written here
	members []member // of an object; nil: the value of the one field
	room    int      // of an object: the bytes it takes at most where it is plain

	// A value that copies is that of the first of these places that has one, else the other; where
	// that is its own, or there is none, it stays as it is. It is never removed.
	copies []int
	// other is JSON text that is written in a session where the field has nothing to say.
	other string
}

// edgeOf reads what a profile writes at a path, as far as it is asked for.
func (c *Codec) edgeOf(w Write) (edge, error) {
	var e edge
	if err := w.check(); err != nil {
		return e, fmt.Errorf("%s: %w", w.Path, err)
	}
	switch {
	case w.Else != "" && !isScalar(w.Else):
		return e, fmt.Errorf("%s: else: no JSON scalar", w.Path)
	case len(w.Copy) > 0:
		e.other = w.Else
		return e, nil // its places are not known yet
	case len(w.Object) > 0:
		return c.objectOf(w)
	}
	f, err := parseField(w.Value, fieldNames[:])
	if err != nil {
		return e, fmt.Errorf("%s: %w", w.Path, err)
	}
	if e.members = []member{{field: f}}; c.isAsked(f, w) {
		e.fields, e.other = 1<<f, w.Else
		if e.other != "" {
			e.fields |= 1 << fieldInSession
		}
	}
	return e, nil
}

// objectOf reads an object that a profile writes.
func (c *Codec) objectOf(w Write) (edge, error) {
	var e edge
	var names []string
	for _, text := range w.Object {
		name, of, renamed := strings.Cut(text, "=")
		if !renamed {
			of = name
		}
		f, err := parseField(of, fieldNames[:])
		if err != nil {
			return e, fmt.Errorf("%s: %w", w.Path, err)
		}
		if slices.Contains(names, name) {
			return e, fmt.Errorf("%s: %s: twice", w.Path, name)
		}
		names = append(names, name)
		if c.isAsked(f, w) {
			e.fields |= 1 << f
			e.members = append(e.members, newMember(name, f))
		}
	}
	e.room = roomOf(e.members)
	return e, nil
}

// isAsked reports whether a field is written there.
func (c *Codec) isAsked(f field, w Write) bool { return w.Always || c.asked.has(f) }

// isScalar reports whether text is JSON, and neither an object nor an array.
func isScalar(text string) bool {
	return text[0] != '{' && text[0] != '[' && json.Valid([]byte(text))
}

// plan notes what may be written at and below each place.
func (c *Codec) plan() {
	c.wants = make([]fieldSet, len(c.trie))
	c.labels = make([]string, len(c.trie))
	for id := len(c.trie) - 1; id >= 0; id-- {
		n := &c.trie[id]
		c.wants[id] |= c.edges[id].fields
		if n.parent >= 0 && !c.trie[n.parent].array {
			c.labels[id] = string(appendText(nil, n.name)) + ":"
		}
		if n.parent >= 0 {
			c.wants[n.parent] |= c.wants[id]
		}
	}
	c.fields = c.wants[0]
	c.writes = make([][]int, len(c.trie))
	for id := 1; id < len(c.trie); id++ {
		if parent := c.trie[id].parent; c.wants[id] != 0 {
			c.writes[parent] = append(c.writes[parent], id)
		}
		if n := &c.trie[id]; n.inner && c.wants[id] != 0 {
			first := byte('{')
			if n.array {
				first = '['
			}
			c.inner = append(c.inner, inner{id, first})
		}
	}
}

// AppendStamped appends the event with the session of the stamp. The value is the one that was
// scanned into sc.
func (c *Codec) AppendStamped(dst, value []byte, sc *Scanned, st *session.Stamp) []byte {
	if sc.avro.program != nil {
		return c.appendAvro(dst, value, sc, st)
	}
	// It is filled in where it stays: a literal is made elsewhere and copied, by reads that are
	// wider than the writes just before them and have to wait for these.
	var sp splice
	sp.c, sp.value, sp.st, sp.dst = c, value, st, dst
	sp.set, sp.lead = fieldsOf(st)&c.fields, -1
	sp.slots, sp.removed, sp.dates = sc.reader.slots, sc.reader.removed, &sc.dates
	if st.Status == session.Bypass {
		sp.copy(int32(len(value)))
		return sp.dst
	}
	if len(c.copies) > 0 {
		sp.copyAll()
	}
	edits := sc.reader.edits
	for i := range edits {
		switch e := &edits[i]; e.kind {
		case editEnd:
			sp.complete(e)
		default:
			sp.write(e)
		}
	}
	sp.copy(int32(len(value)))
	return sp.dst
}

// splice is the work of one AppendStamped.
type splice struct {
	c     *Codec
	value []byte
	st    *session.Stamp
	set   fieldSet // to be written
	dst   []byte
	slots []slot
	dates *dates
	// removed counts by place what was removed from the object there, until that has ended.
	removed []int32
	done    int32 // the value is dealt with up to here
	// lead is the comma behind a run of removed members that begins an object; -1: none. It was
	// removed with them, so the next member, should it go too, has none in front of it.
	lead int32
}

// copy appends the value up to an offset.
//
//go:noinline // scan and splice just about fit the core's instruction cache: see BenchmarkRatios
func (sp *splice) copy(to int32) {
	sp.dst = append(sp.dst, sp.value[sp.done:to]...)
	sp.done = to
}

// write deals with a session member, or a null in the place of what they belong into.
func (sp *splice) write(e *edit) {
	if wants := sp.c.wants[e.node]; wants != 0 && sp.slots[e.node].start == e.start {
		if wants&sp.set != 0 {
			sp.copy(e.start)
			sp.dst = sp.appendPlace(sp.dst, int(e.node))
			sp.done = e.end
			return
		}
		if sp.c.edges[e.node].copies != nil {
			return
		}
	}
	if e.kind == editMember {
		sp.remove(e)
	}
}

// remove leaves out a member, the white space in front of it and one comma.
func (sp *splice) remove(e *edit) {
	sp.removed[sp.c.trie[e.node].parent]++
	from := e.sep
	isFirst := from == sp.lead || sp.value[from] != ','
	if isFirst {
		from++
	}
	sp.copy(from)
	sp.done = e.end
	if isFirst && sp.value[e.after] == ',' {
		sp.done, sp.lead = e.after+1, e.after
	}
}

// complete adds to the end of an object what is absent of it, if the object counts.
func (sp *splice) complete(e *edit) {
	kept := e.after - sp.removed[e.node]
	sp.removed[e.node] = 0
	if sp.c.wants[e.node]&sp.set == 0 || e.node != 0 && sp.slots[e.node].start != e.sep {
		return
	}
	for _, k := range sp.c.writes[e.node] {
		if sp.c.wants[k]&sp.set == 0 || sp.slots[k].first != 0 {
			continue
		}
		sp.copy(e.start)
		dst := sp.dst
		if kept++; kept > 1 {
			dst = append(dst, ',')
		}
		dst = append(dst, sp.c.labels[k]...)
		sp.dst = sp.appendPlace(dst, k)
	}
}

// appendPlace appends what is written at a place, or all that is written below it.
func (sp *splice) appendPlace(dst []byte, id int) []byte {
	if e := &sp.c.edges[id]; sp.isPlain(dst, e) {
		return appendPlain(dst, e, sp.set, sp.st, sp.dates)
	}
	return sp.appendOther(dst, id)
}

// appendOther is appendPlace for all but plain objects.
func (sp *splice) appendOther(dst []byte, id int) []byte {
	e := &sp.c.edges[id]
	if e.copies != nil {
		if s := sp.source(e); s != nil {
			return append(dst, sp.value[s.start:s.end]...)
		}
		return append(dst, e.other...)
	}
	if len(e.members) == 1 && e.members[0].label == "" {
		if f := e.members[0].field; sp.set.has(f) {
			return appendField(dst, f, sp.st)
		}
		return append(dst, e.other...)
	}
	open := len(dst)
	for i := range e.members {
		m := &e.members[i]
		if sp.set.has(m.field) {
			dst = append(dst, m.label...)
			dst = appendField(dst, m.field, sp.st)
		}
	}
	if e.fields == 0 {
		for _, k := range sp.c.writes[id] {
			if sp.c.wants[k]&sp.set != 0 {
				dst = append(dst, ',')
				dst = append(dst, sp.c.labels[k]...)
				dst = sp.appendPlace(dst, k)
			}
		}
	}
	brackets := "{}"
	if sp.c.trie[id].array {
		brackets = "[]"
	}
	dst[open] = brackets[0] // in the place of the first comma
	return append(dst, brackets[1])
}

// copyAll finds out which of the values that copy others are written: in a session, those that
// have something to copy which they are not already.
func (sp *splice) copyAll() {
	if sp.st.Status != session.InSession {
		return
	}
	for i, id := range sp.c.copies {
		e := &sp.c.edges[id]
		s := sp.source(e)
		if s == nil && e.other != "" || s != nil && s != &sp.slots[id] {
			sp.set |= fieldCopies << i
		}
	}
}

// source returns where the value that an edge copies is; nil: nowhere.
func (sp *splice) source(e *edge) *slot {
	for _, id := range e.copies {
		s := &sp.slots[id]
		switch s.first {
		case 0, 'n', '{', '[', avroOpaque:
		case '"':
			if !isBlank(sp.value[s.start+1 : s.end-1]) {
				return s
			}
		default:
			return s
		}
	}
	return nil
}
