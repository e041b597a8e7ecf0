package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	yaml "go.yaml.in/yaml/v3"

	"sessionizer/schemas"
	"sessionizer/session"
)

// Rule is one of the list that an event's first match is looked for in.
type Rule struct {
	Name   string // as given, else where it stands: rules[2], or of a profile: segment rules[2]
	When   []schemas.Condition
	Effect session.Effect

	key    string // in the list it stands in: rules[2]
	origin Origin
	lines  map[string]int // of its keys, of when also by path: when.context.locale
	raw    value
}

const rulesKey = "rules"

// The keys of a rule.
const (
	ruleName        = "name"
	ruleWhen        = "when"
	ruleTimeout     = "timeout"
	ruleClass       = "class"
	ruleStart       = "start"
	ruleEnd         = "end"
	ruleMaxDuration = "max_duration"
	ruleDrop        = "drop"
)

func effectNames() []string {
	return []string{ruleTimeout, ruleClass, ruleStart, ruleEnd, ruleMaxDuration, ruleDrop}
}

func ruleNames() []string { return slices.Concat([]string{ruleName, ruleWhen}, effectNames()) }

// classNames are the classes in the order of session.Class.
func classNames() []string { return []string{"start", "extend", "attach", "ignore"} }

// rulesField shows the rules. They are read by applyRules: one that is wrong
// has more than one fault to tell.
func rulesField() field {
	return field{kind: "list of rules", get: func(c *Config) any {
		shown := []ShownRule{}
		for i := range c.Rules {
			shown = append(shown, c.Rules[i].show())
		}
		return shown
	}}
}

// applyRules reads a list of rules. Those of the profile stand apart: the
// user's do not replace them, they come first.
func (l *loader) applyRules(v value) {
	l.origins[rulesKey] = v.origin
	items, ok := l.ruleList(v)
	if !ok {
		return
	}
	var rules []Rule
	named := map[string]int{}
	for i, item := range items {
		if len(l.faults) >= faultsMax {
			break
		}
		r := Rule{key: fmt.Sprintf("%s[%d]", rulesKey, i), origin: item.origin, raw: item,
			lines: map[string]int{}}
		r.Name = r.key
		if v.origin.layer == layerProfile {
			r.Name = l.config.Profile + " " + r.key
		}
		reader := ruleReader{loader: l, rule: &r}
		reader.read()
		if first, ok := named[r.Name]; ok {
			reader.fault(ruleName, item.member(ruleName), faultf("%s is also the name of %s[%d]",
				shown(r.Name), rulesKey, first))
		}
		named[r.Name] = i
		rules = append(rules, r)
	}
	if v.origin.layer == layerProfile {
		l.profileRules = rules
	} else {
		l.config.Rules = rules
	}
}

// ruleList is a list of mappings, or text in the form of one from the
// environment and --set.
func (l *loader) ruleList(v value) ([]value, bool) {
	if v.shape == scalar && v.untyped() {
		if strings.TrimSpace(v.text) == "" {
			return nil, true
		}
		r := &fileReader{layer: v.origin.layer, name: v.origin.name}
		var root yaml.Node
		if err := yaml.Unmarshal([]byte(v.text), &root); err != nil {
			r.syntaxFault(err)
		} else if len(root.Content) == 1 {
			v = r.value(rulesKey, root.Content[0])
		}
		for _, f := range r.faults {
			f.Origin.order, f.Key = v.origin.order, rulesKey
			l.faults = append(l.faults, f)
		}
		if len(r.faults) > 0 {
			return nil, false
		}
	}
	if v.shape != list {
		l.fault(v.origin, rulesKey, wanted("a list of rules", v))
		return nil, false
	}
	return v.items, true
}

// ruleReader reads one rule and tells all that is wrong with it.
type ruleReader struct {
	*loader
	rule   *Rule
	faulty bool
}

// fault tells of a key of the rule at the place of its value.
func (r *ruleReader) fault(key string, v value, f *fault) {
	r.faulty = true
	if key != "" {
		key = "." + key
	}
	if f.nearest != "" && strings.HasPrefix(f.problem, "no such") {
		prefix := key[:strings.LastIndex(key, ".")+1]
		whole := *f
		whole.nearest = r.rule.key + prefix + f.nearest
		f = &whole
	}
	r.loader.fault(v.origin, r.rule.key+key, f)
}

func (r *ruleReader) read() {
	v := r.rule.raw
	if v.shape != mapping {
		r.fault("", v, wanted("a rule: a mapping with when and what it does", v))
		return
	}
	for _, m := range v.members {
		r.rule.lines[m.name] = m.origin.line
		if f := r.member(m); f != nil {
			r.fault(m.name, m.value, f)
		}
	}
	if v.broken || r.faulty {
		return // what is missing may be what is wrong
	}
	if _, ok := r.rule.lines[ruleWhen]; !ok {
		r.fault("", v, faultf("has no when: write when: {} for a rule of every event"))
	}
	r.checkEffects(v)
}

func (r *ruleReader) member(m member) *fault {
	e := &r.rule.Effect
	switch m.name {
	case ruleName:
		name, f := asText(m.value)
		if f == nil {
			f = notEmpty(name)
		}
		r.rule.Name = name
		return f
	case ruleWhen:
		return r.when(m.value)
	case ruleTimeout:
		return ruleDuration(&e.Timeout, m.value)
	case ruleMaxDuration:
		return ruleDuration(&e.MaxDuration, m.value)
	case ruleClass:
		name, f := asText(m.value)
		if f == nil {
			f = oneOf(name, classNames())
		}
		e.Class = session.Class(max(slices.Index(classNames(), name), 0))
		return f
	case ruleStart:
		return ruleFlag(&e.Start, m.value)
	case ruleEnd:
		return ruleFlag(&e.End, m.value)
	case ruleDrop:
		return ruleFlag(&e.Drop, m.value)
	}
	if near := nearest(m.name, ruleNames(), ""); near != "" && !isPlace(m.name) {
		return unknown("no such key", near)
	}
	return faultf("no such key of a rule: a condition belongs below when")
}

// isPlace says that a name looks like a path of an event, not like a key of a rule.
func isPlace(name string) bool {
	return strings.Contains(name, ".") || slices.Contains(pathNames(), name)
}

func ruleDuration(to *session.Millis, v value) *fault {
	var d time.Duration
	set := duration(func(*Config) *time.Duration { return &d }, time.Millisecond, timesMax).set
	f := set(nil, v)
	*to = millis(d)
	return f
}

func ruleFlag(to *bool, v value) (f *fault) {
	*to, f = asBool(v)
	return f
}

// checkEffects finds a rule that does nothing, and effects that exclude each other.
func (r *ruleReader) checkEffects(v value) {
	e := r.rule.Effect
	given := map[string]bool{
		ruleTimeout: e.Timeout > 0, ruleMaxDuration: e.MaxDuration > 0,
		ruleClass: v.has(ruleClass), ruleStart: e.Start, ruleEnd: e.End, ruleDrop: e.Drop,
	}
	count := 0
	for _, is := range given {
		if is {
			count++
		}
	}
	if count == 0 {
		r.fault("", v, faultf("does nothing: want %s", alternatives(effectNames())))
		return
	}
	class := classNames()[e.Class]
	for _, name := range effectNames() {
		if !given[name] {
			continue
		}
		switch {
		case e.Drop && name != ruleDrop:
			r.fault(name, v.member(name), faultf("has no effect: the rule drops the event"))
		case e.Class == session.ClassIgnore && name != ruleClass && name != ruleDrop:
			r.fault(name, v.member(name), faultf("has no effect on events of the class ignore"))
		case e.Class == session.ClassAttach && (name == ruleStart || name == ruleEnd),
			e.Class == session.ClassExtend && name == ruleStart:
			r.fault(name, v.member(name), faultf("contradicts the class %s, whose events do not %s "+
				"sessions", class, name))
		}
	}
}

// ShownRule is a rule as it may be written.
type ShownRule struct {
	Name        string         `json:"name,omitempty"         yaml:"name,omitempty"`
	When        map[string]any `json:"when"                   yaml:"when"`
	Timeout     string         `json:"timeout,omitempty"      yaml:"timeout,omitempty"`
	Class       string         `json:"class,omitempty"        yaml:"class,omitempty"`
	Start       bool           `json:"start,omitempty"        yaml:"start,omitempty"`
	End         bool           `json:"end,omitempty"          yaml:"end,omitempty"`
	MaxDuration string         `json:"max_duration,omitempty" yaml:"max_duration,omitempty"`
	Drop        bool           `json:"drop,omitempty"         yaml:"drop,omitempty"`

	Origin string `json:"origin" yaml:"-"` // where it begins

	preset bool // of the profile, behind all others
}

func (r *Rule) show() ShownRule {
	s := ShownRule{
		When: map[string]any{}, Start: r.Effect.Start, End: r.Effect.End, Drop: r.Effect.Drop,
		Origin: r.origin.String(), preset: r.origin.layer == layerProfile,
	}
	for _, m := range r.raw.member(ruleWhen).members {
		s.When[m.name] = m.plain()
	}
	if r.raw.has(ruleName) {
		s.Name = r.Name
	}
	if r.raw.has(ruleClass) {
		s.Class = classNames()[r.Effect.Class]
	}
	if d := r.Effect.Timeout; d > 0 {
		s.Timeout = durationText(time.Duration(d) * time.Millisecond)
	}
	if d := r.Effect.MaxDuration; d > 0 {
		s.MaxDuration = durationText(time.Duration(d) * time.Millisecond)
	}
	return s
}
