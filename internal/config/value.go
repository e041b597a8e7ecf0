package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	yaml "go.yaml.in/yaml/v3"
)

type shape uint8

const (
	scalar shape = iota
	list
	mapping
)

// value is what a source gives for a key, before its type is looked at.
type value struct {
	origin  Origin
	shape   shape
	text    string   // of a scalar, as written
	tag     string   // of a scalar in YAML: !!str, !!int, ...; empty: untyped text
	items   []value  // of a list
	members []member // of a mapping, each name once
	broken  bool     // something in it could not be read and is left out; a fault tells of it
}

// member is a value in a mapping; its origin is the place of the name.
type member struct {
	name string
	value
}

// member returns the member of a mapping; the zero value: there is none.
func (v *value) member(name string) value {
	for i := range v.members {
		if v.members[i].name == name {
			return v.members[i].value
		}
	}
	return value{}
}

func (v *value) has(name string) bool {
	return slices.ContainsFunc(v.members, func(m member) bool { return m.name == name })
}

// plain is the value for a writer of YAML or JSON.
func (v *value) plain() any {
	switch v.shape {
	case list:
		all := []any{}
		for i := range v.items {
			all = append(all, v.items[i].plain())
		}
		return all
	case mapping:
		all := map[string]any{}
		for i := range v.members {
			all[v.members[i].name] = v.members[i].plain()
		}
		return all
	}
	switch v.tag {
	case "!!null":
		return nil
	case "!!bool":
		return v.text == "true" || v.text == "True" || v.text == "TRUE"
	case "!!int", "!!float":
		return plainNumber{v.text, v.tag}
	}
	return v.text
}

// plainNumber is a number that is written with the very digits it was read with.
type plainNumber struct{ text, tag string }

// MarshalJSON returns the digits.
func (n plainNumber) MarshalJSON() ([]byte, error) { return []byte(n.text), nil }

// MarshalYAML returns the digits.
func (n plainNumber) MarshalYAML() (any, error) {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: n.tag, Value: n.text}, nil
}

func (v value) untyped() bool { return v.tag == "" }

// describe names what was found where something else was wanted.
func (v value) describe() string {
	switch v.shape {
	case list:
		return "a list"
	case mapping:
		return "a mapping"
	}
	switch v.tag {
	case "!!null":
		return "nothing"
	case "!!bool":
		return "the boolean " + v.text
	case "!!float", "!!int":
		return "the number " + v.text
	}
	return shown(v.text)
}

// fault says what is wrong with a value.
type fault struct {
	problem string
	nearest string // what may have been meant; empty: nothing comes to mind
	line    int    // of the element that it is about; 0: that of the value
	next    *fault // of another element of the same list
}

func unknown(problem, nearest string) *fault { return &fault{problem: problem, nearest: nearest} }

func faultf(format string, args ...any) *fault {
	return &fault{problem: fmt.Sprintf(format, args...)}
}

func wanted(what string, v value) *fault {
	return faultf("want %s, found %s", what, v.describe())
}

// asText takes text, and numbers as they are written: a user name may be 1234.
func asText(v value) (string, *fault) {
	if v.shape == scalar && (v.untyped() || v.tag == "!!str" || v.tag == "!!int") {
		return v.text, nil
	}
	if v.shape == scalar && v.tag != "!!null" {
		return "", faultf("want text, found %s: put it in quotes", v.describe())
	}
	return "", wanted("text", v)
}

// asList takes a YAML list, or text with commas from the environment and --set.
func asList(v value) ([]value, *fault) {
	if v.shape == list {
		return v.items, nil
	}
	if v.shape != scalar || !v.untyped() {
		if v.shape == scalar && v.tag == "!!str" {
			return nil, faultf("want a list, found %s: write [%s]", v.describe(), v.text)
		}
		return nil, wanted("a list such as [a, b]", v)
	}
	text := strings.TrimSpace(v.text)
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		text = strings.TrimSpace(text[1 : len(text)-1])
	}
	if text == "" {
		return nil, nil
	}
	var items []value
	for part := range strings.SplitSeq(text, ",") {
		items = append(items, value{origin: v.origin, text: strings.TrimSpace(part)})
	}
	return items, nil
}

func asBool(v value) (bool, *fault) {
	if v.shape == scalar && (v.untyped() || v.tag == "!!bool") {
		switch v.text {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
	}
	return false, wanted("true or false", v)
}

func asInt(v value) (int64, *fault) {
	if v.shape == scalar && (v.untyped() || v.tag == "!!int") {
		if n, err := strconv.ParseInt(v.text, 10, 64); err == nil {
			return n, nil
		}
	}
	return 0, wanted("a whole number", v)
}

// durationUnits are the units of a duration, the longer names first where one
// begins with another.
var durationUnits = [...]struct {
	name string
	unit time.Duration
}{
	{"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute},
	{"h", time.Hour}, {"d", day},
}

// asDuration takes 250ms 30s 30m 24h 7d, several of them in a row (1h30m),
// and a bare 0.
func asDuration(v value) (time.Duration, *fault) {
	const want = "a duration such as 250ms, 30s, 30m, 24h or 7d"
	if v.shape != scalar || v.tag == "!!null" || v.tag == "!!bool" || v.text == "" {
		return 0, wanted(want, v)
	}
	if v.text == "0" {
		return 0, nil
	}
	if strings.Trim(v.text, "0123456789") == "" {
		return 0, faultf("want %s: %s has no unit", want, v.text)
	}
	var sum time.Duration
	for rest := v.text; rest != ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		unit, name := time.Duration(0), ""
		for _, u := range durationUnits {
			if strings.HasPrefix(rest[digits:], u.name) {
				unit, name = u.unit, u.name
				break
			}
		}
		if digits == 0 || unit == 0 {
			return 0, wanted(want, v)
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil || n > int64(math.MaxInt64-sum)/int64(unit) {
			return 0, faultf("the duration %s is too long", shown(v.text))
		}
		sum += time.Duration(n) * unit
		rest = rest[digits+len(name):]
	}
	return sum, nil
}

var sizeUnits = [...]struct {
	name  string
	shift uint
}{{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}, {"B", 0}}

// asSize takes 64KiB, 1MiB, 2GiB, and bare numbers of bytes.
func asSize(v value) (int64, *fault) {
	const want = "a size such as 64KiB or 1MiB"
	if v.shape != scalar || v.tag == "!!null" || v.tag == "!!bool" {
		return 0, wanted(want, v)
	}
	digits, shift := v.text, uint(0)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(v.text, u.name); ok {
			digits, shift = rest, u.shift
			break
		}
	}
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		f := wanted(want, v)
		if unit := strings.TrimLeft(v.text, "0123456789"); len(unit) == 2 && unit[1] == 'B' {
			f.nearest = strings.TrimSuffix(v.text, unit) + strings.ToUpper(unit[:1]) + "iB"
		}
		return 0, f
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > math.MaxInt64>>shift {
		return 0, faultf("the size %s is too large", shown(v.text))
	}
	return n << shift, nil
}
