package audit

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// fate is what has to become of a record of the input, as far as the record alone tells.
type fate uint8

const (
	fateSession fate = iota // the rules about sessions say
	fatePlain               // the output has it, with every byte
	fateDropped             // nowhere
	fateRefused             // a dead letter
)

// event is what the auditor reads of a record of the input.
type event struct {
	fate              fate
	problem           string // reason of a dead letter, or of what the policy lets pass
	ms                int64  // noTime: it moves no watermark
	clamped           bool
	source, anonymous []byte
	client            string // valid client session id; empty: none
	invalid           bool   // there was a client id, and it is not valid
	start             bool   // the client's start marker
	rule              *Rule
	mobile            bool
	user, message     []byte
	kind              byte // p, s, t; 0: another
	lifecycle         byte // f, b; 0: none
	place, referrer   string
	campaign, context string
}

// plainRule is what applies to events that no rule matches.
func (e *event) effect() Rule {
	if e.rule == nil {
		return Rule{Class: "start"}
	}
	return *e.rule
}

// evaluate reads a record. The document holds its value afterwards, if it is a JSON object.
func (f *form) evaluate(r *Record, d *document) (e event) {
	e.ms = noTime
	if r.Value == nil {
		d.nodes = d.nodes[:0]
		e.fate = fatePlain // a tombstone
		return e
	}
	if e.problem = f.problem(r, d, &e); e.problem != "" {
		e.ms = noTime
		return f.refused(e)
	}
	e.rule = f.matching(d)
	effect := e.effect()
	debug := f.clientID(d, &e)
	switch {
	case effect.Drop:
		e.fate = fateDropped
	case debug || effect.Class == "ignore":
		e.fate = fatePlain
	case f.IDs != "assign" && e.invalid && f.OnInvalid == "dead_letter":
		e.problem, e.ms = "invalid_id", noTime
		return f.refused(e)
	default:
		f.collect(d, &e)
	}
	return e
}

// refused is an event that cannot be processed: dead, or passed on as it is.
func (f *form) refused(e event) event {
	e.fate = fateRefused
	if f.DeadLetterPolicies[e.problem] == "pass" {
		e.fate = fatePlain
	}
	return e
}

// problem returns the reason for which an event cannot be processed; empty: none.
func (f *form) problem(r *Record, d *document, e *event) string {
	switch {
	case f.RecordMax > 0 && len(r.Value) > f.RecordMax:
		d.nodes = d.nodes[:0]
		return "limit"
	case !f.readInput(r.Value, d):
		d.nodes = d.nodes[:0]
		return "malformed"
	case f.DepthMax > 0 && d.depth > f.DepthMax:
		return "limit"
	case d.isStuck || f.isContextBad(d):
		return "bad_context"
	}
	if what := f.key(r, d, e); what != "" {
		return what
	}
	if f.time(r, d, e); e.ms == noTime {
		return "no_time"
	}
	e.user = d.known(f.paths["user_id"])
	if f.isLong(e.user) {
		return "limit"
	}
	return ""
}

func (f *form) isLong(text []byte) bool {
	return f.AnonymousIDMax > 0 && len(text) > f.AnonymousIDMax
}

// isContextBad reports whether something that is neither object nor null stands where an object
// belongs that a session is written into.
func (f *form) isContextBad(d *document) bool {
	bad := func(p place) bool {
		for i := 1; i < len(p); i++ {
			n := d.find(p[:i])
			if n == nil || n.kind == 'n' {
				return false
			}
			if want := map[bool]byte{true: '[', false: '{'}[p[i] == "0"]; n.kind != want {
				return true
			}
		}
		return false
	}
	for i := range f.members {
		if f.members[i].field >= 0 && bad(f.members[i].place) {
			return true
		}
	}
	return slices.ContainsFunc(f.copies, func(c copied) bool { return bad(c.place) })
}

// key finds the anonymous id and the source, or says what is wrong with them.
func (f *form) key(r *Record, d *document, e *event) string {
	for _, p := range f.paths["anonymous_id"] {
		n := d.find(p)
		if n == nil || n.kind == 'n' {
			continue
		}
		if n.kind != '"' {
			return "no_key"
		}
		text := d.content(n)
		if isBlank(text) {
			continue
		}
		if f.IDType == "uuid" && slices.ContainsFunc(f.paths["session_id"], func(s place) bool {
			return slices.Equal(s, p)
		}) && isUUID(text) {
			text = bytes.ToLower(text)
		}
		e.anonymous = text
		break
	}
	if e.anonymous == nil && f.byKey && !isBlank(r.Key) {
		if !utf8.Valid(r.Key) {
			return "no_key"
		}
		e.anonymous = r.Key
	}
	if e.anonymous == nil {
		return "no_key"
	}
	e.source = d.known(f.paths["source"])
	if f.isLong(e.anonymous) || f.isLong(e.source) {
		return "limit"
	}
	return ""
}

// time finds the event's time, no later than the record's by more than the tolerance.
func (f *form) time(r *Record, d *document, e *event) {
	for _, source := range f.TimeSources {
		ms := int64(noTime)
		switch source {
		case "timestamp":
			ms = f.timeAt(d, "timestamp")
		case "originalTimestamp":
			ms = f.timeAt(d, "original_timestamp")
		case "corrected":
			made, received := f.timeAt(d, "original_timestamp"), f.timeAt(d, "received_at")
			if sent := f.timeAt(d, "sent_at"); made != noTime && received != noTime && sent != noTime {
				ms = made + received - sent
			}
		case "record":
			if r.TimestampMs >= 0 {
				ms = r.TimestampMs
			}
		}
		if isTime(ms) {
			e.ms = ms
			break
		}
	}
	if e.ms != noTime && r.TimestampMs >= 0 && e.ms > r.TimestampMs+f.FutureToleranceMs {
		e.ms, e.clamped = r.TimestampMs, true
	}
}

func (f *form) timeAt(d *document, name string) int64 {
	for _, p := range f.paths[name] {
		n := d.find(p)
		if n == nil || n.kind == 'n' {
			continue
		}
		ms, ok := int64(0), false
		switch {
		case n.kind == '"':
			ms, ok = parseTime(string(d.content(n)))
		case isNumber(n.kind):
			var number decimal
			if number, ok = parseDecimal(string(d.raw(n))); ok {
				ms, ok = number.epochMs()
			}
		}
		if ok {
			return ms
		}
		return noTime
	}
	return noTime
}

// clientID finds the client's session id and reports whether it is one for debugging.
func (f *form) clientID(d *document, e *event) (debug bool) {
	for _, p := range f.paths["session_id"] {
		n := d.find(p)
		if n == nil {
			continue
		}
		text := d.content(n)
		if bytes.HasPrefix(text, []byte("@debug-")) {
			return true
		}
		switch f.IDType {
		case "uuid":
			if isUUID(text) && !isBlank(text) {
				e.client = strings.ToLower(string(text))
			}
		case "string":
			if n.kind == '"' && len(text) <= 128 && !slices.Contains([]string{"", "null", "undefined"},
				string(bytes.TrimSpace(text))) {
				e.client = string(text)
			}
		default:
			e.client = intID(string(d.raw(n)), f.IDCharactersMin)
		}
		e.invalid = e.client == ""
		return false
	}
	return false
}

// intID returns the number of a valid int64 id in its plain form; empty: it is not valid.
func intID(text string, charactersMin int) string {
	whole, fraction, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n == 0 || len(whole) < charactersMin || strings.Trim(fraction, "0") != "" {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func isUUID(text []byte) bool {
	if len(text) != 36 {
		return false
	}
	for i, c := range text {
		isHex := c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (c == '-') || !dash && !isHex {
			return false
		}
	}
	return true
}

// collect finds what sessions take from an event.
func (f *form) collect(d *document, e *event) {
	if e.message = d.known(f.paths["message_id"]); f.isLong(e.message) {
		e.message = nil
	}
	e.mobile = slices.Contains(f.MobileChannels, string(d.known(f.paths["channel"]))) ||
		slices.Contains(f.MobileLibraries, string(d.known(f.paths["library"])))
	for _, p := range f.paths["session_start"] {
		if n := d.find(p); n != nil && n.kind == 't' {
			e.start = true
		}
	}
	e.kind = f.kind(d)
	if name := string(d.known(f.paths["event"])); name != "" {
		if slices.Contains(f.BackgroundEvents, name) {
			e.lifecycle = 'b'
		}
		if slices.Contains(f.ForegroundEvents, name) {
			e.lifecycle = 'f'
		}
	}
	switch e.kind {
	case 'p':
		e.place = collectedText(d, f.paths["url"], len(`{"url":}`), "url:")
	case 's':
		e.place = collectedText(d, f.paths["screen"], len(`{"screen":}`), "screen:")
	}
	e.referrer = collectedText(d, f.paths["referrer"], 0, "referrer:")
	e.campaign = f.campaignOf(d)
	e.context = f.contextOf(d)
}

func (f *form) kind(d *document) byte {
	for _, p := range f.paths["type"] {
		name := d.content(d.find(p))
		if name == nil {
			continue
		}
		switch {
		case slices.Contains(f.TrackTypes, string(name)):
			return 't'
		case slices.Contains(f.PageTypes, string(name)):
			return 'p'
		case slices.Contains(f.ScreenTypes, string(name)):
			return 's'
		}
	}
	return 0
}

// timeout is the event's own timeout.
func (f *form) timeout(e *event) int64 {
	switch {
	case e.rule != nil && e.rule.TimeoutMs > 0:
		return e.rule.TimeoutMs
	case e.mobile:
		return f.MobileTimeoutMs
	}
	return f.TimeoutMs
}

func (f *form) maxDuration(e *event) int64 {
	if e.rule != nil && e.rule.MaxDurationMs > 0 {
		return e.rule.MaxDurationMs
	}
	return f.MaxDurationMs
}

// endless stands for no bound.
const endless = math.MaxInt64
