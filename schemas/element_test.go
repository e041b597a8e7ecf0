package schemas

import (
	"testing"

	"sessionizer/session"
)

// Snowplow keeps its entities in arrays of one element: what is read from such a place must be
// writable there too, by the same rules as into an object.

func elementProfile() Profile {
	return Profile{Name: "test",
		Paths:  map[string]PathList{"anonymous_id": {"e.0.user", "a"}, "session_id": {"e.0.sid"}},
		Write:  []Write{{Path: "e.0.sid", Value: "id"}, {Path: "e.0.n", Value: "index"}},
		Remove: []string{"e.0.old"},
	}
}

func TestEntitiesAreReadFromArrays(t *testing.T) {
	c := newCodec(t, Config{Profile: elementProfile(), IDType: session.IDString})
	for _, i := range []struct{ event, key, id string }{
		{`{"a":"k","e":[{"user":"u","sid":"s"}]}`, "u", "s"},
		{`{"e":[ {"sid":"s","user":"\u0075"} , {"user":"v","sid":"t"} ],"a":"k"}`, "u", "s"},
		{`{"a":"k","e":[{"user":"","sid":"s"}]}`, "k", "s"},
		{`{"a":"k","e":[]}`, "k", ""},
		{`{"a":"k","e":null}`, "k", ""},
		{`{"a":"k","e":[null,{"sid":"s"}]}`, "k", ""},
		{`{"a":"k","e":[{"user":"u","sid":"s"}],"e":[{}]}`, "k", ""},
		{`{"a":"k","e":[{"sid":"s"}],"e":[{"sid":"t","sid":"r"}]}`, "k", "r"},
	} {
		sc, bad := scanOne(t, c, i.event)
		if bad != nil {
			t.Errorf("%s: %v", i.event, bad)
			continue
		}
		e := &sc.Event
		if string(e.AnonymousID) != i.key || string(e.Client.Text) != i.id || e.Invalid != 0 {
			t.Errorf("%s: key %q, id %q %v", i.event, e.AnonymousID, e.Client.Text, e.Invalid)
		}
	}
	for _, event := range []string{`{"a":"k","e":{"0":{"user":"u"}}}`, `{"a":"k","e":5}`,
		`{"a":"k","e":["x"]}`, `{"a":"k","e":[[]]}`} {
		if _, bad := scanOne(t, c, event); bad == nil || bad.Reason != BadContext {
			t.Errorf("%s: %v", event, bad)
		}
	}
}

func TestEntitiesAreWrittenIntoArrays(t *testing.T) {
	c := newCodec(t, Config{Profile: elementProfile(), IDType: session.IDString,
		Fields: []string{"id", "index"}})
	in := &session.Stamp{ID: session.ID{Text: []byte("S")}, Index: 3}
	none := &session.Stamp{Status: session.NoSession}
	for _, i := range []struct{ event, in, none string }{
		{`{"a":"k"}`, `{"a":"k","e":[{"sid":"S","n":3}]}`, `{"a":"k"}`},
		{`{"a":"k","e":null}`, `{"a":"k","e":[{"sid":"S","n":3}]}`, `{"a":"k","e":null}`},
		{`{"a":"k","e":[]}`, `{"a":"k","e":[{"sid":"S","n":3}]}`, `{"a":"k","e":[]}`},
		{`{"a":"k","e":[ ]}`, `{"a":"k","e":[{"sid":"S","n":3} ]}`, `{"a":"k","e":[ ]}`},
		{`{"a":"k","e":[null , 1]}`, `{"a":"k","e":[{"sid":"S","n":3} , 1]}`, `{"a":"k","e":[null , 1]}`},
		{`{"a":"k","e":[{}]}`, `{"a":"k","e":[{"sid":"S","n":3}]}`, `{"a":"k","e":[{}]}`},
		{`{"a":"k","e":[{"n":1,"x":2}]}`, `{"a":"k","e":[{"n":3,"x":2,"sid":"S"}]}`, `{"a":"k","e":[{"x":2}]}`},
		{`{"e":[{"old":1,"sid":"s","old":2},{"sid":"t"},3],"a":"k"}`,
			`{"e":[{"sid":"S","n":3},{"sid":"t"},3],"a":"k"}`, `{"e":[{},{"sid":"t"},3],"a":"k"}`},
		{`{"a":"k","e":[{"sid":"s"}],"e":[1],"e":[{"x":1,"n":1}]}`,
			`{"a":"k","e":[{}],"e":[1],"e":[{"x":1,"n":3,"sid":"S"}]}`,
			`{"a":"k","e":[{}],"e":[1],"e":[{"x":1}]}`},
	} {
		for st, want := range map[*session.Stamp]string{in: i.in, none: i.none} {
			got := spliced(t, c, i.event, st)
			if got != want {
				t.Errorf("%s\n got %s\nwant %s", i.event, got, want)
			}
			if again := spliced(t, c, got, st); again != got {
				t.Errorf("%s again\n got %s", got, again)
			}
		}
	}
}

func TestOnlyTheFirstElementCanBeOurs(t *testing.T) {
	for path, want := range map[string]string{
		"e.1.x": "write: e.1.x: of an array only what is inside of the first element can be ours",
		"f.0":   "write: f.0: of an array only",
		"e.x":   "beside an element",
	} {
		p := elementProfile()
		p.Write = append(p.Write, Write{Path: path, Value: "start"})
		_, err := NewCodec(Config{Profile: p})
		checkError(t, err, want)
	}
}
