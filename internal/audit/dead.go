package audit

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// deadPlace is the record of the input that a dead letter names.
type deadPlace struct {
	topic     string
	partition int32
	offset    int64
}

// deadLetter is what the dead-letter topic holds of a record of the input.
type deadLetter struct {
	at     Record // its place alone
	reason string
	parts  parts
	isCut  bool  // it could not hold all of its record
	last   int64 // it stands for all records up to that offset; 0: for one
	seen   bool  // the input has the record
	away   bool  // the registry did not have its schema
}

// errorHeaders begin the names of the headers that a dead letter has more than its record.
const errorHeaders = "__sessionizer.errors."

// redrivenHeader is the only header of a record that says which dead letters before it were sent
// back to the input, where each is a record like any other.
const redrivenHeader = "__sessionizer.redriven"

func reasons() []string {
	return []string{"malformed", "limit", "no_key", "no_time", "bad_context", "invalid_id", "too_late"}
}

// readDead reads the dead letters that records of this partition number can have: those of the same
// number, or all where the topic has too few partitions for that.
func (p *pass) readDead(ctx context.Context) error {
	topic := p.f.Topics.DeadLetters
	all := p.a.log.Partitions(topic)
	from, to := p.number, p.number+1
	if most := p.a.log.Partitions(p.f.Topics.Input[0]); all < most {
		from, to = 0, all
	}
	for n := from; n < to; n++ {
		if err := p.readDeadOf(ctx, topic, n); err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) readDeadOf(ctx context.Context, topic string, n int32) error {
	s, err := p.a.open(ctx, topic, n)
	if err != nil {
		return err
	}
	defer s.Close()
	p.deadUpTo = map[string]int64{}
	for {
		r, err := s.Next(ctx)
		if err != nil {
			return fmt.Errorf("read %s/%d: %w", topic, n, err)
		}
		if r == nil {
			return nil
		}
		p.readDeadLetter(r)
	}
}

func (p *pass) readDeadLetter(r *Record) {
	if len(r.Key)+len(r.Value) == 0 && len(r.Headers) == 1 && r.Headers[0].Key == redrivenHeader {
		return
	}
	d := &deadLetter{at: Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}}
	at := deadPlace{partition: -1, offset: -1}
	message := ""
	plain := *r
	own := ownHeaders(r.Headers)
	plain.Headers = r.Headers[:own]
	for _, h := range r.Headers[own:] {
		name := strings.TrimPrefix(h.Key, errorHeaders)
		n, err := strconv.ParseInt(string(h.Value), 10, 64)
		switch {
		case name == "topic":
			at.topic = string(h.Value)
		case name == "partition" && err == nil:
			at.partition = int32(n)
		case name == "offset" && err == nil:
			at.offset = n
		case name == "reason":
			d.reason = string(h.Value)
		case name == "message":
			message = string(h.Value)
		case name == "cut":
			d.isCut, d.last = true, lastOf(string(h.Value))
		}
	}
	if at.partition >= 0 && at.partition != p.number {
		return // another partition number's
	}
	switch {
	case at.topic == "" || at.partition < 0 || at.offset < 0:
		p.find(CheckDeadLetter, r, "does not say which record it is of")
		return
	case !slices.Contains(reasons(), d.reason):
		p.find(CheckDeadLetter, r, "has no reason that there is")
	case message == "":
		p.find(CheckDeadLetter, r, "has no message")
	case d.last != 0 && d.reason != "limit" && d.reason != "malformed":
		p.find(CheckDeadLetter, r, "stands for records that cannot be read, for the reason %s", d.reason)
	case d.last != 0 && d.last <= at.offset:
		p.find(CheckDeadLetter, r, "stands for the records up to offset %d, and is of %d", d.last,
			at.offset)
	}
	d.away = d.reason == "malformed" && strings.HasSuffix(message, missingSchema)
	if p.outcomes[at] != nil {
		p.find(CheckDoubled, r, "%s/%d@%d is among the dead letters before", at.topic, at.partition,
			at.offset)
		return
	}
	if last := p.deadUpTo[at.topic]; at.offset < last {
		p.find(CheckOrder, r, "is of offset %d of %s/%d, and comes behind one of offset %d", at.offset,
			at.topic, at.partition, last)
	}
	p.deadUpTo[at.topic] = max(p.deadUpTo[at.topic], at.offset)
	p.out.nodes = p.out.nodes[:0]
	d.parts = p.partsOf(&plain, &p.out)
	p.outcomes[at] = d
	if d.last > at.offset {
		p.ranges = append(p.ranges, deadRange{at, d})
	}
}

// missingSchema ends the message of a dead letter whose schema the registry did not have.
const missingSchema = "the schema registry does not have it"

// deadRange is a dead letter that stands for several records, from the one it names.
type deadRange struct {
	from deadPlace
	d    *deadLetter
}

// lastOf returns the last offset that a dead letter stands for, by what it says it lacks; 0: it is
// of one record.
func lastOf(what string) int64 {
	text, found := strings.CutPrefix(what, "the records up to offset ")
	n, err := strconv.ParseInt(text, 10, 64)
	if !found || err != nil {
		return 0
	}
	return n
}

// deadOf returns the dead letter of a record of the input; nil: it has none.
func (p *pass) deadOf(at deadPlace) *deadLetter {
	if d := p.outcomes[at]; d != nil {
		return d
	}
	for i := range p.ranges {
		from := &p.ranges[i].from
		if from.topic == at.topic && from.partition == at.partition && from.offset < at.offset &&
			at.offset <= p.ranges[i].d.last {
			return p.ranges[i].d
		}
	}
	return nil
}

// ownHeaders is how many headers the record of a dead letter has: ours stand behind, each once,
// and the record may have had some of the same names, if it was a dead letter before.
func ownHeaders(headers []Header) int {
	seen := map[string]bool{}
	n := len(headers)
	for ; n > 0; n-- {
		name := headers[n-1].Key
		if !strings.HasPrefix(name, errorHeaders) || seen[name] {
			break
		}
		seen[name] = true
	}
	return n
}

// dead gives a record of the input its dead letter as its outcome, if there is one.
func (p *pass) dead(in *pending, r *Record, e *event) {
	d := p.deadOf(deadPlace{r.Topic, r.Partition, r.Offset})
	if d == nil {
		return
	}
	d.seen, in.done, in.fact.dead = true, true, true
	in.fact.at = d.at.Offset
	in.fact.problem = d.reason
	in.lane.reached = max(in.lane.reached, r.Offset+1)
	if !in.mayBe {
		p.a.r.DeadLetters++
	}
	// It must not come out as well.
	p.matched.add(in.sum)
	if d.last != 0 {
		p.a.r.note("%s: dead letters that stand for records of a batch which could not be read: whether "+
			"it could not", p.f.Topics.DeadLetters)
		return
	}
	if d.parts.raw != in.parts.raw || d.parts.key != in.parts.key ||
		d.parts.timestamp != in.parts.timestamp || d.parts.plainHeaders != in.parts.plainHeaders {
		if d.isCut {
			p.a.r.note("%s: dead letters that were cut: whether they are the records they name",
				p.f.Topics.DeadLetters)
		} else {
			p.find(CheckDeadLetter, &d.at, "is not the record it names, %s/%d@%d", r.Topic, r.Partition,
				r.Offset)
		}
	}
	if d.away && e.fate != fateRefused {
		p.a.r.note("%s: events whose schema the registry did not have, and has now: whether it did not",
			p.f.Topics.DeadLetters)
		return
	}
	if d.reason == "malformed" && e.fate != fateRefused && p.f.isOdd(r.Value) {
		p.a.r.note("%s: reason malformed for Avro that is not as goavro writes it: whether the sizes of "+
			"its blocks and its numbers are right", p.f.Topics.DeadLetters)
		return
	}
	if what := p.f.deadFault(d.reason, e); what != "" {
		p.find(CheckDeadLetter, &d.at, "%s/%d@%d %s", r.Topic, r.Partition, r.Offset, what)
	}
	if e.fate == fateSession && d.reason == "limit" {
		p.a.r.note("%s: reason limit for records that the broker refused: whether it did",
			p.f.Topics.DeadLetters)
	}
}

// deadFault says why a record should not be a dead letter for a reason.
func (f *form) deadFault(reason string, e *event) string {
	alike := func(a, b string) bool {
		return a == b || (a == "limit" || a == "malformed") && (b == "limit" || b == "malformed")
	}
	switch {
	case e.fate == fateRefused && alike(reason, e.problem), reason == "limit":
		return ""
	case e.fate == fateRefused:
		return fmt.Sprintf("is a dead letter for %s, and its fault is %s", reason, e.problem)
	case e.fate == fateSession && reason == "too_late":
		return "" // judged with the sessions
	}
	return fmt.Sprintf("is a dead letter for %s, and is fit to be processed", reason)
}

// leftDead reports dead letters of records that the input never had.
func (p *pass) leftDead() {
	for at, d := range p.outcomes {
		i := slices.Index(p.f.Topics.Input, at.topic)
		switch {
		case d.seen:
		case i < 0:
			p.find(CheckDeadLetter, &d.at, "names %s, which is no input", at.topic)
		case at.offset >= p.lanes[i].source.Start() && at.offset < p.lanes[i].frontier:
			p.find(CheckDeadLetter, &d.at, "names %s/%d@%d, which is not in the input", at.topic,
				at.partition, at.offset)
		}
	}
}
