package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/session"
)

// What a warehouse loads is what --json shows, letter by letter.
func TestDLQShow_TheContainerHoldsWhatJSONShows(t *testing.T) {
	c := newDLQCluster(t)
	c.redrive("--yes", "--reason", "malformed")
	c.sessionizer(exitFine, "run", "--until-end") // they are back, sent back once
	header := func(name, value string) kgo.RecordHeader {
		return kgo.RecordHeader{Key: "__sessionizer.errors." + name, Value: []byte(value)}
	}
	odd := &kgo.Record{ // of another writer: no key and no value, and what is no text
		Topic: "events.dead-letters", Partition: 1, Timestamp: dlqDay.Add(time.Millisecond),
		Headers: []kgo.RecordHeader{
			{Key: "null"}, {Key: "empty", Value: []byte{}}, {Key: "n\xffme", Value: []byte("\xfe")},
			header("topic", "top\xff\xffic"), header("partition", "2147483647"),
			header("offset", "9223372036854775807"), header("reason", "r\xe2\x82"),
			header("message", "m\xff"), header("cut", "c\xff"),
		},
	}
	large := *odd
	large.Value = bytes.Repeat([]byte("large\xff"), 50_000)
	if err := c.cl.ProduceSync(t.Context(), odd, &large).FirstErr(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "letters.avro")
	for args, want := range map[string]int{
		"": 8, "--pending": 6, "--limit 3": 3, "--reason no_key": 2, "--topic other": 0,
	} {
		r := c.sessionizer(exitFine, append([]string{"dlq", "show", "--json", "--avro", file},
			strings.Fields(args)...)...)
		var shown []letterJSON
		for line := range strings.Lines(r.stdout) {
			var l letterJSON
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatal(err)
			}
			shown = append(shown, l)
		}
		written := lettersIn(t, file)
		if len(written) != want || len(shown) != want {
			t.Fatalf("%q: %d in the container, %d shown, want %d", args, len(written), len(shown), want)
		}
		for i := range written {
			if !reflect.DeepEqual(written[i], shown[i]) {
				t.Errorf("%q: letter %d: in the container\n%.2000s\nshown\n%.2000s", args, i,
					shownText(t, written[i]), shownText(t, shown[i]))
			}
		}
	}
	table := c.sessionizer(exitFine, "dlq", "show")
	both := c.sessionizer(exitFine, "dlq", "show", "--avro", file)
	if both != table || len(lettersIn(t, file)) != 8 {
		t.Errorf("with the container: %+v\nwithout: %+v", both, table)
	}
}

func shownText(t *testing.T, l letterJSON) string {
	t.Helper()
	text, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// lettersIn reads a container with goavro, in the form of --json.
func lettersIn(t *testing.T, file string) (all []letterJSON) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := goavro.NewOCFReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if r.CompressionName() != "deflate" {
		t.Errorf("codec %s", r.CompressionName())
	}
	for r.Scan() {
		native, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, letterOfNative(native.(map[string]any)))
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// branch is the value of a union; the zero T: null.
func branch[T any](union any) (of T) {
	if named, ok := union.(map[string]any); ok {
		for _, value := range named {
			of = value.(T)
		}
	}
	return of
}

func letterOfNative(x map[string]any) letterJSON {
	place := branch[map[string]any](x["deadLetter"])
	l := letterJSON{
		Topic:     branch[string](x["topic"]),
		Partition: branch[int32](x["partition"]),
		Offset:    branch[int64](x["offset"]),
		Reason:    x["reason"].(string),
		Message:   x["message"].(string),
		Cut:       branch[string](x["cut"]),
		Timestamp: formatTime(session.Time(branch[time.Time](x["timestamp"]).UnixMilli())),
		Attempts:  int(x["attempts"].(int64)),
		Redriven:  x["redriven"].(bool),
		DeadLetter: placeJSON{place["topic"].(string), place["partition"].(int32),
			place["offset"].(int64)},
	}
	l.Key, l.KeyBase64 = textOrBase64(branch[[]byte](x["key"]))
	l.Original, l.OriginalBase64 = originalOrBase64(x["original"].([]byte))
	for _, item := range x["headers"].([]any) {
		from := item.(map[string]any)
		h := headerJSON{Key: from["key"].(string)}
		text, base64 := textOrBase64(branch[[]byte](from["value"]))
		if h.ValueBase64 = base64; text != nil {
			h.Value = *text
		}
		l.Headers = append(l.Headers, h)
	}
	return l
}

func TestDLQShow_RefusesAContainerOnStandardOutput(t *testing.T) {
	r := sessionizer(t, "", "dlq", "show", "--avro", "-")
	if r.code != exitUsage || !strings.Contains(r.stderr, "--avro -: standard output has the table") {
		t.Errorf("%+v", r)
	}
	// Standard output under another name.
	name := filepath.Join(t.TempDir(), "out")
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	a := &app{process: process{stdout: out, stderr: io.Discard}}
	err = a.checkLetterFile(name)
	if err == nil || !strings.Contains(err.Error(), "is standard output: name a file of its own") {
		t.Errorf("standard output: %v", err)
	}
	if err := a.checkLetterFile(name + ".avro"); err != nil {
		t.Errorf("another file: %v", err)
	}
	c := newDLQCluster(t)
	name = filepath.Join(t.TempDir(), "none", "letters.avro")
	r = c.sessionizer(exitFailed, "dlq", "show", "--avro", name)
	if !strings.Contains(r.stderr, "write "+name+": no such file or directory") || r.stdout != "" {
		t.Errorf("%+v", r)
	}
}
