//go:build synctests

package processor

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What a poll brings instead of records must neither stop a partition without a word nor keep the
// process busy, and what an operator has to mend is called by its name.

// A client that is refused one committed offset consumes the other partitions and does not ask
// again: the partition would stand still until the next rebalance.
func TestAnOffsetThatIsNotTold(t *testing.T) {
	bubble(t, 2, func(w *world) {
		c := w.config("a")
		w.create(c)
		fault := w.cluster.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.OffsetFetch}, Topic: "events", Partitions: []int32{1}, Count: 3,
			Err: kerr.UnknownServerError,
		})
		m := w.start(c)
		w.feed(4, w.load(40))
		w.advance(20 * time.Second)
		w.runs("a", m)
		if fault.Hits() != 3 {
			t.Fatalf("%d offsets were refused, want 3", fault.Hits())
		}
		for p, out := range w.read("out") {
			if len(out) != 40 {
				t.Errorf("partition %d: %d events came out, want 40", p, len(out))
			}
		}
		m.stop()
		if err := m.wait(); err != nil {
			t.Fatal(err)
		}
		w.finish(c)
		w.verify()
	})
}

// The client asks again at once for what it was refused: without a pause of our own, and with time
// that is virtual, for ever.
func TestAPartitionThatCannotBeFetched(t *testing.T) {
	bubble(t, 2, func(w *world) {
		c := w.config("a")
		w.create(c)
		m := w.start(c)
		events := w.load(120)
		some := map[int32][]*kgo.Record{}
		for p := range events {
			some[p], events[p] = events[p][:30], events[p][30:]
		}
		w.feed(5, some)
		fault := w.cluster.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Fetch}, Topic: "events", Partitions: []int32{1}, Count: -1,
			Err: kerr.UnknownServerError,
		})
		w.feed(5, events)
		w.advance(time.Minute)
		w.runs("a", m)
		n := w.logged("a partition cannot be fetched")
		if fault.Hits() == 0 || n == 0 || n > 30 {
			t.Errorf("%d fetches were refused, and that was said %d times in a minute", fault.Hits(), n)
		}
		if n := w.logged("lane reset"); n != 0 {
			t.Errorf("%d lane resets, want none", n)
		}
		if n := len(w.read("out")[0]); n != 120 {
			t.Errorf("%d events of the other partition came out, want 120", n)
		}
		fault.Remove()
		w.advance(6 * time.Second)
		if n := len(w.read("out")[1]); n != 120 {
			t.Errorf("%d events came out after the fault was over, want 120", n)
		}
		m.stop()
		if err := m.wait(); err != nil {
			t.Fatal(err)
		}
		w.finish(c)
		w.verify()
	})
}

// What a broker refuses however often it is asked ends the process with what is to be done.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		name string
		key  kmsg.Key
		err  *kerr.Error
		top  bool
		want []string
	}{
		{"NoRightToTheGroup", kmsg.JoinGroup, kerr.GroupAuthorizationFailed, true,
			[]string{"member of the group g", "grant the rights"}},
		{"TheSessionTimeout", kmsg.JoinGroup, kerr.InvalidSessionTimeout, true,
			[]string{"kafka.session_timeout", "group.max.session.timeout.ms"}},
		{"TheNameOfTheGroup", kmsg.JoinGroup, kerr.InvalidGroupID, true, []string{"kafka.group"}},
		{"TheGroupOfAnotherApplication", kmsg.JoinGroup, kerr.InconsistentGroupProtocol, true,
			[]string{"another application", "kafka.group"}},
		{"TheTransactionTimeout", kmsg.InitProducerID, kerr.InvalidTransactionTimeout, true,
			[]string{"kafka.transaction_timeout", "transaction.max.timeout.ms"}},
		{"TheMetadataOfOffsets", kmsg.TxnOffsetCommit, kerr.OffsetMetadataTooLarge, false,
			[]string{"offset.metadata.max.bytes"}},
		{"NoRightToCommit", kmsg.TxnOffsetCommit, kerr.GroupAuthorizationFailed, false,
			[]string{"end a transaction", "grant the rights"}},
		{"NoRightToEnd", kmsg.EndTxn, kerr.TransactionalIDAuthorizationFailed, true,
			[]string{"end a transaction", "grant the rights"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, 2, func(w *world) {
				c := w.config("a")
				w.create(c)
				events := w.load(40)
				fault := w.cluster.Fault(kfake.Fault{
					Keys: []kmsg.Key{tt.key}, Count: -1, Err: tt.err, TopLevel: tt.top,
				})
				cl := w.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableIdempotentWrite())
				defer cl.Close()
				for p := range w.parts {
					r := events[p][0]
					r.Topic, r.Partition = "events", p
					if err := cl.ProduceSync(w.t.Context(), r).FirstErr(); err != nil {
						t.Fatal(err)
					}
					events[p] = events[p][1:]
				}
				m := w.start(c)
				w.stopped(m, time.Minute, append(tt.want, tt.err.Message)...)
				if fault.Hits() == 0 {
					t.Fatal("nothing was refused")
				}
				fault.Remove()
				w.feed(2, events)
				w.finish(c)
				w.verify()
			})
		})
	}
}

// A topic that has no leader for a while is there: a process that starts meanwhile waits for it.
func TestATopicWithoutALeader(t *testing.T) {
	bubble(t, 2, func(w *world) {
		c := w.config("a")
		w.create(c)
		w.feed(4, w.load(40))
		net := newFaultNet(c.Dial)
		net.freeze()
		m := w.startOn(net, c)
		fault := w.cluster.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Metadata}, Topic: "out", Count: 3, Err: kerr.LeaderNotAvailable,
		})
		net.thaw()
		w.advance(10 * time.Second)
		w.runs("a", m)
		if fault.Hits() != 3 || w.logged("look up the topic out") == 0 {
			t.Errorf("%d looks were refused, want 3, and that was said %d times", fault.Hits(),
				w.logged("look up the topic out"))
		}
		m.stop()
		if err := m.wait(); err != nil {
			t.Fatal(err)
		}
		w.finish(c)
		w.verify()
	})
}
