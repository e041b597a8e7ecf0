package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"sessionizer/internal/ocf"
)

// stampInput is a file, or standard input.
type stampInput struct {
	name string
	size int64    // bytes; negative: unknown
	file *os.File // open from the start; nil: not a regular file, opened when its turn has come
	// header is what file says of itself where it is a container; nil: it is none.
	header *ocf.Header
	open   func() (io.ReadCloser, error)
}

// close closes what was opened ahead and perhaps never read.
func (in *stampInput) close() {
	if in.file != nil {
		_ = in.file.Close() // nothing was written to it; the reader has told what it found
	}
}

// openInputs finds what is wrong with the files before anything is written. A
// pipe is opened in its turn: who writes into several opens the second only
// when the first has been read.
func (a *app) openInputs(ctx context.Context, names []string) (inputs []stampInput, err error) {
	defer func() {
		if err != nil {
			closeInputs(inputs)
		}
	}()
	standard := false
	for _, name := range names {
		if name == "-" {
			if standard {
				return inputs, usageError{errors.New("standard input is named twice")}
			}
			standard = true
			inputs = append(inputs, stampInput{name: "-", size: -1, open: func() (io.ReadCloser, error) {
				return newInterruptible(ctx, a.stdin, func() error { return nil }), nil
			}})
			continue
		}
		in, err := openInput(ctx, name)
		if err != nil {
			return inputs, fmt.Errorf("read %s: %w", name, cause(err))
		}
		inputs = append(inputs, in)
		if err := oneKind(inputs); err != nil {
			return inputs, err
		}
	}
	return inputs, nil
}

// oneKind refuses files that are not one log. What comes from a pipe is looked at in its turn.
func oneKind(inputs []stampInput) error {
	last := &inputs[len(inputs)-1]
	i := slices.IndexFunc(inputs, func(in stampInput) bool { return in.file != nil })
	if i < 0 || last.file == nil {
		return nil
	}
	first := &inputs[i]
	switch {
	case (first.header == nil) != (last.header == nil):
		return fmt.Errorf("read %s and %s: %w", first.name, last.name, errMixed)
	case first.header != nil && !sameJSON(first.header.Schema, last.header.Schema):
		return fmt.Errorf("read %s: %w", last.name, errOtherSchema)
	}
	return nil
}

func closeInputs(inputs []stampInput) {
	for i := range inputs {
		inputs[i].close()
	}
}

// openInput opens a file, or only finds a pipe with a name, whose reads may take
// as long as those of standard input.
func openInput(ctx context.Context, name string) (stampInput, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return stampInput{}, err
	case info.IsDir():
		return stampInput{}, errors.New("it is a directory")
	case !info.Mode().IsRegular():
		return stampInput{name: name, size: -1, open: func() (io.ReadCloser, error) {
			f, err := os.Open(name)
			if err != nil {
				return nil, err
			}
			return newInterruptible(ctx, f, f.Close), nil
		}}, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return stampInput{}, err
	}
	header, err := headerOf(f, info.Size())
	if err != nil {
		return stampInput{}, errors.Join(err, f.Close())
	}
	return stampInput{name: name, size: info.Size(), file: f, header: header,
		open: func() (io.ReadCloser, error) { return f, nil }}, nil
}

// headerOf reads the header of a container; nil: the file is none.
func headerOf(f io.ReaderAt, size int64) (*ocf.Header, error) {
	head := make([]byte, headBytes)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if !isContainer(head[:n]) {
		return nil, notLines(head[:n])
	}
	r, err := ocf.NewReader(io.NewSectionReader(f, 0, size))
	if err != nil {
		return nil, err
	}
	r.Close()
	return &r.Header, nil
}

// headBytes is how much of an input tells whether it is lines at all.
const headBytes = 4

// isContainer says so of what an input begins with.
func isContainer(head []byte) bool { return bytes.HasPrefix(head, []byte(ocf.Magic)) }

// notLines says what an input is that is neither lines of JSON nor a container.
func notLines(head []byte) error {
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")), bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		return errors.New("it is compressed: unpack it, with zcat or zstdcat")
	}
	return nil
}

// cause is an error without the file that its message will name anyway.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// stream is one end of the command's data.
type stream struct {
	name string // as a message calls it
	path string // absolute, of a file that may not be there yet; empty: it has no name
	info os.FileInfo
}

// streamOf describes a stream of the process; nil: it is no file.
func streamOf(name string, end any) *stream {
	if f, ok := end.(*os.File); ok {
		if info, err := f.Stat(); err == nil {
			return &stream{name: name, info: info}
		}
	}
	return nil
}

// fileStream describes a file that is to be written.
func fileStream(flag, name string) *stream {
	if name == "" {
		return nil
	}
	s := &stream{name: flag + " " + name}
	if info, err := os.Stat(name); err == nil {
		s.info = info
	}
	if path, err := filepath.Abs(name); err == nil {
		s.path = path
		if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			s.path = filepath.Join(dir, filepath.Base(path))
		}
	}
	return s
}

// is reports whether two streams are one file. A device is never: what goes to
// a terminal or to nowhere does no harm to other data there.
func (s *stream) is(other *stream) bool {
	switch {
	case s == nil || other == nil:
		return false
	case s.info != nil && other.info != nil:
		return s.info.Mode()&os.ModeDevice == 0 && os.SameFile(s.info, other.info)
	}
	return s.info == nil && other.info == nil && s.path == other.path
}

func (s *stream) regular() bool { return s != nil && s.info != nil && s.info.Mode().IsRegular() }

// keepApart refuses to write into a file that is read, or two things into one
// file, by whatever names and redirections. Nothing has been written yet.
func (a *app) keepApart(inputs []stampInput, o *stampOptions) error {
	stdout, stderr := streamOf("standard output", a.stdout), streamOf("standard error", a.stderr)
	visits := fileStream("--visits", o.visits)
	dead := fileStream("--dead-letters", o.deadLetters)
	for i := range inputs {
		read := &stream{name: "the input " + inputs[i].name}
		switch info, err := os.Stat(inputs[i].name); {
		case inputs[i].name == "-":
			read = streamOf("standard input", a.stdin)
		case err == nil:
			read.info = info
		}
		// Both ends of a pipe or of a socket look the same, and may be meant.
		for _, written := range []*stream{visits, dead, stdout, stderr} {
			if read.regular() && written.is(read) {
				return usageError{fmt.Errorf("%s is %s", written.name, read.name)}
			}
		}
	}
	for _, pair := range [][2]*stream{{visits, dead}, {visits, stdout}, {dead, stdout}} {
		if pair[0].is(pair[1]) {
			return usageError{fmt.Errorf("%s and %s are the same file", pair[0].name, pair[1].name)}
		}
	}
	for _, written := range []*stream{visits, dead} {
		if stderr.regular() && written.is(stderr) {
			return usageError{fmt.Errorf("%s and %s are the same file", written.name, stderr.name)}
		}
	}
	return nil
}
