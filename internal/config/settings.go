package config

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	yaml "go.yaml.in/yaml/v3"
)

// Setting is a key of the configuration with what is in force for it.
type Setting struct {
	Key    string `json:"key"`
	Value  any    `json:"value"`  // a text, number, boolean or list; of a secret never the text
	Origin string `json:"origin"` // where the value comes from: a place in a file, "defaults", ...

	mute bool // in a file it must not stand, or would mean something else: a comment
}

// Show loads a configuration and returns the value of every key, in the order
// of the reference. Faults and warnings are those of Load for commands that
// speak to no broker.
func Show(s Sources) ([]Setting, Faults, error) {
	s.Offline = true
	l := load(s)
	if len(l.faults) > 0 {
		return nil, l.warnings.sorted(), l.faults.sorted()
	}
	var all []Setting
	for i := range l.table {
		all = append(all, l.setting(&l.table[i]))
	}
	return all, l.warnings.sorted(), nil
}

func (l *loader) setting(k *key) Setting {
	s := Setting{
		Key: k.name, Value: k.get(&l.config), Origin: l.origins[k.name].String(), mute: k.secret,
	}
	_, given := l.origins[k.name]
	section, name, _ := strings.Cut(k.name, ".")
	switch {
	case k.name == "kafka.instance" && l.config.Kafka.Instance == "":
		// Without a broker to speak to the name is not needed, and no fault where there is none.
		// Written into a file it would be the name of other hosts too.
		if host, err := l.sources.Hostname(); err == nil && legalName(host) == nil {
			s.Value, s.Origin, s.mute = host, "host name", true
		}
	case section == "paths" && !given:
		s.Value = []string{}
		if paths := l.profile.Paths[name]; len(paths) > 0 {
			s.Value = oneOrMore(paths)
			s.Origin = Origin{layer: layerProfile, name: l.config.Profile}.String()
		}
	case section == "dead_letters" && !given:
		s.mute = name == "on.invalid_id" && l.config.Session.OnInvalid != "dead_letter" ||
			name == "on.too_late" && l.config.Time.TooLate != "dead_letter"
	}
	return s
}

// Entry is a key of the reference.
type Entry struct {
	Key         string `json:"key"`
	Type        string `json:"type"`
	Default     any    `json:"default"` // without a profile; nil: the profile alone has one
	Environment string `json:"environment"`
	About       string `json:"about"`
}

// Reference returns every key there is, by sections.
func Reference() []Entry {
	defaults := Defaults()
	var all []Entry
	for _, k := range keys() {
		e := Entry{Key: k.name, Type: k.kind, Default: k.get(&defaults), Environment: k.variable(),
			About: k.about}
		if k.name == "session.id_type" {
			e.Default = nil
		}
		all = append(all, e)
	}
	return all
}

// WriteSettings writes settings as a configuration file, with the origin of
// each value as a comment. Where a secret would stand is a comment only.
func WriteSettings(w io.Writer, all []Setting) error {
	var open []string // the sections that the line before is in
	for _, s := range all {
		parts := strings.Split(s.Key, ".")
		sections, name := parts[:len(parts)-1], parts[len(parts)-1]
		same := 0
		for same < min(len(open), len(sections)) && open[same] == sections[same] {
			same++
		}
		for i := same; i < len(sections); i++ {
			if _, err := fmt.Fprintf(w, "%s%s:\n", indent(i), sections[i]); err != nil {
				return err
			}
		}
		open = sections
		if rules, ok := s.Value.([]ShownRule); ok && len(rules) > 0 {
			if err := writeRules(w, rules); err != nil {
				return err
			}
			continue
		}
		line := indent(len(sections)) + name + ": "
		if s.mute {
			line = indent(len(sections)) + "# " + name + ": "
		}
		text, err := Text(s.Value)
		if err != nil {
			return fmt.Errorf("write %s: %w", s.Key, err)
		}
		if err := writeCommented(w, line+text, s.Origin); err != nil {
			return err
		}
	}
	return nil
}

// writeRules writes the rules one a line, those of the profile as comments:
// they come behind the others anyway.
func writeRules(w io.Writer, rules []ShownRule) error {
	head := "rules:\n"
	if rules[0].preset {
		head = "rules: []\n"
	}
	for i, r := range rules {
		begin := "  - "
		if r.preset {
			begin = "  # - "
			if i == 0 || !rules[i-1].preset {
				head += "  # behind them, of the profile:\n"
			}
		}
		if _, err := io.WriteString(w, head); err != nil {
			return err
		}
		head = ""
		text, err := Text(r)
		if err != nil {
			return fmt.Errorf("write rules[%d]: %w", i, err)
		}
		if err := writeCommented(w, begin+text, r.Origin); err != nil {
			return err
		}
	}
	return nil
}

// originColumn is where the comments begin that tell where a value is from.
const originColumn = 52

func writeCommented(w io.Writer, line, comment string) error {
	pad := max(originColumn-utf8.RuneCountInString(line), 2)
	_, err := fmt.Fprintf(w, "%s%*s# %s\n", line, pad, "", comment)
	return err
}

func indent(depth int) string { return strings.Repeat("  ", depth) }

// Text is a value of a Setting or an Entry as YAML on one line.
func Text(v any) (string, error) {
	var n yaml.Node
	if err := n.Encode(v); err != nil {
		return "", err
	}
	n.Style |= yaml.FlowStyle
	if n.Kind == yaml.ScalarNode && strings.ContainsAny(n.Value, "\n\r") {
		n.Style = yaml.DoubleQuotedStyle
	}
	text, err := yaml.Marshal(&n)
	return strings.TrimSuffix(string(text), "\n"), err
}
