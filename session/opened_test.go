package session

// A key that opens sessions beside some that rest.

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// benchVisits returns the rows of a key with so many ended visits.
func benchVisits(
	tb testing.TB, rules Rules, visits int64,
) (r *Rules, s *State, row, history []byte) {
	r, s = compiled(tb, rules), &State{}
	s.Reset()
	w, out := Watermarks{Event: NoTime, Tick: NoTime}, Outcome{}
	for v := range visits {
		for n := range int64(8) {
			e := benchEvent(v*8 + n)
			e.Time += Time(v) * 7200_000
			r.Step(s, e, &w, &out)
		}
	}
	row, history = s.AppendRow(nil), s.AppendHistory(nil)
	return r, s, row, history
}

// BenchmarkOpening is a key whose event opens a session beside four that rest and ends the fifth.
func BenchmarkOpening(b *testing.B) {
	r, s, row, history := benchVisits(b, DefaultRules(), 5)
	e := benchEvent(50)
	e.Time += 6 * 7200_000
	var out Outcome
	b.ReportAllocs()
	for b.Loop() {
		w := Watermarks{Event: scenarioDay, Tick: scenarioDay}
		if err := s.Decode(row, history); err != nil {
			b.Fatal(err)
		}
		r.Step(s, e, &w, &out)
	}
}

// Unpack brings the resting sessions among the others.
func (s *State) Unpack() { s.unpack() }

// Undisturbed returns how many sessions rest that an event at t leaves alone unless it opens one.
func (r *Rules) Undisturbed(s *State, t Time, w Watermarks) int {
	if !s.isResting() || r.disturbs(s, t, max(w.Event, t-Time(r.OutOfOrder))) {
		return 0
	}
	return s.rest.count + s.fresh.count
}

func TestPassingTextsOverReadsTheSameBytes(t *testing.T) {
	base := rand.Uint64()
	t.Logf("seeds from %d", base)
	refused := 0
	for seed := base; seed < base+20_000; seed++ {
		k := rand.New(rand.NewPCG(seed, 8))
		x := randomSession(k)
		b := append(appendSession(nil, &x), "more"...)
		switch k.IntN(3) {
		case 0:
			b[k.IntN(len(b))] = byte(k.Uint32())
		case 1:
			b = b[:k.IntN(len(b))]
		}
		var whole, part Session
		read, passed := reader{b: b}, reader{b: b}
		read.session(&whole)
		passed.passSessionTexts(part.First, passed.sessionNumbers(&part))
		if read.err != nil {
			refused++
		}
		if !errors.Is(passed.err, read.err) || !bytes.Equal(read.b, passed.b) {
			t.Fatalf("seed %d: read %v, %d bytes left; passed over %v, %d bytes left",
				seed, read.err, len(read.b), passed.err, len(passed.b))
		}
	}
	if refused == 0 {
		t.Fatal("no damage was refused")
	}
}

func TestADamagedSessionIsAnErrorForWhoOpensBesideIt(t *testing.T) {
	r, s, row, history := benchVisits(t, DefaultRules(), 5)
	e := benchEvent(50)
	e.Time += 6 * 7200_000
	for _, sessions := range [][]byte{s.rest.sessions, s.fresh.sessions} {
		damaged := [][]byte{slices.Clone(row), slices.Clone(history)}
		for _, b := range damaged {
			if at := bytes.Index(b, sessions); at >= 0 {
				copy(b[at:], bytes.Repeat([]byte{0xff}, 8)) // flags that mean nothing
			}
		}
		var d State
		if err := d.Decode(damaged[0], damaged[1]); err != nil {
			t.Fatal(err)
		}
		var out Outcome
		w := Watermarks{Event: scenarioDay, Tick: scenarioDay}
		if n := r.Undisturbed(&d, e.Time, w); n == 0 {
			t.Fatal("nothing rests")
		}
		if r.Step(&d, e, &w, &out); d.Err() == nil {
			t.Fatal("a session was opened beside a damaged one")
		}
	}
}

// TestTextsDoNotGrowWithWhatIsUnpacked: late events bring resting sessions back, again and again,
// without an encoding in between.
func TestTextsDoNotGrowWithWhatIsUnpacked(t *testing.T) {
	rules := DefaultRules()
	rules.Lateness, rules.Retained = 3000*3600_000, 64
	r, s, row, history := benchVisits(t, rules, 6)
	if err := s.Decode(row, history); err != nil {
		t.Fatal(err)
	}
	w, out := Watermarks{Event: NoTime, Tick: NoTime}, Outcome{}
	again := 0
	for n := range int64(10_000) {
		e := benchEvent(n)
		e.Time = scenarioDay + Time(n%6)*7200_000 // of a visit that has ended
		if n%2 == 1 {
			e.Time = scenarioDay + 6*7200_000 + Time(n)*100_000 // it ends again
		}
		r.Step(s, e, &w, &out)
		for _, ended := range slices.Concat(out.Before, out.After) {
			if ended.Revision > 1 {
				again++
			}
		}
	}
	if most := 64 << 10; s.Bytes() > most {
		t.Errorf("%d bytes, want at most %d", s.Bytes(), most)
	}
	if again < 1000 {
		t.Errorf("%d visits that rested have ended again", again)
	}
}
