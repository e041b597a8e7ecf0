package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// progress is a line on a terminal that says how far the input has been read.
// Nil says nothing.
type progress struct {
	w       io.Writer
	columns func() int // of the terminal, which may change; 0: it does not say
	total   int64      // bytes; negative: unknown
	begun   time.Time
	shown   time.Time
	text    string // on the screen now
}

const (
	progressEvery  = 100 * time.Millisecond
	columnsUnknown = 80 // of a terminal that does not say
)

// newProgress returns nil where nobody looks, and where the stamped lines are
// on the screen too, which tell of themselves.
func newProgress(w io.Writer, stdout any, inputs []stampInput) *progress {
	if !isTerminal(w) || isTerminal(stdout) {
		return nil
	}
	p := &progress{w: w, columns: func() int { return columns(w) }, begun: time.Now()}
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
func (p *progress) show(bytes, events int64, noun string) {
	if p == nil {
		return
	}
	now := time.Now()
	if now.Sub(p.shown) < progressEvery {
		return
	}
	p.shown = now
	p.draw(progressText(bytes, p.total, events, noun, now.Sub(p.begun)))
}

// draw puts a text in the place of the one before. A line that wraps could not
// be redrawn: it is cut where the terminal ends, a column before the margin.
func (p *progress) draw(text string) {
	width := p.columns()
	if width == 0 {
		width = columnsUnknown
	}
	text = text[:min(len(text), width-1)]
	blank := max(min(len(p.text), width-1)-len(text), 0)
	fmt.Fprintf(p.w, "\r%s%s", text, strings.Repeat(" ", blank))
	p.text = text
}

// end takes the line away.
func (p *progress) end() {
	if p != nil && p.text != "" {
		p.draw("")
		fmt.Fprint(p.w, "\r")
	}
}

// above returns a writer of whole lines to the same terminal: they take the
// place of the progress, which is drawn again below them.
func (p *progress) above(w io.Writer) io.Writer {
	if p == nil {
		return w
	}
	return notesAbove{p}
}

type notesAbove struct{ p *progress }

func (n notesAbove) Write(b []byte) (int, error) {
	text := n.p.text
	n.p.end()
	written, err := n.p.w.Write(b)
	if text != "" {
		n.p.draw(text)
	}
	return written, err
}

// progressText is "  42 %  12,345 lines  98,765 lines/s" with a bar in front
// where the size of the input is known.
func progressText(bytes, total, events int64, noun string, elapsed time.Duration) string {
	const cells = 24
	var b strings.Builder
	if total > 0 {
		part := min(float64(bytes)/float64(total), 1)
		full := int(part * cells)
		fmt.Fprintf(&b, "[%s%s] %3.0f %%  ", strings.Repeat("#", full), strings.Repeat(".", cells-full),
			part*100)
	}
	fmt.Fprintf(&b, "%s %s", grouped(events), noun)
	if seconds := elapsed.Seconds(); seconds > 0 {
		fmt.Fprintf(&b, "  %s %s/s", grouped(int64(float64(events)/seconds)), noun)
	}
	return b.String()
}
