package main

import (
	"bytes"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/internal/config"
	"sessionizer/schemas"
	"sessionizer/session"
)

// follower runs all events of a partition, whose watermarks they make, and tells what becomes of
// those of one key.
type follower struct {
	key       []byte
	source    []byte
	anySource bool
	places    map[string][]string
	rules     []string // names
	engine    *offline
	avro      *stampedAvro // the events are those of containers; nil: they are not
	tell      func(*explained) error

	events   int64 // of the key
	read     int64 // of all keys
	lines    int64 // of files, blank ones too
	long     int64 // of them beyond the limit
	sessions []*followed

	// The step in hand: where its record was, and what it has made.
	at            explainedPlace
	before, after []visitRecord // of the key
	isBehind      bool          // the event itself has come out
	dead          *schemas.BadInput
}

// visitRecord is a visit record with its members.
type visitRecord struct {
	text []byte
	members
}

// followed is what is known of a session of the key.
type followed struct {
	source      string
	index       uint32
	id          any
	uuid        string
	first, last session.Time
	timeoutMs   session.Millis // in force
	events      int64
	ended       string // reason of its last record; empty: none yet
	records     int64  // Visit Ended
	isMerged    bool
	isOpen      bool // changed since its last record
}

func (f *follower) begin(
	cfg *config.Config, o *explainOptions, topic string, partition int32,
) (err error) {
	f.key, f.source, f.anySource = []byte(o.key), []byte(o.source), !o.isSource
	f.rules = ruleNames(cfg)
	if f.places, err = cfg.Places(); err != nil {
		return err
	}
	f.engine, err = newOffline(cfg, offlineOptions{
		topic: topic, partition: partition, byKey: true, endures: true,
	})
	if err != nil {
		return err
	}
	f.engine.take = f.take
	return nil
}

// what was read.
func (f *follower) what() string {
	if f.avro != nil {
		return "events"
	}
	return "lines"
}

// take keeps the visits of the key and what became of the event.
func (f *follower) take(r *kgo.Record) error {
	switch r.Topic {
	case visitRecords:
		if !bytes.Equal(r.Key, f.key) {
			return nil
		}
		visit := visitRecord{bytes.Clone(r.Value), decodeMembers(r.Value)}
		source, _ := visit.members["source"].(string)
		if !f.anySource && source != string(f.source) {
			return nil
		}
		if f.isBehind {
			f.after = append(f.after, visit)
		} else {
			f.before = append(f.before, visit)
		}
	case outputRecords:
		f.isBehind = true
	case deadRecords:
		f.isBehind, f.dead = true, badInput(r.Headers)
	}
	return nil
}

// step processes a record of Kafka, or of a file where it has no timestamp of its own.
func (f *follower) step(r *kgo.Record, at explainedPlace) error {
	f.before, f.after, f.isBehind, f.dead = f.before[:0], f.after[:0], false, nil
	if !r.Attrs.IsControl() {
		f.read++
	}
	var err error
	if at.File != "" {
		err = f.engine.line(r)
	} else {
		err = f.engine.task.Step(r)
	}
	if err != nil {
		return err
	}
	scanned, out := f.engine.task.Last()
	var x *explained
	if out != nil && f.isOurs(&scanned.Event) {
		x = f.explain(scanned, out)
	}
	if err := f.engine.drain(); err != nil {
		return err
	}
	if x == nil && out == nil && !r.Attrs.IsControl() {
		x = f.unread(r)
	}
	f.at = at
	if err := f.report(r, x); err != nil {
		return err
	}
	f.before, f.after, f.isBehind = f.before[:0], f.after[:0], true
	if err := f.engine.tick(f.engine.task.Watermark()); err != nil {
		return err
	}
	if err := f.tellVisits(f.after); err != nil {
		return err
	}
	if f.engine.full() {
		return f.engine.commit()
	}
	return nil
}

// report tells of the event, and of the visits around it.
func (f *follower) report(r *kgo.Record, x *explained) error {
	if err := f.tellVisits(f.before); err != nil {
		return err
	}
	if x != nil {
		f.events++
		x.explainedPlace = f.at
		f.describe(x, r.Value)
		if f.dead != nil {
			x.Decision, x.Reason = decisionDeadLetter, string(f.dead.Reason)
			x.Message = f.dead.Message
		}
		if err := f.tell(x); err != nil {
			return err
		}
	}
	return f.tellVisits(f.after)
}

func (f *follower) isOurs(e *session.Event) bool {
	return bytes.Equal(e.AnonymousID, f.key) && (f.anySource || bytes.Equal(e.Source, f.source))
}

// unread is a record that is no event to the engine; nil: it is not known to be the key's. The
// record key and, where the text is JSON, the places of the anonymous id tell.
func (f *follower) unread(r *kgo.Record) *explained {
	x := &explained{Kind: kindEvent, Decision: decisionPassed, Reason: "bad input"}
	if r.Value == nil {
		x.Reason = "tombstone"
	}
	if bytes.Equal(r.Key, f.key) {
		return x
	}
	if !bytes.Contains(r.Value, f.key) {
		return nil
	}
	event := decodeMembers(f.engine.codec.EventJSON(r.Value))
	for _, path := range f.places["anonymous_id"] {
		if text, ok := event.at(path).(string); ok && text == string(f.key) {
			return x
		}
	}
	return nil
}

// describe adds what people know the event by.
func (f *follower) describe(x *explained, value []byte) {
	event := decodeMembers(f.engine.codec.EventJSON(value))
	first := func(name string) string {
		for _, path := range f.places[name] {
			if text, ok := event.at(path).(string); ok {
				return text
			}
		}
		return ""
	}
	x.Type, x.Event, x.MessageID = first("type"), first("event"), first("message_id")
	if x.Event == x.Type {
		x.Event = "" // a profile may read both from one place
	}
}

// tellVisits tells of visit records and notes what they say of their sessions.
func (f *follower) tellVisits(visits []visitRecord) error {
	for _, v := range visits {
		source, _ := v.members["source"].(string)
		uuid, _ := v.at("session.uuid").(string)
		revision := v.at("revision")
		if s := f.session(source, uuid); s != nil && flowValue(revision) != "0" {
			s.ended, _ = v.members["reason"].(string)
			s.records++
			s.isOpen = false
			s.isMerged = s.isMerged || s.ended == session.ReasonMerged.String()
		}
		x := &explained{
			Kind: kindVisit, explainedPlace: f.at, Record: v.text, visit: v.members,
		}
		if into := v.at("mergedInto"); into != nil {
			x.into = f.byID(source, into)
		}
		if err := f.tell(x); err != nil {
			return err
		}
	}
	return nil
}

func (f *follower) session(source, uuid string) *followed {
	i := slices.IndexFunc(f.sessions, func(s *followed) bool {
		return s.uuid == uuid && s.source == source
	})
	if i < 0 {
		return nil
	}
	return f.sessions[i]
}

// byID is the session of an id as it is written; nil: it was before all that is known.
func (f *follower) byID(source string, id any) *followed {
	i := slices.IndexFunc(f.sessions, func(s *followed) bool {
		return s.id == id && s.source == source
	})
	if i < 0 {
		return nil
	}
	return f.sessions[i]
}

// end tells what is open: at the end of files time runs on, a partition's goes on later.
func (f *follower) end(runsOn bool) error {
	if runsOn {
		f.at.Line = 0 // behind all of them
		f.after, f.isBehind = f.after[:0], true
		if err := f.engine.finish(); err != nil {
			return err
		}
		if err := f.tellVisits(f.after); err != nil {
			return err
		}
	}
	for _, s := range f.sessions {
		x := &explained{
			Kind: kindSession, Source: s.source, Session: s.json(), Ended: s.ended, Events: &s.events,
		}
		x.First, x.Last = formatTime(s.first), formatTime(s.last)
		if s.isOpen {
			x.OpenUntil = formatTime(s.last + session.Time(s.timeoutMs+f.engine.rules.OutOfOrder))
		}
		if err := f.tell(x); err != nil {
			return err
		}
	}
	return nil
}
