package schemas

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"sessionizer/session"
)

// Consumers depend on which members are there and when: each rule of output.fields has its line.

func sessionOf(t *testing.T, st *session.Stamp, fields ...string) string {
	t.Helper()
	out := spliced(t, newCodec(t, Config{Fields: fields}), `{"anonymousId":"a"}`, st)
	out, found := strings.CutPrefix(out, `{"anonymousId":"a"`)
	if !found {
		t.Fatalf("%s", out)
	}
	out, _ = strings.CutPrefix(out, `,"context":{"session":`)
	out, _ = strings.CutSuffix(out, `}}`)
	return out
}

func TestFieldsOfAStamp(t *testing.T) {
	uuid := session.UUID(nil, []byte("a"), session.ID{Int: 1734260905123}, session.IDInt64)
	opens := session.Stamp{ID: session.ID{Int: 1734260905123}, UUID: uuid, Start: true, Server: true,
		Reason: session.ReasonUserChange, Index: 2, EventIndex: 1, Previous: session.ID{Int: -7},
		StartedAt: 1734260905123, TimeoutMs: 1_800_000}
	goesOn := session.Stamp{ID: session.ID{Int: 5}, UUID: uuid, Index: 1, EventIndex: 12, StartedAt: 0,
		GapMs: 0, TimeoutMs: 300_000, Client: session.ID{Int: 5}}
	flagged := goesOn
	flagged.Late, flagged.Clamped, flagged.Duplicate = true, true, true
	flagged.EventIndex, flagged.GapMs = 0, 9
	var text strings.Builder
	text.Write(session.AppendUUID(nil, uuid))
	u := text.String()

	full := []string{"full"}
	for _, i := range []struct {
		stamp  session.Stamp
		fields []string
		want   string
	}{
		{opens, []string{"minimal"}, `{"id":1734260905123,"start":true}`},
		{goesOn, []string{"minimal"}, `{"id":5}`},
		{opens, nil, `{"id":1734260905123,"start":true,"uuid":"` + u + `","index":2,"eventIndex":1,` +
			`"previousId":-7,"startedAt":"2024-12-15T11:08:25.123Z"}`},
		{goesOn, []string{"standard"}, `{"id":5,"uuid":"` + u + `","index":1,"eventIndex":12,` +
			`"startedAt":"1970-01-01T00:00:00.000Z"}`},
		{opens, full, `{"id":1734260905123,"start":true,"uuid":"` + u + `","index":2,"eventIndex":1,` +
			`"previousId":-7,"startedAt":"2024-12-15T11:08:25.123Z","reason":"user_change",` +
			`"timeoutMs":1800000,"idSource":"server"}`},
		{goesOn, full, `{"id":5,"uuid":"` + u + `","index":1,"eventIndex":12,` +
			`"startedAt":"1970-01-01T00:00:00.000Z","gapMs":0,"timeoutMs":300000,"idSource":"client","clientId":5}`},
		{flagged, full, `{"id":5,"uuid":"` + u + `","index":1,` +
			`"startedAt":"1970-01-01T00:00:00.000Z","gapMs":9,"clamped":true,"duplicate":true,` +
			`"timeoutMs":300000,"idSource":"client","clientId":5,"late":true}`},
		{flagged, nil, `{"id":5,"uuid":"` + u + `","index":1,"startedAt":"1970-01-01T00:00:00.000Z"}`},
		{goesOn, []string{"start", "index", "id"}, `{"id":5,"index":1}`},
		{opens, []string{"start"}, `{"start":true}`},
		{goesOn, []string{"start"}, `}`},
		{goesOn, []string{"late", "reason", "previousId"}, `}`},
		{session.Stamp{Status: session.NoSession, Client: session.ID{Int: 5}, Clamped: true}, full, `}`},
		{session.Stamp{Status: session.TooLate, Client: session.ID{Int: 5}}, full, `{"state":"too_late"}`},
		{session.Stamp{Status: session.Unattached}, full, `{"state":"unattached"}`},
		{session.Stamp{Status: session.Unattached, Clamped: true}, full, `{"clamped":true,"state":"unattached"}`},
		{session.Stamp{Status: session.TooLate}, []string{"standard"}, `}`},
		{session.Stamp{Status: session.TooLate}, []string{"id", "state"}, `{"state":"too_late"}`},
		{session.Stamp{Status: session.NoSession}, []string{"state"}, `}`},
		{session.Stamp{Status: session.Bypass}, full, `}`},
		{session.Stamp{ID: session.ID{Int: 5}, Campaign: []byte(`{"name":"c"}`), TimeoutMs: 1},
			full,
			`{"id":5,"uuid":"00000000-0000-0000-0000-000000000000","index":0,` +
				`"startedAt":"1970-01-01T00:00:00.000Z","gapMs":0,"timeoutMs":1,"idSource":"client",` +
				`"campaign":{"name":"c"}}`},
		{session.Stamp{ID: session.ID{Text: []byte("s\"1\"\n"), Int: 9},
			Client:   session.ID{Text: []byte("é")},
			Previous: session.ID{Text: []byte("p"), Int: 3}},
			[]string{"id", "clientId", "previousId"},
			`{"id":"s\"1\"\n","previousId":"p","clientId":"é"}`},
	} {
		if got := sessionOf(t, &i.stamp, i.fields...); got != i.want {
			t.Errorf("%q of %+v\n got %s\nwant %s", i.fields, i.stamp, got, i.want)
		}
	}
}

func TestFieldsAreChecked(t *testing.T) {
	for _, fields := range [][]string{{"ids"}, {"minimal", "id"}, {"id", "id"}, {"firstEventId"},
		{""}} {
		if set, err := parseFields(fields); err == nil {
			t.Errorf("%q: %b", fields, set)
		}
	}
}

func TestTimesAreWrittenWithMilliseconds(t *testing.T) {
	for _, at := range []session.Time{0, 1, -1, 999, 1734260905123, session.TimeMin, session.TimeMax,
		951782400000, 951868799999, 4107542400000, -62135596799999, -2203891200001} {
		want := time.UnixMilli(int64(at)).UTC().Format(`"2006-01-02T15:04:05.000Z"`)
		if got := string(appendTimeText(nil, at)); got != want {
			t.Errorf("%d: %s, want %s", at, got, want)
		}
	}
	const step = 37*86_400_000 + 12_345_678
	for at := session.TimeMin; at <= session.TimeMax; at += step {
		want := time.UnixMilli(int64(at)).UTC().Format(`"2006-01-02T15:04:05.000Z"`)
		if got := string(appendTimeText([]byte("x"), at)); got != "x"+want {
			t.Fatalf("%d: %s, want %s", at, got, want)
		}
	}
}

func TestIntegersAreWrittenAndReadInDecimal(t *testing.T) {
	numbers := []int64{0, -1, -1 << 63, 1<<63 - 1, 1, 9, 10, 1734260905123}
	for n := int64(1); n > 0 && n < 1<<62; n = n*3 + 1 {
		numbers = append(numbers, n-1, n, -n)
	}
	for power := int64(1); power <= 1e18/10; power *= 10 {
		numbers = append(numbers, power-1, power, power+1, 5*power)
	}
	for _, n := range numbers {
		want := strconv.FormatInt(n, 10)
		if got := string(appendInt([]byte("x"), n)); got != "x"+want {
			t.Errorf("%s, want x%s", got, want)
		}
		if got, invalid := parseInt([]byte(want), 0); got != n || n != 0 && invalid != 0 {
			t.Errorf("%d %v of %s", got, invalid, want)
		}
		var room [intRoom]byte
		if got := string(room[:putInt(room[:], n)]); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// An object without texts is written in another way where there is room for it at once.
func TestPlainObjectsAreWrittenLikeOthers(t *testing.T) {
	value := []byte(`{"anonymousId":"a"}`)
	for _, profile := range []string{"krenalis", "rudderstack", "segment"} {
		for _, fields := range []string{"minimal", "standard", "full"} {
			c := newCodec(t, Config{Profile: Profile{Name: profile}, Fields: []string{fields}})
			sc := &Scanned{}
			if bad := c.Scan(value, Record{Timestamp: recordTime}, sc); bad != nil {
				t.Fatal(bad)
			}
			for _, id := range []int64{-1 << 63, -1, 9, 10, 99_999_999, 1e8, 1e16 - 1, 1e16, 1<<63 - 1} {
				for i, count := range []uint64{1, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
					st := stampOf(session.ID{Int: id}, session.ID{Int: id}, i%2 == 0)
					st.Campaign, st.Late, st.Clamped, st.Duplicate = nil, true, true, true
					st.Index, st.StartedAt = 1<<32-1, session.Time(id>>20)
					st.EventIndex = count
					tight := string(c.AppendStamped(nil, value, sc, st))
					roomy := string(c.AppendStamped(make([]byte, 0, 4096), value, sc, st))
					if tight != roomy {
						t.Errorf("%s %s\n got %s\nwant %s", profile, fields, roomy, tight)
					}
				}
			}
		}
	}
}
