package schemas

import (
	"fmt"
	"strings"
	"testing"

	"sessionizer/session"
)

// The payload belongs to its sender: whatever is no session member comes out byte for byte, and no
// reader, however it treats repeated names, may find a session that is not ours.

// spliced scans and splices; the value is what stands behind an anonymous ID.
func spliced(t testing.TB, c *Codec, value string, st *session.Stamp) string {
	t.Helper()
	sc := &Scanned{}
	if bad := c.Scan([]byte(value), Record{Timestamp: recordTime}, sc); bad != nil {
		t.Fatalf("%s: %v", value, bad)
	}
	return string(c.AppendStamped(nil, []byte(value), sc, st))
}

func TestSpliceWritesContextSession(t *testing.T) {
	const id = `{"anonymousId":"a"`
	start := &session.Stamp{ID: session.ID{Int: 42}, Start: true}
	none := &session.Stamp{Status: session.NoSession}
	c := newCodec(t, Config{Fields: []string{"minimal"}})
	for _, i := range []struct{ in, want, removed string }{
		// The context is made where it is absent or null, as the last member.
		{id + `}`, id + `,"context":{"session":@@}}`, id + `}`},
		{` { "anonymousId" : "a" } `, ` { "anonymousId" : "a","context":{"session":@@} } `, ` { "anonymousId" : "a" } `},
		{id + `,"context":null,"x":1}`, id + `,"context":{"session":@@},"x":1}`, id + `,"context":null,"x":1}`},
		{id + `,"context": null }`, id + `,"context": {"session":@@} }`, id + `,"context": null }`},
		{id + `,"context":{}}`, id + `,"context":{"session":@@}}`, id + `,"context":{}}`},
		{id + `,"context":{ } }`, id + `,"context":{"session":@@ } }`, id + `,"context":{ } }`},
		{id + `,"context":{"ip":"::1"},"x":[1, 2]}`, id + `,"context":{"ip":"::1","session":@@},"x":[1, 2]}`,
			id + `,"context":{"ip":"::1"},"x":[1, 2]}`},
		{id + ",\"context\":{\n \"ip\" : 1\n}}", id + ",\"context\":{\n \"ip\" : 1,\"session\":@@\n}}",
			id + ",\"context\":{\n \"ip\" : 1\n}}"},
		// A session that is there is written anew in its place; other members of it go.
		{id + `,"context":{"a":1,"session" : {"id":5,"start":false,"x":"y"} ,"b":2}}`,
			id + `,"context":{"a":1,"session" : @@ ,"b":2}}`, id + `,"context":{"a":1 ,"b":2}}`},
		{id + `,"context":{"session":null}}`, id + `,"context":{"session":@@}}`, id + `,"context":{}}`},
		{id + `,"context":{"session":"x"}}`, id + `,"context":{"session":@@}}`, id + `,"context":{}}`},
		{id + `,"context":{"session":[1]}}`, id + `,"context":{"session":@@}}`, id + `,"context":{}}`},
		{id + `,"context":{"s\u0065ssion":{}}}`, id + `,"context":{"s\u0065ssion":@@}}`, id + `,"context":{}}`},
		// The flat pair goes.
		{id + `,"context":{"sessionId":7,"sessionStart":true}}`, id + `,"context":{"session":@@}}`, id + `,"context":{}}`},
		{id + `,"context":{"sessionId":7,"sessionStart":true,"a":1}}`, id + `,"context":{"a":1,"session":@@}}`,
			id + `,"context":{"a":1}}`},
		{id + `,"context":{"a":1,"sessionId":7,"sessionStart":true}}`, id + `,"context":{"a":1,"session":@@}}`,
			id + `,"context":{"a":1}}`},
		{id + `,"context":{"sessionId":7,"a":1,"sessionStart":true}}`, id + `,"context":{"a":1,"session":@@}}`,
			id + `,"context":{"a":1}}`},
		{id + `,"context":{"a":1,"sessionId":7,"b":2,"sessionStart":true,"c":3}}`,
			id + `,"context":{"a":1,"b":2,"c":3,"session":@@}}`, id + `,"context":{"a":1,"b":2,"c":3}}`},
		{id + `,"context":{ "sessionId" : 7 , "sessionStart" : true , "a" : 1 } }`,
			id + `,"context":{ "a" : 1,"session":@@ } }`, id + `,"context":{ "a" : 1 } }`},
		{id + `,"context":{ "sessionId" : 7 , "sessionStart" : true } }`,
			id + `,"context":{"session":@@ } }`, id + `,"context":{ } }`},
		{id + `,"context":{"sessionId":7,"session":{"id":7},"sessionStart":true}}`,
			id + `,"context":{"session":@@}}`, id + `,"context":{}}`},
		{id + `,"context":{"session":{"id":7},"sessionId":7}}`, id + `,"context":{"session":@@}}`, id + `,"context":{}}`},
		{id + `,"context":{"se\u0073sionId":7,"a":1}}`, id + `,"context":{"a":1,"session":@@}}`, id + `,"context":{"a":1}}`},
		// Repeated names: the last one is written, the others go.
		{id + `,"context":{"session":{"id":1},"a":1,"session":{"id":2}}}`,
			id + `,"context":{"a":1,"session":@@}}`, id + `,"context":{"a":1}}`},
		{id + `,"context":{"sessionId":1,"sessionId":2,"a":1,"sessionId":3}}`,
			id + `,"context":{"a":1,"session":@@}}`, id + `,"context":{"a":1}}`},
		{id + `,"context":{"session":{"id":1},"a":1},"context":{"b":2}}`,
			id + `,"context":{"a":1},"context":{"b":2,"session":@@}}`, id + `,"context":{"a":1},"context":{"b":2}}`},
		{id + `,"context":{"sessionId":1},"context":{"session":{"id":2}},"context":null}`,
			id + `,"context":{},"context":{},"context":{"session":@@}}`, id + `,"context":{},"context":{},"context":null}`},
		{id + `,"context":null,"context":{"session":{"id":2}}}`,
			id + `,"context":null,"context":{"session":@@}}`, id + `,"context":null,"context":{}}`},
		{id + `,"context":5,"context":{}}`, id + `,"context":5,"context":{"session":@@}}`, id + `,"context":5,"context":{}}`},
		// Everything else is none of ours.
		{id + `,"session":{"id":1},"sessionId":2,"x":{"context":{"sessionId":3}},"Context":{"sessionId":4}}`,
			id + `,"session":{"id":1},"sessionId":2,"x":{"context":{"sessionId":3}},"Context":{"sessionId":4},"context":{"session":@@}}`,
			id + `,"session":{"id":1},"sessionId":2,"x":{"context":{"sessionId":3}},"Context":{"sessionId":4}}`},
		{id + `,"n":1.0e+00,"s":"\ud800\/é","n":-0,"a":[ ]}`, id + `,"n":1.0e+00,"s":"\ud800\/é","n":-0,"a":[ ],"context":{"session":@@}}`,
			id + `,"n":1.0e+00,"s":"\ud800\/é","n":-0,"a":[ ]}`},
	} {
		want := strings.ReplaceAll(i.want, "@@", `{"id":42,"start":true}`)
		if got := spliced(t, c, i.in, start); got != want {
			t.Errorf("%s\n got %s\nwant %s", i.in, got, want)
		}
		if got := spliced(t, c, i.in, none); got != i.removed {
			t.Errorf("%s without session\n got %s\nwant %s", i.in, got, i.removed)
		}
		if got := spliced(t, c, want, start); got != want {
			t.Errorf("%s again\n got %s", want, got)
		}
		if got := spliced(t, c, i.in, &session.Stamp{Status: session.Bypass}); got != i.in {
			t.Errorf("%s bypassed\n got %s", i.in, got)
		}
	}
}

func TestSpliceAppends(t *testing.T) {
	c := codecOf(t, "segment")
	value := []byte(`{"anonymousId":"a"}`)
	sc := &Scanned{}
	if bad := c.Scan(value, Record{Timestamp: recordTime}, sc); bad != nil {
		t.Fatal(bad)
	}
	st := &session.Stamp{Status: session.NoSession}
	if got := string(c.AppendStamped([]byte("before"), value, sc, st)); got != "before"+string(value) {
		t.Errorf("%s", got)
	}
}

// The forms that other profiles need: members of the event itself, scalars, several in one object,
// renamed ones, objects made for them.
func TestSpliceOfOtherForms(t *testing.T) {
	p := Profile{Name: "test",
		Paths: map[string]PathList{"anonymous_id": {"a"}, "session_id": {"sid", "c.sid"},
			"session_start": {"c.start"}},
		Write: []Write{{Path: "sid", Value: "id"}, {Path: "c.start", Value: "start"},
			{Path: "c.s.t", Object: []string{"number=index", "uuid"}}},
		Remove: []string{"old"},
	}
	c := newCodec(t, Config{Profile: p, Fields: []string{"id", "start", "index"}})
	start := &session.Stamp{ID: session.ID{Text: []byte(`x"y`), Int: 5}, Start: true, Index: 3}
	next := &session.Stamp{ID: session.ID{Int: 5}, Index: 4}
	none := &session.Stamp{Status: session.Unattached}
	for _, i := range []struct{ in, start, next, none string }{
		{`{"a":"b"}`, `{"a":"b","sid":"x\"y","c":{"start":true,"s":{"t":{"number":3}}}}`,
			`{"a":"b","sid":5,"c":{"s":{"t":{"number":4}}}}`, `{"a":"b"}`},
		{`{"old":1,"a":"b","sid":"u","c":{"sid":7,"start":false,"s":{"t":1,"u":2},"v":3}}`,
			`{"a":"b","sid":"x\"y","c":{"start":true,"s":{"t":{"number":3},"u":2},"v":3}}`,
			`{"a":"b","sid":5,"c":{"s":{"t":{"number":4},"u":2},"v":3}}`,
			`{"a":"b","c":{"s":{"u":2},"v":3}}`},
		{`{"a":"b","c":{"s":null},"old":{},"sid":1,"old":{}}`,
			`{"a":"b","c":{"s":{"t":{"number":3}},"start":true},"sid":"x\"y"}`,
			`{"a":"b","c":{"s":{"t":{"number":4}}},"sid":5}`, `{"a":"b","c":{"s":null}}`},
		{`{"a":"b","c":null}`, `{"a":"b","c":{"start":true,"s":{"t":{"number":3}}},"sid":"x\"y"}`,
			`{"a":"b","c":{"s":{"t":{"number":4}}},"sid":5}`, `{"a":"b","c":null}`},
	} {
		for st, want := range map[*session.Stamp]string{start: i.start, next: i.next, none: i.none} {
			got := spliced(t, c, i.in, st)
			if got != want {
				t.Errorf("%s\n got %s\nwant %s", i.in, got, want)
			}
			if again := spliced(t, c, got, st); again != got {
				t.Errorf("%s again\n got %s", got, again)
			}
		}
	}
	sc := &Scanned{}
	if bad := c.Scan([]byte(`{"a":"b","c":{"s":5}}`), Record{}, sc); bad == nil || bad.Reason != BadContext {
		t.Errorf("a number in the place of c.s: %v", bad)
	}
}

// withoutSession takes the session members of krenalis out of a decoded event, and says what
// context.session was.
func withoutSession(v any) (rest, was any) {
	m, _ := v.(map[string]any)
	c, ok := m["context"].(map[string]any)
	if !ok {
		delete(m, "context") // absent or null
		return m, nil
	}
	was = c["session"]
	delete(c, "session")
	delete(c, "sessionId")
	delete(c, "sessionStart")
	if len(c) == 0 {
		delete(m, "context")
	}
	return m, was
}

func FuzzSplice(f *testing.F) {
	for _, v := range benchEvents() {
		f.Add(v, true)
	}
	f.Add([]byte(`{"context":{"sessionId":1,"s\u0065ssion":{"id":2},"a":1},"context":{"sessionStart":true}}`), true)
	f.Add([]byte(` { "context" : { "session" : 1 , "session" : { } , "sessionId" : 3 } , "context" : null } `), false)
	byKey := map[string][]string{"anonymous_id": {KeyPath}}
	c := newCodec(f, Config{Paths: byKey, Fields: []string{"full"}})
	f.Fuzz(func(t *testing.T, b []byte, in bool) {
		sc := &Scanned{}
		rec := Record{Key: []byte("k"), Timestamp: recordTime}
		if c.Scan(b, rec, sc) != nil {
			return
		}
		st := benchStamp()
		if !in {
			st = session.Stamp{Status: session.NoSession}
		}
		out := c.AppendStamped(nil, b, sc, &st)
		if bad := c.Scan(out, rec, sc); bad != nil {
			t.Fatalf("%q\ngives %q: %v", b, out, bad)
		}
		if again := c.AppendStamped(nil, out, sc, &st); string(again) != string(out) {
			t.Fatalf("%q\ngives %q\nagain %q", b, out, again)
		}
		before, err := decode(b)
		if err != nil {
			t.Fatal(err)
		}
		after, err := decode(out)
		if err != nil {
			t.Fatal(err)
		}
		before, _ = withoutSession(before)
		after, session := withoutSession(after)
		if fmt.Sprint(before) != fmt.Sprint(after) {
			t.Fatalf("%q\ngives %q", b, out)
		}
		if (session != nil) != in {
			t.Fatalf("%q\ngives %q: session %v", b, out, session)
		}
		contradictions(t, c, out, in)
	})
}

// contradictions fails if any reader could find a second session: it looks at all occurrences.
func contradictions(t *testing.T, c *Codec, out []byte, in bool) {
	t.Helper()
	sc := &Scanned{}
	if bad := c.Scan(out, Record{Key: []byte("k"), Timestamp: recordTime}, sc); bad != nil {
		t.Fatal(bad)
	}
	members := 0
	for _, e := range sc.reader.edits {
		if e.kind == editMember {
			members++
		}
	}
	if members > 1 || members == 1 && !in || members == 0 && in {
		t.Fatalf("%q: %d session members", out, members)
	}
}
