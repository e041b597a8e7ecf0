package state

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"sessionizer/session"
)

// Pebble is written behind the owner's back. What is not there yet must come from memory, and
// memory has its limits.

func TestWriteBehind(t *testing.T) {
	t.Run("OwnersAndTheWriterDoNotDisturbEachOther", func(t *testing.T) {
		o := testOptions(vfs.NewMem())
		o.Cache = 256 << 10
		s := openStore(t, o)
		s.limits.behindCommits = 3
		var owners sync.WaitGroup
		for id := range int32(4) {
			owners.Add(1)
			go func() {
				defer owners.Done()
				ownPartition(t, s, id)
			}()
		}
		owners.Wait()
		closeStore(t, s)
	})
	t.Run("CommitWaitsWhenPebbleIsTooFarBehind", func(t *testing.T) {
		s := openStore(t, testOptions(vfs.NewMem()))
		s.limits.behindCommits = 2
		p := openPart(t, s)
		for n := range 200 {
			put(p, fmt.Sprint("key", n), 1, "row")
			testCommit(t, p)
			s.mu.Lock()
			behind := len(s.queue)
			s.mu.Unlock()
			if behind > 2 {
				t.Fatalf("%d commits are behind", behind)
			}
		}
		closeStore(t, s)
	})
	t.Run("AQuietStoreIsFlushedByTheClockOfItsPositions", func(t *testing.T) {
		s := openStore(t, testOptions(vfs.NewMem()))
		defer closeStore(t, s)
		p := openPart(t, s)
		flushes := func() int64 {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.flushes
		}
		commitAt := func(clock session.Time) {
			put(p, "ana", 1, fmt.Sprint(clock))
			pos, _ := p.Position()
			pos.Seq++
			pos.WrittenAt = clock
			pos.Digest = p.Digest()
			if err := errors.Join(p.Commit(pos), s.awaitApplied(p)); err != nil {
				t.Fatal(err)
			}
		}
		commitAt(1000)
		commitAt(1000 + flushAfterMs)
		if n := flushes(); n != 0 {
			t.Fatalf("%d flushes before the time", n)
		}
		commitAt(1001 + flushAfterMs)
		within(t, "the flush", func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			for s.flushes == 0 {
				s.cond.Wait()
			}
		})
	})
}

// Pebble is given the keys in its order, whatever they have in common, and of each key the newest.
func TestGather(t *testing.T) {
	s := openStore(t, testOptions(vfs.NewMem()))
	defer closeStore(t, s)
	p := openPart(t, s)
	r := testRand(t, 7)
	var from []overlay
	for range 3 {
		o := overlay{changes: make([]change, 0, 500)}
		for range 500 {
			key := fmt.Sprint("keykeykeykey", r.IntN(700))[r.IntN(13):]
			key += strings.Repeat("\x00", r.IntN(3))
			stored := appendStoreKey(nil, p.prefix, []byte(key), kindRow)
			at := o.arena.alloc(len(stored), s.chunk)
			copy(o.arena.bytesOf(at, len(stored)), stored)
			o.changes = append(o.changes, change{key: at, keyLen: uint32(len(stored))})
		}
		from = append(from, o)
	}
	changes := gather(from, len(p.prefix))
	if len(changes) != 3*500 {
		t.Fatalf("%d changes of %d", len(changes), 3*500)
	}
	keyOf := func(w written) string {
		return string(from[w.job].storeKey(&from[w.job].changes[w.change]))
	}
	for i, w := range changes[1:] {
		last := changes[i]
		if keyOf(last) > keyOf(w) || keyOf(last) == keyOf(w) && last.job < w.job {
			t.Fatalf("%q of job %d comes before %q of job %d",
				keyOf(last), last.job, keyOf(w), w.job)
		}
	}
}

// ownPartition works on one partition, with a cache far too small, and checks every row.
func ownPartition(t *testing.T, s *Store, id int32) {
	p, err := s.Partition("events", id)
	if err != nil {
		t.Error(err)
		return
	}
	r := rand.New(rand.NewPCG(uint64(id), 2))
	model := map[string]string{}
	for n := range 300 {
		for range 20 {
			key := fmt.Sprint("key", r.IntN(2000))
			row, _, err := p.Get([]byte(key))
			if err != nil || string(row) != model[key] {
				t.Errorf("row of %s is %q, want %q (%v)", key, row, model[key], err)
				return
			}
			next := testRow(session.NoTime, strings.Repeat(fmt.Sprint(n), 20))
			p.Put([]byte(key), next, session.NoTime)
			model[key] = string(next)
		}
		pos, _ := p.Position()
		pos.Seq++
		pos.Digest = p.Digest()
		if err := p.Commit(pos); err != nil {
			t.Error(err)
			return
		}
	}
	if err := p.Flush(); err != nil {
		t.Error(err)
	}
}

func TestCacheBudget(t *testing.T) {
	const budget = 4 << 20
	fill := func(t *testing.T, p *Partition, due session.Time) {
		for n := range 100 {
			for i := range 500 {
				key := fmt.Sprint("key", n, "/", i)
				p.Put([]byte(key), testRow(due, strings.Repeat("x", 100)), due)
			}
			testCommit(t, p)
			if err := p.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		p.Abort() // evicts what the flush allows
	}
	o := testOptions(vfs.NewMem())
	o.Cache = budget
	t.Run("RowsWithoutATimerMakeRoom", func(t *testing.T) {
		s := openStore(t, o)
		defer closeStore(t, s)
		p := openPart(t, s)
		fill(t, p, session.NoTime)
		if used := p.cache.usedBytes(); used > budget {
			t.Fatalf("%d bytes are used of %d", used, budget)
		}
		wantRow(t, p, "key0/0", strings.Repeat("x", 100))
		wantRow(t, p, "key99/499", strings.Repeat("x", 100))
	})
	t.Run("RowsWithATimerStay", func(t *testing.T) {
		s, err := Open("other", o)
		if err != nil {
			t.Fatal(err)
		}
		defer closeStore(t, s)
		p := openPart(t, s)
		fill(t, p, 10)
		if p.cache.inUse != 100*500 {
			t.Fatalf("%d of %d keys are in memory", p.cache.inUse, 100*500)
		}
		if got := p.Due(11, 1<<20, nil); len(got) != 100*500 {
			t.Fatalf("%d keys are due", len(got))
		}
	})
}

func TestHotPathAllocatesNothing(t *testing.T) {
	s := openStore(t, testOptions(vfs.NewMem()))
	defer closeStore(t, s)
	p := openPart(t, s)
	key := []byte("0123456789abcdef0")
	row := testRow(1<<40, strings.Repeat("x", 100))
	p.Put(key, row, 1<<40)
	testCommit(t, p)
	due := session.Time(1 << 40)
	if n := testing.AllocsPerRun(1000, func() {
		if got, _, err := p.Get(key); err != nil || len(got) != len(row) {
			t.Fatal(len(got), err)
		}
		due++
		p.Put(key, row, due)
	}); n != 0 {
		t.Fatalf("%v allocations for Get and Put of a live key", n)
	}
}
