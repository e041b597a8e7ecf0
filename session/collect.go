package session

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
func (x *Session) take(e *Event, timeout, maxDuration Millis, watermark Time) {
	isFirst := x.Events == 0 && !x.Started
	if isFirst || e.Time < x.First {
		x.First, x.FirstOffset, x.FirstEvent = e.Time, e.Offset, e.MessageID
	}
	if isFirst || e.Time >= x.Last {
		x.Last, x.LastOffset, x.LastEvent = e.Time, e.Offset, e.MessageID
		x.Timeout, x.MaxDuration = timeout, maxDuration
	}
	if len(e.UserID) > 0 {
		user := Text{Bytes: e.UserID, Time: e.Time, Offset: e.Offset}
		x.FirstUser.takeEarlier(&user)
		x.LastUser.takeLater(&user)
	}
	x.collect(e)
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
func (x *Session) collect(e *Event) {
	if len(e.Place) > 0 {
		place := Text{Bytes: e.Place, Time: e.Time, Offset: e.Offset}
		x.Entry.takeEarlier(&place)
		x.Exit.takeLater(&place)
	}
	if d := e.Details; d != nil {
		if x.Referrer.lacks(e) {
			x.Referrer.fill(e, d.Referrer())
		}
		if x.Campaign.lacks(e) {
			x.Campaign.fill(e, d.Campaign())
		}
		if x.Context.lacks(e) {
			x.Context.fill(e, d.Context())
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
