//go:build synctests

package processor

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sessionizer/state"
)

// What the disk holds after a crash may be older than what Kafka holds, damaged, or nothing. The
// changelog brings it up to the committed offset, and where it cannot, the process refuses by
// name instead of going on with the wrong state.

// half processes the first half of the input and stops, by kill or in order.
func (w *world) half(c Config, kill bool) *member {
	w.t.Helper()
	m := w.start(c)
	events := w.load(120)
	for p := range events {
		events[p] = events[p][:60]
	}
	w.feed(10, events)
	w.advance(2 * time.Second)
	if kill {
		m.kill()
		return m
	}
	m.stop()
	if err := m.wait(); err != nil {
		w.t.Fatal(err)
	}
	return m
}

// rest produces the second half.
func (w *world) rest() {
	w.t.Helper()
	events := w.load(120)
	for p := range events {
		w.produce(p, events[p][60:]...)
	}
}

// logged counts the messages of all processes that contain a text.
func (w *world) logged(text string) int {
	n := 0
	for _, l := range w.logs {
		for _, e := range l.All() {
			if strings.Contains(fmt.Sprint(e.Message, e.ContextMap()), text) {
				n++
			}
		}
	}
	return n
}

// refused runs a process that must end by itself with a *StopError, and returns its text.
func (w *world) refused(c Config, want ...string) {
	w.t.Helper()
	m := w.start(c)
	select {
	case <-m.done:
	case <-time.After(2 * time.Minute):
		w.t.Fatal("the process goes on")
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

func TestRestore(t *testing.T) {
	t.Run("PowerLossWithUnsyncedData", func(t *testing.T) {
		for seed := range uint64(6) {
			bubble(t, 2, func(w *world) {
				c := w.config("a")
				c.State.Cache = 1 << 20
				w.create(c)
				m := w.half(c, true)
				percent := []int{0, 30, 60, 90, 100, 50}[seed]
				c.State.FS = m.fs.CrashClone(vfs.CrashCloneCfg{
					UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(seed, 2)),
				})
				w.rest()
				w.finish(c)
				w.verify()
				if w.logged("state restored") == 0 {
					t.Error("nothing was restored")
				}
			})
		}
	})
	t.Run("OneTransactionBehind", func(t *testing.T) {
		bubble(t, 2, func(w *world) {
			c := w.config("a")
			w.create(c)
			m := w.half(c, false) // closed in order: all is on the disk
			c.State.FS = m.fs
			behind := m.fs.CrashClone(vfs.CrashCloneCfg{})
			w.rest()
			w.finish(c)
			c.State.FS = behind // committed in Kafka, not on this disk
			for p := range w.parts {
				w.produce(p, event(fmt.Sprintf("p%d-0", p), 30000))
			}
			w.finish(c)
			w.verify()
			if n := w.logged("tail:true"); n != 2 {
				t.Errorf("%d tails were restored, want 2", n)
			}
		})
	})
	t.Run("TheDirectoryIsGone", func(t *testing.T) {
		bubble(t, 2, func(w *world) {
			c := w.config("a")
			w.create(c)
			w.half(c, true)
			c.State.FS = vfs.NewCrashableMem()
			w.rest()
			w.finish(c)
			w.verify()
			if n := w.logged("tail:false"); n != 2 {
				t.Errorf("%d partitions were restored in full, want 2", n)
			}
		})
	})
	t.Run("TheDirectoryAndTheOldInputAreGone", func(t *testing.T) {
		bubble(t, 1, func(w *world) {
			c := w.config("a")
			w.create(c)
			w.half(c, true)
			want := func() []string {
				// What an undisturbed run gives, before the input is cut.
				w.rest()
				ref := w.config("whole")
				ref.Group, ref.Output, ref.Visits, ref.DeadLetters = "whole", "w-out", "w-visits", "w-dead"
				w.create(ref)
				w.finish(ref)
				return w.visitsOf("w-visits")
			}()
			if err := w.cluster.DeleteRecords("events", 0, 60); err != nil {
				t.Fatal(err)
			}
			c.State.FS = vfs.NewCrashableMem()
			w.finish(c)
			if got := w.visits(); fmt.Sprint(sorted(got)) != fmt.Sprint(sorted(want)) {
				t.Errorf("visits\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if n := len(w.read("out")[0]); n != 120 {
				t.Errorf("%d events came out, want 120", n)
			}
		})
	})
	t.Run("AnUnopenableStore", func(t *testing.T) {
		bubble(t, 2, func(w *world) {
			c := w.config("a")
			w.create(c)
			m := w.half(c, false)
			c.State.FS = m.fs
			names, err := m.fs.List("state")
			if err != nil {
				t.Fatal(err)
			}
			hit := 0
			for _, name := range names {
				if strings.HasPrefix(name, "MANIFEST") || strings.HasSuffix(name, ".sst") {
					f, err := m.fs.Create("state/"+name, "state")
					if err != nil {
						t.Fatal(err)
					}
					if _, err := f.Write([]byte("rubbish")); err != nil {
						t.Fatal(err)
					}
					_ = f.Close() // a file in memory
					hit++
				}
			}
			if hit == 0 {
				t.Fatalf("nothing to damage in %v", names)
			}
			w.rest()
			w.finish(c)
			w.verify()
			if w.logged("damaged") == 0 {
				t.Error("the damage was not noticed")
			}
		})
	})
	t.Run("TheLocalStateIsOfAnotherChangelog", func(t *testing.T) {
		// The age of the copy is beyond what tombstones live: all is read again, twice, because
		// the first try meets an error of the broker.
		bubble(t, 2, func(w *world) {
			c := w.config("a")
			w.create(c)
			m := w.half(c, false)
			old := m.fs.CrashClone(vfs.CrashCloneCfg{})
			w.rest()
			c.State.FS = m.fs
			w.finish(c)
			w.advance(13 * time.Hour)
			for p := range w.parts {
				w.produce(p, event(fmt.Sprintf("p%d-0", p), 30000))
			}
			c.State.FS = old
			fault := w.cluster.Fault(kfake.Fault{
				Keys: []kmsg.Key{kmsg.Fetch}, Topic: "g-events-changelog", Count: 2,
				Err: kerr.UnknownServerError,
			})
			w.finish(c)
			w.verify()
			if fault.Hits() == 0 || w.logged("cannot be restored yet") == 0 {
				t.Errorf("the restore was disturbed %d times, and tried again %d times",
					fault.Hits(), w.logged("cannot be restored yet"))
			}
			if w.logged("lane reset") != 0 {
				t.Error("the lane was reset for one partition that cannot be restored")
			}
		})
	})
	t.Run("StoppedWhileRestoring", func(t *testing.T) {
		bubble(t, 2, func(w *world) {
			c := w.config("a")
			w.create(c)
			w.half(c, true)
			c.State.FS = vfs.NewCrashableMem()
			fault := w.cluster.Fault(kfake.Fault{
				Keys: []kmsg.Key{kmsg.Fetch}, Topic: "g-events-changelog", Count: -1,
				Err: kerr.NotLeaderForPartition,
			})
			m := w.start(c)
			w.advance(20 * time.Second)
			m.stop()
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
			if fault.Hits() == 0 {
				t.Fatal("the restore was never held up")
			}
			fault.Remove()
			w.rest()
			w.finish(c)
			w.verify()
		})
	})
}

func sorted(s []string) []string {
	s = append([]string{}, s...)
	slices.Sort(s)
	return s
}

// A state that cannot be made to fit the committed offset is refused with what to do about it.
func TestRestoreRefuses(t *testing.T) {
	refuses := func(name string, damage func(w *world, c *Config), want ...string) {
		t.Run(name, func(t *testing.T) {
			bubble(t, 2, func(w *world) {
				c := w.config("a")
				w.create(c)
				m := w.half(c, false)
				c.State.FS = m.fs
				damage(w, &c)
				before := len(w.read("out")[0])
				w.rest()
				w.refused(c, want...)
				if after := len(w.read("out")[0]); after != before {
					t.Errorf("%d events came out although it refused", after-before)
				}
			})
		})
	}
	adm := func(w *world, f func(a *kadm.Client) error) {
		cl := w.client()
		defer cl.Close()
		if err := f(kadm.NewClient(cl)); err != nil {
			w.t.Fatal(err)
		}
	}
	deleteOffsets := func(w *world) {
		w.advance(30 * time.Second) // the member's session ends
		adm(w, func(a *kadm.Client) error {
			r, err := a.DeleteGroups(w.t.Context(), "g")
			return errors.Join(err, r.Error())
		})
	}
	refuses("OffsetsThatWereDeleted", func(w *world, c *Config) { deleteOffsets(w) },
		"--reset-offsets", "--to-offset 60", "events:")
	refuses("OffsetsThatWereDeletedWithAnEmptyDirectory", func(w *world, c *Config) {
		deleteOffsets(w)
		c.State.FS = vfs.NewCrashableMem()
	}, "--reset-offsets", "--to-offset 60")
	refuses("AnOffsetThatAnOperatorSet", func(w *world, c *Config) {
		w.advance(30 * time.Second)
		adm(w, func(a *kadm.Client) error {
			var o kadm.Offsets
			o.Add(kadm.Offset{Topic: "events", Partition: 0, At: 10, LeaderEpoch: -1})
			r, err := a.CommitOffsets(w.t.Context(), "g", o)
			return errors.Join(err, r.Error())
		})
	}, "set to 10, the state is at 60", "Offsets and state disagree")
	refuses("AChangelogThatIsMissing", func(w *world, c *Config) {
		if err := w.cluster.DeleteTopic("g-events-changelog"); err != nil {
			w.t.Fatal(err)
		}
	}, "g-events-changelog", "topics --create")
	anew := func(w *world) {
		if err := w.cluster.DeleteTopic("g-events-changelog"); err != nil {
			w.t.Fatal(err)
		}
		w.create(w.config("a"))
	}
	refuses("AChangelogThatIsNew", func(w *world, c *Config) { anew(w) },
		"g-events-changelog", "Changelog lost")
	refuses("AChangelogThatIsNewWithAnEmptyDirectory", func(w *world, c *Config) {
		anew(w)
		c.State.FS = vfs.NewCrashableMem()
	}, "g-events-changelog", "Changelog lost")
	refuses("AChangelogWithoutItsBeginningAndAnEmptyDirectory", func(w *world, c *Config) {
		c.State.FS = vfs.NewCrashableMem()
		end := w.cluster.PartitionInfo("g-events-changelog", 0).HighWatermark
		if err := w.cluster.DeleteRecords("g-events-changelog", 0, end-3); err != nil {
			w.t.Fatal(err)
		}
	}, "events/0", "Changelog lost")
	refuses("AChangelogWithoutAnything", func(w *world, c *Config) {
		c.State.FS = vfs.NewCrashableMem()
		if err := w.cluster.DeleteRecords("g-events-changelog", 0, -1); err != nil {
			w.t.Fatal(err)
		}
	}, "events-changelog/0", "Changelog lost")
	refuses("AnInputThatIsNew", func(w *world, c *Config) {
		if err := w.cluster.DeleteTopic("events"); err != nil {
			w.t.Fatal(err)
		}
		if err := w.cluster.CreateTopic("events", 2, nil); err != nil {
			w.t.Fatal(err)
		}
	}, "Input recreated")
	refuses("AnInputWithMorePartitions", func(w *world, c *Config) {
		adm(w, func(a *kadm.Client) error {
			r, err := a.CreatePartitions(w.t.Context(), 2, "events")
			return errors.Join(err, r.Error())
		})
	}, "rescale")
	refuses("AnInputThatWasDeletedFurtherThanItWasRead", func(w *world, c *Config) {
		w.rest()
		if err := w.cluster.DeleteRecords("events", 0, 80); err != nil {
			w.t.Fatal(err)
		}
	}, "Input lost")
}

// The local copy survives the loss of the changelog: it may be the only one left.
func TestRestoreKeepsTheOnlyCopy(t *testing.T) {
	bubble(t, 1, func(w *world) {
		c := w.config("a")
		w.create(c)
		m := w.half(c, false)
		c.State.FS = m.fs
		if err := w.cluster.DeleteTopic("g-events-changelog"); err != nil {
			t.Fatal(err)
		}
		w.create(c)
		w.refused(c, "Changelog lost")
		w.refused(c, "Changelog lost") // as it was the first time
		store, err := state.Open("state", c.State)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = store.Close() }() // it was only read
		p, err := store.Partition("events", 0)
		if err != nil {
			t.Fatal(err)
		}
		if pos, ok := p.Position(); !ok || pos.Offset != 60 {
			t.Errorf("the local state is at %+v (%v), want offset 60", pos, ok)
		}
	})
}

// A tail whose beginning is gone from the changelog is a full restore, or refused: it must not be
// tried for ever.
func TestRestoreWithATailThatIsGone(t *testing.T) {
	bubble(t, 1, func(w *world) {
		c := w.config("a")
		w.create(c)
		m := w.half(c, false)
		behind := m.fs.CrashClone(vfs.CrashCloneCfg{})
		w.rest()
		c.State.FS = m.fs
		w.finish(c)
		end := w.cluster.PartitionInfo("g-events-changelog", 0).HighWatermark
		if err := w.cluster.DeleteRecords("g-events-changelog", 0, end-3); err != nil {
			t.Fatal(err)
		}
		c.State.FS = behind
		w.refused(c, "Changelog lost")
	})
}
