//go:build synctests

package processor

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"sessionizer/schemas"
	"sessionizer/schemas/registry"
)

// avro is a schema registry in the world, with what its events are written with. Its answers can
// be replaced, and it can be away.
type avro struct {
	w    *world
	fake *srfake.Registry
	srv  *http.Server

	asked  atomic.Int64 // requests that arrived
	status atomic.Int64 // 0: it answers; else the status of every answer
	code   atomic.Int64 // the error code of these answers
	writes atomic.Bool  // only what would be written is answered so
	hangs  atomic.Bool  // requests are taken and not answered

	slow   atomic.Bool  // it takes its time to make a subject, and refuses others meanwhile
	making atomic.Int64 // subjects that it is making
	clash  atomic.Int64 // requests that it refused for that

	register bool // what learners do
}

const registryPort = 8081

// eventSchema is that of a page; the one with a field more is its successor.
func eventSchema(more string) string {
	return `{"type":"record","name":"Event","namespace":"acme","fields":[
		{"name":"anonymousId","type":"string"},{"name":"type","type":"string"},
		{"name":"messageId","type":"string"},{"name":"timestamp","type":"string"}` + more + `]}`
}

const another = `,{"name":"plan","type":["null","string"],"default":null}`

// avroBubble is bubble with events in Avro. The registry has the schemas 101 and 102.
func avroBubble(t *testing.T, partitions int32, test func(w *world, a *avro)) {
	t.Helper()
	bubble(t, partitions, func(w *world) {
		a := &avro{w: w, fake: srfake.NewRegistry(), register: true}
		w.avro = a
		a.fake.SeedSchema("events-value", 1, 101, sr.Schema{Schema: eventSchema("")})
		a.fake.SeedSchema("events-value", 2, 102, sr.Schema{Schema: eventSchema(another)})
		a.up()
		defer a.down()
		test(w, a)
	})
}

func (a *avro) up() {
	a.w.t.Helper()
	l, err := a.w.net.Listen("tcp", fmt.Sprintf("localhost:%d", registryPort))
	if err != nil {
		a.w.t.Fatal(err)
	}
	a.srv = &http.Server{Handler: a}
	go a.srv.Serve(l)
}

// down takes the registry away: connections drop, new ones are refused.
func (a *avro) down() {
	if a.srv != nil {
		a.srv.Close()
		a.srv = nil
	}
}

func (a *avro) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.asked.Add(1)
	if a.hangs.Load() {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		return
	}
	if status := a.status.Load(); status != 0 && (r.Method == http.MethodPost || !a.writes.Load()) {
		w.WriteHeader(int(status))
		fmt.Fprintf(w, `{"error_code":%d,"message":"so it is"}`, a.code.Load())
		return
	}
	if strings.HasSuffix(r.URL.Path, "/versions") && r.Method == http.MethodPost && a.slow.Load() {
		a.makes(w, r)
		return
	}
	a.fake.Handler().ServeHTTP(w, r)
}

// makes registers a schema as Apicurio does: of two at once under a new subject one is told that
// there is a subject already.
func (a *avro) makes(w http.ResponseWriter, r *http.Request) {
	subject := strings.Split(r.URL.Path, "/")[2]
	if a.fake.SubjectExists(subject) {
		a.fake.Handler().ServeHTTP(w, r)
		return
	}
	if !a.making.CompareAndSwap(0, 1) {
		a.clash.Add(1)
		w.WriteHeader(http.StatusConflict)
		fmt.Fprintf(w, `{"error_code":409,"message":"An artifact with ID '%s' in group 'null' `+
			`already exists."}`, subject)
		return
	}
	defer a.making.Store(0)
	<-time.After(200 * time.Millisecond)
	a.fake.Handler().ServeHTTP(w, r)
}

// learner is what a process learns schemas with.
func (a *avro) learner(codec *schemas.Codec) *registry.Learner {
	if a == nil {
		return nil
	}
	cl, err := registry.New(registry.Config{
		URLs: []string{fmt.Sprintf("http://ana:s3cret@localhost:%d", registryPort)},
		Dial: a.w.net.DialContext,
	})
	if err != nil {
		a.w.t.Fatal(err)
	}
	a.w.closers = append(a.w.closers, cl.Close)
	return &registry.Learner{
		Client: cl, Codec: codec, Book: codec.Book(), Subject: "out-value", Register: a.register,
	}
}

// text is the schema of an id.
func (a *avro) text(id uint32) string {
	rec := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, fmt.Sprintf("/schemas/ids/%d", id), http.NoBody)
	a.fake.Handler().ServeHTTP(rec, r)
	var s sr.Schema
	if err := json.Unmarshal(rec.Body.Bytes(), &s); err != nil || s.Schema == "" {
		a.w.t.Fatalf("schema %d: %v in %s", id, err, rec.Body)
	}
	return s.Schema
}

// decode returns a value as JSON, whatever it was.
func (a *avro) decode(value []byte) []byte {
	if a == nil || len(value) < 5 || value[0] != 0 {
		return value
	}
	codec, err := goavro.NewCodecForStandardJSONFull(a.text(idOf(value)))
	if err != nil {
		a.w.t.Fatal(err)
	}
	native, rest, err := codec.NativeFromBinary(value[5:])
	if err != nil || len(rest) > 0 {
		a.w.t.Fatalf("%d bytes left, %v in %x", len(rest), err, value)
	}
	text, err := codec.TextualFromNative(nil, native)
	if err != nil {
		a.w.t.Fatal(err)
	}
	return text
}

func idOf(value []byte) uint32 { return binary.BigEndian.Uint32(value[1:5]) }

// framed writes JSON events in Avro, with the schemas of the ids in turns.
func framed(events []*kgo.Record, ids ...uint32) []*kgo.Record {
	for i, r := range events {
		id := ids[i%len(ids)]
		var e map[string]string
		if err := json.Unmarshal(r.Value, &e); err != nil {
			panic(err)
		}
		v := binary.BigEndian.AppendUint32([]byte{0}, id)
		for _, name := range []string{"anonymousId", "type", "messageId", "timestamp"} {
			v = binary.AppendVarint(v, int64(len(e[name])))
			v = append(v, e[name]...)
		}
		if id == 102 {
			v = binary.AppendVarint(v, 0) // no plan
		}
		r.Value = v
	}
	return events
}

// avroLoad is load with the schemas of the ids in turns.
func (w *world) avroLoad(events int, ids ...uint32) map[int32][]*kgo.Record {
	all := w.load(events)
	for p := range all {
		framed(all[p], ids...)
	}
	return all
}

// outIDs counts the schema ids of the output of a partition.
func (w *world) outIDs(partition int32) map[uint32]int {
	w.t.Helper()
	n := map[uint32]int{}
	for _, r := range w.read("out")[partition] {
		n[idOf(r.Value)]++
	}
	return n
}

// dead returns the reasons and messages of the dead letters of a partition.
func (w *world) dead(partition int32) []string {
	w.t.Helper()
	var all []string
	for _, r := range w.read("dead")[partition] {
		reason, message := "", ""
		for _, h := range r.Headers {
			switch h.Key {
			case "__sessionizer.errors.reason":
				reason = string(h.Value)
			case "__sessionizer.errors.message":
				message = string(h.Value)
			}
		}
		all = append(all, reason+": "+message)
	}
	return all
}

// stopsWell ends a process as an operator does, in good time.
func (w *world) stopsWell(m *member) {
	w.t.Helper()
	m.stop()
	select {
	case <-m.done:
	case <-time.After(30 * time.Second):
		w.t.Fatal("the process has not ended 30 s after the signal")
	}
	if err := m.wait(); err != nil {
		w.t.Fatal(err)
	}
}

// neverSays fails if a log has a text in it.
func (w *world) neverSays(text string) {
	w.t.Helper()
	for _, l := range w.logs {
		for _, e := range l.All() {
			if said := fmt.Sprint(e.Message, e.ContextMap()); strings.Contains(said, text) {
				w.t.Errorf("the log says %s", said)
			}
		}
	}
}
