package audit_test

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"sessionizer/internal/audit"
)

// forgeries are mutants that most readers would not notice, and some would be misled by.
func forgeries() []mutant {
	const visit, stamped = `"Visit Ended"`, `"eventIndex":`
	onVisit := func(expression, with string) func(*mutation) bool {
		return func(m *mutation) bool {
			return m.with(m.visits(), replace(expression, be(with)), visit)
		}
	}
	onEvent := func(expression, with string) func(*mutation) bool {
		return func(m *mutation) bool {
			return m.with(m.output(), replace(expression, be(with)), stamped)
		}
	}
	return []mutant{
		{"AVisitHasAHeader", audit.CheckVisit, func(m *mutation) bool {
			return m.with(m.visits(), func(r *audit.Record) bool {
				r.Headers = []audit.Header{{Key: "trace", Value: []byte("1")}}
				return true
			})
		}},
		{"AVisitHasNoTimestamp", audit.CheckVisit, func(m *mutation) bool {
			return m.with(m.visits(), func(r *audit.Record) bool { r.TimestampMs = -1; return true })
		}},
		{"AVisitHasAnUnknownMember", audit.CheckVisit, onVisit(`("reason":)`, `"more":1,"reason":`)},
		{"AVisitsCountsHaveAnUnknownMember", audit.CheckVisit, onVisit(`("pages":)`, `"more":1,"pages":`)},
		{"AVisitsMemberIsInAnotherCase", audit.CheckVisit, onVisit(`("revision":)`, `"Revision":`)},
		{"AVisitsMemberIsThereTwice", audit.CheckVisit, onVisit(`("revision":)`, `"revision":9,"revision":`)},
		{"AVisitsCountIsThereTwice", audit.CheckVisit, onVisit(`("events":)`, `"events":9,"events":`)},
		{"AVisitsCountIsAbsent", audit.CheckVisit, func(m *mutation) bool {
			return m.with(m.visits(), replace(`(,"attached":0)`, nothing), visit, `"attached":0`)
		}},
		{"AVisitsMemberIsNull", audit.CheckVisit, onVisit(`("reason":)`, `"mergedInto":null,"reason":`)},
		{"AVisitHasWhiteSpace", audit.CheckVisit, onVisit(`("reason":)`, `"reason": `)},
		{"AVisitsTimeIsFinerThanMilliseconds", audit.CheckVisit, onVisit(`"startedAt":"[^"]*(Z)"`, `4Z`)},
		{"ASessionsIDIsThereTwice", audit.CheckFields, onEvent(`"session":{("id":)`, `"id":1,"id":`)},
		{"ASessionsStartIsThereTwice", audit.CheckFields, func(m *mutation) bool {
			return m.with(m.output(), replace(`("start":true,)"uuid"`, be(`"start":true,"start":true,`)),
				stamped, `"start":true,"uuid"`)
		}},
		{"ASessionIsThereTwice", audit.CheckFields,
			onEvent(`("session":{"id")`, `"session":{"id":1},"session":{"id"`)},
		{"AContextIsThereTwice", audit.CheckPayload,
			onEvent(`^({)`, `{"context":{"session":{"id":1}},`)},
		{"TheClientsPairIsBack", audit.CheckFields, onEvent(`("session":{"id")`, `"sessionId":1,"session":{"id"`)},
		{"WhiteSpaceIsAdded", audit.CheckPayload, onEvent(`^({)`, "{ ")},
		{"WhiteSpaceIsAddedBehindAName", audit.CheckPayload, onEvent(`("properties":)`, `"properties": `)},
		{"TheOffsetIsBeyondTheEnd", audit.CheckOffsets, func(m *mutation) bool {
			m.committed = maps.Clone(m.committed)
			m.committed[m.at(m.config.Input.Topics[0])] = 999_999
			return true
		}},
		{"TwoDeadLettersChangePlaces", audit.CheckOrder, func(m *mutation) bool {
			dead := m.records[m.dead()]
			if len(dead) < 2 {
				return false
			}
			dead[0], dead[1] = dead[1], dead[0]
			return true
		}},
		{"ADeadLetterGoesToTheEnd", audit.CheckOrder, func(m *mutation) bool {
			dead := m.records[m.dead()]
			if len(dead) < 2 {
				return false
			}
			m.records[m.dead()] = append(slices.Clone(dead[1:]), dead[0])
			return true
		}},
	}
}

// What clients send twice is theirs, wherever it is, and so is their white space.
func TestRun_WhatClientsSendTwiceIsTheirs(t *testing.T) {
	for _, yaml := range []string{rich, `{profile: rudderstack}`, `{profile: segment}`,
		`{profile: snowplow}`, `{profile: tracardi, output: {fields: full}}`} {
		w := newWorld(t, yaml, 3)
		w.draw(t, 400)
		for p := range int32(partitions) {
			list := w.records[topicPartition{w.config.Input.Topics[0], p}]
			for i := range list {
				if v := &list[i].Value; bytes.HasPrefix(*v, []byte("{")) {
					*v = slices.Concat([]byte(twice()[i%len(twice())]), (*v)[1:])
				}
			}
		}
		w.run(t)
		if r := w.verify(t); !r.Clean() || r.EventsOut < 300 {
			t.Errorf("%s: %d events, %v", yaml, r.EventsOut, r.Findings)
		}
	}
}

// Two records that change places are that and nothing else, also where each might have been dropped
// as a duplicate.
func TestRun_ASwapIsTheOnlyFindingOfDeduplication(t *testing.T) {
	for seed := range uint64(3) {
		w := newWorld(t, `{session: {dedupe: {last: 20, action: drop}}}`, seed)
		w.draw(t, 700)
		w.run(t)
		if r := w.verify(t); !r.Clean() || r.Dropped == 0 {
			t.Fatalf("seed %d: %d dropped, %v", seed, r.Dropped, r.Findings)
		}
		m := &mutation{w, 1}
		out := w.records[m.output()]
		i := m.pick(m.output(), `"session":{"id"`, `"messageId"`)
		out[i], out[i+1] = out[i+1], out[i]
		out[i].Offset, out[i+1].Offset = out[i+1].Offset, out[i].Offset
		r := w.verify(t)
		if len(r.Findings) != 1 || r.Checks[audit.CheckOrder] != 1 ||
			r.Findings[0].Offset != out[i+1].Offset {
			t.Errorf("seed %d: want an order finding at %d alone, got %v", seed, out[i+1].Offset, r.Findings)
		}
	}
}

// A visit that says it was decided elsewhere leaves the others where they are.
func TestRun_AVisitDecidedElsewhereIsNamed(t *testing.T) {
	for seed := range uint64(3) {
		w := newWorld(t, rich, seed)
		w.draw(t, 700)
		w.run(t)
		m := &mutation{w, 1}
		i := m.pick(m.visits(), `"reason":"inactivity"`)
		if !replace(`"decidedAt":(\d+)`, be("300000"))(&w.records[m.visits()][i]) {
			t.Fatal("no visit says when it was decided")
		}
		r := w.verify(t)
		named := slices.ContainsFunc(r.Findings, func(f audit.Finding) bool {
			return f.Check == audit.CheckVisitOrder && f.Offset == int64(i)
		})
		if !named || len(r.Findings) > 4 {
			t.Errorf("seed %d: want visit %d and little else, got %v", seed, i, r.Findings)
		}
	}
}

// twice are beginnings of events that say again what is said behind them.
func twice() []string {
	return []string{
		"{",
		` { "properties" : 1 , `,
		`{"context":{"sessionId":5,"a":1,"session":{"id":5,"id":6}},`,
		`{"context":{"session":{"id":5}}, "context" :null,`,
		"{\n\t\"context\" : { } ,",
		`{"domain_sessionid":"1","domain_sessionid":"2", "domain_userid":"x","a":{"b":1,"b":2},`,
		`{"session":{"id":"one","id":"two","start":true},`,
		`{"session" : {"x":1},"contexts_com_snowplowanalytics_snowplow_client_session_1":[{"userId":"z"}],`,
	}
}
