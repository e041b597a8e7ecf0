package config

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// field is the type of a key: how its value is read into a Config and shown again.
type field struct {
	kind string // of the values, as the reference names it
	set  func(c *Config, v value) *fault
	get  func(c *Config) any // a text, number, boolean or list, in the form that set takes
}

// The functions here build the field of a key from the place of its value in a
// Config and what may stand there.

func text(at func(*Config) *string, checks ...func(string) *fault) field {
	return field{"text", func(c *Config, v value) *fault {
		s, f := asText(v)
		for _, check := range checks {
			if f == nil {
				f = check(s)
			}
		}
		if f == nil {
			*at(c) = s
		}
		return f
	}, func(c *Config) any { return *at(c) }}
}

func secret(at func(*Config) *Secret) field {
	return field{"text, secret", func(c *Config, v value) *fault {
		if v.text == "" {
			return faultf("is empty")
		}
		*at(c) = NewSecret(v.text)
		return nil
	}, func(c *Config) any { return at(c).String() }}
}

func boolean(at func(*Config) *bool) field {
	return field{"true or false", func(c *Config, v value) *fault {
		b, f := asBool(v)
		if f == nil {
			*at(c) = b
		}
		return f
	}, func(c *Config) any { return *at(c) }}
}

func duration(at func(*Config) *time.Duration, least, most time.Duration) field {
	return field{"duration", func(c *Config, v value) *fault {
		d, f := asDuration(v)
		switch {
		case f != nil:
			return f
		case d < least:
			return faultf("%s is less than %s, the least there can be", v.text, durationText(least))
		case d > most:
			return faultf("%s is more than %s, the most there can be", v.text, durationText(most))
		}
		*at(c) = d
		return nil
	}, func(c *Config) any { return durationText(*at(c)) }}
}

func size(at func(*Config) *int64, least, most int64) field {
	return field{"size", func(c *Config, v value) *fault {
		n, f := asSize(v)
		switch {
		case f != nil:
			return f
		case n < least:
			return faultf("%s is less than %s, the least there can be", v.text, sizeText(least))
		case n > most:
			return faultf("%s is more than %s, the most there can be", v.text, sizeText(most))
		}
		*at(c) = n
		return nil
	}, func(c *Config) any { return sizeText(*at(c)) }}
}

func integer(at func(*Config) *int, least, most int64) field {
	return field{"whole number", func(c *Config, v value) *fault {
		n, f := asInt(v)
		switch {
		case f != nil:
			return f
		case n < least:
			return faultf("%s is less than %d, the least there can be", v.text, least)
		case n > most:
			return faultf("%s is more than %d, the most there can be", v.text, most)
		}
		*at(c) = int(n)
		return nil
	}, func(c *Config) any { return *at(c) }}
}

func choice(at func(*Config) *string, from ...string) field {
	f := text(at, func(s string) *fault { return oneOf(s, from) })
	f.kind = alternatives(slices.DeleteFunc(slices.Clone(from), isEmpty))
	return f
}

func isEmpty(s string) bool { return s == "" }

func oneOf(s string, from []string) *fault {
	if slices.Contains(from, s) {
		return nil
	}
	named := slices.DeleteFunc(slices.Clone(from), isEmpty)
	f := faultf("want %s, found %s", alternatives(named), shown(s))
	f.nearest = nearest(s, named, "")
	return f
}

func alternatives(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// oneOrMore is the short form of a list: its only element stands alone.
func oneOrMore(list []string) any {
	if len(list) == 1 {
		return list[0]
	}
	return list
}

// idType takes a type of ids. An empty one leaves the profile's in force.
func idType() field {
	f := choice(func(c *Config) *string { return &c.Session.IDType }, "int64", "uuid", "string")
	set := f.set
	f.set = func(c *Config, v value) *fault {
		if v.shape == scalar && v.text == "" && v.tag != "!!null" {
			return nil
		}
		return set(c, v)
	}
	return f
}

// policyOf is the policy for a reason of dead letters.
func policyOf(reason string) field {
	var policy string
	f := choice(func(*Config) *string { return &policy },
		string(PolicyDeadLetter), string(PolicyPass), string(PolicyFail))
	set := f.set
	f.set = func(c *Config, v value) *fault {
		if f := set(c, v); f != nil {
			return f
		}
		c.DeadLetters.On[reason] = Policy(policy)
		return nil
	}
	f.get = func(c *Config) any { return string(c.DeadLetters.PolicyFor(reason)) }
	return f
}

// pathsOf is the places of what the profile's paths call by a name.
func pathsOf(name string) field {
	return field{
		kind: "path, or list of paths",
		set: func(c *Config, v value) *fault {
			paths, f := asOneOrMore(v, listCheck{one: checkPath})
			if f == nil {
				c.Paths[name] = paths
			}
			return f
		},
		get: func(c *Config) any {
			if paths, given := c.Paths[name]; given {
				return oneOrMore(paths)
			}
			return nil // the profile's
		},
	}
}

// checkPath finds what is never a path. All else the engine checks, where all paths are known.
func checkPath(paths []string, i int) *fault {
	if slices.Contains(strings.Split(paths[i], "."), "") {
		return faultf("path %s: an empty name", shown(paths[i]))
	}
	return nil
}

// zone takes the name of an IANA zone. Local is none: it would be another one
// on each host.
func zone(name string) *fault {
	if name == "" {
		return nil
	}
	if name == "Local" {
		return faultf("Local differs from host to host: want an IANA zone such as Europe/Rome")
	}
	if _, err := time.LoadLocation(name); err != nil {
		return faultf("no such zone: %s: want an IANA zone such as Europe/Rome", shown(name))
	}
	return nil
}

func notEmpty(s string) *fault {
	if strings.TrimSpace(s) == "" {
		return faultf("is empty")
	}
	return nil
}

// topicNameMax is Kafka's limit on the length of a topic's name, which also
// holds for static member ids.
const topicNameMax = 249

// legalName says what Kafka has against a name of a topic or a static member.
func legalName(s string) *fault {
	switch {
	case s == "":
		return faultf("is empty")
	case len(s) > topicNameMax:
		return faultf("is longer than %d characters", topicNameMax)
	case s == "." || s == "..":
		return faultf("%s is no name that Kafka allows", s)
	}
	for _, r := range s {
		if !strings.ContainsRune(nameAlphabet, r) {
			return faultf("%s holds %q: Kafka allows letters, digits, '.', '_' and '-'", shown(s), r)
		}
	}
	return nil
}

const nameAlphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

func legalNameOrNothing(s string) *fault {
	if s == "" {
		return nil
	}
	return legalName(s)
}

func hostPort(address string) *fault {
	if scheme, rest, ok := strings.Cut(address, "://"); ok {
		return faultf("want host:port, found the URL scheme %s: write %s", shown(scheme), rest)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return faultf("want host:port, found %s", shown(address))
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return faultf("want a port from 1 to 65535, found %s in %s", shown(port), shown(address))
	}
	if strings.ContainsAny(host, " \t\r\n/@") {
		return faultf("%s is no host name", shown(host))
	}
	return nil
}

// durationText is a duration in the largest unit that leaves no fraction.
func durationText(d time.Duration) string {
	for i := len(durationUnits) - 1; i >= 0; i-- {
		if u := durationUnits[i]; d >= u.unit && d%u.unit == 0 {
			return strconv.FormatInt(int64(d/u.unit), 10) + u.name
		}
	}
	return d.String()
}

// sizeText is a size in the largest unit that leaves no fraction.
func sizeText(n int64) string {
	for _, u := range [...]int{3, 2, 1, 0} {
		if unit := int64(1) << sizeUnits[u].shift; n >= unit && n%unit == 0 {
			return strconv.FormatInt(n/unit, 10) + sizeUnits[u].name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}
