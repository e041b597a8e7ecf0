package audit

import (
	"cmp"
	"slices"
)

// session is what the events with one id come to.
type session struct {
	id, client, previous, uuid string
	number                     int64 // of a server's id
	server                     bool
	index                      int64
	reason                     string // of its next Visit Ended
	revision                   int64
	open                       bool // it changed since its last Visit Ended
	started                    bool
	into                       string // the id of the session that took it in

	first, last                bound
	changed                    int64
	notBefore, notAfter        int64
	timeoutMs, maxDurationMs   int64
	activeMs                   int64
	carried                    int64 // events that carry its id
	counts                     counts
	firstUser, lastUser        text
	entry, exit                text
	referrer, campaign, extras text
}

// bound is the first or the last event.
type bound struct {
	ms, offset int64
	message    string
}

// text is something taken from an event.
type text struct {
	s          string
	ms, offset int64
}

type counts struct {
	events, pages, screens, tracks, late, duplicates, attached, foreground, background int64
}

// compare orders texts by event time, at equal times by arrival.
func (t *text) compare(o *text) int {
	return cmp.Or(cmp.Compare(t.ms, o.ms), cmp.Compare(t.offset, o.offset))
}

func (t *text) earlier(o text) {
	if o.s != "" && (t.s == "" || o.compare(t) < 0) {
		*t = o
	}
}

func (t *text) later(o text) {
	if o.s != "" && (t.s == "" || o.compare(t) >= 0) {
		*t = o
	}
}

// reach is how far a timeout reaches, inclusive.
func (f *form) reach(timeoutMs int64) int64 {
	if f.BoundaryAt {
		return timeoutMs - 1
	}
	return timeoutMs
}

func (f *form) expiry(s *session) int64 { return s.last.ms + f.reach(s.timeoutMs) }

func (f *form) activeUntil(s *session) int64 { return max(f.expiry(s), s.changed) }

// due is what a tick watermark has to exceed for the next Visit Ended.
func (f *form) due(s *session) int64 {
	if s.revision == 0 {
		return f.expiry(s)
	}
	return max(f.expiry(s), s.changed+f.OutOfOrderMs)
}

func (s *session) distance(ms int64) int64 { return max(s.first.ms-ms, ms-s.last.ms, 0) }

// byNearness orders sessions as seen from a time: the nearest first.
func byNearness(all []*session, ms int64) {
	slices.SortFunc(all, func(a, b *session) int {
		return cmp.Or(cmp.Compare(a.distance(ms), b.distance(ms)), cmp.Compare(b.last.ms, a.last.ms),
			cmp.Compare(b.index, a.index))
	})
}

// take adds an event.
func (s *session) take(e *fact) {
	if !s.started || e.ms < s.first.ms {
		s.first = bound{e.ms, e.offset, e.message}
	}
	if !s.started || e.ms >= s.last.ms {
		s.last = bound{e.ms, e.offset, e.message}
		s.timeoutMs, s.maxDurationMs = e.timeoutMs, e.maxDurationMs
	}
	of := func(what string) text { return text{what, e.ms, e.offset} }
	s.firstUser.earlier(of(e.user))
	s.lastUser.later(of(e.user))
	s.entry.earlier(of(e.texts[textPlace]))
	s.exit.later(of(e.texts[textPlace]))
	s.campaign.earlier(of(e.texts[textCampaign]))
	s.referrer.earlier(of(e.texts[textReferrer]))
	s.extras.earlier(of(e.texts[textContext]))
	s.counts.events++
	s.carried++
	switch e.kind {
	case 'p':
		s.counts.pages++
	case 's':
		s.counts.screens++
	case 't':
		s.counts.tracks++
	}
	switch e.lifecycle {
	case 'f':
		s.counts.foreground++
	case 'b':
		s.counts.background++
	}
	s.changed, s.open = e.watermark, true
}

// absorb adds what another session, which began later, has.
func (s *session) absorb(o *session) {
	s.counts.events += o.counts.events
	s.counts.pages += o.counts.pages
	s.counts.screens += o.counts.screens
	s.counts.tracks += o.counts.tracks
	s.counts.late += o.counts.late
	s.counts.duplicates += o.counts.duplicates
	s.counts.attached += o.counts.attached
	s.counts.foreground += o.counts.foreground
	s.counts.background += o.counts.background
	if o.first.ms == s.first.ms && o.first.offset < s.first.offset {
		s.first = o.first
	}
	if o.last.ms > s.last.ms || o.last.ms == s.last.ms && o.last.offset > s.last.offset {
		s.last, s.timeoutMs, s.maxDurationMs = o.last, o.timeoutMs, o.maxDurationMs
	}
	s.firstUser.earlier(o.firstUser)
	s.lastUser.later(o.lastUser)
	s.entry.earlier(o.entry)
	s.exit.later(o.exit)
	s.campaign.earlier(o.campaign)
	s.referrer.earlier(o.referrer)
	s.extras.earlier(o.extras)
	s.notBefore = max(s.notBefore, o.notBefore)
	if o.notAfter < s.notAfter {
		s.notAfter, s.reason = o.notAfter, o.reason // the bound keeps the reason it was drawn for
	}
}

// obstacle is what keeps a session from taking an event: nothing (empty), "far" (the event does
// not touch it), user_change, or another split.
func (f *form) obstacle(s *session, e *fact, client string) string {
	span := max(s.last.ms, e.ms) - min(s.first.ms, e.ms)
	most := s.maxDurationMs
	if e.ms >= s.last.ms {
		most = e.maxDurationMs
	}
	switch {
	case e.ms > f.expiry(s) || e.ms < s.first.ms-f.reach(e.timeoutMs),
		e.ms < s.notBefore || e.ms > s.notAfter,
		client != "" && s.client != client:
		return "far"
	case f.UserChange && differ(s.lastUser.s, e.user):
		return "user_change"
	case most > 0 && span > most:
		return "max_duration"
	case f.MaxEvents > 0 && s.counts.events >= f.MaxEvents:
		return "max_events"
	case f.Campaign && differ(s.campaign.s, e.texts[textCampaign]):
		return "campaign"
	case f.isMidnightBetween(min(s.first.ms, e.ms), max(s.last.ms, e.ms)):
		return "midnight"
	}
	return ""
}

// differ reports whether two users, or campaigns, are known and not the same.
func differ(a, b string) bool { return a != "" && b != "" && a != b }

// union is the session that several would be together.
type union struct {
	first, last, notBefore, notAfter, maxDurationMs int64
	user, campaign                                  string
}

// with returns the union with a session; false: they cannot be one.
func (f *form) with(u union, s *session) (union, bool) {
	if f.UserChange && differ(u.user, s.lastUser.s) || f.Campaign && differ(u.campaign, s.campaign.s) {
		return u, false
	}
	u.first, u.last = min(u.first, s.first.ms), max(u.last, s.last.ms)
	u.notBefore, u.notAfter = max(u.notBefore, s.notBefore), min(u.notAfter, s.notAfter)
	u.maxDurationMs = narrower(u.maxDurationMs, s.maxDurationMs)
	u.user, u.campaign = cmp.Or(u.user, s.lastUser.s), cmp.Or(u.campaign, s.campaign.s)
	return u, u.first >= u.notBefore && u.last <= u.notAfter &&
		(u.maxDurationMs == 0 || u.last-u.first <= u.maxDurationMs)
}

// narrower is the smaller of two limits, of which 0 is none.
func narrower(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
