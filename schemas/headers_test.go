package schemas

import (
	"fmt"
	"strings"
	"testing"

	"sessionizer/session"
)

// Consumers route by these headers without looking at the payload: one that is not ours must never
// be taken for ours.

func headersText(headers []Header) string {
	var b strings.Builder
	for _, h := range headers {
		fmt.Fprintf(&b, "%s=%s ", h.Key, h.Value)
	}
	return strings.TrimSpace(b.String())
}

func TestHeadersOfAStampedEvent(t *testing.T) {
	in := []Header{{"a", []byte("1")}, {HeaderSessionID, []byte("x")}, {"a", nil},
		{HeaderSessionStart, []byte("true")}, {HeaderSessionIndex, []byte("9")}, {"Session-Id", nil}}
	const kept = "a=1 a= Session-Id="
	for _, i := range []struct {
		name  string
		stamp session.Stamp
		want  string
	}{
		{"the start event", session.Stamp{ID: session.ID{Int: -1 << 63}, Start: true, Index: 1<<32 - 1},
			kept + " session-id=-9223372036854775808 session-start=true session-index=4294967295"},
		{"a further event", session.Stamp{ID: session.ID{Text: []byte("s\"1"), Int: 5}, Index: 2},
			kept + " session-id=s\"1 session-index=2"},
		{"no session", session.Stamp{Status: session.NoSession}, kept},
		{"too late", session.Stamp{Status: session.TooLate}, kept},
		{"unattached", session.Stamp{Status: session.Unattached}, kept},
		{"untouched", session.Stamp{Status: session.Bypass}, headersText(in)},
	} {
		t.Run(i.name, func(t *testing.T) {
			got := headersText(AppendHeaders([]Header{{"before", nil}}, in, &i.stamp))
			if want := "before= " + i.want; got != want {
				t.Errorf(" got %s\nwant %s", got, want)
			}
		})
	}
	type clientHeader struct {
		Key   string
		Value []byte
	}
	got := AppendHeaders([]clientHeader(nil), nil, &session.Stamp{ID: session.ID{Int: 7}, Index: 3})
	if fmt.Sprintf("%s", got) != "[{session-id 7} {session-index 3}]" {
		t.Errorf("%s", got)
	}
}
