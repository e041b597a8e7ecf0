package main

import (
	"fmt"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"sessionizer/internal/config"
	"sessionizer/schemas"
	"sessionizer/session"
)

// closed finds values that a member never has: a case that wants one would fail, and a mistyped one
// is better told as what it is. No values: it may have any.
func (r *caseReader) closed(e caseEntry, key string, values []string) {
	isNone := isNull(e.value) || e.value.ShortTag() == "!!bool" && e.value.Value == "false"
	if len(values) == 0 || isNone || e.value.Kind == yaml.ScalarNode &&
		slices.Contains(values, e.value.Value) {
		return
	}
	problem := fmt.Sprintf("want one of %s, found %s", strings.Join(values, ", "), nodeText(e.value))
	nearest := ""
	if e.value.Kind == yaml.ScalarNode {
		nearest = config.Nearest(e.value.Value, values)
	}
	r.fault(e.value.Line, key+"."+e.name, problem, nearest)
}

// stampValues are the values that a member of a stamp may have; nil: any.
func stampValues(name string) []string {
	switch name {
	case "state":
		var values []string
		for s := session.InSession; s <= session.Dropped; s++ {
			values = append(values, s.String())
		}
		return append(values, stateDeadLetter)
	case "reason":
		return reasonValues(session.ReasonMidnight) // those behind it are of an end
	case "idSource":
		return []string{"client", "server"}
	case "deadLetter":
		var values []string
		for _, reason := range []schemas.Reason{
			schemas.Malformed, schemas.Limit, schemas.NoKey, schemas.NoTime, schemas.BadContext,
			schemas.InvalidID, schemas.TooLate,
		} {
			values = append(values, string(reason))
		}
		return values
	}
	return nil
}

// reasonValues are the reasons up to a last one.
func reasonValues(last session.Reason) []string {
	var values []string
	for r := session.ReasonInactivity; r <= last; r++ {
		values = append(values, r.String())
	}
	return values
}
