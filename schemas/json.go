package schemas

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// fault says what is wrong with a text that is not acceptable JSON.
type fault uint8

const (
	faultNone     fault = iota
	faultEnd            // the text ends inside a value
	faultSyntax         // a byte that may not stand here
	faultTop            // the top level is not an object
	faultTrailing       // bytes behind the object
	faultLiteral        // neither true, false nor null
	faultNumber         // a number not of the form of RFC 8259, section 6
	faultEscape         // an escape not of the form of RFC 8259, section 7
	faultControl        // a control character in a string
	faultUTF8           // a string that is not UTF-8
	faultDepth          // nested deeper than allowed
	faultEdits          // more session members than are taken note of
)

var faultTexts = [...]string{
	faultNone:     "no fault",
	faultEnd:      "unexpected end",
	faultSyntax:   "unexpected character",
	faultTop:      "not an object",
	faultTrailing: "data behind the object",
	faultLiteral:  "unknown literal",
	faultNumber:   "ill-formed number",
	faultEscape:   "ill-formed escape",
	faultControl:  "control character in a string",
	faultUTF8:     "not UTF-8",
	faultDepth:    "nested too deeply",
	faultEdits:    "too many session members",
}

func (f fault) String() string { return faultTexts[f] }

// checker reads JSON strictly as RFC 8259 has it: structure, numbers, escapes, UTF-8. It is a
// pass over the bytes that keeps nothing but the first fault.
type checker struct {
	depthMax int
	fault    fault
	at       int // of the fault
	// escaped is set by every string that holds an escape and cleared by nobody but the caller.
	escaped bool
}

// fail notes the fault and returns the offset that means one.
func (s *checker) fail(at int, f fault) int {
	s.fault, s.at = f, at
	return -1
}

// failAt is fail for a byte that is not what it has to be, or is not there at all.
func (s *checker) failAt(b []byte, at int, f fault) int {
	if at >= len(b) {
		return s.fail(at, faultEnd)
	}
	return s.fail(at, f)
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special has the high bit set of each byte of x that ends a plain run of a string: a quote, a
// backslash, a control character or a byte above ASCII. Only its lowest set bit is to be trusted:
// a subtraction borrows into the bytes above a hit, never below one. With bit 1 flipped the quote
// (0x22) lies at 0x20, right above the control characters, which stay among themselves, and
// nothing else below 0x21.
func special(x uint64) uint64 {
	return (((x ^ ones*2) - ones*0x21) | ((x ^ ones*'\\') - ones) | x) & highs
}

// plain is how many of the eight bytes of x come before the first special one.
func plain(x uint64) int { return bits.TrailingZeros64(special(x)) >> 3 }

func load(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }

// past is space for the usual case that there is none.
func past(b []byte, i int) int {
	if uint(i) < uint(len(b)) && b[i] <= ' ' {
		return space(b, i)
	}
	return i
}

// space returns the offset of the first byte at or behind i that is no white space.
func space(b []byte, i int) int {
	for i < len(b) {
		switch b[i] {
		case ' ':
			// Indented texts hold long runs of spaces.
			for i+8 <= len(b) && load(b, i) == ones*' ' {
				i += 8
			}
			if i < len(b) && b[i] == ' ' {
				i++
			}
		case '\n', '\r', '\t':
			i++
		default:
			return i
		}
	}
	return i
}

// text checks a string from i, which is behind its opening quote, and returns the offset behind
// its closing one.
func (s *checker) text(b []byte, i int) int {
	for {
		for i+16 <= len(b) {
			m := special(load(b, i))
			if m == 0 {
				i += 8
				m = special(load(b, i))
			}
			if m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				break
			}
			i += 8
		}
		if i >= len(b) {
			return s.fail(i, faultEnd)
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			if i = s.escape(b, i); i < 0 {
				return i
			}
		case c < ' ':
			return s.fail(i, faultControl)
		case c < utf8.RuneSelf:
			i++ // one of the last seven bytes
		default:
			if i = s.runes(b, i); i < 0 {
				return i
			}
		}
	}
}

// escape checks the escape at i and returns the offset behind it. Surrogates need no partner:
// encoding/json takes a lone one for U+FFFD, and so does unquote.
func (s *checker) escape(b []byte, i int) int {
	s.escaped = true
	if i+1 >= len(b) {
		return s.fail(len(b), faultEnd)
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		for k := i + 2; k < i+6; k++ {
			if k >= len(b) {
				return s.fail(k, faultEnd)
			}
			if hexValues[b[k]] > 0xf {
				return s.fail(i, faultEscape)
			}
		}
		return i + 6
	}
	return s.fail(i, faultEscape)
}

// runes checks the run of characters above ASCII at i and returns the offset behind it.
func (s *checker) runes(b []byte, i int) int {
	for i < len(b) && b[i] >= utf8.RuneSelf {
		_, size := utf8.DecodeRune(b[i:])
		if size == 1 {
			return s.fail(i, faultUTF8)
		}
		i += size
	}
	return i
}

// number checks the number at i and returns the offset behind it.
func (s *checker) number(b []byte, i int) int {
	at := i
	if b[i] == '-' {
		i++
	}
	switch first := i; {
	case i < len(b) && b[i] == '0':
		i++
	default:
		if i = digits(b, i); i == first {
			return s.failAt(b, i, s.numberFault(at, i))
		}
	}
	if i < len(b) && b[i] == '.' {
		first := i + 1
		if i = digits(b, first); i == first {
			return s.failAt(b, i, faultNumber)
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		first := i
		if i = digits(b, first); i == first {
			return s.failAt(b, i, faultNumber)
		}
	}
	return i
}

// numberFault tells a byte that begins no value from a minus that begins no number.
func (s *checker) numberFault(at, i int) fault {
	if at == i {
		return faultSyntax
	}
	return faultNumber
}

func digits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

// literal checks for true, false or null at i and returns the offset behind it.
func (s *checker) literal(b []byte, i int) int {
	want := "null"
	switch b[i] {
	case 't':
		want = "true"
	case 'f':
		want = "false"
	}
	if len(b)-i >= len(want) && string(b[i:i+len(want)]) == want {
		return i + len(want)
	}
	for k := range len(want) {
		if i+k >= len(b) {
			return s.fail(i+k, faultEnd)
		}
		if b[i+k] != want[k] {
			break
		}
	}
	return s.fail(i, faultLiteral)
}
