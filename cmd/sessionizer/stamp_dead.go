package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"unicode/utf8"

	"sessionizer/processor"
	"sessionizer/schemas"
)

// deadLetter writes a line's dead letter.
func (s *stamper) deadLetter(original []byte, bad *schemas.BadInput) error {
	s.report.DeadLetters++
	if s.dead == nil {
		if s.shown++; s.shown <= shownDeadLetters && s.notes != nil {
			fmt.Fprintf(s.notes, "%s: %v\n", s.where(), bad)
		}
		return nil
	}
	if len(original) > pieceBytes {
		return s.largeDeadLetter(original, bad)
	}
	_, err := s.dead.Write(s.appendDeadLetter(original, bad))
	return err
}

// largeDeadLetter writes a dead letter of a size that is not kept in memory once more.
func (s *stamper) largeDeadLetter(original []byte, bad *schemas.BadInput) error {
	var text textCheck
	if _, err := text.Write(original); err != nil {
		return err
	}
	// The reader's own WriteTo would hand over all of it in one piece.
	in := struct{ io.Reader }{bytes.NewReader(original)}
	_, err := s.copyOriginal(in, s.avro == nil && text.valid(), bad)
	return err
}

// appendDeadLetter is a dead letter in the stamper's buffer.
func (s *stamper) appendDeadLetter(original []byte, bad *schemas.BadInput) []byte {
	b := s.buffer[:0]
	b = append(b, `{"file":`...)
	b = append(b, s.fileJSON...)
	object := len(b)
	if s.avro != nil {
		b = schemas.AppendBinaryDeadLetterLine(b, s.line, original, bad)
	} else {
		b = schemas.AppendDeadLetterLine(b, s.line, original, bad)
	}
	b[object] = ','
	s.buffer = b
	return b
}

// cutLine deals with a line beyond the limit, which the engine never sees: it
// is not held in memory as a whole.
func (s *stamper) cutLine(l line, lines *lineReader) error {
	bad := &schemas.BadInput{
		Reason: schemas.Limit, Message: "the line has more than " + strconv.Itoa(s.limit) + " bytes",
	}
	switch s.policy {
	case processor.Fail:
		return fmt.Errorf("%s:%d: %s and dead_letters.on.limit is fail", s.file, l.number, bad.Message)
	case processor.Pass:
		if _, err := s.stdout.Write(l.text); err != nil {
			return err
		}
		if _, err := lines.rest(s.stdout); err != nil {
			return s.readError(err)
		}
		s.report.Passed++
		return s.stdout.writeLine(nil)
	}
	s.report.Reasons[string(schemas.Limit)]++
	if s.dead == nil {
		if _, err := lines.rest(io.Discard); err != nil {
			return s.readError(err)
		}
		return s.deadLetter(nil, bad)
	}
	return s.longDeadLetter(l, lines, bad)
}

// longDeadLetter writes a line that is longer than memory allows. It has to be
// read twice, since only its end tells whether it is text: from its file, or
// from a copy on the disk where it came from a pipe.
func (s *stamper) longDeadLetter(l line, lines *lineReader, bad *schemas.BadInput) error {
	var text textCheck
	var first io.Writer = &text
	source, start := s.again, lines.start
	if source == nil {
		spool, err := os.CreateTemp(s.engine.dir, "line-")
		if err != nil {
			return fmt.Errorf("make a file for a long line: %w", err)
		}
		// The file goes with the directory of the state at the latest.
		defer func() { _ = errors.Join(spool.Close(), os.Remove(spool.Name())) }()
		source, start = spool, 0
		first = io.MultiWriter(&text, spoolWriter{spool})
	}
	if _, err := first.Write(l.text); err != nil {
		return err
	}
	rest, err := lines.rest(first)
	if err != nil {
		return s.readError(err)
	}
	size := int64(len(l.text)) + rest
	section := io.NewSectionReader(source, start, size)
	s.report.DeadLetters++
	copied, err := s.copyOriginal(&waiting{in: section, before: s.canceled}, text.valid(), bad)
	if err == nil && copied != size {
		err = fmt.Errorf("read %s: line %d has changed while it was read", s.file, l.number)
	}
	return err
}

// spoolWriter names what its errors are about.
type spoolWriter struct{ file *os.File }

func (w spoolWriter) Write(b []byte) (int, error) {
	n, err := w.file.Write(b)
	if err != nil {
		err = writeError{fmt.Errorf("write %s, the copy of a long line: %w", w.file.Name(), cause(err))}
	}
	return n, err
}

// copyOriginal writes a dead letter with an original that is read piece by
// piece, and returns how many bytes that was.
func (s *stamper) copyOriginal(in io.Reader, text bool, bad *schemas.BadInput) (int64, error) {
	// The dead letter of an empty line, with its end put off.
	const end = "\"}\n"
	b := s.appendDeadLetter(nil, bad)
	b = b[:len(b)-len(end)]
	var into io.WriteCloser = &escaper{w: s.dead}
	if !text {
		if s.avro == nil {
			b = append(bytes.TrimSuffix(b, []byte(`"original":"`)), `"originalBase64":"`...)
		}
		into = base64.NewEncoder(base64.StdEncoding, s.dead)
	}
	if _, err := s.dead.Write(b); err != nil {
		return 0, err
	}
	n, err := io.CopyBuffer(into, in, make([]byte, pieceBytes))
	if err != nil {
		return n, s.readError(err)
	}
	if err := into.Close(); err != nil {
		return n, err
	}
	_, err = s.dead.Write([]byte(end))
	return n, err
}

// pieceBytes is how much of a long line is in memory at once.
const pieceBytes = 64 << 10

// escaper writes text as the inside of a JSON string. Only single bytes are
// escaped, so characters may be cut between two writes.
type escaper struct {
	w   io.Writer
	buf []byte
}

func (e *escaper) Write(text []byte) (int, error) {
	b := e.buf[:0]
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= ' ':
			b = append(b, c)
		default:
			b = appendControl(b, c)
		}
	}
	e.buf = b
	if _, err := e.w.Write(b); err != nil {
		return 0, err
	}
	return len(text), nil
}

// Close has nothing to end.
func (e *escaper) Close() error { return nil }

func appendControl(b []byte, c byte) []byte {
	switch c {
	case '\b':
		return append(b, `\b`...)
	case '\t':
		return append(b, `\t`...)
	case '\n':
		return append(b, `\n`...)
	case '\f':
		return append(b, `\f`...)
	case '\r':
		return append(b, `\r`...)
	}
	return fmt.Appendf(b, `\u%04x`, c)
}

// textCheck tells whether what is written to it, piece by piece, is UTF-8 that a dead letter shows
// as text.
type textCheck struct {
	tail          []byte // the beginning of a character that the last piece did not end
	bad           bool
	size, escaped int64
}

func (t *textCheck) Write(p []byte) (int, error) {
	whole := p
	t.size, t.escaped = t.size+int64(len(p)), t.escaped+schemas.EscapedBytes(p)
	if t.bad {
		return len(whole), nil
	}
	for len(t.tail) > 0 && len(p) > 0 {
		t.tail, p = append(t.tail, p[0]), p[1:]
		if utf8.FullRune(t.tail) {
			t.bad = !utf8.Valid(t.tail)
			t.tail = t.tail[:0]
		}
	}
	end := len(p)
	for back := 1; back < utf8.UTFMax && back <= len(p); back++ {
		if at := len(p) - back; utf8.RuneStart(p[at]) {
			if !utf8.FullRune(p[at:]) {
				end = at
			}
			break
		}
	}
	t.bad = t.bad || !utf8.Valid(p[:end])
	t.tail = append(t.tail, p[end:]...)
	return len(whole), nil
}

// valid says so at the end.
func (t *textCheck) valid() bool {
	return !t.bad && len(t.tail) == 0 && schemas.IsOriginalText(t.size, t.escaped)
}
