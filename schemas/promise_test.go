package schemas

import (
	"bytes"
	"strings"
	"testing"

	"sessionizer/session"
)

// The hot path allocates nothing, and no input makes it slower than its size.

func TestScanAndSpliceAllocateNothing(t *testing.T) {
	st := benchStamp()
	ended := session.Ended{Session: session.Session{ID: st.ID}, AmendableUntil: st.StartedAt}
	for name, value := range benchEvents() {
		if n := len(value); n < 1100 || n > 1300 {
			t.Errorf("%s: the event has %d bytes, not about 1,200", name, n)
		}
		for _, v := range [][]byte{value, bytes.ReplaceAll(value, []byte(`:"`), []byte(`:"\u0020`))} {
			c := newCodec(t, Config{Profile: Profile{Name: name}, Fields: []string{"full"}})
			var sc Scanned
			var dst []byte
			n := testing.AllocsPerRun(1000, func() {
				if bad := c.Scan(v, benchRecord, &sc); bad != nil {
					t.Fatal(bad)
				}
				dst = c.AppendStamped(dst[:0], v, &sc, &st)
				dst = c.AppendEnded(dst, sc.Event.Source, sc.Event.AnonymousID, &ended, Origin{})
			})
			if n != 0 {
				t.Errorf("%s: %v allocations an event", name, n)
			}
		}
	}
}

// Work is counted in what a scan keeps, not in time: hostile repetition must stay within the size.
func TestHostileInputCostsNoMoreThanItsSize(t *testing.T) {
	c := codecOf(t, "krenalis")
	for _, part := range []string{`"context":{},`, `"context":{"session":{"id":1}},`, `"context":null,`,
		`"context":{"sessionId":1,"sessionId":2,"sessionStart":true},`, `"a":{"context":{"session":1}},`} {
		n := 50_000 / len(part)
		value := []byte(`{` + strings.Repeat(part, n) + `"anonymousId":"a"}`)
		var sc Scanned
		if bad := c.Scan(value, Record{Timestamp: recordTime}, &sc); bad != nil {
			t.Fatal(bad)
		}
		if got := len(sc.reader.edits); got > 4*n+2 {
			t.Errorf("%s: %d edits of %d members", part, got, n)
		}
		st := benchStamp()
		out := c.AppendStamped(nil, value, &sc, &st)
		if len(out) > len(value)+300 {
			t.Errorf("%s: %d bytes of %d", part, len(out), len(value))
		}
		contradictions(t, c, append(out[:len(out)-1], `,"x":1}`...), true)
	}
}
