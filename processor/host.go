package processor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"sessionizer/schemas"
	"sessionizer/state"
)

// host is what the lanes of a process share: the store, a client for look-ups, and what the
// cluster looked like at the start.
type host struct {
	cfg   *Config
	log   *zap.Logger
	store *state.Store
	cl    *kgo.Client
	adm   *kadm.Client

	topology   *Topology
	partitions int32
	halt       context.Context // done at once when Config.Halt is
	workers    sync.WaitGroup  // restores

	faulted  <-chan struct{} // closed with the store's first fault
	stopHalt context.CancelFunc
	stats    hostStats
	lessons  *lessons // nil: there is no registry

	mu     sync.Mutex
	taken  map[tp]chan struct{}               // partitions open in this process; closed when free
	poison map[tp]map[int64]*schemas.BadInput // records the broker refused
	// abilities are asked for once; nil: not yet.
	abilities *abilities
}

type hostStats struct {
	commits, aborts, resets, takeovers atomic.Int64
}

func (h *host) halted() bool { return h.halt.Err() != nil }

// bound limits ctx in time and by Halt.
func (h *host) bound(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, d)
	stop := context.AfterFunc(h.halt, cancel)
	return ctx, func() { stop(); cancel() }
}

// pause waits; it returns an error if ctx or Halt end it.
func (h *host) pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-h.halt.Done():
		return errHalted
	}
}

func (h *host) inputID(topic string) [16]byte { return h.topology.ID(topic) }

func (h *host) changelogID(input string) [16]byte {
	return h.topology.ID(h.cfg.ChangelogTopic(input))
}

// produceContext bounds the produces of a transaction: by its timeout, and by endWait after ctx is
// done, so that a broker that does not answer cannot keep a process from ending.
func (h *host) produceContext(ctx context.Context) (context.Context, context.CancelFunc) {
	bounded, cancel := h.bound(context.WithoutCancel(ctx), h.cfg.TransactionTimeout)
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(endWait)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-bounded.Done():
		}
	})
	return bounded, func() { stop(); cancel() }
}

// batchBytes is how large a produced batch may be: what its topic takes.
func (h *host) batchBytes(topic string) int32 {
	const usual = 1_000_012 // the client's default
	if n, ok := h.topology.Int(topic, "max.message.bytes"); ok && n > 0 {
		return int32(min(n, 64<<20))
	}
	return usual
}

// acquire makes a partition this caller's alone within the process: a lane that takes a partition
// over from another one here must wait until that one has closed its state.
func (h *host) acquire(ctx context.Context, x tp) (free func(), err error) {
	for {
		h.mu.Lock()
		busy := h.taken[x]
		if busy == nil {
			mine := make(chan struct{})
			h.taken[x] = mine
			h.mu.Unlock()
			return func() {
				h.mu.Lock()
				delete(h.taken, x)
				h.mu.Unlock()
				close(mine)
			}, nil
		}
		h.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (h *host) addPoison(x tp, offset int64, bad *schemas.BadInput) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.poison[x] == nil {
		h.poison[x] = map[int64]*schemas.BadInput{}
	}
	h.poison[x][offset] = bad
}

func (h *host) poisonOf(x tp) map[int64]*schemas.BadInput {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := map[int64]*schemas.BadInput{}
	for o, b := range h.poison[x] {
		m[o] = b
	}
	return m
}

// closeClient closes a client without leaving the group: the lane's next client takes the same
// static membership over. A close can hang on a broker that is away; it is given a while and
// then left to end by itself with its connections.
func (h *host) closeClient(sess *kgo.GroupTransactSession, kill context.CancelFunc) {
	defer kill() // a client that waits for a join to be answered does not hear of its close
	if sess == nil {
		return
	}
	done := make(chan struct{})
	h.workers.Go(func() {
		defer close(done)
		sess.CloseAllowingRebalance()
	})
	t := time.NewTimer(closeWait)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		h.log.Warn("a client does not close; going on without waiting for it")
	case <-h.halt.Done():
	}
}

const startAgain = "start again: nothing is lost, the changelog has all of it"

// stateFault is the end of a process whose disk has failed.
func (h *host) stateFault(cause error) error {
	if errors.Is(cause, state.ErrDamaged) {
		return &StopError{What: "the state directory " + h.cfg.StateDir + " is damaged", Cause: cause,
			Do: startAgain}
	}
	return &StopError{
		What: "the state directory " + h.cfg.StateDir + " cannot be written", Cause: cause,
		Do: "make room or mend the disk, then start again: nothing is lost",
	}
}

// replaced is the end of a process whose static name another one has taken.
func (h *host) replaced(txn string, cause error) error {
	return &StopError{
		What: fmt.Sprintf("another process has taken the name kafka.instance=%q (member %s)",
			h.cfg.Instance, txn),
		Do:    "give every process of the group its own kafka.instance",
		Cause: cause,
	}
}

// takenOver tells the two reasons of a fenced producer apart: another process that uses our name
// has joined the group under our static id with a member id that is not ours, and would be fenced
// back for ever; a coordinator that timed our transaction out has not.
func (h *host) takenOver(txn string, cl *kgo.Client) error {
	member, _ := cl.GroupMetadata()
	ctx, cancel := h.bound(context.Background(), h.cfg.endDeadline())
	defer cancel()
	groups, err := h.adm.DescribeGroups(ctx, h.cfg.Group)
	if err != nil || member == "" {
		return nil
	}
	for _, m := range groups[h.cfg.Group].Members {
		if m.InstanceID != nil && *m.InstanceID == txn && m.MemberID != member {
			return h.replaced(txn, fmt.Errorf("the group knows it as %s, we are %s", m.MemberID, member))
		}
	}
	return nil
}

// leave takes the static members of this process out of the group, so that others need not wait
// for their sessions to time out. Only a process that has done its work leaves: one that is
// restarted comes back under the same name and keeps its partitions.
func (h *host) leave(ctx context.Context) {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = h.cfg.Group
	for i := range h.cfg.Lanes {
		m := kmsg.NewLeaveGroupRequestMember()
		m.InstanceID = kmsg.StringPtr(h.cfg.TransactionalID(i))
		req.Members = append(req.Members, m)
	}
	ctx, cancel := h.bound(ctx, h.cfg.endDeadline())
	defer cancel()
	if _, err := req.RequestWith(ctx, h.cl); err != nil {
		h.log.Info("leave the group", zap.Error(err))
	}
}

// backoff doubles from the first wait to the last one.
type backoff struct{ wait time.Duration }

const (
	backoffFirst = 50 * time.Millisecond
	backoffLast  = 5 * time.Second
)

func newBackoff() *backoff { return &backoff{backoffFirst} }

func (b *backoff) next() time.Duration {
	w := b.wait
	b.wait = min(2*b.wait, backoffLast)
	return w
}

// quiet is how long a session must have lasted for the next failure to count as the first.
func (b *backoff) quiet() time.Duration { return 2 * backoffLast }
