//go:build kafka

package kafkatest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Nothing in a payload may stop the processor, and nothing may be dropped: what cannot be
// processed is in the dead letters, with all that an operator needs to send it again.

// badInput is a record and the reason that its dead letter must give.
type badInput struct {
	name   string
	value  []byte
	reason string
}

func badInputs(at time.Time) []badInput {
	stamp := at.UTC().Format(time.RFC3339)
	with := func(name, members, reason string) badInput {
		return badInput{name, []byte(`{"timestamp":"` + stamp + `",` + members + `}`), reason}
	}
	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	return []badInput{
		{"Truncated", []byte(`{"anonymousId":"a","timestamp":"` + stamp), "malformed"},
		{"NoObject", []byte(`["anonymousId"]`), "malformed"},
		{"Text", []byte(`"anonymousId"`), "malformed"},
		{"Empty", []byte{}, "malformed"},
		{"MoreBehindIt", []byte(`{"anonymousId":"a","timestamp":"` + stamp + `"} {}`), "malformed"},
		with("NotUTF8", "\"anonymousId\":\"\xff\xfe\"", "malformed"),
		{"ByteOrderMark", []byte("\uFEFF" + `{"anonymousId":"a"}`), "malformed"},
		{"Binary", []byte{0, 0, 0, 0, 1, 2, 3}, "malformed"},
		with("NoAnonymousID", `"userId":"u"`, "no_key"),
		with("AnonymousIDEmpty", `"anonymousId":""`, "no_key"),
		with("AnonymousIDBlank", `"anonymousId":" \t"`, "no_key"),
		with("AnonymousIDNull", `"anonymousId":null`, "no_key"),
		with("AnonymousIDTextNull", `"anonymousId":"null"`, "no_key"),
		with("AnonymousIDUndefined", `"anonymousId":"undefined"`, "no_key"),
		with("AnonymousIDNil", `"anonymousId":"00000000-0000-0000-0000-000000000000"`, "no_key"),
		with("AnonymousIDNumber", `"anonymousId":17`, "no_key"),
		{"NoTime", []byte(`{"anonymousId":"a"}`), "no_time"},
		{"BadTime", []byte(`{"anonymousId":"a","timestamp":"yesterday"}`), "no_time"},
		with("ContextText", `"anonymousId":"a","context":"page"`, "bad_context"),
		with("ContextList", `"anonymousId":"a","context":[]`, "bad_context"),
		with("TooDeep", `"anonymousId":"a","deep":`+deep, "limit"),
		with("AnonymousIDTooLong", `"anonymousId":"`+strings.Repeat("x", 1025)+`"`, "limit"),
		with("TwoMegabytes", `"anonymousId":"a","blob":"`+strings.Repeat("y", 2<<20)+`"`, "limit"),
		with("InvalidID", `"anonymousId":"a","context":{"sessionId":"seven"}`, "invalid_id"),
	}
}

func TestBadInput_GoesToTheDeadLetters(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, 2, map[string]string{"max.message.bytes": "4194304"},
		"time.sources=timestamp", "session.on_invalid=dead_letter", "time.too_late=dead_letter")
	p.make(t)
	now := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	bad := badInputs(now)
	// A second visit of one customer makes the first one's time too late for a third.
	records := []*kgo.Record{event("first", "steady", now, `{}`)}
	for i, b := range bad {
		records = append(records, &kgo.Record{
			Key: []byte("key-" + b.name), Value: b.value,
			Timestamp: now.Add(time.Duration(i) * time.Second),
			Headers: []kgo.RecordHeader{
				{Key: "trace", Value: []byte(b.name)},
				{Key: "__sessionizer.errors.reason", Value: []byte("old")},
			},
		})
	}
	bad = append(bad, badInput{"TooLate", nil, "too_late"})
	records = append(records,
		event("next", "steady", now.Add(72*time.Hour), `{}`),
		event("old", "steady", now.Add(time.Hour), `{}`))
	tombstone := &kgo.Record{
		Key: []byte("steady"), Timestamp: now, Headers: []kgo.RecordHeader{{Key: "h"}},
	}
	keyless := event("keyless", "somebody", now.Add(72*time.Hour), `{}`)
	keyless.Key = nil
	last := event("last", "steady", now.Add(72*time.Hour), `{}`)
	p.send(t, append(records, tombstone, keyless, last)...)
	p.runUntilEnd(t, "one")

	v := p.audit(t)
	if v.stamped != 4 {
		t.Errorf("%d events have a session, want the 4 good ones", v.stamped)
	}
	for i, b := range bad {
		in := records[i+1]
		if b.name == "TooLate" {
			in = records[len(records)-1]
		}
		t.Run(b.name, func(t *testing.T) { v.checkDead(t, p.input, in, b.reason) })
	}
	if got := len(v.dead[0]) + len(v.dead[1]); got != len(bad) {
		t.Errorf("%d dead letters, want %d", got, len(bad))
	}
}

// checkDead looks at the dead letter of an input record.
func (v *verdict) checkDead(t *testing.T, topic string, in *kgo.Record, reason string) {
	t.Helper()
	d, ok := v.dead[in.Partition][in.Offset]
	if !ok {
		t.Fatalf("no dead letter in partition %d for offset %d", in.Partition, in.Offset)
	}
	r := d.record
	if !bytes.Equal(r.Key, in.Key) || !bytes.Equal(r.Value, in.Value) ||
		r.Timestamp.UnixMilli() != in.Timestamp.UnixMilli() {
		t.Errorf("key %q, %d bytes, %s; want %q, %d bytes, %s", r.Key, len(r.Value), r.Timestamp,
			in.Key, len(in.Value), in.Timestamp)
	}
	own := len(in.Headers)
	if len(r.Headers) != own+5 {
		t.Fatalf("headers %v, want those of the record and 5 more", r.Headers)
	}
	for i, h := range in.Headers {
		if !sameHeader(h, r.Headers[i]) {
			t.Errorf("header %d is %v, want the record's own %v", i, r.Headers[i], h)
		}
	}
	const prefix = "__sessionizer.errors."
	want := []kgo.RecordHeader{
		{Key: prefix + "topic", Value: []byte(topic)},
		{Key: prefix + "partition", Value: strconv.AppendInt(nil, int64(in.Partition), 10)},
		{Key: prefix + "offset", Value: strconv.AppendInt(nil, in.Offset, 10)},
		{Key: prefix + "reason", Value: []byte(reason)},
	}
	for i, h := range want {
		if !sameHeader(h, r.Headers[own+i]) {
			t.Errorf("header %d is %s=%q, want %s=%q (%s)", own+i, r.Headers[own+i].Key,
				r.Headers[own+i].Value, h.Key, h.Value, d.message)
		}
	}
	if h := r.Headers[own+4]; h.Key != prefix+"message" || len(h.Value) == 0 {
		t.Errorf("the last header is %s=%q, want a message", h.Key, h.Value)
	}
	if bytes.Contains(r.Headers[own+4].Value, []byte("steady")) {
		t.Errorf("the message tells the anonymous ID: %s", d.message)
	}
}

func TestBadInput_AnEventThatGrowsTooLargeGoesToTheDeadLetters(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, 1, narrow())
	p.createNarrowOutput(t)
	p.make(t)
	records := growing(random(t))
	for _, r := range records {
		p.send(t, r) // a batch of its own
	}
	p.runUntilEnd(t, "one")

	v := p.audit(t)
	if v.stamped != 2 || v.sessions != 1 {
		t.Errorf("%d events in %d sessions, want the 2 others in one", v.stamped, v.sessions)
	}
	v.checkDead(t, p.input, records[1], "limit")
}

const narrowBytes = 200_000

func narrow() map[string]string {
	return map[string]string{"max.message.bytes": strconv.Itoa(narrowBytes), "retention.ms": "-1"}
}

// createNarrowOutput makes the output topic by hand, without more room for a session.
func (p *pipeline) createNarrowOutput(t *testing.T) {
	t.Helper()
	p.create(t, p.output, p.partitions, narrow())
}

// growing are three events of a visitor. The second fits into the narrow output with less to spare
// than a session takes. Random text, so that compression cannot make room.
func growing(rng *rand.Rand) []*kgo.Record {
	const spare = 150
	at := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	full := event("full", "steady", at.Add(time.Second), `{"blob":""}`)
	blob := noise(rng, narrowBytes-spare-len(full.Value))
	return []*kgo.Record{
		event("before", "steady", at, `{}`),
		event("full", "steady", at.Add(time.Second), fmt.Sprintf(`{"blob":%q}`, blob)),
		event("behind", "steady", at.Add(2*time.Second), `{}`),
	}
}

// noise is text that does not compress.
func noise(rng *rand.Rand, length int) string {
	raw := make([]byte, length)
	for i := range raw {
		raw[i] = byte(rng.Uint32())
	}
	return base64.RawStdEncoding.EncodeToString(raw)[:length]
}

func TestBadInput_PolicyFailStopsAndLosesNothing(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, 1, nil)
	p.make(t)
	at := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	bad := &kgo.Record{Key: []byte("steady"), Value: []byte(`{"a"`), Timestamp: at}
	p.send(t, event("1", "steady", at, `{}`), bad, event("2", "steady", at, `{}`))
	proc := p.run(t, "one", "dead_letters.on.malformed=fail")
	proc.ends(t, startWithin, 1, fmt.Sprintf("%s/0@%d", p.input, bad.Offset), "malformed")
	p.runUntilEnd(t, "one") // the default: to the dead letters
	v := p.audit(t)
	if v.stamped != 2 {
		t.Errorf("%d events have a session, want 2", v.stamped)
	}
	v.checkDead(t, p.input, bad, "malformed")
}
