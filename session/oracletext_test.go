package session

// What the oracle and the machine say, in the same words.

import (
	"fmt"
	"strings"
)

func (o *oracle) end(x *oracleSession, reason Reason, list *[]string) {
	x.revision++
	x.isOpen = false
	until := o.until(x) + Time(o.rules.Lateness)
	*list = append(*list, x.text(o, reason.String(), x.revision, fmt.Sprint(until)))
}

func (x *oracleSession) text(o *oracle, reason string, revision int, until string) string {
	kinds := map[Kind]int{}
	for _, e := range x.events {
		kinds[e.Kind]++
	}
	return fmt.Sprintf("%s #%d %s rev=%d %d..%d events=%d/%d kinds=%d/%d/%d late=%d attached=%d "+
		"duplicates=%d active=%d timeout=%d amendable=%s", x.id, x.index, reason, revision,
		x.first().Time, x.lastEvent().Time, len(x.events), x.carried, kinds[KindPage],
		kinds[KindScreen], kinds[KindTrack], x.late, x.attached, x.duplicates, x.active, x.timeout(o),
		until) + x.collectedText()
}

func (x *oracleSession) collectedText() string {
	foreground, background := 0, 0
	for _, e := range x.events {
		switch e.Lifecycle {
		case LifecycleForeground:
			foreground++
		case LifecycleBackground:
			background++
		}
	}
	first, last := x.first(), x.lastEvent()
	place := func(e Event) []byte { return e.Place }
	return fmt.Sprintf(" users=%s..%s ids=%s@%d..%s@%d previous=%s places=%s..%s campaign=%s "+
		"referrer=%s context=%s foreground=%d/%d", x.firstOf(user), x.lastOf(user), first.MessageID,
		first.Offset, last.MessageID, last.Offset, x.previous, x.firstOf(place), x.lastOf(place),
		x.firstOf(campaign), x.firstOf(func(e Event) []byte { return detailsOf(&e).referrer }),
		x.firstOf(func(e Event) []byte { return detailsOf(&e).context }), foreground, background)
}

func (o *oracle) withdraw(x, into *oracleSession) {
	x.revision++
	x.isOpen = false
	o.before = append(o.before, fmt.Sprintf("%s #%d merged rev=%d %d..%d into=%s events=0 active=0 "+
		"duration=0", x.id, x.index, x.revision, x.first().Time, x.lastEvent().Time, into.id)+
		x.collectedText())
}

// endedText prints a record of the machine as the oracle does.
func endedText(e *Ended) string {
	x := &e.Session
	collected := collectedText(x)
	if e.Reason == ReasonMerged {
		counts := x.Events + x.Pages + x.Screens + x.Tracks + x.Late + x.Attached + x.Duplicates
		return fmt.Sprintf("%s #%d merged rev=%d %d..%d into=%s events=%d active=%d duration=%d",
			oracleID(x.ID), x.Index, e.Revision, x.First, x.Last, oracleID(e.MergedInto), counts,
			x.ActiveMs, e.DurationMs()) + collected
	}
	until := ""
	if e.AmendableUntil != NoTime {
		until = fmt.Sprint(e.AmendableUntil)
	}
	return fmt.Sprintf("%s #%d %s rev=%d %d..%d events=%d/%d kinds=%d/%d/%d late=%d attached=%d "+
		"duplicates=%d active=%d timeout=%d amendable=%s", oracleID(x.ID), x.Index, e.Reason, e.Revision,
		x.First, x.Last, x.Events, x.EventIndex, x.Pages, x.Screens, x.Tracks, x.Late, x.Attached,
		x.Duplicates, x.ActiveMs, x.Timeout, until) + collected
}

func collectedText(x *Session) string {
	return fmt.Sprintf(" users=%s..%s ids=%s@%d..%s@%d previous=%s places=%s..%s campaign=%s "+
		"referrer=%s context=%s foreground=%d/%d", x.FirstUser.Bytes, x.LastUser.Bytes,
		x.FirstEvent, x.FirstOffset, x.LastEvent, x.LastOffset, oracleID(x.Previous), x.Entry.Bytes,
		x.Exit.Bytes, x.Campaign.Bytes, x.Referrer.Bytes, x.Context.Bytes, x.Foreground, x.Background)
}

func endedTexts(ended []Ended) []string {
	var texts []string
	for i := range ended {
		texts = append(texts, endedText(&ended[i]))
	}
	return texts
}

// recordsText prints what is produced beside the event.
func recordsText(before, begun, after []string) string {
	return "\nbefore " + strings.Join(before, "\n       ") +
		"\nbegun  " + strings.Join(begun, "\n       ") +
		"\nafter  " + strings.Join(after, "\n       ")
}

func oracleID(id ID) string {
	switch {
	case id.IsZero():
		return ""
	case len(id.Text) > 0:
		return string(id.Text)
	default:
		return fmt.Sprint(id.Int)
	}
}

const oracleStamp = "%s #%d event=%d start=%t %s late=%t gap=%d started=%d timeout=%d " +
	"previous=%s server=%t campaign=%s"

func oracleStampText(out *Outcome) string {
	stamp := &out.Stamp
	if out.Dead != DeadNone {
		return "dead " + out.Dead.String()
	}
	text := stamp.Status.String()
	if stamp.Status == InSession {
		text = fmt.Sprintf(oracleStamp, oracleID(stamp.ID), stamp.Index, stamp.EventIndex, stamp.Start,
			stamp.Reason, stamp.Late, stamp.GapMs, stamp.StartedAt, stamp.TimeoutMs,
			oracleID(stamp.Previous), stamp.Server, stamp.Campaign)
	}
	if stamp.Duplicate && stamp.Status != Dropped {
		text += " duplicate"
	}
	return text
}
