package schemas

import (
	"testing"

	"sessionizer/session"
)

// Time decides everything: where it comes from must depend on the log alone, and a source that
// gives none must be seen in the counters.

type timeCase struct {
	event   string
	record  Record
	want    session.Time // NoTime: the event is refused for having none
	clamped bool
	notes   ScanNotes
}

func checkTimes(t *testing.T, c *Codec, cases []timeCase) {
	t.Helper()
	for _, i := range cases {
		sc := &Scanned{}
		bad := c.Scan([]byte(`{"anonymousId":"a",`+i.event+`}`), i.record, sc)
		if i.want == session.NoTime {
			if bad == nil || bad.Reason != NoTime || sc.Notes != i.notes {
				t.Errorf("%s: %v, notes %v, at %d", i.event, bad, sc.Notes, sc.Event.Time)
			}
			continue
		}
		e := &sc.Event
		if bad != nil || e.Time != i.want || e.Clamped != i.clamped || sc.Notes != i.notes {
			t.Errorf("%s: %v at %d, want %d; clamped %v, notes %v", i.event, bad, e.Time, i.want,
				e.Clamped, sc.Notes)
		}
	}
}

func sourcesOf(t *testing.T, sources ...TimeSource) *Codec {
	t.Helper()
	return newCodec(t, Config{TimeSources: sources, FutureTolerance: 60_000})
}

// clock is 2024-12-15T11:08:25.123Z, the record's time in these tests.
const clock = session.Time(1734260905123)

func TestTimeComesFromTheFirstSourceThatGivesOne(t *testing.T) {
	kafka := Record{Timestamp: clock}
	none := Record{Timestamp: session.NoTime}
	const ts, ots = NoteBadTimestamp, NoteBadOriginalTimestamp
	checkTimes(t, codecOf(t, "krenalis"), []timeCase{
		{event: `"timestamp":"2024-12-15T11:08:25.100Z"`, record: kafka, want: clock - 23},
		{event: `"timestamp":"2024-12-15T12:08:25.1+01:00"`, record: kafka, want: clock - 23},
		{event: `"timestamp":"2024-12-15T11:08:25.100"`, record: kafka, want: clock - 23},
		{event: `"timestamp":"2024\u002d12-15T11:08:25.100Z"`, record: kafka, want: clock - 23},
		{event: `"timestamp":1734260905`, record: kafka, want: clock - 123},
		{event: `"timestamp":1734260905100`, record: kafka, want: clock - 23},
		{event: `"timestamp":"1734260905100"`, record: kafka, want: clock - 23},
		{event: `"timestamp":1734260905100999`, record: kafka, want: clock - 23},
		{event: `"timestamp":null`, record: kafka, want: clock},
		{event: `"timestamp":null,"originalTimestamp":1734260905000`, record: kafka, want: clock - 123},
		{event: `"timestamp":1734260905001,"originalTimestamp":1734260905000`, record: kafka, want: clock - 122},
		{event: `"timestamp":"x","originalTimestamp":1734260905000`, record: kafka, want: clock - 123, notes: ts},
		{event: `"timestamp":"","originalTimestamp":{}`, record: kafka, want: clock, notes: ts | ots},
		{event: `"timestamp":true`, record: kafka, want: clock, notes: ts},
		{event: `"timestamp":["2024-12-15T11:08:25.100Z"]`, record: kafka, want: clock, notes: ts},
		{event: `"timestamp":"0000-01-01T00:00:00Z"`, record: kafka, want: clock, notes: ts},
		{event: `"timestamp":1734260905100,"originalTimestamp":"x"`, record: kafka, want: clock - 23},
		{event: `"timestamp":"x","timestamp":1734260905100`, record: kafka, want: clock - 23},
		{event: `"a":1`, record: kafka, want: clock},
		{event: `"a":1`, record: Record{Timestamp: 0}, want: 0},
		{event: `"a":1`, record: Record{Timestamp: -1}, want: session.NoTime},
		{event: `"a":1`, record: none, want: session.NoTime},
		{event: `"timestamp":"x"`, record: none, want: session.NoTime, notes: ts},
		{event: `"a":1`, record: Record{Timestamp: session.MaxTime}, want: session.NoTime},
	})
	checkTimes(t, sourcesOf(t, TimeOriginalTimestamp, TimeTimestamp), []timeCase{
		{event: `"timestamp":1,"originalTimestamp":2`, record: kafka, want: 2000},
		{event: `"timestamp":1`, record: kafka, want: 1000},
		{event: `"a":1`, record: kafka, want: session.NoTime},
	})
	checkTimes(t, sourcesOf(t, TimeRecord, TimeTimestamp), []timeCase{
		{event: `"timestamp":1`, record: kafka, want: clock},
		{event: `"timestamp":1`, record: none, want: 1000},
	})
}

func TestTimeIsClampedToTheRecord(t *testing.T) {
	kafka := Record{Timestamp: clock}
	checkTimes(t, codecOf(t, "krenalis"), []timeCase{ // the tolerance is 60,000 ms
		{event: `"timestamp":1734260965123`, record: kafka, want: clock + 60_000},
		{event: `"timestamp":1734260965124`, record: kafka, want: clock, clamped: true},
		{event: `"timestamp":"9999-12-31T23:59:59.999Z"`, record: kafka, want: clock, clamped: true},
		{event: `"originalTimestamp":1734269999999`, record: kafka, want: clock, clamped: true},
		{event: `"timestamp":1734269999999`, record: Record{Timestamp: session.NoTime}, want: 1734269999999},
		{event: `"timestamp":1734269999999`, record: Record{Timestamp: -1}, want: 1734269999999},
		{event: `"timestamp":"0001-01-01T00:00:00Z"`, record: kafka, want: session.TimeMin},
	})
	checkTimes(t, newCodec(t, Config{}), []timeCase{
		{event: `"timestamp":1734260905124`, record: kafka, want: clock, clamped: true},
	})
}

func TestCorrectedTimeMovesTheClientsClock(t *testing.T) {
	kafka := Record{Timestamp: clock}
	c := sourcesOf(t, TimeCorrected, TimeTimestamp)
	const all = `"originalTimestamp":1000000000000,"sentAt":"2001-09-09T01:46:50Z","receivedAt":1734260905123`
	checkTimes(t, c, []timeCase{
		{event: all, record: kafka, want: clock - 10_000},
		{event: all + `,"sentAt":1,"timestamp":5`, record: kafka, want: clock, clamped: true},
		{event: all + `,"sentAt":null,"timestamp":5`, record: kafka, want: 5000},
		{event: all + `,"sentAt":"x","timestamp":5`, record: kafka, want: 5000, notes: NoteBadCorrected},
		{event: all + `,"originalTimestamp":"9999-12-31T00:00:00Z","timestamp":5`, record: kafka, want: 5000,
			notes: NoteBadCorrected},
		{event: `"timestamp":5`, record: kafka, want: 5000},
	})
}

func TestTimeOfALineOfAFile(t *testing.T) {
	file := Record{Timestamp: 77, File: true, Fallback: session.NoTime}
	later := Record{Timestamp: 77, File: true, Fallback: clock}
	const received = `,"receivedAt":"2024-12-15T11:08:25.123Z"`
	checkTimes(t, codecOf(t, "krenalis"), []timeCase{
		{event: `"timestamp":1734269999999`, record: file, want: 1734269999999},
		{event: `"timestamp":1734269999999` + received, record: file, want: clock, clamped: true},
		{event: `"timestamp":1734269999999,"receivedAt":"x"`, record: file, want: 1734269999999, notes: NoteBadReceivedAt},
		{event: `"timestamp":1734269999999,"receivedAt":null`, record: later, want: 1734269999999},
		{event: `"a":1` + received, record: file, want: clock},
		{event: `"a":1` + received, record: Record{File: true, Fallback: 5}, want: clock},
		{event: `"a":1`, record: later, want: clock},
		{event: `"a":1`, record: file, want: session.NoTime},
		{event: `"timestamp":"x"`, record: later, want: clock, notes: NoteBadTimestamp},
	})
}

func TestScanNotesHaveNames(t *testing.T) {
	seen := map[string]bool{"unknown": true}
	for n := ScanNotes(1); n < ScanNotesEnd; n <<= 1 {
		if seen[n.String()] {
			t.Errorf("note %b: %s", n, n)
		}
		seen[n.String()] = true
	}
	for source := range timeSources {
		if got, err := ParseTimeSource(source.String()); err != nil || got != source {
			t.Errorf("%v: %v, %v", source, got, err)
		}
	}
	if _, err := ParseTimeSource("receivedAt"); err == nil {
		t.Error("receivedAt is no source")
	}
}

func TestEveryFormOfTimeIsReadFromAnEvent(t *testing.T) {
	kafka := Record{Timestamp: 4_000_000_000_000}
	var cases []timeCase
	for form, want := range map[string]session.Time{
		`"2024-12-15T11:08:25.123Z"`:      clock,
		`"2024-12-15T11:08:25.123"`:       clock,
		`"2024-12-15 11:08:25.123"`:       clock,
		`"2024-12-15t11:08:25.123z"`:      clock,
		`"2024-12-15T12:38:25.123+01:30"`: clock,
		`"2024-12-14T23:08:25.123-12:00"`: clock,
		`"2024-12-15T11:08:25.1239999Z"`:  clock,
		`"2024-12-15T11:08:25\u002e123Z"`: clock,
		`"2024-12-15T11:07:60Z"`:          clock - 25_123,
		`1734260905.123`:                  clock,
		`1.734260905123e9`:                clock,
		`1734260905`:                      clock - 123,
		`"1734260905"`:                    clock - 123,
		`1734260905123`:                   clock,
		`"1734260905123"`:                 clock,
		`1734260905123999`:                clock,
		`"1734260905123999"`:              clock,
		`1734260905123999999`:             clock,
		`"1734260905123999999"`:           clock,
		`-1`:                              -1000,
		`"-1"`:                            -1000,
		`-0.0001`:                         -1,
		`99999999999`:                     kafka.Timestamp,
		`100000000000`:                    100_000_000_000,
		`"1969-12-31T23:59:59.9999Z"`:     -1,
		`"0001-01-01T00:00:00Z"`:          session.TimeMin,
	} {
		cases = append(cases, timeCase{event: `"timestamp":` + form, record: kafka, want: want,
			clamped: want == kafka.Timestamp})
	}
	for _, form := range []string{`"2024-12-15"`, `"2024-12-15T11:08Z"`, `"1734260905.123"`, `""`, `" "`,
		`"2024-12-15T11:08:61Z"`, `"2024-02-30T11:08:00Z"`, `"0000-12-31T23:59:59Z"`, `"yesterday"`, `1e99`,
		`-99999999999`, `"Sun, 15 Dec 2024 11:08:25 GMT"`, `{"t":1}`, `[1]`, `false`} {
		cases = append(cases, timeCase{event: `"originalTimestamp":5,"timestamp":` + form, record: kafka,
			want: 5000, notes: NoteBadTimestamp})
	}
	checkTimes(t, codecOf(t, "krenalis"), cases)
}

func TestCorrectedTimeMayStandAnywhereAmongTheSources(t *testing.T) {
	kafka := Record{Timestamp: clock}
	const all = `"originalTimestamp":1734260900000,"sentAt":1734260901000,"receivedAt":1734260905000`
	checkTimes(t, sourcesOf(t, TimeTimestamp, TimeCorrected, TimeRecord), []timeCase{
		{event: all + `,"timestamp":1734260899000`, record: kafka, want: 1734260899000},
		{event: all, record: kafka, want: 1734260904000},
		{event: all + `,"timestamp":"x"`, record: kafka, want: 1734260904000, notes: NoteBadTimestamp},
		{event: all + `,"timestamp":"x","sentAt":"y"`, record: kafka, want: clock,
			notes: NoteBadTimestamp | NoteBadCorrected},
		{event: `"originalTimestamp":1734260900000`, record: kafka, want: clock},
	})
	// A client whose clock is ahead is put right, not clamped; so in a file, where receivedAt is the
	// record's time.
	const ahead = `"originalTimestamp":1734270900000,"sentAt":1734270901000,"receivedAt":1734260905000`
	for _, record := range []Record{kafka, {File: true, Fallback: session.NoTime}} {
		checkTimes(t, sourcesOf(t, TimeCorrected), []timeCase{
			{event: ahead, record: record, want: 1734260904000},
		})
	}
	checkTimes(t, sourcesOf(t, TimeCorrected), []timeCase{
		{event: ahead + `,"sentAt":1734260800000`, record: Record{File: true}, want: 1734260905000,
			clamped: true},
		{event: `"originalTimestamp":5`, record: Record{File: true, Fallback: 7}, want: session.NoTime},
	})
}
