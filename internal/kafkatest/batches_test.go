//go:build kafka

package kafkatest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sessionizer/internal/hostile"
)

// What a real broker takes and gives: every codec in one topic, batches that are gigabytes in a few
// kilobytes, and events that mean harm.

func codecs() map[string]kgo.CompressionCodec {
	return map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
}

// numbers of the codecs in a batch.
func codecNumbers() map[string]int8 {
	return map[string]int8{"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
}

func TestCompression_EveryCodecIsReadAndWritten(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	for name, number := range codecNumbers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var set []string
			if name != "lz4" { // the default
				set = append(set, "output.compression="+name)
			}
			p := newPipeline(t, 1, nil, set...)
			p.make(t)
			n := 0
			for of, codec := range codecs() {
				cl, err := kgo.NewClient(kgo.SeedBrokers(p.brokers...), kgo.DefaultProduceTopic(p.input),
					kgo.ProducerBatchCompression(codec), kgo.DisableClientMetrics())
				if err != nil {
					t.Fatal(err)
				}
				// One batch, of what can be compressed: else the client sends it as it is.
				var records []*kgo.Record
				for i := range 50 {
					when := at.Add(time.Duration(n) * time.Second)
					records = append(records, event(fmt.Sprint(of, i), "steady", when, `{"n":1}`))
					n++
				}
				err = cl.ProduceSync(ask(t), records...).FirstErr()
				cl.Close()
				if err != nil {
					t.Fatal(err)
				}
				p.sent = append(p.sent, records...)
			}
			p.runUntilEnd(t, "one")
			if v := p.audit(t); v.stamped != n || v.sessions != 1 {
				t.Errorf("%d events in %d sessions, want %d in one", v.stamped, v.sessions, n)
			}
			want := map[int8]bool{}
			for of := range codecs() {
				want[codecNumbers()[of]] = true
			}
			if got := p.codecsOf(t, p.input); len(got) != len(want) {
				t.Errorf("the input has batches of the codecs %v, want all of them", got)
			}
			if got := p.codecsOf(t, p.output); len(got) != 1 || !got[number] {
				t.Errorf("the output has batches of the codecs %v, want %d", got, number)
			}
		})
	}
}

// codecsOf are the codecs of a topic's batches with records of events: those that a client cannot
// but tell apart on the wire.
func (p *pipeline) codecsOf(t *testing.T, topic string) map[int8]bool {
	t.Helper()
	got := map[int8]bool{}
	for _, records := range p.all(t, topic) {
		for _, r := range records {
			if !r.Attrs.IsControl() {
				got[int8(r.Attrs.CompressionType())] = true
			}
		}
	}
	return got
}

// sendBatch writes a batch to the input as it stands.
func (p *pipeline) sendBatch(t *testing.T, b hostile.Batch) error {
	t.Helper()
	topics, err := p.adm.ListTopics(ask(t), p.input)
	if err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, int32(askWithin.Milliseconds())
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.TopicID = p.input, topics[p.input].ID
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = b.Encode()
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	resp, err := p.cl.Broker(int(topics[p.input].Partitions[0].Leader)).Request(ask(t), req)
	if err != nil {
		t.Fatal(err)
	}
	return kerr.ErrorForCode(resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode)
}

// A gigabyte of one letter in a batch that a broker takes: the events beside it come out, and the
// process stays as small as it was.
func TestBatches_ABombIsADeadLetterAndTheMemoryStaysFlat(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	p := newPipeline(t, 1, map[string]string{"max.message.bytes": "8388608"}, "limits.batch=4MiB")
	p.make(t)
	p.send(t, event("first", "steady", at, `{}`))
	proc := p.run(t, "one")
	done := p.awaitOutput(t, 1)
	before := peakKiB(t, proc)
	const bombs, size = 5, 200 << 20
	for i := range bombs {
		for name, codec := range map[string]kgo.CompressionCodecType{
			"gzip": kgo.CodecGzip, "zstd": kgo.CodecZstd, "lz4": kgo.CodecLz4,
		} {
			good := event(fmt.Sprint("beside-", name, i), "steady", at, `{}`)
			body, err := hostile.Compress(codec, func(w io.Writer) error {
				if err := hostile.WriteRecord(w, 0, good.Key, good.Value, 0, nil); err != nil {
					return err
				}
				head := []byte(`{"anonymousId":"bomb","x":"`)
				return hostile.WriteRecord(w, 1, []byte("bomb"), head, size, []byte(`"}`))
			})
			if err != nil {
				t.Fatal(err)
			}
			b := hostile.Batch{Codec: codec, Records: body, Count: 2, Time: at}
			if err := p.sendBatch(t, b); err != nil {
				t.Fatalf("%s, %d bytes: %v", name, len(body), err)
			}
			done++
		}
	}
	p.awaitOutput(t, done)
	p.send(t, event("last", "steady", at, `{}`))
	p.awaitOutput(t, done+1)
	after := peakKiB(t, proc)
	proc.stop(t)
	dead := p.all(t, p.dead)[0]
	if len(dead) != 3*bombs {
		t.Errorf("%d dead letters, want %d", len(dead), 3*bombs)
	}
	for _, r := range dead {
		if h := r.Headers[3]; h.Key != "__sessionizer.errors.reason" || string(h.Value) != "limit" ||
			!strings.HasPrefix(string(r.Value), `{"anonymousId":"bomb","x":"aaaa`) {
			t.Errorf("dead letter of %d bytes: %s=%s", len(r.Value), h.Key, h.Value)
		}
	}
	t.Logf("%d batches of %d MiB: the process took %d KiB at most, %d before",
		3*bombs, size>>20, after, before)
	const roomKiB = 200 << 10 // of 3 GB
	if after > before+roomKiB {
		t.Errorf("the process took %d KiB at most, %d before", after, before)
	}
}

// A batch that is larger than it may be in memory and the last one of its partition, the first one
// too: what comes behind it later comes out.
func TestBatches_ALargeOneIsTheLast(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	p := newPipeline(t, 1, nil, "limits.batch=64KiB")
	p.make(t)
	proc := p.run(t, "one")
	done := 0
	send := func(codec kgo.CompressionCodecType, count int) {
		t.Helper()
		body, err := hostile.Compress(codec, func(w io.Writer) error {
			for i := range count {
				pad := fmt.Sprintf(`{"pad":%q}`, strings.Repeat("x", 9000))
				e := event(fmt.Sprint(done+i), "steady", at, pad)
				if err := hostile.WriteRecord(w, i, e.Key, e.Value, 0, nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			err = p.sendBatch(t, hostile.Batch{Codec: codec, Records: body, Count: int32(count), Time: at})
		}
		if err != nil {
			t.Fatal(err)
		}
		done += count
		p.awaitOutput(t, done)
	}
	for _, codec := range []kgo.CompressionCodecType{kgo.CodecGzip, kgo.CodecZstd} {
		send(codec, 20)
		for range 3 {
			send(kgo.CodecNone, 1)
		}
	}
	proc.stop(t)
	if n := len(p.all(t, p.output)[0]); n != done {
		t.Errorf("%d events came out, want %d", n, done)
	}
	if n := len(p.all(t, p.dead)[0]); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}

// peakKiB is the most memory that a process has had.
func peakKiB(t *testing.T, p *process) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Skipf("no /proc here: %v", err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		t.Fatalf("no VmHWM in %s", text)
	}
	n, err := strconv.Atoi(fields[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Apache Kafka looks into a batch before it takes it. What it refuses we never meet there.
func TestBatches_LiesAreRefusedByTheBrokerOrHaveAnOutcome(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	p := newPipeline(t, 1, nil)
	p.make(t)
	taken := 0
	for _, lie := range hostile.Lies() {
		err := p.sendBatch(t, hostile.Batch{Codec: lie.Codec, Records: lie.Bytes, Count: 1, Time: at})
		t.Logf("%s: %v", lie.Name, err)
		if err == nil {
			taken++
		}
	}
	p.send(t, event("last", "steady", at, `{}`))
	p.runUntilEnd(t, "one")
	out, dead := p.all(t, p.output)[0], p.all(t, p.dead)[0]
	if len(out) != 1 || len(dead) != taken {
		t.Errorf("%d events and %d dead letters of 1 and %d", len(out), len(dead), taken)
	}
}

func TestHostile_EventsHaveTheirOutcomes(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	p := newPipeline(t, 1, map[string]string{"max.message.bytes": "20971520"})
	p.make(t)
	events := hostile.Events(at)
	for i := range events {
		cl, err := kgo.NewClient(kgo.SeedBrokers(p.brokers...), kgo.DefaultProduceTopic(p.input),
			kgo.ProducerBatchMaxBytes(20<<20), kgo.MaxBufferedBytes(64<<20), kgo.DisableClientMetrics(),
			kgo.ProducerBatchCompression(kgo.ZstdCompression()))
		if err != nil {
			t.Fatal(err)
		}
		err = cl.ProduceSync(ask(t), &events[i].Record).FirstErr()
		cl.Close()
		if err != nil {
			t.Fatalf("%s: %v", events[i].Name, err)
		}
	}
	p.runUntilEnd(t, "one")
	wants := make([]string, len(events))
	for i := range events {
		wants[i] = events[i].Reason
	}
	p.checkOutcomes(t, wants)
}

func TestHostile_AvroValuesHaveTheirOutcomes(t *testing.T) {
	t.Parallel()
	r := ownRegistry(t)
	at := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	p := newPipeline(t, 1, map[string]string{"max.message.bytes": "20971520"},
		"registry.url="+r.URL())
	p.make(t)
	frame := binary.BigEndian.AppendUint32([]byte{0}, register(t, r, p.input+"-value",
		hostile.AvroSchema))
	var wants []string
	for _, v := range hostile.AvroValues(at) {
		p.send(t, &kgo.Record{
			Key: []byte("k"), Timestamp: at, Value: append(bytes.Clone(frame), v.Bytes...),
		})
		wants = append(wants, v.Reason)
	}
	unknown := []byte{0, 0x7f, 0xff, 0xff, 0xff, 1}
	for i, value := range [][]byte{{0}, {0, 0, 0, 0}, frame, unknown, {1, 2, 3}} {
		p.send(t, &kgo.Record{Key: fmt.Append(nil, i), Timestamp: at, Value: value})
		wants = append(wants, "malformed")
	}
	p.runUntilEnd(t, "one")
	p.checkOutcomes(t, wants)
}

// checkOutcomes holds the dead letters of partition 0 against the reasons wanted, by offset; where
// there is none the event came out.
func (p *pipeline) checkOutcomes(t *testing.T, wants []string) {
	t.Helper()
	reasons := map[int64]string{}
	for _, r := range p.all(t, p.dead)[0] {
		own := len(r.Headers) - 5
		at, err := strconv.ParseInt(string(r.Headers[own+2].Value), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		reasons[at] = string(r.Headers[own+3].Value)
	}
	passed := 0
	for i, want := range wants {
		if got := reasons[int64(i)]; got != want {
			t.Errorf("event %d: %q, want %q", i, got, want)
		}
		if want == "" {
			passed++
		}
	}
	if n := len(p.all(t, p.output)[0]); n != passed {
		t.Errorf("%d events came out, want %d", n, passed)
	}
}
