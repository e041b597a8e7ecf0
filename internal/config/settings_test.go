package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v3"
)

// What is shown must be what is in force: written to a file and loaded again it
// is the same configuration, whatever it was made of.

func (w world) sources() Sources {
	return Sources{
		File: w.file, Set: w.set, Environ: w.environ, Offline: w.offline,
		ReadFile: w.readFile, Hostname: func() (string, error) { return "host-1", nil },
	}
}

func shownText(t *testing.T, w world) string {
	t.Helper()
	settings, _, err := Show(w.sources())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := WriteSettings(&b, settings); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestShow_WrittenToAFileItIsTheSameConfiguration(t *testing.T) {
	for name, w := range map[string]world{
		"Defaults":   {},
		"EveryKey":   inFile(everyDefault),
		"ADirectory": inFile("state:\n  dir: \"a: b # c\\n'd\\u0007\"\n"),
		"Layers": {
			files:   map[string]string{DefaultFile: "lanes: 2\npaths: {source: [writeKey, context.app]}\n"},
			environ: []string{"SESSIONIZER_INPUT_TOPICS=a,b", "SESSIONIZER_SESSION_SPLITS="},
			set:     []string{"output.fields=id,start", "session.timeout=1h30m", "state.cache=3MiB"},
		},
		"Lengths": inFile("session: {timeout: 90m, mobile_timeout: 1501s}\n" +
			"limits: {record: 1025B, anonymous_id: 2000B}\ndead_letters: {on: {limit: fail}}\n"),
	} {
		t.Run(name, func(t *testing.T) {
			before, after := shownValues(t, w), shownValues(t, inFile(shownText(t, w)))
			if !reflect.DeepEqual(before, after) {
				t.Fatalf("before %v\nafter  %v", before, after)
			}
		})
	}
}

func shownValues(t *testing.T, w world) map[string]any {
	t.Helper()
	settings, warnings, err := Show(w.sources())
	if err != nil || len(warnings) > 0 {
		t.Fatalf("faults %v, warnings %v", err, warnings)
	}
	values := map[string]any{}
	for _, s := range settings {
		values[s.Key] = s.Value
	}
	return values
}

func TestShow_EveryValueSaysWhereItComesFrom(t *testing.T) {
	w := inFile("lanes: 2\nsession:\n  boundary: at\n")
	w.environ = []string{"SESSIONIZER_KAFKA_GROUP=g"}
	w.set = []string{"commit.interval=1s"}
	settings, _, err := Show(w.sources())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range settings {
		got[s.Key] = fmt.Sprintf("%v from %s", s.Value, s.Origin)
	}
	for key, want := range map[string]string{
		"lanes":                  "2 from sessionizer.yaml:1",
		"session.boundary":       "at from sessionizer.yaml:3",
		"kafka.group":            "g from environment SESSIONIZER_KAFKA_GROUP",
		"commit.interval":        "1s from --set",
		"session.mobile_timeout": "5m from profile krenalis",
		"paths.user_id":          "userId from profile krenalis",
		"paths.source":           "[] from defaults",
		"kafka.session_timeout":  "10s from defaults",
		"kafka.instance":         "host-1 from host name",
	} {
		if got[key] != want {
			t.Errorf("%s: got %s, want %s", key, got[key], want)
		}
	}
}

func TestShow_HidesSecrets(t *testing.T) {
	w := inFile("kafka:\n  sasl: {mechanism: SCRAM-SHA-512, username: u}\n")
	w.environ = []string{"SESSIONIZER_KAFKA_SASL_PASSWORD=hunter2"}
	settings, _, err := Show(w.sources())
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	text := shownText(t, w)
	if bytes.Contains(asJSON, []byte("hunter2")) || strings.Contains(text, "hunter2") ||
		!strings.Contains(text, "    # password: (hidden)") ||
		!strings.Contains(string(asJSON), `{"key":"kafka.sasl.password","value":"(hidden)",`+
			`"origin":"environment SESSIONIZER_KAFKA_SASL_PASSWORD"}`) {
		t.Fatalf("%s\n%s", text, asJSON)
	}
}

func TestShow_FaultsAreThoseOfLoad(t *testing.T) {
	w := inFile("lanes: many\nx: 1\n")
	_, _, want := w.load()
	settings, _, err := Show(w.sources())
	if settings != nil || fmt.Sprint(err) != fmt.Sprint(want) {
		t.Fatalf("got %v, want %v", err, want)
	}
}

// testdata/keys.yaml holds the keys that other programs and deployments use.
// None may go, and each has its line in the reference.
func TestReference_HasEveryKeyThatOthersUse(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "keys.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	var used []string
	var walk func(prefix string, n *yaml.Node)
	walk = func(prefix string, n *yaml.Node) {
		if n.Kind != yaml.MappingNode {
			used = append(used, strings.TrimSuffix(prefix, "."))
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			walk(prefix+n.Content[i].Value+".", n.Content[i+1])
		}
	}
	walk("", root.Content[0])
	if len(used) < 60 {
		t.Fatalf("only %d keys in the list", len(used))
	}
	defaults := map[string]any{}
	for _, e := range Reference() {
		defaults[e.Key] = e.Default
		if e.Type == "" || e.About == "" || !strings.HasPrefix(e.Environment, variablePrefix) {
			t.Errorf("%s says too little: %+v", e.Key, e)
		}
	}
	for _, key := range used {
		if _, ok := defaults[key]; !ok {
			t.Errorf("%s is not in the reference", key)
		}
	}
}

// The default that is told must be one that can be written, and must be the
// one in force where nothing else is said.
func TestReference_TheDefaultsAreThoseInForce(t *testing.T) {
	for _, e := range Reference() {
		text, err := Text(e.Default)
		if err != nil {
			t.Fatal(err)
		}
		if e.Default == nil || e.Default == "" {
			continue
		}
		set := strings.Trim(strings.ReplaceAll(text, "'", ""), "[]")
		w := world{set: []string{e.Key + "=" + set}, offline: true}
		c, _, err := w.load()
		if err != nil {
			t.Errorf("%s: the default %s is refused: %v", e.Key, text, err)
			continue
		}
		for _, k := range keys() {
			if k.name == e.Key && !reflect.DeepEqual(k.get(c), e.Default) {
				t.Errorf("%s: got %v, want %v", e.Key, k.get(c), e.Default)
			}
		}
	}
}

func TestReference_SectionsAreTogether(t *testing.T) {
	var done []string
	section := ""
	for _, e := range Reference() {
		now, _, _ := strings.Cut(e.Key, ".")
		if now == section {
			continue
		}
		if slices.Contains(done, now) {
			t.Errorf("%s comes twice", now)
		}
		done, section = append(done, now), now
	}
}
