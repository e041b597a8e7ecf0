package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"sessionizer/internal/config"
	"sessionizer/session"
)

// stepReader reads the events of one case.
type stepReader struct {
	*caseReader
	c       *testCase
	paths   eventPaths
	clock   caseClock
	latest  session.Time // of the events so far: when the next one arrives
	lastKey string
}

// stepNames are the names of an event that are not in its payload.
func stepNames() []string {
	return []string{"at", "received", "payload", "raw", "idle", "expect", "visits"}
}

func (r *caseReader) steps(c *testCase, node *yaml.Node, key string) {
	if node == nil || node.Kind != yaml.SequenceNode {
		r.fault(c.line, key+".events", "want a list of events", "")
		return
	}
	paths, err := c.cfg.Places()
	if err != nil {
		r.fault(c.line, key, err.Error(), "")
		return
	}
	s := &stepReader{
		caseReader: r, c: c, paths: paths, lastKey: visitorKey, latest: session.NoTime,
		clock: caseClock{start: c.start, last: c.start},
	}
	for i, event := range node.Content {
		entries := s.entries(event, fmt.Sprintf("%s.events[%d]", key, i))
		if entries == nil {
			continue
		}
		s.step(event, entries, fmt.Sprintf("%s.events[%d]", key, i))
	}
}

// step reads an event. What stands for something in its payload is put there in the order it is
// written, over what payload gives.
func (s *stepReader) step(node *yaml.Node, entries []caseEntry, key string) {
	step := caseStep{node: node, at: session.NoTime, received: session.NoTime}
	var payload jsonObject
	var raw *yaml.Node
	given := map[string]bool{}
	words := []string{"no time", "", ""} // of the label
	for _, e := range entries {
		given[e.name] = true
		full := key + "." + e.name
		switch e.name {
		case "at", "idle":
			step.idle = step.idle || e.name == "idle"
			step.at = s.time(e, full, s.clock.next)
			words[0] = e.value.Value
		case "received":
			step.received = s.time(e, full, s.clock.at)
		case "expect":
			step.want = s.wantStamp(e, full)
		case "visits":
			step.visits = s.wantVisits(e, full)
		case "raw":
			raw = e.value
		case "payload":
			s.payload(&payload, e, full)
		case "type", "event":
			words[map[string]int{"type": 1, "event": 2}[e.name]] = e.value.Value
		}
	}
	if step.idle {
		step.label = "idle until " + words[0]
		for _, e := range entries {
			if e.name != "idle" && e.name != "visits" {
				s.fault(e.line, key+"."+e.name, "idle has no event: only visits go with it", "")
			}
		}
	} else {
		s.event(&step, &payload, entries, given, key)
		step.label = strings.Join(strings.Fields(strings.Join(words, " ")), " ")
		if step.key != visitorKey || s.lastKey != visitorKey {
			step.label += " (" + step.key + ")"
		}
	}
	if raw != nil {
		step.value = []byte(raw.Value)
		if raw.Kind != yaml.ScalarNode {
			s.fault(raw.Line, key+".raw", "want the text of an event, found "+nodeText(raw), "")
		}
	}
	s.c.steps = append(s.c.steps, step)
}

func (s *stepReader) time(
	e caseEntry, key string, read func(string) (session.Time, bool),
) session.Time {
	if t, ok := read(e.value.Value); e.value.Kind == yaml.ScalarNode && ok {
		return t
	}
	s.fault(e.value.Line, key, "want a time such as 30m, +5m or 2026-01-01T10:00:00Z, found "+
		nodeText(e.value), "")
	return session.NoTime
}

func (s *stepReader) payload(payload *jsonObject, e caseEntry, key string) {
	if value := s.json(e, key); value != nil {
		object, ok := value.(*jsonObject)
		if !ok {
			s.fault(e.value.Line, key, "want the members of the event, found "+nodeText(e.value), "")
			return
		}
		*payload = *object
	}
}

func (s *stepReader) json(e caseEntry, key string) any {
	value, err := jsonOf(e.value)
	var fault nodeError
	if errors.As(err, &fault) {
		s.fault(fault.line, key, fault.problem, "")
		return nil
	}
	return value
}

// event makes the record of a step.
func (s *stepReader) event(
	step *caseStep, payload *jsonObject, entries []caseEntry, given map[string]bool, key string,
) {
	step.key = s.lastKey
	if step.at != session.NoTime {
		s.latest = max(s.latest, step.at)
	}
	if step.received == session.NoTime {
		step.received = max(s.latest, s.clock.start)
	}
	for _, e := range entries {
		if e.name == "key" || e.name == "anonymous_id" {
			step.key, s.lastKey = e.value.Value, e.value.Value
		}
	}
	put := func(name, text string) {
		if path := s.paths.first(name); path != "" && !given[name] && !given[path] {
			payload.put(path, rawText(text))
		}
	}
	if !given["anonymous_id"] && !given["key"] {
		put("anonymous_id", step.key)
	}
	if step.at != session.NoTime {
		put("timestamp", formatTime(step.at))
	}
	for _, e := range entries {
		s.member(payload, e, key+"."+e.name)
	}
	step.value = appendJSON(nil, payload)
}

// member puts an entry of an event into its payload.
func (s *stepReader) member(payload *jsonObject, e caseEntry, key string) {
	var path string
	switch {
	case slices.Contains(stepNames(), e.name):
		return
	case strings.Contains(e.name, "."):
		path = e.name
		if strings.Contains("."+path+".", "..") {
			s.fault(e.line, key, "an empty name in the path", "")
			return
		}
	case !s.paths.has(e.name):
		nearest := config.Nearest(e.name, append(stepNames(), s.paths.names()...))
		problem := "no such key"
		if nearest == "" {
			problem = "no such key: a member without a dot in its path goes below payload"
		}
		s.fault(e.line, key, problem, nearest)
		return
	default:
		if path = s.paths.first(e.name); path == "" {
			// The anonymous id may be in the record key alone.
			if e.name != "key" && e.name != "anonymous_id" && !s.c.isDoubtful {
				s.fault(e.line, key, "profile "+s.c.cfg.Profile+" has no path for it", "")
			}
			return
		}
	}
	if value := s.json(e, key); value != nil {
		payload.put(path, value)
	}
}
