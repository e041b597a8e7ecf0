package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/twmb/franz-go/pkg/sr"
)

// A registered schema may name types that other registered schemas define. What reads events wants
// one text, so each such type is put where it is named first.

// referencesMax bounds the schemas that one refers to, through others too.
const referencesMax = 256

// whole is the text of a schema with all that it refers to.
func (c *Client) whole(ctx context.Context, what string, s *schema) (string, error) {
	if err := s.avro(); err != nil {
		return "", &Error{Kind: Unfit, What: what, Cause: err}
	}
	if len(s.References) == 0 {
		return s.Schema, nil
	}
	texts, err := c.referred(ctx, what, s)
	if err != nil {
		return "", err
	}
	text, err := inline(s.Schema, texts)
	if err != nil {
		return "", &Error{Kind: Unfit, What: what, Cause: err}
	}
	return text, nil
}

// avro refuses schemas of other types.
func (s *schema) avro() error {
	if s.Type == "" || strings.EqualFold(s.Type, sr.TypeAvro.String()) {
		return nil
	}
	return fmt.Errorf("it is of type %s: only AVRO schemas can be read", clip(s.Type))
}

func clip(s string) string {
	const textMax = 40
	if len(s) > textMax {
		s = s[:textMax] + "..."
	}
	return fmt.Sprintf("%q", s)
}

// referred returns the texts of the schemas that one refers to.
func (c *Client) referred(ctx context.Context, what string, s *schema) ([]string, error) {
	var texts []string
	seen := map[sr.SchemaReference]bool{}
	queue := s.References
	for len(queue) > 0 {
		r := queue[0]
		queue = queue[1:]
		r.Name = "" // it is the type's in Avro, and the schema says so itself
		if seen[r] {
			continue
		}
		seen[r] = true
		if len(seen) > referencesMax {
			return nil, &Error{Kind: Unfit, What: what,
				Cause: fmt.Errorf("it refers to more than %d schemas", referencesMax)}
		}
		of := fmt.Sprintf("version %d of %s", r.Version, clip(r.Subject))
		var next schema
		err := c.ask(ctx, what+", which refers to "+of, func(ctx context.Context, cl *sr.Client) error {
			next = schema{}
			ctx = sr.WithParams(ctx, sr.ShowDeleted) // who refers to a version may outlive it
			path := fmt.Sprintf("/subjects/%s/versions/%d", url.PathEscape(r.Subject), r.Version)
			return cl.Do(ctx, http.MethodGet, path, nil, &next)
		})
		if err != nil {
			return nil, err
		}
		if err := next.avro(); err != nil {
			return nil, &Error{Kind: Unfit, What: what, Cause: fmt.Errorf("it refers to %s: %w", of, err)}
		}
		texts = append(texts, next.Schema)
		queue = append(queue[:len(queue):len(queue)], next.References...)
	}
	return texts, nil
}

// inline puts the types that others define into a schema, each where it is named first.
func inline(schema string, others []string) (string, error) {
	in := &inliner{defined: map[string]any{}, written: map[string]bool{}}
	for _, text := range others {
		tree, err := parse(text)
		if err != nil {
			return "", fmt.Errorf("a schema that it refers to: %w", err)
		}
		in.define(tree, "")
	}
	tree, err := parse(schema)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(in.write(tree, ""))
	if err != nil {
		return "", fmt.Errorf("write the schema with those it refers to: %w", err)
	}
	if len(text) > answerBytesMax {
		return "", fmt.Errorf("with those it refers to it has more than %d bytes", answerBytesMax)
	}
	return string(text), nil
}

func parse(text string) (any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber() // a default may be a number that no float holds
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, fmt.Errorf("the schema is no JSON: %w", err)
	}
	if d.More() {
		return nil, errors.New("the schema is no JSON: something follows it")
	}
	return tree, nil
}

// inliner writes schemas with full names, so that a type means the same wherever it is put.
type inliner struct {
	defined map[string]any // types of the other schemas, by full name, full names within
	written map[string]bool
}

// define notes the named types of a schema.
func (in *inliner) define(tree any, space string) {
	each(tree, space, func(t map[string]any, full, space string) {
		if _, twice := in.defined[full]; !twice {
			named := map[string]any{}
			for k, v := range t {
				named[k] = v
			}
			named["name"], named["namespace"] = short(full), space
			in.defined[full] = named
		}
	})
}

// each calls do for every named type of a schema, with its full name and its namespace.
func each(tree any, space string, do func(t map[string]any, full, space string)) {
	switch t := tree.(type) {
	case []any:
		for _, one := range t {
			each(one, space, do)
		}
	case map[string]any:
		if isNamed(t) {
			full := fullName(t, space)
			space = spaceOf(full)
			do(t, full, space)
		}
		if fields, ok := t["fields"].([]any); ok {
			for _, f := range fields {
				if field, ok := f.(map[string]any); ok {
					each(field["type"], space, do)
				}
			}
		}
		for _, k := range []string{"type", "items", "values"} {
			if _, isText := t[k].(string); !isText {
				each(t[k], space, do)
			}
		}
	}
}

// write is a schema with the types it names, each at its first place.
func (in *inliner) write(tree any, space string) any {
	switch t := tree.(type) {
	case string:
		return in.writeName(t, space)
	case []any:
		all := make([]any, len(t))
		for i, one := range t {
			all[i] = in.write(one, space)
		}
		return all
	case map[string]any:
		return in.writeType(t, space)
	}
	return tree
}

func (in *inliner) writeName(name, space string) any {
	if isPrimitive(name) {
		return name
	}
	full := name
	if !strings.Contains(name, ".") && space != "" {
		full = space + "." + name
	}
	for _, one := range []string{full, name} {
		if in.written[one] {
			return one
		}
		if t, ok := in.defined[one].(map[string]any); ok {
			return in.writeType(t, "")
		}
	}
	return full
}

func (in *inliner) writeType(t map[string]any, space string) any {
	out := make(map[string]any, len(t))
	for k, v := range t {
		out[k] = v
	}
	if isNamed(t) {
		full := fullName(t, space)
		if in.written[full] {
			return full
		}
		in.written[full] = true // before what is in it: it may name itself
		space = spaceOf(full)
		out["name"], out["namespace"] = short(full), space
	}
	if fields, ok := t["fields"].([]any); ok {
		all := make([]any, len(fields))
		for i, f := range fields {
			all[i] = f
			if field, ok := f.(map[string]any); ok {
				changed := make(map[string]any, len(field))
				for k, v := range field {
					changed[k] = v
				}
				changed["type"] = in.write(field["type"], space)
				all[i] = changed
			}
		}
		out["fields"] = all
	}
	for _, k := range []string{"type", "items", "values"} {
		v, there := t[k]
		if text, ok := v.(string); !there || k == "type" && ok && (isNamed(t) || isComplex(text)) {
			continue
		}
		out[k] = in.write(v, space)
	}
	return out
}

func isNamed(t map[string]any) bool {
	switch t["type"] {
	case "record", "error", "enum", "fixed":
		_, ok := t["name"].(string)
		return ok
	}
	return false
}

func isComplex(name string) bool { return name == "array" || name == "map" }

func isPrimitive(name string) bool {
	switch name {
	case "null", "boolean", "int", "long", "float", "double", "bytes", "string":
		return true
	}
	return false
}

// fullName is the name of a type with its namespace. One in the name itself outranks the attribute,
// and that the namespace of what is around it.
func fullName(t map[string]any, space string) string {
	name, _ := t["name"].(string)
	if strings.Contains(name, ".") {
		return name
	}
	if own, ok := t["namespace"].(string); ok {
		space = own
	}
	if space == "" {
		return name
	}
	return space + "." + name
}

func spaceOf(full string) string { return full[:max(0, strings.LastIndexByte(full, '.'))] }

func short(full string) string { return full[strings.LastIndexByte(full, '.')+1:] }
