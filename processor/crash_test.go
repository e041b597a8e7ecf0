//go:build synctests

package processor

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
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
