package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sessionizer/internal/config"
	"sessionizer/schemas"
)

func TestConfig_ShowIsDataOnStandardOutput(t *testing.T) {
	t.Chdir(t.TempDir())
	r := sessionizer(t, "", "config", "show", "--set", "session.timeout=15m")
	if r.code != exitFine || r.stderr != "" ||
		!strings.Contains(r.stdout, "\nsession:\n  ids: adopt ") ||
		!strings.Contains(r.stdout, "  timeout: 15m                                      # --set\n") {
		t.Fatalf("%+v", r)
	}
	// What it wrote is a configuration file.
	if err := os.WriteFile("sessionizer.yaml", []byte(r.stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	r = sessionizer(t, "", "config", "show", "--json")
	var settings []struct {
		Key, Origin string
		Value       any
	}
	if err := json.Unmarshal([]byte(r.stdout), &settings); err != nil || r.code != exitFine {
		t.Fatalf("%v, %+v", err, r)
	}
	if len(settings) != len(config.Reference()) {
		t.Errorf("%d settings for %d keys", len(settings), len(config.Reference()))
	}
	for _, s := range settings {
		if s.Key == "session.timeout" && (s.Value != "15m" ||
			!strings.HasPrefix(s.Origin, "sessionizer.yaml:")) {
			t.Errorf("%+v", s)
		}
	}
}

func TestConfig_ReferenceExplainsEveryKeyOrThoseNamed(t *testing.T) {
	t.Chdir(t.TempDir())
	r := sessionizer(t, "", "config", "reference", "session.mobile_timeout", "log")
	want := `session.mobile_timeout
    silence that ends a session of a mobile library
    type: duration
    default: 5m
    environment: SESSIONIZER_SESSION_MOBILE_TIMEOUT
log.level
    least grave messages that are logged
    type: debug, info, warn or error
    default: info
    environment: SESSIONIZER_LOG_LEVEL
log.format
    form of the log; auto: console on a terminal, else json
    type: auto, console or json
    default: auto
    environment: SESSIONIZER_LOG_FORMAT
`
	if r.code != exitFine || r.stdout != want {
		t.Fatalf("code %d, %s, got\n%s", r.code, r.stderr, r.stdout)
	}
	r = sessionizer(t, "", "config", "reference", "--json")
	var entries []config.Entry
	if err := json.Unmarshal([]byte(r.stdout), &entries); err != nil {
		t.Fatal(err)
	}
	text := sessionizer(t, "", "config", "reference").stdout
	for _, e := range entries {
		if !strings.Contains("\n"+text, "\n"+e.Key+"\n") {
			t.Errorf("%s is missing", e.Key)
		}
	}
}

func TestConfig_ShowProfileWritesTheEmbeddedBytes(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range schemas.Profiles() {
		p, err := schemas.LoadProfile(name)
		if err != nil {
			t.Fatal(err)
		}
		r := sessionizer(t, "", "config", "show-profile", name)
		if r.code != exitFine || r.stdout != string(p.Source) || r.stderr != "" {
			t.Fatalf("%s: %+v", name, r)
		}
		// A profile that is built in is as good in a file of one's own.
		file := filepath.Join(t.TempDir(), "mine.yaml")
		if err := os.WriteFile(file, p.Source, 0o600); err != nil {
			t.Fatal(err)
		}
		if again := sessionizer(t, "", "config", "show-profile", file); again != r {
			t.Fatalf("%s: %+v", file, again)
		}
		shown := sessionizer(t, "", "config", "show", "--set", "profile="+file)
		if shown.code != exitFine || shown.stderr != "" {
			t.Fatalf("%s: %+v", file, shown)
		}
	}
}

func TestConfig_WrongUseExitsWithTwo(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, ".", "bad.yaml", "name: x\npathz: {}\n")
	for _, c := range []struct {
		name, stderr string
		args         []string
	}{
		{"NoSubcommand", "config: want show, reference or show-profile", []string{"config"}},
		{"AnUnknownSubcommand", `unknown command "sho" for "sessionizer config"`,
			[]string{"config", "sho"}},
		{"AFault", "--set: lanes: want a whole number",
			[]string{"config", "show", "--set", "lanes=x"}},
		{"AKeyThatIsNone", `config reference: no such key: "session.timeuot"`,
			[]string{"config", "reference", "session.timeuot"}},
		{"NoProfile", "config show-profile: want the name of a profile",
			[]string{"config", "show-profile"}},
		{"AProfileThatIsNone", `no such profile: "x"`, []string{"config", "show-profile", "x"}},
		{"AProfileFileThatIsNotThere", "read ./x.yaml: no such file",
			[]string{"config", "show-profile", "./x.yaml"}},
		{"AFaultyProfile", "bad.yaml:2: pathz: no such key; did you mean paths?",
			[]string{"config", "show-profile", "bad.yaml"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := sessionizer(t, "", c.args...)
			if r.code != exitUsage || !strings.Contains(r.stderr, c.stderr) || r.stdout != "" {
				t.Fatalf("code %d, stdout %q, stderr %q", r.code, r.stdout, r.stderr)
			}
		})
	}
}

func TestConfig_CompletionNamesProfilesAndKeys(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		want string
		args []string
	}{
		{"segment\n", []string{"__complete", "config", "show-profile", ""}},
		{"session.timeout\n", []string{"__complete", "config", "reference", ""}},
		{"show-profile\t", []string{"__complete", "config", ""}},
	} {
		if r := sessionizer(t, "", c.args...); !strings.Contains(r.stdout, c.want) {
			t.Errorf("%v: %+v", c.args, r)
		}
	}
}
