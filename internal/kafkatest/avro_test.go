//go:build kafka

package kafkatest

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/internal/kafka"
)

// Events in Avro, with a real registry: what comes out has the sessions that the same events in
// JSON have, nothing else of an event has changed, and a registry that goes away is waited for.

// eventFields are the fields of the first version of the events' schema.
const eventFields = `{"name":"messageId","type":"string"},{"name":"anonymousId","type":"string"},
	{"name":"type","type":"string"},{"name":"event","type":["null","string"],"default":null},
	{"name":"timestamp","type":{"type":"long","logicalType":"timestamp-millis"}},
	{"name":"context","type":{"type":"record","name":"Context","fields":[
		{"name":"library","type":{"type":"record","name":"Library","fields":[{"name":"name","type":"string"}]}}]}},
	{"name":"properties","type":{"type":"map","values":"long"}}`

const (
	eventV1 = `{"type":"record","name":"Event","namespace":"shop","fields":[` + eventFields + `]}`
	eventV2 = `{"type":"record","name":"Event","namespace":"shop","fields":[
		{"name":"region","type":"string","default":""},` + eventFields + `]}`
)

// avroEvents are the events of JSON records, in Avro with a schema that a registry knows.
func avroEvents(t *testing.T, id uint32, schema string, events []*kgo.Record) []*kgo.Record {
	t.Helper()
	codec, err := goavro.NewCodec(schema)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]*kgo.Record, len(events))
	for i, r := range events {
		e := decode[payload](t, "event", r.Value)
		at, err := time.Parse(time.RFC3339Nano, e.Timestamp)
		if err != nil {
			t.Fatal(err)
		}
		value := append([]byte{0}, binary.BigEndian.AppendUint32(nil, id)...)
		value, err = codec.BinaryFromNative(value, map[string]any{
			"region": "north", "messageId": fmt.Sprint("m-", i), "anonymousId": e.AnonymousID,
			"type": "track", "event": goavro.Union("string", "Hit"), "timestamp": at,
			"context":    map[string]any{"library": map[string]any{"name": "test"}},
			"properties": map[string]any{"n": int64(i)},
		})
		if err != nil {
			t.Fatal(err)
		}
		out[i] = &kgo.Record{Key: r.Key, Timestamp: r.Timestamp, Value: value}
	}
	return out
}

// checkAvro holds an output in Avro against its input, and returns how many events each session
// has, by uuid.
func (p *pipeline) checkAvro(t *testing.T, r *kafka.Registry) map[string]int {
	t.Helper()
	codecs := map[uint32]*goavro.Codec{}
	native := func(value []byte) map[string]any {
		t.Helper()
		if len(value) < 5 || value[0] != 0 {
			t.Fatalf("a value that no registry knows: %.100q", value)
		}
		id := binary.BigEndian.Uint32(value[1:])
		if codecs[id] == nil {
			c, err := goavro.NewCodec(schemaOf(t, r, id))
			if err != nil {
				t.Fatalf("schema %d: %v", id, err)
			}
			codecs[id] = c
		}
		n, rest, err := codecs[id].NativeFromBinary(value[5:])
		if err != nil || len(rest) > 0 {
			t.Fatalf("schema %d: %v, %d bytes are left", id, err, len(rest))
		}
		return n.(map[string]any)
	}
	events, starts := map[string]int{}, map[string]int{}
	in, out := p.all(t, p.input), p.all(t, p.output)
	for id, records := range in {
		if len(out[id]) != len(records) {
			t.Fatalf("partition %d: %d events in, %d out", id, len(records), len(out[id]))
		}
		for i, sent := range records {
			got, want := native(out[id][i].Value), native(sent.Value)
			context := got["context"].(map[string]any)
			session := record(context["session"])
			delete(context, "session")
			a, b := fmt.Sprint(got), fmt.Sprint(want)
			if a != b || string(out[id][i].Key) != string(sent.Key) {
				t.Fatalf("partition %d, event %d is %s, in there is %s", id, i, a, b)
			}
			uuid := fmt.Sprint(plain(session["uuid"]))
			events[uuid]++
			if plain(session["start"]) == true {
				starts[uuid]++
			}
			if n := fmt.Sprint(plain(session["eventIndex"])); n != fmt.Sprint(events[uuid]) {
				t.Errorf("partition %d, event %d: eventIndex %s of %d", id, i, n, events[uuid])
			}
		}
	}
	for uuid := range events {
		if starts[uuid] != 1 {
			t.Errorf("session %s has %d starts", uuid, starts[uuid])
		}
	}
	return events
}

// plain takes a value out of a union.
func plain(v any) any {
	if m, ok := v.(map[string]any); ok && len(m) == 1 {
		for _, of := range m {
			return of
		}
	}
	return v
}

// record is a record, alone or in a union.
func record(v any) map[string]any {
	if m, ok := plain(v).(map[string]any); ok {
		return m
	}
	m, _ := v.(map[string]any)
	return m
}

// finalVisits are the last revisions of all visits with their ids.
func (p *pipeline) finalVisits(t *testing.T) []string {
	t.Helper()
	last := map[string]string{}
	for _, records := range p.all(t, p.visits) {
		for _, r := range records {
			e := decode[visit](t, "visit", r.Value)
			last[e.Session.UUID] = fmt.Sprintf("%s %s %s %d %d", e.AnonymousID, e.StartedAt, e.EndedAt,
				e.Counts.Events, e.MergedInto)
		}
	}
	var all []string
	for uuid, text := range last {
		all = append(all, uuid+" "+text)
	}
	slices.Sort(all)
	return all
}

func TestAvro_HasTheSessionsOfTheSameEventsInJSON(t *testing.T) {
	t.Parallel()
	r := ownRegistry(t)
	events := customers(random(t), 40, 3000)
	asJSON := newPipeline(t, 4, nil)
	asJSON.make(t)
	asJSON.send(t, events...)
	asJSON.runUntilEnd(t, "json")

	p := newPipeline(t, 4, nil, "registry.url="+r.URL())
	p.make(t)
	id := register(t, r, p.input+"-value", eventV1)
	p.send(t, avroEvents(t, id, eventV1, events)...)
	p.runUntilEnd(t, "avro")

	p.checkAvro(t, r)
	want, got := asJSON.finalVisits(t), p.finalVisits(t)
	missing, extra := minus(want, got), minus(got, want)
	if len(missing)+len(extra) > 0 || len(want) == 0 {
		t.Errorf("%d visits, in JSON %d; %d missing: %.3q, %d that should not be: %.3q", len(got), len(want),
			len(missing), missing, len(extra), extra)
	}
	if !slices.Contains(subjects(t, r), p.output+"-value") {
		t.Errorf("no schema is registered for the output: %v", subjects(t, r))
	}
	if n := len(p.all(t, p.dead)); n != 0 {
		t.Errorf("dead letters in %d partitions", n)
	}
}

// The schema of the events changes while the registry is away, in mid-run.
func TestAvro_ARegistryThatGoesAwayIsWaitedFor(t *testing.T) {
	t.Parallel()
	r := ownRegistry(t)
	events := customers(random(t), 40, 3000)
	p := newPipeline(t, 4, nil, "registry.url="+r.URL())
	p.make(t)
	subject := p.input + "-value"
	first := register(t, r, subject, eventV1)
	second := register(t, r, subject, eventV2)
	third := events[2000:]
	proc := p.run(t, "one")

	p.send(t, avroEvents(t, first, eventV1, events[:1000])...)
	done := p.awaitOutput(t, 1000)
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	p.send(t, avroEvents(t, second, eventV2, events[1000:2000])...)
	proc.says(t, startWithin, "the schema registry does not answer")
	if !proc.alive() {
		t.Fatalf("it ended: %s", proc.tail())
	}
	if n := len(slices.Concat(slices.Collect(maps.Values(p.all(t, p.output)))...)); n != done {
		t.Errorf("%d events came out while the registry was away, %d were before", n, done)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.awaitOutput(t, 2000)
	// Old producers go on beside new ones.
	old := avroEvents(t, first, eventV1, third[:500])
	p.send(t, append(old, avroEvents(t, second, eventV2, third[500:])...)...)
	p.awaitVisits(t, drainWithin, len(events))
	proc.stop(t)

	v := &verdict{}
	counts := p.checkAvro(t, r)
	v.sessions = len(counts)
	for _, n := range counts {
		v.stamped += n
	}
	v.checkVisits(t, p, counts)
	v.matches(t, batch(t, events, timeout))
	for _, records := range p.all(t, p.dead) {
		t.Errorf("dead letter %s", records[0].Headers)
	}
	if names := strings.Join(subjects(t, r), " "); !strings.Contains(names, p.output+"-value") {
		t.Errorf("subjects %s", names)
	}
}
