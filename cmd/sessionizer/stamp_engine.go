package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/internal/config"
	"sessionizer/processor"
	"sessionizer/schemas"
	"sessionizer/session"
)

// shownDeadLetters are told on standard error where no file takes them.
const shownDeadLetters = 10

// stamper runs the engine over lines.
type stamper struct {
	engine *offline
	policy processor.Action // for lines beyond the limit
	limit  int

	stdout *output // nil: not yet open
	visits *output // nil: no file was named
	dead   *output
	notes  io.Writer // takes the first dead letters where no file takes all; nil: none

	progress *progress
	report   stampReport
	offset   int64 // of the next line, over all files
	bytes    int64 // of the files before this one
	file     string
	fileJSON []byte   // its name
	again    *os.File // the same file, to read a place a second time; nil: it has only one time
	line     int64    // in this file, 1-based
	record   kgo.Record
	isBad    bool // the line in hand cannot be processed
	buffer   []byte
	canceled func() error // asked where much is read at once
	shown    int          // dead letters told on standard error
}

func newStamper(cfg *config.Config) (*stamper, error) {
	s := &stamper{
		limit: int(cfg.Limits.Record), policy: policy(cfg).Of(schemas.Limit),
		report: stampReport{Reasons: map[string]int64{}},
	}
	var err error
	if s.engine, err = newOffline(cfg, offlineOptions{topic: cfg.Input.Topics[0]}); err != nil {
		return nil, err
	}
	s.engine.take = s.take
	return s, nil
}

// run reads all inputs and ends the visits that are open at their end.
func (s *stamper) run(ctx context.Context, inputs []stampInput) error {
	for _, in := range inputs {
		if err := s.read(ctx, in); err != nil {
			if errors.Is(err, context.Canceled) {
				err = fmt.Errorf("interrupted in %s:%d", in.name, s.line)
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
	lines := newLineReader(&waiting{in: file, before: func() error {
		return errors.Join(ctx.Err(), s.stdout.flush())
	}}, s.limit)
	s.file, s.line, s.again, s.canceled = in.name, 0, in.file, ctx.Err
	if s.fileJSON, err = json.Marshal(in.name); err != nil {
		return fmt.Errorf("read %s: %w", in.name, err)
	}
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
			s.progress.show(s.bytes+lines.bytes, s.report.Lines)
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

// step processes one line.
func (s *stamper) step(l line, lines *lineReader) error {
	s.report.Lines++
	offset := s.offset
	s.offset++
	if l.cut {
		return s.cutLine(l, lines)
	}
	if blank(l.text) {
		s.report.Blank++
		return nil
	}
	s.record = kgo.Record{Topic: outputRecords, Offset: offset, Value: l.text}
	if err := s.engine.line(&s.record); err != nil {
		return fmt.Errorf("%s:%d: %w", s.file, l.number, err)
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
		return s.stdout.writeLine(r.Value)
	case visitRecords:
		s.countVisit(r.Value)
		if s.visits != nil {
			return s.visits.writeLine(r.Value)
		}
	case deadRecords:
		bad := badInput(r.Headers)
		s.report.Reasons[string(bad.Reason)]++
		return s.deadLetter(r.Value, bad)
	}
	return nil
}

// countVisit counts a visit, and a session with its first revision. The
// members are looked for as the codec writes them, without white space; inside
// of a text they could not stand with their quotes unescaped.
func (s *stamper) countVisit(visit []byte) {
	if bytes.Contains(visit, []byte(`,"revision":0,`)) {
		s.report.VisitsStarted++
		return
	}
	s.report.VisitsEnded++
	if bytes.Contains(visit, []byte(`,"revision":1,`)) {
		s.report.Sessions++
	}
	if bytes.Contains(visit, []byte(`,"reason":"merged",`)) {
		s.report.Sessions--
	}
}

// close writes what is left in the buffers and removes the state.
func (s *stamper) close() error {
	var errs []error
	errs = append(errs, s.stdout.close(), s.visits.close(), s.dead.close(), s.engine.close())
	if untold := s.shown - shownDeadLetters; untold > 0 && s.notes != nil {
		fmt.Fprintf(s.notes, "and %d more: --dead-letters FILE keeps them\n", untold)
	}
	return errors.Join(errs...)
}
