package dlq

import (
	"encoding/binary"
	"unicode/utf8"
)

// AppendAvro appends a dead letter in Avro's binary encoding, by schemas.DeadLetterSchema.
// isRedriven says that it was sent back.
func (l *Letter) AppendAvro(dst []byte, isRedriven bool) []byte {
	dst = appendText(appendSome(dst), l.From.Topic)
	dst = appendLong(appendSome(dst), int64(l.From.Partition))
	dst = appendLong(appendSome(dst), l.From.Offset)
	dst = appendLong(appendSome(dst), l.Record.Timestamp.UnixMilli())
	dst = appendNone(appendNone(dst)) // file, line
	dst = appendText(dst, l.Reason)
	dst = appendText(dst, l.Message)
	if l.Cut == "" {
		dst = appendNone(dst)
	} else {
		dst = appendText(appendSome(dst), l.Cut)
	}
	dst = appendBytesOrNull(dst, l.Record.Key)
	if n := len(l.Headers); n > 0 {
		dst = appendLong(dst, int64(n))
		for _, h := range l.Headers {
			dst = appendBytesOrNull(appendText(dst, h.Key), h.Value)
		}
	}
	dst = appendLong(dst, 0) // behind the last block of headers
	dst = appendLong(dst, int64(l.Attempts))
	dst = append(dst, flag(isRedriven))
	dst = appendText(appendSome(dst), l.At.Topic)
	dst = appendLong(dst, int64(l.At.Partition))
	dst = appendLong(dst, l.At.Offset)
	return append(appendLong(dst, int64(len(l.Record.Value))), l.Record.Value...)
}

// appendNone and appendSome append the branch of a union of null and something else.
func appendNone(dst []byte) []byte { return append(dst, 0) }
func appendSome(dst []byte) []byte { return append(dst, 2) }

// appendLong appends an int or a long: zigzag, seven bits a byte, the lowest first.
func appendLong(dst []byte, n int64) []byte { return binary.AppendVarint(dst, n) }

// appendText appends a string. As in JSON each byte that is no UTF-8 becomes U+FFFD.
func appendText(dst []byte, text string) []byte {
	if !utf8.ValidString(text) {
		text = string([]rune(text))
	}
	return append(appendLong(dst, int64(len(text))), text...)
}

func appendBytesOrNull(dst, b []byte) []byte {
	if b == nil {
		return appendNone(dst)
	}
	return append(appendLong(appendSome(dst), int64(len(b))), b...)
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}
