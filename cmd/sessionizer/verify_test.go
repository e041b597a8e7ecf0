package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/internal/audit"
)

// verify is tried as its users run it: on the topics that run has left, and on the same topics once
// something was done to them.

func TestVerify_FindsNothingAndThenWhatWasDone(t *testing.T) {
	address, _ := explainCluster(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(address))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	dir := t.TempDir()
	flags := []string{"--set", "kafka.brokers=" + address, "--set", "state.dir=" + dir + "/state",
		"--set", "kafka.instance=one", "--log-level", "error"}
	with := func(args ...string) []string { return append(args, flags...) }
	start := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	for i := range 200 {
		at := start.Add(time.Duration(i) * 20 * time.Second)
		value := fmt.Sprintf(`{"anonymousId":"a%d","type":"page","timestamp":%q}`, i%7,
			at.UTC().Format(time.RFC3339))
		err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "events",
			Key: fmt.Appendf(nil, "a%d", i%7), Value: []byte(value), Timestamp: at}).FirstErr()
		if err != nil {
			t.Fatal(err)
		}
	}
	early := sessionizer(t, "", with("verify")...)
	if early.code != exitFailed || !strings.Contains(early.stderr, "events.sessionized") {
		t.Errorf("without topics: code %d, %s", early.code, early.stderr)
	}
	for _, args := range [][]string{{"topics", "--create"}, {"run", "--until-end"}} {
		if r := sessionizer(t, "", with(args...)...); r.code != exitFine {
			t.Fatalf("%v: code %d, %s", args, r.code, r.stderr)
		}
	}
	r := sessionizer(t, "", with("verify", "--settled")...)
	if r.code != exitFine || r.stderr != "" ||
		!strings.Contains(r.stdout, "events in           200  ") ||
		!strings.Contains(r.stdout, "wrong                 0\n") {
		t.Fatalf("code %d, %s\n%s", r.code, r.stderr, r.stdout)
	}
	r = sessionizer(t, "", with("verify", "--settled", "--json")...)
	if r.code != exitFine || !strings.Contains(r.stdout, `"verdict": "clean"`) {
		t.Errorf("code %d, %s\n%s", r.code, r.stderr, r.stdout)
	}
	stranger := &kgo.Record{Topic: "events.sessionized", Key: []byte("who"), Value: []byte(`{"x":1}`)}
	if err := client.ProduceSync(t.Context(), stranger).FirstErr(); err != nil {
		t.Fatal(err)
	}
	r = sessionizer(t, "", with("verify", "--json")...)
	var report audit.Report
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
		t.Fatal(err)
	}
	if r.code != exitFailed || report.Wrong != 1 || report.Checks[audit.CheckStranger] != 1 ||
		!strings.Contains(r.stdout, `"verdict": "violations"`) ||
		!strings.Contains(r.stderr, "0 lost, 0 doubled, 1 wrong") {
		t.Errorf("code %d, %s\n%s", r.code, r.stderr, r.stdout)
	}
	r = sessionizer(t, "", with("verify")...)
	if !strings.Contains(r.stdout, "\nstranger: 1\n  events.sessionized/") {
		t.Errorf("the finding is not shown:\n%s", r.stdout)
	}
	compact := "compact"
	_, err = kadm.NewClient(client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{
		{Name: "cleanup.policy", Value: &compact},
	}, "events")
	if err != nil {
		t.Fatal(err)
	}
	// It failed, and its exit code is that of violations: the report tells them apart.
	r = sessionizer(t, "", with("verify")...)
	if r.code != exitFailed || !strings.HasPrefix(r.stdout, "no verdict: ") ||
		strings.Contains(r.stdout, "lost") ||
		!strings.Contains(r.stderr, "no verdict: brokers [") ||
		!strings.Contains(r.stderr, "topic events has cleanup.policy=compact") {
		t.Errorf("code %d, %s\n%s", r.code, r.stderr, r.stdout)
	}
	r = sessionizer(t, "", with("verify", "--json")...)
	none := map[string]string{}
	if err := json.Unmarshal([]byte(r.stdout), &none); err != nil || r.code != exitFailed ||
		none["verdict"] != "none" || !strings.Contains(none["reason"], "compact") || len(none) != 2 {
		t.Errorf("code %d, %v\n%s", r.code, err, r.stdout)
	}
}

func TestVerify_SaysWhereItIsStuck(t *testing.T) {
	var out bytes.Buffer
	a := &app{process: process{stdout: &out}}
	cause := fmt.Errorf("audit partition 3: %w", &audit.StuckError{
		Topic: "out", Partition: 3, Offset: 17, End: 40, Why: "a transaction is open there",
	})
	err := a.noVerdict(&verifyOptions{asJSON: true}, cause)
	var r verifyReport
	if e := json.Unmarshal(out.Bytes(), &r); e != nil {
		t.Fatal(e)
	}
	if r.Verdict != verdictNone || r.StuckAt == nil || *r.StuckAt != (verifyStuck{"out", 3, 17, 40}) ||
		r.Report != nil || !strings.Contains(r.Reason, "out/3@17") {
		t.Errorf("%s", out.Bytes())
	}
	if err == nil || !strings.Contains(err.Error(), "no verdict: audit partition 3: stuck at out/3@") {
		t.Errorf("the error is %v", err)
	}
}

func TestVerify_RefusesWhatItCannotRead(t *testing.T) {
	for _, args := range [][]string{{"extra"}, {"--no-such-flag"}} {
		if r := sessionizer(t, "", append([]string{"verify"}, args...)...); r.code != exitUsage {
			t.Errorf("%v: code %d, %s", args, r.code, r.stderr)
		}
	}
}

// The document has a row for every check, and no other.
func TestVerify_TheDocumentHasEveryCheck(t *testing.T) {
	source := read(t, repository, "internal/audit/audit.go")
	var checks, rows []string
	constant := regexp.MustCompile(`(?m)^\tCheck\w+ +(?:Check )?= "([a-z-]+)"`)
	for _, m := range constant.FindAllStringSubmatch(source, -1) {
		checks = append(checks, m[1])
	}
	document := read(t, repository, "docs/verify.md")
	row := regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|")
	for _, m := range row.FindAllStringSubmatch(document, -1) {
		rows = append(rows, m[1])
	}
	if len(checks) < 20 || !slices.Equal(checks, rows) {
		t.Errorf("the checks are %v, the document has %v", checks, rows)
	}
}
