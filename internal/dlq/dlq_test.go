package dlq

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/schemas"
)

// letterOf is a record of the dead-letter topic as run writes it, of an event with these headers.
func letterOf(own ...kgo.RecordHeader) *kgo.Record {
	bad := &schemas.BadInput{Reason: schemas.NoKey, Message: "no key"}
	r := &kgo.Record{Topic: "dead", Offset: 5, Value: []byte("x"), Headers: own}
	for _, h := range schemas.DeadLetterHeaders(nil, "events", 0, 17, bad) {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return r
}

// Whoever writes events chooses their headers: none may make a dead letter something else.
func TestParse_HeadersOfEventsAreNotOurs(t *testing.T) {
	for _, own := range []kgo.RecordHeader{
		{Key: schemas.HeaderErrorTopic, Value: []byte("payments")},
		{Key: schemas.HeaderErrorCut, Value: []byte("all")},
		{Key: HeaderRedriven, Value: []byte("0-1000000")},
		{Key: HeaderAttempts, Value: []byte("-9")},
		{Key: HeaderAttempts, Value: []byte("99999999999999999999")},
	} {
		r := letterOf(own)
		l, ok := Parse(r)
		if !ok || l.From != (Place{"events", 0, 17}) || l.Cut != "" || l.Reason != "no_key" ||
			l.Attempts != 0 || len(l.Headers) != 1 || IsMark(r) {
			t.Errorf("%s=%s: %+v", own.Key, own.Value, l)
		}
		var marks Marks
		if marks.Take(r) || marks.Has(5) {
			t.Errorf("%s=%s passes for a mark", own.Key, own.Value)
		}
		if back := l.back(); string(back.Headers[len(back.Headers)-1].Value) != "1" {
			t.Errorf("%s=%s: goes back with %v", own.Key, own.Value, back.Headers)
		}
	}
}

func TestParse_RefusesWhatIsNoDeadLetter(t *testing.T) {
	short := letterOf()
	short.Headers = short.Headers[1:]
	mixed := letterOf()
	mixed.Headers[0], mixed.Headers[1] = mixed.Headers[1], mixed.Headers[0]
	behind := letterOf()
	behind.Headers = append(behind.Headers, kgo.RecordHeader{Key: "more"})
	negative := letterOf()
	negative.Headers[2].Value = []byte("-1")
	text := letterOf()
	text.Headers[1].Value = []byte("zero")
	for name, r := range map[string]*kgo.Record{
		"empty": {}, "short": short, "mixed": mixed, "behind": behind, "negative": negative,
		"text": text,
	} {
		if l, ok := Parse(r); ok {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

func TestParse_RefusesMarksThatAreNone(t *testing.T) {
	for _, value := range []string{"", "x", "3-", "-3", "9-3", "1,2", "99999999999999999999"} {
		r := &kgo.Record{Headers: []kgo.RecordHeader{{Key: HeaderRedriven, Value: []byte(value)}}}
		if IsMark(r) {
			t.Errorf("%q is a mark", value)
		}
	}
	r := mark("dead", 0, []int64{1})
	r.Value = []byte("x")
	if IsMark(r) {
		t.Error("a mark with a value")
	}
}

// Marks in any order and number say of each offset what a plain set says.
func TestMarks_KnowEachOffset(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		const offsets = 60
		var marks Marks
		want := map[int64]bool{}
		for range rng.IntN(8) {
			var of []int64
			for offset := range int64(offsets) {
				if rng.IntN(4) == 0 {
					of, want[offset] = append(of, offset), true
				}
			}
			if len(of) > 0 && !marks.Take(mark("dead", 0, of)) {
				t.Fatalf("%v is no mark", of)
			}
			for offset := int64(-1); offset <= offsets; offset++ {
				if marks.Has(offset) != want[offset] {
					t.Fatalf("offset %d: %v, want %v", offset, marks.Has(offset), want[offset])
				}
			}
		}
	}
	if text := string(mark("dead", 0, []int64{3, 5, 6, 7, 9}).Headers[0].Value); text != "3 5-7 9" {
		t.Errorf("%q", text)
	}
}

// The count of what was sent back is the last header, as we wrote it. No other exempts a record.
func TestParse_OnlyOurOwnCountCounts(t *testing.T) {
	count := func(value string) kgo.RecordHeader {
		return kgo.RecordHeader{Key: HeaderAttempts, Value: []byte(value)}
	}
	other := kgo.RecordHeader{Key: "trace", Value: []byte("1")}
	for _, x := range []struct {
		name   string
		own    []kgo.RecordHeader
		want   int
		behind string // the count of the record that goes back
		stays  int    // its other headers
	}{
		{"None", nil, 0, "1", 0},
		{"Ours", []kgo.RecordHeader{other, count("2")}, 2, "3", 1},
		{"TheLastOfTwo", []kgo.RecordHeader{count("7"), count("2")}, 2, "3", 1},
		{"NotTheLast", []kgo.RecordHeader{count("7"), other}, 0, "1", 2},
		{"Zero", []kgo.RecordHeader{count("0")}, 0, "1", 1},
		{"Large", []kgo.RecordHeader{count("2147483648")}, 0, "1", 1},
		{"JustTooLarge", []kgo.RecordHeader{count("1000")}, 0, "1", 1},
		{"TheLargest", []kgo.RecordHeader{count("999")}, 999, "999", 0},
		{"Sign", []kgo.RecordHeader{count("+3")}, 0, "1", 1},
		{"Zeros", []kgo.RecordHeader{count("003")}, 0, "1", 1},
		{"Empty", []kgo.RecordHeader{count("")}, 0, "1", 1},
	} {
		l, ok := Parse(letterOf(x.own...))
		if !ok || l.Attempts != x.want {
			t.Fatalf("%s: sent back %d times, want %d", x.name, l.Attempts, x.want)
		}
		back := l.back().Headers
		if last := back[len(back)-1]; len(back) != x.stays+1 || last.Key != HeaderAttempts ||
			string(last.Value) != x.behind {
			t.Errorf("%s: goes back with %v", x.name, back)
		}
		if word, _ := (Inputs{"events": 1}).Refuse(l, AttemptsMax+1); word != "" {
			t.Errorf("%s: refused, %s, whatever is allowed", x.name, word)
		}
	}
}

// Two that redrive at once: the one that began first finds itself shut out.
func TestRedriver_TheNewestShutsTheOthersOut(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "events", "dead"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	begin := func() *Redriver {
		cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...),
			kgo.TransactionalID("g-redrive"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		r, err := NewRedriver(t.Context(), cl, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	l, _ := Parse(letterOf())
	first := begin()
	second := begin()
	if err := first.Send(t.Context(), []*Letter{l}); !errors.Is(err, errOther) {
		t.Errorf("the first: %v", err)
	}
	// A stop does not tear a transaction that has begun.
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if err := second.Send(stopped, []*Letter{l}); err != nil {
		t.Errorf("the second: %v", err)
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...),
		kgo.ConsumeTopics("events"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	records := 0
	for isEnd := false; !isEnd; {
		fetches := reader.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			if isEnd = r.Attrs.IsControl(); !isEnd {
				records++
			}
		}
	}
	if records != 1 {
		t.Errorf("%d records, want 1", records)
	}
}
