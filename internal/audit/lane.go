package audit

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"strings"
)

// readAhead reads the next record of an input topic into the queue.
func (p *pass) readAhead(ctx context.Context, l *lane) error {
	r, err := l.source.Next(ctx)
	if err != nil {
		return fmt.Errorf("read %s/%d: %w", l.topic, p.number, err)
	}
	if r == nil {
		l.ended = true
		return nil
	}
	if err := p.f.learnEvent(ctx, r.Value); err != nil {
		return fmt.Errorf("%s/%d@%d: %w", l.topic, p.number, r.Offset, err)
	}
	e := p.f.evaluate(r, &p.in)
	in := &pending{lane: l, parts: p.partsOf(r, &p.in), fact: p.factOf(r, &e)}
	in.sum = in.parts.sum()
	in.mayBe = r.Offset >= l.frontier
	l.more = l.more || in.mayBe
	in.optional = e.fate == fateSession && p.f.DedupeLast > 0 && p.f.DedupeDrop && len(e.message) > 0
	if len(p.f.copies) > 0 {
		in.value = r.Value
	}
	if l.firstMs == noTime {
		l.firstMs = r.TimestampMs
	}
	if !in.mayBe {
		p.a.r.EventsIn++
	}
	p.dead(in, r, &e)
	in.seq = l.seq
	l.seq++
	l.queue = append(l.queue, in)
	if !in.done {
		p.bySum[in.sum] = append(p.bySum[in.sum], in)
	}
	return nil
}

// factOf is what the sessions of a key depend on.
func (p *pass) factOf(r *Record, e *event) fact {
	effect := e.effect()
	f := fact{
		offset: r.Offset, at: -1, fate: e.fate, problem: e.problem, ms: e.ms, class: effect.Class,
		timeoutMs: p.f.timeout(e), maxDurationMs: p.f.maxDuration(e),
		start: e.start, ruleStart: effect.Start, end: effect.End, invalid: e.invalid,
		clamped: e.clamped, client: e.client, user: string(e.user), message: string(e.message),
		kind: e.kind, lifecycle: e.lifecycle,
		texts: [textCount]string{e.place, e.referrer, e.campaign, e.context},
	}
	if e.anonymous != nil {
		f.key = string(e.source) + "\x00" + string(e.anonymous)
	}
	return f
}

// advance sets aside what has its outcome, in the order of the input, and lets go of what others
// overtook by more than a window: it is lost.
func (p *pass) advance(ctx context.Context, l *lane) error {
	n := 0
	for ; n < len(l.queue); n++ {
		in := l.queue[n]
		isDue := l.last || len(l.queue)-n >= windowMax
		maybeNot := in.fact.fate == fateDropped || in.optional
		mayCome := in.optional && l.marked-in.seq <= changedWithin // out of order
		if !in.done && !isDue && (!maybeNot || !in.passed || mayCome) {
			break
		}
		switch {
		case in.done || in.mayBe:
		case maybeNot:
			in.fact.absent = true
		default:
			p.lost(in)
		}
		if err := p.emit(ctx, in); err != nil {
			return err
		}
		p.forgetSum(in)
	}
	l.queue = l.queue[n:]
	return nil
}

func (p *pass) lost(in *pending) {
	l := in.lane
	in.fact.absent = true
	if l.noOffset || l.trimmed && !l.met {
		in.fact.fate, in.fact.ms = fatePlain, noTime // nobody knows whether it was processed
		return
	}
	in.fact.problem = isLost
	p.a.r.find(Finding{Check: CheckLost, Topic: l.topic, Partition: p.number, Offset: in.fact.offset,
		Key: p.f.keyName(in.fact.key), What: "it has no outcome: neither output nor dead letter"})
}

func (p *pass) forgetSum(in *pending) {
	list := p.bySum[in.sum]
	for i, other := range list {
		if other == in {
			list = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if len(list) == 0 {
		delete(p.bySum, in.sum)
		return
	}
	p.bySum[in.sum] = list
}

// emit sets a fact aside, behind the visits that were decided before it.
func (p *pass) emit(ctx context.Context, in *pending) error {
	l, f := in.lane, &in.fact
	if f.offset >= l.frontier {
		return nil
	}
	if err := p.emitVisits(ctx, l, f.offset); err != nil {
		return err
	}
	if f.ms != noTime && !f.dead {
		l.watermark = max(l.watermark, f.ms-p.f.OutOfOrderMs)
	}
	if f.fate == fateDropped {
		p.a.r.Dropped++
	}
	if f.fate != fateSession && !f.dead {
		return nil
	}
	if f.fate == fateSession && l.trimmed && !l.met {
		return nil
	}
	f.watermark = l.watermark
	p.setCertain(l, f)
	return l.spill.add(f)
}

func (p *pass) setCertain(l *lane, f *fact) {
	f.certain = !l.trimmed
	f.settled = l.firstMs >= 0 && l.watermark != noTime &&
		l.watermark+p.f.OutOfOrderMs >= l.firstMs+p.f.FutureToleranceMs
}

// emitVisits sets the records about visits aside that were decided up to an offset.
func (p *pass) emitVisits(ctx context.Context, l *lane, offset int64) error {
	for {
		if l.visit == nil {
			if err := p.nextVisit(ctx, l); err != nil {
				return err
			}
		}
		if l.visit == nil || l.visit.offset > offset {
			return nil
		}
		f := l.visit
		l.visit = nil
		f.watermark = l.watermark
		p.setCertain(l, f)
		if f.visit.begins {
			p.a.r.Started++
		}
		if f.visit.reason == "merged" {
			p.a.r.Merged++
		}
		l.reached = max(l.reached, f.offset)
		if err := l.spill.add(f); err != nil {
			return err
		}
	}
}

// nextVisit takes the next visit of the lane's topic. One that is out of order is judged where it
// stands: the one behind it tells whether it is this one that is ahead of its place.
func (p *pass) nextVisit(ctx context.Context, l *lane) (err error) {
	f := l.ahead
	if f == nil {
		if f, err = p.readVisit(ctx, l); f == nil || err != nil {
			return err
		}
	}
	if l.ahead, err = p.readVisit(ctx, l); err != nil {
		return err
	}
	r := &Record{Topic: p.f.Topics.Visits, Partition: p.number, Offset: f.at}
	switch decided := f.visit.decidedAt; {
	case decided < l.decided:
		p.find(CheckVisitOrder, r, "was decided at input offset %d, and one before it at %d", decided,
			l.decided)
	case l.ahead != nil && l.ahead.offset < decided && l.ahead.offset >= l.decided:
		p.find(CheckVisitOrder, r, "was decided at input offset %d, and the one behind it at %d", decided,
			l.ahead.offset)
	default:
		l.decided = decided
	}
	f.offset = l.decided
	l.visit = f
	return nil
}

// readVisit reads the visits on to the next one of the lane's topic.
func (p *pass) readVisit(ctx context.Context, l *lane) (*fact, error) {
	for {
		r, err := l.visits.Next(ctx)
		if err != nil {
			return nil, fmt.Errorf("read %s/%d: %w", p.f.Topics.Visits, p.number, err)
		}
		if r == nil {
			return nil, nil
		}
		if p.f.VisitsAvro && p.f.VisitsSchema == "" {
			if err := p.f.learn(ctx, r.Value); err != nil {
				return nil, fmt.Errorf("%s/%d@%d: %w", r.Topic, r.Partition, r.Offset, err)
			}
		}
		v, err := p.f.parseVisit(r)
		isFirst := l == p.lanes[0]
		if err != nil && isFirst {
			p.find(CheckVisit, r, "%v", err)
		}
		if v == nil || v.id == "" {
			continue
		}
		if isFirst && !contains(p.f.Topics.Input, v.topic) {
			p.find(CheckVisit, r, "origin.topic is no input")
		}
		if v.topic != l.topic {
			continue
		}
		return &fact{visit: v, key: v.source + "\x00" + v.anonymous, offset: v.decidedAt,
			at: r.Offset}, nil
	}
}

// partsOfOutput reads a value into a document and returns the checksums of its record.
func (p *pass) partsOfOutput(r *Record, d *document) parts {
	if r.Value == nil || !p.f.readOutput(r.Value, d) {
		d.nodes = d.nodes[:0]
	}
	return p.partsOf(r, d)
}

// partsOf returns the checksums of a record, of whose value the document was made.
func (p *pass) partsOf(r *Record, d *document) parts {
	hash := func(b []byte) uint64 { return maphash.Bytes(p.seed, b) }
	var made parts
	b := appendCounted(p.buffer[:0], r.Value)
	made.raw = hash(b)
	made.rest = made.raw
	if len(d.nodes) > 0 {
		b = d.rest(b[:0], p.f.cut)
		if d.isAvro {
			b = append(b, formatAvro...) // what came as Avro goes as Avro
		}
		made.rest = hash(b)
	}
	made.plain = made.raw
	if len(d.nodes) > 0 && d.isAvro && p.f.isRaw() {
		made.plain = made.rest // the output has another schema, and readers have only that
	}
	b = appendCounted(b[:0], r.Key)
	made.key = hash(b)
	b = binary.AppendVarint(b[:0], r.TimestampMs)
	made.timestamp = hash(b)
	b = appendHeaders(b[:0], r.Headers, false)
	made.plainHeaders, made.headers = hash(b), hash(b)
	if p.f.Headers {
		b = appendHeaders(b[:0], r.Headers, true)
		made.headers = hash(b)
	}
	p.buffer = b
	return made
}

func appendHeaders(b []byte, headers []Header, but bool) []byte {
	for _, h := range headers {
		if but && isSessionHeader(h.Key) {
			continue
		}
		b = appendCounted(b, []byte(h.Key))
		b = appendCounted(b, h.Value)
	}
	return b
}

// appendCounted appends bytes and their number; nil is not the same as empty.
func appendCounted(b, text []byte) []byte {
	if text == nil {
		return append(b, 0)
	}
	return append(binary.AppendUvarint(b, uint64(len(text))+1), text...)
}

// The headers that name a session.
const (
	headerID    = "session-id"
	headerStart = "session-start"
	headerIndex = "session-index"
)

func isSessionHeader(name string) bool {
	return name == headerID || name == headerStart || name == headerIndex
}

// headerFault says what the headers of an event say otherwise than its payload.
func (f *form) headerFault(headers []Header, stamp *[fieldCount]string) string {
	got := map[string]string{}
	for _, h := range headers {
		if isSessionHeader(h.Key) {
			if _, twice := got[h.Key]; twice {
				return h.Key + " is there twice"
			}
			got[h.Key] = string(h.Value)
		}
	}
	for name, field := range map[string]int{
		headerID: fieldID, headerStart: fieldStart, headerIndex: fieldIndex,
	} {
		if f.written[field] && got[name] != stamp[field] {
			return strings.TrimSpace(name + " is not what the payload says")
		}
	}
	return ""
}

// ring remembers the last checksums.
type ring struct {
	list  []uint64
	next  int
	max   int
	times map[uint64]int
}

func newRing(size int) *ring { return &ring{max: size, times: map[uint64]int{}} }

func (r *ring) has(sum uint64) bool { return r.times[sum] > 0 }

func (r *ring) add(sum uint64) {
	r.times[sum]++
	if len(r.list) < r.max {
		r.list = append(r.list, sum)
		return
	}
	old := r.list[r.next]
	if r.times[old]--; r.times[old] == 0 {
		delete(r.times, old)
	}
	r.list[r.next] = sum
	r.next = (r.next + 1) % len(r.list)
}
