//go:build synctests

package processor

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sessionizer/internal/hostile"
	"sessionizer/schemas"
)

// A batch that cannot be held in memory, or that is not what it says, must neither stop the
// partition nor be stepped over: each of its records has an outcome like any other.

// send writes a batch to the first partition of the input as it stands.
func (w *world) send(b hostile.Batch) { w.t.Helper(); w.sendTo(0, b) }

func (w *world) sendTo(partition int32, b hostile.Batch) {
	w.t.Helper()
	cl := w.client()
	defer cl.Close()
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 1000
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.TopicID = "events", w.topicID("events")
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, b.Encode()
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(w.t.Context(), cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// batchOf makes a batch of what write writes.
func batchOf(
	t *testing.T, codec kgo.CompressionCodecType, count int32, write func(w io.Writer) error,
) hostile.Batch {
	t.Helper()
	body, err := hostile.Compress(codec, write)
	if err != nil {
		t.Fatal(err)
	}
	return hostile.Batch{Codec: codec, Records: body, Count: count, Time: epoch}
}

// records writes events one behind the other.
func records(first int, events ...*kgo.Record) func(w io.Writer) error {
	return func(w io.Writer) error {
		for i, r := range events {
			if err := hostile.WriteRecord(w, first+i, r.Key, r.Value, 0, nil); err != nil {
				return err
			}
		}
		return nil
	}
}

func writeAll(parts ...func(w io.Writer) error) func(w io.Writer) error {
	return func(w io.Writer) error {
		for _, part := range parts {
			if err := part(w); err != nil {
				return err
			}
		}
		return nil
	}
}

func bomb(delta int, size int64) func(w io.Writer) error {
	return func(w io.Writer) error {
		head := fmt.Appendf(nil, `{"anonymousId":"bomb","timestamp":%q,"x":"`, epoch.Format(time.RFC3339))
		return hostile.WriteRecord(w, delta, []byte("bomb"), head, size, []byte(`"}`))
	}
}

// outcomes are the offsets of the input that came out, and the dead letters with their reasons.
func (w *world) outcomes() string {
	w.t.Helper()
	var got []string
	for _, r := range w.read("out")[0] {
		_, id, _ := strings.Cut(string(r.Value), `"messageId":"`)
		id, _, _ = strings.Cut(id, `"`)
		got = append(got, id)
	}
	for _, r := range w.read("dead")[0] {
		text := "dead"
		for _, h := range r.Headers {
			switch h.Key {
			case schemas.HeaderErrorOffset, schemas.HeaderErrorReason, schemas.HeaderErrorCut:
				text += " " + string(h.Value)
			}
		}
		got = append(got, text)
	}
	return strings.Join(got, ", ")
}

const asideTestMax = 1 << 20

func TestAside(t *testing.T) {
	for _, codec := range codecs[1:] {
		t.Run("ABomb/"+codecName(codec), func(t *testing.T) {
			bubble(t, 1, func(w *world) {
				c := w.config("a")
				c.BatchBytes = asideTestMax
				w.create(c)
				w.produce(0, event("ana", 0))
				w.send(batchOf(t, codec, 3, writeAll(records(0, event("ana", 1)), bomb(1, 8<<20),
					records(2, event("ana", 2)))))
				w.produce(0, event("ana", 3))
				w.finish(c)
				want := "m-ana-0, m-ana-1, m-ana-2, m-ana-3, dead 2 limit a part of the record"
				if got := w.outcomes(); got != want {
					t.Errorf("%s\nwant %s", got, want)
				}
				if n := w.logged("lane reset"); n != 0 {
					t.Errorf("%d lane resets", n)
				}
				if got := w.visits(); len(got) != 0 {
					t.Errorf("visits %q", got)
				}
			})
		})
	}
	// Events that no limit is against, only too many for the memory of one batch; over many turns
	// and commits, and with the first offset that the group ever commits.
	for name, before := range map[string]int{"ALargeBatch": 1, "ALargeBatchAtFirst": 0} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(w *world) {
				c := w.config("a")
				c.BatchBytes = asideTestMax
				w.create(c)
				events := traffic(1, "p0", 5, 5000)
				for i, r := range events {
					head := r.Value[:len(r.Value)-1]
					r.Value = fmt.Appendf(head, `,"pad":%q}`, strings.Repeat("x", 1000+i%7))
				}
				for i := range before {
					w.produce(0, events[i])
				}
				rest := events[before:]
				// All of a batch have its timestamp, which would clamp what is in its future.
				b := batchOf(t, kgo.CodecZstd, int32(len(rest)), records(0, rest...))
				b.Time = rest[len(rest)-1].Timestamp
				w.send(b)
				w.finish(c)
				out := w.read("out")[0]
				if len(out) != len(events) || len(w.read("dead")) != 0 {
					t.Fatalf("%d events came out, %d dead letters", len(out), len(w.read("dead")[0]))
				}
				ref := w.config("whole")
				ref.Group, ref.Output, ref.Visits, ref.DeadLetters = "ref", "ref-out", "ref-visits", "ref-dead"
				w.create(ref)
				w.finish(ref)
				want := w.read("ref-out")[0]
				for i := range want {
					if string(out[i].Value) != string(want[i].Value) {
						t.Fatalf("event %d is %s, from the whole batch %s", i, out[i].Value, want[i].Value)
					}
				}
				a, b2 := w.visits(), w.visitsOf("ref-visits")
				slices.Sort(a) // they end with what is stepped at once
				slices.Sort(b2)
				if !slices.Equal(a, b2) || len(a) == 0 {
					t.Errorf("%d visits, from the whole batch %d", len(a), len(b2))
				}
				if w.logged("record by record") == 0 {
					t.Error("the batch was never read record by record")
				}
			})
		})
	}
	for _, lie := range hostile.Lies() {
		t.Run("ALie/"+lie.Name, func(t *testing.T) {
			bubble(t, 1, func(w *world) {
				c := w.config("a")
				w.create(c)
				w.produce(0, event("ana", 0))
				w.send(hostile.Batch{Codec: lie.Codec, Records: lie.Bytes, Count: 3, Time: epoch})
				w.produce(0, event("ana", 3))
				w.finish(c)
				got := w.outcomes()
				reason := "malformed"
				if lie.Name == "ZstdWindow" {
					reason = "limit"
				}
				want := "m-ana-0, m-ana-3, dead 1 " + reason + " the records up to offset 3"
				if got != want {
					t.Errorf("%s\nwant %s", got, want)
				}
			})
		})
	}
	t.Run("ManyBombsInOneFetch", func(t *testing.T) {
		bubble(t, 1, func(w *world) {
			c := w.config("a")
			c.BatchBytes = asideTestMax
			w.create(c)
			b := batchOf(t, kgo.CodecZstd, 1, bomb(0, 4<<20))
			for range 50 {
				w.send(b)
			}
			w.produce(0, event("ana", 3))
			w.finish(c)
			dead := w.read("dead")[0]
			if len(dead) != 50 || len(w.read("out")[0]) != 1 {
				t.Errorf("%d dead letters, %d events", len(dead), len(w.read("out")[0]))
			}
			if n := w.logged("record by record"); n > 2 {
				t.Errorf("the client was asked %d times for what lies in one fetch", n)
			}
		})
	})
	t.Run("OfATransactionThatWasAborted", func(t *testing.T) {
		bubble(t, 1, func(w *world) {
			c := w.config("a")
			c.BatchBytes = asideTestMax
			w.create(c)
			w.produce(0, event("ana", 0))
			w.abandon(strings.Repeat("x", 4<<20))
			w.produce(0, event("ana", 3))
			w.finish(c)
			if got := w.outcomes(); got != "m-ana-0, m-ana-3" {
				t.Error(got)
			}
		})
	})
	t.Run("AfterAKill", func(t *testing.T) {
		bubble(t, 1, func(w *world) {
			c := w.config("a")
			c.BatchBytes, c.CommitInterval = asideTestMax, time.Millisecond
			w.create(c)
			var parts []func(w io.Writer) error
			const n = 40
			for i := range n {
				e := event("ana", i)
				e.Value = fmt.Appendf(e.Value[:len(e.Value)-1], `,"pad":%q}`, strings.Repeat("x", 900_000))
				parts = append(parts, records(i, e))
			}
			// Not zstd: the audit reads it, and kgo's own decoder must not outlive the bubble.
			w.send(batchOf(t, kgo.CodecGzip, n, writeAll(parts...)))
			m := w.start(c)
			for range 1000 {
				if w.committed() > 0 {
					break
				}
				w.advance(time.Millisecond)
			}
			m.kill()
			if at := w.committed(); at == 0 || at == n {
				t.Fatalf("committed %d at the kill, of %d", at, n)
			}
			c.State.FS = m.fs
			w.finish(c)
			w.audit()
			if got := len(w.read("out")[0]); got != n {
				t.Errorf("%d events, want %d", got, n)
			}
		})
	})
	t.Run("PolicyFailStops", func(t *testing.T) {
		bubble(t, 1, func(w *world) {
			c := w.config("a")
			c.Policy.On = map[schemas.Reason]Action{schemas.Malformed: Fail}
			w.create(c)
			lie := hostile.Lies()[0]
			w.send(hostile.Batch{Codec: lie.Codec, Records: lie.Bytes, Count: 3, Time: epoch})
			w.stopped(w.start(c), time.Minute, "events/0@0", "malformed", "dead_letters.on")
		})
	})
}

// What the log has damaged is another matter: it may be there elsewhere.
func TestADamagedBatch(t *testing.T) {
	t.Run("OnItsWayIsFetchedAgain", func(t *testing.T) {
		bubble(t, 1, func(w *world) {
			c := w.config("a")
			w.create(c)
			w.produce(0, event("ana", 0))
			m := w.start(c)
			flipped := m.flip(1, 2)
			w.advance(time.Second)
			w.produce(0, event("ana", 1))
			w.advance(10 * time.Second)
			w.runs("a", m)
			if got := w.outcomes(); got != "m-ana-0, m-ana-1" || flipped.Load() != 2 {
				t.Errorf("%s, %d bits were flipped", got, flipped.Load())
			}
			m.stop()
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("OnDiskStopsByName", func(t *testing.T) {
		bubble(t, 1, func(w *world) {
			c := w.config("a")
			w.create(c)
			w.produce(0, event("ana", 0))
			m := w.start(c)
			flipped := m.flip(1, 1<<30)
			w.advance(time.Second)
			w.produce(0, event("ana", 1))
			w.stopped(m, time.Minute, "events/0", "offset 1", "checksum", "OPERATING.md")
			if flipped.Load() < asideTries {
				t.Errorf("%d bits were flipped", flipped.Load())
			}
			if got := w.outcomes(); got != "m-ana-0" {
				t.Error(got)
			}
		})
	})
}

// flip has a bit of the batch at an offset flipped on its way, so many times.
func (m *member) flip(offset uint64, times int32) *atomic.Int32 {
	var done atomic.Int32
	m.net.edit(kmsg.Fetch, func(resp kmsg.Response) {
		f, ok := resp.(*kmsg.FetchResponse)
		if !ok {
			return
		}
		for _, t := range f.Topics {
			for i := range t.Partitions {
				raw := t.Partitions[i].RecordBatches
				if t.TopicID != m.events || len(raw) == 0 ||
					binary.BigEndian.Uint64(raw) != offset || done.Load() >= times {
					continue
				}
				raw = slices.Clone(raw)
				raw[len(raw)-1] ^= 1
				t.Partitions[i].RecordBatches = raw
				done.Add(1)
			}
		}
	})
	return &done
}

// abandon writes an event of that payload in a transaction that it aborts.
func (w *world) abandon(pad string) {
	w.t.Helper()
	cl := w.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("input"),
		kgo.ProducerBatchCompression(kgo.GzipCompression()), kgo.ProducerBatchMaxBytes(8<<20))
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		w.t.Fatal(err)
	}
	r := event("gone", 1)
	r.Topic, r.Value = "events", fmt.Appendf(nil, `{"pad":%q}`, pad)
	if err := cl.ProduceSync(w.t.Context(), r).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	if err := cl.EndTransaction(w.t.Context(), kgo.TryAbort); err != nil {
		w.t.Fatal(err)
	}
}

// committed is the group's committed offset, 0 where there is none.
func (w *world) committed() int64 {
	g := w.cluster.GroupInfo("g")
	if g == nil {
		return 0
	}
	return g.Commits["events"][0].Offset
}
