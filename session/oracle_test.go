package session

// The oracle is the rules once more, deliberately dumb: it keeps every event of a key and every
// session that ever was, and derives what it is asked for from those lists each time, in the words
// of the semantics. It shares no code with the machine but the uuid mapping. Where the two differ,
// one of them is wrong.

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

type oracleSession struct {
	id, client, previous string
	number               int64 // of a server id
	isServer             bool
	index                int
	events               []Event // its own and those it took over by merging, by time
	carried              int     // events that carry its id
	late                 int
	attached, duplicates int
	active               int64
	changed              Time
	notBefore, notAfter  []Time // all that were ever drawn; the narrowest counts
	reason               Reason
	revision             int
	isOpen               bool
	isRetained           bool
	into                 *oracleSession
	last                 struct{ first, last Event } // of a merged-away one
}

type oracle struct {
	rules     Rules
	watermark Time
	tick      Time
	sessions  []*oracleSession
	left      []*oracleSession // forgotten and merged away, in this order
	dropped   []*oracleSession
	count     int
	maxServer int64
	stamped   *oracleSession
	forgotten Time     // greatest until of any session as it was forgotten
	messages  []string // every message id there was, by arrival
	before    []string
	begun     []string
	after     []string
}

func newOracle(rules Rules) *oracle {
	return &oracle{rules: rules, watermark: NoTime, tick: NoTime, forgotten: NoTime}
}

func (o *oracle) effect(e *Event) Effect {
	if e.Rule == 0 {
		return Effect{}
	}
	return o.rules.Effects[e.Rule-1]
}

func (o *oracle) timeout(e Event) Millis {
	switch {
	case o.effect(&e).Timeout > 0:
		return o.effect(&e).Timeout
	case e.Mobile:
		return o.rules.MobileTimeout
	default:
		return o.rules.Timeout
	}
}

func (o *oracle) t(e *Event) Time { return o.shorter(o.timeout(*e)) }

func (o *oracle) shorter(timeout Millis) Time {
	if o.rules.BoundaryAt {
		timeout--
	}
	return Time(timeout)
}

// sort puts the events in the order of their times, at equal times of their arrival.
func (x *oracleSession) sort() {
	sort.Slice(x.events, func(i, j int) bool {
		if x.events[i].Time != x.events[j].Time {
			return x.events[i].Time < x.events[j].Time
		}
		return x.events[i].Offset < x.events[j].Offset
	})
}

func (x *oracleSession) first() Event {
	if x.into != nil {
		return x.last.first
	}
	return x.events[0]
}

func (x *oracleSession) lastEvent() Event {
	if x.into != nil {
		return x.last.last
	}
	return x.events[len(x.events)-1]
}

func (x *oracleSession) timeout(o *oracle) Millis { return o.timeout(x.lastEvent()) }

// firstOf and lastOf return the first and the last text of its kind, by time, that is not empty.
func (x *oracleSession) firstOf(text func(Event) []byte) string {
	for _, e := range x.events {
		if len(text(e)) > 0 {
			return string(text(e))
		}
	}
	return ""
}

func (x *oracleSession) lastOf(text func(Event) []byte) string {
	for _, e := range slices.Backward(x.events) {
		if len(text(e)) > 0 {
			return string(text(e))
		}
	}
	return ""
}

func user(e Event) []byte     { return e.UserID }
func campaign(e Event) []byte { return e.campaign() }

func (o *oracle) expiry(x *oracleSession) Time {
	return x.lastEvent().Time + o.shorter(x.timeout(o))
}

func (o *oracle) until(x *oracleSession) Time { return max(o.expiry(x), x.changed) }

func (x *oracleSession) bounds() (from, to Time) {
	from, to = NoTime, MaxTime
	for _, t := range x.notBefore {
		from = max(from, t)
	}
	for _, t := range x.notAfter {
		to = min(to, t)
	}
	return from, to
}

func (o *oracle) retained() []*oracleSession {
	var retained []*oracleSession
	for _, x := range o.sessions {
		if x.isRetained {
			retained = append(retained, x)
		}
	}
	return retained
}

func (o *oracle) remembered() []*oracleSession {
	if o.rules.Mode == Assign {
		return nil
	}
	return o.left[max(0, len(o.left)-o.rules.Remembered):]
}

func (o *oracle) endDue(list *[]string) {
	var due []*oracleSession
	for _, x := range o.retained() {
		if !x.isOpen || o.tick <= o.expiry(x) {
			continue
		}
		if x.revision > 0 && o.tick <= x.changed+Time(o.rules.OutOfOrder) {
			continue
		}
		due = append(due, x)
	}
	sort.Slice(due, func(i, j int) bool {
		if a, b := o.expiry(due[i]), o.expiry(due[j]); a != b {
			return a < b
		}
		return due[i].index < due[j].index
	})
	for _, x := range due {
		o.end(x, x.reason, list)
	}
}

func (o *oracle) live() *oracleSession {
	var live *oracleSession
	for _, x := range o.retained() {
		switch {
		case live == nil || x.lastEvent().Time > live.lastEvent().Time:
			live = x
		case x.lastEvent().Time < live.lastEvent().Time || live == o.stamped:
		case x == o.stamped || x.lastEvent().Offset > live.lastEvent().Offset:
			live = x
		}
	}
	return live
}

func (o *oracle) leave(x *oracleSession) {
	x.isRetained = false
	if x.into == nil {
		o.forgotten = max(o.forgotten, o.until(x))
	}
	if o.rules.Mode == Assign {
		return
	}
	o.left = append(o.left, x)
	if len(o.left) > o.rules.Remembered {
		o.dropped = append(o.dropped, o.left[0])
		o.left = o.left[1:]
	}
}

func (o *oracle) forget() {
	live := o.live()
	var over []*oracleSession
	for _, x := range o.retained() {
		if x != live && o.watermark > o.until(x)+Time(o.rules.Lateness) {
			over = append(over, x)
		}
	}
	sort.Slice(over, func(i, j int) bool {
		if a, b := o.until(over[i]), o.until(over[j]); a != b {
			return a < b
		}
		return over[i].index < over[j].index
	})
	for _, x := range over {
		o.leave(x)
	}
	if o.forgotten != NoTime && o.watermark <= o.forgotten+Time(o.rules.Retention) {
		return
	}
	for _, x := range o.sessions {
		if x.into == nil && o.watermark <= o.until(x)+Time(o.rules.Retention) {
			return
		}
	}
	// Every session's retention is over: the key starts anew.
	o.sessions, o.left, o.dropped, o.count, o.maxServer, o.stamped = nil, nil, nil, 0, 0, nil
	o.forgotten, o.messages = NoTime, nil
}

func (o *oracle) advance(t Time) {
	o.watermark = max(o.watermark, t-Time(o.rules.OutOfOrder))
	o.tick = max(o.tick, o.watermark)
}

func (o *oracle) expire(tick Time) {
	o.tick = max(o.tick, tick)
	o.before, o.begun, o.after = nil, nil, nil
	o.endDue(&o.before)
	o.forget()
}

// step returns what becomes of the event, as oracleStampText prints it.
func (o *oracle) step(e *Event) string {
	o.before, o.begun, o.after = nil, nil, nil
	effect := o.effect(e)
	if effect.Drop || effect.Class == ClassIgnore {
		o.advance(e.Time)
		if effect.Drop {
			return "dropped"
		}
		return "bypass"
	}
	isInvalid := o.rules.Mode != Assign && e.Invalid != ValidID
	if isInvalid && o.rules.OnInvalid == InvalidDeadLetter {
		return "dead invalid_id"
	}
	saved := *o
	var unsaved []func()
	if o.rules.TooLate == TooLateDeadLetter {
		for _, x := range o.sessions {
			copied := *x
			unsaved = append(unsaved, func() { *x = copied })
		}
	}
	text := o.work(e, effect)
	if text == "too_late" && o.rules.TooLate == TooLateDeadLetter {
		*o = saved
		for _, undo := range unsaved {
			undo()
		}
		return "dead too_late"
	}
	return text
}

// work is what a step does with an event that is in order.
func (o *oracle) work(e *Event, effect Effect) string {
	o.advance(e.Time)
	o.endDue(&o.before)
	o.forget()
	message := strings.TrimSpace(string(e.MessageID))
	seen := o.messages[max(0, len(o.messages)-o.rules.DedupeLast):]
	if message != "" && slices.Contains(seen, message) {
		if o.rules.DedupeDrop {
			return "dropped"
		}
		return o.place(e, Effect{Class: ClassAttach}, true) + " duplicate"
	}
	text := o.place(e, effect, false)
	if message != "" && o.count > 0 {
		o.messages = append(o.messages, message)
	}
	return text
}

// place gives the event its session.
func (o *oracle) place(e *Event, effect Effect, isDuplicate bool) string {
	client := ""
	if o.rules.Mode != Assign {
		client = oracleID(e.Client)
		isInvalid := e.Invalid != ValidID && o.rules.OnInvalid == InvalidStrip
		if isInvalid || client == "" && o.rules.OnMissing == MissingNone {
			return "no_session"
		}
	}
	x, reason := o.choose(e, client, effect)
	switch {
	case x == nil && reason == unattached:
		return "unattached"
	case x == nil && reason == ReasonNone:
		return "too_late"
	case effect.Class == ClassAttach:
		if isDuplicate {
			x.duplicates++
		} else {
			x.attached++
		}
		return fmt.Sprintf(oracleStamp, x.id, x.index, 0, false, ReasonNone, o.isLate(x),
			x.distance(e.Time), x.first().Time, x.timeout(o), x.previous, x.isServer, x.firstOf(campaign))
	}
	isStart := x == nil
	gap := Time(0)
	if isStart {
		x = o.open(e, client, reason)
	} else {
		gap = o.join(x, e)
		if x.into != nil {
			x = x.into
		}
	}
	x.events = append(x.events, *e)
	x.sort()
	x.carried++
	x.changed, x.isOpen = o.watermark, true
	o.stamped = x
	if o.isLate(x) {
		x.late++
	}
	if !isStart {
		reason = ReasonNone
	} else if o.rules.Started {
		o.begun = append(o.begun, x.text(o, reason.String(), 0, ""))
	}
	text := fmt.Sprintf(oracleStamp, x.id, x.index, x.carried, isStart, reason, o.isLate(x), gap,
		x.first().Time, x.timeout(o), x.previous, x.isServer, x.firstOf(campaign))
	if effect.End {
		x.notAfter = append(x.notAfter, x.lastEvent().Time)
		x.reason = ReasonEnd
		o.end(x, ReasonEnd, &o.after)
	}
	o.endDue(&o.after)
	o.evict(x)
	return text
}

func (o *oracle) isLate(x *oracleSession) bool {
	for _, y := range o.retained() {
		if y.lastEvent().Time > x.lastEvent().Time {
			return true
		}
	}
	return false
}

func (o *oracle) evict(stamped *oracleSession) {
	for {
		retained := o.retained()
		if len(retained) <= o.rules.Retained {
			return
		}
		var oldest *oracleSession
		for _, x := range retained {
			if x != stamped && (oldest == nil || x.lastEvent().Time < oldest.lastEvent().Time ||
				x.lastEvent().Time == oldest.lastEvent().Time && x.index < oldest.index) {
				oldest = x
			}
		}
		if oldest.isOpen {
			oldest.reason = ReasonEvicted
			o.end(oldest, ReasonEvicted, &o.after)
		}
		o.leave(oldest)
	}
}
