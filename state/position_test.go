package state

import (
	"bytes"
	"strings"
	"testing"

	"sessionizer/session"
)

// A position decides from where a partition goes on; one that is read wrongly doubles or loses
// events.

var testPosition = Position{
	Seq: 7, Offset: 1 << 40, Partitions: 64, ChangelogEnd: 99, WrittenAt: 1_700_000_000_000,
	Watermarks: session.Watermarks{Event: -5, Tick: session.NoTime},
	InputID:    [16]byte{1, 15: 2}, ChangelogID: [16]byte{3, 15: 4},
	Digest: Digest{Rows: 300, Sum: 1 << 63},
}

func TestPosition(t *testing.T) {
	t.Run("ComesBackAsItWas", func(t *testing.T) {
		for _, want := range []Position{{}, testPosition} {
			got, err := DecodeMeta(AppendMeta(nil, want))
			if err != nil || got != want {
				t.Fatalf("got %+v, %v; want %+v", got, err, want)
			}
			got, err = decodeStored(encodeStored("events", 3, want), "events", 3)
			if err != nil || got != want {
				t.Fatalf("stored: got %+v, %v; want %+v", got, err, want)
			}
		}
	})
	t.Run("OfAnUnknownVersionIsRefusedByName", func(t *testing.T) {
		value := AppendMeta(nil, testPosition)
		value[0] = 9
		_, err := DecodeMeta(value)
		if err == nil || !strings.Contains(err.Error(), "unknown version 9") {
			t.Fatal(err)
		}
	})
	t.Run("CutOffAnywhereIsRefused", func(t *testing.T) {
		value := AppendMeta(nil, testPosition)
		for n := range value {
			if _, err := DecodeMeta(value[:n]); err == nil {
				t.Fatalf("%d of %d bytes were taken", n, len(value))
			}
		}
		if _, err := DecodeMeta(append(value, 0)); err == nil {
			t.Fatal("a byte too many was taken")
		}
	})
	t.Run("OfAnotherPartitionIsRefused", func(t *testing.T) {
		value := encodeStored("events", 3, testPosition)
		if _, err := decodeStored(value, "events", 4); err == nil {
			t.Fatal("the partition was not looked at")
		}
		if _, err := decodeStored(value, "clicks", 3); err == nil {
			t.Fatal("the topic was not looked at")
		}
	})
}

func FuzzDecodeMeta(f *testing.F) {
	f.Add(AppendMeta(nil, testPosition))
	f.Add(encodeStored("events", 3, testPosition))
	f.Fuzz(func(t *testing.T, value []byte) {
		if p, err := DecodeMeta(value); err == nil {
			again, err := DecodeMeta(AppendMeta(nil, p))
			if err != nil || again != p {
				t.Fatalf("%+v came back as %+v, %v", p, again, err)
			}
		}
		_, _ = decodeStored(value, "events", 3)
		_, _, _ = SplitChangelogKey(value)
		if n := splitKind(value); n > len(value) || n != splitKind(value[:n]) {
			t.Fatalf("split %x at %d", value, n)
		}
		if key, kind, err := splitStoreKey(value, 0); err == nil {
			if n := len(value) - len(key) - 1; value[len(value)-1] != kind || n < 1 {
				t.Fatalf("%x was split into %x and %d", value, key, kind)
			}
		}
	})
}

func TestStoreKeys(t *testing.T) {
	t.Run("OfOneKeyAreNeighbours", func(t *testing.T) {
		r := testRand(t, 1)
		c := newComparer()
		prefix := appendPrefix(nil, 300, 70000)
		randomKey := func() []byte {
			key := make([]byte, 1+r.IntN(4))
			for i := range key {
				key[i] = byte(r.IntN(3))
			}
			return key
		}
		start, end := prefixBounds(prefix)
		for range 10_000 {
			a, b := randomKey(), randomKey()
			a1, a2 := appendStoreKey(nil, prefix, a, 1), appendStoreKey(nil, prefix, a, 2)
			b1 := appendStoreKey(nil, prefix, b, 1)
			if c.Split(a1) != len(a1)-1 || c.Split(a1[:len(a1)-1]) != len(a1)-1 {
				t.Fatalf("%x is split at %d", a1, c.Split(a1))
			}
			if !bytes.Equal(a, b) && (c.Compare(a1, b1) != c.Compare(a2, b1)) {
				t.Fatalf("%x is between the rows of %x", b, a)
			}
			if c.Compare(start, a1) >= 0 || c.Compare(a1, end) >= 0 {
				t.Fatalf("%x is out of bounds", a1)
			}
			key, kind, err := splitStoreKey(a2, len(prefix))
			if err != nil || !bytes.Equal(key, a) || kind != 2 {
				t.Fatalf("%x came back as %x, %d, %v", a, key, kind, err)
			}
		}
	})
}
