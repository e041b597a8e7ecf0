package schemas

import "cmp"

// numeral is the text of a JSON number, taken apart so that it can be compared exactly, without a
// float that would round ids.
type numeral struct {
	digits   []byte // from the first that is not 0; a point among them is to be skipped
	point    int    // how many of the digits stand in front of the point: 12.5 has 2, 0.05 has -1
	negative bool   // and not 0

	// Most numbers are small integers: whole is the value then, and all of it.
	whole   int64
	isWhole bool
}

// wholeDigitsMax is how many digits every int64 has room for.
const wholeDigitsMax = 18

// wholeOf reads the digits in front of the point of a number's text, and returns what is behind
// them. False: it is no small number.
func wholeOf(text []byte) (n int64, rest []byte, ok bool) {
	first := 0
	if text[0] == '-' {
		first = 1
	}
	i := first
	for ; i < len(text) && isDigit(text[i]); i++ {
		if i == wholeDigitsMax {
			return 0, nil, false
		}
		n = n*10 + int64(text[i]-'0')
	}
	if first > 0 {
		n = -n
	}
	return n, text[i:], true
}

// exponentMax bounds an exponent: what is beyond it is as good as infinite.
const exponentMax = 1 << 40

// numeralOf reads the text of a number that is known to be one.
func numeralOf(text []byte) numeral {
	var n numeral
	i := 0
	if text[0] == '-' {
		n.negative = true
		i++
	}
	start := i
	i = digits(text, i)
	n.point = i - start
	if i < len(text) && text[i] == '.' {
		i = digits(text, i+1)
	}
	n.digits = text[start:i]
	n.point += exponentOf(text[i:])
	for len(n.digits) > 0 && (n.digits[0] == '0' || n.digits[0] == '.') {
		if n.digits[0] == '0' {
			n.point--
		}
		n.digits = n.digits[1:]
	}
	if len(n.digits) == 0 {
		n = numeral{}
	}
	var rest []byte
	n.whole, rest, n.isWhole = wholeOf(text)
	n.isWhole = n.isWhole && len(rest) == 0
	return n
}

// exponentOf reads e, an optional sign and digits, or nothing.
func exponentOf(text []byte) int {
	if len(text) == 0 {
		return 0
	}
	exponent, negative := 0, false
	for _, c := range text[1:] {
		switch c {
		case '+':
		case '-':
			negative = true
		default:
			exponent = min(exponent*10+int(c-'0'), exponentMax)
		}
	}
	if negative {
		return -exponent
	}
	return exponent
}

// isNumber reports whether a text is a JSON number.
func isNumber(text string) bool {
	var s checker
	b := []byte(text)
	return len(b) > 0 && (b[0] == '-' || isDigit(b[0])) && s.number(b, 0) == len(b)
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// compareText returns an int below, equal to or above 0 as n is below, equal to or above the number
// of that text.
func (n *numeral) compareText(text []byte) int {
	if n.isWhole {
		m, rest, ok := wholeOf(text)
		// A fraction decides only where the digits in front of it do not.
		if ok && (len(rest) == 0 || m != n.whole && rest[0] == '.' && digits(rest, 1) == len(rest)) {
			return cmp.Compare(n.whole, m)
		}
	}
	m := numeralOf(text)
	return n.compare(&m)
}

// compare is compareText for a number that has been taken apart.
func (n *numeral) compare(m *numeral) int {
	switch {
	case n.negative != m.negative:
		return sign(m.negative)
	case n.negative:
		return -n.compareSize(m)
	}
	return n.compareSize(m)
}

func sign(positive bool) int {
	if positive {
		return 1
	}
	return -1
}

// compareSize compares without the signs.
func (n *numeral) compareSize(m *numeral) int {
	switch {
	case len(n.digits) == 0 && len(m.digits) == 0:
		return 0
	case len(n.digits) == 0:
		return -1
	case len(m.digits) == 0:
		return 1
	case n.point != m.point:
		return sign(n.point > m.point)
	}
	for i, k := 0, 0; i < len(n.digits) || k < len(m.digits); i, k = i+1, k+1 {
		if i < len(n.digits) && n.digits[i] == '.' {
			i++
		}
		if k < len(m.digits) && m.digits[k] == '.' {
			k++
		}
		a, b := byte('0'), byte('0')
		if i < len(n.digits) {
			a = n.digits[i]
		}
		if k < len(m.digits) {
			b = m.digits[k]
		}
		if a != b {
			return sign(a > b)
		}
	}
	return 0
}
