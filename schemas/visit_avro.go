package schemas

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"

	"sessionizer/session"
)

// The records about visits in Avro say what they say in JSON, member by member, but for what a
// profile adds there (visits.members), which repeats members that all of them have.
//
// They are written here field by field, in the order of visit.avsc, and read by goavro in tests.
// goavro itself writes the entries of a map in another order each time: the same log would not give
// the same bytes.

// appendVisitAvro appends a record about a visit, which begins with the head.
func (c *Codec) appendVisitAvro(dst []byte, head *visitHead, source, anonymousID []byte,
	e *session.Ended, o Origin) []byte {
	s := &e.Session
	if c.visits.isFramed {
		dst = appendFrame(dst, c.visits.schemaID)
	}
	dst = appendAvroText(dst, head.names.Type)
	dst = appendAvroText(dst, head.names.Event)
	var id [uuidCharacters + 1 + 20]byte
	uuid := session.AppendUUID(id[:0], s.UUID)
	dst = appendAvroText(dst, strconv.AppendUint(append(uuid, '-'), uint64(e.Revision), 10))
	dst = appendAvroText(dst, anonymousID)
	dst = appendAvroTextOrNull(dst, s.LastUser.Bytes)
	var firstUser []byte
	if !bytes.Equal(s.FirstUser.Bytes, s.LastUser.Bytes) {
		firstUser = s.FirstUser.Bytes
	}
	dst = appendAvroTextOrNull(dst, firstUser)
	dst = appendAvroTextOrNull(dst, source)
	dst = appendAvroID(dst, s.ID, 0)
	dst = appendAvroText(dst, uuid)
	dst = appendAvroLong(dst, int64(s.Index))
	dst = appendAvroIDOrNull(dst, s.Previous)
	dst = appendAvroText(dst, e.Reason.String())
	dst = appendAvroLong(dst, int64(e.Revision))
	dst = appendAvroIDOrNull(dst, e.MergedInto)
	for _, n := range [...]int64{int64(s.First), int64(s.Last), int64(e.DurationMs()),
		int64(s.ActiveMs), int64(s.Timeout)} {
		dst = appendAvroLong(dst, n)
	}
	if e.AmendableUntil == session.NoTime {
		dst = appendAvroBranch(dst, 0)
	} else {
		dst = appendAvroBranch(dst, 1)
		dst = appendAvroLong(dst, int64(min(e.AmendableUntil, session.TimeMax)))
	}
	for _, n := range [...]uint64{s.Events, s.Pages, s.Screens, s.Tracks, s.Late, s.Duplicates,
		s.Attached} {
		dst = appendAvroLong(dst, int64(n))
	}
	dst = appendAvroCollected(dst, s)
	dst = appendAvroText(dst, o.Topic)
	for _, n := range [...]int64{int64(o.Partition), s.FirstOffset, s.LastOffset, o.DecidedAt} {
		dst = appendAvroLong(dst, n)
	}
	return dst
}

// appendAvroCollected appends what the session has collected.
func appendAvroCollected(dst []byte, s *session.Session) []byte {
	for _, n := range [...]uint32{s.Foreground, s.Background} {
		if n == 0 {
			dst = appendAvroBranch(dst, 0)
			continue
		}
		dst = appendAvroLong(appendAvroBranch(dst, 1), int64(n))
	}
	dst = appendAvroTextOrNull(dst, s.FirstEvent)
	dst = appendAvroTextOrNull(dst, s.LastEvent)
	dst = appendAvroPlace(dst, s.Entry.Bytes)
	dst = appendAvroPlace(dst, s.Exit.Bytes)
	dst = appendAvroMap(dst, s.Campaign.Bytes)
	if len(s.Referrer.Bytes) == 0 {
		dst = appendAvroBranch(dst, 0)
	} else {
		text, _ := token(decoderOf(s.Referrer.Bytes)).(string)
		dst = appendAvroText(appendAvroBranch(dst, 1), text)
	}
	return appendAvroMap(dst, s.Context.Bytes)
}

// appendAvroPlace appends what has been collected as {"url":"..."} or {"screen":"..."}.
func appendAvroPlace(dst, collected []byte) []byte {
	if len(collected) == 0 {
		return appendAvroBranch(dst, 0)
	}
	dst = appendAvroBranch(dst, 1)
	place := scalarsOf(collected)[0]
	for _, name := range [...]string{"url", "screen"} {
		if place.path != name {
			dst = appendAvroBranch(dst, 0)
			continue
		}
		dst = appendAvroText(appendAvroBranch(dst, 1), place.text)
	}
	return dst
}

// appendAvroMap appends what has been collected as an object.
func appendAvroMap(dst, collected []byte) []byte {
	if len(collected) == 0 {
		return appendAvroBranch(dst, 0)
	}
	scalars := scalarsOf(collected)
	dst = appendAvroBranch(dst, 1)
	dst = appendAvroLong(dst, int64(len(scalars)))
	for _, s := range scalars {
		dst = appendAvroText(dst, s.path)
		dst = appendAvroText(dst, s.text)
	}
	return appendAvroLong(dst, 0) // no further block
}

// scalar is a value of an object, by its path with dots. A number is the text that the event had.
type scalar struct{ path, text string }

// scalarsOf returns the scalars of an object that has been collected, in their order: at least one.
func scalarsOf(collected []byte) []scalar {
	d := decoderOf(collected)
	token(d)
	return appendScalars(nil, d, "")
}

// appendScalars reads on to the end of an object that has begun.
func appendScalars(list []scalar, d *json.Decoder, prefix string) []scalar {
	for d.More() {
		name, _ := token(d).(string)
		switch value := token(d).(type) {
		case json.Delim:
			list = appendScalars(list, d, prefix+name+".")
		default: // a string, a json.Number, a bool
			list = append(list, scalar{prefix + name, fmt.Sprint(value)})
		}
	}
	token(d)
	return list
}

func decoderOf(collected []byte) *json.Decoder {
	d := json.NewDecoder(bytes.NewReader(collected))
	d.UseNumber()
	return d
}

// token returns the next token of JSON that this package has made: that there is none is a fault
// of the program.
func token(d *json.Decoder) json.Token {
	t, err := d.Token()
	if err != nil {
		panic(fmt.Sprintf("offset %d of what a session collected: %v", d.InputOffset(), err))
	}
	return t
}

// appendAvroLong appends an int or a long: zigzag, seven bits a byte, the lowest first.
func appendAvroLong(dst []byte, n int64) []byte { return binary.AppendVarint(dst, n) }

// appendAvroBranch appends the number of a union's branch, from 0.
func appendAvroBranch(dst []byte, branch byte) []byte { return append(dst, branch<<1) }

// appendAvroText appends a string. As in JSON each byte that is no UTF-8 becomes U+FFFD.
func appendAvroText[T string | []byte](dst []byte, text T) []byte {
	if valid := utf8.ValidString(string(text)); !valid {
		whole := string([]rune(string(text)))
		return append(appendAvroLong(dst, int64(len(whole))), whole...)
	}
	return append(appendAvroLong(dst, int64(len(text))), text...)
}

// appendAvroTextOrNull appends null where there is no text.
func appendAvroTextOrNull(dst, text []byte) []byte {
	if len(text) == 0 {
		return appendAvroBranch(dst, 0)
	}
	return appendAvroText(appendAvroBranch(dst, 1), text)
}

// appendAvroID appends a number, or a text where the id has one; they are branches that follow one
// another in their union.
func appendAvroID(dst []byte, id session.ID, branch byte) []byte {
	if len(id.Text) > 0 {
		return appendAvroText(appendAvroBranch(dst, branch+1), id.Text)
	}
	return appendAvroLong(appendAvroBranch(dst, branch), id.Int)
}

func appendAvroIDOrNull(dst []byte, id session.ID) []byte {
	if id.IsZero() {
		return appendAvroBranch(dst, 0)
	}
	return appendAvroID(dst, id, 1)
}
