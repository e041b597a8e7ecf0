package audit

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// An auditor that finds nothing proves nothing until it is seen to find. The
// tests begin with topics in which all is well and spoil one thing at a time.

const (
	t0   = int64(1_767_225_600_000) // 2026-01-01T00:00:00Z
	half = int64(30 * 60_000)
)

func at(ms int64) string {
	return time.UnixMilli(t0 + ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

// topics is what the topics of one partition number hold.
type topics struct {
	input, output, visits, dead []Record
}

// in adds an event to the input.
func (w *topics) in(ms int64, payload string) {
	w.input = append(w.input, Record{
		Topic: "in", Offset: int64(len(w.input)), TimestampMs: t0 + ms, Key: []byte("ana"),
		Value:   []byte(fmt.Sprintf(`{"anonymousId":"ana",%s"timestamp":%q}`, payload, at(ms))),
		Headers: []Header{{"trace", []byte("7")}},
	})
}

// out adds the last event of the input to the output, with a session in its
// context.
func (w *topics) out(context, session string) {
	r := w.input[len(w.input)-1]
	r.Topic, r.Offset = "out", int64(len(w.output))
	value := string(r.Value)
	if context == "" {
		value = strings.Replace(value, `{`, `{"context":{"session":`+session+`},`, 1)
	} else {
		value = strings.Replace(value, context, session, 1)
	}
	r.Value = []byte(value)
	w.output = append(w.output, r)
}

func (w *topics) visit(id, revision int, reason, more string, start, end, events, decidedAt int64) {
	duration := end - start
	if reason == "merged" {
		duration = 0
	}
	w.visits = append(w.visits, Record{
		Topic: "visits", Offset: int64(len(w.visits)), TimestampMs: t0, Key: []byte("key"),
		Value: []byte(fmt.Sprintf(`{"type":"track","event":"Visit Ended","messageId":"u%d-%d",`+
			`"anonymousId":"ana","session":{"id":%d,"uuid":"u%d","index":%d},"reason":%q,"revision":%d,%s`+
			`"startedAt":%q,"endedAt":%q,"durationMs":%d,"counts":{"events":%d},`+
			`"origin":{"topic":"in","partition":0,"decidedAt":%d}}`, id, revision, id, id, id, reason,
			revision, more, at(start), at(end), duration, events, decidedAt)),
	})
}

// well is a customer with two sessions, a client's own fields, a dead letter
// and a tombstone; the second session is open at the end.
func well() *topics {
	w := &topics{}
	w.in(0, `"event":"caf\u00e9 {[\"","context":{"page":{"path":"/"}},`)
	w.out(`"context":{`, `"context":{"session":{"id":1,"start":true,"uuid":"u1","index":1,"eventIndex":1},`)
	w.in(60_000, ``)
	w.out(``, `{"id":1,"uuid":"u1","index":1,"eventIndex":2}`)
	w.input = append(w.input, Record{Topic: "in", Offset: 2, TimestampMs: t0, Key: []byte("k"),
		Value: []byte(`{"cut`)})
	w.dead = append(w.dead, Record{Topic: "dead", TimestampMs: t0, Key: []byte("k"),
		Value: []byte(`{"cut`), Headers: deadHeaders("in", "0", "2")})
	w.in(4*half, `"context":{"sessionId":77,"sessionStart":true},`)
	w.out(`"context":{"sessionId":77,"sessionStart":true}`,
		`"context":{"session":{"id":2,"start":true,"uuid":"u2","index":2,"eventIndex":1}}`)
	w.visit(1, 1, "inactivity", "", 0, 60_000, 2, 4)
	w.input = append(w.input, Record{Topic: "in", Offset: 4, TimestampMs: t0, Key: []byte("k")})
	w.output = append(w.output, Record{Topic: "out", Offset: 3, TimestampMs: t0, Key: []byte("k")})
	return w
}

func deadHeaders(topic, partition, offset string) []Header {
	return []Header{
		{errorHeaders + "topic", []byte(topic)}, {errorHeaders + "partition", []byte(partition)},
		{errorHeaders + "offset", []byte(offset)}, {errorHeaders + "reason", []byte("malformed")},
		{errorHeaders + "message", []byte("cut")},
	}
}

func (w *topics) audit() Report { return w.auditWith(Config{}) }

func (w *topics) auditWith(c Config) Report {
	c.TimeoutMs, c.OutOfOrderMs, c.FutureToleranceMs = half, 60_000, 60_000
	a := New(c)
	for _, step := range []struct {
		records []Record
		take    func(*Record)
	}{{w.dead, a.DeadLetter}, {w.input, a.Input}, {w.output, a.Output}, {w.visits, a.Visit}} {
		for i := range step.records {
			step.take(&step.records[i])
		}
	}
	a.EndPartition()
	return a.Report()
}

func TestAudit_NothingIsFoundWhereAllIsWell(t *testing.T) {
	got := well().audit()
	want := Report{EventsIn: 5, EventsOut: 4, DeadLetters: 1, Sessions: 2, Visits: 1, Open: 1}
	if !reflect.DeepEqual(got, want) || !got.Clean() {
		t.Fatalf("got %+v\nwant %+v", got, want)
	}
}

func change(r *Record, from, to string) {
	value := strings.Replace(string(r.Value), from, to, 1)
	if value == string(r.Value) {
		panic("the test changes nothing: " + from)
	}
	r.Value = []byte(value)
}

// spoils is one thing each that must be found, and what it counts as.
func spoils() []struct {
	name                 string
	spoil                func(*topics)
	lost, doubled, wrong int64
	finding              string
} {
	type T = *topics
	return []struct {
		name                 string
		spoil                func(*topics)
		lost, doubled, wrong int64
		finding              string
	}{
		{"AnEventIsMissing", func(w T) { w.output = w.output[:3] }, 1, 0, 0,
			"lost: input in@4 is not in the output"},
		{"AnEventIsThereTwice", func(w T) { w.output = append(w.output, w.output[3]) }, 0, 1, 0,
			"doubled: output out/0@3 is there once more than in the input"},
		{"AByteIsChanged", func(w T) { change(&w.output[0], `"/"`, `"/x"`) }, 1, 0, 4,
			"wrong: output out/0@0 is no record of the input"},
		{"AnEscapeIsRewritten", func(w T) { change(&w.output[0], `\u00e9`, `é`) }, 1, 0, 4,
			"wrong: output out/0@0 is no record of the input"},
		{"AHeaderIsGone", func(w T) { w.output[1].Headers = nil }, 1, 0, 2,
			"wrong: output out/0@1 is no record of the input"},
		{"ATimestampIsAnother", func(w T) { w.output[3].TimestampMs++ }, 1, 0, 1,
			"wrong: output out/0@3 is no record of the input"},
		{"TheKeyIsAnother", func(w T) { w.output[3].Key = nil }, 1, 0, 1,
			"wrong: output out/0@3 is no record of the input"},
		{"TwoEventsAreSwapped", func(w T) { w.output[2], w.output[3] = w.output[3], w.output[2] },
			0, 0, 1, "wrong: output out/0@2 is out of order: input 3 comes after input 4"},
		{"ADeadLetterIsInTheOutputToo", func(w T) {
			w.output = append(w.output, w.input[2])
		}, 0, 1, 0, "doubled: output in/0@2 is among the dead letters too"},
		{"ADeadLetterTwice", func(w T) { w.dead = append(w.dead, w.dead[0]) }, 0, 1, 0,
			"doubled: in/0@2 is 2 times among the dead letters"},
		{"ADeadLetterIsMissing", func(w T) { w.dead = nil }, 1, 0, 0,
			"lost: input in@2 is not in the output"},
		{"ADeadLetterIsChanged", func(w T) { w.dead[0].Value = []byte("x") }, 0, 0, 1,
			"wrong: the dead letter of in/0@2 is not the record that was read"},
		{"ADeadLetterOfNothing", func(w T) {
			w.dead = append(w.dead, Record{Topic: "dead", Headers: deadHeaders("in", "0", "99")})
		}, 0, 0, 1, "wrong: a dead letter names in/0@99, which is not in the input"},
		{"ADeadLetterWithoutOrigin", func(w T) { w.dead = append(w.dead, Record{Topic: "dead"}) },
			0, 0, 1, "wrong: the dead letter dead/0@0 does not say where it is from"},
		{"TheStartFlagIsMissing", func(w T) { change(&w.output[0], `"start":true,`, ``) }, 0, 0, 1,
			"wrong: session 1 of ana has no start flag on its first event, input in@0"},
		{"TheStartFlagIsThereTwice",
			func(w T) { change(&w.output[1], `"uuid"`, `"start":true,"uuid"`) }, 0, 0, 1,
			"wrong: session 1 of ana has a second start flag, input in@1"},
		{"AnEventIndexIsSkipped", func(w T) { change(&w.output[1], `"eventIndex":2`, `"eventIndex":3`) },
			0, 0, 1, "wrong: session 1 of ana: eventIndex 3 on its event 2, input in@1"},
		{"TheIndexChanges", func(w T) { change(&w.output[1], `"index":1`, `"index":2`) }, 0, 0, 1,
			"wrong: session 1 of ana: index 2 after 1, input in@1"},
		{"TheUUIDChanges", func(w T) { change(&w.output[1], `"u1"`, `"u9"`) }, 0, 0, 1,
			"wrong: session 1 of ana has another uuid, u9"},
		{"AVisitIsMissing", func(w T) { w.visits = nil }, 1, 0, 0,
			"lost: session 1 of ana has no visit of its 2 events (the last one is revision 0 of 0)"},
		{"AVisitIsThereTwice", func(w T) { w.visits = append(w.visits, w.visits[0]) }, 0, 1, 0,
			"doubled: visit 1 revision 1 of ana comes after revision 1"},
		{"ARevisionIsSkipped", func(w T) {
			w.visits = nil
			w.visit(1, 2, "inactivity", "", 0, 60_000, 2, 4)
		}, 1, 0, 0, "lost: visit 1 revision 2 of ana comes after revision 0"},
		{"TheTotalsAreWrong", func(w T) { change(&w.visits[0], `"events":2`, `"events":3`) }, 0, 0, 1,
			"wrong: visit 1 revision 1 of ana: counts.events is 3, the events say 2"},
		{"TheEndIsWrong", func(w T) { change(&w.visits[0], at(60_000), at(60_001)) }, 0, 0, 1,
			"wrong: visit 1 revision 1 of ana: endedAt is 1767225660001, the events say 1767225660000"},
		{"TheVisitKnowsTheFuture", func(w T) { change(&w.visits[0], `"decidedAt":4`, `"decidedAt":1`) },
			1, 0, 1, "wrong: visit 1 revision 1 of ana: counts.events is 2, the events say 1; " +
				"endedAt is 1767225660000, the events say 1767225600000; " +
				"durationMs is 60000, the events say 0"},
		{"AVisitOfNobody", func(w T) { w.visit(9, 1, "inactivity", "", 0, 0, 1, 4) }, 0, 0, 1,
			"wrong: visit 9 revision 1 of ana ends a session that has no events"},
		{"AVisitOfAnotherTopic", func(w T) { change(&w.visits[0], `"topic":"in"`, `"topic":"x"`) },
			1, 0, 1, "wrong: visit 1 revision 1 of ana of x, which has no events"},
		{"AVisitOfAnotherPartition", func(w T) { change(&w.visits[0], `"partition":0`, `"partition":3`) },
			0, 0, 1, "wrong: visit visits/0@0 is of partition 3"},
		{"AVisitThatIsNone", func(w T) { w.visits[0].Value = []byte("{}") }, 1, 0, 1,
			`wrong: visit visits/0@0: event "", revision 0, id "": no record of a visit`},
	}
}

func TestAudit_FindsWhatIsSpoiled(t *testing.T) {
	for _, c := range spoils() {
		t.Run(c.name, func(t *testing.T) {
			w := well()
			c.spoil(w)
			r := w.audit()
			if r.Lost != c.lost || r.Doubled != c.doubled || r.Wrong != c.wrong {
				t.Errorf("lost %d, doubled %d, wrong %d", r.Lost, r.Doubled, r.Wrong)
			}
			if !strings.Contains(strings.Join(r.Findings, "\n")+"\n", c.finding+"\n") {
				t.Errorf("want %q among\n%s", c.finding, strings.Join(r.Findings, "\n"))
			}
			if r.Clean() {
				t.Error("it is called clean")
			}
		})
	}
}

// A late event joins two sessions: the later one is merged away, and the
// survivor's totals are those of both.
func merged() *topics {
	w := &topics{}
	w.in(0, ``)
	w.out(``, `{"id":1,"start":true,"uuid":"u1","index":1,"eventIndex":1}`)
	w.in(2*half-60_000, ``)
	w.out(``, `{"id":2,"start":true,"uuid":"u2","index":2,"eventIndex":1}`)
	w.visit(1, 1, "inactivity", "", 0, 0, 1, 2)
	w.visit(2, 1, "merged", `"mergedInto":1,`, 2*half-60_000, 2*half-60_000, 0, 2)
	w.in(half-30_000, ``)
	w.out(``, `{"id":1,"uuid":"u1","index":1,"eventIndex":2}`)
	w.visit(1, 2, "inactivity", "", 0, 2*half-60_000, 3, 3)
	return w
}

func TestAudit_AMergeMovesTheTotals(t *testing.T) {
	got := merged().audit()
	want := Report{EventsIn: 3, EventsOut: 3, Sessions: 2, Visits: 3, Merged: 1}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v", got)
	}
	w := merged()
	change(&w.visits[2], `"events":3`, `"events":2`)
	if r := w.audit(); r.Wrong != 1 {
		t.Fatalf("the survivor's totals: %+v", r)
	}
	w = merged()
	change(&w.visits[1], `"mergedInto":1`, `"mergedInto":7`)
	if r := w.audit(); r.Wrong != 2 {
		t.Fatalf("the survivor is none: %+v", r)
	}
}

func TestPayload_TheRestIsAllButTheSession(t *testing.T) {
	for _, c := range []struct{ name, a, b string }{
		{"ASessionIsAdded", `{"a":1,"context":{"p":1}}`, `{"a":1,"context":{"p":1,"session":{"id":1}}}`},
		{"AContextIsMade", `{"a":1}`, `{"context":{"session":{"id":1}},"a":1}`},
		{"ANullContext", `{"a":1,"context":null}`, `{"a":1,"context":{"session":{"id":1}}}`},
		{"AnEmptyContext", `{"a":1,"context":{}}`, `{"a":1,"context":{"session":{"id":1}}}`},
		{"FlatFieldsGo", `{"context":{"sessionId":"x","p":1,"sessionStart":true}}`,
			`{"context":{"p":1,"session":{}}}`},
		{"SpaceBetweenMembers", `{ "a" : 1 , "context" : { "p" : 1 } }`,
			`{ "a" : 1 , "context" : { "p" : 1 ,"session":{"id":1}} }`},
		{"AnEscapedName", `{"conte\u0078t":{"\u0073ession":1},"a":1}`, `{"a":1}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p, q payload
			p.read([]byte(c.a))
			q.read([]byte(c.b))
			if !bytes.Equal(p.rest, q.rest) {
				t.Fatalf("%s\n%s", p.rest, q.rest)
			}
		})
	}
	var p payload
	for _, same := range []string{`{"a":1`, `[]`, ``, `{"a"}`, `{"a":}`, `{"a":1}x`, `nul`, `{"a":"`, `{,}`} {
		if p.read([]byte(same)); string(p.rest) != same {
			t.Errorf("%s became %s", same, p.rest)
		}
	}
}

func TestParseTime_ReadsEveryForm(t *testing.T) {
	for _, c := range []struct {
		text string
		want int64
		ok   bool
	}{
		{`"2026-01-01T00:00:00Z"`, t0, true}, {`"2026-01-01T02:00:00.1239+02:00"`, t0 + 123, true},
		{`"2026-01-01T00:00:00"`, t0, true}, {`"2025-12-31T23:59:60Z"`, t0, true},
		{`1767225600`, t0, true}, {`"1767225600001"`, t0 + 1, true},
		{`1767225600001999`, t0 + 1, true}, {`1767225600001999999`, t0 + 1, true},
		{`-1`, -1000, true}, {`"soon"`, 0, false}, {`null`, 0, false}, {``, 0, false},
	} {
		if got, ok := parseTime([]byte(c.text)); got != c.want || ok != c.ok {
			t.Errorf("%s: %d, %t", c.text, got, ok)
		}
	}
}

// The reader must see what is committed, all of it, and where it ends.
func TestRun_ReadsTheTopicsAsAConsumerDoes(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1),
		kfake.SeedTopics(2, "in", "out", "visits", "dead"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	brokers := kgo.SeedBrokers(cluster.ListenAddrs()...)
	writer, err := kgo.NewClient(brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.TransactionalID("writer"))
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	transaction := func(commit kgo.TransactionEndTry, records ...Record) {
		if err := writer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			k := &kgo.Record{Topic: r.Topic, Partition: 1, Key: r.Key, Value: r.Value,
				Timestamp: time.UnixMilli(r.TimestampMs)}
			for _, h := range r.Headers {
				k.Headers = append(k.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
			}
			writer.Produce(ctx, k, nil)
		}
		if err := writer.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		if err := writer.EndTransaction(ctx, commit); err != nil {
			t.Fatal(err)
		}
	}
	w := merged()
	for i := range w.visits {
		// The end of a transaction takes an offset of its own: the input below is
		// written in one, so its offsets are as in the other tests.
		change(&w.visits[i], `"partition":0`, `"partition":1`)
	}
	transaction(kgo.TryCommit, w.input...)
	transaction(kgo.TryAbort, w.output...)
	transaction(kgo.TryCommit, w.output...)
	transaction(kgo.TryCommit, w.visits...)
	transaction(kgo.TryAbort, w.visits...)
	transaction(kgo.TryCommit, Record{Topic: "dead", Key: []byte("k"), Value: []byte("x"),
		TimestampMs: t0, Headers: deadHeaders("in", "1", "2")})
	var progress []int
	got, err := Run(ctx, Config{TimeoutMs: half, OutOfOrderMs: 60_000, FutureToleranceMs: 60_000},
		Topics{Client: []kgo.Opt{brokers}, Input: []string{"in"}, Output: "out", Visits: "visits",
			DeadLetters: "dead", Progress: func(done, _ int) { progress = append(progress, done) }})
	if err != nil {
		t.Fatal(err)
	}
	// The dead letter is none of the event it names, which is in the output too.
	if got.EventsIn != 3 || got.EventsOut != 3 || got.Visits != 3 || got.DeadLetters != 1 ||
		got.Doubled != 1 || got.Lost != 0 || len(progress) != 2 {
		t.Fatalf("got %+v", got)
	}
}
