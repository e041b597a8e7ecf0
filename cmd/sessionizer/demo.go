package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"sessionizer/internal/audit/setup"
	"sessionizer/internal/config"
	"sessionizer/internal/demo"
)

func (a *app) demoCommand() *cobra.Command {
	var o demo.Config
	var asJSON bool
	c := command(&cobra.Command{
		Use:   "demo",
		Short: "See it all at work in one process, crashes included",
		Long: "Runs a broker in memory, the customers of a shop in fast-forward time, and the processor, which\n" +
			"crashes every few seconds in the middle of a transaction. At the end an audit of the topics\n" +
			"says whether anything was lost, doubled or wrong. No configuration is read but --set.",
		Args: cobra.NoArgs,
	}, func(cmd *cobra.Command, _ []string) error {
		if o.For <= 0 {
			return usageError{fmt.Errorf("--for %s: want a time, such as 30s", o.For)}
		}
		return a.demo(cmd.Context(), o, asJSON)
	})
	c.Flags().DurationVar(&o.For, "for", 30*time.Second, "how long events come")
	c.Flags().Uint64Var(&o.Seed, "seed", 1, "of customers and crashes")
	c.Flags().BoolVar(&asJSON, "json", false, "the verdict as JSON")
	return c
}

func (a *app) demo(ctx context.Context, o demo.Config, asJSON bool) error {
	if a.configFile != "" {
		return usageError{errors.New("demo reads no --config: use --set")}
	}
	cfg, err := a.demoConfig()
	if err != nil {
		return err
	}
	// The processor reports every crash at length; here they are the show.
	log := zap.NewNop()
	if a.logLevel != "" {
		log = newLogger(cfg.Log, a.stderr)
	}
	if o.Processor, err = processorConfig(cfg, log); err != nil {
		return err
	}
	if o.Audit, err = setup.From(cfg); err != nil {
		return err
	}
	screen := newDemoScreen(a.stderr, &o)
	o.Watch, o.Halt = screen.show, a.halt
	verdict, err := demo.Run(ctx, o)
	screen.end()
	if errors.Is(err, context.Canceled) {
		return errors.New("stopped before there was a verdict")
	}
	if err != nil {
		return err
	}
	if asJSON {
		err = writeJSON(a.stdout, verdict)
	} else {
		err = writeVerdict(a.stdout, verdict)
	}
	return errors.Join(err, verdict.Err())
}

// demoConfig is the defaults and --set: the demo needs no more, and what is
// meant for a real broker must not get in its way.
func (a *app) demoConfig() (*config.Config, error) {
	sources := a.sources(false)
	sources.Environ = nil
	sources.ReadFile = func(string) ([]byte, error) { return nil, fs.ErrNotExist }
	sources.Hostname = func() (string, error) { return "demo", nil }
	cfg, _, err := config.Load(sources)
	return cfg, err
}

// demoScreen draws how the demo goes: on a terminal a line that changes, else
// a line every few seconds. Crashes are lines of their own.
type demoScreen struct {
	w       io.Writer
	columns int // of the terminal; 0: it is none
	crashes int64
	shown   time.Duration // when the last plain line was written
	phase   demo.Phase
	width   int
}

const plainEvery = 5 * time.Second

func newDemoScreen(w io.Writer, o *demo.Config) *demoScreen {
	fmt.Fprintf(w, "embedded broker, topic %s with made-up customers, seed %d, %s\n",
		strings.Join(o.Processor.Input, ", "), o.Seed, o.For)
	return &demoScreen{w: w, columns: columns(w)}
}

func (d *demoScreen) show(s demo.Status) {
	if s.Crashes > d.crashes {
		d.crashes = s.Crashes
		d.line(fmt.Sprintf("%5.1fs  crash %d: connections cut, unsynced state lost; %d in an open transaction",
			s.Elapsed.Seconds(), s.Crashes, s.Struck))
	}
	if s.Phase != d.phase {
		d.phase = s.Phase
		switch s.Phase {
		case demo.Draining:
			d.line("no more events; the processor finishes what is there")
		case demo.Auditing:
			d.line("the auditor reads the topics")
		case demo.Feeding:
		}
	}
	text := statusText(&s)
	switch {
	case d.columns > 0:
		text = text[:min(len(text), d.columns-1)] // a line that wraps cannot be redrawn
		fmt.Fprintf(d.w, "\r%-*s", d.width, text)
		d.width = len(text)
	case s.Elapsed-d.shown >= plainEvery && s.Phase != demo.Auditing:
		d.shown = s.Elapsed
		fmt.Fprintln(d.w, text)
	}
}

// line writes a line above the one that changes.
func (d *demoScreen) line(text string) {
	d.end()
	fmt.Fprintln(d.w, text)
}

// end takes the changing line away.
func (d *demoScreen) end() {
	if d.width > 0 {
		fmt.Fprintf(d.w, "\r%*s\r", d.width, "")
		d.width = 0
	}
}

func statusText(s *demo.Status) string {
	text := fmt.Sprintf("%5.1fs  %s events, %s done, %s visits ended; the shop's clock is %s",
		s.Elapsed.Seconds(), grouped(s.In), grouped(s.Done), grouped(s.Visits),
		s.EventTime.Format("2006-01-02 15:04"))
	if visit := visitText(s.LastVisit); visit != "" {
		text += "; last " + visit
	}
	return text
}

// visitText is a visit in a few words.
func visitText(record []byte) string {
	var v struct {
		AnonymousID string `json:"anonymousId"`
		DurationMs  int64  `json:"durationMs"`
		Counts      struct {
			Events int64 `json:"events"`
		} `json:"counts"`
	}
	if len(record) == 0 || json.Unmarshal(record, &v) != nil || len(v.AnonymousID) < 8 {
		return ""
	}
	return fmt.Sprintf("%s... %d events in %s", v.AnonymousID[:8], v.Counts.Events,
		time.Duration(v.DurationMs*int64(time.Millisecond)).Round(time.Second))
}

func writeVerdict(w io.Writer, v *demo.Verdict) error {
	var b strings.Builder
	for _, row := range []struct {
		name string
		n    int64
		note string
	}{
		{"events in", v.EventsIn, ""},
		{"events out", v.EventsOut, ""},
		{"dead letters", v.DeadLetters, "malformed on purpose"},
		{"sessions", v.Sessions, fmt.Sprintf("%s still open, %s merged into others",
			grouped(v.Open), grouped(v.Merged))},
		{"visits ended", v.Visits, "revisions included"},
		{"crashes", v.Crashes, grouped(v.Struck) + " in an open transaction"},
		{"lost", v.Lost, ""}, {"doubled", v.Doubled, ""}, {"wrong", v.Wrong, ""},
	} {
		fmt.Fprintf(&b, "%-13s %9s", row.name, grouped(row.n))
		if row.note != "" {
			b.WriteString("  " + row.note)
		}
		b.WriteByte('\n')
	}
	for _, finding := range v.Findings {
		b.WriteString("  " + finding.String() + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
