package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strings"
	"testing"

	"sessionizer/internal/config"
)

// An update works on the text of a file that somebody has written by hand, in any of the styles
// that YAML has. Whatever the style, the cases pass afterwards and nothing but expectations has
// changed.

// caseWriter writes test files in random styles, with expectations that are mostly wrong.
type caseWriter struct {
	*rand.Rand
	b strings.Builder
}

func (w *caseWriter) one(of ...string) string { return of[w.IntN(len(of))] }

// comment is one behind a line, or nothing.
func (w *caseWriter) comment() string {
	return w.one("", "", "  # it's {said: [\"so", "\t# é ]}")
}

// gap is what may stand between two lines.
func (w *caseWriter) gap() string {
	return w.one("", "", "", "\n", "      # ---\n", "\n\n# \"\n")
}

func (w *caseWriter) file() string {
	w.b.WriteString("# é\nconfig: {session: {timeout: 30m}, time: {out_of_order: 1m}}\ncases:\n")
	indent := w.one("", "  ", "    ")
	for i := range 1 + w.IntN(3) {
		fmt.Fprintf(&w.b, "%s%s- name: %q%s\n%s  events:%s\n", w.gap(), indent, fmt.Sprint("é: ", i),
			w.comment(), indent, w.comment())
		names := w.IntN(3) > 0 // else the case says nothing yet
		for range 1 + w.IntN(5) {
			w.b.WriteString(w.gap())
			if w.IntN(2) == 0 {
				w.flowEvent(indent+w.one("  ", "    "), names)
			} else {
				w.blockEvent(indent+w.one("  ", "  "), names)
			}
		}
		if names && w.IntN(2) == 0 {
			fmt.Fprintf(&w.b, "%s  visits:%s", indent, w.visits(indent+"  ", w.IntN(2) == 0))
		}
		if w.IntN(3) == 0 {
			fmt.Fprintf(&w.b, "%s  strict: true%s\n", indent, w.comment())
		}
	}
	return w.b.String()
}

func (w *caseWriter) time() string { return w.one("0s", "10m", "+31m", "2h", "'3h'", "+1ms", "1d") }

func (w *caseWriter) key() string {
	return w.one("", "key: ana", "key: 'b]o}b'", `key: "q\"é"`, "user: it's")
}

func (w *caseWriter) stamp() string {
	var members []string
	for _, m := range []string{
		"index: 9", "index: '7'", "start: false", "startedAt: 5s", `reason: "midnight"`, "late: ~",
		"state: dropped", "startedAt: 2026-01-01T00:00:00Z", "gapMs: 7", "gapMs: 1s",
		"context.session.index: 8", "campaign: {name: x}", "previousId: 'x''y'",
	} {
		name, _, _ := strings.Cut(m, ":")
		if w.IntN(4) == 0 && !strings.Contains(strings.Join(members, ","), name+":") {
			members = append(members, m)
		}
	}
	if len(members) == 0 {
		return ""
	}
	return "{" + strings.Join(members, w.one(", ", ",\n            ")) + w.one("", ",", " ") + "}"
}

func (w *caseWriter) flowEvent(indent string, names bool) {
	indent = w.b2(indent)
	parts := []string{"at: " + w.time()}
	if k := w.key(); k != "" {
		parts = append(parts, k)
	}
	if names && w.IntN(2) == 0 {
		parts = append(parts, "expect: "+w.stamp())
	}
	if names && w.IntN(4) == 0 {
		parts = append(parts, "visits: "+w.one("[]", "[ ]", "[{index: 3}, {events: 2 }]", ""))
	}
	event := strings.Join(parts, ", ") + w.one("", " ", ",")
	fmt.Fprintf(&w.b, "%s- {%s}%s\n", indent, event, w.comment())
}

// b2 keeps the indentation of a list once it has begun.
func (w *caseWriter) b2(string) string {
	text := w.b.String()
	last := text[strings.LastIndex(text, "  events:"):]
	if m := regexp.MustCompile(`(?m)^( *)- `).FindStringSubmatch(last); m != nil {
		return m[1]
	}
	line := text[:strings.LastIndex(text, "  events:")]
	return line[strings.LastIndex(line, "\n")+1:] + w.one("  ", "    ")
}

func (w *caseWriter) blockEvent(indent string, names bool) {
	indent = w.b2(indent)
	fmt.Fprintf(&w.b, "%s- at: %s%s\n", indent, w.time(), w.comment())
	if k := w.key(); k != "" {
		fmt.Fprintf(&w.b, "%s  %s%s\n", indent, k, w.comment())
	}
	if !names {
		return
	}
	switch w.IntN(4) {
	case 0:
		fmt.Fprintf(&w.b, "%s  expect: %s%s\n", indent, w.stamp(), w.comment())
	case 1:
		fmt.Fprintf(&w.b, "%s  expect:%s\n%s    index: 4%s\n%s    reason: 'campaign'\n", indent, w.comment(),
			indent, w.comment(), indent)
	}
	if w.IntN(3) == 0 {
		fmt.Fprintf(&w.b, "%s  visits:%s", indent, w.visits(indent+"  ", w.IntN(2) == 0))
	}
}

// visits is a list behind its key, with the end of the line.
func (w *caseWriter) visits(indent string, flow bool) string {
	if flow {
		return " " + w.one("[]", "[{index: 3, startedAt: 1s}]", "", "~", "[{}, {events: 2}, {}]") +
			w.comment() + "\n"
	}
	text := w.comment() + "\n"
	deeper := w.one("", "  ")
	for range 1 + w.IntN(3) {
		text += indent + deeper + "- " + w.one("{index: 5, counts: {events: 9, pages: 0}}", "{}",
			"index: 6\n"+indent+deeper+"  reason: end") + "\n" + w.one("", "\n")
	}
	return text
}

func TestUpdate_AnyStyleOfYAMLPassesAfterwards(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	t.Chdir(t.TempDir())
	byHand, updates := 0, 0
	for i := range uint64(40) {
		w := &caseWriter{Rand: rand.New(rand.NewPCG(seed, i))}
		before := w.file()
		write(t, ".", "a.yaml", before)
		r := sessionizer(t, "", "test", "--update", "a.yaml")
		after := read(t, ".", "a.yaml")
		if strings.Contains(r.stderr, "by hand") && after == before {
			t.Logf("file %d: %s%s", i, r.stderr, before)
			byHand++
			continue
		}
		if r.code != exitFine {
			t.Fatalf("file %d: %s\n%s", i, r.stderr, before)
		}
		updates++
		if r := sessionizer(t, "", "test", "a.yaml"); r.code != exitFine {
			t.Fatalf("file %d: %s%s\n%s\nwas\n%s", i, r.stdout, r.stderr, after, before)
		}
		if r := sessionizer(t, "", "test", "--update", "a.yaml"); read(t, ".", "a.yaml") != after {
			t.Fatalf("file %d: a second update changes it: %s", i, r.stderr)
		}
		if was, is := withoutWants(t, before), withoutWants(t, after); was != is {
			t.Fatalf("file %d: more has changed than expectations:\n%s\nwas\n%s", i, after, before)
		}
	}
	if byHand > 0 {
		t.Errorf("%d of %d files had to be changed by hand", byHand, byHand+updates)
	}
}

// withoutWants is what a file says beside its expectations.
func withoutWants(t *testing.T, text string) string {
	t.Helper()
	if err := os.WriteFile("b.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, faults := readCases("b.yaml", func(...config.Override) (*config.Config, error) {
		c := config.Defaults()
		return &c, nil
	})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	var b strings.Builder
	for _, c := range f.cases {
		fmt.Fprintln(&b, c.name, c.strict)
		for _, s := range c.steps {
			fmt.Fprintf(&b, "%s %s %s\n", s.label, s.key, s.value)
		}
	}
	for _, comment := range regexp.MustCompile(`# [^\n]*`).FindAllString(text, -1) {
		b.WriteString(comment)
	}
	return b.String()
}
