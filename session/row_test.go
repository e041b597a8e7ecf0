package session

// Rows outlive programs: what is written must be read again, to the last field, also by a version
// that collects more than this one. And a row is bytes from a disk or a topic: whatever they are,
// reading them must not crash.

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// randomSession fills every field there is.
func randomSession(k *rand.Rand) Session {
	texts := []string{"", "a", anonymousUUID, "9F3C2C2A-1d4b-4b7c-9c2a-8a3f6d3c0e91",
		"https://example.com/?utm_source=x", "00000000-0000-0000-0000-000000000000"}
	bytesOf := func() []byte {
		if text := texts[k.IntN(len(texts))]; text != "" {
			return []byte(text)
		}
		return nil
	}
	number := func() uint64 { return []uint64{0, 1, 127, 128, math.MaxUint64}[k.IntN(5)] }
	at := func() Time { return []Time{TimeMin, -1, 0, 1, scenarioDay, TimeMax}[k.IntN(6)] }
	offset := func() int64 { return []int64{0, 1, -1, math.MaxInt64, math.MinInt64}[k.IntN(5)] }
	x := Session{
		Index: uint32(number()), Server: k.IntN(2) == 0, Started: k.IntN(2) == 0, Open: k.IntN(2) == 0,
		EndReason: Reason(k.IntN(int(reasons))), Revision: uint32(number()),
		Changed: at(), NotBefore: NoTime, NotAfter: MaxTime,
		Timeout: Millis(k.Int64N(int64(DurationMax) + 1)), ActiveMs: Millis(k.IntN(2)),
		MaxDuration: Millis(k.IntN(3)), Events: number(), EventIndex: number(), Pages: number(),
		Screens: number(), Tracks: number(), Late: number(), Duplicates: number(), Attached: number(),
		FirstOffset: offset(), LastOffset: offset(), FirstEvent: bytesOf(), LastEvent: bytesOf(),
		Foreground: uint32(number()), Background: uint32(number()),
	}
	x.First, x.Last = at(), at()
	if x.First > x.Last {
		x.First, x.Last = x.Last, x.First
	}
	if k.IntN(2) == 0 {
		x.NotBefore = at()
	}
	if k.IntN(2) == 0 {
		x.NotAfter = at()
	}
	for i := range x.UUID {
		x.UUID[i] = byte(k.Uint32())
	}
	ids := []ID{
		{Int: 1}, {Int: -1}, {Int: math.MinInt64}, {Int: math.MaxInt64}, {Text: []byte("x")},
		{Int: 1000, Text: []byte("1000")}, {Int: 1000, Text: []byte("other")},
		{Text: AppendUUID(nil, x.UUID)}, {Int: 7, Text: AppendUUID(nil, x.UUID)},
		{Text: []byte("1000")}, {Text: []byte("9f3c2c2a-1d4b-4b7c-9c2a-8a3f6d3c0e91")},
	}
	id := func() ID { return ids[k.IntN(len(ids))] }
	x.ID = id()
	if k.IntN(2) == 0 {
		x.Client, x.Previous = id(), id()
	}
	for _, text := range []*Text{
		&x.FirstUser, &x.LastUser, &x.Entry, &x.Exit, &x.Campaign, &x.Referrer, &x.Context,
	} {
		if b := bytesOf(); b != nil {
			*text = Text{Bytes: b, Time: at(), Offset: offset()}
			switch k.IntN(3) {
			case 0:
				text.Time, text.Offset = x.First, x.FirstOffset
			case 1:
				text.Time, text.Offset = x.Last, x.LastOffset
			}
		}
	}
	return x
}

func randomState(k *rand.Rand) *State {
	s := &State{}
	s.Reset()
	s.Count = []uint32{1, 300, math.MaxUint32}[k.IntN(3)]
	s.MaxServerID = []int64{0, 1000, serverIDMax}[k.IntN(3)]
	s.Stamped = uint32(k.IntN(3))
	s.Forgotten = []Time{NoTime, 0, TimeMin, TimeMax + Time(DurationMax)}[k.IntN(4)]
	if k.IntN(3) == 0 {
		s.Messages = []byte("messages")
	}
	for range k.IntN(3) {
		x := randomSession(k)
		x.Open = false
		s.Sessions = append(s.Sessions, x)
	}
	s.settle()
	for range k.IntN(4) {
		s.Sessions = append(s.Sessions, randomSession(k))
	}
	for range k.IntN(4) {
		x := randomSession(k)
		s.history.push(&x, []ID{{}, {Int: 5}, {Text: []byte("t")}}[k.IntN(3)], 2)
	}
	return s
}

func TestRow(t *testing.T) {
	t.Run("EveryFieldIsReadAgain", func(t *testing.T) {
		base := rand.Uint64()
		t.Logf("seeds from %d", base)
		for seed := base; seed < base+5_000; seed++ {
			k := rand.New(rand.NewPCG(seed, 3))
			want := randomState(k)
			row, history := want.AppendRow([]byte("r"))[1:], want.AppendHistory([]byte("h"))[1:]
			var got State
			if err := got.Decode(row, history); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if got.Count != want.Count || got.MaxServerID != want.MaxServerID ||
				got.Stamped != want.Stamped || got.Forgotten != want.Forgotten ||
				!bytes.Equal(got.Messages, want.Messages) {
				t.Fatalf("seed %d: want %+v\ngot %+v", seed, want, &got)
			}
			if len(got.Sessions) != len(want.Sessions) {
				t.Fatalf("seed %d: %d sessions, want %d", seed, len(got.Sessions), len(want.Sessions))
			}
			for i := range want.Sessions {
				if !reflect.DeepEqual(got.Sessions[i], want.Sessions[i]) {
					t.Fatalf("seed %d:\nwant %+v\ngot  %+v", seed, want.Sessions[i], got.Sessions[i])
				}
			}
			if again := got.AppendRow(nil); !bytes.Equal(again, row) {
				t.Fatalf("seed %d: row %x, written again %x", seed, row, again)
			}
			if again := got.AppendHistory(nil); !bytes.Equal(again, history) {
				t.Fatalf("seed %d: history %x, written again %x", seed, history, again)
			}
		}
	})
	t.Run("AForgottenSessionIsReadAgain", func(t *testing.T) {
		k := rand.New(rand.NewPCG(1, 4))
		for range 1_000 {
			want := randomSession(k)
			s := &State{}
			s.Reset()
			s.history.push(&want, ID{}, 1)
			e, ok := s.history.find(appendIDKey(nil, want.ID))
			if !ok {
				t.Fatalf("%+v is not found", want.ID)
			}
			if got, ok := s.read(&e); !ok || !reflect.DeepEqual(got, want) {
				t.Fatalf("%v\nwant %+v\ngot  %+v", s.Err(), want, got)
			}
		}
	})
	t.Run("AnEndedSessionIsReadAgain", func(t *testing.T) {
		k := rand.New(rand.NewPCG(1, 6))
		for range 1_000 {
			s := &State{}
			s.Reset()
			s.Count = 1
			var want []Session
			for i := range 1 + k.IntN(3*freshMax) {
				x := randomSession(k)
				x.Open = false
				s.Sessions, want = append(s.Sessions, x), append(want, x)
				if s.HistoryChanged = false; k.IntN(2) == 0 {
					s.unpack()
				}
				s.stirred = true
				if s.settle(); len(s.Sessions) > 0 {
					t.Fatalf("%d ended sessions are left among the open ones", len(s.Sessions))
				}
				if s.HistoryChanged != (i%(freshMax+1) == freshMax) {
					t.Fatalf("the history changed with session %d: %t", i, s.HistoryChanged)
				}
			}
			open := randomSession(k)
			open.Open = true
			s.Sessions = append(s.Sessions, open)
			want = append(want, open)
			var got State
			if err := got.Decode(s.AppendRow(nil), s.AppendHistory(nil)); err != nil {
				t.Fatal(err)
			}
			got.unpack()
			if got.Err() != nil || !reflect.DeepEqual(got.Sessions, want) {
				t.Fatalf("%v\nwant %+v\ngot  %+v", got.Err(), want, got.Sessions)
			}
			if got.settle(); got.HistoryChanged || got.RowChanged {
				t.Fatal("what was unpacked and not changed is written again")
			}
		}
	})
	t.Run("ADamagedSessionIsAnErrorOnceItIsNeeded", func(t *testing.T) {
		m := &keyFeed{rules: DefaultRules(), w: Watermarks{Event: NoTime, Tick: NoTime}}
		first := benchEvent(1)
		m.step(t, first)
		m.w.Tick = first.Time + Time(day/2)
		var s State
		if err := s.Decode(m.row, m.history); err != nil {
			t.Fatal(err)
		}
		m.rules.Expire(&s, m.w, &m.out)
		row, history := s.AppendRow(nil), s.AppendHistory(nil)
		at := bytes.Index(row, s.fresh.sessions)
		copy(row[at:], bytes.Repeat([]byte{0xff}, 8)) // flags that mean nothing
		if err := s.Decode(row, history); err != nil {
			t.Fatal(err)
		}
		second := benchEvent(2)
		if m.rules.Step(&s, second, &m.w, &m.out); s.Err() == nil {
			t.Fatal("a damaged session was taken for one")
		}
	})
	t.Run("ANewKeyHasNoRow", func(t *testing.T) {
		var s State
		if err := s.Decode(nil, nil); err != nil || !s.IsEmpty() {
			t.Fatalf("decode nothing: %v, empty %t", err, s.IsEmpty())
		}
		if row, history := s.AppendRow(nil), s.AppendHistory(nil); len(row)+len(history) > 0 {
			t.Fatalf("row %x, history %x", row, history)
		}
	})
	t.Run("IsCompact", func(t *testing.T) {
		// The sizes that the memory of a partition is reckoned with.
		m := &keyFeed{rules: DefaultRules(), w: Watermarks{Event: NoTime, Tick: NoTime}}
		for i := range int64(10) {
			m.step(t, benchEvent(i))
		}
		if len(m.row) > 120 {
			t.Fatalf("a session of the server's takes %d bytes: %x", len(m.row), m.row)
		}
	})
	t.Run("DamageIsAnError", func(t *testing.T) {
		k := rand.New(rand.NewPCG(5, 5))
		refused := 0
		for range 300 {
			s := randomState(k)
			row, history := s.AppendRow(nil), s.AppendHistory(nil)
			for n := range row[1:] {
				var got State
				if err := got.Decode(row[:n+1], nil); err == nil {
					t.Fatalf("%d of %d bytes of a row are a row", n+1, len(row))
				}
				if !got.IsEmpty() {
					t.Fatal("an error left something behind")
				}
				refused++
			}
			for n := range history {
				var got State
				if err := got.Decode(nil, history[:n]); n > 0 && err == nil {
					t.Fatalf("%d of %d bytes of a history are one", n, len(history))
				}
			}
			for _, damaged := range [][]byte{append(slices.Clone(row), 0), {rowVersion + 1, 1}} {
				var got State
				if got.Decode(damaged, nil) == nil {
					t.Fatalf("%x is a row", damaged)
				}
			}
		}
		if refused == 0 {
			t.Fatal("nothing was tried")
		}
	})
	t.Run("ADamagedEntryOfTheHistoryIsNamedByErr", func(t *testing.T) {
		var s State
		s.Reset()
		x := randomSession(rand.New(rand.NewPCG(6, 6)))
		x.ID = ID{Int: 7}
		s.history.push(&x, ID{}, 1)
		history := s.AppendHistory(nil)
		e, _ := s.history.next(0)
		head := len(history) - len(e.session)
		for _, at := range []int{head - 1, head, len(history) - 1} { // merged into, flags, the last text
			damaged := slices.Clone(history)
			damaged[at] = 0xff
			if err := s.Decode(nil, damaged); err != nil {
				t.Fatalf("the entries were read: %v", err)
			}
			var out Outcome
			w := Watermarks{Event: NoTime, Tick: NoTime}
			compiled(t, DefaultRules()).Step(&s, &Event{Time: scenarioDay, Client: ID{Int: 7}}, &w, &out)
			if s.Err() == nil {
				t.Fatalf("byte %d of %d damaged, and the session resumed", at, len(history))
			}
			if s.Decode(nil, history); s.Err() != nil {
				t.Fatalf("the damage stayed: %v", s.Err())
			}
		}
	})
}

func compiled(tb testing.TB, rules Rules) *Rules {
	tb.Helper()
	if err := rules.Compile(); err != nil {
		tb.Fatal(err)
	}
	return &rules
}

// FuzzDecode feeds hostile bytes and lets the machine work with whatever comes of them.
func FuzzDecode(f *testing.F) {
	for seed := range uint64(50) {
		s := randomState(rand.New(rand.NewPCG(seed, 7)))
		f.Add(s.AppendRow(nil), s.AppendHistory(nil))
	}
	f.Fuzz(func(t *testing.T, row, history []byte) {
		var s State
		if err := s.Decode(row, history); err != nil {
			return
		}
		row, history = s.AppendRow(nil), s.AppendHistory(nil)
		if err := s.Decode(row, history); err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if again := s.AppendRow(nil); !bytes.Equal(again, row) {
			t.Fatalf("written %x, again %x", row, again)
		}
		for mode := Adopt; mode <= Enforce; mode++ {
			rules := DefaultRules()
			rules.Mode, rules.Retained, rules.Remembered = mode, 2, 2
			rules.SplitUserChange, rules.SplitCampaign, rules.Midnight = true, true, time.UTC
			rules.MaxDuration, rules.MaxEvents, rules.DedupeLast = 1, 3, 2
			rules.Effects = []Effect{{Class: ClassAttach}, {End: true}}
			w := Watermarks{Event: NoTime, Tick: NoTime}
			var out Outcome
			for i, client := range []ID{{}, {Int: 1}, {Text: []byte("x")}, {Int: 5}} {
				if err := s.Decode(row, history); err != nil {
					t.Fatalf("read again: %v", err)
				}
				e := Event{Time: scenarioDay + Time(i), Client: client, UserID: fmt.Append(nil, i),
					MessageID: []byte("m"), Details: &details{campaign: []byte("c")}, Rule: uint16(i % 3)}
				compiled(t, rules).Step(&s, &e, &w, &out)
				s.AppendRow(nil)
				s.AppendHistory(nil)
			}
		}
	})
}
