package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/spf13/cobra"
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
		Long: "Reads events, one JSON object a line, and writes each to standard output with its session,\n" +
			"in the same order: the very engine of run, in event time only. Several files are one log in\n" +
			"the order given; - is standard input, which is also read where no file is named. At the end\n" +
			"of the input every open session ends as if time ran on.",
		Example: "  sessionizer stamp --visits visits.ndjson events.ndjson > stamped.ndjson\n" +
			"  zcat events.ndjson.gz | sessionizer stamp --set session.timeout=15m",
	}, func(cmd *cobra.Command, args []string) error {
		o.files = args
		return a.stamp(cmd.Context(), &o)
	})
	c.Flags().StringVar(&o.visits, "visits", "", "write the Visit Ended records to `FILE`")
	c.Flags().StringVar(&o.deadLetters, "dead-letters", "",
		"write lines that cannot be processed to `FILE`, with the reason")
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
	inputs, err := a.openInputs(ctx, o)
	if err != nil {
		return err
	}
	s, err := newStamper(cfg)
	if err != nil {
		return err
	}
	if !o.json {
		s.notes = a.stderr
	}
	err = s.openOutputs(a.stdout, o)
	if err == nil {
		s.progress = newProgress(a.stderr, inputs)
		err = s.run(ctx, inputs)
		s.progress.end()
	}
	err = errors.Join(err, s.close())
	if errors.Is(err, syscall.EPIPE) {
		return errors.New("write standard output: its reader has gone away")
	}
	if err != nil {
		return err
	}
	if err := s.report.write(a.stderr, o); err != nil {
		return err
	}
	if dead := s.report.DeadLetters; o.strict && dead > 0 {
		return fmt.Errorf("%d of %d lines cannot be processed", dead, s.report.Lines)
	}
	return nil
}

// stampInput is a file that is opened when its turn has come.
type stampInput struct {
	name string
	size int64 // bytes; negative: unknown
	open func() (io.ReadCloser, error)
}

// openInputs finds what is wrong with the files before anything is written.
func (a *app) openInputs(ctx context.Context, o *stampOptions) ([]stampInput, error) {
	if o.visits == "-" || o.deadLetters == "-" {
		return nil, usageError{errors.New("standard output is for the stamped lines: name a file")}
	}
	var inputs []stampInput
	standard := false
	for _, name := range o.files {
		if name == "-" {
			if standard {
				return nil, usageError{errors.New("standard input is named twice")}
			}
			standard = true
			inputs = append(inputs, stampInput{name: "-", size: -1, open: func() (io.ReadCloser, error) {
				return newInterruptible(ctx, a.stdin, func() error { return nil }), nil
			}})
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, errors.Unwrap(err))
		}
		if info.IsDir() {
			return nil, fmt.Errorf("read %s: it is a directory", name)
		}
		if err := a.notAnOutput(name, info, o); err != nil {
			return nil, err
		}
		inputs = append(inputs, namedInput(ctx, name, info))
	}
	return inputs, a.outputsDiffer(o)
}

// namedInput is a file, or a pipe with a name, whose reads may take as long as
// those of standard input.
func namedInput(ctx context.Context, name string, info os.FileInfo) stampInput {
	if info.Mode().IsRegular() {
		return stampInput{name: name, size: info.Size(), open: func() (io.ReadCloser, error) {
			return os.Open(name)
		}}
	}
	return stampInput{name: name, size: -1, open: func() (io.ReadCloser, error) {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		return newInterruptible(ctx, f, f.Close), nil
	}}
}

// notAnOutput refuses to write into a file that is read.
func (a *app) notAnOutput(name string, info os.FileInfo, o *stampOptions) error {
	for flag, output := range map[string]string{
		"--visits": o.visits, "--dead-letters": o.deadLetters,
	} {
		if output == "" {
			continue
		}
		if there, err := os.Stat(output); err == nil && os.SameFile(info, there) {
			return usageError{fmt.Errorf("%s %s is an input too", flag, output)}
		}
	}
	if f, ok := a.stdout.(*os.File); ok && info.Mode().IsRegular() {
		if there, err := f.Stat(); err == nil && os.SameFile(info, there) {
			return usageError{fmt.Errorf("standard output is the input %s", name)}
		}
	}
	return nil
}

// outputsDiffer refuses one file for both outputs, whatever its names.
func (a *app) outputsDiffer(o *stampOptions) error {
	if o.visits == "" || o.deadLetters == "" {
		return nil
	}
	same := o.visits == o.deadLetters
	visits, errVisits := os.Stat(o.visits)
	dead, errDead := os.Stat(o.deadLetters)
	if errVisits == nil && errDead == nil && visits.Mode().IsRegular() {
		same = os.SameFile(visits, dead)
	}
	if same {
		return usageError{fmt.Errorf("--visits and --dead-letters are both %s", o.visits)}
	}
	return nil
}
