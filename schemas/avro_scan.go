package schemas

import "fmt"

// avroScan is what a Scanned keeps of an event that came as Avro. Its slots are the reader's, and
// lie in the view.
type avroScan struct {
	program *AvroProgram // nil: the event is JSON
	output  uint32       // the id of the output's schema
	begin   int          // where the Avro bytes begin: behind the frame, if there is one
	walker  avroWalker
	view    []byte
}

// isAvro reports whether a value is to be read as Avro.
func (c *Codec) isAvro(value []byte) bool {
	switch c.format {
	case FormatAvro:
		return true
	case FormatJSON:
		return false
	}
	return c.book != nil && len(value) > 0 && value[0] == frameMagic
}

// programOf finds the program of a value.
func (c *Codec) programOf(value []byte, a *avroScan) *BadInput {
	a.program = nil
	if c.book == nil {
		return bad(Malformed, "events are Avro, and no schema is known")
	}
	pages := c.book.pages.Load()
	if pages.raw != nil && c.format == FormatAvro {
		a.program, a.begin = pages.raw, 0
		return nil
	}
	id, ok := frameID(value)
	if !ok {
		return bad(Malformed, "no Avro as Confluent frames it: want a byte 0 and 4 of the schema's id")
	}
	entry, known := pages.entries[id]
	if !known {
		panic(fmt.Sprintf("schemas: an event of schema %d, which was not learned, is scanned", id))
	}
	if entry.program == nil {
		return bad(Malformed, "schema %d: %s", id, entry.why)
	}
	a.program, a.output, a.begin = entry.program, entry.output, frameBytes
	return nil
}

// scanAvro is Scan for Avro.
func (c *Codec) scanAvro(value []byte, rec Record, sc *Scanned) *BadInput {
	a := &sc.avro
	if b := c.programOf(value, a); b != nil {
		return b
	}
	p := a.program
	if p.codec != c {
		panic("schemas: a program reads events for another codec")
	}
	r := &sc.reader
	c.prepare(r)
	w := &a.walker
	if len(w.forms) != len(c.trie) {
		w.forms = make([]int32, len(c.trie))
	}
	w.trie, w.slots = c.trie, r.slots
	if !w.walk(value, a.begin, p.ops) {
		if w.fault == avroFaultEdits {
			return bad(Limit, "%s", w.fault)
		}
		return bad(Malformed, "%s at byte %d", w.fault, w.at)
	}
	sc.see(p, value)
	return c.scanEvent(a.view, rec, sc)
}
