package schemas

// AvroProgram reads events of one schema for one Codec, and writes them with the session. It does
// not change: any number of goroutines may share it.
type AvroProgram struct {
	codec  *Codec
	input  *avroType
	output string
}

// CompileAvro makes the program for events of a schema: JSON text as Avro's specification has it.
// A *SchemaError says what cannot be done with it.
func (c *Codec) CompileAvro(schema string) (*AvroProgram, error) {
	t, err := parseAvro(schema, c.limits.JSONDepth)
	if err != nil {
		return nil, err
	}
	if t.kind != avroRecord {
		return nil, unfit("", "an event is a record, not a %s", t.kind)
	}
	return &AvroProgram{codec: c, input: t}, nil
}

// Output returns the schema of the events with their sessions, as JSON text; empty: there is none.
func (p *AvroProgram) Output() string { return p.output }
