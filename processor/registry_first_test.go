//go:build synctests

package processor

import (
	"testing"
	"time"

	"sessionizer/schemas"
)

// A subject is made by the first schema under it. Where several come at once, a registry may refuse
// all but one; nobody may take that for a schema that does not fit.

func TestRegistryFirstUseOfASubject(t *testing.T) {
	t.Run("BySeveralSchemas", func(t *testing.T) {
		avroBubble(t, 2, func(w *world, a *avro) {
			a.slow.Store(true)
			c := w.config("a")
			w.create(c)
			m := w.start(c)
			events := w.avroLoad(20, 101)
			for _, r := range events[1] {
				framedAgain(r, 102)
			}
			w.feed(1, events)
			w.advance(5 * time.Second)
			if n := len(w.read("out")[0]) + len(w.read("out")[1]); n != 40 {
				t.Errorf("%d events came out, want 40", n)
			}
			if n := a.clash.Load(); n != 0 {
				t.Errorf("one process registered side by side: %d requests were refused", n)
			}
			w.stopsWell(m)
			w.finish(c)
			w.verify()
		})
	})
	t.Run("BySeveralProcesses", func(t *testing.T) {
		avroBubble(t, 2, func(w *world, a *avro) {
			a.slow.Store(true)
			one, two := w.config("a"), w.config("b")
			w.create(one)
			one.VisitsSchema, two.VisitsSchema = schemas.VisitSchema(), schemas.VisitSchema()
			m, n := w.start(one), w.start(two)
			w.advance(5 * time.Second)
			if a.clash.Load() == 0 {
				t.Fatal("the processes did not clash")
			}
			w.runs("a", m)
			w.runs("b", n)
			if got := w.logged("schema of the visits"); got != 2 {
				t.Errorf("%d processes have the schema of the visits, want 2", got)
			}
			w.stopsWell(m)
			w.stopsWell(n)
		})
	})
}
