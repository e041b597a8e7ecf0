package session

import (
	"encoding/binary"
	"math"
)

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

// ParseTime reads the text of a time: RFC 3339, with or without a zone (none is UTC), or the
// integer of an epoch (see ParseTimeNumber), as digits with an optional minus sign.
//
// Of RFC 3339 it takes what the grammar allows and no more: T may be t or a space, Z may be z, the
// fraction has one digit or more, and second 60, which any minute may have, is the first second of
// the next minute. The instant must lie in the years 1 to 9999. What is finer than a millisecond is
// cut, towards the past.
func ParseTime(text []byte) (Time, bool) {
	if t, ok := parseUsual(text); ok {
		return t, true
	}
	if len(text) > len("2006-") && text[len("2006")] == '-' {
		return parseRFC3339(text)
	}
	if d, ok := scanDecimal(text); ok && !d.hasPoint && !d.hasExponent {
		return d.time()
	}
	return 0, false
}

// ParseTimeNumber reads the text of a JSON number as an epoch in seconds, milliseconds,
// microseconds or nanoseconds, told apart by magnitude: below 1e11, 1e14, 1e17. Fractions and
// exponents are read exactly; what is finer than a millisecond is cut, towards the past. The
// instant must lie in the years 1 to 9999.
func ParseTimeNumber(text []byte) (Time, bool) {
	d, ok := scanDecimal(text)
	if !ok {
		return 0, false
	}
	return d.time()
}

// decimal is a number as text: its digits (a point among them is skipped) from the first that is
// not 0, and the number of them that stand before the point once the exponent is applied.
type decimal struct {
	digits      []byte
	point       int // 12.5 has 2, 0.05 has -1, 5e3 has 4
	negative    bool
	hasPoint    bool
	hasExponent bool
}

// scanDecimal reads the grammar of JSON numbers, leading zeros allowed.
func scanDecimal(text []byte) (decimal, bool) {
	var d decimal
	i := 0
	if i < len(text) && text[i] == '-' {
		d.negative = true
		i++
	}
	start := i
	for i < len(text) && isDigit(text[i]) {
		i++
	}
	whole := i - start
	if whole == 0 {
		return d, false
	}
	if i < len(text) && text[i] == '.' {
		d.hasPoint = true
		i++
		fraction := i
		for i < len(text) && isDigit(text[i]) {
			i++
		}
		if i == fraction {
			return d, false
		}
	}
	d.digits = text[start:i]
	exponent, ok := 0, true
	if i < len(text) {
		d.hasExponent = true
		exponent, ok = scanExponent(text[i:])
	}
	// Leading zeros carry no magnitude.
	d.point = whole + exponent
	for len(d.digits) > 0 && (d.digits[0] == '0' || d.digits[0] == '.') {
		if d.digits[0] == '0' {
			d.point--
		}
		d.digits = d.digits[1:]
	}
	return d, ok
}

// scanExponent reads e, an optional sign and digits. Beyond a million it is as good as infinite.
func scanExponent(text []byte) (int, bool) {
	const beyond = 1_000_000
	if text[0] != 'e' && text[0] != 'E' {
		return 0, false
	}
	text = text[1:]
	negative := false
	if len(text) > 0 && (text[0] == '+' || text[0] == '-') {
		negative = text[0] == '-'
		text = text[1:]
	}
	if len(text) == 0 {
		return 0, false
	}
	exponent := 0
	for _, c := range text {
		if !isDigit(c) {
			return 0, false
		}
		exponent = min(exponent*10+int(c-'0'), beyond)
	}
	if negative {
		exponent = -exponent
	}
	return exponent, true
}

// time reads the decimal as an epoch. A number is below 1eN exactly if it has at most N digits
// before the point, so that no arithmetic is needed to find the unit, nor to apply it: it moves the
// point.
func (d decimal) time() (Time, bool) {
	const digitsMax = 16 // TimeMin and TimeMax have 15 and 14; 16 fit an int64
	if len(d.digits) == 0 {
		return 0, true
	}
	millis := d.point // digits of the number of milliseconds
	switch {
	case d.point <= 11:
		millis += 3
	case d.point <= 14:
	case d.point <= 17:
		millis -= 3
	default:
		millis -= 6
	}
	if millis > digitsMax {
		return 0, false
	}
	t, n, isCut := Time(0), 0, false
	for _, c := range d.digits {
		switch {
		case c == '.':
		case n < millis:
			t = t*10 + Time(c-'0')
			n++
		default:
			isCut = isCut || c != '0'
		}
	}
	for ; n < millis; n++ {
		t *= 10
	}
	if d.negative {
		t = -t
		if isCut {
			t--
		}
	}
	return t, t.IsValid()
}

// civil is a time of the calendar, less its offset from UTC.
type civil struct {
	year, month, dayOfMonth, hour, minute, second, millis int
}

// time returns the instant of a civil time; false: there is no such time.
func (c civil) time(zoneMinutes int) (Time, bool) {
	if c.year < 1 || c.month < 1 || c.month > 12 || c.dayOfMonth < 1 ||
		c.dayOfMonth > daysIn(c.year, c.month) || c.hour > 23 || c.minute > 59 || c.second > 60 {
		return 0, false
	}
	days := daysSince1970(c.year, c.month, c.dayOfMonth)
	minutes := (days*24+c.hour)*60 + c.minute - zoneMinutes
	t := Time(minutes)*60_000 + Time(c.second)*1000 + Time(c.millis)
	return t, t.IsValid()
}

// usualTime is the form of most times: that of JavaScript's Date.prototype.toISOString.
const usualTime = "2006-01-02T15:04:05.000Z"

// The usual form, eight characters at a time, and what must be added there to reach the highest bit
// of a character less its form: to 10 where a digit stands, to 1 elsewhere.
const (
	formDate  = '0' | '0'<<8 | '0'<<16 | '0'<<24 | '-'<<32 | '0'<<40 | '0'<<48 | '-'<<56
	formDay   = '0' | '0'<<8 | 'T'<<16 | '0'<<24 | '0'<<32 | ':'<<40 | '0'<<48 | '0'<<56
	formClock = ':' | '0'<<8 | '0'<<16 | '.'<<24 | '0'<<32 | '0'<<40 | '0'<<48 | 'Z'<<56
	roomDate  = 0x7f_76_76_7f_76_76_76_76
	roomDay   = 0x76_76_7f_76_76_7f_76_76
	roomClock = 0x7f_76_76_76_7f_76_76_7f
	highest   = 0x80_80_80_80_80_80_80_80
)

// lessForm takes the form away from eight characters: digits become 0 to 9 and all else 0. Where
// they do not have the form, the highest bit of some byte of faults is set.
func lessForm(b []byte, form, room uint64) (x, faults uint64) {
	x = binary.LittleEndian.Uint64(b) ^ form
	return x, x | (x + room)
}

// parseUsual reads a time in the usual form; false: it has another one, or there is no such time.
func parseUsual(b []byte) (Time, bool) {
	if len(b) != len(usualTime) {
		return 0, false
	}
	x, faultsX := lessForm(b[0:], formDate, roomDate)
	y, faultsY := lessForm(b[8:], formDay, roomDay)
	z, faultsZ := lessForm(b[16:], formClock, roomClock)
	if (faultsX|faultsY|faultsZ)&highest != 0 {
		return 0, false
	}
	third := int(z >> 48 & 0xff)              // of the milliseconds
	x, y, z = x*10+x>>8, y*10+y>>8, z*10+z>>8 // each byte and its neighbour, as a number
	c := civil{
		year:       100*int(x&0xff) + int(x>>16&0xff),
		month:      int(x >> 40 & 0xff),
		dayOfMonth: int(y & 0xff),
		hour:       int(y >> 24 & 0xff),
		minute:     int(y >> 48 & 0xff),
		second:     int(z >> 8 & 0xff),
		millis:     10*int(z>>32&0xff) + third,
	}
	return c.time(0)
}

// parseRFC3339 reads date-time of RFC 3339, section 5.6, with the zone left out as UTC.
func parseRFC3339(b []byte) (Time, bool) {
	const layout = "2006-01-02T15:04:05"
	if len(b) < len(layout) || b[4] != '-' || b[7] != '-' || b[13] != ':' || b[16] != ':' ||
		(b[10] != 'T' && b[10] != 't' && b[10] != ' ') {
		return 0, false
	}
	century, ok0 := twoDigits(b[0:2])
	year, ok1 := twoDigits(b[2:4])
	month, ok2 := twoDigits(b[5:7])
	dayOfMonth, ok3 := twoDigits(b[8:10])
	hour, ok4 := twoDigits(b[11:13])
	minute, ok5 := twoDigits(b[14:16])
	second, ok6 := twoDigits(b[17:19])
	if !(ok0 && ok1 && ok2 && ok3 && ok4 && ok5 && ok6) {
		return 0, false
	}
	millis, rest, ok := fraction(b[len(layout):])
	if !ok {
		return 0, false
	}
	zone, ok := zoneMinutes(rest)
	if !ok {
		return 0, false
	}
	c := civil{century*100 + year, month, dayOfMonth, hour, minute, second, millis}
	return c.time(zone)
}

// fraction reads an optional fraction of a second and returns its whole milliseconds.
func fraction(b []byte) (millis int, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '.' {
		return 0, b, true
	}
	b = b[1:]
	n := 0
	for n < len(b) && isDigit(b[n]) {
		if n < 3 {
			millis = millis*10 + int(b[n]-'0')
		}
		n++
	}
	for i := n; i < 3; i++ {
		millis *= 10
	}
	return millis, b[n:], n > 0
}

// zoneMinutes reads Z or an offset from UTC, or nothing.
func zoneMinutes(b []byte) (int, bool) {
	if len(b) == 0 || len(b) == 1 && (b[0] == 'Z' || b[0] == 'z') {
		return 0, true
	}
	if len(b) != len("+01:00") || b[3] != ':' || (b[0] != '+' && b[0] != '-') {
		return 0, false
	}
	hours, ok1 := twoDigits(b[1:3])
	minutes, ok2 := twoDigits(b[4:6])
	if !ok1 || !ok2 || hours > 23 || minutes > 59 {
		return 0, false
	}
	if minutes += hours * 60; b[0] == '-' {
		minutes = -minutes
	}
	return minutes, true
}

// daysSince1970 counts the days of the proleptic Gregorian calendar. Source: Howard Hinnant,
// "chrono-Compatible Low-Level Date Algorithms", days_from_civil; years are positive here.
func daysSince1970(year, month, dayOfMonth int) int {
	if month <= 2 {
		year--
	}
	era := year / 400
	yearOfEra := year - era*400
	dayOfYear := (153*((month+9)%12)+2)/5 + dayOfMonth - 1
	dayOfEra := yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear
	return era*146097 + dayOfEra - 719468
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	default:
		return 31
	}
}

func twoDigits(b []byte) (int, bool) {
	tens, ones := b[0]-'0', b[1]-'0'
	return int(tens)*10 + int(ones), tens <= 9 && ones <= 9
}

func isDigit(c byte) bool { return c-'0' <= 9 }
