//go:build synctests

package processor

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Leaders and coordinators move between brokers while events flow, and while a member is dead with
// its transaction open: whoever asks the wrong broker asks the right one next.
func TestLeadersAndCoordinatorsMove(t *testing.T) {
	bubbleWith(t, 4, func(w *world) {
		a, b := w.config("a"), w.config("b")
		a.Lanes = 2
		w.create(a)
		events := w.load(240)
		part := func(i int) map[int32][]*kgo.Record {
			some := map[int32][]*kgo.Record{}
			for p, e := range events {
				some[p] = e[i*20 : (i+1)*20]
			}
			return some
		}
		ma, mb := w.start(a), w.start(b)
		led, moved := "", 0
		for i := range 12 {
			w.feed(4, part(i))
			switch i % 3 {
			case 0:
				w.cluster.ShufflePartitionLeaders()
			case 1:
				w.cluster.RehashCoordinators()
			default:
				w.cluster.ShufflePartitionLeaders()
				w.cluster.RehashCoordinators()
			}
			now := fmt.Sprint(w.cluster.LeaderFor("events", 0), w.cluster.LeaderFor("out", 0),
				w.cluster.CoordinatorFor("g"), w.cluster.CoordinatorFor("g-a-0"))
			if now != led {
				led, moved = now, moved+1
			}
			if i == 6 {
				mb.kill()
				b.State.FS = mb.fs
			}
			if i == 9 {
				mb = w.start(b)
			}
		}
		w.advance(20 * time.Second)
		if moved < 6 {
			t.Errorf("leaders and coordinators moved %d times, want most of 12", moved)
		}
		w.runs("a", ma)
		w.runs("b", mb)
		for p, out := range w.read("out") {
			if len(out) != 240 {
				t.Errorf("partition %d: %d events came out, want 240", p, len(out))
			}
		}
		for _, m := range []*member{ma, mb} {
			m.stop()
			if err := m.wait(); err != nil {
				t.Fatal(err)
			}
		}
		w.finish(a)
		w.verify()
	}, kfake.NumBrokers(3), kfake.Ports(brokerPort, brokerPort+1, brokerPort+2))
}
