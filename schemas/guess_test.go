package schemas

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// A reader guesses that the members of an event stand where they stood in the event before. The
// guess must never be seen in what it reads.

// shuffled changes an event in ways that guesses could miss: bytes of names, white space, order.
func shuffled(k *rand.Rand, value []byte) []byte {
	out := bytes.Clone(value)
	for range k.IntN(4) {
		at := k.IntN(len(out))
		switch k.IntN(5) {
		case 0:
			out[at] = `{}[]",: ab\1n`[k.IntN(13)]
		case 1:
			out = out[:at]
		case 2:
			if colon := bytes.IndexByte(out[at:], ':'); colon >= 0 {
				out = bytes.Join([][]byte{out[:at+colon], []byte(" : "), out[at+colon+1:]}, nil)
			}
		case 3: // a member once more
			if comma := bytes.IndexByte(out[at:], ','); comma >= 0 {
				from, to := at+comma, min(at+comma+40, len(out))
				out = bytes.Join([][]byte{out[:from], out[from:to], out[from:]}, nil)
			}
		case 4: // without some bytes
			out = append(out[:at], out[min(at+1+k.IntN(30), len(out)):]...)
		}
		if len(out) == 0 {
			break
		}
	}
	return out
}

func TestWhatWasReadBeforeMakesNoDifference(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	k := rand.New(rand.NewPCG(seed, 1))
	read, guessed := 0, 0
	for _, name := range Profiles() {
		c := codecOf(t, name)
		var used Scanned
		events := [][]byte{[]byte(fixedEvent)}
		for _, value := range benchEvents() {
			events = append(events, value)
		}
		for range 5_000 {
			value := events[k.IntN(len(events))]
			if k.IntN(3) > 0 {
				value = shuffled(k, value)
			}
			var fresh Scanned
			bad, other := c.Scan(value, benchRecord, &fresh), c.Scan(value, benchRecord, &used)
			if fmt.Sprint(bad) != fmt.Sprint(other) {
				t.Fatalf("%s: %v, a fresh reader says %v, of\n%s", name, other, bad, value)
			}
			if bad != nil {
				continue
			}
			read++
			want, got := eventText(&fresh), eventText(&used)
			if got != want || fresh.Notes != used.Notes {
				t.Fatalf("%s: %s\na fresh reader has %s\nof %s", name, got, want, value)
			}
			st := benchStamp()
			one := c.AppendStamped(nil, value, &fresh, &st)
			again := c.AppendStamped(nil, value, &used, &st)
			if !bytes.Equal(one, again) {
				t.Fatalf("%s: stamped\n%s\nby a fresh reader\n%s", name, again, one)
			}
		}
		for i := range used.reader.guesses {
			guessed += len(used.reader.guesses[i])
		}
	}
	if read == 0 || guessed == 0 {
		t.Fatalf("%d events were read, %d members guessed", read, guessed)
	}
}

const fixedEvent = `{"anonymousId":"a","type":"page","timestamp":"2026-01-01T00:00:00Z"}`
