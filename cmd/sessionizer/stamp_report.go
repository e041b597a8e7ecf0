package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// stampReport is what the stamp command did.
type stampReport struct {
	Lines         int64            `json:"lines"` // read, blank ones included
	Blank         int64            `json:"blank"` // skipped
	Stamped       int64            `json:"stamped"`
	Sessions      int64            `json:"sessions"` // those that others took in not counted
	VisitsStarted int64            `json:"visitsStarted,omitempty"`
	VisitsEnded   int64            `json:"visitsEnded"`
	Dropped       int64            `json:"dropped,omitempty"` // by a rule or as duplicates
	DeadLetters   int64            `json:"deadLetters"`
	Reasons       map[string]int64 `json:"reasons"` // of the dead letters
}

// write tells of the run on standard error.
func (r *stampReport) write(w io.Writer, o *stampOptions) error {
	if o.json {
		return json.NewEncoder(w).Encode(r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "lines         %s", grouped(r.Lines))
	if r.Blank > 0 {
		fmt.Fprintf(&b, " (%s blank)", grouped(r.Blank))
	}
	fmt.Fprintf(&b, "\nstamped       %s\n", grouped(r.Stamped))
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
		var reasons []string
		for _, reason := range slices.Sorted(maps.Keys(r.Reasons)) {
			reasons = append(reasons, reason+" "+grouped(r.Reasons[reason]))
		}
		fmt.Fprintf(&b, " (%s)%s", strings.Join(reasons, ", "), destination(o.deadLetters))
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
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
