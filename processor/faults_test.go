//go:build synctests

package processor

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The broker refuses, loses, goes away and comes back; the disk fills up; a second process takes
// the name of the first. Whatever it is, the input comes out once, or the process ends with words
// that say what to do.

// stopped asserts that a process has ended by itself with a *StopError that has some texts in it.
func (w *world) stopped(m *member, within time.Duration, want ...string) {
	w.t.Helper()
	select {
	case <-m.done:
	case <-time.After(within):
		w.t.Fatalf("the process goes on %s later", within)
	}
	var stop *StopError
	if err := m.wait(); !errors.As(err, &stop) {
		w.t.Fatalf("the process ended with %v, want a StopError", err)
	}
	for _, text := range want {
		if !strings.Contains(stop.Error(), text) {
			w.t.Errorf("the error is %q, it lacks %q", stop.Error(), text)
		}
	}
}

// large is an event of about so many bytes.
func large(anonymousID string, second, bytes int) *kgo.Record {
	r := event(anonymousID, second)
	pad := fmt.Sprintf(`,"pad":%q}`, strings.Repeat("x", bytes))
	r.Value = append(r.Value[:len(r.Value)-1], pad...)
	return r
}

func TestProduceFaults(t *testing.T) {
	t.Run("ARecordThatIsTooLargeWithItsStampGoesToTheDeadLetters", func(t *testing.T) {
		bubble(t, 1, func(w *world) {
			c := w.config("a")
			small := map[string]string{"max.message.bytes": "20000"}
			if err := w.cluster.CreateTopic("out", 1, small); err != nil {
				t.Fatal(err)
			}
			cl := w.client()
			req := kmsg.NewPtrIncrementalAlterConfigsRequest()
			res := kmsg.NewIncrementalAlterConfigsRequestResource()
			res.ResourceType, res.ResourceName = kmsg.ConfigResourceTypeTopic, "events"
			conf := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			conf.Name, conf.Value = "max.message.bytes", kmsg.StringPtr("20000")
			res.Configs = append(res.Configs, conf)
			req.Resources = append(req.Resources, res)
			if _, err := req.RequestWith(w.t.Context(), cl); err != nil {
				t.Fatal(err)
			}
			cl.Close()
			w.create(c)
			w.produce(0, event("ana", 0), large("ana", 10, 19700), event("ana", 20))
			m := w.start(c)
			w.advance(10 * time.Second)
			w.runs("a", m)
			out, dead := w.read("out")[0], w.read("dead")[0]
			if len(out) != 2 || len(dead) != 1 || w.logged("lane reset") != 1 {
				t.Fatalf("%d events, %d dead letters, %d resets; want 2, 1 and 1",
					len(out), len(dead), w.logged("lane reset"))
			}
			reason := ""
			for _, h := range dead[0].Headers {
				if h.Key == "__sessionizer.errors.reason" {
					reason = string(h.Value)
				}
			}
			if reason != "limit" {
				t.Errorf("the dead letter's reason is %q, want limit", reason)
			}
			if got := string(out[1].Value); !strings.Contains(got, `"eventIndex":2`) {
				t.Errorf("the event behind it is %s, want eventIndex 2", got)
			}
			m.stop()
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
		})
	})
	for _, topic := range []string{"out", "visits", "g-events-changelog"} {
		t.Run("BelowMinISROf_"+topic, func(t *testing.T) {
			bubble(t, 2, func(w *world) {
				c := w.config("a")
				w.create(c)
				m := w.start(c)
				events := w.load(120)
				half := map[int32][]*kgo.Record{}
				for p := range events {
					half[p], events[p] = events[p][:60], events[p][60:]
				}
				w.feed(10, half)
				fault := w.cluster.Fault(kfake.Fault{
					Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Count: -1, Err: kerr.NotEnoughReplicas,
				})
				w.feed(10, events)
				w.advance(time.Minute)
				w.runs("a", m)
				if fault.Hits() == 0 || w.logged("lane reset") == 0 {
					t.Fatalf("%d produces were refused, %d resets", fault.Hits(), w.logged("lane reset"))
				}
				fault.Remove()
				w.advance(30 * time.Second)
				m.stop()
				if err := m.wait(); err != nil {
					t.Fatal(err)
				}
				if n := len(w.read("out")[0]); n != 120 {
					t.Errorf("%d events came out after the fault was over, want 120", n)
				}
				w.finish(c)
				w.verify()
			})
		})
	}
	t.Run("RecordsThatWereAppendedTwice", func(t *testing.T) {
		bubble(t, 2, func(w *world) {
			c := w.config("a")
			w.create(c)
			m := w.start(c)
			fault := w.cluster.Fault(kfake.Fault{
				Keys: []kmsg.Key{kmsg.Produce}, Topic: "out", Count: 5, Err: kerr.NotEnoughReplicasAfterAppend,
			})
			w.feed(20, w.load(120))
			w.runs("a", m)
			if fault.Hits() != 5 {
				t.Fatalf("%d produces were answered with an error, want 5", fault.Hits())
			}
			m.stop()
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
			w.finish(c)
			w.verify()
		})
	})
	for _, topic := range []string{"out", "visits", "g-events-changelog"} {
		t.Run("ATopicIsDeleted_"+topic, func(t *testing.T) {
			bubble(t, 1, func(w *world) {
				c := w.config("a")
				w.create(c)
				m := w.start(c)
				w.produce(0, event("ana", 0))
				w.advance(2 * time.Second)
				if err := w.cluster.DeleteTopic(topic); err != nil {
					t.Fatal(err)
				}
				w.produce(0, event("ana", 10), event("bob", 4000))
				w.stopped(m, 3*time.Minute, topic, "topics --create")
			})
		})
	}
}

func TestCommitFaults(t *testing.T) {
	for _, tt := range []struct {
		name string
		key  kmsg.Key
		err  *kerr.Error
		top  bool
	}{
		{"TheOffsetsAreRefusedByTheGroup", kmsg.TxnOffsetCommit, kerr.IllegalGeneration, false},
		{"TheOffsetsAreRefusedForGood", kmsg.TxnOffsetCommit, kerr.InvalidTxnState, false},
		{"TheOffsetsAreTakenWithoutAnAnswer", kmsg.TxnOffsetCommit, kerr.RequestTimedOut, false},
		{"TheEndIsRefused", kmsg.EndTxn, kerr.InvalidTxnState, true},
		{"TheEndIsFenced", kmsg.EndTxn, kerr.InvalidProducerEpoch, true},
		{"TheEndIsAbortable", kmsg.EndTxn, kerr.TransactionAbortable, true},
		{"TheEndIsUnknown", kmsg.EndTxn, kerr.UnknownServerError, true},
		{"TheCoordinatorMoves", kmsg.EndTxn, kerr.NotCoordinator, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
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
					Keys: []kmsg.Key{tt.key}, Count: 2, Err: tt.err, TopLevel: tt.top,
				})
				w.feed(15, events)
				w.advance(30 * time.Second)
				w.runs("a", m)
				if fault.Hits() != 2 {
					t.Fatalf("%d answers were errors, want 2", fault.Hits())
				}
				m.stop()
				if err := m.wait(); err != nil {
					t.Fatal(err)
				}
				if n := len(w.read("out")[0]); n != 120 {
					t.Errorf("%d events came out, want 120", n)
				}
				w.finish(c)
				w.verify()
			})
		})
	}
}

func TestBrokerAway(t *testing.T) {
	t.Run("AtTheStart", func(t *testing.T) {
		bubble(t, 2, func(w *world) {
			c := w.config("a")
			w.create(c)
			for p, e := range w.load(40) {
				w.produce(p, e...)
			}
			net := newFaultNet(c.Dial)
			net.cut()
			m := w.startOn(net, c)
			w.advance(5 * time.Minute)
			w.runs("a", m)
			if w.logged("the brokers do not answer") == 0 {
				t.Error("it waits without a word")
			}
			m.net.mend()
			w.advance(20 * time.Second)
			m.stop()
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
			w.finish(c)
			w.verify()
		})
	})
	for _, away := range []time.Duration{time.Second, 5 * time.Second, time.Minute, 10 * time.Minute} {
		t.Run("InTheMiddleFor"+away.String(), func(t *testing.T) {
			bubble(t, 2, func(w *world) {
				c := w.config("a")
				w.create(c)
				m := w.start(c)
				events := w.load(120)
				half := map[int32][]*kgo.Record{}
				for p := range events {
					half[p], events[p] = events[p][:60], events[p][60:]
				}
				w.feed(10, half)
				m.net.cut()
				w.feed(10, events)
				w.advance(away)
				w.runs("a", m)
				m.net.mend()
				w.advance(20 * time.Second)
				m.stop()
				if err := m.wait(); err != nil {
					t.Fatal(err)
				}
				if n := len(w.read("out")[0]); n != 120 {
					t.Errorf("%d events came out 20 s after the broker was back, want 120", n)
				}
				w.finish(c)
				w.verify()
			})
		})
	}
	t.Run("StopDoesNotWaitForIt", func(t *testing.T) {
		bubble(t, 2, func(w *world) {
			c := w.config("a")
			w.create(c)
			m := w.start(c)
			w.feed(4, w.load(40))
			m.net.cut()
			w.advance(3 * time.Second)
			began := time.Now()
			m.stop()
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("it took %s", took)
			}
			c.State.FS = m.fs
			w.finish(c)
			w.verify()
		})
	})
	t.Run("ItIsThereAndSaysNothing", func(t *testing.T) {
		bubble(t, 2, func(w *world) {
			c := w.config("a")
			w.create(c)
			m := w.start(c)
			events := w.load(120)
			half := map[int32][]*kgo.Record{}
			for p := range events {
				half[p], events[p] = events[p][:60], events[p][60:]
			}
			w.feed(10, half)
			m.net.freeze()
			w.feed(10, events)
			w.advance(3 * time.Minute)
			w.runs("a", m)
			m.net.thaw()
			w.advance(time.Minute)
			w.runs("a", m)
			m.stop()
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
			if n := len(w.read("out")[0]); n != 120 {
				t.Errorf("%d events came out, want 120", n)
			}
			w.finish(c)
			w.verify()
		})
	})
}

func TestStop(t *testing.T) {
	t.Run("FinishesTheTransactionInHand", func(t *testing.T) {
		bubble(t, 1, func(w *world) {
			c := w.config("a")
			c.CommitInterval = 5 * time.Second
			w.create(c)
			m := w.start(c)
			w.advance(time.Second)
			w.produce(0, event("ana", 0))
			w.advance(time.Second)
			if n := len(w.read("out")[0]); n != 0 {
				t.Fatalf("%d events are committed already", n)
			}
			began := time.Now()
			m.stop()
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("it took %s", took)
			}
			if n := len(w.read("out")[0]); n != 1 {
				t.Errorf("%d events are committed, want 1", n)
			}
		})
	})
	t.Run("FinishesWhatWasJustProduced", func(t *testing.T) {
		// The records may still be in the client's buffers.
		bubble(t, 1, func(w *world) {
			c := w.config("a")
			c.CommitInterval = 5 * time.Second
			w.create(c)
			m := w.start(c)
			w.advance(time.Second)
			r := &rule{key: kmsg.Produce, fate: seen}
			r.then = func() { m.stop() }
			m.net.rule(r)
			w.produce(0, event("ana", 0))
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
			if n := len(w.read("out")[0]); n != 1 || r.hits.Load() != 1 {
				t.Errorf("%d events are committed, want 1 (%d stops)", n, r.hits.Load())
			}
		})
	})
	t.Run("HaltReturnsAtOnce", func(t *testing.T) {
		const (
			soon    = 10 * time.Millisecond
			closing = time.Second // the client's farewell to a broker that says nothing
		)
		limits := map[string]time.Duration{"running": soon, "away": soon, "frozen": closing}
		for what, limit := range limits {
			bubble(t, 2, func(w *world) {
				c := w.config("a")
				w.create(c)
				m := w.start(c)
				w.feed(4, w.load(40))
				switch what {
				case "away":
					m.net.cut()
				case "frozen":
					m.net.freeze()
				}
				w.advance(3 * time.Second)
				began := time.Now()
				m.halt()
				<-m.done
				if took := time.Since(began); took > limit {
					t.Errorf("%s: it took %s, want at most %s", what, took, limit)
				}
				m.stop()
			})
		}
	})
	t.Run("AnotherProcessTakesTheName", func(t *testing.T) {
		bubble(t, 2, func(w *world) {
			c, d := w.config("a"), w.config("a")
			w.create(c)
			first := w.start(c)
			w.feed(4, w.load(40))
			second := w.start(d)
			w.advance(5 * time.Second)
			for p := range w.parts {
				w.produce(p, event(fmt.Sprintf("p%d-0", p), 20000))
			}
			w.stopped(first, time.Minute, "kafka.instance", `"a"`)
			w.advance(10 * time.Second)
			w.runs("the second", second)
			if n := len(w.read("out")[0]); n != 41 {
				t.Errorf("%d events came out, want 41", n)
			}
			second.stop()
			if err := second.wait(); err != nil {
				t.Fatal(err)
			}
			w.finish(d)
			w.verify()
		})
	})
}

// A disk that fails stops the process before the next commit: a state that can not be kept must
// not run away from the disk.
func TestDiskFaults(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EIO} {
		t.Run(errno.Error(), func(t *testing.T) {
			bubble(t, 2, func(w *world) {
				var broken atomic.Bool
				var hits atomic.Int64
				c := w.config("a")
				c.State.Cache = 1 << 20
				mem := vfs.NewCrashableMem()
				c.State.FS = errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
					if broken.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
						hits.Add(1)
						// Pebble tries again at once, without end: time must pass meanwhile.
						<-time.NewTimer(time.Millisecond).C
						return errno
					}
					return nil
				}))
				w.create(c)
				m := w.start(c)
				events := w.load(120)
				half := map[int32][]*kgo.Record{}
				for p := range events {
					half[p], events[p] = events[p][:60], events[p][60:]
				}
				w.feed(10, half)
				broken.Store(true)
				// Enough keys to fill write buffers.
				many := make([]*kgo.Record, 0, 30000)
				for i := range 30000 {
					many = append(many, event(fmt.Sprintf("many-%d", i), 9000))
				}
				w.produceAll(0, many)
				w.stopped(m, 2*time.Minute, "state directory", "nothing is lost")
				if hits.Load() == 0 {
					t.Fatal("the disk never failed")
				}
				broken.Store(false)
				c.State.FS = mem
				for p := range w.parts {
					w.produce(p, events[p]...)
				}
				w.finish(c)
				w.verify()
			})
		})
	}
}

// The input changes under a running process.
func TestInputChanges(t *testing.T) {
	running := func(name string, change func(w *world), want ...string) {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, func(w *world) {
				c := w.config("a")
				w.create(c)
				m := w.start(c)
				w.feed(4, w.load(40))
				w.advance(2 * time.Second)
				change(w)
				w.stopped(m, 2*time.Minute, want...)
				if n := len(w.read("out")[0]); n != 40 {
					t.Errorf("%d events came out, want 40", n)
				}
			})
		})
	}
	running("MorePartitions", func(w *world) {
		cl := w.client()
		defer cl.Close()
		r, err := kadm.NewClient(cl).CreatePartitions(w.t.Context(), 2, "events")
		if err := errors.Join(err, r.Error()); err != nil {
			w.t.Fatal(err)
		}
	}, "partitions before", "More partitions")
	running("DeletedAndCreatedAgain", func(w *world) {
		if err := w.cluster.DeleteTopic("events"); err != nil {
			w.t.Fatal(err)
		}
		if err := w.cluster.CreateTopic("events", 2, nil); err != nil {
			w.t.Fatal(err)
		}
		for p := range w.parts {
			w.produce(p, event("zoe", 20000))
		}
	}, "Input recreated")
	running("Deleted", func(w *world) {
		if err := w.cluster.DeleteTopic("events"); err != nil {
			w.t.Fatal(err)
		}
	}, "deleted")
	running("ItsRecordsAreDeletedBeforeTheyAreRead", func(w *world) {
		fault := w.cluster.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Fetch}, Topic: "events", Count: -1, Err: kerr.NotLeaderForPartition,
		})
		w.produce(0, event("zoe", 20000), event("zoe", 20001), event("zoe", 20002))
		w.advance(time.Second)
		if err := w.cluster.DeleteRecords("events", 0, 42); err != nil {
			w.t.Fatal(err)
		}
		if fault.Hits() == 0 {
			w.t.Fatal("no fetch was refused")
		}
		fault.Remove()
	}, "Input lost")
}

// The offsets of a transaction are those of every partition it touched; without one of them it
// must not commit.
func TestOffsetsOfATransaction(t *testing.T) {
	bubble(t, 1, func(w *world) {
		task, p := newTestTask(w.t)
		h := &host{topology: &Topology{}}
		x := tp{"events", 0}
		l := &lane{host: h, calls: &calls{owned: map[tp]bool{x: true}}}
		if err := task.Step(pageAt("ana", 7, 0)); err != nil {
			t.Fatal(err)
		}
		if _, err := task.Close(1, [16]byte{1}, time.Now()); err != nil {
			t.Fatal(err)
		}
		touched := []*part{{tp: x, task: task, state: p}}
		req := kmsg.NewPtrTxnOffsetCommitRequest()
		if err := l.offsets(req, touched); err == nil {
			t.Error("it commits without a place in the changelog")
		}
		touched[0].metaEnd.Store(3)
		if err := l.offsets(req, touched); err != nil {
			t.Fatal(err)
		}
		if len(req.Topics) != 1 || len(req.Topics[0].Partitions) != 1 ||
			req.Topics[0].Partitions[0].Offset != 8 ||
			*req.Topics[0].Partitions[0].Metadata != "sessionizer/1 seq=1 changelog=3 partitions=1" {
			t.Errorf("it commits %+v", req.Topics)
		}
		if err := l.offsets(req, nil); err == nil {
			t.Error("it commits a transaction that touched nothing")
		}
		l.calls.left(w.t.Context(), nil, map[string][]int32{"events": {0}})
		if err := l.offsets(req, touched); err == nil {
			t.Error("it commits a partition that is lost")
		}
	})
}
