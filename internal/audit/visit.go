package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// visit is a Visit Ended record, or a Visit Started record, which has the form of one.
type visit struct {
	begins                                 bool
	source, anonymous, topic               string
	id, uuid, previous, reason, into       string
	user, firstUser, firstEvent, lastEvent string
	entry, exit, referrer                  string
	campaign, context                      string

	partition, decidedAt              int64
	firstOffset, lastOffset           int64
	index, revision                   int64
	startedMs, endedMs, durationMs    int64
	activeMs, timeoutMs, amendableMs  int64 // noTime: no amendableUntil
	events, pages, screens, tracks    int64
	late, duplicates, attached        int64
	foreground, background, timestamp int64 // timestamp is the record's
}

func (v *visit) fields() []*string {
	return []*string{&v.source, &v.anonymous, &v.topic, &v.id, &v.uuid, &v.previous, &v.reason,
		&v.into, &v.user, &v.firstUser, &v.firstEvent, &v.lastEvent, &v.entry, &v.exit, &v.referrer,
		&v.campaign, &v.context}
}

func (v *visit) numbers() []*int64 {
	return []*int64{&v.partition, &v.decidedAt, &v.firstOffset, &v.lastOffset, &v.index, &v.revision,
		&v.startedMs, &v.endedMs, &v.durationMs, &v.activeMs, &v.timeoutMs, &v.amendableMs, &v.events,
		&v.pages, &v.screens, &v.tracks, &v.late, &v.duplicates, &v.attached, &v.foreground,
		&v.background, &v.timestamp}
}

// visitJSON is the form of the records.
type visitJSON struct {
	Type        string `json:"type"`
	Event       string `json:"event"`
	MessageID   string `json:"messageId"`
	AnonymousID string `json:"anonymousId"`
	UserID      string `json:"userId"`
	FirstUserID string `json:"firstUserId"`
	Source      string `json:"source"`
	Session     struct {
		ID         json.RawMessage `json:"id"`
		UUID       string          `json:"uuid"`
		Index      int64           `json:"index"`
		PreviousID json.RawMessage `json:"previousId"`
	} `json:"session"`
	Reason         string           `json:"reason"`
	Revision       int64            `json:"revision"`
	MergedInto     json.RawMessage  `json:"mergedInto"`
	StartedAt      time.Time        `json:"startedAt"`
	EndedAt        time.Time        `json:"endedAt"`
	DurationMs     int64            `json:"durationMs"`
	ActiveMs       int64            `json:"activeMs"`
	TimeoutMs      int64            `json:"timeoutMs"`
	AmendableUntil *time.Time       `json:"amendableUntil"`
	Counts         map[string]int64 `json:"counts"`
	Foreground     int64            `json:"foregroundIndex"`
	Background     int64            `json:"backgroundIndex"`
	FirstEventID   string           `json:"firstEventId"`
	LastEventID    string           `json:"lastEventId"`
	Entry          json.RawMessage  `json:"entry"`
	Exit           json.RawMessage  `json:"exit"`
	Campaign       json.RawMessage  `json:"campaign"`
	Referrer       string           `json:"referrer"`
	Context        json.RawMessage  `json:"context"`
	Origin         struct {
		Topic       string `json:"topic"`
		Partition   int64  `json:"partition"`
		FirstOffset int64  `json:"firstOffset"`
		LastOffset  int64  `json:"lastOffset"`
		DecidedAt   int64  `json:"decidedAt"`
	} `json:"origin"`
}

// parseVisit reads a record of the visits topic, and checks what can be seen of its form alone.
func (f *form) parseVisit(r *Record) (*visit, error) {
	var j visitJSON
	value, err := f.visitText(r.Value)
	if err == nil {
		err = json.Unmarshal(value, &j)
	}
	if err != nil {
		return nil, err
	}
	v := &visit{begins: j.Revision == 0}
	names := f.EndNames
	if v.begins {
		names = f.StartedNames
	}
	f.setVisit(v, &j, r.TimestampMs)
	key := v.uuid
	if f.VisitKey == "anonymous_id" {
		key = v.anonymous
	}
	what := ""
	if !f.VisitsAvro {
		what = f.visitFault(value, v)
	}
	switch {
	case what != "":
		return v, errors.New(what)
	case len(r.Headers) > 0:
		return v, errors.New("it has headers, and none are written")
	case r.TimestampMs < 0:
		return v, errors.New("it has no timestamp")
	case j.Type != names.Type || j.Event != names.Event:
		return v, fmt.Errorf("type %q and event %q: no record about a visit", j.Type, j.Event)
	case v.id == "" || v.revision < 0:
		return v, fmt.Errorf("id %q, revision %d: it names no visit", v.id, v.revision)
	case j.MessageID != fmt.Sprintf("%s-%d", v.uuid, v.revision):
		return v, fmt.Errorf("messageId is not the session's uuid and the revision, %d", v.revision)
	case string(r.Key) != key:
		return v, fmt.Errorf("the record key is not the visit's (visits.key: %s)", f.VisitKey)
	case v.partition != int64(r.Partition):
		return v, fmt.Errorf("origin.partition is %d, and it lies in partition %d", v.partition,
			r.Partition)
	case v.uuid != sessionUUID(v.source, v.anonymous, v.id, f.IDType, true) &&
		v.uuid != sessionUUID(v.source, v.anonymous, v.id, f.IDType, false):
		return v, fmt.Errorf("session.uuid is not that of the id")
	}
	return v, nil
}

// visitText is a record about a visit as JSON.
func (f *form) visitText(value []byte) ([]byte, error) {
	if !f.VisitsAvro {
		return value, nil
	}
	s, b := f.books.visits, value
	if s == nil {
		s, b = f.named(value)
	}
	var d document
	if !d.readAvro(s, b, nil, nil) {
		return nil, errors.New("the record is not what the schema of visits says")
	}
	return d.text, nil
}

func (f *form) setVisit(v *visit, j *visitJSON, timestampMs int64) {
	v.source, v.anonymous, v.topic = j.Source, j.AnonymousID, j.Origin.Topic
	v.id, v.uuid, v.previous = idText(j.Session.ID), j.Session.UUID, idText(j.Session.PreviousID)
	v.reason, v.into = j.Reason, idText(j.MergedInto)
	v.user, v.firstUser = j.UserID, j.FirstUserID
	if v.firstUser == "" {
		v.firstUser = v.user
	}
	v.firstEvent, v.lastEvent = j.FirstEventID, j.LastEventID
	v.entry, v.exit = placeText(j.Entry), placeText(j.Exit)
	if j.Referrer != "" {
		v.referrer = "referrer:" + j.Referrer
	}
	v.campaign, v.context = campaignJSON(j.Campaign), f.contextJSON(j.Context)
	v.partition, v.decidedAt = j.Origin.Partition, j.Origin.DecidedAt
	v.firstOffset, v.lastOffset = j.Origin.FirstOffset, j.Origin.LastOffset
	v.index, v.revision = j.Session.Index, j.Revision
	v.startedMs, v.endedMs = j.StartedAt.UnixMilli(), j.EndedAt.UnixMilli()
	v.durationMs, v.activeMs, v.timeoutMs = j.DurationMs, j.ActiveMs, j.TimeoutMs
	if v.amendableMs = noTime; j.AmendableUntil != nil {
		v.amendableMs = j.AmendableUntil.UnixMilli()
	}
	v.events, v.pages = j.Counts["events"], j.Counts["pages"]
	v.screens, v.tracks = j.Counts["screens"], j.Counts["tracks"]
	v.late, v.duplicates, v.attached = j.Counts["late"], j.Counts["duplicates"], j.Counts["attached"]
	v.foreground, v.background, v.timestamp = j.Foreground, j.Background, timestampMs
}

// idText is an id in the form in which ids are compared.
func idText(raw json.RawMessage) string {
	if len(raw) > 0 && raw[0] == '"' {
		return string(unquote(raw))
	}
	return string(raw)
}

func placeText(raw json.RawMessage) string {
	var d document
	if !d.read(raw) {
		return ""
	}
	for _, name := range []string{"url", "screen"} {
		if text := d.content(d.find(place{name})); text != nil {
			return name + ":" + string(text)
		}
	}
	return ""
}

func campaignJSON(raw json.RawMessage) string {
	var d document
	if !d.read(raw) {
		return ""
	}
	members := map[string]string{}
	for c := d.nodes[0].first; c != 0; c = d.nodes[c].next {
		members[d.nodes[c].name] = string(d.content(&d.nodes[c]))
	}
	return campaignText(members)
}

func (f *form) contextJSON(raw json.RawMessage) string {
	var d document
	if !d.read(raw) {
		return ""
	}
	members := map[string]string{}
	f.flatten(&d, &d.nodes[0], "", members)
	return contextText(members)
}
