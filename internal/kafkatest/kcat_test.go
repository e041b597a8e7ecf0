//go:build kafka

package kafkatest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/linkedin/goavro/v2"
)

// Another client on both sides of us: kcat, which is librdkafka. It compresses, frames and writes
// headers in its own way.

// kcat runs kcat and returns what it prints. Without kcat the test is skipped, but not in CI, which
// installs it (.ci/run).
func kcat(t *testing.T, input []byte, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("kcat")
	if err != nil {
		const what = "NOT TRIED: no kcat on the PATH (Debian: apt-get install kcat)"
		if os.Getenv("CI") != "" {
			t.Fatal(what)
		}
		t.Skip(what)
	}
	args = append([]string{"-b", strings.Join(brokers(), ",")}, args...)
	cmd := exec.CommandContext(ask(t), path, args...)
	cmd.Stdin = bytes.NewReader(input)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kcat %s: %v\n%s", strings.Join(args, " "), err, said.Bytes())
	}
	return out
}

// kcatRecord is a record as kcat -J prints it.
type kcatRecord struct {
	Partition int32
	Offset    int64
	Key       *string
	Payload   *string
	Headers   []string
}

func kcatRead(t *testing.T, topic string) []kcatRecord {
	t.Helper()
	out := kcat(t, nil, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-J",
		"-X", "isolation.level=read_committed")
	var all []kcatRecord
	for _, line := range bytes.Split(bytes.TrimSpace(out), []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		var r kcatRecord
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		all = append(all, r)
	}
	return all
}

func TestKcat_WritesAndReadsEvents(t *testing.T) {
	t.Parallel()
	events := customers(random(t), 10, 500)
	p := newPipeline(t, 2, nil, "output.headers=true", "output.compression=zstd")
	p.make(t)
	byCodec := []string{"none", "gzip", "snappy", "lz4", "zstd"}
	for i, codec := range byCodec {
		var lines bytes.Buffer
		for _, r := range events[i*100 : (i+1)*100] {
			fmt.Fprintf(&lines, "%s\t%s\n", r.Key, r.Value)
		}
		kcat(t, lines.Bytes(), "-P", "-t", p.input, "-K", "\t", "-z", codec, "-H", "codec="+codec)
	}
	kcat(t, []byte("bad\t{\n"), "-P", "-t", p.input, "-K", "\t")
	if got := p.codecsOf(t, p.input); len(got) < len(byCodec) {
		t.Errorf("kcat wrote batches of the codecs %v only", got)
	}
	p.runUntilEnd(t, "one")

	out := kcatRead(t, p.output)
	if len(out) != len(events) {
		t.Fatalf("kcat reads %d events, %d went in", len(out), len(events))
	}
	in := map[string][]string{}
	for _, r := range events {
		in[string(r.Key)] = append(in[string(r.Key)], string(r.Value))
	}
	starts := 0
	for _, r := range out {
		want := in[*r.Key]
		if len(want) == 0 {
			t.Fatalf("an event too many of %s", *r.Key)
		}
		got, err := bare([]byte(*r.Payload))
		if err != nil {
			t.Fatal(err)
		}
		sent, err := bare([]byte(want[0]))
		if err != nil || got != sent {
			t.Fatalf("%s, in there is %s (%v)", got, sent, err)
		}
		in[*r.Key] = want[1:]
		headers := strings.Join(r.Headers, " ")
		if !strings.HasPrefix(headers, "codec ") || !strings.Contains(headers, "session-id ") {
			t.Fatalf("headers %s", headers)
		}
		if strings.Contains(headers, "session-start true") {
			starts++
		}
	}
	ids := map[string]bool{}
	for _, r := range kcatRead(t, p.visits) {
		ids[*r.Key] = true
	}
	if starts == 0 || len(ids) == 0 || len(ids) > starts {
		t.Errorf("%d starts, %d sessions have ended", starts, len(ids))
	}
	dead := kcatRead(t, p.dead)
	if len(dead) != 1 || *dead[0].Payload != "{" ||
		!strings.Contains(strings.Join(dead[0].Headers, " "), "reason malformed") {
		t.Errorf("%d dead letters: %+v", len(dead), dead)
	}
}

// This kcat need not know Avro: what it reads are bytes that the registry's schemas decode.
func TestKcat_ReadsAvro(t *testing.T) {
	t.Parallel()
	r := ownRegistry(t)
	events := customers(random(t), 5, 100)
	p := newPipeline(t, 1, nil, "registry.url="+r.URL(), "visits.format=avro")
	p.make(t)
	p.send(t, avroEvents(t, register(t, r, p.input+"-value", eventV1), eventV1, events)...)
	p.runUntilEnd(t, "one")
	for topic, want := range map[string]int{p.output: len(events), p.visits: 1} {
		values := kcatValues(t, topic)
		if len(values) < want {
			t.Errorf("kcat reads %d records of %s, want %d", len(values), topic, want)
		}
		for i, v := range values {
			codec, err := goavro.NewCodec(schemaOf(t, r, binary.BigEndian.Uint32(v[1:])))
			if err != nil {
				t.Fatal(err)
			}
			n, rest, err := codec.NativeFromBinary(v[5:])
			if err != nil || len(rest) > 0 || v[0] != 0 {
				t.Fatalf("record %d of %s: %v, %d bytes are left", i, topic, err, len(rest))
			}
			if n.(map[string]any)["anonymousId"] == nil {
				t.Errorf("record %d of %s has no anonymousId: %v", i, topic, n)
			}
		}
	}
}

// kcatValues reads values that may be any bytes: kcat prints their length in front.
func kcatValues(t *testing.T, topic string) [][]byte {
	t.Helper()
	out := kcat(t, nil, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%S\n%s",
		"-X", "isolation.level=read_committed")
	var values [][]byte
	for len(out) > 0 {
		line, rest, _ := bytes.Cut(out, []byte("\n"))
		var size int
		if _, err := fmt.Sscan(string(line), &size); err != nil || size > len(rest) {
			t.Fatalf("kcat printed %.100q: %v", out, err)
		}
		values, out = append(values, rest[:size]), rest[size:]
	}
	return values
}
