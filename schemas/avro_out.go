package schemas

import (
	"maps"
	"slices"
	"strings"
)

// The type of an event in the output is that of the input, and where session members are:
//
//   - A field that is written keeps its type if that can hold what is written, and null; else it
//     becomes ["null", T]. Inside of arrays it keeps the branches it has, because of the later
//     elements, which keep their values; so do copies.
//   - A field that is removed is null where it may be; else it goes.
//   - What is absent is the last in its record, with null for its default.
//   - Another field keeps its type, but where its record may have to be made and it could say
//     nothing there: that becomes [T, "null"].
//
// An output's own schema is its output again.

// avroSpaceOwn is the namespace of the records that we make.
const avroSpaceOwn = "sessionizer"

// avroFieldPlace is a compiled field of a record.
type avroFieldPlace struct {
	ops   []avroOp
	field avroField
	gone  bool
	made  avroWrite
}

// nullIndex returns how a type says null; false: it cannot.
func nullIndex(t *avroType) ([]byte, bool) {
	if t.kind == avroNull {
		return []byte{}, true
	}
	if null := t.nullBranch(); null >= 0 {
		return zigzag(null), true
	}
	return nil, false
}

// isOnlyNull reports whether a type has no other value.
func isOnlyNull(t *avroType) bool {
	return t.kind == avroNull || len(t.branches) == 1 && t.branches[0].kind == avroNull
}

func inside(at, name string) string { return strings.TrimPrefix(at+"."+name, ".") }

// act adds an action and returns its number.
func (k *avroCompiler) act(a avroAction) int32 {
	a.kept, a.held = k.kept, k.held
	k.p.actions = append(k.p.actions, a)
	return int32(len(k.p.actions) - 1)
}

// record compiles a record that session members belong into.
func (k *avroCompiler) record(t *avroType, note, own int, at string) (avroPlace, error) {
	var pl avroPlace
	if note >= 0 {
		pl.ops = []avroOp{{code: opMark, node: int32(note)}}
	}
	pl.made = avroWrite{always: true, enc: encRecord}
	var fields []avroField
	for i := range t.fields {
		f := &t.fields[i]
		fp, err := k.field(f, k.child(note, f.name), k.child(own, f.name), at)
		if err != nil {
			return pl, err
		}
		pl.ops = appendOps(pl.ops, fp.ops)
		if !fp.gone {
			fields = append(fields, fp.field)
			pl.made.parts = append(pl.made.parts, fp.made)
		}
	}
	var parts []avroWrite
	for _, id := range k.c.writes[own] {
		name := k.c.trie[id].name
		if slices.ContainsFunc(t.fields, func(f avroField) bool { return f.name == name }) {
			continue
		}
		if !isAvroName(name) {
			return pl, unfit(inside(at, name), "session members belong there, and Avro has no such "+
				"names: want a profile of your own that writes elsewhere")
		}
		w, out, err := k.make(id)
		if err != nil {
			return pl, err
		}
		parts = append(parts, w)
		pl.made.parts = append(pl.made.parts, w)
		fields = append(fields, newAvroField(name, out, k.docOf(id)))
	}
	pl.ops = k.end(pl.ops, parts)
	pl.out = withFields(t, fields)
	return pl, nil
}

// end adds the step at the end of a record that lacks fields of ours.
func (k *avroCompiler) end(ops []avroOp, parts []avroWrite) []avroOp {
	if len(parts) == 0 {
		return ops
	}
	return append(ops, avroOp{code: opEdit, n: k.act(avroAction{kind: actEnd, parts: parts})})
}

// withFields returns a record with other fields; the same one, if they are the same.
func withFields(t *avroType, fields []avroField) *avroType {
	same := func(a, b avroField) bool { return a.name == b.name && a.typ == b.typ }
	if slices.EqualFunc(t.fields, fields, same) {
		return t
	}
	out := *t
	out.fields = fields
	return &out
}

// newAvroField makes a field that is null by default.
func newAvroField(name string, t *avroType, doc string) avroField {
	return avroField{name: name, typ: t, props: map[string]any{"name": name, "doc": doc,
		"default": nil}}
}

// avroTypeWords are what a field may say of its type.
var avroTypeWords = []string{"logicalType", "precision", "scale", "pattern"}

// withType gives a field another type.
func (f *avroField) withType(t *avroType, doc string) avroField {
	if t == f.typ {
		return *f
	}
	props := maps.Clone(f.props)
	if t.branches[0].kind == avroNull {
		props["default"] = nil
	}
	// What belongs to the type, where that was a word beside the name.
	for _, name := range avroTypeWords {
		delete(props, name)
	}
	if props["doc"] == nil && doc != "" {
		props["doc"] = doc
	}
	return avroField{name: f.name, typ: t, props: props}
}

// field compiles a field of a record that session members belong into.
func (k *avroCompiler) field(f *avroField, note, own int, at string) (avroFieldPlace, error) {
	at2 := inside(at, f.name)
	switch {
	case own >= 0 && k.c.trie[own].owned:
		return k.owned(f, note, own, at2)
	case own < 0 || !k.c.trie[own].inner:
		return k.beside(f, k.plain(f.typ, note, true)), nil
	case !isOnlyNull(f.typ):
		pl, err := k.container(f.typ, note, own, at2)
		if err != nil {
			return avroFieldPlace{}, err
		}
		field := *f
		field.typ = pl.out
		return avroFieldPlace{ops: pl.ops, field: field, made: pl.made}, nil
	case k.c.wants[own] == 0:
		return k.beside(f, k.skip(f.typ)), nil
	}
	w, out, err := k.make(own)
	action := k.act(avroAction{kind: actMake, write: w})
	return avroFieldPlace{ops: []avroOp{{code: opEdit, n: action, sub: k.skip(f.typ)}},
		field: f.withType(out, k.docOf(own)), made: w}, err
}

// container compiles what session members belong into.
func (k *avroCompiler) container(t *avroType, note, own int, at string) (avroPlace, error) {
	kind, named := avroRecord, "a record"
	if k.c.trie[own].array {
		kind, named = avroArray, "an array"
	}
	switch t.kind {
	case avroRecord:
		if kind == avroRecord {
			return k.record(t, note, own, at)
		}
	case avroArray:
		if kind == avroArray {
			return k.array(t, note, own, at)
		}
	case avroUnion:
		isMap := func(b *avroType) bool { return b.kind == avroMap }
		isKind := func(b *avroType) bool { return b.kind == kind }
		if slices.ContainsFunc(t.branches, isKind) && !slices.ContainsFunc(t.branches, isMap) {
			return k.union(t, note, own, at, kind)
		}
	}
	return avroPlace{}, unfit(at, "session members belong into it, and it is no %s: want %s there "+
		"(or null beside it), or a profile of your own that writes elsewhere",
		strings.TrimPrefix(strings.TrimPrefix(named, "an "), "a "), named)
}

// union compiles a union with a record, or an array, that session members belong into.
func (k *avroCompiler) union(t *avroType, note, own int, at string, kind avroKind,
) (avroPlace, error) {
	var pl avroPlace
	var first avroWrite
	many := make([][]avroOp, len(t.branches))
	out := *t
	out.branches = slices.Clone(t.branches)
	index, null := -1, t.nullBranch()
	makeable := k.makeable && null < 0 || null >= 0 && k.c.wants[own] != 0
	defer func(was bool) { k.makeable = was }(k.makeable)
	for i, b := range t.branches {
		if b.kind != kind {
			many[i] = k.plain(b, note, true)
			continue
		}
		k.makeable = makeable && index < 0 // the first one is what is made
		branch, err := k.container(b, note, own, at)
		if err != nil {
			return pl, err
		}
		if many[i], out.branches[i] = branch.ops, branch.out; index < 0 {
			index, first = i, branch.made
		}
	}
	pl.made = first
	pl.made.wants = k.c.wants[own]
	pl.made.head = append(zigzag(index), first.head...)
	if null >= 0 {
		pl.made.null, pl.made.always = zigzag(null), false
		if k.c.wants[own] != 0 {
			action := avroAction{kind: actMake, write: pl.made}
			many[null] = []avroOp{{code: opNullEdit, n: k.act(action)}}
		}
	} else {
		pl.made.null = append(zigzag(index), first.null...)
	}
	pl.ops = []avroOp{{code: opUnion, many: many}}
	if pl.out = &out; slices.Equal(out.branches, t.branches) {
		pl.out = t
	}
	return pl, nil
}

// array compiles an array that session members belong into: into its first element.
func (k *avroCompiler) array(t *avroType, note, own int, at string) (avroPlace, error) {
	element, kept, listed, makeable := k.element(own, 0), k.kept, k.listed, k.makeable
	k.listed, k.makeable = true, k.c.wants[own] != 0
	defer func() { k.kept, k.listed, k.makeable = kept, listed, makeable }()
	compile := func(at2 int) (avroPlace, error) {
		return k.container(t.items, k.element(note, at2), element, at+".0")
	}
	first, err := compile(0)
	if err != nil {
		return avroPlace{}, err
	}
	op := avroOp{code: opArray, node: int32(note)}
	w := first.made
	w.wants, w.always, w.null = k.c.wants[own], false, zigzag(0)
	w.head = append(zigzag(1), w.head...)
	w.tail = append(slices.Clone(w.tail), 0)
	op.n = k.act(avroAction{kind: actBlock})
	k.act(avroAction{kind: actEmpty, write: w})
	op.many = [][]avroOp{first.ops}
	k.kept = true
	later, err := compile(avroPlacesMax) // of a position that nobody asks for
	if err != nil {
		return avroPlace{}, err
	}
	op.sub = later.ops
	for i := 1; note >= 0 && i < len(k.c.trie[note].elements); i++ {
		op.many = append(op.many, nil)
		if k.element(note, i) >= 0 {
			if later, err = compile(i); err != nil {
				return avroPlace{}, err
			}
			op.many[i] = later.ops
		}
	}
	out := t
	if first.out != t.items {
		changed := *t
		changed.items = first.out
		out = &changed
	}
	return avroPlace{ops: []avroOp{op}, out: out, made: w}, nil
}
