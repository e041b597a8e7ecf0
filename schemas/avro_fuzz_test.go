package schemas

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"

	"sessionizer/session"
)

// goavro is the reference: what the walker finds is what goavro decodes, and what a splice writes
// goavro reads as what the JSON codec makes of the same event.

// randomAvro is a codec pair and a program for a random schema; nil: the schema is one that is
// refused, as it may be.
type randomAvro struct {
	g       *avroGenerator
	schema  string
	in      *avroType
	json    *Codec
	avro    *Codec
	program *AvroProgram
}

func newRandomAvro(t *testing.T, seed uint64) *randomAvro {
	t.Helper()
	g := &avroGenerator{Rand: rand.New(rand.NewPCG(seed, 1))}
	p, idType := nestedProfile(), session.IDString
	if i := g.IntN(len(Profiles()) + 1); i < len(Profiles()) {
		var err error
		if p, err = LoadProfile(Profiles()[i]); err != nil {
			t.Fatal(err)
		}
		idType = profileIDTypes[Profiles()[i]]
	}
	config := Config{Profile: p, IDType: idType, Fields: []string{"full"}}
	if g.chance(30) {
		config.Fields = []string{"minimal"}
	}
	ra := &randomAvro{g: g, json: newCodec(t, config)}
	config.Format, config.Book = FormatAvro, NewBook()
	ra.avro = newCodec(t, config)
	g.c = ra.avro
	ra.schema = g.schema()
	var err error
	if ra.in, err = parseAvro(ra.schema, 64); err != nil {
		t.Fatalf("%s: %v", ra.schema, err)
	}
	ra.program, err = ra.avro.CompileAvro(ra.schema)
	var unfit *SchemaError
	if errors.As(err, &unfit) && strings.Contains(err.Error(), "a profile of your own") {
		return nil
	}
	if err != nil {
		t.Fatalf("%s: %v", ra.schema, err)
	}
	ra.avro.book.Accept(7, ra.program, 9)
	return ra
}

// plainOf is a native of goavro as JSON has it: unions are what they hold, nulls are not in
// records, what JSON has no type for is an object.
func plainOf(t *avroType, native any) any {
	switch t.kind {
	case avroUnion:
		if native == nil {
			return nil
		}
		for name, value := range native.(map[string]any) {
			for _, b := range t.branches {
				kind, _, _ := strings.Cut(name, ".") // long.timestamp-millis
				if b.name == name || b.name == "" && b.kind.String() == kind {
					return plainOf(b, value)
				}
			}
		}
		panic(fmt.Sprintf("no branch for %v", native))
	case avroRecord:
		object := map[string]any{}
		for i := range t.fields {
			f := &t.fields[i]
			if value := plainOf(f.typ, native.(map[string]any)[f.name]); value != nil {
				object[f.name] = value
			}
		}
		return object
	case avroMap:
		object := map[string]any{}
		for name, value := range native.(map[string]any) {
			object[name] = plainOf(t.items, value)
		}
		return object
	case avroArray:
		list := []any{}
		for _, value := range native.([]any) {
			list = append(list, plainOf(t.items, value))
		}
		return list
	}
	return plainScalar(t, native)
}

func plainScalar(t *avroType, native any) any {
	switch v := native.(type) {
	case []byte:
		if t.logical == "uuid" {
			return string(session.AppendUUID(nil, [16]byte(v)))
		}
		return map[string]any{"bytes": []any{fmt.Sprintf("%x", v)}}
	case time.Time:
		if v.Year() < 1 || v.Year() > 9999 {
			return map[string]any{"out of range": []any{v.Unix()}}
		}
		form := map[string]string{"date": "2006-01-02", "timestamp-millis": "2006-01-02T15:04:05.000Z",
			"timestamp-micros": "2006-01-02T15:04:05.000000Z"}[t.logical]
		return v.Format(form)
	case *big.Rat:
		return map[string]any{"decimal": []any{v.String()}}
	case float32, float64:
		text, err := json.Marshal(v)
		if err != nil {
			return map[string]any{"number": []any{fmt.Sprint(v)}}
		}
		return json.Number(text)
	case int32, int64:
		return json.Number(fmt.Sprint(v))
	}
	return native
}

func jsonText(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func jsonValue(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return text
}

func nativeOf(t *testing.T, schema string, value []byte) any {
	t.Helper()
	codec, err := goavro.NewCodec(schema)
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	native, rest, err := codec.NativeFromBinary(value)
	if err != nil || len(rest) > 0 {
		t.Fatalf("%s\n%x: %v, %d bytes behind it", schema, value, err, len(rest))
	}
	return native
}

// seen is what a walk finds, as JSON: the scalars that are noted, by their paths.
func seen(sc *Scanned, c *Codec, view []byte, noted []int32) map[string]string {
	found := map[string]string{}
	for _, id := range noted {
		s := &sc.reader.slots[id]
		switch text := string(view[s.start:s.end]); {
		case s.first == '"':
			found[c.trie.path(int(id))] = fmt.Sprintf("%q", sc.text(view, s))
		case s.first == 't' || s.first == 'f' || isNumberFirst(s.first):
			found[c.trie.path(int(id))] = text
		}
	}
	return found
}

// FuzzAvroWalk takes a seed for a schema and its events.
func FuzzAvroWalk(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		ra := newRandomAvro(t, seed)
		if ra == nil {
			return
		}
		for range 3 {
			value := ra.g.append(nil, ra.in)
			event := plainOf(ra.in, nativeOf(t, ra.schema, value))
			text := jsonText(t, event)
			var a, j Scanned
			if w := ra.walk(value, &a); w.fault != avroFaultNone {
				t.Fatalf("%s\n%x: %s at byte %d", ra.schema, value, w.fault, w.at)
			}
			if b := ra.json.Scan(text, benchRecord, &j); b != nil && b.Reason == Malformed {
				t.Fatalf("%s: %v", text, b)
			}
			got := seen(&a, ra.avro, a.avro.view, ra.program.noted)
			want := seen(&j, ra.json, text, ra.program.noted)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s\n%s\ngot  %v\nwant %v", ra.schema, text, got, want)
			}
			ra.checkSplice(t, value, text)
			ra.checkKept(t, value, text)
		}
		ra.checkHostile(t, ra.g.append(nil, ra.in))
	})
}

// walk goes over an event without asking whose it is.
func (ra *randomAvro) walk(value []byte, sc *Scanned) *avroWalker {
	sc.avro.program = ra.program
	_ = ra.avro.scanAvro(append(appendFrame(nil, 7), value...), benchRecord, sc)
	return &sc.avro.walker
}

// checkSplice compares what a splice writes with what it writes into the same event as JSON.
func (ra *randomAvro) checkSplice(t *testing.T, value, text []byte) {
	t.Helper()
	framed := append(appendFrame(nil, 7), value...)
	id, previous := idOf(ra.avro)
	out, err := parseAvro(ra.program.Output(), 64)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ra.avro.CompileAvro(ra.program.Output())
	if err != nil || again.Output() != ra.program.Output() {
		t.Fatalf("%s\nis no fixed point:\n%s\n%v", ra.schema, ra.program.Output(), err)
	}
	ra.checkBeside(t, ra.in, out, 0, false)
	ra.avro.book.Accept(9, again, 9)
	for _, st := range []*session.Stamp{stampOf(id, previous, true), stampOf(id, previous, false),
		{Status: session.TooLate}, {Status: session.NoSession}} {
		var a, j, o Scanned
		aBad := ra.avro.Scan(framed, benchRecord, &a)
		jBad := ra.json.Scan(text, benchRecord, &j)
		if aBad != nil && aBad.Reason == BadContext && hasOpaque(text) {
			return // where JSON has an object for bytes
		}
		if (aBad == nil) != (jBad == nil) || aBad != nil && aBad.Reason != jBad.Reason {
			t.Fatalf("%s\n%s\nas Avro %v, as JSON %v", ra.schema, text, aBad, jBad)
		}
		if aBad != nil {
			return
		}
		if x, y := eventText(&a), eventText(&j); x != y {
			t.Fatalf("%s\n%s\nAvro %s\nJSON %s", ra.schema, text, x, y)
		}
		stamped := ra.avro.AppendStamped(nil, framed, &a, st)
		got := plainOf(out, nativeOf(t, ra.program.Output(), stamped[frameBytes:]))
		want := decoded(t, ra.json.AppendStamped(nil, text, &j, st))
		x, y := jsonText(t, withoutRecordNulls(got)), jsonText(t, withoutRecordNulls(want))
		if string(x) != string(y) {
			t.Fatalf("%s\n%s\n%s\n%v\ngot  %s\nwant %s", ra.schema, ra.program.Output(), text, st, x, y)
		}
		bad := ra.avro.Scan(stamped, benchRecord, &o)
		if bad != nil && bad.Reason == NoKey && st.Status != session.InSession {
			continue // the key was the client's session id, which is removed
		}
		if bad != nil {
			t.Fatalf("%s\n%x: an output is refused: %v", ra.program.Output(), stamped, bad)
		}
		if second := ra.avro.AppendStamped(nil, stamped, &o, st); string(second) != string(stamped) {
			t.Fatalf("%s\n%x\nspliced again\n%x", ra.program.Output(), stamped, second)
		}
	}
}

// checkKept has an event without a frame pass untouched: it comes out in the schema of the output,
// and what is not ours is the same.
func (ra *randomAvro) checkKept(t *testing.T, value, text []byte) {
	t.Helper()
	ra.avro.book.SetRaw(ra.program)
	defer ra.avro.book.SetRaw(nil)
	var a Scanned
	if bad := ra.avro.Scan(value, benchRecord, &a); bad != nil {
		return
	}
	passed := ra.avro.AppendStamped(nil, value, &a, &session.Stamp{Status: session.Bypass})
	out, err := parseAvro(ra.program.Output(), 64)
	if err != nil {
		t.Fatal(err)
	}
	native := nativeOf(t, ra.program.Output(), passed)
	got := withoutOwned(ra.avro, 0, decoded(t, jsonText(t, plainOf(out, native))))
	want := withoutOwned(ra.avro, 0, decoded(t, text))
	if x, y := jsonText(t, got), jsonText(t, want); string(x) != string(y) {
		t.Fatalf("%s\n%s\n%s\ngot  %s\nwant %s", ra.schema, ra.program.Output(), text, x, y)
	}
}

// withoutRecordNulls takes out what a splice of JSON writes as null, of a profile's else; times
// that are written are numbers, whatever the type.
func withoutRecordNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if withoutRecordNulls(value); value == nil && name == "previousSessionId" ||
				value == "d\u00fc" || value == json.Number("-70") { // defaults of what was made
				delete(v, name)
			}
			o, ok := value.(map[string]any)
			if ok && len(o) == 0 && slices.Contains([]string{"r", "s", "t"}, name) {
				delete(v, name) // it had to be made, for it cannot be null
			}
			if name == "key" { // a copy: a text, unless it has been there
				v[name] = strings.Trim(string(jsonValue(value)), `"`)
			}
			if name == "startedAt" || name == "firstEventTimestamp" {
				at, ok := session.ParseTime([]byte(strings.Trim(string(jsonValue(value)), `"`)))
				if ok {
					v[name] = json.Number(fmt.Sprint(int64(at)))
				}
			}
		}
	case []any:
		for i := range v {
			withoutRecordNulls(v[i])
		}
	}
	return v
}

// hasOpaque reports whether a value that JSON has no type for is an object in a text.
func hasOpaque(text []byte) bool {
	for _, name := range []string{"bytes", "number", "out of range"} {
		if strings.Contains(string(text), `{"`+name+`":`) {
			return true
		}
	}
	return false
}

// checkHostile has the walker and goavro judge the same damaged bytes.
func (ra *randomAvro) checkHostile(t *testing.T, value []byte) {
	t.Helper()
	codec, err := goavro.NewCodec(ra.schema)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		bad := append([]byte{}, value...)
		for range 1 + ra.g.IntN(3) {
			switch i := ra.g.IntN(len(bad) + 1); {
			case i == len(bad):
				bad = append(bad, byte(ra.g.Uint32()))
			case ra.g.chance(30):
				bad = bad[:i]
			default:
				bad[i] = byte(ra.g.Uint32())
			}
		}
		var sc Scanned
		w := ra.walk(bad, &sc)
		_, rest, err := codec.NativeFromBinary(bad)
		accepted := err == nil && len(rest) == 0
		switch w.fault {
		case avroFaultUTF8, avroFaultNumber, avroFaultSize, avroFaultEdits: // goavro does not look
		default:
			if twice := err != nil && strings.Contains(err.Error(), "duplicate key"); !twice &&
				accepted != (w.fault == avroFaultNone) {
				t.Fatalf("%s\n%x: the walker says %s at %d, goavro %v, %d bytes behind it",
					ra.schema, bad, w.fault, w.at, err, len(rest))
			}
		}
	}
}
