package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"sessionizer/internal/dlq"
)

// A dead letter that is sent back twice is an event that counts twice, and one that is forgotten is
// an event that is lost: both must not happen, whatever is filtered, interrupted or run at once.

// dlqCluster is a cluster on which run has made dead letters of all events but two.
type dlqCluster struct {
	t       *testing.T
	cluster *kfake.Cluster
	cl      *kgo.Client
	flags   []string
}

var dlqDay = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newDLQCluster(t *testing.T) *dlqCluster {
	t.Helper()
	t.Chdir(t.TempDir())
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "events"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	address := cluster.ListenAddrs()[0]
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	c := &dlqCluster{t: t, cluster: cluster, cl: cl, flags: []string{
		"--set", "kafka.brokers=" + address, "--set", "state.dir=" + t.TempDir(),
	}}
	c.sessionizer(exitFine, "topics", "--create")
	c.produce(0, "ana", `{"anonymousId":"ana","type":"page","timestamp":"2026-01-01T00:00:00Z"}`)
	c.produce(0, "ana", `{"anonymousId":"ana"`) // cut off
	c.produce(0, "bob", `{"type":"page","timestamp":"2026-01-01T00:02:00Z"}`)
	c.produce(1, "cid", `{"anonymousId":"cid","type":"page","timestamp":"2026-01-01T00:03:00Z"}`)
	c.produce(1, "\xff", "\x00\xfe")
	c.produce(1, "dan", `{"anonymousId":"","type":"page","timestamp":"2026-01-01T00:05:00Z"}`)
	c.sessionizer(exitFine, "run", "--until-end")
	return c
}

// produce writes an event a minute after the one before, with a header that looks like ours.
func (c *dlqCluster) produce(partition int32, key, value string) {
	c.t.Helper()
	r := &kgo.Record{
		Topic: "events", Partition: partition, Key: []byte(key), Value: []byte(value),
		Timestamp: dlqDay, Headers: []kgo.RecordHeader{
			{Key: "trace", Value: []byte(key)},
			{Key: "__sessionizer.errors.reason", Value: []byte("old")},
		},
	}
	if err := c.cl.ProduceSync(c.t.Context(), r).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

// sessionizer runs a command on the cluster, which must end with a code.
func (c *dlqCluster) sessionizer(code int, args ...string) result {
	c.t.Helper()
	r := sessionizer(c.t, "", append(args, c.flags...)...)
	if r.code != code {
		c.t.Fatalf("%v: code %d, stdout %s, stderr %s", args, r.code, r.stdout, r.stderr)
	}
	return r
}

// report runs redrive.
func (c *dlqCluster) redrive(args ...string) (report redriveReport) {
	c.t.Helper()
	r := c.sessionizer(exitFine, append([]string{"dlq", "redrive", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
		c.t.Fatalf("%v: %s", err, r.stdout)
	}
	return report
}

// records are the committed ones of a topic, by partition, in their order.
func (c *dlqCluster) records(topic string) (all []*kgo.Record) {
	c.t.Helper()
	a := &app{}
	d := &deadLetters{app: a}
	d.kafka.Brokers, d.kafka.Log = c.cl.OptValue(kgo.SeedBrokers).([]string), zap.NewNop()
	stretches, err := lookUpStretches(c.t.Context(), c.cl, []string{topic}, allEnds)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, s := range stretches {
		if err := d.read(c.t.Context(), s, func(r *kgo.Record) error {
			all = append(all, r)
			return nil
		}); err != nil {
			c.t.Fatal(err)
		}
	}
	return all
}

func TestDLQShow_SaysWhereFromAndWhy(t *testing.T) {
	c := newDLQCluster(t)
	r := c.sessionizer(exitFine, "dlq", "show")
	for _, want := range []string{
		"events.dead-letters/0\n", "2026-01-01 00:00:00.000  events/0@1", "no_key", "events/1@1",
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("no %q in\n%s", want, r.stdout)
		}
	}
	if r.stderr != "4 dead letters: malformed 2, no_key 2\n" {
		t.Errorf("stderr %s", r.stderr)
	}
	if strings.Contains(r.stdout, "anonymousId\"") || strings.Contains(r.stdout, "\xff") {
		t.Errorf("a payload, or a byte that is no text, in\n%s", r.stdout)
	}
	if r := c.sessionizer(exitFine, "dlq", "show", "--payload", "--limit", "1"); !strings.Contains(
		r.stdout, `{"anonymousId":"ana"`) || !strings.Contains(r.stderr, "the first 1 shown") ||
		strings.Count(r.stdout, "\n") != 4 {
		t.Errorf("%+v", r)
	}
}

func TestDLQShow_JSONHoldsTheWholeLetter(t *testing.T) {
	c := newDLQCluster(t)
	r := c.sessionizer(exitFine, "dlq", "show", "--json")
	var all []letterJSON
	for line := range strings.Lines(r.stdout) {
		var l letterJSON
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, l)
	}
	if len(all) != 4 {
		t.Fatalf("%d lines\n%s", len(all), r.stdout)
	}
	cut, binary := all[0], all[2]
	if cut.Topic != "events" || cut.Partition != 0 || cut.Offset != 1 || cut.Reason != "malformed" ||
		cut.Message == "" || *cut.Key != "ana" || *cut.Original != `{"anonymousId":"ana"` ||
		cut.Timestamp != "2026-01-01T00:00:00.000Z" ||
		cut.DeadLetter != (placeJSON{"events.dead-letters", 0, cut.DeadLetter.Offset}) ||
		len(cut.Headers) != 2 || cut.Headers[1].Value != "old" {
		t.Errorf("%+v", cut)
	}
	if binary.KeyBase64 != "/w==" || binary.OriginalBase64 != "AP4=" || binary.Key != nil {
		t.Errorf("%+v", binary)
	}
}

func TestDLQShow_Filters(t *testing.T) {
	c := newDLQCluster(t)
	for _, x := range []struct {
		args string
		want int
	}{
		{"--reason no_key", 2},
		{"--reason no_key,malformed", 4},
		{"--reason limit", 0},
		{"--partition 1", 2},
		{"--topic events", 4},
		{"--topic other", 0},
		{"--offset 1", 2},
		{"--offset 2-", 2},
		{"--offset -1 --partition 0", 1},
		{"--since 2026-01-01T00:00:00Z", 4},
		{"--since 2026-01-01T00:00:01Z", 0},
		{"--until 2026-01-01T00:00:00Z", 0},
		{"--until 2026-01-01T00:00:01Z", 4},
	} {
		r := c.sessionizer(exitFine, append([]string{"dlq", "show", "--json"},
			strings.Fields(x.args)...)...)
		if n := strings.Count(r.stdout, "\n"); n != x.want {
			t.Errorf("%s: %d, want %d\n%s", x.args, n, x.want, r.stdout)
		}
	}
}

func TestDLQ_WrongFlagsAreRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	for args, want := range map[string]string{
		"show --reason no_kye":     `no such reason: "no_kye"; did you mean no_key? want some of malformed,`,
		"redrive --reason limit,x": `no such reason: "x"; want some of malformed, limit, no_key,`,
		"show --offset x":          "--offset x: want",
		"show --offset 9-3":        "--offset 9-3: want",
		"show --since yesterday":   "--since yesterday: want",
		"show --limit -1":          "--limit -1",
		"show --partition -2":      "--partition -2",
		"redrive --rate -1":        "--rate -1",
		"redrive --max-attempts 0": "--max-attempts 0",
	} {
		r := sessionizer(t, "", append([]string{"dlq"}, strings.Fields(args)...)...)
		if r.code != exitUsage || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: %+v", args, r)
		}
	}
}

func TestDLQRedrive_IsADryRunUnlessToldOtherwise(t *testing.T) {
	c := newDLQCluster(t)
	before := len(c.records("events")) + len(c.records("events.dead-letters"))
	r := c.sessionizer(exitFine, "dlq", "redrive")
	want := "to be sent back   4 (malformed 2, no_key 2)\nsent back before  0\nrefused           0\n" +
		"nothing was written: --yes does it\n"
	if r.stdout != want {
		t.Errorf("%s", r.stdout)
	}
	if after := len(c.records("events")) + len(c.records("events.dead-letters")); after != before {
		t.Errorf("%d records, %d before", after, before)
	}
}

// What goes back is what came in: the same but for the header that counts.
func TestDLQRedrive_SendsTheRecordAsItWas(t *testing.T) {
	c := newDLQCluster(t)
	if got := c.redrive("--yes"); got.Redriven != 4 || got.DryRun {
		t.Fatalf("%+v", got)
	}
	byKey := map[string][]*kgo.Record{}
	for _, r := range c.records("events") {
		isFine := slices.Contains([]string{"ana", "cid"}, string(r.Key))
		if !isFine || string(r.Value) == `{"anonymousId":"ana"` {
			byKey[string(r.Key)] = append(byKey[string(r.Key)], r)
		}
	}
	if len(byKey) != 4 {
		t.Fatalf("keys %q", slices.Collect(maps.Keys(byKey)))
	}
	for key, pair := range byKey {
		if len(pair) != 2 {
			t.Errorf("%q: %d records, want the first and the one that was sent back", key, len(pair))
			continue
		}
		first, again := pair[0], pair[1]
		if first.Partition != again.Partition || string(first.Value) != string(again.Value) ||
			!first.Timestamp.Equal(again.Timestamp) || len(again.Headers) != 3 ||
			!slices.EqualFunc(first.Headers, again.Headers[:2], func(a, b kgo.RecordHeader) bool {
				return a.Key == b.Key && string(a.Value) == string(b.Value)
			}) {
			t.Errorf("%q: %+v, then %+v", key, first, again)
		}
		if h := again.Headers[2]; h.Key != "__sessionizer.redrive.attempts" || string(h.Value) != "1" {
			t.Errorf("%q: header %v", key, h)
		}
	}
}

func TestDLQRedrive_SendsEachOnceWhateverIsFiltered(t *testing.T) {
	c := newDLQCluster(t)
	inputs := len(c.records("events"))
	// The later one first: what was left out between stays to be sent.
	for i, x := range []struct {
		args           string
		redriven, left int64
		before         int64
	}{
		{"--reason no_key --limit 1", 1, 1, 0},
		{"--reason no_key", 1, 0, 1},
		{"--reason no_key", 0, 0, 2},
		{"--offset 1", 2, 0, 0},
		{"", 0, 0, 4},
	} {
		got := c.redrive(append(strings.Fields(x.args), "--yes")...)
		if got.Redriven != x.redriven || got.Left != x.left || got.Before != x.before {
			t.Errorf("%d: %s: %+v", i, x.args, got)
		}
	}
	if n := len(c.records("events")) - inputs; n != 4 {
		t.Errorf("%d records were sent back, want 4", n)
	}
	r := c.sessionizer(exitFine, "dlq", "show")
	if strings.Count(r.stdout, "; redriven\n") != 4 || !strings.Contains(r.stderr, "; 4 redriven") {
		t.Errorf("%+v", r)
	}
	r = c.sessionizer(exitFine, "dlq", "show", "--pending")
	if r.stdout != "" || !strings.Contains(r.stderr, "no dead letters in events.dead-letters") {
		t.Errorf("%+v", r)
	}
}

// Mended, the events get their sessions; what is wrong for good comes back and is given up.
func TestDLQRedrive_WhatFailsAgainIsGivenUp(t *testing.T) {
	c := newDLQCluster(t)
	mended := []string{"--set", "paths.anonymous_id=anonymousId,$key"}
	c.flags = append(c.flags, mended...)
	for attempt := range int64(3) {
		want := int64(2)
		if attempt == 0 {
			want = 4
		}
		if got := c.redrive("--yes", "--max-attempts", "3"); got.Redriven != want {
			t.Fatalf("attempt %d: %+v", attempt+1, got)
		}
		c.sessionizer(exitFine, "run", "--until-end")
	}
	r := c.sessionizer(exitFine, "dlq", "redrive", "--yes", "--max-attempts", "3")
	if !strings.Contains(r.stderr, "it was sent back 3 times and failed each time") ||
		!strings.Contains(r.stdout, "refused           2 (attempts 2)\n") ||
		!strings.Contains(r.stdout, "there is nothing to send back\n") {
		t.Errorf("%+v", r)
	}
	keys := map[string]int{}
	for _, r := range c.records("events.sessionized") {
		keys[string(r.Key)]++
	}
	if want := map[string]int{"ana": 1, "bob": 1, "cid": 1, "dan": 1}; !maps.Equal(keys, want) {
		t.Errorf("the output has %v, want %v", keys, want)
	}
	r = c.sessionizer(exitFine, "dlq", "show", "--pending")
	if strings.Count(r.stdout, "sent back 3 times before") != 2 {
		t.Errorf("%s", r.stdout)
	}
}

func TestDLQRedrive_RefusesByName(t *testing.T) {
	c := newDLQCluster(t)
	// A dead letter that was cut, two that are not from here, and a record that is no dead letter.
	for i, from := range []string{"events", "other", "events"} {
		r := &kgo.Record{Topic: "events.dead-letters", Value: []byte("x")}
		partition := []string{"0", "0", "7"}[i]
		for _, h := range [][2]string{
			{"topic", from}, {"partition", partition}, {"offset", "1"}, {"reason", "limit"},
			{"message", "m"},
		} {
			r.Headers = append(r.Headers,
				kgo.RecordHeader{Key: "__sessionizer.errors." + h[0], Value: []byte(h[1])})
		}
		if i == 0 {
			r.Headers = append(r.Headers, kgo.RecordHeader{
				Key: "__sessionizer.errors.cut", Value: []byte("value of 99 bytes"),
			})
		}
		if err := c.cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	foreign := &kgo.Record{Topic: "events.dead-letters", Value: []byte("hello")}
	if err := c.cl.ProduceSync(t.Context(), foreign).FirstErr(); err != nil {
		t.Fatal(err)
	}
	r := c.sessionizer(exitFine, "dlq", "redrive", "--yes", "--reason", "limit")
	for _, want := range []string{
		"it did not fit and lacks its value of 99 bytes",
		"it is from other, which is no input topic of this configuration",
		"events has 2 partitions now",
		"1 record in events.dead-letters without the headers of a dead letter",
	} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("no %q in %s", want, r.stderr)
		}
	}
	if !strings.Contains(r.stdout, "refused           3 (cut 1, partition 1, topic 1)\n") {
		t.Errorf("%s", r.stdout)
	}
}

// A commit that does not arrive leaves all to be sent again: never a part, never twice.
func TestDLQRedrive_AFailureInTheMiddleNeitherLosesNorDoubles(t *testing.T) {
	c := newDLQCluster(t)
	inputs := len(c.records("events"))
	var injected atomic.Int32
	c.cluster.ControlKey(int16(kmsg.EndTxn), func(q kmsg.Request) (kmsg.Response, error, bool) {
		injected.Add(1)
		resp := q.ResponseKind().(*kmsg.EndTxnResponse)
		resp.ErrorCode = kerr.ProducerFenced.Code
		return resp, nil, true
	})
	r := c.sessionizer(exitFailed, "dlq", "redrive", "--yes")
	if injected.Load() == 0 {
		t.Fatal("the fault was never injected")
	}
	if r.stdout != "" || !strings.Contains(r.stderr, "another redrive of this group has begun") {
		t.Errorf("%+v", r)
	}
	if got := c.redrive("--yes"); got.Redriven != 4 || got.Before != 0 {
		t.Errorf("%+v", got)
	}
	if n := len(c.records("events")) - inputs; n != 4 {
		t.Errorf("%d records were sent back, want 4", n)
	}
}

// While run writes dead letters, its open transaction hides from a consumer of committed records
// what lies behind it: the marks of a redrive just before, for one. They are waited for.
func TestDLQRedrive_WaitsForMarksBehindAnOpenTransaction(t *testing.T) {
	c := newDLQCluster(t)
	inputs := len(c.records("events"))
	letter := c.records("events.dead-letters")[0]
	other, err := kgo.NewClient(kgo.SeedBrokers(c.cluster.ListenAddrs()...),
		kgo.TransactionalID("run"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	write := func(cl *kgo.Client, r *kgo.Record) {
		r.Topic, r.Partition = letter.Topic, letter.Partition
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	write(other, &kgo.Record{Value: []byte("in doubt")})
	write(c.cl, &kgo.Record{Headers: []kgo.RecordHeader{
		{Key: dlq.HeaderRedriven, Value: fmt.Append(nil, letter.Offset)},
	}})
	// The transaction ends when the ends have been looked up: with the first fetch.
	ended := make(chan error, 1)
	c.cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		go func() { ended <- other.EndTransaction(context.Background(), kgo.TryAbort) }()
		return nil, nil, false
	})
	if got := c.redrive("--yes"); got.Redriven != 3 || got.Before != 1 {
		t.Errorf("%+v", got)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if n := len(c.records("events")) - inputs; n != 3 {
		t.Errorf("%d records were sent back, want 3", n)
	}
}

func TestDLQ_SaysWhatIsMissing(t *testing.T) {
	t.Chdir(t.TempDir())
	address, _ := explainCluster(t)
	for _, args := range [][]string{{"show"}, {"redrive"}, {"redrive", "--yes"}} {
		args = append(append([]string{"dlq"}, args...), "--set", "kafka.brokers="+address)
		r := sessionizer(t, "", args...)
		if r.code != exitFailed || r.stdout != "" ||
			!strings.Contains(r.stderr, "events.dead-letters") ||
			!strings.Contains(r.stderr, "`sessionizer topics` shows which topic is not there") {
			t.Errorf("%v: %+v", args, r)
		}
	}
}

// The rights that OPERATING.md lists for it suffice, and those of run do not let it read.
func TestDLQ_TheDocumentedRightsSuffice(t *testing.T) {
	t.Chdir(t.TempDir())
	write := kfake.ACL{
		Resource: kmsg.ACLResourceTypeTopic, Pattern: kmsg.ACLResourcePatternTypeLiteral, Name: "events",
		Operation: kmsg.ACLOperationWrite, Allow: true,
	}
	address, ca := secureCluster(t, nil, append(documentedACLs(), write)...)
	flags := append(secured(t, address, ca, password), "--set", "paths.anonymous_id=userId")
	for _, args := range [][]string{
		{"topics", "--create"}, {"run", "--until-end"}, {"dlq", "redrive", "--yes"},
	} {
		r := sessionizer(t, "", append(args, flags...)...)
		if r.code != exitFine {
			t.Fatalf("%v: %+v", args, r)
		}
		if args[0] == "dlq" && !strings.Contains(r.stdout, "sent back         1 (no_key 1)") {
			t.Errorf("%+v", r)
		}
	}
	address, ca = secureCluster(t, nil, documentedACLs()...)
	flags = append(secured(t, address, ca, password), "--set", "paths.anonymous_id=userId")
	for _, args := range [][]string{{"topics", "--create"}, {"run", "--until-end"}} {
		if r := sessionizer(t, "", append(args, flags...)...); r.code != exitFine {
			t.Fatal(r.stderr)
		}
	}
	r := sessionizer(t, "", append([]string{"dlq", "redrive", "--yes"}, flags...)...)
	if r.code != exitFailed || !strings.Contains(r.stderr, "grant the rights that OPERATING.md") {
		t.Errorf("%+v", r)
	}
}

// Nobody joins a group for it.
func TestDLQ_JoinsNoGroup(t *testing.T) {
	c := newDLQCluster(t)
	c.redrive("--yes")
	groups, err := kadm.NewClient(c.cl).ListGroups(t.Context())
	if err != nil || fmt.Sprint(groups.Groups()) != "[sessionizer]" {
		t.Errorf("%v, groups %v", err, groups.Groups())
	}
}

// OPERATING.md shows what there is to see.
func TestDLQShow_IsAsDocumented(t *testing.T) {
	var shown string
	for _, b := range blocks(read(t, repository, "OPERATING.md")) {
		if b.language == "text" && strings.Contains(b.text, "record time") {
			shown = b.text
		}
	}
	c := newDLQCluster(t)
	if r := c.sessionizer(exitFine, "dlq", "show"); r.stdout != shown {
		t.Errorf("the document has\n%s\nand it is\n%s", shown, r.stdout)
	}
}

func TestDLQShow_AnOriginalOfControlCharactersIsInBase64(t *testing.T) {
	for text, isText := range map[string]bool{"": true, "a\n": true, `{"a":"\"\""}`: true, "\x00\x00": false} {
		as, in := originalOrBase64([]byte(text))
		if isText != (as != nil && *as == text && in == "") || !isText && in == "" {
			t.Errorf("%q: %v %q", text, as, in)
		}
	}
}
