package session

// A state key must lead back to what it was made of, and two keys must never be one. The uuid of a
// session is a promise to everyone who stored one.

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
)

const anonymousUUID = "9f3c2c2a-1d4b-4b7c-9c2a-8a3f6d3c0e91"

func TestKey(t *testing.T) {
	seen := map[string]string{}
	for _, c := range []struct {
		source, id string
		length     int
	}{
		{"", anonymousUUID, 17},
		{"", strings.ToUpper(anonymousUUID), 2 + 36},
		{"", anonymousUUID[:35], 2 + 35},
		{"", anonymousUUID + "0", 2 + 37},
		{"", strings.ReplaceAll(anonymousUUID, "-", ""), 2 + 32},
		{"", strings.Replace(anonymousUUID, "9f3c2c2a-", "9f3c2c2-a", 1), 2 + 36},
		{"", strings.Replace(anonymousUUID, "f", "g", 1), 2 + 36},
		{"", "a", 3},
		{"", "ab", 4},
		{"a", "b", 4},
		{"ab", "", 4},
		{"a", anonymousUUID, 3 + 36},
		{strings.Repeat("s", 200), "x", 1 + 2 + 200 + 1},
		{"", "\x00\xff", 4},
	} {
		key := AppendKey(nil, []byte(c.source), []byte(c.id))
		if len(key) != c.length {
			t.Errorf("(%s, %s): %d bytes, want %d", c.source, c.id, len(key), c.length)
		}
		source, id, err := SplitKey(key, make([]byte, 0, 36))
		if err != nil || string(source) != c.source || string(id) != c.id {
			t.Errorf("(%s, %s): split into (%s, %s), %v", c.source, c.id, source, id, err)
		}
		if other, isSeen := seen[string(key)]; isSeen {
			t.Errorf("(%s, %s) and %s have one key", c.source, c.id, other)
		}
		seen[string(key)] = c.source + ", " + c.id
	}
	for _, key := range [][]byte{nil, {}, {0}, {keyUUID}, {keyUUID, 1}, {keyText}, {keyText, 1},
		{keyText, 0xff}, {3, 0}} {
		if _, _, err := SplitKey(key, nil); err == nil {
			t.Errorf("%x is a key", key)
		}
	}
}

func FuzzKey(f *testing.F) {
	f.Add([]byte(""), []byte(anonymousUUID), []byte{keyText, 1, 'a', 'b'})
	f.Fuzz(func(t *testing.T, source, id, key []byte) {
		made := AppendKey([]byte("x"), source, id)[1:]
		gotSource, gotID, err := SplitKey(made, nil)
		if err != nil || !bytes.Equal(gotSource, source) || !bytes.Equal(gotID, id) {
			t.Fatalf("(%q, %q): split into (%q, %q), %v", source, id, gotSource, gotID, err)
		}
		if source, id, err := SplitKey(key, nil); err == nil && len(key) > 0 && key[0] == keyUUID {
			if again := AppendKey(nil, source, id); !bytes.Equal(again, key) {
				t.Fatalf("%x: again %x", key, again)
			}
		}
	})
}

func TestUUID(t *testing.T) {
	for _, c := range []struct {
		name, source, anonymousID string
		id                        ID
		idType                    IDType
		want                      string
	}{
		{"KrenalisVector", "", anonymousUUID, ID{Int: 1734260905123}, IDInt64,
			"0193ca01-50bb-7b17-acea-34706793f387"},
		{"KrenalisVectorOfAText", "", "anon-123456789", ID{Int: 1736972405123}, IDInt64,
			"01946b9f-859b-7cce-ab5c-f9e68680be6e"},
		{"AServerIDAmongUUIDs", "", "anon-123456789",
			ID{Int: 1736972405123, Text: []byte("01946b9f-859b-7cce-ab5c-f9e68680be6e")}, IDUUID,
			"01946b9f-859b-7cce-ab5c-f9e68680be6e"},
		{"AServerIDAmongStrings", "", "anon-123456789",
			ID{Int: 1736972405123, Text: []byte("1736972405123")}, IDString,
			"01946b9f-859b-7cce-ab5c-f9e68680be6e"},
		{"AClientsUUIDIsItsOwn", "", "anon", ID{Text: []byte(anonymousUUID)}, IDUUID, anonymousUUID},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := UUID([]byte(c.source), []byte(c.anonymousID), c.id, c.idType)
			if text := string(AppendUUID(nil, got)); text != c.want {
				t.Fatalf("got %s, want %s", text, c.want)
			}
		})
	}
	t.Run("TheVersionFollowsTheRange", func(t *testing.T) {
		for id, version := range map[int64]byte{
			1000: 7, 999: 8, -1: 8, 1<<48 + 999: 7, 1<<48 + 1000: 8, math.MaxInt64: 8, math.MinInt64: 8,
		} {
			got := UUID(nil, []byte("anon"), ID{Int: id}, IDInt64)
			if got[6]>>4 != version || got[8]>>6 != 2 {
				t.Errorf("%d: %x, want version %d", id, got, version)
			}
		}
	})
	t.Run("SourcesAndIDsAreToldApart", func(t *testing.T) {
		seen := map[[16]byte]string{}
		for _, c := range []struct {
			source, anonymousID string
			id                  ID
			idType              IDType
		}{
			{"", "anon", ID{Int: 2000}, IDInt64},
			{"s", "anon", ID{Int: 2000}, IDInt64},
			{"", "s\x01anon", ID{Int: 2000}, IDInt64},
			{"", "anon", ID{Int: 2001}, IDInt64},
			{"", "anon", ID{Text: []byte("2000")}, IDString},
			{"s", "anon", ID{Text: []byte("2000")}, IDString},
		} {
			uuid := UUID([]byte(c.source), []byte(c.anonymousID), c.id, c.idType)
			name := c.source + "/" + c.anonymousID + "/" + fmt.Sprint(c.id.Int, string(c.id.Text))
			if other, isSeen := seen[uuid]; isSeen {
				t.Errorf("%s and %s have one uuid", name, other)
			}
			seen[uuid] = name
		}
	})
	t.Run("LongIDsAreHashedToo", func(t *testing.T) {
		long := bytes.Repeat([]byte("a"), 5000)
		if UUID(nil, long, ID{Int: 2000}, IDInt64) == UUID(nil, long[1:], ID{Int: 2000}, IDInt64) {
			t.Fatal("the end of a long id does not count")
		}
	})
}

func TestUUIDTextHasTheDigitsOfEveryByte(t *testing.T) {
	for b := range 256 {
		var uuid [16]byte
		for i := range uuid {
			uuid[i] = byte(b + i*16)
		}
		want := fmt.Sprintf("x%x-%x-%x-%x-%x", uuid[:4], uuid[4:6], uuid[6:8], uuid[8:10], uuid[10:])
		if got := string(AppendUUID([]byte("x"), uuid)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
