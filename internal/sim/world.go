package sim

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"sessionizer/schemas"
)

// options say what a run is.
type options struct {
	story
	profile schemas.Profile
	settle  func() // returns when everything that runs beside the caller waits
	log     func(format string, args ...any)
}

// world is a run.
type world struct {
	options
	//nolint:containedctx // the one of all calls: nothing in a run is ever cancelled
	ctx     context.Context
	logger  *zap.Logger
	set     *settings
	broker  *broker
	feeder  *feeder
	members []*member
	sent    [][]sent // by partition and offset; nothing at the offsets of markers
	dying   []*txn   // that were open when their processes died
	now     int64    // ms since the epoch, as the brokers have it
	skew    int64    // of the members' clocks
	step    int
	played  int // steps ahead of the rest
	counts  counts
	trace   *xxhash.Digest
	scratch []byte
	arena   []byte
}

func newWorld(o options) (*world, error) {
	r := rand.New(rand.NewPCG(o.seed, 0))
	set, err := drawSettings(r, o.profile)
	if err != nil {
		return nil, err
	}
	w := &world{
		options: o, ctx: context.Background(), logger: zap.NewNop(), set: set,
		broker: newBroker(set.partitions), feeder: newFeeder(set), now: int64(day0),
		trace: xxhash.New(),
	}
	w.sent = make([][]sent, set.partitions)
	w.broker.note = w.noteEntry
	w.broker.now = w.now
	for i := range set.members {
		w.members = append(w.members, &member{
			w: w, id: i, name: fmt.Sprintf("sim-m%d-0", i), disk: vfs.NewCrashableMem(),
		})
	}
	for i := range w.broker.owner {
		w.broker.owner[i] = i % set.members
	}
	return w, nil
}

// run plays the steps of the seed until all events are in, or so many as are asked for, then lets
// everything come to rest.
func (w *world) run() error {
	for _, m := range w.members {
		if err := m.start(); err != nil {
			return err
		}
	}
	for w.steps == 0 && w.feeder.count < w.events || w.step < w.steps {
		w.step++
		w.played = w.step
		r := rand.New(rand.NewPCG(w.seed, uint64(w.step)))
		if w.step > 20*w.events {
			return fmt.Errorf("%d steps have brought %d events only", w.step, w.feeder.count)
		}
		err := w.act(r, w.dropped[w.step])
		if err != nil {
			return fmt.Errorf("step %d: %w", w.step, err)
		}
	}
	if err := w.drain(); err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	return nil
}

func (w *world) close() {
	for _, m := range w.members {
		if m.store != nil {
			m.stop(m.disk)
		}
	}
}

// wall is what the members take for the time, in ms.
func (w *world) wall() int64 { return w.now + w.skew }

func (w *world) clock() time.Time { return time.UnixMilli(w.wall()) }

// advance moves the brokers' clock on. It keeps pace with the events.
func (w *world) advance(ms int64) {
	w.now = max(w.now, int64(w.feeder.clock)) + ms
	w.broker.now = w.now
}

// timeOut lets the oldest open transaction run into its timeout.
func (w *world) timeOut() {
	var oldest *txn
	for _, name := range w.broker.names() {
		if t := w.broker.open[name]; oldest == nil || t.beganAt < oldest.beganAt {
			oldest = t
		}
	}
	w.say("time out %s", oldest.name)
	w.broker.abortExactly(oldest)
}

// say makes what happens part of the trace.
func (w *world) say(format string, args ...any) {
	w.scratch = fmt.Appendf(w.scratch[:0], format, args...)
	_, _ = w.trace.Write(w.scratch)
	if w.log != nil {
		w.log("%d %s", w.step, w.scratch)
	}
}

// noteEntry makes what is written to a log part of the trace.
func (w *world) noteEntry(what string, l *plog, e *entry) {
	b := w.scratch[:0]
	b = append(append(b, what...), l.topic...)
	b = binary.AppendVarint(b, int64(l.id))
	b = binary.AppendVarint(b, e.offset)
	b = binary.AppendVarint(b, e.time)
	b = append(append(append(b, e.key...), e.value...), e.headers...)
	_, _ = w.trace.Write(b)
	w.scratch = b
	if w.log != nil && e.marker {
		w.log("%d   %s %s/%d@%d: state %d", w.step, what, l.topic, l.id, e.offset, e.txn.state)
	}
}

// keep copies bytes that their owner uses again. nil stays nil.
func (w *world) keep(b []byte) []byte {
	if b == nil {
		return nil
	}
	const chunk = 256 << 10
	if cap(w.arena)-len(w.arena) < len(b) {
		w.arena = make([]byte, 0, max(chunk, len(b)))
	}
	from := len(w.arena)
	w.arena = append(w.arena, b...)
	return w.arena[from:len(w.arena):len(w.arena)]
}

func isBig(value []byte) bool { return bytes.Contains(value, []byte(`"big":true`)) }

func headersText(headers []kgo.RecordHeader) []byte {
	var text []byte
	for _, h := range headers {
		text = append(append(append(text, h.Key...), '='), h.Value...)
		text = append(text, '\n')
	}
	return text
}

// recovered counts how a partition came to its state.
func (w *world) recovered(m *member, p *part, c *cluster) {
	kind := cntNotRestored
	switch {
	case c.read && c.from < 0:
		kind = cntFull
	case c.read:
		kind = cntTail
	}
	w.count(kind)
	w.say("recovered %s/%d: %s, next %d", m.name, p.id, countNames[kind], p.task.Next())
	for _, line := range m.after {
		if kind == line.needs || line.needs == cntNone {
			w.count(line.then)
		}
	}
}

// handle does what a lane, or whoever watches the process, does after an error.
func (w *world) handle(m *member, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errCrash):
		m.stop(m.disk)
		return nil
	case errors.Is(err, errFenced), errors.Is(err, errLost), errors.Is(err, errTooBig),
		errors.Is(err, errRebirth):
		if errors.Is(err, errFenced) {
			w.count(cntFencedByEpoch)
		}
		w.say("reset %s", m.name)
		return m.reset()
	}
	return err
}
