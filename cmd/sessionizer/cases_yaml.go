package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"
)

// Values are shown, and written into a test file, on one line: flow style.

// flowValue writes a decoded JSON value as YAML.
func flowValue(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case string:
		return flowText(v)
	case ruleName:
		return flowText(v.String())
	case map[string]any:
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, flowText(name)+": "+flowValue(v[name]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case []any:
		var parts []string
		for _, item := range v {
			parts = append(parts, flowValue(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return fmt.Sprint(value) // numbers as they are written, true and false
}

// flowText writes a string, in quotes where it would be something else without.
func flowText(text string) string {
	var node yaml.Node
	err := yaml.Unmarshal([]byte("["+text+"]"), &node)
	if err == nil && len(node.Content) == 1 && len(node.Content[0].Content) == 1 {
		item := node.Content[0].Content[0]
		if item.Kind == yaml.ScalarNode && item.ShortTag() == "!!str" && item.Value == text &&
			item.Style == 0 && !strings.Contains(text, ": ") {
			return text
		}
	}
	return string(appendJSONText(nil, text))
}

// flowYAML writes a node.
func flowYAML(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		var parts []string
		for i := 0; i+1 < len(node.Content); i += 2 {
			parts = append(parts, node.Content[i].Value+": "+flowYAML(node.Content[i+1]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case yaml.SequenceNode:
		var parts []string
		for _, item := range node.Content {
			parts = append(parts, flowYAML(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	if isNull(node) {
		return "null"
	}
	if node.ShortTag() == "!!str" {
		return flowText(node.Value)
	}
	return node.Value
}

// decodeMembers reads an object; nil: it is none.
func decodeMembers(text []byte) members {
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	var m map[string]any
	if err := decoder.Decode(&m); err != nil {
		return nil
	}
	return m
}
