package session

import "math"

// Time is event time: milliseconds since 1970-01-01T00:00:00Z.
type Time int64

// Millis is a duration in milliseconds.
type Millis int64

// The bounds of Time.
const (
	NoTime  Time = math.MinInt64       // absent
	MaxTime Time = math.MaxInt64       // no bound
	TimeMin Time = -62_135_596_800_000 // 0001-01-01T00:00:00Z
	TimeMax Time = 253_402_300_799_999 // 9999-12-31T23:59:59.999Z
)

// IsValid reports whether t lies in the years 1 to 9999: the times an event may have.
func (t Time) IsValid() bool { return t >= TimeMin && t <= TimeMax }

// ParseTime reads RFC 3339 text, with or without a zone, or a string of digits.
func ParseTime(text []byte) (Time, bool) { return 0, false }

// ParseTimeNumber reads the text of a JSON number.
func ParseTimeNumber(text []byte) (Time, bool) { return 0, false }
