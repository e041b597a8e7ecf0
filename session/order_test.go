package session_test

// Two promises about order. However the events of a key are interleaved within the lateness, the
// same sessions come out in the end. And whenever the timers are looked at, and whatever the wall
// clock says, events get the same sessions, ids and flags.

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"sessionizer/internal/oracle"
	"sessionizer/session"
)

// batch is the sessionization of all events at once: sorted by time, at equal times by arrival, cut
// where a gap is longer.
func batch(events []session.Event, reach session.Time) []string {
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b session.Event) int { return cmp.Compare(a.Time, b.Time) })
	var sessions []string
	for from := 0; from < len(events); {
		to := from + 1
		for to < len(events) && events[to].Time-events[to-1].Time <= reach {
			to++
		}
		sessions = append(sessions, oracle.EventsText(events[from:to]))
		from = to
	}
	return sessions
}

// finals are the records of the greatest revisions that are not merged, by id: their texts, because
// records alias the rows.
type finals map[string]string

func (f finals) add(ended []session.Ended) {
	for i := range ended {
		x := ended[i].Session
		if ended[i].Reason == session.ReasonMerged {
			delete(f, oracle.IDText(x.ID))
			continue
		}
		id := oracle.IDText(x.ID)
		x.Previous = session.ID{} // that one depends on the order
		f[id] = fmt.Sprintf("%d..%d events=%d", x.First, x.Last, x.Events) + oracle.CollectedText(&x)
	}
}

func (f finals) sessions() []string { return slices.Sorted(maps.Values(f)) }

func (f *feed) drain(t *testing.T, all finals) {
	for {
		f.decode(t)
		due := f.rules.Due(&f.state)
		if due == session.NoTime {
			return
		}
		f.w.Tick = max(f.w.Tick, due+1)
		f.expire(t)
		all.add(f.out.Before)
	}
}

// shuffled are events in the order of their arrival, some of them twice.
type shuffled struct {
	rules  session.Rules
	events []session.Event
}

// shuffle draws events and lets them arrive as far out of order as the lateness allows.
func shuffle(k *rand.Rand) shuffled {
	rules := session.DefaultRules()
	rules.Mode = session.Assign
	rules.Timeout, rules.MobileTimeout = 30, 30
	rules.BoundaryAt = k.IntN(2) == 0
	rules.SplitClientStart = false
	rules.OutOfOrder = session.Millis(k.IntN(50))
	rules.Lateness = rules.OutOfOrder + session.Millis(k.IntN(500))
	rules.Retained = 200
	rules.DedupeLast, rules.DedupeDrop = 200, k.IntN(2) == 0
	text := func() []byte {
		if k.IntN(2) == 0 {
			return nil
		}
		return []byte{byte('a' + k.IntN(26))}
	}
	// Sorted by time plus a jitter, none comes after one that is later by more than the jitter.
	type arrival struct {
		event session.Event
		when  session.Time
	}
	var arrivals []arrival
	at := randomDay
	for range 1 + k.IntN(60) {
		at += []session.Time{0, 1, 10, 28, 29, 30, 31, 60}[k.IntN(8)]
		e := session.Event{
			Time: at, AnonymousID: []byte("ana"), MessageID: fmt.Appendf(nil, "m%d", len(arrivals)),
			Client: session.ID{Int: int64(k.IntN(3))}, Start: k.IntN(2) == 0,
			Lifecycle: session.Lifecycle(k.IntN(3)),
			UserID:    text(), Place: text(),
			Details: &details{campaign: text(), referrer: text(), context: text()},
		}
		for range 1 + k.IntN(5)/4 {
			jitter := session.Time(k.Int64N(int64(rules.Lateness+rules.OutOfOrder) + 1))
			arrivals = append(arrivals, arrival{e, at + jitter})
		}
	}
	slices.SortStableFunc(arrivals, func(a, b arrival) int { return cmp.Compare(a.when, b.when) })
	drawn := shuffled{rules: rules}
	for i, a := range arrivals {
		a.event.Offset = int64(i)
		drawn.events = append(drawn.events, a.event)
	}
	return drawn
}

// unique returns the events without the duplicates: the first arrival of each counts.
func (s *shuffled) unique() []session.Event {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(s.events), func(e session.Event) bool {
		isSeen := seen[string(e.MessageID)]
		seen[string(e.MessageID)] = true
		return isSeen
	})
}

func TestAnyOrderWithinTheLatenessGivesTheSameSessions(t *testing.T) {
	const keys = 2_000
	base := rand.Uint64()
	t.Logf("seeds from %d", base)
	isShuffled, notes := false, session.Notes(0)
	for i := range uint64(keys) {
		seed := base + i
		k := rand.New(rand.NewPCG(seed, 2))
		drawn := shuffle(k)
		m := newFeed(drawn.rules)
		got := finals{}
		for i := range drawn.events {
			isShuffled = isShuffled || i > 0 && drawn.events[i].Time < drawn.events[i-1].Time
			m.step(t, &drawn.events[i])
			got.add(m.out.Before)
			got.add(m.out.After)
			notes |= m.out.Notes
			if k.IntN(10) == 0 {
				m.w.Tick += session.Time(k.IntN(100))
				m.expire(t)
				got.add(m.out.Before)
			}
		}
		m.drain(t, got)
		want := batch(drawn.unique(), reachOf(&drawn.rules))
		sort.Strings(want)
		if !slices.Equal(got.sessions(), want) {
			t.Fatalf("seed %d, rules %+v\nwant %q\ngot  %q", seed, drawn.rules, want, got.sessions())
		}
	}
	want := session.NoteMerged | session.NoteDuplicate | session.NoteLate
	if !isShuffled || notes&want != want {
		t.Fatalf("shuffled %t, notes %b: nothing was tried", isShuffled, notes)
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
		punctual := newFeed(k.rules)
		lazy := newFeed(k.rules)
		punctualFinals, lazyFinals := finals{}, finals{}
		for range 5 + k.IntN(60) {
			e := k.next()
			if k.IntN(2) == 0 && punctual.w.Event != session.NoTime {
				if k.IntN(3) == 0 {
					punctual.w.Tick = max(punctual.w.Tick, k.clock+session.Time(k.IntN(200)))
				}
				punctual.expire(t)
				punctualFinals.add(punctual.out.Before)
				isEarlier = isEarlier || len(punctual.out.Before) > 0
			}
			punctual.step(t, &e)
			lazy.step(t, &e)
			if a, b := oracle.StampText(&punctual.out), oracle.StampText(&lazy.out); a != b {
				t.Fatalf("seed %d, rules %+v: with timers %s, without %s", seed, k.rules, a, b)
			}
			for _, feed := range []struct {
				*feed
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
// unless the key starts anew or an id is used again that is remembered no more; and where they are
// wanted one that the visit has started, with the start flag.
func TestEveryRevisionIsSentOnce(t *testing.T) {
	const keys = 2_000
	base := rand.Uint64()
	t.Logf("seeds from %d", base)
	records, begun := 0, 0
	for i := range uint64(keys) {
		seed := base + i
		k := newRandomKey(seed)
		k.rules.Retention = 1 << 40
		k.rules.Remembered = 64
		m := newFeed(k.rules)
		revisions, starts := map[string]uint32{}, map[string]bool{}
		f := finals{}
		check := func(ended []session.Ended) {
			for _, e := range ended {
				id := oracle.IDText(e.Session.ID)
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
			if isBegun := len(m.out.Begun) > 0; isBegun != (m.out.Stamp.Start && k.rules.Started) {
				t.Fatalf("seed %d, rules %+v: started %t, start flag %t", seed, k.rules, isBegun,
					m.out.Stamp.Start)
			}
			for _, b := range m.out.Begun {
				isStamped := b.Session.ID.Equal(m.out.Stamp.ID) && b.Reason == m.out.Stamp.Reason
				if !isStamped || b.Revision != 0 || b.AmendableUntil != session.NoTime {
					t.Fatalf("seed %d, rules %+v: %s", seed, k.rules, oracle.EndedText(&b))
				}
				begun++
			}
			if id := oracle.IDText(m.out.Stamp.ID); m.out.Stamp.Start {
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
	if records == 0 || begun == 0 {
		t.Fatalf("%d ended, %d started: nothing was tried", records, begun)
	}
}

// reachOf is how far the timeout reaches, inclusive.
func reachOf(r *session.Rules) session.Time {
	if r.BoundaryAt {
		return session.Time(r.Timeout - 1)
	}
	return session.Time(r.Timeout)
}
