package main

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// From the configuration to the topics: where the program gets its schemas, and what the records
// that it writes are framed with.

const avroEvent = `{"type":"record","name":"Event","namespace":"acme","fields":[
	{"name":"anonymousId","type":"string"},{"name":"type","type":"string"},
	{"name":"timestamp","type":{"type":"long","logicalType":"timestamp-millis"}}]}`

// avroBytes are the bytes of an event, so many seconds after the first one.
func avroBytes(frame []byte, anonymousID string, second int) []byte {
	v := append([]byte{}, frame...)
	for _, text := range []string{anonymousID, "page"} {
		v = append(binary.AppendVarint(v, int64(len(text))), text...)
	}
	at := time.Date(2026, 1, 1, 12, 0, second, 0, time.UTC)
	return binary.AppendVarint(v, at.UnixMilli())
}

func frameOf(id uint32) []byte { return binary.BigEndian.AppendUint32([]byte{0}, id) }

// secureRegistry is one that wants a password, behind TLS.
func secureRegistry(t *testing.T) (fake *srfake.Registry, config string) {
	t.Helper()
	fake = srfake.NewRegistry(srfake.WithAuth("Basic dXNlcjpzM2NyZXQ="))
	fake.SeedSchema("events-value", 1, 41, sr.Schema{Schema: avroEvent})
	server := httptest.NewUnstartedServer(fake.Handler())
	certificate, caFile := selfSigned(t)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return fake, fmt.Sprintf("registry: {url: '%s', username: user, password_file: %s, "+
		"tls: {ca_file: %s}}\n", server.URL, write(t, t.TempDir(), "password", "s3cret\n"), caFile)
}

// textOf decodes a value, whose schema goes by the id in front of it.
func textOf(t *testing.T, fake *srfake.Registry, subject string, value []byte) string {
	t.Helper()
	schema, there := fake.GetSchema(subject, 1)
	if !there || len(value) < 5 || value[0] != 0 ||
		binary.BigEndian.Uint32(value[1:]) != uint32(schema.ID) {
		t.Fatalf("%s is %+v (%t), the value %x", subject, schema, there, value)
	}
	return decoded(t, schema.Schema.Schema, value[5:])
}

func decoded(t *testing.T, schema string, value []byte) string {
	t.Helper()
	codec, err := goavro.NewCodecForStandardJSONFull(schema)
	if err != nil {
		t.Fatal(err)
	}
	native, rest, err := codec.NativeFromBinary(value)
	if err != nil || len(rest) > 0 {
		t.Fatalf("%d bytes left, %v", len(rest), err)
	}
	text, err := codec.TextualFromNative(nil, native)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRun_AvroWithARegistry(t *testing.T) {
	p := newWirePipe(t)
	topic := p.topic(t, "avro", 1)
	fake, config := secureRegistry(t)
	p.produce(t, &kgo.Record{Topic: topic, Value: avroBytes(frameOf(41), "ana", 0)},
		&kgo.Record{Topic: topic, Value: []byte(
			`{"anonymousId":"ana","type":"page","timestamp":"2026-01-01T12:00:05Z"}`)},
		&kgo.Record{Topic: topic, Value: avroBytes(frameOf(41), "ana", 4000)})
	p.process(t, topic, config+"visits: {format: avro}\n")
	out, visits := p.read(t, topic+"-out")[0], p.read(t, topic+"-visits")[0]
	if len(out) != 3 || len(visits) != 1 {
		t.Fatalf("%d events and %d visits, want 3 and 1", len(out), len(visits))
	}
	for i, want := range map[int]string{0: `"eventIndex":1`, 2: `"index":2`} {
		if text := textOf(t, fake, topic+"-out-value", out[i].Value); !strings.Contains(text, want) {
			t.Errorf("event %d is %s, want %s in it", i, text, want)
		}
	}
	if text := string(out[1].Value); !strings.Contains(text, `"eventIndex":2`) {
		t.Errorf("the event between them is %s, want JSON with eventIndex 2", text)
	}
	text := textOf(t, fake, topic+"-visits-value", visits[0].Value)
	if !strings.Contains(text, "Visit Ended") || !strings.Contains(text, "ana") {
		t.Errorf("the visit is %s", text)
	}
}

func TestRun_AvroWithoutARegistry(t *testing.T) {
	p := newWirePipe(t)
	topic := p.topic(t, "raw", 1)
	file := write(t, t.TempDir(), "event.avsc", avroEvent)
	p.produce(t, &kgo.Record{Topic: topic, Value: avroBytes(nil, "ana", 0)},
		&kgo.Record{Topic: topic, Value: avroBytes(nil, "ana", 4000)})
	p.process(t, topic, "input: {format: avro, schema: "+file+"}\nvisits: {format: avro}\n")
	out, visits := p.read(t, topic+"-out")[0], p.read(t, topic+"-visits")[0]
	if len(out) != 2 || len(visits) != 1 {
		t.Fatalf("%d events and %d visits, want 2 and 1", len(out), len(visits))
	}
	schema := sessionizer(t, "", "schema", "--output-of", file)
	text := decoded(t, schema.stdout, out[1].Value)
	if schema.code != exitFine || !strings.Contains(text, `"index":2`) {
		t.Errorf("%s; the event is %s, want index 2 in it", schema.stderr, text)
	}
	visit := sessionizer(t, "", "schema", "visit-ended")
	if text := decoded(t, visit.stdout, visits[0].Value); !strings.Contains(text, "Visit Ended") {
		t.Errorf("the visit is %s", text)
	}
}

// Who lets no process register anything takes the schema from here.
func TestSchema_OfTheOutput(t *testing.T) {
	t.Chdir(t.TempDir())
	_, config := secureRegistry(t)
	file := write(t, t.TempDir(), "event.avsc", avroEvent)
	byFile := sessionizer(t, "", "schema", "--output-of", file)
	write(t, ".", "sessionizer.yaml", config)
	byID := sessionizer(t, "", "schema", "--output-of", "41")
	if byFile.code != exitFine || byID.code != exitFine || byFile.stdout != byID.stdout ||
		!strings.Contains(byID.stdout, `"eventIndex"`) {
		t.Errorf("by file %+v\nby id %+v", byFile, byID)
	}
	for want, args := range map[string][]string{
		"schema id 7: schema registry https://": {"7"},
		"gone.avsc: no such file":               {filepath.Join(t.TempDir(), "gone.avsc")},
		"an event is a record":                  {write(t, t.TempDir(), "text.avsc", `"string"`)},
		"none of the others can be":             {"41", "--json-schema"},
	} {
		r := sessionizer(t, "", append([]string{"schema", "--output-of"}, args...)...)
		if r.code == exitFine || !strings.Contains(r.stderr, want) || r.stdout != "" ||
			strings.Contains(r.stderr, "s3cret") {
			t.Errorf("%v: %+v, want %q", args, r, want)
		}
	}
}

func TestSchema_IsRegistered(t *testing.T) {
	t.Chdir(t.TempDir())
	fake, config := secureRegistry(t)
	write(t, ".", "sessionizer.yaml", config+"input: {topics: [events]}\noutput: {topic: stamped}\n"+
		"visits: {topic: calls, format: avro}\nkafka: {brokers: [localhost:1]}\n")
	for subject, args := range map[string][]string{
		"stamped-value": {"--output-of", "41"}, "calls-value": {"visit-ended"},
	} {
		r := sessionizer(t, "", append([]string{"schema", "--register"}, args...)...)
		if r.code != exitFine || !strings.Contains(r.stdout, subject) || !fake.SubjectExists(subject) {
			t.Errorf("%v: %+v, there: %t", args, r, fake.SubjectExists(subject))
		}
	}
	if r := sessionizer(t, "", "schema", "session", "--register"); r.code == exitFine {
		t.Errorf("a session goes by no subject: %+v", r)
	}
}
