package schemas

import (
	"encoding/base64"
	"slices"
	"strconv"
	"unicode/utf8"
)

// The headers of a dead letter. Their values are text, numbers in decimal.
const (
	HeaderErrorTopic     = "__sessionizer.errors.topic"
	HeaderErrorPartition = "__sessionizer.errors.partition"
	HeaderErrorOffset    = "__sessionizer.errors.offset"
	HeaderErrorReason    = "__sessionizer.errors.reason"
	HeaderErrorMessage   = "__sessionizer.errors.message"
)

// HeaderErrorCut is the last header of a dead letter that could not hold all of its record: what
// was left out. The record itself is at its place in the input.
const HeaderErrorCut = "__sessionizer.errors.cut"

// DeadLetterHeaders appends the headers of a dead letter behind those of the record, which came
// from that place of the input. The record's own headers stay, of the same names too.
func DeadLetterHeaders(dst []Header, topic string, partition int32, offset int64,
	b *BadInput) []Header {
	return append(dst,
		Header{HeaderErrorTopic, []byte(topic)},
		Header{HeaderErrorPartition, strconv.AppendInt(nil, int64(partition), 10)},
		Header{HeaderErrorOffset, strconv.AppendInt(nil, offset, 10)},
		Header{HeaderErrorReason, []byte(b.Reason)},
		Header{HeaderErrorMessage, []byte(b.Message)},
	)
}

// AppendDeadLetterLine appends the dead letter of a file's line as a line of JSON, with its line
// feed: {"line":1,"reason":"malformed","message":"...","original":"..."}. line is counted from 1.
// Where IsOriginalText says no, its bytes are in originalBase64 (RFC 4648, section 4) in the place
// of original.
func AppendDeadLetterLine(dst []byte, line int64, original []byte, b *BadInput) []byte {
	if !utf8.Valid(original) {
		return AppendBinaryDeadLetterLine(dst, line, original, b)
	}
	escaped := EscapedBytes(original)
	if !IsOriginalText(int64(len(original)), escaped) {
		return AppendBinaryDeadLetterLine(dst, line, original, b)
	}
	dst = appendDeadLetterHead(dst, line, b)
	const around = len(`,"original":""}`) + len("\n")
	dst = slices.Grow(dst, around+int(escaped))
	dst = append(dst, `,"original":`...)
	dst = appendText(dst, original)
	return append(dst, '}', '\n')
}

// IsOriginalText reports whether text of so many bytes, which has so many EscapedBytes, is shown as
// text. Control characters become six bytes each: where it were more than twice what it is, base64
// shows it in a third more. A quote only doubles, so that what people write is never in base64.
func IsOriginalText(size, escaped int64) bool { return escaped <= 2*size }

// EscapedBytes is how many bytes a text takes inside of a JSON string. Of a text that is cut into
// pieces it is the sum of theirs.
func EscapedBytes(text []byte) int64 {
	n := len(text)
	for _, c := range text {
		switch {
		case c == '"', c == '\\':
			n++
		case c < ' ':
			n += len(appendEscape(make([]byte, 0, 6), c)) - 1
		}
	}
	return int64(n)
}

// AppendBinaryDeadLetterLine is AppendDeadLetterLine for an event that is no text even where its
// bytes happen to be: one in Avro. line is its number in the file, from 1.
func AppendBinaryDeadLetterLine(dst []byte, line int64, original []byte, b *BadInput) []byte {
	dst = appendDeadLetterHead(dst, line, b)
	const around = len(`,"originalBase64":""}`) + len("\n")
	dst = slices.Grow(dst, around+base64.StdEncoding.EncodedLen(len(original)))
	dst = append(dst, `,"originalBase64":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, original)
	return append(dst, '"', '}', '\n')
}

func appendDeadLetterHead(dst []byte, line int64, b *BadInput) []byte {
	dst = append(dst, `{"line":`...)
	dst = strconv.AppendInt(dst, line, 10)
	dst = append(dst, `,"reason":`...)
	dst = appendText(dst, string(b.Reason))
	dst = append(dst, `,"message":`...)
	return appendText(dst, b.Message)
}
