package audit

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// What a record about a visit says in JSON: visitAlways is in each of them, visitSometimes where
// there is something to say.
const (
	visitAlways = "type event messageId anonymousId session session.id session.uuid session.index " +
		"reason revision startedAt endedAt durationMs activeMs timeoutMs counts counts.events " +
		"counts.pages counts.screens counts.tracks counts.late counts.duplicates counts.attached " +
		"origin origin.topic origin.partition origin.firstOffset origin.lastOffset origin.decidedAt"
	visitSometimes = "userId firstUserId source session.previousId mergedInto amendableUntil " +
		"foregroundIndex backgroundIndex firstEventId lastEventId entry entry.url entry.screen exit " +
		"exit.url exit.screen campaign referrer context"
)

// newVisitNames returns the members that a record about a visit may have, and true for those that
// it must have.
func (f *form) newVisitNames() map[string]bool {
	names := map[string]bool{}
	for _, path := range strings.Fields(visitSometimes) {
		names[path] = false
	}
	for _, path := range strings.Fields(visitAlways) {
		names[path] = true
	}
	for path := range f.VisitMembers {
		for i := 1; i <= len(splitPath(path)); i++ {
			names[strings.Join(splitPath(path)[:i], ".")] = true
		}
	}
	return names
}

// visitFault says what is wrong with the text of a record about a visit: each member is there once,
// there is none that is not written, no white space, and times have the form of ours.
func (f *form) visitFault(value []byte, v *visit) string {
	var compact bytes.Buffer
	var d document
	switch err := json.Compact(&compact, value); {
	case err != nil || !d.read(value):
		return "it is no JSON object"
	case !bytes.Equal(compact.Bytes(), value):
		return "it has white space between its members, and none is written"
	}
	seen := map[string]bool{}
	if what := f.membersFault(&d, &d.nodes[0], "", seen); what != "" {
		return what
	}
	for name, must := range f.visitNames {
		if must && !seen[name] {
			return name + " is missing"
		}
	}
	for name, ms := range map[string]int64{"startedAt": v.startedMs, "endedAt": v.endedMs,
		"amendableUntil": v.amendableMs} {
		if n := d.find(place{name}); n != nil && string(d.content(n)) != timeText(ms) {
			return name + " is not written as times are"
		}
	}
	for path, of := range f.VisitMembers {
		want := map[string]string{"anonymousId": v.anonymous, "id": v.id, "uuid": v.uuid,
			"index": number(v.index)}[of]
		if n := d.find(splitPath(path)); idText(d.raw(n)) != want {
			return path + " is not the visit's " + of
		}
	}
	return ""
}

// membersFault looks at the members of an object, and of those in it.
func (f *form) membersFault(d *document, n *node, prefix string, seen map[string]bool) string {
	isFree := strings.HasPrefix(prefix, "context.") || prefix == "campaign."
	for c := n.first; c != 0; c = d.nodes[c].next {
		m := &d.nodes[c]
		path := prefix + m.name
		_, known := f.visitNames[path]
		switch {
		case n.kind != '{' || !isFree && (!known || slices.Contains([]byte(m.name), '.')):
			return "it has a member that is not ours"
		case seen[path]:
			return "a member is there twice"
		case m.kind == 'n' || m.kind == '"' && m.end-m.start == len(`""`):
			return "a member that has nothing to say is there"
		}
		seen[path] = true
		if what := f.membersFault(d, m, path+".", seen); what != "" {
			return what
		}
	}
	return ""
}
