package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v3"
)

// fileBytesMax bounds a configuration file: what is larger is no configuration.
const fileBytesMax = 1 << 20

// assignment is a value for a key of the table.
type assignment struct {
	key   *key
	value value
}

// fileReader walks one YAML document, which is a file or a profile.
type fileReader struct {
	layer       layer
	name        string
	under       string // key of the document in another one; empty: it stands alone
	keys        map[string]*key
	sections    map[string]bool
	names       []string // keys and sections, what an unknown key may have meant
	assignments []assignment
	faults      Faults
}

func (r *fileReader) fault(line int, key string, f *fault) {
	told := Fault{
		Origin: Origin{layer: r.layer, name: r.name, under: r.under, line: line}, Key: key,
		Problem: f.problem, Nearest: f.nearest,
	}
	if n := len(r.faults); n == 0 || r.faults[n-1] != told { // a list may have it in each element
		r.faults = append(r.faults, told)
	}
}

// read takes the document apart into assignments and faults.
func (r *fileReader) read(document []byte) {
	if root := r.root(document); root != nil {
		r.mapping("", root)
	}
}

// root parses the document and returns the mapping at its top, without keys if
// there is nothing; nil: there is a fault instead.
func (r *fileReader) root(document []byte) *yaml.Node {
	if len(document) > fileBytesMax {
		r.fault(0, "", faultf("is larger than %s", sizeText(fileBytesMax)))
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(document))
	var root yaml.Node
	switch err := decoder.Decode(&root); {
	case errors.Is(err, io.EOF):
		return &yaml.Node{Kind: yaml.MappingNode} // comments at most
	case err != nil:
		r.syntaxFault(err)
		return nil
	}
	var second yaml.Node
	if err := decoder.Decode(&second); err == nil {
		r.fault(second.Line, "", faultf("a second document begins here: want one"))
		return nil
	} else if !errors.Is(err, io.EOF) {
		r.syntaxFault(err)
		return nil
	}
	if len(root.Content) == 1 && root.Content[0].Kind == yaml.MappingNode {
		return root.Content[0]
	}
	if len(root.Content) == 1 && root.Content[0].ShortTag() == "!!null" {
		return &yaml.Node{Kind: yaml.MappingNode}
	}
	r.fault(root.Line, "", faultf("want a mapping of keys at the top"))
	return nil
}

// syntaxFault tells of an error of the parser.
func (r *fileReader) syntaxFault(err error) {
	line, message := lineOf(strings.TrimPrefix(err.Error(), "yaml: "))
	r.fault(line, "", faultf("is no YAML: %s", message))
}

// lineOf takes a message of the parser apart, which may begin "line 3: ".
func lineOf(message string) (line int, rest string) {
	if after, ok := strings.CutPrefix(message, "line "); ok {
		if number, text, ok := strings.Cut(after, ": "); ok {
			if n, err := strconv.Atoi(number); err == nil {
				return n, text
			}
		}
	}
	return 0, message
}

// mapping reads a section; prefix is "" at the top, else "kafka." or the like.
func (r *fileReader) mapping(prefix string, node *yaml.Node) {
	seen := map[string]int{}
	for i := 0; i+1 < len(node.Content) && len(r.faults) < faultsMax; i += 2 {
		name, content := node.Content[i], node.Content[i+1]
		if name.Kind != yaml.ScalarNode || name.ShortTag() != "!!str" {
			r.fault(name.Line, strings.TrimSuffix(prefix, "."), r.keyFault(name))
			continue
		}
		full := prefix + name.Value
		if first, ok := seen[full]; ok {
			r.fault(name.Line, full, faultf("given twice, first at line %d", first))
			continue
		}
		seen[full] = name.Line
		r.entry(full, name.Line, content)
	}
}

func (r *fileReader) keyFault(name *yaml.Node) *fault {
	if name.Kind == yaml.AliasNode || name.ShortTag() == "!!merge" {
		return faultf("aliases and merge keys are not understood: write the keys out")
	}
	if name.Kind != yaml.ScalarNode {
		return faultf("want the name of a key, found a mapping or list")
	}
	return faultf("want the name of a key, found %s", shown(name.Value))
}

func (r *fileReader) entry(full string, line int, node *yaml.Node) {
	if r.sections[full] {
		switch {
		case node.Kind == yaml.MappingNode:
			r.mapping(full+".", node)
		case node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null":
			// A section whose keys are all commented out.
		default:
			if v := r.value(full, node); !v.broken {
				r.fault(node.Line, full, wanted("a mapping of keys", v))
			}
		}
		return
	}
	k, ok := r.keys[full]
	if !ok {
		r.fault(line, full, unknown("no such key", nearest(full, r.names, ".")))
		return
	}
	if k.secret {
		r.fault(line, full, secretFault(k))
		return
	}
	v := r.value(full, node)
	if v.broken && full != rulesKey && (v.shape != list || len(v.items) == 0) {
		return // of a list the other elements may be wrong too
	}
	v.origin.line = line
	r.assignments = append(r.assignments, assignment{key: k, value: v})
}

func secretFault(k *key) *fault {
	return faultf("a secret does not belong here: use %s_file, or %s in the environment",
		k.name, k.variable())
}

// value copies a node. Aliases are refused and not followed: they are how a
// small file grows without bound. What cannot be read is left out and makes all
// that it is in broken.
func (r *fileReader) value(full string, node *yaml.Node) value {
	v := value{origin: Origin{
		layer: r.layer, name: r.name, under: r.under, line: node.Line,
	}}
	switch node.Kind {
	case yaml.ScalarNode:
		v.shape, v.text, v.tag = scalar, node.Value, node.ShortTag()
		switch v.tag {
		case "!!str", "!!int", "!!float", "!!bool", "!!null":
		case "!!timestamp":
			v.tag = "!!str"
		default:
			r.fault(node.Line, full, faultf("the tag %s is not understood", shown(v.tag)))
			v.broken = true
		}
	case yaml.SequenceNode:
		v.shape = list
		for i, item := range node.Content {
			name := full
			if item.Kind == yaml.MappingNode {
				name = fmt.Sprintf("%s[%d]", full, i)
			}
			element := r.value(name, item)
			v.broken = v.broken || element.broken
			if !element.broken || element.shape != scalar {
				v.items = append(v.items, element)
			}
		}
	case yaml.MappingNode:
		v.shape = mapping
		v.members, v.broken = r.members(full, node)
	default:
		r.fault(node.Line, full,
			faultf("aliases and merge keys are not understood: write the value out"))
		v.broken = true
	}
	return v
}

func (r *fileReader) members(full string, node *yaml.Node) (all []member, broken bool) {
	seen := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, content := node.Content[i], node.Content[i+1]
		if name.Kind != yaml.ScalarNode || name.ShortTag() != "!!str" {
			r.fault(name.Line, full, r.keyFault(name))
			broken = true
			continue
		}
		inner := full + "." + name.Value
		if first, ok := seen[name.Value]; ok {
			r.fault(name.Line, inner, faultf("given twice, first at line %d", first))
			broken = true
			continue
		}
		seen[name.Value] = name.Line
		v := r.value(inner, content)
		v.origin.line = name.Line
		broken = broken || v.broken
		if !v.broken || v.shape != scalar {
			all = append(all, member{name.Value, v})
		}
	}
	return all, broken
}

// newFileReader prepares the tables for a document.
func newFileReader(l layer, name string, table []key) *fileReader {
	r := &fileReader{layer: l, name: name, keys: map[string]*key{}, sections: map[string]bool{}}
	for i := range table {
		k := &table[i]
		r.keys[k.name] = k
		if !k.secret {
			r.names = append(r.names, k.name)
		}
		for at := strings.Index(k.name, "."); at >= 0; {
			if section := k.name[:at]; !r.sections[section] {
				r.sections[section] = true
				r.names = append(r.names, section)
			}
			next := strings.Index(k.name[at+1:], ".")
			if next < 0 {
				break
			}
			at += 1 + next
		}
	}
	return r
}

// unreadable is the fault of a file that could not be read.
func unreadable(name string, err error) *fault {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err // which would name the file a second time
	}
	return faultf("read %s: %v", name, err)
}
