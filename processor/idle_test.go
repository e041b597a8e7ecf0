//go:build synctests

package processor

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The wall clock ends visits on partitions that are silent and read to their end, and nowhere
// else: a replay of history must not be cut to pieces by it.

// until lets time pass up to so long after the epoch.
func (w *world) until(d time.Duration) { w.advance(d - time.Since(epoch)) }

func TestIdle(t *testing.T) {
	t.Run("AnEventAfterATick", func(t *testing.T) {
		bubble(t, 1, func(w *world) {
			c := w.config("a")
			w.create(c)
			m := w.start(c)
			w.produce(0, event("ana", 0), event("bob", 5))
			w.until(32 * time.Minute)
			if n := len(w.visits()); n != 2 {
				t.Fatalf("%d visits, want 2", n)
			}
			w.produce(0, event("ana", 33*60))
			w.until(34 * time.Minute)
			w.runs("a", m)
			m.kill()
			c.State.FS = m.fs
			m = w.start(c)
			w.until(66 * time.Minute)
			w.runs("a", m)
			if got := w.audit(); len(got) != 3 {
				t.Errorf("visits %q, want 3", got)
			}
			m.stop()
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("IdleAfterIsRespected", func(t *testing.T) {
		bubble(t, 1, func(w *world) {
			c := w.config("a")
			c.IdleAfter = 2 * time.Minute
			w.create(c)
			m := w.start(c)
			w.produce(0, event("ana", 0))
			w.until(30*time.Minute + 30*time.Second)
			w.produce(0, event("bob", 30)) // late by half an hour
			w.until(32*time.Minute + 25*time.Second)
			if n := len(w.visits()); n != 0 {
				t.Errorf("%d visits less than idle_after behind an event", n)
			}
			w.until(32*time.Minute + 35*time.Second)
			if n := len(w.visits()); n != 2 {
				t.Errorf("%d visits, want 2", n)
			}
			m.stop()
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("AReplayAfterATickGivesOneRevision", func(t *testing.T) {
		// After the wall clock has ended a visit, its customer's events of that time trickle in,
		// slower than idle_after would need to be silent.
		bubble(t, 1, func(w *world) {
			c := w.config("a")
			w.create(c)
			m := w.start(c)
			w.produce(0, event("ana", 0))
			w.until(time.Hour)
			if n := len(w.visits()); n != 1 {
				t.Fatalf("%d visits, want 1", n)
			}
			for i := range 100 {
				w.produce(0, event("ana", 60+i*60))
				w.advance(3 * time.Second)
			}
			if got := w.visits(); len(got) != 1 || !strings.HasSuffix(got[0], "1 r1") {
				t.Errorf("visits %q during the replay, want the first one alone", got)
			}
			w.advance(3 * time.Hour)
			if got := w.audit(); len(got) != 1 || !strings.HasSuffix(got[0], " 101 r2") {
				t.Errorf("visits %q, want one of 101 events at revision 2", got)
			}
			m.stop()
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("NeverWhileNotAtTheEnd", func(t *testing.T) {
		// The fetches bring nothing, so the partition is silent here; but it is not at its end.
		bubble(t, 1, func(w *world) {
			c := w.config("a")
			w.create(c)
			m := w.start(c)
			w.produce(0, event("ana", 0))
			w.advance(2 * time.Second)
			fault := w.cluster.Fault(kfake.Fault{
				Keys: []kmsg.Key{kmsg.Fetch}, Topic: "events", Count: -1, Err: kerr.NotLeaderForPartition,
			})
			w.produce(0, event("ana", 20*60), event("ana", 40*60), event("ana", 60*60))
			w.until(3 * time.Hour)
			w.runs("a", m)
			if n := len(w.visits()); n != 0 || fault.Hits() == 0 {
				t.Errorf("%d visits while %d fetches failed, want none", n, fault.Hits())
			}
			fault.Remove()
			w.advance(30 * time.Second)
			if got := w.audit(); len(got) != 1 || !strings.HasSuffix(got[0], " 4 r1") {
				t.Errorf("visits %q, want one of 4 events at revision 1", got)
			}
			m.stop()
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("ATimerOnlyTransactionCommitsItsOffset", func(t *testing.T) {
		bubble(t, 1, func(w *world) {
			c := w.config("a")
			w.create(c)
			m := w.start(c)
			w.produce(0, event("ana", 0))
			w.until(30 * time.Minute)
			before := w.cluster.GroupInfo("g").Commits["events"][0]
			w.until(32 * time.Minute)
			after := w.cluster.GroupInfo("g").Commits["events"][0]
			was, ok1 := parseOffsetMeta(before.Metadata)
			is, ok2 := parseOffsetMeta(after.Metadata)
			if !ok1 || !ok2 || before.Offset != 1 || after.Offset != 1 ||
				is.seq != was.seq+1 || is.changelogEnd <= was.changelogEnd {
				t.Errorf("committed %+v before the visit's end, %+v after it", before, after)
			}
			m.stop()
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("MoreTimersThanATransactionMayHold", func(t *testing.T) {
		bubble(t, 1, func(w *world) {
			const customers = 2*timersPerTickMax + 1
			c := w.config("a")
			c.UntilEnd = true
			w.create(c)
			events := make([]*kgo.Record, 0, customers+1)
			for i := range customers {
				events = append(events, event(fmt.Sprintf("c%d", i), 0))
			}
			w.produceAll(0, append(events, event("last", 4000)))
			m := w.start(c)
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
			if n := len(w.audit()); n != customers {
				t.Errorf("%d visits have ended, want %d", n, customers)
			}
			commit := w.cluster.GroupInfo("g").Commits["events"][0]
			if seq, _ := parseOffsetMeta(commit.Metadata); seq.seq < 3 {
				t.Errorf("it took %d transactions, want at least 3", seq.seq)
			}
		})
	})
}
