package schemas

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"sessionizer/internal/avrojson"
	"sessionizer/session"
)

// A visit says the same in Avro as in JSON, member by member: times as times, absent members as
// null. Here with made-up visits that have everything a session may collect; the program's tests
// compare the visits of all conformance cases.

func TestVisitsAreTheSameInAvroAndJSON(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for _, profile := range Profiles() {
		p, err := LoadProfile(profile)
		if err != nil {
			t.Fatal(err)
		}
		forms := visitForms(t, p)
		asJSON := newCodec(t, Config{Profile: p})
		asAvro := newCodec(t, Config{Profile: p, VisitsFormat: FormatAvro})
		for range 500 {
			e, o := randomEnded(r), Origin{"events", int32(r.IntN(9)), r.Int64()}
			source, anonymousID := randomText(r), append(randomText(r), 'a')
			for _, one := range []struct{ json, avro appendVisitFunc }{
				{asJSON.AppendEnded, asAvro.AppendEnded}, {asJSON.AppendStarted, asAvro.AppendStarted},
			} {
				text := one.json(nil, source, anonymousID, e, o)
				record := one.avro(nil, source, anonymousID, e, o)
				if err := forms.Compare(record, text); err != nil {
					t.Fatalf("%s: %v\n%s", profile, err, text)
				}
			}
		}
	}
}

type appendVisitFunc func(dst, source, anonymousID []byte, e *session.Ended, o Origin) []byte

// visitForms compares visits, but for what a profile adds in JSON.
func visitForms(t *testing.T, p Profile) *avrojson.Form {
	t.Helper()
	var added []string
	for path := range p.Visits.Members {
		name, _, _ := strings.Cut(path, ".")
		added = append(added, name)
	}
	forms, err := avrojson.New(VisitSchema(), added...)
	if err != nil {
		t.Fatal(err)
	}
	return forms
}

// randomText is empty at times, and not always UTF-8.
func randomText(r *rand.Rand) []byte {
	pieces := []string{"", "", "a", "\"", "\\", "\n", "\x00", "é", "\u2028", "😀", "\xff",
		"\xed\xa0\x80"}
	var text []byte
	for range r.IntN(4) {
		text = append(text, pieces[r.IntN(len(pieces))]...)
	}
	return text
}

func randomID(r *rand.Rand) session.ID {
	if r.IntN(3) == 0 {
		return session.ID{Text: append(randomText(r), 's')}
	}
	return session.ID{Int: 1 + r.Int64() - r.Int64N(1<<40)}
}

// randomEnded has the extremes of every member.
func randomEnded(r *rand.Rand) *session.Ended {
	count := func() uint64 { return r.Uint64() >> (1 + r.IntN(63)) }
	index := func() uint32 { return r.Uint32() >> r.IntN(33) }
	text := func() session.Text { return session.Text{Bytes: randomText(r)} }
	one := func(of ...string) session.Text { return session.Text{Bytes: []byte(of[r.IntN(len(of))])} }
	times := []session.Time{0, -1, 1, 1734260905123, -62135596800000, session.TimeMax}
	e := &session.Ended{
		Session: session.Session{
			ID: randomID(r), Index: 1 + index()>>1, First: times[r.IntN(len(times))],
			Last: times[r.IntN(len(times))], ActiveMs: session.Millis(r.Int64()),
			Timeout: session.Millis(r.Int64()),
			Events:  count(), Pages: count(), Screens: count(), Tracks: count(), Late: count(),
			Duplicates: count(), Attached: count(), FirstOffset: r.Int64(), LastOffset: r.Int64(),
			FirstEvent: randomText(r), LastEvent: randomText(r), FirstUser: text(), LastUser: text(),
			Entry:    one("", `{"url":"https://x.io/?a=b#\"\u0001"}`, `{"screen":"Köln"}`),
			Exit:     one("", `{"url":"u"}`, `{"screen":"\\"}`),
			Campaign: one("", `{"name":"spring","source":"\u2028","x.y":"z","gclid":"1"}`),
			Referrer: one("", `"https://x.io/"`, `"a\"b"`),
			Context: one("", `{"device":{"type":"phone","ram":8.0e1,"a":{"b":true}},"locale":"de","n":`+
				`12345678901234567890}`),
			Foreground: index(), Background: index(),
		},
		Reason:   session.Reason(1 + r.IntN(int(session.ReasonMerged))),
		Revision: index(), AmendableUntil: times[r.IntN(len(times))],
	}
	for i := range e.Session.UUID {
		e.Session.UUID[i] = byte(r.Uint32())
	}
	if r.IntN(2) == 0 {
		e.Session.Previous, e.MergedInto, e.AmendableUntil = randomID(r), randomID(r), session.NoTime
	}
	return e
}

// A difference must be found, whatever it is in.
func TestVisitsThatDifferAreFoundOut(t *testing.T) {
	p, err := LoadProfile("tracardi")
	if err != nil {
		t.Fatal(err)
	}
	asJSON := newCodec(t, Config{Profile: p})
	asAvro := newCodec(t, Config{Profile: p, VisitsFormat: FormatAvro})
	e := randomEnded(rand.New(rand.NewPCG(1, 1)))
	e.Session.Context.Bytes = []byte(`{"a":{"b":"c"}}`)
	text := asJSON.AppendEnded(nil, nil, []byte("a"), e, Origin{})
	forms := visitForms(t, p)
	record := asAvro.AppendEnded(nil, nil, []byte("a"), e, Origin{})
	if err := forms.Compare(record, text); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(x *session.Session){
		"a count":     func(x *session.Session) { x.Tracks++ },
		"a time":      func(x *session.Session) { x.First++ },
		"an id":       func(x *session.Session) { x.ID = session.ID{Int: 77} },
		"a text":      func(x *session.Session) { x.LastEvent = []byte("other") },
		"an absence":  func(x *session.Session) { x.Context.Bytes = nil },
		"the context": func(x *session.Session) { x.Context.Bytes = []byte(`{"a":{"b":"d"}}`) },
	} {
		other := *e
		change(&other.Session)
		record := asAvro.AppendEnded(nil, nil, []byte("a"), &other, Origin{})
		if forms.Compare(record, text) == nil {
			t.Errorf("%s that differs was not found out", what)
		}
	}
}

func TestVisitsInAvroAreFramedWhereARegistryKnowsTheirSchema(t *testing.T) {
	e := randomEnded(rand.New(rand.NewPCG(2, 2)))
	config := Config{Profile: Profile{Name: "krenalis"}, VisitsFormat: FormatAvro}
	bare, framed := newCodec(t, config), newCodec(t, config)
	const id = 1<<31 + 7
	framed.FrameVisits(id)
	for _, one := range []struct{ bare, framed appendVisitFunc }{
		{bare.AppendStarted, framed.AppendStarted}, {bare.AppendEnded, framed.AppendEnded},
	} {
		want := binary.BigEndian.AppendUint32([]byte("before\x00"), id)
		want = one.bare(want, nil, []byte("a"), e, Origin{})
		got := one.framed([]byte("before"), nil, []byte("a"), e, Origin{})
		if !bytes.Equal(got, want) {
			t.Errorf(" got %q\nwant %q", got, want)
		}
	}
}
