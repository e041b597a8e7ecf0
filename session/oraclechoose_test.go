package session

// How the oracle chooses the session of an event, merges and opens.

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
)

// choose returns the session of an event, or nil and the reason of a new one; nil and ReasonNone:
// too late; nil and unattached: none, for what may open none.
func (o *oracle) choose(e *Event, client string, effect Effect) (*oracleSession, Reason) {
	first := func(other Reason) Reason {
		if o.count == 0 {
			return ReasonFirst
		}
		return other
	}
	isAttaching := effect.Class == ClassAttach
	if client != "" && o.rules.Mode == Adopt {
		x := o.named(client, !isAttaching)
		switch {
		case x == nil && effect.Class != ClassStart:
			return nil, unattached
		case x == nil:
			return nil, first(ReasonClientID)
		case !isAttaching:
			o.unbind(x, e.Time)
		}
		return x, ReasonNone
	}
	touched, strangers := o.meet(o.retained(), e, client)
	if isAttaching {
		if len(touched) == 0 {
			return nil, unattached
		}
		return touched[0], ReasonNone
	}
	fitting, blocked := o.fitting(touched, e)
	if len(fitting) > 0 {
		if o.isMarker(e, client, effect) && !slices.ContainsFunc(touched, e.isBeforeLast) {
			o.split(fitting[0], e.Time, ReasonClientStart)
			return nil, ReasonClientStart
		}
		return o.merge(fitting, e), ReasonNone
	}
	if client != "" {
		var forgotten []*oracleSession
		for _, x := range o.remembered() {
			if x.into == nil {
				forgotten = append(forgotten, x)
			}
		}
		met, _ := o.meet(forgotten, e, client)
		if fitting, _ := o.fitting(met, e); len(fitting) > 0 {
			o.resume(fitting[0])
			return fitting[0], ReasonNone
		}
	}
	if effect.Class == ClassExtend {
		return nil, unattached
	}
	if client == "" && len(touched) == 0 && e.Time < o.watermark-Time(o.rules.Lateness) {
		return nil, ReasonNone
	}
	blocked = append(blocked, strangers...)
	byNearness(blocked, e.Time)
	if len(blocked) > 0 {
		x := blocked[0]
		reason := ReasonUserChange
		if !slices.Contains(strangers, x) {
			reason = o.splits(x, e)[0]
		}
		if !e.isBeforeLast(x) {
			o.split(x, e.Time, reason)
		}
		return nil, reason
	}
	if client != "" && !o.wasGiven(client) {
		return nil, first(ReasonClientID)
	}
	return nil, first(ReasonInactivity)
}

// unattached is no reason of any session.
const unattached = reasons

func (e *Event) isBeforeLast(x *oracleSession) bool { return e.Time < x.lastEvent().Time }

func (o *oracle) isMarker(e *Event, client string, effect Effect) bool {
	switch {
	case effect.Class != ClassStart:
		return false
	case effect.Start:
		return client == ""
	default:
		return o.rules.SplitClientStart && e.Start && e.Client.IsZero() && e.Invalid == ValidID
	}
}

// meet returns the sessions the event touches, and those of strangers, which it would touch if it
// were not for the user; nearest first.
func (o *oracle) meet(all []*oracleSession, e *Event, client string) (
	touched, strangers []*oracleSession,
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
func (o *oracle) fitting(touched []*oracleSession, e *Event) (fitting, blocked []*oracleSession) {
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
func (o *oracle) splits(x *oracleSession, e *Event) []Reason {
	var splits []Reason
	first, last := min(e.Time, x.first().Time), max(e.Time, x.lastEvent().Time)
	judge := *e
	if e.isBeforeLast(x) {
		judge = x.lastEvent()
	}
	if most := o.maxDuration(judge); most > 0 && Millis(last-first) > most {
		splits = append(splits, ReasonMaxDuration)
	}
	if most := o.rules.MaxEvents; most > 0 && len(x.events)+1 > most {
		splits = append(splits, ReasonMaxEvents)
	}
	if !o.isCompatible(o.rules.SplitCampaign, x.firstOf(campaign), string(e.campaign())) {
		splits = append(splits, ReasonCampaign)
	}
	if !o.isOneDay(first, e.Time, last) {
		splits = append(splits, ReasonMidnight)
	}
	return splits
}

func (o *oracle) maxDuration(e Event) Millis {
	if most := o.effect(&e).MaxDuration; most > 0 {
		return most
	}
	return o.rules.MaxDuration
}

func (o *oracle) isOneDay(times ...Time) bool {
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
func (o *oracle) isCompatible(isSplitting bool, a, b string) bool {
	return !isSplitting || a == "" || b == "" || a == b
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

// named returns the session with an id, where its events went, be it retained or forgotten.
func (o *oracle) named(id string, isResuming bool) *oracleSession {
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
		survivor.attached += x.attached
		survivor.duplicates += x.duplicates
		if _, to := x.bounds(); to < narrowest {
			narrowest, survivor.reason = to, x.reason
		}
		x.into = survivor
		o.leave(x)
	}
	survivor.active = active
	return &oracleSession{into: survivor, active: int64(gap)}
}

// isOne reports whether all of these sessions, with the event, can be one.
func (o *oracle) isOne(all []*oracleSession, e *Event) bool {
	times := []Time{e.Time}
	users, campaigns := []string{string(e.UserID)}, []string{string(e.campaign())}
	limits := []Millis{o.maxDuration(*e)}
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
		if most > 0 && Millis(high-low) > most {
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
	if o.isMarker(e, client, o.effect(e)) {
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
