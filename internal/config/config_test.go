package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// world is a set of sources that lives in memory.
type world struct {
	files   map[string]string
	environ []string
	set     []string
	file    string
	offline bool
}

func (w world) readFile(name string) ([]byte, error) {
	if text, ok := w.files[name]; ok {
		return []byte(text), nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (w world) load() (*Config, Faults, error) { return Load(w.sources()) }

func inFile(text string) world { return world{files: map[string]string{DefaultFile: text}} }

func lines(err error) []string {
	var faults Faults
	if !errors.As(err, &faults) {
		return nil
	}
	return strings.Split(faults.Error(), "\n")
}

func TestLoad_DefaultsStandAlone(t *testing.T) {
	c, warnings, err := world{}.load()
	if err != nil || len(warnings) > 0 {
		t.Fatalf("faults %v, warnings %v", err, warnings)
	}
	want := Defaults()
	want.Kafka.Instance, want.Session.IDType = "host-1", "int64"
	if !reflect.DeepEqual(*c, want) {
		t.Fatalf("got  %+v\nwant %+v", *c, want)
	}
}

// Who comments every line out, or has begun with an empty file, means the defaults.
func TestLoad_AFileWithoutKeysIsAllDefaults(t *testing.T) {
	want, _, err := world{}.load()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"", "\n", "# nothing\n# kafka:\n", "---\n", "--- # a\n# b\n", "{}\n",
	} {
		got, warnings, err := inFile(text).load()
		if err != nil || len(warnings) > 0 || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v, %+v", text, err, warnings, got)
		}
	}
}

// The example of the interface document, whole: every key that has a default
// spelled out there must load and give that default again.
const everyDefault = `
kafka:
  brokers: [localhost:9092]
  group: sessionizer
  instance: ""
  tls: {}
  sasl: {}
  session_timeout: 10s
  transaction_timeout: 10s
input:
  topics: [events]
  format: auto
output:
  topic: events.sessionized
  fields: standard
  headers: false
  compression: lz4
visits:
  topic: events.visits
  format: json
  key: session
  started: false
dead_letters:
  topic: events.dead-letters
  on: {}
registry:
  url: ""
profile: krenalis
paths: {}
session:
  ids: adopt
  id_type: ""
  on_missing: continue
  on_invalid: replace
  timeout: 30m
  mobile_timeout: 5m
  boundary: after
  splits: [client_start]
  max_duration: 0s
  max_events: 0
  midnight: ""
  retained: 0
  remembered: 64
  dedupe: {last: 0, action: flag}
rules: []
time:
  sources: [timestamp, originalTimestamp, record]
  out_of_order: 1m
  lateness: 24h
  future_tolerance: 1m
  too_late: pass
  idle_after: 10s
  retention: 400d
state:
  dir: ./sessionizer-state
  cache: 256MiB
commit:
  interval: 200ms
lanes: 0
limits: {record: 1MiB, batch: 64MiB, json_depth: 64, anonymous_id: 1KiB}
http: {address: ""}
log: {level: info, format: auto}
`

func TestLoad_EveryDefaultMayBeWrittenOut(t *testing.T) {
	c, warnings, err := inFile(everyDefault).load()
	if err != nil || len(warnings) > 0 {
		t.Fatalf("faults %v, warnings %v", err, warnings)
	}
	want := Defaults()
	want.Kafka.Instance, want.Session.IDType = "host-1", "int64"
	if !reflect.DeepEqual(*c, want) {
		t.Fatalf("got  %+v\nwant %+v", *c, want)
	}
}

func TestLoad_ALaterLayerWins(t *testing.T) {
	w := inFile("session:\n  timeout: 10m\n  mobile_timeout: 10m\nlanes: 1\nstate:\n  dir: /file\n")
	w.environ = []string{
		"SESSIONIZER_SESSION_TIMEOUT=20m", "SESSIONIZER_SESSION_MOBILE_TIMEOUT=20m",
		"SESSIONIZER_LANES=2", "SESSIONIZER_INPUT_TOPICS=a, b", "SESSIONIZER_SESSION_SPLITS=",
		"PATH=/bin", "SESSIONIZER_SERVICE_HOST=10.0.0.1",
		"SESSIONIZER_PORT_8080_TCP_ADDR=10.0.0.1", "SESSIONIZER_LIVE_PORT=tcp://10.0.0.1:80",
	}
	w.set = []string{"lanes=3", "session.timeout=1h30m", "lanes=4"}
	c, _, err := w.load()
	if err != nil {
		t.Fatal(err)
	}
	if c.Session.Timeout != 90*time.Minute || c.Session.MobileTimeout != 20*time.Minute ||
		c.Lanes != 4 || c.State.Dir != "/file" || len(c.Session.Splits) != 0 ||
		!reflect.DeepEqual(c.Input.Topics, []string{"a", "b"}) {
		t.Fatalf("got %+v", *c)
	}
}

func TestLoad_FiveMistakesAreFiveFaults(t *testing.T) {
	w := inFile(`kafka:
  brokerz: [localhost:9092]
  group: sessionizer
session:
  timeout: thirty
  ids: adapt
state:
  cache: 256MB
limits:
  record: 1MiB
timeout: 30m
`)
	_, _, err := w.load()
	want := []string{
		`sessionizer.yaml:2: kafka.brokerz: no such key; did you mean kafka.brokers?`,
		`sessionizer.yaml:5: session.timeout: want a duration such as 250ms, 30s, 30m, 24h or 7d, found "thirty"`,
		`sessionizer.yaml:6: session.ids: want assign, adopt or enforce, found "adapt"; did you mean adopt?`,
		`sessionizer.yaml:8: state.cache: want a size such as 64KiB or 1MiB, found "256MB"; did you mean 256MiB?`,
		`sessionizer.yaml:11: timeout: no such key; did you mean session.timeout?`,
	}
	if got := lines(err); !reflect.DeepEqual(got, want) {
		t.Fatalf("got\n%s", strings.Join(got, "\n"))
	}
}

// faultCases are single mistakes and the very words they are answered with.
var faultCases = []struct {
	name string
	w    world
	want []string
}{
	{"AList", inFile("- a\n"), []string{`sessionizer.yaml:1: want a mapping of keys at the top`}},
	{"TwoDocuments", inFile("lanes: 1\n---\nlanes: 2\n"),
		[]string{`sessionizer.yaml:2: a second document begins here: want one`}},
	{"NoYAML", inFile("lanes: 1\n  group: x\n"),
		[]string{`sessionizer.yaml:2: is no YAML: mapping values are not allowed in this context`}},
	{"ANamedFileThatIsNotThere", world{file: "other.yaml"},
		[]string{`other.yaml: read other.yaml: file does not exist`}},
	{"AKeyTwice", inFile("lanes: 1\nlog:\n  level: info\nlanes: 2\n"),
		[]string{`sessionizer.yaml:4: lanes: given twice, first at line 1`}},
	{"ASectionTwice", inFile("log:\n  level: info\nlog:\n  format: json\n"),
		[]string{`sessionizer.yaml:3: log: given twice, first at line 1`}},
	{"AnAlias", inFile("lanes: &n 1\nsession:\n  max_events: *n\n"), []string{
		`sessionizer.yaml:3: session.max_events: aliases and merge keys are not understood: write the value out`}},
	{"AMergeKey", inFile("kafka: &k\n  group: x\nlog:\n  <<: *k\n"), []string{
		`sessionizer.yaml:4: log: aliases and merge keys are not understood: write the keys out`}},
	{"AKeyThatIsNoText", inFile("1: 2\n"),
		[]string{`sessionizer.yaml:1: want the name of a key, found "1"`}},
	{"ASectionThatIsText", inFile("kafka: localhost:9092\n"), []string{
		`sessionizer.yaml:1: kafka: want a mapping of keys, found "localhost:9092"`}},
	{"AListThatIsText", inFile("input:\n  topics: events\n"), []string{
		`sessionizer.yaml:2: input.topics: want a list, found "events": write [events]`}},
	{"NoValue", inFile("state:\n  dir:\n"),
		[]string{`sessionizer.yaml:2: state.dir: want text, found nothing`}},
	{"AMappingForText", inFile("state:\n  dir: {a: b}\n"),
		[]string{`sessionizer.yaml:2: state.dir: want text, found a mapping`}},
	{"ABooleanForText", inFile("kafka:\n  group: true\n"), []string{
		`sessionizer.yaml:2: kafka.group: want text, found the boolean true: put it in quotes`}},
	{"TextForABoolean", inFile("output:\n  headers: yes\n"),
		[]string{`sessionizer.yaml:2: output.headers: want true or false, found "yes"`}},
	{"AFractionOfALane", inFile("lanes: 1.5\n"),
		[]string{`sessionizer.yaml:1: lanes: want a whole number, found the number 1.5`}},
	{"LanesBelowNone", inFile("lanes: -1\n"),
		[]string{`sessionizer.yaml:1: lanes: -1 is less than 0, the least there can be`}},
	{"ADurationWithoutUnit", inFile("session:\n  timeout: 30\n"), []string{
		`sessionizer.yaml:2: session.timeout: want a duration such as 250ms, 30s, 30m, 24h or 7d: 30 has no unit`}},
	{"ADurationOfNothing", inFile("session:\n  timeout: 0s\n"), []string{
		`sessionizer.yaml:2: session.timeout: 0s is less than 1ms, the least there can be`}},
	{"AnEndlessDuration", inFile("session:\n  timeout: 99999999999999999999d\n"), []string{
		`sessionizer.yaml:2: session.timeout: the duration "99999999999999999999d" is too long`}},
	{"ATinyRecord", inFile("limits:\n  record: 10B\n"), []string{
		`sessionizer.yaml:2: limits.record: 10B is less than 1KiB, the least there can be`}},
	{"AHugeSize", inFile("state:\n  cache: 99999999TiB\n"), []string{
		`sessionizer.yaml:2: state.cache: the size "99999999TiB" is too large`}},
	{"ABinaryTag", inFile("state:\n  dir: !!binary aGk=\n"),
		[]string{`sessionizer.yaml:2: state.dir: the tag "!!binary" is not understood`}},
	{"NoBrokers", inFile("kafka:\n  brokers: []\n"), []string{
		`sessionizer.yaml:2: kafka.brokers: the list is empty: want at least one host:port`}},
	{"ABrokerAsURL", inFile("kafka:\n  brokers: ['kafka://b:9092']\n"), []string{
		`sessionizer.yaml:2: kafka.brokers: want host:port, found the URL scheme "kafka": write b:9092`}},
	{"ABrokerWithoutPort", inFile("kafka:\n  brokers: [b]\n"),
		[]string{`sessionizer.yaml:2: kafka.brokers: want host:port, found "b"`}},
	{"ABrokerPortOutOfRange", inFile("kafka:\n  brokers: ['b:99999']\n"), []string{
		`sessionizer.yaml:2: kafka.brokers: want a port from 1 to 65535, found "99999" in "b:99999"`}},
	{"ATopicTwice", inFile("input:\n  topics: [a, b, a]\n"),
		[]string{`sessionizer.yaml:2: input.topics: the topic a is given twice`}},
	{"ATopicWithABlank", inFile("output:\n  topic: my topic\n"), []string{
		`sessionizer.yaml:2: output.topic: "my topic" holds ' ': Kafka allows letters, digits, '.', '_' and '-'`}},
	{"InputAndOutputAreOne", inFile("input:\n  topics: [events]\noutput:\n  topic: events\n"),
		[]string{`sessionizer.yaml:4: output.topic: input.topics and output.topic are both the topic events`}},
	{"VisitsAreTheDeadLetters", world{set: []string{"visits.topic=x", "dead_letters.topic=x"}},
		[]string{`--set: dead_letters.topic: visits.topic and dead_letters.topic are both the topic x`}},
	{"TheOutputIsTheChangelog", inFile("output:\n  topic: sessionizer-events-changelog\n"), []string{
		`sessionizer.yaml:2: output.topic: sessionizer-events-changelog is the name of the changelog of events`}},
	{"TopicsThatDifferOnlyInDots", inFile("visits:\n  topic: events_sessionized\n"), []string{
		`sessionizer.yaml:2: visits.topic: events.sessionized and events_sessionized differ only in ` +
			`'.' and '_': Kafka has no two such topics`}},
	{"TheOutputIsTheChangelogButForDots", inFile("output:\n  topic: sessionizer.events.changelog\n" +
		"kafka: {group: sessionizer_events}\ninput: {topics: [x]}\n" +
		"visits: {topic: sessionizer.events-x-changelog}\n"), []string{
		`sessionizer.yaml:5: visits.topic: sessionizer.events-x-changelog and the changelog ` +
			`sessionizer_events-x-changelog differ only in '.' and '_': Kafka has no two such topics`}},
	{"LatenessBelowOutOfOrder", inFile("time:\n  lateness: 30s\n  out_of_order: 1m\n"), []string{
		`sessionizer.yaml:3: time.out_of_order: time.lateness (30s) is less than time.out_of_order (1m)`}},
	{"LatenessBelowTheDefaultOutOfOrder", inFile("time:\n  lateness: 30s\n"), []string{
		`sessionizer.yaml:2: time.lateness: time.lateness (30s) is less than time.out_of_order (1m)`}},
	{"RetentionBelowLateness", inFile("time:\n  retention: 1h\n"), []string{
		`sessionizer.yaml:2: time.retention: time.retention (1h) is less than time.lateness (1d)`}},
	{"NoTimeSource", inFile("time:\n  sources: []\n"),
		[]string{`sessionizer.yaml:2: time.sources: the list is empty: want at least one source`}},
	{"ATimeSourceTwice", inFile("time:\n  sources: [record, record]\n"),
		[]string{`sessionizer.yaml:2: time.sources: record is given twice`}},
	{"BoundaryAtLeavesNoTimeout", inFile("session:\n  timeout: 1ms\n  boundary: at\n"), []string{
		`sessionizer.yaml:3: session.boundary: 1ms leaves nothing with session.boundary at`}},
	{"PlainWithoutTLS", world{
		files:   map[string]string{DefaultFile: "kafka:\n  sasl: {mechanism: PLAIN, username: u}\n"},
		environ: []string{"SESSIONIZER_KAFKA_SASL_PASSWORD=hunter2"},
	}, []string{
		`sessionizer.yaml:2: kafka.sasl.mechanism: PLAIN sends the password in the clear: want kafka.tls.enabled: true`}},
	{"AMechanismWithoutUserAndPassword", inFile(
		"kafka:\n  sasl: {mechanism: SCRAM-SHA-256}\n"), []string{
		`sessionizer.yaml:2: kafka.sasl.mechanism: SCRAM-SHA-256 wants kafka.sasl.username`,
		`sessionizer.yaml:2: kafka.sasl.mechanism: SCRAM-SHA-256 wants kafka.sasl.password_file, ` +
			`or SESSIONIZER_KAFKA_SASL_PASSWORD in the environment`}},
	{"AUserWithoutMechanism", inFile("kafka:\n  sasl: {username: u}\n"), []string{
		`sessionizer.yaml:2: kafka.sasl.username: has no effect without kafka.sasl.mechanism`}},
	{"APasswordInTheFile", inFile("kafka:\n  sasl:\n    password: hunter2\n"), []string{
		`sessionizer.yaml:3: kafka.sasl.password: a secret does not belong here: use ` +
			`kafka.sasl.password_file, or SESSIONIZER_KAFKA_SASL_PASSWORD in the environment`}},
	{"APasswordOnTheCommandLine", world{set: []string{"kafka.sasl.password=hunter2"}}, []string{
		`--set: kafka.sasl.password: a secret does not belong here: use ` +
			`kafka.sasl.password_file, or SESSIONIZER_KAFKA_SASL_PASSWORD in the environment`}},
	{"APasswordFileThatIsNotThere", inFile(
		"kafka:\n  sasl:\n    mechanism: SCRAM-SHA-512\n    username: u\n    password_file: /p\n"),
		[]string{`sessionizer.yaml:5: kafka.sasl.password_file: read /p: file does not exist`}},
	{"ACertificateWithoutKey", inFile("kafka:\n  tls: {enabled: true, cert_file: c.pem}\n"), []string{
		`sessionizer.yaml:2: kafka.tls.cert_file: cert_file and key_file go together: one of them is missing`}},
	{"TLSFilesWithoutTLS", inFile("kafka:\n  tls:\n    ca_file: ca.pem\n"), []string{
		`sessionizer.yaml:3: kafka.tls.ca_file: has no effect without kafka.tls.enabled: true`}},
	{"AnAuthorityThatIsNone", world{files: map[string]string{
		DefaultFile: "kafka:\n  tls:\n    enabled: true\n    ca_file: ca.pem\n", "ca.pem": "hello",
	}}, []string{`sessionizer.yaml:4: kafka.tls.ca_file: ca.pem holds no PEM certificate`}},
	{"ACommitThatComesTooLate", inFile("commit:\n  interval: 6s\n"), []string{
		`sessionizer.yaml:2: commit.interval: commit.interval (6s) is more than half of ` +
			`kafka.transaction_timeout (10s): the broker would abort what is to be committed`}},
	{"AnUnknownVariable", world{environ: []string{"SESSIONIZER_KAFKA_BROKER=b:9092"}}, []string{
		`environment SESSIONIZER_KAFKA_BROKER: no key goes by this name; did you mean SESSIONIZER_KAFKA_BROKERS?`}},
	{"AWrongVariable", world{environ: []string{"SESSIONIZER_LANES=many"}}, []string{
		`environment SESSIONIZER_LANES: lanes: want a whole number, found "many"`}},
	{"ASetWithoutValue", world{set: []string{"lanes"}},
		[]string{`--set: want key=value, found "lanes"`}},
	{"ASetOfASection", world{set: []string{"kafka=x"}},
		[]string{`--set: kafka: is a section: set one of its keys`}},
	{"ASetOfNoKey", world{set: []string{"session.timeuot=1h"}},
		[]string{`--set: session.timeuot: no such key; did you mean session.timeout?`}},
	{"AnElementThatIsEmpty", world{set: []string{"input.topics=a,,b"}},
		[]string{`--set: input.topics: the list has an empty element`}},
	{"AFieldThatIsNone", inFile("output:\n  fields: [id, indx]\n"),
		[]string{`sessionizer.yaml:2: output.fields: no such field: "indx"; did you mean index?`}},
	{"ASetOfFieldsInAList", inFile("output:\n  fields: [full, id]\n"), []string{
		`sessionizer.yaml:2: output.fields: full stands alone, not in a list with other fields`}},
	{"AReasonThatIsNone", inFile("dead_letters:\n  on: {malfromed: pass}\n"), []string{
		`sessionizer.yaml:2: dead_letters.on.malfromed: no such key; did you mean dead_letters.on.malformed?`}},
	{"AProfileThatIsNone", inFile("profile: krenalys\n"),
		[]string{`sessionizer.yaml:1: profile: no such profile: "krenalys"; did you mean krenalis?`}},
}

func TestLoad_Faults(t *testing.T) {
	for _, c := range faultCases {
		t.Run(c.name, func(t *testing.T) {
			config, _, err := c.w.load()
			if got := lines(err); !reflect.DeepEqual(got, c.want) {
				t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			if config != nil {
				t.Fatal("a faulty configuration was returned")
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Fatal("the secret shows")
			}
		})
	}
}

// A mistake must not bring others with it that go away when it is mended.
func TestLoad_AFaultIsToldOnce(t *testing.T) {
	w := inFile(`kafka:
  tls:
    enable: true
    ca_file: ca.pem
  sasl:
    mechanizm: PLAIN
    username: u
    password: hunter2
input:
  topics: [my topic]
output:
  topic: events
time:
  lateness: 1x
  out_of_order: 48h
  retention: 1h
`)
	_, _, err := w.load()
	want := []string{
		`sessionizer.yaml:3: kafka.tls.enable: no such key; did you mean kafka.tls.enabled?`,
		`sessionizer.yaml:6: kafka.sasl.mechanizm: no such key; did you mean kafka.sasl.mechanism?`,
		`sessionizer.yaml:8: kafka.sasl.password: a secret does not belong here: use ` +
			`kafka.sasl.password_file, or SESSIONIZER_KAFKA_SASL_PASSWORD in the environment`,
		`sessionizer.yaml:10: input.topics: "my topic" holds ' ': Kafka allows letters, digits, '.', '_' and '-'`,
		`sessionizer.yaml:14: time.lateness: want a duration such as 250ms, 30s, 30m, 24h or 7d, found "1x"`,
	}
	if got := lines(err); !reflect.DeepEqual(got, want) {
		t.Fatalf("got\n%s", strings.Join(got, "\n"))
	}
}

func TestLoad_WhatIsNotBuiltIsRefusedAsSuch(t *testing.T) {
	asked := []string{
		"kafka.sasl.mechanism=OAUTHBEARER", "http.address=:8080",
	}
	for _, profile := range profilesAbsent() {
		asked = append(asked, "profile="+profile)
	}
	seen := map[string]bool{}
	for _, set := range asked {
		_, _, err := world{set: []string{set}, offline: true}.load()
		key, _, _ := strings.Cut(set, "=")
		seen[key] = true
		want := fmt.Sprintf("--set: %s: ", key)
		if err == nil || !strings.Contains(err.Error(), "is not available in this version") ||
			!strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v", set, err)
		}
	}
	for _, a := range absences() {
		if !seen[a.key] && a.key != "profile" {
			t.Errorf("%s is absent and not tried", a.key)
		}
	}
}

func TestLoad_WarningsDoNotStop(t *testing.T) {
	w := inFile("session:\n  retained: 40\nkafka:\n  transaction_timeout: 20s\n" +
		"dead_letters:\n  on:\n    too_late: fail\n")
	c, warnings, err := w.load()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		`sessionizer.yaml:2: session.retained: retained is 40: a key can have 50 sessions within the ` +
			`lateness, the oldest ones would be evicted`,
		`sessionizer.yaml:4: kafka.transaction_timeout: 20s is more than kafka.session_timeout (10s): ` +
			`who takes over from a dead process may wait for the rest of it`,
		`sessionizer.yaml:7: dead_letters.on.too_late: has no effect: time.too_late is pass`,
	}, "\n")
	if warnings.Error() != want {
		t.Fatalf("got\n%s", warnings.Error())
	}
	if c.DeadLetters.PolicyFor("too_late") != PolicyFail ||
		c.DeadLetters.PolicyFor("malformed") != PolicyDeadLetter {
		t.Fatalf("policies %v", c.DeadLetters.On)
	}
}

func TestLoad_AnAliasBombIsNotExpanded(t *testing.T) {
	var b strings.Builder
	b.WriteString("a: &a [x, x, x, x, x, x, x, x, x]\n")
	for c := 'b'; c < 'z'; c++ {
		fmt.Fprintf(&b, "%c: &%c [", c, c)
		b.WriteString(strings.Repeat(fmt.Sprintf("*%c, ", c-1), 9))
		b.WriteString("]\n")
	}
	b.WriteString("input:\n  topics: [*y, *y]\n")
	_, _, err := inFile(b.String()).load()
	if got := lines(err); len(got) != 26 ||
		!strings.Contains(got[25], "input.topics: aliases and merge keys are not understood") {
		t.Fatalf("got %d faults\n%s", len(got), strings.Join(got, "\n"))
	}
}

func TestLoad_SecretsComeFromFilesOrTheEnvironmentAndStayHidden(t *testing.T) {
	w := inFile("kafka:\n  sasl:\n    mechanism: SCRAM-SHA-512\n    username: u\n    password_file: /p\n")
	w.files["/p"] = "hunter2\r\n"
	c, _, err := w.load()
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Kafka.SASL.Password.Reveal(); got != "hunter2" {
		t.Fatalf("password %q", got)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(verb, *c); strings.Contains(text, "hunter2") {
			t.Errorf("%s shows the secret", verb)
		}
	}
	w.environ = []string{"SESSIONIZER_KAFKA_SASL_PASSWORD=later"}
	if c, _, err = w.load(); err != nil || c.Kafka.SASL.Password.Reveal() != "later" {
		t.Fatalf("the environment did not win: %v", err)
	}
}

func TestKeys_AreUniqueInTheFileAndInTheEnvironment(t *testing.T) {
	names := map[string]string{}
	for _, k := range keys() {
		for _, name := range []string{k.name, k.variable()} {
			if other, ok := names[name]; ok {
				t.Errorf("%s and %s are both %s", other, k.name, name)
			}
			names[name] = k.name
		}
		if isServiceLink(k.variable()) {
			t.Errorf("%s looks like a service link", k.variable())
		}
		if k.about == "" {
			t.Errorf("%s says nothing of itself", k.name)
		}
	}
}

func TestDistance_CountsEditsAndSwaps(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "abc", 3}, {"abc", "abc", 0}, {"acb", "abc", 1}, {"timeuot", "timeout", 1},
		{"kitten", "sitting", 3}, {"a", "", 1}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%s to %s: got %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// The golden file is what people see who make every kind of mistake at once.
func TestLoad_EveryFaultIsToldAtOnce(t *testing.T) {
	const name = "faults.yaml"
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	_, _, faults := world{file: name, files: map[string]string{name: string(text)}}.load()
	golden := filepath.Join("testdata", "faults.txt")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(golden, []byte(faults.Error()+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got := faults.Error() + "\n"; got != string(want) {
		t.Fatalf("got\n%s", got)
	}
}
