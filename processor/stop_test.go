//go:build synctests

package processor

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sessionizer/schemas"
)

// stopBound is how long a process may take to end after the first signal.
const stopBound = 30 * time.Second

// stopFrozen stops a process whose network freezes as it sends a request for the first time, and
// returns how long it took. Nothing may keep it: not a join that is not answered, not a commit.
func stopFrozen(t *testing.T, key kmsg.Key, after time.Duration, timeout time.Duration) {
	t.Helper()
	bubble(t, 2, func(w *world) {
		c := w.config("a")
		c.SessionTimeout, c.TransactionTimeout = timeout, timeout
		w.create(c)
		w.produce(0, event("ana", 0))
		m := w.start(c)
		hit := make(chan struct{})
		frozen := false
		m.net.rule(&rule{key: key, fate: seen, then: func() {
			if !frozen {
				frozen = true
				m.net.freeze()
				close(hit)
			}
		}})
		<-hit
		w.advance(after)
		began := time.Now()
		m.stop()
		give := time.NewTimer(5 * time.Minute)
		select {
		case <-m.done:
		case <-give.C:
			m.net.cut()
			<-m.done
		}
		if took := time.Since(began); took > stopBound || m.err != nil {
			t.Errorf("it took %s: %v", took, m.err)
		}
	})
}

func TestStopFrozen(t *testing.T) {
	for _, key := range []kmsg.Key{
		kmsg.Metadata, kmsg.InitProducerID, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.OffsetFetch,
		kmsg.DescribeProducers, kmsg.Fetch, kmsg.Produce, kmsg.TxnOffsetCommit, kmsg.EndTxn,
		kmsg.Heartbeat, kmsg.ListOffsets,
	} {
		for _, after := range []time.Duration{time.Second, 12 * time.Second} {
			t.Run(fmt.Sprintf("FrozenAt%s%sAgo", key.Name(), after), func(t *testing.T) {
				stopFrozen(t, key, after, 10*time.Second)
			})
		}
	}
	t.Run("ALongTransactionTimeoutMakesItNoLonger", func(t *testing.T) {
		stopFrozen(t, kmsg.EndTxn, 0, time.Minute)
	})
}

// A run until the end leaves no visit that is due, whoever left it.
func TestUntilEnd_EndsWhatAFormerLifeLeft(t *testing.T) {
	bubble(t, 1, func(w *world) {
		c := w.config("a")
		w.create(c)
		const visits = 25_000
		events := make([]*kgo.Record, 0, visits+1)
		for i := range visits {
			events = append(events, event(fmt.Sprintf("k%d", i), 0))
		}
		w.produceAll(0, append(events, event("last", 3*3600)))
		c.UntilEnd = true
		m := w.start(c)
		var ended int
		for range 1000 {
			w.advance(10 * time.Millisecond)
			if ended = len(w.read("visits")[0]); ended > 0 {
				break
			}
		}
		m.kill()
		if ended = len(w.read("visits")[0]); ended == 0 || ended == visits {
			t.Fatalf("%d visits had ended at the kill: nothing was left, or nothing was begun", ended)
		}
		c.State.FS = m.fs
		w.finish(c)
		if got := len(w.read("visits")[0]); got != visits {
			t.Errorf("%d visits at the exit, want %d", got, visits)
		}
	})
}

// A lazy timer that turns out to have nothing to do disturbs nobody.
func TestTick_ALazyTimerWithNothingToDoOpensNoTransaction(t *testing.T) {
	bubble(t, 1, func(w *world) {
		c := w.config("a")
		w.create(c)
		m := w.start(c)
		w.produce(0, event("ana", 0))
		w.until(10 * time.Minute)
		w.produce(0, event("ana", 600))
		w.until(2 * time.Hour)
		w.runs("a", m)
		if n := w.logged("lane reset"); n != 0 {
			t.Errorf("%d lane resets with a healthy broker", n)
		}
		if got := w.audit(); len(got) != 1 {
			t.Errorf("visits %q, want one", got)
		}
		m.stop()
		if err := m.wait(); err != nil {
			t.Fatal(err)
		}
	})
}

// An event that compresses well passes the input's limit and is larger than what the output and
// the dead-letter topic take.
func TestALargeEventThatCompressesWell(t *testing.T) {
	produce := func(w *world) {
		cl := w.client(kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.ProducerBatchCompression(kgo.GzipCompression()),
			kgo.ProducerBatchMaxBytes(8<<20), kgo.MaxBufferedBytes(64<<20))
		defer cl.Close()
		r := event("ana", 0)
		r.Topic = "events"
		r.Value = fmt.Appendf(nil, `{"anonymousId":"ana","timestamp":%q,"properties":{"x":%q}}`,
			epoch.Format(time.RFC3339), strings.Repeat("a", 3<<20))
		if err := cl.ProduceSync(w.t.Context(), r).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
	t.Run("IsADeadLetterCutToFit", func(t *testing.T) {
		bubble(t, 1, func(w *world) {
			c := w.config("a")
			w.create(c)
			produce(w)
			w.produce(0, event("bob", 10))
			w.finish(c)
			dead := w.read("dead")[0]
			if len(dead) != 1 || len(w.read("out")[0]) != 1 {
				t.Fatalf("%d dead letters, %d events out", len(dead), len(w.read("out")[0]))
			}
			last := dead[0].Headers[len(dead[0].Headers)-1]
			if last.Key != schemas.HeaderErrorCut ||
				!strings.HasPrefix(string(last.Value), "value of 3145") {
				t.Errorf("the last header is %s: %s", last.Key, last.Value)
			}
		})
	})
	t.Run("PassedOnAsItIsStopsByName", func(t *testing.T) {
		bubble(t, 1, func(w *world) {
			c := w.config("a")
			c.Policy.On = map[schemas.Reason]Action{schemas.Limit: Pass}
			w.create(c)
			produce(w)
			w.stopped(w.start(c), 2*time.Minute, "produce to out/0", "max.message.bytes")
		})
	})
}
