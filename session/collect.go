package session

import "bytes"

// becomeAbsorbed makes x its own last record: everything it counted is the survivor's now. The
// events that carry its id stay numbered.
func (x *Session) becomeAbsorbed() {
	x.Revision++
	x.Open = false
	x.ActiveMs = 0
	x.Events = 0
	for _, c := range x.counters() {
		*c.count = 0
	}
}

// absorb adds what y counted and collected to x, which has the earlier first, and takes over the
// narrower bounds.
func (x *Session) absorb(y *Session) {
	x.Events += y.Events
	counts := y.counters()
	for i, c := range x.counters() {
		*c.count += *counts[i].count
	}
	if y.First == x.First && y.FirstOffset < x.FirstOffset {
		x.FirstOffset, x.FirstEvent = y.FirstOffset, y.FirstEvent
	}
	if y.Last > x.Last || y.Last == x.Last && y.LastOffset > x.LastOffset {
		x.Last, x.LastOffset, x.LastEvent = y.Last, y.LastOffset, y.LastEvent
		x.Timeout, x.MaxDuration = y.Timeout, y.MaxDuration
	}
	x.FirstUser.takeEarlier(&y.FirstUser)
	x.LastUser.takeLater(&y.LastUser)
	x.Entry.takeEarlier(&y.Entry)
	x.Exit.takeLater(&y.Exit)
	x.Campaign.takeEarlier(&y.Campaign)
	x.Referrer.takeEarlier(&y.Referrer)
	x.Context.takeEarlier(&y.Context)
	x.Foreground += y.Foreground
	x.Background += y.Background
	x.NotBefore = max(x.NotBefore, y.NotBefore)
	if y.NotAfter < x.NotAfter {
		// The bound keeps the reason it was drawn for.
		x.NotAfter, x.EndReason = y.NotAfter, y.EndReason
	}
}

func (t *Text) takeEarlier(other *Text) {
	if len(other.Bytes) == 0 {
		return
	}
	if len(t.Bytes) == 0 || other.Time < t.Time || other.Time == t.Time && other.Offset < t.Offset {
		*t = *other
	}
}

func (t *Text) takeLater(other *Text) {
	if len(other.Bytes) == 0 {
		return
	}
	if len(t.Bytes) == 0 || other.Time > t.Time || other.Time == t.Time && other.Offset >= t.Offset {
		*t = *other
	}
}

// take adds an event to the session. An absorbed session that carries on by itself has no events:
// its times are those of the record it had.
func (s *State) take(x *Session, e *Event, timeout, maxDuration Millis, watermark Time) {
	isOnly := x.Events == 0 && !x.Started
	isFirst, isLast := isOnly || e.Time < x.First, isOnly || e.Time >= x.Last
	var message []byte
	if isFirst || isLast {
		message = s.own(e.MessageID)
	}
	if isFirst {
		x.First, x.FirstOffset, x.FirstEvent = e.Time, e.Offset, message
	}
	if isLast {
		x.Last, x.LastOffset, x.LastEvent = e.Time, e.Offset, message
		x.Timeout, x.MaxDuration = timeout, maxDuration
	}
	if len(e.UserID) > 0 {
		user := Text{Bytes: x.LastUser.Bytes, Time: e.Time, Offset: e.Offset}
		if !bytes.Equal(user.Bytes, e.UserID) {
			user.Bytes = s.own(e.UserID)
		}
		x.FirstUser.takeEarlier(&user)
		x.LastUser.takeLater(&user)
	}
	s.collect(x, e)
	x.Events++
	x.EventIndex++
	switch e.Kind {
	case KindPage:
		x.Pages++
	case KindScreen:
		x.Screens++
	case KindTrack:
		x.Tracks++
	}
	x.Changed = watermark
	x.Open = true
}

// collect takes over what else the event says, by its time.
func (s *State) collect(x *Session, e *Event) {
	if len(e.Place) > 0 {
		place := Text{Bytes: s.own(e.Place), Time: e.Time, Offset: e.Offset}
		x.Entry.takeEarlier(&place)
		x.Exit.takeLater(&place)
	}
	if d := e.Details; d != nil {
		if x.Referrer.lacks(e) {
			x.Referrer.fill(e, s.own(d.Referrer()))
		}
		if x.Campaign.lacks(e) {
			x.Campaign.fill(e, s.own(d.Campaign()))
		}
		if x.Context.lacks(e) {
			x.Context.fill(e, s.own(d.Context()))
		}
	}
	switch e.Lifecycle {
	case LifecycleForeground:
		x.Foreground++
	case LifecycleBackground:
		x.Background++
	}
}

// lacks reports whether the text would be the event's, if it has one: whether to ask for it.
func (t *Text) lacks(e *Event) bool {
	return len(t.Bytes) == 0 || e.Time < t.Time || e.Time == t.Time && e.Offset < t.Offset
}

func (t *Text) fill(e *Event, text []byte) {
	if len(text) > 0 {
		*t = Text{Bytes: text, Time: e.Time, Offset: e.Offset}
	}
}
