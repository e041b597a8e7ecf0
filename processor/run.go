// Package processor reads events from Kafka, lets the session machine stamp them, and writes
// them on, exactly once.
//
// Task is the work on one partition and touches no broker. A lane owns a transactional client
// and the tasks of the partitions the group assigns to it. Run starts the lanes.
package processor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"sessionizer/schemas"
	"sessionizer/session"
	"sessionizer/state"
)

// stuckAfter is how long a lane may take for one turn before the process is stopped. Heartbeats
// go on beside a lane that hangs, so the group would never take its partitions away.
const stuckAfter = 2 * time.Minute

// Run processes until ctx is done, then finishes the transaction in hand and returns nil. With
// Config.UntilEnd it also returns nil when everything that was there at its start is done. A
// *StopError says that going on needs an operator.
func Run(ctx context.Context, cfg Config) error {
	h, err := open(ctx, &cfg)
	if err != nil || h == nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, gctx := errgroup.WithContext(ctx)
	lanes := make([]*lane, cfg.Lanes)
	for i := range lanes {
		txn := cfg.TransactionalID(i)
		lanes[i] = &lane{host: h, id: i, txn: txn, log: cfg.Log.With(zap.String("lane", txn))}
		lanes[i].beats()
		g.Go(func() error { return lanes[i].run(gctx) })
	}
	watch, stopWatch := context.WithCancel(gctx)
	var watchers sync.WaitGroup
	var watched error
	watchers.Go(func() {
		if watched = h.watch(watch, lanes); watched != nil {
			cancel()
		}
	})
	if cfg.UntilEnd {
		watchers.Go(func() { h.untilEnd(watch, lanes, cancel) })
	}
	err = g.Wait()
	stopWatch()
	watchers.Wait()
	if err == nil {
		err = watched
	}
	return errors.Join(err, h.close(err == nil && cfg.UntilEnd))
}

// open makes the host: a cluster that answers, topics that fit, a store that opens.
func open(ctx context.Context, cfg *Config) (*host, error) {
	h := &host{
		cfg: cfg, log: cfg.Log, taken: map[tp]chan struct{}{},
		poison: map[tp]map[int64]*schemas.BadInput{},
	}
	halt, stop := context.WithCancel(context.Background())
	h.halt, h.stopHalt = halt, stop
	if cfg.Halt != nil {
		h.workers.Go(func() {
			select {
			case <-cfg.Halt:
				stop()
			case <-halt.Done():
			}
		})
	}
	cl, err := kgo.NewClient(cfg.clientOpts()...)
	if err != nil {
		return nil, &StopError{What: "make the Kafka client", Cause: err}
	}
	h.cl, h.adm = cl, kadm.NewClient(cl)
	if err := h.inspect(ctx); err != nil {
		return nil, h.abandon(ctx, err)
	}
	if err := h.enroll(ctx); err != nil {
		return nil, h.abandon(ctx, err)
	}
	if cfg.Registry != nil {
		h.lessons = newLessons(h, cfg.Registry)
	}
	o := cfg.State
	o.Due = DueOf(cfg.Rules)
	if err := h.openStore(o); err != nil {
		return nil, h.abandon(ctx, &StopError{What: "open the state directory", Cause: err})
	}
	return h, nil
}

func (h *host) openStore(o state.Options) (err error) {
	try := func() error {
		faulted := make(chan struct{})
		o.OnFault = func(error) { close(faulted) }
		h.faulted = faulted
		h.store, err = state.Open(h.cfg.StateDir, o)
		return err
	}
	if err := try(); !errors.Is(err, state.ErrDamaged) {
		return err
	}
	h.log.Warn("the state directory is damaged: restoring all of it from the changelog", zap.Error(err))
	if err := state.Wipe(h.cfg.StateDir, o); err != nil {
		return err
	}
	return try()
}

// abandon gives up a host that was only begun. An operator's signal is no error.
func (h *host) abandon(ctx context.Context, err error) error {
	h.stopHalt()
	h.cl.Close()
	h.workers.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// inspect looks at the cluster, for as long as the brokers take to answer, and refuses what Run
// cannot work with.
func (h *host) inspect(ctx context.Context) error {
	b := newBackoff()
	for {
		err := h.inspectOnce(ctx)
		var stop *StopError
		if err == nil || errors.As(err, &stop) {
			return err
		}
		if denied := refusal("look at the cluster", err); denied != nil {
			return denied
		}
		wait := b.next()
		h.log.Warn("the brokers do not answer; waiting for them",
			zap.Strings("brokers", h.cfg.Brokers), zap.Error(err), zap.Duration("again_in", wait))
		if err := h.pause(ctx, wait); err != nil {
			return err
		}
	}
}

func (h *host) inspectOnce(ctx context.Context) error {
	ctx, cancel := h.bound(ctx, h.cfg.SessionTimeout)
	defer cancel()
	t, err := Inspect(ctx, h.adm, h.cfg)
	if err != nil {
		return err
	}
	h.topology, h.partitions = t, t.Partitions
	if err := t.Refusal(); err != nil {
		return err
	}
	return h.checkGrowth(ctx)
}

// DueOf is the due function of a store of rows that these rules made. Safe for concurrent use.
func DueOf(r *session.Rules) func(row []byte) (session.Time, error) {
	var mu sync.Mutex
	var s session.State
	return func(row []byte) (session.Time, error) {
		mu.Lock()
		defer mu.Unlock()
		if err := s.Decode(row, nil); err != nil {
			return session.NoTime, err
		}
		return r.Due(&s), nil
	}
}

// close ends what Run began. After Halt the store is left as a crash would leave it.
func (h *host) close(leave bool) error {
	if leave {
		h.leave(context.Background())
	}
	halted := h.halted()
	h.stopHalt()
	h.cl.Close()
	h.workers.Wait()
	if halted {
		h.store.Abandon()
		return nil
	}
	if err := h.store.Close(); err != nil {
		return fmt.Errorf("close the state directory %s: %w", h.cfg.StateDir, err)
	}
	return nil
}

// watch stops the process when the cluster is no longer what it was at the start, when a lane
// hangs, or when the disk fails while there is nothing to commit.
func (h *host) watch(ctx context.Context, lanes []*lane) error {
	every := time.NewTicker(topologyEvery)
	defer every.Stop()
	for {
		select {
		case <-every.C:
		case <-h.faulted:
			return h.stateFault(h.store.Err())
		case <-ctx.Done():
			return nil
		case <-h.halt.Done():
			return nil
		}
		for _, l := range lanes {
			since := time.Since(*l.beat.Load()) // of the steady clock, which nobody sets
			if since > stuckAfter {
				return &StopError{What: fmt.Sprintf("lane %s has hung for %s", l.txn, since.Round(time.Second)),
					Do: "start again; nothing is lost"}
			}
		}
		if err := h.compare(ctx); err != nil {
			return err
		}
	}
}

// compare looks the topics up again.
func (h *host) compare(ctx context.Context) error {
	lookup, cancel := h.bound(ctx, topologyEvery)
	defer cancel()
	now, err := h.adm.ListTopics(lookup, h.cfg.Input...)
	if err != nil {
		return nil // a broker that is away ends nothing
	}
	for _, in := range h.cfg.Input {
		d := now[in]
		switch {
		case d.Err != nil:
			continue
		case d.ID != h.topology.topics[in].ID:
			return recreated(in)
		case len(d.Partitions) != int(h.partitions):
			return &StopError{What: fmt.Sprintf("the input topic %s has %d partitions now, it had %d partitions before",
				in, len(d.Partitions), h.partitions),
				Do: rescale}
		}
	}
	return nil
}

func recreated(topic string) *StopError {
	return &StopError{What: "the input topic " + topic + " was deleted and created again",
		Do: inputRecreated}
}

const inputRecreated = "see OPERATING.md, \"Input recreated\": the state belongs to the old topic; use a new kafka.group"

const rescale = "its keys live in other partitions now: stop every process and see OPERATING.md, " +
	"\"More partitions\" (`sessionizer rescale` is not part of this version)"

// untilEnd calls done when everything up to the end offsets seen now is committed, by whichever
// member of the group, and no visit is due any more.
func (h *host) untilEnd(ctx context.Context, lanes []*lane, done func()) {
	const every = 100 * time.Millisecond
	var ends kadm.ListedOffsets
	said := time.Now()
	for {
		var reached bool
		var err error
		if ends == nil {
			ends, err = h.ends(ctx)
		} else {
			reached, err = h.reached(ctx, ends)
		}
		switch {
		case reached && !unsettled(lanes):
			done()
			return
		case err != nil && time.Since(said) >= topologyEvery:
			said = time.Now()
			h.log.Warn("look whether the end is reached", zap.Error(err))
		}
		if err := h.pause(ctx, every); err != nil {
			return
		}
	}
}

func (h *host) ends(ctx context.Context) (kadm.ListedOffsets, error) {
	ends, err := h.adm.ListCommittedOffsets(ctx, h.cfg.Input...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, err
	}
	return ends, nil
}

func unsettled(lanes []*lane) bool {
	for _, l := range lanes {
		if l.unsettled.Load() {
			return true
		}
	}
	return false
}

func (h *host) reached(ctx context.Context, ends kadm.ListedOffsets) (bool, error) {
	committed, err := h.adm.FetchOffsetsForTopics(kadm.RequireStable(ctx), h.cfg.Group, h.cfg.Input...)
	if err != nil {
		return false, err
	}
	starts, err := h.adm.ListStartOffsets(ctx, h.cfg.Input...)
	if err != nil {
		return false, err
	}
	ok := true
	ends.Each(func(end kadm.ListedOffset) {
		at, have := committed.Lookup(end.Topic, end.Partition)
		if have && at.Err == nil && at.At >= end.Offset {
			return
		}
		start, known := starts.Lookup(end.Topic, end.Partition)
		empty := known && start.Err == nil && start.Offset >= end.Offset
		ok = ok && empty && (!have || at.At < 0)
	})
	return ok, errors.Join(committed.Error(), starts.Error())
}
