package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"sessionizer/schemas"
	"sessionizer/session"
)

// explainText writes an explanation for people: a table of at most 120 columns, with a line for
// each day.
type explainText struct {
	w        io.Writer
	hasRules bool // there is a column for them
	hasHead  bool
	day      string
	place    string // file or partition of the last line
	sessions int
}

// Widths of the columns, which have two spaces between them.
const (
	placeWidth   = 9
	timeWidth    = len("15:04:05.000")
	eventWidth   = 26
	gapWidth     = 8
	timeoutWidth = 7
	ruleWidth    = 17 // snowplow rules[1]
	sessionWidth = 7
)

// line writes one line of an explanation.
func (t *explainText) line(x *explained) error {
	var b strings.Builder
	switch x.Kind {
	case kindEvent:
		t.head(&b, x)
		t.event(&b, x)
	case kindVisit:
		t.head(&b, x)
		t.visit(&b, x)
	case kindSession:
		if t.sessions++; t.sessions == 1 {
			b.WriteString("\n")
		}
		t.session(&b, x)
	}
	_, err := io.WriteString(t.w, b.String())
	return err
}

// head writes the heading, and what changes seldom: the file or partition, the day.
func (t *explainText) head(b *strings.Builder, x *explained) {
	what, place := "offset", ""
	if x.File != "" {
		what, place = "line", x.File
	} else if x.Partition != nil {
		place = fmt.Sprintf("%s/%d", x.Topic, *x.Partition)
	}
	if !t.hasHead {
		t.hasHead = true
		fmt.Fprintf(b, "%*s  ", placeWidth, what)
		t.columns(b, "time (UTC)", "type and event", "gap", "timeout", "rule", "session", "decision")
	}
	if place != t.place {
		fmt.Fprintf(b, "%s\n", place)
		t.place, t.day = place, ""
	}
	if day, _, ok := strings.Cut(x.Time, "T"); ok && day != t.day {
		fmt.Fprintf(b, "%*s  %s\n", placeWidth, "", day)
		t.day = day
	}
}

func (t *explainText) columns(
	b *strings.Builder, at, event, gap, timeout, rule, of, decision string,
) {
	width := eventWidth
	if t.hasRules {
		width -= 4 // for the decision
	}
	fmt.Fprintf(b, "%s  %s  %s  %s  ", padded(at, timeWidth), padded(event, width),
		leading(gap, gapWidth), leading(timeout, timeoutWidth))
	if t.hasRules {
		fmt.Fprintf(b, "%s  ", padded(rule, ruleWidth))
	}
	fmt.Fprintf(b, "%s  %s\n", padded(of, sessionWidth), decision)
}

func (t *explainText) event(b *strings.Builder, x *explained) {
	if x.Offset != nil {
		fmt.Fprintf(b, "%*d  ", placeWidth, *x.Offset)
	} else {
		fmt.Fprintf(b, "%*d  ", placeWidth, x.Line)
	}
	_, at, _ := strings.Cut(strings.TrimSuffix(x.Time, "Z"), "T")
	rule, of := "", ""
	if x.Rule != nil {
		rule = ruleName{x.Rule.Number, x.Rule.Name}.String()
	}
	if x.Session != nil {
		of = fmt.Sprintf("#%d", x.Session.Index)
	}
	name := strings.TrimSpace(x.Type + " " + x.Event)
	if x.Source != "" {
		name = x.Source + ": " + name
	}
	timeout := x.JudgedBy
	if timeout == nil {
		timeout = x.TimeoutMs
	}
	t.columns(b, at, name, shortMillis(x.GapMs), shortMillis(timeout), rule, of, x.words())
}

// words is the decision as people read it.
func (x *explained) words() string {
	words := strings.ReplaceAll(x.Decision, "_", " ")
	switch x.Decision {
	case decisionNone:
		words = "no session"
	case decisionMerged:
		words = fmt.Sprintf("joins, takes in #%s", strings.Trim(strings.Join(
			strings.Fields(fmt.Sprint(x.Merged)), ", #"), "[]"))
	}
	switch {
	case x.Closed != "":
		words += ": after " + x.Closed
	case x.Reason != "":
		words += ": " + x.Reason
	}
	for _, note := range x.Notes {
		switch note {
		case session.NoteLate.String(), session.NoteClamped.String():
			words += ", " + note
		case session.NoteLateStart.String():
			words += ", late start marker"
		case session.NoteEnded.String():
			words += ", ends it"
		case session.NoteInvalidID.String():
			if x.Decision != decisionNone {
				words += ", invalid id"
			}
		case schemas.NoteBadTimestamp.String(), schemas.NoteBadOriginalTimestamp.String(),
			schemas.NoteBadCorrected.String(), schemas.NoteBadReceivedAt.String(),
			schemas.NoteLongMessageID.String(), schemas.NoteCollectedLong.String():
			words += ", " + strings.ReplaceAll(note, "_", " ")
		}
	}
	return words
}

// visit writes a Visit Ended or Visit Started record.
func (t *explainText) visit(b *strings.Builder, x *explained) {
	v := x.visit
	text := func(path string) string {
		if s, ok := v.at(path).(string); ok {
			return s
		}
		return flowValue(v.at(path))
	}
	fmt.Fprintf(b, "%*s  ", placeWidth, "")
	of := "#" + text("session.index")
	if source, ok := v["source"].(string); ok {
		of = printable(source) + " " + of
	}
	if text("revision") == "0" {
		fmt.Fprintf(b, "Visit Started  %s  id %s\n", of, text("session.id"))
		return
	}
	fmt.Fprintf(b, "Visit Ended    %s  %s", of, text("reason"))
	switch {
	case x.into != nil:
		fmt.Fprintf(b, " into #%d", x.into.index)
	case v.at("mergedInto") != nil:
		fmt.Fprintf(b, " into %s", text("mergedInto"))
	}
	fmt.Fprintf(b, ", %s, %s", span(text("startedAt"), text("endedAt")),
		strings.Replace(text("counts.events")+" events", "1 events", "1 event", 1))
	if text("revision") != "1" {
		fmt.Fprintf(b, ", revision %s", text("revision"))
	}
	b.WriteByte('\n')
}

// session writes what a session has come to.
func (t *explainText) session(b *strings.Builder, x *explained) {
	id, err := json.Marshal(x.Session.ID)
	if err != nil {
		id = []byte(x.Session.UUID)
	}
	of := fmt.Sprintf("#%d", x.Session.Index)
	if x.Source != "" {
		of = printable(x.Source) + " " + of
	}
	fmt.Fprintf(b, "%-5s  id %s  %s  %s  ", of, strings.Trim(string(id), `"`),
		span(x.First, x.Last), counted(int(*x.Events), "event"))
	switch {
	case x.OpenUntil != "":
		fmt.Fprintf(b, "open until %s\n", plainTime(x.OpenUntil))
	default:
		fmt.Fprintf(b, "ended: %s\n", x.Ended)
	}
}

// span writes two times, the day of the second only where it is another.
func span(first, last string) string {
	day, _, _ := strings.Cut(first, "T")
	last = plainTime(last)
	if first == "" {
		return ""
	}
	return plainTime(first) + " to " + strings.TrimPrefix(last, day+" ")
}

func plainTime(t string) string {
	return strings.TrimSuffix(strings.Replace(t, "T", " ", 1), "Z")
}

// shortMillis writes a duration with its two greatest units, cut.
func shortMillis(d *session.Millis) string {
	if d == nil {
		return ""
	}
	text, units := formatMillis(*d), 0
	for i := 1; i < len(text); i++ {
		isDigit := text[i] >= '0' && text[i] <= '9'
		wasDigit := text[i-1] >= '0' && text[i-1] <= '9'
		if isDigit && !wasDigit {
			if units++; units == 2 {
				return text[:i]
			}
		}
	}
	return text
}

// padded cuts a text to a width, or fills it up with spaces.
func padded(text string, width int) string {
	text = printable(text)
	n := utf8.RuneCountInString(text)
	if n > width {
		return string([]rune(text)[:width-1]) + "…"
	}
	return text + strings.Repeat(" ", width-n)
}

// leading fills a text up with spaces in front.
func leading(text string, width int) string {
	return strings.Repeat(" ", max(width-utf8.RuneCountInString(text), 0)) + text
}

// printable takes away what would move a terminal's cursor or turn its line around: events may have
// any text.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError ||
			unicode.Is(unicode.Bidi_Control, r) {
			return '?'
		}
		return r
	}, text)
}
