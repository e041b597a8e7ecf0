package schemas

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// glob is a compiled pattern. The parts between its stars are looked for one behind the other, each
// at its first place, which is right because a star takes any run: what a later place of a part
// allows the first one allows too. No part is looked for twice and each in linear time, so a match
// costs no more than the text is long, whatever the text is.
type glob struct {
	star  bool // there is one; without it head is the whole pattern
	head  globPart
	tail  globPart // behind the last star
	parts []globPart
}

// globPart is a run of a pattern without a star.
type globPart struct {
	text  string
	bytes []byte // text
	any   bool   // there is a question mark in it
	// A part with a question mark that may begin anywhere is looked for with all its beginnings at
	// once, a bit each (Baeza-Yates and Gonnet, "A New Approach to Text Searching", 1992). Bit i of
	// a character's mask: the part may have it in position i.
	masks  *[utf8.RuneSelf]uint64
	others map[rune]uint64
	wild   uint64 // the mask of every other character
	last   uint64 // the bit of the part's last position
	size   int    // characters
}

// globPartMax is how many characters a part with a question mark between two stars may have.
const globPartMax = 64

// newGlob compiles a pattern: a star is any run of characters, even an empty one, a question mark
// is one character, a code point, and all else stands for itself.
func newGlob(pattern string) (*glob, error) {
	if !utf8.ValidString(pattern) {
		return nil, fmt.Errorf("glob %q: not UTF-8", pattern)
	}
	var texts []string
	for text := range strings.SplitSeq(pattern, "*") {
		texts = append(texts, text)
	}
	g := &glob{head: newGlobPart(texts[0])}
	if len(texts) == 1 {
		return g, nil
	}
	g.star, g.tail = true, newGlobPart(texts[len(texts)-1])
	for _, text := range texts[1 : len(texts)-1] {
		if text == "" {
			continue
		}
		part := newGlobPart(text)
		if part.any {
			if part.size > globPartMax {
				return nil, fmt.Errorf("glob %q: %d characters between two stars, at most %d with a ?",
					pattern, part.size, globPartMax)
			}
			part.makeMasks()
		}
		g.parts = append(g.parts, part)
	}
	return g, nil
}

func newGlobPart(text string) globPart {
	return globPart{text: text, bytes: []byte(text), any: strings.Contains(text, "?"),
		size: utf8.RuneCountInString(text)}
}

func (p *globPart) makeMasks() {
	p.masks, p.others = &[utf8.RuneSelf]uint64{}, map[rune]uint64{}
	bit := uint64(1)
	for _, x := range p.text {
		switch {
		case x == '?':
			p.wild |= bit
		case x < utf8.RuneSelf:
			p.masks[x] |= bit
		default:
			p.others[x] |= bit
		}
		p.last = bit
		bit <<= 1
	}
	for i := range p.masks {
		p.masks[i] |= p.wild
	}
	for x := range p.others {
		p.others[x] |= p.wild
	}
}

// match reports whether the whole text is of the form of the pattern. The text is UTF-8.
func (g *glob) match(text []byte) bool {
	n, ok := g.head.prefix(text)
	if !ok {
		return false
	}
	text = text[n:]
	if !g.star {
		return len(text) == 0
	}
	n, ok = g.tail.suffix(text)
	if !ok {
		return false
	}
	text = text[:len(text)-n]
	for i := range g.parts {
		n = g.parts[i].find(text)
		if n < 0 {
			return false
		}
		text = text[n:]
	}
	return true
}

// prefix returns how many bytes of the beginning of the text the part is.
func (p *globPart) prefix(text []byte) (int, bool) {
	if !p.any {
		n := len(p.text)
		return n, len(text) >= n && string(text[:n]) == p.text
	}
	n := 0
	for _, x := range p.text {
		y, size := utf8.DecodeRune(text[n:])
		if size == 0 || x != '?' && x != y {
			return 0, false
		}
		n += size
	}
	return n, true
}

// suffix returns how many bytes of the end of the text the part is.
func (p *globPart) suffix(text []byte) (int, bool) {
	if !p.any {
		n := len(p.text)
		return n, len(text) >= n && string(text[len(text)-n:]) == p.text
	}
	n := 0
	for range p.size {
		_, size := utf8.DecodeLastRune(text[:len(text)-n])
		n += size
	}
	m, ok := p.prefix(text[len(text)-n:])
	return n, ok && m == n
}

// find returns the offset behind the first place of the part in the text; negative: there is none.
func (p *globPart) find(text []byte) int {
	if !p.any {
		i := bytes.Index(text, p.bytes)
		if i < 0 {
			return i
		}
		return i + len(p.text)
	}
	var begun uint64
	for i := 0; i < len(text); {
		mask, size := p.wild, 1
		if c := text[i]; c < utf8.RuneSelf {
			mask = p.masks[c]
		} else {
			var x rune
			x, size = utf8.DecodeRune(text[i:])
			if other, ok := p.others[x]; ok {
				mask = other
			}
		}
		i += size
		begun = (begun<<1 | 1) & mask
		if begun&p.last != 0 {
			return i
		}
	}
	return -1
}
