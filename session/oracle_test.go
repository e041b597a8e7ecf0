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
	forgotten Time // greatest until of a session as it was forgotten; one that resumed still counts
	before    []string
	after     []string
}

func newOracle(rules Rules) *oracle {
	return &oracle{rules: rules, watermark: NoTime, tick: NoTime, forgotten: NoTime}
}

func (o *oracle) t(e *Event) Time {
	timeout := o.rules.Timeout
	if e.Mobile {
		timeout = o.rules.MobileTimeout
	}
	return o.shorter(timeout)
}

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

func (x *oracleSession) timeout(o *oracle) Millis {
	if e := x.lastEvent(); e.Mobile {
		return o.rules.MobileTimeout
	}
	return o.rules.Timeout
}

func (x *oracleSession) user() string {
	user := ""
	for _, e := range x.events {
		if len(e.UserID) > 0 {
			user = string(e.UserID)
		}
	}
	return user
}

func (x *oracleSession) firstUser() string {
	for _, e := range x.events {
		if len(e.UserID) > 0 {
			return string(e.UserID)
		}
	}
	return ""
}

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

func (o *oracle) end(x *oracleSession, reason Reason, list *[]string) {
	x.revision++
	x.isOpen = false
	events := x.events
	first, last := events[0], events[len(events)-1]
	kinds := map[Kind]int{}
	for _, e := range events {
		kinds[e.Kind]++
	}
	*list = append(*list, fmt.Sprintf("%s #%d %s rev=%d %d..%d events=%d/%d kinds=%d/%d/%d late=%d "+
		"active=%d users=%s..%s ids=%s@%d..%s@%d timeout=%d previous=%s amendable=%d", x.id, x.index,
		reason, x.revision, first.Time, last.Time, len(events), x.carried, kinds[KindPage],
		kinds[KindScreen], kinds[KindTrack], x.late, x.active, x.firstUser(), x.user(),
		first.MessageID, first.Offset, last.MessageID, last.Offset, x.timeout(o), x.previous,
		o.until(x)+Time(o.rules.Lateness)))
}

func (o *oracle) withdraw(x, into *oracleSession) {
	x.revision++
	x.isOpen = false
	first, last := x.first(), x.lastEvent()
	o.before = append(o.before, fmt.Sprintf("%s #%d merged rev=%d %d..%d into=%s events=0 active=0 "+
		"duration=0 users=%s..%s ids=%s@%d..%s@%d previous=%s", x.id, x.index, x.revision, first.Time,
		last.Time, into.id, x.firstUser(), x.user(), first.MessageID, first.Offset, last.MessageID,
		last.Offset, x.previous))
}

// endedText prints a record of the machine as the oracle does.
func endedText(e *Ended) string {
	x := &e.Session
	users := fmt.Sprintf("users=%s..%s ids=%s@%d..%s@%d", x.FirstUser.Bytes, x.LastUser.Bytes,
		x.FirstEvent, x.FirstOffset, x.LastEvent, x.LastOffset)
	if e.Reason == ReasonMerged {
		return fmt.Sprintf("%s #%d merged rev=%d %d..%d into=%s events=%d active=%d duration=%d %s "+
			"previous=%s", oracleID(x.ID), x.Index, e.Revision, x.First, x.Last, oracleID(e.MergedInto),
			x.Events+x.Pages+x.Screens+x.Tracks+x.Late, x.ActiveMs, e.DurationMs(), users,
			oracleID(x.Previous))
	}
	return fmt.Sprintf("%s #%d %s rev=%d %d..%d events=%d/%d kinds=%d/%d/%d late=%d active=%d %s "+
		"timeout=%d previous=%s amendable=%d", oracleID(x.ID), x.Index, e.Reason, e.Revision, x.First,
		x.Last, x.Events, x.EventIndex, x.Pages, x.Screens, x.Tracks, x.Late, x.ActiveMs, users,
		x.Timeout, oracleID(x.Previous), e.AmendableUntil)
}

func oracleID(id ID) string {
	switch {
	case id.IsZero():
		return ""
	case len(id.Text) > 0:
		return string(id.Text)
	default:
		return fmt.Sprint(id.Int)
	}
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
	o.forgotten = NoTime
}

func (o *oracle) advance(t Time) {
	o.watermark = max(o.watermark, t-Time(o.rules.OutOfOrder))
	o.tick = max(o.tick, o.watermark)
}

func (o *oracle) expire(tick Time) {
	o.tick = max(o.tick, tick)
	o.before, o.after = nil, nil
	o.endDue(&o.before)
	o.forget()
}

func (o *oracle) isTouched(x *oracleSession, e *Event) bool {
	from, to := x.bounds()
	return x.first().Time-o.t(e) <= e.Time && e.Time <= o.expiry(x) && from <= e.Time && e.Time <= to
}

func (o *oracle) isCompatible(a, b string) bool {
	return !o.rules.SplitUserChange || a == "" || b == "" || a == b
}

func (x *oracleSession) distance(t Time) Time {
	return max(x.first().Time-t, t-x.lastEvent().Time, 0)
}

// byNearness sorts by distance, then greatest last, then greatest index.
func byNearness(sessions []*oracleSession, t Time) {
	sort.Slice(sessions, func(i, j int) bool {
		x, y := sessions[i], sessions[j]
		if a, b := x.distance(t), y.distance(t); a != b {
			return a < b
		}
		if a, b := x.lastEvent().Time, y.lastEvent().Time; a != b {
			return a > b
		}
		return x.index > y.index
	})
}

// step returns what becomes of the event, as stampText prints it.
func (o *oracle) step(e *Event) string {
	o.before, o.after = nil, nil
	isLooking := o.rules.Mode != Assign
	client := ""
	if isLooking {
		client = oracleID(e.Client)
	}
	isInvalid := isLooking && e.Invalid != ValidID
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
	o.advance(e.Time)
	o.endDue(&o.before)
	o.forget()
	if isInvalid && o.rules.OnInvalid == InvalidStrip || isLooking && client == "" &&
		o.rules.OnMissing == MissingNone {
		return "no_session"
	}
	x, reason := o.choose(e, client)
	switch {
	case x == nil && reason == ReasonNone && o.rules.TooLate == TooLateDeadLetter:
		*o = saved
		for _, undo := range unsaved {
			undo()
		}
		o.before, o.after = nil, nil
		return "dead too_late"
	case x == nil && reason == ReasonNone:
		return "too_late"
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
	isLate := false
	for _, y := range o.retained() {
		isLate = isLate || y.lastEvent().Time > x.lastEvent().Time
	}
	if isLate {
		x.late++
	}
	if !isStart {
		reason = ReasonNone
	}
	text := fmt.Sprintf(oracleStamp, x.id, x.index, x.carried, isStart, reason, isLate, gap,
		x.first().Time, x.timeout(o), x.previous, x.isServer)
	o.endDue(&o.after)
	o.evict(x)
	return text
}

const oracleStamp = "%s #%d event=%d start=%t %s late=%t gap=%d started=%d timeout=%d " +
	"previous=%s server=%t"

func oracleStampText(out *Outcome) string {
	stamp := &out.Stamp
	switch {
	case out.Dead != DeadNone:
		return "dead " + out.Dead.String()
	case stamp.Status != InSession:
		return stamp.Status.String()
	}
	return fmt.Sprintf(oracleStamp, oracleID(stamp.ID), stamp.Index, stamp.EventIndex, stamp.Start,
		stamp.Reason, stamp.Late, stamp.GapMs, stamp.StartedAt, stamp.TimeoutMs, oracleID(stamp.Previous),
		stamp.Server)
}

// choose returns the session of an event, or nil and the reason of a new one; nil and ReasonNone:
// too late.
func (o *oracle) choose(e *Event, client string) (*oracleSession, Reason) {
	first := func(other Reason) Reason {
		if o.count == 0 {
			return ReasonFirst
		}
		return other
	}
	if client != "" && o.rules.Mode == Adopt {
		if x := o.named(client); x != nil {
			o.unbind(x, e.Time)
			return x, ReasonNone
		}
		return nil, first(ReasonClientID)
	}
	touched, blocked := o.meet(o.retained(), e, client)
	isMarker := o.isMarker(e)
	if len(touched) > 0 {
		isLateMarker := false
		for _, x := range touched {
			isLateMarker = isLateMarker || e.Time < x.lastEvent().Time
		}
		if isMarker && !isLateMarker {
			o.split(touched[0], e.Time, ReasonClientStart)
			return nil, ReasonClientStart
		}
		return o.merge(touched, e), ReasonNone
	}
	if client != "" {
		var forgotten []*oracleSession
		for _, x := range o.remembered() {
			if x.into == nil {
				forgotten = append(forgotten, x)
			}
		}
		if touched, _ := o.meet(forgotten, e, client); len(touched) > 0 {
			o.resume(touched[0])
			return touched[0], ReasonNone
		}
	}
	if client == "" && e.Time < o.watermark-Time(o.rules.Lateness) {
		return nil, ReasonNone
	}
	if len(blocked) > 0 {
		if e.Time >= blocked[0].lastEvent().Time {
			o.split(blocked[0], e.Time, ReasonUserChange)
		}
		return nil, ReasonUserChange
	}
	if client != "" && !o.wasGiven(client) {
		return nil, first(ReasonClientID)
	}
	return nil, first(ReasonInactivity)
}

func (o *oracle) isMarker(e *Event) bool {
	return o.rules.SplitClientStart && e.Start && e.Client.IsZero() && e.Invalid == ValidID
}

// meet returns the sessions the event touches and those it does not because of their user, nearest
// first.
func (o *oracle) meet(all []*oracleSession, e *Event, client string) (
	touched, blocked []*oracleSession,
) {
	for _, x := range all {
		switch {
		case !o.isTouched(x, e) || client != "" && x.client != client:
		case !o.isCompatible(x.user(), string(e.UserID)):
			blocked = append(blocked, x)
		default:
			touched = append(touched, x)
		}
	}
	byNearness(touched, e.Time)
	byNearness(blocked, e.Time)
	return touched, blocked
}

// named returns the session with an id, where its events went, be it retained or forgotten.
func (o *oracle) named(id string) *oracleSession {
	for _, x := range o.retained() {
		if x.id == id {
			return x
		}
	}
	for _, x := range o.remembered() {
		if x.id != id {
			continue
		}
		for x.into != nil {
			x = x.into
		}
		if !x.isRetained {
			if !slices.Contains(o.remembered(), x) {
				return nil
			}
			o.resume(x)
		}
		return x
	}
	return nil
}

func (o *oracle) resume(x *oracleSession) {
	o.left = slices.DeleteFunc(o.left, func(y *oracleSession) bool { return x == y })
	x.isRetained = true
}

func (o *oracle) wasGiven(id string) bool {
	for _, x := range append(o.retained(), o.remembered()...) {
		if x.id == id {
			return true
		}
	}
	return false
}

func (o *oracle) unbind(x *oracleSession, t Time) {
	from, to := x.bounds()
	if t < from {
		x.notBefore = nil
	}
	if t > to {
		x.notAfter = nil
	}
}

func (o *oracle) split(x *oracleSession, t Time, reason Reason) {
	x.notAfter = append(x.notAfter, max(x.lastEvent().Time, t-1))
	x.reason = reason
	if x.isOpen {
		o.end(x, reason, &o.before)
	}
}

// merge returns the nearest of the touched sessions; where others join it, as part of what
// survives.
func (o *oracle) merge(touched []*oracleSession, e *Event) *oracleSession {
	chosen := touched[0]
	group := []*oracleSession{chosen}
	users := []string{string(e.UserID), chosen.user()}
	for _, x := range touched[1:] {
		fits := x.client == chosen.client
		for _, user := range users {
			fits = fits && o.isCompatible(user, x.user())
		}
		low, high := e.Time, e.Time
		for _, y := range append(slices.Clone(group), x) {
			low, high = min(low, y.first().Time), max(high, y.lastEvent().Time)
		}
		for _, y := range append(slices.Clone(group), x) {
			from, to := y.bounds()
			fits = fits && from <= low && high <= to
		}
		if fits {
			group = append(group, x)
			users = append(users, x.user())
		}
	}
	if len(group) == 1 {
		return chosen
	}
	sort.Slice(group, func(i, j int) bool {
		if a, b := group[i].first().Time, group[j].first().Time; a != b {
			return a < b
		}
		return group[i].index < group[j].index
	})
	survivor := group[0]
	// What lies between the sessions and the event was a gap within the timeout.
	type span struct{ from, to Time }
	spans := []span{{e.Time, e.Time}}
	active := int64(0)
	for _, x := range group {
		spans = append(spans, span{x.first().Time, x.lastEvent().Time})
		active += x.active
	}
	sort.Slice(spans, func(i, j int) bool { return spans[i].from < spans[j].from })
	for i, end := 1, spans[0].to; i < len(spans); i++ {
		active += int64(max(spans[i].from-end, 0))
		end = max(end, spans[i].to)
	}
	gap := chosen.distance(e.Time)
	_, narrowest := survivor.bounds()
	for _, x := range group[1:] {
		x.last.first, x.last.last = x.first(), x.lastEvent()
		o.withdraw(x, survivor)
		survivor.events = append(survivor.events, x.events...)
		survivor.sort()
		survivor.notBefore = append(survivor.notBefore, x.notBefore...)
		survivor.notAfter = append(survivor.notAfter, x.notAfter...)
		survivor.late += x.late
		if _, to := x.bounds(); to < narrowest {
			narrowest, survivor.reason = to, x.reason
		}
		x.into = survivor
		o.leave(x)
	}
	survivor.active = active
	return &oracleSession{into: survivor, active: int64(gap)}
}

// join returns the gap between a session and the event that joins it.
func (o *oracle) join(x *oracleSession, e *Event) Time {
	if x.into != nil { // a merge, which has counted what it met
		return Time(x.active)
	}
	gap := x.distance(e.Time)
	limit := o.shorter(x.timeout(o))
	if e.Time < x.first().Time {
		limit = o.t(e)
	}
	if gap <= limit {
		x.active += int64(gap)
	}
	return gap
}

func (o *oracle) open(e *Event, client string, reason Reason) *oracleSession {
	o.count++
	x := &oracleSession{index: o.count, client: client, reason: ReasonInactivity, isRetained: true}
	var previous *oracleSession
	for _, y := range o.retained() {
		if y.lastEvent().Time <= e.Time && (previous == nil ||
			y.lastEvent().Time > previous.lastEvent().Time ||
			y.lastEvent().Time == previous.lastEvent().Time && y.index > previous.index) {
			previous = y
		}
	}
	if previous != nil {
		x.previous = previous.id
	}
	x.id = client
	if client == "" || o.rules.Mode == Enforce && o.wasGiven(client) {
		x.isServer = true
		x.number = max(int64(e.Time), o.maxServer+1, 1000)
		for o.wasGiven(o.serverName(e, x.number)) {
			x.number++
		}
		o.maxServer = x.number
		x.id = o.serverName(e, x.number)
	}
	if o.isMarker(e) {
		x.notBefore = []Time{e.Time}
	}
	o.sessions = append(o.sessions, x)
	return x
}

func (o *oracle) serverName(e *Event, number int64) string {
	if o.rules.IDType == IDUUID {
		uuid := fmt.Sprintf("%x", UUID(e.Source, e.AnonymousID, ID{Int: number}, IDInt64))
		return strings.Join([]string{uuid[:8], uuid[8:12], uuid[12:16], uuid[16:20], uuid[20:]}, "-")
	}
	return fmt.Sprint(number)
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
