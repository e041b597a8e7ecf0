package audit

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// noTime stands for a time that is not there.
const noTime = math.MinInt64

// The years 1 to 9999 in milliseconds.
const (
	timeMin = -62_135_596_800_000
	timeMax = 253_402_300_799_999
)

func isTime(ms int64) bool { return ms >= timeMin && ms <= timeMax }

// decimal is a number as 0.DIGITS times ten to the power of point; no digits: zero.
type decimal struct {
	negative bool
	digits   string // without zeros at its ends
	point    int
}

// exponentMax is an exponent that is as good as infinite.
const exponentMax = 1_000_000

// parseDecimal reads the text of a JSON number; leading zeros are allowed.
func parseDecimal(text string) (d decimal, ok bool) {
	text, d.negative = strings.CutPrefix(text, "-")
	mantissa, exponent := text, 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		n, fine := new(big.Int).SetString(strings.TrimPrefix(text[i+1:], "+"), 10)
		if !fine {
			return d, false
		}
		mantissa = text[:i]
		switch {
		case !n.IsInt64() || n.Int64() > exponentMax || n.Int64() < -exponentMax:
			exponent = exponentMax * n.Sign()
		default:
			exponent = int(n.Int64())
		}
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if whole == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return d, false
	}
	all := whole + fraction
	d.digits = strings.TrimLeft(all, "0")
	d.point = len(whole) - (len(all) - len(d.digits)) + exponent
	if d.digits = strings.TrimRight(d.digits, "0"); d.digits == "" {
		d = decimal{}
	}
	return d, true
}

// compare orders two numbers exactly.
func (d decimal) compare(other decimal) int {
	a, b := d.sign(), other.sign()
	switch {
	case a != b:
		return a - b
	case a == 0:
		return 0
	case d.point != other.point:
		if d.point > other.point {
			return a
		}
		return -a
	}
	return a * strings.Compare(d.digits, other.digits)
}

func (d decimal) sign() int {
	switch {
	case d.digits == "":
		return 0
	case d.negative:
		return -1
	}
	return 1
}

// epochMs reads a number as seconds, milliseconds, microseconds or nanoseconds by its magnitude.
func (d decimal) epochMs() (int64, bool) {
	if d.digits == "" {
		return 0, true
	}
	point := d.point
	switch {
	case point <= 11:
		point += 3
	case point <= 14:
	case point <= 17:
		point -= 3
	default:
		point -= 6
	}
	if point > 16 {
		return 0, false
	}
	whole, cut := "0", d.digits != ""
	if point > 0 {
		padded := d.digits + strings.Repeat("0", max(point-len(d.digits), 0))
		whole, cut = padded[:point], len(padded) > point
	}
	ms, err := strconv.ParseInt(whole, 10, 64)
	if d.negative {
		ms = -ms
		if cut {
			ms--
		}
	}
	return ms, err == nil && isTime(ms)
}

// parseTime reads the text of a time: RFC 3339 with or without a zone, or an epoch in digits.
func parseTime(text string) (int64, bool) {
	if len(text) > 5 && text[4] == '-' {
		return parseRFC3339(text)
	}
	if strings.ContainsAny(text, ".eE") {
		return 0, false
	}
	d, ok := parseDecimal(text)
	if !ok {
		return 0, false
	}
	return d.epochMs()
}

func parseRFC3339(s string) (int64, bool) {
	if len(s) < 19 || s[13] != ':' || s[16] != ':' || strings.Contains(s, ",") ||
		!strings.ContainsRune("Tt ", rune(s[10])) {
		return 0, false
	}
	s = s[:10] + "T" + s[11:]
	if strings.HasSuffix(s, "z") {
		s = s[:len(s)-1] + "Z"
	}
	leap := int64(0)
	if s[17:19] == "60" {
		s, leap = s[:17]+"59"+s[19:], 1000
	}
	for _, layout := range [...]string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05"} {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		if _, offset := t.Zone(); t.Year() < 1 || offset <= -24*3600 || offset >= 24*3600 {
			return 0, false
		}
		ms := t.UnixMilli() + leap
		return ms, isTime(ms)
	}
	return 0, false
}

// timeText is a time as records write it.
func timeText(ms int64) string {
	return time.UnixMilli(min(ms, timeMax)).UTC().Format("2006-01-02T15:04:05.000Z")
}
