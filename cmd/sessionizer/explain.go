package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/internal/config"
	"sessionizer/internal/ocf"
	"sessionizer/schemas"
)

// explainOptions are the flags and arguments of the explain command.
type explainOptions struct {
	key       string
	source    string
	isSource  bool // source was given, even if it is empty
	files     []string
	partition int32 // negative: any
	json      bool
}

func (a *app) explainCommand() *cobra.Command {
	o := explainOptions{partition: -1}
	c := command(&cobra.Command{
		Use:   "explain KEY",
		Short: "Say why each event of a key went where it did",
		Long: "Runs the events of the key's partition, or of files, through the very engine of run, and\n" +
			"shows for each event of the key, an anonymous id: the gap to its session, the timeout in\n" +
			"force, the rule that matched, the session, and why. It reads and writes nothing: no\n" +
			"consumer group, no offsets. Exit code 1: there is no event of the key.",
		Example: "  sessionizer explain 9f3c2c2a-1d4b-4b7c-9c2a-8a3f6d3c0e91 --file events.ndjson\n" +
			"  zcat events.ndjson.gz | sessionizer explain 9f3c2c2a-1d4b-4b7c-9c2a-8a3f6d3c0e91 --file -",
		Args: wantArgs(1, "one KEY, an anonymous id, such as: sessionizer explain ana --file events.ndjson"),
	}, func(cmd *cobra.Command, args []string) error {
		o.key, o.isSource = args[0], cmd.Flags().Changed("source")
		return a.explain(cmd.Context(), &o)
	})
	c.Flags().StringArrayVar(&o.files, "file", nil,
		"read this `FILE` of NDJSON, or Avro container, instead of Kafka, - for standard input;\n"+
			"several are one log")
	c.Flags().StringVar(&o.source, "source", "", "only the key of this source (default: of any)")
	c.Flags().Int32Var(&o.partition, "partition", -1,
		"read this partition (default: where the key's events are)")
	c.Flags().BoolVar(&o.json, "json", false, "one JSON object a line")
	return c
}

func (a *app) explain(ctx context.Context, o *explainOptions) error {
	cfg, log, err := a.load(len(o.files) > 0)
	if err != nil {
		return err
	}
	if o.key == "" {
		return usageError{errors.New("the key is empty: want an anonymous id")}
	}
	if o.partition < -1 {
		return usageError{fmt.Errorf("--partition %d: want 0 or more", o.partition)}
	}
	out := newOutput("/dev/stdout", a.stdout)
	tell := explainer(out, cfg, o)
	if len(o.files) > 0 {
		err = a.explainFiles(ctx, cfg, o, tell)
	} else {
		err = a.explainTopics(ctx, cfg, log, o, tell)
	}
	return errors.Join(err, out.close())
}

// explainer writes the lines of an explanation.
func explainer(w io.Writer, cfg *config.Config, o *explainOptions) func(*explained) error {
	if o.json {
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		return func(x *explained) error { return encoder.Encode(x) }
	}
	text := &explainText{w: w, hasRules: len(ruleNames(cfg)) > 0}
	return text.line
}

// explainFiles explains lines as stamp would decide them.
func (a *app) explainFiles(
	ctx context.Context, cfg *config.Config, o *explainOptions, tell func(*explained) error,
) (err error) {
	if o.partition >= 0 {
		return usageError{errors.New("--partition is for Kafka: leave it out with --file")}
	}
	if err := a.refuseKeyPath(cfg); err != nil {
		return err
	}
	inputs, err := a.openInputs(ctx, o.files)
	if err != nil {
		return err
	}
	defer closeInputs(inputs)
	f := &follower{tell: tell}
	defer func() { err = errors.Join(err, f.engine.close()) }()
	for _, in := range inputs {
		if err := f.file(ctx, cfg, o, in); err != nil {
			if errors.Is(err, context.Canceled) {
				err = fmt.Errorf("interrupted in %s", in.name)
			}
			return err
		}
	}
	if f.long > 0 {
		fmt.Fprintf(a.stderr, "sessionizer: %s longer than limits.record: whose they are is not known\n",
			counted(int(f.long), "line"))
	}
	if f.events == 0 {
		return fmt.Errorf("explain %s: no event of this key in %s %s", o.key, grouped(f.read), f.what())
	}
	return f.end(true)
}

// file runs a file through the engine, which is made when the first one has shown what it is.
func (f *follower) file(
	ctx context.Context, cfg *config.Config, o *explainOptions, in stampInput,
) error {
	file, err := in.open()
	if err != nil {
		return fmt.Errorf("read %s: %w", in.name, cause(err))
	}
	defer file.Close()
	buffered := bufio.NewReaderSize(&waiting{in: file, before: ctx.Err}, readBytes)
	isAvro, err := peekKind(buffered)
	if err == nil {
		err = fitsFormat(isAvro, cfg.Input.Format)
	}
	if err == nil && f.engine != nil && isAvro != (f.avro != nil) {
		err = errMixed
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", in.name, cause(err))
	}
	if isAvro {
		return f.container(cfg, o, in.name, buffered)
	}
	if f.engine == nil {
		if err := f.begin(inFormat(cfg, schemas.FormatJSON), o, cfg.Input.Topics[0], 0); err != nil {
			return err
		}
	}
	return f.ndjson(in.name, newLineReader(buffered, int(cfg.Limits.Record)))
}

// container runs the events of a container through the engine.
func (f *follower) container(
	cfg *config.Config, o *explainOptions, name string, in io.Reader,
) error {
	r, err := ocf.NewReader(in)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, cause(err))
	}
	defer r.Close()
	switch {
	case f.avro == nil:
		if err := f.begin(inFormat(cfg, schemas.FormatAvro), o, cfg.Input.Topics[0], 0); err != nil {
			return err
		}
		f.avro = &stampedAvro{header: r.Header}
		if f.avro.program, err = f.engine.readRaw(r.Header.Schema); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	case !sameJSON(f.avro.header.Schema, r.Header.Schema):
		return fmt.Errorf("read %s: %w", name, errOtherSchema)
	}
	number := int64(0)
	err = eachEvent(r, f.avro.program, func(value []byte) error {
		number++
		record := &kgo.Record{Offset: f.lines, Value: value}
		f.lines++
		if err := f.step(record, explainedPlace{File: name, Line: number}); err != nil {
			return fmt.Errorf("%s, event %d: %w", name, number, err)
		}
		return nil
	})
	if fault := (unreadable{}); errors.As(err, &fault) {
		err = fmt.Errorf("read %s: %w", name, cause(fault.error))
	}
	return err
}

func (f *follower) ndjson(name string, lines *lineReader) error {
	if err := lines.begin(); err != nil {
		return fmt.Errorf("read %s: %w", name, cause(err))
	}
	for {
		l, err := lines.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read %s: %w", name, cause(err))
		case l.cut, blank(l.text):
			f.lines++
			if l.cut {
				f.long++ // a dead letter that nobody has read
			}
			continue
		}
		r := &kgo.Record{Offset: f.lines, Value: l.text}
		f.lines++
		if err := f.step(r, explainedPlace{File: name, Line: l.number}); err != nil {
			return fmt.Errorf("%s:%d: %w", name, l.number, err)
		}
	}
}
