package schemas

import (
	"fmt"
	"strings"
	"testing"

	"sessionizer/session"
)

// An event that is read wrongly goes to the wrong session for ever: each sentence about what is
// read, and what is refused, has its line here.

// scanOne scans an event of a profile at a record time behind every time in these tests.
func scanOne(t *testing.T, c *Codec, value string) (*Scanned, *BadInput) {
	t.Helper()
	sc := &Scanned{}
	b := c.Scan([]byte(value), Record{Key: []byte("the-key"), Timestamp: recordTime}, sc)
	return sc, b
}

// eventText is a scanned event with its details, to compare it by.
func eventText(sc *Scanned) string {
	e := sc.Event
	details := ""
	if e.Details != nil {
		d := e.Details
		details = fmt.Sprintf(" %s %s %s", d.Referrer(), d.Campaign(), d.Context())
	}
	e.Details = nil
	return fmt.Sprintf("%+v%s", e, details)
}

const recordTime = session.Time(1_800_000_000_000)

func TestScanReadsTheWholeEvent(t *testing.T) {
	c := codecOf(t, "krenalis")
	sc, bad := scanOne(t, c, string(benchEvents()["krenalis"]))
	if bad != nil {
		t.Fatal(bad)
	}
	got := eventText(sc)
	want := fmt.Sprintf("%+v", session.Event{Time: 1734260905924,
		AnonymousID: []byte("9f3c2c2a-1d4b-4b7c-9c2a-8a3f6d3c0e91"),
		Client:      session.ID{Int: 1734260905123}, Start: true,
		Kind: session.KindTrack, UserID: []byte("u-507f1f77"),
		MessageID: []byte("ajs-next-1734260905123-7b1f2c3d-4e5f-6a7b-8c9d-0e1f2a3b4c5d")}) +
		` "https://www.google.com/" {"source":"google","medium":"cpc"} {"locale":"en-US"}`
	if got != want || sc.Notes != 0 {
		t.Errorf("got  %s\nwant %s\nnotes %v", got, want, sc.Notes)
	}
}

func TestScanFindsTheAnonymousID(t *testing.T) {
	const rest = `,"timestamp":1700000000000}`
	long := strings.Repeat("x", anonymousIDBytesDefault)
	for _, c := range []struct {
		member string
		want   string
		reason Reason
	}{
		{`"anonymousId":"a"`, "a", ""},
		{`"anonymousId":"\u0061\n\"é\ud83d\ude00"`, "a\n\"é😀", ""},
		{`"anonymousId":"\ud800"`, "\ufffd", ""},
		{`"anonymousId":" a "`, " a ", ""},
		{`"anonymousId":"Null"`, "Null", ""},
		{`"anonymousId":"00000000-0000-0000-0000-000000000001"`, "00000000-0000-0000-0000-000000000001", ""},
		{`"anonymousId":"a","anonymousId":"b"`, "b", ""},
		{`"anonymousId":"` + long + `"`, long, ""},
		{`"anonymousId":"` + long + `x"`, "", Limit},
		{`"a":1`, "", NoKey},
		{`"anonymousid":"a"`, "", NoKey},
		{`"anonymousId":"a","anonymousId":""`, "", NoKey},
		{`"anonymousId":""`, "", NoKey},
		{`"anonymousId":" \t\n "`, "", NoKey},
		{`"anonymousId":"\u00a0\u2003"`, "", NoKey},
		{`"anonymousId":"null"`, "", NoKey},
		{`"anonymousId":" null"`, "", NoKey},
		{`"anonymousId":"undefined"`, "", NoKey},
		{`"anonymousId":"00000000-0000-0000-0000-000000000000"`, "", NoKey},
		{`"anonymousId":null`, "", NoKey},
		{`"anonymousId":5`, "", NoKey},
		{`"anonymousId":true`, "", NoKey},
		{`"anonymousId":{"a":"b"}`, "", NoKey},
		{`"anonymousId":["a"]`, "", NoKey},
	} {
		sc, bad := scanOne(t, codecOf(t, "krenalis"), `{`+c.member+rest)
		switch {
		case c.reason != "" && (bad == nil || bad.Reason != c.reason):
			t.Errorf("%.60s: %v, want %v", c.member, bad, c.reason)
		case c.reason == "" && bad != nil:
			t.Errorf("%.60s: %v", c.member, bad)
		case c.reason == "" && string(sc.Event.AnonymousID) != c.want:
			t.Errorf("%.60s: %q, want %q", c.member, sc.Event.AnonymousID, c.want)
		}
	}
}

func TestScanTakesTheFirstAnonymousIDThatIsNotBlank(t *testing.T) {
	for _, c := range []struct {
		paths []string
		event string
		key   string
		want  string // empty: no_key
	}{
		{[]string{"anonymousId", "userId"}, `"anonymousId":"a","userId":"u"`, "k", "a"},
		{[]string{"anonymousId", "userId"}, `"anonymousId":"","userId":"u"`, "k", "u"},
		{[]string{"anonymousId", "userId"}, `"anonymousId":null,"userId":"u"`, "k", "u"},
		{[]string{"anonymousId", "userId"}, `"userId":"u"`, "k", "u"},
		{[]string{"anonymousId", "userId"}, `"anonymousId":7,"userId":"u"`, "k", ""},
		{[]string{"anonymousId", "userId"}, `"userId":" "`, "k", ""},
		{[]string{KeyPath}, `"anonymousId":"a"`, "k", "k"},
		{[]string{KeyPath}, `"anonymousId":"a"`, "", ""},
		{[]string{KeyPath}, `"anonymousId":"a"`, "undefined", ""},
		{[]string{KeyPath}, `"anonymousId":"a"`, "\xff", ""},
		{[]string{"anonymousId", KeyPath}, `"anonymousId":"a"`, "k", "a"},
		{[]string{"anonymousId", KeyPath}, `"anonymousId":"null"`, "k", "k"},
	} {
		k := newCodec(t, Config{Paths: map[string][]string{"anonymous_id": c.paths}})
		sc := &Scanned{}
		rec := Record{Key: []byte(c.key), Timestamp: recordTime}
		bad := k.Scan([]byte(`{`+c.event+`}`), rec, sc)
		if c.want == "" && (bad == nil || bad.Reason != NoKey) ||
			c.want != "" && (bad != nil || string(sc.Event.AnonymousID) != c.want) {
			t.Errorf("%q of %s and key %q: %q, %v; want %q", c.paths, c.event, c.key,
				sc.Event.AnonymousID, bad, c.want)
		}
	}
}

func TestScanReadsTheOtherTexts(t *testing.T) {
	k := newCodec(t, Config{Paths: map[string][]string{"source": {"writeKey"}}})
	long := strings.Repeat("x", anonymousIDBytesDefault+1)
	for _, c := range []struct {
		event, user, message, source string
		kind                         session.Kind
		mobile                       bool
		reason                       Reason
	}{
		{event: `"userId":"u","messageId":"m","writeKey":"w"`, user: "u", message: "m", source: "w"},
		{event: `"userId":"","messageId":"","writeKey":""`},
		{event: `"userId":5,"messageId":5,"writeKey":5`},
		{event: `"userId":null,"messageId":{},"writeKey":[]`},
		{event: `"userId":"\u0075"`, user: "u"},
		{event: `"userId":" "`, user: " "},
		{event: `"userId":"` + long + `"`, reason: Limit},
		{event: `"writeKey":"` + long + `"`, reason: Limit},
		{event: `"messageId":"` + long + `"`},
		{event: `"type":"page"`, kind: session.KindPage},
		{event: `"type":"screen"`, kind: session.KindScreen},
		{event: `"type":"track"`, kind: session.KindTrack},
		{event: `"type":"\u0074rack"`, kind: session.KindTrack},
		{event: `"type":"Track"`},
		{event: `"type":"identify"`},
		{event: `"type":1`},
		{event: `"channel":"mobile"`, mobile: true},
		{event: `"channel":"server"`},
		{event: `"context":{"channel":"mobile"}`},
		{event: `"context":{"library":{"name":"analytics-swift"}}`, mobile: true},
		{event: `"context":{"library":{"name":"analytics-kotlin"}},"channel":"x"`, mobile: true},
		{event: `"context":{"library":{"name":"analytics.js"}}`},
		{event: `"context":{"library":"analytics-swift"}`},
		{event: `"context":{"library":{"name":"analytics-swift"}},"context":{}`},
	} {
		sc, bad := scanOne(t, k, `{"anonymousId":"a",`+c.event+`}`)
		if c.reason != "" {
			if bad == nil || bad.Reason != c.reason {
				t.Errorf("%.60s: %v, want %v", c.event, bad, c.reason)
			}
			continue
		}
		if bad != nil {
			t.Errorf("%.60s: %v", c.event, bad)
			continue
		}
		e := &sc.Event
		if string(e.UserID) != c.user || string(e.MessageID) != c.message ||
			string(e.Source) != c.source || e.Kind != c.kind || e.Mobile != c.mobile {
			t.Errorf("%.60s: %+v", c.event, *e)
		}
		if long := strings.Contains(c.event, "xxx"); long != (sc.Notes&NoteLongMessageID != 0) {
			t.Errorf("%.60s: notes %b", c.event, sc.Notes)
		}
	}
}

func TestScanRefusesBadInput(t *testing.T) {
	const good = `{"anonymousId":"a","timestamp":1700000000000`
	k := newCodec(t, Config{Limits: Limits{Record: 200, JSONDepth: 4}})
	for value, want := range map[string]Reason{
		good + `}`:                              "",
		good + `,"context":{}}`:                 "",
		good + `,"context":null}`:               "",
		good + `,"context":5,"context":null}`:   "",
		good + `,"context":5}`:                  BadContext,
		good + `,"context":"x"}`:                BadContext,
		good + `,"context":[]}`:                 BadContext,
		good + `,"context":false}`:              BadContext,
		good + `,"context":{},"context":[{}]}`:  BadContext,
		good + `,"x":[[[]]]}`:                   "",
		good + `,"x":[[[[]]]]}`:                 Limit,
		good + `,"x":"` + pad(200) + `"}`:       Limit,
		good:                                    Malformed,
		good + `}}`:                             Malformed,
		good + ",\"x\":\"\xff\"}":               Malformed,
		"\ufeff" + good + `}`:                   Malformed,
		`[` + good + `}]`:                       Malformed,
		``:                                      Malformed,
		`null`:                                  Malformed,
		`{"timestamp":1700000000000}`:           NoKey,
		good[:len(good)-13] + `"x"}`:            "",
		`{"anonymousId":"","context":5}`:        BadContext,
		`{"anonymousId":"a","context":{"a":1}}`: "",
	} {
		_, bad := scanOne(t, k, value)
		if want == "" && bad != nil || want != "" && (bad == nil || bad.Reason != want) {
			t.Errorf("%.80s: %v, want %q", value, bad, want)
		}
		if bad != nil && (bad.Message == "" || bad.Error() != string(bad.Reason)+": "+bad.Message) {
			t.Errorf("%.80s: %q", value, bad.Error())
		}
	}
}

func pad(n int) string { return strings.Repeat("p", n) }

func TestScanForgetsTheEventBefore(t *testing.T) {
	k := newCodec(t, Config{Paths: map[string][]string{"source": {"writeKey"}}})
	sc := &Scanned{}
	rec := Record{Timestamp: recordTime}
	full := `{"anonymousId":"\u0061","userId":"u","messageId":"m","type":"page","channel":"mobile",` +
		`"timestamp":9999999999999,"writeKey":"w","context":{"sessionId":5,"sessionStart":true}}`
	for _, value := range []string{full, `{"anonymousId":"b","timestamp":"x"}`} {
		if bad := k.Scan([]byte(value), rec, sc); bad != nil {
			t.Fatal(bad)
		}
	}
	want := fmt.Sprintf("%+v", session.Event{Time: recordTime, AnonymousID: []byte("b")}) + "   "
	if got := eventText(sc); got != want || sc.Notes != NoteBadTimestamp {
		t.Errorf("got  %s\nwant %s\nnotes %v", got, want, sc.Notes)
	}
}
