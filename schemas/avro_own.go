package schemas

import (
	"encoding/json"
	"slices"
	"strings"
)

// owned compiles a field that is written or removed.
func (k *avroCompiler) owned(f *avroField, note, own int, at string) (avroFieldPlace, error) {
	e := &k.c.edges[own]
	doc := k.docOf(own)
	switch {
	case k.c.wants[own] == 0:
		return k.removed(f, k.plain(f.typ, note, true)), nil
	case e.copies != nil:
		v := avroValue{doc: doc, wants: e.fields, other: e.other, copy: e,
			typ: &avroType{kind: avroString}}
		v.holds = func(t *avroType) avroEnc { return copyHolds(t, e, own) }
		return k.written(f, k.plain(f.typ, note, true), v, at)
	case !e.isObject():
		v := k.valueOf(e.members[0].field, e.fields, e.other, doc)
		return k.written(f, k.plain(f.typ, note, true), v, at)
	}
	return k.ownedObject(f, note, own, at)
}

// isObject reports whether an edge is an object of fields.
func (e *edge) isObject() bool { return len(e.members) > 0 && e.members[0].label != "" }

// avroValue is what is written into a field.
type avroValue struct {
	doc   string
	wants fieldSet
	field field
	other string
	copy  *edge
	typ   *avroType // where the field's own does not hold it
	holds func(t *avroType) avroEnc
	parts []avroWrite
}

func (k *avroCompiler) valueOf(f field, wants fieldSet, other, doc string) avroValue {
	return avroValue{doc: doc, wants: wants, field: f, other: other, typ: k.c.avroTypeOf(f),
		holds: func(t *avroType) avroEnc { return k.c.holds(t, f) }}
}

// write makes the write of a value into a type, at an index of its branches (-1: it is no union).
func (v *avroValue) write(t *avroType, index int, at string) (avroWrite, error) {
	w := avroWrite{wants: v.wants, field: v.field, copy: v.copy, parts: v.parts}
	branch := t
	if index >= 0 {
		branch, w.head = t.branches[index], zigzag(index)
	}
	w.enc = v.holds(branch)
	if w.enc == encMap && branch.items.kind == avroUnion {
		w.item = zigzag(textBranch(branch.items))
	}
	w.null, _ = nullIndex(t)
	var ok bool
	if w.other, ok = otherBytes(v.other, t, index); !ok {
		return w, unfit(at, "it cannot hold %s, which the profile writes into it", v.other)
	}
	return w, nil
}

// removed compiles a field that nothing is written into.
func (k *avroCompiler) removed(f *avroField, ops []avroOp) avroFieldPlace {
	null, ok := nullIndex(f.typ)
	fp := avroFieldPlace{ops: ops, field: *f, made: avroWrite{null: null}}
	if isOnlyNull(f.typ) {
		return fp
	}
	a := avroAction{kind: actValue, write: fp.made}
	if !ok && k.listed {
		fp.field = f.withType(nullable(f.typ), "")
		if f.typ.kind == avroUnion {
			fp.field = f.withType(prepended(f.typ), "")
		}
		a.heads, a.isUnion = headsOf(f.typ, 1), f.typ.kind == avroUnion
		a.write.null = zigzag(0)
		fp.made = a.write
	} else if !ok {
		fp.gone = true
		a.heads = [][]byte{nil}
	}
	fp.ops = []avroOp{{code: opEdit, n: k.act(a), sub: ops}}
	return fp
}

// prepended is a union with null in front.
func prepended(t *avroType) *avroType {
	return &avroType{kind: avroUnion,
		branches: append([]*avroType{{kind: avroNull}}, branchesOf(t)...)}
}

// branchesOf returns the branches of a type, which is the only one if it is no union.
func branchesOf(t *avroType) []*avroType {
	if t.kind == avroUnion {
		return t.branches
	}
	return []*avroType{t}
}

// headsOf returns what stands in front of values whose branches move by so many.
func headsOf(t *avroType, by int) [][]byte {
	var heads [][]byte
	for i := range branchesOf(t) {
		heads = append(heads, zigzag(i+by))
	}
	return heads
}

// written compiles a field that a value is written into.
func (k *avroCompiler) written(f *avroField, ops []avroOp, v avroValue, at string,
) (avroFieldPlace, error) {
	a := avroAction{kind: actValue, isUnion: f.typ.kind == avroUnion, stays: v.copy != nil}
	if v.copy != nil && v.other == "" && k.makeable && constant(f).null == nil {
		if !a.isUnion {
			a.heads = headsOf(f.typ, 0)
		}
		changed := f.orNull() // there may be nothing to copy
		f = &changed
	}
	out, index, err := k.target(f.typ, &v, &a, at)
	if err != nil {
		return avroFieldPlace{}, err
	}
	if a.write, err = v.write(out, index, at); err != nil {
		return avroFieldPlace{}, err
	}
	fp := avroFieldPlace{field: f.withType(out, v.doc), made: a.write}
	if fp.made.null == nil { // a copy, which is not removed
		fp.made.null, fp.made.always = constant(&fp.field).null, len(fp.made.other) > 0
	}
	fp.ops = []avroOp{{code: opEdit, n: k.act(a), sub: ops}}
	return fp, nil
}

// target finds the type that a field has in the output, and the index of the branch that holds
// what is written; -1: it is no union.
func (k *avroCompiler) target(t *avroType, v *avroValue, a *avroAction, at string,
) (*avroType, int, error) {
	branches := branchesOf(t)
	hold := slices.IndexFunc(branches, func(b *avroType) bool { return v.holds(b) != encNone })
	_, hasNull := nullIndex(t)
	switch {
	case hold >= 0 && (hasNull || v.copy != nil):
		if t.kind != avroUnion {
			hold = -1
		}
		return t, hold, nil
	case v.copy != nil || k.listed:
		out, by := &avroType{kind: avroUnion, branches: slices.Clone(branches)}, 0
		if !hasNull && v.copy == nil {
			out, by = prepended(t), 1
		}
		if hold += by; hold < by {
			hold = len(out.branches)
			if slices.ContainsFunc(branches, func(b *avroType) bool { return clash(b, v.typ) }) {
				return nil, 0, unfit(at, "session members are written there, and a %s cannot hold "+
					"them: want another type, or a profile of your own that writes elsewhere",
					v.typ.kind)
			}
			out.branches = append(out.branches, v.typ)
		}
		a.heads = headsOf(t, by)
		return out, hold, nil
	}
	out := nullable(v.typ)
	if hold >= 0 {
		out = nullable(branches[hold])
	}
	for i, b := range branches {
		a.heads = append(a.heads, nil)
		if i == hold {
			a.heads[i] = zigzag(1)
		} else if b.kind == avroNull {
			a.heads[i] = zigzag(0)
		}
	}
	return out, 1, nil
}

// clash reports whether two types cannot be in one union.
func clash(a, b *avroType) bool { return a.kind == b.kind && !a.kind.isNamed() }

// ownedObject compiles a field that is an object of fields.
func (k *avroCompiler) ownedObject(f *avroField, note, own int, at string) (avroFieldPlace, error) {
	e := &k.c.edges[own]
	v := avroValue{doc: k.docOf(own), wants: e.fields}
	branches := branchesOf(f.typ)
	hold := slices.IndexFunc(branches, func(b *avroType) bool { return b.kind == avroRecord })
	if hold < 0 {
		w, t, err := k.makeObject(e, at)
		if err != nil {
			return avroFieldPlace{}, err
		}
		v.typ, v.parts = t, w.parts
		v.holds = func(b *avroType) avroEnc { return encIf(b == t, encRecord) }
		return k.written(f, k.plain(f.typ, note, true), v, at)
	}
	held := k.held
	k.held = true
	ob, err := k.object(branches[hold], note, e, at)
	k.held = held
	if err != nil {
		return avroFieldPlace{}, err
	}
	v.typ, v.parts = ob.out, ob.made.parts
	v.holds = func(b *avroType) avroEnc { return encIf(b == ob.out, encRecord) }
	changed, ops := *f, ob.ops
	if changed.typ = ob.out; f.typ.kind == avroUnion {
		ops = unionOps(f.typ, func(b *avroType) []avroOp {
			if b == branches[hold] {
				return ob.ops
			}
			return k.plain(b, note, true)
		})
		u := *f.typ
		u.branches = slices.Clone(branches)
		if u.branches[hold] = ob.out; ob.out != branches[hold] {
			changed.typ = &u
		} else {
			changed.typ = f.typ
		}
	}
	return k.written(&changed, ops, v, at)
}

// object compiles a record that is an object of fields: what is there of them keeps its place.
func (k *avroCompiler) object(t *avroType, note int, e *edge, at string) (avroPlace, error) {
	pl := avroPlace{ops: nil, made: avroWrite{enc: encRecord}}
	if note >= 0 {
		pl.ops = []avroOp{{code: opMark, node: int32(note)}}
	}
	var fields []avroField
	for i := range t.fields {
		f := &t.fields[i]
		ops := k.plain(f.typ, k.child(note, f.name), true)
		m := e.member(f.name)
		var fp avroFieldPlace
		if m == nil {
			fp = k.removed(f, ops)
		} else {
			var err error
			v := k.valueOf(m.field, 1<<m.field, "", fieldDocs[m.field])
			if fp, err = k.written(f, ops, v, inside(at, f.name)); err != nil {
				return pl, err
			}
		}
		pl.ops = appendOps(pl.ops, fp.ops)
		if !fp.gone {
			fields = append(fields, fp.field)
			pl.made.parts = append(pl.made.parts, fp.made)
		}
	}
	var parts []avroWrite
	for i := range e.members {
		m := &e.members[i]
		if slices.ContainsFunc(t.fields, func(f avroField) bool { return f.name == m.name() }) {
			continue
		}
		w, field, err := k.makeMember(m, at)
		if err != nil {
			return pl, err
		}
		parts = append(parts, w)
		pl.made.parts = append(pl.made.parts, w)
		fields = append(fields, field)
	}
	pl.ops = k.end(pl.ops, parts)
	pl.out = withFields(t, fields)
	return pl, nil
}

// name is that of a member, without its label's comma, quotes and colon.
func (m *member) name() string {
	var name string
	if json.Unmarshal([]byte(strings.Trim(m.label, ",:")), &name) != nil {
		return ""
	}
	return name
}

// member returns the member of that name; nil: there is none.
func (e *edge) member(name string) *member {
	for i := range e.members {
		if e.members[i].name() == name {
			return &e.members[i]
		}
	}
	return nil
}
