package schemas

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"sessionizer/session"
)

// What an event says of itself is kept as text in the state and written as it is: it must be JSON
// of one form, bounded, and the same for the same campaign however it was spelled.

// collecting are the places of events of Segment's Spec.
func collecting() map[string][]string {
	return map[string][]string{
		"url":      {"context.page.url", "properties.url"},
		"screen":   {"name", "properties.name"},
		"referrer": {"context.page.referrer", "properties.referrer"},
		"campaign": {"context.campaign"},
		"context": {"context.device.type", "context.device.manufacturer", "context.os.name",
			"context.os.version", "context.locale", "v.l.0.id", "who.x=traits.x"},
	}
}

func collectingCodec(t testing.TB) *Codec {
	p, err := LoadProfile("krenalis")
	if err != nil {
		t.Fatal(err)
	}
	p.Lifecycle = Lifecycle{Foreground: []string{"Application Opened"},
		Background: []string{"Application Backgrounded", "App \"Bg\""}}
	return newCodec(t, Config{Profile: p, Paths: collecting()})
}

func TestScanCollects(t *testing.T) {
	c := collectingCodec(t)
	for _, i := range []struct {
		event, place, referrer, campaign, context string
	}{
		{event: `"a":1`},
		{event: `"type":"page","context":{"page":{"url":"https://x.it/a?b=c#d"}}`,
			place: `{"url":"https://x.it/a?b=c#d"}`},
		{event: `"type":"page","context":{"page":{"url":""}},"properties":{"url":"\/\u0061\"\n"}`,
			place: `{"url":"/a\"\n"}`},
		{event: `"type":"page","context":{"page":{"url":5}}`},
		{event: `"type":"page","name":"Home"`},
		{event: `"type":"track","context":{"page":{"url":"https://x.it/a"}},"name":"n"`},
		{event: `"type":"screen","name":"Home é","context":{"page":{"url":"u"}}`, place: `{"screen":"Home é"}`},
		{event: `"type":"screen","properties":{"name":"\ud83d\ude00\u001f"}`, place: `{"screen":"😀\u001f"}`},
		{event: `"context":{"page":{"referrer":"https://g.it/"}}`, referrer: `"https://g.it/"`},
		{event: `"context":{"page":{"referrer":""}},"properties":{"referrer":"a\u0020b"}`, referrer: `"a b"`},
		{event: `"context":{"page":{"referrer":null}}`},
		{event: `"context":{"campaign":{"term":"t","name":"n","x":"é","source":"s","id":7,"gclid":"g",` +
			`"medium":"","content":"\u0063","a":null,"b":true,"c":{},"d":[1,"}"]}}`,
			campaign: `{"name":"n","source":"s","term":"t","content":"c","id":"7","x":"é","gclid":"g"}`},
		{event: `"context":{"campaign":{ "name" : "a" , "n\u0061me" : "b" } }`, campaign: `{"name":"b"}`},
		{event: `"context":{"campaign":{"utm_source":"s","campaign":"c","utm_x":1,"utm_":"u"}}`,
			campaign: `{"name":"c","source":"s","utm_":"u","x":"1"}`},
		{event: `"context":{"campaign":{"name":"a","name":""},"page":{"url":"?utm_term=x"}}`,
			campaign: `{"term":"x"}`},
		{event: `"context":{"campaign":{"name":"a"},"page":{"url":"?utm_term=x"}}`, campaign: `{"name":"a"}`},
		{event: `"context":{"campaign":{ },"page":{"url":"/?utm_source=s"}}`, campaign: `{"source":"s"}`},
		{event: `"context":{"campaign":"x","page":{"url":"/?a=b&utm_medium=cpc+a%26b&utm_campaign=%C3%A9` +
			`&utm_creative=z&utm_source=s&ttclid=1&gclid=2&utm_id=3&b#utm_term=no"}}`,
			campaign: `{"name":"é","source":"s","medium":"cpc a&b","id":"3","creative":"z","gclid":"2","ttclid":"1"}`},
		{event: `"context":{"campaign":{"name":"a","gclid":"g","ttclid":""},"page":{"url":"/?utm_term=x&` +
			`gclid=h&utm_msclkid=n&fbclid=%66+1&fbclid=2&msclkid=&msclkid=m&ttclid=t#?gclid=i"}}`,
			campaign: `{"name":"a","gclid":"g","fbclid":"f 1","msclkid":"m","ttclid":"t"}`},
		{event: `"context":{"campaign":{"name":""},"page":{"url":"?utm_term=x&gclid=1"}}`,
			campaign: `{"term":"x","gclid":"1"}`},
		{event: `"properties":{"url":"/?utm_source=&utm_source=b&utm_source=c"}`, campaign: `{"source":"b"}`},
		{event: `"properties":{"url":"/?utm_source=%zz&utm_medium=%4&utm_term=a;b&utm_=x&UTM_ID=5&xgclid=6"}`},
		{event: `"properties":{"url":"/?utm%5Fsource=a&msclkid=m&fbclid=f"}`,
			campaign: `{"source":"a","fbclid":"f","msclkid":"m"}`},
		{event: `"properties":{"url":"/?utm_source=%ff\u0026utm_term=\u0022"}`,
			campaign: `{"source":"` + "\ufffd" + `","term":"\""}`},
		{event: `"context":{"device":{"type":"ios","manufacturer":""},"os":{"name":"iOS","version":17.10},` +
			`"locale":"it-\u0049T"},"v":{"l":[{"id":true}]},"traits":{"x":false}`,
			context: `{"device":{"type":"ios"},"os":{"name":"iOS","version":17.10},"locale":"it-IT",` +
				`"v":{"l":{"0":{"id":true}}},"who":{"x":false}}`},
		{event: `"context":{"device":{"type":{"a":1},"manufacturer":["b"]},"os":null,"locale":null}`},
		{event: `"context":{"device":"x","os":{"version":"1"}}`, context: `{"os":{"version":"1"}}`},
	} {
		sc, bad := scanOne(t, c, `{"anonymousId":"a",`+i.event+`}`)
		if bad != nil {
			t.Errorf("%s: %v", i.event, bad)
			continue
		}
		e := &sc.Event
		d := e.Details
		for _, pair := range [][2]string{{string(e.Place), i.place},
			{string(d.Referrer()), i.referrer}, {string(d.Campaign()), i.campaign},
			{string(d.Context()), i.context}} {
			if pair[0] != pair[1] || pair[0] != "" && !json.Valid([]byte(pair[0])) {
				t.Errorf("%s\n got %s\nwant %s", i.event, pair[0], pair[1])
			}
		}
		if sc.Notes != 0 {
			t.Errorf("%s: notes %v", i.event, sc.Notes)
		}
	}
}

func TestTheURLGivesACampaignUnlessThePathIsEmpty(t *testing.T) {
	const event = `{"anonymousId":"a","u":"/?gclid=1"}`
	for want, paths := range map[string]map[string][]string{
		`{"gclid":"1"}`: {"url": {"u"}},
		``:              {"url": {"u"}, "campaign": {}},
	} {
		c := newCodec(t, Config{Profile: Profile{Name: "test",
			Paths: map[string]PathList{"anonymous_id": {"anonymousId"}}}, Paths: paths})
		if sc, bad := scanOne(t, c, event); bad != nil || string(sc.Event.Details.Campaign()) != want {
			t.Errorf("%v: %s, want %s", paths, sc.Event.Details.Campaign(), want)
		}
	}
}

func TestScanNotesTheLifecycle(t *testing.T) {
	c := collectingCodec(t)
	for event, want := range map[string]session.Lifecycle{
		`"event":"Application Opened"`:       session.LifecycleForeground,
		`"event":"Application Backgrounded"`: session.LifecycleBackground,
		`"event":"App \u0022Bg\""`:           session.LifecycleBackground,
		`"event":"Application opened"`:       session.LifecycleNone,
		`"event":5`:                          session.LifecycleNone,
		`"a":1`:                              session.LifecycleNone,
	} {
		if sc, bad := scanOne(t, c, `{"anonymousId":"a",`+event+`}`); bad != nil ||
			sc.Event.Lifecycle != want {
			t.Errorf("%s: %v, %v", event, sc.Event.Lifecycle, bad)
		}
	}
}

func TestWhatIsCollectedIsBounded(t *testing.T) {
	c := collectingCodec(t)
	many := ""
	for i := range campaignMembersMax + 1 {
		many += fmt.Sprintf("&utm_x%d=1", i)
	}
	for _, i := range []struct {
		event, place, referrer, campaign, context string
		notes                                     ScanNotes
	}{
		{event: `"type":"screen","name":"` + pad(1011) + `"`, place: `{"screen":"` + pad(1011) + `"}`},
		{event: `"type":"screen","name":"` + pad(1012) + `"`, notes: NoteCollectedLong},
		{event: `"type":"screen","name":"` + strings.Repeat(`\u0061`, 1011) + `"`,
			place: `{"screen":"` + strings.Repeat("a", 1011) + `"}`},
		{event: `"type":"page","properties":{"url":"/x?` + pad(1100) + `"}`, place: `{"url":"/x"}`,
			notes: NoteCollectedLong},
		{event: `"type":"page","properties":{"url":"/x#` + pad(2000) + `?` + pad(9) + `"}`,
			place: `{"url":"/x"}`, notes: NoteCollectedLong},
		{event: `"type":"page","properties":{"url":"/x?` + pad(8) + `#` + pad(1100) + `"}`,
			place: `{"url":"/x"}`, notes: NoteCollectedLong},
		{event: `"type":"page","properties":{"url":"/` + pad(1100) + `?x"}`, notes: NoteCollectedLong},
		{event: `"properties":{"referrer":"` + pad(1022) + `"}`, referrer: `"` + pad(1022) + `"`},
		{event: `"properties":{"referrer":"` + pad(1023) + `"}`, notes: NoteCollectedLong},
		{event: `"properties":{"referrer":"/?` + pad(1023) + `"}`, referrer: `"/"`, notes: NoteCollectedLong},
		{event: `"properties":{"url":"/?utm_source=` + pad(2048-13) + `"}`,
			campaign: `{"source":"` + pad(2048-13) + `"}`},
		{event: `"properties":{"url":"/?utm_source=` + pad(2048-12) + `"}`, notes: NoteCollectedLong},
		{event: `"context":{"campaign":{"name":"n"}},"properties":{"url":"/?gclid=` + pad(2048) + `"}`,
			campaign: `{"name":"n"}`, notes: NoteCollectedLong},
		{event: `"properties":{"url":"/?` + many + `"}`, notes: NoteCollectedLong},
		{event: `"context":{"campaign":{` + strings.ReplaceAll(strings.ReplaceAll(many[1:], "=1", `":"1"`),
			"&", ",\"") + `}}`, notes: NoteCollectedLong},
		{event: `"context":{"locale":"` + pad(2048-13) + `"}`, context: `{"locale":"` + pad(2048-13) + `"}`},
		{event: `"context":{"locale":"` + pad(2048-12) + `"}`, notes: NoteCollectedLong},
	} {
		event := strings.Replace(i.event, `{utm`, `{"utm`, 1)
		sc, bad := scanOne(t, c, `{"anonymousId":"a",`+event+`}`)
		if bad != nil {
			t.Errorf("%.80s: %v", event, bad)
			continue
		}
		e := &sc.Event
		d := e.Details
		for _, pair := range [][2]string{{string(e.Place), i.place},
			{string(d.Referrer()), i.referrer}, {string(d.Campaign()), i.campaign},
			{string(d.Context()), i.context}} {
			if pair[0] != pair[1] {
				t.Errorf("%.80s\n got %.80s\nwant %.80s", event, pair[0], pair[1])
			}
		}
		if sc.Notes != i.notes {
			t.Errorf("%.80s: notes %v, want %v", event, sc.Notes, i.notes)
		}
	}
}

func TestCollectingAllocatesNothing(t *testing.T) {
	c := newCodec(t, Config{Paths: collecting(), FutureTolerance: 60_000, Rules: []Match{
		rule(globbed("context.userAgent", "*bot*")), rule(prefixed("properties.name", "x")),
		rule(compared("properties.price", Comparison{OpGreater, "1e9"})),
		rule(oneOf("event", textValue("a"), textValue("b"), sizeValue("1")))}})
	for _, from := range []string{`"track"`, `"page"`, `"screen"`} {
		v := strings.Replace(string(benchEvents()["krenalis"]), `"track"`, from, 1)
		for _, v := range []string{v, strings.ReplaceAll(v, `:"`, `:"\u0020`)} {
			var sc Scanned
			value := []byte(v)
			found := 0
			n := testing.AllocsPerRun(1000, func() {
				if bad := c.Scan(value, benchRecord, &sc); bad != nil {
					t.Fatal(bad)
				}
				found = min(len(sc.Referrer()), len(sc.Campaign()), len(sc.Context()))
			})
			if n != 0 || found == 0 {
				t.Errorf("%s: %v allocations, %+v", from, n, sc.Event)
			}
		}
	}
}

func TestFaultsOfTheContextNameTheKey(t *testing.T) {
	for path, want := range map[string]string{
		"context.os": "paths.context: os.name: inside of os",
		"os.name=a":  "paths.context: os.name: twice",
		"a..b":       `paths.context: path "a..b"`,
		"x..y=a":     `paths.context: path "x..y"`,
		KeyPath:      "paths.context: $key: the record key",
		"device=b":   "inside of device",
	} {
		paths := collecting()
		paths["context"] = append([]string{path}, paths["context"]...)
		_, err := NewCodec(Config{Profile: elementProfile(), Paths: paths})
		checkError(t, err, want)
	}
}

var clickIDs = []string{"gclid", "fbclid", "msclkid", "ttclid"}

// campaignInURL is what the query of a URL says, by way of net/url: all or the click ids.
func campaignInURL(text string, clicks bool) map[string]string {
	_, query, _ := strings.Cut(strings.SplitN(text, "#", 2)[0], "?")
	found := map[string]string{}
	for pair := range strings.SplitSeq(query, "&") {
		values, err := url.ParseQuery(pair)
		if err != nil {
			continue
		}
		for key, list := range values {
			name, isUTM := strings.CutPrefix(key, "utm_")
			if name == "campaign" && isUTM {
				name = "name"
			}
			isCampaign := isUTM && name != "" && !clicks || slices.Contains(clickIDs, key)
			if isCampaign && list[0] != "" && found[name] == "" {
				found[name] = list[0]
			}
		}
	}
	return found
}

// campaignByURL is what the scan must collect of a URL.
func campaignByURL(t *testing.T, text string) string {
	t.Helper()
	known := []string{"name", "source", "medium", "term", "content", "id"}
	found := campaignInURL(text, false)
	var members []string
	take := func(name string) {
		if v := found[name]; v != "" {
			members = append(members, string(appendText(append(appendText(nil, name), ':'), v)))
		}
		delete(found, name)
	}
	others := slices.Sorted(maps.Keys(found))
	for _, name := range known {
		take(name)
	}
	for _, name := range others {
		if !slices.Contains(clickIDs, name) {
			take(name)
		}
	}
	for _, name := range clickIDs {
		take(name)
	}
	if made := strings.Join(members, ","); made != "" && len(made) <= collectedObjectBytesMax-2 &&
		len(members) <= campaignMembersMax {
		return "{" + made + "}"
	}
	return ""
}

func FuzzCampaign(f *testing.F) {
	for _, s := range []string{"https://x.it/a?utm_source=a&utm_campaign=b%20c&gclid=1#d?utm_term=2",
		"?utm_a=%zz",
		"?utm_a=+&utm_a=b&=&utm_", "?ttclid=1&fbclid=%e2%82&msclkid=é",
		"?utm_gclid=1&gclid=2&utm_name=3;",
		"a?b?utm_source=1?&utm%5fsource=2&%75tm_term=%"} {
		f.Add(s)
	}
	c := newCodec(f, Config{Paths: map[string][]string{"url": {"u"}, "campaign": {"c"},
		"anonymous_id": {KeyPath}}})
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return
		}
		b, err := json.Marshal(map[string]string{"u": text})
		if err != nil {
			t.Fatal(err)
		}
		sc := &Scanned{}
		if bad := c.Scan(b, Record{Key: []byte("k"), Timestamp: recordTime}, sc); bad != nil {
			t.Fatal(bad)
		}
		if got, want := string(sc.Event.Details.Campaign()), campaignByURL(t, text); got != want {
			t.Fatalf("%q\n got %s\nwant %s", text, got, want)
		}
	})
}
