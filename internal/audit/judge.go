package audit

import (
	"fmt"
	"slices"
	"strings"
)

// judge holds the output of one input partition against what its log says, key by key.
type judge struct {
	f         *form
	r         *Report
	topic     string // of the input
	partition int32
	keys      map[string]*key
	gaps      bool // visits are not all there any more: what is missing proves nothing
}

// find reports something about a key, at a record of the output or the visits topic.
func (j *judge) find(c Check, f *fact, format string, args ...any) {
	topic, at := j.f.Topics.Output, f.at
	switch {
	case f.visit != nil:
		topic = j.f.Topics.Visits
	case f.absent || f.dead:
		topic, at = j.topic, f.offset
	}
	what := fmt.Sprintf(format, args...)
	if topic != j.topic {
		what += fmt.Sprintf(" (input %s/%d@%d)", j.topic, j.partition, f.offset)
	}
	j.r.find(Finding{Check: c, Topic: topic, Partition: j.partition, Offset: at,
		Key: j.f.keyName(f.key), What: what})
}

// take takes the next fact.
func (j *judge) take(f *fact) {
	k := j.keys[f.key]
	if k == nil {
		k = newKey(j.f)
		j.keys[f.key] = k
		k.lost = !f.certain && !(f.settled && isNew(f))
	}
	switch {
	case f.visit != nil:
		kept := *f
		k.waiting = append(k.waiting, &kept)
		j.r.Visits += kept.visit.count()
	case f.problem == isLost:
		if !k.lost {
			k.lose(f)
		}
	case k.lost:
		j.follow(k, f)
	case f.fate == fateSession || f.fate == fateRefused && f.dead:
		j.event(k, f)
	}
}

// isNew reports whether an event is the first of its key, by its own words: what was before it, if
// there was anything, was forgotten.
func isNew(f *fact) bool {
	return f.visit == nil && f.stamp[fieldIndex] == "1" && f.stamp[fieldStart] == "true" &&
		f.stamp[fieldPreviousID] == ""
}

// event judges an event of a key whose past is known.
func (j *judge) event(k *key, f *fact) {
	if f.dead {
		j.mayDie(k, f)
		return // it leaves no trace
	}
	if j.f.TooLate == "dead_letter" && k.isTooLate(f, f.watermark) {
		if j.f.DeadLetterPolicies["too_late"] != "pass" {
			j.find(CheckDeadLetter, f, "is too late, and no dead letter")
		}
		return
	}
	before := j.settle(k, f.offset, f)
	if k.lost {
		j.follow(k, f)
		return
	}
	for _, s := range k.dueAt(f.watermark) {
		reason := s.reason
		v := k.end(s)
		v.reason = reason
		before = j.match(k, f, before, v)
	}
	k.forget(f.watermark)
	d := k.decide(f)
	for _, v := range d.before {
		before = j.match(k, f, before, v)
	}
	want, after := j.apply(k, f, &d)
	if d.opens && j.f.Started {
		begun := k.visitOf(d.session)
		begun.begins, begun.reason, begun.revision = true, d.reason, 0
		begun.startedMs, begun.endedMs = f.ms, f.ms
		before = j.match(k, f, before, begun)
	}
	for _, w := range before {
		j.early(k, w)
	}
	k.after = after
	j.compareStamp(k, f, &d, want)
}

// mayDie judges a dead letter whose reason has to do with sessions; the others are judged with the
// record alone.
func (j *judge) mayDie(k *key, f *fact) {
	if f.problem == "too_late" && (j.f.TooLate != "dead_letter" || !k.isTooLate(f, f.watermark)) {
		j.find(CheckDeadLetter, f, "is a dead letter for being too late, and is not too late")
	}
}

// apply gives the event to its session, and returns what its stamp must say and the visits that
// must come behind it.
func (j *judge) apply(k *key, f *fact, d *decision) (want [fieldCount]string, after []*visit) {
	if !d.duplicate {
		defer k.keepMessage(f)
	}
	if d.duplicate {
		want[fieldDuplicate] = "true"
	}
	if f.clamped {
		want[fieldClamped] = "true"
	}
	if d.session == nil {
		if d.state == "too_late" || d.state == "unattached" {
			want[fieldState] = d.state
		}
		if d.state == "none" || d.state == "dropped" {
			want = [fieldCount]string{}
		}
		return want, nil
	}
	s := d.session
	if d.attaches {
		k.stamp(f, d, &want)
		return want, nil
	}
	s.take(f)
	k.stamped = s
	if k.isLate(s) {
		s.counts.late++
	}
	s.started = true
	k.stamp(f, d, &want)
	if f.end {
		s.notAfter, s.reason = s.last.ms, "end"
		after = append(after, k.end(s))
	}
	for _, due := range k.dueAt(f.watermark) {
		after = append(after, k.end(due))
	}
	after = append(after, k.evict(s)...)
	for _, v := range after {
		v.decidedAt = f.offset + 1
	}
	return want, after
}

// evict makes room: the session with the smallest last goes first, never the one just stamped.
func (k *key) evict(stamped *session) (after []*visit) {
	for len(k.sessions) > max(k.f.Retained, 1) {
		var oldest *session
		for _, s := range k.sessions {
			if s != stamped && (oldest == nil || s.last.ms < oldest.last.ms ||
				s.last.ms == oldest.last.ms && s.index < oldest.index) {
				oldest = s
			}
		}
		if oldest.open {
			oldest.reason = "evicted"
			after = append(after, k.end(oldest))
		}
		k.leave(oldest)
	}
	return after
}

// stamp is what an event in a session shows of it.
func (k *key) stamp(f *fact, d *decision, to *[fieldCount]string) {
	s := d.session
	to[fieldID], to[fieldUUID], to[fieldIndex] = s.id, s.uuid, number(s.index)
	to[fieldPreviousID], to[fieldStartedAt] = s.previous, timeText(s.first.ms)
	to[fieldTimeoutMs], to[fieldCampaign] = number(s.timeoutMs), s.campaign.s
	to[fieldFirstEventID], to[fieldClientID] = s.first.message, f.client
	to[fieldIDSource] = map[bool]string{true: "server", false: "client"}[s.server]
	if k.isLate(s) {
		to[fieldLate] = "true"
	}
	if d.opens {
		to[fieldStart], to[fieldReason] = "true", d.reason
	} else {
		to[fieldGapMs] = number(d.gapMs)
	}
	if !d.attaches {
		to[fieldEventIndex] = number(s.carried)
	}
}

// settle deals with the visits that were decided behind the last event and not behind this one,
// whose offset is upTo. It returns those that this event may have caused.
func (j *judge) settle(k *key, upTo int64, e *fact) (before []*fact) {
	waiting := k.waiting
	k.waiting = nil
	for i, want := range k.after {
		if len(waiting) > 0 && waiting[0].offset == want.decidedAt && j.isMeant(waiting[0], want) {
			j.compare(k, waiting[0], want)
			waiting = waiting[1:]
			continue
		}
		j.missing(e, k.after[i])
	}
	k.after = nil
	for i, f := range waiting {
		s := k.retained(f.visit.id)
		if f.visit.begins || s == nil || !s.open || s.reason != f.visit.reason || !j.mayEnd(f, s) {
			if f.offset == upTo {
				return waiting[i:]
			}
			j.early(k, f)
			continue
		}
		want := k.end(s)
		j.compare(k, f, want)
	}
	return nil
}

// mayEnd reports whether a tick may have ended a visit when its record was written: by the event
// watermark, or by the wall clock, which cannot have been later than the record's own time.
func (j *judge) mayEnd(f *fact, s *session) bool {
	due := j.f.due(s)
	return f.watermark != noTime && f.watermark > due ||
		f.visit.timestamp >= 0 && f.visit.timestamp-j.f.OutOfOrderMs > due
}

func (k *key) retained(id string) *session {
	for _, s := range k.sessions {
		if s.id == id {
			return s
		}
	}
	return nil
}

// match takes the record that the rules ask for at an event.
func (j *judge) match(k *key, e *fact, before []*fact, want *visit) []*fact {
	want.decidedAt = e.offset
	if len(before) > 0 && j.isMeant(before[0], want) {
		j.compare(k, before[0], want)
		return before[1:]
	}
	i := slices.IndexFunc(before, func(f *fact) bool {
		return j.isMeant(f, want) && f.visit.revision == want.revision
	})
	if i < 0 {
		j.missing(e, want)
		return before
	}
	j.find(CheckVisitOrder, before[i], "%s comes in another place than the rules ask for",
		j.name(before[i].visit))
	j.compare(k, before[i], want)
	return slices.Delete(before, i, i+1)
}

// isMeant reports whether a record is the one that the rules ask for, right or wrong. Where records
// are gone the one of another reason is another one.
func (j *judge) isMeant(f *fact, want *visit) bool {
	return f.visit.id == want.id && f.visit.begins == want.begins &&
		(!j.gaps || f.visit.reason == want.reason)
}

// missing reports a record that the rules ask for.
func (j *judge) missing(e *fact, want *visit) {
	if j.gaps {
		return
	}
	c := CheckVisitMissing
	if want.begins {
		c = CheckStarted
	}
	j.find(c, e, "%s has to be there, %s, and is not", j.name(want), want.reason)
}

// early reports a record that no rule asks for where it is.
func (j *judge) early(k *key, f *fact) {
	v := f.visit
	s := k.retained(v.id)
	known := s
	if known == nil {
		known = k.inHistory(v.id)
	}
	switch {
	case known == nil && v.begins:
		j.find(CheckStarted, f, "%s begins no session of its key", j.name(v))
	case known == nil:
		j.find(CheckVisit, f, "%s ends a session that its key does not have", j.name(v))
	case v.begins:
		j.find(CheckStarted, f, "%s begins a session that has begun", j.name(v))
	case v.revision <= known.revision:
		j.find(CheckVisitDoubled, f, "%s is there again: revision %d was the last", j.name(v),
			known.revision)
	case v.reason == "merged":
		j.find(CheckMerged, f, "%s is merged into another, and the rules merge nothing there", j.name(v))
	case s != nil && s.open:
		j.find(CheckEarly, f, "%s ends before it is due, at %s, or for another reason than %s",
			j.name(v), timeText(j.f.due(s)+1), s.reason)
		s.revision, s.open = v.revision, false
	default:
		j.find(CheckVisit, f, "%s ends a visit that has ended and did not change since", j.name(v))
		known.revision = v.revision
	}
}

// name tells which visit, without the client's ids.
func (j *judge) name(v *visit) string {
	what := fmt.Sprintf("visit #%d revision %d", v.index, v.revision)
	if v.begins {
		what = fmt.Sprintf("the start of visit #%d", v.index)
	}
	return what
}

// end judges what is left at the frontier. more: there are records of the input behind it, and a
// visit that was decided right there may be of the next one.
func (j *judge) end(watermark, frontier int64, more bool) {
	for name, k := range j.keys {
		if k.lost {
			j.followVisits(k)
			continue
		}
		last := &fact{key: name, offset: frontier, absent: true, at: -1}
		for _, f := range j.settle(k, frontier, last) {
			if !more {
				j.early(k, f)
			}
		}
		for _, s := range k.sessions {
			j.r.left(j, s, last, watermark)
		}
	}
}

// differences lists what two records say differently.
func differences(got, want *visit) (what []string, revision bool) {
	say := func(name string, got, want any) {
		if got != want {
			what = append(what, fmt.Sprintf("%s is %v, the log says %v", name, got, want))
		}
	}
	revision = got.revision != want.revision
	say("revision", got.revision, want.revision)
	say("session.index", got.index, want.index)
	say("reason", got.reason, want.reason)
	say("startedAt", timeText(got.startedMs), timeText(want.startedMs))
	say("endedAt", timeText(got.endedMs), timeText(want.endedMs))
	say("durationMs", got.durationMs, want.durationMs)
	say("activeMs", got.activeMs, want.activeMs)
	say("timeoutMs", got.timeoutMs, want.timeoutMs)
	say("amendableUntil", timeText(got.amendableMs), timeText(want.amendableMs))
	say("counts.events", got.events, want.events)
	say("counts.pages", got.pages, want.pages)
	say("counts.screens", got.screens, want.screens)
	say("counts.tracks", got.tracks, want.tracks)
	say("counts.late", got.late, want.late)
	say("counts.duplicates", got.duplicates, want.duplicates)
	say("counts.attached", got.attached, want.attached)
	say("foregroundIndex", got.foreground, want.foreground)
	say("backgroundIndex", got.background, want.background)
	say("origin.firstOffset", got.firstOffset, want.firstOffset)
	say("origin.lastOffset", got.lastOffset, want.lastOffset)
	for _, t := range [...]struct{ name, got, want string }{
		{"session.id", got.id, want.id}, {"session.uuid", got.uuid, want.uuid},
		{"session.previousId", got.previous, want.previous}, {"mergedInto", got.into, want.into},
		{"userId", got.user, want.user}, {"firstUserId", got.firstUser, want.firstUser},
		{"firstEventId", got.firstEvent, want.firstEvent},
		{"lastEventId", got.lastEvent, want.lastEvent}, {"entry", got.entry, want.entry},
		{"exit", got.exit, want.exit}, {"referrer", got.referrer, want.referrer},
		{"campaign", got.campaign, want.campaign}, {"context", got.context, want.context},
	} {
		if t.got != t.want {
			what = append(what, t.name+" is not what the events say")
		}
	}
	return what, revision
}

// compare holds a record against what the events say.
func (j *judge) compare(k *key, f *fact, want *visit) {
	what, revision := differences(f.visit, want)
	if revision && j.gaps && f.visit.revision > want.revision {
		if s := k.retained(want.id); s != nil {
			s.revision = f.visit.revision
		}
		what = slices.DeleteFunc(what, func(s string) bool { return strings.HasPrefix(s, "revision") })
		revision = false
	}
	if len(what) == 0 {
		return
	}
	c := CheckTotals
	switch {
	case revision && f.visit.revision < want.revision:
		c = CheckVisitDoubled
	case revision:
		c = CheckRevision
	case f.visit.begins:
		c = CheckStarted
	case f.visit.into != want.into:
		c = CheckMerged
	}
	j.find(c, f, "%s: %s", j.name(f.visit), strings.Join(what, "; "))
}
