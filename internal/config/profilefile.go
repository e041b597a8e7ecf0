package config

import (
	"errors"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"sessionizer/schemas"
)

// profileFile is a profile that was read from a file, with the places of its keys.
type profileFile struct {
	name    string
	profile schemas.Profile
	root    *yaml.Node
	faults  Faults
}

// parseProfile reads a profile and says of all that is wrong where it stands.
func parseProfile(name string, document []byte) *profileFile {
	r := fileReader{layer: layerProfile, name: name}
	p := &profileFile{name: name, root: r.root(document)}
	if p.root != nil && len(p.root.Content) == 0 {
		r.fault(0, "", faultf("is empty: want a mapping of keys"))
	} else if p.root != nil && r.refuseAliases(p.withoutPresets()) {
		profile, err := schemas.ParseProfile(document)
		p.profile = profile
		var faults schemas.ProfileFaults
		switch {
		case errors.As(err, &faults):
			for i := range faults {
				r.fault(faults[i].Line, faults[i].Key, profileFault(&faults[i]))
			}
		case err != nil:
			r.fault(0, "", faultf("%v", err))
		}
	}
	p.faults = r.faults
	return p
}

// refuseAliases reports whether there are none: they are how a small file grows
// without bound.
func (r *fileReader) refuseAliases(node *yaml.Node) bool {
	if node.Kind == yaml.AliasNode {
		r.fault(node.Line, "", faultf("aliases and merge keys are not understood: write the value out"))
		return false
	}
	none := true
	for _, inner := range node.Content {
		none = r.refuseAliases(inner) && none
	}
	return none
}

const presetsKey = "config" // of a profile

// presets is the part that has the form of a configuration; zero: there is none.
func (p *profileFile) presets() yaml.Node {
	for i := 0; p.root != nil && i+1 < len(p.root.Content); i += 2 {
		if value := p.root.Content[i+1]; p.root.Content[i].Value == presetsKey {
			return *value
		}
	}
	return yaml.Node{}
}

// withoutPresets is the mapping at the top but for the presets, whose reader refuses aliases too.
func (p *profileFile) withoutPresets() *yaml.Node {
	rest := *p.root
	rest.Content = nil
	for i := 0; i+1 < len(p.root.Content); i += 2 {
		name, value := p.root.Content[i], p.root.Content[i+1]
		if name.Value != presetsKey || value.Kind != yaml.MappingNode {
			rest.Content = append(rest.Content, name, value)
		}
	}
	return &rest
}

// profileFault names what was probably meant, else all that could be.
func profileFault(f *schemas.ProfileFault) *fault {
	section, name := "", f.Key
	if dot := strings.LastIndex(f.Key, "."); dot >= 0 {
		section, name = f.Key[:dot+1], f.Key[dot+1:]
	}
	if near := nearest(name, f.Want, ""); near != "" && strings.HasPrefix(f.What, "no such ") {
		return unknown(f.What, section+near)
	}
	if _, quoted, ok := strings.Cut(f.What, ": "); ok {
		if near := nearest(strings.Trim(quoted, `"`), f.Want, ""); near != "" {
			return unknown(f.What, near)
		}
	}
	return faultf("%s", f.Problem())
}

// origin is the place of a key such as paths.type in the file, or of a text
// below it that a problem begins with; else of the file as a whole.
func (p *profileFile) origin(key, problem string) Origin {
	o := Origin{layer: layerProfile, name: p.name}
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
