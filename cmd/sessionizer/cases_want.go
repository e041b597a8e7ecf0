package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"sessionizer/internal/config"
	"sessionizer/session"
)

// wantStamp is what a case says of one event: members of its stamp, and by names with a dot members
// of what comes out. Only what is named is compared.
type wantStamp struct {
	key     *yaml.Node
	node    *yaml.Node // the mapping; a null: to be filled in
	entries []caseEntry
}

// wantVisits is what a case says of the visit records that come with one event, or at the end: all
// of them, in their order.
type wantVisits struct {
	key    *yaml.Node
	node   *yaml.Node // the list; a null: to be filled in
	visits []wantVisit
}

// wantVisit is what a case says of one visit record.
type wantVisit struct {
	node    *yaml.Node
	entries []caseEntry
}

// stampNames are the members of a stamp that a case may name.
func stampNames() []string {
	return []string{
		"state", "id", "start", "uuid", "index", "eventIndex", "previousId", "startedAt", "reason",
		"gapMs", "timeoutMs", "clamped", "duplicate", "idSource", "clientId", "late", "campaign",
		"rule", "headers", "deadLetter",
	}
}

// payloadName stands for the event that comes out: its members, as in the events.
const payloadName = "payload"

// visitNames are the members of a visit record that a case may name.
func visitNames() []string {
	names := []string{
		"type", "event", "messageId", "anonymousId", "userId", "firstUserId", "source", "session",
		"reason", "revision", "mergedInto", "startedAt", "endedAt", "durationMs", "activeMs",
		"timeoutMs", "amendableUntil", "counts", "firstEventId", "lastEventId", "entry", "exit",
		"campaign", "referrer", "context", "foregroundIndex", "backgroundIndex", "origin",
	}
	for name := range shortVisitNames() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// shortVisitNames stand for members inside of others.
func shortVisitNames() map[string]string {
	names := map[string]string{"key": "anonymousId", "user": "userId"}
	for _, name := range []string{"id", "uuid", "index", "previousId"} {
		names[name] = "session." + name
	}
	for _, name := range []string{
		"events", "pages", "screens", "tracks", "late", "duplicates", "attached",
	} {
		names[name] = "counts." + name
	}
	return names
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

// wantStamp reads an expectation.
func (r *caseReader) wantStamp(of caseEntry, key string) *wantStamp {
	w := &wantStamp{key: of.key, node: of.value}
	if isNull(w.node) {
		return w
	}
	w.entries = r.entries(w.node, key)
	for _, e := range w.entries {
		r.known(e, key, append(stampNames(), payloadName))
		r.closed(e, key, stampValues(e.name))
	}
	return w
}

// known finds names that nothing has.
func (r *caseReader) known(e caseEntry, key string, names []string) {
	if !strings.Contains(e.name, ".") && !slices.Contains(names, e.name) {
		r.fault(e.line, key+"."+e.name, "no such member", config.Nearest(e.name, names))
	}
}

// wantVisits reads the expectations of visit records.
func (r *caseReader) wantVisits(of caseEntry, key string) *wantVisits {
	node := of.value
	w := &wantVisits{key: of.key, node: node}
	if isNull(node) {
		return w
	}
	if node.Kind != yaml.SequenceNode {
		r.fault(node.Line, key, "want a list of visits, found "+nodeText(node), "")
		return w
	}
	for i, item := range node.Content {
		key := fmt.Sprintf("%s[%d]", key, i)
		v := wantVisit{node: item, entries: r.entries(item, key)}
		for _, e := range v.entries {
			r.known(e, key, visitNames())
			if e.name == "reason" {
				r.closed(e, key, reasonValues(session.ReasonMerged))
			}
		}
		w.visits = append(w.visits, v)
	}
	return w
}

// members is a decoded object; numbers are json.Number.
type members map[string]any

// at returns what is at a path; nil: nothing, or null.
func (m members) at(path string) any {
	if v, ok := m[path]; ok { // a name may have a dot
		return v
	}
	var at any = map[string]any(m)
	for name := range strings.SplitSeq(path, ".") {
		switch v := at.(type) {
		case map[string]any:
			at = v[name]
		case []any:
			position := json.Number(name)
			n, err := position.Int64()
			if err != nil || n < 0 || n >= int64(len(v)) {
				return nil
			}
			at = v[n]
		default:
			return nil
		}
	}
	return at
}

// mismatch is one member that is not as a case says.
type mismatch struct {
	name string
	node *yaml.Node // of the value wanted
	want string
	got  string
}

// comparison compares members with what a case says.
type comparison struct {
	clock caseClock
	found []mismatch
}

// member compares one member, of an object each member that is named. want and got are shown in
// the form of the case.
func (c *comparison) member(name string, want *yaml.Node, got any) {
	object, isObject := got.(map[string]any)
	if want.Kind == yaml.MappingNode && isObject {
		for i := 0; i+1 < len(want.Content); i += 2 {
			inner := want.Content[i].Value
			c.member(name+"."+inner, want.Content[i+1], object[inner])
		}
		return
	}
	if equal, shown := c.equal(name, want, got); !equal {
		c.found = append(c.found, mismatch{name, want, flowYAML(want), shown})
	}
}

// equal compares a value with what was wanted, and writes it in the same form.
func (c *comparison) equal(name string, want *yaml.Node, got any) (equal bool, shown string) {
	last := name[strings.LastIndex(name, ".")+1:]
	text, isText := got.(string)
	switch {
	case isNull(want), want.ShortTag() == "!!bool" && want.Value == "false":
		return got == nil || got == false, flowValue(got)
	case want.Kind == yaml.MappingNode:
		return c.object(name, want, got), flowValue(got)
	case want.Kind == yaml.SequenceNode:
		return c.list(want, got), flowValue(got)
	case isText && isTimeName(last):
		return c.time(want.Value, text)
	case strings.HasSuffix(last, "Ms"):
		if d, ok := parseMillis(want.Value); ok {
			return c.millis(d, got)
		}
	case isText && isIDName(last) && want.Kind == yaml.ScalarNode:
		return want.Value == text, flowValue(got) // 1767225600000 may be a text
	}
	return sameScalar(want, got), flowValue(got)
}

func isTimeName(name string) bool {
	return name == "startedAt" || name == "endedAt" || name == "amendableUntil"
}

func isIDName(name string) bool {
	return name == "id" || name == "previousId" || name == "clientId" || name == "mergedInto" ||
		name == "rule" // a rule goes by its name or its number
}

// time compares times, of which the wanted one may be relative to the start.
func (c *comparison) time(want, got string) (equal bool, shown string) {
	t, ok := session.ParseTime([]byte(got))
	if !ok {
		return want == got, flowText(got)
	}
	shown = got // which YAML takes for no text, as in the events
	if _, relative := parseMillis(want); relative || want == "" {
		shown = formatMillis(session.Millis(t - c.clock.start))
	}
	w, ok := c.clock.at(want)
	return ok && w == t, shown
}

func (c *comparison) millis(want session.Millis, got any) (equal bool, shown string) {
	number, ok := got.(json.Number)
	n, err := number.Int64()
	if !ok || err != nil {
		return false, flowValue(got)
	}
	return session.Millis(n) == want, formatMillis(session.Millis(n))
}

// object compares the members that are named.
func (c *comparison) object(name string, want *yaml.Node, got any) bool {
	inner := comparison{clock: c.clock}
	if _, ok := got.(map[string]any); ok {
		inner.member(name, want, got)
		return len(inner.found) == 0
	}
	return false
}

func (c *comparison) list(want *yaml.Node, got any) bool {
	list, ok := got.([]any)
	if !ok || len(list) != len(want.Content) {
		return false
	}
	for i, item := range want.Content {
		if equal, _ := c.equal("", item, list[i]); !equal {
			return false
		}
	}
	return true
}

// sameScalar compares by type; numbers by value.
func sameScalar(want *yaml.Node, got any) bool {
	if want.Kind != yaml.ScalarNode {
		return false
	}
	switch want.ShortTag() {
	case "!!bool":
		return got == true && want.Value != "false"
	case "!!int", "!!float":
		number, ok := got.(json.Number)
		if !ok {
			return false
		}
		if want.Value == number.String() {
			return true
		}
		var whole int64
		if exact, err := number.Int64(); err == nil && want.Decode(&whole) == nil {
			return exact == whole // which may be more than a float holds
		}
		var w float64
		n, err := number.Float64()
		return err == nil && want.Decode(&w) == nil && w == n
	}
	text, ok := got.(string)
	return ok && text == want.Value
}
