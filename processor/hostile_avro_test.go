package processor

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/internal/hostile"
	"sessionizer/schemas"
)

// The lengths and counts of Avro are claims of who sent them: nothing is allocated for one, and
// nothing is read behind the end.

// avroTask is a task that knows the schema of the hostile values under the id 7.
func avroTask(t *testing.T) *Task {
	t.Helper()
	task, _ := newTestTask(t)
	learnHostile(t, task, schemas.Limits{})
	return task
}

func learnHostile(t testing.TB, task *Task, limits schemas.Limits) {
	t.Helper()
	profile, err := schemas.LoadProfile("krenalis")
	if err != nil {
		t.Fatal(err)
	}
	book := schemas.NewBook()
	task.codec, err = schemas.NewCodec(schemas.Config{
		Profile: profile, Fields: []string{"standard"}, FutureTolerance: 60_000, Book: book,
		Limits: limits,
	})
	if err != nil {
		t.Fatal(err)
	}
	program, err := task.codec.CompileAvro(hostile.AvroSchema)
	if err != nil {
		t.Fatal(err)
	}
	book.Accept(7, program, 8)
}

func withFrame(value []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, 7), value...)
}

func TestTask_EveryHostileAvroValueHasOneOutcome(t *testing.T) {
	task := avroTask(t)
	at := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for i, e := range hostile.AvroValues(at) {
		t.Run(e.Name, func(t *testing.T) {
			in := &kgo.Record{
				Topic: "events", Offset: int64(i), Timestamp: at, Key: []byte("k"), Value: withFrame(e.Bytes),
			}
			took := allocated(func() {
				if err := task.Step(in); err != nil {
					t.Fatal(err)
				}
			})
			ready := task.Ready()
			if len(ready) != 1 {
				t.Fatalf("%d records came of it", len(ready))
			}
			out := ready[0]
			got := ""
			for _, h := range out.Headers {
				if h.Key == schemas.HeaderErrorReason {
					got = string(h.Value)
				}
			}
			if got != e.Reason || (out.Topic == "dead") != (e.Reason != "") {
				t.Errorf("it went to %s, reason %q, want %q", out.Topic, got, e.Reason)
			}
			switch same := bytes.Equal(out.Value, in.Value); {
			case e.Reason != "" && !same:
				t.Error("the dead letter has another value")
			case e.Reason == "" && (same || !bytes.HasPrefix(out.Value, []byte{0, 0, 0, 0, 8})):
				t.Errorf("no session in %.100q", out.Value)
			}
			if most := 3*uint64(len(in.Value)) + 1<<20; took > most {
				t.Errorf("%d bytes were allocated for %d, at most %d", took, len(in.Value), most)
			}
			commit(t, task)
		})
	}
}

func TestCompileAvro_HostileSchemasAreRefusedInLittleMemory(t *testing.T) {
	task := avroTask(t)
	for name, schema := range hostile.AvroSchemas() {
		t.Run(name, func(t *testing.T) {
			var err error
			took := allocated(func() { _, err = task.codec.CompileAvro(schema) })
			if err == nil || len(err.Error()) > 2000 {
				t.Errorf("the error is %.300v", err)
			} else if strings.TrimSpace(err.Error()) == "" {
				t.Error("the error says nothing")
			}
			const most = 256 << 20
			if took > most {
				t.Errorf("%d bytes were allocated for %d", took, len(schema))
			}
			t.Logf("%d bytes of schema took %d: %.200v", len(schema), took, err)
		})
	}
}

// The time for a byte must be the same at every size: MB/s in its columns.
func BenchmarkTask_HostileAvro(b *testing.B) {
	at := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, kind := range hostile.AvroKinds(at) {
		for _, size := range []int{16 << 10, 256 << 10, 4 << 20} {
			b.Run(fmt.Sprintf("%s/%dKiB", kind.Name, size>>10), func(b *testing.B) {
				task, _ := newBenchTask(b)
				learnHostile(b, task, schemas.Limits{Record: 64 << 20})
				in := &kgo.Record{Topic: "events", Timestamp: at, Value: withFrame(kind.Value(size))}
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
