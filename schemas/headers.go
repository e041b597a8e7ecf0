package schemas

import (
	"strconv"

	"sessionizer/session"
)

// The headers of a stamped event, so that consumers can route it without decoding it. Their values
// are text: the id as it is written but without quotes, "true", and a decimal number.
const (
	HeaderSessionID    = "session-id"
	HeaderSessionStart = "session-start" // on the start event only
	HeaderSessionIndex = "session-index"
)

// AppendHeaders appends the headers of a stamped event: those of its record, and the session's
// behind them. Headers of the record that have the names of the session's are left out, also where
// the event has no session; an event that passes untouched keeps them. in must not overlap dst.
//
// H is Header, or the like type of a Kafka client.
func AppendHeaders[H ~struct {
	Key   string
	Value []byte
}](dst, in []H, st *session.Stamp) []H {
	if st.Status == session.Bypass {
		return append(dst, in...)
	}
	for _, h := range in {
		switch Header(h).Key {
		case HeaderSessionID, HeaderSessionStart, HeaderSessionIndex:
		default:
			dst = append(dst, h)
		}
	}
	if st.Status != session.InSession {
		return dst
	}
	// The values share one buffer: it is as long as the record is, so it is made anew.
	const indexBytesMax = 10 // of a uint32
	b := make([]byte, 0, max(len(st.ID.Text), uuidCharacters)+indexBytesMax)
	b = appendRawID(b, st.ID)
	id := len(b)
	b = strconv.AppendUint(b, uint64(st.Index), 10)
	dst = append(dst, H(Header{HeaderSessionID, b[:id:id]}))
	if st.Start {
		dst = append(dst, H(Header{HeaderSessionStart, []byte("true")}))
	}
	return append(dst, H(Header{HeaderSessionIndex, b[id:]}))
}

// appendRawID appends an id as text, without quotes.
func appendRawID(dst []byte, id session.ID) []byte {
	if len(id.Text) > 0 {
		return append(dst, id.Text...)
	}
	return appendInt(dst, id.Int)
}
