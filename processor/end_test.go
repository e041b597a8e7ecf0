//go:build synctests

package processor

import (
	"encoding/binary"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Compaction takes records and markers away at the end of a log too. There is nothing to poll then
// behind our position, which is not the end, and the partition has to count as read all the same.

// compacts makes a broker's answers those of a log whose batches from an offset on were compacted
// away: the offsets stay as they are. It returns how many batches it has hidden.
func (m *member) compacts(from, to int64) *atomic.Int64 {
	return m.hides(from, to, func(*kmsg.FetchResponse) bool { return true })
}

// hides is compacts for some of the answers.
func (m *member) hides(
	from, to int64, some func(*kmsg.FetchResponse) bool,
) *atomic.Int64 {
	var hidden atomic.Int64
	m.net.edit(kmsg.Fetch, func(r kmsg.Response) {
		resp, ok := r.(*kmsg.FetchResponse)
		if !ok || !some(resp) {
			return
		}
		empty := true
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				p := &resp.Topics[i].Partitions[j]
				if resp.Topics[i].Topic == "events" || resp.Topics[i].TopicID == m.events {
					kept, n := hide(p.RecordBatches, from, to)
					p.RecordBatches = kept
					hidden.Add(int64(n))
				}
				empty = empty && len(p.RecordBatches) == 0
			}
		}
		if empty {
			<-time.NewTimer(fetchMaxWait).C // as a broker that has nothing waits
		}
	})
	return &hidden
}

// hide takes the batches between two offsets away, the last one exclusive.
func hide(batches []byte, from, to int64) (kept []byte, hidden int) {
	for len(batches) > 0 {
		size := 12 + int(binary.BigEndian.Uint32(batches[8:]))
		if first := int64(binary.BigEndian.Uint64(batches)); first >= from && first < to {
			hidden++
		} else {
			kept = append(kept, batches[:size]...)
		}
		batches = batches[size:]
	}
	return kept, hidden
}

// transact writes events to a partition of the input in one transaction.
func (w *world) transact(partition int32, events ...*kgo.Record) {
	w.t.Helper()
	cl := w.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("input"))
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		w.t.Fatal(err)
	}
	for _, r := range events {
		r.Topic, r.Partition = "events", partition
		if err := cl.ProduceSync(w.t.Context(), r).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := cl.EndTransaction(w.t.Context(), kgo.TryCommit); err != nil {
		w.t.Fatal(err)
	}
}

func TestEnd(t *testing.T) {
	t.Run("TransactionMarkersAtTheEnd", func(t *testing.T) {
		bubble(t, 2, func(w *world) {
			c := w.config("a")
			w.create(c)
			w.transact(0, event("ana", 0))
			w.transact(0, event("ana", 60))
			m := w.start(c)
			w.until(40 * time.Minute)
			if n := len(w.visits()); n != 1 {
				t.Errorf("%d visits have ended on a silent partition, want 1", n)
			}
			m.stop()
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
			w.transact(1, event("bob", 0))
			w.finish(c)
		})
	})
	t.Run("WhatIsCompactedAwayAtTheEnd", func(t *testing.T) {
		bubble(t, 1, func(w *world) {
			c := w.config("a")
			w.create(c)
			w.produce(0, event("ana", 0), event("ana", 60))
			w.transact(0, event("gone", 70), event("gone", 80)) // 2, 3 and a marker
			m := w.start(c)
			hidden := m.compacts(2, 5)
			w.until(40 * time.Minute)
			if n := len(w.visits()); n != 1 || hidden.Load() == 0 {
				t.Errorf("%d visits have ended and %d batches were hidden", n, hidden.Load())
			}
			if at := w.cluster.GroupInfo("g").Commits["events"][0].Offset; at != 5 {
				t.Errorf("committed %d, want the end, 5", at)
			}
			w.produce(0, event("ana", 50*60), event("ana", 51*60))
			w.until(90 * time.Minute)
			w.runs("a", m)
			if got := w.visits(); len(got) != 2 {
				t.Errorf("visits %q, want 2", got)
			}
			m.stop()
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("ARunUntilTheEndEnds", func(t *testing.T) {
		for name, kept := range map[string]int64{"SomeIsLeft": 1, "NothingIsLeft": 0} {
			t.Run(name, func(t *testing.T) {
				bubble(t, 1, func(w *world) {
					c := w.config("a")
					c.UntilEnd = true
					w.create(c)
					w.produce(0, event("ana", 0))
					w.transact(0, event("gone", 70))
					m := w.start(c)
					hidden := m.compacts(kept, 3)
					select {
					case <-m.done:
					case <-time.After(time.Minute):
						t.Error("it does not end")
					}
					m.stop()
					if err := m.wait(); err != nil {
						t.Fatal(err)
					}
					at := w.cluster.GroupInfo("g").Commits["events"][0].Offset
					if at != 3 || hidden.Load() == 0 {
						t.Errorf("committed %d, %d batches were hidden; want 3 and some", at, hidden.Load())
					}
				})
			})
		}
	})
	t.Run("NotWhileSomethingIsLeft", func(t *testing.T) {
		// The polls bring nothing, and who asks the log itself finds a record.
		bubble(t, 1, func(w *world) {
			c := w.config("a")
			w.create(c)
			w.produce(0, event("ana", 0))
			m := w.start(c)
			hidden := m.hides(1, 2, func(resp *kmsg.FetchResponse) bool { return resp.SessionID != 0 })
			w.advance(time.Second)
			w.produce(0, event("ana", 20*60))
			w.until(40 * time.Minute)
			w.runs("a", m)
			at := w.cluster.GroupInfo("g").Commits["events"][0].Offset
			if n := len(w.visits()); n != 0 || at != 1 || hidden.Load() == 0 {
				t.Errorf("%d visits have ended, committed %d, %d batches were hidden", n, at, hidden.Load())
			}
			m.net.edit(kmsg.Fetch, nil)
			w.until(60 * time.Minute)
			w.runs("a", m)
			if got := w.audit(); len(got) != 1 {
				t.Errorf("visits %q, want 1", got)
			}
			m.stop()
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
		})
	})
}
