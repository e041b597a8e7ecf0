package schemas

import "sessionizer/session"

// scanTime finds the event's time: that of the first source that gives one, no later than the
// record's own time by more than the tolerance.
func (c *Codec) scanTime(value []byte, rec Record, sc *Scanned) *BadInput {
	record, fallback := rec.Timestamp, rec.Timestamp
	if rec.File {
		record = c.timeAt(value, pathReceivedAt, sc, NoteBadReceivedAt)
		if fallback = record; record == session.NoTime {
			fallback = rec.Fallback
		}
	} else if record < 0 {
		record, fallback = session.NoTime, session.NoTime // Kafka's -1 is no timestamp
	}
	t := session.NoTime
	for _, source := range c.sources {
		switch source {
		case TimeTimestamp:
			t = c.timeAt(value, pathTimestamp, sc, NoteBadTimestamp)
		case TimeOriginalTimestamp:
			t = c.timeAt(value, pathOriginalTimestamp, sc, NoteBadOriginalTimestamp)
		case TimeCorrected:
			t = c.corrected(value, sc)
		default:
			t = fallback
		}
		if t.IsValid() {
			break
		}
		t = session.NoTime
	}
	if t == session.NoTime {
		return bad(NoTime, "no source gives a time")
	}
	if record.IsValid() && t > record && session.Millis(t-record) > c.future {
		t = record
		sc.Event.Clamped = true
	}
	sc.Event.Time = t
	return nil
}

// timeAt returns the time at the first place of p that is neither absent nor null. Anything there
// but a time is noted.
func (c *Codec) timeAt(value []byte, p path, sc *Scanned, note ScanNotes) session.Time {
	for _, n := range c.paths[p] {
		s := &sc.reader.slots[n]
		t, ok := session.NoTime, false
		switch s.first {
		case 0, 'n':
			continue
		case '"':
			t, ok = session.ParseTime(sc.text(value, s))
		case '{', '[', 't', 'f', avroOpaque:
		default:
			t, ok = session.ParseTimeNumber(value[s.start:s.end])
		}
		if ok && t.IsValid() {
			return t
		}
		sc.Notes |= note
		return session.NoTime
	}
	return session.NoTime
}

// corrected returns the client's time moved by how far the client's clock is off, as seen when it
// sent the event: original_timestamp + (received_at - sent_at).
func (c *Codec) corrected(value []byte, sc *Scanned) session.Time {
	made := c.timeAt(value, pathOriginalTimestamp, sc, NoteBadCorrected)
	received := c.timeAt(value, pathReceivedAt, sc, NoteBadCorrected)
	sent := c.timeAt(value, pathSentAt, sc, NoteBadCorrected)
	if made == session.NoTime || received == session.NoTime || sent == session.NoTime {
		return session.NoTime
	}
	t := made + (received - sent)
	if !t.IsValid() {
		sc.Notes |= NoteBadCorrected
	}
	return t
}
