package schemas

import (
	"fmt"
	"testing"
	"time"
)

// Each rule over one more path costs at most 5 % of a scan. The machine that measures is never
// quiet, so the codecs take turns and the best turn of each counts.

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

// BenchmarkRules reports the share of a scan without rules that each further rule costs: of the
// ones over single paths, worst is the greatest of these shares; all is their mean when all are
// there.
func BenchmarkRules(b *testing.B) {
	const turn = 100 // scans
	value := benchEvents()["krenalis"]
	codecs := []*Codec{codecOf(b, "krenalis")}
	for i := range benchConditions {
		codecs = append(codecs, newCodec(b, Config{Profile: Profile{Name: "krenalis"},
			FutureTolerance: 60_000, Rules: []Match{rule(benchConditions[i])}}))
	}
	var rules []Match
	for i := range benchConditions {
		rules = append(rules, rule(benchConditions[i]))
	}
	codecs = append(codecs, newCodec(b, Config{Profile: Profile{Name: "krenalis"},
		FutureTolerance: 60_000, Rules: rules}))
	best := make([]time.Duration, len(codecs))
	var sc Scanned
	for b.Loop() {
		for i, c := range codecs {
			begun := time.Now()
			for range turn {
				if bad := c.Scan(value, benchRecord, &sc); bad != nil || sc.Event.Rule != 0 {
					b.Fatal(bad, sc.Event.Rule)
				}
			}
			if took := time.Since(begun); best[i] == 0 || took < best[i] {
				best[i] = took
			}
		}
	}
	share := func(i int) float64 { return 100 * (float64(best[i])/float64(best[0]) - 1) }
	for i := range benchConditions {
		b.ReportMetric(share(i+1), "%"+fmt.Sprintf("%02d:%s", i, benchConditions[i].Path))
	}
	b.ReportMetric(share(len(codecs)-1)/float64(len(benchConditions)), "%all")
	b.ReportMetric(float64(best[0].Nanoseconds())/turn, "ns/scan")
}
