//go:build synctests

package processor

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// trial is a process with load whose requests are answered with errors, one kind and one code after
// the other. It is fed and read by a client that is there from the start and whose own requests
// none of the faults match.
type trial struct {
	w    *world
	c    Config
	m    *member
	cl   *kgo.Client
	live bool // events carry the time of now

	fed, out, second int
}

// run makes the world of a place and tries codes there, one after the other.
func (p place) run(t *testing.T, test func(x *trial)) {
	var opts []kfake.Opt
	if p.old {
		opts = append(opts, kfake.MaxVersions(kversion.V3_8_0()))
	}
	if p.brokers > 1 {
		opts = append(opts, kfake.NumBrokers(p.brokers), kfake.Ports(brokerPort, brokerPort+1))
	}
	bubbleWith(t, 2, func(w *world) {
		t := w.t
		x := &trial{w: w, c: w.config("a")}
		if p.setup != nil {
			p.setup(x)
		}
		w.create(x.c)
		x.cl = w.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableIdempotentWrite(),
			kgo.ConnIdleTimeout(15*time.Minute), kgo.MetadataMaxAge(time.Hour), kgo.Rack(harnessRack),
			kgo.ConsumeTopics("out"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.FetchMaxWait(100*time.Millisecond))
		defer x.cl.Close()
		x.m = w.start(x.c)
		x.feed()
		if !x.came(time.Minute) {
			t.Fatal("nothing comes out ahead of the first fault")
		}
		test(x)
		x.close()
	}, opts...)
}

// settle is how long a process has to say what it does about a fault.
const settle = 300 * time.Millisecond

// harnessRack tells the fetches of the test from those of the process.
const harnessRack = "harness"

// close ends the process and compares what came out with a run that nothing disturbed.
func (x *trial) close() {
	x.w.t.Helper()
	x.second, x.live = x.second+100_000, false
	for range 5 { // ends all visits
		x.feed()
	}
	if !x.came(time.Minute) {
		x.w.t.Errorf("%d of %d events came out in the end", x.out, x.fed)
	}
	x.stop()
	x.w.advance(time.Minute) // what others left open times out
	x.w.finish(x.c)
	x.w.verify()
}

// feed adds an event to each partition, of one of five customers. Now and then all are silent for
// longer than a visit lasts.
func (x *trial) feed() {
	x.w.t.Helper()
	x.second += 7
	if x.fed%20 == 0 {
		x.second += 1900
	}
	if x.live {
		x.second = int(time.Since(epoch) / time.Second)
	}
	for p := range x.w.parts {
		r := event(fmt.Sprintf("p%d-%d", p, x.fed/2%5), x.second)
		r.Topic, r.Partition = "events", p
		if err := x.cl.ProduceSync(x.w.t.Context(), r).FirstErr(); err != nil {
			x.w.t.Fatal(err)
		}
		x.fed++
	}
}

// came waits for all that was fed to come out. It gives up early when the process ends.
func (x *trial) came(within time.Duration) bool {
	deadline := time.Now().Add(within)
	for x.out < x.fed && time.Now().Before(deadline) {
		over := x.ended()
		ctx, cancel := context.WithTimeout(x.w.t.Context(), 200*time.Millisecond)
		n := x.cl.PollFetches(ctx).NumRecords()
		cancel()
		if x.out += n; over && n == 0 {
			break
		}
	}
	return x.out >= x.fed
}

func (x *trial) ended() bool {
	select {
	case <-x.m.done:
		return true
	default:
		return false
	}
}

// stop ends the process in order.
func (x *trial) stop() {
	x.w.t.Helper()
	x.m.stop()
	if err := x.m.wait(); err != nil {
		x.w.t.Errorf("the process does not stop in order: %v", err)
	}
}

// restart stops the process and starts it again on its disk, with what arm does done ahead of its
// first request.
func (x *trial) restart(arm func(*faultNet)) {
	x.stop()
	x.begin(arm)
}

func (x *trial) begin(arm func(*faultNet)) {
	net := newFaultNet(x.c.Dial)
	net.freeze()
	x.m = x.w.startOn(net, x.c)
	arm(net)
	net.thaw()
}

// injected is a fault that is in force.
type injected struct {
	hits   func() int64
	remove func()
}

// inject makes the answers at a place errors: the next one, or all of them.
func (p place) inject(w *world, net *faultNet, code *kerr.Error, count int) injected {
	if p.level == refused {
		f := p.fault
		f.Keys, f.Err, f.Count = []kmsg.Key{p.request}, code, count
		f.When = func(r kmsg.Request) bool {
			fetch, ok := r.(*kmsg.FetchRequest)
			return (!ok || fetch.Rack != harnessRack) && (p.when == nil || p.when(r))
		}
		h := w.cluster.Fault(f)
		return injected{func() int64 { return int64(h.Hits()) }, h.Remove}
	}
	var hits atomic.Int64
	net.edit(p.request, func(r kmsg.Response) {
		if count > 0 && hits.Load() >= int64(count) {
			return
		}
		if setCodes(reflect.ValueOf(r).Elem(), code.Code, p.level == appliedPart) {
			hits.Add(1)
		}
	})
	return injected{hits.Load, func() { net.edit(p.request, nil) }}
}

// setCodes makes an answer an error: its own code, or those of the partitions in it.
func setCodes(v reflect.Value, code int16, parts bool) (set bool) {
	field := v.FieldByName("ErrorCode")
	if field.IsValid() && parts == v.FieldByName("Partition").IsValid() {
		field.SetInt(int64(code))
		set = true
	}
	for i := range v.NumField() {
		f := v.Field(i)
		if !parts || f.Kind() != reflect.Slice || f.Type().Elem().Kind() != reflect.Struct {
			continue
		}
		for j := range f.Len() {
			set = setCodes(f.Index(j), code, parts) || set
		}
	}
	return set
}

// What the process says when it does something about an error.
var saidBy = map[action][]string{
	reset: {"lane reset"},
	abort: {"transaction aborted"},
	again: {
		"a partition cannot be fetched", "the partition cannot be restored yet",
		"the brokers do not answer", "the group membership was interrupted",
		"look up the end of an idle topic", "look whether the end is reached", "look up a topic",
		"no right to",
	},
}

// said returns what the process did since it was last asked, by what it said.
func (x *trial) said() action {
	did := inside
	for _, l := range x.w.logs {
		for _, e := range l.TakeAll() {
			for _, a := range []action{again, abort, reset} {
				for _, text := range saidBy[a] {
					if strings.Contains(e.Message, text) {
						did = max(did, a)
					}
				}
			}
		}
	}
	return did
}

// try injects a fault, waits for what comes of it, takes the fault away and sees to it that the
// process goes on. It returns what the process did.
func (x *trial) try(p place, code *kerr.Error, persistent bool) (did action, what string) {
	w := x.w
	w.t.Helper()
	count, patience := 1, time.Minute
	if persistent {
		count, patience = -1, 15*time.Second
	}
	x.said()
	var fault injected
	armed := false
	arm := func(net *faultNet) {
		if !armed {
			fault, armed = p.inject(w, net, code, count), true
		}
	}
	p.provoke(x, arm)
	came := x.came(patience)
	for range 120 {
		if armed && fault.hits() > 0 || x.ended() {
			break
		}
		w.advance(100 * time.Millisecond)
	}
	if !armed || fault.hits() == 0 {
		w.t.Errorf("%s %s: the fault was never injected", p.name, code.Message)
	}
	w.advance(max(p.after, settle))
	if armed {
		fault.remove()
	}
	did = x.said()
	if !x.ended() && !came && !persistent {
		w.t.Errorf("%s %s: the events do not come out", p.name, code.Message)
	}
	x.feed()
	came = x.came(time.Minute)
	if x.c.UntilEnd {
		select {
		case <-x.m.done: // it may have got to the end only now
		case <-time.After(time.Minute):
		}
	}
	if came && !x.ended() {
		return did, what
	}
	if x.ended() {
		if refusal := x.over(p, code); refusal != "" {
			did, what = stop, refusal
		}
		x.c.UntilEnd = false
		x.begin(func(*faultNet) {})
	}
	if !x.came(time.Minute) {
		w.t.Errorf("%s %s: it does not go on when the fault is over (%d of %d)",
			p.name, code.Message, x.out, x.fed)
		x.out = x.fed
	}
	return did, what
}

// over is what an ended process has to say.
func (x *trial) over(p place, code *kerr.Error) string {
	err := x.m.wait()
	var refused *StopError
	switch {
	case err == nil && x.c.UntilEnd:
		return ""
	case !errors.As(err, &refused):
		x.w.t.Errorf("%s %s: the process ended with %v", p.name, code.Message, err)
	case refused.Do == "" || !strings.Contains(err.Error(), code.Message):
		x.w.t.Errorf("%s %s: the error is %q, which does not say what was wrong and what to do",
			p.name, code.Message, err)
	}
	return fmt.Sprint(err)
}
