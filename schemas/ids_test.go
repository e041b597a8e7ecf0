package schemas

import (
	"strconv"
	"strings"
	"testing"

	"sessionizer/session"
)

// A client's id is authoritative: one that is rounded, or taken for valid, joins strangers' events.

// idCase is a context and the id in it.
type idCase struct {
	context string
	want    session.ID
	invalid session.Invalid
	start   bool
	debug   bool
}

func checkIDs(t *testing.T, c *Codec, cases []idCase) {
	t.Helper()
	for _, i := range cases {
		sc, bad := scanOne(t, c, `{"anonymousId":"a","context":`+i.context+`}`)
		if bad != nil {
			t.Errorf("%s: %v", i.context, bad)
			continue
		}
		e := &sc.Event
		if !e.Client.Equal(i.want) || e.Invalid != i.invalid || e.Start != i.start || e.Debug != i.debug {
			t.Errorf("%s: %+v %v start %v debug %v", i.context, e.Client, e.Invalid, e.Start, e.Debug)
		}
	}
}

func number(n int64) session.ID { return session.ID{Int: n} }
func text(s string) session.ID  { return session.ID{Text: []byte(s)} }

func TestKrenalisIDs(t *testing.T) {
	checkIDs(t, codecOf(t, "krenalis"), []idCase{
		{context: `null`},
		{context: `{}`},
		{context: `{"session":null}`},
		{context: `{"session":{}}`},
		{context: `{"session":5}`},
		{context: `{"session":"5"}`},
		{context: `{"Session":{"id":5},"sessionid":5}`},
		{context: `{"session":{"id":1730384955277,"start":true}}`, want: number(1730384955277), start: true},
		{context: `{"sessionId":1730384955277,"sessionStart":false}`, want: number(1730384955277)},
		{context: `{"session":{"id":7,"start":false}}`, want: number(7)},
		{context: `{"session":{"id":1,"start":false},"sessionId":2,"sessionStart":true}`, want: number(2), start: true},
		{context: `{"sessionId":2,"session":{"id":1}}`, want: number(2)},
		{context: `{"session":{"id":1,"start":true},"sessionStart":false}`, want: number(1), start: true},
		{context: `{"session":{"id":1},"sessionStart":true}`, want: number(1), start: true},
		{context: `{"session":{"id":1},"sessionId":"x"}`, invalid: session.InvalidType},
		{context: `{"session":{"id":1},"sessionId":null}`, invalid: session.InvalidBlank},
		{context: `{"sessionStart":true}`, start: true},
		{context: `{"sessionStart":"true"}`},
		{context: `{"sessionStart":1}`},
		{context: `{"sessionStart":null}`},
		{context: `{"sessionId":-5}`, want: number(-5)},
		{context: `{"sessionId":9223372036854775807}`, want: number(1<<63 - 1)},
		{context: `{"sessionId":-9223372036854775808}`, want: number(-1 << 63)},
		{context: `{"sessionId":9007199254740993}`, want: number(9007199254740993)},
		{context: `{"sessionId":1.0}`, want: number(1)},
		{context: `{"sessionId":9007199254740993.000}`, want: number(9007199254740993)},
		{context: `{"sessionId":1.5}`, invalid: session.InvalidFraction},
		{context: `{"sessionId":1.01}`, invalid: session.InvalidFraction},
		{context: `{"sessionId":1e3}`, invalid: session.InvalidFraction},
		{context: `{"sessionId":1.0E0}`, invalid: session.InvalidFraction},
		{context: `{"sessionId":9223372036854775808}`, invalid: session.InvalidRange},
		{context: `{"sessionId":-9223372036854775809}`, invalid: session.InvalidRange},
		{context: `{"sessionId":18446744073709551616}`, invalid: session.InvalidRange},
		{context: `{"sessionId":18446744073709551621}`, invalid: session.InvalidRange},
		{context: `{"sessionId":` + strings.Repeat("9", 1000) + `}`, invalid: session.InvalidRange},
		{context: `{"sessionId":0}`, invalid: session.InvalidZero},
		{context: `{"sessionId":-0}`, invalid: session.InvalidZero},
		{context: `{"sessionId":0.0}`, invalid: session.InvalidZero},
		{context: `{"session":{"id":0}}`, invalid: session.InvalidZero},
		{context: `{"sessionId":"1730384955277"}`, invalid: session.InvalidType},
		{context: `{"sessionId":true}`, invalid: session.InvalidType},
		{context: `{"sessionId":{}}`, invalid: session.InvalidType},
		{context: `{"sessionId":[1]}`, invalid: session.InvalidType},
		{context: `{"sessionId":null}`, invalid: session.InvalidBlank},
		{context: `{"sessionId":"x","sessionStart":true}`, invalid: session.InvalidType, start: true},
		{context: `{"sessionId":1,"sessionId":2}`, want: number(2)},
		{context: `{"sessionId":1,"sessionId":"x"}`, invalid: session.InvalidType},
		{context: `{"session":{"id":1,"id":2}}`, want: number(2)},
		{context: `{"session":{"id":1},"session":{"start":true}}`, start: true},
		{context: `{"sessionId":"@debug-x"}`, debug: true},
		{context: `{"session":{"id":"\u0040debug-x"}}`, debug: true},
		{context: `{"sessionId":"@debug"}`, invalid: session.InvalidType},
	})
	checkIDs(t, codecOf(t, "krenalis"), []idCase{
		{context: `{"sessionId":1},"context":{}`},
		{context: `{"sessionId":1,"sessionStart":true},"context":null`},
		{context: `{"sessionId":1},"context":{"session":{"id":2}}`, want: number(2)},
	})
}

func TestSegmentReadsNoIDs(t *testing.T) {
	checkIDs(t, codecOf(t, "segment"), []idCase{
		{context: `{"sessionId":1,"sessionStart":true,"session":{"id":2,"start":true}}`},
		{context: `{"sessionId":"@debug-x"}`},
	})
}

func TestShortIDsAreInvalidWhereTheProfileSaysSo(t *testing.T) {
	p, err := LoadProfile("krenalis")
	if err != nil {
		t.Fatal(err)
	}
	p.IDCharactersMin = 10
	checkIDs(t, newCodec(t, Config{Profile: p}), []idCase{
		{context: `{"sessionId":1234567890}`, want: number(1234567890)},
		{context: `{"sessionId":1234567890.0}`, want: number(1234567890)},
		{context: `{"sessionId":-123456789}`, want: number(-123456789)},
		{context: `{"sessionId":123456789}`, invalid: session.InvalidShort},
		{context: `{"sessionId":123456789.0}`, invalid: session.InvalidShort},
		{context: `{"sessionId":-12345678}`, invalid: session.InvalidShort},
		{context: `{"sessionId":1234567890.5}`, invalid: session.InvalidFraction},
		{context: `{"sessionId":"1234567890"}`, invalid: session.InvalidType},
		{context: `{"sessionId":0}`, invalid: session.InvalidZero},
		{context: `{"sessionId":null}`, invalid: session.InvalidBlank},
	})
}

func TestUUIDIDsAreWrittenInLowerCase(t *testing.T) {
	const id = "0193ca01-50bb-7b17-acea-34706793f387"
	checkIDs(t, newCodec(t, Config{IDType: session.IDUUID}), []idCase{
		{context: `{"sessionId":"` + id + `"}`, want: text(id)},
		{context: `{"sessionId":"` + strings.ToUpper(id) + `"}`, want: text(id)},
		{context: `{"sessionId":"\u0030` + id[1:] + `"}`, want: text(id)},
		{context: `{"sessionId":"` + nilUUID + `"}`, invalid: session.InvalidUUID},
		{context: `{"sessionId":"` + id[1:] + `"}`, invalid: session.InvalidUUID},
		{context: `{"sessionId":"{` + id + `}"}`, invalid: session.InvalidUUID},
		{context: `{"sessionId":"` + strings.ReplaceAll(id, "-", "") + `"}`, invalid: session.InvalidUUID},
		{context: `{"sessionId":"` + strings.ReplaceAll(id, "-", "0") + `"}`, invalid: session.InvalidUUID},
		{context: `{"sessionId":"` + strings.ReplaceAll(id, "c", "g") + `"}`, invalid: session.InvalidUUID},
		{context: `{"sessionId":""}`, invalid: session.InvalidBlank},
		{context: `{"sessionId":"null"}`, invalid: session.InvalidBlank},
		{context: `{"sessionId":null}`, invalid: session.InvalidBlank},
		{context: `{"sessionId":5}`, invalid: session.InvalidType},
	})
}

func TestStringIDsHaveOneTo128Bytes(t *testing.T) {
	checkIDs(t, newCodec(t, Config{IDType: session.IDString}), []idCase{
		{context: `{"sessionId":"x"}`, want: text("x")},
		{context: `{"sessionId":" x\u00e9"}`, want: text(" xé")},
		{context: `{"sessionId":"` + pad(128) + `"}`, want: text(pad(128))},
		{context: `{"sessionId":"` + pad(129) + `"}`, invalid: session.InvalidLong},
		{context: `{"sessionId":""}`, invalid: session.InvalidBlank},
		{context: `{"sessionId":" \t "}`, invalid: session.InvalidBlank},
		{context: `{"sessionId":"null"}`, invalid: session.InvalidBlank},
		{context: `{"sessionId":"undefined"}`, invalid: session.InvalidBlank},
		{context: `{"sessionId":null}`, invalid: session.InvalidBlank},
		{context: `{"sessionId":5}`, invalid: session.InvalidType},
		{context: `{"sessionId":"@debug-session-id"}`, debug: true},
	})
}

func TestIntegersOutsideOfInt64AreOutOfRange(t *testing.T) {
	for _, text := range []string{
		"9223372036854775808", "-9223372036854775809", "18446744073709551616",
		"18446744073709551617", "99999999999999999999", "100000000000000000000", "92233720368547758070",
		"27670116110564327424", "340282366920938463463374607431768211456"} {
		if n, invalid := parseInt([]byte(text), 0); invalid != session.InvalidRange {
			t.Errorf("%s: %d %v", text, n, invalid)
		}
	}
	for text, want := range map[string]session.Invalid{"12345678a": session.InvalidFraction,
		"1234567/": session.InvalidFraction, "1234567:": session.InvalidFraction,
		"12345678.0": 0, "123456789012345678.00": 0, "1234567e2": session.InvalidFraction} {
		if n, invalid := parseInt([]byte(text), 0); invalid != want {
			t.Errorf("%s: %d %v", text, n, invalid)
		}
	}
}

// Most ids are read sixteen digits at a time: all of them must be digits, wherever they stand.
func TestDigitsAreReadManyAtATime(t *testing.T) {
	const digits = "9081726354091827"
	for size := 8; size <= len(digits); size++ {
		text := []byte(digits[:size])
		for i := range text {
			for c := range 256 {
				text[i] = byte(c)
				n, ok := parse16(text)
				want, err := strconv.ParseUint(string(text), 10, 64)
				if ok != (err == nil) || ok && n != want {
					t.Errorf("%q: %d %t, want %d %v", text, n, ok, want, err)
				}
			}
			text[i] = digits[i]
		}
	}
}
