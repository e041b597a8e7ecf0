package audit

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

// What rules make of events shows in the topics too: events that are dropped, that are attached to
// a session or repeat one of its events, visits that are announced, sessions named in headers.

func (w *topics) begin(id int, start, decidedAt int64) {
	w.visit(id, 0, "first", "", start, start, 0, decidedAt)
	r := &w.visits[len(w.visits)-1]
	change(r, "Visit Ended", "Visit Started")
}

// name adds the session's headers to the last event of the output.
func (w *topics) name(headers ...Header) {
	r := &w.output[len(w.output)-1]
	r.Headers = append(append([]Header(nil), r.Headers...), headers...)
}

// ruled is a session with an event that was dropped and one that is attached.
func ruled() *topics {
	w := &topics{}
	w.in(0, `"event":"dropped",`)
	w.in(1000, ``)
	w.begin(1, 1000, 1)
	w.out(``, `{"id":1,"start":true,"uuid":"u1","index":1,"eventIndex":1}`)
	w.name(Header{"session-id", []byte("1")}, Header{"session-start", []byte("true")},
		Header{"session-index", []byte("1")})
	w.in(3*half, ``)
	w.out(``, `{"id":1,"uuid":"u1","index":1}`)
	w.name(Header{"session-id", []byte("1")}, Header{"session-index", []byte("1")})
	w.visit(1, 1, "inactivity", "", 1000, 1000, 1, 3)
	change(&w.visits[1], `"events":1`, `"events":1,"attached":1`)
	w.in(6*half, `"event":"dropped",`) // it advances the watermark
	return w
}

func (w *topics) auditRuled() Report {
	return w.auditWith(Config{
		Started: true, Indexed: true, Headers: true,
		Dropped: func(value []byte) bool { return bytes.Contains(value, []byte("dropped")) },
	})
}

func TestAudit_KnowsWhatRulesDo(t *testing.T) {
	got := ruled().auditRuled()
	want := Report{
		EventsIn: 4, EventsOut: 2, Dropped: 2, Sessions: 1, Visits: 1, Started: 1, Attached: 1,
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v\nwant %+v", got, want)
	}
	type T = *topics
	for _, c := range []struct {
		name    string
		spoil   func(T)
		finding string
	}{
		{"ADroppedEventIsInTheOutput", func(w T) { w.in(7*half, `"event":"dropped",`); w.out(``, `{}`) },
			"wrong: output out/0@2 has to be dropped"},
		{"ADroppedEventsTimeCounts", func(w T) { w.visits = w.visits[:1] },
			"lost: session 1 of ana has no visit of its 1 events (the last one is revision 0 of 0)"},
		{"NoVisitStarted", func(w T) { w.visits = w.visits[1:] },
			"lost: session 1 of ana has no Visit Started record, input in@1"},
		{"VisitStartedTwice", func(w T) {
			w.visits = append([]Record{w.visits[0]}, w.visits...)
		}, "doubled: visit 1 revision 0 of ana begins twice"},
		{"VisitStartedAgain", func(w T) { w.begin(1, 1000, 3) },
			"doubled: visit 1 revision 0 of ana begins twice"},
		{"VisitStartedOfNothing", func(w T) { w.begin(2, 1000, 3) },
			"wrong: visit 2 revision 0 of ana begins a session that has no events"},
		{"VisitStartedAtAnotherTime", func(w T) { change(&w.visits[0], at(1000), at(1001)) },
			"wrong: visit 1 revision 0 of ana begins otherwise than with input in@1"},
		{"AnAttachedEventWithAStart", func(w T) { change(&w.output[1], `"uuid"`, `"start":true,"uuid"`) },
			"wrong: input in@2 is attached and has a start flag"},
		{"AnAttachedEventOfNobody", func(w T) {
			change(&w.output[1], `"id":1,"uuid":"u1"`, `"id":8,"uuid":"u8"`)
		}, "wrong: input in@2 is attached to session 8 of ana, which has no events"},
		{"AttachedEventsAreNotCounted", func(w T) { change(&w.visits[1], `"attached":1`, `"attached":0`) },
			"wrong: visit 1 revision 1 of ana: counts.attached and duplicates are 0, the events say 1"},
		{"TheHeadersAreForged", func(w T) { w.output[1].Headers[1].Value = []byte("2") },
			"wrong: output out/0@1: its headers name another session than its value"},
		{"ThereIsNoHeader", func(w T) { w.output[1].Headers = w.output[1].Headers[:1] },
			"wrong: output out/0@1: its headers name another session than its value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := ruled()
			c.spoil(w)
			r := w.auditRuled()
			if !strings.Contains(strings.Join(r.Findings, "\n")+"\n", c.finding+"\n") || r.Clean() {
				t.Errorf("want %q among\n%s", c.finding, strings.Join(r.Findings, "\n"))
			}
		})
	}
}
