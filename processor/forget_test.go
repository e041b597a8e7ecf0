//go:build synctests

package processor

import (
	"bytes"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"sessionizer/state"
)

// The sweep in the process: keys are forgotten beside the events and on a partition that is silent,
// and a process that restores everything from the changelog knows what the one before knew.

// changes are the last values of the state's keys in the changelog; nil: a tombstone.
func (w *world) changes(partition int32) map[string][]byte {
	last := map[string][]byte{}
	for _, r := range w.read("g-events-changelog")[partition] {
		if !state.IsMeta(r.Key) {
			last[string(r.Key)] = bytes.Clone(r.Value)
		}
	}
	return last
}

// kept are the keys of the changelog's session rows that are there.
func kept(changes map[string][]byte) (keys []string) {
	for _, key := range slices.Sorted(maps.Keys(changes)) {
		name, history, err := state.SplitChangelogKey([]byte(key))
		if err == nil && !history && changes[key] != nil {
			keys = append(keys, string(name[2:]))
		}
	}
	return keys
}

// forgetful is a configuration that keeps little for long.
func (w *world) forgetful(instance string) Config {
	c := w.config(instance)
	rules := *c.Rules
	rules.Lateness, rules.Retention = 40*60_000, 3600_000
	if err := rules.Compile(); err != nil {
		w.t.Fatal(err)
	}
	c.Rules = &rules
	return c
}

func TestForgetting(t *testing.T) {
	const hour = 3600
	t.Run("ARestoreKnowsWhatIsLeft", func(t *testing.T) {
		bubble(t, 1, func(w *world) {
			c := w.forgetful("a")
			w.create(c)
			m := w.start(c)
			w.produce(0, event("ana", 0), event("bob", 0), event("cy", 0))
			w.until(time.Hour)
			w.produce(0, event("bob", hour))
			w.until(5 * time.Hour / 2)
			w.produce(0, event("dan", 5*hour/2))
			w.runs("a", m)
			w.until(11 * time.Hour / 3)
			if got := kept(w.changes(0)); !slices.Equal(got, []string{"bob", "dan"}) {
				t.Errorf("the changelog keeps %q, want bob and dan", got)
			}
			w.produce(0, event("ana", 11*hour/3)) // as if never seen
			w.until(19 * time.Hour / 4)
			want := kept(w.changes(0))
			if !slices.Equal(want, []string{"ana", "dan"}) {
				t.Errorf("the changelog keeps %q, want ana and dan", want)
			}
			w.runs("a", m)
			m.kill()

			c.State.FS = vfs.NewCrashableMem() // all comes from the changelog, with a digest
			m = w.start(c)
			w.produce(0, event("dan", 19*hour/4))
			w.until(5 * time.Hour)
			w.runs("a", m)
			m.stop()
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
			w.forgotten(c, m, kept(w.changes(0)))
			w.audit()
		})
	})
	t.Run("AShortLifeForgetsToo", func(t *testing.T) {
		bubble(t, 1, func(w *world) {
			c := w.forgetful("a")
			c.UntilEnd = true
			w.create(c)
			w.produce(0, event("ana", 0), event("bob", 0), event("cy", 5*hour/6))
			m := w.start(c)
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
			if got := kept(w.changes(0)); len(got) != 3 {
				t.Errorf("the changelog keeps %q within the retention", got)
			}
			w.produce(0, event("dan", 9*hour))
			m = w.start(c)
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
			if got := kept(w.changes(0)); !slices.Equal(got, []string{"dan"}) {
				t.Errorf("the changelog keeps %q, want dan", got)
			}
			w.forgotten(c, m, []string{"dan"})
		})
	})
	t.Run("ASilentPartitionForgetsToo", func(t *testing.T) {
		bubble(t, 1, func(w *world) {
			c := w.forgetful("a")
			w.create(c)
			w.produce(0, event("ana", 0), event("bob", 0))
			m := w.start(c)
			w.until(50 * time.Minute) // their visits have ended: no timer will look at them again
			w.produce(0, event("cy", 9*hour))
			w.until(55 * time.Minute)
			if got := kept(w.changes(0)); len(got) != 3 {
				t.Errorf("the changelog keeps %q before the first pass is due", got)
			}
			w.until(9 * time.Hour / 4)
			before := w.cluster.GroupInfo("g").Commits["events"][0]
			if got := kept(w.changes(0)); !slices.Equal(got, []string{"cy"}) {
				t.Errorf("the changelog keeps %q, want cy", got)
			}
			w.until(4 * time.Hour) // nothing more can be gone: no transaction
			after := w.cluster.GroupInfo("g").Commits["events"][0]
			if before.Metadata != after.Metadata {
				t.Errorf("committed %q after all was forgotten, and then %q", before.Metadata, after.Metadata)
			}
			w.runs("a", m)
			m.stop()
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
			w.forgotten(c, m, []string{"cy"})
		})
	})
}

// forgotten checks that the store of a process that has ended holds these keys and no others.
func (w *world) forgotten(c Config, m *member, want []string) {
	w.t.Helper()
	store, err := state.Open("state", state.Options{FS: m.fs, Due: DueOf(c.Rules)})
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := store.Partition("events", 0)
	if err != nil {
		w.t.Fatal(err)
	}
	var got []string
	_, err = p.Walk("", 1<<30, 1<<30, func(key, _, _ []byte) error {
		got = append(got, string(key[2:]))
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		w.t.Errorf("the store has %q, want %q", got, want)
	}
	if err := store.Close(); err != nil {
		w.t.Fatal(err)
	}
}
