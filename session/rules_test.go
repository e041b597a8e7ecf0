package session

// A fault in the configuration must be named before the first event, all of them at once.

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestCompile(t *testing.T) {
	t.Run("TheDefaultsAreFine", func(t *testing.T) {
		rules := DefaultRules()
		if err := rules.Compile(); err != nil || len(rules.Warnings()) > 0 {
			t.Fatalf("%v, %v", err, rules.Warnings())
		}
		if rules.Retained != 290 { // 24 h / 5 m + 2
			t.Fatalf("retained %d", rules.Retained)
		}
	})
	t.Run("EveryFaultIsNamed", func(t *testing.T) {
		rules := Rules{Mode: 9, IDType: 9, OnMissing: 9, OnInvalid: 9, TooLate: 9, Timeout: 0,
			MobileTimeout: -1, OutOfOrder: DurationMax + 1, Lateness: -1, Retention: -2, Retained: -1,
			Remembered: RememberedMax + 1, MaxDuration: -3, MaxEvents: -4, DedupeLast: DedupeMax + 1,
			Effects: []Effect{{}, {Timeout: -5, MaxDuration: -6, Class: 9}, {Drop: true, End: true},
				{Class: ClassIgnore, Timeout: 1}, {Class: ClassExtend, Start: true},
				{Class: ClassAttach, End: true}, {Drop: true, Class: ClassAttach}}}
		err := rules.Compile()
		if err == nil {
			t.Fatal("no fault")
		}
		for _, fault := range []string{
			"mode 9", "id type 9", "missing ids", "invalid ids", "too late events", "timeout is 0 ms",
			"mobile timeout", "out of order is", "lateness is -1", "retention is -2",
			"lateness -1 ms is less than out of order", "retention -2 ms is less than lateness",
			"retained is -1", "remembered is", "max duration is -3 ms", "max events is -4",
			"dedupe last is 1025", "rule 2: timeout is -5 ms", "rule 2: max duration is -6 ms",
			"rule 2: unknown class 9", "rule 3: drop goes with nothing else",
			"rule 4: class ignore goes with nothing else",
			"rule 5: start needs class start: an event of class extend", "rule 6: end does not go",
			"rule 7: drop goes with nothing else",
		} {
			if !strings.Contains(err.Error(), fault) {
				t.Errorf("%q is missing in: %v", fault, err)
			}
		}
	})
	t.Run("EveryEffectThatMakesSenseIsFine", func(t *testing.T) {
		rules := DefaultRules()
		rules.MaxDuration, rules.MaxEvents, rules.DedupeLast = DurationMax, 1, DedupeMax
		rules.Effects = []Effect{
			{}, {Timeout: 1, MaxDuration: DurationMax, Start: true, End: true}, {Drop: true},
			{Class: ClassIgnore}, {Class: ClassAttach, Timeout: 1}, {Class: ClassExtend, End: true},
		}
		if err := rules.Compile(); err != nil {
			t.Fatal(err)
		}
		rules.Effects = make([]Effect, EffectsMax+1)
		if err := rules.Compile(); err == nil || !strings.Contains(err.Error(), "65536 rules") {
			t.Fatalf("too many rules: %v", err)
		}
	})
	t.Run("RetainedFollowsLatenessAndTheSmallerTimeout", func(t *testing.T) {
		for _, c := range []struct {
			lateness, timeout, mobile Millis
			want                      int
		}{
			{day, 30 * 60_000, 30 * 60_000, 64},
			{day, 30 * 60_000, 10 * 60_000, 146},
			{day, 10 * 60_000, 30 * 60_000, 146},
			{7 * day, 30 * 60_000, 5 * 60_000, 512},
			{60_000, 30 * 60_000, 5 * 60_000, 64},
		} {
			rules := DefaultRules()
			rules.Lateness, rules.Timeout, rules.MobileTimeout = c.lateness, c.timeout, c.mobile
			if err := rules.Compile(); err != nil || rules.Retained != c.want {
				t.Errorf("%+v: retained %d, %v", c, rules.Retained, err)
			}
		}
	})
	t.Run("TooFewRetainedIsWarnedAbout", func(t *testing.T) {
		for retained, want := range map[int]int{49: 1, 50: 0} { // 24 h / 30 m + 2
			rules := DefaultRules()
			rules.Retained = retained
			if err := rules.Compile(); err != nil || len(rules.Warnings()) != want {
				t.Errorf("%d: %v, %q", retained, err, rules.Warnings())
			}
		}
	})
}

func TestNamesAreDistinct(t *testing.T) {
	var names []string
	for r := ReasonInactivity; r < reasons; r++ {
		names = append(names, "reason "+r.String())
	}
	for s := range statuses {
		names = append(names, "status "+s.String())
	}
	for d := DeadNone + 1; d < deads; d++ {
		names = append(names, "dead "+d.String())
	}
	for i := ValidID + 1; i < invalids; i++ {
		names = append(names, "invalid "+i.String())
	}
	for n := Notes(1); n < NotesEnd; n <<= 1 {
		names = append(names, "note "+n.String())
	}
	for c := range classes {
		names = append(names, "class "+c.String())
	}
	slices.Sort(names)
	for i, name := range names {
		if strings.HasSuffix(name, " ") || strings.Contains(name, "unknown") ||
			i > 0 && name == names[i-1] {
			t.Errorf("%q has no name of its own", name)
		}
	}
	if got := NotesEnd.String() + reasons.String(); got != "unknownunknown" {
		t.Errorf("beyond the last: %s", got)
	}
}

// TestStep holds what no scenario can show.
func TestStep(t *testing.T) {
	t.Run("ATimeOutOfRangeIsDead", func(t *testing.T) {
		for _, at := range []Time{NoTime, MaxTime, TimeMin - 1, TimeMax + 1} {
			m := &keyFeed{rules: *compiled(t, DefaultRules()), w: Watermarks{Event: NoTime, Tick: NoTime}}
			m.step(t, &Event{Time: at})
			if m.out.Dead != DeadNoTime || len(m.row) > 0 || m.w.Event != NoTime {
				t.Errorf("%d: %s, row %x, watermark %d", at, m.out.Dead, m.row, m.w.Event)
			}
		}
	})
	t.Run("TheFirstAndTheLastTimeAreFine", func(t *testing.T) {
		m := &keyFeed{rules: *compiled(t, DefaultRules()), w: Watermarks{Event: NoTime, Tick: NoTime}}
		for _, at := range []Time{TimeMin, TimeMax} {
			m.step(t, &Event{Time: at, AnonymousID: []byte("ana")})
			if m.out.Stamp.Status != InSession || m.out.Stamp.StartedAt != at {
				t.Errorf("%d: %+v", at, m.out.Stamp)
			}
		}
	})
	// Conformance: S23.
	t.Run("AFullIndexStaysWhereItIs", func(t *testing.T) {
		m := &keyFeed{rules: *compiled(t, DefaultRules()), w: Watermarks{Event: NoTime, Tick: NoTime}}
		m.state.Reset()
		m.state.Count = indexMax - 1
		m.row = m.state.AppendRow(nil)
		for i, want := range []Notes{0, NoteIndexFull} {
			m.step(t, &Event{Time: scenarioDay, Client: ID{Int: int64(i) + 1}})
			if got := m.out.Notes & NoteIndexFull; m.out.Stamp.Index != indexMax || got != want {
				t.Errorf("index %d, notes %d", m.out.Stamp.Index, m.out.Notes)
			}
		}
	})
	t.Run("ASessionTakesConstantSpace", func(t *testing.T) {
		rules := DefaultRules()
		everything(&rules)
		rules.Retained, rules.MaxDuration, rules.MaxEvents, rules.Effects = 2, 0, 0, nil
		rules.SplitUserChange, rules.SplitCampaign = false, false
		m := &keyFeed{rules: *compiled(t, rules), w: Watermarks{Event: NoTime, Tick: NoTime}}
		size := 0
		for n := range int64(400) {
			e := benchEvent(0)
			everythingOf(e, n, 1)
			e.Rule, e.Offset, e.MessageID = 0, n, fmt.Appendf(nil, "%08d", n)
			m.step(t, e)
			if n == 200 {
				size = len(m.row)
			}
		}
		if count := len(m.state.Messages) / digestBytes; count != rules.DedupeLast {
			t.Errorf("%d message ids are kept, not %d", count, rules.DedupeLast)
		}
		if len(m.row) > size+4 { // the counts are a byte or two longer
			t.Errorf("a row of %d bytes grew to %d", size, len(m.row))
		}
	})
	t.Run("TheSourceIsPartOfTheUUID", func(t *testing.T) {
		var uuids [2][16]byte
		for i, source := range []string{"", "app"} {
			m := &keyFeed{rules: *compiled(t, DefaultRules()), w: Watermarks{Event: NoTime, Tick: NoTime}}
			m.step(t, &Event{Time: scenarioDay, AnonymousID: []byte("ana"), Source: []byte(source)})
			uuids[i] = m.out.Stamp.UUID
		}
		if uuids[0] == uuids[1] {
			t.Error("two sources have one uuid")
		}
	})
}
