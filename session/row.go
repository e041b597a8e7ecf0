package session

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// rowVersion is the first byte of a row. A reader refuses versions it does not know.
const rowVersion = 1

// serverIDMax bounds the greatest server id: it leaves room for every later one.
const serverIDMax = int64(1) << 53

// sessionBytesMin is less than any session takes in a row: it bounds what a row can make us
// allocate by its own length.
const sessionBytesMin = 24

// What a State has room for at first: the sessions and the texts of most keys, while a few of their
// events come one after the other.
const (
	sessionsFirst = 2
	textsFirst    = 512
)

// AppendRow appends the key's row; nothing if the state is empty: the key has no row then. A row is
//
//	version            1 byte
//	Count              uvarint
//	MaxServerID        uvarint
//	Stamped            uvarint
//	Forgotten          1 byte: 0 none, 1 followed by a varint
//	Messages           uvarint length, bytes
//	ended sessions     the newest ones, as rest says
//	Sessions           uvarint number, then each as appendSession writes it: those that are open
func (s *State) AppendRow(dst []byte) []byte {
	if s.IsEmpty() {
		return dst
	}
	dst = append(dst, rowVersion)
	dst = binary.AppendUvarint(dst, uint64(s.Count))
	dst = binary.AppendUvarint(dst, uint64(s.MaxServerID))
	dst = binary.AppendUvarint(dst, uint64(s.Stamped))
	if s.Forgotten == NoTime {
		dst = append(dst, 0)
	} else {
		dst = binary.AppendVarint(append(dst, 1), int64(s.Forgotten))
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.Messages)))
	dst = append(dst, s.Messages...)
	dst = s.fresh.appendTo(dst)
	open := s.open()
	dst = binary.AppendUvarint(dst, uint64(len(open)))
	for i := range open {
		dst = appendSession(dst, &open[i])
	}
	return dst
}

// Decode reads a key's two rows; nil or empty: there is none. It copies them. What s held before is
// gone, its buffers are used again. The history's sessions are read when they are needed: see Err.
// On an error s is a new key.
func (s *State) Decode(row, history []byte) error {
	s.Reset()
	if s.Sessions == nil {
		s.Sessions, s.texts = make([]Session, 0, sessionsFirst), make([]byte, 0, textsFirst)
	}
	s.rows = append(append(slices.Grow(s.rows[:0], len(row)+len(history)), row...), history...)
	row, history = s.rows[:len(row):len(row)], s.rows[len(row):]
	if err := s.decodeRow(row); err != nil {
		s.Reset()
		return fmt.Errorf("decode row of %d bytes: %w", len(row), err)
	}
	if err := s.decodeHistory(history); err != nil {
		s.Reset()
		return fmt.Errorf("decode history of %d bytes: %w", len(history), err)
	}
	s.textsMax = len(s.texts) + textsRoom
	return nil
}

func (s *State) decodeRow(row []byte) error {
	if len(row) == 0 {
		return nil
	}
	if row[0] != rowVersion {
		return fmt.Errorf("%w %d", errVersion, row[0])
	}
	r := reader{b: row[1:], texts: s.texts}
	s.Count = r.uint32()
	serverID := r.uvarint()
	if serverID > uint64(serverIDMax) {
		return errRange
	}
	s.MaxServerID = int64(serverID)
	s.Stamped = r.uint32()
	switch r.byte() {
	case 0:
	case 1:
		// max(last + T, changed) can lie beyond the times of events by a timeout.
		forgotten := r.varint()
		if Time(forgotten) < TimeMin-Time(DurationMax) || Time(forgotten) > TimeMax+Time(DurationMax) {
			return errRange
		}
		s.Forgotten = Time(forgotten)
	default:
		return errForm
	}
	if messages := r.bytes(r.uvarint()); len(messages) > 0 {
		s.Messages = messages
	}
	s.fresh.decode(&r)
	count := r.uvarint()
	if count > uint64(len(r.b)/sessionBytesMin) || s.Count == 0 {
		return errRange
	}
	s.Sessions = slices.Grow(s.Sessions, int(count)+1) // the next event may open one
	for range count {
		r.session(s.add())
		if r.err != nil {
			break
		}
	}
	s.texts = r.texts
	if r.err == nil && len(r.b) > 0 {
		return errTrailing
	}
	return r.err
}

// add appends a session to the retained ones and returns it, zero.
func (s *State) add() *Session {
	s.Sessions = append(s.Sessions, Session{})
	return &s.Sessions[len(s.Sessions)-1]
}

// What a session has, as bits. The commonest are the lowest: they fill one or two bytes.
const (
	hasServer = 1 << iota
	hasOpen
	hasStarted
	hasFirstEvent
	hasLastEvent  // another text than that of the first event
	hasLastOffset // the last event has another offset than the first
	hasActive
	hasPages
	hasTracks
	hasFirstUser
	hasLastUser
	hasRevision
	hasSameEvent  // the last event has the first one's text
	hasEventIndex // other than Events
	hasEndReason  // other than inactivity
	hasNotBefore
	hasNotAfter
	hasMaxDuration
	hasScreens
	hasLate
	hasDuplicates
	hasAttached
	hasForeground
	hasBackground
	hasFirstUserTime // the first known user came with a later event than the first
	hasLastUserText  // another user than the first
	hasLastUserTime  // the last known user came with an earlier event than the last
	hasEntry
	hasExit
	hasCampaign
	hasReferrer
	hasContext
	hasEnd // the first bit that means nothing
)

// hasCollections are the bits of collections.
const hasCollections = hasEntry | hasExit | hasCampaign | hasReferrer | hasContext

// flags returns what x has.
func (x *Session) flags() uint64 {
	flags := bitIf(hasServer, x.Server) |
		bitIf(hasOpen, x.Open) |
		bitIf(hasStarted, x.Started) |
		bitIf(hasLastOffset, x.LastOffset != x.FirstOffset) |
		bitIf(hasActive, x.ActiveMs != 0) |
		bitIf(hasRevision, x.Revision != 0) |
		bitIf(hasEventIndex, x.EventIndex != x.Events) |
		bitIf(hasEndReason, x.EndReason != ReasonInactivity) |
		bitIf(hasNotBefore, x.NotBefore != NoTime) |
		bitIf(hasNotAfter, x.NotAfter != MaxTime) |
		bitIf(hasMaxDuration, x.MaxDuration != 0) |
		bitIf(hasForeground, x.Foreground != 0) |
		bitIf(hasBackground, x.Background != 0)
	for _, c := range x.counters() {
		flags |= bitIf(c.bit, *c.count != 0)
	}
	for _, c := range x.collections() {
		flags |= bitIf(c.bit, len(c.text.Bytes) > 0)
	}
	flags |= bitIf(hasFirstEvent, len(x.FirstEvent) > 0)
	if len(x.LastEvent) > 0 {
		isSame := string(x.FirstEvent) == string(x.LastEvent)
		flags |= bitIf(hasSameEvent, isSame) | bitIf(hasLastEvent, !isSame)
	}
	if user := &x.FirstUser; len(user.Bytes) > 0 {
		flags |= hasFirstUser |
			bitIf(hasFirstUserTime, !user.isOf(x.First, x.FirstOffset))
	}
	if user := &x.LastUser; len(user.Bytes) > 0 {
		flags |= hasLastUser |
			bitIf(hasLastUserText, string(user.Bytes) != string(x.FirstUser.Bytes)) |
			bitIf(hasLastUserTime, !user.isOf(x.Last, x.LastOffset))
	}
	return flags
}

func bitIf(bit uint64, is bool) uint64 {
	if is {
		return bit
	}
	return 0
}

func (t *Text) isOf(time Time, offset int64) bool { return t.Time == time && t.Offset == offset }

// counter pairs a count with the bit that says it is not zero.
type counter struct {
	bit   uint64
	count *uint64
}

func (x *Session) counters() [6]counter {
	return [6]counter{
		{hasPages, &x.Pages},
		{hasScreens, &x.Screens},
		{hasTracks, &x.Tracks},
		{hasLate, &x.Late},
		{hasDuplicates, &x.Duplicates},
		{hasAttached, &x.Attached},
	}
}

// collected pairs a text with the bit that says it is there.
type collected struct {
	bit  uint64
	text *Text
}

func (x *Session) collections() [5]collected {
	return [5]collected{
		{hasEntry, &x.Entry},
		{hasExit, &x.Exit},
		{hasCampaign, &x.Campaign},
		{hasReferrer, &x.Referrer},
		{hasContext, &x.Context},
	}
}
