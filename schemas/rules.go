package schemas

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

	tests
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
