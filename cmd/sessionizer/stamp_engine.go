package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
	"unicode/utf8"

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

	stdout *bufio.Writer
	visits *fileWriter // nil: no file was named
	dead   *fileWriter
	notes  io.Writer // takes the first dead letters where no file takes all; nil: none

	progress *progress
	report   stampReport
	offset   int64 // of the next line, over all files
	bytes    int64 // of the files before this one
	file     string
	fileJSON []byte // its name
	line     int64  // in this file, 1-based
	record   kgo.Record
	buffer   []byte
	shown    int // dead letters told on standard error
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
	s.store, err = state.Open(s.dir, state.Options{Cache: cfg.State.Cache, Due: dueIn(rules)})
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

// dueIn reads the due time of a row.
func dueIn(rules *session.Rules) func(row []byte) (session.Time, error) {
	return func(row []byte) (session.Time, error) {
		var s session.State
		if err := s.Decode(row, nil); err != nil {
			return session.NoTime, err
		}
		return rules.Due(&s), nil
	}
}

func (s *stamper) openOutputs(stdout io.Writer, o *stampOptions) (err error) {
	s.stdout = bufio.NewWriterSize(stdout, readBytes)
	if s.visits, err = createFile(o.visits); err != nil {
		return err
	}
	s.dead, err = createFile(o.deadLetters)
	return err
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
		return fmt.Errorf("read %s: %w", in.name, errors.Unwrap(err))
	}
	defer file.Close()
	// Whoever reads our output gets what there is before we wait for more.
	lines := newLineReader(&waiting{in: file, before: func() error {
		return errors.Join(ctx.Err(), s.stdout.Flush())
	}}, s.limit)
	s.file, s.line = in.name, 0
	if s.fileJSON, err = json.Marshal(in.name); err != nil {
		return fmt.Errorf("read %s: %w", in.name, err)
	}
	if err := lines.begin(); err != nil {
		return fmt.Errorf("read %s: %w", in.name, err)
	}
	for {
		l, err := lines.next()
		if errors.Is(err, io.EOF) {
			s.bytes += lines.bytes
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", in.name, err)
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

// cutLine deals with a line beyond the limit, which the engine never sees: it
// is not held in memory as a whole.
func (s *stamper) cutLine(l line, lines *lineReader) error {
	message := "the line has more than " + strconv.Itoa(s.limit) + " bytes"
	s.report.Reasons[string(schemas.Limit)]++
	switch s.policy {
	case processor.Fail:
		return fmt.Errorf("%s:%d: %s and dead_letters.on.limit is fail", s.file, l.number, message)
	case processor.Pass:
		if _, err := s.stdout.Write(l.text); err != nil {
			return err
		}
		if _, err := lines.rest(s.stdout); err != nil {
			return err
		}
		s.report.Stamped++
		return s.stdout.WriteByte('\n')
	}
	text := l.text
	for range utf8.UTFMax - 1 {
		// The limit may have cut a character in two.
		if r, n := utf8.DecodeLastRune(text); r != utf8.RuneError || n != 1 {
			break
		}
		text = text[:len(text)-1]
	}
	kept := bytes.Clone(text)
	rest, err := lines.rest(io.Discard)
	if err != nil {
		return fmt.Errorf("read %s: %w", s.file, err)
	}
	return s.deadLetter(kept, &schemas.BadInput{Reason: schemas.Limit, Message: message},
		int64(s.limit)+rest)
}

// drain writes what the engine has made of a line.
func (s *stamper) drain() error {
	for _, r := range s.task.Ready() {
		var err error
		switch r.Topic {
		case outputRecords:
			s.report.Stamped++
			_, err = s.stdout.Write(r.Value)
			err = errors.Join(err, s.stdout.WriteByte('\n'))
		case visitRecords:
			s.countVisit(r.Value)
			if s.visits != nil {
				err = s.visits.writeLine(r.Value)
			}
		case deadRecords:
			bad := badInput(r.Headers)
			s.report.Reasons[string(bad.Reason)]++
			err = s.deadLetter(r.Value, bad, 0)
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

// badInput reads back what the engine wrote into a dead letter's headers.
func badInput(headers []kgo.RecordHeader) *schemas.BadInput {
	bad := &schemas.BadInput{}
	for _, h := range headers {
		switch h.Key {
		case schemas.HeaderErrorReason:
			bad.Reason = schemas.Reason(h.Value)
		case schemas.HeaderErrorMessage:
			bad.Message = string(h.Value)
		}
	}
	return bad
}

// deadLetter writes a line's dead letter; size is that of the whole line where
// original is only its beginning.
func (s *stamper) deadLetter(original []byte, bad *schemas.BadInput, size int64) error {
	s.report.DeadLetters++
	if s.dead == nil {
		if s.shown++; s.shown <= shownDeadLetters && s.notes != nil {
			fmt.Fprintf(s.notes, "%s:%d: %v\n", s.file, s.line, bad)
		}
		return nil
	}
	b := s.buffer[:0]
	b = append(b, `{"file":`...)
	b = append(b, s.fileJSON...)
	if size > 0 {
		b = append(b, `,"originalBytes":`...)
		b = strconv.AppendInt(b, size, 10)
	}
	object := len(b)
	b = schemas.AppendDeadLetterLine(b, s.line, original, bad)
	b[object] = ','
	s.buffer = b
	return s.dead.write(b)
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
	if s.stdout != nil {
		errs = append(errs, s.stdout.Flush())
	}
	errs = append(errs, s.visits.close(), s.dead.close())
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

// fileWriter is a buffered output file. A nil one has nothing to close.
type fileWriter struct {
	file *os.File
	w    *bufio.Writer
}

func createFile(name string) (*fileWriter, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", name, errors.Unwrap(err))
	}
	return &fileWriter{file: f, w: bufio.NewWriterSize(f, readBytes)}, nil
}

func (f *fileWriter) write(b []byte) error {
	_, err := f.w.Write(b)
	return err
}

func (f *fileWriter) writeLine(b []byte) error {
	return errors.Join(f.write(b), f.w.WriteByte('\n'))
}

func (f *fileWriter) close() error {
	if f == nil {
		return nil
	}
	if err := errors.Join(f.w.Flush(), f.file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", f.file.Name(), err)
	}
	return nil
}
