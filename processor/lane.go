package processor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"sessionizer/state"
)

// lane is one goroutine with one transactional client: a static member of the consumer group
// that polls, lets the tasks of its partitions work, and commits. Lanes share nothing but the
// store and the host's look-ups.
//
// A lane lives through sessions. A session begins with a new client under the same transactional
// id, which aborts what the one before left open, and ends with the first outcome that is not
// known for sure. Start-up, crash and reset are therefore the same path.
type lane struct {
	host *host
	id   int
	txn  string // transactional id and static member id
	log  *zap.Logger

	beat atomic.Pointer[time.Time] // of the last turn of the loop, for the watchdog
	// unsettled: visits may be due at the event watermark that no committed transaction has ended.
	unsettled atomic.Bool

	sess  *kgo.GroupTransactSession
	kill  context.CancelFunc // ends the client with all that it waits for
	calls *calls
	parts map[tp]*part // assigned partitions, the ones still restoring too

	open      bool // a transaction is open
	openSince time.Time
	// produceCtx ends with the transaction's timeout: produces that a broker does not answer fail
	// then. The client's own delivery timeout counts from a record's timestamp, which for us is
	// the event's and long past.
	produceCtx    context.Context
	cancelProduce context.CancelFunc
	sent          bool // the end of the transaction has asked for the offsets to commit
	dirty         bool // the session's next transaction is flagged as failed and must be emptied first
	lastTick      time.Time
	lastEnds      time.Time // of the last look at the ends of silent partitions
	// The producer's epoch in the open transaction, and in the first since which all were committed.
	producer          int64
	epoch, firstEpoch int16

	failed *failures

	inflater *inflater
	// held are the records that the open transaction has stepped. What they lie in is used again
	// when it has ended: until then the records that are produced alias it.
	held       []*kgo.Record
	recycled   []*kgo.Record  // those of the transaction before
	recycling  sync.WaitGroup // gives them back to the client
	asideBytes int            // bytes of records that were read aside, likewise
	full       bool           // there was no room for a batch: the transaction should end
	fullSince  time.Time      // since when, with nothing held; zero: it is not so
	asided     int64          // bytes that were ever read aside
	rest       rest
}

// tp is a topic partition.
type tp struct {
	topic string
	id    int32
}

func (x tp) String() string { return fmt.Sprintf("%s/%d", x.topic, x.id) }

// part is an assigned partition. Until it is restored it is paused and has no task.
type part struct {
	tp     tp
	cancel context.CancelFunc // ends the restore
	ready  <-chan restored    // its one result
	task   *Task
	state  *state.Partition
	free   func() // lets another lane of this process open it

	arrived time.Time // wall clock of the last record, for idle_after
	probed  time.Time // and of the last look for records at the end
	hold    hold
	// atMost is the first offset of the transaction that was aborted last, negative for none: the
	// client must come back to it. A later one would mean that it went forward over records.
	atMost int64
	first  int64  // first offset stepped in the open transaction, negative for none
	aside  *aside // what the client could not read; nil: nothing

	waiting []*kgo.Record // for the schema of the first of them; see waiting.go
	ahead   bool          // the client would not come back to what waits, or did

	later []*kgo.Record // of the open transaction, to be produced before its end

	metaEnd atomic.Int64 // changelog offset behind the META record of the open transaction
}

// run is the lane's life: sessions until ctx is done or something only an operator can mend.
func (l *lane) run(ctx context.Context) error {
	backoff := newBackoff()
	for {
		began := time.Now()
		l.beat.Store(&began) // a lane that waits for brokers does not hang
		err := l.session(ctx)
		var reset *resetError
		switch {
		case err == nil, ctx.Err() != nil && errors.As(err, &reset):
			return nil
		case l.host.halted():
			return errHalted
		case !errors.As(err, &reset):
			return err
		}
		if time.Since(began) > backoff.quiet() {
			backoff = newBackoff()
		}
		wait := backoff.next()
		l.log.Warn("lane reset: beginning anew from the last commit",
			zap.String("why", reset.why), zap.Error(reset.cause), zap.Duration("wait", wait))
		l.host.stats.resets.Add(1)
		if err := l.host.pause(ctx, wait); err != nil {
			return nil
		}
	}
}

func (l *lane) beats() {
	now := time.Now()
	l.beat.Store(&now)
}

// session runs one client until ctx is done (nil) or it must be thrown away.
func (l *lane) session(ctx context.Context) (err error) {
	if err := l.begin(ctx); err != nil {
		return err
	}
	defer l.discard()
	for {
		l.beats()
		switch {
		case l.host.halted():
			return errHalted
		case ctx.Err() != nil:
			return l.finish()
		}
		if err := l.turn(ctx); err != nil {
			return err
		}
	}
}

// turn is one round: poll, work, tick, commit.
//
// Rebalance callbacks run only while no poll is held: from AllowRebalance to the return of the
// next poll. arrange takes in what they noted right after the poll, so from there to the next
// AllowRebalance the set of partitions does not change under a worker.
//
// No transaction is begun while a join is pending: the client commits no offsets before the join is
// over, which is when every other member has joined or was given up, long after the transaction's
// end is. A join begins only while no poll is held, that is between the check here and the poll, or
// not before the next turn.
func (l *lane) turn(ctx context.Context) error {
	if !l.open && l.calls.joining.Load() {
		return l.awaitJoin(ctx)
	}
	l.letGo(time.Now())
	l.giveBack(time.Now())
	fetches := l.poll(ctx)
	if err := l.arrange(ctx); err != nil {
		return err
	}
	if err := l.fetchErrors(fetches); err != nil {
		return err
	}
	if err := l.passAside(); err != nil {
		return err
	}
	void, err := l.clean(ctx, fetches)
	if err == nil && !void {
		if err = l.work(ctx, fetches); err == nil {
			err = l.readAside(ctx)
		}
	}
	if err != nil {
		return err
	}
	if l.open || !l.calls.joining.Load() {
		err = l.tick(ctx)
	}
	if err != nil {
		return err
	}
	if l.open && l.due() {
		return l.commit(ctx)
	}
	if !l.open {
		l.allow()
	}
	return nil
}

// awaitJoin waits a while for a join that is pending.
func (l *lane) awaitJoin(ctx context.Context) error {
	wait, cancel := l.host.bound(ctx, tickEvery)
	defer cancel()
	l.calls.wakes(cancel)
	if l.calls.joining.Load() { // else its end came before there was anything to wake
		<-wait.Done()
	}
	return l.arrange(ctx)
}

// allow lets a rebalance that waits go on.
func (l *lane) allow() {
	l.calls.rebalance.Store(false)
	l.sess.AllowRebalance()
}

// poll waits for records no longer than until there is something else to do.
func (l *lane) poll(ctx context.Context) kgo.Fetches {
	wait := tickEvery
	if l.open {
		wait = min(wait, max(0, l.host.cfg.CommitInterval-time.Since(l.openSince)))
	}
	if l.reads() {
		wait = time.Millisecond // for what lies ready
	}
	pollCtx, cancel := l.host.bound(ctx, wait)
	defer cancel()
	l.calls.wakes(cancel)
	return l.sess.PollRecords(pollCtx, pollRecordsMax)
}

// due reports whether the open transaction should be committed now.
func (l *lane) due() bool {
	if l.calls.waiting() || l.full || l.asideBytes >= asideHeldMax ||
		time.Since(l.openSince) >= l.host.cfg.CommitInterval {
		return true
	}
	records, bytes := 0, 0
	for _, p := range l.parts {
		if p.task == nil {
			continue
		}
		r, b, rows := p.task.Load()
		records, bytes = records+r, bytes+b
		if rows >= txnRowsMax {
			return true
		}
	}
	return records >= txnRecordsMax || bytes >= txnBytesMax
}

// ensureOpen begins a transaction if none is open.
func (l *lane) ensureOpen(ctx context.Context) error {
	if l.open {
		return nil
	}
	if err := l.sess.Begin(); err != nil {
		return l.broken("begin a transaction", err)
	}
	if err := l.epochs(ctx); err != nil {
		return l.broken("begin a transaction", err)
	}
	l.open, l.openSince = true, time.Now()
	l.produceCtx, l.cancelProduce = l.host.produceContext(ctx)
	return nil
}

// clean empties the transaction that a revoke between transactions has flagged as failed: it
// could only abort; and one that would begin while a join is pending, which could not end. The end
// of it takes the client back to its committed offsets, so what was just polled comes again; a
// partition without a committed offset has nothing to come back to. It returns whether the poll is
// void.
func (l *lane) clean(ctx context.Context, fetches kgo.Fetches) (bool, error) {
	if l.open || !l.dirty && !l.calls.joining.Load() {
		return false, nil
	}
	var fresh error
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		p := l.parts[tp{f.Topic, f.Partition}]
		switch {
		case len(f.Records) == 0:
		case p == nil || p.task == nil || p.task.Next() == unknownOffset:
			fresh = fmt.Errorf("%s/%d has no offset yet", f.Topic, f.Partition)
		case p.atMost < 0:
			p.atMost = f.Records[0].Offset
		}
	})
	if fresh != nil {
		return true, &resetError{"go back behind a rebalance", fresh}
	}
	fetches.EachRecord((*kgo.Record).Recycle)
	return true, l.empty(ctx)
}

func (l *lane) empty(ctx context.Context) error {
	if err := l.sess.Begin(); err != nil {
		return l.broken("begin a transaction", err)
	}
	endCtx, cancel := l.host.bound(ctx, l.host.cfg.endDeadline())
	defer cancel()
	if _, err := l.sess.End(endCtx, kgo.TryAbort); err != nil {
		return l.broken("end an empty transaction", err)
	}
	l.dirty = false
	return nil
}

// broken is the error of a transaction whose state is not known: the lane is reset, unless
// the broker would refuse the next one too, or another process has taken our name.
func (l *lane) broken(what string, err error) error {
	if stop := refusal(what, err); stop != nil {
		return stop
	}
	if fenced(err) {
		if gone := l.host.takenOver(l.txn, l.sess.Client()); gone != nil {
			return gone
		}
	}
	return &resetError{what, err}
}

// discard throws the client and everything that is not confirmed away.
func (l *lane) discard() {
	if l.open {
		l.cancelProduce()
	}
	for _, p := range l.parts {
		l.close(p)
	}
	l.parts = nil
	l.recycling.Wait()
	l.host.closeClient(l.sess, l.kill)
}

// finish commits the transaction in hand and leaves everything in order.
func (l *lane) finish() error {
	if !l.open {
		return nil
	}
	ctx, cancel := l.host.bound(context.Background(), l.host.cfg.endDeadline())
	defer cancel()
	return l.commit(ctx)
}
