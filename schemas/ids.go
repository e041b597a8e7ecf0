package schemas

import (
	"bytes"

	"sessionizer/session"
)

const (
	// debugPrefix begins the ids of Tracardi's debug sessions: their events pass untouched.
	debugPrefix = "@debug-"

	stringIDBytesMax = 128
	int64DigitsSafe  = 18 // so many digits are below 1e18: an int64 holds them
	uuidCharacters   = 36
)

// scanID finds the client's session id. The first place that is there counts, even an invalid one.
func (c *Codec) scanID(value []byte, sc *Scanned) {
	e := &sc.Event
	for _, n := range c.paths[pathSessionID] {
		s := &sc.reader.slots[n]
		if s.first == 0 {
			continue
		}
		var text []byte
		if s.first == '"' {
			text = sc.text(value, s)
			if len(text) >= len(debugPrefix) && string(text[:len(debugPrefix)]) == debugPrefix {
				e.Debug = true
				return
			}
		}
		switch c.idType {
		case session.IDInt64:
			e.Client.Int, e.Invalid = c.intID(value, s)
		case session.IDUUID:
			e.Client.Text, e.Invalid = sc.uuidID(text, s)
		case session.IDString:
			e.Client.Text, e.Invalid = stringID(text, s)
		}
		return
	}
}

// intID reads a number exactly: an integer, or one with a fraction of zeros. It never passes
// through a float, which would round ids above 2^53.
func (c *Codec) intID(value []byte, s *slot) (int64, session.Invalid) {
	switch {
	case s.first == 'n':
		return 0, session.InvalidBlank
	case s.first != '-' && s.first-'0' > 9:
		return 0, session.InvalidType
	}
	return parseInt(value[s.start:s.end], c.idMin)
}

// parseInt reads the text of a JSON number.
func parseInt(text []byte, charactersMin int) (int64, session.Invalid) {
	if len(text) >= 8 && len(text) <= 16 && len(text) >= charactersMin {
		if n, ok := parse16(text); ok && n != 0 {
			return int64(n), session.ValidID // the usual case
		}
	}
	negative := text[0] == '-'
	i := 0
	if negative {
		i = 1
	}
	digits := i
	var n uint64
	overflow := false
	for ; i < len(text) && text[i]-'0' <= 9; i++ {
		d := uint64(text[i] - '0')
		overflow = overflow || i-digits >= int64DigitsSafe && n > (1<<63-d)/10
		n = n*10 + d
	}
	characters := i
	if i < len(text) && text[i] == '.' {
		for i++; i < len(text) && text[i] == '0'; i++ {
		}
	}
	switch {
	case i < len(text):
		return 0, session.InvalidFraction
	case overflow || n == 1<<63 && !negative:
		return 0, session.InvalidRange
	case n == 0:
		return 0, session.InvalidZero
	case characters < charactersMin:
		return 0, session.InvalidShort
	case negative:
		return -int64(n), session.ValidID // -2^63 is its own negative
	}
	return int64(n), session.ValidID
}

// uuidID returns the canonical form, in lower case, of the text of a UUID.
func (sc *Scanned) uuidID(text []byte, s *slot) ([]byte, session.Invalid) {
	if invalid := blankID(text, s); invalid != session.ValidID {
		return nil, invalid
	}
	if len(text) != uuidCharacters || string(text) == nilUUID {
		return nil, session.InvalidUUID
	}
	lower := true
	for i, ch := range text {
		switch i {
		case 8, 13, 18, 23:
			if ch != '-' {
				return nil, session.InvalidUUID
			}
		default:
			if hexValues[ch] > 0xf {
				return nil, session.InvalidUUID
			}
			lower = lower && (ch < 'A' || ch > 'F')
		}
	}
	if lower {
		return text, session.ValidID
	}
	n := len(sc.scratch)
	for _, ch := range text {
		if ch >= 'A' && ch <= 'F' {
			ch |= 0x20
		}
		sc.scratch = append(sc.scratch, ch)
	}
	return sc.scratch[n:len(sc.scratch):len(sc.scratch)], session.ValidID
}

func stringID(text []byte, s *slot) ([]byte, session.Invalid) {
	if invalid := blankID(text, s); invalid != session.ValidID {
		return nil, invalid
	}
	if len(text) > stringIDBytesMax {
		return nil, session.InvalidLong
	}
	return text, session.ValidID
}

// blankID says what is wrong with an id that names nothing, or is no text.
func blankID(text []byte, s *slot) session.Invalid {
	if s.first == 'n' {
		return session.InvalidBlank
	}
	if s.first != '"' {
		return session.InvalidType
	}
	switch string(bytes.TrimSpace(text)) {
	case "", "null", "undefined":
		return session.InvalidBlank
	}
	return session.ValidID
}
