package config

import (
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"time"

	yaml "go.yaml.in/yaml/v3"
)

// Paths are checked by the codec, which compiles them. It must be asked even
// where other keys are wrong: whoever mends a file wants to mend it once.

func TestLoad_EveryBadPathIsTold(t *testing.T) {
	for _, c := range []struct {
		name string
		w    world
		want []string
	}{
		{"Alone", inFile("paths: {anonymous_id: a..b, user_id: \"\", event: \"$key\"}\n"), []string{
			`sessionizer.yaml:1: paths.anonymous_id: path "a..b": an empty name`,
			`sessionizer.yaml:1: paths.user_id: is empty`,
			`sessionizer.yaml:1: paths.event: $key: only alone or last among those of anonymous_id`,
		}},
		{"TwoInAList", inFile("paths:\n  anonymous_id: [a..b, id, c.]\n"), []string{
			`sessionizer.yaml:2: paths.anonymous_id: path "a..b": an empty name`,
			`sessionizer.yaml:2: paths.anonymous_id: path "c.": an empty name`,
		}},
		{"BesideOtherFaults", inFile(`lanes: many
session:
  timeout: thirty
  ids: adapt
paths:
  user_id: a..b
timeout: 30m
`), []string{
			`sessionizer.yaml:1: lanes: want a whole number, found "many"`,
			`sessionizer.yaml:3: session.timeout: want a duration such as 250ms, 30s, 30m, 24h or 7d, ` +
				`found "thirty"`,
			`sessionizer.yaml:4: session.ids: want assign, adopt or enforce, found "adapt"; ` +
				`did you mean adopt?`,
			`sessionizer.yaml:6: paths.user_id: path "a..b": an empty name`,
			`sessionizer.yaml:7: timeout: no such key; did you mean session.timeout?`,
		}},
		{"BesideAProfileThatIsNone", inFile("profile: krenalys\npaths: {type: a..b}\n"), []string{
			`sessionizer.yaml:1: profile: no such profile: "krenalys"; did you mean krenalis?`,
			`sessionizer.yaml:2: paths.type: path "a..b": an empty name`,
		}},
		{"BesideAFeatureThatIsAbsent", inFile("http: {address: ':8080'}\npaths: {type: .}\n"),
			[]string{
				`sessionizer.yaml:1: http.address: the HTTP server is not available in this version`,
				`sessionizer.yaml:2: paths.type: path ".": an empty name`,
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, _, err := c.w.load(); !reflect.DeepEqual(lines(err), c.want) {
				t.Fatalf("got\n%v\nwant\n%s", err, strings.Join(c.want, "\n"))
			}
		})
	}
}

// What a mechanism that is not there would need besides is no fault of its own.
func TestLoad_AnAbsentMechanismIsOneFault(t *testing.T) {
	for _, file := range []string{
		"kafka:\n  sasl: {mechanism: OAUTHBEARER}\n",
		"kafka:\n  sasl: {mechanism: OAUTHBEARER, username: u, password_file: /gone}\n",
	} {
		_, _, err := inFile(file).load()
		want := []string{
			`sessionizer.yaml:2: kafka.sasl.mechanism: OAUTHBEARER is not available in this version`,
		}
		if !reflect.DeepEqual(lines(err), want) {
			t.Errorf("got\n%v", err)
		}
	}
}

// What another file says of the configuration goes before all else, and its faults have its lines.
func TestLoad_AnOverrideWinsAndItsFaultsNameItsFile(t *testing.T) {
	load := func(text string) (*Config, error) {
		var node yaml.Node
		if err := yaml.Unmarshal([]byte(text), &node); err != nil {
			t.Fatal(err)
		}
		c, _, err := Load(Sources{
			Set: []string{"session.timeout=10m"}, Offline: true,
			Overrides: []Override{{Name: "cases.yaml", Key: "config", Node: node.Content[0]}},
			ReadFile:  func(string) ([]byte, error) { return nil, fs.ErrNotExist },
			Hostname:  func() (string, error) { return "host", nil },
		})
		return c, err
	}
	c, err := load("session:\n  timeout: 7m\n")
	if err != nil || c.Session.Timeout != 7*time.Minute {
		t.Fatalf("%v, %v", c, err)
	}
	_, err = load("session:\n  timeuot: 7m\n")
	want := "cases.yaml:2: config.session.timeuot: no such key; did you mean session.timeout?"
	if err == nil || err.Error() != want {
		t.Fatalf("got %v", err)
	}
}
