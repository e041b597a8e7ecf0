package schemas

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"sessionizer/session"
)

// Visit Ended and dead letters are read by other programs: their members are a promise.

func TestVisitEndedSaysEverything(t *testing.T) {
	id := session.ID{Int: 1734260905123}
	e := &session.Ended{
		Session: session.Session{ID: id, Previous: session.ID{Int: 1734160905123}, Index: 4,
			UUID:  session.UUID(nil, []byte("9f3c2c2a-1d4b-4b7c-9c2a-8a3f6d3c0e91"), id, session.IDInt64),
			First: 1734260905123, Last: 1734260965124, ActiveMs: 59_000, Timeout: 1_800_000,
			Events: 9, Pages: 1, Screens: 2, Tracks: 3, Late: 4, Duplicates: 5, Attached: 6,
			FirstOffset: 100, LastOffset: 200, FirstEvent: []byte("m1"), LastEvent: []byte("m\"2"),
			FirstUser: session.Text{Bytes: []byte("u0")}, LastUser: session.Text{Bytes: []byte("u1")}},
		Reason: session.ReasonInactivity, Revision: 2, AmendableUntil: 1734349165124,
	}
	got := string(codecOf(t, "krenalis").AppendEnded([]byte("x"), []byte("app\n"),
		[]byte("9f3c2c2a-1d4b-4b7c-9c2a-8a3f6d3c0e91"), e, Origin{"events", 7, 201}))
	const want = `x{"type":"track","event":"Visit Ended","messageId":"0193ca01-50bb-7b17-acea-34706793f387-2",` +
		`"anonymousId":"9f3c2c2a-1d4b-4b7c-9c2a-8a3f6d3c0e91","userId":"u1","firstUserId":"u0","source":"app\n",` +
		`"session":{"id":1734260905123,"uuid":"0193ca01-50bb-7b17-acea-34706793f387","index":4,` +
		`"previousId":1734160905123},"reason":"inactivity","revision":2,` +
		`"startedAt":"2024-12-15T11:08:25.123Z","endedAt":"2024-12-15T11:09:25.124Z",` +
		`"durationMs":60001,"activeMs":59000,"timeoutMs":1800000,"amendableUntil":"2024-12-16T11:39:25.124Z",` +
		`"counts":{"events":9,"pages":1,"screens":2,"tracks":3,"late":4,"duplicates":5,"attached":6},` +
		`"firstEventId":"m1","lastEventId":"m\"2",` +
		`"origin":{"topic":"events","partition":7,"firstOffset":100,"lastOffset":200,"decidedAt":201}}`
	if got != want {
		t.Errorf(" got %s\nwant %s", got, want)
	}
	if !json.Valid([]byte(got[1:])) {
		t.Error("not JSON")
	}
}

func TestVisitEndedLeavesOutWhatIsNotThere(t *testing.T) {
	e := &session.Ended{
		Session: session.Session{ID: session.ID{Text: []byte("s1"), Int: 1000}, Index: 1, Timeout: 5,
			First: -1, Last: 9},
		Reason: session.ReasonMerged, Revision: 1, MergedInto: session.ID{Text: []byte("s0")},
		AmendableUntil: session.NoTime,
	}
	got := string(codecOf(t, "segment").AppendEnded(nil, nil, []byte("a\xff"), e, Origin{Topic: "e"}))
	const want = `{"type":"track","event":"Visit Ended","messageId":"00000000-0000-0000-0000-000000000000-1",` +
		`"anonymousId":"a` + "\ufffd" + `","session":{"id":"s1","uuid":"00000000-0000-0000-0000-000000000000","index":1},` +
		`"reason":"merged","revision":1,"mergedInto":"s0","startedAt":"1969-12-31T23:59:59.999Z",` +
		`"endedAt":"1970-01-01T00:00:00.009Z","durationMs":0,"activeMs":0,"timeoutMs":5,` +
		`"counts":{"events":0,"pages":0,"screens":0,"tracks":0,"late":0,"duplicates":0,"attached":0},` +
		`"origin":{"topic":"e","partition":0,"firstOffset":0,"lastOffset":0,"decidedAt":0}}`
	if got != want {
		t.Errorf(" got %s\nwant %s", got, want)
	}
}

func TestVisitEndedNamesTheFirstUserWhereItIsAnother(t *testing.T) {
	user := func(s string) session.Text { return session.Text{Bytes: []byte(s)} }
	for _, i := range [][3]string{
		{"u", "u", `"anonymousId":"a","userId":"u","session"`},
		{"u", "v", `"anonymousId":"a","userId":"v","firstUserId":"u","session"`},
		{"", "", `"anonymousId":"a","session"`},
	} {
		e := &session.Ended{Session: session.Session{FirstUser: user(i[0]), LastUser: user(i[1])}}
		got := string(codecOf(t, "segment").AppendEnded(nil, nil, []byte("a"), e, Origin{}))
		if !strings.Contains(got, i[2]) {
			t.Errorf("%s\nwant %s", got, i[2])
		}
	}
}

func TestVisitEndedSaysWhatTheSessionCollected(t *testing.T) {
	text := func(s string) session.Text { return session.Text{Bytes: []byte(s)} }
	e := &session.Ended{Session: session.Session{ID: session.ID{Int: 5}, Foreground: 2, Background: 1,
		FirstEvent: []byte("m1"), Entry: text(`{"url":"a"}`), Exit: text(`{"screen":"b"}`),
		Campaign: text(`{"name":"c"}`), Referrer: text(`"d"`), Context: text(`{"os":{"name":"e"}}`)},
		AmendableUntil: session.NoTime}
	got := string(codecOf(t, "segment").AppendEnded(nil, nil, []byte("a"), e, Origin{}))
	const want = `"attached":0},"foregroundIndex":2,"backgroundIndex":1,"firstEventId":"m1",` +
		`"entry":{"url":"a"},"exit":{"screen":"b"},"campaign":{"name":"c"},"referrer":"d",` +
		`"context":{"os":{"name":"e"}},"origin":`
	if !strings.Contains(got, want) || !json.Valid([]byte(got)) {
		t.Errorf(" got %s\nwant %s", got, want)
	}
}

func TestVisitStartedHasTheFormOfVisitEnded(t *testing.T) {
	e := &session.Ended{Session: session.Session{ID: session.ID{Int: 1000}, Index: 1, Timeout: 5,
		First: 1000, Last: 1000, Events: 1}, Reason: session.ReasonFirst,
		AmendableUntil: session.NoTime}
	got := string(codecOf(t, "segment").AppendStarted(nil, nil, []byte("a"), e, Origin{Topic: "e"}))
	const want = `{"type":"track","event":"Visit Started",` +
		`"messageId":"00000000-0000-0000-0000-000000000000-0","anonymousId":"a",` +
		`"session":{"id":1000,"uuid":"00000000-0000-0000-0000-000000000000","index":1},` +
		`"reason":"first","revision":0,"startedAt":"1970-01-01T00:00:01.000Z",` +
		`"endedAt":"1970-01-01T00:00:01.000Z","durationMs":0,"activeMs":0,"timeoutMs":5,` +
		`"counts":{"events":1,"pages":0,"screens":0,"tracks":0,"late":0,"duplicates":0,"attached":0},` +
		`"origin":{"topic":"e","partition":0,"firstOffset":0,"lastOffset":0,"decidedAt":0}}`
	if got != want {
		t.Errorf(" got %s\nwant %s", got, want)
	}
}

func TestVisitEndedIsAmendableNoLongerThanTimeGoes(t *testing.T) {
	e := &session.Ended{AmendableUntil: session.TimeMax + 1}
	got := string(codecOf(t, "segment").AppendEnded(nil, nil, []byte("a"), e, Origin{}))
	if !strings.Contains(got, `"amendableUntil":"9999-12-31T23:59:59.999Z"`) {
		t.Error(got)
	}
}

func TestDeadLetterHeaders(t *testing.T) {
	before := []Header{{"h", []byte("v")}, {HeaderErrorTopic, []byte("earlier")}}
	bad := &BadInput{NoKey, "the anonymous ID is absent or blank"}
	got := DeadLetterHeaders(before, "events", 3, 1<<40, bad)
	want := [][2]string{{"h", "v"}, {"__sessionizer.errors.topic", "earlier"},
		{"__sessionizer.errors.topic", "events"}, {"__sessionizer.errors.partition", "3"},
		{"__sessionizer.errors.offset", "1099511627776"}, {"__sessionizer.errors.reason", "no_key"},
		{"__sessionizer.errors.message", "the anonymous ID is absent or blank"}}
	if len(got) != len(want) {
		t.Fatalf("%d headers", len(got))
	}
	for i, h := range got {
		if h.Key != want[i][0] || string(h.Value) != want[i][1] {
			t.Errorf("%s: %s, want %v", h.Key, h.Value, want[i])
		}
	}
}

func TestDeadLetterLines(t *testing.T) {
	b := &BadInput{Malformed, `unexpected "x"`}
	for original, want := range map[string]string{
		`{"a":1`: `{"line":7,"reason":"malformed","message":"unexpected \"x\"","original":"{\"a\":1"}` + "\n",
		"\u0001é\t\u2028": `{"line":7,"reason":"malformed","message":"unexpected \"x\"","original":"\u0001é\t` +
			"\u2028" + `"}` + "\n",
		"\xffé": `{"line":7,"reason":"malformed","message":"unexpected \"x\"","originalBase64":"` +
			base64.StdEncoding.EncodeToString([]byte("\xffé")) + `"}` + "\n",
	} {
		if got := string(AppendDeadLetterLine(nil, 7, []byte(original), b)); got != want {
			t.Errorf("%q\n got %s\nwant %s", original, got, want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte("a\"\\\b\f\n\r\t\x00\x1f\x7fé€😀\u2028\xff\xc0\x80\xed\xa0\x80"))
	f.Fuzz(func(t *testing.T, text []byte) {
		quoted := appendText(nil, text)
		var back string
		if err := json.Unmarshal(quoted, &back); err != nil {
			t.Fatalf("%q: %s: %v", text, quoted, err)
		}
		if want := string([]rune(string(text))); back != want {
			t.Fatalf("%q: %q, want %q", text, back, want)
		}
		if again := string(unquote(nil, quoted[1:len(quoted)-1])); again != back {
			t.Fatalf("%q: %q", text, again)
		}
	})
}
