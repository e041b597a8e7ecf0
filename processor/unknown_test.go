//go:build synctests

package processor

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A broker may commit and then answer that something unknown went wrong. The client reports that
// as a clean abort; who goes on from there processes the transaction once more.

func TestUnknownEnd(t *testing.T) {
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
		before := w.logged("lane reset")
		const faults = 3
		var changed atomic.Int64
		m.net.edit(kmsg.EndTxn, func(r kmsg.Response) {
			resp, ok := r.(*kmsg.EndTxnResponse)
			if ok && resp.ErrorCode == 0 && changed.Add(1) <= faults {
				resp.ErrorCode = kerr.UnknownServerError.Code
			}
		})
		w.feed(15, events)
		w.advance(30 * time.Second)
		w.runs("a", m)
		if changed.Load() < faults {
			t.Fatalf("%d ends were answered with an error, want %d", changed.Load(), faults)
		}
		if n := w.logged("lane reset") - before; n != faults {
			t.Errorf("%d lane resets, want one for each of %d ends", n, faults)
		}
		m.stop()
		if err := m.wait(); err != nil {
			t.Fatal(err)
		}
		w.finish(c)
		w.verify()
	})
}
