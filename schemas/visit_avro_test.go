package schemas

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"

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
		asJSON := newCodec(t, Config{Profile: p})
		asAvro := newCodec(t, Config{Profile: p, VisitsFormat: FormatAvro})
		for range 500 {
			e, o := randomEnded(r), Origin{"events", int32(r.IntN(9)), r.Int64()}
			source, anonymousID := randomText(r), append(randomText(r), 'a')
			for _, one := range []struct{ json, avro appendVisitFunc }{
				{asJSON.AppendEnded, asAvro.AppendEnded}, {asJSON.AppendStarted, asAvro.AppendStarted},
			} {
				text := one.json(nil, source, anonymousID, e, o)
				if err := sameVisit(p, text, one.avro(nil, source, anonymousID, e, o)); err != nil {
					t.Fatalf("%s: %v\n%s", profile, err, text)
				}
			}
		}
	}
}

type appendVisitFunc func(dst, source, anonymousID []byte, e *session.Ended, o Origin) []byte

// sameVisit says how a visit in Avro differs from that in JSON, but for what the profile adds.
func sameVisit(p Profile, asJSON, asAvro []byte) error {
	codec, err := goavro.NewCodec(VisitSchema())
	if err != nil {
		return err
	}
	native, rest, err := codec.NativeFromBinary(asAvro)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("%d bytes are left", len(rest))
	}
	var want map[string]any
	d := json.NewDecoder(bytes.NewReader(asJSON))
	d.UseNumber()
	if err := d.Decode(&want); err != nil {
		return err
	}
	for path := range p.Visits.Members {
		name, _, _ := strings.Cut(path, ".")
		delete(want, name)
	}
	if context, ok := want["context"].(map[string]any); ok {
		flat := map[string]any{}
		flattenWith(flat, "", context)
		want["context"] = flat
	}
	got := undressed(native)
	if !reflect.DeepEqual(got, any(want)) {
		return fmt.Errorf("the Avro record says\n%v", got)
	}
	return nil
}

// flattenWith puts the scalars of an object into flat, by their paths.
func flattenWith(flat map[string]any, prefix string, object map[string]any) {
	for name, value := range object {
		switch value := value.(type) {
		case map[string]any:
			flattenWith(flat, prefix+name+".", value)
		case bool:
			flat[prefix+name] = fmt.Sprint(value)
		case json.Number:
			flat[prefix+name] = value.String()
		default:
			flat[prefix+name] = value
		}
	}
}

// undressed is what goavro decoded as encoding/json decodes: without the names of unions' branches
// and without what is null.
func undressed(native any) any {
	switch v := native.(type) {
	case map[string]any:
		if len(v) == 1 {
			for branch, value := range v {
				if slices.Contains([]string{"string", "long", "map", "long.timestamp-millis",
					"sessionizer.VisitPlace"}, branch) {
					return undressed(value)
				}
			}
		}
		members := map[string]any{}
		for name, value := range v {
			if value != nil {
				members[name] = undressed(value)
			}
		}
		return members
	case time.Time:
		return v.UTC().Format("2006-01-02T15:04:05.000Z")
	case int32, int64:
		return json.Number(fmt.Sprint(v))
	}
	return native
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
	if err := sameVisit(p, text, asAvro.AppendEnded(nil, nil, []byte("a"), e, Origin{})); err != nil {
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
		if sameVisit(p, text, asAvro.AppendEnded(nil, nil, []byte("a"), &other, Origin{})) == nil {
			t.Errorf("%s that differs was not found out", what)
		}
	}
}

func TestVisitsInAvroAreFramedWhereARegistryKnowsTheirSchema(t *testing.T) {
	e := randomEnded(rand.New(rand.NewPCG(2, 2)))
	bare := newCodec(t, Config{Profile: Profile{Name: "krenalis"}, VisitsFormat: FormatAvro})
	framed := newCodec(t, Config{Profile: Profile{Name: "krenalis"}, VisitsFormat: FormatAvro,
		VisitsSchemaIDs: VisitsSchemaIDs{Started: 1<<31 + 7, Ended: 300, Framed: true}})
	for _, one := range []struct {
		id           uint32
		bare, framed appendVisitFunc
	}{
		{1<<31 + 7, bare.AppendStarted, framed.AppendStarted},
		{300, bare.AppendEnded, framed.AppendEnded},
	} {
		want := binary.BigEndian.AppendUint32([]byte("before\x00"), one.id)
		want = one.bare(want, nil, []byte("a"), e, Origin{})
		got := one.framed([]byte("before"), nil, []byte("a"), e, Origin{})
		if !bytes.Equal(got, want) {
			t.Errorf(" got %q\nwant %q", got, want)
		}
	}
}
