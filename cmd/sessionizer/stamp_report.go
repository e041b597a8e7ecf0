package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sessionizer/processor"
	"sessionizer/schemas"
	"sessionizer/session"
)

// stampReport is what the stamp command did.
type stampReport struct {
	Lines         int64            `json:"lines"` // read, blank ones included; or events of containers
	Blank         int64            `json:"blank"` // skipped
	Stamped       int64            `json:"stamped"`
	Passed        int64            `json:"passed,omitempty"` // bad input that the policy lets through
	Sessions      int64            `json:"sessions"`         // those that others took in not counted
	VisitsStarted int64            `json:"visitsStarted,omitempty"`
	VisitsEnded   int64            `json:"visitsEnded"`
	Dropped       int64            `json:"dropped,omitempty"` // by a rule or as duplicates
	DeadLetters   int64            `json:"deadLetters"`
	Reasons       map[string]int64 `json:"reasons"`    // of the dead letters
	Counted       map[string]int64 `json:"counted"`    // notes on events, by label; none is 0
	InvalidIDs    map[string]int64 `json:"invalidIds"` // of clients, by what is wrong with them

	isAvro bool
}

// count takes over what the engine has noted.
func (r *stampReport) count(stats *processor.TaskStats) {
	r.Counted, r.InvalidIDs = map[string]int64{}, map[string]int64{}
	for i, n := range stats.Notes {
		if n > 0 {
			r.Counted[session.Notes(1<<i).String()] = n
		}
	}
	for i, n := range stats.ScanNotes {
		if n > 0 {
			r.Counted[schemas.ScanNotes(1<<i).String()] = n
		}
	}
	for i, n := range stats.Invalid {
		if n > 0 {
			r.InvalidIDs[session.Invalid(i).String()] = n
		}
	}
}

// what was read.
func (r *stampReport) what() string {
	if r.isAvro {
		return "events"
	}
	return "lines"
}

// write tells of the run on standard error.
func (r *stampReport) write(w io.Writer, o *stampOptions) error {
	if o.json {
		return json.NewEncoder(w).Encode(r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-13s %s", r.what(), grouped(r.Lines))
	if r.Blank > 0 {
		fmt.Fprintf(&b, " (%s blank)", grouped(r.Blank))
	}
	fmt.Fprintf(&b, "\nstamped       %s\n", grouped(r.Stamped))
	if r.Passed > 0 {
		fmt.Fprintf(&b, "passed        %s (bad input, as it was)\n", grouped(r.Passed))
	}
	if r.Dropped > 0 {
		fmt.Fprintf(&b, "dropped       %s\n", grouped(r.Dropped))
	}
	fmt.Fprintf(&b, "sessions      %s\nvisits ended  %s", grouped(r.Sessions), grouped(r.VisitsEnded))
	if r.VisitsStarted > 0 {
		fmt.Fprintf(&b, " (and %s started)", grouped(r.VisitsStarted))
	}
	b.WriteString(destination(o.visits))
	fmt.Fprintf(&b, "\ndead letters  %s", grouped(r.DeadLetters))
	if r.DeadLetters > 0 {
		fmt.Fprintf(&b, " (%s)%s", listed(r.Reasons), destination(o.deadLetters))
	}
	b.WriteByte('\n')
	if len(r.Counted) > 0 {
		fmt.Fprintf(&b, "counted       %s\n", listed(r.Counted))
	}
	if len(r.InvalidIDs) > 0 {
		fmt.Fprintf(&b, "invalid ids   %s\n", listed(r.InvalidIDs))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// listed writes counts by label.
func listed(counts map[string]int64) string {
	var parts []string
	for _, label := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, label+" "+grouped(counts[label]))
	}
	return strings.Join(parts, ", ")
}

func destination(file string) string {
	if file == "" {
		return ""
	}
	return " -> " + file
}

// grouped writes a number with commas.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
