package schemas

import (
	"encoding/binary"
	"math/bits"
	"strconv"

	"sessionizer/session"
)

// Ids and times are most of what is written into an event: they are made eight digits at a time.

const tenTo8 = 100_000_000

// decimal8 returns the eight digits of n, which is below 1e8, the first one in the lowest byte.
// Each step halves numbers that lie side by side, by multiplying with the inverse of 100 or 10
// (10486/2^20 and 103/2^10 are exact below 10,000 and 100).
func decimal8(n uint64) uint64 {
	x := n/10_000 | n%10_000<<32
	q := x * 10486 >> 20 & 0x7f_0000007f
	x = q | (x-q*100)<<16
	q = x * 103 >> 10 & 0xf_000f_000f_000f
	x = q | (x-q*10)<<8
	return x + ones*'0'
}

// parse8 returns the number of eight digits, the first one in the lowest byte; false: they are not
// all digits. Each step puts neighbours together, as decimal8 takes them apart.
func parse8(x uint64) (n uint64, ok bool) {
	const highs = ones * 0xf0
	if x&highs != ones*'0' || (x+ones*6)&highs != ones*'0' {
		return 0, false
	}
	x -= ones * '0'
	x = (x*10 + x>>8) & 0x00ff00ff_00ff00ff
	x = (x*100 + x>>16) & 0x0000ffff_0000ffff
	return (x*10_000 + x>>32) & 0xffffffff, true
}

// parse16 returns the number of a text of eight to sixteen digits; false: they are not all digits.
func parse16(text []byte) (n uint64, ok bool) {
	// Of the first eight those that are among the last eight are pushed out, zeros move up.
	first := 8 * (len(text) - 8)
	high, ok := parse8(load(text, 0)<<(64-first) | uint64(ones*'0')>>first)
	low, isLow := parse8(load(text, len(text)-8))
	return high*tenTo8 + low, ok && isLow
}

// appendInt appends n in decimal.
func appendInt(dst []byte, n int64) []byte {
	if n <= 0 || n >= tenTo8*tenTo8 {
		return strconv.AppendInt(dst, n, 10)
	}
	low := decimal8(uint64(n) % tenTo8)
	first := low
	if n >= tenTo8 {
		first = decimal8(uint64(n) / tenTo8)
	}
	zeros := bits.TrailingZeros64(first-ones*'0') >> 3
	dst = binary.LittleEndian.AppendUint64(dst, first>>(zeros<<3))
	dst = dst[:len(dst)-zeros]
	if n >= tenTo8 {
		dst = binary.LittleEndian.AppendUint64(dst, low)
	}
	return dst
}

// putInt writes n in decimal, and returns its length. b has room for intRoom bytes.
func putInt(b []byte, n int64) int {
	if uint64(n) < 10 { // most indexes
		b[0] = '0' + byte(n)
		return 1
	}
	if n < tenTo8 || n >= tenTo8*tenTo8 {
		return len(appendInt(b[:0:intRoom], n))
	}
	// Most ids: milliseconds since 1970.
	high := decimal8(uint64(n) / tenTo8)
	zeros := bits.TrailingZeros64(high-ones*'0') >> 3
	room := (*[intRoom]byte)(b)
	binary.LittleEndian.PutUint64(room[:], high>>(zeros<<3))
	binary.LittleEndian.PutUint64(room[8-zeros&7:], decimal8(uint64(n)%tenTo8))
	return 16 - zeros
}

// timeForm is the form in which times are written.
const (
	timeForm       = `"0000-00-00T00:00:00.000Z"`
	timeCharacters = len(timeForm)
)

// appendTimeText appends a time as a string: RFC 3339, UTC, milliseconds.
func appendTimeText(dst []byte, t session.Time) []byte {
	dst = append(dst, timeForm...)
	var d dates
	d.put((*[timeCharacters]byte)(dst[len(dst)-timeCharacters:]), t)
	return dst
}

// dates remembers the date that was written last: most sessions that are written one after the
// other began on the same day.
type dates struct {
	day  uint32
	date uint64 // decimal8 of year, month and day; 0: none yet
}

// put writes a time as appendTimeText does, and returns its length.
func (d *dates) put(b *[timeCharacters]byte, t session.Time) int {
	const dayMs, daysTo1970 = 86_400_000, 719_468 // from 0000-03-01, which no time is in front of
	sinceThen := uint64(t + daysTo1970*dayMs)
	day, ms := uint32(sinceThen/dayMs), uint32(sinceThen%dayMs)
	if d.day != day || d.date == 0 {
		d.day, d.date = day, dateOf(day)
	}
	copy(b[:], timeForm)
	binary.LittleEndian.PutUint32(b[1:], uint32(d.date))
	binary.LittleEndian.PutUint16(b[6:], uint16(d.date>>32))
	binary.LittleEndian.PutUint16(b[9:], uint16(d.date>>48))
	second := ms / 1000
	clock := decimal8(uint64(second/3600*10_000 + second/60%60*100 + second%60))
	binary.LittleEndian.PutUint16(b[12:], uint16(clock>>16))
	binary.LittleEndian.PutUint16(b[15:], uint16(clock>>32))
	binary.LittleEndian.PutUint16(b[18:], uint16(clock>>48))
	fraction := decimal8(uint64(ms % 1000))
	b[21], b[22], b[23] = byte(fraction>>40), byte(fraction>>48), byte(fraction>>56)
	return timeCharacters
}

// dateOf returns the digits of the date that lies so many days behind 0000-03-01. The calendar is
// that of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
func dateOf(z uint32) uint64 {
	era := z / 146_097
	doe := z % 146_097
	yoe := (doe - doe/1460 + doe/36_524 - doe/146_096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day, month, year := doy-(153*mp+2)/5+1, mp+3, yoe+era*400
	if month > 12 {
		month, year = month-12, year+1
	}
	return decimal8(uint64(year*10_000 + month*100 + day))
}
