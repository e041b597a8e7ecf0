package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/internal/config"
	"sessionizer/internal/ocf"
	"sessionizer/processor"
	"sessionizer/schemas"
	"sessionizer/session"
)

// shownDeadLetters are told on standard error where no file takes them.
const shownDeadLetters = 10

// stamper runs the engine over lines, or over the events of Avro containers.
type stamper struct {
	cfg    *config.Config
	engine *offline         // nil: no input has been opened yet
	avro   *stampedAvro     // nil: the events are lines
	policy processor.Action // for lines beyond the limit
	limit  int

	stdout     *output // nil: not yet open
	visits     *output // nil: no file was named
	dead       *output
	visitsAvro *ocf.Writer // into visits, where visits.format is avro
	notes      io.Writer   // takes the first dead letters where no file takes all; nil: none

	progress *progress
	report   stampReport
	offset   int64 // of the next line, over all files
	bytes    int64 // of the files before this one
	file     string
	fileJSON []byte   // its name
	again    *os.File // the same file, to read a place a second time; nil: it has only one time
	line     int64    // in this file, 1-based
	record   kgo.Record
	damaged  bool // a container ended in what cannot be read
	isBad    bool // the line in hand cannot be processed
	buffer   []byte
	canceled func() error // asked where much is read at once
	shown    int          // dead letters told on standard error
}

func newStamper(cfg *config.Config) *stamper {
	return &stamper{
		cfg: cfg, limit: int(cfg.Limits.Record), policy: policy(cfg).Of(schemas.Limit),
		report: stampReport{Reasons: map[string]int64{}},
	}
}

// prepare makes the engine when the first input has shown what it is: a container with this
// header; nil: lines.
func (s *stamper) prepare(h *ocf.Header) (err error) {
	if err := fitsFormat(h != nil, s.cfg.Input.Format); err != nil {
		return err
	}
	cfg := inFormat(s.cfg, schemas.FormatJSON)
	if h != nil {
		if err := refusePass(cfg); err != nil {
			return err
		}
		cfg = inFormat(cfg, schemas.FormatAvro)
	}
	options := offlineOptions{topic: cfg.Input.Topics[0], visitsAsConfigured: true}
	if s.engine, err = newOffline(cfg, options); err != nil {
		return err
	}
	s.engine.take = s.take
	if h != nil {
		s.avro = &stampedAvro{header: *h}
		s.avro.program, err = s.engine.readRaw(h.Schema)
		s.report.isAvro = true
	}
	return err
}

// run reads all inputs and ends the visits that are open at their end.
func (s *stamper) run(ctx context.Context, inputs []stampInput) error {
	for _, in := range inputs {
		if err := s.read(ctx, in); err != nil {
			if errors.Is(err, context.Canceled) {
				err = fmt.Errorf("interrupted in %s", s.where())
			}
			return err
		}
	}
	return s.engine.finish()
}

func (s *stamper) read(ctx context.Context, in stampInput) error {
	file, err := in.open()
	if err != nil {
		return fmt.Errorf("read %s: %w", in.name, cause(err))
	}
	defer file.Close()
	// Whoever reads our output gets what there is before we wait for more.
	buffered := bufio.NewReaderSize(&waiting{in: file, before: func() error {
		return errors.Join(ctx.Err(), s.stdout.flush())
	}}, readBytes)
	s.file, s.line, s.again, s.canceled = in.name, 0, in.file, ctx.Err
	if s.fileJSON, err = json.Marshal(in.name); err != nil {
		return fmt.Errorf("read %s: %w", in.name, err)
	}
	isAvro, err := peekKind(buffered)
	if err == nil && s.engine != nil && isAvro != (s.avro != nil) {
		err = errMixed
	}
	if err != nil {
		return s.readError(err)
	}
	if isAvro {
		return s.readContainer(buffered)
	}
	return s.readLines(buffered)
}

func (s *stamper) readLines(in io.Reader) error {
	if s.engine == nil {
		if err := s.prepare(nil); err != nil {
			return s.readError(err)
		}
	}
	lines := newLineReader(in, s.limit)
	if err := lines.begin(); err != nil {
		return s.readError(err)
	}
	for {
		l, err := lines.next()
		if errors.Is(err, io.EOF) {
			s.bytes += lines.bytes
			return nil
		}
		if err != nil {
			return s.readError(err)
		}
		s.line = l.number
		if err := s.step(l, lines); err != nil {
			return err
		}
		if s.line%1024 == 0 {
			s.progress.show(s.bytes+lines.bytes, s.report.Lines, s.report.what())
		}
	}
}

// readError names the input of an error, unless it came from the output that
// is flushed before each read.
func (s *stamper) readError(err error) error {
	if errors.As(err, &writeError{}) {
		return err
	}
	return fmt.Errorf("read %s: %w", s.file, cause(err))
}

// where is the line or the event in hand, as people are told.
func (s *stamper) where() string {
	if s.avro != nil {
		return fmt.Sprintf("%s, event %d", s.file, s.line)
	}
	return fmt.Sprintf("%s:%d", s.file, s.line)
}

// step processes one line.
func (s *stamper) step(l line, lines *lineReader) error {
	if !l.cut && !blank(l.text) {
		return s.event(l.text)
	}
	s.report.Lines++
	s.offset++
	if l.cut {
		return s.cutLine(l, lines)
	}
	s.report.Blank++
	return nil
}

// event processes what a line or a container has of one event.
func (s *stamper) event(value []byte) error {
	s.report.Lines++
	s.record = kgo.Record{Topic: outputRecords, Offset: s.offset, Value: value}
	s.offset++
	if err := s.engine.line(&s.record); err != nil {
		return fmt.Errorf("%s: %w", s.where(), err)
	}
	_, out := s.engine.task.Last()
	if s.isBad = out == nil || out.Dead != session.DeadNone; !s.isBad &&
		out.Stamp.Status == session.Dropped {
		s.report.Dropped++
	}
	if err := s.engine.drain(); err != nil {
		return err
	}
	if !s.engine.full() {
		return nil
	}
	if err := s.engine.tick(s.engine.task.Watermark()); err != nil {
		return err
	}
	return s.engine.commit()
}

// take writes what the engine has made of a line.
func (s *stamper) take(r *kgo.Record) error {
	switch r.Topic {
	case outputRecords:
		if s.isBad {
			s.report.Passed++
		} else {
			s.report.Stamped++
		}
		if s.avro != nil {
			return s.avro.stamped.Append(r.Value)
		}
		return s.stdout.writeLine(r.Value)
	case visitRecords:
		return s.visit(r.Value)
	case deadRecords:
		bad := badInput(r.Headers)
		s.report.Reasons[string(bad.Reason)]++
		return s.deadLetter(r.Value, bad)
	}
	return nil
}

// visit counts a visit, and a session with its first revision, and writes it.
func (s *stamper) visit(record []byte) error {
	revision, isMerged := s.engine.visitFacts(record)
	if revision == 0 {
		s.report.VisitsStarted++
	} else {
		s.report.VisitsEnded++
	}
	if revision == 1 {
		s.report.Sessions++
	}
	if isMerged {
		s.report.Sessions--
	}
	switch {
	case s.visitsAvro != nil:
		return s.visitsAvro.Append(record)
	case s.visits != nil:
		return s.visits.writeLine(record)
	}
	return nil
}

// close writes what is left in the buffers and removes the state.
func (s *stamper) close() error {
	var errs []error
	if s.avro != nil && s.avro.stamped != nil {
		errs = append(errs, s.avro.stamped.Flush())
	}
	if s.visitsAvro != nil {
		errs = append(errs, s.visitsAvro.Flush())
	}
	errs = append(errs, s.stdout.close(), s.visits.close(), s.dead.close(), s.engine.close())
	if untold := s.shown - shownDeadLetters; untold > 0 && s.notes != nil {
		fmt.Fprintf(s.notes, "and %d more: --dead-letters FILE keeps them\n", untold)
	}
	return errors.Join(errs...)
}
