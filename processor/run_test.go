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
			now := time.Now().Unix()
			w.produce(0, event("ana", now), event("ana", now+10), event("bob", now+20), event("ana", now+4000))
			w.produce(1, event("cleo", now))
			if err := w.start(c).wait(); err != nil {
				t.Fatal(err)
			}
			want := []string{}
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
			now := time.Now()
			w.produce(1, event("ana", now.Unix()))
			w.advance(31*time.Minute + 2*time.Second)
			got := w.audit()
			if len(got) != 1 {
				t.Errorf("visits %q, want one", got)
			}
			m.stop()
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
		})
	})
}
