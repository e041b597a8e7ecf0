package processor

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// calls is what the rebalance callbacks of one client note for the lane. They do nothing else:
// a callback that waits, ends a transaction or closes the client would deadlock the group.
type calls struct {
	rebalance atomic.Bool // a rebalance waits for AllowRebalance
	joined    atomic.Bool // the group has said at least once which partitions are ours
	// joining: a join has been asked for and not been answered with partitions yet. The client holds
	// the commits of a transaction back for as long, and that can be longer than one may last.
	joining atomic.Bool
	away    atomic.Bool // a broker could not be reached, or a connection broke

	mu     sync.Mutex
	events []moved
	owned  map[tp]bool        // assigned and neither revoked nor lost
	asked  map[tp]bool        // those of them whose committed offset the client has yet to be told
	wake   context.CancelFunc // interrupts the poll
}

func newCalls() *calls { return &calls{owned: map[tp]bool{}, asked: map[tp]bool{}} }

// moved is one partition that came or went.
type moved struct {
	tp   tp
	came bool
}

func (c *calls) assigned(_ context.Context, cl *kgo.Client, ps map[string][]int32) {
	cl.PauseFetchPartitions(ps) // before the first fetch, until the state is restored
	c.joining.Store(false)      // called with every join, also with nothing new
	c.note(ps, true)
	c.joined.Store(true)
}

func (c *calls) left(_ context.Context, _ *kgo.Client, ps map[string][]int32) { c.note(ps, false) }

// OnGroupManageError is the client's hook for a membership that broke, in a join too. It will join
// again; until then the lane polls, which is where the error comes.
func (c *calls) OnGroupManageError(error) {
	c.joining.Store(false)
	c.interrupt()
}

// OnBrokerConnect and OnBrokerE2E are the client's hooks for its connections.
func (c *calls) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil {
		c.away.Store(true)
	}
}

func (c *calls) OnBrokerE2E(_ kgo.BrokerMetadata, _ int16, e kgo.BrokerE2E) {
	if e.Err() != nil {
		c.away.Store(true)
	}
}

func (c *calls) blocked(context.Context, *kgo.Client) {
	c.rebalance.Store(true)
	c.interrupt()
}

func (c *calls) note(ps map[string][]int32, came bool) {
	c.mu.Lock()
	for topic, ids := range ps {
		for _, id := range ids {
			c.events = append(c.events, moved{tp{topic, id}, came})
			if came {
				c.owned[tp{topic, id}], c.asked[tp{topic, id}] = true, true
			} else {
				delete(c.owned, tp{topic, id})
				delete(c.asked, tp{topic, id})
			}
		}
	}
	c.mu.Unlock()
	c.interrupt()
}

// joins is told with every join what the client still owns by its own account. Whatever else we
// thought to own is gone before another member can have it.
//
// The callbacks alone do not suffice. GroupTransactSession passes a revoke on only if none before
// it has flagged the transaction: a second one that waits while the first makes a slow End abort
// gets the session's lock before the flag is cleared, and is swallowed. We would go on ending
// visits of a partition that another member has, and no broker would refuse it: the offsets are
// checked for our generation, not for our partitions.
func (c *calls) joins(owned map[string][]int32) {
	c.joining.Store(true)
	still := map[tp]bool{}
	for topic, ids := range owned {
		for _, id := range ids {
			still[tp{topic, id}] = true
		}
	}
	gone := map[string][]int32{}
	c.mu.Lock()
	for x := range c.owned {
		if !still[x] {
			gone[x.topic] = append(gone[x.topic], x.id)
		}
	}
	c.mu.Unlock()
	if len(gone) > 0 {
		c.note(gone, false)
	}
}

// told hears with which offsets the client is about to consume partitions. One whose offset the
// coordinator refused is left out: the client says so once, consumes the others, and does not ask
// again before the next join. The partition would stand still for as long. With an error the client
// joins again.
func (c *calls) told(
	_ context.Context, offsets map[string]map[int32]kgo.Offset,
) (map[string]map[int32]kgo.Offset, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for topic, ids := range offsets {
		for id := range ids {
			delete(c.asked, tp{topic, id})
		}
	}
	for x := range c.asked {
		return nil, fmt.Errorf("the committed offset of %s was not told", x)
	}
	return offsets, nil
}

// balancer is the group's balancer; calls hears what each join says.
type balancer struct {
	kgo.GroupBalancer
	calls *calls
}

func (b balancer) JoinGroupMetadata(
	topics []string, owned map[string][]int32, generation int32,
) []byte {
	b.calls.joins(owned)
	return b.GroupBalancer.JoinGroupMetadata(topics, owned, generation)
}

// waiting reports whether a rebalance waits for us, until take is called.
func (c *calls) waiting() bool { return c.rebalance.Load() }

// wakes names what interrupt calls from now on. It is called at once if partitions came or went
// that nobody has taken note of yet, as they do at the start, ahead of the first poll.
func (c *calls) wakes(cancel context.CancelFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wake = cancel
	if len(c.events) > 0 {
		cancel()
	}
}

func (c *calls) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wake != nil {
		c.wake()
	}
}

func (c *calls) take() []moved {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.events
	c.events = nil
	return e
}

func (c *calls) owns(x tp) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.owned[x]
}

// arrange takes in what the callbacks noted, and the partitions whose restore is done.
func (l *lane) arrange(ctx context.Context) error {
	for _, m := range l.calls.take() {
		p := l.parts[m.tp]
		switch {
		case m.came && p == nil:
			l.adopt(ctx, m.tp)
		case !m.came && p != nil:
			// A revoke between two transactions flags the next one as failed.
			l.dirty = true
			if l.open && p.task != nil && p.task.Touched() {
				return &resetError{"keep a transaction", errLost(p.tp)}
			}
			delete(l.parts, m.tp)
			l.close(p)
			l.log.Info("partition given up", zap.Stringer("partition", p.tp))
		case !m.came:
			l.dirty = true
		}
	}
	return l.openRestored()
}

// adopt starts the restore of a partition that was assigned. It runs beside the lane, so that
// the other partitions go on meanwhile.
func (l *lane) adopt(ctx context.Context, x tp) {
	ctx, cancel := context.WithCancel(ctx)
	ready := make(chan restored, 1) // one result; the lane may take it late
	l.parts[x] = &part{tp: x, cancel: cancel, ready: ready, atMost: -1, first: -1}
	wake := l.calls.interrupt
	l.host.workers.Go(func() {
		ready <- l.host.restore(ctx, x, l.txn)
		wake()
	})
}

// openRestored lets the partitions whose state is complete take part.
func (l *lane) openRestored() error {
	for _, p := range l.parts {
		if p.task != nil {
			continue
		}
		select {
		case r := <-p.ready:
			p.state, p.free, p.task = r.state, r.free, r.task
			if r.err != nil {
				p.cancel()
				delete(l.parts, p.tp)
				l.shut(p)
				return r.err
			}
		default:
			continue
		}
		p.arrived = time.Now()
		l.log.Info("partition taken", zap.Stringer("partition", p.tp), zap.Int64("offset", p.task.Next()))
		l.sess.Client().ResumeFetchPartitions(map[string][]int32{p.tp.topic: {p.tp.id}})
	}
	return nil
}

// close gives a partition back. What its open transaction did is dropped. A restore may take a
// while to notice: it is waited for beside the lane, and the next owner here waits for it.
func (l *lane) close(p *part) {
	p.cancel()
	if p.task != nil {
		l.shut(p)
		return
	}
	l.host.workers.Go(func() {
		r := <-p.ready
		p.state, p.free = r.state, r.free
		l.shut(p)
	})
}

func (l *lane) shut(p *part) {
	recycle(p.waiting)
	if p.task != nil {
		p.task.Abort()
	}
	if p.state != nil {
		if err := p.state.Close(); err != nil {
			l.log.Warn("close the state of a partition", zap.Stringer("partition", p.tp), zap.Error(err))
		}
	}
	if p.free != nil {
		p.free()
	}
}
