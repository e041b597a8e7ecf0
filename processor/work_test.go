package processor

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sessionizer/internal/hostile"
)

// All are called and waited for, and the first error in their order is the one that counts,
// whichever came first.
func TestSideBySide(t *testing.T) {
	for n := range 4 {
		var all []int
		for i := range n {
			all = append(all, i)
		}
		var together sync.WaitGroup
		together.Add(n)
		done := make([]bool, n)
		err := sideBySide(all, func(i int) error {
			together.Done()
			together.Wait() // hangs if one waits for another to end
			done[i] = true
			if i == 0 {
				return nil
			}
			return fmt.Errorf("error %d", i)
		})
		for i, ok := range done {
			if !ok {
				t.Errorf("of %d, %d was not waited for", n, i)
			}
		}
		if got := fmt.Sprint(err); n < 2 && err != nil || n >= 2 && got != "error 1" {
			t.Errorf("of %d: %s", n, got)
		}
	}
	fails := errors.New("fails")
	if err := sideBySide([]int{0}, func(int) error { return fails }); !errors.Is(err, fails) {
		t.Errorf("of one: %v", err)
	}
}

// Every record of a transaction that has ended is given back, and the next transaction's are kept:
// at once where there was no room, for the next poll would have none either.
func TestLane_RecyclesEveryRecord(t *testing.T) {
	d := testInflater(t, 1<<20)
	l := &lane{inflater: d}
	b := hostile.Batch{
		Codec: kgo.CodecZstd, Records: letters(t, kgo.CodecZstd, 1000), Count: 1, Time: time.UnixMilli(0),
	}
	rp := &kmsg.FetchResponseTopicPartition{RecordBatches: b.Encode(), LastStableOffset: 1}
	fetch := func() {
		fp, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
			Topic: "events", IsolationLevel: kgo.ReadCommitted(), Pools: []kgo.Pool{d},
		}, rp, d, nil)
		if fp.Err != nil || len(fp.Records) != 1 {
			t.Fatalf("%d records, error %v", len(fp.Records), fp.Err)
		}
		l.held = append(l.held, fp.Records...)
	}
	fetch()
	one := d.sum.Load()
	for round := range 6 {
		for len(l.held) < round {
			fetch()
		}
		l.full, l.asideBytes = round%2 == 0, 1
		full := l.full
		l.recycle()
		if left := d.sum.Load(); full && left != 0 {
			t.Errorf("round %d: %d bytes are counted though there was no room", round, left)
		}
		if len(l.held) > 0 || l.full || l.asideBytes != 0 {
			t.Errorf("round %d: %d records are held, full %t, %d bytes aside", round, len(l.held), l.full,
				l.asideBytes)
		}
		fetch()
		l.recycling.Wait()
		if left := d.sum.Load(); left != one {
			t.Errorf("round %d: %d bytes are counted, the batch in hand has %d", round, left, one)
		}
		if r := l.held[0]; len(r.Value) == 0 {
			t.Errorf("round %d: the record in hand was given back", round)
		}
	}
}
