package schemas

import (
	"fmt"
	"testing"

	"sessionizer/session"
)

// What holds for every profile: whatever the event, a splice keeps what is not ours, can be done
// again with the same result, and allocates nothing.

func TestNoProfileAllocates(t *testing.T) {
	const uuid = `bca0fa0e-853c-41cf-9cc4-15048f6f0ff5`
	events := map[string]string{
		"krenalis":    `{"anonymousId":"a","context":{"sessionId":1734260905123}}`,
		"rudderstack": `{"anonymousId":"a","context":{"sessionId":1734260905123,"x":[]}}`,
		"segment":     `{"anonymousId":"a","context":{}}`,
		"snowplow": `{"domain_userid":"u","domain_sessionid":null,` + entity + `:[{"userId":"` + uuid +
			`","sessionId":"` + uuid + `","sessionIndex":3}]}`,
		"tracardi": `{"type":"page-view","profile":{"id":"p"},"session":{"id":"` + uuid + `"}}`,
	}
	for _, profile := range Profiles() {
		value := []byte(events[profile])
		id := session.ID{Text: []byte(uuid)}
		st := stampOf(id, id, true)
		for _, fields := range []string{"minimal", "standard", "full"} {
			c := profileCodec(t, profile, session.IDString, fields)
			var sc Scanned
			var dst []byte
			n := testing.AllocsPerRun(100, func() {
				if bad := c.Scan(value, benchRecord, &sc); bad != nil {
					t.Fatal(bad)
				}
				dst = c.AppendStamped(dst[:0], value, &sc, st)
			})
			if n != 0 {
				t.Errorf("%s, %s: %v allocations an event", profile, fields, n)
			}
		}
	}
}

// withoutOwned takes the members that a profile writes or removes out of a decoded event, and the
// objects and arrays that are empty then: they may have been made.
func withoutOwned(c *Codec, id int, v any) any {
	for _, k := range c.trie[id].kids {
		n := &c.trie[k]
		switch v := v.(type) {
		case map[string]any:
			if n.owned {
				delete(v, n.name)
			} else if n.inner {
				if v[n.name] = withoutOwned(c, k, v[n.name]); v[n.name] == nil {
					delete(v, n.name)
				}
			}
		case []any:
			if n.inner && len(v) > 0 {
				v[0] = withoutOwned(c, k, v[0])
			}
		}
	}
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			return nil
		}
	case []any:
		if len(v) == 0 || len(v) == 1 && v[0] == nil {
			return nil
		}
	}
	return v
}

func FuzzSpliceOfProfiles(f *testing.F) {
	for _, event := range []string{
		`{"context":{"sessionId":1,"sessionStart":true,"session":{"id":2},"a":1},"context":{"b":[]}}`,
		` { "session" : { "id" : "x" , "duration" : 1 } , "session" : null , "profile" : { } } `,
		`{"domain_userid":"u","domain_sessionid":null,"domain_userid":"v",` + entity +
			`:[{"userId":"w","sessionId":"x","userId":null},{"userId":"y"}],` + entity + `:[ null ]}`,
		`{` + entity + `:[{"userId":7,"a":{}}],"domain_userid":"` + nilUUID + `"}`,
		`{` + entity + `:[],"contexts_sessionizer_session_1":[{"reason":1,"b":2}]}`,
	} {
		f.Add([]byte(event), true)
		f.Add([]byte(event), false)
	}
	byKey := map[string][]string{"anonymous_id": {KeyPath}}
	var codecs []*Codec
	for _, name := range Profiles() {
		codecs = append(codecs, newCodec(f, Config{Profile: Profile{Name: name}, Paths: byKey,
			IDType: session.IDString, Fields: []string{"full"}}))
	}
	f.Fuzz(func(t *testing.T, b []byte, in bool) {
		st := stampOf(session.ID{Text: []byte("s")}, session.ID{}, true)
		if !in {
			st = &session.Stamp{Status: session.TooLate}
		}
		for i, c := range codecs {
			sc := &Scanned{}
			rec := Record{Key: []byte("k"), Timestamp: recordTime}
			if c.Scan(b, rec, sc) != nil {
				continue
			}
			out := c.AppendStamped(nil, b, sc, st)
			if bad := c.Scan(out, rec, sc); bad != nil {
				t.Fatalf("%s: %q\ngives %q: %v", Profiles()[i], b, out, bad)
			}
			if again := c.AppendStamped(nil, out, sc, st); string(again) != string(out) {
				t.Fatalf("%s: %q\ngives %q\nagain %q", Profiles()[i], b, out, again)
			}
			before, err := decode(b)
			if err != nil {
				t.Fatal(err)
			}
			after, err := decode(out)
			if err != nil {
				t.Fatal(err)
			}
			before, after = withoutOwned(c, 0, before), withoutOwned(c, 0, after)
			if fmt.Sprint(before) != fmt.Sprint(after) {
				t.Fatalf("%s: %q\ngives %q", Profiles()[i], b, out)
			}
		}
	})
}
