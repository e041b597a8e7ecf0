// Package oracle is the rules of sessions once more, deliberately dumb: it keeps every event of a
// key and every session that ever was, and derives what it is asked for from those lists each time,
// in the words of the semantics. It shares no code with the machine of package session but the uuid
// mapping, and only its types. Where the two differ, one of them is wrong. It is for tests.
package oracle

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"sessionizer/session"
)

// visit is one session of the key.
type visit struct {
	id, client, previous string
	number               int64 // of a server id
	isServer             bool
	index                int
	events               []session.Event // its own and those it took over by merging, by time
	carried              int             // events that carry its id
	late                 int
	attached, duplicates int
	active               int64
	changed              session.Time
	notBefore, notAfter  []session.Time // all that were ever drawn; the narrowest counts
	reason               session.Reason
	revision             int
	isOpen               bool
	isRetained           bool
	into                 *visit
	last                 struct{ first, last session.Event } // of a merged-away one
}

// Oracle is all there ever was of one key.
type Oracle struct {
	// Watermark and Tick are the partition's watermarks as the key has seen them. Tick stays where
	// Expire has put it until the caller sets it back.
	Watermark, Tick session.Time
	// Before, Begun and After are the records of the last Step or Expire, as EndedText prints them.
	Before, Begun, After []string

	rules     session.Rules
	sessions  []*visit
	left      []*visit // forgotten and merged away, in this order
	dropped   []*visit
	count     int
	maxServer int64
	stamped   *visit
	forgotten session.Time // greatest until of any session as it was forgotten
	messages  []string     // every message id there was, by arrival
}

// New returns the oracle of a key without events.
func New(rules session.Rules) *Oracle {
	return &Oracle{
		rules: rules, Watermark: session.NoTime, Tick: session.NoTime, forgotten: session.NoTime,
	}
}

func (o *Oracle) effect(e *session.Event) session.Effect {
	if e.Rule == 0 {
		return session.Effect{}
	}
	return o.rules.Effects[e.Rule-1]
}

func (o *Oracle) timeout(e session.Event) session.Millis {
	switch {
	case o.effect(&e).Timeout > 0:
		return o.effect(&e).Timeout
	case e.Mobile:
		return o.rules.MobileTimeout
	default:
		return o.rules.Timeout
	}
}

func (o *Oracle) t(e *session.Event) session.Time { return o.shorter(o.timeout(*e)) }

func (o *Oracle) shorter(timeout session.Millis) session.Time {
	if o.rules.BoundaryAt {
		timeout--
	}
	return session.Time(timeout)
}

// sort puts the events in the order of their times, at equal times of their arrival.
func (x *visit) sort() {
	sort.Slice(x.events, func(i, j int) bool {
		if x.events[i].Time != x.events[j].Time {
			return x.events[i].Time < x.events[j].Time
		}
		return x.events[i].Offset < x.events[j].Offset
	})
}

func (x *visit) first() session.Event {
	if x.into != nil {
		return x.last.first
	}
	return x.events[0]
}

func (x *visit) lastEvent() session.Event {
	if x.into != nil {
		return x.last.last
	}
	return x.events[len(x.events)-1]
}

func (x *visit) timeout(o *Oracle) session.Millis { return o.timeout(x.lastEvent()) }

// firstOf and lastOf return the first and the last text of its kind, by time, that is not empty.
func (x *visit) firstOf(text func(session.Event) []byte) string {
	for _, e := range x.events {
		if len(text(e)) > 0 {
			return string(text(e))
		}
	}
	return ""
}

func (x *visit) lastOf(text func(session.Event) []byte) string {
	for _, e := range slices.Backward(x.events) {
		if len(text(e)) > 0 {
			return string(text(e))
		}
	}
	return ""
}

func user(e session.Event) []byte     { return e.UserID }
func campaign(e session.Event) []byte { return detail(e, session.Details.Campaign) }
func referrer(e session.Event) []byte { return detail(e, session.Details.Referrer) }
func context(e session.Event) []byte  { return detail(e, session.Details.Context) }

func detail(e session.Event, of func(session.Details) []byte) []byte {
	if e.Details == nil {
		return nil
	}
	return of(e.Details)
}

func (o *Oracle) expiry(x *visit) session.Time {
	return x.lastEvent().Time + o.shorter(x.timeout(o))
}

func (o *Oracle) until(x *visit) session.Time { return max(o.expiry(x), x.changed) }

func (x *visit) bounds() (from, to session.Time) {
	from, to = session.NoTime, session.MaxTime
	for _, t := range x.notBefore {
		from = max(from, t)
	}
	for _, t := range x.notAfter {
		to = min(to, t)
	}
	return from, to
}

func (o *Oracle) retained() []*visit {
	var retained []*visit
	for _, x := range o.sessions {
		if x.isRetained {
			retained = append(retained, x)
		}
	}
	return retained
}

func (o *Oracle) remembered() []*visit {
	if o.rules.Mode == session.Assign {
		return nil
	}
	return o.left[max(0, len(o.left)-o.rules.Remembered):]
}

func (o *Oracle) endDue(list *[]string) {
	var due []*visit
	for _, x := range o.retained() {
		if !x.isOpen || o.Tick <= o.expiry(x) {
			continue
		}
		if x.revision > 0 && o.Tick <= x.changed+session.Time(o.rules.OutOfOrder) {
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

func (o *Oracle) live() *visit {
	var live *visit
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

func (o *Oracle) leave(x *visit) {
	x.isRetained = false
	if x.into == nil {
		o.forgotten = max(o.forgotten, o.until(x))
	}
	if o.rules.Mode == session.Assign {
		return
	}
	o.left = append(o.left, x)
	if len(o.left) > o.rules.Remembered {
		o.dropped = append(o.dropped, o.left[0])
		o.left = o.left[1:]
	}
}

func (o *Oracle) forget() {
	live := o.live()
	var over []*visit
	for _, x := range o.retained() {
		if x != live && o.Watermark > o.until(x)+session.Time(o.rules.Lateness) {
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
	if o.forgotten != session.NoTime && o.Watermark <= o.forgotten+session.Time(o.rules.Retention) {
		return
	}
	for _, x := range o.sessions {
		if x.into == nil && o.Watermark <= o.until(x)+session.Time(o.rules.Retention) {
			return
		}
	}
	// Every session's retention is over: the key starts anew.
	o.sessions, o.left, o.dropped, o.count, o.maxServer, o.stamped = nil, nil, nil, 0, 0, nil
	o.forgotten, o.messages = session.NoTime, nil
}

// Advance moves the watermarks on with an event at t, be it one of another key.
func (o *Oracle) Advance(t session.Time) {
	o.Watermark = max(o.Watermark, t-session.Time(o.rules.OutOfOrder))
	o.Tick = max(o.Tick, o.Watermark)
}

// Due returns the time above which a tick ends a visit; session.NoTime: none is open.
func (o *Oracle) Due() session.Time {
	due := session.NoTime
	for _, x := range o.retained() {
		if !x.isOpen {
			continue
		}
		at := o.expiry(x)
		if x.revision > 0 {
			at = max(at, x.changed+session.Time(o.rules.OutOfOrder))
		}
		if due == session.NoTime || at < due {
			due = at
		}
	}
	return due
}

// Expire ends what is due at a tick watermark.
func (o *Oracle) Expire(tick session.Time) {
	o.Tick = max(o.Tick, tick)
	o.Before, o.Begun, o.After = nil, nil, nil
	o.endDue(&o.Before)
	o.forget()
}

// Step returns what becomes of the event, as StampText prints it.
func (o *Oracle) Step(e *session.Event) string {
	o.Before, o.Begun, o.After = nil, nil, nil
	effect := o.effect(e)
	if effect.Drop || effect.Class == session.ClassIgnore {
		o.Advance(e.Time)
		if effect.Drop {
			return "dropped"
		}
		return "bypass"
	}
	isInvalid := o.rules.Mode != session.Assign && e.Invalid != session.ValidID
	if isInvalid && o.rules.OnInvalid == session.InvalidDeadLetter {
		return "dead invalid_id"
	}
	saved := *o
	var unsaved []func()
	if o.rules.TooLate == session.TooLateDeadLetter {
		for _, x := range o.sessions {
			copied := *x
			unsaved = append(unsaved, func() { *x = copied })
		}
	}
	text := o.work(e, effect)
	if text == "too_late" && o.rules.TooLate == session.TooLateDeadLetter {
		*o = saved
		for _, undo := range unsaved {
			undo()
		}
		return "dead too_late"
	}
	return text
}

// work is what a step does with an event that is in order.
func (o *Oracle) work(e *session.Event, effect session.Effect) string {
	o.Advance(e.Time)
	o.endDue(&o.Before)
	o.forget()
	message := strings.TrimSpace(string(e.MessageID))
	seen := o.messages[max(0, len(o.messages)-o.rules.DedupeLast):]
	if message != "" && slices.Contains(seen, message) {
		if o.rules.DedupeDrop {
			return "dropped"
		}
		return o.place(e, session.Effect{Class: session.ClassAttach}, true) + " duplicate"
	}
	text := o.place(e, effect, false)
	if message != "" && o.count > 0 {
		o.messages = append(o.messages, message)
	}
	return text
}

// place gives the event its session.
func (o *Oracle) place(e *session.Event, effect session.Effect, isDuplicate bool) string {
	client := ""
	if o.rules.Mode != session.Assign {
		client = IDText(e.Client)
		isInvalid := e.Invalid != session.ValidID && o.rules.OnInvalid == session.InvalidStrip
		if isInvalid || client == "" && o.rules.OnMissing == session.MissingNone {
			return "no_session"
		}
	}
	x, reason := o.choose(e, client, effect)
	switch {
	case x == nil && reason == unattached:
		return "unattached"
	case x == nil && reason == session.ReasonNone:
		return "too_late"
	case effect.Class == session.ClassAttach:
		if isDuplicate {
			x.duplicates++
		} else {
			x.attached++
		}
		return fmt.Sprintf(stampForm, x.id, x.index, 0, false, session.ReasonNone, o.isLate(x),
			x.distance(e.Time), x.first().Time, x.timeout(o), x.previous, x.isServer, x.firstOf(campaign))
	}
	isStart := x == nil
	gap := session.Time(0)
	if isStart {
		x = o.open(e, client)
	} else {
		gap = o.join(x, e)
		if x.into != nil {
			x = x.into
		}
	}
	x.events = append(x.events, *e)
	x.sort()
	x.carried++
	x.changed, x.isOpen = o.Watermark, true
	o.stamped = x
	if o.isLate(x) {
		x.late++
	}
	if !isStart {
		reason = session.ReasonNone
	} else if o.rules.Started {
		o.Begun = append(o.Begun, x.text(o, reason.String(), 0, ""))
	}
	text := fmt.Sprintf(stampForm, x.id, x.index, x.carried, isStart, reason, o.isLate(x), gap,
		x.first().Time, x.timeout(o), x.previous, x.isServer, x.firstOf(campaign))
	if effect.End {
		x.notAfter = append(x.notAfter, x.lastEvent().Time)
		x.reason = session.ReasonEnd
		o.end(x, session.ReasonEnd, &o.After)
	}
	o.endDue(&o.After)
	o.evict(x)
	return text
}

func (o *Oracle) isLate(x *visit) bool {
	for _, y := range o.retained() {
		if y.lastEvent().Time > x.lastEvent().Time {
			return true
		}
	}
	return false
}

func (o *Oracle) evict(stamped *visit) {
	for {
		retained := o.retained()
		if len(retained) <= o.rules.Retained {
			return
		}
		var oldest *visit
		for _, x := range retained {
			if x != stamped && (oldest == nil || x.lastEvent().Time < oldest.lastEvent().Time ||
				x.lastEvent().Time == oldest.lastEvent().Time && x.index < oldest.index) {
				oldest = x
			}
		}
		if oldest.isOpen {
			oldest.reason = session.ReasonEvicted
			o.end(oldest, session.ReasonEvicted, &o.After)
		}
		o.leave(oldest)
	}
}
