package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"sessionizer/internal/audit"
	"sessionizer/internal/demo"
	"sessionizer/processor"
)

func TestDemo_RefusesWhatMakesNoSense(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		stderr string
		args   []string
	}{
		{"sessionizer: --for 0s: want a time, such as 30s\n", []string{"--for", "0s"}},
		{"sessionizer: demo reads no --config: use --set\n", []string{"--config", "x.yaml"}},
		{"sessionizer: the configuration has 1 fault:\n--set: lanes: want a whole number, found \"x\"\n",
			[]string{"--set", "lanes=x"}},
	} {
		r := sessionizer(t, "", append([]string{"demo"}, c.args...)...)
		if r.code != exitUsage || r.stderr != c.stderr || r.stdout != "" {
			t.Errorf("%v: %+v", c.args, r)
		}
	}
}

// screened shows a demo's course on a screen.
func screened(columns int) string {
	var out bytes.Buffer
	s := newDemoScreen(&out, &demo.Config{
		For: 30 * time.Second, Seed: 7, Processor: processor.Config{Input: []string{"events"}},
	})
	s.columns = columns
	at := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	status := demo.Status{Phase: demo.Feeding, EventTime: at}
	for second := range 7 {
		status.Elapsed = time.Duration(second) * time.Second
		status.In, status.Done = int64(second)*1000, int64(second)*900
		if second == 3 {
			status.Crashes, status.Struck = 1, 1
			status.LastVisit = []byte(`{"anonymousId":"0123456789","durationMs":61000,"counts":{"events":4}}`)
		}
		s.show(status)
	}
	status.Phase = demo.Draining
	s.show(status)
	s.end()
	return out.String()
}

func TestDemoScreen_WritesALineNowAndThenWhereNobodyLooks(t *testing.T) {
	want := `embedded broker, topic events with made-up customers, seed 7, 30s
  3.0s  crash 1: connections cut, unsynced state lost; 1 in an open transaction
  5.0s  5,000 events, 4,500 done, 0 visits ended; the shop's clock is 2026-01-02 03:04; last 01234567... 4 events in 1m1s
no more events; the processor finishes what is there
`
	if got := screened(0); got != want {
		t.Fatalf("got\n%s", got)
	}
}

func TestDemoScreen_RedrawsOneLineOnATerminal(t *testing.T) {
	got := screened(40)
	if n := strings.Count(got, "\r"); n < 8 {
		t.Errorf("%d times redrawn", n)
	}
	for _, line := range strings.FieldsFunc(got, func(r rune) bool { return r == '\r' }) {
		if !strings.Contains(line, "\n") && len(line) >= 40 {
			t.Errorf("%q does not fit", line)
		}
	}
}

func TestWriteVerdict_IsATableWithTheFindings(t *testing.T) {
	var out bytes.Buffer
	err := writeVerdict(&out, &demo.Verdict{Crashes: 7, Struck: 6, Report: audit.Report{
		EventsIn: 240_118, EventsOut: 240_002, DeadLetters: 116, Sessions: 31_020, Visits: 30_500,
		Open: 500, Merged: 20, Lost: 1, Findings: []audit.Finding{
			{Check: audit.CheckLost, Topic: "events", Offset: 3, What: "it has no outcome"},
		},
	}})
	want := `events in       240,118
events out      240,002
dead letters        116  malformed on purpose
sessions         31,020  500 still open, 20 merged into others
visits ended     30,500  revisions included
crashes               7  6 in an open transaction
lost                  1
doubled               0
wrong                 0
  lost: events/0@3: it has no outcome
`
	if err != nil || out.String() != want {
		t.Fatalf("%v\n%s", err, out.String())
	}
}
