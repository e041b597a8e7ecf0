package session

// Two promises about order. However the events of a key are interleaved within the lateness, the
// same sessions come out in the end. And whenever the timers are looked at, and whatever the wall
// clock says, events get the same sessions, ids and flags.

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
)

// batch is the sessionization of all events at once: sorted by time, cut where a gap is longer.
func batch(times []Time, reach Time) []string {
	times = slices.Clone(times)
	slices.Sort(times)
	var sessions []string
	for from := 0; from < len(times); {
		to := from + 1
		for to < len(times) && times[to]-times[to-1] <= reach {
			to++
		}
		sessions = append(sessions, fmt.Sprintf("%d..%d events=%d", times[from], times[to-1], to-from))
		from = to
	}
	return sessions
}

// finals are the records of the greatest revisions that are not merged, by first.
type finals map[string]Ended

func (f finals) add(ended []Ended) {
	for _, e := range ended {
		f[oracleID(e.Session.ID)] = e
	}
}

func (f finals) sessions() []string {
	var sessions []string
	for _, e := range f {
		if e.Reason != ReasonMerged {
			sessions = append(sessions,
				fmt.Sprintf("%d..%d events=%d", e.Session.First, e.Session.Last, e.Session.Events))
		}
	}
	sort.Strings(sessions)
	return sessions
}

func (k *keyFeed) drain(t *testing.T, f finals) {
	for {
		k.decode(t)
		due := k.rules.Due(&k.state)
		if due == NoTime {
			return
		}
		k.w.Tick = max(k.w.Tick, due+1)
		k.expire(t, "")
		f.add(k.out.Before)
	}
}

func TestAnyOrderWithinTheLatenessGivesTheSameSessions(t *testing.T) {
	const keys = 2_000
	base := rand.Uint64()
	t.Logf("seeds from %d", base)
	isShuffled, isMerged := false, false
	for i := range uint64(keys) {
		seed := base + i
		k := rand.New(rand.NewPCG(seed, 2))
		rules := DefaultRules()
		rules.Mode = Assign
		rules.Timeout, rules.MobileTimeout = 30, 30
		rules.BoundaryAt = k.IntN(2) == 0
		rules.SplitClientStart = false
		rules.OutOfOrder = Millis(k.IntN(50))
		rules.Lateness = rules.OutOfOrder + Millis(k.IntN(500))
		rules.Retained = 200
		times := make([]Time, 1+k.IntN(60))
		at := scenarioDay
		for i := range times {
			at += []Time{0, 1, 10, 28, 29, 30, 31, 60}[k.IntN(8)]
			times[i] = at
		}
		// Sorted by time plus a jitter, none comes after one that is later by more than the jitter.
		type arrival struct{ at, when Time }
		arrivals := make([]arrival, len(times))
		for i, at := range times {
			jitter := Time(k.Int64N(int64(rules.Lateness+rules.OutOfOrder) + 1))
			arrivals[i] = arrival{at, at + jitter}
		}
		sort.SliceStable(arrivals, func(i, j int) bool { return arrivals[i].when < arrivals[j].when })
		m := &keyFeed{rules: rules, w: Watermarks{Event: NoTime, Tick: NoTime}}
		got := finals{}
		for i, a := range arrivals {
			isShuffled = isShuffled || i > 0 && a.at < arrivals[i-1].at
			m.step(t, &Event{
				Time: a.at, Offset: int64(i), AnonymousID: []byte("ana"), UserID: []byte{byte('a' + k.IntN(3))},
				Client: ID{Int: int64(k.IntN(3))}, Start: k.IntN(2) == 0,
			})
			got.add(m.out.Before)
			got.add(m.out.After)
			isMerged = isMerged || m.out.Notes&NoteMerged != 0
			if k.IntN(10) == 0 {
				m.w.Tick += Time(k.IntN(100))
				m.expire(t, "")
				got.add(m.out.Before)
			}
		}
		m.drain(t, got)
		want := batch(times, rules.reach(rules.Timeout))
		sort.Strings(want)
		if !slices.Equal(got.sessions(), want) {
			t.Fatalf("seed %d, rules %+v, arrivals %d\nwant %q\ngot  %q", seed, rules, arrivals, want,
				got.sessions())
		}
	}
	if !isShuffled || !isMerged {
		t.Fatalf("shuffled %t, merged %t: nothing was tried", isShuffled, isMerged)
	}
}

func TestTimersAndTheWallClockChangeNoSession(t *testing.T) {
	const keys = 2_000
	base := rand.Uint64()
	t.Logf("seeds from %d", base)
	isEarlier := false
	for i := range uint64(keys) {
		seed := base + i
		k := newRandomKey(seed)
		punctual := &keyFeed{rules: k.rules, w: Watermarks{Event: NoTime, Tick: NoTime}}
		lazy := &keyFeed{rules: k.rules, w: Watermarks{Event: NoTime, Tick: NoTime}}
		punctualFinals, lazyFinals := finals{}, finals{}
		for range 5 + k.IntN(60) {
			e := k.next()
			if k.IntN(2) == 0 && punctual.w.Event != NoTime {
				if k.IntN(3) == 0 {
					punctual.w.Tick = max(punctual.w.Tick, k.clock+Time(k.IntN(200)))
				}
				punctual.expire(t, "")
				punctualFinals.add(punctual.out.Before)
				isEarlier = isEarlier || len(punctual.out.Before) > 0
			}
			punctual.step(t, &e)
			lazy.step(t, &e)
			if a, b := oracleStampText(&punctual.out), oracleStampText(&lazy.out); a != b {
				t.Fatalf("seed %d, rules %+v: with timers %s, without %s", seed, k.rules, a, b)
			}
			for _, feed := range []struct {
				*keyFeed
				finals
			}{{punctual, punctualFinals}, {lazy, lazyFinals}} {
				feed.add(feed.out.Before)
				feed.add(feed.out.After)
			}
		}
		punctual.drain(t, punctualFinals)
		lazy.drain(t, lazyFinals)
		if a, b := punctualFinals.sessions(), lazyFinals.sessions(); !slices.Equal(a, b) {
			t.Fatalf("seed %d, rules %+v\nwith timers %q\nwithout     %q", seed, k.rules, a, b)
		}
	}
	if !isEarlier {
		t.Fatal("no timer ever ended a visit: nothing was tried")
	}
}

// TestEveryRevisionIsSentOnce holds: exactly one record per id and revision, ascending by one,
// unless the key starts anew or an id is used again that is remembered no more.
func TestEveryRevisionIsSentOnce(t *testing.T) {
	const keys = 2_000
	base := rand.Uint64()
	t.Logf("seeds from %d", base)
	records := 0
	for i := range uint64(keys) {
		seed := base + i
		k := newRandomKey(seed)
		k.rules.Retention = 1 << 40
		k.rules.Remembered = 64
		m := &keyFeed{rules: k.rules, w: Watermarks{Event: NoTime, Tick: NoTime}}
		revisions, starts := map[string]uint32{}, map[string]bool{}
		f := finals{}
		check := func(ended []Ended) {
			for _, e := range ended {
				id := oracleID(e.Session.ID)
				if revisions[id]++; revisions[id] != e.Revision {
					t.Fatalf("seed %d, rules %+v: %s has revision %d after %d", seed, k.rules, id, e.Revision,
						revisions[id]-1)
				}
				records++
			}
		}
		for range 60 {
			e := k.next()
			m.step(t, &e)
			check(m.out.Before)
			check(m.out.After)
			if id := oracleID(m.out.Stamp.ID); m.out.Stamp.Start {
				if starts[id] {
					t.Fatalf("seed %d, rules %+v: %s starts twice", seed, k.rules, id)
				}
				starts[id] = true
			} else if id != "" && !starts[id] {
				t.Fatalf("seed %d, rules %+v: %s has an event before its start", seed, k.rules, id)
			}
		}
		m.drain(t, f)
	}
	if records == 0 {
		t.Fatal("no records: nothing was tried")
	}
}
