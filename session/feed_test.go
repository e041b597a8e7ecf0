package session_test

// The loop around the machine, as a caller has it: rows in, rows out.

import (
	"bytes"
	"testing"

	"sessionizer/session"
)

// details is what a session collects, known beforehand.
type details struct{ referrer, campaign, context []byte }

func (d *details) Referrer() []byte { return d.referrer }
func (d *details) Campaign() []byte { return d.campaign }
func (d *details) Context() []byte  { return d.context }

// detailsOf returns those of an event, which has them from then on.
func detailsOf(e *session.Event) *details {
	if e.Details == nil {
		e.Details = &details{}
	}
	return e.Details.(*details)
}

// feed is one key. Its rows are encoded and decoded around every step.
type feed struct {
	rules        session.Rules
	row, history []byte
	state        session.State
	w            session.Watermarks
	out          session.Outcome
}

func newFeed(rules session.Rules) *feed {
	return &feed{rules: rules, w: session.Watermarks{Event: session.NoTime, Tick: session.NoTime}}
}

func (f *feed) decode(t *testing.T) {
	if err := f.state.Decode(f.row, f.history); err != nil {
		t.Fatalf("decode: %v", err)
	}
}

// encode writes the rows again and holds the flags that say whether it was necessary.
func (f *feed) encode(t *testing.T) {
	row, history := f.state.AppendRow(nil), f.state.AppendHistory(nil)
	if !f.state.RowChanged && !bytes.Equal(row, f.row) {
		t.Fatalf("the row changed and RowChanged is false")
	}
	if !f.state.HistoryChanged && !bytes.Equal(history, f.history) {
		t.Fatalf("the history changed and HistoryChanged is false")
	}
	if err := f.state.Err(); err != nil {
		t.Fatalf("state: %v", err)
	}
	f.row, f.history = row, history
}

func (f *feed) step(t *testing.T, e *session.Event) {
	f.decode(t)
	f.rules.Step(&f.state, e, &f.w, &f.out)
	f.encode(t)
}

func (f *feed) expire(t *testing.T) {
	f.decode(t)
	due := f.rules.Due(&f.state)
	f.rules.Expire(&f.state, f.w, &f.out)
	isDue := due != session.NoTime && f.w.Tick > due
	if isDue != (len(f.out.Before) > 0) {
		t.Fatalf("due at %d, tick watermark %d, %d visits ended", due, f.w.Tick, len(f.out.Before))
	}
	f.encode(t)
}
