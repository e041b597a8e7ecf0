package audit

import (
	"context"
	"fmt"
	"hash/maphash"
)

// windowMax is how many records of an input partition are looked through for one of the output, and
// how many are remembered for one that comes again: more than a transaction can hold is lost or
// doubled at once.
const windowMax = 1 << 18

// pass is the first pass over one partition number: it runs along input, output and visits.
type pass struct {
	a        *auditor
	f        *form
	number   int32
	lanes    []*lane
	output   Stream
	outcomes map[deadPlace]*deadLetter
	ranges   []deadRange
	deadUpTo map[string]int64 // the greatest offset of an input among a partition's dead letters
	seed     maphash.Seed
	bySum    map[uint64][]*pending
	matched  *ring // sums that have come out
	in, out  document
	buffer   []byte
	gaps     bool // visits are not all there any more
	trimmed  bool // nor is the output
}

// lane is one input topic in a pass.
type lane struct {
	topic     string
	source    Stream
	ended     bool // read to its end
	last      bool // nothing more is to come out
	visits    Stream
	visit     *fact // the next one
	ahead     *fact // the one behind it, if it has been read
	decided   int64
	frontier  int64
	trimmed   bool // its beginning is gone
	firstMs   int64
	queue     []*pending
	seq       int // of the next record in the queue
	marked    int // of the first record that nothing behind it has come out
	noOffset  bool
	more      bool // there are records behind the frontier
	watermark int64
	reached   int64 // behind the last offset that has an outcome
	met       bool  // some record of it came out
	spill     *spill
}

// pending is a record of the input that waits for its outcome.
type pending struct {
	lane     *lane
	fact     fact
	sum      uint64
	parts    parts
	value    []byte // where it is needed again
	optional bool   // it may be that deduplication drops it
	done     bool
	mayBe    bool // behind the frontier: it needs no outcome
	seq      int  // the number of the record in its lane
	passed   bool // records behind it came out before: it is lost, or out of order
}

// parts are checksums of what must not change.
type parts struct{ key, timestamp, headers, rest, raw, plain, plainHeaders uint64 }

func (p parts) sum() uint64 {
	return p.key*31 ^ p.timestamp*37 ^ p.headers*41 ^ p.rest*43
}

func newPass(a *auditor, number int32) *pass {
	return &pass{a: a, f: a.f, number: number, seed: maphash.MakeSeed(),
		bySum: map[uint64][]*pending{}, matched: newRing(windowMax),
		outcomes: map[deadPlace]*deadLetter{}}
}

func (p *pass) prepare(ctx context.Context) (err error) {
	t := &p.f.Topics
	if p.output, err = p.a.open(ctx, t.Output, p.number); err != nil {
		return err
	}
	p.trimmed = p.output.Start() > 0
	for _, topic := range t.Input {
		l := &lane{topic: topic, frontier: p.a.log.Frontier(topic, p.number), watermark: noTime,
			firstMs: noTime, spill: newSpill(p.f.SpillDir, p.f.SpillBytes)}
		p.lanes = append(p.lanes, l)
		if l.noOffset = l.frontier < 0; l.noOffset {
			l.frontier = endless
		}
		if l.source, err = p.a.open(ctx, topic, p.number); err != nil {
			return err
		}
		if l.visits, err = p.a.open(ctx, t.Visits, p.number); err != nil {
			return err
		}
		if l.source.Start() > 0 || p.trimmed {
			l.trimmed = true
			p.a.r.note("%s/%d begins at offset %d, %s/%d at %d: what the sessions of keys that were "+
				"seen before that come to, and their events' outcome", topic, p.number, l.source.Start(),
				t.Output, p.number, p.output.Start())
		}
		if l.noOffset {
			p.a.r.note("%s/%d has no committed offset: which of its records must have an outcome "+
				"(those without one are not reported)", topic, p.number)
		}
	}
	p.gaps = p.a.log.Compacted(t.Visits) || len(p.lanes) > 0 && p.lanes[0].visits.Start() > 0
	if p.gaps {
		p.a.r.note("%s/%d is compacted, or begins at an offset above 0: whether a record about a visit "+
			"was ever missing", t.Visits, p.number)
	}
	return p.readDead(ctx)
}

func (p *pass) close() (err error) {
	if p.output != nil {
		p.output.Close()
	}
	for _, l := range p.lanes {
		for _, s := range []Stream{l.source, l.visits} {
			if s != nil {
				s.Close()
			}
		}
		err = firstError(err, l.spill.close())
	}
	return err
}

// run goes along the output and takes for every record of it the one of the input that it came of.
func (p *pass) run(ctx context.Context) error {
	for {
		r, err := p.output.Next(ctx)
		if err != nil {
			return fmt.Errorf("read %s/%d: %w", p.f.Topics.Output, p.number, err)
		}
		if r == nil {
			break
		}
		if err := p.take(ctx, r); err != nil {
			return err
		}
	}
	for _, l := range p.lanes {
		for !l.ended {
			if err := p.readAhead(ctx, l); err != nil {
				return err
			}
			// What is behind the frontier and did not come out needs no outcome.
			if n := len(l.queue); n > 0 && l.queue[n-1].mayBe {
				l.ended = true
			}
			if err := p.advance(ctx, l); err != nil {
				return err
			}
		}
		l.last = true
		if err := p.advance(ctx, l); err != nil {
			return err
		}
		if err := p.emitVisits(ctx, l, l.frontier); err != nil {
			return err
		}
	}
	p.leftDead()
	return nil
}

// take finds the record of the input that one of the output came of.
func (p *pass) take(ctx context.Context, r *Record) error {
	if err := p.f.learnOutput(ctx, r.Value); err != nil {
		return fmt.Errorf("%s/%d@%d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	parts := p.partsOfOutput(r, &p.out)
	sum := parts.sum()
	for _, l := range p.lanes {
		if len(l.queue) == 0 {
			if err := p.readAhead(ctx, l); err != nil {
				return err
			}
		}
	}
	in := p.found(sum)
	if in == nil {
		var err error
		if in, err = p.search(ctx, sum); err != nil {
			return err
		}
	}
	switch {
	case in != nil:
	case p.matched.has(sum):
		p.find(CheckDoubled, r, "is in the output before")
		return nil
	default:
		if in = p.overtaken(sum); in != nil {
			break
		}
		if in = p.changed(r, parts); in == nil {
			return nil
		}
	}
	p.met(in, r, parts)
	return p.advance(ctx, in.lane)
}

// found returns the first record with a checksum that has no outcome yet; rather one that is the
// next of its topic, for records of two topics may be equal.
func (p *pass) found(sum uint64) (in *pending) {
	for _, candidate := range p.bySum[sum] {
		if candidate.done || candidate.isLeftOut() {
			continue
		}
		if in == nil || candidate == candidate.lane.head() && in != in.lane.head() {
			in = candidate
		}
	}
	return in
}

// isLeftOut: deduplication seems to have dropped it.
func (in *pending) isLeftOut() bool { return in.optional && in.passed }

// overtaken returns the first record with a checksum that seems to have been dropped; if it comes
// out after all it is only out of order.
func (p *pass) overtaken(sum uint64) *pending {
	for _, candidate := range p.bySum[sum] {
		if !candidate.done && candidate.isLeftOut() {
			return candidate
		}
	}
	return nil
}

// head is the next record that must come out; nil: none is known.
func (l *lane) head() *pending {
	for _, in := range l.queue {
		if !in.done && !in.isLeftOut() {
			return in
		}
	}
	return nil
}

// search reads the inputs on until one has the checksum.
func (p *pass) search(ctx context.Context, sum uint64) (*pending, error) {
	for more := true; more; {
		more = false
		for _, l := range p.lanes {
			if l.ended || len(l.queue) >= windowMax {
				continue
			}
			if err := p.readAhead(ctx, l); err != nil {
				return nil, err
			}
			more = true
			if in := p.found(sum); in != nil {
				return in, nil
			}
		}
	}
	return nil, nil
}

// changed finds the record of the input that one of the output should have been: the next one, if
// most of it is the same. It reports what is not.
func (p *pass) changed(r *Record, got parts) *pending {
	for _, l := range p.lanes {
		if l.trimmed && !l.met {
			return nil // it came of what is gone
		}
	}
	var nearest *pending
	var differs []Check
	for _, l := range p.lanes {
		for i := max(len(l.queue)-(l.seq-l.marked), 0); i < len(l.queue); i++ {
			in := l.queue[i]
			if in.seq > l.marked+changedWithin {
				break
			}
			if in.done || in.fact.fate == fateDropped {
				continue
			}
			if d := in.parts.differ(got); nearest == nil || len(d) < len(differs) {
				nearest, differs = in, d
			}
		}
	}
	if nearest == nil || len(differs) > 2 {
		p.find(CheckStranger, r, "is no record of the input")
		return nil
	}
	for _, c := range differs {
		p.find(c, r, "is not that of input %s/%d@%d", nearest.lane.topic, p.number, nearest.fact.offset)
	}
	return nearest
}

// changedWithin is how far ahead a record is looked for that came out changed.
const changedWithin = 64

func (p parts) differ(o parts) (what []Check) {
	for _, c := range [...]struct {
		check Check
		is    bool
	}{
		{CheckKey, p.key != o.key}, {CheckTimestamp, p.timestamp != o.timestamp},
		{CheckHeaders, p.headers != o.headers}, {CheckPayload, p.rest != o.rest},
	} {
		if c.is {
			what = append(what, c.check)
		}
	}
	return what
}

func (p *pass) find(c Check, r *Record, format string, args ...any) {
	p.a.r.find(Finding{Check: c, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
		What: fmt.Sprintf(format, args...)})
}

// met notes that a record of the input came out, and reads what the output says of its session.
func (p *pass) met(in *pending, r *Record, got parts) {
	p.matched.add(in.sum)
	if !in.mayBe {
		p.a.r.EventsOut++
	}
	f := &in.fact
	f.at = r.Offset
	l := in.lane
	if l.trimmed && !l.met {
		l.giveUp(in)
	}
	l.met = true
	l.marked = max(l.marked, l.queue[0].seq)
	for l.marked < in.seq {
		l.queue[l.marked-l.queue[0].seq].passed = true
		l.marked++
	}
	if in.seq < l.marked && in.passed {
		p.find(CheckOrder, r, "comes behind records that are behind it in the input, offset %d", f.offset)
	}
	l.marked = max(l.marked, in.seq+1)
	in.done, in.lane.reached = true, max(in.lane.reached, f.offset+1)
	switch f.fate {
	case fateRefused:
		p.find(CheckDeadLetter, r, "has to be a dead letter (%s)", f.problem)
	case fateDropped:
		p.find(CheckDropped, r, "has to be dropped, by the rules")
	case fatePlain:
		if got.plain != in.parts.plain {
			p.find(CheckPayload, r, "has to be left as it is")
		}
		if got.plainHeaders != in.parts.plainHeaders {
			p.find(CheckHeaders, r, "has to keep its headers as they are")
		}
	case fateSession:
		p.stamp(in, r)
	}
}

// giveUp lets go of what is ahead of the first record that came out, where the beginning of the
// output may be gone.
func (l *lane) giveUp(first *pending) {
	for _, in := range l.queue {
		if in == first {
			return
		}
		if !in.done {
			in.done, in.fact.absent = true, true
			in.fact.fate = fatePlain // nobody knows whether it was processed
		}
	}
}

// isLost is the problem of an event that has no outcome.
const isLost = "lost"

// stamp reads the session's members of a record of the output.
func (p *pass) stamp(in *pending, r *Record) {
	p.in.nodes = p.in.nodes[:0]
	if in.value != nil && !p.f.readInput(in.value, &p.in) {
		p.in.nodes = p.in.nodes[:0]
	}
	for _, wrong := range p.f.stamped(&p.in, &p.out, &in.fact.stamp) {
		p.find(CheckFields, r, "%s", wrong)
	}
	if p.f.Headers {
		if what := p.f.headerFault(r.Headers, &in.fact.stamp); what != "" {
			p.find(CheckHeaders, r, "%s", what)
		}
	}
}
