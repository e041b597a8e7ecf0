package schemas

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// Match is when a rule holds: all of its conditions do. Without conditions it holds for every
// event. Of the rules of a configuration the first one that holds counts: Event.Rule is its
// position + 1.
type Match struct {
	// Name is how faults name the rule, as the key of a configuration; empty: rules[POSITION].
	Name       string
	Conditions []Condition
}

// Condition is a test of what is at a path of the event. Only the fields of its Test are read.
//
// What is absent passes no test but TestExists with Exists false. Of a repeated member the last one
// counts. No object and no array equals anything.
type Condition struct {
	// Path names a member of the event, as the paths of a profile do: it is no name of such a path.
	// Where an array is, a decimal name (from 0, below pathIndexMax) is the position of an element.
	Path string
	Test Test

	Values  []Value      // TestOneOf: at least one
	Text    string       // TestPrefix, TestGlob
	Exists  bool         // TestExists: whether it must be there
	Compare []Comparison // TestCompare: at least one; all must hold
}

// Test is the kind of a condition.
type Test uint8

// The tests.
const (
	TestOneOf   Test = iota + 1 // equals one of Values
	TestPrefix                  // a string that begins with Text
	TestGlob                    // a string of the form of Text, as a whole: * any run, ? one character
	TestExists                  // is there, null too (Exists), or is not (not Exists)
	TestCompare                 // a JSON number, not a string of digits, for which all of Compare hold
)

// Value is a JSON scalar. A string equals one of the same bytes once escapes are decoded; a number
// equals one of the same value, exactly: 1 is 1.0 and 1e0, and no digit is rounded away.
type Value struct {
	Kind ValueKind
	Text string // of a string its content, of a number its JSON text, of a bool true or false
}

// ValueKind is the JSON type of a Value.
type ValueKind uint8

// The kinds of values.
const (
	ValueNull ValueKind = iota + 1
	ValueBool
	ValueNumber
	ValueString

	valueKinds
)

// Comparison is an order between the number at a path and another one. They are compared exactly.
type Comparison struct {
	Op     Op
	Number string // JSON text
}

// Op is an order of two numbers: that of the event stands on the left.
type Op uint8

// The orders, by their names in a configuration: gt, gte, lt, lte, eq, ne.
const (
	OpGreater Op = iota + 1
	OpGreaterEqual
	OpLess
	OpLessEqual
	OpEqual
	OpNotEqual

	ops
)

// Limits of the rules of a configuration.
const (
	rulesMax      = 1000
	conditionsMax = 64
	textsMax      = 8 // strings of a condition that are compared one by one
)

// condition is a compiled Condition.
type condition struct {
	node   int32 // the place it asks
	asked  int32 // the place's number among those that rules ask
	test   Test
	exists bool

	prefix string              // TestPrefix
	kinds  [valueKinds]bool    // TestOneOf: some value of the kind is asked for
	bools  [2]bool             // false, true
	texts  []string            // strings, up to textsMax
	set    map[string]struct{} // strings, if there are more
	sizes  []numeral           // numbers
	glob   *glob
	orders []order
}

// order is a compiled Comparison.
type order struct {
	op     Op
	number numeral
}

// addRules adds the paths of the rules and compiles these, but for their places.
func (c *Codec) addRules(root *trieBuilder, rules []Match) ([][]*trieBuilder, error) {
	if len(rules) > rulesMax {
		return nil, fmt.Errorf("rules: %d of them, at most %d", len(rules), rulesMax)
	}
	var faults []error
	places := make([][]*trieBuilder, len(rules))
	c.rules = make([][]condition, len(rules))
	for i := range rules {
		name := rules[i].Name
		if name == "" {
			name = fmt.Sprintf("rules[%d]", i)
		}
		if n := len(rules[i].Conditions); n > conditionsMax {
			faults = append(faults, fmt.Errorf("%s.when: %d conditions, at most %d", name, n,
				conditionsMax))
			continue
		}
		for k := range rules[i].Conditions {
			from := &rules[i].Conditions[k]
			compiled, err := from.compile()
			faults = appendFault(faults, name+".when."+from.Path, err)
			var place *trieBuilder
			if from.Path == KeyPath {
				err = errors.New("the record key is no member of an event")
			} else {
				place, err = root.add(from.Path)
			}
			faults = appendFault(faults, name+".when", err)
			places[i] = append(places[i], place)
			c.rules[i] = append(c.rules[i], compiled)
		}
	}
	return places, errors.Join(faults...)
}

func appendFault(faults []error, key string, err error) []error {
	if err == nil {
		return faults
	}
	return append(faults, fmt.Errorf("%s: %w", key, err))
}

// placeRules gives the conditions their places, when these have their numbers.
func (c *Codec) placeRules(places [][]*trieBuilder) {
	asked := map[int]int32{}
	for i := range c.rules {
		for k := range c.rules[i] {
			node := places[i][k].node
			if _, ok := asked[node]; !ok {
				asked[node] = int32(len(asked))
			}
			c.rules[i][k].node, c.rules[i][k].asked = int32(node), asked[node]
		}
	}
	c.rulesPlaces = len(asked)
}

func (from *Condition) compile() (to condition, err error) {
	to = condition{test: from.Test, exists: from.Exists}
	switch from.Test {
	case TestOneOf:
		err = to.compileValues(from.Values)
	case TestPrefix:
		to.prefix = from.Text
		if !utf8.ValidString(from.Text) {
			err = fmt.Errorf("prefix %q: not UTF-8", from.Text)
		}
	case TestGlob:
		to.glob, err = newGlob(from.Text)
	case TestExists:
	case TestCompare:
		err = to.compileOrders(from.Compare)
	default:
		err = fmt.Errorf("test %d: no such test", from.Test)
	}
	return to, err
}

func (to *condition) compileValues(values []Value) error {
	if len(values) == 0 {
		return errors.New("no value to be equal to")
	}
	for _, v := range values {
		switch v.Kind {
		case ValueNull:
		case ValueBool:
			if v.Text != "true" && v.Text != "false" {
				return fmt.Errorf("%q: neither true nor false", v.Text)
			}
			to.bools[boolIndex(v.Text[0])] = true
		case ValueNumber:
			if !isNumber(v.Text) {
				return fmt.Errorf("%q: no JSON number", v.Text)
			}
			to.sizes = append(to.sizes, numeralOf([]byte(v.Text)))
		case ValueString:
			if !utf8.ValidString(v.Text) {
				return fmt.Errorf("%q: not UTF-8", v.Text)
			}
			to.texts = append(to.texts, v.Text)
		default:
			return fmt.Errorf("value %q of kind %d: no such kind", v.Text, v.Kind)
		}
		to.kinds[v.Kind] = true
	}
	if len(to.texts) > textsMax {
		to.set = map[string]struct{}{}
		for _, text := range to.texts {
			to.set[text] = struct{}{}
		}
	}
	return nil
}

func boolIndex(first byte) int {
	if first == 't' {
		return 1
	}
	return 0
}

func (to *condition) compileOrders(comparisons []Comparison) error {
	if len(comparisons) == 0 {
		return errors.New("no number to compare with")
	}
	for _, o := range comparisons {
		if o.Op == 0 || o.Op >= ops {
			return fmt.Errorf("order %d: no such order", o.Op)
		}
		if !isNumber(o.Number) {
			return fmt.Errorf("%q: no JSON number", o.Number)
		}
		to.orders = append(to.orders, order{o.Op, numeralOf([]byte(o.Number))})
	}
	return nil
}

// firstRule returns the position + 1 of the first rule that holds for the event; 0: none does.
func (c *Codec) firstRule(value []byte, sc *Scanned) uint16 {
	if len(sc.asked) != c.rulesPlaces {
		sc.asked, sc.isAsked = make([][]byte, c.rulesPlaces), false
	}
	if sc.isAsked {
		clear(sc.asked)
		sc.isAsked = false
	}
rules:
	for i := range c.rules {
		for k := range c.rules[i] {
			if !c.rules[i][k].holds(value, sc) {
				continue rules
			}
		}
		return uint16(i + 1)
	}
	return 0
}

func (to *condition) holds(value []byte, sc *Scanned) bool {
	s := &sc.reader.slots[to.node]
	switch to.test {
	case TestOneOf:
		return s.first != 0 && to.isOne(value, s, sc)
	case TestPrefix:
		if s.first != '"' {
			return false
		}
		text := sc.askedText(value, s, to.asked)
		return len(text) >= len(to.prefix) && string(text[:len(to.prefix)]) == to.prefix
	case TestGlob:
		return s.first == '"' && to.glob.match(sc.askedText(value, s, to.asked))
	case TestExists:
		return (s.first != 0) == to.exists
	default:
		return isNumberFirst(s.first) && to.inOrder(value[s.start:s.end])
	}
}

// askedText is text, but decodes no text twice, however many rules ask for it: what is kept of an
// event stays within its size.
func (sc *Scanned) askedText(value []byte, s *slot, asked int32) []byte {
	if !s.escaped {
		return value[s.start+1 : s.end-1]
	}
	if sc.asked[asked] == nil {
		sc.asked[asked], sc.isAsked = sc.text(value, s), true
	}
	return sc.asked[asked]
}

func isNumberFirst(first byte) bool { return first == '-' || isDigit(first) }

func (to *condition) isOne(value []byte, s *slot, sc *Scanned) bool {
	switch s.first {
	case '"':
		if !to.kinds[ValueString] {
			return false
		}
		text := sc.askedText(value, s, to.asked)
		if to.set != nil {
			_, ok := to.set[string(text)]
			return ok
		}
		for _, one := range to.texts {
			if string(text) == one {
				return true
			}
		}
		return false
	case '{', '[', avroOpaque:
		return false
	case 'n':
		return to.kinds[ValueNull]
	case 't', 'f':
		return to.bools[boolIndex(s.first)]
	}
	if !to.kinds[ValueNumber] {
		return false
	}
	for i := range to.sizes {
		if to.sizes[i].compareText(value[s.start:s.end]) == 0 {
			return true
		}
	}
	return false
}

func (to *condition) inOrder(text []byte) bool {
	for i := range to.orders {
		o := &to.orders[i]
		if !o.op.holds(-o.number.compareText(text)) {
			return false
		}
	}
	return true
}

// holds reports whether numbers that compare so are in the order.
func (op Op) holds(compared int) bool {
	switch op {
	case OpGreater:
		return compared > 0
	case OpGreaterEqual:
		return compared >= 0
	case OpLess:
		return compared < 0
	case OpLessEqual:
		return compared <= 0
	case OpEqual:
		return compared == 0
	default:
		return compared != 0
	}
}
