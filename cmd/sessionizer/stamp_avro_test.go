package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"
)

// The same events get the same sessions, whether they come as lines of JSON or in a container. The
// containers here are written and read by goavro.

const eventSchema = `{"type": "record", "name": "Event", "namespace": "shop", "fields": [
  {"name": "anonymousId", "type": "string"},
  {"name": "type", "type": {"type": "enum", "name": "Type", "symbols": ["page", "screen", "track"]}},
  {"name": "event", "type": ["null", "string"], "default": null},
  {"name": "userId", "type": ["null", "string"], "default": null},
  {"name": "messageId", "type": "string"},
  {"name": "timestamp", "type": "string"},
  {"name": "receivedAt", "type": ["null", "string"], "default": null},
  {"name": "properties", "type": {"type": "map", "values": "string"}},
  {"name": "tags", "type": {"type": "array", "items": "string"}},
  {"name": "context", "type": {"type": "record", "name": "Context", "fields": [
    {"name": "sessionId", "type": ["null", "long"], "default": null},
    {"name": "sessionStart", "type": ["null", "boolean"], "default": null},
    {"name": "ip", "type": "string"}]}},
  {"name": "price", "type": "double"}]}`

// shopEvents makes events of some customers: out of order, with ids of clients, late and bad.
func shopEvents(rng *rand.Rand, count int) (all []map[string]any) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range count {
		at := start.Add(time.Duration(i)*20*time.Second - time.Duration(rng.IntN(3000))*time.Second)
		event := map[string]any{
			"anonymousId": fmt.Sprintf("customer-%d", rng.IntN(40)),
			"type":        []string{"page", "screen", "track"}[rng.IntN(3)],
			"messageId":   fmt.Sprintf("m%d", i),
			"timestamp":   at.Format(time.RFC3339Nano),
			"properties":  map[string]any{"n": fmt.Sprint(i)},
			"tags":        []any{"a", "ü"},
			"context":     map[string]any{"ip": "127.0.0.1"},
			"price":       float64(rng.IntN(100)) / 4,
		}
		if rng.IntN(3) == 0 {
			event["userId"] = fmt.Sprintf("user-%d", rng.IntN(3))
		}
		if rng.IntN(4) == 0 {
			context := event["context"].(map[string]any)
			context["sessionId"] = int64(1_700_000_000_000 + rng.IntN(5))
			context["sessionStart"] = rng.IntN(2) == 0
		}
		switch rng.IntN(50) {
		case 0:
			event["anonymousId"] = "" // no_key
		case 1:
			event["timestamp"] = "soon"
		}
		all = append(all, event)
	}
	return all
}

// asLines are events as NDJSON.
func asLines(t *testing.T, events []map[string]any) string {
	t.Helper()
	var b strings.Builder
	for _, event := range events {
		line, err := json.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	return b.String()
}

// asContainer are events as goavro writes them, in blocks of some.
func asContainer(t *testing.T, schema, codec string, events []map[string]any) string {
	t.Helper()
	var file bytes.Buffer
	w, err := goavro.NewOCFWriter(goavro.OCFConfig{W: &file, Schema: schema, CompressionName: codec})
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(events); at += 100 {
		var block []any
		for _, event := range events[at:min(at+100, len(events))] {
			block = append(block, nativeOf(event))
		}
		if err := w.Append(block); err != nil {
			t.Fatal(err)
		}
	}
	return file.String()
}

// nativeOf puts the names of their branches to the values of unions, as goavro wants them.
func nativeOf(event map[string]any) map[string]any {
	branches := map[string]string{
		"event": "string", "userId": "string", "receivedAt": "string", "sessionId": "long",
		"sessionStart": "boolean",
	}
	native := map[string]any{}
	for name, value := range event {
		inner, isObject := value.(map[string]any)
		branch, isUnion := branches[name]
		switch {
		case isUnion && isObject: // it has its branch
		case isUnion:
			value = goavro.Union(branch, value)
		case isObject:
			value = nativeOf(inner)
		}
		native[name] = value
	}
	return native
}

// readContainer are the objects of a container, without the names of branches.
func readContainer(t *testing.T, file string) (schema, codec string, all []map[string]any) {
	t.Helper()
	r, err := goavro.NewOCFReader(strings.NewReader(file))
	if err != nil {
		t.Fatalf("%v: %.60q", err, file)
	}
	for r.Scan() {
		native, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, plainOf(native).(map[string]any))
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return r.Codec().Schema(), r.CompressionName(), all
}

// plainOf takes away the names of branches, and what is null.
func plainOf(native any) any {
	switch x := native.(type) {
	case map[string]any:
		if len(x) == 1 {
			for name, value := range x {
				switch name {
				case "string", "long", "boolean", "long.timestamp-millis", "sessionizer.Session", "map":
					return plainOf(value)
				}
			}
		}
		plain := map[string]any{}
		for name, value := range x {
			if value != nil {
				plain[name] = plainOf(value)
			}
		}
		return plain
	case []any:
		for i := range x {
			x[i] = plainOf(x[i])
		}
	case time.Time:
		return x.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	return native
}

// plainJSON is a value as encoding/json has it: all numbers are of one type.
func plainJSON(t *testing.T, value any) (plain any) {
	t.Helper()
	text, err := json.Marshal(value)
	if err == nil {
		err = decodeNumbers(string(text), &plain)
	}
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func TestStampAvro_GivesTheSessionsThatLinesGet(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	events := shopEvents(rand.New(rand.NewPCG(seed, 0)), 3000)
	lines := asLines(t, events)
	for _, c := range []struct{ codec, flags string }{
		{"null", ""},
		{"deflate", "--set output.fields=full --set session.ids=enforce"},
		{"snappy", "--set session.ids=assign --set session.splits=user_change"},
	} {
		t.Chdir(t.TempDir())
		flags := append([]string{
			"stamp", "--visits", "visits", "--dead-letters", "dead", "--set", "time.sources=timestamp",
		}, strings.Fields(c.flags)...)
		want := sessionizer(t, lines, flags...)
		wantVisits, wantDead := read(t, ".", "visits"), read(t, ".", "dead")
		got := sessionizer(t, asContainer(t, eventSchema, c.codec, events), flags...)
		if want.code != exitFine || got.code != exitFine {
			t.Fatalf("%s: lines %s, container %s", c.codec, want.stderr, got.stderr)
		}
		if visits := read(t, ".", "visits"); visits != wantVisits || len(visits) < 1000 {
			t.Errorf("%s: the visits differ:\n%.2000s\n%.2000s", c.codec, visits, wantVisits)
		}
		if summary := strings.Replace(want.stderr, "lines ", "events", 1); got.stderr != summary {
			t.Errorf("%s: %s\nwant %s", c.codec, got.stderr, summary)
		}
		sameDead(t, read(t, ".", "dead"), wantDead)
		_, codec, stamped := readContainer(t, got.stdout)
		if codec != c.codec {
			t.Errorf("the codec is %s, want that of the input, %s", codec, c.codec)
		}
		stampedLines := strings.Split(strings.TrimSuffix(want.stdout, "\n"), "\n")
		if len(stamped) != len(stampedLines) {
			t.Fatalf("%s: %d events, want %d", c.codec, len(stamped), len(stampedLines))
		}
		for i, event := range stamped {
			got, want := plainJSON(t, event), plainJSON(t, decodeMembers([]byte(stampedLines[i])))
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: event %d:\n%v\nwant\n%v", c.codec, i, got, want)
			}
		}
	}
}

// sameDead compares dead letters but for the original, which is bytes in one and text in the other.
func sameDead(t *testing.T, avro, lines string) {
	t.Helper()
	count := 0
	wanted := strings.Split(lines, "\n")
	for i, text := range strings.Split(avro, "\n") {
		got, want := decodeMembers([]byte(text)), decodeMembers([]byte(wanted[i]))
		if got == nil && want == nil {
			continue
		}
		count++
		original, _ := got["originalBase64"].(string)
		if b, err := base64.StdEncoding.DecodeString(original); err != nil || len(b) == 0 ||
			want["original"] == nil {
			t.Errorf("dead letter %s: %v", text, err)
		}
		delete(got, "originalBase64")
		delete(want, "original")
		if !maps.EqualFunc(got, want, reflect.DeepEqual) {
			t.Errorf("dead letter %v, want %v", got, want)
		}
	}
	if count == 0 {
		t.Error("there is no dead letter")
	}
}

// Visits in a container are those in lines.
func TestStampAvro_VisitsInAContainer(t *testing.T) {
	events := shopEvents(rand.New(rand.NewPCG(1, 2)), 500)
	container := asContainer(t, eventSchema, "null", events)
	t.Chdir(t.TempDir())
	flags := []string{"stamp", "--json", "--visits", "visits", "--set", "time.sources=timestamp",
		"--set", "visits.started=true"}
	want := sessionizer(t, container, flags...)
	lines := strings.Split(strings.TrimSuffix(read(t, ".", "visits"), "\n"), "\n")
	for _, input := range []string{container, asLines(t, events)} {
		got := sessionizer(t, input, append(flags, "--set", "visits.format=avro")...)
		_, _, visits := readContainer(t, read(t, ".", "visits"))
		if got.code != exitFine || got.stderr != want.stderr || len(visits) != len(lines) {
			t.Fatalf("%d visits, want %d; %s\nwant %s", len(visits), len(lines), got.stderr, want.stderr)
		}
		for i, line := range lines {
			visit := decodeMembers([]byte(line))
			for _, name := range []string{"messageId", "anonymousId", "reason"} {
				if visits[i][name] != visit[name] {
					t.Errorf("visit %d: %v, want %v", i, visits[i], line)
				}
			}
		}
	}
}

// The same input gives the same bytes, several containers are one log, and none is one.
func TestStampAvro_SeveralContainersAreOneLog(t *testing.T) {
	events := shopEvents(rand.New(rand.NewPCG(3, 4)), 400)
	t.Chdir(t.TempDir())
	write(t, ".", "all", asContainer(t, eventSchema, "null", events))
	write(t, ".", "first", asContainer(t, eventSchema, "null", events[:150]))
	write(t, ".", "second", asContainer(t, " "+eventSchema, "deflate", events[150:]))
	write(t, ".", "empty", asContainer(t, eventSchema, "null", nil))
	all := sessionizer(t, "", "stamp", "--json", "all")
	again := sessionizer(t, "", "stamp", "--json", "all")
	if all.code != exitFine || all.stdout != again.stdout {
		t.Errorf("%s; the second run writes other bytes", all.stderr)
	}
	parts := sessionizer(t, "", "stamp", "--json", "first", "empty", "second")
	_, _, want := readContainer(t, all.stdout)
	_, _, got := readContainer(t, parts.stdout)
	if parts.stderr != all.stderr || !reflect.DeepEqual(got, want) || len(got) < 380 {
		t.Errorf("%d events, want %d; %s\n%s", len(got), len(want), parts.stderr, all.stderr)
	}
	none := sessionizer(t, "", "stamp", "empty")
	schema, _, left := readContainer(t, none.stdout)
	if none.code != exitFine || len(left) != 0 || !strings.Contains(schema, "sessionizer.Session") &&
		!strings.Contains(schema, `"Session"`) {
		t.Errorf("%d events, %s, %s", len(left), schema, none.stderr)
	}
}

func TestStampAvro_RefusesByName(t *testing.T) {
	t.Chdir(t.TempDir())
	events := shopEvents(rand.New(rand.NewPCG(5, 6)), 50)
	other := strings.Replace(eventSchema, `"shop"`, `"other"`, 1)
	recursive := `{"type":"record","name":"r","fields":[{"name":"next","type":["null","r"]}]}`
	write(t, ".", "events", asContainer(t, eventSchema, "null", events))
	write(t, ".", "other", asContainer(t, other, "null", events))
	write(t, ".", "lines", asLines(t, events))
	write(t, ".", "recursive", asContainer(t, recursive, "null", nil))
	write(t, ".", "precious", "visits")
	for _, c := range []struct {
		code         int
		stderr, args string
	}{
		{exitFailed, "read events and lines: lines of JSON and Avro containers are not one log",
			"events lines"},
		{exitFailed, "read other: its schema is another one", "events other"},
		{exitFailed, "read recursive: schema", "recursive"},
		{exitFailed, "read events: it is an Avro container and input.format is json",
			"events --set input.format=json"},
		{exitUsage, "dead_letters.on.no_key is pass", "events --set dead_letters.on.no_key=pass"},
	} {
		r := sessionizer(t, "", append([]string{"stamp", "--visits", "precious"},
			strings.Fields(c.args)...)...)
		if r.code != c.code || r.stdout != "" || !strings.Contains(r.stderr, c.stderr) {
			t.Errorf("%s: %+v", c.args, r)
		}
		if read(t, ".", "precious") != "visits" {
			t.Fatalf("%s: a file was emptied", c.args)
		}
	}
	// From a pipe it is found out in its turn.
	r := sessionizer(t, asLines(t, events), "stamp", "events", "-")
	if r.code != exitFailed || !strings.Contains(r.stderr, "read -: lines of JSON and Avro") {
		t.Errorf("%+v", r)
	}
}

// What was in front of the damage comes out, and the error says where it is.
func TestStampAvro_ADamagedBlockIsNamed(t *testing.T) {
	t.Chdir(t.TempDir())
	events := shopEvents(rand.New(rand.NewPCG(7, 8)), 300)
	whole := asContainer(t, eventSchema, "null", events)
	want := sessionizer(t, whole, "stamp")
	_, _, all := readContainer(t, want.stdout)
	for name, c := range map[string]struct{ file, stderr string }{
		"cut off": {whole[:len(whole)-500], "block 3 at byte"},
		"trash":   {whole + "trash that is longer than a marker", "block 4 at byte"},
		"event": {strings.Replace(whole, "\x08m250", "\x7fm250", 1),
			"in it: the bytes are no event of the schema"},
	} {
		if c.file == whole {
			t.Fatalf("%s: nothing is damaged", name)
		}
		write(t, ".", "broken.avro", c.file)
		r := sessionizer(t, "", "stamp", "broken.avro")
		if r.code != exitFailed || !strings.Contains(r.stderr, "read broken.avro: block") ||
			!strings.Contains(r.stderr, c.stderr) || !strings.Contains(r.stderr, "stamped   ") {
			t.Errorf("%s: code %d, %s", name, r.code, r.stderr)
		}
		_, _, got := readContainer(t, r.stdout)
		if len(got) < 180 || len(got) > len(all) || !reflect.DeepEqual(got, all[:len(got)]) {
			t.Errorf("%s: %d events of %d came out", name, len(got), len(all))
		}
	}
}

func TestExplainAvro_SaysWhatItSaysOfLines(t *testing.T) {
	t.Chdir(t.TempDir())
	events := shopEvents(rand.New(rand.NewPCG(9, 10)), 600)
	write(t, ".", "events", asLines(t, events))
	want := sessionizer(t, "", "explain", "customer-7", "--file", "events")
	wantJSON := sessionizer(t, "", "explain", "customer-7", "--file", "events", "--json")
	write(t, ".", "events", asContainer(t, eventSchema, "deflate", events))
	got := sessionizer(t, "", "explain", "customer-7", "--file", "events")
	gotJSON := sessionizer(t, "", "explain", "customer-7", "--file", "events", "--json",
		"--set", "visits.format=avro")
	if got != want || got.code != exitFine || strings.Count(got.stdout, "\n") < 10 {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	if gotJSON != wantJSON {
		t.Errorf("%+v\nwant %+v", gotJSON, wantJSON)
	}
	none := sessionizer(t, "", "explain", "nobody", "--file", "events")
	if none.code != exitFailed ||
		!strings.Contains(none.stderr, "no event of this key in 600 events") {
		t.Errorf("%+v", none)
	}
}
