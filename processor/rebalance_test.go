//go:build synctests

package processor

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Partitions move between members while events flow and while nothing does. Whoever has a
// partition is the only one that says anything about it.

// runs asserts that a process has not ended.
func (w *world) runs(name string, m *member) {
	w.t.Helper()
	select {
	case <-m.done:
		w.t.Fatalf("process %s ended: %v", name, m.err)
	default:
	}
}

// owners says which member has how many partitions, by static id.
func (w *world) owners() map[string]int {
	all := map[string]int{}
	for _, m := range w.cluster.GroupInfo("g").Members {
		all[*m.InstanceID] = m.NumAssigned()
	}
	return all
}

// assignments says who has what.
func (w *world) assignments() map[string]string {
	all := map[string]string{}
	for _, m := range w.cluster.GroupInfo("g").Members {
		slices.Sort(m.Assignment["events"])
		all[*m.InstanceID] = fmt.Sprint(m.Assignment)
	}
	return all
}

// leaves stops a process in order and takes it out of the group.
func (w *world) leaves(c Config, m *member) {
	w.t.Helper()
	m.stop()
	if err := m.wait(); err != nil {
		w.t.Fatal(err)
	}
	cl := w.client()
	defer cl.Close()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = c.Group
	for i := range c.Lanes {
		lm := kmsg.NewLeaveGroupRequestMember()
		lm.InstanceID = kmsg.StringPtr(c.TransactionalID(i))
		req.Members = append(req.Members, lm)
	}
	if _, err := req.RequestWith(w.t.Context(), cl); err != nil {
		w.t.Fatal(err)
	}
}

func TestRebalance(t *testing.T) {
	t.Run("MembersJoinAndLeaveUnderLoad", func(t *testing.T) {
		bubble(t, 4, func(w *world) {
			a, b, c := w.config("a"), w.config("b"), w.config("c")
			w.create(a)
			events := w.load(160)
			part := func(i int) map[int32][]*kgo.Record {
				some := map[int32][]*kgo.Record{}
				for p, e := range events {
					some[p] = e[i*40 : (i+1)*40]
				}
				return some
			}
			ma := w.start(a)
			w.feed(8, part(0))
			mb := w.start(b)
			mc := w.start(c)
			w.feed(8, part(1))
			w.advance(15 * time.Second)
			if o := w.owners(); len(o) != 3 || o["g-a-0"] == 0 || o["g-b-0"] == 0 || o["g-c-0"] == 0 {
				t.Fatalf("partitions by member: %v", o)
			}
			w.leaves(b, mb)
			w.feed(8, part(2))
			mc.kill()
			w.feed(8, part(3))
			w.advance(30 * time.Second)
			if o := w.owners(); len(o) != 1 || o["g-a-0"] != 4 {
				t.Fatalf("partitions by member: %v, want all at a", o)
			}
			w.runs("a", ma)
			ma.stop()
			if err := ma.wait(); err != nil {
				t.Fatal(err)
			}
			w.finish(a)
			w.verify()
		})
	})
	t.Run("ManyRebalancesWhileNothingFlows", func(t *testing.T) {
		// Each member that joins takes partitions of the first one, which has nothing to commit
		// in between. The wall clock then ends one visit on each partition, once.
		bubble(t, 8, func(w *world) {
			a := w.config("a")
			w.create(a)
			ma := w.start(a)
			for p := range w.parts {
				w.produce(p, event(fmt.Sprintf("p%d", p), 0))
			}
			w.advance(5 * time.Second)
			members := []*member{ma}
			for i, name := range []string{"b", "c", "d"} {
				members = append(members, w.start(w.config(name)))
				w.advance(15 * time.Second)
				if o := w.owners(); len(o) != i+2 || o["g-a-0"] != []int{4, 3, 2}[i] {
					t.Fatalf("partitions by member: %v", o)
				}
			}
			w.advance(40 * time.Minute)
			if got := w.audit(); len(got) != 8 {
				t.Errorf("%d visits, want 8: %q", len(got), got)
			}
			for i, m := range members {
				w.runs(fmt.Sprint(i), m)
				w.leaves(w.config([]string{"a", "b", "c", "d"}[i]), m)
				w.advance(15 * time.Second)
			}
			for p := range w.parts {
				w.produce(p, event(fmt.Sprintf("p%d", p), 60))
			}
			w.finish(a)
			w.audit()
		})
	})
	t.Run("AMemberComesAndGoesWhileNothingFlows", func(t *testing.T) {
		// What was given away comes back to a member that committed nothing meanwhile.
		bubble(t, 4, func(w *world) {
			a, b := w.config("a"), w.config("b")
			w.create(a)
			ma := w.start(a)
			w.feed(4, w.load(40))
			for range 3 {
				mb := w.start(b)
				w.advance(15 * time.Second)
				if o := w.owners(); o["g-a-0"] != 2 || o["g-b-0"] != 2 {
					t.Fatalf("partitions by member: %v", o)
				}
				w.leaves(b, mb)
				w.advance(15 * time.Second)
				if o := w.owners(); o["g-a-0"] != 4 {
					t.Fatalf("partitions by member: %v", o)
				}
			}
			for p := range w.parts {
				w.produce(p, event(fmt.Sprintf("p%d-0", p), 20000))
			}
			w.advance(5 * time.Second)
			for p, out := range w.read("out") {
				if len(out) != 41 {
					t.Errorf("partition %d: %d events came out, want 41", p, len(out))
				}
			}
			w.runs("a", ma)
			ma.stop()
			if err := ma.wait(); err != nil {
				t.Fatal(err)
			}
			w.finish(a)
			w.verify()
		})
	})
	t.Run("ARevokeBetweenTransactionsDoesNotFailTheNext", func(t *testing.T) {
		bubble(t, 2, func(w *world) {
			a, b := w.config("a"), w.config("b")
			w.create(a)
			ma := w.start(a)
			w.feed(2, w.load(20))
			w.start(b)
			w.advance(15 * time.Second)
			if o := w.owners(); o["g-a-0"] != 1 || o["g-b-0"] != 1 {
				t.Fatalf("partitions by member: %v", o)
			}
			for p := range w.parts {
				w.produce(p, event(fmt.Sprintf("p%d-0", p), 20000))
			}
			w.advance(time.Second)
			for p, out := range w.read("out") {
				if len(out) != 21 {
					t.Errorf("partition %d: %d events came out, want 21", p, len(out))
				}
			}
			if n := w.logged("transaction aborted"); n != 0 {
				t.Errorf("%d transactions were aborted, want none", n)
			}
			w.runs("a", ma)
			w.audit()
		})
	})
	t.Run("LanesOfOneProcess", func(t *testing.T) {
		bubble(t, 4, func(w *world) {
			a, b := w.config("a"), w.config("b")
			a.Lanes = 3
			w.create(a)
			ma := w.start(a)
			events := w.load(120)
			w.feed(10, events)
			if o := w.owners(); len(o) != 3 || o["g-a-0"] == 0 || o["g-a-1"] == 0 || o["g-a-2"] == 0 {
				t.Fatalf("partitions by member: %v", o)
			}
			mb := w.start(b)
			w.advance(15 * time.Second)
			w.leaves(b, mb)
			w.advance(15 * time.Second)
			if o := w.owners(); len(o) != 3 {
				t.Fatalf("partitions by member: %v", o)
			}
			ma.kill()
			w.advance(time.Second)
			a.State.FS = ma.fs
			w.finish(a)
			w.verify()
		})
	})
	t.Run("AStaticRestartKeepsItsPartitions", func(t *testing.T) {
		bubble(t, 4, func(w *world) {
			a, b := w.config("a"), w.config("b")
			w.create(a)
			ma := w.start(a)
			w.advance(2 * time.Second) // it leads the group
			mb := w.start(b)
			w.feed(4, w.load(40))
			w.advance(15 * time.Second)
			before := w.assignments()
			if o := w.owners(); o["g-a-0"] != 2 || o["g-b-0"] != 2 {
				t.Fatalf("partitions by member: %v", o)
			}
			mb.kill()
			w.advance(3 * time.Second)
			b.State.FS = mb.fs
			mb = w.start(b)
			w.advance(5 * time.Second)
			if after := w.assignments(); !maps.Equal(before, after) {
				t.Errorf("partitions %v before, %v after the restart", before, after)
			}
			for p := range w.parts {
				w.produce(p, event(fmt.Sprintf("p%d-0", p), 20000))
			}
			w.advance(time.Second)
			for p, out := range w.read("out") {
				if len(out) != 41 {
					t.Errorf("partition %d: %d events came out, want 41", p, len(out))
				}
			}
			for _, m := range []*member{ma, mb} {
				m.stop()
				if err := m.wait(); err != nil {
					t.Fatal(err)
				}
			}
			w.finish(a)
			w.verify()
		})
	})
	t.Run("APartitionIsTakenAwayWhileItIsRestored", func(t *testing.T) {
		bubble(t, 4, func(w *world) {
			a, b, c := w.config("a"), w.config("b"), w.config("c")
			w.create(a)
			ma := w.start(a)
			w.feed(4, w.load(40))
			fault := w.cluster.Fault(kfake.Fault{
				Keys: []kmsg.Key{kmsg.Fetch}, Topic: "g-events-changelog", Count: -1,
				Err: kerr.NotLeaderForPartition,
			})
			mb := w.start(b)
			w.advance(15 * time.Second)
			mc := w.start(c)
			w.advance(15 * time.Second)
			o := w.owners()
			if fault.Hits() == 0 || len(o) != 3 || o["g-a-0"]+o["g-b-0"]+o["g-c-0"] != 4 {
				t.Fatalf("partitions by member: %v with %d fetches refused", o, fault.Hits())
			}
			ma.kill() // two more partitions for those that cannot restore
			w.advance(20 * time.Second)
			mb.kill()
			w.advance(20 * time.Second)
			w.runs("c", mc)
			fault.Remove()
			w.advance(20 * time.Second)
			if o := w.owners(); o["g-c-0"] != 4 {
				t.Fatalf("partitions by member: %v, want all at c", o)
			}
			for p := range w.parts {
				w.produce(p, event(fmt.Sprintf("p%d-0", p), 20000))
			}
			w.advance(2 * time.Second)
			for p, out := range w.read("out") {
				if len(out) != 41 {
					t.Errorf("partition %d: %d events came out, want 41", p, len(out))
				}
			}
			mc.stop()
			if err := mc.wait(); err != nil {
				t.Fatal(err)
			}
			w.finish(c)
			w.verify()
		})
	})
	t.Run("UntilEndWithTwoMembers", func(t *testing.T) {
		bubble(t, 4, func(w *world) {
			a, b := w.config("a"), w.config("b")
			w.create(a)
			for p, e := range w.load(100) {
				w.produce(p, e...)
			}
			a.UntilEnd, b.UntilEnd = true, true
			ma, mb := w.start(a), w.start(b)
			for _, m := range []*member{ma, mb} {
				if err := m.wait(); err != nil {
					t.Fatal(err)
				}
			}
			w.verify()
		})
	})
}

// A revoke that the session swallows is known with the next join, and an assignment that takes
// the partition back is one.
func TestRevokeThatNobodyTold(t *testing.T) {
	c := newCalls()
	c.note(map[string][]int32{"events": {0, 1, 2}}, true)
	c.take()
	cooperative := balancer{kgo.CooperativeStickyBalancer(), c}
	cooperative.JoinGroupMetadata([]string{"events"}, map[string][]int32{"events": {0, 1, 2}}, 1)
	if got := c.take(); len(got) != 0 {
		t.Errorf("a join that owns all moved %v", got)
	}
	cooperative.JoinGroupMetadata([]string{"events"}, map[string][]int32{"events": {0, 2}}, 2)
	lost := tp{"events", 1}
	if got := c.take(); !slices.Equal(got, []moved{{lost, false}}) || c.owns(lost) {
		t.Errorf("the join moved %v, and 1 is owned: %v", got, c.owns(lost))
	}
	c.note(map[string][]int32{"events": {1}}, true)
	if got := c.take(); !slices.Equal(got, []moved{{lost, true}}) || !c.owns(lost) {
		t.Errorf("the assignment moved %v, and 1 is owned: %v", got, c.owns(lost))
	}
}
