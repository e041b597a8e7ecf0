package schemas

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ProfileFault is something wrong in a profile's file.
type ProfileFault struct {
	Line int    // from 1
	Key  string // as in write[0].path; empty: the file as a whole
	What string
	Want []string // what could stand there instead
}

func (f *ProfileFault) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "line %d: ", f.Line)
	if f.Key != "" {
		fmt.Fprintf(&b, "%s: ", f.Key)
	}
	b.WriteString(f.Problem())
	return b.String()
}

// Problem is what is wrong and what could stand there instead.
func (f *ProfileFault) Problem() string {
	if len(f.Want) == 0 {
		return f.What
	}
	return f.What + ": want one of " + strings.Join(f.Want, ", ")
}

// ProfileFaults is all that is wrong in a profile's file, in the order of its lines.
type ProfileFaults []ProfileFault

func (f ProfileFaults) Error() string {
	var texts []string
	for i := range f {
		texts = append(texts, f[i].Error())
	}
	return "profile: " + strings.Join(texts, "\n")
}

// ParseProfile reads a profile from YAML of the form of the built-in ones. Its error is a
// ProfileFaults: keys that do not exist, values that make no sense, members that cannot be written
// together. What Config presets is not looked at.
func ParseProfile(text []byte) (Profile, error) {
	var p Profile
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return p, ProfileFaults{syntaxFault(err)}
	}
	r := profileReader{}
	if len(document.Content) == 0 {
		r.fault(&yaml.Node{Line: 1}, "", "an empty file")
	} else {
		r.profile(document.Content[0], &p)
	}
	if len(r.faults) == 0 {
		r.places(document.Content[0], &p)
	}
	if len(r.faults) > 0 {
		slices.SortStableFunc(r.faults, func(a, b ProfileFault) int { return a.Line - b.Line })
		return Profile{}, r.faults
	}
	p.Source = text
	return p, nil
}

// syntaxFault takes the line out of a text of the YAML package: "yaml: line 3: ...".
func syntaxFault(err error) ProfileFault {
	what := strings.TrimPrefix(err.Error(), "yaml: ")
	f := ProfileFault{Line: 1, What: what}
	if rest, ok := strings.CutPrefix(what, "line "); ok {
		number, rest, found := strings.Cut(rest, ": ")
		if line, err := strconv.Atoi(number); found && err == nil {
			f.Line, f.What = line, rest
		}
	}
	return f
}

// profileReader reads the nodes of a file and collects what is wrong with them.
type profileReader struct{ faults ProfileFaults }

func (r *profileReader) fault(n *yaml.Node, key, format string, args ...any) {
	r.faults = append(r.faults, ProfileFault{Line: n.Line, Key: key,
		What: fmt.Sprintf(format, args...)})
}

func (r *profileReader) faultWant(n *yaml.Node, key string, want []string, what string) {
	r.faults = append(r.faults, ProfileFault{Line: n.Line, Key: key, What: what, Want: want})
}

// readers reads the values of a mapping, by their keys.
type readers map[string]func(n *yaml.Node, key string)

// mapping reads a mapping. Nothing in its place is an empty one.
func (r *profileReader) mapping(n *yaml.Node, key string, known readers) {
	r.eachMember(n, key, func(name, value *yaml.Node, path string) {
		read := known[name.Value]
		if read == nil {
			r.faultWant(name, path, slices.Sorted(maps.Keys(known)), "no such key")
			return
		}
		read(value, path)
	})
}

// eachMember calls f for each member of a mapping.
func (r *profileReader) eachMember(n *yaml.Node, key string,
	f func(name, value *yaml.Node, path string)) {
	n = resolved(n)
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.fault(n, key, "want keys with values")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i]
		path := name.Value
		if key != "" {
			path = key + "." + path
		}
		if seen[name.Value] {
			r.fault(name, path, "twice")
			continue
		}
		seen[name.Value] = true
		f(name, n.Content[i+1], path)
	}
}

// resolved follows an alias.
func resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// text reads a text into to.
func (r *profileReader) text(to *string) func(*yaml.Node, string) {
	return func(n *yaml.Node, key string) {
		if n = resolved(n); n.Kind != yaml.ScalarNode || isNull(n) || n.Value == "" {
			r.fault(n, key, "want a text")
			return
		}
		*to = n.Value
	}
}

// texts reads a list of texts, or one that stands alone, into to.
func (r *profileReader) texts(to *[]string) func(*yaml.Node, string) {
	return func(n *yaml.Node, key string) {
		n = resolved(n)
		switch {
		case isNull(n):
		case n.Kind == yaml.ScalarNode:
			var text string
			r.text(&text)(n, key)
			*to = append(*to, text)
		case n.Kind == yaml.SequenceNode:
			for i, item := range n.Content {
				var text string
				r.text(&text)(item, position(key, i))
				*to = append(*to, text)
			}
		default:
			r.fault(n, key, "want a text or a list of them")
		}
	}
}

func position(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }

// paths reads a path or a list of them into to.
func (r *profileReader) paths(to *PathList) func(*yaml.Node, string) {
	return func(n *yaml.Node, key string) {
		at, faults := len(*to), len(r.faults)
		r.texts((*[]string)(to))(n, key)
		if len(r.faults) > faults {
			return
		}
		for i, path := range (*to)[at:] {
			item := resolved(n)
			if item.Kind == yaml.SequenceNode {
				item = item.Content[i]
			}
			if _, err := splitPath(path); err != nil {
				r.fault(item, key, "%v", err)
			}
		}
	}
}

// field reads the name of a field, one of the names, into to.
func (r *profileReader) field(to *string, names []string) func(*yaml.Node, string) {
	return func(n *yaml.Node, key string) {
		if r.text(to)(n, key); *to != "" && !slices.Contains(names, *to) {
			r.faultWant(resolved(n), key, names, fmt.Sprintf("no such field: %q", *to))
		}
	}
}

func (r *profileReader) boolean(to *bool) func(*yaml.Node, string) {
	return func(n *yaml.Node, key string) {
		if n = resolved(n); n.Tag != "!!bool" || n.Decode(to) != nil {
			r.fault(n, key, "want true or false")
		}
	}
}

func (r *profileReader) number(to *int, most int) func(*yaml.Node, string) {
	return func(n *yaml.Node, key string) {
		n = resolved(n)
		if n.Tag != "!!int" || n.Decode(to) != nil || *to < 0 || *to > most {
			r.fault(n, key, "want a number from 0 to %d", most)
		}
	}
}

// scalar reads a text, number, bool or null as JSON into to.
func (r *profileReader) scalar(to *string) func(*yaml.Node, string) {
	return func(n *yaml.Node, key string) {
		n = resolved(n)
		switch {
		case n.Kind != yaml.ScalarNode:
		case n.Tag == "!!str":
			*to = string(appendText(nil, n.Value))
			return
		case n.Tag == "!!null":
			*to = "null"
			return
		case json.Valid([]byte(n.Value)):
			*to = n.Value
			return
		}
		r.fault(n, key, "want a text, a number, true, false or null, as in JSON")
	}
}
