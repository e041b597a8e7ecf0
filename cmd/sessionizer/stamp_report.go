package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// stampReport is what the stamp command did.
type stampReport struct {
	Lines       int64            `json:"lines"` // read, blank ones included
	Blank       int64            `json:"blank"` // skipped
	Stamped     int64            `json:"stamped"`
	Sessions    int64            `json:"sessions"` // those that others took in not counted
	VisitsEnded int64            `json:"visitsEnded"`
	DeadLetters int64            `json:"deadLetters"`
	Reasons     map[string]int64 `json:"reasons"` // of the dead letters
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
	fmt.Fprintf(&b, "\nstamped       %s\nsessions      %s\nvisits ended  %s", grouped(r.Stamped),
		grouped(r.Sessions), grouped(r.VisitsEnded))
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

// progress is a line on a terminal that says how far the input has been read.
// The zero progress and nil say nothing.
type progress struct {
	w     io.Writer
	total int64 // bytes; negative: unknown
	begun time.Time
	shown time.Time
	width int
}

const progressEvery = 100 * time.Millisecond

// newProgress returns nil where nobody looks.
func newProgress(w io.Writer, inputs []stampInput) *progress {
	if !isTerminal(w) {
		return nil
	}
	p := &progress{w: w, begun: time.Now()}
	for _, in := range inputs {
		if in.size < 0 {
			p.total = -1
		}
		if p.total >= 0 {
			p.total += in.size
		}
	}
	return p
}

// show draws the line, not more often than people see.
func (p *progress) show(bytes, lines int64) {
	if p == nil {
		return
	}
	now := time.Now()
	if now.Sub(p.shown) < progressEvery {
		return
	}
	p.shown = now
	text := progressText(bytes, p.total, lines, now.Sub(p.begun))
	fmt.Fprintf(p.w, "\r%-*s", p.width, text)
	p.width = len(text)
}

// progressText is "  42 %  12,345 lines  98,765 lines/s" with a bar in front
// where the size of the input is known.
func progressText(bytes, total, lines int64, elapsed time.Duration) string {
	const cells = 24
	var b strings.Builder
	if total > 0 {
		part := min(float64(bytes)/float64(total), 1)
		full := int(part * cells)
		fmt.Fprintf(&b, "[%s%s] %3.0f %%  ", strings.Repeat("#", full), strings.Repeat(".", cells-full),
			part*100)
	}
	fmt.Fprintf(&b, "%s lines", grouped(lines))
	if seconds := elapsed.Seconds(); seconds > 0 {
		fmt.Fprintf(&b, "  %s lines/s", grouped(int64(float64(lines)/seconds)))
	}
	return b.String()
}

// end takes the line away: the summary says it all.
func (p *progress) end() {
	if p != nil && p.width > 0 {
		fmt.Fprintf(p.w, "\r%*s\r", p.width, "")
	}
}
