package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// avroRenderer writes a schema as JSON text: the members of an object in one order, a type with a
// name where it is met first and its name behind that.
type avroRenderer struct {
	names map[*avroType]string // the names of the types that were met
	types map[string]*avroType // by those
	alone bool                 // one type, to be compared with another of its name
}

// renderAvro returns the JSON text of a type, which goavro has found to be a schema.
func renderAvro(t *avroType) (string, error) {
	r := avroRenderer{names: map[*avroType]string{}, types: map[string]*avroType{}}
	text, err := r.appendType(nil, t, "")
	if err != nil {
		return "", err
	}
	if _, err := parseAvro(string(text), avroSchemaDepthMax); err != nil {
		return "", fmt.Errorf("the schema of the output: %w", err)
	}
	return string(text), nil
}

// same reports whether two types of one name are written in the same way.
func (r *avroRenderer) same(a, b *avroType) bool {
	alone := func(t *avroType) []byte {
		one := avroRenderer{names: map[*avroType]string{}, types: map[string]*avroType{}, alone: true}
		text, err := one.appendType(nil, t, "")
		if err != nil {
			return nil
		}
		return text
	}
	x := alone(a)
	return x != nil && bytes.Equal(x, alone(b))
}

// appendType appends a type as it stands in a namespace.
func (r *avroRenderer) appendType(dst []byte, t *avroType, space string) ([]byte, error) {
	switch {
	case t.kind == avroUnion:
		return r.appendUnion(dst, t, space)
	case t.kind.isNamed():
		return r.appendNamed(dst, t, space)
	case t.kind == avroArray || t.kind == avroMap:
		key := "items"
		if t.kind == avroMap {
			key = "values"
		}
		return r.appendObject(dst, t, map[string]any{"type": t.kind.String(), key: t.items}, space)
	case len(t.props) > 1:
		return r.appendObject(dst, t, map[string]any{"type": t.kind.String()}, space)
	}
	return appendText(dst, t.kind.String()), nil
}

func (r *avroRenderer) appendUnion(dst []byte, t *avroType, space string) ([]byte, error) {
	var err error
	for i, b := range t.branches {
		dst = append(dst, ","...)
		if i == 0 {
			dst[len(dst)-1] = '['
		}
		if dst, err = r.appendType(dst, b, space); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

// appendNamed appends a type with a name, or the name. Of two types that had one name and differ
// now, the later one gets a suffix.
func (r *avroRenderer) appendNamed(dst []byte, t *avroType, space string) ([]byte, error) {
	if name := r.names[t]; name != "" {
		return appendText(dst, name), nil
	}
	name := t.name
	for i := 2; r.types[name] != nil; i++ {
		if !r.alone && r.same(r.types[name], t) {
			r.names[t] = name
			return appendText(dst, name), nil
		}
		name = t.name + "_" + strconv.Itoa(i)
	}
	r.names[t], r.types[name] = name, t
	own := avroSpace(name)
	if own == "" && space != "" {
		return nil, unfit("", "%s has no namespace, and the output would need it inside of %s: "+
			"want one for it", name, space)
	}
	props := map[string]any{"type": t.kind.String(), "name": avroShort(name)}
	if own != space {
		props["namespace"] = own
	}
	if name != t.name {
		props["aliases"] = nil
	}
	switch t.kind {
	case avroRecord:
		props["fields"] = t.fields
	case avroFixed:
		props["size"] = t.size
	default:
		props["symbols"] = t.symbols
	}
	return r.appendObject(dst, t, props, own)
}

// avroKeys are the names of members in the order that they are written, ahead of all others.
var avroKeys = []string{"type", "name", "namespace", "doc", "aliases", "fields", "symbols", "size",
	"items", "values", "logicalType", "precision", "scale"}

// avroFieldKeys is the same for a field.
var avroFieldKeys = []string{"name", "type", "doc", "default", "order", "aliases"}

// appendObject appends the object of a type: what the schema says of it, but for what props say. A
// nil among those leaves a member out.
func (r *avroRenderer) appendObject(dst []byte, t *avroType, props map[string]any, space string,
) ([]byte, error) {
	all := maps.Clone(t.props)
	if all == nil {
		all = map[string]any{}
	}
	delete(all, "namespace")
	for name, value := range props {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	return r.appendMembers(dst, all, avroKeys, space)
}

func (r *avroRenderer) appendMembers(dst []byte, members map[string]any, order []string,
	space string) ([]byte, error) {
	names := slices.Sorted(maps.Keys(members))
	slices.SortStableFunc(names, func(a, b string) int {
		i, k := slices.Index(order, a), slices.Index(order, b)
		return int(uint(i)) - int(uint(k))
	})
	dst = append(dst, '{')
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendText(dst, name), ':')
		var err error
		if dst, err = r.appendValue(dst, members[name], space); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func (r *avroRenderer) appendValue(dst []byte, value any, space string) ([]byte, error) {
	var err error
	switch v := value.(type) {
	case *avroType:
		return r.appendType(dst, v, space)
	case []avroField:
		dst = append(dst, '[')
		for i := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			props := maps.Clone(v[i].props)
			props["name"], props["type"] = v[i].name, v[i].typ
			if dst, err = r.appendMembers(dst, props, avroFieldKeys, space); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return nil, fmt.Errorf("write the schema of the output: %w", err)
	}
	return append(dst, bytes.TrimSpace(text.Bytes())...), nil
}
