package main

import (
	"strings"

	yaml "go.yaml.in/yaml/v3"
)

// caseUpdate collects the changes that make the expectations of cases what came out.
type caseUpdate struct {
	source  *sourceText
	r       *caseResult
	splices []splice
	line    int // where err was met
	err     error
}

func (u *caseUpdate) splice(from, to int, text string) {
	u.splices = append(u.splices, splice{from, to, text})
}

// failed keeps the first error.
func (u *caseUpdate) failed(node *yaml.Node, err error) bool {
	if err != nil && u.err == nil {
		u.line, u.err = node.Line, err
	}
	return u.err != nil
}

// result rewrites one case. One without any expectation gets all.
func (u *caseUpdate) result() {
	c := u.r.c
	bare := !c.namesVisits()
	for i := range c.steps {
		bare = bare && c.steps[i].want == nil
	}
	strict := c.strict && c.namesVisits()
	for i := range c.steps {
		step, got := &c.steps[i], &u.r.steps[i]
		for _, m := range got.edits {
			u.replace(m.node, m.got)
		}
		switch {
		case step.idle:
		case step.want != nil && isNull(step.want.node):
			u.fill(step.want.key, step.want.node, " "+u.r.stampText(got))
		case step.want == nil && bare:
			u.insert(step.node, "expect", " "+u.r.stampText(got))
		}
		u.visits(step.node, step.visits, got, bare || strict)
	}
	end := &u.r.steps[len(c.steps)]
	for _, m := range end.edits {
		u.replace(m.node, m.got)
	}
	u.visits(c.node, c.end, end, bare || strict)
}

// replace puts a text in the place of a value.
func (u *caseUpdate) replace(node *yaml.Node, text string) {
	end, err := u.source.end(node)
	if !u.failed(node, err) {
		u.splice(u.source.start(node), end, text)
	}
}

// fill puts a value where a key has none.
func (u *caseUpdate) fill(key, node *yaml.Node, text string) {
	if node.Value != "" { // null or ~
		u.replace(node, strings.TrimPrefix(text, " "))
		return
	}
	colon, err := u.source.colon(key)
	if !u.failed(key, err) {
		u.splice(colon, colon, text)
	}
}

// insert adds a key at the end of a mapping; text has the space or line feed behind the colon.
func (u *caseUpdate) insert(mapping *yaml.Node, key, text string) {
	end, err := u.source.end(mapping)
	if u.failed(mapping, err) {
		return
	}
	if mapping.Style&yaml.FlowStyle != 0 {
		at := end - 1
		for at > 0 && strings.IndexByte(" \t\r\n", u.source.text[at-1]) >= 0 {
			at--
		}
		entry := ", " + key + ":" + text
		if u.source.text[at-1] == ',' {
			entry = " " + key + ":" + text + ","
		}
		u.splice(at, at, entry)
		return
	}
	at := u.source.lineEnd(end)
	u.splice(at, at, "\n"+strings.Repeat(" ", mapping.Column-1)+key+":"+text)
}

// visits rewrites the visit records of one place.
func (u *caseUpdate) visits(mapping *yaml.Node, want *wantVisits, got *stepResult, all bool) {
	flow := mapping.Style&yaml.FlowStyle != 0
	switch {
	case want == nil && (!all || len(got.visits) == 0):
	case want == nil:
		u.insert(mapping, "visits", u.listText(got.visits, flow, mapping.Column-1))
	case isNull(want.node):
		u.fill(want.key, want.node, u.listText(got.visits, flow, mapping.Column-1))
	case len(got.visits) < len(want.visits):
		u.shorten(want, len(got.visits))
	case len(got.visits) > len(want.visits):
		u.lengthen(want, got.visits[len(want.visits):])
	}
}

// listText is a list of visits behind the colon of its key.
func (u *caseUpdate) listText(visits []members, flow bool, indent int) string {
	var texts []string
	for _, v := range visits {
		texts = append(texts, u.r.visitText(v))
	}
	if flow || len(visits) == 0 {
		return " [" + strings.Join(texts, ", ") + "]"
	}
	line := "\n" + strings.Repeat(" ", indent+2) + "- "
	return line + strings.Join(texts, line)
}

// shorten takes the visits behind the first n away.
func (u *caseUpdate) shorten(want *wantVisits, n int) {
	list := want.node
	end, err := u.source.end(list)
	if u.failed(list, err) {
		return
	}
	u.drop(want.visits[n:])
	if list.Style&yaml.FlowStyle == 0 {
		if n == 0 {
			u.fillEmpty(want.key)
		}
		// The line feed in front goes: the one behind is where something else may be inserted.
		from := u.source.lines[want.visits[n].node.Line-1] - 1
		u.splice(from, u.source.lineEnd(end), "")
		return
	}
	from := u.source.start(list) + 1
	if n > 0 {
		from, err = u.source.end(want.visits[n-1].node)
	}
	last, err2 := u.source.end(want.visits[len(want.visits)-1].node)
	if !u.failed(list, err) && !u.failed(list, err2) {
		u.splice(from, last, "")
	}
}

// fillEmpty makes the value of a key the empty list; what was there goes in another splice.
func (u *caseUpdate) fillEmpty(key *yaml.Node) {
	colon, err := u.source.colon(key)
	if !u.failed(key, err) {
		u.splice(colon, colon, " []")
	}
}

// drop forgets the changes inside of visits that go.
func (u *caseUpdate) drop(visits []wantVisit) {
	for _, v := range visits {
		from := u.source.start(v.node)
		to, err := u.source.end(v.node)
		if u.failed(v.node, err) {
			return
		}
		kept := u.splices[:0]
		for _, s := range u.splices {
			if s.from < from || s.from >= to {
				kept = append(kept, s)
			}
		}
		u.splices = kept
	}
}

// lengthen adds visits at the end of a list.
func (u *caseUpdate) lengthen(want *wantVisits, more []members) {
	list := want.node
	var texts []string
	for _, v := range more {
		texts = append(texts, u.r.visitText(v))
	}
	end, err := u.source.end(list)
	if u.failed(list, err) {
		return
	}
	if list.Style&yaml.FlowStyle != 0 {
		separator := ", "
		if len(want.visits) == 0 {
			separator = ""
		}
		u.splice(end-1, end-1, separator+strings.Join(texts, ", "))
		return
	}
	line := "\n" + strings.Repeat(" ", list.Column-1) + "- "
	at := u.source.lineEnd(end)
	u.splice(at, at, line+strings.Join(texts, line))
}

// stampText is what an update says of an event of which nothing was said.
func (r *caseResult) stampText(got *stepResult) string {
	var parts []string
	names := []string{"index", "start", "reason", "late", "duplicate", "rule"}
	switch got.stamp["state"] {
	case "in_session":
	case stateDeadLetter:
		names = []string{"deadLetter"}
	default:
		names = []string{"state", "rule"}
	}
	for _, name := range names {
		if value := got.stamp.at(name); value != nil {
			parts = append(parts, name+": "+flowValue(value))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
