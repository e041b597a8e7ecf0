package schemas

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// A schema comes from a registry that others write to. What goavro refuses is refused, and what it
// takes but a walk cannot bound or a reader would understand otherwise.

func TestParseAvro_Refuses(t *testing.T) {
	record := func(fields string) string {
		return `{"type":"record","name":"E","fields":[` + fields + `]}`
	}
	chain := func(n int, next string) string {
		text := `{"type":"record","name":"R0","fields":[{"name":"x","type":"int"}]}`
		for i := 1; i < n; i++ {
			text = fmt.Sprintf(next, i, text, i-1)
		}
		return record(`{"name":"a","type":` + text + `}`)
	}
	const doubling = `{"type":"record","name":"R%d","fields":[{"name":"a","type":%s,"default":{}},` +
		`{"name":"b","type":"R%d","default":{}}]}`
	const nesting = `{"type":"record","name":"R%d","fields":[{"name":"a","type":%s},` +
		`{"name":"b","type":"int","doc":"%d"}]}`
	for name, c := range map[string]struct{ schema, want string }{
		"no JSON":        {`{"type":`, "unexpected end"},
		"data behind":    {`"int" "int"`, "data behind"},
		"too deep text":  {strings.Repeat("[", 300), "nested too deeply"},
		"too long":       {`"` + strings.Repeat("x", avroSchemaBytesMax) + `"`, "bytes, at most"},
		"no type":        {`{"name":"a"}`, "a type without a type"},
		"unknown name":   {record(`{"name":"a","type":"B"}`), `a: unknown type name: "B"`},
		"recursion":      {record(`{"name":"a","type":["null","E"],"default":null}`), "holds itself"},
		"zero items":     {record(`{"name":"a","type":{"type":"array","items":"null"}}`), "no bytes"},
		"zero records":   {record(`{"name":"a","type":{"type":"map","values":{"type":"record","name":"Z","fields":[]}}}`), "no bytes"},
		"zero fixed":     {record(`{"name":"a","type":{"type":"array","items":{"type":"fixed","name":"F","size":"0"}}}`), "no bytes"},
		"doubling":       {chain(30, doubling), "more than 10000 places"},
		"too deep":       {chain(70, nesting), "more than 64 records"},
		"twice":          {record(`{"name":"a","type":{"type":"fixed","name":"F","size":2}},{"name":"b","type":{"type":"fixed","name":"F","size":3}}`), "defined twice"},
		"word":           {record(`{"name":"a","type":{"type":"fixed","name":"array","size":2}}`), "a word of Avro"},
		"field twice":    {record(`{"name":"a","type":"int"},{"name":"a","type":"int"}`), "a name of its own"},
		"type in field":  {record(`{"name":"a","type":"array","items":"int"}`), `the type "array" stands in the field`},
		"union in union": {record(`{"name":"a","type":["null",["int","long"]]}`), "a union with union inside"},
		"union twice":    {record(`{"name":"a","type":["int",{"type":"int","logicalType":"date"}]}`), "a union with int inside"},
		"empty union":    {record(`{"name":"a","type":[]}`), "a union of 0 types"},
		"symbols":        {record(`{"name":"a","type":{"type":"enum","name":"X","symbols":["A","A"]}}`), "symbol 2"},
		"default":        {record(`{"name":"a","type":"int","default":"x"}`), "default value ought to have a number type"},
		"ambiguous":      {`{"type":"record","name":"E","fields":[{"name":"a","type":{"type":"fixed","name":"X","size":1}},{"name":"n","type":{"type":"record","name":"N","namespace":"s","fields":[{"name":"b","type":{"type":"fixed","name":"X","size":2}},{"name":"c","type":"X"}]}}]}`, "want its full name"},
		"name":           {record(`{"name":"` + strings.Repeat("a", avroNameBytesMax+1) + `","type":"int"}`), "at most 1024 bytes"},
		"type's name":    {record(`{"name":"a","type":{"type":"fixed","size":1,"name":"` + strings.Repeat("a.", avroNameBytesMax/2) + `a"}}`), "a name of 1025 bytes"},
		"large fixed":    {record(`{"name":"a","type":{"type":"fixed","name":"F","size":2147483648}}`), "at most 1073741824"},
		"empty values":   {record(`{"name":"a","type":{"type":"map","values":"null"}}`), "values of a map take no bytes"},
		"no record":      {`"int"`, "an event is a record"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := codecOf(t, "krenalis").CompileAvro(c.schema)
			var fault *SchemaError
			if !errors.As(err, &fault) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want one with %q", err, c.want)
			}
		})
	}
}

// goavro panics where a second decimal has no scale, which is 0 then.
func TestParseAvro_TakesWhatGoavroPanicsWith(t *testing.T) {
	_, err := parseAvro(`{"type":"record","name":"E","fields":[
		{"name":"a","type":{"type":"bytes","logicalType":"decimal","precision":4}},
		{"name":"b","type":{"type":"bytes","logicalType":"decimal","precision":4}},
		{"name":"c","type":{"type":"string","logicalType":"validated-string","pattern":1}}]}`, 64)
	if err != nil {
		t.Error(err)
	}
}

func TestBook_TellsWhatMustBeLearned(t *testing.T) {
	b := NewBook()
	framed := appendFrame(nil, 7)
	if id, unknown := b.Unknown(framed); id != 7 || !unknown {
		t.Errorf("got %d, %t: schema 7 has to be learned", id, unknown)
	}
	for _, value := range []string{"", "{}", "\x00\x00\x00\x00", "\x01\x00\x00\x00\x07"} {
		if _, unknown := b.Unknown([]byte(value)); unknown {
			t.Errorf("%q names a schema", value)
		}
	}
	b.Refuse(7, "recursion")
	if _, unknown := b.Unknown(framed); unknown {
		t.Error("a refused schema has to be learned again")
	}
	b.Accept(8, &AvroProgram{}, 9)
	if _, unknown := b.Unknown(appendFrame(nil, 8)); unknown {
		t.Error("an accepted schema has to be learned again")
	}
	b.SetRaw(&AvroProgram{})
	if _, unknown := b.Unknown(appendFrame(nil, 10)); unknown {
		t.Error("a value without a frame names a schema")
	}
}

// What a default says grows with what it names: those of a schema of a few hundred kilobytes may be
// gigabytes.
func TestParseAvro_BoundsWhatDefaultsSay(t *testing.T) {
	schema := func(field, typ, value string) string {
		return `{"type":"record","name":"E","fields":[{"name":"a","type":{"type":"record","name":"R",` +
			`"fields":[` + field + `]}},{"name":"b","type":` + typ + `,"default":` + value + `}]}`
	}
	list := func(n int) string { return "[" + strings.Repeat("{},", n-1) + "{}]" }
	fields := `{"name":"f","type":"int","default":1}`
	for i := range 999 {
		fields += fmt.Sprintf(`,{"name":"f%d","type":"int","default":1}`, i)
	}
	text := `{"name":"s","type":"string","default":"` + strings.Repeat("x", 100_000) + `"}`
	const array = `{"type":"array","items":"R"}`
	for name, c := range map[string]struct {
		schema string
		fits   bool
	}{
		"record":        {schema(fields, `"R"`, "{}"), true},
		"list":          {schema(fields, array, list(98)), true},
		"long list":     {schema(fields, array, list(100)), false},
		"union":         {schema(fields, `["R","null"]`, "{}"), true},
		"text":          {schema(text, `"R"`, "{}"), true},
		"list of texts": {schema(text, array, list(20)), false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseAvro(c.schema, 64)
			refused := err != nil && strings.Contains(err.Error(), "defaults of the schema say more than")
			if refused == c.fits || c.fits && err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}

// An enum may have as many symbols as a schema has room for: looking at each next to each other one
// took half a minute for these.
func TestParseAvro_ManySymbols(t *testing.T) {
	const n = 60_000
	symbols := make([]string, n)
	for i := range symbols {
		symbols[i] = fmt.Sprintf(`"S%d"`, i)
	}
	enum := func(all []string) string {
		return `{"type":"enum","name":"X","symbols":[` + strings.Join(all, ",") + `]}`
	}
	parsed, err := parseAvro(enum(symbols), 64)
	if err != nil || len(parsed.symbols) != n {
		t.Fatal(err)
	}
	symbols[n-1] = symbols[0]
	_, err = parseAvro(enum(symbols), 64)
	if err == nil || !strings.Contains(err.Error(), "symbol 60000") {
		t.Errorf("got %v", err)
	}
	_, err = parseAvro(`{"type":"record","name":"E","fields":[{"name":"a","type":`+
		enum(symbols[:n-1])+`,"default":"none"}]}`, 64)
	if err == nil || len(err.Error()) > 500 {
		t.Errorf("the reason repeats the symbols, or there is none: %.600v", err)
	}
}
