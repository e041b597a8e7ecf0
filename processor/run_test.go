//go:build synctests

package processor

import (
	"slices"
	"testing"
	"time"
)

// The plain case: what is there at the start is processed and committed, and Run returns.
func TestRun(t *testing.T) {
	t.Run("UntilEndProcessesWhatIsThere", func(t *testing.T) {
		bubble(t, 2, func(w *world) {
			c := w.config("a")
			c.UntilEnd = true
			w.create(c)
			w.produce(0, event("ana", 0), event("ana", 10), event("bob", 20), event("ana", 4000))
			w.produce(1, event("cleo", 0))
			if err := w.start(c).wait(); err != nil {
				t.Fatal(err)
			}
			want := []string{
				"ana 2000-01-01T00:00:00.000Z..2000-01-01T00:00:10.000Z 2 r1",
				"bob 2000-01-01T00:00:20.000Z..2000-01-01T00:00:20.000Z 1 r1",
			}
			got := w.audit()
			if !slices.Equal(got, want) {
				t.Errorf("visits %q, want %q", got, want)
			}
		})
	})
	t.Run("ASilentTopicEndsItsVisits", func(t *testing.T) {
		bubble(t, 2, func(w *world) {
			c := w.config("a")
			w.create(c)
			m := w.start(c)
			w.produce(1, event("ana", 0))
			// The visit is due at its end + timeout + out_of_order, and out within 2 s of it.
			w.advance(31*time.Minute - time.Since(epoch) - time.Second)
			if got := w.visits(); len(got) != 0 {
				t.Errorf("visits %q before their time", got)
			}
			w.advance(3 * time.Second)
			if got := w.audit(); len(got) != 1 {
				t.Errorf("visits %q, want one", got)
			}
			m.stop()
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
		})
	})
}

// A replay of history is older than what the wall clock has ended visits by.
func TestTick(t *testing.T) {
	t.Run("EventsOfThePastAfterAnIdleTickEndNoVisitEarly", func(t *testing.T) {
		bubble(t, 1, func(w *world) {
			c := w.config("a")
			w.create(c)
			m := w.start(c)
			w.produce(0, event("ana", 0))
			w.advance(2 * time.Hour) // the wall clock has ended ana's visit
			w.produce(0, event("bob", 60), event("bob", 120), event("bob", 180))
			w.advance(5 * time.Second)
			w.produce(0, event("bob", 240))
			w.advance(5 * time.Second)
			want := []string{"ana 2000-01-01T00:00:00.000Z..2000-01-01T00:00:00.000Z 1 r1"}
			if got := w.visits(); !slices.Equal(got, want) {
				t.Errorf("while events come: visits %q, want %q", got, want)
			}
			w.advance(20 * time.Second)
			want = append(want, "bob 2000-01-01T00:01:00.000Z..2000-01-01T00:04:00.000Z 4 r1")
			if got := w.audit(); !slices.Equal(got, want) {
				t.Errorf("when it is silent: visits %q, want %q", got, want)
			}
			m.stop()
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
		})
	})
}
