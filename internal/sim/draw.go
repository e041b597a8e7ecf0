package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"sessionizer/processor"
	"sessionizer/schemas"
	"sessionizer/session"
)

// settings are what a seed draws once: the configuration and the size of the world.
type settings struct {
	rules      session.Rules
	codec      *schemas.Codec
	partitions int
	members    int
	topics     processor.Topics
	policy     processor.Policy
	cache      int64 // bytes, for a member's rows and blocks
	tombstones int64 // how long the changelog keeps them, ms
	idleAfter  int64 // ms
	mayTake    bool  // members have the right to end each other's transactions
	future     session.Millis
}

// day0 is when the events of every world begin: a midnight in UTC.
const day0 session.Time = 1_772_409_600_000

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func drawSettings(r *rand.Rand, profile schemas.Profile) (*settings, error) {
	s := &settings{
		rules: session.DefaultRules(), partitions: 1 + r.IntN(3), members: 2 + r.IntN(2),
		topics: processor.Topics{
			Output: outputTopic, Visits: visitsTopic, DeadLetters: deadTopic,
			Changelog: changelogTopic, VisitsByAnonymousID: r.IntN(4) == 0, Headers: r.IntN(4) == 0,
		},
		cache:      pick[int64](r, 16<<10, 64<<10, 1<<20),
		tombstones: pick[int64](r, 2_000, 20_000, 1<<40),
		idleAfter:  pick[int64](r, 20, 100),
		mayTake:    r.IntN(4) > 0,
		future:     50,
	}
	s.drawRules(r)
	if err := s.rules.Compile(); err != nil {
		return nil, fmt.Errorf("the rules of the seed: %w", err)
	}
	matches := make([]schemas.Match, len(s.rules.Effects))
	for i := range matches {
		matches[i].Conditions = []schemas.Condition{{
			Path: "rule", Test: schemas.TestOneOf,
			Values: []schemas.Value{{Kind: schemas.ValueNumber, Text: fmt.Sprint(i + 1)}},
		}}
	}
	var err error
	s.codec, err = schemas.NewCodec(schemas.Config{
		Profile: profile, Fields: []string{pick(r, "minimal", "standard", "full")},
		FutureTolerance: s.future, Rules: matches,
	})
	if err != nil {
		return nil, fmt.Errorf("the codec of the seed: %w", err)
	}
	return s, nil
}

func (s *settings) drawRules(r *rand.Rand) {
	d := &s.rules
	d.Mode = pick(r, session.Adopt, session.Assign, session.Enforce)
	d.OnMissing = pick(r, session.MissingContinue, session.MissingContinue, session.MissingNone)
	d.OnInvalid = session.OnInvalid(r.IntN(3))
	d.TooLate = session.OnTooLate(r.IntN(2))
	d.Timeout = 30
	d.MobileTimeout = pick[session.Millis](r, 5, 30, 60)
	d.BoundaryAt = r.IntN(4) == 0
	d.SplitUserChange = r.IntN(3) == 0
	d.SplitClientStart = r.IntN(2) == 0
	d.OutOfOrder = pick[session.Millis](r, 0, 7, 40)
	d.Lateness = d.OutOfOrder + pick[session.Millis](r, 0, 60, 300, 2000)
	d.Retention = d.Lateness + pick[session.Millis](r, 0, 500, 5000, 1<<40)
	d.Retained = pick(r, 1, 3, 10, 64)
	d.Remembered = pick(r, 0, 1, 2, 64)
	d.Started = r.IntN(3) == 0
	if r.IntN(2) == 0 {
		return
	}
	for range r.IntN(4) {
		d.Effects = append(d.Effects, pick(r, []session.Effect{
			{Timeout: 10}, {Timeout: 60, MaxDuration: 50}, {MaxDuration: 100}, {Drop: true},
			{Class: session.ClassExtend}, {Class: session.ClassExtend, End: true},
			{Class: session.ClassAttach, Timeout: 5}, {Class: session.ClassIgnore},
			{Start: true}, {End: true}, {Start: true, End: true},
		}...))
	}
	if r.IntN(3) == 0 {
		d.MaxDuration = pick[session.Millis](r, 1, 40, 90, 200)
	}
	if r.IntN(4) == 0 {
		d.MaxEvents = 1 + r.IntN(5)
	}
	if r.IntN(3) == 0 {
		d.DedupeLast, d.DedupeDrop = pick(r, 1, 3, 50), r.IntN(3) == 0
	}
	if r.IntN(3) == 0 {
		d.Midnight = time.UTC
	}
}

// sent is an input record with what its maker knows of it.
type sent struct {
	event session.Event // what the rules are to see; no Offset yet
	bad   schemas.Reason
	big   bool // with the session it is more than the output topic takes
	key   []byte
	value []byte // nil: a tombstone
	time  int64  // of the record, ms
}

// feeder draws events. Few keys are active at a time, so that theirs come close to each other;
// now and then one of the others comes back.
type feeder struct {
	set    *settings
	clock  session.Time
	active []int // keys
	keys   int   // so far
	count  int
}

func newFeeder(set *settings) *feeder { return &feeder{set: set, clock: day0 - 3000} }

// next draws an event.
func (f *feeder) next(r *rand.Rand) sent {
	f.count++
	f.clock += pick[session.Time](r, 0, 0, 0, 1, 1, 2, 3, 5, 8, 15, 29, 30, 31)
	if r.IntN(400) == 0 {
		f.clock += session.Time(r.IntN(3000))
	}
	e := session.Event{
		Time: f.clock, Mobile: r.IntN(4) == 0, Start: r.IntN(4) == 0,
		AnonymousID: fmt.Appendf(nil, "k%d", f.key(r)),
		MessageID:   fmt.Appendf(nil, "m%d", f.count),
		Kind:        session.Kind(r.IntN(4)),
	}
	switch r.IntN(6) {
	case 0:
		e.Time -= session.Time(r.IntN(40))
	case 1:
		e.Time -= pick[session.Time](r, 5, 25, 29, 30, 31, 60, 61, 120, 400)
	}
	if r.IntN(2) == 0 {
		e.UserID = pick(r, []byte("u1"), []byte("u2"))
	}
	if n := len(f.set.rules.Effects); n > 0 && r.IntN(3) == 0 {
		e.Rule = uint16(1 + r.IntN(n))
	}
	if f.set.rules.DedupeLast > 0 && r.IntN(4) == 0 {
		e.MessageID = fmt.Appendf(nil, "m%d", max(1, f.count-r.IntN(12)))
	}
	if e.Kind == session.KindPage && r.IntN(2) == 0 {
		e.Place = fmt.Appendf(nil, `{"url":"/%d"}`, r.IntN(9))
	}
	s := sent{event: e, time: int64(f.clock)}
	s.big = r.IntN(500) == 0
	f.client(r, &s)
	f.write(r, &s)
	return s
}

// key draws whose event it is.
func (f *feeder) key(r *rand.Rand) int {
	const activeMax = 4
	switch {
	case len(f.active) < activeMax || r.IntN(40) == 0:
		f.keys++
		f.active = append(f.active, f.keys)
	case r.IntN(60) == 0:
		f.active = append(f.active, 1+r.IntN(f.keys))
	}
	if len(f.active) > activeMax {
		f.active = f.active[1:]
	}
	return f.active[r.IntN(len(f.active))]
}

// client draws a client's session id.
func (f *feeder) client(r *rand.Rand, s *sent) {
	switch r.IntN(8) {
	case 0, 1, 2:
		s.event.Client = session.ID{Int: pick(r, 1, 2, 3, -1, 1000, int64(f.clock), int64(f.clock)-30)}
	case 3:
		if r.IntN(3) == 0 {
			s.event.Invalid = session.InvalidType
		}
	}
}

// write makes the record.
func (f *feeder) write(r *rand.Rand, s *sent) {
	e := &s.event
	s.key = e.AnonymousID
	switch r.IntN(300) {
	case 0:
		return // a tombstone
	case 1:
		s.value, s.bad = []byte(`{"anonymousId":`), schemas.Malformed
		return
	case 2:
		s.value, s.bad = []byte(`{"type":"page","timestamp":1772409600000}`), schemas.NoKey
		return
	case 3: // a clock that is ahead
		e.Time = f.clock + session.Time(f.set.future) + 1 + session.Time(r.IntN(500))
	}
	v := fmt.Appendf(nil, `{"anonymousId":"%s","messageId":"%s","timestamp":%d`,
		e.AnonymousID, e.MessageID, e.Time)
	if e.Time > f.clock+session.Time(f.set.future) {
		e.Time, e.Clamped = f.clock, true
	}
	if name := [...]string{"", "page", "screen", "track"}[e.Kind]; name != "" {
		v = fmt.Appendf(v, `,"type":"%s"`, name)
	}
	if e.UserID != nil {
		v = fmt.Appendf(v, `,"userId":"%s"`, e.UserID)
	}
	if e.Mobile {
		v = append(v, `,"channel":"mobile"`...)
	}
	if e.Rule > 0 {
		v = fmt.Appendf(v, `,"rule":%d`, e.Rule)
	}
	if s.big {
		v = append(v, `,"big":true`...)
	}
	v = append(v, `,"context":{"a":1`...)
	switch {
	case e.Client.Int != 0:
		v = fmt.Appendf(v, `,"session":{"id":%d,"start":%t}`, e.Client.Int, e.Start)
	case e.Invalid == session.InvalidType:
		v = fmt.Appendf(v, `,"sessionId":"x","sessionStart":%t`, e.Start)
	case e.Start:
		v = append(v, `,"sessionStart":true`...)
	}
	if e.Place != nil {
		v = fmt.Appendf(v, `,"page":%s`, e.Place)
	}
	v = append(v, `}}`...)
	s.value = v
}
