package main

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// What explain says of events must not depend on how they are written on the topic.

// framed is an event as Confluent's serializers write it.
func framed(t *testing.T, codec *goavro.Codec, id uint32, event map[string]any) []byte {
	t.Helper()
	value, err := codec.BinaryFromNative(binary.BigEndian.AppendUint32([]byte{0}, id), nativeOf(event))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestExplainAvro_LearnsTheSchemasOfATopic(t *testing.T) {
	t.Chdir(t.TempDir())
	registry := srfake.New()
	t.Cleanup(registry.Close)
	registry.SeedSchema("events-value", 1, 7, sr.Schema{Schema: eventSchema, Type: sr.TypeAvro})
	var writes atomic.Int32
	registry.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			writes.Add(1)
		}
		return false
	})
	codec, err := goavro.NewCodec(eventSchema)
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "events", "lines"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	produce := func(topic string, value []byte, at time.Time) {
		r := &kgo.Record{Topic: topic, Value: value, Timestamp: at, Partition: 2}
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	at := time.Date(2026, 1, 1, 1, 0, 0, 0, time.UTC)
	for _, event := range shopEvents(rand.New(rand.NewPCG(11, 12)), 200) {
		at = at.Add(time.Minute)
		line := asLines(t, []map[string]any{event})
		produce("lines", []byte(strings.TrimSuffix(line, "\n")), at)
		produce("events", framed(t, codec, 7, event), at)
	}
	// An id that the registry does not have is bad input, and of nobody's key.
	produce("events", append([]byte{0, 0, 0, 0, 9}, "customer-5"...), at)

	flags := []string{"explain", "customer-5", "--set", "kafka.brokers=" + cluster.ListenAddrs()[0]}
	avro := slices.Concat(flags, []string{"--set", "registry.url=" + registry.URL()})
	for _, how := range [][]string{{"--json"}, {"--json", "--partition", "2"}, nil} {
		want := sessionizer(t, "", append(append(flags, "--set", "input.topics=lines"), how...)...)
		got := sessionizer(t, "", append(avro, how...)...)
		want.stdout = strings.ReplaceAll(want.stdout, `"topic":"lines"`, `"topic":"events"`)
		want.stdout = strings.ReplaceAll(want.stdout, "lines/2\n", "events/2\n")
		want.stderr = strings.ReplaceAll(want.stderr, "lines/2", "events/2")
		if got != want || got.code != exitFine || strings.Count(got.stdout, "\n") < 5 {
			t.Errorf("%v: %+v\nwant %+v", how, got, want)
		}
	}
	if writes.Load() > 0 {
		t.Errorf("%d requests that write: explain only reads", writes.Load())
	}
	registry.Close()
	r := sessionizer(t, "", avro...)
	if r.code != exitFailed || !strings.Contains(r.stderr, "schema registry "+registry.URL()) {
		t.Errorf("without a registry: %+v", r)
	}
}

// A file's form is what it shows, whatever the topics have: no line is taken for a framed event.
func TestStampAvro_TheRegistryHasNoSayInFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	line := "\x00\x00\x00\x00\x09customer\n" + `{"anonymousId":"a","timestamp":"2026-01-01T00:00:00Z"}`
	for _, format := range []string{"auto", "json"} {
		r := sessionizer(t, line, "stamp", "--set", "registry.url=http://127.0.0.1:1", "--set",
			"input.format="+format)
		if r.code != exitFine || !strings.Contains(r.stderr, "(malformed 1)") ||
			!strings.Contains(r.stdout, `"start":true`) {
			t.Errorf("%s: %+v", format, r)
		}
	}
	file := asContainer(t, eventSchema, "null", shopEvents(rand.New(rand.NewPCG(1, 1)), 9))
	write(t, ".", "other.avsc", `{"type":"record","name":"r","fields":[{"name":"a","type":"string"}]}`)
	want := sessionizer(t, file, "stamp")
	got := sessionizer(t, file, "stamp", "--set", "input.format=avro",
		"--set", "input.schema=other.avsc")
	if got != want || !bytes.HasPrefix([]byte(got.stdout), []byte("Obj\x01")) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}
