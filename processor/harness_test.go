//go:build synctests

package processor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"sessionizer/schemas"
	"sessionizer/session"
	"sessionizer/state"
)

// The tests of this package run the real Run against an embedded broker over a network in memory,
// inside a synctest bubble: time is virtual, so minutes of timeouts take milliseconds, and nothing
// depends on the speed of the machine.

// world is one broker with the topics of a pipeline.
type world struct {
	t       *testing.T
	net     *kfake.VirtualNetwork
	cluster *kfake.Cluster
	parts   int32
	nets    []*faultNet
	logs    []*observer.ObservedLogs
	names   []string             // of the processes of logs
	avro    *avro                // nil: events are JSON
	rules   func(*session.Rules) // changes those of every configuration; nil: nothing
	closers []func()             // what processes leave to their caller to close
}

const brokerPort = 9092

// bubble runs a test with a fresh world in a synctest bubble.
func bubble(t *testing.T, partitions int32, test func(w *world)) {
	t.Helper()
	bubbleWith(t, partitions, test)
}

// bubbleWith is bubble with other options of the cluster too.
func bubbleWith(t *testing.T, partitions int32, test func(w *world), more ...kfake.Opt) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: &kfake.VirtualNetwork{}, parts: partitions}
		var err error
		w.cluster, err = kfake.NewCluster(append([]kfake.Opt{
			kfake.NumBrokers(1), kfake.Ports(brokerPort), kfake.ListenFn(w.net.Listen),
			kfake.SeedTopics(partitions, "events"),
			kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}),
		}, more...)...)
		if err != nil {
			t.Fatal(err)
		}
		defer w.end()
		test(w)
	})
}

// end takes the world down. What the processes logged is printed if the test failed.
func (w *world) end() {
	for _, n := range w.nets {
		n.cut()
	}
	for _, c := range w.closers {
		c()
	}
	w.cluster.Close()
	w.advance(fetchMaxWait) // an answer that was held back sees that nobody waits for it
	if !w.t.Failed() {
		return
	}
	for i, l := range w.logs {
		for _, e := range l.All() {
			at := e.Time.UTC().Format("15:04:05.000")
			w.t.Logf("%s: %s %s %v", w.names[i], at, e.Message, e.ContextMap())
		}
	}
}

func (w *world) client(opts ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(fmt.Sprintf("localhost:%d", brokerPort)), kgo.Dialer(w.net.DialContext),
		kgo.DisableClientMetrics(),
	}, opts...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	return cl
}

// config is a configuration of the pipeline for a process with a name.
func (w *world) config(instance string) Config {
	w.t.Helper()
	rules := session.DefaultRules()
	if w.rules != nil {
		w.rules(&rules)
	}
	if err := rules.Compile(); err != nil {
		w.t.Fatal(err)
	}
	profile, err := schemas.LoadProfile("krenalis")
	if err != nil {
		w.t.Fatal(err)
	}
	form := schemas.Config{
		Profile: profile, Fields: []string{"standard"}, FutureTolerance: 60_000,
	}
	if w.avro != nil {
		form.Format, form.Book = schemas.FormatAvro, schemas.NewBook()
	}
	codec, err := schemas.NewCodec(form)
	if err != nil {
		w.t.Fatal(err)
	}
	log, logs := observer.New(zapcore.InfoLevel)
	w.logs, w.names = append(w.logs, logs), append(w.names, instance)
	return Config{
		Brokers: []string{fmt.Sprintf("localhost:%d", brokerPort)}, Dial: w.net.DialContext,
		Group: "g", Instance: instance,
		SessionTimeout: 10 * time.Second, TransactionTimeout: 10 * time.Second,
		Input: []string{"events"}, Output: "out", Visits: "visits", DeadLetters: "dead",
		Compression: kgo.NoCompression(), Rules: &rules, Codec: codec,
		Registry:  w.avro.learner(codec),
		IdleAfter: 10 * time.Second, CommitInterval: 200 * time.Millisecond, Lanes: 1,
		StateDir: "state", State: state.Options{FS: vfs.NewCrashableMem(), Cache: 8 << 20},
		Log: zap.New(log),
	}
}

// advance lets virtual time pass: everything that is due in it happens.
func (w *world) advance(d time.Duration) {
	<-time.NewTimer(d).C
	synctest.Wait()
}

// create makes the topics that a configuration needs.
func (w *world) create(c Config) {
	w.t.Helper()
	cl, err := Client(&c)
	if err != nil {
		w.t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	top, err := Inspect(w.t.Context(), adm, &c)
	if err != nil {
		w.t.Fatal(err)
	}
	made, err := CreateTopics(w.t.Context(), adm, top)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := Await(w.t.Context(), adm, &c, made); err != nil {
		w.t.Fatal(err)
	}
}

// member is one Run in the background.
type member struct {
	stop context.CancelFunc
	halt func()
	done chan struct{}
	err  error
	net  *faultNet
	fs   *vfs.MemFS

	events [16]byte // topic id of the input
}

// start runs a process. Its connections can be cut, as a crash cuts them.
func (w *world) start(c Config) *member { return w.startOn(newFaultNet(c.Dial), c) }

// startOn starts a process whose network may be cut already.
func (w *world) startOn(net *faultNet, c Config) *member {
	ctx, cancel := context.WithCancel(w.t.Context())
	halt := make(chan struct{})
	m := &member{
		stop: cancel, halt: sync.OnceFunc(func() { close(halt) }), done: make(chan struct{}),
		net: net,
	}
	w.nets = append(w.nets, m.net)
	m.fs, _ = c.State.FS.(*vfs.MemFS)
	m.events = w.topicID("events")
	c.Dial, c.Halt = m.net.DialContext, halt
	go func() {
		defer close(m.done)
		m.err = Run(ctx, c)
	}()
	return m
}

func (w *world) topicID(topic string) [16]byte {
	w.t.Helper()
	cl := w.client()
	defer cl.Close()
	topics, err := kadm.NewClient(cl).ListTopics(w.t.Context(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	return topics[topic].ID
}

// kill ends a process as SIGKILL would: its connections drop, nothing is finished.
func (m *member) kill() {
	m.net.cut()
	m.halt()
	m.stop()
	<-m.done
}

// wait returns what Run returned.
func (m *member) wait() error {
	<-m.done
	m.stop()
	return m.err
}

// epoch is when a bubble begins.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// event is an event of a customer, so many seconds after the epoch.
func event(anonymousID string, second int) *kgo.Record {
	at := epoch.Add(time.Duration(second) * time.Second)
	return &kgo.Record{
		Key: []byte(anonymousID), Timestamp: at,
		Value: fmt.Appendf(nil, `{"anonymousId":%q,"type":"page","messageId":"m-%s-%d","timestamp":%q}`,
			anonymousID, anonymousID, second, at.Format(time.RFC3339)),
	}
}

// produce writes events to a partition of the input.
func (w *world) produce(partition int32, events ...*kgo.Record) {
	w.t.Helper()
	cl := w.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer cl.Close()
	for _, r := range events {
		r.Topic, r.Partition = "events", partition
		if err := cl.ProduceSync(w.t.Context(), r).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// produceAll is produce for many events: in large batches.
func (w *world) produceAll(partition int32, events []*kgo.Record) {
	w.t.Helper()
	cl := w.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer cl.Close()
	for _, r := range events {
		r.Topic, r.Partition = "events", partition
	}
	if err := cl.ProduceSync(w.t.Context(), events...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// read returns all committed records of a topic, by partition.
func (w *world) read(topic string) map[int32][]*kgo.Record {
	w.t.Helper()
	cl := w.client(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeTopics(topic),
		kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond))
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListCommittedOffsets(w.t.Context(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	left := map[int32]int64{}
	for p, o := range ends[topic] {
		if o.Offset > 0 {
			left[p] = o.Offset
		}
	}
	all := map[int32][]*kgo.Record{}
	for len(left) > 0 {
		fetches := cl.PollFetches(w.t.Context())
		if err := fetches.Err(); err != nil {
			w.t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				all[r.Partition] = append(all[r.Partition], r)
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return all
}

// audit checks what must hold whatever happened: every input event once and in order, one start
// per session, no gap in eventIndex, one record per session and revision. It returns the visits
// as "anonymousId first..last events rN" of the greatest revision.
func (w *world) audit() []string {
	w.t.Helper()
	in, out := w.read("events"), w.read("out")
	type seen struct{ starts, events int }
	sessions := map[string]*seen{}
	for p, events := range in {
		if len(out[p]) != len(events) {
			w.t.Errorf("partition %d: %d events in, %d out", p, len(events), len(out[p]))
			continue
		}
		for i, r := range out[p] {
			var e struct {
				AnonymousID string `json:"anonymousId"`
				MessageID   string `json:"messageId"`
				Context     struct {
					Session struct {
						ID         int64
						Start      bool
						EventIndex int `json:"eventIndex"`
					}
				}
			}
			if err := json.Unmarshal(w.avro.decode(r.Value), &e); err != nil {
				w.t.Fatalf("out %d@%d: %v in %s", p, r.Offset, err, r.Value)
			}
			if !strings.Contains(string(events[i].Value), e.MessageID) {
				w.t.Errorf("out %d@%d is %s, in there is %s", p, r.Offset, r.Value, events[i].Value)
			}
			s := e.Context.Session
			key := fmt.Sprint(p, " ", e.AnonymousID, " ", s.ID)
			if sessions[key] == nil {
				sessions[key] = &seen{}
			}
			sessions[key].events++
			if s.Start {
				sessions[key].starts++
			}
			if s.EventIndex != sessions[key].events {
				w.t.Errorf("out %d@%d: eventIndex %d, want %d", p, r.Offset, s.EventIndex, sessions[key].events)
			}
		}
	}
	for id, s := range sessions {
		if s.starts != 1 {
			w.t.Errorf("session %s has %d starts", id, s.starts)
		}
	}
	return w.visits()
}

// visits returns the final revision of each visit, sorted by partition and first appearance.
func (w *world) visits() []string {
	w.t.Helper()
	return w.visitsOf("visits")
}

func (w *world) visitsOf(topic string) []string {
	w.t.Helper()
	last, order := map[string]string{}, []string{}
	all := w.read(topic)
	once := map[string]bool{}
	for p := range w.parts {
		for _, r := range all[p] {
			var v struct {
				MessageID   string `json:"messageId"`
				AnonymousID string `json:"anonymousId"`
				Revision    int
				StartedAt   string `json:"startedAt"`
				EndedAt     string `json:"endedAt"`
				Counts      struct{ Events int }
				Session     struct{ UUID string }
			}
			if err := json.Unmarshal(r.Value, &v); err != nil {
				w.t.Fatalf("visit %d@%d: %v in %s", p, r.Offset, err, r.Value)
			}
			if once[v.MessageID] {
				w.t.Errorf("visit %s came twice", v.MessageID)
			}
			once[v.MessageID] = true
			if _, ok := last[v.Session.UUID]; !ok {
				order = append(order, v.Session.UUID)
			}
			last[v.Session.UUID] = fmt.Sprintf("%s %s..%s %d r%d", v.AnonymousID,
				v.StartedAt, v.EndedAt, v.Counts.Events, v.Revision)
		}
	}
	for i, id := range order {
		order[i] = last[id]
	}
	return order
}

// traffic returns the events of some customers on one partition, in the order they arrive: pages
// within a visit, silences that end it, and late events. The same seed gives the same events.
func traffic(seed uint64, name string, customers, events int) []*kgo.Record {
	r := rand.New(rand.NewPCG(seed, 1))
	var out []*kgo.Record
	now := 0
	for i := range events {
		now += r.IntN(100)
		if r.IntN(25) == 0 {
			now += 1900 // longer than the timeout
		}
		at := now
		if r.IntN(6) == 0 {
			at = max(0, now-r.IntN(2500)) // late
		}
		who := fmt.Sprintf("%s-%d", name, r.IntN(customers))
		when := epoch.Add(time.Duration(at) * time.Second)
		out = append(out, &kgo.Record{
			Key: []byte(who), Timestamp: when,
			Value: fmt.Appendf(nil, `{"anonymousId":%q,"type":"page","messageId":"%s-%06d","timestamp":%q}`,
				who, who, i, when.Format(time.RFC3339)),
		})
	}
	return out
}

// feed produces events of several partitions in small lots, with time between them, so that they
// are processed in many transactions.
func (w *world) feed(lots int, events map[int32][]*kgo.Record) {
	w.t.Helper()
	for i := range lots {
		for p := range w.parts {
			e := events[p]
			w.produce(p, e[i*len(e)/lots:(i+1)*len(e)/lots]...)
		}
		w.advance(250 * time.Millisecond)
	}
}

// load makes the events of all partitions.
func (w *world) load(events int) map[int32][]*kgo.Record {
	all := map[int32][]*kgo.Record{}
	for p := range w.parts {
		all[p] = traffic(uint64(p)+7, fmt.Sprintf("p%d", p), 5, events)
	}
	return all
}

// finish processes what is left with a process that ends by itself.
func (w *world) finish(c Config) {
	w.t.Helper()
	c.UntilEnd = true
	m := w.start(c)
	select {
	case <-m.done:
	case <-time.After(5 * time.Minute):
		w.t.Fatalf("the last run does not end, the group is %+v", w.cluster.GroupInfo("g"))
	}
	if err := m.wait(); err != nil {
		w.t.Fatalf("the last run: %v", err)
	}
}

// verify audits what came out, and compares it with a run of the same input that nothing
// disturbed: every byte of the output and the greatest revision of each visit.
func (w *world) verify() {
	w.t.Helper()
	got := w.audit()
	w.reference()
	want := w.visitsOf("ref-visits")
	slices.Sort(got)
	slices.Sort(want)
	if len(want) == 0 || !slices.Equal(got, want) {
		w.t.Errorf("visits\n%s\nwithout the fault\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	w.same()
}

// reference is a run of the input that nothing disturbs.
func (w *world) reference() {
	w.t.Helper()
	ref := w.config("undisturbed")
	ref.Group, ref.Output, ref.Visits, ref.DeadLetters = "ref", "ref-out", "ref-visits", "ref-dead"
	w.create(ref)
	w.finish(ref)
}

// same compares the output with that of the run that nothing disturbed.
func (w *world) same() {
	w.t.Helper()
	out, refOut := w.read("out"), w.read("ref-out")
	for p := range w.parts {
		for i := range min(len(out[p]), len(refOut[p])) {
			if a, b := out[p][i], refOut[p][i]; !bytes.Equal(a.Value, b.Value) {
				w.t.Errorf("out %d@%d is %s, without the fault %s", p, a.Offset, a.Value, b.Value)
				break
			}
		}
	}
}
