package config

import (
	"slices"
	"strings"
)

// What other programs call equality and membership, and here is the value or the list itself; and
// what they call the contrary.
func equalityNames() []string {
	return []string{"equals", "equal", "eq", "is", "value", "one_of", "oneOf", "in", "any_of", "anyOf",
		"any", "values"}
}

func negationNames() []string {
	return []string{"not", "ne", "neq", "not_equals", "not_in", "not_one_of", "none_of", "nin"}
}

func patternNames() []string { return []string{"regex", "regexp", "matches", "match", "like"} }

// unknownCondition tells of a condition that there is not, and how what it says is written.
func unknownCondition(path string, o member) *fault {
	there := "there are " + strings.Replace(alternatives(operatorNames()), " or ", " and ", 1)
	switch {
	case slices.Contains(equalityNames(), o.name):
		if hint := plainly(path, o.value); hint != "" {
			return faultf("no such condition: %s", hint)
		}
	case slices.Contains(negationNames(), o.name):
		if isNumber(o.value) {
			return unknown("no such condition: "+there, "ne")
		}
		return faultf("no such condition: %s; %s", there, noNegation)
	case slices.Contains(patternNames(), o.name):
		return unknown("no such condition: "+there, "glob")
	}
	return unknown("no such condition: "+there, nearest(o.name, operatorNames(), ""))
}

const noNegation = "what is not meant goes into a rule before this one: the first match wins"

// comparisonFault adds to the fault of a comparison with what is no number how that is written.
func comparisonFault(path string, o member, f *fault) *fault {
	hint := ""
	switch {
	case isNumber(o.value): // it is not as JSON writes it
	case o.name == "eq":
		hint = plainly(path, o.value)
	case o.name == "ne":
		hint = noNegation
	}
	if hint == "" {
		return f
	}
	return faultf("%s: %s", f.problem, hint)
}

func isNumber(v value) bool {
	return v.shape == scalar && (v.tag == "!!int" || v.tag == "!!float")
}

// plainly says how equality to a value, or to one of a list, is written; empty: there is no such.
func plainly(path string, v value) string {
	if v.broken || v.shape == mapping || v.shape == list && len(v.items) == 0 {
		return ""
	}
	text, err := Text(v.plain())
	if err != nil || len(text) > shownMax {
		text = "..."
	}
	if v.shape == list {
		return "write a list: " + path + ": " + text
	}
	return "write the value itself: " + path + ": " + text
}
