//go:build kafka

package kafkatest

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// apacheLog is a web server's access log of four days that lies beside the repository on machines
// that have the data: 9,999 of its lines parse, and at any gap from 5 to 30 minutes they are 3,052
// sessions by IP.
const (
	apacheLog      = "../../../shared/data/apache_logs/apache_logs"
	apacheEvents   = 9_999
	apacheSessions = 3_052
)

// apache returns the lines as events, in the order of the file.
func apache(t *testing.T) []*kgo.Record {
	t.Helper()
	file, err := os.Open(filepath.FromSlash(apacheLog))
	if err != nil {
		t.Skipf("the access log is not here: %v", err)
	}
	defer file.Close()
	line := regexp.MustCompile(`^(\S+) \S+ \S+ \[([^\]]+)\] "(\S+) ([^" ]+) [^"]*" \d+ \S+ "[^"]*" "[^"]*"$`)
	var events []*kgo.Record
	for lines := bufio.NewScanner(file); lines.Scan(); {
		m := line.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		at, err := time.Parse("02/Jan/2006:15:04:05 -0700", m[2])
		if err != nil {
			continue
		}
		events = append(events, event(fmt.Sprintf("line-%d", len(events)+1), m[1], at,
			fmt.Sprintf(`{"method":%q,"path":%q}`, m[3], m[4])))
	}
	if len(events) != apacheEvents {
		t.Fatalf("%d lines of the access log parse, want %d", len(events), apacheEvents)
	}
	return events
}

// event is a record of the input, at the time of its event.
func event(id, anonymousID string, at time.Time, properties string) *kgo.Record {
	return &kgo.Record{
		Key: []byte(anonymousID), Timestamp: at.Truncate(time.Millisecond),
		Value: fmt.Appendf(nil, `{"messageId":%q,"anonymousId":%q,"type":"track","event":"Hit",`+
			`"timestamp":%q,"context":{"library":{"name":"test"}},"properties":%s}`,
			id, anonymousID, at.UTC().Format("2006-01-02T15:04:05.000Z"), properties),
	}
}

// shuffled returns the records in an order in which none is behind a later one by more than the
// given time.
func shuffled(rng *rand.Rand, records []*kgo.Record, within time.Duration) []*kgo.Record {
	type placed struct {
		at     time.Time
		record *kgo.Record
	}
	order := make([]placed, len(records))
	for i, r := range records {
		order[i] = placed{r.Timestamp.Add(time.Duration(rng.Int64N(int64(within)))), r}
	}
	slices.SortStableFunc(order, func(a, b placed) int { return a.at.Compare(b.at) })
	out := make([]*kgo.Record, len(order))
	for i, o := range order {
		out[i] = o.record
	}
	return out
}

// customers makes up events of some customers over days of the past: visits of a few events each,
// some of which come late by minutes or hours.
func customers(rng *rand.Rand, people, count int) []*kgo.Record {
	began := time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)
	type seen struct{ at time.Time }
	who := make([]seen, people)
	for i := range who {
		who[i].at = began.Add(time.Duration(rng.Int64N(int64(3 * time.Hour))))
	}
	type arrival struct {
		at     time.Time
		record *kgo.Record
	}
	arrivals := make([]arrival, 0, count)
	for i := range count {
		id := rng.IntN(people)
		gap := time.Duration(rng.Int64N(int64(10 * time.Minute)))
		if rng.IntN(4) == 0 {
			gap += time.Duration(rng.Int64N(int64(2 * time.Hour)))
		}
		who[id].at = who[id].at.Add(gap + time.Millisecond)
		delay := time.Duration(rng.Int64N(int64(time.Minute)))
		if rng.IntN(10) == 0 {
			delay += time.Duration(rng.Int64N(int64(10 * time.Hour)))
		}
		r := event(fmt.Sprintf("m-%d", i), fmt.Sprintf("customer-%d", id), who[id].at, `{"n":1}`)
		arrivals = append(arrivals, arrival{who[id].at.Add(delay), r})
	}
	slices.SortStableFunc(arrivals, func(a, b arrival) int { return a.at.Compare(b.at) })
	out := make([]*kgo.Record, count)
	for i, a := range arrivals {
		out[i] = a.record
	}
	return out
}

// timeout is the default of session.timeout.
const timeout = 30 * time.Minute
