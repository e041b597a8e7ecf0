package config

import (
	"fmt"
	"slices"
	"strings"
)

// faultList strings the faults of the elements of a list together, each once.
type faultList struct {
	first, last *fault
	count       int
}

// add takes the fault of an element; nil: it has none. It reports whether more are wanted.
func (l *faultList) add(element value, f *fault) bool {
	if f == nil {
		return true
	}
	f.line = element.origin.line
	for told := l.first; told != nil; told = told.next {
		if told.problem == f.problem && told.line == f.line {
			return true
		}
	}
	if l.first == nil {
		l.first = f
	} else {
		l.last.next = f
	}
	l.last = f
	l.count++
	return l.count < listFaultsMax
}

// listFaultsMax bounds what is told of one list: nobody reads on.
const listFaultsMax = 100

// listCheck is what is asked of a list: of its length, and of each element among the others. An
// element that is no text is empty there, and not asked for.
type listCheck struct {
	length func(n int) *fault
	one    func(list []string, i int) *fault
}

func asTexts(v value, check listCheck) ([]string, *fault) {
	items, f := asList(v)
	if f != nil {
		return nil, f
	}
	if check.length != nil {
		if f := check.length(len(items)); f != nil {
			return nil, f
		}
	}
	wrong := map[int]*fault{}
	texts := make([]string, len(items))
	for i, item := range items {
		text, f := asText(item)
		switch {
		case f != nil:
			wrong[i] = f
		case text == "":
			wrong[i] = faultf("the list has an empty element")
		default:
			texts[i] = text
		}
	}
	var faults faultList
	for i, item := range items {
		f := wrong[i]
		if f == nil && check.one != nil {
			f = check.one(texts, i)
		}
		if !faults.add(item, f) {
			break
		}
	}
	return texts, faults.first
}

// asOneOrMore takes a text or a list of texts.
func asOneOrMore(v value, check listCheck) ([]string, *fault) {
	if v.shape != scalar || v.untyped() {
		return asTexts(v, check)
	}
	s, f := asText(v)
	if f == nil {
		f = notEmpty(s)
	}
	if f == nil && check.one != nil {
		f = check.one([]string{s}, 0)
	}
	return []string{s}, f
}

func texts(at func(*Config) *[]string, check listCheck) field {
	return field{"list of texts", func(c *Config, v value) *fault {
		s, f := asTexts(v, check)
		if f == nil {
			*at(c) = s
		}
		return f
	}, func(c *Config) any { return *at(c) }}
}

func choices(at func(*Config) *[]string, from ...string) field {
	f := texts(at, listCheck{one: func(list []string, i int) *fault {
		if f := oneOf(list[i], from); f != nil {
			return f
		}
		return twice("", list, i)
	}})
	f.kind = "list of " + strings.Join(from, ", ")
	return f
}

// twice finds an element that was in the list before.
func twice(what string, list []string, i int) *fault {
	if slices.Contains(list[:i], list[i]) {
		return faultf("%s%s is given twice", what, list[i])
	}
	return nil
}

// splits takes what begins a session. What does so by a value has a key of its own.
func splits() field {
	names := []string{"client_start", "user_change", "campaign"}
	at := func(c *Config) *[]string { return &c.Session.Splits }
	f := choices(at, names...)
	f.set = texts(at, listCheck{one: func(list []string, i int) *fault {
		switch s := list[i]; s {
		case "midnight":
			return ownKey(s, "an IANA zone such as Europe/Rome")
		case "max_duration":
			return ownKey(s, "a duration such as 12h")
		case "max_events":
			return ownKey(s, "a number such as 1000")
		}
		if f := oneOf(list[i], names); f != nil {
			return f
		}
		return twice("", list, i)
	}}).set
	return f
}

func ownKey(name, what string) *fault {
	return faultf("%s is a key of its own: session.%s, %s", name, name, what)
}

// outputFields takes the name of a set of fields, or a list of fields.
func outputFields() field {
	return field{
		kind: alternatives(fieldSets()) + ", or a list of fields: " + strings.Join(fieldNames(), ", "),
		set: func(c *Config, v value) *fault {
			fields, f := asOneOrMore(v, listCheck{fieldCount, checkField})
			if f == nil {
				c.Output.Fields = fields
			}
			return f
		},
		get: func(c *Config) any { return oneOrMore(c.Output.Fields) },
	}
}

func fieldCount(n int) *fault {
	if n == 0 {
		return faultf("the list is empty: want at least id, or %s", alternatives(fieldSets()))
	}
	return nil
}

func checkField(fields []string, i int) *fault {
	name := fields[i]
	switch {
	case slices.Contains(fieldSets(), name):
		if len(fields) > 1 {
			return faultf("%s stands alone, not in a list with other fields", name)
		}
		return nil
	case !slices.Contains(fieldNames(), name):
		return unknown(fmt.Sprintf("no such field: %s", shown(name)),
			nearest(name, slices.Concat(fieldNames(), fieldSets()), ""))
	}
	return twice("", fields, i)
}

func topics() listCheck {
	return listCheck{
		func(n int) *fault {
			switch {
			case n == 0:
				return faultf("the list is empty: want at least one topic")
			case n > topicsMax:
				return faultf("more than %d topics", topicsMax)
			}
			return nil
		},
		func(names []string, i int) *fault {
			if f := legalName(names[i]); f != nil {
				return f
			}
			return twice("the topic ", names, i)
		},
	}
}

func brokers() listCheck {
	return listCheck{
		func(n int) *fault {
			switch {
			case n == 0:
				return faultf("the list is empty: want at least one host:port")
			case n > brokersMax:
				return faultf("more than %d brokers", brokersMax)
			}
			return nil
		},
		func(addresses []string, i int) *fault {
			if f := hostPort(addresses[i]); f != nil {
				return f
			}
			return twice("the broker ", addresses, i)
		},
	}
}
