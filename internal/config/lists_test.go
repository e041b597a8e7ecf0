package config

import (
	"reflect"
	"strings"
	"testing"
)

// Who has several elements of a list wrong mends them in one go.
func TestLoad_EveryWrongElementOfAListIsTold(t *testing.T) {
	_, _, err := inFile(`kafka:
  brokers: [b, 'kafka://b:9092', 'b:0', 'ok:9092', 'ok:9092']
input:
  topics:
    - my topic
    - fine
    - fine
    - 1.5
    - ''
    - a/b
output:
  fields: [indx, full, id, id, [x], strt]
paths:
  user_id: [a..b, c, '.d', '']
session:
  splits: [midnight, campagn, max_duration, &u user_change, *u, max_events, user_change]
time:
  sources:
    - record
    - recorded
    - {a: b}
    - true
    - record
rules:
  - when: {event: [[a], x, x, {b: c}, 0x10, null]}
    end: true
`).load()
	want := `sessionizer.yaml:2: kafka.brokers: want host:port, found "b"
sessionizer.yaml:2: kafka.brokers: want host:port, found the URL scheme "kafka": write b:9092
sessionizer.yaml:2: kafka.brokers: want a port from 1 to 65535, found "0" in "b:0"
sessionizer.yaml:2: kafka.brokers: the broker ok:9092 is given twice
sessionizer.yaml:5: input.topics: "my topic" holds ' ': Kafka allows letters, digits, '.', '_' and '-'
sessionizer.yaml:7: input.topics: the topic fine is given twice
sessionizer.yaml:8: input.topics: want text, found the number 1.5: put it in quotes
sessionizer.yaml:9: input.topics: the list has an empty element
sessionizer.yaml:10: input.topics: "a/b" holds '/': Kafka allows letters, digits, '.', '_' and '-'
sessionizer.yaml:12: output.fields: no such field: "indx"; did you mean index?
sessionizer.yaml:12: output.fields: full stands alone, not in a list with other fields
sessionizer.yaml:12: output.fields: id is given twice
sessionizer.yaml:12: output.fields: want text, found a list
sessionizer.yaml:12: output.fields: no such field: "strt"; did you mean start?
sessionizer.yaml:14: paths.user_id: path "a..b": an empty name
sessionizer.yaml:14: paths.user_id: path ".d": an empty name
sessionizer.yaml:14: paths.user_id: the list has an empty element
sessionizer.yaml:16: session.splits: aliases and merge keys are not understood: write the value out
sessionizer.yaml:16: session.splits: midnight is a key of its own: session.midnight, an IANA zone such as Europe/Rome
sessionizer.yaml:16: session.splits: want client_start, user_change or campaign, found "campagn"; did you mean campaign?
sessionizer.yaml:16: session.splits: max_duration is a key of its own: session.max_duration, a duration such as 12h
sessionizer.yaml:16: session.splits: max_events is a key of its own: session.max_events, a number such as 1000
sessionizer.yaml:16: session.splits: user_change is given twice
sessionizer.yaml:20: time.sources: want timestamp, originalTimestamp, record or corrected, found "recorded"; did you mean record?
sessionizer.yaml:21: time.sources: want text, found a mapping
sessionizer.yaml:22: time.sources: want text, found the boolean true: put it in quotes
sessionizer.yaml:23: time.sources: record is given twice
sessionizer.yaml:25: rules[0].when.event: want text, a number, true, false or null, found a list
sessionizer.yaml:25: rules[0].when.event: "x" is given twice
sessionizer.yaml:25: rules[0].when.event: want text, a number, true, false or null, found a mapping
sessionizer.yaml:25: rules[0].when.event: want a number as JSON writes it, such as 10, -1.5 or 1e3, found "0x10"`
	if got := strings.Join(lines(err), "\n"); got != want {
		t.Fatalf("got\n%s", got)
	}
}

func TestLoad_EveryWrongElementOfAVariableIsTold(t *testing.T) {
	_, _, err := world{environ: []string{"SESSIONIZER_SESSION_SPLITS=midnight,user,campaign"},
		set: []string{"output.fields=indx,id,strt"}}.load()
	want := []string{
		`environment SESSIONIZER_SESSION_SPLITS: session.splits: midnight is a key of its own: ` +
			`session.midnight, an IANA zone such as Europe/Rome`,
		`environment SESSIONIZER_SESSION_SPLITS: session.splits: want client_start, user_change or ` +
			`campaign, found "user"`,
		`--set: output.fields: no such field: "indx"; did you mean index?`,
		`--set: output.fields: no such field: "strt"; did you mean start?`,
	}
	if got := lines(err); !reflect.DeepEqual(got, want) {
		t.Fatalf("got\n%s", strings.Join(got, "\n"))
	}
}
