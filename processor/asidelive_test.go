//go:build synctests

package processor

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sessionizer/internal/hostile"
)

// The client must go on behind what was read aside: where nothing lies there yet, whatever it knew
// of the partition before, and whatever comes between.

// oversized are batches with so many records that the client cannot read, by name.
func oversized(t *testing.T) map[string]hostile.Batch {
	t.Helper()
	padded := func(i int) func(io.Writer) error {
		e := event("ana", i)
		e.Value = fmt.Appendf(e.Value[:len(e.Value)-1], `,"pad":%q}`, strings.Repeat("x", 600_000))
		return records(i, e)
	}
	large := writeAll(padded(0), padded(1), padded(2))
	b := map[string]hostile.Batch{
		"Gzip": batchOf(t, kgo.CodecGzip, 3, large),
		"Zstd": batchOf(t, kgo.CodecZstd, 3, large),
		"Bomb": batchOf(t, kgo.CodecZstd, 3, writeAll(padded(0), bomb(1, 8<<20), padded(2))),
	}
	lie := hostile.Lies()[0]
	b["Lie"] = hostile.Batch{Codec: lie.Codec, Records: lie.Bytes, Count: 3, Time: epoch}
	return b
}

// reaches waits until an offset of a partition is committed.
func (w *world) reaches(partition int32, offset int64) {
	w.t.Helper()
	for range 600 {
		if g := w.cluster.GroupInfo("g"); g != nil && g.Commits["events"][partition].Offset >= offset {
			return
		}
		w.advance(100 * time.Millisecond)
	}
	w.t.Fatalf("partition %d: offset %d is not committed after a minute, the group is %+v", partition,
		offset, w.cluster.GroupInfo("g"))
}

// accounted checks that every record of a partition has come out once: as an event or in a dead
// letter.
func (w *world) accounted(partition int32, events, dead int) {
	w.t.Helper()
	out, letters := w.read("out")[partition], w.read("dead")[partition]
	if len(out) != events || len(letters) != dead {
		w.t.Errorf("partition %d: %d events and %d dead letters came out, want %d and %d", partition,
			len(out), len(letters), events, dead)
	}
}

func TestAside_AsTheLastBatch(t *testing.T) {
	batches := oversized(t)
	deadOf := map[string]int{"Bomb": 1, "Lie": 1}
	eventsOf := map[string]int{"Gzip": 3, "Zstd": 3, "Bomb": 2}
	live := func(w *world, c Config) (*member, func(int)) {
		c.BatchBytes = asideTestMax
		w.create(c)
		m := w.start(c)
		w.advance(3 * time.Second)
		return m, func(n int) {
			w.t.Helper()
			if err := func() error { m.stop(); return m.wait() }(); err != nil {
				w.t.Fatal(err)
			}
			if got := w.logged("record by record"); got < n {
				w.t.Errorf("%d batches were read record by record, want %d", got, n)
			}
		}
	}
	for name, b := range batches {
		for before := range 2 {
			t.Run(fmt.Sprint(name, "/Behind", before), func(t *testing.T) {
				bubble(t, 1, func(w *world) {
					_, ends := live(w, w.config("a"))
					at := int64(before)
					for i := range before {
						w.produce(0, event("bea", i))
						w.reaches(0, int64(i+1))
					}
					// Two of them, each the last one for a while, and plain ones between.
					for i := range 2 {
						w.send(b)
						at += 3
						w.reaches(0, at)
						w.advance(5 * time.Second)
						w.produce(0, event("cio", i))
						at++
						w.reaches(0, at)
					}
					w.accounted(0, before+2+2*eventsOf[name], 2*deadOf[name])
					ends(2)
				})
			})
		}
	}
	for before := range 2 {
		t.Run(fmt.Sprint("OfManyPartitionsAtOnce/Behind", before), func(t *testing.T) {
			const parts, rounds = 4, 3
			bubble(t, parts, func(w *world) {
				_, ends := live(w, w.config("a"))
				each := func(f func(p int32)) {
					for p := range int32(parts) {
						f(p)
					}
				}
				at := int64(before)
				each(func(p int32) {
					for i := range before {
						w.produce(p, event("bea", i))
						w.reaches(p, int64(i+1))
					}
				})
				for round := range rounds {
					each(func(p int32) { w.sendTo(p, batches["Gzip"]) })
					at += 4
					each(func(p int32) {
						w.reaches(p, at-1)
						w.produce(p, event("cio", round))
					})
					each(func(p int32) { w.reaches(p, at) })
				}
				each(func(p int32) { w.accounted(p, before+4*rounds, 0) })
				ends(rounds)
			})
		})
		t.Run(fmt.Sprint("AnAbortBetween/Behind", before), func(t *testing.T) {
			for name, b := range batches {
				t.Run(name, func(t *testing.T) {
					bubble(t, 1, func(w *world) {
						m, ends := live(w, w.config("a"))
						for i := range before {
							w.produce(0, event("bea", i))
							w.reaches(0, int64(i+1))
						}
						aborted := m.refuseCommits(2)
						w.send(b)
						w.reaches(0, int64(before+3))
						w.produce(0, event("cio", 0))
						w.reaches(0, int64(before+4))
						if n := aborted.Load(); n != 2 {
							t.Errorf("%d commits were refused", n)
						}
						w.accounted(0, before+1+eventsOf[name], deadOf[name])
						ends(1)
					})
				})
			}
		})
	}
	t.Run("ARebalanceBetween", func(t *testing.T) {
		bubble(t, 2, func(w *world) {
			_, ends := live(w, w.config("a"))
			for p := range int32(2) {
				w.sendTo(p, batches["Zstd"])
			}
			second := w.config("b")
			second.BatchBytes = asideTestMax
			m := w.start(second)
			for p := range int32(2) {
				w.reaches(p, 3)
				w.sendTo(p, batches["Gzip"])
				w.produce(p, event("cio", 0))
				w.reaches(p, 7)
				w.accounted(p, 7, 0)
			}
			m.stop()
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
			for p := range int32(2) {
				w.produce(p, event("cio", 1))
				w.reaches(p, 8)
			}
			ends(2)
		})
	})
	for before := range 2 {
		t.Run(fmt.Sprint("Damaged/Behind", before), func(t *testing.T) {
			bubble(t, 1, func(w *world) {
				m, ends := live(w, w.config("a"))
				for i := range before {
					w.produce(0, event("bea", i))
					w.reaches(0, int64(i+1))
				}
				flipped := m.flip(uint64(before), 3)
				w.advance(time.Second) // the fetch that waits for records is over
				w.produce(0, event("ana", 0))
				w.reaches(0, int64(before+1))
				w.advance(5 * time.Second)
				w.produce(0, event("ana", 1))
				w.reaches(0, int64(before+2))
				if n := flipped.Load(); n != 3 {
					t.Errorf("%d bits were flipped", n)
				}
				w.accounted(0, before+2, 0)
				ends(1)
			})
		})
	}
}

// What is read aside is held in memory, and what comes of it too, until the transaction has ended:
// no transaction holds much of it, however long it may last.
func TestAside_HoldsLittleAtOnce(t *testing.T) {
	bubble(t, 2, func(w *world) {
		c := w.config("a")
		c.BatchBytes, c.CommitInterval = asideTestMax, 5*time.Second
		w.create(c)
		const n, size = 60, 900_000
		var parts []func(io.Writer) error
		for i := range n {
			e := event("ana", i)
			e.Value = fmt.Appendf(e.Value[:len(e.Value)-1], `,"pad":%q}`, strings.Repeat("x", size))
			parts = append(parts, records(i, e))
		}
		b := batchOf(t, kgo.CodecGzip, n, writeAll(parts...))
		for p := range int32(2) {
			w.sendTo(p, b)
		}
		w.finish(c)
		txns, most := 0, 0
		for p, out := range w.read("out") {
			if len(out) != n {
				t.Errorf("partition %d: %d events came out, want %d", p, len(out), n)
			}
			sum := 0
			for i, r := range out {
				if i == 0 || r.Offset > out[i-1].Offset+1 { // a marker lies between
					txns, sum = txns+1, 0
				}
				sum += len(r.Value)
				most = max(most, sum)
			}
		}
		if most > asideHeldMax+2*size || txns < 4 {
			t.Errorf("%d transactions, the largest with %d bytes of a partition, want at most %d",
				txns, most, asideHeldMax)
		}
	})
}

// refuseCommits has the coordinator answer so many commits of offsets as if a rebalance had come
// between: each aborts its transaction.
func (m *member) refuseCommits(times int32) *atomic.Int32 {
	var done atomic.Int32
	m.net.edit(kmsg.TxnOffsetCommit, func(resp kmsg.Response) {
		r, ok := resp.(*kmsg.TxnOffsetCommitResponse)
		if !ok || done.Load() >= times {
			return
		}
		done.Add(1)
		for _, t := range r.Topics {
			for i := range t.Partitions {
				t.Partitions[i].ErrorCode = kerr.RebalanceInProgress.Code
			}
		}
	})
	return &done
}
