package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/internal/audit"
	"sessionizer/internal/audit/setup"
	"sessionizer/internal/config"
	"sessionizer/processor"
	"sessionizer/schemas"
	"sessionizer/state"
)

// A world is a pipeline without a broker: the real task on real state, driven as a lane drives it,
// with its records in lists. Transactions commit or abort; what a lane has to take care of can be
// left out on purpose, to see whether the audit finds out.

type topicPartition struct {
	topic     string
	partition int32
}

type world struct {
	config    *config.Config
	audit     audit.Config
	avro      *avroEvents // nil: events are JSON
	records   map[topicPartition][]audit.Record
	starts    map[topicPartition]int64
	committed map[topicPartition]int64
	later     map[topicPartition]int64 // committed offsets that are others at the end
	compacted string
	sloppy    sloppy
	random    *rand.Rand
	now       int64 // when the last event was sent, and behind that
	clock     int64 // when records are written
}

// sloppy is what a lane may do wrong.
type sloppy struct {
	ignoresFailures bool // a failed produce does not abort
	forgetsOffsets  bool // the offsets are not part of the transaction
	keepsAborted    bool // what an aborted transaction wrote counts
}

func loadConfig(t testing.TB, yaml string) *config.Config {
	t.Helper()
	c, _, err := config.Load(config.Sources{
		File: "world.yaml", Offline: true,
		Hostname: func() (string, error) { return "world", nil },
		ReadFile: func(name string) ([]byte, error) {
			if name == "world.yaml" {
				return []byte(yaml), nil
			}
			return nil, fs.ErrNotExist
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const partitions = 2

func newWorld(t testing.TB, yaml string, seed uint64) *world {
	t.Helper()
	w := &world{
		config: loadConfig(t, yaml), records: map[topicPartition][]audit.Record{},
		starts: map[topicPartition]int64{}, committed: map[topicPartition]int64{},
		random: rand.New(rand.NewPCG(seed, 11)), now: worldStart,
	}
	var err error
	if w.audit, err = setup.From(w.config); err != nil {
		t.Fatal(err)
	}
	return w
}

// worldStart is a time of no particular meaning.
const worldStart = 1_767_225_600_000

// draw fills the input.
func (w *world) draw(t testing.TB, events int) {
	t.Helper()
	places, err := w.config.Places()
	if err != nil {
		t.Fatal(err)
	}
	d := &draw{w.random, places, map[string]int64{}, w.config.Session.Timeout.Milliseconds(), w.avro}
	for i := range events {
		w.now += int64(d.IntN(15_000))
		if d.IntN(40) == 0 {
			w.now += 20 * 60_000
		}
		topic := w.config.Input.Topics[d.IntN(len(w.config.Input.Topics))]
		name := topic + []string{"ana", "bob", "eve", "kim"}[d.IntN(4)]
		p := int32(len(name)+int(name[len(name)-1])) % partitions
		r := audit.Record{TimestampMs: w.now, Key: []byte(name), Value: d.event(i, name, w.now)}
		if d.IntN(3) == 0 {
			r.Headers = []audit.Header{{Key: "trace", Value: []byte(strconv.Itoa(i))}, {Key: "empty"}}
		}
		if d.IntN(50) == 0 { // it has been a dead letter
			old := audit.Header{Key: "__sessionizer.errors.reason", Value: []byte("old")}
			r.Headers = append(r.Headers, old)
		}
		switch d.IntN(60) {
		case 0:
			r.Value = nil
		case 1:
			r.Value = []byte(`{"broken":`)
		case 2:
			r.Key = nil
		}
		w.append(topic, p, r)
	}
}

// clone is a world whose records can be changed.
func (w *world) clone() *world {
	c := *w
	c.records = map[topicPartition][]audit.Record{}
	for at, list := range w.records {
		c.records[at] = slices.Clone(list)
	}
	return &c
}

func (w *world) append(topic string, partition int32, r audit.Record) {
	at := topicPartition{topic, partition}
	r.Topic, r.Partition = topic, partition
	r.Offset = w.starts[at]
	if list := w.records[at]; len(list) > 0 {
		r.Offset = list[len(list)-1].Offset + 1
	}
	w.records[at] = append(w.records[at], r)
}

// draw makes events for the places of a profile.
type draw struct {
	*rand.Rand
	places  map[string][]string
	last    map[string]int64 // event time of each name
	timeout int64
	avro    *avroEvents
}

// time is that of an event: now, or late; and now and then just where a session ends.
func (d *draw) time(name string, now int64) int64 {
	at := now - int64(d.IntN(2)*d.IntN(2)*d.IntN(15*60_000))
	if edge := d.last[name] + d.timeout + int64(d.IntN(3)) - 1; d.IntN(4) == 0 && edge <= now {
		at = edge
	}
	d.last[name] = at
	return at
}

func (d *draw) event(n int, name string, now int64) []byte {
	e := map[string]any{}
	put := func(what string, chance int, values ...any) {
		if paths := d.places[what]; len(paths) > 0 && d.IntN(100) < chance {
			putAt(e, strings.Split(paths[0], "."), values[d.IntN(len(values))])
		}
	}
	const a, b = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
	at := d.time(name, now)
	put("session_id", 45, a, b, 1767225600001, 1767225600002, 1767225600003, "one", "two", "@debug-x",
		nil, 7, 1.5, json.Number("1767225600001.0"), "")
	put("session_start", 15, true, false, "yes")
	put("anonymous_id", 99, name, name, name, name+"-2", name, name, name, "")
	put("timestamp", 97, time.UnixMilli(at).UTC().Format(time.RFC3339Nano), at,
		time.UnixMilli(at).UTC().Format("2006-01-02 15:04:05.000"))
	put("user_id", 30, "u1", "u2", "")
	put("message_id", 90, fmt.Sprint("m", n), fmt.Sprint("m", n-d.IntN(4)))
	put("type", 95, "page", "screen", "track", "page-view", "page_view", "page_ping", "page",
		"application_background", "identify")
	put("event", 30, "Application Opened", "Application Backgrounded", "Order <done>")
	put("channel", 40, "mobile", "mob", "web")
	put("url", 50, "https://a.example/?utm_source=s&utm_campaign=c1", "https://a.example/x?gclid=1%20",
		"https://a.example/\u00e4", "https://a.example/"+strings.Repeat("y", 1100)+"?q=1")
	put("screen", 30, "Home", "Cart \"1\"")
	put("referrer", 20, "https://b.example/", 7)
	put("campaign", 10, map[string]any{"source": "s", "name": "c1"}, map[string]any{"medium": 4})
	for i, path := range d.places["context"] {
		if d.IntN(6) == 0 && !strings.Contains(path, "=") {
			putAt(e, strings.Split(path, "."), []any{"x", "", 3, "z\n"}[(i+n)%4])
		}
	}
	e["properties"] = map[string]any{"n": n, "price": json.Number("1.50"), "text": "a<b>"}
	if d.avro != nil && d.avro.takes(n) {
		return d.avro.encode(n, e)
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(n%2 == 0)
	if n%7 == 0 {
		enc.SetIndent("", " ")
	}
	if err := enc.Encode(e); err != nil {
		panic(err)
	}
	return bytes.TrimSpace(text.Bytes())
}

// putAt sets what is at a path; 0 is the first element of an array.
func putAt(e map[string]any, path []string, v any) {
	if len(path) == 1 {
		e[path[0]] = v
		return
	}
	if path[1] == "0" {
		list, ok := e[path[0]].([]any)
		if !ok {
			list = []any{map[string]any{"mine": 1}}
			e[path[0]] = list
		}
		putAt(list[0].(map[string]any), path[2:], v)
		return
	}
	next, ok := e[path[0]].(map[string]any)
	if !ok {
		next = map[string]any{}
		e[path[0]] = next
	}
	putAt(next, path[1:], v)
}

// run is the pipeline over all that is in the input.
func (w *world) run(t testing.TB) {
	t.Helper()
	rules, err := w.config.SessionRules()
	if err != nil {
		t.Fatal(err)
	}
	codec, err := w.config.Codec()
	if err != nil {
		t.Fatal(err)
	}
	w.avro.teach(t, w.config, codec)
	store, err := state.Open("state", state.Options{
		FS: vfs.NewCrashableMem(), Cache: 8 << 20, Due: processor.DueOf(rules),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	policy := processor.Policy{On: map[schemas.Reason]processor.Action{}}
	for reason, p := range w.config.DeadLetters.On {
		if p == config.PolicyPass {
			policy.On[schemas.Reason(reason)] = processor.Pass
		}
	}
	var tasks []*taskOf
	for _, topic := range w.config.Input.Topics {
		for p := range int32(partitions) {
			part, err := store.Partition(topic, p)
			if err != nil {
				t.Fatal(err)
			}
			task := processor.NewTask(rules, codec, part, topic, p, processor.Topics{
				Output: w.config.Output.Topic, Visits: w.config.Visits.Topic,
				DeadLetters: w.config.DeadLetters.Topic, Changelog: "changelog",
				VisitsByAnonymousID: w.config.Visits.Key == "anonymous_id", Headers: w.config.Output.Headers,
			}, policy)
			tasks = append(tasks, &taskOf{w, t, task, topicPartition{topic, p}, 0})
		}
	}
	for left := len(tasks); left > 0; {
		left = 0
		for _, task := range tasks {
			if task.transaction() {
				left++
			}
		}
	}
	for range 3 { // the wall clock ends what is left, on idle partitions
		w.now += 20 * 60_000
		w.clock = w.now
		for _, task := range tasks {
			task.tick(w.now - w.config.Time.OutOfOrder.Milliseconds())
			task.commit(task.take())
		}
	}
}

// taskOf is a task and how far it has come.
type taskOf struct {
	w    *world
	t    testing.TB
	task *processor.Task
	at   topicPartition
	next int
}

// transaction processes a few records; false: nothing is left.
func (k *taskOf) transaction() bool {
	input := k.w.records[k.at]
	from := k.next
	if from < len(input) {
		k.w.clock = input[from].TimestampMs // it is read as soon as it is there
	}
	if from >= len(input) {
		return false
	}
	to := min(from+1+k.w.random.IntN(40), len(input))
	if k.w.random.IntN(4) == 0 { // a fetch that begins again some records before
		from = max(0, from-5)
	}
	for i := from; i < to; i++ {
		if err := k.task.Step(kafkaRecord(&input[i])); err != nil {
			k.t.Fatal(err)
		}
	}
	made := k.take()
	if k.w.random.IntN(2) == 0 {
		k.tick(int64(k.task.Watermark()))
		made = append(made, k.take()...)
	}
	fails := k.w.random.IntN(6) == 0
	switch {
	case fails && k.w.sloppy.ignoresFailures && len(made) > 0:
		made = slices.Delete(made, len(made)/2, len(made)/2+1)
	case fails && k.w.sloppy.keepsAborted:
		k.produce(made)
		k.task.Abort()
		return true
	case fails:
		k.task.Abort()
		return true
	}
	k.next = to
	k.commit(made)
	return true
}

func (k *taskOf) tick(tick int64) {
	if _, err := k.task.Tick(sessionTime(tick)); err != nil {
		k.t.Fatal(err)
	}
}

// take copies what the task made: its buffers are used again.
func (k *taskOf) take() (made []audit.Record) {
	for _, r := range k.task.Ready() {
		made = append(made, k.w.auditRecord(r))
	}
	return made
}

func (k *taskOf) commit(made []audit.Record) {
	if k.task.Next() < 0 {
		return
	}
	k.produce(made)
	if _, err := k.task.Close(partitions, [16]byte{1}, time.UnixMilli(k.w.now)); err != nil {
		k.t.Fatal(err)
	}
	k.task.Ready() // the changelog
	if err := k.task.Commit(1, [16]byte{2}); err != nil {
		k.t.Fatal(err)
	}
	if _, committed := k.w.committed[k.at]; !committed || !k.w.sloppy.forgetsOffsets {
		k.w.committed[k.at] = k.task.Next()
	}
}

func (k *taskOf) produce(made []audit.Record) {
	for _, r := range made {
		k.w.append(r.Topic, k.at.partition, r)
	}
}

func kafkaRecord(r *audit.Record) *kgo.Record {
	k := &kgo.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key,
		Value: r.Value, Timestamp: time.UnixMilli(r.TimestampMs)}
	for _, h := range r.Headers {
		k.Headers = append(k.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return k
}

func (w *world) auditRecord(k *kgo.Record) audit.Record {
	r := audit.Record{Topic: k.Topic, Partition: k.Partition, TimestampMs: w.clock,
		Key: bytes.Clone(k.Key), Value: bytes.Clone(k.Value)}
	if !k.Timestamp.IsZero() {
		r.TimestampMs = k.Timestamp.UnixMilli()
	}
	for _, h := range k.Headers {
		r.Headers = append(r.Headers, audit.Header{Key: h.Key, Value: bytes.Clone(h.Value)})
	}
	return r
}

// The log of a world.

func (w *world) Partitions(string) int32 { return partitions }

func (w *world) Open(_ context.Context, topic string, partition int32) (audit.Stream, error) {
	at := topicPartition{topic, partition}
	end := w.starts[at]
	if list := w.records[at]; len(list) > 0 {
		end = list[len(list)-1].Offset + 1
	}
	return &stream{records: w.records[at], start: w.starts[at], end: end}, nil
}

func (w *world) Frontier(topic string, partition int32) int64 {
	if offset, ok := w.committed[topicPartition{topic, partition}]; ok {
		return offset
	}
	return -1
}

func (w *world) Committed(_ context.Context, topic string, partition int32) (int64, error) {
	if offset, ok := w.later[topicPartition{topic, partition}]; ok {
		return offset, nil
	}
	return w.Frontier(topic, partition), nil
}

func (w *world) Compacted(topic string) bool { return topic == w.compacted }

type stream struct {
	records []audit.Record
	start   int64
	end     int64
}

func (s *stream) Next(context.Context) (*audit.Record, error) {
	if len(s.records) == 0 {
		return nil, nil
	}
	r := s.records[0]
	s.records = s.records[1:]
	return &r, nil
}

func (s *stream) Start() int64 { return s.start }
func (s *stream) End() int64   { return s.end }
func (s *stream) Close()       {}

// verify audits a world.
func (w *world) verify(t testing.TB) audit.Report {
	t.Helper()
	c := w.audit
	c.Settled, c.SpillDir = true, t.TempDir()
	r, err := audit.Run(t.Context(), c, w)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
