package config

import (
	"encoding/json"
	"math/big"
	"slices"
	"strconv"

	"sessionizer/schemas"
)

// when reads the conditions of a rule: a mapping from paths to what is wanted there.
func (r *ruleReader) when(v value) *fault {
	if v.shape != mapping {
		return wanted("a mapping of paths to what is wanted there", v)
	}
	for _, m := range v.members {
		if len(r.faults) >= faultsMax {
			break
		}
		key := ruleWhen + "." + m.name
		r.rule.lines[key] = m.origin.line
		switch m.shape {
		case mapping:
			r.operators(key, m)
			continue
		case list:
			if len(m.items) == 0 && !m.broken {
				r.fault(key, m.value, faultf("the list is empty: no event has any of it"))
				continue
			}
		}
		if c, f := oneOfValues(m); f == nil {
			r.rule.When = append(r.rule.When, c)
		} else {
			r.fault(key, m.value, f)
		}
	}
	return nil
}

func oneOfValues(m member) (schemas.Condition, *fault) {
	c := schemas.Condition{Path: m.name, Test: schemas.TestOneOf}
	items := m.items
	if m.shape == scalar {
		items = []value{m.value}
	}
	var faults faultList
	seen := map[schemas.Value]bool{}
	for _, item := range items {
		one, f := asValue(item)
		if f == nil && seen[one] {
			f = faultf("%s is given twice", item.describe())
		}
		if f == nil {
			seen[one] = true
			c.Values = append(c.Values, one)
		} else if !faults.add(item, f) {
			break
		}
	}
	return c, faults.first
}

// asValue takes a scalar for what JSON has in its place.
func asValue(v value) (schemas.Value, *fault) {
	none := schemas.Value{}
	if v.shape != scalar {
		return none, wanted("text, a number, true, false or null", v)
	}
	switch v.tag {
	case "!!null":
		return schemas.Value{Kind: schemas.ValueNull}, nil
	case "!!bool":
		b, err := strconv.ParseBool(v.text)
		if err != nil {
			return none, wanted("true or false", v)
		}
		return schemas.Value{Kind: schemas.ValueBool, Text: strconv.FormatBool(b)}, nil
	case "!!int", "!!float":
		text, f := asNumber(v)
		return schemas.Value{Kind: schemas.ValueNumber, Text: text}, f
	}
	return schemas.Value{Kind: schemas.ValueString, Text: v.text}, nil
}

// asNumber takes a number in the form that JSON has for it.
func asNumber(v value) (string, *fault) {
	if v.shape != scalar || v.tag != "!!int" && v.tag != "!!float" {
		return "", wanted("a number", v)
	}
	if !json.Valid([]byte(v.text)) {
		return "", faultf("want a number as JSON writes it, such as 10, -1.5 or 1e3, found %s",
			shown(v.text))
	}
	return v.text, nil
}

// operatorNames are what a condition may be beside a value.
func operatorNames() []string {
	return append([]string{"prefix", "glob", "exists"}, comparisonNames()...)
}

// comparisonNames are the comparisons in the order of schemas.Op.
func comparisonNames() []string { return []string{"gt", "gte", "lt", "lte", "eq", "ne"} }

// operators reads conditions such as {prefix: app_} or {gt: 1, lt: 9}; all of
// them must hold.
func (r *ruleReader) operators(key string, m member) {
	if len(m.members) == 0 && !m.broken {
		r.fault(key, m.value, faultf("is empty: want a value, or one of %s",
			alternatives(operatorNames())))
		return
	}
	compare := schemas.Condition{Path: m.name, Test: schemas.TestCompare}
	for _, o := range m.members {
		c := schemas.Condition{Path: m.name}
		var f *fault
		switch o.name {
		case "prefix", "glob":
			c.Test = schemas.TestPrefix
			if o.name == "glob" {
				c.Test = schemas.TestGlob
			}
			if c.Text, f = asText(o.value); f == nil && c.Text == "" {
				f = faultf("is empty")
			}
		case "exists":
			c.Test = schemas.TestExists
			c.Exists, f = asBool(o.value)
		default:
			op := slices.Index(comparisonNames(), o.name)
			if op < 0 {
				f = unknownCondition(m.name, o)
				break
			}
			var number string
			if number, f = asNumber(o.value); f != nil {
				f = comparisonFault(m.name, o, f)
			}
			compare.Compare = append(compare.Compare,
				schemas.Comparison{Op: schemas.OpGreater + schemas.Op(op), Number: number})
		}
		switch {
		case f != nil:
			r.fault(key+"."+o.name, o.value, f)
		case c.Test != 0:
			r.rule.When = append(r.rule.When, c)
		}
	}
	if len(compare.Compare) == 0 || r.faulty {
		return
	}
	if nothingBetween(compare.Compare) {
		r.fault(key, m.value, faultf("no number is all of that"))
		return
	}
	r.rule.When = append(r.rule.When, compare)
}

// nothingBetween finds bounds that leave no number between them.
func nothingBetween(all []schemas.Comparison) bool {
	var low, high *big.Rat
	var lowOpen, highOpen bool
	for _, c := range all {
		n, ok := rational(c.Number)
		if !ok {
			return false
		}
		switch c.Op {
		case schemas.OpGreater, schemas.OpGreaterEqual:
			if low == nil || n.Cmp(low) > 0 {
				low, lowOpen = n, false
			}
			lowOpen = lowOpen || n.Cmp(low) == 0 && c.Op == schemas.OpGreater
		case schemas.OpLess, schemas.OpLessEqual:
			if high == nil || n.Cmp(high) < 0 {
				high, highOpen = n, false
			}
			highOpen = highOpen || n.Cmp(high) == 0 && c.Op == schemas.OpLess
		}
	}
	if low == nil || high == nil {
		return false
	}
	order := low.Cmp(high)
	return order > 0 || order == 0 && (lowOpen || highOpen)
}

// rationalMax bounds the texts of numbers that are compared here: an exponent
// of a few digits would make a number of a million.
const rationalMax = 40

func rational(number string) (*big.Rat, bool) {
	if len(number) > rationalMax || slices.ContainsFunc([]byte(number), func(b byte) bool {
		return b == 'e' || b == 'E'
	}) {
		return nil, false
	}
	return new(big.Rat).SetString(number)
}
