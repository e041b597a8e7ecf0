package schemas

import (
	"encoding/json"
	"strings"
	"testing"

	"sessionizer/session"
)

// What each profile reads, writes and removes, on events of its system. Beside the session members
// every byte is kept, whatever the profile.

// stampOf is that of an event in a session which is the second one of its key.
func stampOf(id, previous session.ID, start bool) *session.Stamp {
	uuid := session.UUID(nil, []byte("9f3c2c2a-1d4b-4b7c-9c2a-8a3f6d3c0e91"),
		session.ID{Int: 1734260905123}, session.IDInt64)
	st := &session.Stamp{ID: id, UUID: uuid, Index: 2, EventIndex: 7, Previous: previous,
		StartedAt: 1734260905123, GapMs: 5, TimeoutMs: 1_800_000, FirstEvent: []byte("e-1"),
		Client: id, Campaign: []byte(`{"name":"x"}`)}
	if st.Start = start; start {
		st.EventIndex, st.Reason, st.GapMs = 1, session.ReasonInactivity, 0
	}
	return st
}

const stampUUID = "0193ca01-50bb-7b17-acea-34706793f387"

// roundTrip is an event and what becomes of it.
type roundTrip struct {
	name, event        string
	start, next, noone string // in a session that starts, that goes on, in none
}

func (i *roundTrip) check(t *testing.T, c *Codec, id, previous session.ID) {
	t.Helper()
	stamps := []*session.Stamp{stampOf(id, previous, true), stampOf(id, previous, false),
		{Status: session.NoSession}}
	for n, want := range []string{i.start, i.next, i.noone} {
		if want == "" {
			continue
		}
		got := spliced(t, c, i.event, stamps[n])
		if got != want {
			t.Errorf("%s\n in  %s\n got %s\nwant %s", i.name, i.event, got, want)
		}
		if again := spliced(t, c, got, stamps[n]); again != got {
			t.Errorf("%s again\n got %s\nwant %s", i.name, again, got)
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("%s: not JSON: %s", i.name, got)
		}
	}
	if got := spliced(t, c, i.event, &session.Stamp{Status: session.Bypass}); got != i.event {
		t.Errorf("%s untouched\n got %s", i.name, got)
	}
}

func profileCodec(t *testing.T, profile string, id session.IDType, fields ...string) *Codec {
	t.Helper()
	return newCodec(t, Config{Profile: Profile{Name: profile}, IDType: id, Fields: fields})
}

func TestRudderStackRoundTrips(t *testing.T) {
	const a = `{"anonymousId":"a"`
	const further = `"session":{"uuid":"` + stampUUID + `","index":2,"eventIndex":1,` +
		`"previousId":1734160905123,"startedAt":"2024-12-15T11:08:25.123Z"}`
	id, previous := session.ID{Int: 1734260905123}, session.ID{Int: 1734160905123}
	next := strings.Replace(further, `"eventIndex":1`, `"eventIndex":7`, 1)
	c := profileCodec(t, "rudderstack", session.IDInt64)
	for _, i := range []roundTrip{
		{"nothing there", a + `}`,
			a + `,"context":{"sessionId":1734260905123,"sessionStart":true,` + further + `}}`,
			a + `,"context":{"sessionId":1734260905123,` + next + `}}`, a + `}`},
		{"as the SDK sends it",
			a + `,"context":{"ip":"::1", "sessionId": 1029384756,"sessionStart":true,"x":1.0e0},"b":[ ]}`,
			a + `,"context":{"ip":"::1", "sessionId": 1734260905123,"sessionStart":true,"x":1.0e0,` +
				further + `},"b":[ ]}`,
			a + `,"context":{"ip":"::1", "sessionId": 1734260905123,"x":1.0e0,` + next + `},"b":[ ]}`,
			a + `,"context":{"ip":"::1","x":1.0e0},"b":[ ]}`},
		{"an older output", a + `,"context":{"sessionId":9,"session":{"id":9,"x":1},"sessionStart":false}}`,
			a + `,"context":{"sessionId":1734260905123,` + further + `,"sessionStart":true}}`,
			a + `,"context":{"sessionId":1734260905123,` + next + `}}`, a + `,"context":{}}`},
	} {
		i.check(t, c, id, previous)
	}
	minimal := roundTrip{"minimal", a + `,"context":{"sessionStart":false}}`,
		a + `,"context":{"sessionStart":true,"sessionId":1734260905123}}`,
		a + `,"context":{"sessionId":1734260905123}}`, a + `,"context":{}}`}
	minimal.check(t, profileCodec(t, "rudderstack", session.IDInt64, "minimal"), id, previous)
	full := spliced(t, profileCodec(t, "rudderstack", session.IDInt64, "full"), a+`}`,
		stampOf(id, previous, true))
	if want := `"startedAt":"2024-12-15T11:08:25.123Z","reason":"inactivity","timeoutMs":1800000,` +
		`"idSource":"client","clientId":1734260905123,"campaign":{"name":"x"}}}}`; !strings.HasSuffix(
		full, want) {
		t.Errorf("full\n got %s\nwant ...%s", full, want)
	}
}

func TestRudderStackReadsTheFlatPair(t *testing.T) {
	c := profileCodec(t, "rudderstack", session.IDInt64)
	for _, i := range []struct {
		context string
		id      int64
		invalid session.Invalid
		start   bool
	}{
		{`"sessionId":1029384756,"sessionStart":true`, 1029384756, 0, true},
		{`"sessionId":-123456789,"sessionStart":false`, -123456789, 0, false},
		{`"sessionId":123456789`, 0, session.InvalidShort, false},
		{`"sessionId":"1029384756"`, 0, session.InvalidType, false},
		{`"session":{"id":1029384756,"start":true}`, 0, 0, false},
		{`"sessionStart":true`, 0, 0, true},
	} {
		sc, bad := scanOne(t, c, `{"anonymousId":"a","context":{`+i.context+`}}`)
		if bad != nil {
			t.Fatal(bad)
		}
		e := &sc.Event
		if e.Client.Int != i.id || e.Invalid != i.invalid || e.Start != i.start {
			t.Errorf("%s: %d %v %v", i.context, e.Client.Int, e.Invalid, e.Start)
		}
	}
}

// entity is the name of Snowplow's client_session entity.
const entity = `"contexts_com_snowplowanalytics_snowplow_client_session_1"`

// snowplowIDs are a session's and that of the one before it.
func snowplowIDs() (id, previous session.ID) {
	return session.ID{Text: []byte("bca0fa0e-853c-41cf-9cc4-15048f6f0ff5")},
		session.ID{Text: []byte("fa008142-c427-4289-8424-6fb2b6576692")}
}

func TestSnowplowRoundTrips(t *testing.T) {
	const (
		user     = `7a62ec9d-2aa0-4426-b014-eba2d0dcfebb`
		ofWeb    = `{"event_id":"e-2","domain_userid":"` + user + `"`
		id       = `bca0fa0e-853c-41cf-9cc4-15048f6f0ff5`
		previous = `fa008142-c427-4289-8424-6fb2b6576692`
		ours     = `"sessionId":"` + id + `","sessionIndex":2,"eventIndex":1,"previousSessionId":"` +
			previous + `","firstEventId":"e-1","firstEventTimestamp":"2024-12-15T11:08:25.123Z"`
		made = entity + `:[{"userId":"` + user + `",` + ours + `,"storageMechanism":"LOCAL_STORAGE"}]`
		flat = `"domain_sessionid":"` + id + `","domain_sessionidx":2`
	)
	continued := func(s string) string { return strings.ReplaceAll(s, `"eventIndex":1`, `"eventIndex":7`) }
	x, y := snowplowIDs()
	for _, fields := range []string{"minimal", "standard"} {
		c := profileCodec(t, "snowplow", session.IDUUID, fields)
		for _, i := range []roundTrip{
			{"web", ofWeb + `,"domain_sessionid":"` + previous + `","domain_sessionidx":9,"x":1.0e0}`,
				ofWeb + `,` + flat + `,"x":1.0e0,` + made + `}`,
				ofWeb + `,` + flat + `,"x":1.0e0,` + continued(made) + `}`, ofWeb + `,"x":1.0e0}`},
			{"web without a session", ofWeb + `,"domain_sessionid":null,"domain_sessionidx":null}`,
				ofWeb + `,` + flat + `,` + made + `}`, "", ofWeb + `}`},
			{"mobile", `{"domain_userid":null, ` + entity + `:[{"sessionIndex":9, "userId":"` + user +
				`","sessionId":"` + previous + `","previousSessionId":null,"storageMechanism":"SQLITE",` +
				`"_schema_version":"1-0-2"}]}`,
				`{"domain_userid":"` + user + `", ` + entity + `:[{"sessionIndex":2, "userId":"` + user +
					`","sessionId":"` + id + `","previousSessionId":"` + previous +
					`","storageMechanism":"SQLITE","_schema_version":"1-0-2","eventIndex":1,` +
					`"firstEventId":"e-1","firstEventTimestamp":"2024-12-15T11:08:25.123Z"}],` + flat + `}`,
				"", `{"domain_userid":null, ` + entity + `:[{ "userId":"` + user +
					`","storageMechanism":"SQLITE","_schema_version":"1-0-2"}]}`},
			{"both, with two users", `{"domain_userid":"other",` + entity + `:[{"userId":"` + user + `"}]}`,
				`{"domain_userid":"` + user + `",` + entity + `:[{"userId":"` + user + `",` + ours +
					`,"storageMechanism":"LOCAL_STORAGE"}],` + flat + `}`, "",
				`{"domain_userid":"other",` + entity + `:[{"userId":"` + user + `"}]}`},
			{"anonymous", `{"domain_userid":null,` + entity + `:[{"userId":"` + nilUUID +
				`","sessionId":"` + previous + `"}]}`,
				`{"domain_userid":null,` + entity + `:[{"userId":"` + nilUUID + `",` + ours +
					`,"storageMechanism":"LOCAL_STORAGE"}],` + flat + `}`, "", ""},
		} {
			i.check(t, c, x, y)
		}
	}
}

func TestSnowplowsFurtherFieldsHaveTheirOwnEntity(t *testing.T) {
	id, _ := snowplowIDs()
	st := stampOf(id, session.ID{}, true)
	st.FirstEvent = nil
	got := spliced(t, profileCodec(t, "snowplow", session.IDUUID, "full"), `{"domain_userid":"u"}`, st)
	const want = `{"domain_userid":"u",` + entity + `:[{"userId":"u",` +
		`"sessionId":"bca0fa0e-853c-41cf-9cc4-15048f6f0ff5","sessionIndex":2,"eventIndex":1,` +
		`"previousSessionId":null,"firstEventTimestamp":"2024-12-15T11:08:25.123Z",` +
		`"storageMechanism":"LOCAL_STORAGE"}],` +
		`"domain_sessionid":"bca0fa0e-853c-41cf-9cc4-15048f6f0ff5","domain_sessionidx":2,` +
		`"contexts_sessionizer_session_1":[{"reason":"inactivity","timeoutMs":1800000,` +
		`"idSource":"client","clientId":"bca0fa0e-853c-41cf-9cc4-15048f6f0ff5","campaign":{"name":"x"}}]}`
	if got != want {
		t.Errorf(" got %s\nwant %s", got, want)
	}
	late := &session.Stamp{Status: session.TooLate}
	got = spliced(t, profileCodec(t, "snowplow", session.IDUUID, "full"), `{"domain_userid":"u"}`, late)
	if want := `{"domain_userid":"u","contexts_sessionizer_session_1":[{"state":"too_late"}]}`; got != want {
		t.Errorf(" got %s\nwant %s", got, want)
	}
}

func TestSnowplowReadsBothAndTheEntityWins(t *testing.T) {
	const a, b = `bca0fa0e-853c-41cf-9cc4-15048f6f0ff5`, `fa008142-c427-4289-8424-6fb2b6576692`
	c := profileCodec(t, "snowplow", session.IDUUID)
	for _, i := range []struct {
		event, key, id string
		invalid        session.Invalid
		kind           session.Kind
	}{
		{`"domain_userid":"u","domain_sessionid":"` + a + `","event":"page_view","event_name":"page_view"`,
			"u", a, 0, session.KindPage},
		{`"domain_userid":"u","domain_sessionid":"` + a + `","event":"unstruct",` + entity +
			`:[{"userId":"v","sessionId":"` + strings.ToUpper(b) + `"}],"event_name":"screen_view"`,
			"v", b, 0, session.KindScreen},
		{`"domain_userid":"u","domain_sessionid":"` + a + `",` + entity + `:[{"sessionId":"x"}]`,
			"u", "", session.InvalidUUID, session.KindOther},
		{`"domain_userid":"u","domain_sessionid":null,` + entity + `:null,"event":"struct"`,
			"u", "", session.InvalidBlank, session.KindTrack},
		{`"domain_userid":"u","event":"unstruct","event_name":"link_click"`, "u", "", 0, session.KindTrack},
		{`"domain_userid":"u","event":"page_ping","event_name":"page_ping"`, "u", "", 0, session.KindOther},
		{`"domain_userid":null,` + entity + `:[{"userId":"` + nilUUID + `","sessionId":"` + a + `"}]`,
			a, a, 0, session.KindOther},
		{`"domain_userid":null,` + entity + `:[{"userId":"` + nilUUID + `","sessionId":"` +
			strings.ToUpper(a) + `"}]`, a, a, 0, session.KindOther},
		{`"domain_sessionid":"` + strings.ToUpper(a) + `"`, a, a, 0, session.KindOther},
		{`"domain_sessionid":"X-` + a + `"`, "X-" + a, "", session.InvalidUUID, session.KindOther},
		{`"domain_userid":"` + strings.ToUpper(b) + `","domain_sessionid":"` + a + `"`,
			strings.ToUpper(b), a, 0, session.KindOther},
	} {
		sc, bad := scanOne(t, c, `{"derived_tstamp":"2024-12-15T11:08:25.123Z",`+i.event+`}`)
		if bad != nil {
			t.Errorf("%s: %v", i.event, bad)
			continue
		}
		e := &sc.Event
		if string(e.AnonymousID) != i.key || string(e.Client.Text) != i.id || e.Invalid != i.invalid ||
			e.Kind != i.kind || e.Time != 1734260905123 {
			t.Errorf("%s: key %q, id %q %v, kind %d, at %d", i.event, e.AnonymousID, e.Client.Text,
				e.Invalid, e.Kind, e.Time)
		}
	}
}

func TestTracardiRoundTrips(t *testing.T) {
	const p = `{"type":"page-view","profile":{"id":"p"}`
	id, previous := session.ID{Text: []byte(`s"1`)}, session.ID{Text: []byte("s0"), Int: 1000}
	c := profileCodec(t, "tracardi", session.IDString)
	const ours = `"start":true,"uuid":"` + stampUUID + `","index":2,"eventIndex":1,` +
		`"previousId":"s0","startedAt":"2024-12-15T11:08:25.123Z"`
	for _, i := range []roundTrip{
		{"nothing there", p + `}`, p + `,"session":{"id":"s\"1",` + ours + `}}`, "", p + `}`},
		{"as the tracker sends it", p + `,"session":{"id":"x","metadata":{"create":1.0e0}},"a":[ ]}`,
			p + `,"session":{"id":"s\"1","metadata":{"create":1.0e0},` + ours + `},"a":[ ]}`, "",
			p + `,"session":{"metadata":{"create":1.0e0}},"a":[ ]}`},
	} {
		i.check(t, c, id, previous)
	}
	minimal := roundTrip{"minimal", p + `,"session":{"id":"x"}}`,
		p + `,"session":{"id":"s\"1","start":true}}`, p + `,"session":{"id":"s\"1"}}`,
		p + `,"session":{}}`}
	minimal.check(t, profileCodec(t, "tracardi", session.IDString, "minimal"), id, previous)

	for event, want := range map[string]string{
		p + `,"session":{"id":"@debug-session-id"}}`: "p  debug",
		p + `,"session":{"id":" "}}`:                 "p  blank",
		p + `,"session":{"id":"s1"}}`:                "p s1 ",
	} {
		sc, bad := scanOne(t, c, event)
		if bad != nil {
			t.Fatal(bad)
		}
		e := &sc.Event
		got := string(e.AnonymousID) + " " + string(e.Client.Text) + " " + e.Invalid.String()
		if e.Debug {
			got += "debug"
		}
		if got != want || e.Kind != session.KindPage {
			t.Errorf("%s: %s, kind %d", event, got, e.Kind)
		}
	}
}

// The records about visits have the same members in every profile but for what it says of their
// form.
func TestVisitRecordsPerProfile(t *testing.T) {
	const (
		rest = `"session":{"id":"s","uuid":"` + stampUUID + `","index":3},"reason":"inactivity",` +
			`"revision":1,"startedAt":"2024-12-15T11:08:25.123Z","endedAt":"2024-12-15T11:08:26.123Z",` +
			`"durationMs":1000,"activeMs":1000,"timeoutMs":5,"counts":{"events":2,"pages":0,"screens":0,` +
			`"tracks":0,"late":0,"duplicates":0,"attached":0},"entry":{"url":"u"},` +
			`"origin":{"topic":"e","partition":0,"firstOffset":0,"lastOffset":1,"decidedAt":2}`
		common = `"messageId":"` + stampUUID + `-1","anonymousId":"a\"",` + rest
	)
	st := stampOf(session.ID{}, session.ID{}, false)
	e := &session.Ended{Reason: session.ReasonInactivity, Revision: 1, AmendableUntil: session.NoTime,
		Session: session.Session{ID: session.ID{Text: []byte("s")}, UUID: st.UUID, Index: 3,
			First: 1734260905123, Last: 1734260906123, ActiveMs: 1000, Timeout: 5, Events: 2,
			LastOffset: 1, Entry: session.Text{Bytes: []byte(`{"url":"u"}`)}}}
	track := [2]string{`{"type":"track","event":"Visit Started",` + common + `}`,
		`{"type":"track","event":"Visit Ended",` + common + `}`}
	const visits = `,"profile":{"id":"a\"","metadata":{"time":{"visit":{"count":3}}}}}`
	for profile, want := range map[string][2]string{
		"krenalis": track, "rudderstack": track, "segment": track, "snowplow": track,
		"tracardi": {`{"type":"visit-started","event":"Visit Started",` + common + visits,
			`{"type":"visit-ended","event":"Visit Ended",` + common + visits},
	} {
		c := profileCodec(t, profile, session.IDString)
		o := Origin{Topic: "e", DecidedAt: 2}
		got := [2]string{string(c.AppendStarted(nil, nil, []byte(`a"`), e, o)),
			string(c.AppendEnded(nil, nil, []byte(`a"`), e, o))}
		for i := range got {
			if got[i] != want[i] || !json.Valid([]byte(got[i])) {
				t.Errorf("%s\n got %s\nwant %s", profile, got[i], want[i])
			}
		}
	}
}

func TestVisitMembersAreChecked(t *testing.T) {
	p, err := LoadProfile("tracardi")
	if err != nil {
		t.Fatal(err)
	}
	p.Visits.Members = map[string]string{"a": "id", "a.b": "uuid", "c": "x", "origin.d": "id",
		"": "id"}
	_, err = NewCodec(Config{Profile: p})
	checkError(t, err, "visits.members: a: lies around another", `visits.members.c: field "x": want one`,
		"visits.members.origin.d: origin is a member", `visits.members.: path ""`)
	p.Visits.Members = map[string]string{"a.x": "id", "a.b": "uuid", "c": "index"}
	c, err := NewCodec(Config{Profile: p})
	if err != nil {
		t.Fatal(err)
	}
	e := &session.Ended{Session: session.Session{ID: session.ID{Int: 5}, Index: 2}}
	got := string(c.AppendEnded(nil, nil, []byte("a"), e, Origin{}))
	if want := `},"a":{"b":"` + nilUUID + `","x":5},"c":2}`; !strings.HasSuffix(got, want) {
		t.Errorf(" got %s\nwant ...%s", got, want)
	}
}
