package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"sessionizer/processor"
)

// disk is where the processor keeps its state. It is in memory, so that a
// crash can take away what was not yet synced, as a loss of power does.
type disk struct{ fs *vfs.MemFS }

func newDisk() *disk { return &disk{fs: vfs.NewCrashableMem()} }

// crash leaves what was synced, and about half of what was not.
func (d *disk) crash(seed uint64) {
	d.fs = d.fs.CrashClone(vfs.CrashCloneCfg{
		UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(seed, 3)),
	})
}

const (
	lifeMin = 2 * time.Second // between two crashes
	lifeMax = 5 * time.Second
	strikes = 8 // a crash comes with one of the next so many produce requests

	// struckWithin is how long the broker may take to read what was sent before
	// the connection was cut.
	struckWithin = time.Second
	struckEvery  = 5 * time.Millisecond
)

// incarnation is the processor from one start to the next crash.
type incarnation struct {
	network *cutNetwork
	halt    chan struct{}
	stop    context.CancelFunc
	ended   chan struct{} // closed when Run has returned err
	err     error
}

func (d *demo) start(ctx context.Context, on *disk, untilEnd bool) *incarnation {
	c := d.config.Processor
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	i := &incarnation{
		network: newNetwork(d.config.Network), halt: make(chan struct{}), stop: stop,
		ended: make(chan struct{}),
	}
	c.Dial, c.Halt, c.UntilEnd, c.State.FS = i.network.dial, i.halt, untilEnd, on.fs
	go func() {
		defer close(i.ended)
		i.err = processor.Run(ctx, c)
	}()
	return i
}

// leave ends an incarnation as SIGTERM would.
func (i *incarnation) leave() error {
	i.stop()
	<-i.ended
	return i.err
}

// kill ends it at once, whatever it says of that.
func (i *incarnation) kill() {
	close(i.halt)
	i.stop()
	<-i.ended // the end of who is killed is no news: no matter what err says
}

// supervise starts the processor, lets it crash, and starts it again, until
// ctx is done; then it leaves in good order.
func (d *demo) supervise(ctx context.Context, on *disk) error {
	for ctx.Err() == nil {
		if err := d.life(ctx, on); err != nil {
			return fmt.Errorf("run the processor: %w", err)
		}
	}
	return nil
}

// errEnded: the processor returned and nobody had asked it to.
var errEnded = errors.New("it ended by itself")

func (d *demo) life(ctx context.Context, on *disk) error {
	i := d.start(ctx, on, false)
	timer := time.NewTimer(d.lifeTime())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return i.leave()
	case <-i.ended:
		return errors.Join(errEnded, i.err)
	}
	i.network.arm(1 + d.random.IntN(strikes))
	select {
	case <-i.network.cut:
	case <-ctx.Done():
		// The cut may have come first, and then there is no leaving in good order.
		if i.network.disarm() {
			return i.leave()
		}
	case <-i.ended:
		return errors.Join(errEnded, i.err)
	}
	i.kill()
	on.crash(d.random.Uint64())
	d.crashes.Add(1)
	struck, err := d.transactionOpen(ctx)
	if err != nil {
		return err
	}
	if struck {
		d.struck.Add(1)
	}
	return nil
}

// lifeTime is how long the processor lives. Short runs see a crash as well.
func (d *demo) lifeTime() time.Duration {
	life := lifeMin + time.Duration(d.random.Int64N(int64(lifeMax-lifeMin)))
	return min(life, d.config.For/3)
}

// transactionOpen asks the broker whether one of the dead processor's
// transactions is open.
func (d *demo) transactionOpen(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), struckWithin)
	defer cancel()
	var ids []string
	for lane := range d.config.Processor.Lanes {
		ids = append(ids, d.config.Processor.TransactionalID(lane))
	}
	ticker := time.NewTicker(struckEvery)
	defer ticker.Stop()
	for {
		described, err := d.admin.DescribeTransactions(ctx, ids...)
		if err != nil && ctx.Err() == nil {
			return false, fmt.Errorf("look for open transactions: %w", err)
		}
		for _, t := range described {
			if t.State == "Ongoing" {
				return true, nil
			}
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-ticker.C:
		}
	}
}

// drain lets the processor finish what is there, and every visit that is due.
func (d *demo) drain(ctx context.Context, on *disk) error {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	i := d.start(ctx, on, true)
	select {
	case <-i.ended:
		i.stop()
		return i.err
	case <-ctx.Done():
		i.kill()
		return ctx.Err()
	}
}
