package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"sessionizer/schemas"
)

// profileFile is a profile that was read from a file, with the places of its keys.
type profileFile struct {
	reader  fileReader
	profile schemas.Profile
	root    *yaml.Node
	faults  Faults
}

// parseProfile reads a profile as schemas does, and says of all that is wrong
// where it stands.
func parseProfile(name string, document []byte) *profileFile {
	p := &profileFile{reader: fileReader{layer: layerProfile, name: name}}
	p.root = p.reader.root(document)
	if p.root != nil {
		p.walk("", p.root, reflect.TypeFor[schemas.Profile]())
		p.decode(document)
	}
	p.faults = p.reader.faults
	return p
}

// walk looks for keys that a profile does not have, or has twice. What the
// values are is left to the decoder, which knows their types.
func (p *profileFile) walk(prefix string, node *yaml.Node, as reflect.Type) {
	if node.Kind == yaml.AliasNode {
		p.reader.fault(node.Line, strings.TrimSuffix(prefix, "."),
			faultf("aliases and merge keys are not understood: write the value out"))
		return
	}
	switch {
	case as == reflect.TypeFor[yaml.Node]():
		return // the part of the configuration: read like a file of its own
	case as.Kind() == reflect.Slice && node.Kind == yaml.SequenceNode:
		for i, item := range node.Content {
			p.walk(fmt.Sprintf("%s[%d].", strings.TrimSuffix(prefix, "."), i), item, as.Elem())
		}
		return
	case node.Kind != yaml.MappingNode:
		return
	}
	known := profileKeys(prefix, as)
	seen := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, content := node.Content[i], node.Content[i+1]
		full := prefix + name.Value
		if name.Kind != yaml.ScalarNode || name.ShortTag() != "!!str" {
			p.reader.fault(name.Line, strings.TrimSuffix(prefix, "."), p.reader.keyFault(name))
			continue
		}
		if first, ok := seen[name.Value]; ok {
			p.reader.fault(name.Line, full, faultf("given twice, first at line %d", first))
			continue
		}
		seen[name.Value] = name.Line
		switch inner, ok := known[name.Value]; {
		case ok:
			p.walk(full+".", content, inner)
		case as.Kind() == reflect.Struct || prefix == pathsPrefix:
			var names []string
			for k := range known {
				names = append(names, k)
			}
			slices.Sort(names)
			near := nearest(name.Value, names, "")
			if near != "" {
				near = prefix + near
			}
			p.reader.fault(name.Line, full, &fault{"no such key", near})
		}
	}
}

const pathsPrefix = "paths."

// profileKeys are the keys of a part of a profile, with the types of their values.
func profileKeys(prefix string, as reflect.Type) map[string]reflect.Type {
	known := map[string]reflect.Type{}
	if prefix == pathsPrefix {
		for _, name := range pathNames() {
			known[name] = as.Elem()
		}
		return known
	}
	if as.Kind() != reflect.Struct {
		return known
	}
	for f := range as.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name != "" && name != "-" {
			known[name] = f.Type
		}
	}
	return known
}

// decode reads the profile. Of the decoder's faults those are left out that
// walk has told.
func (p *profileFile) decode(document []byte) {
	profile, err := schemas.ParseProfile(document)
	var faults schemas.ProfileFaults
	switch {
	case err == nil:
		p.profile = profile
	case errors.As(err, &faults):
		for _, f := range faults {
			told := slices.ContainsFunc(p.reader.faults, func(t Fault) bool {
				return t.Origin.line == f.Line
			})
			if !told {
				p.reader.fault(f.Line, f.Key, faultf("%s", f.Problem()))
			}
		}
	case len(p.reader.faults) == 0:
		_, message, _ := strings.Cut(err.Error(), "profile: ")
		key, problem, found := strings.Cut(message, ": ")
		if !found {
			key, problem = "", message
		}
		p.reader.fault(0, key, faultf("%s", problem))
	}
}

// origin is the place of a key such as paths.type in the file, or of a text
// below it that a problem begins with; else of the file as a whole.
func (p *profileFile) origin(key, problem string) Origin {
	o := Origin{layer: layerProfile, name: p.reader.name}
	node := p.root
	for name := range strings.SplitSeq(key, ".") {
		var inner *yaml.Node
		for i := 0; node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == name {
				inner, o.line = node.Content[i+1], node.Content[i].Line
			}
		}
		if inner == nil {
			return o
		}
		node = inner
	}
	subject, _, _ := strings.Cut(problem, ": ")
	if quoted, ok := strings.CutPrefix(subject, "path "); ok {
		subject = strings.Trim(quoted, `"`)
	}
	if line := lastLineOf(node, subject); line > 0 {
		o.line = line
	}
	return o
}

// lastLineOf is the line of the last scalar of that text in a tree; 0: none.
func lastLineOf(node *yaml.Node, text string) int {
	for _, inner := range slices.Backward(node.Content) {
		if line := lastLineOf(inner, text); line > 0 {
			return line
		}
	}
	if node.Kind == yaml.ScalarNode && node.Value == text {
		return node.Line
	}
	return 0
}
