package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sessionizer/session"
)

// Real events of mobile trackers with their client_session entity, in the shape in which Snowplow's
// analytics SDKs give them, and the sessions that Snowplow's own model makes of them. They are no
// part of the repository.

const snowplowMobile = "../../../shared/data/snowplow_mobile/snowplow_mobile_"

// snowplowRows reads a table: each row by the names of its columns.
func snowplowRows(t *testing.T, name string) []map[string]string {
	t.Helper()
	f, err := os.Open(snowplowMobile + name + ".csv")
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

// snowplowTime is a time of the tables as the SDKs write it.
func snowplowTime(text string) string { return strings.Replace(text, " ", "T", 1) + "Z" }

// snowplowEvent is an enriched event.
type snowplowEvent struct {
	value    []byte
	time     session.Time
	received session.Time
	user     string
	session  string
}

// snowplowEvents joins the events with their entities, in the order of the file.
func snowplowEvents(t *testing.T) []snowplowEvent {
	t.Helper()
	entities := map[string]map[string]string{}
	for _, row := range snowplowRows(t, "client_session_context") {
		entities[row["root_id"]] = row
	}
	var events []snowplowEvent
	for _, row := range snowplowRows(t, "events") {
		of := entities[row["event_id"]]
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
		event["contexts_com_snowplowanalytics_snowplow_client_session_1"] = []any{snowplowEntity(t, of)}
		value, err := json.Marshal(event)
		at, ok := session.ParseTime([]byte(snowplowTime(row["derived_tstamp"])))
		received, isTime := session.ParseTime([]byte(snowplowTime(row["collector_tstamp"])))
		if err != nil || !ok || !isTime {
			t.Fatalf("event %s: %v, at %q", row["event_id"], err, row["derived_tstamp"])
		}
		events = append(events, snowplowEvent{value, at, received, of["user_id"], of["session_id"]})
	}
	return events
}

func snowplowEntity(t *testing.T, row map[string]string) map[string]any {
	t.Helper()
	entity := map[string]any{
		"userId": row["user_id"], "sessionId": row["session_id"], "previousSessionId": nil,
		"firstEventId": row["first_event_id"], "storageMechanism": row["storage_mechanism"],
		"firstEventTimestamp": snowplowTime(row["first_event_timestamp"]),
	}
	if row["previous_session_id"] != "" {
		entity["previousSessionId"] = row["previous_session_id"]
	}
	for name, column := range map[string]string{
		"sessionIndex": "session_index", "eventIndex": "event_index",
	} {
		n, err := strconv.Atoi(row[column])
		if err != nil {
			t.Fatal(err)
		}
		entity[name] = n
	}
	return entity
}

// snowplowCase are events as a case, which each came when the collector had it.
func snowplowCase(t *testing.T, events []snowplowEvent) *testCase {
	t.Helper()
	cfg, err := (&app{set: []string{"profile=snowplow"}}).loadCase()
	if err != nil {
		t.Fatal(err)
	}
	c := &testCase{file: &caseFile{name: snowplowMobile}, name: t.Name(), cfg: cfg}
	for _, e := range events {
		c.steps = append(c.steps, caseStep{key: e.user, value: e.value, received: e.received})
	}
	return c
}

// The sessions are those that Snowplow's model finds: ids, starts and ends. Of ce997048 the model
// read two days only; in the events it goes on. It leaves out ab678146, whose events were sent more
// than three days late; here an event that names its session is never too late.
func TestConformance_SnowplowsEventsGiveSnowplowsSessions(t *testing.T) {
	const cutByTheModel, itsEnd = "ce997048-b49e-4bc4-be40-ed93729a54d3", "2021-04-10"
	const late = "ab678146-c850-4d08-b6b2-7958cdbd1af1"
	events := snowplowEvents(t)
	want := map[string]string{}
	for _, row := range snowplowRows(t, "sessions_expected") {
		at, until := snowplowTime(row["start_tstamp"]), snowplowTime(row["end_tstamp"])
		if row["session_id"] == cutByTheModel {
			until = lastOf(events, row["session_id"])
			if !strings.HasPrefix(until, itsEnd) {
				t.Errorf("the last event of %s is at %s, want one of %s", cutByTheModel, until, itsEnd)
			}
		}
		want[row["session_id"]] = row["device_user_id"] + " " + at + ".." + until
	}
	if len(events) != 130 || len(want) != 7 || want[late] != "" {
		t.Fatalf("%d events, %d sessions", len(events), len(want))
	}
	want[late] = "7813445e-40ed-4306-8d92-01cefe2235c7 " +
		"2021-03-09T05:00:32.732Z..2021-03-09T05:00:33.501Z"
	byTime := slices.Clone(events)
	slices.SortStableFunc(byTime, func(a, b snowplowEvent) int { return int(a.time - b.time) })
	pipe := newWirePipe(t)
	for i, events := range [][]snowplowEvent{events, byTime} {
		c := snowplowCase(t, events)
		out := stampedCase(t, "profile: snowplow", c)
		got := map[string]string{}
		for _, v := range out.visits {
			id, rest, _ := strings.Cut(v, " ")
			got[id], _, _ = strings.Cut(rest, " events=")
		}
		if !maps.Equal(got, want) || len(out.events) != len(events) || len(out.dead) > 0 {
			t.Errorf("in the order %d: %d events\ngot  %v\nwant %v", i, len(out.events), got, want)
		}
		group := &wireGroup{config: "profile: snowplow", cases: []*testCase{c}}
		checkSameOutcome(t, c, out, pipe.run(t, i, group, 1)[0])
	}
}

// lastOf is the time of a session's last event.
func lastOf(events []snowplowEvent, id string) string {
	last := session.NoTime
	for _, e := range events {
		if e.session == id {
			last = max(last, e.time)
		}
	}
	return formatTime(last)
}
