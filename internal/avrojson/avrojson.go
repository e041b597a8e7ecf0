// Package avrojson compares a record in Avro with the same in JSON, as tests must: that whoever
// reads the one learns what the other says.
package avrojson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/linkedin/goavro/v2"
)

// Form is a kind of record that is written in Avro and in JSON.
type Form struct {
	codec    *goavro.Codec
	branches map[string]bool // names of the branches of unions, as goavro has them
	only     []string        // members that JSON alone has
}

// New makes the form of an Avro schema. Members named in only are not looked for in Avro.
func New(schema string, only ...string) (*Form, error) {
	codec, err := goavro.NewCodec(schema)
	if err != nil {
		return nil, err
	}
	f := &Form{codec: codec, branches: map[string]bool{}, only: only}
	var parsed any
	if err := json.Unmarshal([]byte(schema), &parsed); err != nil {
		return nil, err
	}
	f.addBranches("", parsed)
	return f, nil
}

// addBranches notes how goavro names the branches of the unions in a schema.
func (f *Form) addBranches(namespace string, schema any) {
	switch s := schema.(type) {
	case []any:
		for _, branch := range s {
			name, named := branch.(string)
			if m, ok := branch.(map[string]any); ok {
				name, named = fmt.Sprint(m["type"]), true
				if m["name"] != nil {
					name = namespace + fmt.Sprint(m["name"])
				}
				if m["logicalType"] != nil {
					name += "." + fmt.Sprint(m["logicalType"])
				}
			}
			f.branches[name] = named
			f.branches[namespace+name] = named // a record that was declared before
			f.addBranches(namespace, branch)
		}
	case map[string]any:
		if s["namespace"] != nil {
			namespace = fmt.Sprint(s["namespace"]) + "."
		}
		fields, _ := s["fields"].([]any)
		for _, field := range fields {
			if m, ok := field.(map[string]any); ok {
				f.addBranches(namespace, m["type"])
			}
		}
		f.addBranches(namespace, s["type"])
		f.addBranches(namespace, s["items"])
		f.addBranches(namespace, s["values"])
	}
}

// Compare says how the two differ. What is null in Avro is absent in JSON, times are RFC 3339
// there, and the object context is a map by path in Avro.
func (f *Form) Compare(asAvro, asJSON []byte) error {
	native, rest, err := f.codec.NativeFromBinary(asAvro)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("%d bytes are left behind the record", len(rest))
	}
	var want map[string]any
	d := json.NewDecoder(bytes.NewReader(asJSON))
	d.UseNumber()
	if err := d.Decode(&want); err != nil {
		return err
	}
	for _, name := range f.only {
		delete(want, name)
	}
	if context, ok := want["context"].(map[string]any); ok {
		flat := map[string]any{}
		flatten(flat, "", context)
		want["context"] = flat
	}
	if got := f.plain(native); !reflect.DeepEqual(got, any(want)) {
		return fmt.Errorf("in Avro it is\n%v\nin JSON\n%v", got, want)
	}
	return nil
}

// flatten puts the scalars of an object into flat as text, by their paths.
func flatten(flat map[string]any, prefix string, object map[string]any) {
	for name, value := range object {
		if inner, ok := value.(map[string]any); ok {
			flatten(flat, prefix+name+".", inner)
			continue
		}
		flat[prefix+name] = fmt.Sprint(value)
	}
}

// plain is what goavro decoded as encoding/json would have: without the names of the branches of
// unions, and without what is null.
func (f *Form) plain(native any) any {
	switch v := native.(type) {
	case map[string]any:
		if len(v) == 1 {
			for name, value := range v {
				if f.branches[name] {
					return f.plain(value)
				}
			}
		}
		members := map[string]any{}
		for name, value := range v {
			if value != nil {
				members[name] = f.plain(value)
			}
		}
		return members
	case time.Time:
		return v.UTC().Format("2006-01-02T15:04:05.000Z")
	case int32, int64:
		return json.Number(fmt.Sprint(v))
	}
	return native
}
