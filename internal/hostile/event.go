package hostile

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Event is a record that means harm, and what becomes of it.
type Event struct {
	Name   string
	Record kgo.Record
	Reason string // of its dead letter; empty: it comes out
}

// Limits of the events: those of the configuration by default.
const (
	limitRecord      = 1 << 20
	limitDepth       = 64
	limitAnonymousID = 1 << 10
	mega             = 1_000_000
)

// Events returns the events, at a time and in a profile that reads anonymousId, timestamp and
// context. Their record timestamp is the time.
func Events(at time.Time) []Event {
	var all []Event
	for _, some := range [][]Event{
		nested(at), broken(at), numbers(at), names(at), texts(at), times(at), envelopes(at),
	} {
		all = append(all, some...)
	}
	for i := range all {
		r := &all[i].Record
		if r.Timestamp.IsZero() {
			r.Timestamp = at
		}
		if r.Key == nil && all[i].Name != "NullKey" {
			r.Key = []byte("key-" + all[i].Name)
		}
	}
	return all
}

// head are the members of an event that is fine but for what comes behind them.
func head(at time.Time, id string) string {
	return fmt.Sprintf(`{"anonymousId":%q,"messageId":%q,"timestamp":%q`,
		id, id, at.UTC().Format(time.RFC3339))
}

func valued(name, value, reason string) Event {
	return Event{name, kgo.Record{Value: []byte(value)}, reason}
}

// with is an event with a further member, which may be any bytes.
func with(at time.Time, name, member, reason string) Event {
	return valued(name, head(at, name)+","+member+"}", reason)
}

func nested(at time.Time) []Event {
	in := func(open, shut string, n int) string {
		return `"x":` + strings.Repeat(open, n) + "1" + strings.Repeat(shut, n)
	}
	return []Event{
		with(at, "DeepArrays", in("[", "]", 10_000), "limit"),
		with(at, "DeepObjects", in(`{"x":`, "}", 10_000), "limit"),
		with(at, "DeepBoth", in(`[{"x":`, "}]", 10_000), "limit"),
		with(at, "DeepContext", `"context":`+strings.Repeat(`{"session":`, 5000)+"1"+
			strings.Repeat("}", 5000), "limit"),
		valued("DeepAndOpen", head(at, "d")+`,"x":`+strings.Repeat("[", 100_000), "limit"),
		valued("DeepFromTheStart", strings.Repeat("[", 100_000), "limit"),
		with(at, "AsDeepAsAllowed", in("[", "]", limitDepth-1), ""),
		with(at, "OneTooDeep", in("[", "]", limitDepth), "limit"),
		with(at, "ManyShallow", `"x":[`+strings.Repeat("[],", 100_000)+"[]]", ""),
	}
}

func broken(at time.Time) []Event {
	cut := head(at, "cut") + `,"x":{"y":[1,2`
	all := []Event{
		valued("Empty", "", "malformed"),
		valued("Blank", strings.Repeat(" ", 10_000), "malformed"),
		valued("CutOff", cut, "malformed"),
		valued("NoObject", "[1]", "malformed"),
		valued("OnlyNUL", strings.Repeat("\x00", 1000), "malformed"),
		valued("ByteOrderMark", "\ufeff"+head(at, "b")+"}", "malformed"),
		valued("TwoOfThem", head(at, "a")+"}"+head(at, "b")+"}", "malformed"),
		valued("QuotesOnly", strings.Repeat(`"`, 100_000), "malformed"),
		valued("BackslashAtTheEnd", head(at, "b")+`,"x":"`+strings.Repeat(`\\`, 1000)+`\`, "malformed"),
		with(at, "NULBetween", "\x00\"x\":1", "malformed"),
		with(at, "NULInAText", "\"x\":\"a\x00b\"", "malformed"),
		with(at, "NULInAName", "\"x\x00\":1", "malformed"),
		with(at, "TrailingComma", `"x":[1,]`, "malformed"),
		with(at, "Comment", `/* x */ "x":1`, "malformed"),
		with(at, "SingleQuotes", `'x':1`, "malformed"),
		with(at, "BadEscape", `"x":"\x41"`, "malformed"),
		with(at, "HalfAnEscape", `"x":"\u00"`, "malformed"),
		with(at, "DeleteIsNoControl", "\"x\":\"\x7f\"", ""),
		with(at, "NULEscaped", `"x":"\u0000"`, ""),
		with(at, "LoneSurrogates", `"x":"\ud800 \udc00 \udc00\ud800"`, ""),
	}
	for c := range byte(' ') {
		all = append(all, with(at, fmt.Sprintf("Control%02x", c), `"x":"`+string(rune(c))+`"`, "malformed"))
	}
	// What is no UTF-8: a byte that never occurs, a lone continuation, cut short, longer than need
	// be, half a surrogate pair, and beyond Unicode.
	for i, text := range []string{
		"\xff", "\x80", "\xe2\x82", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
	} {
		all = append(all,
			with(at, fmt.Sprint("NotUTF8Value", i), `"x":"`+text+`"`, "malformed"),
			with(at, fmt.Sprint("NotUTF8Name", i), `"`+text+`":1`, "malformed"),
			with(at, fmt.Sprint("NotUTF8ID", i), `"anonymousId":"`+text+`"`, "malformed"))
	}
	return all
}

func numbers(at time.Time) []Event {
	digits := strings.Repeat("9", 900_000)
	all := []Event{
		with(at, "HugeExponent", `"x":1e999999`, ""),
		with(at, "TinyExponent", `"x":-1E-999999`, ""),
		with(at, "ManyDigits", `"x":`+digits, ""),
		with(at, "ManyDecimals", `"x":0.`+digits, ""),
		with(at, "LongExponent", `"x":1e`+digits, ""),
		with(at, "MoreDigitsThanALimit", `"x":`+strings.Repeat("9", 10*mega), "limit"),
		with(at, "IDOfManyDigits", `"context":{"session":{"id":`+digits+`}}`, ""),
		with(at, "IDOfAnExponent", `"context":{"session":{"id":1e999999}}`, ""),
		with(at, "IDBeyondInt64", `"context":{"session":{"id":9223372036854775808}}`, ""),
		with(at, "TimeOfManyDigits", `"timestamp":`+digits, ""),
		with(at, "TimeOfAnExponent", `"timestamp":1e999999`, ""),
	}
	for i, text := range []string{
		"01", "-01", "1.", ".5", "+1", "-", "1e", "1e+", "0x10", "1_000", "NaN", "Infinity", "-Infinity",
		"1.2.3", "--1", "0e", "1,5e",
	} {
		all = append(all, with(at, fmt.Sprint("NoNumber", i), `"x":`+text, "malformed"))
	}
	return all
}

func names(at time.Time) []Event {
	members := func(n int, form func(i int) string) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(form(i))
		}
		return b.String()
	}
	last := `"anonymousId":"DuplicateIDs","timestamp":"` + at.UTC().Format(time.RFC3339) + `"`
	return []Event{
		with(at, "ManyMembers", members(100_000, func(i int) string { return fmt.Sprintf(`"%x":1`, i) }), ""),
		with(at, "Duplicates", members(100_000, func(int) string { return `"x":1` }), ""),
		with(at, "DuplicateIDs", members(20_000, func(i int) string {
			return fmt.Sprintf(`"anonymousId":"x%d"`, i)
		})+","+last, ""),
		with(at, "DuplicateContexts", members(20_000, func(int) string {
			return `"context":{"session":{"id":1}}`
		}), "limit"),
		with(at, "LastContextIsBad", members(1000, func(int) string { return `"context":{}` })+
			`,"context":7`, "bad_context"),
		with(at, "LastIDIsBlank", members(1000, func(int) string { return `"anonymousId":"x"` })+
			`,"anonymousId":" "`, "no_key"),
		// Names that agree where a table would look: their first bytes, their last, their length.
		with(at, "AlikeNames", members(15_000, func(i int) string {
			return fmt.Sprintf(`"anonymou%08x":1,"%08xstamp":1,"anonymousI%x":1`, i, i, i&7)
		}), ""),
		with(at, "LongName", `"`+strings.Repeat("n", mega)+`":1`, ""),
		with(at, "LongNameOfEscapes", `"`+strings.Repeat(`\u006e`, mega/6)+`":1`, ""),
		with(at, "EmptyNames", members(50_000, func(int) string { return `"":""` }), ""),
		with(at, "EscapedNames", members(20_000, func(int) string {
			return `"\u0061nonymousId":"EscapedNames"`
		}), ""),
	}
}

func texts(at time.Time) []Event {
	long := strings.Repeat("x", limitAnonymousID+1)
	return []Event{
		with(at, "LargerThanTheLimit", `"x":"`+strings.Repeat("y", limitRecord)+`"`, "limit"),
		with(at, "MuchLarger", `"x":"`+strings.Repeat("y", 8*limitRecord)+`"`, "limit"),
		filled(at, "AsLargeAsAllowed", limitRecord, ""),
		filled(at, "OneByteTooLarge", limitRecord+1, "limit"),
		with(at, "LongID", `"anonymousId":"`+long+`"`, "limit"),
		with(at, "VeryLongID", `"anonymousId":"`+strings.Repeat("x", mega)+`"`, "limit"),
		with(at, "LongIDOfEscapes", `"anonymousId":"`+strings.Repeat(`\u0078`, mega/6)+`"`, "limit"),
		with(at, "VeryLongUser", `"userId":"`+strings.Repeat("u", mega)+`"`, "limit"),
		with(at, "VeryLongMessage", `"messageId":"`+strings.Repeat("m", mega)+`"`, ""),
		with(at, "IDOfNUL", `"anonymousId":"\u0000"`, ""),
		with(at, "IDOfASurrogate", `"anonymousId":"\ud800"`, ""),
		with(at, "IDOfSpaces", `"anonymousId":"`+strings.Repeat(" ", mega)+`"`, "no_key"),
		with(at, "IDIsAnObject", `"anonymousId":{"id":1}`, "no_key"),
		with(at, "LongPage", `"type":"page","properties":{"url":"`+strings.Repeat("u", mega)+`"}`, ""),
		with(at, "LongCampaign", `"context":{"campaign":{"name":"`+strings.Repeat("c", mega)+`"}}`, ""),
		with(at, "LongQuery", `"type":"page","properties":{"url":"https://a.b/?`+
			strings.Repeat("utm_source=x&", 70_000)+`"}`, ""),
		with(at, "EscapesOnly", `"x":"`+strings.Repeat(`\"`, mega/2)+`"`, ""),
	}
}

// filled is an event of so many bytes.
func filled(at time.Time, name string, size int, reason string) Event {
	const around = `,"x":""}`
	front := head(at, name)
	text := strings.Repeat("f", size-len(front)-len(around))
	return valued(name, front+`,"x":"`+text+`"}`, reason)
}

func times(at time.Time) []Event {
	timed := func(name, time, reason string) Event {
		return with(at, name, `"timestamp":`+time, reason)
	}
	all := []Event{timed("FarFuture", `"9999-12-31T23:59:59.999Z"`, "")} // clamped
	for i, text := range []string{
		`"0000-01-01T00:00:00Z"`, `"10000-01-01T00:00:00Z"`, `"-2024-01-01T00:00:00Z"`,
		`"2024-13-45T99:99:99Z"`, `"2024-02-30T00:00:00Z"`, `"` + strings.Repeat("2", mega) + `"`,
		"1e308", "9223372036854775808", "null", "{}", "[]", "true", `""`,
	} {
		all = append(all, timed(fmt.Sprint("NoTime", i), text, "")) // the record's counts
	}
	return all
}

// envelopes are events whose harm is around the value.
func envelopes(at time.Time) []Event {
	fine := func(name string, r kgo.Record) Event {
		r.Value = []byte(head(at, name) + "}")
		return Event{name, r, ""}
	}
	many := make([]kgo.RecordHeader, 10_000)
	for i := range many {
		many[i] = kgo.RecordHeader{Key: fmt.Sprint("h", i), Value: []byte("v")}
	}
	return []Event{
		fine("NullKey", kgo.Record{}),
		fine("EmptyKey", kgo.Record{Key: []byte{}}),
		fine("LongKey", kgo.Record{Key: bytes.Repeat([]byte("k"), mega)}),
		fine("BinaryKey", kgo.Record{Key: []byte{0, 0xff, 0xfe, '\n'}}),
		fine("ManyHeaders", kgo.Record{Headers: many}),
		fine("LongHeader", kgo.Record{
			Headers: []kgo.RecordHeader{{Key: "h", Value: bytes.Repeat([]byte("v"), mega)}},
		}),
		fine("LongHeaderName", kgo.Record{
			Headers: []kgo.RecordHeader{{Key: strings.Repeat("h", mega), Value: []byte("v")}},
		}),
		fine("OurOwnHeaders", kgo.Record{Headers: []kgo.RecordHeader{
			{Key: "__sessionizer.errors.reason", Value: []byte("no_key")},
			{Key: "__sessionizer.errors.offset", Value: []byte("-1")},
		}}),
		fine("HeadersWithoutNames", kgo.Record{Headers: []kgo.RecordHeader{{}, {}}}),
	}
}

// Growing is a kind of event that can be made of any size.
type Growing struct {
	Name string
	// Repeat is what it consists of, between Front and Back.
	Front, Repeat, Back string
	// Sized is an Avro value that has the length of what is repeated in front of it.
	Sized bool
}

// Value is one of about so many bytes.
func (g Growing) Value(size int) []byte {
	n := max(0, size-len(g.Front)-len(g.Back)) / len(g.Repeat)
	grown := strings.Repeat(g.Repeat, n)
	if g.Sized {
		grown = sized(grown)
	}
	return []byte(g.Front + grown + g.Back)
}

// Kinds returns events whose cost must grow with their size and no faster.
func Kinds(at time.Time) []Growing {
	front := head(at, "grows")
	in := func(name, before, repeat, behind string) Growing {
		return Growing{name, front + "," + before, repeat, behind + "}", false}
	}
	return []Growing{
		in("Text", `"x":"`, "y", `"`),
		in("Escapes", `"x":"`, `\u00e9`, `"`),
		in("NotASCII", `"x":"`, "é", `"`),
		in("Digits", `"x":1`, "0", ""),
		in("Spaces", "", " ", `"x":1`),
		in("Members", "", `"member":1,`, `"x":1`),
		in("IDs", "", `"anonymousId":"somebody",`, `"x":1`),
		in("EscapedIDs", "", `"\u0061nonymousId":"some\u0062ody",`, `"x":1`),
		in("Contexts", "", `"context":{"session":{"id":1,"start":true},"sessionId":7},`, `"x":1`),
		in("Sessions", `"context":{`, `"session":{"id":1},`, `"x":1}`),
		in("Arrays", `"x":[`, "[],", "1]"),
		in("Objects", `"x":[`, `{"a":{"b":1}},`, "1]"),
		in("Name", `"`, "n", `":1`),
		in("AlikeNames", "", `"anonymousIe":1,"anonymous":1,`, `"x":1`),
		in("MessageID", `"messageId":"`, "m", `"`),
		in("EscapedMessageID", `"messageId":"`, `\u006d`, `"`),
		in("AnonymousID", `"anonymousId":"`, "a", `"`),
		in("EscapedAnonymousID", `"anonymousId":"`, `\u0061`, `"`),
		in("Page", `"type":"page","properties":{"url":"`, "u", `"}`),
		in("EscapedPage", `"type":"page","properties":{"url":"`, `\u0075`, `"}`),
		in("Query", `"type":"page","context":{"page":{"url":"https://a.b/?`, "utm_source=x&", `"}}`),
		in("Campaign", `"context":{"campaign":{`, `"source":"s",`, `"name":"n"}}`),
		in("Referrer", `"context":{"page":{"referrer":"`, `\u0072`, `"}}`),
		in("Timestamp", `"timestamp":"`, "2", `"`),
		in("SessionID", `"context":{"session":{"id":`, "1", `}}`),
		{"CutOff", front + `,"x":[`, "1,", "", false},
		{"Brackets", "", "[", "", false},
	}
}
