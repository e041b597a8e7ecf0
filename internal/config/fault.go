package config

import (
	"fmt"
	"sort"
	"strings"
)

// layer is one of the places a value comes from; a greater one wins.
type layer uint8

const (
	layerDefault layer = iota
	layerProfile
	layerFile
	layerEnvironment
	layerSet
	layerOverride
	layerArgument
)

// Origin is where a value was written.
type Origin struct {
	layer layer
	name  string // file name, name or path of a profile, or environment variable
	under string // key of an Override, in its file
	line  int    // in a file: 1-based; 0: the file as a whole
	order int    // position among its layer's values where there are no lines
}

// String is "sessionizer.yaml:12", "environment SESSIONIZER_LANES", "--set",
// or "defaults".
func (o Origin) String() string {
	switch o.layer {
	case layerFile, layerOverride:
		if o.line == 0 {
			return o.name
		}
		return fmt.Sprintf("%s:%d", o.name, o.line)
	case layerProfile:
		if isPath(o.name) && o.line > 0 {
			return fmt.Sprintf("%s:%d", o.name, o.line)
		}
		return "profile " + o.name
	case layerEnvironment:
		return "environment " + o.name
	case layerSet:
		return "--set"
	case layerArgument:
		return "the argument"
	}
	return "defaults"
}

// Fault is one thing wrong with the configuration.
type Fault struct {
	Origin  Origin
	Key     string // empty: the source as a whole
	Problem string
	Nearest string // the known name most like an unknown one; empty: none is
}

// String is one line, as it is shown to people: where, which key, what is
// wrong, and what may have been meant.
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.Origin.String())
	b.WriteString(": ")
	if f.Origin.under != "" {
		b.WriteString(f.Origin.under)
		if f.Key != "" {
			b.WriteString(".")
		}
	}
	b.WriteString(f.Key)
	if f.Origin.under != "" || f.Key != "" {
		b.WriteString(": ")
	}
	b.WriteString(f.Problem)
	if f.Nearest != "" {
		b.WriteString("; did you mean ")
		b.WriteString(f.Nearest)
		b.WriteString("?")
	}
	return b.String()
}

// faultsMax bounds what is told of one file: nobody reads on.
const faultsMax = 1_000

// Faults is every fault of a configuration, in the order of the sources and
// of the lines in the file. As an error it is never empty.
type Faults []Fault

// Error is one fault a line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].String()
	}
	return strings.Join(lines, "\n")
}

func (f Faults) sorted() Faults {
	sort.SliceStable(f, func(i, j int) bool {
		a, b := f[i].Origin, f[j].Origin
		if a.layer != b.layer {
			return a.layer < b.layer
		}
		if a.line != b.line {
			return a.line < b.line
		}
		return a.order < b.order
	})
	return f
}

// shownMax bounds how much of a wrong value a fault repeats.
const shownMax = 60

// shown quotes a value for a fault, cut where it is long.
func shown(text string) string {
	if len(text) > shownMax {
		text = strings.ToValidUTF8(text[:shownMax], "") + "..."
	}
	return fmt.Sprintf("%q", text)
}
