package audit

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// payload is an event taken apart: the session's members, and the rest.
//
// The session's members are context.session, context.sessionId and
// context.sessionStart, and context itself where nothing else is in it. The
// rest is all other bytes as they stand, but for white space between the
// members of the event and of its context.
type payload struct {
	rest        []byte
	session     []byte // the value of context.session
	anonymousID []byte // decoded
	timestamp   []byte // the values, as JSON
	original    []byte
	buffer      []byte
}

// read takes a value apart. What is no JSON object is all rest.
func (p *payload) read(value []byte) {
	buffer := p.buffer[:0]
	*p = payload{buffer: buffer, rest: value}
	if value == nil {
		return
	}
	buffer = append(buffer, '{')
	ok := members(value, func(name, content []byte) bool {
		switch string(name) {
		case "anonymousId":
			p.anonymousID = unquote(content)
		case "timestamp":
			p.timestamp = content
		case "originalTimestamp":
			p.original = content
		case "context":
			kept := len(buffer)
			buffer = append(buffer, `"context":`...)
			var some bool
			if buffer, some = p.readContext(buffer, content); !some {
				buffer = buffer[:kept]
				return true
			}
			buffer = append(buffer, ',')
			return true
		}
		buffer = append(append(buffer, '"'), name...)
		buffer = append(append(append(buffer, `":`...), content...), ',')
		return true
	})
	p.buffer = buffer
	if ok {
		p.rest = buffer
		return
	}
	*p = payload{buffer: buffer, rest: value}
}

// readContext appends a context without the session; false if nothing is left.
func (p *payload) readContext(b, content []byte) ([]byte, bool) {
	if string(content) == "null" {
		return b, false
	}
	start := len(b)
	b = append(b, '{')
	some := false
	object := members(content, func(name, inner []byte) bool {
		switch string(name) {
		case "session":
			p.session = inner
			return true
		case "sessionId", "sessionStart":
			return true
		}
		b = append(append(b, '"'), name...)
		b = append(append(append(b, `":`...), inner...), ',')
		some = true
		return true
	})
	if !object {
		return append(b[:start], content...), true
	}
	return append(b, '}'), some
}

// members calls f with the name, without its quotes, and the value of each
// member of a JSON object. It reads no deeper than it must: that a payload is
// well formed is not its business. False: this is no object, or f said so.
func members(object []byte, f func(name, content []byte) bool) bool {
	i := space(object, 0)
	if i >= len(object) || object[i] != '{' {
		return false
	}
	i = space(object, i+1)
	if i < len(object) && object[i] == '}' {
		return space(object, i+1) == len(object)
	}
	for {
		end := text(object, i)
		if end < 0 {
			return false
		}
		name := object[i+1 : end-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			if name = unquote(object[i:end]); name == nil {
				return false
			}
		}
		i = space(object, end)
		if i >= len(object) || object[i] != ':' {
			return false
		}
		from := space(object, i+1)
		to := skip(object, from)
		if to < 0 || !f(name, object[from:to]) {
			return false
		}
		i = space(object, to)
		if i >= len(object) {
			return false
		}
		switch object[i] {
		case ',':
			i = space(object, i+1)
		case '}':
			return space(object, i+1) == len(object)
		default:
			return false
		}
	}
}

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// text returns the end of the string that begins at i, or a negative number.
func text(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// skip returns the end of the value that begins at i, or a negative number.
func skip(b []byte, i int) int {
	depth, start := 0, i
	for i < len(b) {
		switch b[i] {
		case '"':
			if i = text(b, i); i < 0 {
				return -1
			}
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return ended(start, i)
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return ended(start, i)
			}
		}
		i++
	}
	return -1
}

// ended is the end of a number or name, which has one byte at least.
func ended(start, end int) int {
	if end == start {
		return -1
	}
	return end
}

// unquote decodes a JSON string, or returns nil.
func unquote(quoted []byte) []byte {
	if len(quoted) >= 2 && quoted[0] == '"' && bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	var s string
	if len(quoted) == 0 || quoted[0] != '"' || json.Unmarshal(quoted, &s) != nil {
		return nil
	}
	return []byte(s)
}

// noTime stands for a time that is not there.
const noTime = math.MinInt64

// eventMs is the time of the event: timestamp, originalTimestamp, that of the
// record; and not later than the record's by more than the tolerance.
func (p *payload) eventMs(recordMs, toleranceMs int64) int64 {
	if p.anonymousID == nil {
		return noTime
	}
	ms, ok := parseTime(p.timestamp)
	if !ok {
		ms, ok = parseTime(p.original)
	}
	if !ok || ms > recordMs+toleranceMs {
		return recordMs
	}
	return ms
}

// The magnitudes below which a number is in seconds, milliseconds,
// microseconds; others are nanoseconds.
const (
	secondsBelow = 1e11
	millisBelow  = 1e14
	microsBelow  = 1e17
)

func parseTime(content []byte) (int64, bool) {
	s := string(content)
	if len(content) > 0 && content[0] == '"' {
		s = string(unquote(content))
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		switch m := max(n, -n); {
		case m < secondsBelow:
			return n * 1000, true
		case m < millisBelow:
			return n, true
		case m < microsBelow:
			return floor(n, 1000), true
		}
		return floor(n, 1_000_000), true
	}
	leap := int64(0)
	if len(s) >= 19 && s[16] == ':' && s[17:19] == "60" {
		s, leap = s[:17]+"59"+s[19:], 1000
	}
	for _, layout := range [...]string{time.RFC3339, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() >= 1 && !strings.HasPrefix(s, "0000") {
			if leap != 0 {
				t = t.Truncate(time.Second)
			}
			return t.UnixMilli() + leap, true
		}
	}
	return 0, false
}

func floor(n, by int64) int64 {
	if n%by < 0 {
		return n/by - 1
	}
	return n / by
}
