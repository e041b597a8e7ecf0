package schemas

import (
	"maps"
	"slices"
)

// Fields that are not ours, in records that session members belong into. Where such a record may
// have to be made - it is null in an event, or its array is empty - all of its fields must have
// something to say then: one with neither null nor a default gets null as its last branch. So the
// indexes of its other branches stay, its default as well, and who reads with the input's schema
// still reads every event that has the record.

// constant is what a field has where the record around it is made. Its null is nil where it has
// neither null nor a default.
func constant(f *avroField) avroWrite {
	if null, ok := nullIndex(f.typ); ok {
		return avroWrite{null: null}
	}
	if value, ok := f.props["default"]; ok {
		if encoded, ok := appendDefault([]byte{}, f.typ, value); ok {
			return avroWrite{null: encoded}
		}
	}
	return avroWrite{}
}

// beside compiles a field that stays what it is. ops are the steps over its value.
func (k *avroCompiler) beside(f *avroField, ops []avroOp) avroFieldPlace {
	fp := avroFieldPlace{ops: ops, field: *f, made: constant(f)}
	if fp.made.null != nil || !k.makeable {
		return fp
	}
	fp.field = f.orNull()
	fp.made.null, _ = nullIndex(fp.field.typ)
	if f.typ.kind != avroUnion { // the branch of what is there is new
		a := avroAction{kind: actValue, write: fp.made, stays: true, heads: headsOf(f.typ, 0)}
		fp.ops = []avroOp{{code: opEdit, n: k.act(a), sub: ops}}
	}
	return fp
}

// orNull is the field with null as the last branch of its type.
func (f *avroField) orNull() avroField {
	props, t := maps.Clone(f.props), f.typ
	if _, isWord := f.props["type"].(string); isWord && !t.kind.isNamed() && t.kind != avroUnion {
		// What the field says of its type goes with that into the union.
		own := map[string]any{"type": t.kind.String()}
		for _, name := range avroTypeWords {
			if value, ok := props[name]; ok {
				own[name] = value
				delete(props, name)
			}
		}
		typ := *t
		typ.props = own
		t = &typ
	}
	branches := append(slices.Clone(branchesOf(t)), &avroType{kind: avroNull})
	return avroField{name: f.name, props: props,
		typ: &avroType{kind: avroUnion, branches: branches}}
}
