package session_test

// Random keys, fed to the machine and to the oracle. The times lie on a coarse grid around the
// boundaries, so that ties and exact gaps are common, and every setting that decides something is
// drawn too.

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"sessionizer/internal/oracle"
	"sessionizer/session"
)

// randomDay is midnight in UTC.
const randomDay session.Time = 1_772_409_600_000

var (
	randomSeed = flag.Uint64("seed", 0, "the one seed to run; 0: many")
	randomKeys = flag.Int("keys", 5_000, "random keys to run against the oracle")
)

// randomKey draws settings and events.
type randomKey struct {
	*rand.Rand
	rules  session.Rules
	offset int64
	clock  session.Time
}

func newRandomKey(seed uint64) *randomKey {
	k := &randomKey{
		Rand: rand.New(rand.NewPCG(seed, 1)), rules: session.DefaultRules(), clock: randomDay,
	}
	r := &k.rules
	r.Mode = []session.Mode{session.Adopt, session.Assign, session.Enforce}[k.IntN(3)]
	r.IDType = session.IDType(k.IntN(3))
	r.OnMissing = session.OnMissing(k.rarely(1))
	r.OnInvalid = session.OnInvalid(k.IntN(3))
	r.TooLate = session.OnTooLate(k.IntN(2))
	r.Timeout = 30
	r.MobileTimeout = []session.Millis{5, 30, 60}[k.IntN(3)]
	r.BoundaryAt = k.IntN(4) == 0
	r.SplitUserChange = k.IntN(2) == 0
	r.SplitClientStart = k.IntN(2) == 0
	r.OutOfOrder = []session.Millis{0, 7, 40}[k.IntN(3)]
	r.Lateness = r.OutOfOrder + []session.Millis{0, 60, 300, 5000}[k.IntN(4)]
	r.Retention = r.Lateness + []session.Millis{0, 500, 1 << 40}[k.IntN(3)]
	r.Retained = []int{1, 3, 10, 64}[k.IntN(4)]
	r.Remembered = []int{0, 1, 2, 64}[k.IntN(4)]
	if k.IntN(8) == 0 {
		k.clock = -20 // ids begin at 1000
	}
	k.drawRules()
	return k
}

// drawRules draws what can be added to gaps: in half of all keys nothing is.
func (k *randomKey) drawRules() {
	r := &k.rules
	if k.IntN(2) == 0 {
		return
	}
	for range k.IntN(4) {
		r.Effects = append(r.Effects, []session.Effect{
			{Timeout: 10}, {Timeout: 60, MaxDuration: 50}, {MaxDuration: 100}, {Drop: true},
			{Class: session.ClassExtend}, {Class: session.ClassExtend, End: true},
			{Class: session.ClassAttach, Timeout: 5},
			{Class: session.ClassIgnore}, {Start: true}, {End: true}, {Start: true, End: true},
		}[k.IntN(11)])
	}
	if k.IntN(3) == 0 {
		r.MaxDuration = []session.Millis{1, 40, 90, 200}[k.IntN(4)]
	}
	if k.IntN(4) == 0 {
		r.MaxEvents = 1 + k.IntN(5)
	}
	r.SplitCampaign = k.IntN(3) == 0
	r.Started = k.IntN(2) == 0
	if k.IntN(3) == 0 {
		r.DedupeLast = []int{1, 3, 50}[k.IntN(3)]
		r.DedupeDrop = k.IntN(3) == 0
	}
	if k.IntN(3) == 0 {
		m := randomMidnights[k.IntN(len(randomMidnights))]
		r.Midnight = time.FixedZone("", m.offset)
		k.clock = m.at - 100
	}
}

// randomMidnights are some, in UTC, with the offset of the zone in seconds.
var randomMidnights = []struct {
	at     session.Time
	offset int
}{{randomDay, 0}, {randomDay - 3600_000, 3600}, {randomDay + 7*3600_000, -7 * 3600}, {0, 0}}

func (k *randomKey) rarely(n int) int {
	if k.IntN(5) > 0 {
		return 0
	}
	return n
}

// next draws an event. Most follow the clock, some come late or far ahead.
func (k *randomKey) next() session.Event {
	k.offset++
	k.clock += []session.Time{0, 0, 1, 1, 3, 5, 10, 29, 30, 31, 40, 90}[k.IntN(12)]
	at := k.clock
	switch k.IntN(6) {
	case 0:
		at -= session.Time(k.IntN(40))
	case 1:
		at -= []session.Time{5, 25, 29, 30, 31, 60, 61, 120, 400}[k.IntN(9)]
	case 2:
		if k.IntN(20) == 0 {
			k.clock += session.Time(k.IntN(1000))
			at = k.clock
		}
	}
	e := session.Event{
		Time:        at,
		Offset:      k.offset,
		AnonymousID: []byte("ana"),
		Start:       k.IntN(4) == 0,
		Mobile:      k.IntN(4) == 0,
		Kind:        session.Kind(k.IntN(4)),
		MessageID:   fmt.Appendf(nil, "m%d", k.offset),
	}
	switch k.IntN(8) {
	case 0:
		e.MessageID = []byte{'\t', ' '}[:k.IntN(3)]
	case 1, 2:
		if k.rules.DedupeLast > 0 {
			e.MessageID = fmt.Appendf(nil, "m%d", max(1, k.offset-k.Int64N(6)))
		}
	}
	k.drawContents(&e)
	if k.IntN(2) == 0 {
		e.UserID = []byte{'u', byte('1' + k.IntN(2))}
	}
	switch k.IntN(8) {
	case 0, 1, 2:
		e.Client = k.clientID()
	case 3:
		if k.IntN(3) == 0 {
			e.Invalid = session.InvalidType
		}
	}
	return e
}

// drawContents draws what rules look at and sessions collect.
func (k *randomKey) drawContents(e *session.Event) {
	r := &k.rules
	if n := len(r.Effects); n > 0 && k.IntN(3) == 0 {
		e.Rule = uint16(1 + k.IntN(n))
	}
	if r.SplitCampaign && k.IntN(3) == 0 {
		detailsOf(e).campaign = []byte{'c', byte('1' + k.IntN(2))}
	}
	if !r.Started {
		return
	}
	text := func(letter byte) []byte {
		if k.IntN(2) == 0 {
			return nil
		}
		return fmt.Appendf(nil, "%c%d", letter, k.offset)
	}
	e.Place = text('p')
	detailsOf(e).referrer, detailsOf(e).context = text('r'), text('x')
	e.Lifecycle = session.Lifecycle(k.IntN(3))
}

// clientID draws one of few, some of which are what a server id could be.
func (k *randomKey) clientID() session.ID {
	number := []int64{1, 2, 3, -1, 1000, 1001, int64(k.clock), int64(k.clock) - 30}[k.IntN(8)]
	switch k.rules.IDType {
	case session.IDString:
		if k.IntN(2) == 0 {
			return session.ID{Text: fmt.Appendf(nil, "%d", number)}
		}
		return session.ID{Text: fmt.Appendf(nil, "s%d", number)}
	case session.IDUUID:
		uuid := session.UUID(nil, []byte("ana"), session.ID{Int: number}, session.IDInt64)
		return session.ID{Text: session.AppendUUID(nil, uuid)}
	default:
		return session.ID{Int: number}
	}
}

// TestStepAgreesWithTheOracle runs random keys, with timers and idle partitions in between.
func TestStepAgreesWithTheOracle(t *testing.T) {
	if *randomSeed != 0 {
		runRandomKey(t, *randomSeed, map[string]int{})
		return
	}
	// Most of what a key leaves behind is garbage: a hundred thousand take a minute, or less.
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	base := rand.Uint64()
	t.Logf("seeds from %d", base)
	shards := runtime.GOMAXPROCS(0)
	counts := make([]map[string]int, shards)
	t.Run("Shard", func(t *testing.T) {
		for shard := range shards {
			counts[shard] = map[string]int{}
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				for i := shard; i < *randomKeys && !t.Failed(); i += shards {
					runRandomKey(t, base+uint64(i), counts[shard])
				}
			})
		}
	})
	seen := map[string]int{}
	for _, shard := range counts {
		for what, n := range shard {
			seen[what] += n
		}
	}
	t.Logf("seen: %v", seen)
	for _, what := range []string{
		"in_session", "no_session", "too_late", "dead invalid_id", "dead too_late",
		"start", "late", "merged", "evicted", "resumed", "id_reused", "late_start_marker",
		"user_change", "client_start", "client_id", "inactivity", "first", "revision",
		"max_duration", "max_events", "campaign", "midnight", "ended end", "began", "bypass",
		"dropped", "unattached", "unattached duplicate", "attached", "duplicate", "end_rule", "split",
	} {
		if seen[what] == 0 {
			t.Errorf("no random key showed: %s", what)
		}
	}
}

func FuzzStepAgreesWithTheOracle(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { runRandomKey(t, seed, map[string]int{}) })
}

// runRandomKey feeds one random key to both and counts in seen what occurred, by name.
func runRandomKey(t *testing.T, seed uint64, seen map[string]int) {
	k := newRandomKey(seed)
	o := oracle.New(k.rules)
	m := newFeed(k.rules)
	var history []func() string // printed only if something is wrong
	for range 5 + k.IntN(60) {
		var want, got string
		switch k.IntN(12) {
		case 0:
			tick := k.clock + session.Time(k.IntN(120))
			history = append(history, func() string { return fmt.Sprintf("idle %d", tick) })
			if m.w.Event == session.NoTime {
				continue
			}
			o.Expire(tick)
			m.w.Tick = max(m.w.Tick, tick)
			m.expire(t)
		case 1:
			other := k.clock + session.Time(k.IntN(30))
			history = append(history, func() string { return fmt.Sprintf("other %d", other) })
			o.Advance(other)
			m.w.Event = max(m.w.Event, other-session.Time(k.rules.OutOfOrder))
			m.w.Tick = max(m.w.Tick, m.w.Event)
			continue
		default:
			e := k.next()
			history = append(history, func() string {
				return fmt.Sprintf("%d %s S=%t mobile=%t user=%s bad=%s rule=%d campaign=%s message=%s", e.Time,
					oracle.IDText(e.Client), e.Start, e.Mobile, e.UserID, e.Invalid, e.Rule,
					detailsOf(&e).campaign, e.MessageID)
			})
			want = o.Step(&e)
			m.step(t, &e)
			got = oracle.StampText(&m.out)
			count(seen, &m.out, got)
		}
		want += oracle.RecordsText(o.Before, o.Begun, o.After)
		got += oracle.RecordsText(oracle.EndedTexts(m.out.Before), oracle.EndedTexts(m.out.Begun),
			oracle.EndedTexts(m.out.After))
		if got != want || m.w.Event != o.Watermark || m.w.Tick != o.Tick {
			var lines []string
			for _, line := range history {
				lines = append(lines, line())
			}
			t.Errorf("go test ./session -run TestStepAgreesWithTheOracle -seed %d\nrules %+v\n%s\nwant %s\n"+
				"got  %s\nwatermarks %+v, want %d %d", seed, k.rules, strings.Join(lines, "\n"), want, got,
				m.w, o.Watermark, o.Tick)
			return
		}
	}
}

func count(seen map[string]int, out *session.Outcome, text string) {
	if out.Dead != session.DeadNone || out.Stamp.Status != session.InSession {
		seen[text]++
		return
	}
	seen["in_session"]++
	if out.Stamp.Start {
		seen["start"]++
		seen[out.Stamp.Reason.String()]++
	}
	for n := session.Notes(1); n < session.NotesEnd; n <<= 1 {
		if out.Notes&n != 0 {
			seen[n.String()]++
		}
	}
	for _, e := range append(out.Before[:len(out.Before):len(out.Before)], out.After...) {
		seen["ended "+e.Reason.String()]++
		if e.Revision > 1 {
			seen["revision"]++
		}
	}
	seen["began"] += len(out.Begun)
}
