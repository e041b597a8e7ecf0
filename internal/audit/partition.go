package audit

import (
	"cmp"
	"slices"
	"strings"
)

// partition is the audit of one partition number.
type partition struct {
	inputs  []input
	equal   map[uint64]equals // by checksum
	topics  []string
	reached []int64 // by topic: the greatest input offset met in the output
	events  [][]event
	visits  []visit
	payload payload
}

const none = -1

// equals is the list of the inputs with one checksum, in their order.
type equals struct {
	next int32 // the first that was not yet met in the output; none: all were
	last int32
}

// input is a record of the input that has to come out.
type input struct {
	offset  int64
	eventMs int64 // noTime: the record has none
	next    int32 // in the list of equals
	topic   int32
	met     bool // in the output or among the dead letters
	dead    bool
	dropped bool
}

// event is a record of the output with the input it came of.
type event struct {
	offset  int64 // in the input
	eventMs int64
	stamp   stamp // zero: no session
	advance bool  // it has a time and moves the watermark
}

func (a *Auditor) newPartition() *partition {
	return &partition{equal: map[uint64]equals{}}
}

func (p *partition) topicIndex(name string) int32 {
	if i := slices.Index(p.topics, name); i >= 0 {
		return int32(i)
	}
	p.topics = append(p.topics, strings.Clone(name))
	p.reached = append(p.reached, none)
	p.events = append(p.events, nil)
	return int32(len(p.topics) - 1)
}

// Input takes a record of an input topic, in the order of offsets.
func (a *Auditor) Input(r *Record) {
	a.report.EventsIn++
	p := a.part
	in := input{offset: r.Offset, eventMs: noTime, next: none, topic: p.topicIndex(r.Topic)}
	at := place{r.Topic, r.Partition, r.Offset}
	if d := a.dead[at]; d != nil {
		d.seen, in.met, in.dead = true, true, true
		if a.sum(r, r.Value) != d.sum {
			a.report.find(wrong, "the dead letter of %v is not the record that was read", at)
		}
	}
	p.payload.read(r.Value)
	in.eventMs = p.payload.eventMs(r.TimestampMs, a.config.FutureToleranceMs)
	if !in.met && r.Value != nil && a.config.Dropped != nil && a.config.Dropped(r.Value) {
		in.met, in.dropped = true, true
		a.report.Dropped++
		p.events[in.topic] = append(p.events[in.topic],
			event{offset: in.offset, eventMs: in.eventMs, advance: in.eventMs != noTime})
	}
	sum := a.sum(r, p.payload.rest)
	i := int32(len(p.inputs))
	p.inputs = append(p.inputs, in)
	if list, ok := p.equal[sum]; ok {
		p.inputs[list.last].next = i
		p.equal[sum] = equals{list.next, i}
		return
	}
	p.equal[sum] = equals{i, i}
}

// Output takes a record of the output topic, in the order of offsets.
func (a *Auditor) Output(r *Record) {
	a.report.EventsOut++
	p := a.part
	p.payload.read(r.Value)
	sum := a.sum(r, p.payload.rest)
	list, known := p.equal[sum]
	switch {
	case !known:
		a.report.find(wrong, "output %s/%d@%d is no record of the input",
			r.Topic, r.Partition, r.Offset)
		return
	case list.next == none:
		a.report.find(doubled, "output %s/%d@%d is there once more than in the input",
			r.Topic, r.Partition, r.Offset)
		return
	}
	in := &p.inputs[list.next]
	list.next = in.next
	p.equal[sum] = list
	if in.dead {
		a.report.find(doubled, "output %s/%d@%d is among the dead letters too",
			r.Topic, r.Partition, r.Offset)
		return
	}
	if in.dropped {
		a.report.find(wrong, "output %s/%d@%d has to be dropped", r.Topic, r.Partition, r.Offset)
		return
	}
	in.met = true
	if in.offset <= p.reached[in.topic] {
		a.report.find(wrong, "output %s/%d@%d is out of order: input %d comes after input %d",
			r.Topic, r.Partition, r.Offset, in.offset, p.reached[in.topic])
	}
	p.reached[in.topic] = max(p.reached[in.topic], in.offset)
	e := event{offset: in.offset, eventMs: in.eventMs, advance: in.eventMs != noTime}
	if len(p.payload.session) > 0 {
		s, err := parseStamp(p.payload.session, p.payload.anonymousID)
		if err != nil {
			a.report.find(wrong, "output %s/%d@%d: %v", r.Topic, r.Partition, r.Offset, err)
		}
		e.stamp = s
	}
	if a.config.Headers && !e.stamp.isInHeaders(r.Headers) {
		a.report.find(wrong, "output %s/%d@%d: its headers name another session than its value",
			r.Topic, r.Partition, r.Offset)
	}
	p.events[in.topic] = append(p.events[in.topic], e)
}

// Visit takes a record of the visits topic, in the order of offsets.
func (a *Auditor) Visit(r *Record) {
	v, err := parseVisit(r)
	if !v.begins {
		a.report.Visits++
	}
	if err != nil {
		a.report.find(wrong, "visit %s/%d@%d: %v", r.Topic, r.Partition, r.Offset, err)
		return
	}
	if v.origin.partition != r.Partition {
		a.report.find(wrong, "visit %s/%d@%d is of partition %d", r.Topic, r.Partition, r.Offset,
			v.origin.partition)
	}
	a.part.visits = append(a.part.visits, v)
}

// EndPartition compares what one partition number's records come to.
func (a *Auditor) EndPartition() {
	p := a.part
	for i := range p.inputs {
		if in := &p.inputs[i]; !in.met {
			a.report.find(lost, "input %s@%d is not in the output", p.topics[in.topic], in.offset)
		}
	}
	for t, topic := range p.topics {
		var visits []visit
		for _, v := range p.visits {
			if v.origin.topic == topic {
				visits = append(visits, v)
			}
		}
		events := p.events[t]
		// What is out of order was found above; the fold wants the input's order.
		slices.SortStableFunc(events, func(x, y event) int { return cmp.Compare(x.offset, y.offset) })
		newFold(a, topic).run(events, visits)
	}
	for _, v := range p.visits {
		if !slices.Contains(p.topics, v.origin.topic) {
			a.report.find(wrong, "visit %s of %s, which has no events", v, v.origin.topic)
		}
	}
	a.part = a.newPartition()
}
