package schemas

import (
	"encoding/json"
	"testing"

	"sessionizer/session"
)

// The promises of the hot path: no allocation, and scan + splice within 1.5 times of reading the
// same bytes for well-formedness alone. The byte loop and encoding/json show the scale.

// segmentEvent is an event as analytics.js sends it, with the session of Krenalis' SDK if asked.
func segmentEvent(session string) []byte {
	return []byte(`{"anonymousId":"9f3c2c2a-1d4b-4b7c-9c2a-8a3f6d3c0e91","context":{"ip":"203.0.113.42",` +
		`"library":{"name":"analytics.js","version":"2.11.1"},"locale":"en-US",` + session +
		`"page":{"path":"/products/espresso-machines","referrer":"https://www.google.com/",` +
		`"search":"?utm_source=google&utm_medium=cpc","title":"Espresso machines – Coffee & Co",` +
		`"url":"https://shop.example.com/products/espresso-machines?utm_source=google&utm_medium=cpc"},` +
		`"timezone":"Europe/Rome","screen":{"width":1920,"height":1080,"density":2},` +
		`"userAgent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) ` +
		`Chrome/124.0.0.0 Safari/537.36"},"event":"Product Viewed","integrations":{"All":true,"Mixpanel":false},` +
		`"messageId":"ajs-next-1734260905123-7b1f2c3d-4e5f-6a7b-8c9d-0e1f2a3b4c5d",` +
		`"originalTimestamp":"2024-12-15T11:08:25.123Z","properties":{"product_id":"507f1f77bcf86cd799439011",` +
		`"sku":"G-32","category":"Machines","name":"Lever \"Classica\"","brand":"Coffee & Co","variant":"steel",` +
		`"price":1899.99,"quantity":1,"currency":"EUR","position":3,"value":1899.99,"coupon":null},` +
		`"receivedAt":"2024-12-15T11:08:26.001Z","sentAt":"2024-12-15T11:08:25.200Z",` +
		`"timestamp":"2024-12-15T11:08:25.924Z","type":"track","userId":"u-507f1f77","version":1}`)
}

func benchEvents() map[string][]byte {
	return map[string][]byte{
		"krenalis": segmentEvent(`"sessionId":1734260905123,"sessionStart":true,`),
		"segment":  segmentEvent(``),
	}
}

func newCodec(t testing.TB, c Config) *Codec {
	t.Helper()
	if c.Profile.Name == "" {
		c.Profile.Name = "krenalis"
	}
	if c.Profile.Paths == nil {
		p, err := LoadProfile(c.Profile.Name)
		if err != nil {
			t.Fatal(err)
		}
		c.Profile = p
	}
	k, err := NewCodec(c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func codecOf(t testing.TB, profile string) *Codec {
	t.Helper()
	return newCodec(t, Config{Profile: Profile{Name: profile}, FutureTolerance: 60_000})
}

var benchRecord = Record{Timestamp: 1734260906100}

func benchStamp() session.Stamp {
	return session.Stamp{ID: session.ID{Int: 1734260905123}, Start: true, Index: 3, EventIndex: 1,
		Previous: session.ID{Int: 1734160905123}, StartedAt: 1734260905924, Server: true,
		Reason: session.ReasonInactivity, TimeoutMs: 1_800_000,
		UUID: [16]byte{0x01, 0x93, 0xca, 0x01, 0x50, 0xbb, 0x7b, 0x17, 0xac, 0xea, 0x34}}
}

// perProfile runs f for each profile that is measured.
func perProfile(b *testing.B, f func(b *testing.B, c *Codec, value []byte)) {
	for _, profile := range []string{"krenalis", "segment"} {
		value := benchEvents()[profile]
		b.Run(profile, func(b *testing.B) {
			c := codecOf(b, profile)
			b.SetBytes(int64(len(value)))
			b.ReportAllocs()
			f(b, c, value)
		})
	}
}

func BenchmarkByteLoop(b *testing.B) {
	perProfile(b, func(b *testing.B, _ *Codec, value []byte) {
		quotes := 0
		for b.Loop() {
			for _, c := range value {
				if c == '"' {
					quotes++
				}
			}
		}
		if quotes == 0 {
			b.Fatal("an event without a quote")
		}
	})
}

func BenchmarkEncodingJSONValid(b *testing.B) {
	perProfile(b, func(b *testing.B, _ *Codec, value []byte) {
		for b.Loop() {
			if !json.Valid(value) {
				b.Fatal("not valid")
			}
		}
	})
}

func BenchmarkEncodingJSONMap(b *testing.B) {
	perProfile(b, func(b *testing.B, _ *Codec, value []byte) {
		for b.Loop() {
			var m map[string]any
			if err := json.Unmarshal(value, &m); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkWellFormed(b *testing.B) {
	perProfile(b, func(b *testing.B, _ *Codec, value []byte) {
		r := newReader(b)
		for b.Loop() {
			if !r.read(value) {
				b.Fatal(r.fault)
			}
		}
	})
}

func BenchmarkScan(b *testing.B) {
	perProfile(b, func(b *testing.B, c *Codec, value []byte) {
		var sc Scanned
		for b.Loop() {
			if bad := c.Scan(value, benchRecord, &sc); bad != nil {
				b.Fatal(bad)
			}
		}
	})
}

func BenchmarkScanSplice(b *testing.B) {
	perProfile(b, func(b *testing.B, c *Codec, value []byte) {
		var sc Scanned
		var dst []byte
		st := benchStamp()
		for b.Loop() {
			if bad := c.Scan(value, benchRecord, &sc); bad != nil {
				b.Fatal(bad)
			}
			dst = c.AppendStamped(dst[:0], value, &sc, &st)
		}
	})
}
