package config

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"sessionizer/schemas"
	"sessionizer/session"
)

// A profile in a file is written by whoever runs the program: what is wrong
// with it must be said with its own name and line.

const mine = `name: mine
config:
  session:
    timeout: 7m
    id_type: int64
paths:
  anonymous_id: [who]
  type: kind
  timestamp: when
kinds:
  page: [view]
write:
  - path: visit
    object: [id, start]
`

func withProfile(profile, file string) world {
	return world{files: map[string]string{DefaultFile: file, "my/mine.yaml": profile}}
}

func TestProfile_OfAFileIsUsedLikeABuiltInOne(t *testing.T) {
	w := withProfile(mine, "profile: my/mine.yaml\n")
	c, _, err := w.load()
	if err != nil {
		t.Fatal(err)
	}
	if c.Session.Timeout != 7*time.Minute {
		t.Errorf("timeout %v", c.Session.Timeout)
	}
	codec, err := c.Codec()
	if err != nil {
		t.Fatal(err)
	}
	var e schemas.Scanned
	bad := codec.Scan([]byte(`{"who":"ana","kind":"view","when":"2024-12-15T11:08:25Z"}`),
		schemas.Record{}, &e)
	if bad != nil || string(e.Event.AnonymousID) != "ana" || e.Event.Kind != session.KindPage {
		t.Fatalf("%v, %+v", bad, e.Event)
	}
	settings, _, err := Show(w.sources())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings {
		want := map[string]string{
			"session.timeout": "my/mine.yaml:4", "paths.type": "profile my/mine.yaml",
			"profile": "sessionizer.yaml:1",
		}[s.Key]
		if want != "" && s.Origin != want {
			t.Errorf("%s is from %s, want %s", s.Key, s.Origin, want)
		}
	}
}

func TestProfile_FaultsOfAFileNameItsLines(t *testing.T) {
	for _, c := range []struct {
		name, profile, file string
		want                []string
	}{
		{"Typos", `nme: mine
config:
  sesion:
    timeout: 7m
  session:
    timeout: 7 minutes
paths:
  anonymous_di: [who]
kinds:
  pages: [view]
write:
  - path: visit
    objct: [id]
`, "lanes: many\nprofile: my/mine.yaml\n", []string{
			`my/mine.yaml:1: nme: no such key; did you mean name?`,
			`my/mine.yaml:3: sesion: no such key; did you mean session?`,
			`my/mine.yaml:6: session.timeout: want a duration such as 250ms, 30s, 30m, 24h or 7d, ` +
				`found "7 minutes"`,
			`my/mine.yaml:8: paths.anonymous_di: no such path; did you mean paths.anonymous_id?`,
			`my/mine.yaml:10: kinds.pages: no such key; did you mean kinds.page?`,
			`my/mine.yaml:13: write[0].objct: no such key; did you mean write[0].object?`,
			`sessionizer.yaml:1: lanes: want a whole number, found "many"`,
		}},
		{"Presets", strings.NewReplacer("timeout:", "timeuot:", "config:", "config:\n  profile: segment").
			Replace(mine), "profile: my/mine.yaml\n", []string{
			`my/mine.yaml:3: profile: a profile cannot be based on another`,
			`my/mine.yaml:5: session.timeuot: no such key; did you mean session.timeout?`,
		}},
		{"PresetsBesideOthers", strings.NewReplacer("config:",
			"config:\n  profile: [segment]\n  rules: [{when: {event: {prefx: a}}, klass: start}]\n"+
				"  lanes: many", "kinds:", "kids:").Replace(mine), "profile: my/mine.yaml\n", []string{
			`my/mine.yaml:3: profile: a profile cannot be based on another`,
			`my/mine.yaml:4: rules[0].when.event.prefx: no such condition: there are prefix, glob, exists, gt, gte, lt,` +
				` lte, eq and ne; did you mean rules[0].when.event.prefix?`,
			`my/mine.yaml:4: rules[0].klass: no such key; did you mean rules[0].class?`,
			`my/mine.yaml:5: lanes: want a whole number, found "many"`,
			`my/mine.yaml:13: kids: no such key; did you mean kinds?`,
		}},
		{"Types", strings.Replace(mine, "page: [view]", "page: {a: b}", 1), "profile: my/mine.yaml\n",
			[]string{`my/mine.yaml:11: kinds.page: want a text or a list of them`}},
		{"ABadPath", strings.Replace(mine, "[who]", "[who, 'a..b']", 1), "profile: my/mine.yaml\n",
			[]string{`my/mine.yaml:7: paths.anonymous_id: path "a..b": an empty name`}},
		{"TheSamePathTwice", mine + "  - path: seen\n    value: id\n  - path: visit\n    value: id\n",
			"profile: my/mine.yaml\n", []string{`my/mine.yaml:17: write[2].path: visit: twice`}},
		{"AKeyTwice", mine + "name: other\n", "profile: my/mine.yaml\n",
			[]string{`my/mine.yaml:15: name: twice`}},
		{"NoName", strings.Replace(mine, "name: mine\n", "", 1), "profile: my/mine.yaml\n",
			[]string{`my/mine.yaml:1: name: missing`}},
		{"NoYAML", "name: [", "profile: my/mine.yaml\n", []string{
			`my/mine.yaml:1: is no YAML: did not find expected node content`}},
		{"Empty", "", "profile: my/mine.yaml\n",
			[]string{`profile my/mine.yaml: is empty: want a mapping of keys`}},
		{"AnAlias", mine + "remove: &a [x]\nmobile:\n  channels: *a\n", "profile: my/mine.yaml\n",
			[]string{`my/mine.yaml:17: aliases and merge keys are not understood: write the value out`}},
		{"AliasesEverywhere", mine + "remove: [&a x, *a]\nmobile:\n  channels: *a\nlifecycle: *a\n",
			"profile: my/mine.yaml\n", []string{
				`my/mine.yaml:15: aliases and merge keys are not understood: write the value out`,
				`my/mine.yaml:17: aliases and merge keys are not understood: write the value out`,
				`my/mine.yaml:18: aliases and merge keys are not understood: write the value out`}},
		{"AnAliasInThePresets", strings.NewReplacer("7m", "&a 7m", "int64", "*a", "kinds", "kids").
			Replace(mine), "profile: my/mine.yaml\n", []string{
			`my/mine.yaml:5: session.id_type: aliases and merge keys are not understood: ` +
				`write the value out`,
			`my/mine.yaml:10: kids: no such key; did you mean kinds?`}},
		{"NoFile", mine, "lanes: 1\nprofile: ./other.yaml\n", []string{
			`sessionizer.yaml:2: profile: read ./other.yaml: file does not exist`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := withProfile(c.profile, c.file).load()
			if got := lines(err); !reflect.DeepEqual(got, c.want) {
				t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestShowProfile_GivesTheBytesOfAnyProfile(t *testing.T) {
	w := withProfile(mine, "lanes: many\n")
	for _, name := range append(schemas.Profiles(), "my/mine.yaml") {
		text, err := ShowProfile(name, w.readFile)
		if err != nil || len(text) == 0 {
			t.Errorf("%s: %v", name, err)
		}
		if name == "my/mine.yaml" && string(text) != mine {
			t.Errorf("got %s", text)
		}
	}
	_, err := ShowProfile("segmnt", w.readFile)
	if got := lines(err); len(got) != 1 ||
		got[0] != `the argument: no such profile: "segmnt"; did you mean segment?` {
		t.Errorf("got %v", err)
	}
	w.files["bad.yaml"] = mine + "rmove: [x]\n"
	_, err = ShowProfile("bad.yaml", w.readFile)
	if got := lines(err); len(got) != 1 ||
		got[0] != `bad.yaml:15: rmove: no such key; did you mean remove?` {
		t.Errorf("got %v", err)
	}
}
