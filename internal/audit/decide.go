package audit

import (
	"cmp"
	"slices"
	"strings"
)

// decision is what the rules make of an event.
type decision struct {
	state     string // too_late, unattached, none, dropped; empty: the event has a session
	session   *session
	opens     bool
	attaches  bool
	duplicate bool
	reason    string   // of the opening
	gapMs     int64    // between the session, before it took the event, and the event
	before    []*visit // that it causes, ahead of the event
}

func isOnlySpace(s string) bool { return strings.TrimSpace(s) == "" }

// clientOf is the client id in force; empty: none.
func (k *key) clientOf(e *fact) string {
	if k.f.IDs == "assign" {
		return ""
	}
	return e.client
}

// getsNone reports whether an event gets no session because of what its client id is not.
func (k *key) getsNone(e *fact) bool {
	if k.f.IDs == "assign" || e.client != "" {
		return false
	}
	return e.invalid && k.f.OnInvalid == "strip" || k.f.OnMissing == "none"
}

// isMarker reports whether a start marker counts.
func (k *key) isMarker(e *fact) bool {
	switch {
	case e.class != "start":
		return false
	case e.ruleStart:
		return k.clientOf(e) == ""
	}
	return k.f.ClientStart && e.start && e.client == "" && !e.invalid
}

// decide finds the session of an event and changes the sessions as far as they are not the
// event's: it splits, merges and resumes. The visits that are due have ended before.
func (k *key) decide(e *fact) (d decision) {
	class := e.class
	if d.duplicate = k.isDuplicate(e); d.duplicate {
		if k.f.DedupeDrop {
			d.state = "dropped"
			return d
		}
		class = "attach"
	}
	if k.getsNone(e) {
		d.state = "none"
		return d
	}
	client := k.clientOf(e)
	if client != "" && k.f.IDs == "adopt" {
		k.decideByID(e, client, class, &d)
		return d
	}
	k.decideByTime(e, client, class, &d)
	return d
}

func (k *key) decideByID(e *fact, client, class string, d *decision) {
	s := k.named(client, class != "attach")
	switch {
	case s == nil && class != "start":
		d.state = "unattached"
	case s == nil:
		k.open(e, client, "client_id", d)
	case class == "attach":
		k.attach(s, e, d)
	default:
		if e.ms > s.notAfter { // a client's id outranks the bounds
			s.notAfter = endless
		}
		if e.ms < s.notBefore {
			s.notBefore = noTime
		}
		k.join(s, e, d)
	}
}

func (k *key) decideByTime(e *fact, client, class string, d *decision) {
	touched, fitting, blocked := k.meet(k.sessions, e, client)
	isMarker := k.isMarker(e) && !d.duplicate
	late := slices.ContainsFunc(touched, func(s *session) bool { return e.ms < s.last.ms })
	switch {
	case class == "attach" && len(touched) > 0:
		k.attach(touched[0], e, d)
		return
	case class == "attach":
		d.state = "unattached"
		return
	case len(fitting) > 0 && isMarker && !late:
		k.split(fitting[0], e.ms, "client_start", d)
		k.open(e, "", "client_start", d)
		return
	case len(fitting) > 0:
		k.merge(fitting, e, d)
		return
	}
	if s := k.forgottenOf(e, client); s != nil {
		k.resume(s)
		k.join(s, e, d)
		return
	}
	switch {
	case class == "extend":
		d.state = "unattached"
	case client == "" && len(touched) == 0 && e.ms+k.f.LatenessMs < e.watermark:
		d.state = "too_late"
	default:
		k.openSplitting(e, client, blocked, d)
	}
}

// meet returns the sessions that the event touches, those of them that no split keeps from it, and
// those that only a split does; all by nearness.
func (k *key) meet(all []*session, e *fact, client string) (touched, fitting, blocked []*session) {
	for _, s := range all {
		switch k.f.obstacle(s, e, client) {
		case "far":
		case "":
			touched, fitting = append(touched, s), append(fitting, s)
		case "user_change":
			blocked = append(blocked, s)
		default:
			touched, blocked = append(touched, s), append(blocked, s)
		}
	}
	byNearness(touched, e.ms)
	byNearness(fitting, e.ms)
	byNearness(blocked, e.ms)
	return touched, fitting, blocked
}

// forgottenOf is the forgotten session of a client id that obeys the gaps, in enforce.
func (k *key) forgottenOf(e *fact, client string) *session {
	if client == "" {
		return nil
	}
	var candidates []*session
	for _, s := range k.left {
		if s.into == "" {
			candidates = append(candidates, s)
		}
	}
	if _, fitting, _ := k.meet(candidates, e, client); len(fitting) > 0 {
		return fitting[0]
	}
	return nil
}

func (k *key) openSplitting(e *fact, client string, blocked []*session, d *decision) {
	reason := "inactivity"
	name := ""
	if client != "" && !k.wasGiven(client) {
		reason, name = "client_id", client
	}
	if len(blocked) > 0 {
		reason = k.f.obstacle(blocked[0], e, client)
		if e.ms >= blocked[0].last.ms {
			k.split(blocked[0], e.ms, reason, d)
		}
	}
	k.openNamed(e, name, client, reason, len(blocked) == 0, d)
}

// split closes a session ahead of an event.
func (k *key) split(s *session, ms int64, reason string, d *decision) {
	s.notAfter, s.reason = max(s.last.ms, ms-1), reason
	if s.open {
		d.before = append(d.before, k.end(s))
	}
}

// end makes the next Visit Ended of a session, as it has to be.
func (k *key) end(s *session) *visit {
	s.revision++
	s.open = false
	v := k.visitOf(s)
	v.amendableMs = min(k.f.activeUntil(s)+k.f.LatenessMs, timeMax)
	return v
}

// visitOf is a record about a session as it is now.
func (k *key) visitOf(s *session) *visit {
	c := &s.counts
	return &visit{
		id: s.id, uuid: s.uuid, previous: s.previous, reason: s.reason, user: s.lastUser.s,
		firstUser: s.firstUser.s, firstEvent: s.first.message, lastEvent: s.last.message,
		entry: s.entry.s, exit: s.exit.s, referrer: s.referrer.s, campaign: s.campaign.s,
		context: s.extras.s, firstOffset: s.first.offset, lastOffset: s.last.offset, index: s.index,
		revision: s.revision, startedMs: s.first.ms, endedMs: s.last.ms,
		durationMs: s.last.ms - s.first.ms, activeMs: s.activeMs, timeoutMs: s.timeoutMs,
		amendableMs: noTime, events: c.events, pages: c.pages, screens: c.screens, tracks: c.tracks,
		late: c.late, duplicates: c.duplicates, attached: c.attached, foreground: c.foreground,
		background: c.background,
	}
}

// open makes the new session of an event that is named by a client, or by nobody.
func (k *key) open(e *fact, client, reason string, d *decision) {
	k.openNamed(e, client, client, reason, reason != "client_start", d)
}

// openNamed makes a new session: with a name the client's id, else the server's. The reason of a
// key's first session is first, but for a split's.
func (k *key) openNamed(e *fact, name, client, reason string, first bool, d *decision) {
	if first && k.count == 0 {
		reason = "first"
	}
	k.count++
	s := &session{
		id: name, client: client, index: k.count, reason: "inactivity", previous: k.previous(e.ms),
		notBefore: noTime, notAfter: endless,
	}
	source, anonymous, _ := strings.Cut(e.key, "\x00")
	if s.server = name == ""; s.server {
		s.number = max(e.ms, k.maxServer+1, 1000)
		for {
			if s.id = serverID(source, anonymous, s.number, k.f.IDType); !k.wasGiven(s.id) {
				break
			}
			s.number++
		}
		k.maxServer = s.number
	}
	s.uuid = sessionUUID(source, anonymous, s.id, k.f.IDType, s.server)
	if k.isMarker(e) && !d.duplicate {
		s.notBefore = e.ms
	}
	k.sessions = append(k.sessions, s)
	d.session, d.opens, d.reason = s, true, reason
}

// previous is the id of the retained session with the greatest last that is not behind ms.
func (k *key) previous(ms int64) string {
	var found *session
	for _, s := range k.sessions {
		if s.last.ms <= ms && (found == nil || cmp.Or(cmp.Compare(s.last.ms, found.last.ms),
			cmp.Compare(s.index, found.index)) > 0) {
			found = s
		}
	}
	if found == nil {
		return ""
	}
	return found.id
}

func (k *key) attach(s *session, e *fact, d *decision) {
	d.session, d.attaches, d.gapMs = s, true, s.distance(e.ms)
	if d.duplicate {
		s.counts.duplicates++
	} else {
		s.counts.attached++
	}
}

func (k *key) join(s *session, e *fact, d *decision) {
	gap := s.distance(e.ms)
	limit := k.f.reach(s.timeoutMs)
	if e.ms < s.first.ms {
		limit = k.f.reach(e.timeoutMs)
	}
	if gap <= limit && s.counts.events > 0 {
		s.activeMs += gap
	}
	if s.counts.events > 0 {
		d.gapMs = gap
	}
	d.session = s
}

// merge makes one of the fitting sessions that can be one with the event: the nearest, and every
// other as far as the union fits.
func (k *key) merge(fitting []*session, e *fact, d *decision) {
	nearest := fitting[0]
	u, _ := k.f.with(union{
		first: e.ms, last: e.ms, notBefore: noTime, notAfter: endless, maxDurationMs: e.maxDurationMs,
	}, nearest)
	group := []*session{nearest}
	for _, s := range fitting[1:] {
		if s.client != nearest.client {
			continue
		}
		if sum, ok := k.f.with(u, s); ok {
			u, group = sum, append(group, s)
		}
	}
	if len(group) == 1 {
		k.join(nearest, e, d)
		return
	}
	gap := nearest.distance(e.ms)
	slices.SortFunc(group, func(a, b *session) int {
		return cmp.Or(cmp.Compare(a.first.ms, b.first.ms), cmp.Compare(a.index, b.index))
	})
	survivor, active := group[0], activeTogether(group, e.ms)
	for _, s := range group[1:] {
		survivor.absorb(s)
		s.into, s.open, s.activeMs = survivor.id, false, 0
		s.counts = counts{foreground: s.counts.foreground, background: s.counts.background}
		s.revision++
		v := k.visitOf(s)
		v.reason, v.into, v.durationMs = "merged", survivor.id, 0
		d.before = append(d.before, v)
		k.leave(s)
	}
	survivor.activeMs = active
	d.session, d.gapMs = survivor, gap
}

// activeTogether is the active time of sessions, ascending by first, that an event joins: theirs,
// and what lies between them and the event.
func activeTogether(group []*session, ms int64) (active int64) {
	type span struct{ from, to int64 }
	spans := []span{{ms, ms}}
	for _, s := range group {
		spans = append(spans, span{s.first.ms, s.last.ms})
		active += s.activeMs
	}
	slices.SortStableFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	end := spans[0].from
	for _, s := range spans {
		active += max(s.from-end, 0)
		end = max(end, s.to)
	}
	return active
}
