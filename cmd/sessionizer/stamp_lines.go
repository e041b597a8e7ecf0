package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
)

// readBytes is how much of an input is read at once.
const readBytes = 256 << 10

// lineReader reads lines of any length while it holds not much more of one
// than the limit.
type lineReader struct {
	in     *bufio.Reader
	limit  int
	number int64  // of the last line, 1-based
	text   []byte // of a line that is more than one part
	cut    bool   // the last line was cut: text goes on behind the limit
	ended  bool   // all of the cut line has been read
	bytes  int64  // read so far
	start  int64  // where the last line begins
}

// line is a line without its line feed, valid until the next one is read.
type line struct {
	number int64
	text   []byte
	cut    bool // it is longer than the limit, and only so much is here
}

func newLineReader(in io.Reader, limit int) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(in, readBytes), limit: limit}
}

// begin skips a byte order mark and refuses what is not lines at all.
func (r *lineReader) begin() error {
	head, err := r.in.Peek(headBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if bytes.HasPrefix(head, []byte("\xef\xbb\xbf")) {
		r.bytes += 3
		_, err := r.in.Discard(3)
		return err
	}
	return notLines(head)
}

// next returns the next line, io.EOF behind the last one. What is left of a
// cut line is skipped unless rest took it.
func (r *lineReader) next() (line, error) {
	if r.cut {
		if _, err := r.rest(io.Discard); err != nil {
			return line{}, err
		}
	}
	r.text = r.text[:0]
	r.start = r.bytes
	for {
		part, ended, err := r.part()
		if err != nil {
			return line{}, err
		}
		if ended && len(r.text) == 0 && len(part) <= r.limit {
			r.number++
			return line{number: r.number, text: part}, nil
		}
		r.text = append(r.grow(len(part)), part...)
		if len(r.text) > r.limit {
			r.number++
			r.cut, r.ended = true, ended
			return line{number: r.number, text: r.text[:r.limit:r.limit], cut: true}, nil
		}
		if ended {
			r.number++
			return line{number: r.number, text: r.text}, nil
		}
	}
}

// grow makes room for more of the line. Doubling takes less, all in all, than what append does.
func (r *lineReader) grow(more int) []byte {
	if need := len(r.text) + more; need > cap(r.text) {
		room := min(max(2*cap(r.text), need), r.limit+2*readBytes)
		return append(make([]byte, 0, max(room, need)), r.text...)
	}
	return r.text
}

// part returns what the buffer holds of the line, and whether that is its end.
func (r *lineReader) part() ([]byte, bool, error) {
	part, err := r.in.ReadSlice('\n')
	r.bytes += int64(len(part))
	switch {
	case err == nil:
		return part[:len(part)-1], true, nil
	case errors.Is(err, bufio.ErrBufferFull):
		return part, false, nil
	case errors.Is(err, io.EOF) && len(part)+len(r.text) > 0:
		return part, true, nil
	}
	return nil, false, err
}

// rest copies what is left of a cut line, without its line feed, and returns
// how many bytes that was.
func (r *lineReader) rest(w io.Writer) (int64, error) {
	r.cut = false
	n, err := w.Write(r.text[r.limit:])
	sum := int64(n)
	for !r.ended && err == nil {
		var part []byte
		if part, r.ended, err = r.part(); err == nil {
			n, err = w.Write(part)
			sum += int64(n)
		}
	}
	return sum, err
}

// blank says that a line holds nothing but white space.
func blank(text []byte) bool { return len(bytes.Trim(text, " \t\r")) == 0 }

// interruptible is an input that a signal can stop waiting for: a read from a
// pipe or a terminal ends only when there is something to read.
type interruptible struct {
	ctx    context.Context
	chunks chan chunk // unbuffered: the reader is one chunk ahead
	close  func() error
	left   []byte
	err    error
}

type chunk struct {
	bytes []byte
	err   error
}

func newInterruptible(ctx context.Context, in io.Reader, closer func() error) *interruptible {
	i := &interruptible{ctx: ctx, chunks: make(chan chunk), close: closer}
	// This goroutine may outlive its reader by a read that never returns; the
	// process ends then, and it with it.
	go func() {
		for {
			c := chunk{bytes: make([]byte, readBytes)}
			n, err := in.Read(c.bytes)
			c.bytes, c.err = c.bytes[:n], err
			select {
			case i.chunks <- c:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return i
}

func (i *interruptible) Read(p []byte) (int, error) {
	for len(i.left) == 0 && i.err == nil {
		select {
		case c := <-i.chunks:
			i.left, i.err = c.bytes, c.err
		case <-i.ctx.Done():
			i.err = i.ctx.Err()
		}
	}
	if len(i.left) == 0 {
		return 0, i.err
	}
	n := copy(p, i.left)
	i.left = i.left[n:]
	return n, nil
}

func (i *interruptible) Close() error { return i.close() }

// waiting does something before each read, which may take long.
type waiting struct {
	in     io.Reader
	before func() error
}

func (w *waiting) Read(p []byte) (int, error) {
	if err := w.before(); err != nil {
		return 0, err
	}
	return w.in.Read(p)
}
