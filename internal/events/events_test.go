package events

import (
	"bytes"
	"encoding/json"
	"hash/fnv"
	"testing"
	"time"
)

const start = 1_767_225_600_000 // 2026-01-01T00:00:00Z

func TestGenerator_TheSameSeedIsTheSameRun(t *testing.T) {
	sum := func(seed uint64) uint64 {
		g, h := New(Standard(seed, 500, start)), fnv.New64a()
		for range 20_000 {
			r := g.Next()
			h.Write(r.Key)
			h.Write(r.Value)
		}
		return h.Sum64()
	}
	first, again := sum(7), sum(7)
	if first != again {
		t.Fatal("two runs of seed 7 differ")
	}
	if first == sum(8) {
		t.Fatal("seed 7 and seed 8 are the same run")
	}
}

// sent is what the tests read of an event.
type sent struct {
	AnonymousID string    `json:"anonymousId"`
	UserID      string    `json:"userId"`
	MessageID   string    `json:"messageId"`
	Type        string    `json:"type"`
	Timestamp   time.Time `json:"timestamp"`
	ReceivedAt  time.Time `json:"receivedAt"`
	Context     struct {
		Session struct {
			ID    int64 `json:"id"`
			Start bool  `json:"start"`
		} `json:"session"`
		Campaign map[string]string `json:"campaign"`
	} `json:"context"`
}

func TestGenerator_EventsAreWhatTheirRecordsSay(t *testing.T) {
	c := Standard(1, 300, start)
	c.MalformedShare = 0
	g := New(c)
	types, bytesSum := map[string]int{}, 0
	var arrived, late, campaigns, users, ids int64
	messages := map[string][]byte{}
	doubled := 0
	const count = 50_000
	for range count {
		r := g.Next()
		var e sent
		if err := json.Unmarshal(r.Value, &e); err != nil {
			t.Fatalf("%v in %s", err, r.Value)
		}
		if e.AnonymousID != string(r.Key) || e.Timestamp.UnixMilli() != r.EventMs ||
			e.ReceivedAt.UnixMilli() != r.TimestampMs || !r.Usable {
			t.Fatalf("record %+v holds %s", r, r.Value)
		}
		if r.TimestampMs < arrived || r.EventMs > r.TimestampMs ||
			r.TimestampMs-r.EventMs > c.OutOfOrderMs {
			t.Fatalf("event of %d arrives at %d after %d", r.EventMs, r.TimestampMs, arrived)
		}
		arrived = r.TimestampMs
		if _, ok := messages[e.MessageID]; ok {
			doubled++
		}
		messages[e.MessageID] = nil
		types[e.Type]++
		bytesSum += len(r.Value)
		late += count1(r.EventMs < r.TimestampMs)
		campaigns += count1(e.Context.Campaign != nil)
		users += count1(e.UserID != "")
		ids += count1(e.Context.Session.ID != 0)
	}
	for _, name := range []string{"page", "screen", "track", "identify"} {
		if types[name] == 0 {
			t.Errorf("no %s among %v", name, types)
		}
	}
	for what, n := range map[string]int64{
		"late": late, "doubled": int64(doubled), "campaigns": campaigns, "users": users, "ids": ids,
	} {
		if n == 0 || n > count*3/4 {
			t.Errorf("%d of %d events: %s", n, count, what)
		}
	}
	if mean := bytesSum / count; mean < 1000 || mean > 1500 {
		t.Errorf("an event has %d bytes on average", mean)
	}
}

func count1(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

func TestGenerator_MalformedRecordsAreMarked(t *testing.T) {
	c := Standard(3, 50, start)
	c.MalformedShare = 0.2
	g, marked := New(c), 0
	for range 5000 {
		r := g.Next()
		var e sent
		usable := json.Unmarshal(r.Value, &e) == nil && e.AnonymousID != "" &&
			!bytes.Contains(r.Value, []byte{0xff})
		if usable != r.Usable {
			t.Fatalf("usable is %t for %s", r.Usable, r.Value)
		}
		if !usable {
			marked++
		}
	}
	if marked < 800 || marked > 1200 {
		t.Fatalf("%d of 5000 are malformed", marked)
	}
}

func TestGenerator_VisitsHavePausesAndCustomersStayAway(t *testing.T) {
	c := Config{Seed: 5, Customers: 200, StartMs: start}
	g := New(c)
	last := map[string]int64{}
	within, away, long := 0, 0, 0
	for range 40_000 {
		r := g.Next()
		if before, ok := last[string(r.Key)]; ok {
			switch gap := r.EventMs - before; {
			case gap <= pauseMaxMs:
				within++
			case gap > 10*meanGapDefaultMs:
				long++
			default:
				away++
			}
		}
		last[string(r.Key)] = r.EventMs
	}
	if within < 4*away || away < 1000 || long == 0 {
		t.Fatalf("%d pauses, %d stays away, %d long ones", within, away, long)
	}
}

func TestAppendTime_WritesWhatPackageTimeWrites(t *testing.T) {
	for _, ms := range []int64{0, 1, 951_782_399_999, 951_782_400_000, 1_709_251_199_123,
		1_735_689_599_999, start, 4_102_444_800_000, 253_402_300_799_999} {
		want := time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
		if got := string(appendTime(nil, ms)); got != want {
			t.Errorf("%d: got %s, want %s", ms, got, want)
		}
	}
}

func TestGenerator_DoesNotAllocateForAnEvent(t *testing.T) {
	g := New(Config{Seed: 1, Customers: 1000, StartMs: start, MobileShare: 0.3, ClientIDShare: 0.5})
	for range 2000 {
		g.Next()
	}
	if n := testing.AllocsPerRun(2000, func() { g.Next() }); n != 0 {
		t.Fatalf("%v allocations an event", n)
	}
}

func BenchmarkNext(b *testing.B) {
	g := New(Standard(1, 10_000, start))
	var size int64
	b.ReportAllocs()
	for b.Loop() {
		size += int64(len(g.Next().Value))
	}
	b.SetBytes(size / int64(b.N))
}
