package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// X11: a timeout that a restart changes applies from the next event on. The gap in front of that is
// measured by the timeout of the event before, which its session keeps, also where the state of the
// process before is gone.
func TestConformance_X11_ANewTimeoutAppliesFromTheNextEvent(t *testing.T) {
	pipe := newWirePipe(t)
	topic := pipe.topic(t, "restart", 1)
	event := func(after time.Duration) *kgo.Record {
		at := time.UnixMilli(int64(casesStart)).Add(after).UTC()
		return &kgo.Record{Topic: topic, Timestamp: at, Value: fmt.Appendf(nil,
			`{"anonymousId":"a","timestamp":%q}`, at.Format(time.RFC3339Nano))}
	}
	pipe.produce(t, event(0))
	pipe.process(t, topic, "session: {timeout: 30m}")
	pipe.produce(t, event(20*time.Minute), event(30*time.Minute),
		event(40*time.Minute+time.Millisecond))
	pipe.process(t, topic, "session: {timeout: 10m}")
	pipe.produce(t, event(70*time.Minute+time.Millisecond))
	pipe.process(t, topic, "session: {timeout: 30m}")
	var got []string
	for _, r := range pipe.read(t, topic+"-out")[0] {
		m := decodeMembers(r.Value)
		got = append(got, fmt.Sprintf("%v %v",
			m.at("context.session.index"), m.at("context.session.start")))
	}
	want := "[1 true 1 <nil> 1 <nil> 2 true 3 true]"
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
