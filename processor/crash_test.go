//go:build synctests

package processor

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A process may die between any two effects of a transaction. Each line of the crash matrix is a
// test here: the process is killed at that point, started again on what its disk would hold, and
// what came out must be what a run without the crash gives.

// crashAt runs a process with load until a request of the given kind is about to be lost, kills
// it there, and starts another one of the same name on its synced files.
func crashAt(w *world, key kmsg.Key, skip int64, f fate) {
	w.t.Helper()
	c := w.config("a")
	w.create(c)
	m := w.start(c)
	r := &rule{key: key, skip: skip, fate: f}
	r.then = func() {
		go m.kill() // not here: the proxy that calls this is one of the things to kill
	}
	m.net.rule(r)
	events := w.load(120)
	w.feed(20, events)
	<-m.done
	if r.hits.Load() != 1 {
		w.t.Fatalf("%v was met %d times and lost %d times, want once", key, r.met.Load(), r.hits.Load())
	}
	c.State.FS = m.fs.CrashClone(vfs.CrashCloneCfg{})
	w.finish(c)
	w.verify()
}

func TestCrash(t *testing.T) {
	for _, tt := range []struct {
		name string
		key  kmsg.Key
		skip int64
		fate fate
	}{
		{"WithAnOpenTransactionWhoseRecordsAreLost", kmsg.Produce, 30, lost},
		{"WithAnOpenTransactionWhoseRecordsAreThere", kmsg.Produce, 30, answerLost},
		{"BeforeTheOffsets", kmsg.TxnOffsetCommit, 6, lost},
		{"AfterTheOffsets", kmsg.TxnOffsetCommit, 6, answerLost},
		{"BeforeTheEnd", kmsg.EndTxn, 6, lost},
		{"AfterTheEnd", kmsg.EndTxn, 6, answerLost},
		{"InTheFirstTransactionBeforeItsEnd", kmsg.EndTxn, 0, lost},
		{"InTheFirstTransactionAfterItsEnd", kmsg.EndTxn, 0, answerLost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, 2, func(w *world) { crashAt(w, tt.key, tt.skip, tt.fate) })
		})
	}
}

// An answer that is lost leaves a living process in doubt: it must find out which it was.
func TestTheAnswerOfAnEndIsLost(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fate   fate
		away   time.Duration
		resets int64
	}{
		{"AndItWasApplied", answerLost, 0, 0},
		{"AndItWasNot", lost, 0, 0},
		{"WithAShortOutageAndItWasApplied", answerLost, 1500 * time.Millisecond, 0},
		{"WithAShortOutageAndItWasNot", lost, 1500 * time.Millisecond, 0},
		{"WithALongOutageAndItWasApplied", answerLost, 30 * time.Second, 1},
		{"WithALongOutageAndItWasNot", lost, 30 * time.Second, 1},
		{"WithAVeryLongOutageAndItWasApplied", answerLost, 10 * time.Minute, 1},
		{"WithAVeryLongOutageAndItWasNot", lost, 10 * time.Minute, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, 2, func(w *world) {
				c := w.config("a")
				w.create(c)
				m := w.start(c)
				r := &rule{key: kmsg.EndTxn, skip: 3, fate: tt.fate}
				r.then = func() {
					if tt.away > 0 {
						go func() {
							m.net.cut()
							<-time.NewTimer(tt.away).C
							m.net.mend()
						}()
					}
				}
				m.net.rule(r)
				w.feed(20, w.load(120))
				w.advance(tt.away + time.Minute)
				w.runs("a", m)
				if n := len(w.read("out")[0]); n != 120 {
					t.Errorf("%d events came out a minute after the outage, want 120", n)
				}
				if r.hits.Load() != 1 {
					t.Fatalf("the end was lost %d times, want once", r.hits.Load())
				}
				m.stop()
				if err := m.wait(); err != nil {
					t.Fatal(err)
				}
				w.finish(c)
				w.verify()
			})
		})
	}
}

// A process that was stopped for longer than its session, and then goes on, must not commit what
// its successor has done meanwhile. What it had sent arrives late.
func TestZombie(t *testing.T) {
	for _, tt := range []struct {
		name   string
		at     kmsg.Key
		timers bool // only timers are due, no events
	}{
		{"BeforeItsOffsets", kmsg.TxnOffsetCommit, false},
		{"BeforeItsEnd", kmsg.EndTxn, false},
		{"WhileProducing", kmsg.Produce, false},
		{"WithTimersOnlyBeforeItsOffsets", kmsg.TxnOffsetCommit, true},
		{"WithTimersOnlyBeforeItsEnd", kmsg.EndTxn, true},
		{"WithTimersOnlyWhileProducing", kmsg.Produce, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, 2, func(w *world) {
				a, b := w.config("a"), w.config("b")
				w.create(a)
				ma := w.start(a)
				events := w.load(120)
				some := map[int32][]*kgo.Record{}
				for p := range events {
					some[p], events[p] = events[p][:30], events[p][30:]
				}
				w.feed(5, some)
				w.advance(2 * time.Second)
				r := &rule{key: tt.at, fate: seen, then: ma.net.freeze}
				ma.net.rule(r)
				if tt.timers {
					for at := time.Since(epoch); r.hits.Load() == 0 && at < 24*time.Hour; at += time.Second {
						w.advance(time.Second)
					}
				} else {
					w.feed(5, events)
				}
				if r.hits.Load() != 1 {
					t.Fatalf("it was frozen %d times, want once", r.hits.Load())
				}
				mb := w.start(b)
				w.advance(40 * time.Second) // the session and the transaction time out
				if o := w.owners(); len(o) != 1 || o["g-b-0"] != 2 {
					t.Fatalf("partitions by member: %v, want all at b", o)
				}
				visits := len(w.visits())
				if tt.timers && visits == 0 {
					t.Fatal("the successor ended no visit")
				}
				ma.net.thaw()
				w.advance(time.Minute)
				w.runs("a", ma)
				w.runs("b", mb)
				if o := w.owners(); o["g-a-0"] != 1 || o["g-b-0"] != 1 {
					t.Errorf("partitions by member: %v, want one each", o)
				}
				for _, m := range []*member{ma, mb} {
					m.stop()
					if err := m.wait(); err != nil {
						t.Fatal(err)
					}
				}
				if tt.timers {
					w.audit()
					return
				}
				w.finish(a)
				w.verify()
			})
		})
	}
}

// The open transaction of a dead member holds its successor and every reader back until it times
// out, unless the successor ends it.
func TestTakeover(t *testing.T) {
	for _, allowed := range []bool{true, false} {
		t.Run(map[bool]string{true: "Allowed", false: "Denied"}[allowed], func(t *testing.T) {
			bubble(t, 2, func(w *world) {
				a, b := w.config("a"), w.config("b")
				a.TransactionTimeout, b.TransactionTimeout = time.Minute, time.Minute
				w.create(a)
				var denied *kfake.FaultHandle
				if !allowed {
					denied = w.cluster.Fault(kfake.Fault{
						Keys: []kmsg.Key{kmsg.DescribeProducers}, Count: -1, Err: kerr.TopicAuthorizationFailed,
					})
				}
				ma := w.start(a)
				events := w.load(60)
				w.feed(5, events)
				r := &rule{key: kmsg.EndTxn, fate: lost}
				r.then = func() { go ma.kill() }
				ma.net.rule(r)
				for p := range w.parts {
					w.produce(p, event("zoe", 20000))
				}
				<-ma.done
				if r.hits.Load() != 1 {
					t.Fatalf("it was killed %d times, want once", r.hits.Load())
				}
				dead := time.Now()
				mb := w.start(b)
				for len(w.read("out")[0]) < 61 && time.Since(dead) < 5*time.Minute {
					w.advance(100 * time.Millisecond)
				}
				took := time.Since(dead)
				if allowed && took > b.SessionTimeout+2*time.Second {
					t.Errorf("the takeover took %s, want the session timeout %s and 2 s", took, b.SessionTimeout)
				}
				if !allowed && (denied.Hits() == 0 || took > 90*time.Second) {
					t.Errorf("without the right (%d refusals) it took %s", denied.Hits(), took)
				}
				n := w.logged("aborted the transaction that the former owner left open")
				if (n == 0) == allowed {
					t.Errorf("%d transactions were taken over", n)
				}
				if n := w.logged("lane reset"); n != 0 {
					t.Errorf("%d lane resets, want none", n)
				}
				mb.stop()
				if err := mb.wait(); err != nil {
					t.Fatal(err)
				}
				w.finish(b)
				w.verify()
			})
		})
	}
}
