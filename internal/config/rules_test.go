package config

import (
	"reflect"
	"strings"
	"testing"

	"sessionizer/schemas"
	"sessionizer/session"
)

// A rule that is read wrongly is found out weeks later, in the numbers. So each
// mistake must be told, with its line and what was probably meant, and all of
// them at once.

func TestRules_MistakesNameTheLineAndWhatWasMeant(t *testing.T) {
	_, _, err := inFile(`session:
  timeuot: 15m
rules:
  - name: background
    wen: {event: Application Backgrounded}
    timeout: 15s
  - when:
      event: {prefx: App}
      context.locale: {prefix: ""}
      properties.step: {gt: five}
      type: []
      a..b: 1
    klass: attach
  - when: {event: Logout}
    class: atach
    timeout: 15
  - when: {event: Ping}
    name: ping
  - event: Ping
    class: extend
  - class: extend
  - when: {type: track}
    drop: true
    timeout: 1m
  - when: {channel: server}
    class: attach
    start: true
    end: true
  - when: {event: a}
    class: extend
    start: true
  - when: {event: b}
    class: ignore
    max_duration: 1h
  - when: {event: c}
    timeout: 1m
    when: {event: d}
  - when: {event: &e x, type: *e}
    end: yes
  - drop
  - name: ping
    when: {properties.step: {gte: 5, lt: 5}}
    end: true
  - when: {properties.sum: 0x10, type: [a, a], event: {}, name: [[a]]}
    end: true
`).load()
	want := `sessionizer.yaml:2: session.timeuot: no such key; did you mean session.timeout?
sessionizer.yaml:5: rules[0].wen: no such key; did you mean rules[0].when?
sessionizer.yaml:8: rules[1].when.event.prefx: no such condition: there are prefix, glob, exists, gt, gte, lt, lte, eq and ne; did you mean rules[1].when.event.prefix?
sessionizer.yaml:9: rules[1].when.context.locale.prefix: is empty
sessionizer.yaml:10: rules[1].when.properties.step.gt: want a number, found "five"
sessionizer.yaml:11: rules[1].when.type: the list is empty: no event has any of it
sessionizer.yaml:12: rules[1].when.a..b: path "a..b": an empty name
sessionizer.yaml:13: rules[1].klass: no such key; did you mean rules[1].class?
sessionizer.yaml:15: rules[2].class: want start, extend, attach or ignore, found "atach"; did you mean attach?
sessionizer.yaml:16: rules[2].timeout: want a duration such as 250ms, 30s, 30m, 24h or 7d: 15 has no unit
sessionizer.yaml:17: rules[3]: does nothing: want timeout, class, start, end, max_duration or drop
sessionizer.yaml:19: rules[4].event: no such key of a rule: a condition belongs below when
sessionizer.yaml:21: rules[5]: has no when: write when: {} for a rule of every event
sessionizer.yaml:24: rules[6].timeout: has no effect: the rule drops the event
sessionizer.yaml:27: rules[7].start: contradicts the class attach, whose events do not start sessions
sessionizer.yaml:28: rules[7].end: contradicts the class attach, whose events do not end sessions
sessionizer.yaml:31: rules[8].start: contradicts the class extend, whose events do not start sessions
sessionizer.yaml:34: rules[9].max_duration: has no effect on events of the class ignore
sessionizer.yaml:37: rules[10].when: given twice, first at line 35
sessionizer.yaml:38: rules[11].when.type: aliases and merge keys are not understood: write the value out
sessionizer.yaml:39: rules[11].end: want true or false, found "yes"
sessionizer.yaml:40: rules[12]: want a rule: a mapping with when and what it does, found "drop"
sessionizer.yaml:41: rules[13].name: "ping" is also the name of rules[3]
sessionizer.yaml:42: rules[13].when.properties.step: no number is all of that
sessionizer.yaml:44: rules[14].when.properties.sum: want a number as JSON writes it, such as 10, -1.5 or 1e3, found "0x10"
sessionizer.yaml:44: rules[14].when.type: "a" is given twice
sessionizer.yaml:44: rules[14].when.event: is empty: want a value, or one of prefix, glob, exists, gt, gte, lt, lte, eq or ne
sessionizer.yaml:44: rules[14].when.name: want text, a number, true, false or null, found a list`
	if got := strings.Join(lines(err), "\n"); got != want {
		t.Fatalf("got\n%s", got)
	}
}

func TestRules_EveryConditionAndEffectIsRead(t *testing.T) {
	c, warnings, err := inFile(`rules:
  - name: all of it
    when:
      event: Application Backgrounded
      type: [track, 1.0, true, null]
      context.locale: {prefix: it, glob: "*-IT"}
      properties.sum: {gt: 1, lte: 9.5, ne: -2e3}
      userId: {exists: false}
    timeout: 15s
    class: start
    start: true
    end: true
    max_duration: 1h
  - when: {}
    class: attach
`).load()
	if err != nil || len(warnings) > 0 {
		t.Fatalf("faults %v, warnings %v", err, warnings)
	}
	one := func(kind schemas.ValueKind, text string) schemas.Value {
		return schemas.Value{Kind: kind, Text: text}
	}
	want := []schemas.Condition{
		{Path: "event", Test: schemas.TestOneOf,
			Values: []schemas.Value{one(schemas.ValueString, "Application Backgrounded")}},
		{Path: "type", Test: schemas.TestOneOf, Values: []schemas.Value{
			one(schemas.ValueString, "track"), one(schemas.ValueNumber, "1.0"),
			one(schemas.ValueBool, "true"), one(schemas.ValueNull, "")}},
		{Path: "context.locale", Test: schemas.TestPrefix, Text: "it"},
		{Path: "context.locale", Test: schemas.TestGlob, Text: "*-IT"},
		{Path: "properties.sum", Test: schemas.TestCompare, Compare: []schemas.Comparison{
			{Op: schemas.OpGreater, Number: "1"}, {Op: schemas.OpLessEqual, Number: "9.5"},
			{Op: schemas.OpNotEqual, Number: "-2e3"}}},
		{Path: "userId", Test: schemas.TestExists},
	}
	if got := c.Rules[0].When; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	effect := session.Effect{Timeout: 15_000, MaxDuration: 3_600_000, Start: true, End: true}
	attach := session.Effect{Class: session.ClassAttach}
	if c.Rules[0].Effect != effect || c.Rules[1].Effect != attach {
		t.Errorf("effects %+v, %+v", c.Rules[0].Effect, c.Rules[1].Effect)
	}
	if c.Rules[0].Name != "all of it" || c.Rules[1].Name != "rules[1]" {
		t.Errorf("names %q, %q", c.Rules[0].Name, c.Rules[1].Name)
	}
	rules, err := c.SessionRules()
	if err != nil || !reflect.DeepEqual(rules.Effects, []session.Effect{effect, c.Rules[1].Effect}) {
		t.Errorf("%v, effects %+v", err, rules.Effects)
	}
}

// Each of these is what a condition is called elsewhere: who writes it knows what it means and not
// how it is said here.
func TestRules_AConditionOfOtherProgramsIsAnsweredWithTheOneHere(t *testing.T) {
	const there = "no such condition: there are prefix, glob, exists, gt, gte, lt, lte, eq and ne"
	for condition, want := range map[string]string{
		"equals: a":           "no such condition: write the value itself: event: a",
		"is: true":            "no such condition: write the value itself: event: true",
		"equals: 'null'":      `no such condition: write the value itself: event: "null"`,
		"one_of: [a, b]":      "no such condition: write a list: event: [a, b]",
		"in: ['1', 2.50]":     `no such condition: write a list: event: ["1", 2.50]`,
		"in: a":               "no such condition: write the value itself: event: a",
		"in: []":              there,
		"equals: {a: b}":      there,
		"equals: " + longText: "no such condition: write the value itself: event: ...",
		"eq: a":               `want a number, found "a": write the value itself: event: a`,
		"eq: [a, 1]":          "want a number, found a list: write a list: event: [a, 1]",
		"eq: 0x10":            `want a number as JSON writes it, such as 10, -1.5 or 1e3, found "0x10"`,
		"gt: a":               `want a number, found "a"`,
		"ne: a":               `want a number, found "a": ` + noNegation,
		"not: a":              there + "; " + noNegation,
		"not: {exists: true}": there + "; " + noNegation,
		"not: 5":              there + "; did you mean rules[0].when.event.ne?",
		"regex: a.*":          there + "; did you mean rules[0].when.event.glob?",
		"prefixx: a":          there + "; did you mean rules[0].when.event.prefix?",
		"between: [1, 2]":     there,
	} {
		_, _, err := inFile("rules: [{when: {event: {" + condition + "}}, end: true}]").load()
		name, _, _ := strings.Cut(condition, ":")
		want = "sessionizer.yaml:1: rules[0].when.event." + name + ": " + want
		if got := lines(err); len(got) != 1 || got[0] != want {
			t.Errorf("%s: got\n%s\nwant\n%s", condition, strings.Join(got, "\n"), want)
		}
	}
}

const longText = "a text of more characters than anyone wants to read again in a fault"

const withRules = `name: mine
config:
  session: {id_type: int64}
  rules:
    - when: {event: ping}
      class: extend
paths: {anonymous_id: id}
`

// The first match counts: who writes a rule of their own must get it, whatever
// the profile says of the same events.
func TestRules_OfTheProfileComeBehindTheUsers(t *testing.T) {
	w := withProfile(withRules, "profile: my/mine.yaml\nrules: [{when: {event: x}, end: true}]\n")
	c, _, err := w.load()
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Rules) != 2 || c.Rules[0].Name != "rules[0]" ||
		c.Rules[1].Name != "my/mine.yaml rules[0]" || !c.Rules[0].Effect.End {
		t.Fatalf("%+v", c.Rules)
	}
	text := shownText(t, w)
	if want := `rules:
  - {when: {event: x}, end: true}                   # sessionizer.yaml:2
  # behind them, of the profile:
  # - {when: {event: ping}, class: extend}          # my/mine.yaml:5
`; !strings.Contains(text, want) {
		t.Fatalf("got\n%s", text)
	}
	bad := strings.Replace(withRules, "extend", "extnd", 1)
	_, _, err = withProfile(bad, "profile: my/mine.yaml\n").load()
	if got := lines(err); len(got) != 1 || got[0] != `my/mine.yaml:6: rules[0].class: `+
		`want start, extend, attach or ignore, found "extnd"; did you mean extend?` {
		t.Fatalf("got %v", err)
	}
	bad = strings.Replace(withRules, "event:", "a..b:", 1)
	_, _, err = withProfile(bad, "rules: [{when: {x.: 1}, end: true}]\nprofile: my/mine.yaml\n").load()
	want := []string{`my/mine.yaml:5: rules[0].when.a..b: path "a..b": an empty name`,
		`sessionizer.yaml:1: rules[0].when.x.: path "x.": an empty name`}
	if got := lines(err); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v", err)
	}
}

func TestRules_MayComeFromTheEnvironmentAndSet(t *testing.T) {
	w := world{environ: []string{"SESSIONIZER_RULES=[{when: {event: x}, timeout: 15s}]"}}
	c, _, err := w.load()
	if err != nil || len(c.Rules) != 1 || c.Rules[0].Effect.Timeout != 15_000 {
		t.Fatalf("%v, %+v", err, c)
	}
	w.set = []string{"rules="}
	if c, _, err = w.load(); err != nil || len(c.Rules) != 0 {
		t.Fatalf("%v, %+v", err, c)
	}
	for set, want := range map[string]string{
		"x":                    `--set: rules: want a list of rules, found "x"`,
		"[":                    `--set: rules: is no YAML: did not find expected node content`,
		"[{when: {}, and: 1}]": `--set: rules[0].and: no such key; did you mean rules[0].end?`,
	} {
		_, _, err := world{set: []string{"rules=" + set}}.load()
		if got := lines(err); len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %v", set, err)
		}
	}
}

func TestRules_AFaultHidesNoRuleBehindIt(t *testing.T) {
	_, warnings, err := inFile(`rules:
  - when: {event: {globb: a}}
    end: true
  - when: {event: b}
    start: true
`).load()
	if err == nil || len(warnings) > 0 {
		t.Fatalf("%v\n%s", err, warnings.Error())
	}
}

func TestRules_WhatCannotBeMeantIsWarnedOf(t *testing.T) {
	_, warnings, err := inFile(`session:
  max_duration: 10m
  dedupe: {action: drop}
rules:
  - when: {event: a, type: track}
    timeout: 1h
    max_duration: 30m
  - when: {type: track, event: a}
    end: true
  - when: {}
    class: extend
  - when: {event: b}
    start: true
  - when: {user_id: ana}
    end: true
`).load()
	want := []string{
		`sessionizer.yaml:2: session.max_duration: 10m is less than session.timeout (30m): a session of ` +
			`that length ends however short its silences are`,
		`sessionizer.yaml:3: session.dedupe.action: has no effect: session.dedupe.last is 0`,
		`sessionizer.yaml:7: rules[0].max_duration: 30m is less than the timeout of the rule (1h): a ` +
			`session of that length ends however short its silences are`,
		`sessionizer.yaml:8: rules[1]: is never reached: rules[0] matches the same events`,
		`sessionizer.yaml:12: rules[3]: is never reached: rules[2] matches every event`,
		`sessionizer.yaml:14: rules[4].when.user_id: is a member of that name; what paths.user_id ` +
			`stands for is userId`,
		`sessionizer.yaml:14: rules[4]: is never reached: rules[2] matches every event`,
	}
	if err != nil || !reflect.DeepEqual(strings.Split(warnings.Error(), "\n"), want) {
		t.Fatalf("%v\n%s", err, warnings.Error())
	}
}

func TestRules_BoundaryAtLeavesNothingOfAMillisecond(t *testing.T) {
	_, _, err := inFile("session: {boundary: at}\nrules:\n  - when: {event: a}\n    timeout: 1ms\n").load()
	want := `sessionizer.yaml:4: rules[0].timeout: 1ms leaves nothing with session.boundary at`
	if got := lines(err); len(got) != 1 || got[0] != want {
		t.Fatalf("got %v", err)
	}
}
