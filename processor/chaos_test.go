//go:build synctests

package processor

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Everything at once: processes come, are killed, lose their disks, freeze and lose answers in an
// order that a seed decides, while events flow.

// crowd is some processes of one group and what a seed does to them.
type crowd struct {
	w       *world
	r       *rand.Rand
	configs map[string]Config
	members map[string]*member
	frozen  map[string]int // by name: steps until the thaw
	rules   []*rule
	killed  int
}

func (x *crowd) step() {
	name := []string{"a", "b", "c"}[x.r.IntN(3)]
	c, m := x.configs[name], x.members[name]
	for n, left := range x.frozen {
		if x.frozen[n] = left - 1; left <= 1 {
			delete(x.frozen, n)
			x.members[n].net.thaw()
			x.members[n].net.mend()
		}
	}
	if m != nil {
		select {
		case <-m.done:
			if m.err != nil && !errors.Is(m.err, errHalted) {
				x.w.t.Fatalf("%s ended: %v", name, m.err)
			}
			x.gone(name, c, m)
			m = nil
		default:
		}
	}
	if m == nil {
		x.members[name] = x.w.start(c)
		return
	}
	keys := []kmsg.Key{kmsg.Produce, kmsg.TxnOffsetCommit, kmsg.EndTxn, kmsg.Heartbeat, kmsg.Fetch,
		kmsg.OffsetFetch, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.InitProducerID}
	key := keys[x.r.IntN(len(keys))]
	switch x.r.IntN(8) {
	case 0:
		m.kill()
		x.gone(name, c, m)
	case 1:
		x.frozen[name] = 1 + x.r.IntN(60)
		m.net.freeze()
	case 2:
		x.frozen[name] = 1 + x.r.IntN(60)
		m.net.cut()
	case 3, 4:
		x.rules = append(x.rules, m.net.rule(&rule{
			key: key, fate: fate(x.r.IntN(2)), count: 1 + x.r.Int64N(3),
		}))
	case 5:
		x.rules = append(x.rules, m.net.rule(&rule{
			key: key, fate: fate(x.r.IntN(2)), then: func() { go m.kill() },
		}))
	case 6:
		m.stop()
		if x.frozen[name] == 0 {
			<-m.done
			x.gone(name, c, m)
		}
	}
}

// gone leaves a process's disk as a crash might.
func (x *crowd) gone(name string, c Config, m *member) {
	m.stop()
	m.net.cut()
	delete(x.members, name)
	delete(x.frozen, name)
	x.killed++
	switch x.r.IntN(3) {
	case 0:
		c.State.FS = vfs.NewCrashableMem()
	case 1:
		c.State.FS = m.fs
	default:
		c.State.FS = m.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: x.r.IntN(101), RNG: x.r})
	}
	x.configs[name] = c
}

func TestChaos(t *testing.T) {
	const seeds = 5
	var lost, killed int64
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			x := chaos(t, seed)
			killed += int64(x.killed)
			for _, r := range x.rules {
				lost += r.hits.Load()
			}
		})
	}
	if lost == 0 || killed == 0 {
		t.Errorf("%d requests were lost and %d processes have gone", lost, killed)
	}
}

func chaos(t *testing.T, seed uint64) (x *crowd) {
	bubble(t, 4, func(w *world) {
		x = &crowd{
			w: w, r: rand.New(rand.NewPCG(seed, 3)), configs: map[string]Config{},
			members: map[string]*member{}, frozen: map[string]int{},
		}
		for i, name := range []string{"a", "b", "c"} {
			c := w.config(name)
			c.Lanes = 1 + i%2
			x.configs[name] = c
		}
		w.create(x.configs["a"])
		events := w.load(300)
		const lots = 60
		for i := range lots {
			for p := range w.parts {
				e := events[p]
				w.produce(p, e[i*len(e)/lots:(i+1)*len(e)/lots]...)
			}
			x.step()
			w.advance(time.Duration(x.r.IntN(4000)) * time.Millisecond)
		}
		for _, name := range []string{"a", "b", "c"} {
			if m := x.members[name]; m != nil {
				m.kill()
				c := x.configs[name]
				x.gone(name, c, m)
			}
		}
		// A process that was killed while its join waited is a member for ever if the join is answered
		// behind it: the embedded broker begins to count a member's silence with the first answer it
		// could deliver. A join that nobody is left to answer ends with two rebalance timeouts.
		w.advance(2*time.Minute + 10*time.Second)
		w.finish(x.configs["a"])
		w.advance(30 * time.Second) // what the dead left open times out: it holds readers back
		w.verify()
	})
	return x
}
