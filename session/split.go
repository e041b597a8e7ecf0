package session

import (
	"bytes"
	"time"
)

// obstacle returns what keeps a session from taking an event. ReasonNone: nothing, they fit.
// ReasonInactivity: the event does not reach it, for the time between them or for the session's
// bounds; of sessions opened under another client id than that in force, if there is one, none is
// reached. ReasonUserChange: only the user does, and the session is not touched either. Else they
// touch, and a split is due: the first that applies, in the order of their rank.
func (r *Rules) obstacle(x *Session, e *Event, client ID) Reason {
	t := e.Time
	switch {
	case t > r.expiry(x) || t < x.First-r.reach(r.TimeoutOf(e)):
		return ReasonInactivity
	case t < x.NotBefore || t > x.NotAfter:
		return ReasonInactivity
	case !client.IsZero() && !x.Client.Equal(client):
		return ReasonInactivity
	case r.SplitUserChange && !isCompatible(x.LastUser.Bytes, e.UserID):
		return ReasonUserChange
	case r.isTooLong(x, e):
		return ReasonMaxDuration
	case r.MaxEvents > 0 && x.Events >= uint64(r.MaxEvents):
		return ReasonMaxEvents
	case r.SplitCampaign && !isCompatible(x.Campaign.Bytes, e.campaign()):
		return ReasonCampaign
	case r.Midnight != nil && !r.isOneDay(t, x.First, x.Last):
		return ReasonMidnight
	default:
		return ReasonNone
	}
}

// isTooLong reports whether the session, with the event, would span more than it may. An event at
// or behind its last one says itself how much that is.
func (r *Rules) isTooLong(x *Session, e *Event) bool {
	most := x.MaxDuration
	if e.Time >= x.Last {
		most = r.maxDuration(e)
	}
	return most > 0 && Millis(max(x.Last, e.Time)-min(x.First, e.Time)) > most
}

// isCompatible reports whether two users, or two campaigns, can be one: the same, or one of them
// unknown.
func isCompatible(a, b []byte) bool {
	return len(a) == 0 || len(b) == 0 || bytes.Equal(a, b)
}

// isOneDay reports whether all three times are of one day of the zone of Midnight.
func (r *Rules) isOneDay(a, b, c Time) bool {
	day := r.day(a)
	return r.day(b) == day && r.day(c) == day
}

// day returns the number of the day in the zone of Midnight, which is that of its local date: days
// of 23 and 25 hours are days.
func (r *Rules) day(t Time) Time {
	_, offset := time.UnixMilli(int64(t)).In(r.Midnight).Zone()
	local := t + Time(offset)*1000
	days := local / Time(day)
	if local%Time(day) < 0 {
		days--
	}
	return days
}

// union is the session that several would be, with an event.
type union struct {
	client              ID
	first, last         Time
	notBefore, notAfter Time
	maxDuration         Millis // the smallest; 0: none
	user, campaign      []byte // the known one
}

// unionOf returns the session that x would be with the event. The event fits all that are added, so
// its user and its campaign keep none of them out.
func (r *Rules) unionOf(x *Session, e *Event) union {
	return union{
		client: x.Client,
		first:  min(x.First, e.Time), last: max(x.Last, e.Time),
		notBefore: x.NotBefore, notAfter: x.NotAfter,
		maxDuration: smaller(x.MaxDuration, r.maxDuration(e)),
		user:        x.LastUser.Bytes,
		campaign:    x.Campaign.Bytes,
	}
}

// add takes x in, if it has the same client id, its user and its campaign are compatible with all,
// and the whole then still fits the bounds of all and the smallest duration. Users and campaigns
// matter only where they split. The number of events does not matter, and as the event fits x they
// are of one day.
func (u *union) add(r *Rules, x *Session) bool {
	sum := union{
		client: u.client,
		first:  min(u.first, x.First), last: max(u.last, x.Last),
		notBefore: max(u.notBefore, x.NotBefore), notAfter: min(u.notAfter, x.NotAfter),
		maxDuration: smaller(u.maxDuration, x.MaxDuration),
		user:        known(u.user, x.LastUser.Bytes),
		campaign:    known(u.campaign, x.Campaign.Bytes),
	}
	switch {
	case !x.Client.Equal(u.client),
		sum.first < sum.notBefore, sum.last > sum.notAfter,
		sum.maxDuration > 0 && Millis(sum.last-sum.first) > sum.maxDuration,
		r.SplitUserChange && !isCompatible(u.user, x.LastUser.Bytes),
		r.SplitCampaign && !isCompatible(u.campaign, x.Campaign.Bytes):
		return false
	}
	*u = sum
	return true
}

// smaller returns the smaller of two limits, of which 0 is none.
func smaller(a, b Millis) Millis {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

func known(a, b []byte) []byte {
	if len(a) > 0 {
		return a
	}
	return b
}
