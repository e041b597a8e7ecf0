package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"sessionizer/internal/config"
	"sessionizer/internal/dlq"
	"sessionizer/processor"
	"sessionizer/schemas"
	"sessionizer/session"
)

func (a *app) dlqCommand() *cobra.Command {
	c := command(&cobra.Command{
		Use:   "dlq",
		Short: "Show the dead letters, or send them back to the input",
		Long: "Shows what could not be processed and why, and sends it back to the input when what was\n" +
			"wrong has been mended.",
		Args: cobra.NoArgs,
	}, func(cmd *cobra.Command, _ []string) error {
		cmd.SetOut(a.stderr)
		if err := cmd.Help(); err != nil {
			return err
		}
		return usageError{errors.New("dlq: want show or redrive")}
	})
	c.AddCommand(a.dlqShowCommand(), a.dlqRedriveCommand())
	return c
}

// dlqFilter are the flags that choose dead letters.
type dlqFilter struct {
	reasons, topics      []string
	partition            int32
	offset, since, until string
}

func (f *dlqFilter) flags(c *cobra.Command) {
	flags := c.Flags()
	flags.StringSliceVar(&f.reasons, "reason", nil, "only these `REASONS`, such as malformed,no_key")
	flags.StringSliceVar(&f.topics, "topic", nil, "only those from these input `TOPICS`")
	flags.Int32Var(&f.partition, "partition", -1, "only those from this partition of the input")
	flags.StringVar(&f.offset, "offset", "",
		"only those from these `OFFSETS` of the input: 17, 17-20, 17- or -20")
	flags.StringVar(&f.since, "since", "",
		"only records with this timestamp or a later one: `TIME`, or a duration ago such as 2h or 7d")
	flags.StringVar(&f.until, "until", "", "only records with an earlier timestamp than this `TIME`")
}

// filter reads the flags.
func (f *dlqFilter) filter(now time.Time) (*dlq.Filter, error) {
	want := &dlq.Filter{
		Reasons: f.reasons, Topics: f.topics, Partition: f.partition, ToOffset: -1,
	}
	if err := knownReasons(f.reasons); err != nil {
		return nil, err
	}
	if f.partition < -1 {
		return nil, usageError{fmt.Errorf("--partition %d: want 0 or more", f.partition)}
	}
	var err error
	if want.FromOffset, want.ToOffset, err = parseOffsets(f.offset); err != nil {
		return nil, err
	}
	if want.Since, err = parseBound("--since", f.since, now); err != nil {
		return nil, err
	}
	want.Until, err = parseBound("--until", f.until, now)
	return want, err
}

// knownReasons refuses a name that no dead letter of ours has: to a misspelt one the answer would
// be that there is nothing.
func knownReasons(names []string) error {
	var known []string
	for _, reason := range schemas.Reasons() {
		known = append(known, string(reason))
	}
	for _, name := range names {
		if slices.Contains(known, name) {
			continue
		}
		hint := "want some of " + strings.Join(known, ", ")
		if nearest := config.Nearest(name, known); nearest != "" {
			hint = "did you mean " + nearest + "? " + hint
		}
		return usageError{fmt.Errorf("--reason: no such reason: %q; %s", name, hint)}
	}
	return nil
}

// parseOffsets reads 17, 17-20, 17- or -20; the end is negative where there is none.
func parseOffsets(text string) (from, to int64, err error) {
	if text == "" {
		return 0, -1, nil
	}
	first, last, isRange := strings.Cut(text, "-")
	if from, to = 0, -1; first != "" {
		from, err = strconv.ParseInt(first, 10, 64)
	}
	switch {
	case err != nil || text == "-":
	case !isRange:
		to = from
	case last != "":
		to, err = strconv.ParseInt(last, 10, 64)
	}
	if err != nil || text == "-" || to >= 0 && to < from || from == math.MaxInt64 {
		return 0, -1, usageError{fmt.Errorf("--offset %s: want one such as 17, 17-20, 17- or -20", text)}
	}
	return from, to, nil
}

// parseBound reads a time, or how long ago it was; zero: no bound.
func parseBound(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, ok := parseMillis(text); ok && d >= 0 && !strings.HasPrefix(text, "+") {
		return now.Add(-time.Duration(d) * time.Millisecond), nil
	}
	t, ok := session.ParseTime([]byte(text))
	if !ok {
		return time.Time{}, usageError{fmt.Errorf(
			"%s %s: want a time such as 2026-01-31T08:00:00Z, or a duration ago such as 2h or 7d",
			flag, text)}
	}
	return time.UnixMilli(int64(t)), nil
}

// deadLetters reads the dead-letter topic of a configuration.
type deadLetters struct {
	app       *app
	cfg       *config.Config
	kafka     processor.Config
	client    *kgo.Client // for look-ups
	stretches []stretch
	marks     map[int32]*dlq.Marks // by partition
	foreign   int64                // records that are neither dead letters nor marks
	isStrict  bool                 // to stop short of the ends is an error
}

// openDeadLetters connects to the brokers. Whoever has it closes client.
func (a *app) openDeadLetters() (*deadLetters, error) {
	cfg, log, err := a.load(false)
	if err != nil {
		return nil, err
	}
	d := &deadLetters{app: a, cfg: cfg, marks: map[int32]*dlq.Marks{}}
	log = log.WithOptions(zap.IncreaseLevel(zap.ErrorLevel))
	if d.kafka, err = processorConfig(cfg, log); err != nil {
		return nil, err
	}
	d.client, err = processor.Client(&d.kafka)
	return d, err
}

// readMarks finds out which dead letters were sent back.
func (d *deadLetters) readMarks(ctx context.Context) error {
	for _, s := range d.stretches {
		marks := &dlq.Marks{}
		d.marks[s.partition] = marks
		if err := d.read(ctx, s, func(r *kgo.Record) error {
			marks.Take(r)
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// each hands over every dead letter, partition by partition, and whether it was sent back.
func (d *deadLetters) each(
	ctx context.Context, take func(l *dlq.Letter, isRedriven bool) error,
) error {
	for _, s := range d.stretches {
		marks := d.marks[s.partition]
		if err := d.read(ctx, s, func(r *kgo.Record) error {
			if l, ok := dlq.Parse(r); ok {
				return take(l, marks.Has(r.Offset))
			}
			if !dlq.IsMark(r) {
				d.foreign++
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

func (d *deadLetters) read(ctx context.Context, s stretch, take func(*kgo.Record) error) error {
	show := d.app.reading(s)
	defer show.end()
	return readStretches(ctx, &d.kafka, []stretch{s}, func(r *kgo.Record) error {
		show.at(r.Offset)
		if r.Attrs.IsControl() {
			return nil
		}
		return take(r)
	}, func(int) error {
		if d.isStrict {
			return fmt.Errorf("read %v: nothing more came within %v, below its end at offset %d: "+
				"a transaction is open there, try again when it has ended", s, silenceMax, s.to)
		}
		fmt.Fprintf(d.app.stderr, "sessionizer: nothing more came from %v within %v\n", s, silenceMax)
		return nil
	})
}

// fault says what to do about what the brokers said.
func (d *deadLetters) fault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		err = fmt.Errorf("%w; `sessionizer topics` shows which topic is not there", err)
	case errors.Is(err, kerr.TopicAuthorizationFailed),
		errors.Is(err, kerr.TransactionalIDAuthorizationFailed),
		errors.Is(err, kerr.ClusterAuthorizationFailed):
		err = fmt.Errorf("%w; grant the rights that OPERATING.md lists", err)
	case !errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return fmt.Errorf("brokers %v: %w", d.kafka.Brokers, err)
}
