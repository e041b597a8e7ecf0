package schemas

import "unicode/utf8"

// A campaign is looked at as a whole: its members are written as JSON, which is read as that of
// other events.

// Limits of a campaign in the view: what has more members, or a longer text, is none in any case.
// Four members may have one name: X, utm_X, and campaign for name.
const (
	seenMembersMax = 4*campaignMembersMax + 1
	seenTextMax    = collectedObjectBytesMax + 1
)

// appendPairs appends the members of a campaign, and returns what is behind it.
func appendPairs(dst []byte, t *avroType, b []byte, members *int) ([]byte, []byte) {
	if t.kind == avroRecord {
		for i := range t.fields {
			f := &t.fields[i]
			var says bool
			n := len(dst)
			if *members++; *members > seenMembersMax {
				return dst, nil
			}
			dst = appendLabel(dst, f.name, *members)
			if dst, b, says = appendPair(dst, f.typ, b); !says { // absent, as JSON has it
				dst = dst[:n]
				*members--
			}
		}
		return dst, b
	}
	for {
		count, behind := avroVarint(b)
		if b = behind; count == 0 {
			return dst, b
		}
		if count < 0 {
			count = -count
			_, b = avroVarint(b)
		}
		for ; count > 0; count-- {
			size, content := avroVarint(b)
			if *members++; *members > seenMembersMax {
				return dst, nil
			}
			dst = appendLabel(dst, cutText(content[:size]), *members)
			dst, b, _ = appendPair(dst, t.items, content[size:])
		}
	}
}

func appendLabel[T string | []byte](dst []byte, name T, members int) []byte {
	if members > 1 {
		dst = append(dst, ',')
	}
	return append(appendText(dst, name), ':')
}

// appendPair appends a value of a campaign: a scalar, or null for what says nothing there.
func appendPair(dst []byte, t *avroType, b []byte) (seen, behind []byte, says bool) {
	for t.kind == avroUnion {
		var index int64
		index, b = avroVarint(b)
		t = t.branches[index]
	}
	behind = avroBehind(t, b)
	value := b[:len(b)-len(behind)]
	switch form := formOf(t); form {
	case formText:
		return appendText(dst, cutText(avroContent(value))), behind, true
	case formOpaque, formObject:
	default:
		n := len(dst)
		shape := avroShape{form, t}
		var first byte
		if dst, first = appendSeen(dst, &shape, value); first != avroOpaque {
			return dst, behind, true
		}
		dst = dst[:n]
	}
	return append(dst, "null"...), behind, false
}

// avroBehind returns what is behind a value that was walked over.
func avroBehind(t *avroType, b []byte) []byte {
	switch t.kind {
	case avroNull:
		return b
	case avroBoolean:
		return b[1:]
	case avroInt, avroLong, avroEnum:
		_, b = avroVarint(b)
		return b
	case avroFloat:
		return b[4:]
	case avroDouble:
		return b[8:]
	case avroFixed:
		return b[t.size:]
	case avroBytes, avroString:
		size, b := avroVarint(b)
		return b[size:]
	case avroUnion:
		index, b := avroVarint(b)
		return avroBehind(t.branches[index], b)
	case avroRecord:
		for i := range t.fields {
			b = avroBehind(t.fields[i].typ, b)
		}
		return b
	}
	for {
		count, behind := avroVarint(b)
		if b = behind; count == 0 {
			return b
		}
		if count < 0 { // the size is that of the items, as was checked
			size, behind := avroVarint(b)
			b = behind[size:]
			continue
		}
		for ; count > 0; count-- {
			if t.kind == avroMap {
				size, behind := avroVarint(b)
				b = behind[size:]
			}
			b = avroBehind(t.items, b)
		}
	}
}

// cutText cuts a text that is too long for a campaign in front of a character.
func cutText(text []byte) []byte {
	if len(text) <= seenTextMax {
		return text
	}
	text = text[:seenTextMax]
	for len(text) > 0 && !utf8.RuneStart(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	return text[:len(text)-1]
}
