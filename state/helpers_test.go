package state

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"sessionizer/session"
)

const testDir = "state"

// Rows of these tests begin with their due time, 8 bytes big endian.
func testDue(row []byte) (session.Time, error) {
	if len(row) < 8 {
		return 0, fmt.Errorf("a test row of %d bytes", len(row))
	}
	return session.Time(binary.BigEndian.Uint64(row)), nil
}

func testRow(due session.Time, text string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(due)), text...)
}

func testOptions(fs vfs.FS) Options { return Options{FS: fs, Due: testDue} }

func openStore(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(testDir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openPart(t testing.TB, s *Store) *Partition {
	t.Helper()
	p, err := s.Partition("events", 3)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// testCommit commits the open transaction at the next position.
func testCommit(t testing.TB, p *Partition) Position {
	t.Helper()
	pos, _ := p.Position()
	pos.Seq++
	pos.Offset += 10
	pos.Digest = p.Digest()
	if err := p.Commit(pos); err != nil {
		t.Fatal(err)
	}
	return pos
}

func put(p *Partition, key string, due session.Time, text string) {
	p.Put([]byte(key), testRow(due, text), due)
}

// wantRow checks the text of a row; empty: there is none.
func wantRow(t testing.TB, p *Partition, key, text string) {
	t.Helper()
	row, _, err := p.Get([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	if text == "" && row != nil || text != "" && (len(row) < 8 || string(row[8:]) != text) {
		t.Fatalf("row of %s is %q, want %q", key, row, text)
	}
}

func wantHistory(t testing.TB, p *Partition, key, text string) {
	t.Helper()
	_, history, err := p.Get([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	if string(history) != text || (history == nil) != (text == "") {
		t.Fatalf("history of %s is %q, want %q", key, history, text)
	}
}

func wantDue(t testing.TB, p *Partition, tick session.Time, limit int, want ...string) {
	t.Helper()
	var got []string
	for _, key := range p.Due(tick, limit, nil) {
		got = append(got, string(key))
	}
	if !slices.Equal(got, want) {
		t.Fatalf("due before %d: %q, want %q", tick, got, want)
	}
}

// rows is what a partition holds: changelog key to value.
type rows map[string]string

// wantRows reads every key of two sets and compares them with the second.
func wantRows(t testing.TB, p *Partition, universe []string, want rows) {
	t.Helper()
	for _, key := range universe {
		row, history, err := p.Get([]byte(key))
		if err != nil {
			t.Fatal(err)
		}
		for kind, got := range map[byte][]byte{kindRow: row, kindHistory: history} {
			w, there := want[string(rune(kind))+key]
			if string(got) != w || (got != nil) != there {
				t.Fatalf("row %d of %q is %q, want %q (%v)", kind, key, got, w, there)
			}
		}
	}
	if d := digestOf(want); p.Digest() != d {
		t.Fatalf("digest is %s, want %s", p.Digest(), d)
	}
}

func digestOf(r rows) (d Digest) {
	for key, value := range r {
		d.add(rowHash(keyHash([]byte(key[1:])), key[0], []byte(value)))
	}
	return d
}

// testRand prints the seed of a random test when it fails.
func testRand(t testing.TB, seed uint64) *rand.Rand {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}
