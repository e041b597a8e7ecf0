package schemas

import (
	"bytes"
	"strconv"

	"sessionizer/session"
)

// Origin says where a visit's record comes from.
type Origin struct {
	Topic     string
	Partition int32
	DecidedAt int64 // the next input offset when it was decided
}

// AppendEnded appends a Visit Ended record: one JSON object, without white space. Times are RFC
// 3339, UTC, with milliseconds; durations are milliseconds. With Config.VisitsFormat it is a record
// of visit.avsc.
//
// Members with nothing to say are left out: userId (the last known user), firstUserId (the first
// one, where it is another), source, session.previousId, mergedInto, amendableUntil, firstEventId,
// lastEventId, foregroundIndex, backgroundIndex, entry, exit, campaign, referrer, context. The
// counts are always all there.
func (c *Codec) AppendEnded(dst, source, anonymousID []byte, e *session.Ended, o Origin) []byte {
	return c.appendVisit(dst, &c.visits.ended, source, anonymousID, e, o)
}

// AppendStarted appends a Visit Started record, which has the form of Visit Ended: e is of
// Outcome.Begun, with revision 0, the reason of the opening and no AmendableUntil.
func (c *Codec) AppendStarted(dst, source, anonymousID []byte, e *session.Ended, o Origin) []byte {
	return c.appendVisit(dst, &c.visits.started, source, anonymousID, e, o)
}

// appendVisit appends a record about a visit, which begins with the head.
func (c *Codec) appendVisit(dst []byte, head *visitHead, source, anonymousID []byte,
	e *session.Ended, o Origin) []byte {
	if c.visits.isAvro {
		return c.appendVisitAvro(dst, head, source, anonymousID, e, o)
	}
	s := &e.Session
	dst = append(dst, head.text...)
	dst = append(dst, `,"messageId":"`...)
	dst = session.AppendUUID(dst, s.UUID)
	dst = append(dst, '-')
	dst = strconv.AppendUint(dst, uint64(e.Revision), 10)
	dst = append(dst, `","anonymousId":`...)
	dst = appendText(dst, anonymousID)
	dst = appendTextMember(dst, `,"userId":`, s.LastUser.Bytes)
	if !bytes.Equal(s.FirstUser.Bytes, s.LastUser.Bytes) {
		dst = appendTextMember(dst, `,"firstUserId":`, s.FirstUser.Bytes)
	}
	dst = appendTextMember(dst, `,"source":`, source)
	dst = append(dst, `,"session":{"id":`...)
	dst = appendID(dst, s.ID)
	dst = append(dst, `,"uuid":`...)
	dst = appendUUIDText(dst, &s.UUID)
	dst = appendIntMember(dst, `,"index":`, s.Index)
	dst = appendIDMember(dst, `,"previousId":`, s.Previous)
	dst = append(dst, `},"reason":`...)
	dst = appendText(dst, e.Reason.String())
	dst = appendIntMember(dst, `,"revision":`, e.Revision)
	dst = appendIDMember(dst, `,"mergedInto":`, e.MergedInto)
	dst = append(dst, `,"startedAt":`...)
	dst = appendTimeText(dst, s.First)
	dst = append(dst, `,"endedAt":`...)
	dst = appendTimeText(dst, s.Last)
	dst = appendIntMember(dst, `,"durationMs":`, e.DurationMs())
	dst = appendIntMember(dst, `,"activeMs":`, s.ActiveMs)
	dst = appendIntMember(dst, `,"timeoutMs":`, s.Timeout)
	if e.AmendableUntil != session.NoTime {
		dst = append(dst, `,"amendableUntil":`...)
		dst = appendTimeText(dst, min(e.AmendableUntil, session.TimeMax))
	}
	dst = appendCounts(dst, s)
	dst = appendCollected(dst, s)
	dst = appendOrigin(dst, s, o)
	return append(c.visits.append(dst, anonymousID, s), '}')
}

// appendCollected appends what the session has collected. The texts that are JSON stay as they are.
func appendCollected(dst []byte, s *session.Session) []byte {
	if s.Foreground != 0 {
		dst = appendIntMember(dst, `,"foregroundIndex":`, s.Foreground)
	}
	if s.Background != 0 {
		dst = appendIntMember(dst, `,"backgroundIndex":`, s.Background)
	}
	dst = appendTextMember(dst, `,"firstEventId":`, s.FirstEvent)
	dst = appendTextMember(dst, `,"lastEventId":`, s.LastEvent)
	dst = appendJSONMember(dst, `,"entry":`, s.Entry.Bytes)
	dst = appendJSONMember(dst, `,"exit":`, s.Exit.Bytes)
	dst = appendJSONMember(dst, `,"campaign":`, s.Campaign.Bytes)
	dst = appendJSONMember(dst, `,"referrer":`, s.Referrer.Bytes)
	return appendJSONMember(dst, `,"context":`, s.Context.Bytes)
}

func appendOrigin(dst []byte, s *session.Session, o Origin) []byte {
	dst = append(dst, `,"origin":{"topic":`...)
	dst = appendText(dst, o.Topic)
	dst = appendIntMember(dst, `,"partition":`, o.Partition)
	dst = appendIntMember(dst, `,"firstOffset":`, s.FirstOffset)
	dst = appendIntMember(dst, `,"lastOffset":`, s.LastOffset)
	dst = appendIntMember(dst, `,"decidedAt":`, o.DecidedAt)
	return append(dst, '}')
}

func appendCounts(dst []byte, s *session.Session) []byte {
	dst = appendIntMember(dst, `,"counts":{"events":`, s.Events)
	dst = appendIntMember(dst, `,"pages":`, s.Pages)
	dst = appendIntMember(dst, `,"screens":`, s.Screens)
	dst = appendIntMember(dst, `,"tracks":`, s.Tracks)
	dst = appendIntMember(dst, `,"late":`, s.Late)
	dst = appendIntMember(dst, `,"duplicates":`, s.Duplicates)
	dst = appendIntMember(dst, `,"attached":`, s.Attached)
	return append(dst, '}')
}

func appendTextMember(dst []byte, label string, text []byte) []byte {
	if len(text) == 0 {
		return dst
	}
	return appendText(append(dst, label...), text)
}

func appendJSONMember(dst []byte, label string, text []byte) []byte {
	if len(text) == 0 {
		return dst
	}
	return append(append(dst, label...), text...)
}

func appendIDMember(dst []byte, label string, id session.ID) []byte {
	if id.IsZero() {
		return dst
	}
	return appendID(append(dst, label...), id)
}

func appendIntMember[T ~int32 | ~uint32 | ~int64 | ~uint64](dst []byte, label string, n T) []byte {
	dst = append(dst, label...)
	if n < 0 {
		return strconv.AppendInt(dst, int64(n), 10)
	}
	return strconv.AppendUint(dst, uint64(n), 10)
}
