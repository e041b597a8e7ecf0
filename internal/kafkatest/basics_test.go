//go:build kafka

package kafkatest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The first thing that a user does: the topics are made, the input is processed, and nothing but
// the session has changed.

func TestTopics_AreMadeLikeTheInput(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, 3, map[string]string{
		"retention.ms": "172800000", "max.message.bytes": "2000000",
	})
	proc := start(t, "run", p.dir, p.args("one", "run")...)
	proc.ends(t, startWithin, 1, "topics --create", p.output, p.visits, p.dead, p.changelog)
	p.make(t)

	details, err := p.adm.ListTopics(ask(t), p.output, p.visits, p.dead, p.changelog)
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{p.output, p.visits, p.dead, p.changelog} {
		if d := details[topic]; d.Err != nil || len(d.Partitions) != 3 {
			t.Errorf("%s: %d partitions, %v; want 3", topic, len(d.Partitions), d.Err)
		}
	}
	all := settings(t, p.adm, p.output, p.visits, p.dead, p.changelog)
	for _, topic := range []string{p.output, p.dead} {
		s := all[topic]
		if s["retention.ms"] != "172800000" || s["cleanup.policy"] != "delete" ||
			s["message.timestamp.type"] != "CreateTime" {
			t.Errorf("%s: retention.ms=%s cleanup.policy=%s message.timestamp.type=%s", topic,
				s["retention.ms"], s["cleanup.policy"], s["message.timestamp.type"])
		}
		if n, err := strconv.Atoi(s["max.message.bytes"]); err != nil || n < 2_000_000 {
			t.Errorf("%s: max.message.bytes=%s, the input has 2000000", topic, s["max.message.bytes"])
		}
	}
	if got := all[p.changelog]["cleanup.policy"]; got != "compact" {
		t.Errorf("%s: cleanup.policy=%s", p.changelog, got)
	}

	t.Run("ASecondTimeNothingIsChanged", func(t *testing.T) {
		p.make(t)
		again := settings(t, p.adm, p.output, p.visits, p.dead, p.changelog)
		for topic, before := range all {
			if !maps.Equal(before, again[topic]) {
				t.Errorf("%s: %v became %v", topic, before, again[topic])
			}
		}
		start(t, "topics", p.dir, p.args("setup", "topics")...).ends(t, startWithin, 0)
	})
}

func settings(t *testing.T, adm *kadm.Client, topics ...string) map[string]map[string]string {
	t.Helper()
	configs, err := adm.DescribeTopicConfigs(ask(t), topics...)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]string{}
	for _, c := range configs {
		all[c.Name] = map[string]string{}
		for _, kv := range c.Configs {
			all[c.Name][kv.Key] = kv.MaybeValue()
		}
	}
	return all
}

func TestRun_RefusesTopicsThatDoNotFit(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, 2, nil)
	p.make(t)
	p.deleteTopic(t, p.output)
	p.create(t, p.output, 3, map[string]string{"retention.ms": "-1"})
	p.deleteTopic(t, p.changelog)
	p.create(t, p.changelog, 2, map[string]string{"cleanup.policy": "delete"})
	p.deleteTopic(t, p.dead)
	p.create(t, p.dead, 2, map[string]string{"retention.ms": "60000"})
	proc := start(t, "run", p.dir, p.args("one", "run")...)
	proc.ends(t, startWithin, 1, p.output, "3 partitions", p.changelog, "cleanup.policy", p.dead,
		"retention.ms")
}

func TestUntilEnd_ChangesNothingButTheSession(t *testing.T) {
	t.Parallel()
	rng := random(t)
	p := newPipeline(t, 3, nil)
	p.make(t)
	records := customers(rng, 40, 600)
	odd := oddEvents(records[300].Timestamp)
	p.send(t, slices.Concat(records[:300], odd, records[300:])...)
	p.runUntilEnd(t, "one")

	v := p.audit(t)
	dead := len(v.dead[0]) + len(v.dead[1]) + len(v.dead[2])
	if want := len(records) + len(odd); v.stamped != want || dead > 0 {
		t.Errorf("%d events have a session, want all %d; dead letters: %v", v.stamped, want, v.dead)
	}
	if v.sessions == 0 || v.visits == 0 || len(v.finals)+v.merged >= v.sessions {
		t.Errorf("%d sessions, %d visits ended: want some, and not all: the last ones are still open",
			v.sessions, v.visits)
	}
	ends := fmt.Sprint(p.ends(t, p.output, false), p.ends(t, p.visits, false),
		p.ends(t, p.dead, false), p.ends(t, p.changelog, false))

	t.Run("ASecondRunAddsNothing", func(t *testing.T) {
		p.runUntilEnd(t, "one")
		if got := fmt.Sprint(p.ends(t, p.output, false), p.ends(t, p.visits, false),
			p.ends(t, p.dead, false), p.ends(t, p.changelog, false)); got != ends {
			t.Errorf("the ends of the topics were %s and are %s", ends, got)
		}
	})
	t.Run("MoreInputGoesOnWhereItStopped", func(t *testing.T) {
		p.send(t, event("more", "customer-1", records[len(records)-1].Timestamp, `{}`))
		p.runUntilEnd(t, "two")
		if again := p.audit(t); again.stamped != v.stamped+1 {
			t.Errorf("%d events have a session, want one more than %d", again.stamped, v.stamped)
		}
	})
	t.Run("TheServiceEndsTheRest", func(t *testing.T) {
		proc := p.run(t, "one")
		p.awaitVisits(t, drainWithin, v.stamped+1)
		proc.stop(t)
		p.audit(t).matches(t, batch(t, p.sentSoFar(), timeout))
	})
}

// oddEvents are good events in forms that a careless copy would change.
func oddEvents(at time.Time) []*kgo.Record {
	stamp := at.UTC().Format("2006-01-02T15:04:05.000Z")
	values := []string{
		`{ "timestamp" : "` + stamp + `" , "anonymousId":"odd-1" , "n": [1.0, 1e5, -0.0, 12345678901234567890] }`,
		`{"anonymousId":"odd-2","timestamp":"` + stamp + `","text":"\u00e9\ud83d\ude00é😀\/","context":{}}`,
		`{"anonymousId":"odd-3","timestamp":"` + stamp + `","context":null}`,
		`{"anonymousId":"odd-4","timestamp":"` + stamp + `","twice":1,"twice":2,"empty":{},"none":[]}`,
		`{"AnonymousId":"not me","anonymousId":"odd-5","timestamp":"` + stamp + `","context":{"ip":"::1"}}` + "\n",
		`{"context":{"session":{"id":1700000000000,"start":true},"ip":"::1"},"anonymousId":"odd-6","timestamp":"` +
			stamp + `"}`,
		`{"anonymousId":"odd-7","timestamp":"` + stamp +
			`","context":{"sessionId":1700000000001,"sessionStart":true,"page":{"url":"https://a.example/?q=%20"}}}`,
	}
	records := make([]*kgo.Record, len(values))
	for i, v := range values {
		records[i] = &kgo.Record{
			Key: fmt.Appendf(nil, "odd-%d", i+1), Value: []byte(v), Timestamp: at.Add(time.Duration(i)),
			Headers: []kgo.RecordHeader{
				{Key: "trace", Value: []byte{0, 255, byte(i)}}, {Key: "trace", Value: []byte("again")},
				{Key: "", Value: nil},
			},
		}
	}
	records[0].Headers = nil
	records[1].Key = nil // the anonymous ID is in the payload; a record key is not read
	records[2].Key = []byte{}
	return records
}
