package schemas

import (
	"bytes"
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
		if s := config.Session; s.IDType != "int64" || s.Timeout != "30m" || s.MobileTimeout != "5m" {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestParseProfileRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "empty",
		"name: x\npahts: {}\n":        "line 2: field pahts not found",
		"paths: {}":                   "name: missing",
		"name: x\nwrite: [{to: x}]\n": "line 2: field to not found",
		"name: x\npaths: {a: {}}\n":   "line 2",
		"name: [":                     "line 1",
	} {
		_, err := ParseProfile([]byte(text))
		checkError(t, err, want)
	}
	_, err := LoadProfile("krenali")
	checkError(t, err, "krenalis, segment")
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
