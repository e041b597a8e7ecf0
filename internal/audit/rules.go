package audit

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// rule is a Rule made ready.
type rule struct {
	*Rule
	places []place
}

func newRule(r *Rule) rule {
	made := rule{Rule: r}
	for i := range r.When {
		made.places = append(made.places, splitPath(r.When[i].Path))
	}
	return made
}

// matching returns the first rule that matches an event; nil: none does.
func (f *form) matching(d *document) *Rule {
	for i := range f.rules {
		r := &f.rules[i]
		holds := true
		for k := range r.When {
			if holds = r.When[k].holds(d, d.find(r.places[k])); !holds {
				break
			}
		}
		if holds {
			return r.Rule
		}
	}
	return nil
}

func (c *Condition) holds(d *document, n *node) bool {
	if c.Test == "exists" {
		return (n != nil) == c.Exists
	}
	if n == nil {
		return false
	}
	switch c.Test {
	case "one of":
		return slices.ContainsFunc(c.Values, func(v Value) bool { return v.is(d, n) })
	case "prefix":
		return n.kind == '"' && bytes.HasPrefix(d.content(n), []byte(c.Text))
	case "glob":
		return n.kind == '"' && glob(c.Text, string(d.content(n)))
	case "compare":
		number, ok := parseDecimal(string(d.raw(n)))
		return ok && isNumber(n.kind) && !slices.ContainsFunc(c.Compare, func(o Comparison) bool {
			return !o.holds(number)
		})
	}
	return false
}

func isNumber(kind byte) bool { return kind == '-' || kind >= '0' && kind <= '9' }

func (v Value) is(d *document, n *node) bool {
	switch {
	case n.kind == '"':
		return v.Kind == "string" && string(d.content(n)) == v.Text
	case n.kind == '{' || n.kind == '[':
		return false
	case isNumber(n.kind):
		a, ok := parseDecimal(string(d.raw(n)))
		b, ok2 := parseDecimal(v.Text)
		return v.Kind == "number" && ok && ok2 && a.compare(b) == 0
	case n.kind == 'n':
		return v.Kind == "null"
	}
	return v.Kind == "bool" && string(d.raw(n)) == v.Text
}

func (o Comparison) holds(number decimal) bool {
	other, ok := parseDecimal(o.Number)
	if !ok {
		return false
	}
	order := number.compare(other)
	switch o.Op {
	case "gt":
		return order > 0
	case "gte":
		return order >= 0
	case "lt":
		return order < 0
	case "lte":
		return order <= 0
	case "eq":
		return order == 0
	}
	return order != 0
}

// glob matches a whole text: * is any run of characters, ? one character. On a mismatch it goes
// back to the last star and lets that one take one character more.
func glob(pattern, text string) bool {
	star, retry := -1, 0
	p, t := 0, 0
	for t < len(text) {
		_, size := utf8.DecodeRuneInString(text[t:])
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, retry = p, t
			p++
		case p < len(pattern) && pattern[p] == '?':
			p, t = p+1, t+size
		case p < len(pattern) && strings.HasPrefix(pattern[p:], text[t:t+size]):
			p, t = p+size, t+size
		case star >= 0:
			_, step := utf8.DecodeRuneInString(text[retry:])
			retry += step
			p, t = star+1, retry
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
