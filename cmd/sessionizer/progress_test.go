package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// screen is a terminal that remembers only what can be seen: it wraps, goes
// back to the first column for \r, and down for \n.
type screen struct {
	width  int
	lines  [][]byte
	column int
}

func (s *screen) Write(p []byte) (int, error) {
	if len(s.lines) == 0 {
		s.lines = [][]byte{nil}
	}
	for _, c := range p {
		switch {
		case c == '\r':
			s.column = 0
			continue
		case c == '\n' || s.column == s.width:
			s.lines, s.column = append(s.lines, nil), 0
			if c == '\n' {
				continue
			}
		}
		last := &s.lines[len(s.lines)-1]
		*last = append((*last)[:s.column:s.column], append([]byte{c}, (*last)[min(len(*last),
			s.column+1):]...)...)
		s.column++
	}
	return len(p), nil
}

func (s *screen) String() string {
	var b strings.Builder
	for _, l := range s.lines {
		b.WriteString(strings.TrimRight(string(l), " ") + "\n")
	}
	return b.String()
}

func TestProgress_NotesStandAboveIt(t *testing.T) {
	s := &screen{width: 40}
	p := &progress{w: s, columns: func() int { return s.width }, total: 200, begun: time.Now()}
	notes := p.above(s)
	fmt.Fprintln(notes, "before the first")
	p.draw(progressText(50, 200, 1_234_567, "lines", 2e9))
	fmt.Fprintln(notes, "in:1: bad")
	fmt.Fprintln(notes, "in:2: bad as well")
	p.draw(progressText(100, 200, 7, "lines", 2e9))
	want := "before the first\nin:1: bad\nin:2: bad as well\n[############............]  50 %  7 lin\n"
	if s.String() != want {
		t.Fatalf("got\n%s", s)
	}
	p.end()
	fmt.Fprintln(notes, "after the last")
	want = "before the first\nin:1: bad\nin:2: bad as well\nafter the last\n\n"
	if s.String() != want {
		t.Fatalf("got\n%s", s)
	}
}

func TestProgress_NeverWraps(t *testing.T) {
	for _, width := range []int{2, 10, 39, 40, 41, 79, 200} {
		s := &screen{width: width}
		p := &progress{w: s, columns: func() int { return width }, begun: time.Now()}
		for i := range int64(4) {
			p.draw(progressText(i*50, 200, 1_234_567, "lines", 2e9))
		}
		p.draw("x")
		if s.String() != "x\n" {
			t.Errorf("%d columns: got\n%s", width, s)
		}
	}
	var out bytes.Buffer
	p := &progress{w: &out, columns: func() int { return 0 }}
	p.draw(strings.Repeat("x", 500))
	if out.Len() != columnsUnknown {
		t.Errorf("%d bytes for a terminal that does not say", out.Len())
	}
}

func TestProgress_IsNothingWhereNobodyLooks(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, &out, nil)
	p.show(1, 1, "lines")
	fmt.Fprint(p.above(&out), "a note\n")
	p.end()
	if p != nil || out.String() != "a note\n" {
		t.Fatalf("%q", out.String())
	}
}
