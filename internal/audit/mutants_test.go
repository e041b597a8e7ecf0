package audit_test

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sessionizer/internal/audit"
	"sessionizer/internal/proof"
)

// An audit that finds nothing anywhere looks just like a pipeline without a fault. So each mutant
// is a clean run with one fault, of the kind that a broken pipeline would leave in its topics, and
// the audit has to name it.

// rich has all that the mutants spoil: full stamps, headers, late events, merges, revisions,
// duplicates, attached events, dead letters, dropped events and Visit Started records.
const rich = `{output: {fields: full, headers: true}, visits: {started: true},
	time: {lateness: 30m, out_of_order: 10s},
	session: {ids: assign, timeout: 4m, mobile_timeout: 2m, dedupe: {last: 20}},
	rules: [{when: {type: identify}, class: attach}, {when: {event: "Order <done>", type: screen}, drop: true}]}`

type mutant struct {
	name  string
	check audit.Check
	spoil func(m *mutation) bool // false: there was nothing to spoil
}

// mutation spoils the topics of one partition.
type mutation struct {
	*world
	n int // which of the candidates
}

func (m *mutation) at(topic string) topicPartition { return topicPartition{topic, 0} }

func (m *mutation) output() topicPartition { return m.at(m.config.Output.Topic) }
func (m *mutation) visits() topicPartition { return m.at(m.config.Visits.Topic) }
func (m *mutation) dead() topicPartition   { return m.at(m.config.DeadLetters.Topic) }

// pick returns the position of one of the records that hold all texts; negative: none does.
func (m *mutation) pick(at topicPartition, texts ...string) int {
	var found []int
	for i, r := range m.records[at] {
		has := func(text string) bool { return bytes.Contains(r.Value, []byte(text)) }
		if !slices.ContainsFunc(texts, func(text string) bool { return !has(text) }) {
			found = append(found, i)
		}
	}
	if len(found) == 0 {
		return -1
	}
	return found[(len(found)/2+m.n)%len(found)]
}

// with changes one of the records that hold all texts.
func (m *mutation) with(at topicPartition, change func(*audit.Record) bool, texts ...string) bool {
	i := m.pick(at, texts...)
	return i >= 0 && change(&m.records[at][i])
}

// replace changes the first match of an expression in a record's value.
func replace(expression string, with func(string) string) func(*audit.Record) bool {
	e := regexp.MustCompile(expression)
	return func(r *audit.Record) bool {
		at := e.FindSubmatchIndex(r.Value)
		if at == nil {
			return false
		}
		to := with(string(r.Value[at[2]:at[3]]))
		r.Value = slices.Concat(r.Value[:at[2]], []byte(to), r.Value[at[3]:])
		return true
	}
}

func plusOne(text string) string {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return fmt.Sprint(n + 1)
}

func nothing(string) string { return "" }

func be(text string) func(string) string { return func(string) string { return text } }

func (m *mutation) remove(at topicPartition, texts ...string) bool {
	i := m.pick(at, texts...)
	if i < 0 {
		return false
	}
	m.records[at] = slices.Delete(slices.Clone(m.records[at]), i, i+1)
	return true
}

// repeat puts records there again, behind n others.
func (m *mutation) repeat(at topicPartition, count int, texts ...string) bool {
	i := m.pick(at, texts...)
	if i < 0 || i+count > len(m.records[at]) {
		return false
	}
	again := slices.Clone(m.records[at][i : i+count])
	m.records[at] = slices.Insert(slices.Clone(m.records[at]), i+count, again...)
	return true
}

// total changes a number of a Visit Ended record.
func total(name string) func(*mutation) bool {
	return func(m *mutation) bool {
		return m.with(m.visits(), replace(`"`+name+`":(\d+)`, plusOne), `"event":"Visit Ended"`,
			`"`+name+`":`, `"reason":"inactivity"`)
	}
}

// member takes a text member of a Visit Ended record away, or makes it another.
func member(name string) func(*mutation) bool {
	return func(m *mutation) bool {
		longer := func(s string) string { return s + "0" }
		return m.with(m.visits(), replace(`"`+name+`":"?([^",}]+)`, longer), `"event":"Visit Ended"`,
			`"`+name+`":`)
	}
}

func stampField(name, expression string, with func(string) string) func(*mutation) bool {
	return func(m *mutation) bool {
		return m.with(m.output(), replace(expression, with), `"`+name+`":`, `"eventIndex":`)
	}
}

func mutants() []mutant {
	return slices.Concat(recordMutants(), stampMutants(), visitMutants(), forgeries())
}

func recordMutants() []mutant {
	return []mutant{
		{"ARecordIsLost", audit.CheckLost, func(m *mutation) bool {
			return m.remove(m.output(), `"eventIndex":`)
		}},
		{"ADeadLetterIsLost", audit.CheckLost, func(m *mutation) bool { return m.remove(m.dead()) }},
		{"ARecordIsDoubled", audit.CheckDoubled, func(m *mutation) bool {
			return m.repeat(m.output(), 1, `"eventIndex":`)
		}},
		{"ATransactionRunsTwice", audit.CheckDoubled, func(m *mutation) bool {
			return m.repeat(m.output(), 20)
		}},
		{"ADeadLetterIsDoubled", audit.CheckDoubled, func(m *mutation) bool {
			return m.repeat(m.dead(), 1)
		}},
		{"TwoRecordsChangePlaces", audit.CheckOrder, func(m *mutation) bool {
			out := m.records[m.output()]
			i := m.pick(m.output(), `"eventIndex":`)
			out[i], out[i+1] = out[i+1], out[i]
			return !bytes.Equal(out[i].Value, out[i+1].Value)
		}},
		{"APayloadByteChanges", audit.CheckPayload, func(m *mutation) bool {
			return m.with(m.output(), replace(`"price": ?1.5(0)`, be("1")), `"eventIndex":`)
		}},
		{"APayloadMemberIsLost", audit.CheckPayload, func(m *mutation) bool {
			return m.with(m.output(), replace(`("price": ?1.50,)`, nothing), `"eventIndex":`)
		}},
		{"ANumberIsWrittenOtherwise", audit.CheckPayload, func(m *mutation) bool {
			return m.with(m.output(), replace(`"price": ?(1.50)`, be("1.5")), `"eventIndex":`)
		}},
		{"ATombstoneIsFilled", audit.CheckPayload, func(m *mutation) bool {
			for i := range m.records[m.output()] {
				if r := &m.records[m.output()][i]; r.Value == nil {
					r.Value = []byte{}
					return true
				}
			}
			return false
		}},
		{"TheKeyChanges", audit.CheckKey, func(m *mutation) bool {
			return m.with(m.output(), func(r *audit.Record) bool {
				r.Key = append(bytes.Clone(r.Key), 'x')
				return true
			})
		}},
		{"ANullKeyBecomesEmpty", audit.CheckKey, func(m *mutation) bool {
			for i := range m.records[m.output()] {
				if r := &m.records[m.output()][i]; r.Key == nil && r.Value != nil {
					r.Key = []byte{}
					return true
				}
			}
			return false
		}},
		{"AHeaderIsLost", audit.CheckHeaders, header(func(h []audit.Header) []audit.Header {
			return h[1:]
		})},
		{"AHeaderChanges", audit.CheckHeaders, header(func(h []audit.Header) []audit.Header {
			h[0].Value = []byte("y")
			return h
		})},
		{"AHeadersNilBecomesEmpty", audit.CheckHeaders, header(func(h []audit.Header) []audit.Header {
			h[1].Value = []byte{}
			return h
		})},
		{"TheSessionsHeaderIsAnothers", audit.CheckHeaders, header(func(h []audit.Header) []audit.Header {
			i := slices.IndexFunc(h, func(h audit.Header) bool { return h.Key == "session-id" })
			h[i].Value = []byte("7")
			return h
		})},
		{"TheTimestampChanges", audit.CheckTimestamp, func(m *mutation) bool {
			return m.with(m.output(), func(r *audit.Record) bool { r.TimestampMs++; return true })
		}},
		{"ARecordComesFromNowhere", audit.CheckStranger, func(m *mutation) bool {
			m.append(m.output().topic, 0, audit.Record{Key: []byte("who"), Value: []byte(`{"a":1}`)})
			return true
		}},
		{"ADroppedEventComesOut", audit.CheckDropped, (*mutation).undrop},
		{"ADeadLetterComesOutToo", audit.CheckDoubled, (*mutation).raise},
		{"ADeadLettersReasonIsMissing", audit.CheckDeadLetter, deadHeader("reason", "")},
		{"ADeadLettersMessageIsMissing", audit.CheckDeadLetter, deadHeader("message", "")},
		{"ADeadLetterHasAnotherReason", audit.CheckDeadLetter, deadHeader("reason", "no_time")},
		{"ADeadLetterNamesNoRecord", audit.CheckDeadLetter, deadHeader("offset", "x")},
		{"AGoodEventIsADeadLetter", audit.CheckDeadLetter, (*mutation).bury},
		{"TheOffsetIsBehind", audit.CheckOffsets, func(m *mutation) bool {
			at := m.at(m.config.Input.Topics[0])
			m.later = map[topicPartition]int64{at: m.committed[at] - 30}
			return true
		}},
	}
}

func stampMutants() []mutant {
	return []mutant{
		{"AStartTwice", audit.CheckStart, func(m *mutation) bool {
			return m.with(m.output(), replace(`("uuid":)`, be(`"start":true,"uuid":`)), `"eventIndex":3,`)
		}},
		{"AStartNever", audit.CheckStart, stampField("start", `("start":true,)"uuid"`, nothing)},
		{"AnIndexIsLeftOut", audit.CheckIndex, stampField("index", `"index":(\d+)`, plusOne)},
		{"AnEventIndexIsLeftOut", audit.CheckEventIndex, stampField("eventIndex", `"eventIndex":(\d+)`, plusOne)},
		{"ThePreviousIDIsAnothers", audit.CheckPreviousID, stampField("previousId", `"previousId":(\d+)`, plusOne)},
		{"TheUUIDIsAnothers", audit.CheckUUID, stampField("uuid", `"uuid":"(.)`, func(s string) string {
			return map[bool]string{true: "1", false: "0"}[s == "0"]
		})},
		{"AnEventIsInASessionOfItsOwn", audit.CheckSession, func(m *mutation) bool {
			return m.with(m.output(), replace(`"session":{"id":(\d+)`, plusOne), `"eventIndex":2,`)
		}},
		{"AnIDIsGivenAgain", audit.CheckReused, (*mutation).reuse},
		{"ASessionIsTakenAway", audit.CheckSession, func(m *mutation) bool {
			session := `,?("session":{[^{}]*(?:{[^{}]*})?[^{}]*})`
			none := be(`"session":{"state":"unattached"}`)
			return m.with(m.output(), replace(session, none), `"eventIndex":2,`)
		}},
		{"StartedAtIsWrong", audit.CheckFields, stampField("startedAt", `"startedAt":"\d(\d)`, be("9"))},
		{"TheReasonIsWrong", audit.CheckFields, stampField("reason", `"reason":"(inactivity)"`, be("campaign"))},
		{"TheGapIsWrong", audit.CheckFields, stampField("gapMs", `"gapMs":(\d+)`, plusOne)},
		{"TheTimeoutIsWrong", audit.CheckFields, stampField("timeoutMs", `"timeoutMs":(\d+)`, plusOne)},
		{"LateIsForgotten", audit.CheckFields, stampField("late", `(,"late":true)`, nothing)},
		{"ADuplicateIsNotFlagged", audit.CheckFields, func(m *mutation) bool {
			return m.with(m.output(), replace(`("duplicate":true,)`, nothing), `"duplicate":true`)
		}},
		{"AMemberIsTooMuch", audit.CheckFields, stampField("uuid", `("uuid":)`, be(`"more":1,"uuid":`))},
		{"TheClientsPairStays", audit.CheckPayload, func(m *mutation) bool {
			return m.with(m.output(), replace(`("price")`, be(`"sessionId":5,"price"`)), `"eventIndex":`)
		}},
	}
}

func visitMutants() []mutant {
	list := []mutant{
		{"AVisitIsMissing", audit.CheckVisitMissing, func(m *mutation) bool {
			return m.remove(m.visits(), `"reason":"inactivity"`, `"revision":1,`)
		}},
		{"AVisitIsThereTwice", audit.CheckVisitDoubled, func(m *mutation) bool {
			return m.repeat(m.visits(), 1, `"Visit Ended"`)
		}},
		{"AVisitEndsEarly", audit.CheckEarly, (*mutation).hurry},
		{"ARevisionIsLeftOut", audit.CheckRevision, func(m *mutation) bool {
			return m.with(m.visits(), func(r *audit.Record) bool {
				return replace(`"revision":(\d+)`, plusOne)(r) && replace(`"messageId":"[^"]*-(\d+)"`, plusOne)(r)
			}, `"Visit Ended"`, `"reason":"inactivity"`)
		}},
		{"ARevisionIsRepeated", audit.CheckVisitDoubled, func(m *mutation) bool {
			return m.with(m.visits(), func(r *audit.Record) bool {
				return replace(`"revision":(2)`, be("1"))(r) && replace(`"messageId":"[^"]*-(2)"`, be("1"))(r)
			}, `"revision":2,`)
		}},
		{"TheVisitsMessageIDIsAnothers", audit.CheckVisit, func(m *mutation) bool {
			return m.with(m.visits(), replace(`"messageId":"[^"]*-(\d+)"`, plusOne))
		}},
		{"TheVisitsKeyIsAnothers", audit.CheckVisit, func(m *mutation) bool {
			return m.with(m.visits(), func(r *audit.Record) bool { r.Key = []byte("x"); return true })
		}},
		{"TheVisitsOrderChanges", audit.CheckVisitOrder, func(m *mutation) bool {
			v := m.records[m.visits()]
			v[len(v)/3], v[2*len(v)/3] = v[2*len(v)/3], v[len(v)/3]
			return true
		}},
		{"AVisitIsOfNobody", audit.CheckVisit, func(m *mutation) bool {
			return m.with(m.visits(), replace(`"anonymousId":"(.)`, be("z")), `"Visit Ended"`)
		}},
		{"AMergeLeadsNowhere", audit.CheckMerged, func(m *mutation) bool {
			return m.with(m.visits(), replace(`"mergedInto":(\d+)`, plusOne), `"mergedInto":`)
		}},
		{"AMergeIsHidden", audit.CheckMerged, func(m *mutation) bool {
			return m.with(m.visits(), replace(`("mergedInto":\d+,)`, nothing), `"mergedInto":`)
		}},
		{"AVisitStartedIsMissing", audit.CheckStarted, func(m *mutation) bool {
			return m.remove(m.visits(), `"Visit Started"`)
		}},
		{"AVisitStartedIsThereTwice", audit.CheckStarted, func(m *mutation) bool {
			return m.repeat(m.visits(), 1, `"Visit Started"`)
		}},
	}
	for _, name := range []string{"events", "pages", "screens", "tracks", "late", "duplicates",
		"attached",
		"durationMs", "activeMs", "timeoutMs", "firstOffset", "lastOffset", "foregroundIndex"} {
		list = append(list, mutant{"TheTotal_" + name, audit.CheckTotals, total(name)})
	}
	for _, name := range []string{"firstEventId", "lastEventId", "userId", "previousId"} {
		list = append(list, mutant{"TheVisits_" + name, audit.CheckTotals, member(name)})
	}
	for _, name := range []string{"startedAt", "endedAt", "amendableUntil"} {
		list = append(list, mutant{"TheVisits_" + name, audit.CheckTotals, func(m *mutation) bool {
			return m.with(m.visits(), replace(`"`+name+`":"[^"]*\.(\d)`, func(s string) string {
				return map[bool]string{true: "1", false: "0"}[s == "0"]
			}), `"Visit Ended"`, `"reason":"inactivity"`)
		}})
	}
	for name, expression := range map[string]string{"entry": `"entry":{"\w+":"(.)`, "exit": `"exit":{"\w+":"(.)`,
		"campaign": `"campaign":{"\w+":"(.)`, "referrer": `"referrer":"(.)`} {
		list = append(list, mutant{"TheVisits_" + name, audit.CheckTotals, func(m *mutation) bool {
			return m.with(m.visits(), replace(expression, be("_")), `"Visit Ended"`, `"`+name+`":`)
		}})
	}
	return list
}

// header changes the headers of a stamped event that had two of its own.
func header(change func([]audit.Header) []audit.Header) func(*mutation) bool {
	return func(m *mutation) bool {
		for i, r := range m.records[m.output()] {
			if i > 40 && len(r.Headers) > 3 && bytes.Contains(r.Value, []byte(`"eventIndex":`)) {
				m.records[m.output()][i].Headers = change(slices.Clone(r.Headers))
				return true
			}
		}
		return false
	}
}

func deadHeader(name, value string) func(*mutation) bool {
	return func(m *mutation) bool {
		return m.with(m.dead(), func(r *audit.Record) bool {
			r.Headers = slices.Clone(r.Headers)
			for i := range r.Headers {
				if h := &r.Headers[i]; h.Key == "__sessionizer.errors."+name {
					h.Value = []byte(value)
					return true
				}
			}
			return false
		})
	}
}

// undrop puts a dropped event into the output, where it belongs.
func (m *mutation) undrop() bool {
	input := m.records[m.at(m.config.Input.Topics[0])]
	for i, r := range input {
		isDropped := bytes.Contains(r.Value, []byte(`Order \u003cdone`)) &&
			bytes.Contains(r.Value, []byte(`screen"`))
		if i < 50 || !isDropped {
			continue
		}
		for k, o := range m.records[m.output()] {
			if o.TimestampMs > r.TimestampMs {
				m.records[m.output()] = slices.Insert(slices.Clone(m.records[m.output()]), k, r)
				return true
			}
		}
	}
	return false
}

// raise lets a dead letter come out as well.
func (m *mutation) raise() bool {
	return m.with(m.dead(), func(r *audit.Record) bool {
		risen := *r
		risen.Headers = nil
		for _, h := range r.Headers {
			if !strings.HasPrefix(h.Key, "__sessionizer") {
				risen.Headers = append(risen.Headers, h)
			}
		}
		m.append(m.output().topic, 0, risen)
		return true
	})
}

// bury makes an event of the output a dead letter.
func (m *mutation) bury() bool {
	i := m.pick(m.output(), `"eventIndex":`, `"start":true`)
	input := m.records[m.at(m.config.Input.Topics[0])]
	out := m.records[m.output()][i]
	for _, r := range input {
		if r.TimestampMs == out.TimestampMs && bytes.Equal(r.Key, out.Key) {
			m.records[m.output()] = slices.Delete(slices.Clone(m.records[m.output()]), i, i+1)
			for name, value := range map[string]string{"topic": r.Topic, "partition": "0",
				"reason": "no_key", "offset": fmt.Sprint(r.Offset), "message": "so it is"} {
				r.Headers = append(slices.Clone(r.Headers),
					audit.Header{Key: "__sessionizer.errors." + name, Value: []byte(value)})
			}
			m.append(m.dead().topic, 0, r)
			return true
		}
	}
	return false
}

// reuse gives the id of a key's session to a later one, where it begins.
func (m *mutation) reuse() bool {
	id := regexp.MustCompile(`"session":{"id":(\d+)`)
	name := regexp.MustCompile(`"anonymousId": ?"([^"]*)"`)
	first := map[string]string{}
	for i, r := range m.records[m.output()] {
		who := name.FindSubmatch(r.Value)
		if who == nil || !bytes.Contains(r.Value, []byte(`"start":true`)) {
			continue
		}
		if before, ok := first[string(who[1])]; ok && i > 30 {
			return replace(`"session":{"id":(\d+)`, be(before))(&m.records[m.output()][i])
		}
		first[string(who[1])] = string(id.FindSubmatch(r.Value)[1])
	}
	return false
}

// hurry moves a visit to where its last event is.
func (m *mutation) hurry() bool {
	list := m.records[m.visits()]
	number := func(name string, r audit.Record) int64 {
		n, err := strconv.ParseInt(string(regexp.MustCompile(`"` + name + `":(\d+)`).FindSubmatch(r.Value)[1]), 10, 64)
		if err != nil {
			panic(err)
		}
		return n
	}
	for i, r := range list {
		if !bytes.Contains(r.Value, []byte(`"reason":"inactivity","revision":1,`)) ||
			number("decidedAt", r) < number("lastOffset", r)+6 {
			continue
		}
		early := r
		decided := number("lastOffset", r) + 1
		early.TimestampMs = 1
		replace(`"decidedAt":(\d+)`, be(fmt.Sprint(decided)))(&early)
		rest := slices.Delete(slices.Clone(list), i, i+1)
		to := slices.IndexFunc(rest, func(o audit.Record) bool {
			return number("decidedAt", o) > decided
		})
		m.records[m.visits()] = slices.Insert(rest, to, early)
		return true
	}
	return false
}

func TestMutants_EachIsFound(t *testing.T) {
	var clean []*world
	for seed := range uint64(3) {
		w := newWorld(t, rich, seed)
		w.draw(t, 700)
		w.run(t)
		if r := w.verify(t); !r.Clean() {
			t.Fatalf("seed %d: %v", seed, r.Findings)
		}
		clean = append(clean, w)
	}
	leaveRecord(t, "Mutants of topics", "Topics are spoiled in one way each", len(mutants()))
	eachIsFound(t, mutants(), clean)
	if n := len(mutants()); n < 25 {
		t.Errorf("%d mutants", n)
	}
}

// eachIsFound spoils clean worlds with each mutant, and wants the finding that is named for it.
func eachIsFound(t *testing.T, mutants []mutant, clean []*world) {
	t.Helper()
	for _, mutant := range mutants {
		t.Run(mutant.name, func(t *testing.T) {
			t.Parallel()
			spoiled := 0
			for seed := range clean {
				w := clean[seed].clone()
				if !mutant.spoil(&mutation{w, seed}) {
					continue
				}
				spoiled++
				for _, list := range w.records {
					for i := range list {
						list[i].Offset = int64(i)
					}
				}
				r := w.verify(t)
				if r.Clean() || r.Checks[mutant.check] == 0 {
					t.Errorf("seed %d: want a finding of %s among %v", seed, mutant.check, r.Findings)
				}
			}
			if spoiled < 2 {
				t.Errorf("only %d of 3 seeds could be spoiled", spoiled)
			}
		})
	}
}

// leaveRecord leaves the record of mutants once all of them have been tried.
func leaveRecord(t *testing.T, name, what string, mutants int) {
	t.Helper()
	t.Cleanup(func() {
		record := proof.Record{
			Name: name, Order: 4, Counts: map[string]int64{"mutants": int64(mutants)},
			What: what + ", over three seeds, and `verify` has to find each by the check that is named for " +
				"it. A mutant that is not found counts as a violation.",
		}
		if t.Failed() {
			record.Violations = 1
		}
		if err := record.Write(); err != nil {
			t.Error(err)
		}
	})
}

// What is found is told to people who may not see whose events these are.
func TestFindings_NameNobodyUnlessAsked(t *testing.T) {
	w := newWorld(t, rich, 1)
	w.draw(t, 700)
	w.run(t)
	m := &mutation{w, 1}
	for _, one := range append(stampMutants(), visitMutants()...) {
		one.spoil(m)
	}
	told := func(show bool) string {
		w.audit.ShowKeys = show
		return fmt.Sprint(w.verify(t).Findings)
	}
	name := regexp.MustCompile("events(ana|bob|eve|kim)")
	if text := told(false); name.MatchString(text) || len(text) < 1000 {
		t.Errorf("keys are in %s", text)
	}
	if text := told(true); !name.MatchString(text) {
		t.Errorf("no key is in %s", text)
	}
}

// What a lane has to take care of, left out.
func TestMutants_ASloppyLaneIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		sloppy sloppy
		checks []audit.Check
	}{
		"ItIgnoresFailures": {sloppy{ignoresFailures: true},
			[]audit.Check{audit.CheckLost, audit.CheckVisitMissing}},
		"ItForgetsOffsets": {sloppy{forgetsOffsets: true}, []audit.Check{audit.CheckOffsets}},
		"ItDeliversAtLeastOnce": {sloppy{keepsAborted: true},
			[]audit.Check{audit.CheckDoubled, audit.CheckVisitDoubled}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(3) {
				w := newWorld(t, rich, seed)
				w.sloppy = c.sloppy
				w.draw(t, 700)
				w.run(t)
				r := w.verify(t)
				if !slices.ContainsFunc(c.checks, func(c audit.Check) bool { return r.Checks[c] > 0 }) {
					t.Errorf("seed %d: want one of %v among %v", seed, c.checks, r.Findings)
				}
			}
		})
	}
}
