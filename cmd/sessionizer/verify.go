package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"sessionizer/internal/audit"
	"sessionizer/internal/audit/setup"
	"sessionizer/processor"
)

// verifyOptions are the flags of verify.
type verifyOptions struct {
	asJSON   bool
	settled  bool
	showKeys bool
	spillDir string
}

func (a *app) verifyCommand() *cobra.Command {
	var o verifyOptions
	c := command(&cobra.Command{
		Use:   "verify",
		Short: "Prove from the topics that nothing was lost, doubled or wrong",
		Long: "Reads the input, output, visits and dead-letter topics as any consumer of committed records\n" +
			"does, up to the group's committed offsets as they are now, and holds the output against the\n" +
			"configuration: every event has exactly one outcome, nothing but its session changed, and\n" +
			"every session and every Visit Ended is what the rules make of the events. The topics may go\n" +
			"on moving. It changes nothing. Exit code 1: a violation was found, or there is no verdict, since\n" +
			"the topics could not be read to their ends: the report says which.",
		Args: cobra.NoArgs,
	}, func(cmd *cobra.Command, _ []string) error { return a.verify(cmd.Context(), &o) })
	flags := c.Flags()
	flags.BoolVar(&o.asJSON, "json", false, "report as JSON")
	flags.BoolVar(&o.settled, "settled", false,
		"the pipeline has come to rest, run --until-end has ended, say: a visit that is due and missing is lost")
	flags.BoolVar(&o.showKeys, "show-keys", false,
		"name the keys and ids of events in findings; else keys are hashed")
	flags.StringVar(&o.spillDir, "temp-dir", "",
		"where to put what does not fit into memory (default "+os.TempDir()+")")
	return c
}

func (a *app) verify(ctx context.Context, o *verifyOptions) error {
	cfg, log, err := a.load(false)
	if err != nil {
		return err
	}
	p, err := processorConfig(cfg, log.WithOptions(zap.IncreaseLevel(zap.ErrorLevel)))
	if err != nil {
		return err
	}
	c, err := setup.From(cfg)
	if err != nil {
		return err
	}
	client, err := registryOf(cfg)
	if err != nil {
		return err
	}
	if client != nil {
		defer client.Close()
		c.Schemas = setup.Schemas{Client: client}
	}
	c.Settled, c.ShowKeys, c.SpillDir = o.settled, o.showKeys, o.spillDir
	show := newProgress(a.stderr, nil, nil)
	report, err := a.audit(ctx, &p, &c, show)
	show.end()
	if err != nil {
		return a.noVerdict(o, err)
	}
	if o.asJSON {
		err = writeJSON(a.stdout, verifyReport{Verdict: verdictOf(&report), Report: &report})
	} else {
		err = writeReport(a.stdout, &report)
	}
	if err == nil && !report.Clean() {
		err = fmt.Errorf("verify: %d lost, %d doubled, %d wrong", report.Lost, report.Doubled,
			report.Wrong)
	}
	return err
}

// audit reads the topics and judges them. What takes long is told.
func (a *app) audit(
	ctx context.Context, p *processor.Config, c *audit.Config, show *progress,
) (audit.Report, error) {
	tell := func(text string) {
		fmt.Fprintf(show.above(a.stderr), "sessionizer: verify: %s\n", text)
	}
	connect := func(more ...kgo.Opt) (*kgo.Client, error) { return processor.Client(p, more...) }
	topics, err := audit.OpenKafka(ctx, connect, p.Group, c.Topics, tell)
	if err != nil {
		return audit.Report{}, fmt.Errorf("brokers %v: %w", p.Brokers, err)
	}
	defer topics.Close()
	c.Progress = show.records(topics.Records())
	return audit.Run(ctx, *c, topics)
}

// The verdicts.
const (
	verdictClean      = "clean"
	verdictViolations = "violations"
	verdictNone       = "none"
)

// verifyReport is what --json writes. Without a verdict it has no counts: those of half a topic
// mean nothing.
type verifyReport struct {
	Verdict string       `json:"verdict"`
	Reason  string       `json:"reason,omitempty"`  // why there is none
	StuckAt *verifyStuck `json:"stuckAt,omitempty"` // the partition that could not be read on
	*audit.Report
}

type verifyStuck struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	End       int64  `json:"end"`
}

func verdictOf(r *audit.Report) string {
	if r.Clean() {
		return verdictClean
	}
	return verdictViolations
}

// noVerdict reports that nothing was proved.
func (a *app) noVerdict(o *verifyOptions, cause error) error {
	var err error
	if o.asJSON {
		r := verifyReport{Verdict: verdictNone, Reason: cause.Error()}
		var stuck *audit.StuckError
		if errors.As(cause, &stuck) && stuck.Topic != "" {
			r.StuckAt = &verifyStuck{stuck.Topic, stuck.Partition, stuck.Offset, stuck.End}
		}
		err = writeJSON(a.stdout, r)
	} else {
		_, err = io.WriteString(a.stdout, "no verdict: the topics could not be judged to their ends; "+
			"nothing is proved, neither that they are clean nor that they are not\n")
	}
	return errors.Join(fmt.Errorf("verify: no verdict: %w", cause), err)
}

// records returns what shows how many records were read, of how many.
func (p *progress) records(total int64) func(done int64) {
	if p == nil {
		return nil
	}
	return func(done int64) {
		if now := time.Now(); done%1024 == 0 && now.Sub(p.shown) >= progressEvery {
			p.shown = now
			p.draw(fmt.Sprintf("%3d %%  %s of about %s records", min(100*done/max(total, 1), 100),
				grouped(done), grouped(total)))
		}
	}
}

// writeReport tells people.
func writeReport(w io.Writer, r *audit.Report) error {
	var b strings.Builder
	for _, row := range []struct {
		name string
		n    int64
		note string
	}{
		{"events in", r.EventsIn, "up to the committed offsets"},
		{"events out", r.EventsOut, ""},
		{"dead letters", r.DeadLetters, ""},
		{"dropped", r.Dropped, "by the rules or as duplicates"},
		{"sessions", r.Sessions, fmt.Sprintf("%s still open, %s merged into others", grouped(r.Open),
			grouped(r.Merged))},
		{"visits ended", r.Visits, "revisions included"},
		{"visits due", r.Due, "and not there yet: run ends them"},
		{"not proved", r.Unproved, "events whose session's past is not in the topics"},
		{"lost", r.Lost, ""}, {"doubled", r.Doubled, ""}, {"wrong", r.Wrong, ""},
	} {
		if row.n == 0 && (row.name == "visits due" || row.name == "not proved") {
			continue
		}
		fmt.Fprintf(&b, "%-13s %9s", row.name, grouped(row.n))
		if row.note != "" {
			b.WriteString("  " + row.note)
		}
		b.WriteByte('\n')
	}
	for _, what := range r.NotProvable {
		b.WriteString("not provable: " + what + "\n")
	}
	for _, check := range slices.Sorted(maps.Keys(r.Checks)) {
		fmt.Fprintf(&b, "\n%s: %s\n", check, grouped(r.Checks[check]))
		for _, f := range r.Findings {
			if f.Check == check {
				b.WriteString("  " + strings.TrimPrefix(f.String(), string(check)+": ") + "\n")
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
