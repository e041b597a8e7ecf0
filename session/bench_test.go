package session

// What an event may cost: 100 ns for one that continues its session, and no allocation for any.

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"
)

// benchEvent returns the n-th event of a session, a minute after the one before.
func benchEvent(n int64) *Event {
	return &Event{
		Time:        scenarioDay + Time(n)*60_000,
		Offset:      1_000_000 + n,
		AnonymousID: []byte("9f3c2c2a-1d4b-4b7c-9c2a-8a3f6d3c0e91"),
		UserID:      []byte("user-1234567"),
		MessageID:   fmt.Appendf(nil, "9f3c2c2a-1d4b-4b7c-9c2a-%012x", n),
		Kind:        KindTrack,
	}
}

// benchKey returns a key of ten events.
func benchKey(tb testing.TB, rules Rules) (r *Rules, s *State, w *Watermarks, out *Outcome) {
	r, s = compiled(tb, rules), &State{}
	s.Reset()
	w, out = &Watermarks{Event: NoTime, Tick: NoTime}, &Outcome{}
	for n := range int64(10) {
		r.Step(s, benchEvent(n), w, out)
	}
	return r, s, w, out
}

// stepCases are the events whose cost is promised, as changes of the next event of benchKey.
var stepCases = []struct {
	name   string
	rules  func(*Rules)
	change func(e *Event, n int64)
}{
	{"Continuing", func(*Rules) {}, func(*Event, int64) {}},
	{"OutOfOrder", func(*Rules) {}, func(e *Event, _ int64) { e.Time = benchTime - 90_000 }},
	{"NewByServerID", func(r *Rules) { r.Retained = 4 },
		func(e *Event, n int64) { e.Time = benchTime + Time(n)*1800_001 }},
	{"UserChange", func(r *Rules) { r.Retained, r.SplitUserChange = 4, true },
		func(e *Event, n int64) { e.UserID = benchUsers[n%2] }},
	{"ByClientID", func(*Rules) {}, func(e *Event, _ int64) { e.Client = ID{Int: 42} }},
	{"NewByClientID", func(r *Rules) { r.Retained = 4 },
		func(e *Event, n int64) { e.Client = ID{Int: 1 + n} }},
	{"Everything", everything, func(e *Event, n int64) { everythingOf(e, n, 1) }},
	{"EverythingNew", everything, func(e *Event, n int64) { everythingOf(e, n, 600) }},
	{"Attached", func(r *Rules) { r.Effects = []Effect{{Class: ClassAttach}} },
		func(e *Event, _ int64) { e.Rule = 1 }},
	{"Ended", func(r *Rules) { r.Retained, r.Effects = 4, []Effect{{End: true}} },
		func(e *Event, n int64) { e.Rule, e.Time = 1, benchTime+Time(n) }},
}

// everything switches all features on.
func everything(r *Rules) {
	r.Retained = 4
	r.SplitUserChange, r.SplitCampaign, r.Started = true, true, true
	r.MaxDuration, r.MaxEvents, r.DedupeLast = 3600_000, 200, 100
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	r.Midnight = berlin
	r.Effects = []Effect{{Drop: true}, {Timeout: 60_000, MaxDuration: 600_000}, {Class: ClassExtend},
		{Class: ClassAttach}, {Start: true}, {End: true}, {Class: ClassIgnore}}
}

// everythingOf makes the n-th event one with all there is to collect, some of a rule, some a
// duplicate, so many seconds after the one before.
func everythingOf(e *Event, n, seconds int64) {
	e.Time = benchTime + Time(n*seconds)*1000
	e.Rule = uint16(n % 23 % 8)
	e.MessageID = binary.AppendVarint(e.MessageID[:0], n-n%5/4)
	d, _ := e.Details.(*details)
	if d == nil {
		d = &details{referrer: benchText, context: benchText}
		e.Place, e.Details = benchText, d
	}
	d.campaign = benchUsers[n/50%2]
	e.Lifecycle = Lifecycle(n % 3)
}

const benchTime = scenarioDay + 10*60_000

var benchText = []byte(`{"url":"https://example.com/a"}`)

var benchUsers = [2][]byte{[]byte("u1"), []byte("u2")}

func BenchmarkStep(b *testing.B) {
	for _, c := range stepCases {
		b.Run(c.name, func(b *testing.B) {
			rules := DefaultRules()
			c.rules(&rules)
			r, s, w, out := benchKey(b, rules)
			events := make([]*Event, 1024)
			for i := range events {
				events[i] = benchEvent(10)
				c.change(events[i], int64(i))
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				r.Step(s, events[n%len(events)], w, out)
				n++
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	_, s, _, _ := benchKey(b, DefaultRules())
	row := s.AppendRow(nil)
	b.SetBytes(int64(len(row)))
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Decode(row, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendRow(b *testing.B) {
	_, s, _, _ := benchKey(b, DefaultRules())
	row := s.AppendRow(nil)
	b.SetBytes(int64(len(row)))
	b.ReportAllocs()
	for b.Loop() {
		row = s.AppendRow(row[:0])
	}
}

// BenchmarkKey is all an event costs here: its row read, decided, written again.
func BenchmarkKey(b *testing.B) {
	r, s, w, out := benchKey(b, DefaultRules())
	row := s.AppendRow(nil)
	e := benchEvent(11)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Decode(row, nil); err != nil {
			b.Fatal(err)
		}
		r.Step(s, e, w, out)
		row = s.AppendRow(row[:0])
	}
}

func BenchmarkUUID(b *testing.B) {
	e := benchEvent(0)
	b.ReportAllocs()
	for b.Loop() {
		UUID(nil, e.AnonymousID, ID{Int: int64(e.Time)}, IDInt64)
	}
}

func BenchmarkParseTime(b *testing.B) {
	text := []byte("2026-03-02T12:34:56.789Z")
	b.ReportAllocs()
	for b.Loop() {
		ParseTime(text)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	for _, c := range stepCases {
		for _, idType := range []IDType{IDInt64, IDUUID, IDString} {
			if idType != IDInt64 && strings.HasSuffix(c.name, "ClientID") {
				continue // these clients send numbers
			}
			t.Run(fmt.Sprintf("%s/%d", c.name, idType), func(t *testing.T) {
				rules := DefaultRules()
				rules.IDType = idType
				c.rules(&rules)
				r, s, w, out := benchKey(t, rules)
				const room = 1 << 16
				row, history := s.AppendRow(make([]byte, 0, room)), make([]byte, 0, room)
				nextRow, nextHistory := make([]byte, 0, room), make([]byte, 0, room)
				e := benchEvent(10)
				n := int64(0)
				step := func() {
					if err := s.Decode(row, history); err != nil {
						t.Fatal(err)
					}
					n++
					c.change(e, n)
					r.Step(s, e, w, out)
					nextRow = s.AppendRow(nextRow[:0])
					nextHistory = s.AppendHistory(nextHistory[:0])
					row, nextRow = nextRow, row
					history, nextHistory = nextHistory, history
				}
				for range 400 {
					step() // the buffers grow to what they have to be
				}
				if allocs := testing.AllocsPerRun(500, step); allocs != 0 {
					t.Errorf("decode, step and append: %v allocations", allocs)
				}
			})
		}
	}
	for _, text := range []string{"2026-03-02T12:34:56.789+01:00", "1772409600123", "1772409600.5"} {
		b := []byte(text)
		if allocs := testing.AllocsPerRun(100, func() {
			ParseTime(b)
			ParseTimeNumber(b)
		}); allocs != 0 {
			t.Errorf("parse %s: %v allocations", text, allocs)
		}
	}
}
