package schemas

import (
	"slices"
)

// AvroProgram reads events of one schema for one Codec, and writes them with the session. It does
// not change: any number of goroutines may share it.
type AvroProgram struct {
	codec   *Codec
	input   *avroType // what Length and EventJSON step over
	output  string
	ops     []avroOp
	actions []avroAction
	shapes  []avroShape
	noted   []int32 // places of the trie whose values are written into the view
}

// CompileAvro makes the program for events of a schema: JSON text as Avro's specification has it.
// A *SchemaError says what cannot be done with it.
func (c *Codec) CompileAvro(schema string) (*AvroProgram, error) {
	t, err := parseAvro(schema, c.limits.JSONDepth)
	if err != nil {
		return nil, err
	}
	if t.kind != avroRecord {
		return nil, unfit("", "an event is a record, not a %s", t.kind)
	}
	k := avroCompiler{c: c, p: &AvroProgram{codec: c, input: t}, skips: map[*avroType][]avroOp{}}
	root, err := k.record(t, 0, 0, "")
	if err != nil {
		return nil, err
	}
	k.p.ops = root.ops
	slices.Sort(k.p.noted)
	k.p.noted = slices.Compact(k.p.noted)
	if k.p.output, err = renderAvro(root.out); err != nil {
		return nil, err
	}
	return k.p, nil
}

// Output returns the schema of the events with their sessions, as JSON text.
func (p *AvroProgram) Output() string { return p.output }

// avroCompiler makes a program. A value is compiled for the place whose values are noted (note) and
// for the one that says what session members belong into it (own): they are the same but in the
// later elements of an array, whose first one is ours. -1: none.
type avroCompiler struct {
	c     *Codec
	p     *AvroProgram
	skips map[*avroType][]avroOp

	kept   bool // a later element: session members are not written
	listed bool // inside of an array that session members belong into
	held   bool // inside of a member that is ours
	// What is compiled may have to be made: it is null in an event, or its array is empty.
	makeable bool
}

// avroPlace is a compiled value.
type avroPlace struct {
	ops  []avroOp
	out  *avroType // its type in the output
	made avroWrite // what is written where it has to be made
}

// child returns the place of a member.
func (k *avroCompiler) child(id int, name string) int {
	if id < 0 {
		return -1
	}
	if child := k.c.trie[id].find(head(name), []byte(name)); child > 0 {
		return child
	}
	return -1
}

// element returns the place of an element.
func (k *avroCompiler) element(id, at int) int {
	if id < 0 || at >= len(k.c.trie[id].elements) || k.c.trie[id].elements[at] == 0 {
		return -1
	}
	return int(k.c.trie[id].elements[at])
}

// skip makes the steps over a value that nobody asks for.
func (k *avroCompiler) skip(t *avroType) []avroOp {
	if ops, ok := k.skips[t]; ok {
		return ops
	}
	var ops []avroOp
	switch t.kind {
	case avroNull:
	case avroBoolean:
		ops = []avroOp{{code: opBoolean}}
	case avroInt:
		ops = []avroOp{{code: opInts, n: 1}}
	case avroLong:
		ops = []avroOp{{code: opLongs, n: 1}}
	case avroFloat:
		ops = []avroOp{{code: opFixed, n: 4}}
	case avroDouble:
		ops = []avroOp{{code: opFixed, n: 8}}
	case avroFixed:
		ops = []avroOp{{code: opFixed, n: int32(t.size)}}
	case avroBytes:
		ops = []avroOp{{code: opBytes}}
	case avroString:
		ops = []avroOp{{code: opString, n: -1}}
	case avroEnum:
		ops = []avroOp{{code: opEnum, n: int32(len(t.symbols))}}
	case avroRecord:
		for i := range t.fields {
			ops = appendOps(ops, k.skip(t.fields[i].typ))
		}
	case avroArray:
		ops = []avroOp{{code: opArray, node: -1, n: -1, sub: k.skip(t.items)}}
	case avroMap:
		ops = []avroOp{{code: opMap, node: -1, sub: k.skip(t.items)}}
	default:
		ops = unionOps(t, func(b *avroType) []avroOp { return k.skip(b) })
	}
	k.skips[t] = ops
	return ops
}

// appendOps appends steps to those of a caller's own; those over a known number of bytes or numbers
// become one.
func appendOps(ops, more []avroOp) []avroOp {
	for i := range more {
		if n := len(ops) - 1; n >= 0 && ops[n].code == more[i].code && !ops[n].fenced {
			switch more[i].code {
			case opFixed, opInts, opLongs:
				if sum := int(ops[n].n) + int(more[i].n); sum <= avroFixedBytesMax {
					ops[n].n = int32(sum)
					continue
				}
			}
		}
		ops = append(ops, more[i])
	}
	return ops
}

// unionOps makes the step over a union.
func unionOps(t *avroType, of func(b *avroType) []avroOp) []avroOp {
	many := make([][]avroOp, len(t.branches))
	for i, b := range t.branches {
		many[i] = of(b)
	}
	if null := t.nullBranch(); len(many) == 2 && null >= 0 && len(many[null]) == 0 {
		one := many[1-null]
		isText := len(one) == 1 && (one[0].code == opString || one[0].code == opText)
		if isText && one[0].n < 0 {
			return []avroOp{{code: one[0].code, node: one[0].node, n: int32(null)}}
		}
		ops := []avroOp{{code: opNullable, n: int32(null), jump: int32(len(many[1-null]))}}
		ops = append(ops, many[1-null]...)
		ops[len(ops)-1].fenced = true
		return ops
	}
	return []avroOp{{code: opUnion, many: many}}
}

// plain makes the steps over a value that is only read. A null that is a field of a record is as
// good as absent: Avro has no other way to leave it out.
func (k *avroCompiler) plain(t *avroType, note int, isField bool) []avroOp {
	if note < 0 {
		return k.skip(t)
	}
	n := &k.c.trie[note]
	switch t.kind {
	case avroNull:
		if isField {
			return nil
		}
		return []avroOp{{code: opNull, node: int32(note)}}
	case avroUnion:
		return unionOps(t, func(b *avroType) []avroOp { return k.plain(b, note, isField) })
	case avroArray:
		op := avroOp{code: opArray, node: int32(note), n: -1, sub: k.skip(t.items)}
		for at := range n.elements {
			op.many = append(op.many, nil)
			if e := k.element(note, at); e >= 0 {
				op.many[at] = k.plain(t.items, e, false)
			}
		}
		return []avroOp{op}
	case avroMap:
		op := avroOp{code: opMap, node: int32(note), sub: k.skip(t.items)}
		op.many = make([][]avroOp, n.end-note-1)
		for _, kid := range n.kids {
			op.many[kid-note-1] = k.plain(t.items, kid, false)
		}
		return k.whole(t, note, []avroOp{op})
	case avroRecord:
		ops := []avroOp{{code: opMark, node: int32(note)}}
		for i := range t.fields {
			f := &t.fields[i]
			ops = appendOps(ops, k.plain(f.typ, k.child(note, f.name), true))
		}
		return k.whole(t, note, ops)
	}
	return k.noted(t, note, formOf(t), opNote, k.skip(t))
}

// whole makes that an object is noted as a whole where it may be a campaign.
func (k *avroCompiler) whole(t *avroType, note int, ops []avroOp) []avroOp {
	if !slices.Contains(k.c.paths[pathCampaign], note) {
		return ops
	}
	return k.noted(t, note, formObject, opObject, ops)
}

// noted makes the step that notes a value.
func (k *avroCompiler) noted(t *avroType, note int, form avroForm, code avroCode, sub []avroOp,
) []avroOp {
	if form == formText {
		return []avroOp{{code: opText, node: int32(note), n: -1}}
	}
	k.p.noted = append(k.p.noted, int32(note))
	k.p.shapes = append(k.p.shapes, avroShape{form, t})
	return []avroOp{{code: code, node: int32(note), n: int32(len(k.p.shapes) - 1), sub: sub}}
}
