package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// output is a buffered stream of lines. A nil one has nothing to close.
type output struct {
	name string
	w    *bufio.Writer
	file *os.File // to close; nil: standard output
	told bool     // an error has been returned, which the buffer repeats for ever
}

// writeError is what became of an output. It is told as it is, wherever it came up.
type writeError struct{ error }

func (e writeError) Unwrap() error { return e.error }

func newOutput(name string, w io.Writer) *output {
	return &output{name: name, w: bufio.NewWriterSize(w, readBytes)}
}

// createOutput opens a file for writing. It is emptied only by empty.
func createOutput(name string) (*output, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", name, cause(err))
	}
	o := newOutput(name, f)
	o.file = f
	return o, nil
}

// empty drops what a file held before.
func (o *output) empty() error {
	if o == nil {
		return nil
	}
	if info, err := o.file.Stat(); err != nil || !info.Mode().IsRegular() {
		return o.check(err)
	}
	return o.check(o.file.Truncate(0))
}

// check makes a write's error one that names the output.
func (o *output) check(err error) error {
	if err == nil {
		return nil
	}
	o.told = true
	if errors.Is(err, syscall.EPIPE) {
		err = errors.New("its reader has gone away")
	}
	return writeError{fmt.Errorf("write %s: %w", o.name, cause(err))}
}

// Write appends bytes.
func (o *output) Write(b []byte) (int, error) {
	n, err := o.w.Write(b)
	return n, o.check(err)
}

func (o *output) writeLine(b []byte) error {
	_, err := o.w.Write(b)
	if err == nil {
		err = o.w.WriteByte('\n')
	}
	return o.check(err)
}

// flush hands over what is buffered.
func (o *output) flush() error { return o.check(o.w.Flush()) }

// close flushes an output and closes its file. It has no news of an output
// that had an error before.
func (o *output) close() error {
	if o == nil {
		return nil
	}
	told := o.told
	err := o.flush()
	if o.file != nil {
		if closed := o.check(o.file.Close()); err == nil {
			err = closed
		}
	}
	if told {
		return nil
	}
	return err
}

// openOutputs is called when every input is open and nothing speaks against
// the outputs. Links to a file that was not there may still make one of two
// names: the files tell before anything in them is touched.
func (s *stamper) openOutputs(stdout io.Writer, o *stampOptions) (err error) {
	if s.visits, err = createOutput(o.visits); err != nil {
		return err
	}
	if s.dead, err = createOutput(o.deadLetters); err != nil {
		return err
	}
	if s.visits != nil && s.dead != nil {
		visits, dead := streamOf("", s.visits.file), streamOf("", s.dead.file)
		if visits.is(dead) {
			return usageError{fmt.Errorf("--visits %s and --dead-letters %s are the same file",
				o.visits, o.deadLetters)}
		}
	}
	s.stdout = newOutput("/dev/stdout", stdout)
	if err := errors.Join(s.visits.empty(), s.dead.empty()); err != nil {
		return err
	}
	return s.openVisits()
}
