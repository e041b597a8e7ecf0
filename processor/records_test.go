package processor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/schemas"
	"sessionizer/session"
)

// What a task adds to its records besides the events' values.

func headersOf(r *kgo.Record) (all []string) {
	for _, h := range r.Headers {
		all = append(all, fmt.Sprintf("%s=%s", h.Key, h.Value))
	}
	return all
}

// newRulesTask is a task whose events of type track are dropped, and whose visits are announced.
func newRulesTask(t *testing.T) *Task {
	t.Helper()
	task, part := newTestTask(t)
	profile, err := schemas.LoadProfile("krenalis")
	if err != nil {
		t.Fatal(err)
	}
	codec, err := schemas.NewCodec(schemas.Config{
		Profile: profile, Fields: []string{"standard"}, FutureTolerance: 60_000,
		Rules: []schemas.Match{{Conditions: []schemas.Condition{{
			Path: "type", Test: schemas.TestOneOf,
			Values: []schemas.Value{{Kind: schemas.ValueString, Text: "track"}},
		}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	rules := session.DefaultRules()
	rules.Effects, rules.Started = []session.Effect{{Drop: true}}, true
	if err := rules.Compile(); err != nil {
		t.Fatal(err)
	}
	return NewTask(&rules, codec, part, "events", 0, task.topics, Policy{})
}

func TestTask_Records(t *testing.T) {
	// made are the topics and events of what a step makes.
	made := func(t *testing.T, task *Task, in *kgo.Record) (all []string) {
		t.Helper()
		if err := task.Step(in); err != nil {
			t.Fatal(err)
		}
		for _, r := range task.Ready() {
			var e struct {
				Event    string
				Revision int
				Origin   struct{ DecidedAt int64 }
			}
			if err := json.Unmarshal(r.Value, &e); err != nil {
				t.Fatal(err)
			}
			all = append(all, fmt.Sprintf("%s %s r%d %d", r.Topic, e.Event, e.Revision, e.Origin.DecidedAt))
		}
		return all
	}
	t.Run("AVisitIsAnnouncedBehindTheEndOfTheLastAndAheadOfItsEvent", func(t *testing.T) {
		task := newRulesTask(t)
		got := made(t, task, pageAt("ana", 0, 0))
		if want := []string{"visits Visit Started r0 0", "out  r0 0"}; !slices.Equal(got, want) {
			t.Errorf("the first event makes %q, want %q", got, want)
		}
		got = made(t, task, pageAt("ana", 1, 4000))
		want := []string{"visits Visit Ended r1 1", "visits Visit Started r0 1", "out  r0 0"}
		if !slices.Equal(got, want) {
			t.Errorf("an event of the next session makes %q, want %q", got, want)
		}
		if task.Stats.Started != 2 || task.Stats.Visits != 1 || task.Stats.Out != 2 {
			t.Errorf("counted %+v", task.Stats)
		}
	})
	t.Run("ADroppedEventMakesNothingButTimePass", func(t *testing.T) {
		task := newRulesTask(t)
		dropped := func(offset int64, second int) *kgo.Record {
			r := pageAt("ana", offset, second)
			r.Value = bytes.Replace(r.Value, []byte(`"page"`), []byte(`"track"`), 1)
			return r
		}
		if got := made(t, task, dropped(0, 0)); len(got) != 0 {
			t.Errorf("it makes %q", got)
		}
		made(t, task, pageAt("ana", 1, 0))
		if got := made(t, task, dropped(2, 4000)); len(got) != 0 {
			t.Errorf("one an hour later makes %q", got)
		}
		if task.Stats.Dropped != 2 || task.Stats.In != 3 || task.Stats.Out != 1 || task.Next() != 3 {
			t.Errorf("counted %+v, next %d", task.Stats, task.Next())
		}
		scanned, out := task.Last()
		if scanned.Event.Rule != 1 || out.Stamp.Status != session.Dropped {
			t.Errorf("rule %d, status %v", scanned.Event.Rule, out.Stamp.Status)
		}
		if n, err := task.Tick(task.Watermark()); n != 1 || err != nil || task.Stats.Visits != 1 {
			t.Errorf("%d visits ended, %v; want 1 by the time of the dropped event", n, err)
		}
	})
}

func TestTask_Headers(t *testing.T) {
	own := []kgo.RecordHeader{
		{Key: "trace", Value: []byte("1")}, {Key: "session-id", Value: []byte("forged")},
	}
	step := func(t *testing.T, task *Task, in *kgo.Record) *kgo.Record {
		t.Helper()
		in.Headers = own
		if err := task.Step(in); err != nil {
			t.Fatal(err)
		}
		ready := task.Ready()
		if len(ready) != 1 {
			t.Fatalf("%d records, want 1", len(ready))
		}
		return ready[0]
	}
	t.Run("AStampedEventNamesItsSessionBehindItsOwn", func(t *testing.T) {
		task, _ := newTestTask(t)
		task.topics.Headers = true
		first := headersOf(step(t, task, pageAt("ana", 0, 0)))
		if len(first) != 4 || first[0] != "trace=1" || first[1] == "session-id=forged" ||
			first[2] != "session-start=true" || first[3] != "session-index=1" {
			t.Errorf("the start event has %q", first)
		}
		want := []string{"trace=1", first[1], "session-index=1"}
		if next := headersOf(step(t, task, pageAt("ana", 1, 5))); !slices.Equal(next, want) {
			t.Errorf("the next event has %q, want %q", next, want)
		}
		if string(own[1].Value) != "forged" {
			t.Error("the input's own headers were changed")
		}
	})
	t.Run("ATombstoneKeepsItsOwn", func(t *testing.T) {
		task, _ := newTestTask(t)
		task.topics.Headers = true
		got := headersOf(step(t, task, &kgo.Record{Key: []byte("ana")}))
		if want := []string{"trace=1", "session-id=forged"}; !slices.Equal(got, want) {
			t.Errorf("it has %q, want %q", got, want)
		}
	})
	t.Run("NothingIsTouchedUnlessAskedFor", func(t *testing.T) {
		task, _ := newTestTask(t)
		got := headersOf(step(t, task, pageAt("ana", 0, 0)))
		if want := []string{"trace=1", "session-id=forged"}; !slices.Equal(got, want) {
			t.Errorf("it has %q, want %q", got, want)
		}
	})
}
