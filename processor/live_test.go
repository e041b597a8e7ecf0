package processor

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/session"
)

// stepAlone steps an event whose memory is another's afterwards, as the client's is once a
// transaction has ended and a Scanned's at the next event.
func (s *sweeper) stepAlone(e *kgo.Record) {
	mine := *e
	mine.Key, mine.Value = bytes.Clone(e.Key), bytes.Clone(e.Value)
	if err := s.task.Step(&mine); err != nil {
		s.t.Fatal(err)
	}
	s.take()
	for _, b := range [][]byte{mine.Key, mine.Value} {
		copy(b, bytes.Repeat([]byte{'#'}, len(b)))
	}
	for i := range s.task.scanned.Event.MessageID {
		s.task.scanned.Event.MessageID[i] = '#'
	}
}

// liveEvent is an event of one of a few customers with more to remember than a sweepEvent.
func liveEvent(r *rand.Rand, offset int64, second int) *kgo.Record {
	e := sweepEvent(r, offset, second)
	more := fmt.Sprintf(`,"context":{"page":{"url":"https://e.example/%s?utm_source=s%d"},`,
		strings.Repeat("p", r.IntN(200)), r.IntN(3))
	if bytes.Contains(e.Value, []byte(`,"context":{`)) {
		e.Value = bytes.Replace(e.Value, []byte(`,"context":{`), []byte(more), 1)
	}
	if r.IntN(2) == 0 {
		user := fmt.Sprintf(`{"userId":"user-%d",`, r.IntN(3))
		e.Value = append([]byte(user), e.Value[1:]...)
	}
	return e
}

func TestLive_NoEventCanTell(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 12))
			rules := sweepRules(t, []session.Mode{session.Adopt, session.Assign, session.Enforce}[seed%3])
			rules.SplitUserChange, rules.SplitCampaign = seed%2 == 0, seed%5 == 0
			cache := []int64{1, 8 << 20}[seed%2]
			long, each := newSweeper(t, rules, 20, cache), newSweeper(t, rules, 20, cache)
			long.begin()
			each.begin()
			now, second, offset := time.UnixMilli(0), 0, int64(0)
			for range 60 {
				n := 1 + r.IntN(60)
				long.produced, each.produced = long.produced[:0], each.produced[:0]
				for i := range n {
					if second += r.IntN(300); r.IntN(60) == 0 {
						second += r.IntN(6 * 3600)
					}
					e := liveEvent(r, offset+int64(i), second)
					long.stepAlone(e)
					each.stepAlone(e)
					if err := each.task.writeLive(); err != nil {
						t.Fatal(err)
					}
					now = long.between(each, r.IntN(40), now)
				}
				if !slices.Equal(long.produced, each.produced) {
					t.Fatalf("offset %d: with states that live\n%.2000q\nwithout\n%.2000q",
						offset, long.produced, each.produced)
				}
				if r.IntN(6) == 0 {
					long.task.Abort()
					each.task.Abort()
					continue
				}
				long.commit()
				each.commit()
				if !maps.EqualFunc(long.changelog, each.changelog, bytes.Equal) ||
					long.position.Digest != each.position.Digest {
					t.Fatalf("offset %d: the changelogs differ", offset)
				}
				offset += int64(n)
			}
			long.close()
			each.close()
		})
	}
}

// between does in both what may come between two events.
func (s *sweeper) between(each *sweeper, what int, now time.Time) time.Time {
	for _, x := range []*sweeper{s, each} {
		switch what {
		case 0:
			x.sweep(now)
		case 1, 2:
			if _, err := x.task.Tick(x.task.Watermark()); err != nil {
				s.t.Fatal(err)
			}
			from := len(x.produced)
			x.take()
			slices.Sort(x.produced[from:])
		}
	}
	return now.Add(time.Duration(what) * time.Second)
}

func TestLive(t *testing.T) {
	t.Run("ATickSeesTheEventsBeforeIt", func(t *testing.T) {
		task, _ := newTestTask(t)
		for i, second := range []int{0, 600} {
			if err := task.Step(pageAt("ana", int64(i), second)); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				commit(t, task)
			}
		}
		timeout := session.Time(30 * 60_000)
		first := session.Time(pageAt("", 0, 0).Timestamp.UnixMilli())
		for _, c := range []struct {
			at   session.Time
			ends int64
		}{{first + timeout + 1, 0}, {first + timeout + 600_000, 0}, {first + timeout + 600_001, 1}} {
			if _, err := task.Tick(c.at); err != nil || task.Stats.Visits != c.ends {
				t.Errorf("%d ms: %v, %d visits ended, want %d", c.at-first, err, task.Stats.Visits, c.ends)
			}
		}
	})
	t.Run("AnAbortLeavesNone", func(t *testing.T) {
		task, p := newTestTask(t)
		if err := task.Step(pageAt("ana", 0, 0)); err != nil {
			t.Fatal(err)
		}
		commit(t, task)
		digest := p.Digest()
		if err := task.Step(pageAt("ana", 1, 10)); err != nil {
			t.Fatal(err)
		}
		task.Abort()
		if err := task.writeLive(); err != nil || p.Digest() != digest || len(task.live.used) > 0 {
			t.Errorf("%v, %s, want %s; %d live", err, p.Digest(), digest, len(task.live.used))
		}
	})
	t.Run("TheTransactionCountsThem", func(t *testing.T) {
		task, _ := newTestTask(t)
		for i := range int64(10) {
			if err := task.Step(pageAt(fmt.Sprint("c", i), i, 0)); err != nil {
				t.Fatal(err)
			}
		}
		before := 0
		for _, r := range task.Ready() {
			before += len(r.Value)
		}
		if _, bytes, rows := task.Load(); rows < 10 || bytes < before+10*100 {
			t.Errorf("%d rows, %d bytes", rows, bytes)
		}
	})
	t.Run("OneThatCannotBeReadVoidsTheTransaction", func(t *testing.T) {
		task, p := newTestTask(t)
		damaged := append([]byte{1, 0, 1, 0, 24}, bytes.Repeat([]byte{0xff}, 24)...)
		p.PutHistory(session.AppendKey(nil, nil, []byte("ana")), damaged)
		in := pageAt("ana", 0, 0)
		in.Value = append(in.Value[:len(in.Value)-1], `,"context":{"session":{"id":5}}}`...)
		err := task.Step(in)
		if err == nil {
			t.Fatal("it was read")
		}
		_, tick := task.Tick(0)
		_, end := task.Close(1, [16]byte{1}, time.UnixMilli(0))
		for what, got := range map[string]error{
			"step": task.Step(pageAt("bob", 1, 0)), "tick": tick, "close": end,
		} {
			if got == nil || got.Error() != err.Error() {
				t.Errorf("%s: %v, want %v", what, got, err)
			}
		}
		task.Abort()
		if err := task.Step(pageAt("ana", 0, 0)); err != nil {
			t.Error(err)
		}
	})
}

func TestLive_TakesBoundedMemory(t *testing.T) {
	large := func(key string, offset int64, n int) *kgo.Record {
		e := pageAt(key, offset, int(offset))
		user := fmt.Sprintf(`{"userId":"%d%s",`, offset, strings.Repeat("u", n))
		e.Value = append([]byte(user), e.Value[1:]...)
		return e
	}
	for _, c := range []struct {
		name               string
		events, keys, text int
		states             int // the most that live at a time
		most               int
	}{
		{"many keys", 5 * liveMax, 3 * liveMax, 10, liveMax, liveBytesMax},
		{"long texts", 6 * liveMax, liveMax, 1000, liveMax, liveBytesMax + 64<<10},
		{"one key", 20_000, 1, 10, 1, 2 * liveKeptMax},
		{"one key with long texts", 20_000, 1, 1000, 1, 4 * liveKeptMax},
	} {
		t.Run(c.name, func(t *testing.T) {
			task, _ := newTestTask(t)
			most, states := 0, 0
			for i := range int64(c.events) {
				if err := task.Step(large(fmt.Sprint("c", i%int64(c.keys)), i, c.text)); err != nil {
					t.Fatal(err)
				}
				sum := 0
				if i%97 == 0 {
					for _, x := range task.live.used {
						sum += x.state.Bytes()
					}
					if sum != task.live.bytes {
						t.Fatalf("%d bytes are noted, it is %d", task.live.bytes, sum)
					}
				}
				most, states = max(most, task.live.bytes), max(states, len(task.live.used))
			}
			if most > c.most || states != c.states {
				t.Errorf("%d bytes in %d states, want at most %d in %d", most, states, c.most, c.states)
			}
			commit(t, task)
			if n := len(task.live.used); n > 0 || task.live.bytes != 0 {
				t.Errorf("after a commit %d states live, %d bytes", n, task.live.bytes)
			}
		})
	}
}
