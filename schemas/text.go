package schemas

import (
	"encoding/binary"
	"unicode/utf8"
)

// hexValues has the value of each hexadecimal digit and 0xff for every other byte.
var hexValues = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range 10 {
		t['0'+i] = byte(i)
	}
	for i := range 6 {
		t['a'+i], t['A'+i] = byte(10+i), byte(10+i)
	}
	return t
}()

const hexDigits = "0123456789abcdef"

func hex4(b []byte) rune {
	return rune(hexValues[b[0]])<<12 | rune(hexValues[b[1]])<<8 |
		rune(hexValues[b[2]])<<4 | rune(hexValues[b[3]])
}

// unquote appends a checked string's content with its escapes decoded. As in encoding/json, a
// surrogate without its partner becomes U+FFFD.
func unquote(dst, content []byte) []byte {
	for i := 0; i < len(content); {
		c := content[i]
		if c != '\\' {
			dst = append(dst, c)
			i++
			continue
		}
		c = content[i+1]
		i += 2
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			x := hex4(content[i:])
			i += 4
			if x >= surrogateMin && x < lowMin && i+6 <= len(content) &&
				content[i] == '\\' && content[i+1] == 'u' {
				if low := hex4(content[i+2:]); low >= lowMin && low <= surrogateMax {
					x = 0x10000 + (x-surrogateMin)<<10 + (low - lowMin)
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, x) // a surrogate is no rune: U+FFFD
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

// UTF-16 surrogates, RFC 8259 section 7 and the Unicode Standard, table 3-5.
const (
	surrogateMin = 0xd800
	lowMin       = 0xdc00
	surrogateMax = 0xdfff
)

// appendText appends text as a JSON string. What is not UTF-8 becomes U+FFFD.
func appendText[T string | []byte](dst []byte, text T) []byte {
	dst = append(dst, '"')
	i, done := 0, 0
	var word [8]byte
	for i+len(word) <= len(text) {
		copy(word[:], text[i:])
		if special(binary.LittleEndian.Uint64(word[:])) != 0 {
			break
		}
		i += len(word)
	}
	for i < len(text) {
		c := text[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			x, size := decodeRune(text[i:])
			if x != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		dst = append(dst, text[done:i]...)
		dst = appendEscape(dst, c)
		i++
		done = i
	}
	dst = append(dst, text[done:]...)
	return append(dst, '"')
}

func decodeRune[T string | []byte](text T) (rune, int) {
	var buf [utf8.UTFMax]byte
	return utf8.DecodeRune(buf[:copy(buf[:], text)])
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	}
	if c < ' ' {
		return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
	}
	return append(dst, "\ufffd"...)
}
