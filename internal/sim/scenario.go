package sim

import (
	"fmt"
	"strings"
	"time"

	"sessionizer/session"
)

// keyError is a decision about a key that the oracle does not share.
type keyError struct {
	anonymousID string
	offset      int64 // of the event, or of the next one
	err         error
}

func (e *keyError) Error() string { return e.err.Error() }
func (e *keyError) Unwrap() error { return e.err }

// scenario tells a key's story up to an offset as the scenario files of package session do: there
// it can be tried without any of what is around it. What is wrong in the run need not be in it.
func (w *world) scenario(id int32, about *keyError) string {
	var b strings.Builder
	fmt.Fprintf(&b, "feed %s\n", strings.Join(w.set.arguments(), " "))
	for i := range w.set.rules.Effects {
		fmt.Fprintf(&b, "rule r%d %s\n", i+1, effectWords(&w.set.rules.Effects[i]))
	}
	ticks := w.broker.ticks[id]
	latest, told := session.NoTime, session.NoTime
	log := w.broker.input[id]
	catchUp := func() {
		if latest > told {
			fmt.Fprintf(&b, "other %s\n", clockText(latest))
			told = latest
		}
	}
	log.committed(0, about.offset+1, func(e *entry) bool {
		for ; len(ticks) > 0 && ticks[0].next <= e.offset; ticks = ticks[1:] {
			if at := session.Time(ticks[0].tick); at > latest-session.Time(w.set.rules.OutOfOrder) {
				fmt.Fprintf(&b, "idle %s\n", clockText(at))
			}
		}
		if e.marker || e.value == nil {
			return true
		}
		s := &w.sent[id][e.offset]
		if s.bad != "" || s.big {
			return true
		}
		if string(s.event.AnonymousID) == about.anonymousID {
			catchUp()
			fmt.Fprintf(&b, "%s\n", eventText(&s.event))
			told = max(told, s.event.Time)
		}
		latest = max(latest, s.event.Time)
		return true
	})
	catchUp()
	return b.String() + "----\n"
}

// arguments are the settings as words of a scenario.
func (s *settings) arguments() []string {
	r := &s.rules
	all := []string{
		"mode=" + [...]string{"adopt", "assign", "enforce"}[r.Mode],
		fmt.Sprintf("timeout=%dms", r.Timeout), fmt.Sprintf("mobile=%dms", r.MobileTimeout),
		fmt.Sprintf("out_of_order=%dms", r.OutOfOrder), fmt.Sprintf("lateness=%dms", r.Lateness),
		fmt.Sprintf("retention=%dms", r.Retention), fmt.Sprintf("retained=%d", r.Retained),
		fmt.Sprintf("remembered=%d", r.Remembered),
	}
	var splits []string
	for _, x := range []struct {
		is         bool
		word, list string
	}{
		{r.SplitClientStart, "", "client_start"}, {r.SplitUserChange, "", "user_change"},
		{r.BoundaryAt, "boundary=at", ""}, {r.Started, "visits=started", ""},
		{r.Midnight != nil, "midnight=UTC", ""},
		{r.OnMissing == session.MissingNone, "on_missing=none", ""},
		{r.OnInvalid == session.InvalidStrip, "on_invalid=strip", ""},
		{r.OnInvalid == session.InvalidDeadLetter, "on_invalid=dead_letter", ""},
		{r.TooLate == session.TooLateDeadLetter, "too_late=dead_letter", ""},
		{r.MaxEvents > 0, fmt.Sprintf("max_events=%d", r.MaxEvents), ""},
		{r.MaxDuration > 0, fmt.Sprintf("max_duration=%dms", r.MaxDuration), ""},
		{r.DedupeLast > 0 && !r.DedupeDrop, fmt.Sprintf("dedupe=%d", r.DedupeLast), ""},
		{r.DedupeLast > 0 && r.DedupeDrop, fmt.Sprintf("dedupe=(%d,drop)", r.DedupeLast), ""},
	} {
		switch {
		case x.is && x.list != "":
			splits = append(splits, x.list)
		case x.is:
			all = append(all, x.word)
		}
	}
	return append(all, "splits=("+strings.Join(splits, ",")+")", "show=(id,reason,notes)")
}

func effectWords(e *session.Effect) string {
	var words []string
	if e.Timeout > 0 {
		words = append(words, fmt.Sprintf("timeout=%dms", e.Timeout))
	}
	if e.MaxDuration > 0 {
		words = append(words, fmt.Sprintf("max_duration=%dms", e.MaxDuration))
	}
	if e.Class != session.ClassStart {
		words = append(words, e.Class.String())
	}
	for _, x := range []struct {
		is   bool
		word string
	}{{e.Start, "start"}, {e.End, "end"}, {e.Drop, "drop"}} {
		if x.is {
			words = append(words, x.word)
		}
	}
	return strings.Join(words, " ")
}

// clockText is a time as scenarios write it, whose day is day0.
func clockText(t session.Time) string {
	at := time.UnixMilli(int64(t)).UTC()
	text := at.Format("15:04:05.000")
	days := at.Truncate(24*time.Hour).Sub(time.UnixMilli(int64(day0))) / (24 * time.Hour)
	if days != 0 {
		text += fmt.Sprintf("%+dd", days)
	}
	return text
}

func eventText(e *session.Event) string {
	words := []string{clockText(e.Time), [...]string{"identify", "page", "screen", "track"}[e.Kind]}
	if e.Client.Int != 0 {
		words = append(words, fmt.Sprintf("#%d", e.Client.Int))
	}
	if e.Start {
		words = append(words, "S")
	}
	if e.Mobile {
		words = append(words, "mobile")
	}
	if e.UserID != nil {
		words = append(words, "user="+string(e.UserID))
	}
	if e.Invalid != session.ValidID {
		words = append(words, "bad="+e.Invalid.String())
	}
	if e.Rule > 0 {
		words = append(words, fmt.Sprintf("r%d", e.Rule))
	}
	return strings.Join(append(words, "message="+string(e.MessageID)), " ")
}
