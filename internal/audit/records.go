package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

// stamp is what an event of the output says of its session.
type stamp struct {
	anonymousID string
	id          string
	uuid        string
	start       bool
	index       int64
	eventIndex  int64 // 0: not written
}

func parseStamp(session, anonymousID []byte) (stamp, error) {
	var s struct {
		ID         json.RawMessage `json:"id"`
		UUID       string          `json:"uuid"`
		Start      bool            `json:"start"`
		Index      int64           `json:"index"`
		EventIndex int64           `json:"eventIndex"`
		State      string          `json:"state"`
	}
	if err := json.Unmarshal(session, &s); err != nil {
		return stamp{}, fmt.Errorf("context.session: %w", err)
	}
	if len(s.ID) == 0 && s.State == "" {
		return stamp{}, errors.New("context.session has no id")
	}
	return stamp{
		anonymousID: string(anonymousID), id: string(s.ID), uuid: s.UUID, start: s.Start,
		index: s.Index, eventIndex: s.EventIndex,
	}, nil
}

// isInHeaders reports whether the session's headers are those of the stamp, and none if it is of
// no session.
func (s *stamp) isInHeaders(headers []Header) bool {
	want := map[string]string{}
	if s.id != "" {
		want[headerID] = strings.Trim(s.id, `"`)
		want[headerIndex] = strconv.FormatInt(s.index, 10)
		if s.start {
			want[headerStart] = "true"
		}
	}
	got := map[string]string{}
	for _, h := range headers {
		if isSessionHeader(h.Key) {
			got[h.Key] = string(h.Value)
		}
	}
	return maps.Equal(got, want)
}

// visit is a Visit Ended record, or a Visit Started record, which has the form of one.
type visit struct {
	begins      bool
	anonymousID string
	id          string
	uuid        string
	index       int64
	reason      string
	revision    int64
	mergedInto  string
	startedMs   int64
	endedMs     int64
	durationMs  int64
	events      int64
	attached    int64 // and duplicates
	origin      origin
}

type origin struct {
	topic     string
	partition int32
	decidedAt int64
}

// String names a visit in findings.
func (v visit) String() string {
	return fmt.Sprintf("%s revision %d of %s", v.id, v.revision, v.anonymousID)
}

func parseVisit(r *Record) (visit, error) {
	var j struct {
		Event       string `json:"event"`
		AnonymousID string `json:"anonymousId"`
		MessageID   string `json:"messageId"`
		Session     struct {
			ID    json.RawMessage `json:"id"`
			UUID  string          `json:"uuid"`
			Index int64           `json:"index"`
		} `json:"session"`
		Reason     string          `json:"reason"`
		Revision   int64           `json:"revision"`
		MergedInto json.RawMessage `json:"mergedInto"`
		StartedAt  time.Time       `json:"startedAt"`
		EndedAt    time.Time       `json:"endedAt"`
		DurationMs int64           `json:"durationMs"`
		Counts     struct {
			Events     int64 `json:"events"`
			Attached   int64 `json:"attached"`
			Duplicates int64 `json:"duplicates"`
		} `json:"counts"`
		Origin struct {
			Topic     string `json:"topic"`
			Partition int32  `json:"partition"`
			DecidedAt int64  `json:"decidedAt"`
		} `json:"origin"`
	}
	if err := json.Unmarshal(r.Value, &j); err != nil {
		return visit{}, err
	}
	begins := j.Event == "Visit Started" && j.Revision == 0
	ends := j.Event == "Visit Ended" && j.Revision >= 1
	if !begins && !ends || len(j.Session.ID) == 0 {
		return visit{}, fmt.Errorf("event %q, revision %d, id %q: no record of a visit",
			j.Event, j.Revision, j.Session.ID)
	}
	if want := fmt.Sprintf("%s-%d", j.Session.UUID, j.Revision); j.MessageID != want {
		return visit{}, fmt.Errorf("messageId is %q, want %q", j.MessageID, want)
	}
	return visit{
		begins: begins, attached: j.Counts.Attached + j.Counts.Duplicates,
		anonymousID: j.AnonymousID, id: string(j.Session.ID), uuid: j.Session.UUID,
		index: j.Session.Index, reason: j.Reason, revision: j.Revision,
		mergedInto: string(j.MergedInto),
		startedMs:  j.StartedAt.UnixMilli(), endedMs: j.EndedAt.UnixMilli(),
		durationMs: j.DurationMs, events: j.Counts.Events,
		origin: origin{j.Origin.Topic, j.Origin.Partition, j.Origin.DecidedAt},
	}, nil
}
