package main

import (
	"strconv"
	"strings"
	"time"

	"sessionizer/session"
)

// timeUnit is a unit of the durations in test files.
type timeUnit struct {
	name   string
	millis session.Millis
}

// timeUnits are the units, the longer names first where one begins with the other.
func timeUnits() []timeUnit {
	return []timeUnit{{"ms", 1}, {"d", 24 * 3_600_000}, {"h", 3_600_000}, {"m", 60_000}, {"s", 1000}}
}

// parseMillis takes 0s, 250ms, 30m1s, 1d2h: whole numbers with units, with a sign in front or none.
func parseMillis(text string) (session.Millis, bool) {
	rest, negative := strings.CutPrefix(text, "-")
	if !negative {
		rest = strings.TrimPrefix(rest, "+")
	}
	if rest == "" {
		return 0, false
	}
	var sum session.Millis
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil {
			return 0, false
		}
		rest = rest[digits:]
		found := false
		for _, u := range timeUnits() {
			if left, ok := strings.CutPrefix(rest, u.name); ok && n <= int64(session.DurationMax/u.millis) {
				sum, rest, found = sum+session.Millis(n)*u.millis, left, true
				break
			}
		}
		if !found || sum > session.DurationMax {
			return 0, false
		}
	}
	if negative {
		sum = -sum
	}
	return sum, true
}

// formatMillis writes a duration as parseMillis reads it.
func formatMillis(d session.Millis) string {
	if d == 0 {
		return "0s"
	}
	text := ""
	if d < 0 {
		text, d = "-", -d
	}
	units := timeUnits()
	for _, u := range append(units[1:], units[0]) { // from the greatest
		if n := d / u.millis; n > 0 {
			text += strconv.FormatInt(int64(n), 10) + u.name
			d -= n * u.millis
		}
	}
	return text
}

// formatTime writes a time as records have it.
func formatTime(t session.Time) string {
	return time.UnixMilli(int64(t)).UTC().Format("2006-01-02T15:04:05.000Z")
}

// caseClock reads the times of a case: 30m (after the start), +5m (after the time before), or a
// time of RFC 3339.
type caseClock struct {
	start session.Time
	last  session.Time // the time read last by next
}

// next reads the time of an event, which +5m of the next one counts from.
func (c *caseClock) next(text string) (session.Time, bool) {
	t, ok := c.at(text)
	if ok {
		c.last = t
	}
	return t, ok
}

// at reads a time.
func (c *caseClock) at(text string) (session.Time, bool) {
	if d, ok := parseMillis(text); ok {
		from := c.start
		if strings.HasPrefix(text, "+") {
			from = c.last
		}
		t := from + session.Time(d)
		return t, t.IsValid()
	}
	return session.ParseTime([]byte(text))
}
