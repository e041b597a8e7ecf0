package schemas

import (
	"fmt"
	"testing"
	"time"
)

// Promises about ratios. The machine that measures is never quiet, so the two sides of a ratio take
// turns within one run and the best turn of each counts.

// takeTurns returns the time of each work in nanoseconds.
func takeTurns(b *testing.B, works ...func()) []float64 {
	const turn = 100
	best := make([]float64, len(works))
	for b.Loop() {
		for i, work := range works {
			begun := time.Now()
			for range turn {
				work()
			}
			if took := float64(time.Since(begun)) / turn; best[i] == 0 || took < best[i] {
				best[i] = took
			}
		}
	}
	b.ReportMetric(0, "ns/op") // of all turns together: it says nothing
	return best
}

// scanWork scans an event that no rule holds for.
func scanWork(b *testing.B, c *Codec, value []byte) func() {
	sc := &Scanned{}
	return func() {
		if bad := c.Scan(value, benchRecord, sc); bad != nil || sc.Event.Rule != 0 {
			b.Fatal(bad, sc.Event.Rule)
		}
	}
}

// plainProfile is a profile of which sessions collect nothing.
func plainProfile(b *testing.B, name string) Profile {
	p, err := LoadProfile(name)
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"url", "screen", "referrer", "campaign", "context"} {
		delete(p.Paths, name)
	}
	p.Lifecycle = Lifecycle{}
	return p
}

// benchConditions are over paths that are all there, in every part of the event; none holds.
var benchConditions = []Condition{
	oneOf("event", textValue("Application Backgrounded")),
	oneOf("version", sizeValue("2")),
	oneOf("context.locale", textValue("it-IT")),
	globbed("context.userAgent", "*bot*"),
	exists("context.ip", false),
	globbed("context.page.path", "/checkout/*"),
	prefixed("context.page.title", "Grinders"),
	oneOf("properties.currency", textValue("USD"), textValue("GBP")),
	compared("properties.price", Comparison{OpGreater, "5000"}),
	prefixed("properties.category", "Book"),
	exists("integrations.All", false),
	compared("context.screen.width", Comparison{OpLess, "600"}),
}

// BenchmarkRules reports what each rule costs, in percent of a scan without rules: at most 5. The
// last metric is the mean with all of them at once. Where sessions collect nothing a scan looks
// into fewer objects, and the first rule to name a member of one pays for all members of that.
func BenchmarkRules(b *testing.B) {
	collects, err := LoadProfile("krenalis")
	if err != nil {
		b.Fatal(err)
	}
	b.Run("krenalis", func(b *testing.B) { benchRules(b, collects) })
	b.Run("collects-nothing", func(b *testing.B) { benchRules(b, plainProfile(b, "krenalis")) })
}

func benchRules(b *testing.B, p Profile) {
	value := benchEvents()["krenalis"]
	work := func(rules ...Match) func() {
		c := newCodec(b, Config{Profile: p, FutureTolerance: 60_000, Rules: rules})
		return scanWork(b, c, value)
	}
	works := []func(){work()}
	var all []Match
	for i := range benchConditions {
		all = append(all, rule(benchConditions[i]))
		works = append(works, work(all[i]))
	}
	took := takeTurns(b, append(works, work(all...))...)
	share := func(i int) float64 { return 100 * (took[i]/took[0] - 1) }
	for i := range benchConditions {
		b.ReportMetric(share(i+1), fmt.Sprintf("%%%02d:%s", i, benchConditions[i].Path))
	}
	b.ReportMetric(share(len(took)-1)/float64(len(all)), "%mean")
	b.ReportMetric(took[0], "ns/scan")
}

// BenchmarkRatios reports a scan, one that collects nothing, and a scan and a splice, each as a
// multiple of reading the same bytes for well-formedness alone.
func BenchmarkRatios(b *testing.B) {
	perProfile(b, func(b *testing.B, c *Codec, value []byte) {
		r := newReader(b)
		plain := plainProfile(b, b.Name()[len("BenchmarkRatios/"):])
		k := newCodec(b, Config{Profile: plain, FutureTolerance: 60_000})
		st := benchStamp()
		var dst []byte
		splice := func(c *Codec) func() {
			sc := &Scanned{} // one that serves two codecs is made anew at every turn
			return func() {
				if bad := c.Scan(value, benchRecord, sc); bad != nil {
					b.Fatal(bad)
				}
				dst = c.AppendStamped(dst[:0], value, sc, &st)
			}
		}
		took := takeTurns(b, func() {
			if !r.read(value) {
				b.Fatal(r.fault)
			}
		}, scanWork(b, k, value), scanWork(b, c, value), splice(k), splice(c))
		for i, name := range []string{"ns/well-formed", "x-plain-scan", "x-scan", "x-plain-splice",
			"x-splice"} {
			if i > 0 {
				took[i] /= took[0]
			}
			b.ReportMetric(took[i], name)
		}
	})
}
