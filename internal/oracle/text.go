package oracle

// What the oracle and the machine say, in the same words.

import (
	"fmt"
	"strings"

	"sessionizer/session"
)

func (o *Oracle) end(x *visit, reason session.Reason, list *[]string) {
	x.revision++
	x.isOpen = false
	until := o.until(x) + session.Time(o.rules.Lateness)
	*list = append(*list, x.text(o, reason.String(), x.revision, fmt.Sprint(until)))
}

func (x *visit) text(o *Oracle, reason string, revision int, until string) string {
	kinds := map[session.Kind]int{}
	for _, e := range x.events {
		kinds[e.Kind]++
	}
	return fmt.Sprintf("%s #%d %s rev=%d %d..%d events=%d/%d kinds=%d/%d/%d late=%d attached=%d "+
		"duplicates=%d active=%d timeout=%d amendable=%s", x.id, x.index, reason, revision,
		x.first().Time, x.lastEvent().Time, len(x.events), x.carried, kinds[session.KindPage],
		kinds[session.KindScreen], kinds[session.KindTrack], x.late, x.attached, x.duplicates, x.active,
		x.timeout(o), until) + x.collectedText()
}

func (x *visit) collectedText() string {
	foreground, background := 0, 0
	for _, e := range x.events {
		switch e.Lifecycle {
		case session.LifecycleForeground:
			foreground++
		case session.LifecycleBackground:
			background++
		}
	}
	first, last := x.first(), x.lastEvent()
	place := func(e session.Event) []byte { return e.Place }
	return fmt.Sprintf(" users=%s..%s ids=%s@%d..%s@%d previous=%s places=%s..%s campaign=%s "+
		"referrer=%s context=%s foreground=%d/%d", x.firstOf(user), x.lastOf(user), first.MessageID,
		first.Offset, last.MessageID, last.Offset, x.previous, x.firstOf(place), x.lastOf(place),
		x.firstOf(campaign), x.firstOf(referrer),
		x.firstOf(context), foreground, background)
}

func (o *Oracle) withdraw(x, into *visit) {
	x.revision++
	x.isOpen = false
	o.Before = append(o.Before, fmt.Sprintf("%s #%d merged rev=%d %d..%d into=%s events=0 active=0 "+
		"duration=0", x.id, x.index, x.revision, x.first().Time, x.lastEvent().Time, into.id)+
		x.collectedText())
}

// EndedText prints a record of the machine as the oracle does.
func EndedText(e *session.Ended) string {
	x := &e.Session
	collected := CollectedText(x)
	if e.Reason == session.ReasonMerged {
		counts := x.Events + x.Pages + x.Screens + x.Tracks + x.Late + x.Attached + x.Duplicates
		return fmt.Sprintf("%s #%d merged rev=%d %d..%d into=%s events=%d active=%d duration=%d",
			IDText(x.ID), x.Index, e.Revision, x.First, x.Last, IDText(e.MergedInto), counts,
			x.ActiveMs, e.DurationMs()) + collected
	}
	until := ""
	if e.AmendableUntil != session.NoTime {
		until = fmt.Sprint(e.AmendableUntil)
	}
	return fmt.Sprintf("%s #%d %s rev=%d %d..%d events=%d/%d kinds=%d/%d/%d late=%d attached=%d "+
		"duplicates=%d active=%d timeout=%d amendable=%s", IDText(x.ID), x.Index, e.Reason, e.Revision,
		x.First, x.Last, x.Events, x.EventIndex, x.Pages, x.Screens, x.Tracks, x.Late, x.Attached,
		x.Duplicates, x.ActiveMs, x.Timeout, until) + collected
}

// CollectedText prints what a session of the machine has collected.
func CollectedText(x *session.Session) string {
	return fmt.Sprintf(" users=%s..%s ids=%s@%d..%s@%d previous=%s places=%s..%s campaign=%s "+
		"referrer=%s context=%s foreground=%d/%d", x.FirstUser.Bytes, x.LastUser.Bytes,
		x.FirstEvent, x.FirstOffset, x.LastEvent, x.LastOffset, IDText(x.Previous), x.Entry.Bytes,
		x.Exit.Bytes, x.Campaign.Bytes, x.Referrer.Bytes, x.Context.Bytes, x.Foreground, x.Background)
}

// EndedTexts prints records, each as EndedText does.
func EndedTexts(ended []session.Ended) []string {
	var texts []string
	for i := range ended {
		texts = append(texts, EndedText(&ended[i]))
	}
	return texts
}

// RecordsText prints what is produced beside the event.
func RecordsText(before, begun, after []string) string {
	return "\nbefore " + strings.Join(before, "\n       ") +
		"\nbegun  " + strings.Join(begun, "\n       ") +
		"\nafter  " + strings.Join(after, "\n       ")
}

// IDText prints an id as it is written; nothing: there is none.
func IDText(id session.ID) string {
	switch {
	case id.IsZero():
		return ""
	case len(id.Text) > 0:
		return string(id.Text)
	default:
		return fmt.Sprint(id.Int)
	}
}

const stampForm = "%s #%d event=%d start=%t %s late=%t gap=%d started=%d timeout=%d " +
	"previous=%s server=%t campaign=%s"

// StampText prints what the machine has decided of an event.
func StampText(out *session.Outcome) string {
	stamp := &out.Stamp
	if out.Dead != session.DeadNone {
		return "dead " + out.Dead.String()
	}
	text := stamp.Status.String()
	if stamp.Status == session.InSession {
		text = fmt.Sprintf(stampForm, IDText(stamp.ID), stamp.Index, stamp.EventIndex, stamp.Start,
			stamp.Reason, stamp.Late, stamp.GapMs, stamp.StartedAt, stamp.TimeoutMs,
			IDText(stamp.Previous), stamp.Server, stamp.Campaign)
	}
	if stamp.Duplicate && stamp.Status != session.Dropped {
		text += " duplicate"
	}
	return text
}

// EventsText prints the session that these events, sorted by time, would be if they were one.
func EventsText(events []session.Event) string {
	x := &visit{events: events}
	return fmt.Sprintf("%d..%d events=%d", x.first().Time, x.lastEvent().Time, len(events)) +
		x.collectedText()
}
