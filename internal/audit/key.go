package audit

import (
	"cmp"
	"slices"
	"time"
)

// key is what the log says of one key. It is the semantics once more, as plainly as they can be
// told, over what the events come to; where the output says otherwise, one of them is wrong.
type key struct {
	f         *form
	sessions  []*session // retained
	left      []*session // forgotten and merged away, oldest first; as many as are remembered
	count     int64
	maxServer int64
	stamped   *session
	forgotten int64
	messages  []string // the message ids that deduplication looks at

	// lost: the key's past is not in the log, or the output went its own way. What follows is then
	// held against itself only.
	lost  bool
	alone map[string]*thread // by id, once it is lost

	after   []*visit // what must come behind the last event
	waiting []*fact  // visits that were decided behind the last event
}

func newKey(f *form) *key { return &key{f: f, forgotten: noTime} }

func (f *form) isMidnightBetween(first, last int64) bool {
	if f.Midnight == nil {
		return false
	}
	day := func(ms int64) string { return time.UnixMilli(ms).In(f.Midnight).Format(time.DateOnly) }
	return day(first) != day(last)
}

func (k *key) live() *session {
	var live *session
	for _, s := range k.sessions {
		switch {
		case live == nil || s.last.ms > live.last.ms:
			live = s
		case s.last.ms < live.last.ms || live == k.stamped:
		case s == k.stamped || s.last.offset > live.last.offset:
			live = s
		}
	}
	return live
}

// isLate reports whether another session has later events.
func (k *key) isLate(s *session) bool {
	return slices.ContainsFunc(k.sessions, func(o *session) bool { return o.last.ms > s.last.ms })
}

// dueAt returns the sessions whose visits a tick watermark ends, in the order of their records.
func (k *key) dueAt(watermark int64) []*session {
	var due []*session
	for _, s := range k.sessions {
		if s.open && watermark > k.f.due(s) {
			due = append(due, s)
		}
	}
	slices.SortFunc(due, func(a, b *session) int {
		return cmp.Or(cmp.Compare(k.f.expiry(a), k.f.expiry(b)), cmp.Compare(a.index, b.index))
	})
	return due
}

// leave takes a session out of the retained ones.
func (k *key) leave(s *session) {
	k.sessions = slices.DeleteFunc(k.sessions, func(o *session) bool { return o == s })
	if s.into == "" {
		k.forgotten = max(k.forgotten, k.f.activeUntil(s))
	}
	if k.f.IDs == "assign" {
		return
	}
	k.left = append(k.left, s)
	if excess := len(k.left) - k.f.Remembered; excess > 0 {
		k.left = slices.Clone(k.left[excess:])
	}
}

// forget drops what is no longer retained, and everything once the retention is over.
func (k *key) forget(watermark int64) {
	live := k.live()
	var over []*session
	for _, s := range k.sessions {
		if s != live && watermark > k.f.activeUntil(s)+k.f.LatenessMs {
			over = append(over, s)
		}
	}
	slices.SortFunc(over, func(a, b *session) int {
		return cmp.Or(cmp.Compare(k.f.activeUntil(a), k.f.activeUntil(b)), cmp.Compare(a.index, b.index))
	})
	for _, s := range over {
		k.leave(s)
	}
	if k.isGone(watermark) {
		*k = key{f: k.f, forgotten: noTime, after: k.after, waiting: k.waiting}
	}
}

func (k *key) isGone(watermark int64) bool {
	until := k.forgotten
	for _, s := range k.sessions {
		until = max(until, k.f.activeUntil(s))
	}
	return until != noTime && watermark > until+k.f.RetentionMs
}

// named follows an id to the session that its events go to now: retained, or, if they may resume
// it, forgotten.
func (k *key) named(id string, resumes bool) *session {
	for _, s := range k.sessions {
		if s.id == id {
			return s
		}
	}
	var found *session
	for range k.left {
		s := k.inHistory(id)
		if s == nil {
			break
		}
		if found = s; s.into == "" {
			break
		}
		id = s.into
		for _, r := range k.sessions {
			if r.id == id {
				return r
			}
		}
	}
	if found != nil && resumes {
		k.resume(found)
		return found
	}
	return nil
}

// inHistory is the newest of an id among those that are remembered.
func (k *key) inHistory(id string) *session {
	for _, s := range slices.Backward(k.left) {
		if s.id == id {
			return s
		}
	}
	return nil
}

func (k *key) resume(s *session) {
	k.left = slices.DeleteFunc(slices.Clone(k.left), func(o *session) bool { return o == s })
	s.into = ""
	k.sessions = append(k.sessions, s)
}

func (k *key) wasGiven(id string) bool {
	return k.inHistory(id) != nil ||
		slices.ContainsFunc(k.sessions, func(s *session) bool { return s.id == id })
}

// isDuplicate reports whether deduplication knows the event's message id.
func (k *key) isDuplicate(e *fact) bool {
	if k.f.DedupeLast == 0 || e.message == "" || isOnlySpace(e.message) {
		return false
	}
	return slices.Contains(k.messages[max(0, len(k.messages)-k.f.DedupeLast):], e.message)
}

// keepMessage makes an event's message id the newest. A key without sessions keeps none.
func (k *key) keepMessage(e *fact) {
	if k.f.DedupeLast == 0 || e.message == "" || isOnlySpace(e.message) || k.count == 0 {
		return
	}
	k.messages = append(k.messages, e.message)
	if excess := len(k.messages) - k.f.DedupeLast; excess > 0 {
		k.messages = slices.Clone(k.messages[excess:])
	}
}

// isTooLate is what decide would find of an event that becomes a dead letter for it; nothing was
// changed.
func (k *key) isTooLate(e *fact, watermark int64) bool {
	switch {
	case e.ms+k.f.LatenessMs >= watermark || e.class != "start",
		k.clientOf(e) != "" || k.getsNone(e):
		return false
	case k.isGone(watermark):
		return true
	case k.isDuplicate(e):
		return false
	}
	live := k.live()
	return !slices.ContainsFunc(k.sessions, func(s *session) bool {
		if s != live && watermark > k.f.activeUntil(s)+k.f.LatenessMs {
			return false
		}
		o := k.f.obstacle(s, e, "")
		return o != "far" && o != "user_change"
	})
}
