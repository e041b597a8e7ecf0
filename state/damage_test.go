package state

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"sessionizer/internal/proof"
	"sessionizer/session"
)

// Disks lie. A damaged file has to be noticed or not to matter; Pebble itself opens a MANIFEST
// with a broken tail without an error, and the keys behind it are gone.

// damageStore is a store on which flushes and compactions have left several files.
func damageStore(t *testing.T) (fs *vfs.MemFS, commits map[int64]rows) {
	fs = vfs.NewCrashableMem()
	s := openStore(t, testOptions(fs))
	p := openPart(t, s)
	r := rand.New(rand.NewPCG(5, 0))
	now := rows{}
	commits = map[int64]rows{}
	for range 12 {
		for range 40 {
			key := fmt.Sprint("key", r.IntN(damageKeys))
			row := testRow(session.Time(r.IntN(9)), fmt.Sprint(r.Uint64(), r.Uint64()))
			p.Put([]byte(key), row, session.Time(0))
			now[string(rune(kindRow))+key] = string(row)
		}
		pos := testCommit(t, p)
		commits[pos.Seq] = make(rows)
		for k, v := range now {
			commits[pos.Seq][k] = v
		}
		if err := p.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	closeStore(t, s)
	return fs, commits
}

const damageKeys = 200

// wantDamageNoticed opens what is left: an error has to be ErrDamaged, and without one the
// content has to be that of a commit, or there is no position.
func wantDamageNoticed(t *testing.T, fs vfs.FS, commits map[int64]rows) (noticed bool) {
	t.Helper()
	s, err := Open(testDir, testOptions(fs))
	if err != nil {
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("open: %v", err)
		}
		return true
	}
	defer s.Close()
	p, err := s.Partition("events", 3)
	if err != nil {
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("partition: %v", err)
		}
		return true
	}
	pos, ok := p.Position()
	if !ok {
		return true
	}
	// A bloom filter's block is not read before a key is looked up that is not in memory.
	for i := range damageKeys {
		key := fmt.Sprint("key", i)
		row, _, err := p.Get([]byte(key))
		if err != nil {
			if !errors.Is(err, ErrDamaged) || !errors.Is(s.Err(), ErrDamaged) {
				t.Fatalf("get: %v", err)
			}
			return true
		}
		if want := commits[pos.Seq][string(rune(kindRow))+key]; string(row) != want {
			t.Fatalf("row of %s is %q at seq %d, want %q", key, row, pos.Seq, want)
		}
	}
	if want := digestOf(commits[pos.Seq]); p.Digest() != want {
		t.Fatalf("digest is %s, want %s", p.Digest(), want)
	}
	return false
}

func damageFiles(t *testing.T, fs vfs.FS) (names []string) {
	all, err := fs.List(testDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		if name != lockName {
			names = append(names, name)
		}
	}
	return names
}

// rewrite changes a file's bytes in place.
func rewrite(t *testing.T, fs *vfs.MemFS, name string, change func([]byte) []byte) {
	full := path.Join(testDir, name)
	data, err := fs.UnsafeGetFileDataBuffer(full)
	if err != nil {
		t.Fatal(err)
	}
	changed := change(append([]byte(nil), data...))
	f, err := fs.Create(full, diskCategory)
	if err == nil {
		_, err = f.Write(changed)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestDamage(t *testing.T) {
	fs, commits := damageStore(t)
	clone := func() *vfs.MemFS {
		return fs.CrashClone(vfs.CrashCloneCfg{
			UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 0)),
		})
	}
	if wantDamageNoticed(t, clone(), commits) {
		t.Fatal("the store is damaged from the start")
	}
	const damagesMin = 1_000
	noticed, damages := map[string]int{}, 0
	note := func(what string, yes bool) {
		damages++
		if yes {
			noticed[what]++
		}
	}
	t.Run("AMissingFileIsNoticed", func(t *testing.T) {
		for _, name := range damageFiles(t, fs) {
			c := clone()
			if err := c.Remove(path.Join(testDir, name)); err != nil {
				t.Fatal(err)
			}
			note("missing", wantDamageNoticed(t, c, commits))
		}
	})
	t.Run("AFlippedBitIsNoticed", func(t *testing.T) {
		r := testRand(t, 8)
		for _, name := range damageFiles(t, fs) {
			kind := "bit in " + strings.Trim(strings.SplitN(name, "-", 2)[0], "0123456789.")
			for range 110 {
				c := clone()
				rewrite(t, c, name, func(b []byte) []byte {
					if len(b) > 0 {
						b[r.IntN(len(b))] ^= 1 << r.IntN(8)
					}
					return b
				})
				note(kind, wantDamageNoticed(t, c, commits))
			}
		}
	})
	t.Run("ATruncatedFileIsNoticed", func(t *testing.T) {
		r := testRand(t, 9)
		for _, name := range damageFiles(t, fs) {
			for range 70 {
				c := clone()
				rewrite(t, c, name, func(b []byte) []byte { return b[:r.IntN(len(b)+1)] })
				note("truncated", wantDamageNoticed(t, c, commits))
			}
		}
	})
	t.Log(damages, noticed)
	if damages < damagesMin {
		t.Errorf("%d stores were damaged, want at least %d", damages, damagesMin)
	}
	record := proof.Record{
		Name: "Damaged stores", Order: 3, Counts: map[string]int64{"stores damaged": int64(damages)},
		What: "A file of a store is removed or cut, or a bit of it flipped. What opens without an error " +
			"has exactly the rows of its position; anything else is called damaged, by name.",
	}
	for what, n := range noticed {
		record.Counts["noticed: "+what] = int64(n)
	}
	if t.Failed() {
		record.Violations = 1
	}
	if err := record.Write(); err != nil {
		t.Error(err)
	}
	if noticed["missing"] == 0 || noticed["truncated"] == 0 || noticed["bit in MANIFEST"] == 0 ||
		noticed["bit in sst"] == 0 {
		t.Errorf("some damage was never noticed: %v", noticed)
	}
}

func TestDamageIsHealed(t *testing.T) {
	t.Run("ADamageMetWhileRunningIsReportedByTheNextOpen", func(t *testing.T) {
		fs := vfs.NewMem()
		s := openStore(t, testOptions(fs))
		s.fault(fmt.Errorf("%w: in this test", ErrDamaged))
		if err := s.Err(); !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(testDir, testOptions(fs)); !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
		if err := Wipe(testDir, testOptions(fs)); err != nil {
			t.Fatal(err)
		}
		closeStore(t, openStore(t, testOptions(fs)))
	})
	t.Run("RowsThatAreNotThoseOfThePositionAreReportedAndDropped", func(t *testing.T) {
		s := openStore(t, testOptions(vfs.NewMem()))
		defer closeStore(t, s)
		p := openPart(t, s)
		put(p, "ana", 10, "one")
		testCommit(t, p)
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		key := appendStoreKey(nil, p.prefix, []byte("ana"), kindRow)
		if err := setOrDeleteNow(s, key, testRow(10, "two")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Partition("events", 3); !errors.Is(err, ErrDamaged) || s.Err() != nil {
			t.Fatal(err, s.Err())
		}
		if err := s.Drop("events", 3); err != nil {
			t.Fatal(err)
		}
		if _, ok := openPart(t, s).Position(); ok {
			t.Fatal("there is a position after a drop")
		}
	})
}
