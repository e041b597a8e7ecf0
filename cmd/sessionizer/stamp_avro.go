package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"sessionizer/internal/config"
	"sessionizer/internal/ocf"
	"sessionizer/schemas"
)

// stampedAvro is what the stamper knows of container files.
type stampedAvro struct {
	header  ocf.Header // of the first file
	program *schemas.AvroProgram
	stamped *ocf.Writer // on standard output; nil: nothing was read yet
}

var errMixed = errors.New("lines of JSON and Avro containers are not one log: " +
	"read one kind at a time")

var errOtherSchema = errors.New("its schema is another one than that of the files before: " +
	"read them apart")

// fitsFormat refuses an input that the configuration rules out.
func fitsFormat(isAvro bool, format string) error {
	switch {
	case isAvro && format == schemas.FormatJSON.String():
		return errors.New("it is an Avro container and input.format is json: " +
			"--set input.format=auto takes both")
	case !isAvro && format == schemas.FormatAvro.String():
		return errors.New("it is no Avro container and input.format is avro: " +
			"--set input.format=auto takes both")
	}
	return nil
}

// inFormat is a configuration under which every event has one format, and Avro no frame. What a
// file holds it shows itself: neither a registry nor a schema of the configuration is asked.
func inFormat(cfg *config.Config, format schemas.Format) *config.Config {
	c := *cfg
	c.Input = config.Input{Topics: cfg.Input.Topics, Format: format.String()}
	return &c
}

// readRaw has the engine read bare events of a schema.
func (e *offline) readRaw(schema string) (*schemas.AvroProgram, error) {
	program, err := e.codec.CompileAvro(schema)
	if err != nil {
		return nil, err
	}
	e.codec.Book().SetRaw(program)
	return program, nil
}

// readContainer stamps the events of a container.
func (s *stamper) readContainer(in io.Reader) error {
	r, err := ocf.NewReader(in)
	if err != nil {
		return s.readError(err)
	}
	defer r.Close()
	if s.engine == nil {
		err = s.prepare(&r.Header)
	} else if !sameJSON(s.avro.header.Schema, r.Header.Schema) {
		err = errOtherSchema
	}
	if err != nil {
		return s.readError(err)
	}
	if err := s.avro.begin(s.stdout); err != nil {
		return err
	}
	err = eachEvent(r, s.avro.program, func(value []byte) error {
		s.line++
		if s.line%1024 == 0 {
			s.progress.show(s.bytes+r.Read(), s.report.Lines, s.report.what())
		}
		return s.event(value)
	})
	s.bytes += r.Read()
	if fault := (unreadable{}); errors.As(err, &fault) {
		err, s.damaged = s.readError(fault.error), true
	}
	return err
}

// begin writes the header of the output, with the codec of the first input.
func (a *stampedAvro) begin(w io.Writer) (err error) {
	if a.stamped == nil {
		schema := a.program.Output()
		a.stamped, err = ocf.NewWriter(w, ocf.Header{
			Schema: schema, Codec: a.header.Codec, Sync: marker(schema, a.header.Sync[:]),
		})
	}
	return err
}

// refusePass finds that bad input would have to be among the stamped events.
func refusePass(cfg *config.Config) error {
	for _, reason := range slices.Sorted(maps.Keys(cfg.DeadLetters.On)) {
		if cfg.DeadLetters.On[reason] == config.PolicyPass {
			return usageError{fmt.Errorf("dead_letters.on.%s is pass: in an Avro container, whose "+
				"events have one schema, a bad event cannot stand as it was: want dead_letter or fail",
				reason)}
		}
	}
	return nil
}

// marker makes a file's marker of what is in it and not of chance: the same input gives the same
// file.
func marker(schema string, seed []byte) [16]byte {
	sum := sha256.Sum256(append([]byte(schema), seed...))
	return [16]byte(sum[:16])
}

// unreadable is what is wrong with a container or with reading it, apart from what becomes of its
// events.
type unreadable struct{ error }

func (e unreadable) Unwrap() error { return e.error }

// eachEvent hands over the events of a container.
func eachEvent(r *ocf.Reader, p *schemas.AvroProgram, take func(value []byte) error) error {
	for {
		b, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return unreadable{err}
		}
		data := b.Data
		for i := range b.Count {
			n, err := p.Length(data)
			if err != nil {
				return unreadable{b.Damaged(fmt.Errorf("event %d of %d in it: %w", i+1, b.Count, err))}
			}
			if err := take(data[:n:n]); err != nil {
				return err
			}
			data = data[n:]
		}
		if len(data) > 0 {
			return unreadable{b.Damaged(fmt.Errorf("%s behind its last event", counted(len(data), "byte")))}
		}
	}
}

// sameJSON reports whether two texts are the same but for white space and the order of members.
func sameJSON(a, b string) bool {
	if a == b {
		return true
	}
	var x, y any
	return decodeNumbers(a, &x) == nil && decodeNumbers(b, &y) == nil && reflect.DeepEqual(x, y)
}

func decodeNumbers(text string, to any) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	return d.Decode(to)
}

// openVisits writes the header of the visits' container, where they are one.
func (s *stamper) openVisits() (err error) {
	if s.visits == nil || s.cfg.Visits.Format != schemas.FormatAvro.String() {
		return nil
	}
	schema := schemas.VisitSchema()
	s.visitsAvro, err = ocf.NewWriter(s.visits, ocf.Header{
		Schema: schema, Codec: "deflate", Sync: marker(schema, nil),
	})
	return err
}

// peekKind finds out what an input is without reading it.
func peekKind(in *bufio.Reader) (isAvro bool, err error) {
	head, err := in.Peek(headBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return isContainer(head), nil
}
