package schemas

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

// A rule that holds where it should not, or does not where it should, moves the ends of sessions
// without a word. encoding/json, math/big and a naive matcher are the second opinions.

// The forms of a condition in a configuration.
func oneOf(path string, values ...Value) Condition {
	return Condition{Path: path, Test: TestOneOf, Values: values}
}

func textValue(s string) Value { return Value{ValueString, s} }
func sizeValue(s string) Value { return Value{ValueNumber, s} }

func prefixed(path, text string) Condition {
	return Condition{Path: path, Test: TestPrefix, Text: text}
}

func globbed(path, text string) Condition {
	return Condition{Path: path, Test: TestGlob, Text: text}
}

func exists(path string, is bool) Condition {
	return Condition{Path: path, Test: TestExists, Exists: is}
}

func compared(path string, list ...Comparison) Condition {
	return Condition{Path: path, Test: TestCompare, Compare: list}
}

func rule(conditions ...Condition) Match { return Match{Conditions: conditions} }

func ruleOf(t *testing.T, c *Codec, members string) uint16 {
	t.Helper()
	sc, bad := scanOne(t, c, `{"anonymousId":"a"`+members+`}`)
	if bad != nil {
		t.Fatalf("%s: %v", members, bad)
	}
	return sc.Event.Rule
}

func TestConditionsHold(t *testing.T) {
	null, yes, no := Value{Kind: ValueNull}, Value{ValueBool, "true"}, Value{ValueBool, "false"}
	for _, i := range []struct {
		condition Condition
		yes, no   []string // values of x; none: absent
	}{
		{oneOf("x", textValue("ab")), []string{`"ab"`, `"\u0061b"`},
			[]string{``, `"a"`, `"abc"`, `"AB"`, `" ab"`, `null`, `["ab"]`, `{"x":"ab"}`, `5`}},
		{oneOf("x", textValue("")), []string{`""`}, []string{``, `null`, `" "`, `0`, `false`}},
		{oneOf("x", textValue("a"), textValue("b"), textValue("c"), textValue("d"), textValue("e"),
			textValue("f"), textValue("g"), textValue("h"), textValue("i"), sizeValue("5")),
			[]string{`"a"`, `"i"`, `5.0`}, []string{`"j"`, `"5"`, `""`, ``}},
		{oneOf("x", textValue("1")), []string{`"1"`}, []string{`1`, `"1.0"`}},
		{oneOf("x", textValue("a"), textValue("é")), []string{`"a"`, `"é"`, `"\u00e9"`}, []string{`"e"`, ``}},
		{oneOf("x", sizeValue("1")), []string{`1`, `1.0`, `1e0`, `10e-1`, `0.1E+1`},
			[]string{`"1"`, `true`, `1.0000000000000000000001`, `-1`, `0`, ``, `[1]`}},
		{oneOf("x", sizeValue("-0.0")), []string{`0`, `-0`, `0e99`}, []string{`1`, `-1e-99`, `null`, `""`}},
		{oneOf("x", sizeValue("9007199254740993")), []string{`9007199254740993.0`},
			[]string{`9007199254740992`, `9007199254740994`}},
		{oneOf("x", sizeValue("2"), textValue("two")), []string{`2`, `"two"`}, []string{`"2"`, `3`}},
		{oneOf("x", yes), []string{`true`}, []string{`false`, `"true"`, `1`, `null`, ``}},
		{oneOf("x", no), []string{`false`}, []string{`true`, `0`, ``}},
		{oneOf("x", null), []string{`null`}, []string{``, `"null"`, `0`, `{}`}},
		{oneOf("x", null, yes), []string{`null`, `true`}, []string{`false`}},
		{prefixed("x", "ab"), []string{`"ab"`, `"abc"`, `"\u0061b c"`}, []string{`"a"`, `"ba"`, `"Ab"`, ``, `["ab"]`}},
		{prefixed("x", ""), []string{`""`, `"a"`}, []string{`null`, `1`, ``}},
		{globbed("x", "a*"), []string{`"a"`, `"abc"`, `"a\n"`}, []string{`"ba"`, `""`, `"A"`, `1`, ``}},
		{globbed("x", "1*"), []string{`"15"`}, []string{`15`}},
		{globbed("x", "a?c"), []string{`"abc"`, `"aéc"`, `"a\ud83d\ude00c"`, `"a?c"`}, []string{`"ac"`, `"abbc"`}},
		{exists("x", true), []string{`null`, `0`, `""`, `{}`, `[]`, `false`}, []string{``}},
		{exists("x", false), []string{``}, []string{`null`, `0`}},
		{compared("x", Comparison{OpGreater, "1"}, Comparison{OpLess, "9"}),
			[]string{`1.5`, `8.999`, `20e-1`, `1.00000000000000000001`},
			[]string{`1`, `9`, `0`, `-5`, `"5"`, `null`, `true`, `[5]`, ``, `1e1`}},
		{compared("x", Comparison{OpGreaterEqual, "-1e2"}), []string{`-100`, `-99.9`, `0`, `1`}, []string{`-100.1`}},
		{compared("x", Comparison{OpLessEqual, "0.05"}), []string{`0.05`, `5e-2`, `0.0499`, `-1`}, []string{`0.0501`}},
		{compared("x", Comparison{OpEqual, "100"}), []string{`1e2`, `100.0`}, []string{`"100"`, `1e3`}},
		{compared("x", Comparison{OpNotEqual, "5"}), []string{`4`, `5.1`}, []string{`5.0`, `"4"`, `null`, ``}},
		{compared("x", Comparison{OpGreater, "9223372036854775807"}), []string{`9223372036854775808`},
			[]string{`9223372036854775807`}},
	} {
		c := newCodec(t, Config{Rules: []Match{rule(i.condition)}})
		for want, list := range [][]string{i.no, i.yes} {
			for _, value := range list {
				members := ""
				if value != "" {
					members = `,"x":` + value
				}
				if got := ruleOf(t, c, members); got != uint16(want) {
					t.Errorf("%+v of %s: %d", i.condition, value, got)
				}
			}
		}
	}
}

func TestTheFirstRuleThatHoldsCounts(t *testing.T) {
	c := newCodec(t, Config{Rules: []Match{
		rule(oneOf("event", textValue("a")), compared("properties.n", Comparison{OpGreater, "5"})),
		rule(oneOf("event", textValue("a"), textValue("b"))),
		rule(exists("properties.list.0.id", true), exists("context.session.id", false)),
		rule(oneOf("anonymousId", textValue("a")), exists("properties", true)),
	}})
	for members, want := range map[string]uint16{
		``:                                  0,
		`,"event":"a"`:                      2,
		`,"event":"a","properties":{"n":6}`: 1,
		`,"event":"a","properties":{"n":5}`: 2,
		`,"event":"b","properties":{"n":6}`: 2,
		`,"event":"c","event":"b"`:          2,
		`,"event":"b","event":"c"`:          0,
		`,"properties":{"list":[{"id":0}]}`: 3,
		`,"properties":{"list":[{"id":0}]},"context":{"session":{"id":7}}`: 4,
		`,"properties":{"list":[{},{"id":0}]}`:                             4,
		`,"properties":{"n":6},"properties":7`:                             4,
	} {
		if got := ruleOf(t, c, members); got != want {
			t.Errorf("%s: rule %d, want %d", members, got, want)
		}
	}
	c = newCodec(t, Config{Rules: []Match{rule()}})
	if got := ruleOf(t, c, ``); got != 1 {
		t.Errorf("a rule without conditions: %d", got)
	}
}

func TestRulesForgetTheEventBefore(t *testing.T) {
	c := newCodec(t, Config{Rules: []Match{rule(oneOf("x", textValue("a"))),
		rule(oneOf("x", textValue("b"))), rule(prefixed("y", "c"), globbed("y", "*d"))}})
	sc := &Scanned{}
	for _, i := range []struct {
		members string
		want    uint16
	}{
		{`"x":"\u0061"`, 1}, {`"x":"\u0062","y":"\u0063d"`, 2}, {`"y":"cd"`, 3}, {`"y":"\u0063e"`, 0},
		{`"y":"\u0063d"`, 3}, {`"x":"a","y":"\u0063d"`, 1}, {`"z":0`, 0}, {`"x":"\u0062"`, 2},
	} {
		value := []byte(`{"anonymousId":"a",` + i.members + `}`)
		bad := c.Scan(value, Record{Timestamp: recordTime}, sc)
		if bad != nil || sc.Event.Rule != i.want {
			t.Errorf("%s: rule %d, %v; want %d", i.members, sc.Event.Rule, bad, i.want)
		}
	}
}

func TestFaultsOfRulesNameRuleAndKey(t *testing.T) {
	long := strings.Repeat("?", globPartMax+1)
	_, err := NewCodec(Config{Profile: elementProfile(), Rules: []Match{
		rule(oneOf("a.b")),
		{Name: "rules[7]", Conditions: []Condition{oneOf("c", sizeValue("01")),
			oneOf("", textValue("x"))}},
		rule(Condition{Path: "d"}, oneOf("e..f", textValue("x")), oneOf(KeyPath, textValue("x"))),
		rule(globbed("g", "a*"+long+"*"), globbed("h", "\xff"), prefixed("i", "\xff"),
			oneOf("j", textValue("\xff"))),
		rule(compared("k"), compared("l", Comparison{OpGreater, "five"}),
			compared("m", Comparison{99, "5"})),
		rule(oneOf("n", Value{ValueBool, "yes"}), oneOf("o", Value{99, ""}),
			oneOf("p", sizeValue("-"))),
	}})
	checkError(t, err, "rules[0].when.a.b: no value", `rules[7].when.c: "01": no JSON number`,
		`rules[7].when: path "": an empty name`, "rules[2].when.d: test 0", `rules[2].when: path "e..f"`,
		"rules[2].when: the record key", "rules[3].when.g: glob",
		"65 characters between two stars, at most 64",
		`rules[3].when.h: glob "\xff": not UTF-8`,
		"rules[3].when.i: prefix", "rules[3].when.j", "rules[4].when.k: no number",
		`rules[4].when.l: "five": no JSON number`, "rules[4].when.m: order 99",
		`rules[5].when.n: "yes": neither true nor false`, "rules[5].when.o: value",
		`rules[5].when.p: "-"`)
	_, err = NewCodec(Config{Profile: elementProfile(), Rules: make([]Match, rulesMax+1)})
	checkError(t, err, "rules: 1001 of them, at most 1000")
	_, err = NewCodec(Config{Profile: elementProfile(),
		Rules: []Match{{Conditions: make([]Condition, conditionsMax+1)}}})
	checkError(t, err, "rules[0].when: 65 conditions, at most 64")
}

func FuzzCompareNumbers(f *testing.F) {
	for _, s := range [][2]string{{"1", "1.0"}, {"-0", "0e5"}, {"12.50", "125e-1"}, {"0.005", "-5e-3"},
		{"9007199254740993", "9007199254740992"}, {"1e1000", "1e999"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, s := range []string{a, b} {
			if isNumber(s) != (json.Valid([]byte(s)) && strings.Trim(s, "0123456789-+.eE") == "") {
				t.Fatalf("%q is a number: %v", s, isNumber(s))
			}
			if i := strings.IndexAny(s, "eE"); !isNumber(s) || len(s) > 60 || i >= 0 && len(s)-i > 5 {
				return // an exponent that takes big.Rat minutes
			}
		}
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		n, m := numeralOf([]byte(a)), numeralOf([]byte(b))
		if got, want := n.compare(&m), x.Cmp(y); got != want || m.compareText([]byte(a)) != -want {
			t.Fatalf("%s and %s: %d, want %d", a, b, got, want)
		}
	})
}

// ruleByDecoding is what the scan must find, by way of decoded maps.
func ruleByDecoding(v any, conditions []Condition) int {
	for i := range conditions {
		if decodedHolds(v, &conditions[i]) {
			return i + 1
		}
	}
	return 0
}

func decodedHolds(v any, c *Condition) bool {
	found, there := lookupThere(v, c.Path)
	text, isText := found.(string)
	switch c.Test {
	case TestPrefix:
		return isText && strings.HasPrefix(text, c.Text)
	case TestGlob:
		return isText && naive([]rune(c.Text), []rune(text))
	case TestExists:
		return there == c.Exists
	case TestCompare:
		n, ok := found.(json.Number)
		for _, o := range c.Compare {
			ok = ok && o.Op.holds(ratOf(n.String()).Cmp(ratOf(o.Number)))
		}
		return ok
	}
	for _, w := range c.Values {
		n, isNumber := found.(json.Number)
		b, isBool := found.(bool)
		switch {
		case w.Kind == ValueNull && there && found == nil,
			w.Kind == ValueBool && isBool && fmt.Sprint(b) == w.Text,
			w.Kind == ValueString && isText && text == w.Text,
			w.Kind == ValueNumber && isNumber && ratOf(n.String()).Cmp(ratOf(w.Text)) == 0:
			return true
		}
	}
	return false
}

func ratOf(text string) *big.Rat {
	r, _ := new(big.Rat).SetString(text)
	return r
}

// lookupThere is lookup that tells null from absent.
func lookupThere(v any, path string) (any, bool) {
	at := strings.LastIndex(path, ".")
	if at >= 0 {
		v = lookup(v, path[:at])
	}
	name := path[at+1:]
	if list, ok := v.([]any); ok && name == "0" && len(list) > 0 {
		return list[0], true
	}
	m, _ := v.(map[string]any)
	found, ok := m[name]
	return found, ok
}

var fuzzedConditions = []Condition{
	oneOf("a", textValue("x"), sizeValue("1.5"), Value{ValueBool, "true"}),
	oneOf("b.c", Value{Kind: ValueNull}, textValue("é\n")),
	prefixed("a", "xy"), globbed("a", "*b?c*"), compared("b.n", Comparison{OpGreater, "1"},
		Comparison{OpLessEqual, "20"}), oneOf("b.n", sizeValue("0")), globbed("b.c", "?"),
	exists("b.0", true), compared("l.0", Comparison{OpNotEqual, "3"}), exists("l.0.a", true),
	oneOf("l.0", textValue("x")), exists("a", false), prefixed("b.c.d", "\""),
}

func FuzzConditions(f *testing.F) {
	for _, s := range []string{`{"a":"x"}`, `{"a":"\u0078","b":{"c":null,"c":"\u00e9\n"}}`, `{"a":"xyz"}`,
		`{"a":"1bxc","b":{"n":1.5e0}}`, `{"a":1,"b":{"n":-0},"l":[3]}`, `{"a":null,"b":{"0":1}}`,
		`{"a":0,"b":[1],"l":[[],2]}`, `{"a":0,"l":[{"a":{}}],"l":[{}]}`, `{"a":0,"b":{"c":{"d":"\"q"}}}`,
		`{"a":"xy","a":0,"b":{"n":20.000},"b":{"n":21}}`} {
		f.Add([]byte(s))
	}
	rules := make([]Match, len(fuzzedConditions))
	for i := range rules {
		rules[i] = rule(fuzzedConditions[i])
	}
	c := newCodec(f, Config{Profile: Profile{Name: "none", Paths: map[string]PathList{
		"anonymous_id": {KeyPath}}}, Rules: rules})
	f.Fuzz(func(t *testing.T, b []byte) {
		sc := &Scanned{}
		if len(b) > 200 || strings.ContainsAny(string(b), "*") ||
			c.Scan(b, Record{Key: []byte("k"), Timestamp: recordTime}, sc) != nil {
			return
		}
		v, err := decode(b)
		if err != nil {
			t.Fatal(err)
		}
		for i := range b { // an exponent that takes big.Rat minutes
			if b[i]|0x20 == 'e' && i+4 < len(b) && isDigit(b[i+3]) && isDigit(b[i+4]) {
				return
			}
		}
		if want := ruleByDecoding(v, fuzzedConditions); int(sc.Event.Rule) != want {
			t.Fatalf("%s: rule %d, want %d", b, sc.Event.Rule, want)
		}
	})
}
