// Package demo runs everything in one process: a broker in memory, a shop's
// customers in fast-forward time, the processor, and every few seconds a crash
// of it. An audit of the topics has the last word.
package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"sessionizer/internal/audit"
	"sessionizer/internal/events"
	"sessionizer/processor"
)

// Config says how long and how much.
type Config struct {
	For  time.Duration // how long events come; the broker is left alone afterwards
	Seed uint64        // of the customers and of the crashes
	Rate int           // events a second; 0: RateDefault

	// Processor is the pipeline. Brokers, Dial, Halt, UntilEnd, StateDir and
	// State.FS are the demo's own.
	Processor processor.Config
	Audit     audit.Config // of the same configuration

	// Network replaces the loopback interface; nil: it is used. Tests run the
	// demo in virtual time.
	Network Network

	// Halt ends everything at once when it is closed; nil: nothing does.
	Halt <-chan struct{}
	// Watch is told how it goes, from one goroutine, every watchEvery and of
	// every crash; nil: nobody is.
	Watch func(Status)
}

// Network is how broker and clients reach each other.
type Network interface {
	Listen(network, address string) (net.Listener, error)
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// loopback is the network of the machine itself.
type loopback struct{ net.Dialer }

func (*loopback) Listen(network, address string) (net.Listener, error) {
	return net.Listen(network, address)
}

// Status is a moment of the demo.
type Status struct {
	Phase     Phase
	Elapsed   time.Duration
	EventTime time.Time // of the newest event
	In        int64     // events in the input topic
	Done      int64     // of these, processed and committed
	Visits    int64     // Visit Ended records a reader can see
	Crashes   int64
	Struck    int64  // crashes that hit an open transaction
	LastVisit []byte // the newest of them; empty: none yet
}

// Phase is a part of the demo.
type Phase string

// The phases, in their order.
const (
	Feeding  Phase = "feeding"  // events come, the processor runs and crashes
	Draining Phase = "draining" // no more events, no more crashes: what is there is finished
	Auditing Phase = "auditing" // nobody writes any more
)

// Verdict is how it went.
type Verdict struct {
	audit.Report
	Crashes int64 `json:"crashes"`
	Struck  int64 `json:"crashesInOpenTransactions"`
}

// Err says why the demo failed: the audit found something, or no crash hit an
// open transaction, so that nothing was proved.
func (v *Verdict) Err() error {
	var errs []error
	if !v.Clean() {
		errs = append(errs, fmt.Errorf("%d lost, %d doubled, %d wrong", v.Lost, v.Doubled, v.Wrong))
	}
	if v.Struck == 0 {
		errs = append(errs, errors.New("no crash hit an open transaction: give it more time with --for"))
	}
	return errors.Join(errs...)
}

const (
	partitions     = 4
	customers      = 3000
	watchEvery     = 250 * time.Millisecond
	drainTimeout   = 2 * time.Minute
	metadataMinAge = 20 * time.Millisecond // topics that were just made are looked for
	stateCache     = 8 << 20               // bytes; a store that crashed keeps its memory
)

// startOfTime is when the customers begin, whatever the clock says: the same
// seed is the same shop.
func startOfTime() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// demo is a run.
type demo struct {
	config Config
	random *rand.Rand // of the crashes; only the supervisor's
	client *kgo.Client
	admin  *kadm.Client
	begun  time.Time

	phase     atomic.Value // Phase
	eventMs   atomic.Int64
	in        atomic.Int64
	done      atomic.Int64
	visits    atomic.Int64
	crashes   atomic.Int64
	struck    atomic.Int64
	lastVisit atomic.Pointer[[]byte]
}

// Run feeds for Config.For, or until ctx is done, then drains and audits.
func Run(ctx context.Context, c Config) (*Verdict, error) {
	if c.Rate == 0 {
		c.Rate = RateDefault
	}
	if c.Network == nil {
		c.Network = &loopback{}
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ListenFn(c.Network.Listen),
		kfake.BrokerConfigs(map[string]string{
			// Nobody else is going to join: the first member need not be waited for.
			"group.initial.rebalance.delay.ms": "0",
		}))
	if err != nil {
		return nil, fmt.Errorf("start the embedded broker: %w", err)
	}
	defer cluster.Close()
	c.Processor.Brokers = cluster.ListenAddrs()
	c.Processor.StateDir = "state"
	c.Processor.State.Cache = stateCache
	d := &demo{
		config: c, random: rand.New(rand.NewPCG(c.Seed, 2)), begun: time.Now(),
	}
	d.phase.Store(Feeding)
	d.eventMs.Store(startOfTime().UnixMilli())
	if d.client, err = kgo.NewClient(d.connect(kgo.MetadataMinAge(metadataMinAge))...); err != nil {
		return nil, fmt.Errorf("connect to the embedded broker: %w", err)
	}
	defer d.client.Close()
	d.admin = kadm.NewClient(d.client)
	// Events stop with ctx; what comes after them goes on until Halt.
	whole, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	if c.Halt != nil {
		go func() {
			select {
			case <-c.Halt:
				cancel()
			case <-whole.Done():
			}
		}()
	}
	return d.run(ctx, whole)
}

func (d *demo) run(ctx, whole context.Context) (*Verdict, error) {
	if err := d.createTopics(whole); err != nil {
		return nil, fmt.Errorf("make the topics: %w", err)
	}
	g, whole := errgroup.WithContext(whole)
	watching, stopWatching := context.WithCancel(whole)
	defer stopWatching()
	g.Go(func() error { return d.watch(watching) })
	g.Go(func() error { return d.readVisits(watching) })
	var report audit.Report
	g.Go(func() (err error) {
		defer stopWatching()
		report, err = d.work(ctx, whole)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return &Verdict{Report: report, Crashes: d.crashes.Load(), Struck: d.struck.Load()}, nil
}

// work is the three phases.
func (d *demo) work(ctx, whole context.Context) (audit.Report, error) {
	feeding, stopFeeding := context.WithTimeout(ctx, d.config.For)
	defer stopFeeding()
	g, running := errgroup.WithContext(whole)
	// Events also stop when something else has failed.
	defer context.AfterFunc(running, stopFeeding)()
	supervised, stopRunning := context.WithCancel(running)
	defer stopRunning()
	state := newDisk()
	g.Go(func() error { return d.supervise(supervised, state) })
	g.Go(func() error {
		defer stopRunning()
		return d.feed(feeding, running)
	})
	if err := g.Wait(); err != nil {
		return audit.Report{}, err
	}
	d.phase.Store(Draining)
	if err := d.drain(whole, state); err != nil {
		return audit.Report{}, fmt.Errorf("drain the input: %w", err)
	}
	d.phase.Store(Auditing)
	return d.audit(whole)
}

// audit reads the topics when nobody writes any more and every visit that is due has ended.
func (d *demo) audit(ctx context.Context) (audit.Report, error) {
	c := d.config.Audit
	c.Settled = true
	log, err := audit.OpenKafka(ctx, d.newClient, d.config.Processor.Group, c.Topics, nil)
	if err != nil {
		return audit.Report{}, fmt.Errorf("audit: %w", err)
	}
	defer log.Close()
	return audit.Run(ctx, c, log)
}

// connect is how every client of the demo but the processor reaches the broker.
func (d *demo) connect(more ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.SeedBrokers(d.config.Processor.Brokers...), kgo.Dialer(d.config.Network.DialContext),
		kgo.DisableClientMetrics(),
	}, more...)
}

func (d *demo) newClient(more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(d.connect(more...)...)
}

// createTopics makes the input, whose records are as old as the customers'
// time, and then what the processor needs.
func (d *demo) createTopics(ctx context.Context) error {
	forever := "-1"
	settings := map[string]*string{"retention.ms": &forever}
	for _, topic := range d.config.Processor.Input {
		if _, err := d.admin.CreateTopic(ctx, partitions, 1, settings, topic); err != nil {
			return err
		}
	}
	c := d.config.Processor
	c.Dial = d.config.Network.DialContext
	topology, err := processor.Inspect(ctx, d.admin, &c)
	if err != nil {
		return err
	}
	made, err := processor.CreateTopics(ctx, d.admin, topology)
	if err != nil {
		return err
	}
	_, err = processor.Await(ctx, d.admin, &c, made)
	return err
}

// generator is the shop.
func (d *demo) generator() *events.Generator {
	return events.New(events.Standard(d.config.Seed, customers, startOfTime().UnixMilli()))
}
