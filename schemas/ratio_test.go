package schemas

import (
	"math"
	"testing"
	"time"
)

// ratioBatch is how many events are timed at once: some fifty microseconds, so that the fastest of
// many batches is one which nothing interrupted.
const ratioBatch = 50

// BenchmarkRatio measures the promise as a ratio within one run, by the fastest batches of each:
// other programs on the machine slow everything down, but not for ever.
func BenchmarkRatio(b *testing.B) {
	perProfile(b, func(b *testing.B, c *Codec, value []byte) {
		var sc Scanned
		var dst []byte
		r := newReader(b)
		st := benchStamp()
		wellFormed, scan, splice := math.Inf(1), math.Inf(1), math.Inf(1)
		fastest := func(best *float64, f func()) {
			begin := time.Now()
			for range ratioBatch {
				f()
			}
			*best = min(*best, float64(time.Since(begin)))
		}
		for b.Loop() {
			fastest(&wellFormed, func() {
				if !r.read(value) {
					b.Fatal(r.fault)
				}
			})
			fastest(&scan, func() {
				if bad := c.Scan(value, benchRecord, &sc); bad != nil {
					b.Fatal(bad)
				}
			})
			fastest(&splice, func() {
				dst = c.AppendStamped(dst[:0], value, &sc, &st)
			})
		}
		b.ReportMetric(wellFormed/ratioBatch, "ns/wellformed")
		b.ReportMetric(scan/wellFormed, "scan/wellformed")
		b.ReportMetric((scan+splice)/wellFormed, "both/wellformed")
		b.ReportMetric(splice/ratioBatch, "ns/splice")
	})
}
