package schemas

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/linkedin/goavro/v2"

	"sessionizer/session"
)

// In a container events lie one behind the other, and nothing says where one ends but its schema.
// goavro finds the same ends.

const lengthsSchema = `{"type": "record", "name": "e", "fields": [
  {"name": "anonymousId", "type": "string"},
  {"name": "b", "type": "bytes"}, {"name": "i", "type": "int"}, {"name": "l", "type": "long"},
  {"name": "f", "type": "float"}, {"name": "d", "type": "double"}, {"name": "o", "type": "boolean"},
  {"name": "n", "type": "null"},
  {"name": "x", "type": {"type": "fixed", "name": "x", "size": 3}},
  {"name": "e", "type": {"type": "enum", "name": "k", "symbols": ["A", "B"]}},
  {"name": "u", "type": ["null", "string", {"type": "array", "items": "long"}]},
  {"name": "m", "type": {"type": "map", "values": {"type": "array", "items": "string"}}},
  {"name": "r", "type": {"type": "record", "name": "q", "fields": [{"name": "s", "type": "string"}]}}]}`

func lengthsProgram(t *testing.T) (*Codec, *AvroProgram, *goavro.Codec) {
	t.Helper()
	profile, err := LoadProfile("krenalis")
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewCodec(Config{Profile: profile, Format: FormatAvro, Book: NewBook()})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.CompileAvro(lengthsSchema)
	if err != nil {
		t.Fatal(err)
	}
	c.Book().SetRaw(p)
	reference, err := goavro.NewCodec(lengthsSchema)
	if err != nil {
		t.Fatal(err)
	}
	return c, p, reference
}

func lengthsEvent(rng *rand.Rand) map[string]any {
	text := func() string { return strings.ToValidUTF8(string(randomText(rng)), "?") }
	unions := []any{nil, goavro.Union("string", text()),
		goavro.Union("array", []any{rng.Int64(), int64(-1)})}
	lists := map[string]any{}
	for range rng.IntN(4) {
		lists[text()] = []any{text(), ""}
	}
	return map[string]any{
		"anonymousId": text(), "b": []byte(text()), "i": int32(rng.Uint32()), "l": -rng.Int64(),
		"f": float32(rng.NormFloat64()), "d": rng.NormFloat64(), "o": rng.IntN(2) == 0, "n": nil,
		"x": []byte("xyz"), "e": []string{"A", "B"}[rng.IntN(2)], "u": unions[rng.IntN(3)],
		"m": lists, "r": map[string]any{"s": text()},
	}
}

func TestLength_IsWhatGoavroReads(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	c, p, reference := lengthsProgram(t)
	for range 2000 {
		event := lengthsEvent(rng)
		b, err := reference.BinaryFromNative(nil, event)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := p.Length(append(b, "what follows"...)); n != len(b) || err != nil {
			t.Fatalf("%x: %d, %v, want %d", b, n, err, len(b))
		}
		// No event ends ahead of its end.
		if n, err := p.Length(b[:rng.IntN(len(b))]); err == nil {
			t.Fatalf("%x cut off: %d", b, n)
		}
		// Whatever bytes there are, it comes back, with no more than there are.
		b[rng.IntN(len(b))] ^= byte(1 + rng.IntN(255))
		if n, err := p.Length(b); err == nil && n > len(b) {
			t.Fatalf("%x: %d of %d bytes", b, n, len(b))
		}
		if text := c.EventJSON(b); text != nil && len(text) > 20*len(b)+400 {
			t.Fatalf("%x: %d bytes of text", b, len(text))
		}
	}
}

func TestEventJSON_HasTheTextsOfTheEvent(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	c, _, reference := lengthsProgram(t)
	for range 500 {
		event := lengthsEvent(rng)
		if rng.IntN(5) == 0 {
			event["d"] = math.Inf(1)
		}
		b, err := reference.BinaryFromNative(nil, event)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(c.EventJSON(b), &got); err != nil {
			t.Fatalf("%v: %s", err, c.EventJSON(b))
		}
		if got["anonymousId"] != event["anonymousId"] || got["e"] != event["e"] || got["b"] != nil ||
			got["x"] != nil || got["l"] != float64(event["l"].(int64)) ||
			!reflect.DeepEqual(got["r"], event["r"]) || !reflect.DeepEqual(got["m"], event["m"]) {
			t.Fatalf("%v\nof %v", got, event)
		}
	}
	for _, b := range []string{"", "x", "\x02a", string(make([]byte, 100))} {
		if text := c.EventJSON([]byte(b)); text != nil {
			t.Errorf("%q: %s", b, text)
		}
	}
}

// What is read back from visits is what was written, in either form.
func TestVisitFacts_AreThoseOfTheVisit(t *testing.T) {
	profile, err := LoadProfile("krenalis")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for _, format := range []Format{FormatJSON, FormatAvro} {
		c, err := NewCodec(Config{Profile: profile, VisitsFormat: format})
		if err != nil {
			t.Fatal(err)
		}
		merged := 0
		for i := range 600 {
			e := randomEnded(rng)
			e.Revision = uint32(i%4) + 1
			record := c.AppendEnded(nil, randomText(rng), randomText(rng), e, Origin{Topic: "t"})
			revision, isMerged := VisitFacts(record, format)
			if revision != min(i%4+1, 2) || isMerged != (e.Reason == session.ReasonMerged) {
				t.Fatalf("%v: revision %d, merged %t of\n%q", format, revision, isMerged, record)
			}
			if isMerged {
				merged++
			}
			e.Revision = 0
			record = c.AppendStarted(nil, randomText(rng), randomText(rng), e, Origin{Topic: "t"})
			if revision, _ := VisitFacts(record, format); revision != 0 {
				t.Fatalf("%v: revision %d, want 0 of\n%q", format, revision, record)
			}
		}
		if merged == 0 {
			t.Errorf("%v: none was merged", format)
		}
	}
}

func TestLength_NamesTheFieldThatIsBroken(t *testing.T) {
	_, p, reference := lengthsProgram(t)
	event := lengthsEvent(rand.New(rand.NewPCG(5, 6)))
	event["r"] = map[string]any{"s": "text"}
	b, err := reference.BinaryFromNative(nil, event)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Length(b[:len(b)-1])
	want := fmt.Sprintf("r.s, at byte %d of it", len(b)-len("\x08text"))
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want one with %q", err, want)
	}
}
