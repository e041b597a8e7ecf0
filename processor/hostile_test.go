package processor

import (
	"bytes"
	"fmt"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/internal/hostile"
	"sessionizer/schemas"
)

// Nothing in a record may crash, hang or bloat the process, and nothing is dropped: what means harm
// is a dead letter with its reason, or comes out where it is well-formed after all.

func TestTask_EveryHostileRecordHasOneOutcome(t *testing.T) {
	task, _ := newTestTask(t)
	at := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	offset := int64(0)
	for _, e := range hostile.Events(at) {
		t.Run(e.Name, func(t *testing.T) {
			in := e.Record
			in.Topic, in.Offset = "events", offset
			offset++
			if err := task.Step(&in); err != nil {
				t.Fatal(err)
			}
			ready := task.Ready()
			if len(ready) != 1 {
				t.Fatalf("%d records came of it", len(ready))
			}
			checkOutcome(t, &in, ready[0], e.Reason)
			commit(t, task)
		})
	}
	if err := task.Step(pageAt("ana", offset, 0)); err != nil {
		t.Fatal(err)
	}
	if got := task.Ready(); len(got) != 1 || !bytes.Contains(got[0].Value, []byte(`"start":true`)) {
		t.Errorf("the good event behind them: %s", got[0].Value)
	}
}

func checkOutcome(t *testing.T, in, out *kgo.Record, reason string) {
	t.Helper()
	got, message := "", ""
	for _, h := range out.Headers[min(len(in.Headers), len(out.Headers)):] {
		switch h.Key {
		case schemas.HeaderErrorReason:
			got = string(h.Value)
		case schemas.HeaderErrorMessage:
			message = string(h.Value)
		}
	}
	if got != reason || (out.Topic == "dead") != (reason != "") {
		t.Errorf("it went to %s, reason %q (%s), want %q", out.Topic, got, message, reason)
	}
	if !bytes.Equal(out.Key, in.Key) || (out.Key == nil) != (in.Key == nil) {
		t.Error("the key has changed")
	}
	if reason != "" && !bytes.Equal(out.Value, in.Value) {
		t.Error("the dead letter has another value")
	}
	if reason == "" && !bytes.Contains(out.Value, []byte(`"start":true`)) {
		t.Errorf("no session in %.200s", out.Value)
	}
	for i := range in.Headers {
		if out.Headers[i].Key != in.Headers[i].Key {
			t.Fatalf("header %d has changed", i)
		}
	}
	const messageBytesMax = 1024
	if len(message) > messageBytesMax {
		t.Errorf("the message has %d bytes", len(message))
	}
}

// The memory for one record is its own and at most three times as much and 1 MiB: everything that
// is allocated for it, whether or not it is held, counts, so that the peak cannot be higher.
func TestTask_TheMemoryOfARecordIsBoundedByItsSize(t *testing.T) {
	at := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, kind := range hostile.Kinds(at) {
		t.Run(kind.Name, func(t *testing.T) {
			for _, size := range []int{1 << 10, 64 << 10, 1 << 20, 8 << 20} {
				in := &kgo.Record{Topic: "events", Offset: 1, Timestamp: at, Value: kind.Value(size)}
				took := stepAlone(t, in)
				if most := 3*uint64(len(in.Value)) + 1<<20; took > most {
					t.Errorf("%d bytes were allocated for a record of %d, at most %d", took, len(in.Value), most)
				}
			}
		})
	}
}

// stepAlone returns what is allocated for one record by a task that saw one small record before.
func stepAlone(t *testing.T, in *kgo.Record) uint64 {
	t.Helper()
	task := roomyTask(t)
	if err := task.Step(pageAt("ana", 0, 0)); err != nil {
		t.Fatal(err)
	}
	task.Ready()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	return allocated(func() {
		if err := task.Step(in); err != nil {
			t.Error(err)
		}
		if n := len(task.Ready()); n != 1 {
			t.Errorf("%d records came of it", n)
		}
	})
}

// roomyTask is a task whose limits let everything pass that may be tried.
func roomyTask(t *testing.T) *Task {
	t.Helper()
	task, _ := newTestTask(t)
	profile, err := schemas.LoadProfile("krenalis")
	if err != nil {
		t.Fatal(err)
	}
	task.codec, err = schemas.NewCodec(schemas.Config{
		Profile: profile, Fields: []string{"full"}, FutureTolerance: 60_000,
		Limits: schemas.Limits{Record: 64 << 20, JSONDepth: 1000, AnonymousID: 1 << 10},
	})
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// What large records leave behind when their transaction has ended is what small ones do.
func TestTask_IsAsSmallAfterLargeRecordsAsBefore(t *testing.T) {
	task := roomyTask(t)
	at := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	offset := int64(0)
	round := func(size int) {
		for _, kind := range hostile.Kinds(at) {
			in := &kgo.Record{Topic: "events", Offset: offset, Timestamp: at, Value: kind.Value(size)}
			offset++
			if err := task.Step(in); err != nil {
				t.Fatal(err)
			}
		}
		commit(t, task)
	}
	round(1 << 10)
	before := heap()
	for range 3 {
		round(8 << 20)
	}
	round(1 << 10)
	const slack = 32 << 20 // a texts buffer of one record of 8 MiB in each of a few places
	if after := heap(); after > before+slack {
		t.Errorf("%d bytes are held, %d were before the large records", after, before)
	}
	runtime.KeepAlive(task)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // pools give back what they hold with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// The time for a byte must be the same at every size: MB/s in its columns.
func BenchmarkTask_Hostile(b *testing.B) {
	at := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, kind := range hostile.Kinds(at) {
		for _, size := range []int{16 << 10, 256 << 10, 4 << 20} {
			b.Run(fmt.Sprintf("%s/%dKiB", kind.Name, size>>10), func(b *testing.B) {
				task, _ := newBenchTask(b)
				profile, err := schemas.LoadProfile("krenalis")
				if err != nil {
					b.Fatal(err)
				}
				task.codec, err = schemas.NewCodec(schemas.Config{
					Profile: profile, Fields: []string{"standard"}, FutureTolerance: 60_000,
					Limits: schemas.Limits{Record: 64 << 20, JSONDepth: 1000, AnonymousID: 1 << 10},
				})
				if err != nil {
					b.Fatal(err)
				}
				in := &kgo.Record{Topic: "events", Timestamp: at, Value: kind.Value(size)}
				b.SetBytes(int64(len(in.Value)))
				for b.Loop() {
					if err := task.Step(in); err != nil {
						b.Fatal(err)
					}
					in.Offset++
					task.Ready()
					task.Abort()
				}
			})
		}
	}
}
