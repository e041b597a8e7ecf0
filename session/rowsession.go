package session

import (
	"encoding/binary"
	"math/bits"
)

// watermarkSpan bounds how far a watermark lies from any event.
const watermarkSpan = TimeMax - TimeMin + Time(DurationMax)

// appendSession appends a session: its flags (uvarint), id, client, uuid, then the fields in the
// order below, each that can be absent only if its flag is set. Times are differences where they
// pair, texts and ids as wire.go says.
func appendSession(dst []byte, x *Session) []byte {
	flags := x.flags()
	dst = binary.AppendUvarint(dst, flags)
	dst = append(dst, x.UUID[:]...)
	dst = appendID(dst, x.ID, &x.UUID, nil)
	dst = appendID(dst, x.Client, &x.UUID, &x.ID)
	dst = appendID(dst, x.Previous, &x.UUID, &x.ID)
	dst = binary.AppendUvarint(dst, uint64(x.Index))
	if flags&hasEndReason != 0 {
		dst = append(dst, byte(x.EndReason))
	}
	if flags&hasRevision != 0 {
		dst = binary.AppendUvarint(dst, uint64(x.Revision))
	}
	dst = binary.AppendVarint(dst, int64(x.First))
	dst = binary.AppendUvarint(dst, uint64(x.Last-x.First))
	dst = binary.AppendVarint(dst, int64(x.Changed-x.Last))
	if flags&hasNotBefore != 0 {
		dst = binary.AppendVarint(dst, int64(x.NotBefore-x.First))
	}
	if flags&hasNotAfter != 0 {
		dst = binary.AppendVarint(dst, int64(x.NotAfter-x.Last))
	}
	dst = binary.AppendUvarint(dst, uint64(x.Timeout))
	if flags&hasMaxDuration != 0 {
		dst = binary.AppendUvarint(dst, uint64(x.MaxDuration))
	}
	if flags&hasActive != 0 {
		dst = binary.AppendUvarint(dst, uint64(x.ActiveMs))
	}
	dst = binary.AppendUvarint(dst, x.Events)
	if flags&hasEventIndex != 0 {
		dst = binary.AppendUvarint(dst, x.EventIndex)
	}
	for _, c := range x.counters() {
		if flags&c.bit != 0 {
			dst = binary.AppendUvarint(dst, *c.count)
		}
	}
	if flags&hasForeground != 0 {
		dst = binary.AppendUvarint(dst, uint64(x.Foreground))
	}
	if flags&hasBackground != 0 {
		dst = binary.AppendUvarint(dst, uint64(x.Background))
	}
	return appendSessionTexts(dst, x, flags)
}

func appendSessionTexts(dst []byte, x *Session, flags uint64) []byte {
	dst = binary.AppendVarint(dst, x.FirstOffset)
	if flags&hasLastOffset != 0 {
		dst = binary.AppendVarint(dst, x.LastOffset-x.FirstOffset)
	}
	if flags&hasFirstEvent != 0 {
		dst = appendText(dst, x.FirstEvent)
	}
	if flags&hasLastEvent != 0 {
		dst = appendText(dst, x.LastEvent)
	}
	if flags&hasFirstUser != 0 {
		dst = appendText(dst, x.FirstUser.Bytes)
		if flags&hasFirstUserTime != 0 {
			dst = x.appendPlace(dst, &x.FirstUser)
		}
	}
	if flags&hasLastUser != 0 {
		if flags&hasLastUserText != 0 {
			dst = appendText(dst, x.LastUser.Bytes)
		}
		if flags&hasLastUserTime != 0 {
			dst = x.appendPlace(dst, &x.LastUser)
		}
	}
	for _, c := range x.collections() {
		if flags&c.bit != 0 {
			dst = x.appendPlace(appendText(dst, c.text.Bytes), c.text)
		}
	}
	return dst
}

// appendPlace appends the time and the offset of the event a text came from.
func (x *Session) appendPlace(dst []byte, t *Text) []byte {
	dst = binary.AppendVarint(dst, int64(t.Time-x.First))
	return binary.AppendVarint(dst, t.Offset-x.FirstOffset)
}

// session reads what appendSession wrote into x, which must be zero.
func (r *reader) session(x *Session) {
	flags := r.sessionNumbers(x)
	r.sessionTexts(x, flags)
}

// sessionNumbers reads what comes ahead of the texts, which the flags tell of.
func (r *reader) sessionNumbers(x *Session) (flags uint64) {
	flags = r.sessionHead(x)
	x.Previous = r.id(&x.UUID, &x.ID)
	x.Server = flags&hasServer != 0
	x.Open = flags&hasOpen != 0
	x.Started = flags&hasStarted != 0
	x.Index = r.uint32()
	x.EndReason = ReasonInactivity
	if flags&hasEndReason != 0 {
		if x.EndReason = Reason(r.byte()); x.EndReason >= reasons {
			r.fail(errRange)
		}
	}
	if flags&hasRevision != 0 {
		x.Revision = r.uint32()
	}
	r.sessionTimes(x, flags)
	x.Events = r.uvarint()
	x.EventIndex = x.Events
	if flags&hasEventIndex != 0 {
		x.EventIndex = r.uvarint()
	}
	for _, c := range x.counters() {
		if flags&c.bit != 0 {
			*c.count = r.uvarint()
		}
	}
	if flags&hasForeground != 0 {
		x.Foreground = r.uint32()
	}
	if flags&hasBackground != 0 {
		x.Background = r.uint32()
	}
	return flags
}

// sessionHead reads the flags and what a session is known by.
func (r *reader) sessionHead(x *Session) (flags uint64) {
	if flags = r.uvarint(); flags >= hasEnd {
		r.fail(errForm)
	}
	copy(x.UUID[:], r.bytes(16))
	if x.ID = r.id(&x.UUID, nil); x.ID.IsZero() {
		r.fail(errRange)
	}
	x.Client = r.id(&x.UUID, &x.ID)
	return flags
}

func (r *reader) sessionTimes(x *Session, flags uint64) {
	x.First = r.time(0, r.varint())
	if last := r.uvarint(); last <= uint64(TimeMax-TimeMin) {
		x.Last = r.time(x.First, int64(last))
	} else {
		r.fail(errRange)
	}
	x.NotBefore, x.NotAfter = NoTime, MaxTime
	// The watermark lies before the greatest event time by out of order, beyond the year 1 even.
	changed := r.varint()
	if changed < -int64(watermarkSpan) || changed > int64(watermarkSpan) {
		r.fail(errRange)
		changed = 0
	}
	x.Changed = x.Last + Time(changed)
	if flags&hasNotBefore != 0 {
		x.NotBefore = r.time(x.First, r.varint())
	}
	if flags&hasNotAfter != 0 {
		x.NotAfter = r.time(x.Last, r.varint())
	}
	x.Timeout = r.millis()
	if flags&hasMaxDuration != 0 {
		x.MaxDuration = r.millis()
	}
	if flags&hasActive != 0 {
		active := r.uvarint()
		if active > uint64(TimeMax-TimeMin) {
			r.fail(errRange)
			active = 0
		}
		x.ActiveMs = Millis(active)
	}
}

func (r *reader) sessionTexts(x *Session, flags uint64) {
	x.FirstOffset = r.varint()
	x.LastOffset = x.FirstOffset
	if flags&hasLastOffset != 0 {
		x.LastOffset += r.varint()
	}
	if flags&hasFirstEvent != 0 {
		x.FirstEvent = r.text()
	}
	switch {
	case flags&hasLastEvent != 0:
		x.LastEvent = r.text()
	case flags&hasSameEvent != 0:
		x.LastEvent = x.FirstEvent
	}
	if flags&hasFirstUser != 0 {
		x.FirstUser = Text{Bytes: r.text(), Time: x.First, Offset: x.FirstOffset}
		if flags&hasFirstUserTime != 0 {
			r.place(x, &x.FirstUser)
		}
	}
	if flags&hasLastUser != 0 {
		x.LastUser = Text{Bytes: x.FirstUser.Bytes, Time: x.Last, Offset: x.LastOffset}
		if flags&hasLastUserText != 0 {
			x.LastUser.Bytes = r.text()
		}
		if flags&hasLastUserTime != 0 {
			r.place(x, &x.LastUser)
		}
	}
	for _, c := range x.collections() {
		if flags&c.bit != 0 {
			c.text.Bytes = r.text()
			r.place(x, c.text)
		}
	}
}

// passSessionTexts is sessionTexts for who needs none of them. It fails where that fails.
func (r *reader) passSessionTexts(first Time, flags uint64) {
	r.uvarint()
	if flags&hasLastOffset != 0 {
		r.uvarint()
	}
	if flags&hasFirstEvent != 0 {
		r.passText()
	}
	if flags&hasLastEvent != 0 {
		r.passText()
	}
	if flags&hasFirstUser != 0 {
		r.passText()
		if flags&hasFirstUserTime != 0 {
			r.passPlace(first)
		}
	}
	if flags&hasLastUser != 0 {
		if flags&hasLastUserText != 0 {
			r.passText()
		}
		if flags&hasLastUserTime != 0 {
			r.passPlace(first)
		}
	}
	for range bits.OnesCount64(flags & hasCollections) {
		r.passText()
		r.passPlace(first)
	}
}

func (r *reader) passPlace(first Time) {
	r.time(first, r.varint())
	r.uvarint()
}

func (r *reader) place(x *Session, t *Text) {
	t.Time = r.time(x.First, r.varint())
	t.Offset = x.FirstOffset + r.varint()
}
