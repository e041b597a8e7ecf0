package schemas

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sessionizer/session"
)

// A profile is data that users write too: what is wrong with one must be said, all of it at once.

func TestEveryProfileMakesACodec(t *testing.T) {
	names := Profiles()
	if !slices.Contains(names, "krenalis") || !slices.Contains(names, "segment") {
		t.Fatalf("%q", names)
	}
	for _, name := range names {
		p, err := LoadProfile(name)
		if err != nil {
			t.Fatal(err)
		}
		if p.Name != name || !bytes.Contains(p.Source, []byte("\nname: "+name+"\n")) {
			t.Errorf("%s: name %q of %d bytes", name, p.Name, len(p.Source))
		}
		if _, err := NewCodec(Config{Profile: p}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var config struct {
			Session struct {
				IDType        string `yaml:"id_type"`
				Timeout       string `yaml:"timeout"`
				MobileTimeout string `yaml:"mobile_timeout"`
			} `yaml:"session"`
		}
		if err := p.Config.Decode(&config); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got := config.Session.IDType + " " + config.Session.Timeout + " " + config.Session.MobileTimeout
		want := map[string]string{"snowplow": "uuid 30m 360s", "tracardi": "string 1200s 1200s"}[name]
		if want == "" {
			want = "int64 30m 5m"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestParseProfileRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "line 1: an empty file",
		"[a]":                            "line 1: want keys with values",
		"name: x\npahts: {}\n":           "line 2: pahts: no such key: want one of config, id_char",
		"name: x\nname: y\n":             "line 2: name: twice",
		"paths: {}":                      "line 1: name: missing",
		"name: {}":                       "line 1: name: want a text",
		"name: x\nwrite: [{to: x}]\n":    "line 2: write[0].to: no such key: want one of always, copy",
		"name: x\npaths: {a: {}}\n":      "line 2: paths.a: no such path: want one of anonymous_id",
		"name: x\npaths:\n  type: {}":    "line 3: paths.type: want a text or a list of them",
		"name: x\nremove:\n- a\n- b.\n":  `line 4: remove: path "b.": an empty name`,
		"name: x\nremove: [{}]":          "line 2: remove[0]: want a text",
		"name: x\nconfig: 5":             "line 2: config: want keys of the configuration",
		"name: x\nkinds: {pages: [a]}":   "line 2: kinds.pages: no such key: want one of page, screen",
		"name: x\nid_characters_min: -1": "line 2: id_characters_min: want a number from 0 to 20",
		"name: x\nid_characters_min: a":  "line 2: id_characters_min: want a number from 0 to 20",
		"name: x\nwrite: {}":             "line 2: write: want a list",
		"name: x\nwrite:\n- path: a\n":   "line 3: write[0]: want one of value, object and copy",
		"name: x\nwrite:\n- value: id\n": "line 3: write[0].path: want one path",
		"name: x\nwrite:\n- path: a\n  value: ids": `line 4: write[0].value: no such field: "ids": ` +
			"want one of id, start",
		"name: x\nwrite:\n- path: a\n  object: [id, b=id, b]": "line 4: write[0].object[2]: b: twice",
		"name: x\nwrite:\n- path: a\n  object: [b=c]":         "line 4: write[0].object[0]: no such",
		"name: x\nwrite: [{path: a, object: [id], else: 5}]":  "write[0]: else: only beside",
		"name: x\nwrite: [{path: a, value: id, else: .nan}]":  "write[0].else: want a text, a number",
		"name: x\nwrite: [{path: a, value: id, always: si}]":  "write[0].always: want true or false",
		"name: x\nvisits: {members: {a.b: user}}": `visits.members.a.b: no such field: "user": want ` +
			"one of anonymousId",
		"name: x\nvisits: {members: {session.b: id}}": "session is a member of every record",
		"name: [":                     "line 1: ",
		"name: x\nconfig: {}\n\tb: c": "line 3: ",
	} {
		_, err := ParseProfile([]byte(text))
		checkError(t, err, want)
	}
	_, err := LoadProfile("krenali")
	checkError(t, err, "krenalis, rudderstack, segment, snowplow, tracardi")
}

func TestParseProfileReportsEveryFault(t *testing.T) {
	const text = "nam: x\nwrite:\n- {path: a..b, value: id}\nmobile: {channel: a}\n"
	_, err := ParseProfile([]byte(text))
	var faults ProfileFaults
	if !errors.As(err, &faults) || len(faults) != 3 {
		t.Fatalf("%v", err)
	}
	for i, want := range []string{"1 nam", "3 write[0].path", "4 mobile.channel"} {
		if got := fmt.Sprint(faults[i].Line, " ", faults[i].Key); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestAProfileSaysWhatIsWrittenWhereThereIsNothing(t *testing.T) {
	const text = "name: x\nwrite:\n- {path: a, value: id, else: null}\n- {path: b, copy: c, else: 1.50}\n" +
		"- {path: d, copy: [d], else: \"e\\\"\"}\n- {path: f, value: id, else: true}\n"
	p, err := ParseProfile([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"null", "1.50", `"e\""`, "true"} {
		if got := p.Write[i].Else; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestAPathMayStandAlone(t *testing.T) {
	p, err := ParseProfile([]byte("name: x\npaths: {anonymous_id: a.b, user_id: [c, d], source: }\nremove: e\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.Paths["anonymous_id"], PathList{"a.b"}) || len(p.Paths["user_id"]) != 2 ||
		len(p.Paths["source"]) != 0 || !slices.Equal(p.Remove, PathList{"e"}) {
		t.Errorf("%+v", p)
	}
}

func TestNewCodecReportsEveryFault(t *testing.T) {
	p, err := LoadProfile("krenalis")
	if err != nil {
		t.Fatal(err)
	}
	p.Write = append(p.Write, Write{Path: "a", Value: "nope"}, Write{Path: "b"},
		Write{Path: "c..d", Value: "id"}, Write{Path: "context.session", Value: "id"},
		Write{Path: "e", Object: []string{"id", "id"}}, Write{Path: "f", Object: []string{"x=y"}})
	p.Remove = append(p.Remove, ".")
	_, err = NewCodec(Config{Profile: p, Fields: []string{"ids"}, IDType: session.IDString + 1,
		TimeSources: []TimeSource{TimeRecord, TimeRecord}, FutureTolerance: -1,
		Limits: Limits{Record: -1, JSONDepth: jsonDepthMax + 1, AnonymousID: anonymousIDBytesMax + 1},
		Paths: map[string][]string{"anonymousId": {"x"}, "user_id": {""}, "type": {KeyPath},
			"anonymous_id": {KeyPath, "x"}}})
	checkError(t, err, `output.fields: field "ids"`, "session.id_type", "record: twice",
		"future_tolerance", "limits.record", "limits.json_depth", "limits.anonymous_id",
		"paths.anonymousId", "paths.user_id", "paths.type: $key", "paths.anonymous_id: $key",
		`a: field "nope"`, "b: want one of", "c..d", "context.session: twice",
		"e: id: twice", `f: field "y"`,
		`remove: path "."`)
}

func checkError(t *testing.T, err error, wants ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no fault")
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in\n%v", want, err)
		}
	}
}

func TestNewCodecRefusesSessionMembersInsideOfEachOther(t *testing.T) {
	p, err := LoadProfile("krenalis")
	if err != nil {
		t.Fatal(err)
	}
	p.Write = append(p.Write, Write{Path: "context.session.other", Value: "id"})
	_, err = NewCodec(Config{Profile: p})
	checkError(t, err, "lies inside")
	p.Paths["anonymous_id"] = nil
	_, err = NewCodec(Config{Profile: p})
	checkError(t, err, "anonymous_id: missing")
}

// A client's session that is read from elsewhere must not stay there to contradict ours.
func TestOverriddenSessionPathsAreRemoved(t *testing.T) {
	c := newCodec(t, Config{Fields: []string{"id"}, Paths: map[string][]string{
		"session_id": {"properties.sid", "context.session.id"}, "session_start": {"properties.first"}}})
	in := `{"anonymousId":"a","properties":{"sid":5,"first":true,"x":1},"context":{"sessionId":6}}`
	const want = `{"anonymousId":"a","properties":{"x":1},"context":{"session":{"id":5}}}`
	if got := spliced(t, c, in, &session.Stamp{ID: session.ID{Int: 5}}); got != want {
		t.Errorf("%s", got)
	}
	// What nothing is written into may be anything.
	in = `{"anonymousId":"a","properties":"none"}`
	if got := spliced(t, c, in, &session.Stamp{Status: session.NoSession}); got != in {
		t.Errorf("%s", got)
	}
}
