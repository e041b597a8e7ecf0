package schemas

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// profileError is a fault of a profile, or of the paths that replace its own.
type profileError struct {
	profile string // empty: the fault is one of the configuration's paths
	section string // the key it is in: write, paths.type
	path    string // the text below that key that it is about; empty: all of it
	what    string
}

func (e *profileError) Error() string {
	text := e.section + ": " + e.what
	if e.profile != "" {
		text = "profile " + e.profile + ": " + text
	}
	return text
}

// leavesOf takes joined errors apart; nil: none.
func leavesOf(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var list []error
	for _, one := range joined.Unwrap() {
		list = append(list, leavesOf(one)...)
	}
	return list
}

// faultOfMember says of a member that cannot be ours where it was given.
func (config *Config) faultOfMember(err error) error {
	var member *memberError
	if !errors.As(err, &member) {
		return err
	}
	p := &config.Profile
	e := &profileError{p.Name, "", member.path, err.Error()}
	switch {
	case slices.ContainsFunc(p.Write, func(w Write) bool { return w.Path == member.path }):
		e.section = "write"
	case slices.Contains(p.Remove, member.path):
		e.section = "remove"
	default: // what a client's session is read from is ours
		e.profile, e.section = "", "paths."+pathNames[pathSessionID]
		start := config.pathsInForce()[pathNames[pathSessionStart]]
		if slices.Contains(start, member.path) {
			e.section = "paths." + pathNames[pathSessionStart]
		}
	}
	return e
}

// readCheck finds members that are written or removed although something else than the client's
// session is read from them: what a second run would read is not what was sent.
type readCheck struct {
	config *Config
	paths  map[string]PathList // in force
	names  []string            // of the paths, sorted
	faults []error
}

func (config *Config) checkReads() []error {
	r := readCheck{config: config, paths: config.pathsInForce()}
	r.names = slices.Sorted(maps.Keys(r.paths))
	for i := range config.Profile.Write {
		r.member("write", &config.Profile.Write[i], "overwritten")
	}
	for _, path := range config.Profile.Remove {
		r.member("remove", &Write{Path: path}, "removed")
	}
	return r.faults
}

// member checks one that is written; a removed one has nothing but a path.
func (r *readCheck) member(section string, w *Write, done string) {
	for _, name := range r.names {
		if name == pathNames[pathSessionID] || name == pathNames[pathSessionStart] {
			continue
		}
		if _, chosen := r.config.Paths[name]; chosen {
			continue // who runs it has decided what is the key, say, whatever becomes of the member
		}
		for _, path := range r.paths[name] {
			if name == pathNames[pathContext] {
				if _, from, renamed := strings.Cut(path, "="); renamed {
					path = from
				}
			}
			within := strings.HasPrefix(path, w.Path+".")
			if !within && (path != w.Path || r.readsTheSame(w, name)) {
				continue
			}
			what := path + " is read as " + name + ": it would be " + done
			if within {
				what += " with " + w.Path
			}
			r.faults = append(r.faults, &profileError{r.config.Profile.Name, section, w.Path, what})
		}
	}
}

// readsTheSame reports whether what is written is what was read there:
//
//   - a copy of the first of those places that the path prefers anyway; what is written where they
//     have nothing must name nobody, too;
//   - the session's id in the place of the client's, where that is the key of who has no other.
func (r *readCheck) readsTheSame(w *Write, name string) bool {
	read := r.paths[name]
	if n := len(w.Copy); n > 0 {
		blank := w.Else == "" || isBlank([]byte(strings.Trim(w.Else, `"`)))
		return blank && n <= len(read) && slices.Equal(w.Copy, read[:n])
	}
	return name == pathNames[pathAnonymousID] && w.Value == fieldNames[fieldID] &&
		slices.Contains(r.paths[pathNames[pathSessionID]], w.Path)
}

// places finds what only a codec finds: members of which one lies inside of another, say. Where the
// anonymous ID is may be for the configuration to say.
func (r *profileReader) places(root *yaml.Node, p *Profile) {
	_, err := NewCodec(Config{Profile: *p})
	for _, one := range leavesOf(err) {
		if errors.Is(one, errNoAnonymousID) {
			continue
		}
		var e *profileError
		if !errors.As(one, &e) {
			r.fault(root, "", "%v", one)
			continue
		}
		node, key := resolved(root), e.section
		for name := range strings.SplitSeq(e.section, ".") {
			if value := memberOf(node, name); value != nil {
				node = resolved(value)
			}
		}
		if at, path := lastOf(node, key, e.path, e.section == "write"); at != nil {
			node, key = at, path
		}
		r.fault(node, key, "%s", e.what)
	}
}

func memberOf(n *yaml.Node, name string) *yaml.Node {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

// lastOf returns the last node of that text in a list or a mapping, and its key; of writes it is
// their path.
func lastOf(n *yaml.Node, key, text string, isWrite bool) (*yaml.Node, string) {
	n = resolved(n)
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Value == text {
			return n, key
		}
	case yaml.SequenceNode:
		for i, item := range slices.Backward(n.Content) {
			if at, path := lastOf(item, position(key, i), text, isWrite); at != nil {
				return at, path
			}
		}
	case yaml.MappingNode:
		if isWrite {
			if path := memberOf(n, "path"); path != nil {
				return lastOf(path, key+".path", text, false)
			}
			return nil, ""
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == text {
				return n.Content[i], key + "." + text
			}
		}
	}
	return nil, ""
}
