package session_test

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"sessionizer/session"
)

// live is a key whose state lives through several events, beside a feed that reads and writes its
// rows at every one.
type live struct {
	feed
	each *feed
}

func (l *live) both(t *testing.T, step func(f *feed, e *session.Event), e *session.Event) {
	t.Helper()
	l.each.decode(t)
	step(l.each, e)
	l.each.encode(t)
	mine := cloneEvent(e)
	step(&l.feed, mine)
	if err := l.state.Err(); err != nil {
		t.Fatal(err)
	}
	want, got := &l.each.out, &l.out
	if !reflect.DeepEqual(withoutRoom(got), withoutRoom(want)) || l.w != l.each.w {
		t.Fatalf("with rows at every event\n%+v\nwithout\n%+v\nwatermarks %+v and %+v",
			want, got, l.each.w, l.w)
	}
	scramble(mine)
}

// rows holds the rows that would be written now against those written at every event.
func (l *live) rows(t *testing.T, read bool) {
	t.Helper()
	row, history := l.state.AppendRow(nil), l.state.AppendHistory(nil)
	if !bytes.Equal(row, l.each.row) || !bytes.Equal(history, l.each.history) {
		t.Fatalf("the rows are\n%x\n%x\nwritten at every event\n%x\n%x",
			row, history, l.each.row, l.each.history)
	}
	if !bytes.Equal(row, l.row) && !l.state.RowChanged ||
		!bytes.Equal(history, l.history) && !l.state.HistoryChanged {
		t.Fatalf("changed: row %t, history %t", l.state.RowChanged, l.state.HistoryChanged)
	}
	if due := l.rules.Due(&l.each.state); l.rules.Due(&l.state) != due {
		t.Fatalf("due at %d, with rows at every event at %d", l.rules.Due(&l.state), due)
	}
	if read {
		l.row, l.history = row, history
		l.decode(t)
	}
}

// withoutRoom makes slices nil that hold nothing but room.
func withoutRoom(out *session.Outcome) session.Outcome {
	o := *out
	for _, ended := range []*[]session.Ended{&o.Before, &o.Begun, &o.After} {
		if len(*ended) == 0 {
			*ended = nil
		}
	}
	return o
}

// cloneEvent copies an event with all its texts.
func cloneEvent(e *session.Event) *session.Event {
	if e == nil {
		return nil
	}
	c := *e
	for _, text := range eventTexts(&c) {
		*text = bytes.Clone(*text)
	}
	if e.Details != nil {
		d := *detailsOf(e)
		d.referrer, d.campaign = bytes.Clone(d.referrer), bytes.Clone(d.campaign)
		d.context = bytes.Clone(d.context)
		c.Details = &d
	}
	return &c
}

func eventTexts(e *session.Event) []*[]byte {
	return []*[]byte{&e.AnonymousID, &e.Source, &e.Client.Text, &e.UserID, &e.MessageID, &e.Place}
}

// scramble overwrites what an event's texts lie in, as reading the next one does.
func scramble(e *session.Event) {
	if e == nil {
		return
	}
	texts := eventTexts(e)
	if e.Details != nil {
		d := detailsOf(e)
		texts = append(texts, &d.referrer, &d.campaign, &d.context)
	}
	for _, text := range texts {
		for i := range *text {
			(*text)[i] = '#'
		}
	}
}

// pad makes some texts so long that what they leave behind must be tidied.
func pad(k *rand.Rand, e *session.Event) {
	d := detailsOf(e)
	for _, text := range []*[]byte{&e.MessageID, &e.Place, &d.referrer, &d.context} {
		if n := k.IntN(3); n > 0 && len(bytes.TrimSpace(*text)) > 0 {
			*text = append(*text, strings.Repeat("-", n*k.IntN(500))...)
		}
	}
}

func TestRowsBetweenSomeEventsAreRowsAtEachOfThem(t *testing.T) {
	base := rand.Uint64()
	t.Logf("seeds from %d", base)
	for seed := base; seed < base+uint64(*randomKeys)/4; seed++ {
		runLiveKey(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzRowsBetweenSomeEvents(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(runLiveKey)
}

func runLiveKey(t *testing.T, seed uint64) {
	k := newRandomKey(seed)
	l := &live{feed: *newFeed(k.rules), each: newFeed(k.rules)}
	l.state.Reset()
	often := []int{1, 3, 10, 40, 1000}[k.IntN(5)]
	isLong := k.IntN(2) == 0
	for range 5 + k.IntN(90) {
		switch k.IntN(12) {
		case 0:
			if l.w.Event == session.NoTime {
				continue
			}
			tick := max(l.w.Tick, k.clock+session.Time(k.IntN(120)))
			l.w.Tick, l.each.w.Tick = tick, tick
			l.both(t, func(f *feed, _ *session.Event) { f.rules.Expire(&f.state, f.w, &f.out) }, nil)
		case 1:
			at := k.clock + session.Time(k.IntN(30)) - session.Time(k.rules.OutOfOrder)
			for _, w := range []*session.Watermarks{&l.w, &l.each.w} {
				w.Event = max(w.Event, at)
				w.Tick = max(w.Tick, w.Event)
			}
			continue
		default:
			e := k.next()
			if isLong {
				pad(k.Rand, &e)
			}
			l.both(t, func(f *feed, e *session.Event) { f.rules.Step(&f.state, e, &f.w, &f.out) }, &e)
		}
		if k.IntN(2) == 0 || often == 1 {
			l.rows(t, k.IntN(often) == 0)
		}
	}
}
