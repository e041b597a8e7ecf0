package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// What is not JSON must not come through, and what is must not be lost: a text is refused exactly
// where RFC 8259 refuses it. encoding/json is the second opinion.

const depthInTests = 64

func newReader(t testing.TB, paths ...string) *reader {
	t.Helper()
	root := &trieBuilder{}
	for _, p := range paths {
		if _, err := root.add(p); err != nil {
			t.Fatal(err)
		}
	}
	nodes, err := root.build()
	if err != nil {
		t.Fatal(err)
	}
	return &reader{checker: checker{depthMax: depthInTests}, trie: nodes,
		slots: make([]slot, len(nodes)), guesses: make([]guesses, len(nodes))}
}

func TestReaderTakesWhatIsJSON(t *testing.T) {
	for _, text := range []string{
		`{}`, ` { } `, "\t\r\n{\n}\n", `{"":0}`, `{"a":[]}`, `{"a":[ ]}`, `{"a":[1,2]}`, `{"a":[[],{}]}`,
		`{"a":0}`, `{"a":-0}`, `{"a":0.0}`, `{"a":1e5}`, `{"a":1E+5}`, `{"a":1.25e-5}`, `{"a":0e1}`,
		`{"a":123456789012345678901234567890}`, `{"a":true,"b":false,"c":null}`,
		`{"a":"\"\\\/\b\f\n\r\t\u0000\uabCD"}`, `{"a":"\ud83d\ude00"}`, `{"a":"\ud800"}`,
		`{"a":"\udc00\ud800"}`, `{"a":"é€😀"}`, "{\"a\":\"\u007f\"}", "{\"a\":\"\ufffd\"}",
		`{"a":"12345678"}`, `{"a":"1234567"}`, `{"a":"123456789"}`, `{"a":1,"a":2}`,
		`{"\u0061":1}`, `{"é":1}`, "{ \"a\"\n:\t1 ,\r\"b\" : [ 1 , 2 ] }",
		"{" + strings.Repeat(" ", 100) + "}", `{"a":"` + strings.Repeat("x", 1000) + `"}`,
	} {
		check(t, text, faultNone)
	}
}

func TestReaderRefusesWhatIsNotJSON(t *testing.T) {
	for want, texts := range map[fault][]string{
		faultEnd: {``, ` `, `{`, `{"`, `{"a`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":"`, `{"a":"\`,
			`{"a":"\u12`, `{"a":[`, `{"a":[1`, `{"a":[1,`, `{"a":-`, `{"a":1.`, `{"a":1e`, `{"a":1e+`,
			`{"a":tru`, `{"a":{`, `{"a":{"b`, `{"a":[[]`, `{"a":12345678`, `{"a":"12345678`},
		faultSyntax: {`{,}`, `{"a"}`, `{"a",}`, `{"a":1,}`, `{"a":,}`, `{"a":1 "b":2}`, `{'a':1}`, `{a:1}`,
			`{"a":[1,]}`, `{"a":[,1]}`, `{"a":[1 2]}`, `{"a":[1}`, `{"a":{"b":1]}`, `{"a":{"b":1,}}`,
			`{"a":{,}}`, `{"a":{1:1}}`, `{"a":+1}`, `{"a":.5}`, `{"a":NaN}`, `{"a":Infinity}`, `{"a":01}`,
			`{"a":-01}`, `{"a":0x1}`, `{"a":1.2.3}`, `{"a":"x"y}`, "{\u00a0}", "{\v}", "{\"a\":\x00}",
			"\ufeff{}", `{"a":1/**/}`, `{"a":[1:2]}`, `{"a"::1}`, "{\xff}", `}`, `]`},
		faultLiteral: {`{"a":nul!}`, `{"a":trUe}`, `{"a":falsy}`, `{"a":nulL}`},
		faultNumber:  {`{"a":-}`, `{"a":-a}`, `{"a":1.}`, `{"a":1.e5}`, `{"a":1e}`, `{"a":1e+}`, `{"a":[1e-]}`},
		faultEscape:  {`{"a":"\x"}`, `{"a":"\u12g4"}`, `{"a":"\U1234"}`, `{"\q":1}`, `{"a":"\u 123"}`},
		faultControl: {"{\"a\":\"\x00\"}", "{\"a\":\"\n\"}", "{\"a\":\"12345678\x1f\"}", "{\"\t\":1}"},
		faultUTF8: {"{\"a\":\"\xff\"}", "{\"a\":\"\xc0\x80\"}", "{\"a\":\"\xed\xa0\x80\"}",
			"{\"\xe2\x82\":1}", "{\"a\":\"\xf4\x90\x80\x80\"}", "{\"a\":\"12345678\x80\"}",
			"{\"a\":\"\xe2\x82"},
		faultTop:      {`[]`, `1`, `"a"`, `null`, ` true `, `[{}]`},
		faultTrailing: {`{}{}`, `{} x`, `{}]`, "{}\x00", "{}\ufeff", `1 2`, `[],`},
	} {
		for _, text := range texts {
			check(t, text, want)
		}
	}
}

// check reads the text with and without paths, and at every level of nesting.
func check(t *testing.T, text string, want fault) {
	t.Helper()
	for _, paths := range [][]string{nil, {"a", "b"}, {"a.b", "zzzzzzzz.b"}} {
		r := newReader(t, paths...)
		if r.read([]byte(text)); r.fault != want {
			t.Errorf("%q with %d paths: %v at %d, want %v", text, len(r.trie)-1, r.fault, r.at, want)
		}
	}
}

func TestReaderBoundsTheDepth(t *testing.T) {
	for _, paths := range [][]string{nil, {"a"}, {"a.a.a.a"}} {
		for _, part := range [][2]string{{`{"a":`, `}`}, {`[`, `]`}} {
			for depth := 1; depth < 200; depth++ {
				r := newReader(t, paths...)
				inside := depth - 1
				text := `{"a":` + strings.Repeat(part[0], inside) + `1` + strings.Repeat(part[1], inside) + `}`
				ok := r.read([]byte(text))
				if want := depth <= depthInTests; ok != want || !ok && r.fault != faultDepth {
					t.Fatalf("depth %d of %q, paths %q: %v, %v", depth, part, paths, ok, r.fault)
				}
			}
		}
	}
	r := newReader(t)
	r.depthMax = jsonDepthMax
	deep := `{"a":` + strings.Repeat("[", jsonDepthMax-1) + strings.Repeat("]", jsonDepthMax-1) + `}`
	if !r.read([]byte(deep)) || !json.Valid([]byte(deep)) {
		t.Errorf("the greatest depth: %v", r.fault)
	}
}

func TestReaderNamesTheByte(t *testing.T) {
	for text, at := range map[string]int{`{"a":1]`: 6, `{"a":"\x"}`: 6, `{}x`: 2, ` []`: 1, `{"a":12`: 7} {
		r := newReader(t)
		if r.read([]byte(text)); r.at != at {
			t.Errorf("%q: %v at %d, want at %d", text, r.fault, r.at, at)
		}
	}
}

// value returns what a path leads to as encoding/json decodes it, nil where it is absent.
func (r *reader) decoded(t testing.TB, b []byte, id int) any {
	t.Helper()
	s := r.slots[id]
	if s.first == 0 {
		return nil
	}
	v, err := decode(b[s.start:s.end])
	if err != nil {
		t.Fatalf("%q at %d..%d of %q: %v", b[s.start:s.end], s.start, s.end, b, err)
	}
	if text, ok := v.(string); ok {
		sc := Scanned{}
		if got := string(sc.text(b, &s)); got != text {
			t.Fatalf("text %q, want %q", got, text)
		}
	}
	return v
}

func decode(b []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var v any
	err := dec.Decode(&v)
	return v, err
}

// lookup is the plain way to a member: through decoded maps, which keep the last of a name.
func lookup(v any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		if list, ok := v.([]any); ok && (name == "0" || name == "1" || name == "12") {
			if i, _ := strconv.Atoi(name); i < len(list) {
				v = list[i]
				continue
			}
		}
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}

var readerPaths = []string{"a", "b", "context", "context.session", "context.session.id",
	"context.sessionId", "aaaaaaaa", "aaaaaaaab", "aaaaaaaac", "a.b", "b.a.b", "timestamp", "a.é",
	"a.0", "a.0.b", "a.1", "a.12.0.a", "a.01", "a.-1", "b.1.b", "b.a.0", "context.0.1"}

func TestReaderFindsTheLastOfEachName(t *testing.T) {
	for _, text := range []string{
		`{"a":1,"a":2}`, `{"a":{"b":1},"a":{}}`, `{"a":{"b":1},"a":null}`, `{"a":{"b":1},"a":3}`,
		`{"a":3,"a":{"b":1}}`, `{"a":{"b":1,"b":"x"}}`, `{"A":1,"a ":2}`, `{"\u0061":1}`, `{"a":1,"\u0061":2}`,
		`{"a":{"\u00e9":1}}`, `{"a":{"é":1}}`, `{"aaaaaaaa":1,"aaaaaaaab":2,"aaaaaaaac":3,"aaaaaaaad":4}`,
		`{"context":{"session":{"id":1}},"context":{"sessionId":2}}`,
		`{"context":{"session":{"id":1},"session":{}}}`,
		`{"context":{"session":{"id":1},"session":{"id":2}}}`, `{"b":{"a":{"b":1},"a":[{"b":2}]}}`,
		`{"a":"\ud800","b":"\ud83d\ude00x\udc00"}`, `{"timestamp":"\u0032024"}`, `{"a":[1],"b":{"a":1}}`,
		`{"b":1}`, `{"a":""}`, `{"aaaaaaaa":""}`, `{"context":{"session":[{"id":1}]}}`,
		`{"a":[]}`, `{"a":[ 1 , "x\u0041" ,2]}`, `{"a":[{"b":1}]}`, `{"a":{"0":{"b":1},"1":2}}`,
		`{"a":[[1],{"b":1}]}`, `{"a":[{"b":1}],"a":[]}`, `{"a":[{"b":1}],"a":{"1":5}}`, `{"b":[1]}`,
		`{"b":[1,{"b":2,"b":3}]}`, `{"context":[[1,[2]]]}`, `{"a":[0,1,2,3,4,5,6,7,8,9,0,1,[{"a":7}],3]}`,
		`{"a":{"01":1,"-1":2}}`, `{"a":[null,null]}`, `{"b":{"a":["é"]}}`, `{"a":["` + pad(20) + `"]}`,
	} {
		same(t, newReader(t, readerPaths...), []byte(text))
	}
}

// same compares what the reader makes of a text with encoding/json.
func same(t testing.TB, r *reader, b []byte) {
	t.Helper()
	ok := r.read(b)
	v, err := decode(b)
	_, isObject := v.(map[string]any)
	valid := err == nil && isObject && json.Valid(b)
	switch {
	case ok != valid && r.fault == faultUTF8 && !utf8.Valid(b):
		return // encoding/json replaces what is not UTF-8
	case ok != valid && r.fault == faultDepth && valid:
		return // it allows 10,000 levels
	case ok != valid:
		t.Fatalf("%q: %v (%v at %d), encoding/json: %v (%v)", b, ok, r.fault, r.at, valid, err)
	case !ok:
		return
	}
	for id := 1; id < len(r.trie); id++ {
		path := r.trie.path(id)
		got, want := r.decoded(t, b, id), lookup(v, path)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%q: %s: %v, encoding/json: %v", b, path, got, want)
		}
		// An absent member and a null are told apart.
		if s := r.slots[id]; got == nil && s.first != 0 && s.first != 'n' {
			t.Fatalf("%q: %s: %q", b, path, s.first)
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, v := range benchEvents() {
		f.Add(v)
	}
	f.Add([]byte(`{"a":{"b":1},"context":{"session":{"id":1,"i\u0064":2}},"a":{"\u00e9":"\ud800"}}`))
	f.Add([]byte(`{"a":[{"b":1},"x\u0041"],"b":[1,{"b":[]}],"context":[[0,1]],"a":[[],]}`))
	f.Add([]byte(`{"a":[1,-0.5e+10,{"b":[]},true,false,null,"é€😀\n"]} `))
	f.Fuzz(func(t *testing.T, b []byte) {
		same(t, newReader(t, readerPaths...), b)
		plain := newReader(t)
		with := newReader(t, readerPaths...)
		if plain.read(b) != with.read(b) || plain.fault != with.fault || plain.at != with.at {
			t.Fatalf("%q: %v at %d without paths, %v at %d with", b, plain.fault, plain.at,
				with.fault, with.at)
		}
	})
}
