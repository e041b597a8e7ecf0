package main

import (
	"errors"
	"fmt"

	"sessionizer/internal/dlq"
	"sessionizer/internal/ocf"
	"sessionizer/schemas"
)

// letterFile is an Avro container of dead letters. A nil one takes none.
type letterFile struct {
	*output

	container *ocf.Writer
	buffer    []byte
}

// checkLetterFile refuses a name that standard output or standard error has: what is written there
// would be torn by it.
func (a *app) checkLetterFile(name string) error {
	if name == "-" {
		return usageError{errors.New(
			"--avro -: standard output has the table, or the lines of --json: name a file")}
	}
	file := fileStream("--avro", name)
	for _, s := range []*stream{
		streamOf("standard output", a.stdout), streamOf("standard error", a.stderr),
	} {
		if file.is(s) {
			return usageError{fmt.Errorf("--avro %s is %s: name a file of its own", name, s.name)}
		}
	}
	return nil
}

// createLetterFile begins the file anew, if there is a name.
func createLetterFile(name string) (*letterFile, error) {
	out, err := createOutput(name)
	if err != nil || out == nil {
		return nil, err
	}
	f := &letterFile{output: out}
	if err := out.empty(); err != nil {
		return nil, errors.Join(err, out.close())
	}
	schema := schemas.DeadLetterSchema()
	f.container, err = ocf.NewWriter(out, ocf.Header{
		Schema: schema, Codec: "deflate", Sync: marker(schema, nil),
	})
	if err != nil {
		return nil, errors.Join(err, out.close())
	}
	return f, nil
}

func (f *letterFile) take(l *dlq.Letter, isRedriven bool) error {
	if f == nil {
		return nil
	}
	f.buffer = l.AppendAvro(f.buffer[:0], isRedriven)
	return f.container.Append(f.buffer)
}

// close ends the file, with what was taken before an error too.
func (f *letterFile) close() error {
	if f == nil {
		return nil
	}
	return errors.Join(f.container.Flush(), f.output.close())
}
