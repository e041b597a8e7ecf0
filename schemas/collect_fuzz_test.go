package schemas

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"sessionizer/session"
)

// What is collected must be what encoding/json finds at the same places, whatever the document.

// textAt returns the first text that is not empty.
func textAt(v any, paths ...string) string {
	for _, p := range paths {
		if text, _ := lookup(v, p).(string); text != "" {
			return text
		}
	}
	return ""
}

// contextOfDecoded is the context as maps.
func contextOfDecoded(v any, names map[string]string) map[string]any {
	made := map[string]any{}
	for to, from := range names {
		found := lookup(v, from)
		switch found.(type) {
		case nil, map[string]any, []any:
			continue
		}
		if found == "" {
			continue
		}
		at := made
		list := strings.Split(to, ".")
		for _, name := range list[:len(list)-1] {
			if at[name] == nil {
				at[name] = map[string]any{}
			}
			at, _ = at[name].(map[string]any)
		}
		at[list[len(list)-1]] = found
	}
	return made
}

// campaignOfDecoded is the event's own campaign, all texts, and the click ids of its URL.
func campaignOfDecoded(v any) map[string]any {
	found, _ := lookup(v, "c.campaign").(map[string]any)
	made := map[string]any{}
	for name, text := range found {
		if rest, ok := strings.CutPrefix(name, "utm_"); ok && rest != "" {
			name = rest
		}
		if name == "campaign" {
			name = "name"
		}
		if made[name] != nil {
			return nil // which is the last one, maps do not know
		}
		switch text := text.(type) {
		case string:
			made[name] = text
		case json.Number:
			made[name] = text.String()
		default:
			made[name] = ""
		}
	}
	for name := range made {
		if made[name] == "" {
			delete(made, name)
		}
	}
	if len(made) == 0 {
		return nil
	}
	for name, text := range campaignInURL(textAt(v, "c.u", "u"), true) {
		if made[name] == nil {
			made[name] = string([]rune(text)) // what is not UTF-8 is replaced
		}
	}
	return made
}

func FuzzCollect(f *testing.F) {
	for _, s := range []string{
		`{"t":"page","c":{"u":"https:\/\/x.it","r":"","d":{"a":1e5,"b":"\u0062"},"l":[{"x":true}]},"r":"z"}`,
		`{"t":"screen","n":"\ud800\"","c":{"campaign":{"name":"a","n\u0061me":"b","id":7,"x":{"y":["}"]}}}}`,
		`{"t":"page","c":{"u":5},"c":{"u":"\u0000é"},"n":1,"l":["x"]}`,
		`{"c":{"d":{"b":""},"campaign":{"":"e"," ":"f","source":null,"medium":false}},"t":"screen"}`,
		`{"c":{"u":"/?a=b&gclid=%ff&fbclid=1&utm_ttclid=2","campaign":{"name":"a","fbclid":"2"}}}`,
		`{"c":{"d":{"a":"x","b":null,"e":-0.0},"l":[[1]]},"n":"","r":"r","t":"page"}`,
	} {
		f.Add([]byte(s))
	}
	names := map[string]string{"d.a": "c.d.a", "d.b": "c.d.b", "d.e": "c.d.e", "n": "n",
		"l.x": "c.l.0.x"}
	c := newCodec(f, Config{Profile: Profile{Name: "test", Kinds: Kinds{Page: []string{"page"},
		Screen: []string{"screen"}}, Paths: map[string]PathList{"anonymous_id": {KeyPath}, "type": {"t"},
		"url": {"c.u", "u"}, "screen": {"n"}, "referrer": {"c.r", "r"}, "campaign": {"c.campaign"},
		"context": {"d.a=c.d.a", "d.b=c.d.b", "n", "l.x=c.l.0.x", "d.e=c.d.e"}}}})
	f.Fuzz(func(t *testing.T, b []byte) {
		sc := &Scanned{}
		if len(b) > 900 || c.Scan(b, Record{Key: []byte("k"), Timestamp: recordTime}, sc) != nil {
			return
		}
		v, err := decode(b)
		if err != nil {
			t.Fatal(err)
		}
		e := &sc.Event
		place := map[string]any{}
		switch e.Kind {
		case session.KindPage:
			if place["url"] = textAt(v, "c.u", "u"); place["url"] == "" {
				delete(place, "url")
			}
		case session.KindScreen:
			if place["screen"] = textAt(v, "n"); place["screen"] == "" {
				delete(place, "screen")
			}
		}
		want := map[string]string{"place": fmt.Sprint(place), "referrer": textAt(v, "c.r", "r"),
			"context": fmt.Sprint(contextOfDecoded(v, names))}
		got := map[string]string{"place": shown(t, e.Place), "referrer": shown(t, e.Details.Referrer()),
			"context": shown(t, e.Details.Context())}
		if want["referrer"] == "" {
			want["referrer"] = "map[]"
		}
		if own := campaignOfDecoded(v); len(own) > 0 {
			want["campaign"], got["campaign"] = fmt.Sprint(own), shown(t, e.Details.Campaign())
		}
		if sc.Notes&NoteCollectedLong == 0 && fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%q\n got %v\nwant %v", b, got, want)
		}
	})
}

// shown is what a collected text decodes to; none is an empty object.
func shown(t *testing.T, text []byte) string {
	t.Helper()
	if len(text) == 0 {
		return "map[]"
	}
	v, err := decode(text)
	if err != nil || strings.ContainsAny(string(text), "\n\t") {
		t.Fatalf("%q: %v", text, err)
	}
	return fmt.Sprint(v)
}
