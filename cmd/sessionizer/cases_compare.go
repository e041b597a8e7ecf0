package main

import (
	"fmt"
	"slices"
	"strings"
)

// compare finds what is not as the case says.
func (r *caseResult) compare() {
	strict := r.c.strict && r.c.namesVisits()
	for i := range r.c.steps {
		step, got := &r.c.steps[i], &r.steps[i]
		if step.want != nil && !isNull(step.want.node) {
			r.compareStamp(step, got)
		}
		r.compareVisits(step.visits, got, step.node.Line, step.label, strict)
	}
	line := r.c.line
	if r.c.end != nil {
		line = r.c.end.node.Line
	}
	r.compareVisits(r.c.end, &r.steps[len(r.c.steps)], line, "when time has run on", strict)
}

// namesVisits reports whether the case says anything of visits: then it says all.
func (c *testCase) namesVisits() bool {
	return c.end != nil || slices.ContainsFunc(c.steps, func(s caseStep) bool {
		return s.visits != nil
	})
}

func (r *caseResult) compareStamp(step *caseStep, got *stepResult) {
	c := comparison{clock: caseClock{start: r.c.start}}
	for _, e := range step.want.entries {
		from := got.stamp
		if strings.Contains(e.name, ".") {
			from = got.output
		}
		value := from.at(e.name)
		if e.name == payloadName && got.output != nil {
			value = map[string]any(got.output)
		}
		if rule, ok := value.(ruleName); ok {
			value = rule.String()
			if e.value.Value == fmt.Sprint(rule.number) {
				value = e.value.Value
			}
		}
		c.member(e.name, e.value, value)
	}
	got.edits = append(got.edits, c.found...)
	if len(c.found) > 0 {
		want, have := pairs(c.found)
		if state := got.stamp["state"]; state != "in_session" && !strings.Contains(have, "state:") {
			have += " (state: " + flowValue(state) + ")"
		}
		r.failures = append(r.failures, caseFailure{step.want.node.Line, step.label, want, have})
	}
}

// pairs writes mismatches as two lines.
func pairs(found []mismatch) (want, got string) {
	var w, g []string
	for _, m := range found {
		w, g = append(w, m.name+": "+m.want), append(g, m.name+": "+m.got)
	}
	return strings.Join(w, ", "), strings.Join(g, ", ")
}

// compareVisits compares the visit records of one place, one by one.
func (r *caseResult) compareVisits(
	want *wantVisits, got *stepResult, line int, place string, strict bool,
) {
	if want == nil && !strict || want != nil && isNull(want.node) {
		return
	}
	var wanted []wantVisit
	if want != nil {
		wanted = want.visits
	}
	for i := range max(len(wanted), len(got.visits)) {
		f := caseFailure{line: line, place: place + ", visit " + fmt.Sprint(i+1)}
		switch {
		case i >= len(wanted):
			f.want, f.got = "none", r.visitText(got.visits[i])
		case i >= len(got.visits):
			f.line = wanted[i].node.Line
			f.want, f.got = flowYAML(wanted[i].node), "none"
		default:
			c := comparison{clock: caseClock{start: r.c.start}}
			for _, e := range wanted[i].entries {
				c.member(e.name, e.value, got.visits[i].at(visitPath(e.name)))
			}
			got.edits = append(got.edits, c.found...)
			if len(c.found) == 0 {
				continue
			}
			f.line = wanted[i].node.Line
			f.want, f.got = pairs(c.found)
		}
		r.failures = append(r.failures, f)
	}
}

func visitPath(name string) string {
	if path, ok := shortVisitNames()[name]; ok {
		return path
	}
	return name
}

// hasKeys reports whether the events are of more than one anonymous id.
func (c *testCase) hasKeys() bool {
	first := ""
	for i := range c.steps {
		if key := c.steps[i].key; key != "" && first != "" && key != first {
			return true
		} else if key != "" {
			first = key
		}
	}
	return false
}

// visitStarted is the event of a record that begins a visit; Visit Ended goes without saying.
const visitStarted = "Visit Started"

// visitText writes a visit record with the members that tell it from others, and that a case would
// name.
func (r *caseResult) visitText(visit members) string {
	var parts []string
	names := []string{"event", "index", "reason", "revision", "startedAt", "endedAt", "events"}
	if visit["event"] == visitStarted {
		names = []string{"event", "index", "reason", "startedAt"}
	}
	if r.c.hasKeys() {
		names = slices.Insert(names, 1, "key")
	}
	for _, name := range names {
		value := visit.at(visitPath(name))
		text := flowValue(value)
		switch {
		case name == "event" && value != visitStarted:
			continue
		case name == "revision" && text == "1":
			continue
		case isTimeName(name):
			c := comparison{clock: caseClock{start: r.c.start}}
			if s, ok := value.(string); ok {
				_, text = c.time("", s)
			}
		}
		parts = append(parts, name+": "+text)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
