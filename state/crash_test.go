package state

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"sessionizer/session"
)

// A power loss in the middle of whatever Pebble writes, its background work included, has to
// leave all of one earlier commit and nothing of a later one.

func TestPowerLossAtAnyWriteLeavesOneCommit(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			r := testRand(t, seed)
			mem := vfs.NewCrashableMem()
			var mu sync.Mutex // the injector is called by Pebble's goroutines too
			var clones []*vfs.MemFS
			cut := errorfs.InjectorFunc(func(op errorfs.Op) error {
				mu.Lock()
				defer mu.Unlock()
				if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && r.IntN(2) == 0 {
					percent := []int{0, 30, 100}[r.IntN(3)]
					clones = append(clones, mem.CrashClone(
						vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: r}))
				}
				return nil
			})
			commits, universe := crashWorkload(t, testOptions(errorfs.Wrap(mem, cut)))
			confirmed := map[int64]bool{}
			for _, fs := range clones {
				seq := checkCrashed(t, fs, commits, universe)
				confirmed[seq] = true
			}
			if len(clones) < 20 || len(confirmed) < 3 {
				t.Fatalf("%d power losses left %d commits only", len(clones), len(confirmed))
			}
		})
	}
}

// crashWorkload commits, flushes, drops and restores; it returns the rows of each commit.
func crashWorkload(t *testing.T, o Options) (commits map[int64]rows, universe []string) {
	s := openStore(t, o)
	p := openPart(t, s)
	r := rand.New(rand.NewPCG(1, 1))
	commits = map[int64]rows{0: {}}
	now := rows{}
	for i := range 60 {
		universe = append(universe, fmt.Sprint("key", i))
	}
	for n := range 40 {
		for range r.IntN(40) {
			key := universe[r.IntN(len(universe))]
			row := testRow(session.Time(n), fmt.Sprint(r.Uint64()))
			p.Put([]byte(key), row, session.Time(n))
			now[string(rune(kindRow))+key] = string(row)
		}
		pos := testCommit(t, p)
		commits[pos.Seq] = rows{}
		for k, v := range now {
			commits[pos.Seq][k] = v
		}
		if n%3 == 0 {
			if err := p.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if n%16 == 15 {
			p = crashRestore(t, s, p, pos, now)
		}
	}
	closeStore(t, s)
	return commits, universe
}

func crashRestore(t *testing.T, s *Store, p *Partition, pos Position, now rows) *Partition {
	if err := errors.Join(p.Close(), s.Drop("events", 3)); err != nil {
		t.Fatal(err)
	}
	p = openPart(t, s)
	r, err := p.Restore()
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range now {
		if err := r.Apply([]byte(key), []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Finish(pos); err != nil {
		t.Fatal(err)
	}
	return p
}

func checkCrashed(t *testing.T, fs vfs.FS, commits map[int64]rows, universe []string) int64 {
	s := openStore(t, testOptions(fs))
	defer closeStore(t, s)
	p := openPart(t, s)
	pos, ok := p.Position()
	if ok != (pos.Seq > 0) {
		t.Fatalf("position is %+v, %v", pos, ok)
	}
	wantRows(t, p, universe, commits[pos.Seq])
	return pos.Seq
}

func TestAbandonedStoreIsAsAfterACrash(t *testing.T) {
	fs := vfs.NewMem()
	s := openStore(t, testOptions(fs))
	p := openPart(t, s)
	put(p, "ana", 10, "one")
	pos := testCommit(t, p)
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	put(p, "ana", 10, "two")
	testCommit(t, p)
	s.Abandon()
	if err := s.Err(); !errors.Is(err, errAbandoned) {
		t.Fatal(err)
	}

	s = openStore(t, testOptions(fs))
	defer closeStore(t, s)
	p = openPart(t, s)
	if got, ok := p.Position(); !ok || got != pos {
		t.Fatalf("position is %+v, want %+v", got, pos)
	}
	wantRow(t, p, "ana", "one")
}
