package session

// How scenarios print what became of an event.

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

const scenarioColumn = 34

func (k *keyFeed) printf(left, format string, args ...any) {
	right := fmt.Sprintf(format, args...)
	if len(left) > scenarioColumn && right != "" {
		left += "\n" + strings.Repeat(" ", scenarioColumn)
	}
	line := fmt.Sprintf("%-*s %s", scenarioColumn, left, right)
	k.printed.WriteString(strings.TrimRight(line, " ") + "\n")
}

func (k *keyFeed) print(line string, e *Event) {
	k.printEnded(k.out.Before)
	for i := range k.out.Begun {
		k.printf("", "%s", k.begunText(&k.out.Begun[i]))
	}
	switch stamp := &k.out.Stamp; {
	case k.out.Dead != DeadNone:
		k.printf(line, "dead letter: %s", k.out.Dead)
	case stamp.Status != InSession:
		text := strings.ReplaceAll(stamp.Status.String(), "_", " ")
		if stamp.Duplicate && stamp.Status != Dropped {
			text += " duplicate"
		}
		k.printf(line, "%s", text)
	default:
		k.printf(line, "%s", k.stampText(stamp))
	}
	k.printEnded(k.out.After)
	if k.show["notes"] {
		for n := Notes(1); n < NotesEnd; n <<= 1 {
			if k.out.Notes&n != 0 {
				k.printf("", "counted: %s", n)
			}
		}
	}
}

func (k *keyFeed) stampText(stamp *Stamp) string {
	text := fmt.Sprintf("#%d", stamp.Index)
	if stamp.Start {
		text += " start"
		if k.show["reason"] {
			text += " reason=" + stamp.Reason.String()
		}
	}
	if stamp.Late {
		text += " late"
	}
	if stamp.Clamped {
		text += " clamped"
	}
	if stamp.Duplicate {
		text += " duplicate"
	} else if stamp.EventIndex == 0 {
		text += " attached"
	}
	if k.show["id"] {
		text += " id=" + k.idText(stamp.ID)
		if stamp.Server {
			text += " (server)"
		}
	}
	if k.show["uuid"] {
		text += " uuid=" + string(AppendUUID(nil, stamp.UUID))
	}
	if k.show["event_index"] {
		text += fmt.Sprintf(" event=%d", stamp.EventIndex)
	}
	if k.show["previous"] {
		text += " previous=" + k.idText(stamp.Previous)
	}
	if k.show["gap"] {
		text += " gap=" + millisText(stamp.GapMs)
	}
	if k.show["timeout"] {
		text += " timeout=" + millisText(stamp.TimeoutMs)
	}
	if k.show["started"] {
		text += " started=" + k.timeText(stamp.StartedAt)
	}
	if k.show["campaign"] {
		text += " campaign=" + cmp.Or(string(stamp.Campaign), "-")
	}
	return text
}

func (k *keyFeed) printEnded(ended []Ended) {
	for i := range ended {
		k.printf("", "%s", k.endedText(&ended[i]))
	}
}

func (k *keyFeed) begunText(e *Ended) string {
	x := &e.Session
	text := fmt.Sprintf("began #%d %s..%s events=%d %s", x.Index, k.timeText(x.First),
		k.timeText(x.Last), x.Events, e.Reason)
	if e.Revision > 0 {
		text += fmt.Sprintf(" revision=%d", e.Revision)
	}
	if k.show["id"] {
		text += " id=" + k.idText(x.ID)
	}
	return text
}

func (k *keyFeed) endedText(e *Ended) string {
	x := &e.Session
	text := fmt.Sprintf("ended #%d %s..%s events=%d %s", x.Index, k.timeText(x.First),
		k.timeText(x.Last), x.Events, e.Reason)
	if !e.MergedInto.IsZero() {
		text += " into " + k.idText(e.MergedInto)
	}
	if e.Revision > 1 {
		text += fmt.Sprintf(" revision=%d", e.Revision)
	}
	if k.show["id"] {
		text += " id=" + k.idText(x.ID)
	}
	if k.show["counts"] {
		text += fmt.Sprintf(" pages=%d screens=%d tracks=%d late=%d", x.Pages, x.Screens, x.Tracks,
			x.Late)
	}
	if k.show["attached"] {
		text += fmt.Sprintf(" attached=%d duplicates=%d", x.Attached, x.Duplicates)
	}
	if k.show["collected"] {
		text += contentsText(x)
	}
	if k.show["active"] {
		text += fmt.Sprintf(" duration=%s active=%s", millisText(e.DurationMs()),
			millisText(x.ActiveMs))
	}
	if k.show["amendable"] {
		until := "never"
		if e.AmendableUntil != NoTime {
			until = k.timeText(e.AmendableUntil)
		}
		text += " amendable=" + until
	}
	if k.show["events"] {
		text += fmt.Sprintf(" events %s@%d..%s@%d", x.FirstEvent, x.FirstOffset, x.LastEvent,
			x.LastOffset)
	}
	if k.show["users"] {
		text += fmt.Sprintf(" users %s..%s", cmp.Or(string(x.FirstUser.Bytes), "-"),
			cmp.Or(string(x.LastUser.Bytes), "-"))
	}
	if k.show["timeout"] {
		text += " timeout=" + millisText(x.Timeout)
	}
	return text
}

// contentsText prints what a session collected.
func contentsText(x *Session) string {
	text := ""
	for _, c := range []struct {
		name string
		text Text
	}{
		{"entry", x.Entry}, {"exit", x.Exit}, {"campaign", x.Campaign}, {"referrer", x.Referrer},
		{"context", x.Context},
	} {
		if len(c.text.Bytes) > 0 {
			text += fmt.Sprintf(" %s=%s", c.name, c.text.Bytes)
		}
	}
	if x.Foreground+x.Background > 0 {
		text += fmt.Sprintf(" foreground=%d background=%d", x.Foreground, x.Background)
	}
	return text
}

// idText prints small numbers as they are and ids made of a time as that time.
func (k *keyFeed) idText(id ID) string {
	switch {
	case id.IsZero():
		return "none"
	case len(id.Text) > 0:
		return string(id.Text)
	case id.Int >= int64(k.day-100*Time(day)) && id.Int < int64(k.day+100*Time(day)):
		return k.timeText(Time(id.Int))
	default:
		return strconv.FormatInt(id.Int, 10)
	}
}

func (k *keyFeed) timeText(at Time) string {
	days := (at - k.day) / Time(day)
	rest := (at - k.day) % Time(day)
	if rest < 0 {
		days, rest = days-1, rest+Time(day)
	}
	text := fmt.Sprintf("%02d:%02d:%02d", rest/3600_000, rest/60_000%60, rest/1000%60)
	if rest%1000 != 0 {
		text += fmt.Sprintf(".%03d", rest%1000)
	}
	if days != 0 {
		text += fmt.Sprintf("%+dd", days)
	}
	return text
}

func millisText(m Millis) string {
	for _, unit := range units[1:] {
		if m != 0 && m%unit.length == 0 {
			return fmt.Sprintf("%d%s", m/unit.length, unit.name)
		}
	}
	return fmt.Sprintf("%dms", m)
}
