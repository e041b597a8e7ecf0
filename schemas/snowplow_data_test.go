package schemas

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"sessionizer/session"
)

// Real events of mobile trackers, joined with their client_session entity, in the shape in which
// Snowplow's analytics SDKs give them. They are no part of the repository.

const snowplowData = "../../shared/data/snowplow_mobile/snowplow_mobile_"

// rowsOf reads a table: each row by the names of its columns.
func rowsOf(t *testing.T, name string) []map[string]string {
	t.Helper()
	f, err := os.Open(snowplowData + name + ".csv")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no data: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]string
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, name := range lines[0] {
			row[name] = line[i]
		}
		rows = append(rows, row)
	}
	return rows
}

// snowplowTime returns a time of the tables as the SDKs write it.
func snowplowTime(text string) string { return strings.Replace(text, " ", "T", 1) + "Z" }

// snowplowEvents returns the events, and the rows they and their entities were made from.
func snowplowEvents(t *testing.T) (values [][]byte, events, entities []map[string]string) {
	t.Helper()
	byEvent := map[string]map[string]string{}
	for _, row := range rowsOf(t, "client_session_context") {
		byEvent[row["root_id"]] = row
	}
	for _, row := range rowsOf(t, "events") {
		of := byEvent[row["event_id"]]
		if of == nil {
			t.Fatalf("event %s has no client_session", row["event_id"])
		}
		event := map[string]any{}
		for name, text := range row {
			switch {
			case strings.HasPrefix(name, "contexts_"), strings.HasPrefix(name, "unstruct_"):
			case text == "":
				event[name] = nil
			case strings.HasSuffix(name, "_tstamp"):
				event[name] = snowplowTime(text)
			default:
				event[name] = text
			}
		}
		member := map[string]any{"userId": of["user_id"], "sessionId": of["session_id"],
			"previousSessionId": nil, "firstEventId": of["first_event_id"],
			"firstEventTimestamp": snowplowTime(of["first_event_timestamp"]),
			"storageMechanism":    of["storage_mechanism"]}
		if of["previous_session_id"] != "" {
			member["previousSessionId"] = of["previous_session_id"]
		}
		for name, column := range map[string]string{
			"sessionIndex": "session_index", "eventIndex": "event_index"} {
			n, err := strconv.Atoi(of[column])
			if err != nil {
				t.Fatal(err)
			}
			member[name] = n
		}
		event["contexts_com_snowplowanalytics_snowplow_client_session_1"] = []any{member}
		value, err := json.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		values, events, entities = append(values, value), append(events, row), append(entities, of)
	}
	return values, events, entities
}

func TestRealSnowplowEventsAreReadAndWritten(t *testing.T) {
	values, events, entities := snowplowEvents(t)
	p, err := LoadProfile("snowplow")
	if err != nil {
		t.Fatal(err)
	}
	c := newCodec(t, Config{Profile: p, IDType: session.IDUUID, FutureTolerance: 60_000})
	sessions := map[string]bool{}
	for i, value := range values {
		sc := &Scanned{}
		bad := c.Scan(value, Record{File: true, Fallback: session.NoTime}, sc)
		if bad != nil {
			t.Fatalf("%s: %v", value, bad)
		}
		e := &sc.Event
		at, err := time.Parse(time.RFC3339Nano, snowplowTime(events[i]["derived_tstamp"]))
		if err != nil {
			t.Fatal(err)
		}
		if string(e.AnonymousID) != entities[i]["user_id"] || sc.Notes != 0 || e.Clamped ||
			string(e.Client.Text) != entities[i]["session_id"] || e.Time != session.Time(at.UnixMilli()) ||
			string(e.MessageID) != events[i]["event_id"] || !e.Mobile ||
			(e.Kind == session.KindScreen) != (events[i]["event_name"] == "screen_view") {
			t.Errorf("%s\ngives %+v, notes %b", value, e, sc.Notes)
		}
		sessions[string(e.Client.Text)] = true
		out := c.AppendStamped(nil, value, sc, &session.Stamp{ID: e.Client, Index: 4, EventIndex: 9,
			FirstEvent: e.MessageID, StartedAt: e.Time})
		checkAgreement(t, value, out, string(e.Client.Text))
	}
	expected := rowsOf(t, "sessions_expected")
	if len(values) != 130 || len(expected) != 7 {
		t.Errorf("%d events, %d sessions", len(values), len(expected))
	}
	for _, row := range expected {
		if !sessions[row["session_id"]] {
			t.Errorf("no event of session %s", row["session_id"])
		}
	}
}

// checkAgreement looks into a stamped event as its consumers do: both places say the same, and
// everything else is as it was.
func checkAgreement(t *testing.T, in, out []byte, id string) {
	t.Helper()
	type enriched struct {
		DomainUserID     any   `json:"domain_userid"`
		DomainSessionID  any   `json:"domain_sessionid"`
		DomainSessionIdx any   `json:"domain_sessionidx"`
		Entity           []any `json:"contexts_com_snowplowanalytics_snowplow_client_session_1"`
	}
	var before, after enriched
	if err := errors.Join(json.Unmarshal(in, &before), json.Unmarshal(out, &after)); err != nil {
		t.Fatal(err)
	}
	was, okBefore := before.Entity[0].(map[string]any)
	is, okAfter := after.Entity[0].(map[string]any)
	if !okBefore || !okAfter || is["sessionId"] != id || after.DomainSessionID != id ||
		is["userId"] != was["userId"] || after.DomainUserID != is["userId"] ||
		is["sessionIndex"] != 4.0 || after.DomainSessionIdx != 4.0 || is["eventIndex"] != 9.0 ||
		is["storageMechanism"] != was["storageMechanism"] || is["previousSessionId"] != nil {
		t.Errorf("%s\ngives %s", in, out)
	}
	if got, want := withoutSnowplowSession(t, out), withoutSnowplowSession(t, in); got != want {
		t.Errorf(" got %s\nwant %s", got, want)
	}
}

// withoutSnowplowSession is all of an event but the members that are ours.
func withoutSnowplowSession(t *testing.T, value []byte) string {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(value, &m); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"domain_userid", "domain_sessionid", "domain_sessionidx",
		"contexts_com_snowplowanalytics_snowplow_client_session_1"} {
		delete(m, name)
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
