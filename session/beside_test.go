package session_test

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"

	"sessionizer/session"
)

// TestRestingSessionsAreReadAsUnpackedOnes feeds keys with many retained sessions to two machines.
// One has all of them before it at every event, the other leaves those that rest encoded for as
// long as it can.
func TestRestingSessionsAreReadAsUnpackedOnes(t *testing.T) {
	base := rand.Uint64()
	t.Logf("seeds from %d", base)
	var opened, rejoined, renumbered [3][3]int // by mode and id type
	for seed := base; seed < base+uint64(*randomKeys)/4; seed++ {
		k := newRandomKey(seed)
		k.rules.Retained, k.rules.Lateness, k.rules.Retention = 64, 100_000, 100_000
		k.rules.OnMissing = session.MissingContinue
		rests, all := newFeed(k.rules), newFeed(k.rules)
		at := func(n *[3][3]int) *int { return &n[k.rules.Mode][k.rules.IDType] }
		planted := session.NoTime
		for range 5 + k.IntN(60) {
			e := k.nextVisit(&planted)
			rests.decode(t)
			all.decode(t)
			all.state.Unpack()
			resting := rests.rules.Undisturbed(&rests.state, e.Time, rests.w)
			count, server := rests.state.Count, rests.state.MaxServerID
			rests.rules.Step(&rests.state, &e, &rests.w, &rests.out)
			all.rules.Step(&all.state, &e, &all.w, &all.out)
			rests.encode(t)
			all.encode(t)
			if !reflect.DeepEqual(withoutRoom(&rests.out), withoutRoom(&all.out)) ||
				rests.w != all.w {
				t.Fatalf("seed %d: beside %d resting sessions\n%+v\nwith all of them unpacked\n%+v",
					seed, resting, rests.out, all.out)
			}
			if !bytes.Equal(rests.row, all.row) || !bytes.Equal(rests.history, all.history) {
				t.Fatalf("seed %d: rows beside %d resting sessions\n%x\n%x\nwith all of them unpacked\n"+
					"%x\n%x", seed, resting, rests.row, rests.history, all.row, all.history)
			}
			stamp := &rests.out.Stamp
			switch isNew := rests.state.Count > count; {
			case resting < 2:
			case isNew && stamp.Server && stamp.ID.Int > max(int64(e.Time), server+1, 1000):
				*at(&renumbered)++
			case isNew:
				*at(&opened)++
			case stamp.Status == session.InSession && stamp.GapMs > 90:
				*at(&rejoined)++
			}
		}
	}
	t.Logf("opened %v, rejoined %v, renumbered %v", opened, rejoined, renumbered)
	for mode := range opened {
		for idType := range opened[mode] {
			isClients := session.Mode(mode) != session.Assign
			if opened[mode][idType] == 0 ||
				session.Mode(mode) == session.Adopt && rejoined[mode][idType] == 0 ||
				isClients && renumbered[mode][idType] == 0 {
				t.Errorf("mode %d, ids %d: not everything was seen", mode, idType)
			}
		}
	}
}

// nextVisit draws an event that often begins another visit, at times under an id that was given
// before, or under one that the server could give later: then planted is its number, and such an
// event may come.
func (k *randomKey) nextVisit(planted *session.Time) session.Event {
	if k.IntN(3) == 0 {
		k.clock += session.Time(61 + k.IntN(100))
	}
	e := k.next()
	e.Rule = 0
	switch {
	case k.IntN(3) == 0:
		clock := k.clock
		k.clock += []session.Time{-100, 0, 61, 90, 120}[k.IntN(5)]
		e.Client, e.Invalid = k.clientID(), session.ValidID
		*planted, k.clock = k.clock, clock
	case *planted > k.clock && k.IntN(2) == 0:
		k.clock = *planted
		e.Time, e.Client, e.Invalid = k.clock, session.ID{}, session.ValidID
	}
	return e
}
