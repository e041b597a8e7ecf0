package oracle

// How the oracle chooses the session of an event, merges and opens.

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"sessionizer/session"
)

// choose returns the session of an event, or nil and the reason of a new one; nil and ReasonNone:
// too late; nil and unattached: none, for what may open none.
func (o *Oracle) choose(
	e *session.Event, client string, effect session.Effect,
) (*visit, session.Reason) {
	first := func(other session.Reason) session.Reason {
		if o.count == 0 {
			return session.ReasonFirst
		}
		return other
	}
	isAttaching := effect.Class == session.ClassAttach
	if client != "" && o.rules.Mode == session.Adopt {
		x := o.named(client, !isAttaching)
		switch {
		case x == nil && effect.Class != session.ClassStart:
			return nil, unattached
		case x == nil:
			return nil, first(session.ReasonClientID)
		case !isAttaching:
			o.unbind(x, e.Time)
		}
		return x, session.ReasonNone
	}
	touched, strangers := o.meet(o.retained(), e, client)
	if isAttaching {
		if len(touched) == 0 {
			return nil, unattached
		}
		return touched[0], session.ReasonNone
	}
	fitting, blocked := o.fitting(touched, e)
	if len(fitting) > 0 {
		if o.isMarker(e, client, effect) && !isBeforeAny(e, touched) {
			o.split(fitting[0], e.Time, session.ReasonClientStart)
			return nil, session.ReasonClientStart
		}
		return o.merge(fitting, e), session.ReasonNone
	}
	if x := o.forgottenOne(e, client); x != nil {
		return x, session.ReasonNone
	}
	if effect.Class == session.ClassExtend {
		return nil, unattached
	}
	if client == "" && len(touched) == 0 &&
		e.Time < o.Watermark-session.Time(o.rules.Lateness) {
		return nil, session.ReasonNone
	}
	blocked = append(blocked, strangers...)
	byNearness(blocked, e.Time)
	if len(blocked) > 0 {
		x := blocked[0]
		reason := session.ReasonUserChange
		if !slices.Contains(strangers, x) {
			reason = o.splits(x, e)[0]
		}
		if !isBeforeLast(e, x) {
			o.split(x, e.Time, reason)
		}
		return nil, reason
	}
	if client != "" && !o.wasGiven(client) {
		return nil, first(session.ReasonClientID)
	}
	return nil, first(session.ReasonInactivity)
}

// forgottenOne resumes the forgotten session that an event with a client id in force touches.
func (o *Oracle) forgottenOne(e *session.Event, client string) *visit {
	if client == "" {
		return nil
	}
	var forgotten []*visit
	for _, x := range o.remembered() {
		if x.into == nil {
			forgotten = append(forgotten, x)
		}
	}
	met, _ := o.meet(forgotten, e, client)
	if fitting, _ := o.fitting(met, e); len(fitting) > 0 {
		o.resume(fitting[0])
		return fitting[0]
	}
	return nil
}

// unattached is no reason of any session.
const unattached = session.Reason(math.MaxUint8)

func isBeforeAny(e *session.Event, all []*visit) bool {
	return slices.ContainsFunc(all, func(x *visit) bool { return isBeforeLast(e, x) })
}

func isBeforeLast(e *session.Event, x *visit) bool { return e.Time < x.lastEvent().Time }

func (o *Oracle) isMarker(e *session.Event, client string, effect session.Effect) bool {
	switch {
	case effect.Class != session.ClassStart:
		return false
	case effect.Start:
		return client == ""
	default:
		return o.rules.SplitClientStart && e.Start && e.Client.IsZero() && e.Invalid == session.ValidID
	}
}

// meet returns the sessions the event touches, and those of strangers, which it would touch if it
// were not for the user; nearest first.
func (o *Oracle) meet(all []*visit, e *session.Event, client string) (
	touched, strangers []*visit,
) {
	for _, x := range all {
		from, to := x.bounds()
		switch {
		case e.Time < x.first().Time-o.t(e) || e.Time > o.expiry(x) || e.Time < from || e.Time > to:
		case client != "" && x.client != client:
		case !o.isCompatible(o.rules.SplitUserChange, x.lastOf(user), string(e.UserID)):
			strangers = append(strangers, x)
		default:
			touched = append(touched, x)
		}
	}
	byNearness(touched, e.Time)
	byNearness(strangers, e.Time)
	return touched, strangers
}

// fitting parts the touched sessions by whether a split keeps the event from them.
func (o *Oracle) fitting(touched []*visit, e *session.Event) (fitting, blocked []*visit) {
	for _, x := range touched {
		if len(o.splits(x, e)) == 0 {
			fitting = append(fitting, x)
		} else {
			blocked = append(blocked, x)
		}
	}
	return fitting, blocked
}

// splits returns every reason for which a touched session cannot take the event, in the order of
// their rank.
func (o *Oracle) splits(x *visit, e *session.Event) []session.Reason {
	var splits []session.Reason
	first, last := min(e.Time, x.first().Time), max(e.Time, x.lastEvent().Time)
	judge := *e
	if isBeforeLast(e, x) {
		judge = x.lastEvent()
	}
	if most := o.maxDuration(judge); most > 0 && session.Millis(last-first) > most {
		splits = append(splits, session.ReasonMaxDuration)
	}
	if most := o.rules.MaxEvents; most > 0 && len(x.events)+1 > most {
		splits = append(splits, session.ReasonMaxEvents)
	}
	if !o.isCompatible(o.rules.SplitCampaign, x.firstOf(campaign), string(campaign(*e))) {
		splits = append(splits, session.ReasonCampaign)
	}
	if !o.isOneDay(first, e.Time, last) {
		splits = append(splits, session.ReasonMidnight)
	}
	return splits
}

func (o *Oracle) maxDuration(e session.Event) session.Millis {
	if most := o.effect(&e).MaxDuration; most > 0 {
		return most
	}
	return o.rules.MaxDuration
}

func (o *Oracle) isOneDay(times ...session.Time) bool {
	if o.rules.Midnight == nil {
		return true
	}
	dates := map[string]bool{}
	for _, t := range times {
		dates[time.UnixMilli(int64(t)).In(o.rules.Midnight).Format(time.DateOnly)] = true
	}
	return len(dates) == 1
}

// isCompatible reports whether two known values of what splits are the same.
func (o *Oracle) isCompatible(isSplitting bool, a, b string) bool {
	return !isSplitting || a == "" || b == "" || a == b
}

func (x *visit) distance(t session.Time) session.Time {
	return max(x.first().Time-t, t-x.lastEvent().Time, 0)
}

// byNearness sorts by distance, then greatest last, then greatest index.
func byNearness(sessions []*visit, t session.Time) {
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

// named returns the session with an id, where its events went, be it retained or forgotten.
func (o *Oracle) named(id string, isResuming bool) *visit {
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
			if !isResuming || !slices.Contains(o.remembered(), x) {
				return nil
			}
			o.resume(x)
		}
		return x
	}
	return nil
}

func (o *Oracle) resume(x *visit) {
	o.left = slices.DeleteFunc(o.left, func(y *visit) bool { return x == y })
	x.isRetained = true
}

func (o *Oracle) wasGiven(id string) bool {
	for _, x := range append(o.retained(), o.remembered()...) {
		if x.id == id {
			return true
		}
	}
	return false
}

func (o *Oracle) unbind(x *visit, t session.Time) {
	from, to := x.bounds()
	if t < from {
		x.notBefore = nil
	}
	if t > to {
		x.notAfter = nil
	}
}

func (o *Oracle) split(x *visit, t session.Time, reason session.Reason) {
	x.notAfter = append(x.notAfter, max(x.lastEvent().Time, t-1))
	x.reason = reason
	if x.isOpen {
		o.end(x, reason, &o.Before)
	}
}

// merge returns the nearest of the touched sessions; where others join it, as part of what
// survives.
func (o *Oracle) merge(touched []*visit, e *session.Event) *visit {
	chosen := touched[0]
	group := []*visit{chosen}
	for _, x := range touched[1:] {
		if x.client == chosen.client && o.isOne(append(slices.Clone(group), x), e) {
			group = append(group, x)
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
	type span struct{ from, to session.Time }
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
		survivor.attached += x.attached
		survivor.duplicates += x.duplicates
		if _, to := x.bounds(); to < narrowest {
			narrowest, survivor.reason = to, x.reason
		}
		x.into = survivor
		o.leave(x)
	}
	survivor.active = active
	return &visit{into: survivor, active: int64(gap)}
}

// isOne reports whether all of these sessions, with the event, can be one.
func (o *Oracle) isOne(all []*visit, e *session.Event) bool {
	times := []session.Time{e.Time}
	users, campaigns := []string{string(e.UserID)}, []string{string(campaign(*e))}
	limits := []session.Millis{o.maxDuration(*e)}
	for _, x := range all {
		times = append(times, x.first().Time, x.lastEvent().Time)
		users = append(users, x.lastOf(user))
		campaigns = append(campaigns, x.firstOf(campaign))
		limits = append(limits, o.maxDuration(x.lastEvent()))
	}
	low, high := slices.Min(times), slices.Max(times)
	for _, x := range all {
		if from, to := x.bounds(); low < from || high > to {
			return false
		}
	}
	for _, most := range limits {
		if most > 0 && session.Millis(high-low) > most {
			return false
		}
	}
	for i := range users {
		for j := range users {
			if !o.isCompatible(o.rules.SplitUserChange, users[i], users[j]) ||
				!o.isCompatible(o.rules.SplitCampaign, campaigns[i], campaigns[j]) {
				return false
			}
		}
	}
	return o.isOneDay(times...)
}

// join returns the gap between a session and the event that joins it.
func (o *Oracle) join(x *visit, e *session.Event) session.Time {
	if x.into != nil { // a merge, which has counted what it met
		return session.Time(x.active)
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

func (o *Oracle) open(e *session.Event, client string) *visit {
	o.count++
	x := &visit{index: o.count, client: client, reason: session.ReasonInactivity, isRetained: true}
	var previous *visit
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
	if client == "" || o.rules.Mode == session.Enforce && o.wasGiven(client) {
		x.isServer = true
		x.number = max(int64(e.Time), o.maxServer+1, 1000)
		for o.wasGiven(o.serverName(e, x.number)) {
			x.number++
		}
		o.maxServer = x.number
		x.id = o.serverName(e, x.number)
	}
	if o.isMarker(e, client, o.effect(e)) {
		x.notBefore = []session.Time{e.Time}
	}
	o.sessions = append(o.sessions, x)
	return x
}

func (o *Oracle) serverName(e *session.Event, number int64) string {
	if o.rules.IDType == session.IDUUID {
		id := session.ID{Int: number}
		uuid := fmt.Sprintf("%x", session.UUID(e.Source, e.AnonymousID, id, session.IDInt64))
		return strings.Join([]string{uuid[:8], uuid[8:12], uuid[12:16], uuid[16:20], uuid[20:]}, "-")
	}
	return fmt.Sprint(number)
}
