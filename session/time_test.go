package session

// The time decides everything, and clients write it in every form there is. A form that is read
// wrongly by a factor of a thousand puts an event into another century.

import (
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	ms := func(text string) Time {
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		return Time(at.UnixMilli())
	}
	for _, c := range []struct {
		text string
		want Time // NoTime: refused
	}{
		// With a zone, without one, and the letters that RFC 3339 leaves free.
		{"2026-03-02T12:34:56Z", ms("2026-03-02T12:34:56Z")},
		{"2026-03-02T12:34:56", ms("2026-03-02T12:34:56Z")},
		{"2026-03-02 12:34:56", ms("2026-03-02T12:34:56Z")},
		{"2026-03-02t12:34:56z", ms("2026-03-02T12:34:56Z")},
		{"2026-03-02T12:34:56+01:30", ms("2026-03-02T11:04:56Z")},
		{"2026-03-02T12:34:56-01:30", ms("2026-03-02T14:04:56Z")},
		{"2026-03-02T12:34:56-00:00", ms("2026-03-02T12:34:56Z")},
		{"2026-03-02T12:34:56+23:59", ms("2026-03-01T12:35:56Z")},
		{"2026-03-02T12:34:56+24:00", NoTime},
		{"2026-03-02T12:34:56+01:60", NoTime},
		{"2026-03-02T12:34:56+0100", NoTime},
		{"2026-03-02T12:34:56+01", NoTime},
		{"2026-03-02T12:34:56ZZ", NoTime},
		{"2026-03-02T12:34:56 Z", NoTime},
		{"2026-03-02T12:34:56Z ", NoTime},
		// Fractions are cut, towards the past.
		{"2026-03-02T12:34:56.7Z", ms("2026-03-02T12:34:56.7Z")},
		{"2026-03-02T12:34:56.78", ms("2026-03-02T12:34:56.78Z")},
		{"2026-03-02T12:34:56.7899999999Z", ms("2026-03-02T12:34:56.789Z")},
		{"1969-12-31T23:59:59.9999Z", -1},
		{"1969-12-31T23:59:59.9989Z", -2},
		{"2026-03-02T12:34:56.Z", NoTime},
		{"2026-03-02T12:34:56,7Z", NoTime},
		// Second 60 is the first second of the next minute.
		{"2016-12-31T23:59:60Z", ms("2017-01-01T00:00:00Z")},
		{"2016-12-31T23:59:60.5Z", ms("2017-01-01T00:00:00.5Z")},
		{"2026-03-02T12:34:60", ms("2026-03-02T12:35:00Z")},
		{"2026-03-02T12:34:61Z", NoTime},
		{"2026-03-02T24:00:00Z", NoTime},
		{"2026-03-02T12:60:00Z", NoTime},
		// Days that there are, and those that there are not.
		{"2024-02-29T00:00:00Z", ms("2024-02-29T00:00:00Z")},
		{"2000-02-29T00:00:00Z", ms("2000-02-29T00:00:00Z")},
		{"2026-02-29T00:00:00Z", NoTime},
		{"1900-02-29T00:00:00Z", NoTime},
		{"2026-04-31T00:00:00Z", NoTime},
		{"2026-00-01T00:00:00Z", NoTime},
		{"2026-13-01T00:00:00Z", NoTime},
		{"2026-01-00T00:00:00Z", NoTime},
		{"2026-01-32T00:00:00Z", NoTime},
		// The years 1 to 9999, of the instant.
		{"0001-01-01T00:00:00Z", TimeMin},
		{"0001-01-01T01:00:00+01:00", TimeMin},
		{"0001-01-01T00:00:00+00:01", NoTime},
		{"0000-12-31T23:59:59Z", NoTime},
		{"9999-12-31T23:59:59.999Z", TimeMax},
		{"9999-12-31T23:59:60Z", NoTime},
		{"9999-12-31T23:59:59-00:01", NoTime},
		{"10000-01-01T00:00:00Z", NoTime},
		// What is no time.
		{"", NoTime},
		{"now", NoTime},
		{"2026-03-02", NoTime},
		{"2026-03-02T12:34", NoTime},
		{"2026-03-02T12:34:5Z", NoTime},
		{"2026-3-2T12:34:56Z", NoTime},
		{"2026/03/02T12:34:56Z", NoTime},
		{"2026-03-02X12:34:56Z", NoTime},
		{" 2026-03-02T12:34:56Z", NoTime},
		{"-026-03-02T12:34:56Z", NoTime},
		{"20a6-03-02T12:34:56Z", NoTime},
		// A string of digits is an integer, with a sign at most.
		{"1772454896", 1772454896_000},
		{"-1", -1000},
		{"1772454896.5", NoTime},
		{"1e9", NoTime},
		{"+1", NoTime},
		{"-", NoTime},
		{"1 ", NoTime},
		{"0x10", NoTime},
	} {
		got, ok := ParseTime([]byte(c.text))
		if !ok {
			got = NoTime
		}
		if got != c.want {
			t.Errorf("%q: got %d, want %d", c.text, got, c.want)
		}
	}
}

func TestParseTimeNumber(t *testing.T) {
	for _, c := range []struct {
		text string
		want Time // NoTime: refused
	}{
		{"0", 0}, {"-0", 0}, {"0.0", 0}, {"1", 1000}, {"-1", -1000},
		// The unit changes at 1e11, 1e14 and 1e17, in both directions.
		{"99999999999", 99_999_999_999_000},
		{"99999999999.9999", 99_999_999_999_999},
		{"100000000000", 100_000_000_000},
		{"99999999999999", 99_999_999_999_999},
		{"99999999999999.9", 99_999_999_999_999},
		{"100000000000000", 100_000_000_000},
		{"99999999999999999", 99_999_999_999_999},
		{"100000000000000000", 100_000_000_000},
		{"-62135596800", TimeMin},
		{"-62135596801", NoTime},
		{"-62135596800.0001", NoTime},
		{"-99999999999", NoTime}, // seconds, before the year 1
		{"-100000000000", -100_000_000_000},
		{"-62135596800000", TimeMin},
		{"-62135596800001", NoTime},
		{"-99999999999999", NoTime}, // milliseconds, before the year 1
		{"-100000000000000", -100_000_000_000},
		{"-62135596800000000", TimeMin},
		{"-62135596800000001", NoTime},
		{"-100000000000000000", -100_000_000_000},
		{"-62135596800000000000", TimeMin},
		{"-62135596800000000001", NoTime},
		{"253402300799999999999", TimeMax}, // nanoseconds, beyond int64
		{"253402300800000000000", NoTime},
		{"9223372036854775808", 9_223_372_036_854},
		{"1000000000000000000000000", NoTime},
		// What is finer than a millisecond is cut, towards the past.
		{"1772454896.7899999", 1772454896_789},
		{"-1.0001", -1001},
		{"-0.0001", -1},
		{"0.0009", 0},
		{"-0.000", 0},
		{"1772454896789.9", 1772454896_789},
		{"1772454896789999", 1772454896_789},
		{"-1772454896789001", -1772454896_790},
		{"-1772454896789000", -1772454896_789},
		{"1772454896789999999", 1772454896_789},
		{"-1772454896789000001", -1772454896_790},
		// Exponents are read exactly, leading zeros say nothing.
		{"1.772454896e9", 1772454896_000},
		{"1772454896E0", 1772454896_000},
		{"17724548960e-1", 1772454896_000},
		{"1e11", 100_000_000_000},
		{"1e+11", 100_000_000_000},
		{"9.99e10", 99_900_000_000_000},
		{"1e-3", 1},
		{"1e-4", 0},
		{"-1e-400000000000000", -1},
		{"0e999999999999999", 0},
		{"1e999999999999999", NoTime},
		{"0.00001772454896e14", 1772454896_000},
		{"00000000000000000000000001", 1000},
		{"0.5e0", 500},
		// What is no number.
		{"", NoTime}, {"-", NoTime}, {".5", NoTime}, {"5.", NoTime}, {"1e", NoTime}, {"1e+", NoTime},
		{"1.e3", NoTime}, {"1x", NoTime}, {"NaN", NoTime}, {"1e1.5", NoTime}, {"--1", NoTime},
		{"1 ", NoTime}, {"1.5.5", NoTime},
	} {
		got, ok := ParseTimeNumber([]byte(c.text))
		if !ok {
			got = NoTime
		}
		if got != c.want {
			t.Errorf("%q: got %d, want %d", c.text, got, c.want)
		}
	}
}

// numberByArithmetic is ParseTimeNumber with rationals: as dumb as it is slow.
func numberByArithmetic(text string) (Time, bool) {
	x, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0, false
	}
	size := new(big.Rat).Abs(x)
	below := func(exponent int64) bool {
		limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(exponent), nil)
		return size.Cmp(new(big.Rat).SetInt(limit)) < 0
	}
	switch {
	case below(11):
		x.Mul(x, big.NewRat(1000, 1))
	case below(14):
	case below(17):
		x.Mul(x, big.NewRat(1, 1000))
	default:
		x.Mul(x, big.NewRat(1, 1_000_000))
	}
	floor := new(big.Int).Div(x.Num(), x.Denom()) // Euclidean: the denominator is positive
	if !floor.IsInt64() {
		return 0, false
	}
	return Time(floor.Int64()), Time(floor.Int64()).IsValid()
}

func FuzzParseTimeNumber(f *testing.F) {
	for _, text := range []string{"1772454896.789", "-1e-3", "99999999999", "1e11", "-62135596800.5"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := ParseTimeNumber([]byte(text))
		isNumber := len(text) < 40 && strings.Trim(text, "0123456789.eE+-") == ""
		if at := strings.IndexAny(text, "eE"); at >= 0 && len(text)-at > 4 {
			isNumber = false // an exponent that takes big.Rat minutes
		}
		if !isNumber {
			return
		}
		want, wantOK := numberByArithmetic(text)
		if ok && (!wantOK || got != want) {
			t.Fatalf("%q: got %d, want %d %t", text, got, want, wantOK)
		}
		if d, isDecimal := scanDecimal([]byte(text)); isDecimal && wantOK && !ok {
			t.Fatalf("%q: refused, want %d (%+v)", text, want, d)
		}
	})
}

func FuzzParseTime(f *testing.F) {
	for _, text := range []string{
		"2026-03-02T12:34:56.789Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59",
		"2024-02-29T23:59:59.999999999+05:30",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := ParseTime([]byte(text))
		if ok && !got.IsValid() {
			t.Fatalf("%q: %d is out of range", text, got)
		}
		want, err := time.Parse(time.RFC3339Nano, text)
		isWanted := err == nil && want.Year() > 0 && Time(want.UnixMilli()).IsValid() &&
			!strings.Contains(text, ",") && text[13] == ':' && !strings.Contains(text[19:], "24:")
		// time.Parse takes a comma for the point, an hour of one digit and a zone of 24 hours.
		if isWanted && text[0] != '0' && (!ok || got != Time(want.UnixMilli())) {
			t.Fatalf("%q: got %d %t, want %d", text, got, ok, want.UnixMilli())
		}
		isPlain := ok && len(text) > 19 && text[4] == '-' && text[10] == 'T' && text[17:19] != "60" &&
			text[len(text)-1] == 'Z'
		if isPlain && err != nil {
			t.Fatalf("%q: got %d, time.Parse says %v", text, got, err)
		}
	})
}

// A time in the usual form is read by a way of its own, eight bytes at a time. What it takes must
// be what the way of all others takes.
func TestTimesInTheUsualFormAreReadAsAllOthers(t *testing.T) {
	taken := 0
	check := func(text []byte) {
		t.Helper()
		usual, ok := parseUsual(text)
		want, wantOK := parseRFC3339(text)
		if ok {
			taken++
		}
		if ok && (!wantOK || usual != want) {
			t.Errorf("%q: %d, want %d %t", text, usual, want, wantOK)
		}
		if got, gotOK := ParseTime(text); gotOK != wantOK || got != want {
			t.Errorf("%q: ParseTime gives %d %t, want %d %t", text, got, gotOK, want, wantOK)
		}
	}
	for _, base := range []string{"2024-02-29T23:59:59.999Z", "0001-01-01T00:00:00.000Z",
		"9999-12-31T09:05:60.010Z", "1970-11-30T12:34:56.789Z"} {
		text := []byte(base)
		for i := range text {
			for c := range 256 {
				text[i] = byte(c)
				check(text)
				for _, k := range []int{i - 1, i + 1, (i + 8) % len(text)} { // two at a time
					if k >= 0 && k < len(text) {
						was := text[k]
						text[k] ^= byte(c) & 0x8f
						if text[4] == '-' { // else it may be a number
							check(text)
						}
						text[k] = was
					}
				}
			}
			text[i] = base[i]
		}
		check(text[:len(text)-1])
	}
	if taken < 1000 {
		t.Errorf("%d were taken", taken)
	}
}

func TestDaysSince1970AgreesWithTheCalendar(t *testing.T) {
	at := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	for ; at.Year() < 10_000; at = at.AddDate(0, 0, 1) {
		want := int(at.Unix() / 86400)
		if got := daysSince1970(at.Year(), int(at.Month()), at.Day()); got != want {
			t.Fatalf("%s: got %d, want %d", at.Format(time.DateOnly), got, want)
		}
	}
	if text := fmt.Sprint(at.Year()); text != "10000" {
		t.Fatalf("ended in the year %s", text)
	}
}
