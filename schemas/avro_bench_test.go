package schemas

import (
	"syscall"
	"testing"

	"github.com/linkedin/goavro/v2"
)

// The promise of Avro: scan and splice cost a small part of what decoding and encoding the event
// does, and allocate nothing.

// avroBench is an event of krenalis with most of its fields.
func avroBench(tb testing.TB) (c *Codec, p *AvroProgram, value []byte) {
	schema := profileSchemas()["krenalis"]
	_, c, p = avroCodecs(tb, "krenalis", schema, "standard", nil)
	const event = `{"anonymousId":"9f3c2c2a-1d4b-4b7c-9c2a-8a3f6d3c0e91","userId":"u-507f1f77",` +
		`"messageId":"ajs-next-1734260905123-7b1f2c3d-4e5f-6a7b-8c9d-0e1f2a3b4c5d",` +
		`"event":"Product Viewed","type":"track","timestamp":1734260905924,` +
		`"originalTimestamp":"2024-12-15T11:08:25.123Z","receivedAt":"2024-12-15T11:08:26.001Z",` +
		`"context":{"ip":"203.0.113.42","library":{"name":"analytics.js","version":"2.11.1"},` +
		`"locale":"en-US","sessionId":1734260905123,"sessionStart":true,` +
		`"page":{"path":"/products/espresso-machines","referrer":"https://www.google.com/",` +
		`"title":"Espresso machines","url":"https://shop.example.com/products?utm_source=google"},` +
		`"userAgent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML) Chrome"},` +
		`"properties":{"product_id":"507f1f77bcf86cd799439011","sku":"G-32","category":"Machines",` +
		`"name":"Lever \"Classica\"","brand":"Coffee & Co","price":1899.99,"quantity":1}}`
	return c, p, append(appendFrame(nil, 7), asAvro(tb, standardCodec(tb, schema), event)...)
}

func BenchmarkAvroScanSplice(b *testing.B) {
	c, _, value := avroBench(b)
	var sc Scanned
	var dst []byte
	st := benchStamp()
	b.SetBytes(int64(len(value)))
	b.ReportAllocs()
	for b.Loop() {
		if bad := c.Scan(value, benchRecord, &sc); bad != nil {
			b.Fatal(bad)
		}
		dst = c.AppendStamped(dst[:0], value, &sc, &st)
	}
}

func BenchmarkAvroGoavro(b *testing.B) {
	_, _, value := avroBench(b)
	codec, err := goavro.NewCodec(profileSchemas()["krenalis"])
	if err != nil {
		b.Fatal(err)
	}
	var dst []byte
	b.SetBytes(int64(len(value)))
	b.ReportAllocs()
	for b.Loop() {
		native, _, err := codec.NativeFromBinary(value[frameBytes:])
		if err != nil {
			b.Fatal(err)
		}
		if dst, err = codec.BinaryFromNative(dst[:0], native); err != nil {
			b.Fatal(err)
		}
	}
}

// cpuNs is the time that the process has been given.
func cpuNs(tb testing.TB) int64 {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		tb.Fatal(err)
	}
	return use.Utime.Nano() + use.Stime.Nano()
}

// BenchmarkAvroRatio measures both in turns by the time of the CPU, which other work on the machine
// does not stretch: how many times as much decoding and encoding costs.
func BenchmarkAvroRatio(b *testing.B) {
	c, _, value := avroBench(b)
	codec, err := goavro.NewCodec(profileSchemas()["krenalis"])
	if err != nil {
		b.Fatal(err)
	}
	var sc Scanned
	var dst []byte
	st := benchStamp()
	const each = 2000
	var ours, theirs int64
	for b.Loop() {
		start := cpuNs(b)
		for range each {
			if bad := c.Scan(value, benchRecord, &sc); bad != nil {
				b.Fatal(bad)
			}
			dst = c.AppendStamped(dst[:0], value, &sc, &st)
		}
		middle := cpuNs(b)
		for range each {
			native, _, err := codec.NativeFromBinary(value[frameBytes:])
			if err != nil {
				b.Fatal(err)
			}
			if dst, err = codec.BinaryFromNative(dst[:0], native); err != nil {
				b.Fatal(err)
			}
		}
		ours, theirs = ours+middle-start, theirs+cpuNs(b)-middle
	}
	b.ReportMetric(float64(theirs)/float64(ours), "times")
	b.ReportMetric(float64(ours)/float64(b.N)/each, "cpu-ns/event")
	b.ReportMetric(float64(theirs)/float64(b.N)/each, "goavro-cpu-ns/event")
}
