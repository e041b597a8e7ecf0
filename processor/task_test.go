package processor

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/schemas"
	"sessionizer/session"
	"sessionizer/state"
)

// A task alone, without a broker: what it makes of records, and that nothing of it moves while
// the client may still read it.

func newTestTask(t *testing.T) (*Task, *state.Partition) {
	t.Helper()
	rules := session.DefaultRules()
	if err := rules.Compile(); err != nil {
		t.Fatal(err)
	}
	profile, err := schemas.LoadProfile("krenalis")
	if err != nil {
		t.Fatal(err)
	}
	codec, err := schemas.NewCodec(schemas.Config{
		Profile: profile, Fields: []string{"standard"}, FutureTolerance: 60_000,
	})
	if err != nil {
		t.Fatal(err)
	}
	store, err := state.Open("state", state.Options{
		FS: vfs.NewCrashableMem(), Cache: 8 << 20, Due: DueOf(&rules),
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := store.Partition("events", 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	topics := Topics{Output: "out", Visits: "visits", DeadLetters: "dead", Changelog: "changelog"}
	return NewTask(&rules, codec, p, "events", 0, topics, Policy{}), p
}

// pageAt is an event of a key, so many seconds after 2000-01-01.
func pageAt(key string, offset int64, second int) *kgo.Record {
	at := time.Date(2000, 1, 1, 0, 0, second, 0, time.UTC)
	return &kgo.Record{
		Topic: "events", Offset: offset, Key: []byte(key), Timestamp: at,
		Value: fmt.Appendf(nil, `{"anonymousId":%q,"type":"page","messageId":"m-%d","timestamp":%q}`,
			key, offset, at.Format(time.RFC3339)),
	}
}

// commit closes and confirms the open transaction and returns its changelog records.
func commit(t *testing.T, task *Task) []*kgo.Record {
	t.Helper()
	task.Ready()
	if _, err := task.Close(1, [16]byte{1}, time.UnixMilli(0)); err != nil {
		t.Fatal(err)
	}
	changes := append([]*kgo.Record(nil), task.Ready()...)
	var kept []*kgo.Record
	for _, r := range changes {
		kept = append(kept, &kgo.Record{
			Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value), Topic: r.Topic,
		})
	}
	if err := task.Commit(1, [16]byte{2}); err != nil {
		t.Fatal(err)
	}
	return kept
}

func TestTask(t *testing.T) {
	t.Run("ARecordBelowThePositionIsSkipped", func(t *testing.T) {
		task, _ := newTestTask(t)
		for _, offset := range []int64{5, 6, 5, 6, 7} {
			if err := task.Step(pageAt("ana", offset, int(offset))); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(task.Ready()); n != 3 || task.Stats.Skipped != 2 || task.Next() != 8 {
			t.Errorf("%d records, %d skipped, next %d; want 3, 2 and 8", n, task.Stats.Skipped, task.Next())
		}
	})
	t.Run("AbortLeavesNoTrace", func(t *testing.T) {
		task, p := newTestTask(t)
		if err := task.Step(pageAt("ana", 0, 0)); err != nil {
			t.Fatal(err)
		}
		commit(t, task)
		before, digest := task.Next(), p.Digest()
		if err := task.Step(pageAt("ana", 1, 10)); err != nil {
			t.Fatal(err)
		}
		first := bytes.Clone(task.Ready()[0].Value)
		task.Abort()
		if task.Next() != before || p.Digest() != digest || task.Touched() || len(task.Ready()) != 0 {
			t.Errorf("next %d touched %v after the abort", task.Next(), task.Touched())
		}
		if err := task.Step(pageAt("ana", 1, 10)); err != nil {
			t.Fatal(err)
		}
		if again := task.Ready()[0].Value; !bytes.Equal(again, first) {
			t.Errorf("again it is %s, it was %s", again, first)
		}
	})
	t.Run("ARowThatIsDeletedIsATombstone", func(t *testing.T) {
		// An empty value is no tombstone: the compaction of the changelog would keep it for ever.
		task, p := newTestTask(t)
		if err := task.Step(pageAt("ana", 0, 0)); err != nil {
			t.Fatal(err)
		}
		commit(t, task)
		p.Put(session.AppendKey(nil, nil, []byte("ana")), nil, session.NoTime)
		task.touched = true
		tombstones := 0
		for _, r := range commit(t, task) {
			if r.Value == nil {
				tombstones++
			} else if len(r.Value) == 0 {
				t.Errorf("the row of %x is empty and no tombstone", r.Key)
			}
		}
		if tombstones != 1 {
			t.Errorf("%d tombstones, want 1", tombstones)
		}
	})
	t.Run("LastIsWhatTheLastStepDecided", func(t *testing.T) {
		task, _ := newTestTask(t)
		if _, out := task.Last(); out != nil {
			t.Error("it has decided before the first record")
		}
		dead := pageAt("ana", 1, 0)
		dead.Value = []byte("{")
		for _, c := range []struct {
			in   *kgo.Record
			want bool
		}{
			{pageAt("ana", 0, 0), true}, {dead, false}, {pageAt("ana", 2, 5), true},
			{&kgo.Record{Offset: 3}, false}, {pageAt("ana", 4, 7), true}, {pageAt("ana", 0, 0), false},
		} {
			if err := task.Step(c.in); err != nil {
				t.Fatal(err)
			}
			scanned, out := task.Last()
			if (out != nil) != c.want || (scanned != nil) != c.want {
				t.Fatalf("offset %d: decided %v, want %v", c.in.Offset, out != nil, c.want)
			}
			if c.want && (scanned.Event.Offset != c.in.Offset || out.Stamp.Status != session.InSession) {
				t.Errorf("offset %d: got %d, %v", c.in.Offset, scanned.Event.Offset, out.Stamp.Status)
			}
		}
	})
	t.Run("TheStoredTickDoesNotGoBack", func(t *testing.T) {
		task, p := newTestTask(t)
		if err := task.Step(pageAt("ana", 0, 0)); err != nil {
			t.Fatal(err)
		}
		commit(t, task)
		wall := session.Time(time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli())
		if n, err := task.Tick(wall); n != 1 || err != nil {
			t.Fatalf("%d timers, %v; want 1", n, err)
		}
		commit(t, task)
		if err := task.Step(pageAt("ana", 1, 10)); err != nil {
			t.Fatal(err)
		}
		commit(t, task)
		if pos, _ := p.Position(); pos.Watermarks.Tick != wall {
			t.Errorf("the tick is %d, want %d", pos.Watermarks.Tick, wall)
		}
	})
}

// What the box has handed out stays as it is until reset, whatever is added behind it.
func TestBox(t *testing.T) {
	const seed = 5
	r := rand.New(rand.NewPCG(seed, 1))
	var b box
	for round := range 4 {
		type given struct {
			record *kgo.Record
			value  []byte
			offset int64
		}
		var all []given
		var taken []*kgo.Record
		for i := range int64(3000) {
			space := r.IntN(600)
			want := bytes.Repeat([]byte{byte(i)}, r.IntN(900)) // may outgrow its space
			if r.IntN(500) == 0 {
				want = bytes.Repeat([]byte{byte(i)}, boxBytes+r.IntN(1000))
			}
			value := b.keep(append(b.room(space), want...))
			rec := b.add(i)
			rec.Value = value
			all = append(all, given{rec, bytes.Clone(want), i})
			if r.IntN(100) == 0 {
				taken = append(taken, b.take()...)
			}
		}
		taken = append(taken, b.take()...)
		if len(taken) != len(all) {
			t.Fatalf("seed %d round %d: %d records taken, %d added", seed, round, len(taken), len(all))
		}
		for i, g := range all {
			if taken[i] != g.record || !bytes.Equal(g.record.Value, g.value) {
				t.Fatalf("seed %d round %d: record %d has changed or moved", seed, round, i)
			}
		}
		for _, i := range []int{0, 1023, 1024, 2999} {
			if o, ok := b.origin(all[i].record); !ok || o != all[i].offset {
				t.Errorf("seed %d round %d: the origin of record %d is %d, %v", seed, round, i, o, ok)
			}
		}
		if _, ok := b.origin(&kgo.Record{}); ok {
			t.Error("a record of another task has an origin")
		}
		b.reset()
	}
}

// Between the position and the first record of a poll nothing may be missing but what a log
// leaves out by itself, and after an abort the client has to come back.
func TestContinuous(t *testing.T) {
	task, state := newTestTask(t)
	p := &part{tp: tp{"events", 0}, task: task, state: state, atMost: -1, first: -1}
	if err := p.continuous(40, 40); err != nil {
		t.Errorf("the first record of a new partition: %v", err)
	}
	if err := task.Step(pageAt("ana", 40, 0)); err != nil {
		t.Fatal(err)
	}
	commit(t, task)
	p.first = -1
	for _, tt := range []struct {
		name            string
		first, logStart int64
		atMost          int64
		stops, resets   bool
	}{
		{"the next record", 41, 0, -1, false, false},
		{"a record that was processed", 3, 0, -1, false, false},
		{"a gap that compaction left", 50, 0, -1, false, false},
		{"a gap that retention left", 50, 50, -1, true, false},
		{"the first record of what was aborted", 41, 0, 41, false, false},
		{"a record behind it", 42, 0, 41, false, true},
	} {
		p.atMost = tt.atMost
		err := p.continuous(tt.first, tt.logStart)
		var stop *StopError
		var reset *resetError
		if errors.As(err, &stop) != tt.stops || errors.As(err, &reset) != tt.resets {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// Kafka counts a batch as it is compressed, the client a record as it is: what passes the input's
// limit may not fit the dead-letter topic. It must not stop the pipeline.
func TestDeadLetter_IsCutToFitItsTopic(t *testing.T) {
	const limit = 4096
	for _, c := range []struct {
		name                string
		key, value, headers int
		want                string
	}{
		{"WhatFitsIsWhole", 10, 3000, 1, ""},
		{"TheValueFirst", 10, 100_000, 1, "value of 100000 bytes"},
		{"ThenTheHeaders", 10, 100_000, 1000, "value of 100000 bytes, 1000 headers"},
		{"ThenTheKey", 50_000, 100_000, 1000,
			"value of 100000 bytes, 1000 headers, key of 50000 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			task, _ := newBenchTask(t)
			task.deadMax = limit
			in := &kgo.Record{Key: make([]byte, c.key), Value: make([]byte, c.value)}
			for range c.headers {
				in.Headers = append(in.Headers, kgo.RecordHeader{Key: "k", Value: []byte("v")})
			}
			if err := task.Step(in); err != nil {
				t.Fatal(err)
			}
			ready := task.Ready()
			if len(ready) != 1 || ready[0].Topic != "dead" || recordBytes(ready[0]) > limit {
				t.Fatalf("%d records, the first of %d bytes", len(ready), recordBytes(ready[0]))
			}
			last := ready[0].Headers[len(ready[0].Headers)-1]
			if got := last.Key == schemas.HeaderErrorCut; got != (c.want != "") ||
				got && string(last.Value) != c.want {
				t.Errorf("the last header is %s: %s", last.Key, last.Value)
			}
		})
	}
}
