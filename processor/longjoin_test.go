//go:build synctests

package processor

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A rebalance lasts until every member has joined or is given up. The others wait for it in their
// join, longer than the end of a transaction may take.

func TestLongRebalance(t *testing.T) {
	bubble(t, 6, func(w *world) {
		a, b, c := w.config("a"), w.config("b"), w.config("c")
		a.SessionTimeout, b.SessionTimeout, c.SessionTimeout =
			30*time.Second, 30*time.Second, 30*time.Second
		w.create(a)
		events := w.load(600)
		part := func(from, to int) map[int32][]*kgo.Record {
			some := map[int32][]*kgo.Record{}
			for p, e := range events {
				some[p] = e[from:to]
			}
			return some
		}
		ma, mb := w.start(a), w.start(b)
		w.feed(60, part(0, 120))
		if o := w.owners(); o["g-a-0"] != 3 || o["g-b-0"] != 3 {
			t.Fatalf("partitions by member: %v", o)
		}
		before := w.logged("lane reset")
		mb.net.freeze()
		mc := w.start(c)
		joined := time.Now()
		for len(w.owners()) != 2 || w.owners()["g-c-0"] == 0 { // b is given up
			if time.Since(joined) > 2*time.Minute {
				t.Fatalf("the rebalance does not end: %v", w.owners())
			}
			at := int(time.Since(joined)/(500*time.Millisecond)) + 120
			w.feed(2, part(at, at+1))
		}
		if long := time.Since(joined); long < 15*time.Second {
			t.Fatalf("the rebalance took %s only", long)
		}
		if n := w.logged("lane reset") - before; n != 0 {
			t.Errorf("%d lanes were reset by a rebalance that takes its time", n)
		}
		mb.kill()
		w.runs("a", ma)
		w.runs("c", mc)
		for _, m := range []*member{ma, mc} {
			m.stop()
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
		}
		w.advance(time.Minute)
		w.finish(a)
		w.verify()
	})
}
