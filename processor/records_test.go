package processor

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// What a task adds to its records besides the events' values.

func headersOf(r *kgo.Record) (all []string) {
	for _, h := range r.Headers {
		all = append(all, fmt.Sprintf("%s=%s", h.Key, h.Value))
	}
	return all
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
