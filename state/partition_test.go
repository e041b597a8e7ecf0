package state

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"sessionizer/session"
)

// The task relies on this: what is not committed to Kafka leaves no trace, what is outlives
// everything but the disk.

func TestPartition(t *testing.T) {
	t.Run("GetSeesTheOverlayThenTheConfirmedRows", func(t *testing.T) {
		p := startPart(t, Options{})
		wantRow(t, p, "ana", "")
		put(p, "ana", 10, "one")
		wantRow(t, p, "ana", "one")
		p.PutHistory([]byte("ana"), []byte("past"))
		testCommit(t, p)
		put(p, "ana", 11, "a longer row, which does not fit where the first one was")
		wantRow(t, p, "ana", "a longer row, which does not fit where the first one was")
		wantHistory(t, p, "ana", "past")
		p.Abort()
		wantRow(t, p, "ana", "one")
		wantHistory(t, p, "ana", "past")
	})
	t.Run("AbortLeavesNoTrace", func(t *testing.T) {
		p := startPart(t, Options{})
		put(p, "ana", 10, "one")
		put(p, "ben", 20, "two")
		before := testCommit(t, p)
		put(p, "ana", session.NoTime, "changed")
		p.Put([]byte("ben"), nil, session.NoTime)
		p.PutHistory([]byte("ben"), []byte("past"))
		put(p, "cem", 5, "new")
		wantDue(t, p, 100, 1, "cem")
		p.Abort()
		wantRow(t, p, "ana", "one")
		wantRow(t, p, "ben", "two")
		wantHistory(t, p, "ben", "")
		wantRow(t, p, "cem", "")
		if rows, bytes := p.Dirty(); rows != 0 || bytes != 0 || p.Digest() != before.Digest {
			t.Fatalf("%d dirty rows, %d bytes, digest %s", rows, bytes, p.Digest())
		}
		wantDue(t, p, 100, 9, "ana", "ben")
	})
	t.Run("ChangesAreTheDirtyRows", func(t *testing.T) {
		p := startPart(t, Options{})
		put(p, "ana", 10, "one")
		testCommit(t, p)
		put(p, "ben", 10, "two")
		put(p, "ben", 11, "three")
		p.PutHistory([]byte("ben"), []byte("past"))
		p.Put([]byte("ana"), nil, 10)
		var got []string
		size := 0
		for key, value := range p.Changes {
			got = append(got, fmt.Sprintf("%x=%x/%v", key, value, value == nil))
			size += len(key) + len(value)
		}
		want := fmt.Sprintf("[01%x=%x/false 02%x=%x/false 01%x=/true]",
			"ben", testRow(11, "three"), "ben", "past", "ana")
		if fmt.Sprint(got) != want {
			t.Fatalf("got %v, want %s", got, want)
		}
		if rows, bytes := p.Dirty(); rows != 3 || bytes != size {
			t.Fatalf("%d rows, %d bytes; want 3, %d", rows, bytes, size)
		}
		wantRow(t, p, "ana", "")
	})
	t.Run("ADeletedRowStaysDeleted", func(t *testing.T) {
		p := startPart(t, Options{Cache: 1})
		put(p, "ana", session.NoTime, "one")
		testCommit(t, p)
		p.Put([]byte("ana"), nil, session.NoTime)
		testCommit(t, p)
		if err := p.Flush(); err != nil {
			t.Fatal(err)
		}
		for i := range 100 { // each pushes others out of a cache of one byte
			wantRow(t, p, fmt.Sprint("other", i), "")
		}
		wantRow(t, p, "ana", "")
		if p.Digest() != (Digest{}) {
			t.Fatal(p.Digest())
		}
	})
}

func TestPartitionIsGuarded(t *testing.T) {
	t.Run("CommitPanicsOnAPositionThatDoesNotFollow", func(t *testing.T) {
		p := startPart(t, Options{})
		put(p, "ana", 10, "one")
		pos := testCommit(t, p)
		for name, wrong := range map[string]func(*Position){
			"digest":    func(q *Position) { q.Digest.Sum++ },
			"seq":       func(q *Position) { q.Seq-- },
			"offset":    func(q *Position) { q.Offset-- },
			"watermark": func(q *Position) { q.Watermarks.Tick-- },
		} {
			next := pos
			next.Seq++
			wrong(&next)
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: it was taken", name)
					}
				}()
				_ = p.Commit(next)
			}()
		}
	})
	t.Run("IsOpenOnce", func(t *testing.T) {
		p := startPart(t, Options{})
		if _, err := p.store.Partition("events", 3); err == nil {
			t.Fatal("it was opened a second time")
		}
		if err := p.store.Drop("events", 3); err == nil {
			t.Fatal("it was dropped while open")
		}
	})
	t.Run("OtherPartitionsAndTopicsAreOtherRows", func(t *testing.T) {
		p := startPart(t, Options{})
		put(p, "ana", 10, "three")
		pos := testCommit(t, p)
		for _, other := range []struct {
			topic string
			id    int32
		}{{"events", 4}, {"clicks", 3}} {
			q, err := p.store.Partition(other.topic, other.id)
			if err != nil {
				t.Fatal(err)
			}
			wantRow(t, q, "ana", "")
			put(q, "ana", 10, other.topic)
			testCommit(t, q)
			if err := q.Close(); err != nil {
				t.Fatal(err)
			}
			if err := p.store.Drop(other.topic, other.id); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		p = openPart(t, p.store)
		wantRow(t, p, "ana", "three")
		if got, ok := p.Position(); !ok || got != pos {
			t.Fatalf("position is %+v, want %+v", got, pos)
		}
	})
}

func TestStore(t *testing.T) {
	t.Run("ASecondOpenOfTheDirectoryIsLocked", func(t *testing.T) {
		for name, fs := range map[string]vfs.FS{"memory": vfs.NewMem(), "disk": nil} {
			dir := t.TempDir()
			s, err := Open(dir, Options{FS: fs})
			if err != nil {
				t.Fatal(name, err)
			}
			_, err = Open(dir, Options{FS: fs})
			if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
				t.Fatalf("%s: %v", name, err)
			}
			if err := Wipe(dir, Options{FS: fs}); !errors.Is(err, ErrLocked) {
				t.Fatalf("%s: wipe: %v", name, err)
			}
			closeStore(t, s)
			if s, err = Open(dir, Options{FS: fs}); err != nil {
				t.Fatal(name, err)
			}
			closeStore(t, s)
		}
	})
	t.Run("ADirectoryThatCannotBeMadeIsNotLockedNorDamaged", func(t *testing.T) {
		_, err := Open("/dev/null/state", Options{})
		if err == nil || errors.Is(err, ErrLocked) || errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
	})
	t.Run("KeepsWhatIsConfirmed", func(t *testing.T) {
		fs := vfs.NewMem()
		s := openStore(t, testOptions(fs))
		p := openPart(t, s)
		put(p, "ana", 10, "one")
		put(p, "ben", session.NoTime, "two")
		p.PutHistory([]byte("ana"), []byte("past"))
		pos := testCommit(t, p)
		put(p, "ana", 10, "not committed")
		closeStore(t, s)

		s = openStore(t, testOptions(fs))
		defer closeStore(t, s)
		p = openPart(t, s)
		if got, ok := p.Position(); !ok || got != pos {
			t.Fatalf("position is %+v, want %+v", got, pos)
		}
		wantRow(t, p, "ana", "one")
		wantHistory(t, p, "ana", "past")
		wantRow(t, p, "ben", "two")
		wantDue(t, p, 11, 9, "ana")
	})
	t.Run("DropForgetsDurably", func(t *testing.T) {
		fs := vfs.NewCrashableMem()
		s := openStore(t, testOptions(fs))
		p := openPart(t, s)
		put(p, "ana", 10, "one")
		testCommit(t, p)
		if err := errors.Join(p.Flush(), p.Close(), s.Drop("events", 3)); err != nil {
			t.Fatal(err)
		}
		crashed := fs.CrashClone(vfs.CrashCloneCfg{})
		closeStore(t, s)
		s = openStore(t, testOptions(crashed))
		defer closeStore(t, s)
		p = openPart(t, s)
		if pos, ok := p.Position(); ok {
			t.Fatalf("position is %+v", pos)
		}
		wantRow(t, p, "ana", "")
	})
	t.Run("ALaterLayoutIsRefusedByName", func(t *testing.T) {
		fs := vfs.NewMem()
		s := openStore(t, testOptions(fs))
		if err := s.db.Set([]byte{spaceLayout}, []byte{9}, nil); err == nil {
			t.Fatal("there is a write-ahead log")
		}
		if err := setOrDeleteNow(s, []byte{spaceLayout}, []byte{9}); err != nil {
			t.Fatal(err)
		}
		closeStore(t, s)
		_, err := Open(testDir, testOptions(fs))
		if err == nil || errors.Is(err, ErrDamaged) ||
			!strings.Contains(err.Error(), "layout version 9") {
			t.Fatal(err)
		}
	})
}

func setOrDeleteNow(s *Store, key, value []byte) error {
	b := s.db.NewBatch()
	return errors.Join(setOrDelete(b, key, value), s.db.Apply(b, pebble.NoSync), b.Close())
}

func TestDue(t *testing.T) {
	t.Run("ReturnsTheEarliestFirstAndOnlyWhatIsBeforeTheTick", func(t *testing.T) {
		p := startPart(t, Options{})
		put(p, "ana", 30, "")
		put(p, "ben", 10, "")
		put(p, "cem", 20, "")
		wantDue(t, p, 10, 9)
		wantDue(t, p, 21, 1, "ben")
		wantDue(t, p, 21, 9, "cem")
		wantDue(t, p, 21, 9)
		wantDue(t, p, session.NoTime, 9)
	})
	t.Run("ALaterDueMovesNoEntry", func(t *testing.T) {
		p := startPart(t, Options{})
		for due := range session.Time(1000) {
			put(p, "ana", 10+due, "")
		}
		if n := len(p.timers.heap); n != 1 {
			t.Fatalf("%d entries for one key", n)
		}
		wantDue(t, p, 1009, 9)
		wantDue(t, p, 1010, 9, "ana")
	})
	t.Run("AnEarlierDueCounts", func(t *testing.T) {
		p := startPart(t, Options{})
		put(p, "ana", 100, "")
		put(p, "ana", 50, "")
		wantDue(t, p, 51, 9, "ana")
		put(p, "ana", 200, "")
		wantDue(t, p, 200, 9)
		wantDue(t, p, 201, 9, "ana")
		wantDue(t, p, 1000, 9)
	})
	t.Run("NextDueIsNeverAfterATimer", func(t *testing.T) {
		p := startPart(t, Options{})
		if due := p.NextDue(); due != session.NoTime {
			t.Fatalf("next due is %d without a timer", due)
		}
		put(p, "ana", 30, "")
		put(p, "ben", 20, "")
		if due := p.NextDue(); due != 20 {
			t.Fatalf("next due is %d, want 20", due)
		}
	})
	t.Run("AKeyThatIsTakenAndNotPutComesAgainInTheNextTransaction", func(t *testing.T) {
		p := startPart(t, Options{})
		put(p, "ana", 10, "")
		put(p, "ben", 20, "")
		testCommit(t, p)
		wantDue(t, p, 100, 1, "ana")
		wantDue(t, p, 100, 1, "ben")
		p.Abort()
		wantDue(t, p, 100, 9, "ana", "ben")
		put(p, "ben", session.NoTime, "ended")
		testCommit(t, p)
		wantDue(t, p, 100, 9, "ana")
	})
}
