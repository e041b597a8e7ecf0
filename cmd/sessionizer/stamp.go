package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"sessionizer/internal/config"
	"sessionizer/schemas"
)

// stampOptions are the flags and arguments of the stamp command.
type stampOptions struct {
	visits      string
	deadLetters string
	strict      bool
	json        bool
	files       []string // "-": standard input
}

func (a *app) stampCommand() *cobra.Command {
	var o stampOptions
	c := command(&cobra.Command{
		Use:   "stamp [FILE...]",
		Short: "Stamp events of files or standard input, without Kafka",
		Long: "Reads events, one JSON object a line or Avro container files, and writes each to standard\n" +
			"output with its session, in the same order and the same form: the very engine of run, in\n" +
			"event time only. Several files are one log in the order given; - is standard input, which\n" +
			"is also read where no file is named. At the end of the input every open session ends as if\n" +
			"time ran on.",
		Example: "  sessionizer stamp --visits visits.ndjson events.ndjson > stamped.ndjson\n" +
			"  sessionizer stamp --visits visits.ndjson events.avro > stamped.avro\n" +
			"  zcat events.ndjson.gz | sessionizer stamp --set session.timeout=15m",
	}, func(cmd *cobra.Command, args []string) error {
		o.files = args
		return a.stamp(cmd.Context(), &o)
	})
	c.Flags().StringVar(&o.visits, "visits", "", "write the Visit Ended records, and Visit Started, to `FILE`")
	c.Flags().StringVar(&o.deadLetters, "dead-letters", "",
		"write lines that cannot be processed to `FILE`, whole and with the reason")
	c.Flags().BoolVar(&o.strict, "strict", false, "exit with 1 if there were dead letters")
	c.Flags().BoolVar(&o.json, "json", false, "the summary on standard error as JSON")
	return c
}

func (a *app) stamp(ctx context.Context, o *stampOptions) error {
	if len(o.files) == 0 {
		o.files = []string{"-"}
	}
	cfg, _, err := a.load(true)
	if err != nil {
		return err
	}
	if err := a.refuseKeyPath(cfg); err != nil {
		return err
	}
	if o.visits == "-" || o.deadLetters == "-" {
		return usageError{errors.New("standard output is for the stamped lines: name a file")}
	}
	inputs, err := a.openInputs(ctx, o.files)
	if err != nil {
		return err
	}
	defer closeInputs(inputs)
	if err := a.keepApart(inputs, o); err != nil {
		return err
	}
	s := newStamper(cfg)
	if in := &inputs[0]; in.file != nil {
		if err := s.prepare(in.header); err != nil {
			return fmt.Errorf("read %s: %w", in.name, errors.Join(err, s.engine.close()))
		}
	}
	s.progress = newProgress(a.stderr, a.stdout, inputs)
	if !o.json {
		s.notes = s.progress.above(a.stderr)
	}
	err = s.openOutputs(a.stdout, o)
	if err == nil {
		err = s.run(ctx, inputs)
		s.progress.end()
	}
	err = errors.Join(err, s.close())
	if err != nil && !s.damaged {
		return err
	}
	s.report.count(&s.engine.task.Stats)
	if err := errors.Join(err, s.report.write(a.stderr, o)); err != nil {
		return err
	}
	if dead := s.report.DeadLetters; o.strict && dead > 0 {
		return fmt.Errorf("%d of %d %s cannot be processed", dead, s.report.Lines, s.report.what())
	}
	return nil
}

// refuseKeyPath finds that anonymous ids would come from record keys, which
// lines of a file do not have.
func (a *app) refuseKeyPath(cfg *config.Config) error {
	paths, err := cfg.PathsOf("anonymous_id")
	if err != nil {
		return err
	}
	if !slices.Contains(paths, schemas.KeyPath) {
		return nil
	}
	if len(paths) == 1 {
		return usageError{fmt.Errorf("paths.anonymous_id is %s alone, and lines of a file have no "+
			"record key: name a path, such as --set paths.anonymous_id=anonymousId", schemas.KeyPath)}
	}
	fmt.Fprintf(a.stderr, "sessionizer: warning: paths.anonymous_id: %s finds nothing: "+
		"lines of a file have no record key\n", schemas.KeyPath)
	return nil
}
