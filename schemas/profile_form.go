package schemas

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// idCharactersMost is the length of the longest int64 in decimal.
const idCharactersMost = 20

// profile reads a whole file.
func (r *profileReader) profile(n *yaml.Node, p *Profile) {
	faults := len(r.faults)
	r.mapping(n, "", readers{
		"name":              r.text(&p.Name),
		"config":            r.config(&p.Config),
		"paths":             r.pathTable(&p.Paths),
		"id_characters_min": r.number(&p.IDCharactersMin, idCharactersMost),
		"kinds": r.section(readers{
			"page":   r.texts(&p.Kinds.Page),
			"screen": r.texts(&p.Kinds.Screen),
			"track":  r.texts(&p.Kinds.Track),
		}),
		"mobile": r.section(readers{
			"channels":  r.texts(&p.Mobile.Channels),
			"libraries": r.texts(&p.Mobile.Libraries),
		}),
		"lifecycle": r.section(readers{
			"foreground": r.texts(&p.Lifecycle.Foreground),
			"background": r.texts(&p.Lifecycle.Background),
		}),
		"write":  r.writes(&p.Write),
		"remove": r.paths(&p.Remove),
		"visits": r.section(readers{
			"started": r.visitNames(&p.Visits.Started),
			"ended":   r.visitNames(&p.Visits.Ended),
			"members": r.visitMembers(&p.Visits.Members),
		}),
	})
	if p.Name == "" && len(r.faults) == faults {
		r.fault(resolved(n), "name", "missing")
	}
}

func (r *profileReader) section(known readers) func(*yaml.Node, string) {
	return func(n *yaml.Node, key string) { r.mapping(n, key, known) }
}

func (r *profileReader) config(to *yaml.Node) func(*yaml.Node, string) {
	return func(n *yaml.Node, key string) {
		if n = resolved(n); n.Kind != yaml.MappingNode && !isNull(n) {
			r.fault(n, key, "want keys of the configuration")
			return
		}
		*to = *n
	}
}

// pathTable reads paths by the names of what is read there.
func (r *profileReader) pathTable(to *map[string]PathList) func(*yaml.Node, string) {
	return func(n *yaml.Node, key string) {
		*to = map[string]PathList{}
		r.eachMember(n, key, func(name, value *yaml.Node, path string) {
			if !slices.Contains(pathNames[:], name.Value) {
				r.faultWant(name, path, pathNames[:], "no such path")
				return
			}
			var list PathList
			r.paths(&list)(value, path)
			(*to)[name.Value] = list
		})
	}
}

func (r *profileReader) writes(to *[]Write) func(*yaml.Node, string) {
	return func(n *yaml.Node, key string) {
		n = resolved(n)
		if isNull(n) {
			return
		}
		if n.Kind != yaml.SequenceNode {
			r.fault(n, key, "want a list")
			return
		}
		for i, item := range n.Content {
			*to = append(*to, r.write(resolved(item), position(key, i)))
		}
	}
}

// write reads one session member.
func (r *profileReader) write(n *yaml.Node, key string) Write {
	var w Write
	faults := len(r.faults)
	path := PathList{}
	r.mapping(n, key, readers{
		"path":   r.paths(&path),
		"value":  r.field(&w.Value, fieldNames[:]),
		"object": r.object(&w.Object),
		"copy":   r.paths(&w.Copy),
		"else":   r.scalar(&w.Else),
		"always": r.boolean(&w.Always),
	})
	if len(r.faults) > faults {
		return w
	}
	if len(path) != 1 {
		r.fault(n, key+".path", "want one path")
		return w
	}
	if err := w.check(); err != nil {
		r.fault(n, key, "%v", err)
	}
	w.Path = path[0]
	return w
}

// object reads the members of an object that is written.
func (r *profileReader) object(to *[]string) func(*yaml.Node, string) {
	return func(n *yaml.Node, key string) {
		faults := len(r.faults)
		if r.texts(to)(n, key); len(r.faults) > faults {
			return
		}
		names := map[string]bool{}
		for i, text := range *to {
			item := resolved(n)
			if item.Kind == yaml.SequenceNode {
				item = resolved(item.Content[i])
			}
			name, of, renamed := strings.Cut(text, "=")
			if !renamed {
				of = name
			}
			if names[name] {
				r.fault(item, position(key, i), "%s: twice", name)
			}
			names[name] = true
			if !slices.Contains(fieldNames[:], of) {
				r.faultWant(item, position(key, i), fieldNames[:], "no such field: "+of)
			}
		}
	}
}

func (r *profileReader) visitNames(to *VisitNames) func(*yaml.Node, string) {
	return r.section(readers{"type": r.text(&to.Type), "event": r.text(&to.Event)})
}

// visitMembers reads what is written into records about visits, by path.
func (r *profileReader) visitMembers(to *map[string]string) func(*yaml.Node, string) {
	return func(n *yaml.Node, key string) {
		*to = map[string]string{}
		r.eachMember(n, key, func(name, value *yaml.Node, path string) {
			if err := checkVisitPath(name.Value); err != nil {
				r.fault(name, path, "%v", err)
			}
			var field string
			r.field(&field, visitFieldNames[:])(value, path)
			(*to)[name.Value] = field
		})
	}
}
