//go:build kafka

package kafkatest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// member is a member of a JSON object: the bytes from its name to the end of its value.
type member struct {
	name       string
	start, end int
	value      json.RawMessage
}

// members takes an object apart.
func members(object []byte) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, fmt.Errorf("%.60q is no object: %w", object, err)
	}
	var all []member
	for d.More() {
		start := int(d.InputOffset())
		start += bytes.IndexByte(object[start:], '"')
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		text, _ := name.(string)
		all = append(all, member{text, start, int(d.InputOffset()), value})
	}
	return all, nil
}

// cut returns the object without the members of these names, each with one comma.
func cut(object []byte, names ...string) ([]byte, error) {
	all, err := members(object)
	if err != nil {
		return nil, err
	}
	out := bytes.Clone(object)
	for i := len(all) - 1; i >= 0; i-- { // from the end, so that what is in front stays in place
		m := all[i]
		if !slices.Contains(names, m.name) {
			continue
		}
		start, end := m.start, m.end
		if head := bytes.TrimRight(out[:start], " "); bytes.HasSuffix(head, []byte(",")) {
			start = len(head) - 1
		} else if tail := bytes.TrimLeft(out[end:], " "); bytes.HasPrefix(tail, []byte(",")) {
			end = len(out) - len(tail) + 1
		}
		out = append(bytes.Clone(out[:start]), out[end:]...)
	}
	return out, nil
}

// bare returns an event without what a session has to do with it, so that the event that went in
// and the one that came out can be compared byte for byte. A context that holds nothing else goes
// too: it is made where an event has none.
func bare(event []byte) (string, error) {
	all, err := members(event)
	if err != nil {
		return "", err
	}
	for i := len(all) - 1; i >= 0; i-- {
		m := all[i]
		if m.name != "context" {
			continue
		}
		value := m.value
		if string(value) == "null" {
			value = []byte("{}")
		}
		inner, err := cut(value, "session", "sessionId", "sessionStart")
		if err != nil {
			return "", err
		}
		if strings.TrimSpace(string(inner[1:len(inner)-1])) == "" {
			event, err = cut(event, "context")
			if err != nil {
				return "", err
			}
			break
		}
		at := m.end - len(m.value)
		event = append(append(bytes.Clone(event[:at]), inner...), event[m.end:]...)
	}
	return string(event), nil
}

// payload is what the tests read of a stamped event.
type payload struct {
	AnonymousID string `json:"anonymousId"`
	Timestamp   string `json:"timestamp"`
	Context     struct {
		Session      *stamp `json:"session"`
		SessionID    any    `json:"sessionId"`
		SessionStart any    `json:"sessionStart"`
	} `json:"context"`
}

// stamp is the session of an event, as output.fields: standard writes it.
type stamp struct {
	ID         int64  `json:"id"`
	Start      bool   `json:"start"`
	UUID       string `json:"uuid"`
	Index      int    `json:"index"`
	EventIndex int    `json:"eventIndex"`
	PreviousID int64  `json:"previousId"`
	StartedAt  string `json:"startedAt"`
}

// visit is a Visit Ended record.
type visit struct {
	Type        string `json:"type"`
	Event       string `json:"event"`
	MessageID   string `json:"messageId"`
	AnonymousID string `json:"anonymousId"`
	Session     struct {
		ID   int64  `json:"id"`
		UUID string `json:"uuid"`
	} `json:"session"`
	Reason     string `json:"reason"`
	Revision   int    `json:"revision"`
	MergedInto int64  `json:"mergedInto"`
	StartedAt  string `json:"startedAt"`
	EndedAt    string `json:"endedAt"`
	Counts     struct {
		Events int `json:"events"`
	} `json:"counts"`
	Origin struct {
		Topic     string `json:"topic"`
		Partition int32  `json:"partition"`
	} `json:"origin"`
}

func decode[T any](t *testing.T, what string, value []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(value, &v); err != nil {
		t.Fatalf("%s: %v in %.300s", what, err, value)
	}
	return v
}

func TestBare(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"a":1}`:                                                 `{"a":1}`,
		`{"a":1,"context":{"session":{"id":1}}}`:                  `{"a":1}`,
		`{"context":{"session":{"id":1}},"a":1}`:                  `{"a":1}`,
		`{"a":1,"context":{"ip":"1","session":{"id":1}}}`:         `{"a":1,"context":{"ip":"1"}}`,
		`{"a":1,"context":{"sessionId":7,"ip":"1"},"b":{}}`:       `{"a":1,"context":{"ip":"1"},"b":{}}`,
		`{"a": [1],"context":{"session":{"id":1}} }`:              `{"a": [1] }`,
		`{"a":1,"context":null}`:                                  `{"a":1}`,
		`{"a": 1e2, "session": 5, "context": {"k": [1, 2]}}`:      `{"a": 1e2, "session": 5, "context": {"k": [1, 2]}}`,
		`{"context":{"sessionId":7,"sessionStart":true,"x":"y"}}`: `{"context":{"x":"y"}}`,
	} {
		got, err := bare([]byte(in))
		if err != nil || got != want {
			t.Errorf("bare(%s) = %s, %v; want %s", in, got, err, want)
		}
	}
}
