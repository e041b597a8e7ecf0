package schemas

import "slices"

// avroDefaultsMax bounds what the defaults of a schema say, all together: values, and pieces of
// texts. A few of them could say very much: every `{}` of an array's default stands for all the
// fields of a record, and goavro writes each one out.
const avroDefaultsMax = 100_000

// spend counts a default, and reports whether it is within what is left.
func (p *avroParser) spend(t *avroType, value any) bool {
	const pieceBytes = 16
	p.defaults++
	if text, ok := value.(string); ok {
		p.defaults += len(text) / pieceBytes
	}
	if p.defaults > avroDefaultsMax {
		return false
	}
	switch t.kind {
	case avroEnum: // it is looked for among them
		p.defaults += len(t.symbols) / pieceBytes
	case avroUnion:
		return p.spend(t.branchOf(value), value)
	case avroRecord:
		members, _ := value.(map[string]any)
		for i := range t.fields {
			f := &t.fields[i]
			v, given := members[f.name]
			if !given {
				v = f.props["default"]
			}
			if !p.spend(f.typ, v) {
				return false
			}
		}
	case avroMap:
		members, _ := value.(map[string]any)
		for _, v := range members {
			if !p.spend(t.items, v) {
				return false
			}
		}
	case avroArray:
		items, _ := value.([]any)
		for _, v := range items {
			if !p.spend(t.items, v) {
				return false
			}
		}
	}
	return p.defaults <= avroDefaultsMax
}

// branchOf returns the first branch of a union that a default may be of: which one it is must not
// be known to count it.
func (t *avroType) branchOf(value any) *avroType {
	i := slices.IndexFunc(t.branches, func(b *avroType) bool {
		switch value.(type) {
		case map[string]any:
			return b.kind == avroRecord || b.kind == avroMap
		case []any:
			return b.kind == avroArray
		case string:
			return b.kind == avroEnum || b.kind == avroString
		}
		return false
	})
	return t.branches[max(i, 0)]
}

// avroNameBytesMax bounds a full name: each name inside of a record is looked for with the record's
// namespace in front.
const avroNameBytesMax = 1024
