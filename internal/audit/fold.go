package audit

import (
	"fmt"
	"strings"
)

// fold goes through the events and visits of one input partition in the order
// they were decided, and keeps for every session what its visits must say.
type fold struct {
	auditor   *Auditor
	topic     string
	sessions  []session
	byUUID    map[string]int
	byID      map[string]int    // anonymous id, NUL, session id
	begun     map[string]*visit // Visit Started records whose session has no event yet, as byID
	watermark int64
}

// session is what the events with one session id come to.
type session struct {
	name       string // for findings
	anonymous  string
	index      int64
	events     int64 // with those of the sessions it took in
	own        int64 // that carried the id: what eventIndex counts
	firstMs    int64
	lastMs     int64
	changedMs  int64 // watermark at its last event
	revision   int64
	reported   int64 // events, as of the last visit
	reportedMs int64 // end, as of the last visit
	attached   int64 // events that carried the id and count for nothing else
	merged     bool
	begun      bool // it has a Visit Started record
}

func newFold(a *Auditor, topic string) *fold {
	return &fold{
		auditor: a, topic: topic, watermark: noTime,
		byUUID: map[string]int{}, byID: map[string]int{}, begun: map[string]*visit{},
	}
}

// run takes events in the order of offsets and visits in the order they were
// written. A visit was decided when the events before its decidedAt had been
// seen, and no others.
func (f *fold) run(events []event, visits []visit) {
	next := 0
	for i := range visits {
		v := &visits[i]
		for next < len(events) && events[next].offset < v.origin.decidedAt {
			f.event(&events[next])
			next++
		}
		if i > 0 && v.origin.decidedAt < visits[i-1].origin.decidedAt {
			f.find(wrong, "visit %v was decided at %d and comes after one decided at %d",
				v, v.origin.decidedAt, visits[i-1].origin.decidedAt)
		}
		if v.begins {
			f.begin(v)
		} else {
			f.visit(v)
		}
	}
	for ; next < len(events); next++ {
		f.event(&events[next])
	}
	f.end()
}

func (f *fold) find(v verdict, format string, args ...any) {
	f.auditor.report.find(v, format, args...)
}

func (f *fold) event(e *event) {
	if e.advance {
		f.watermark = max(f.watermark, e.eventMs-f.auditor.config.OutOfOrderMs)
	}
	if e.stamp.id == "" {
		return
	}
	i, known := f.lookup(&e.stamp)
	if e.stamp.eventIndex == 0 && f.auditor.config.Indexed {
		f.attach(e, i, known)
		return
	}
	if !known {
		i = f.open(e)
		f.compareBegun(e)
	}
	s := &f.sessions[i]
	if e.stamp.start == known {
		what := "has no start flag on its first event"
		if known {
			what = "has a second start flag"
		}
		f.find(wrong, "session %s %s, input %s@%d", s.name, what, f.topic, e.offset)
	}
	s.own++
	if e.stamp.eventIndex != 0 && e.stamp.eventIndex != s.own {
		f.find(wrong, "session %s: eventIndex %d on its event %d, input %s@%d",
			s.name, e.stamp.eventIndex, s.own, f.topic, e.offset)
		s.own = e.stamp.eventIndex
	}
	if e.stamp.index != s.index {
		f.find(wrong, "session %s: index %d after %d, input %s@%d",
			s.name, e.stamp.index, s.index, f.topic, e.offset)
	}
	s.events++
	s.firstMs, s.lastMs = min(s.firstMs, e.eventMs), max(s.lastMs, e.eventMs)
	s.changedMs = f.watermark
}

// lookup finds the session of a stamp by the uuid it carries, or else by its
// id; one that is found by only one of them was given two.
func (f *fold) lookup(s *stamp) (int, bool) {
	i, known := f.byID[s.anonymousID+"\x00"+s.id]
	if s.uuid == "" {
		return i, known
	}
	j, knownUUID := f.byUUID[s.uuid]
	if known && (!knownUUID || i != j) {
		f.find(wrong, "session %s has another uuid, %s", f.sessions[i].name, s.uuid)
		return i, true
	}
	return j, knownUUID
}

func (f *fold) open(e *event) int {
	i := len(f.sessions)
	f.sessions = append(f.sessions, session{
		name: e.stamp.id + " of " + e.stamp.anonymousID, anonymous: e.stamp.anonymousID,
		index: e.stamp.index, firstMs: e.eventMs, lastMs: e.eventMs,
	})
	f.byID[e.stamp.anonymousID+"\x00"+e.stamp.id] = i
	if e.stamp.uuid != "" {
		f.byUUID[e.stamp.uuid] = i
	}
	f.auditor.report.Sessions++
	return i
}

// attach takes an event that carries a session's id and changes nothing of it.
func (f *fold) attach(e *event, i int, known bool) {
	f.auditor.report.Attached++
	switch {
	case !known:
		f.find(wrong, "input %s@%d is attached to session %s of %s, which has no events",
			f.topic, e.offset, e.stamp.id, e.stamp.anonymousID)
		return
	case e.stamp.start:
		f.find(wrong, "input %s@%d is attached and has a start flag", f.topic, e.offset)
	}
	f.sessions[i].attached++
}

// begin takes a Visit Started record: ahead of its session's first event.
func (f *fold) begin(v *visit) {
	f.auditor.report.Started++
	name := v.anonymousID + "\x00" + v.id
	i, known := f.byID[name]
	switch {
	case f.begun[name] != nil || known && f.sessions[i].begun:
		f.find(doubled, "visit %v begins twice", v)
	case known:
		f.find(wrong, "visit %v begins behind its first event", v)
	default:
		f.begun[name] = v
	}
}

// compareBegun finds what the Visit Started record of a session says otherwise than its first
// event.
func (f *fold) compareBegun(e *event) {
	name := e.stamp.anonymousID + "\x00" + e.stamp.id
	v := f.begun[name]
	if v == nil {
		if f.auditor.config.Started {
			f.find(lost, "session %s of %s has no Visit Started record, input %s@%d",
				e.stamp.id, e.stamp.anonymousID, f.topic, e.offset)
		}
		return
	}
	delete(f.begun, name)
	f.sessions[f.byID[name]].begun = true
	if v.id != e.stamp.id || v.anonymousID != e.stamp.anonymousID || v.startedMs != e.eventMs ||
		v.index != e.stamp.index || v.origin.decidedAt != e.offset {
		f.find(wrong, "visit %v begins otherwise than with input %s@%d", v, f.topic, e.offset)
	}
}

func (f *fold) visit(v *visit) {
	i, known := f.byUUID[v.uuid]
	if !known {
		i, known = f.byID[v.anonymousID+"\x00"+v.id]
	}
	if !known {
		f.find(wrong, "visit %v ends a session that has no events", v)
		return
	}
	s := &f.sessions[i]
	switch {
	case v.revision <= s.revision:
		f.find(doubled, "visit %v comes after revision %d", v, s.revision)
		return
	case v.revision > s.revision+1:
		f.find(lost, "visit %v comes after revision %d", v, s.revision)
	}
	s.revision = v.revision
	s.reported, s.reportedMs = s.events, s.lastMs
	if v.reason == "merged" {
		f.merge(s, v)
		return
	}
	if s.merged {
		f.find(wrong, "visit %v ends a session that was merged away", v)
	}
	f.compare(s, v, s.events, s.lastMs-s.firstMs)
}

// merge moves what a session has into the one that took it in.
func (f *fold) merge(s *session, v *visit) {
	f.auditor.report.Merged++
	attached := s.attached
	s.attached = 0
	f.compare(s, v, 0, 0)
	i, known := f.byID[v.anonymousID+"\x00"+v.mergedInto]
	if !known || &f.sessions[i] == s {
		f.find(wrong, "visit %v: merged into %s, which is no other session of the key", v, v.mergedInto)
		return
	}
	survivor := &f.sessions[i]
	survivor.events += s.events
	survivor.attached += attached
	survivor.firstMs = min(survivor.firstMs, s.firstMs)
	survivor.lastMs = max(survivor.lastMs, s.lastMs)
	s.events, s.merged = 0, true
}

// compare finds what a visit says otherwise than its events do; however much
// that is, one visit is wrong.
func (f *fold) compare(s *session, v *visit, events, durationMs int64) {
	var wrongs []string
	for _, c := range [...]struct {
		what      string
		got, want int64
	}{
		{"counts.events", v.events, events},
		{"startedAt", v.startedMs, s.firstMs},
		{"endedAt", v.endedMs, s.lastMs},
		{"durationMs", v.durationMs, durationMs},
		{"session.index", v.index, s.index},
	} {
		if c.got != c.want && (c.what != "session.index" || c.want != 0) {
			wrongs = append(wrongs,
				fmt.Sprintf("%s is %d, the events say %d", c.what, c.got, c.want))
		}
	}
	if f.auditor.config.Indexed && v.attached != s.attached {
		wrongs = append(wrongs, fmt.Sprintf("counts.attached and duplicates are %d, the events say %d",
			v.attached, s.attached))
	}
	if v.anonymousID != s.anonymous {
		wrongs = append(wrongs, "its events are of "+s.anonymous)
	}
	if len(wrongs) > 0 {
		f.find(wrong, "visit %v: %s", v, strings.Join(wrongs, "; "))
	}
}

// end looks for sessions whose end the watermark has passed and whose last
// visit is missing or older than their last event.
func (f *fold) end() {
	c := &f.auditor.config
	for _, v := range f.begun {
		f.find(wrong, "visit %v begins a session that has no events", v)
	}
	for i := range f.sessions {
		s := &f.sessions[i]
		if s.merged || s.revision > 0 && s.reported == s.events && s.reportedMs == s.lastMs {
			continue
		}
		due := f.watermark > max(s.lastMs+c.TimeoutMs, s.changedMs+c.OutOfOrderMs)
		if due {
			f.find(lost, "session %s has no visit of its %d events (the last one is revision %d of %d)",
				s.name, s.events, s.revision, s.reported)
			continue
		}
		f.auditor.report.Open++
	}
}
