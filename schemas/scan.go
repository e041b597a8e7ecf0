package schemas

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"sessionizer/session"
)

// Scanned is a scanned event. It is reused from one event to the next and belongs to one
// goroutine; the zero Scanned is ready. It holds for the value that was scanned, which must stay
// as it is, and for the Codec that scanned it.
type Scanned struct {
	Event session.Event // its texts alias the value, the record key or the Scanned; Offset is not set
	Notes ScanNotes

	codec *Codec // of the details
	value []byte // likewise

	reader   reader
	avro     avroScan
	scratch  []byte // texts with their escapes decoded
	largeOf  *byte  // a long string of the event whose text is in large
	large    []byte
	made     []byte // what sessions collect
	campaign []campaignMember
	asked    [][]byte // texts of the places that rules ask, where they hold escapes
	isAsked  bool     // some of them are there
	dates    dates    // of what a splice writes
}

// ScanNotes is a set of things worth counting.
type ScanNotes uint16

// The notes. A source of time counts as unparsable when it is there, neither null nor a time, and
// was asked because the ones in front of it gave nothing.
const (
	NoteBadTimestamp         ScanNotes = 1 << iota // timestamp is no time
	NoteBadOriginalTimestamp                       // original_timestamp is no time
	NoteBadCorrected                               // one of the three of corrected is no time
	NoteBadReceivedAt                              // a line's received_at is no time
	NoteLongMessageID                              // a message id over the limit: as if absent
	NoteCollectedLong                              // collected texts over the limit: cut or left out
	ScanNotesEnd                                   // the first bit that is no note
)

// String returns the name of a single note, as a metric label.
func (n ScanNotes) String() string {
	switch n {
	case NoteBadTimestamp:
		return "bad_timestamp"
	case NoteBadOriginalTimestamp:
		return "bad_original_timestamp"
	case NoteBadCorrected:
		return "bad_corrected"
	case NoteBadReceivedAt:
		return "bad_received_at"
	case NoteLongMessageID:
		return "long_message_id"
	case NoteCollectedLong:
		return "collected_long"
	}
	return "unknown"
}

// Shrink gives memory back that large events have made a scan take. What was scanned is no more.
func (sc *Scanned) Shrink() {
	if cap(sc.scratch)+cap(sc.made)+cap(sc.reader.name) > 4*scratchBytesMax {
		sc.scratch, sc.made, sc.reader.name = nil, nil, nil
	}
	sc.value, sc.largeOf, sc.large = nil, nil, nil
}

// Scan reads an event in one strict pass. A nil result means that sc holds it.
func (c *Codec) Scan(value []byte, rec Record, sc *Scanned) *BadInput {
	if len(value) > c.limits.Record {
		return bad(Limit, "the event has %d bytes, at most %d", len(value), c.limits.Record)
	}
	if c.isAvro(value) {
		return c.scanAvro(value, rec, sc)
	}
	sc.avro.program = nil
	r := &sc.reader
	c.prepare(r)
	if !r.read(value) {
		return r.badInput()
	}
	return c.scanEvent(value, rec, sc)
}

// badInput says what is wrong with a text that was not read.
func (r *reader) badInput() *BadInput {
	switch r.fault {
	case faultDepth:
		return bad(Limit, "more than %d objects and arrays open at byte %d", r.depthMax, r.at)
	case faultEdits:
		return bad(Limit, "%s, more than %d, at byte %d", r.fault, editsMax, r.at)
	}
	return bad(Malformed, "%s at byte %d", r.fault, r.at)
}

// prepare makes a reader that of the codec.
func (c *Codec) prepare(r *reader) {
	if len(r.trie) == 0 || &r.trie[0] != &c.trie[0] {
		r.adopt(c)
	}
}

//go:noinline // it is rare
func (r *reader) adopt(c *Codec) {
	r.slots, r.guesses = make([]slot, len(c.trie)), make([]guesses, len(c.trie))
	r.removed = make([]int32, len(c.trie))
	r.trie, r.depthMax = c.trie, c.limits.JSONDepth
}

// scanEvent finds what is asked of an event in the slots.
func (c *Codec) scanEvent(value []byte, rec Record, sc *Scanned) *BadInput {
	r := &sc.reader
	for _, n := range c.inner {
		if first := r.slots[n.id].first; first != n.first && first != 0 && first != 'n' {
			return c.badContext(n)
		}
	}
	sc.Event, sc.Notes, sc.scratch = session.Event{}, 0, sc.scratch[:0]
	sc.largeOf, sc.large = nil, nil
	if b := c.scanKey(value, rec.Key, sc); b != nil {
		return b
	}
	if b := c.scanTime(value, rec, sc); b != nil {
		return b
	}
	return c.scanRest(value, sc)
}

func (c *Codec) badContext(n inner) *BadInput {
	if n.first == '[' {
		return bad(BadContext, "%s is neither an array nor null", c.trie.path(n.id))
	}
	return bad(BadContext, "%s is neither an object nor null", c.trie.path(n.id))
}

// scanKey finds the anonymous ID and the source.
func (c *Codec) scanKey(value, key []byte, sc *Scanned) *BadInput {
	e := &sc.Event
	for _, n := range c.paths[pathAnonymousID] {
		s := &sc.reader.slots[n]
		if s.first == 0 || s.first == 'n' {
			continue
		}
		if s.first != '"' {
			return c.badKey(n)
		}
		if text := sc.text(value, s); !isBlank(text) {
			e.AnonymousID = text
			if c.idType == session.IDUUID {
				e.AnonymousID = c.keyOf(n, text, s, sc)
			}
			break
		}
	}
	if e.AnonymousID == nil {
		if b := c.takeRecordKey(e, key); b != nil {
			return b
		}
	}
	e.Source, _ = c.known(value, pathSource, sc)
	if b := c.checkLength("the anonymous ID", e.AnonymousID); b != nil {
		return b
	}
	return c.checkLength("the source", e.Source)
}

func (c *Codec) badKey(n int) *BadInput { return bad(NoKey, "%s is no text", c.trie.path(n)) }

// takeRecordKey makes the record key the anonymous ID, if it is asked for and is one.
func (c *Codec) takeRecordKey(e *session.Event, key []byte) *BadInput {
	if !c.byKey || isBlank(key) {
		return bad(NoKey, "the anonymous ID is absent or blank")
	}
	if !utf8.Valid(key) {
		return bad(NoKey, "the record key is not UTF-8")
	}
	e.AnonymousID = key
	return nil
}

// keyOf returns the key that a text gives where ids are UUIDs. A client's session id, which is the
// key of who has no other, is one whatever the case it is sent in, as it is as an id.
func (c *Codec) keyOf(n int, text []byte, s *slot, sc *Scanned) []byte {
	if !slices.Contains(c.paths[pathSessionID], n) {
		return text
	}
	if lower, invalid := sc.uuidID(text, s); invalid == session.ValidID {
		return lower
	}
	return text
}

// checkLength bounds a text that decides about sessions and is kept in the state.
func (c *Codec) checkLength(what string, text []byte) *BadInput {
	if len(text) <= c.limits.AnonymousID {
		return nil
	}
	return c.tooLong(what, text)
}

func (c *Codec) tooLong(what string, text []byte) *BadInput {
	return bad(Limit, "%s has %d bytes, at most %d", what, len(text), c.limits.AnonymousID)
}

// scanRest finds everything of the event but its key and its time.
func (c *Codec) scanRest(value []byte, sc *Scanned) *BadInput {
	e := &sc.Event
	e.UserID, _ = c.known(value, pathUserID, sc)
	if b := c.checkLength("the user ID", e.UserID); b != nil {
		return b
	}
	e.MessageID, _ = c.known(value, pathMessageID, sc)
	if len(e.MessageID) > c.limits.AnonymousID {
		e.MessageID = nil
		sc.Notes |= NoteLongMessageID
	}
	e.Kind = c.kind(value, sc)
	e.Mobile = c.oneOf(value, pathChannel, c.mobile.Channels, sc) ||
		c.oneOf(value, pathLibrary, c.mobile.Libraries, sc)
	for _, n := range c.paths[pathSessionStart] {
		e.Start = e.Start || sc.reader.slots[n].first == 't'
	}
	c.scanID(value, sc)
	if c.collects && !e.Debug {
		c.scanCollected(value, sc)
	}
	if len(c.rules) > 0 {
		e.Rule = c.firstRule(value, sc)
	}
	return nil
}

// kind returns that of the first type of the event that has one.
func (c *Codec) kind(value []byte, sc *Scanned) session.Kind {
	for _, n := range c.paths[pathType] {
		s := &sc.reader.slots[n]
		if s.first != '"' {
			continue
		}
		name := sc.text(value, s)
		for i := range c.kinds {
			if c.kinds[i].name == string(name) {
				return c.kinds[i].kind
			}
		}
	}
	return session.KindOther
}

// known returns the first text that is not empty among the places of p.
func (c *Codec) known(value []byte, p path, sc *Scanned) (text []byte, ok bool) {
	for _, n := range c.paths[p] {
		if s := &sc.reader.slots[n]; s.first == '"' && s.end-s.start > 2 {
			return sc.text(value, s), true
		}
	}
	return nil, false
}

func (c *Codec) oneOf(value []byte, p path, names []string, sc *Scanned) bool {
	text, ok := c.known(value, p, sc)
	if ok {
		for _, name := range names {
			if name == string(text) {
				return true
			}
		}
	}
	return false
}

// text returns the content of a string, its escapes decoded.
func (sc *Scanned) text(value []byte, s *slot) []byte {
	if s.escaped {
		return sc.decoded(value, s)
	}
	return value[s.start+1 : s.end-1]
}

// decoded is text for a string that holds an escape, or would if it were JSON.
func (sc *Scanned) decoded(value []byte, s *slot) []byte {
	content := value[s.start+1 : s.end-1]
	if s.raw {
		return content
	}
	if len(content) > scratchBytesMax {
		return sc.largeText(content)
	}
	n := len(sc.scratch)
	sc.scratch = unquote(sc.scratch, content)
	return sc.scratch[n:len(sc.scratch):len(sc.scratch)]
}

// scratchBytesMax is the longest text that is decoded into memory which is kept.
const scratchBytesMax = 64 << 10

// largeText decodes a long string into memory of its own: no longer than it was, where a buffer
// that grows would take several times as much. One that is asked for twice, as a URL is, is decoded
// once.
func (sc *Scanned) largeText(content []byte) []byte {
	if sc.largeOf != &content[0] {
		sc.largeOf, sc.large = &content[0], unquote(make([]byte, 0, len(content)), content)
	}
	return sc.large
}

// isBlank reports whether a text names nobody: it is empty, white space, null, undefined or the
// nil UUID. One session of all who share it would be nobody's.
func isBlank(text []byte) bool {
	if len(text) > 0 && text[0] > ' ' && text[0] < utf8.RuneSelf && text[0] != 'n' &&
		text[0] != 'u' && text[0] != '0' {
		return false // the usual case
	}
	text = bytes.TrimSpace(text)
	switch len(text) {
	case 0:
		return true
	case len("null"):
		return string(text) == "null"
	case len("undefined"):
		return string(text) == "undefined"
	case len(nilUUID):
		return string(text) == nilUUID
	}
	return false
}

const nilUUID = "00000000-0000-0000-0000-000000000000"
