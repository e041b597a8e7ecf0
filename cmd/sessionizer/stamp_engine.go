package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/internal/config"
	"sessionizer/processor"
	"sessionizer/schemas"
	"sessionizer/session"
	"sessionizer/state"
)

// The names under which the task hands over its records.
const (
	outputRecords = "output"
	visitRecords  = "visits"
	deadRecords   = "dead letters"
)

const (
	stampBatchRecords = 10_000   // records between two commits of the state
	stampBatchBytes   = 16 << 20 // bytes of them
	shownDeadLetters  = 10       // told on standard error where no file takes them
)

// stamper runs the engine over lines.
type stamper struct {
	rules  *session.Rules
	policy processor.Action // for lines beyond the limit
	limit  int
	dir    string // of the state, gone with the stamper
	store  *state.Store
	task   *processor.Task

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
	buffer   []byte
	canceled func() error // asked where much is read at once
	shown    int          // dead letters told on standard error
}

func newStamper(cfg *config.Config) (s *stamper, err error) {
	s = &stamper{
		limit: int(cfg.Limits.Record), policy: policy(cfg).Of(schemas.Limit),
		report: stampReport{Reasons: map[string]int64{}},
	}
	rules, codec, err := engine(cfg)
	if err != nil {
		return nil, err
	}
	s.rules = rules
	if s.dir, err = os.MkdirTemp("", "sessionizer-stamp-"); err != nil {
		return nil, fmt.Errorf("make a directory for the state: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	topic := cfg.Input.Topics[0]
	s.store, err = state.Open(s.dir, state.Options{
		Cache: cfg.State.Cache, Due: processor.DueOf(rules),
	})
	if err != nil {
		return nil, fmt.Errorf("open the state: %w", err)
	}
	part, err := s.store.Partition(topic, 0)
	if err != nil {
		return nil, fmt.Errorf("open the state: %w", err)
	}
	s.task = processor.NewTask(rules, codec, part, topic, 0,
		processor.Topics{Output: outputRecords, Visits: visitRecords, DeadLetters: deadRecords},
		policy(cfg))
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
	return s.finish()
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
	greatest := s.task.Watermark()
	if greatest != session.NoTime {
		greatest += session.Time(s.rules.OutOfOrder)
	}
	s.record = kgo.Record{Topic: outputRecords, Offset: offset, Value: l.text}
	if err := s.task.StepLine(&s.record, greatest); err != nil {
		return fmt.Errorf("%s:%d: %w", s.file, l.number, err)
	}
	if err := s.drain(); err != nil {
		return err
	}
	if records, bytes, _ := s.task.Load(); records > stampBatchRecords || bytes > stampBatchBytes {
		return s.commit(s.task.Watermark())
	}
	return nil
}

// drain writes what the engine has made of a line.
func (s *stamper) drain() error {
	for _, r := range s.task.Ready() {
		var err error
		switch r.Topic {
		case outputRecords:
			s.report.Stamped++
			err = s.stdout.writeLine(r.Value)
		case visitRecords:
			s.countVisit(r.Value)
			if s.visits != nil {
				err = s.visits.writeLine(r.Value)
			}
		case deadRecords:
			bad := badInput(r.Headers)
			s.report.Reasons[string(bad.Reason)]++
			err = s.deadLetter(r.Value, bad)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// countVisit counts a visit, and a session with its first revision. The
// members are looked for as the codec writes them, without white space; inside
// of a text they could not stand with their quotes unescaped.
func (s *stamper) countVisit(visit []byte) {
	s.report.VisitsEnded++
	if bytes.Contains(visit, []byte(`,"revision":1,`)) {
		s.report.Sessions++
	}
	if bytes.Contains(visit, []byte(`,"reason":"merged",`)) {
		s.report.Sessions--
	}
}

// commit confirms the state of what has been written, and ends visits that the
// watermark has passed.
func (s *stamper) commit(tick session.Time) error {
	if _, err := s.task.Tick(tick); err != nil {
		return err
	}
	if err := s.drain(); err != nil {
		return err
	}
	if !s.task.Touched() {
		return nil
	}
	if _, err := s.task.Close(1, [16]byte{}, time.Unix(0, 0)); err != nil {
		return err
	}
	return errors.Join(s.task.Commit(0, [16]byte{}), s.store.Err())
}

// finish ends every open visit as if time ran on.
func (s *stamper) finish() error {
	for {
		n, err := s.task.Tick(session.MaxTime)
		if err != nil {
			return err
		}
		if err := s.commit(session.NoTime); err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
	}
}

// close writes what is left in the buffers and removes the state.
func (s *stamper) close() error {
	var errs []error
	errs = append(errs, s.stdout.close(), s.visits.close(), s.dead.close())
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	if untold := s.shown - shownDeadLetters; untold > 0 && s.notes != nil {
		fmt.Fprintf(s.notes, "and %d more: --dead-letters FILE keeps them\n", untold)
	}
	return errors.Join(errs...)
}
