package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/internal/config"
	"sessionizer/schemas"
	"sessionizer/session"
)

// caseResult is what became of one case.
type caseResult struct {
	c        *testCase
	failures []caseFailure
	steps    []stepResult // by step, and one more for the end
	took     time.Duration
}

// caseFailure is one place of a case that is not as wanted.
type caseFailure struct {
	line  int
	place string // 30m1s page
	want  string
	got   string
}

// stepResult is what came of one step.
type stepResult struct {
	stamp  members
	output members
	visits []members
	edits  []mismatch // members of expectations, visits' too, that are not as wanted
}

// caseRun runs one case.
type caseRun struct {
	c       *testCase
	engine  *offline
	rules   []string // names
	now     *stepResult
	output  []byte
	headers map[string]any // of the record that came out
	dead    *schemas.BadInput
}

// ruleName is a rule that matched: expectations name it by name or number.
type ruleName struct {
	number int
	name   string
}

func (r ruleName) String() string {
	if r.name != "" {
		return r.name
	}
	return strconv.Itoa(r.number)
}

// runCase runs the events of a case through the engine, in virtual time.
func runCase(c *testCase) (*caseResult, error) {
	begun := time.Now()
	r := &caseRun{c: c, rules: ruleNames(c.cfg)}
	var err error
	r.engine, err = newOffline(inFormat(c.cfg, schemas.FormatJSON),
		offlineOptions{topic: c.cfg.Input.Topics[0], memory: true})
	if err != nil {
		return nil, err
	}
	r.engine.take = r.take
	result := &caseResult{c: c}
	for i := range c.steps {
		if err = r.step(&c.steps[i], int64(i)); err != nil {
			result.failures = append(result.failures, caseFailure{
				line: c.steps[i].node.Line, place: c.steps[i].label,
				want: "no error", got: err.Error(),
			})
			break
		}
		result.steps = append(result.steps, *r.now)
	}
	var broken error // not the case's fault
	if err == nil {
		r.now = &stepResult{}
		broken = r.engine.finish()
		result.steps = append(result.steps, *r.now)
		result.compare()
	}
	if err := errors.Join(broken, r.engine.close()); err != nil {
		return nil, fmt.Errorf("case %s: %w", c.name, err)
	}
	result.took = time.Since(begun)
	return result, nil
}

// step runs one step. An error is one that would stop the processor.
func (r *caseRun) step(step *caseStep, offset int64) error {
	r.now, r.output, r.headers, r.dead = &stepResult{}, nil, nil, nil
	if step.idle {
		// What an idle partition has for its watermark, by the wall clock.
		return r.engine.tick(step.at - session.Time(r.engine.rules.OutOfOrder))
	}
	record := &kgo.Record{
		Topic: r.c.cfg.Input.Topics[0], Offset: offset, LeaderEpoch: -1, Key: []byte(step.key),
		Value: step.value, Timestamp: time.UnixMilli(int64(step.received)),
	}
	if err := r.engine.task.Step(record); err != nil {
		return err
	}
	scanned, out := r.engine.task.Last()
	stamp := members{}
	if out != nil {
		stamp = r.stamp(scanned, out)
	}
	if err := r.engine.drain(); err != nil {
		return err
	}
	switch {
	case r.dead != nil:
		stamp = members{"state": stateDeadLetter, "deadLetter": string(r.dead.Reason)}
	case out == nil || out.Dead != session.DeadNone:
		stamp = members{"state": session.Bypass.String()} // bad input that the policy lets pass
	}
	if r.headers != nil {
		stamp["headers"] = r.headers
	}
	r.now.stamp, r.now.output = stamp, decodeMembers(r.output)
	if err := r.engine.tick(r.engine.task.Watermark()); err != nil {
		return err
	}
	if r.engine.full() {
		return r.engine.commit()
	}
	return nil
}

// stateDeadLetter is the state of an event that is none of the engine's statuses.
const stateDeadLetter = "dead_letter"

// take keeps what the engine has made.
func (r *caseRun) take(record *kgo.Record) error {
	switch record.Topic {
	case outputRecords:
		r.output = record.Value
		r.headers = map[string]any{}
		for _, h := range record.Headers {
			r.headers[h.Key] = string(h.Value)
		}
	case visitRecords:
		r.now.visits = append(r.now.visits, decodeMembers(record.Value))
	case deadRecords:
		r.dead = badInput(record.Headers)
	}
	return nil
}

// stamp is what a decision says of an event, all members that output.fields knows, whichever are
// written.
func (r *caseRun) stamp(scanned *schemas.Scanned, out *session.Outcome) members {
	s := &out.Stamp
	m := members{"state": s.Status.String()}
	if n := int(scanned.Event.Rule); n > 0 {
		rule := ruleName{number: n - 1}
		if n <= len(r.rules) {
			rule.name = r.rules[n-1]
		}
		m["rule"] = rule
	}
	set := func(name string, value bool) {
		if value {
			m[name] = true
		}
	}
	id := func(name string, id session.ID) {
		if !id.IsZero() {
			m[name] = idValue(id)
		}
	}
	set("clamped", s.Clamped)
	set("duplicate", s.Duplicate)
	id("clientId", s.Client)
	if s.Status != session.InSession {
		return m
	}
	set("start", s.Start)
	set("late", s.Late)
	id("id", s.ID)
	id("previousId", s.Previous)
	m["uuid"] = string(session.AppendUUID(nil, s.UUID))
	m["index"], m["startedAt"] = number(s.Index), formatTime(s.StartedAt)
	m["gapMs"], m["timeoutMs"] = number(s.GapMs), number(s.TimeoutMs)
	m["idSource"] = idSource(s)
	if s.EventIndex > 0 {
		m["eventIndex"] = number(s.EventIndex)
	}
	if s.Reason != session.ReasonNone {
		m["reason"] = s.Reason.String()
	}
	if len(s.Campaign) > 0 {
		m["campaign"] = map[string]any(decodeMembers(s.Campaign))
	}
	return m
}

func idSource(s *session.Stamp) string {
	if s.Server {
		return "server"
	}
	return "client"
}

func number[N ~uint32 | ~uint64 | ~int64](n N) json.Number {
	return json.Number(fmt.Sprint(n))
}

// idValue is an id as it is written.
func idValue(id session.ID) any {
	if len(id.Text) > 0 {
		return string(id.Text)
	}
	return number(id.Int)
}

// ruleNames are the names of the rules in force.
func ruleNames(cfg *config.Config) []string {
	var names []string
	for i := range cfg.Rules {
		names = append(names, cfg.Rules[i].Name)
	}
	return names
}
