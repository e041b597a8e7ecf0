package state

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"sessionizer/session"
)

// A restore is what stands between a lost disk and doubled sessions.

// startPart is an empty partition in a store of its own.
func startPart(t *testing.T, o Options) *Partition {
	o.FS, o.Due = vfs.NewMem(), testDue
	s := openStore(t, o)
	t.Cleanup(func() { closeStore(t, s) })
	return openPart(t, s)
}

func beginRestore(t *testing.T, p *Partition) *Restore {
	t.Helper()
	r, err := p.Restore()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func apply(t *testing.T, r *Restore, kind byte, key string, value []byte) {
	t.Helper()
	if err := r.Apply(append([]byte{kind}, key...), value); err != nil {
		t.Fatal(err)
	}
}

func TestRestore(t *testing.T) {
	t.Run("LaterRecordsWinAndTombstonesDelete", func(t *testing.T) {
		for name, run := range map[string]int{"InMemory": 1 << 20, "OverManyRuns": 1} {
			t.Run(name, func(t *testing.T) {
				p := startPart(t, Options{})
				p.store.limits.runBytes = run
				p.store.limits.tableBytes = 1
				r := beginRestore(t, p)
				apply(t, r, kindRow, "ana", testRow(10, "old"))
				apply(t, r, kindRow, "ben", testRow(20, "gone"))
				apply(t, r, kindHistory, "ana", []byte("past"))
				apply(t, r, kindMeta, "", AppendMeta(nil, Position{Seq: 1}))
				apply(t, r, kindRow, "ana", testRow(30, "new"))
				apply(t, r, kindRow, "ben", nil)
				apply(t, r, kindRow, "cem", nil)
				apply(t, r, kindRow, "cem", testRow(session.NoTime, "back"))
				want := rows{
					"\x01ana": string(testRow(30, "new")), "\x02ana": "past",
					"\x01cem": string(testRow(session.NoTime, "back")),
				}
				pos := Position{Seq: 2, Digest: digestOf(want)}
				if err := r.Finish(pos); err != nil {
					t.Fatal(err)
				}
				wantRows(t, p, []string{"ana", "ben", "cem"}, want)
				wantDue(t, p, 100, 9, "ana")
				testCommit(t, p)
				if names, err := p.store.fs.List(testDir + "/" + restoreName); err != nil ||
					len(names) != 0 {
					t.Fatalf("files are left: %v, %v", names, err)
				}
			})
		}
	})
	t.Run("OfNothingHasAPosition", func(t *testing.T) {
		p := startPart(t, Options{})
		pos := Position{Seq: 2, Offset: 5}
		if err := beginRestore(t, p).Finish(pos); err != nil {
			t.Fatal(err)
		}
		if got, ok := p.Position(); !ok || got != pos {
			t.Fatalf("position is %+v, %v", got, ok)
		}
	})
	t.Run("ATailLargerThanMemoryIsBoundedAndComplete", func(t *testing.T) {
		p := startPart(t, Options{})
		put(p, "ana", 10, "one")
		pos := testCommit(t, p)
		p.store.limits.tailBytes = 1000
		r := beginRestore(t, p)
		want := rows{"\x01ana": string(testRow(10, "one"))}
		var universe []string
		for n := range 200 {
			key := fmt.Sprint("key", n%150)
			row := testRow(session.Time(n), fmt.Sprint("row", n))
			apply(t, r, kindRow, key, row)
			want[string(rune(kindRow))+key] = string(row)
			universe = append(universe, key)
			if p.overlay.bytes > 1100 {
				t.Fatalf("the overlay has %d bytes", p.overlay.bytes)
			}
		}
		if !r.spilled {
			t.Fatal("nothing was written before the end")
		}
		pos.Seq, pos.Digest = 9, digestOf(want)
		if err := r.Finish(pos); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		p = openPart(t, p.store)
		if got, ok := p.Position(); !ok || got != pos {
			t.Fatalf("position is %+v, %v", got, ok)
		}
		wantRows(t, p, append(universe, "ana"), want)
	})
}

func TestRestoreChecks(t *testing.T) {
	t.Run("WithTheWrongDigestIsRefused", func(t *testing.T) {
		p := startPart(t, Options{})
		r := beginRestore(t, p)
		apply(t, r, kindRow, "ana", testRow(10, "one"))
		if err := r.Finish(Position{Seq: 1}); !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
		if _, ok := p.Position(); ok || p.store.Err() != nil {
			t.Fatalf("position: %v, fault: %v", ok, p.store.Err())
		}
		wantRow(t, p, "ana", "")

		put(p, "ana", 10, "one")
		before := testCommit(t, p)
		r = beginRestore(t, p)
		apply(t, r, kindRow, "ana", testRow(5, "two"))
		if err := r.Finish(Position{Seq: 2}); !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
		if got, ok := p.Position(); !ok || got != before {
			t.Fatalf("position is %+v, %v", got, ok)
		}
		wantRow(t, p, "ana", "one")
		wantDue(t, p, 10, 9)
		wantDue(t, p, 11, 9, "ana")
	})
	t.Run("ARecordOfAnUnknownKindIsRefused", func(t *testing.T) {
		p := startPart(t, Options{})
		for _, key := range []string{"", "\x01", "\x03ana", "ana"} {
			r := beginRestore(t, p)
			if err := r.Apply([]byte(key), []byte("row")); err == nil {
				t.Fatalf("%q was taken", key)
			}
			if err := r.Abort(); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("ThePartitionIsNotUsedMeanwhile", func(t *testing.T) {
		p := startPart(t, Options{})
		r := beginRestore(t, p)
		defer func() {
			if recover() == nil {
				t.Fatal("Put during a restore was taken")
			}
			if err := r.Abort(); err != nil {
				t.Fatal(err)
			}
		}()
		put(p, "ana", 10, "one")
	})
}
