package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"sessionizer/schemas"
)

// An event of a test file becomes the JSON that its profile reads: each name of the configuration's
// paths stands for the first place that the profile looks at.

// shortNames are names for paths that need not be written out.
func shortNames() map[string]string {
	return map[string]string{
		"key": "anonymous_id", "user": "user_id", "message": "message_id",
		"session": "session_id", "start": "session_start",
	}
}

// eventPaths are the places in an event by the names of the configuration's paths.
type eventPaths map[string][]string

// first returns the place that a name stands for; empty: there is none in an event.
func (p eventPaths) first(name string) string {
	if full, ok := shortNames()[name]; ok {
		name = full
	}
	for _, path := range p[name] {
		if path != schemas.KeyPath {
			return path
		}
	}
	return ""
}

// has reports whether a name is one of paths, or short for one.
func (p eventPaths) has(name string) bool {
	_, short := shortNames()[name]
	_, ok := p[name]
	return ok || short
}

// jsonMember is a member of an object. Its value is a *jsonObject, *jsonArray or json.RawMessage.
type jsonMember struct {
	name  string
	value any
}

// jsonObject keeps its members in the order they were set.
type jsonObject struct{ members []jsonMember }

// jsonArray is a list that paths lead into.
type jsonArray struct{ items []any }

func (o *jsonObject) get(name string) any {
	for i := range o.members {
		if o.members[i].name == name {
			return o.members[i].value
		}
	}
	return nil
}

func (o *jsonObject) set(name string, value any) {
	for i := range o.members {
		if o.members[i].name == name {
			o.members[i].value = value
			return
		}
	}
	o.members = append(o.members, jsonMember{name, value})
}

// put sets what is at a path; objects and arrays on the way are made, and take the place of
// whatever else is there.
func (o *jsonObject) put(path string, value any) {
	names := strings.Split(path, ".")
	o.set(names[0], placed(o.get(names[0]), names[1:], value))
}

// placed returns what is at a place once a value has been put below it.
func placed(there any, names []string, value any) any {
	if len(names) == 0 {
		return value
	}
	position, err := strconv.Atoi(names[0])
	array, isArray := there.(*jsonArray)
	if _, isObject := there.(*jsonObject); err == nil && position >= 0 && !isObject {
		if !isArray {
			array = &jsonArray{}
		}
		if position = min(position, len(array.items)); position == len(array.items) {
			array.items = append(array.items, nil)
		}
		array.items[position] = placed(array.items[position], names[1:], value)
		return array
	}
	object, ok := there.(*jsonObject)
	if !ok {
		object = &jsonObject{}
	}
	object.set(names[0], placed(object.get(names[0]), names[1:], value))
	return object
}

// appendJSON writes a value without white space.
func appendJSON(b []byte, value any) []byte {
	switch v := value.(type) {
	case *jsonObject:
		b = append(b, '{')
		for i, m := range v.members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendJSONText(b, m.name), ':')
			b = appendJSON(b, m.value)
		}
		return append(b, '}')
	case *jsonArray:
		b = append(b, '[')
		for i, item := range v.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, item)
		}
		return append(b, ']')
	case json.RawMessage:
		return append(b, v...)
	}
	return append(b, "null"...)
}

// appendJSONText writes a string; HTML in it stays as it is.
func appendJSONText(b []byte, text string) []byte {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		panic(fmt.Sprintf("the string %q as JSON: %v", text, err))
	}
	return append(b, strings.TrimSuffix(out.String(), "\n")...)
}

// jsonOf turns YAML into JSON. Numbers stay as they are written.
func jsonOf(node *yaml.Node) (any, error) {
	switch node.Kind {
	case yaml.MappingNode:
		object := &jsonObject{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			name := node.Content[i]
			if name.Kind != yaml.ScalarNode || name.ShortTag() == "!!merge" {
				return nil, nodeError{name.Line, "want the name of a member"}
			}
			value, err := jsonOf(node.Content[i+1])
			if err != nil {
				return nil, err
			}
			object.set(name.Value, value)
		}
		return object, nil
	case yaml.SequenceNode:
		array := &jsonArray{}
		for _, item := range node.Content {
			value, err := jsonOf(item)
			if err != nil {
				return nil, err
			}
			array.items = append(array.items, value)
		}
		return array, nil
	case yaml.ScalarNode:
		return jsonScalar(node)
	}
	return nil, nodeError{node.Line, "aliases are not understood: write the value out"}
}

// nodeError is a fault of a node that is not of its key.
type nodeError struct {
	line    int
	problem string
}

func (e nodeError) Error() string { return e.problem }

func jsonScalar(node *yaml.Node) (any, error) {
	switch node.ShortTag() {
	case "!!null":
		return json.RawMessage("null"), nil
	case "!!bool":
		return json.RawMessage(strings.ToLower(node.Value)), nil
	case "!!int", "!!float":
		if json.Valid([]byte(node.Value)) {
			return json.RawMessage(node.Value), nil
		}
		var n any // 0x10, .5, +1: what JSON writes in another way
		if err := node.Decode(&n); err != nil {
			return nil, nodeError{node.Line, err.Error()}
		}
		text, err := json.Marshal(n)
		if err != nil {
			return nil, nodeError{node.Line, node.Value + " is no number that JSON has"}
		}
		return json.RawMessage(text), nil
	case "!!str", "!!timestamp":
		return json.RawMessage(appendJSONText(nil, node.Value)), nil
	}
	return nil, nodeError{node.Line, fmt.Sprintf("the tag %q is not understood", node.Tag)}
}

// names are all that an event may have beside paths.
func (p eventPaths) names() []string {
	var names []string
	for name := range p {
		names = append(names, name)
	}
	for name := range shortNames() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func rawText(text string) json.RawMessage { return appendJSONText(nil, text) }
