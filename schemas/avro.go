package schemas

import (
	"encoding/binary"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
)

// Format is how the values of events are written.
type Format uint8

// The formats.
const (
	FormatAuto Format = iota // what begins with the byte 0 is Avro, if there is a Book; else JSON
	FormatJSON
	FormatAvro

	formats
)

var formatNames = [formats]string{"auto", "json", "avro"}

func (f Format) String() string { return formatNames[f] }

// ParseFormat returns the format of that name: auto, json, avro.
func ParseFormat(name string) (Format, error) {
	for i, n := range formatNames {
		if n == name {
			return Format(i), nil
		}
	}
	return 0, fmt.Errorf("format %q: want one of %q", name, formatNames)
}

// The wire format of Confluent's serializers: a byte 0, the schema's id in 4 bytes, the big end
// first, and the Avro bytes.
const (
	frameMagic = 0
	frameBytes = 5
)

// frameID returns the schema id that a value names; false: it is not framed.
func frameID(value []byte) (id uint32, ok bool) {
	if len(value) < frameBytes || value[0] != frameMagic {
		return 0, false
	}
	return binary.BigEndian.Uint32(value[1:]), true
}

// appendFrame appends what stands in front of the Avro bytes of a framed value.
func appendFrame(dst []byte, id uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, frameMagic), id)
}

// UnknownSchema is the error of a step that would have to read an event whose schema is not in the
// Book. Nothing has changed: when the schema has been learned the same step works.
type UnknownSchema struct{ ID uint32 }

func (e *UnknownSchema) Error() string {
	return fmt.Sprintf("schema %d: not learned yet", e.ID)
}

// SchemaError says why events with a schema cannot be read or written. Its text names what is in
// the schema: it may be logged.
type SchemaError struct {
	Place string // names of fields from the outside in, with dots; empty: the schema as a whole
	What  string // and what to do about it
}

func (e *SchemaError) Error() string {
	if e.Place == "" {
		return "schema: " + e.What
	}
	return "schema: " + e.Place + ": " + e.What
}

func unfit(place, format string, args ...any) error {
	return &SchemaError{Place: place, What: fmt.Sprintf(format, args...)}
}

// Book holds the schemas of the input by their ids. It may be shared: what reads it takes no lock,
// a change copies it.
type Book struct {
	pages atomic.Pointer[bookPages]

	mu sync.Mutex // of those who change it
}

// bookPages are what a Book holds; they do not change.
type bookPages struct {
	entries map[uint32]bookEntry
	raw     *AvroProgram
}

// bookEntry is a schema that is accepted, or refused.
type bookEntry struct {
	program *AvroProgram // nil: refused
	output  uint32       // the id of the output's schema
	why     string
}

// NewBook returns a Book without schemas.
func NewBook() *Book {
	b := &Book{}
	b.pages.Store(&bookPages{})
	return b
}

// Accept has events with the schema id read by the program, and come out with outputID.
func (b *Book) Accept(id uint32, p *AvroProgram, outputID uint32) {
	b.set(id, bookEntry{program: p, output: outputID})
}

// Refuse has events with the schema id be dead letters: malformed, with why.
func (b *Book) Refuse(id uint32, why string) { b.set(id, bookEntry{why: why}) }

func (b *Book) set(id uint32, e bookEntry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.pages.Load()
	entries := make(map[uint32]bookEntry, len(old.entries)+1)
	maps.Copy(entries, old.entries)
	entries[id] = e
	b.pages.Store(&bookPages{entries: entries, raw: old.raw})
}

// SetRaw has FormatAvro take every value as Avro without a frame. It holds for all of a topic:
// what is framed is not told apart any more.
func (b *Book) SetRaw(p *AvroProgram) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pages.Store(&bookPages{entries: b.pages.Load().entries, raw: p})
}

// Unknown reports that the value names a schema which must be learned before it can be scanned.
// What is no framed Avro names none.
func (b *Book) Unknown(value []byte) (id uint32, unknown bool) {
	id, ok := frameID(value)
	if !ok {
		return 0, false
	}
	pages := b.pages.Load()
	if pages.raw != nil {
		return 0, false
	}
	_, known := pages.entries[id]
	return id, !known
}
