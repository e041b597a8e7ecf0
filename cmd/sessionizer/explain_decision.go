package main

import (
	"encoding/json"

	"sessionizer/schemas"
	"sessionizer/session"
)

// The kinds of lines in an explanation.
const (
	kindEvent   = "event"
	kindVisit   = "visit"
	kindSession = "session" // at the end: what the key's sessions have come to
)

// The decisions. An opening, an end to it, and what is left out have a reason.
const (
	decisionOpened     = "opened"
	decisionJoined     = "joined"
	decisionMerged     = "merged"
	decisionResumed    = "resumed"
	decisionAttached   = "attached"
	decisionDuplicate  = "duplicate"
	decisionNone       = "none"
	decisionTooLate    = "too_late"
	decisionUnattached = "unattached"
	decisionPassed     = "passed"
	decisionDropped    = "dropped"
	decisionDeadLetter = "dead_letter"
)

// explained is one line of an explanation.
type explained struct {
	Kind string `json:"kind"`
	explainedPlace
	Time      string            `json:"time,omitempty"`
	Source    string            `json:"source,omitempty"`
	Type      string            `json:"type,omitempty"`
	Event     string            `json:"event,omitempty"`
	MessageID string            `json:"messageId,omitempty"`
	Decision  string            `json:"decision,omitempty"`
	Reason    string            `json:"reason,omitempty"`
	Message   string            `json:"message,omitempty"` // of a dead letter
	Closed    string            `json:"closed,omitempty"`  // what had closed the session near by
	GapMs     *session.Millis   `json:"gapMs,omitempty"`
	JudgedBy  *session.Millis   `json:"judgedByMs,omitempty"` // the timeout that judged the gap
	TimeoutMs *session.Millis   `json:"timeoutMs,omitempty"`  // in force after the event
	Rule      *explainedRule    `json:"rule,omitempty"`
	Session   *explainedSession `json:"session,omitempty"`
	State     string            `json:"state,omitempty"`
	Notes     []string          `json:"notes,omitempty"`
	Merged    []uint32          `json:"merged,omitempty"` // indexes of sessions that were taken in

	Record json.RawMessage `json:"record,omitempty"` // of a visit
	visit  members         // the same
	into   *followed       // the session it was merged into

	First     string `json:"first,omitempty"` // of a session at the end
	Last      string `json:"last,omitempty"`
	Ended     string `json:"ended,omitempty"` // reason of its last Visit Ended
	Events    *int64 `json:"events,omitempty"`
	OpenUntil string `json:"openUntil,omitempty"` // event time above which its visit ends
}

// explainedPlace is where an event was read; of a visit the event at which it was decided.
type explainedPlace struct {
	Topic     string `json:"topic,omitempty"`
	Partition *int32 `json:"partition,omitempty"`
	Offset    *int64 `json:"offset,omitempty"`
	File      string `json:"file,omitempty"`
	Line      int64  `json:"line,omitempty"`
}

type explainedRule struct {
	Number int    `json:"number"`
	Name   string `json:"name,omitempty"`
}

type explainedSession struct {
	Index      uint32 `json:"index"`
	ID         any    `json:"id"`
	UUID       string `json:"uuid"`
	Start      bool   `json:"start,omitempty"`
	EventIndex uint64 `json:"eventIndex,omitempty"`
}

func (s *followed) json() *explainedSession {
	return &explainedSession{Index: s.index, ID: s.id, UUID: s.uuid}
}

// explain puts a decision into words. The outcome and its texts are valid only now.
func (f *follower) explain(scanned *schemas.Scanned, out *session.Outcome) *explained {
	e := &scanned.Event
	x := &explained{
		Kind: kindEvent, Time: formatTime(e.Time), Source: string(e.Source),
		State: out.Stamp.Status.String(),
	}
	if n := int(e.Rule); n > 0 {
		x.Rule = &explainedRule{Number: n - 1}
		if n <= len(f.rules) {
			x.Rule.Name = f.rules[n-1]
		}
	}
	for n := session.Notes(1); n < session.NotesEnd; n <<= 1 {
		if out.Notes&n != 0 {
			x.Notes = append(x.Notes, n.String())
		}
	}
	for n := schemas.ScanNotes(1); n < schemas.ScanNotesEnd; n <<= 1 {
		if scanned.Notes&n != 0 {
			x.Notes = append(x.Notes, n.String())
		}
	}
	if out.Dead != session.DeadNone {
		x.State, x.Decision, x.Reason = "", decisionPassed, out.Dead.String()
		return x
	}
	if out.Stamp.Status != session.InSession {
		x.Decision, x.Reason = f.without(e, out)
		if near := f.nearest(string(e.Source), e.Time, session.MaxTime); near != nil &&
			x.Decision == decisionUnattached {
			gap := near.distance(e.Time)
			x.GapMs, x.JudgedBy = &gap, f.judge(near, e)
		}
		return x
	}
	f.within(x, e, out)
	return x
}

// without is the decision on an event that gets no session.
func (f *follower) without(e *session.Event, out *session.Outcome) (decision, reason string) {
	switch out.Stamp.Status {
	case session.TooLate:
		return decisionTooLate, ""
	case session.Unattached:
		return decisionUnattached, ""
	case session.Dropped:
		if out.Stamp.Duplicate {
			return decisionDropped, "duplicate"
		}
		return decisionDropped, "rule"
	case session.Bypass:
		if e.Debug {
			return decisionPassed, "debug id"
		}
		return decisionPassed, "ignored"
	}
	if e.Invalid != session.ValidID {
		return decisionNone, "invalid id: " + e.Invalid.String()
	}
	return decisionNone, "no id"
}

// within is the decision on an event that has a session, and notes what the session is now.
func (f *follower) within(x *explained, e *session.Event, out *session.Outcome) {
	stamp := &out.Stamp
	source, uuid := string(e.Source), string(session.AppendUUID(nil, stamp.UUID))
	s := f.session(source, uuid)
	near := s
	if s == nil {
		near = f.nearest(source, e.Time, e.Time)
		s = &followed{
			source: source, index: stamp.Index, id: idValue(stamp.ID), uuid: uuid,
			first: e.Time, last: e.Time, timeoutMs: stamp.TimeoutMs,
		}
		f.sessions = append(f.sessions, s)
	}
	gap, timeout := stamp.GapMs, stamp.TimeoutMs
	if near != nil {
		x.JudgedBy = f.judge(near, e)
		if stamp.Start {
			gap = near.distance(e.Time)
		}
		if stamp.Reason == session.ReasonInactivity && f.reaches(x.JudgedBy, gap) {
			x.Closed = near.ended // by a rule or an earlier split: its timeout had no say
		}
	}
	if near != nil || !stamp.Start {
		x.GapMs = &gap
	}
	x.TimeoutMs = &timeout
	x.Session = s.json()
	x.Session.Start, x.Session.EventIndex = stamp.Start, stamp.EventIndex
	x.Decision, x.Reason = decisionOf(stamp, out.Notes)
	if x.Decision == decisionMerged {
		for i := range out.Before {
			if into := &out.Before[i]; into.Reason == session.ReasonMerged {
				x.Merged = append(x.Merged, into.Session.Index)
				s.first, s.last = min(s.first, into.Session.First), max(s.last, into.Session.Last)
				absorbed := string(session.AppendUUID(nil, into.Session.UUID))
				if other := f.session(source, absorbed); other != nil {
					s.events += other.events
				}
			}
		}
	}
	if x.Decision != decisionAttached && x.Decision != decisionDuplicate {
		s.first, s.last = min(s.first, e.Time), max(s.last, e.Time)
		s.timeoutMs, s.isOpen = stamp.TimeoutMs, true
		s.events++
	}
}

// judge is the timeout that judges the gap between a session and an event, as configured: the
// session's for an event behind it, the event's for one ahead of it. Nil: none does, since the
// event goes by its client's id.
func (f *follower) judge(s *followed, e *session.Event) *session.Millis {
	rules := f.engine.rules
	if rules.Mode == session.Adopt && !e.Client.IsZero() {
		return nil
	}
	timeout := s.timeoutMs
	if e.Time < s.first {
		timeout = rules.TimeoutOf(e)
	}
	return &timeout
}

// reaches reports whether a gap is one that a timeout bridges.
func (f *follower) reaches(timeout *session.Millis, gap session.Millis) bool {
	return timeout != nil && (gap < *timeout || gap == *timeout && !f.engine.rules.BoundaryAt)
}

// decisionOf is what happened to an event that has a session.
func decisionOf(stamp *session.Stamp, notes session.Notes) (decision, reason string) {
	switch {
	case stamp.Duplicate:
		return decisionDuplicate, ""
	case notes&session.NoteAttached != 0:
		return decisionAttached, ""
	case stamp.Start:
		return decisionOpened, stamp.Reason.String()
	case notes&session.NoteMerged != 0:
		return decisionMerged, ""
	case notes&session.NoteResumed != 0:
		return decisionResumed, ""
	}
	return decisionJoined, ""
}

// nearest returns the session nearest to a time, of those that began at most at before; nil: none.
func (f *follower) nearest(source string, t, before session.Time) *followed {
	var nearest *followed
	for _, s := range f.sessions {
		if s.source != source || s.isMerged || s.first > before {
			continue
		}
		if nearest == nil || s.distance(t) <= nearest.distance(t) {
			nearest = s
		}
	}
	return nearest
}

func (s *followed) distance(t session.Time) session.Millis {
	return session.Millis(max(s.first-t, t-s.last, 0))
}
