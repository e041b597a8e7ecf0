// Package events generates customer events: seeded visitors of a shop whose
// browsers and apps send what Segment's libraries send. It is a pure function
// of its Config; time is virtual and runs as fast as events are asked for.
//
// Nothing here is shared with the engine: a generator that knew its rules
// could not test them.
package events

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
)

// Config says who sends what. The zero value of a share is never.
type Config struct {
	Seed      uint64
	Customers int   // at least 1
	StartMs   int64 // virtual time of the beginning, milliseconds since 1970 UTC

	// MeanGapMs is about how long a customer stays away between visits; the
	// gaps have a heavy tail, up to 50 times as much. 0: 4 hours.
	MeanGapMs int64
	// OutOfOrderMs bounds how long after its time an event arrives; 0: never
	// late. LateShare of the events use it, the others arrive at once.
	OutOfOrderMs int64
	LateShare    float64
	// DuplicateShare of the events arrive twice, byte for byte.
	DuplicateShare float64
	// MobileShare of the customers use an app.
	MobileShare float64
	// ClientIDShare of the customers have a library that sends session ids, in
	// the shape of Krenalis: context.session {id, start}.
	ClientIDShare float64
	// MalformedShare of the records are no usable event.
	MalformedShare float64
}

// Standard is what the demo shows: mostly browsers, some apps, a little of
// everything that goes wrong.
func Standard(seed uint64, customers int, startMs int64) Config {
	return Config{
		Seed: seed, Customers: customers, StartMs: startMs,
		OutOfOrderMs: 45_000, LateShare: 0.03, DuplicateShare: 0.002,
		MobileShare: 0.25, ClientIDShare: 0.4, MalformedShare: 0.0005,
	}
}

// Record is one record of the input topic. Its bytes are valid until the next
// call of Next.
type Record struct {
	Key         []byte // the anonymous id, as text
	Value       []byte
	EventMs     int64 // when the customer did it
	TimestampMs int64 // when it arrived: never before EventMs, never decreasing
	Usable      bool  // false: malformed on purpose
}

const (
	meanGapDefaultMs = 4 * 3600_000
	gapTail          = 50.0 // the longest stay away, in means
	paretoShape      = 1.2  // of the gaps between visits
	secondMs         = 1000
)

// Generator yields records in the order of their arrival, without an end.
type Generator struct {
	config    Config
	random    *rand.Rand
	customers []customer
	pending   arrivals
	sequence  uint64
	record    Record
	buffer    []byte
}

// New prepares a generator. It panics on a Config that makes no sense, which
// is a fault of the program.
func New(c Config) *Generator {
	if c.Customers < 1 || c.Customers > math.MaxInt32 || c.StartMs < 0 {
		panic(fmt.Sprintf("events: %d customers from %d ms", c.Customers, c.StartMs))
	}
	if c.MeanGapMs <= 0 {
		c.MeanGapMs = meanGapDefaultMs
	}
	g := &Generator{config: c, random: rand.New(rand.NewPCG(c.Seed, 0x5e55_1017))}
	g.customers = make([]customer, c.Customers)
	g.pending = make(arrivals, 0, c.Customers+c.Customers/8)
	for i := range g.customers {
		g.customers[i] = g.newCustomer()
		// The first visits are spread over the mean gap: the topic is busy from
		// the beginning, and not with everybody at once.
		at := c.StartMs + g.random.Int64N(c.MeanGapMs)
		g.pending = append(g.pending, arrival{atMs: at, customer: int32(i), kind: visitEvent})
		g.pending[i].order = g.next()
	}
	heap.Init(&g.pending)
	return g
}

func (g *Generator) next() uint64 { g.sequence++; return g.sequence }

func (g *Generator) chance(share float64) bool { return share > 0 && g.random.Float64() < share }

// Next returns the next record.
func (g *Generator) Next() *Record {
	for {
		// The record of the customer whose turn it is replaces the top of the
		// heap: one sift instead of two.
		top := &g.pending[0]
		a := *top
		if a.kind == visitEvent {
			c := &g.customers[a.customer]
			a.event = g.act(c, a.atMs)
			top.atMs, top.order = c.nextMs, g.next()
			heap.Fix(&g.pending, 0)
			if g.postpone(a) {
				continue
			}
		} else {
			heap.Pop(&g.pending)
		}
		return g.emit(a)
	}
}

// postpone puts an event that is late, and the second copy of one that is
// sent twice, back among what is to arrive.
func (g *Generator) postpone(a arrival) bool {
	sent := a
	sent.kind = sentEvent
	late := g.config.OutOfOrderMs > 0 && g.chance(g.config.LateShare)
	if late {
		sent.atMs, sent.order = a.atMs+1+g.random.Int64N(g.config.OutOfOrderMs), g.next()
		heap.Push(&g.pending, sent)
	}
	if g.chance(g.config.DuplicateShare) {
		copied := a
		copied.kind = sentEvent
		copied.atMs += g.random.Int64N(max(1, g.config.OutOfOrderMs+1))
		copied.order = g.next()
		heap.Push(&g.pending, copied)
	}
	return late
}

func (g *Generator) emit(a arrival) *Record {
	c := &g.customers[a.customer]
	r := &g.record
	r.Key = append(r.Key[:0], c.anonymousID[:]...)
	r.EventMs, r.TimestampMs, r.Usable = a.event.atMs, a.atMs, true
	g.buffer = appendEvent(g.buffer[:0], c, &a.event, a.atMs)
	if g.chance(g.config.MalformedShare) {
		r.Usable = false
		g.buffer = g.spoil(g.buffer)
	}
	r.Value = g.buffer
	return r
}

// spoil makes a record that no engine can use.
func (g *Generator) spoil(event []byte) []byte {
	switch g.random.IntN(5) {
	case 0: // cut off in transit
		return event[:1+g.random.IntN(len(event)-1)]
	case 1:
		return append(event[:0], "GET /favicon.ico HTTP/1.1"...)
	case 2:
		return append(event[:0], `{"type":"track","event":"No One"}`...)
	case 3:
		return append(event[:0], `["not","an","object"]`...)
	}
	event[len(event)/2] = 0xff // no UTF-8
	return event
}

// arrival is an event that has yet to arrive, or a customer's next act.
type arrival struct {
	atMs     int64
	order    uint64 // breaks ties, so that the order is one and the same
	customer int32
	kind     arrivalKind
	event    event // of sentEvent
}

type arrivalKind uint8

const (
	visitEvent arrivalKind = iota // the customer acts now
	sentEvent                     // what was done before arrives now
)

// arrivals is a heap by time of arrival.
type arrivals []arrival

func (h arrivals) Len() int { return len(h) }
func (h arrivals) Less(i, j int) bool {
	return h[i].atMs < h[j].atMs || h[i].atMs == h[j].atMs && h[i].order < h[j].order
}
func (h arrivals) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *arrivals) Push(x any)   { *h = append(*h, x.(arrival)) }
func (h *arrivals) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
