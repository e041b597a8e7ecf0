//go:build kafka

package kafkatest

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// deadLetter is a record of the dead-letter topic and what its headers say.
type deadLetter struct {
	record  *kgo.Record
	reason  string
	message string
}

// verdict is what the topics of a pipeline hold, proved to be free of loss and doubles.
type verdict struct {
	sessions int // ids in the output
	stamped  int // events with a session
	visits   int // Visit Ended records
	merged   int // sessions taken in by others

	output map[int32][]*kgo.Record
	dead   map[int32]map[int64]deadLetter // by partition and offset of the input
	finals []string                       // of the sessions that were not merged, sorted
}

// audit lets verify prove what the topics hold, and compares them with what was sent: verify cannot
// know of records that the input has lost, by retention, say. It returns what tests ask for.
func (p *pipeline) audit(t *testing.T) *verdict {
	t.Helper()
	p.verify(t)
	v := &verdict{output: p.all(t, p.output)}
	v.readDead(t, p)
	sent := map[int32][]*kgo.Record{}
	for _, r := range p.sentSoFar() {
		sent[r.Partition] = append(sent[r.Partition], r)
	}
	for id, records := range sent {
		slices.SortFunc(records, func(a, b *kgo.Record) int { return int(a.Offset - b.Offset) })
		v.compare(t, id, records)
	}
	v.checkVisits(t, p, v.countStamps(t))
	return v
}

// verify runs the command, as its users do.
func (p *pipeline) verify(t *testing.T) {
	t.Helper()
	proc := start(t, "verify", p.dir, p.args("auditor", "verify")...)
	if code := proc.wait(t, drainWithin); code != 0 {
		t.Errorf("verify: exit code %d\n%s%s", code, proc.stdout.String(), proc.tail())
	}
}

func (v *verdict) readDead(t *testing.T, p *pipeline) {
	t.Helper()
	v.dead = map[int32]map[int64]deadLetter{}
	for id, records := range p.all(t, p.dead) {
		v.dead[id] = map[int64]deadLetter{}
		for _, r := range records {
			h := map[string]string{}
			for _, header := range r.Headers {
				h[header.Key] = string(header.Value)
			}
			offset, err := strconv.ParseInt(h["__sessionizer.errors.offset"], 10, 64)
			if err != nil {
				t.Errorf("dead letter %d/%d: offset header: %v", id, r.Offset, err)
			}
			if _, twice := v.dead[id][offset]; twice {
				t.Errorf("dead letter of input %d/%d is there twice", id, offset)
			}
			v.dead[id][offset] = deadLetter{
				r, h["__sessionizer.errors.reason"], h["__sessionizer.errors.message"],
			}
		}
	}
}

// compare holds a partition of the output against that of the input.
func (v *verdict) compare(t *testing.T, id int32, sent []*kgo.Record) {
	t.Helper()
	const complaintsMax = 10
	complaints := 0
	complain := func(format string, args ...any) {
		if complaints++; complaints <= complaintsMax {
			t.Errorf("partition %d: %s", id, fmt.Sprintf(format, args...))
		}
	}
	out := v.output[id]
	next := 0
	for _, in := range sent {
		if _, ok := v.dead[id][in.Offset]; ok {
			continue
		}
		if next == len(out) {
			complain("the output ends before input offset %d: lost", in.Offset)
			break
		}
		if what := difference(in, out[next]); what != "" {
			complain("input offset %d, output offset %d: %s", in.Offset, out[next].Offset, what)
		}
		next++
	}
	if next < len(out) {
		complain("%d records more in the output than in the input", len(out)-next)
	}
	if len(v.dead[id]) > 0 && len(sent) < len(v.dead[id]) {
		complain("%d dead letters of %d records", len(v.dead[id]), len(sent))
	}
}

// difference says what an event must not have changed on its way.
func difference(in, out *kgo.Record) string {
	switch {
	case !bytes.Equal(in.Key, out.Key) || (in.Key == nil) != (out.Key == nil):
		return fmt.Sprintf("key %q became %q", in.Key, out.Key)
	case in.Timestamp.UnixMilli() != out.Timestamp.UnixMilli():
		return fmt.Sprintf("timestamp %s became %s", in.Timestamp, out.Timestamp)
	case !slices.EqualFunc(in.Headers, out.Headers, sameHeader):
		return fmt.Sprintf("headers %v became %v", in.Headers, out.Headers)
	case in.Value == nil || out.Value == nil:
		if (in.Value == nil) != (out.Value == nil) {
			return fmt.Sprintf("value %.100q became %.100q", in.Value, out.Value)
		}
		return ""
	}
	want, err := bare(in.Value)
	if err != nil {
		return err.Error()
	}
	got, err := bare(out.Value)
	if err != nil {
		return err.Error()
	}
	if want != got {
		return fmt.Sprintf("%.300s became %.300s", in.Value, out.Value)
	}
	return ""
}

func sameHeader(a, b kgo.RecordHeader) bool {
	return a.Key == b.Key && bytes.Equal(a.Value, b.Value)
}

// countStamps returns the number of events of each session, by its uuid.
func (v *verdict) countStamps(t *testing.T) map[string]int {
	t.Helper()
	events := map[string]int{}
	for _, records := range v.output {
		for _, r := range records {
			if r.Value == nil {
				continue
			}
			if s := decode[payload](t, "output", r.Value).Context.Session; s != nil {
				v.stamped++
				events[s.UUID]++
			}
		}
	}
	v.sessions = len(events)
	return events
}

// checkVisits holds the Visit Ended records against the stamped events.
func (v *verdict) checkVisits(t *testing.T, p *pipeline, events map[string]int) {
	t.Helper()
	last := map[string]visit{}
	for id, records := range p.all(t, p.visits) {
		for _, r := range records {
			v.visits++
			e := decode[visit](t, "visit", r.Value)
			at := fmt.Sprintf("visit %d/%d", id, r.Offset)
			if want := last[e.Session.UUID].Revision + 1; e.Revision != want {
				t.Errorf("%s: revision %d of session %s, want %d", at, e.Revision, e.Session.UUID, want)
			}
			if want := fmt.Sprintf("%s-%d", e.Session.UUID, e.Revision); e.MessageID != want {
				t.Errorf("%s: messageId is %s, want %s", at, e.MessageID, want)
			}
			if string(r.Key) != e.Session.UUID || e.Origin.Partition != id || e.Origin.Topic != p.input ||
				e.Type != "track" || e.Event != "Visit Ended" {
				t.Errorf("%s: key %q of %.400s", at, r.Key, r.Value)
			}
			if events[e.Session.UUID] == 0 {
				t.Errorf("%s: no event has the session %s", at, e.Session.UUID)
			}
			last[e.Session.UUID] = e
		}
	}
	total := 0
	for _, e := range last {
		if e.MergedInto != 0 {
			v.merged++
			continue
		}
		total += e.Counts.Events
		v.finals = append(v.finals, final(e.AnonymousID, e.StartedAt, e.EndedAt, e.Counts.Events))
	}
	slices.Sort(v.finals)
	if len(last) == v.sessions && total != v.stamped {
		t.Errorf("the visits count %d events, %d have a session", total, v.stamped)
	}
}

// final is a visit as those who count visits see it.
func final(anonymousID, startedAt, endedAt string, events int) string {
	return fmt.Sprintf("%s %s %s %d", anonymousID, startedAt, endedAt, events)
}

// allEnded fails the test where a session has no Visit Ended.
func (v *verdict) allEnded(t *testing.T) {
	t.Helper()
	if got, want := len(v.finals)+v.merged, v.sessions; got != want {
		t.Errorf("%d sessions have a Visit Ended, want all %d", got, want)
	}
}

// matches holds the final visits against what they should be.
func (v *verdict) matches(t *testing.T, want []string) {
	t.Helper()
	v.allEnded(t)
	const shown = 5
	missing, extra := minus(want, v.finals), minus(v.finals, want)
	if len(missing)+len(extra) > 0 {
		t.Errorf("%d final visits, want %d; %d missing: %s; %d that should not be: %s",
			len(v.finals), len(want), len(missing), strings.Join(missing[:min(shown, len(missing))], " | "),
			len(extra), strings.Join(extra[:min(shown, len(extra))], " | "))
	}
}

// minus returns what is in a and not in b, both sorted.
func minus(a, b []string) (only []string) {
	for len(a) > 0 {
		switch {
		case len(b) == 0 || a[0] < b[0]:
			only, a = append(only, a[0]), a[1:]
		case a[0] == b[0]:
			a, b = a[1:], b[1:]
		default:
			b = b[1:]
		}
	}
	return only
}

// batch is the other way to get the visits: all events of a customer, sorted by time, are cut where
// the gap is greater than the timeout.
func batch(t *testing.T, records []*kgo.Record, timeout time.Duration) []string {
	t.Helper()
	times := map[string][]time.Time{}
	for _, r := range records {
		e := decode[payload](t, "input", r.Value)
		at, err := time.Parse(time.RFC3339Nano, e.Timestamp)
		if err != nil {
			t.Fatal(err)
		}
		times[e.AnonymousID] = append(times[e.AnonymousID], at)
	}
	const form = "2006-01-02T15:04:05.000Z"
	var finals []string
	for id, at := range times {
		slices.SortFunc(at, time.Time.Compare)
		for first := 0; first < len(at); {
			end := first + 1
			for end < len(at) && at[end].Sub(at[end-1]) <= timeout {
				end++
			}
			finals = append(finals,
				final(id, at[first].UTC().Format(form), at[end-1].UTC().Format(form), end-first))
			first = end
		}
	}
	slices.Sort(finals)
	return finals
}

// awaitVisits waits until the visits account for so many events: then every event is in the last
// revision of a visit, and nothing more is to come.
func (p *pipeline) awaitVisits(t *testing.T, within time.Duration, events int) {
	t.Helper()
	r := p.follow(t, p.visits)
	last := map[string]visit{}
	seen, total := 0, 0
	r.until(t, within, fmt.Sprintf("the visits account for %d events", events), func() (bool, string) {
		for ; seen < len(r.records); seen++ {
			e := decode[visit](t, "visit", r.records[seen].Value)
			if before := last[e.Session.UUID]; before.MergedInto == 0 {
				total -= before.Counts.Events
			}
			if e.MergedInto == 0 {
				total += e.Counts.Events
			}
			last[e.Session.UUID] = e
		}
		return total >= events, fmt.Sprintf("%d visits with %d events", len(last), total)
	})
}
