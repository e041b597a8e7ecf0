//go:build kafka

package kafkatest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/internal/audit"
	"sessionizer/internal/failpoint"
	"sessionizer/internal/hostile"
	"sessionizer/internal/mutate"
	"sessionizer/internal/proof"
)

// Mutants of the lane: builds of the program with one thing wrong in what makes it exact on a
// broker. Each is played through a scenario in which that matters for certain, which in the true
// program it does not, and `verify` has to find it in the topics.

// laneMutant is one of a scenario.
type laneMutant struct {
	name    string
	changes []mutate.Change
	checks  []audit.Check // one of these finds it; none: it is no fault, and must be borne
	says    string        // by the program, when it has happened
}

// laneScenario is what happens to a pipeline, and the mutants for which that makes a difference.
// The true program plays it too.
type laneScenario struct {
	name       string
	partitions int32
	input      map[string]string // settings of the topic
	set        []string
	play       func(t *testing.T, s *stage)
	mutants    []laneMutant
}

// stage is where one mutant plays.
type stage struct {
	p      *pipeline
	binary string
	mutant laneMutant
	more   int // events in the input that its client did not send
}

func (s *stage) launch(t *testing.T, point string, command ...string) *process {
	t.Helper()
	env := []string{mutate.Variable + "=" + s.mutant.name}
	if point != "" {
		env = append(env, failpoint.Variable+"="+point)
	}
	args := s.p.args("one", command...)
	proc, err := launchProgram(t, s.binary, env, s.mutant.name, s.p.dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	return proc
}

func (s *stage) runUntilEnd(t *testing.T) {
	t.Helper()
	s.launch(t, "", "run", "--until-end").ends(t, drainWithin, 0)
}

// runTo runs the program until an event has come out.
func (s *stage) runTo(t *testing.T, id string) {
	t.Helper()
	proc := s.launch(t, "", "run")
	s.awaitEvent(t, id)
	proc.stop(t)
}

// dieAt has the program die in its first transaction.
func (s *stage) dieAt(t *testing.T, point string) {
	t.Helper()
	s.launch(t, point+":1", "run").ends(t, startWithin, -1, "failpoint: killed at "+point)
}

// awaitEvent waits until an event is committed in the output.
func (s *stage) awaitEvent(t *testing.T, id string) {
	t.Helper()
	r := s.p.follow(t, s.p.output)
	mark := fmt.Appendf(nil, `"messageId":%q`, id)
	r.until(t, drainWithin, id+" is in the output", func() (bool, string) {
		return slices.ContainsFunc(r.records, func(r *kgo.Record) bool {
			return bytes.Contains(r.Value, mark)
		}), fmt.Sprint(len(r.records), " events")
	})
}

// verify runs the true program and returns what it finds.
func (s *stage) verify(t *testing.T) audit.Report {
	t.Helper()
	args := s.p.args("auditor", "verify", "--json", "--settled")
	proc := start(t, "verify", s.p.dir, args...)
	code := proc.wait(t, drainWithin)
	var r audit.Report
	if err := json.Unmarshal(proc.stdout.Bytes(), &r); err != nil {
		t.Fatalf("the report: %v\n%s", err, proc.tail())
	}
	if want := map[bool]int{true: 0, false: 1}[r.Clean()]; code != want {
		t.Errorf("verify: exit code %d, want %d", code, want)
	}
	return r
}

func TestCampaign_MutantsOfTheLane(t *testing.T) {
	t.Parallel()
	scenarios := laneScenarios()
	dir := t.TempDir()
	binary := filepath.Join(dir, "mutants")
	faults, controls := buildMutants(t, dir, binary, scenarios)
	record := proof.Record{
		Name: "Mutants of the lane", Order: 4, Counts: map[string]int64{
			"mutants": faults, "scenarios": int64(len(scenarios)),
			"controls": controls + int64(len(scenarios)),
		},
		What: "The program is built with one fault each and plays on Apache Kafka what makes the fault " +
			"matter for certain: deaths, aborts, restarts, refused records. `verify` has to find each by " +
			"the check that is named for it, and nothing in a control: the true program, or a " +
			"disturbance that the lane has to bear. A mutant that is not found counts as a violation.",
	}
	t.Cleanup(func() {
		if t.Failed() {
			record.Violations = 1
		}
		if err := record.Write(); err != nil {
			t.Error(err)
		}
	})
	for _, scenario := range scenarios {
		for _, m := range append(scenario.mutants, laneMutant{name: "none"}) {
			t.Run(scenario.name+"/"+m.name, func(t *testing.T) {
				t.Parallel()
				s := &stage{
					p:      newPipeline(t, scenario.partitions, scenario.input, scenario.set...),
					binary: binary, mutant: m,
				}
				scenario.play(t, s)
				m.judge(t, s.verify(t), len(s.p.sentSoFar())+s.more)
			})
		}
	}
}

// buildMutants builds the program made of all mutants, and counts them and those without a fault.
func buildMutants(
	t *testing.T, dir, binary string, scenarios []laneScenario,
) (faults, controls int64) {
	t.Helper()
	root, err := filepath.Abs(filepath.FromSlash("../.."))
	if err != nil {
		t.Fatal(err)
	}
	var all []mutate.Mutant
	for _, scenario := range scenarios {
		for _, m := range scenario.mutants {
			all = append(all, mutate.Mutant{Name: m.name, Changes: m.changes})
			if len(m.checks) > 0 {
				faults++
			} else {
				controls++
			}
		}
	}
	overlay, err := mutate.Overlay(root, dir, all)
	if err == nil {
		err = build(binary, "-tags", "failpoint", "-overlay", overlay)
	}
	if err != nil {
		t.Fatal(err)
	}
	return faults, controls
}

// judge holds the findings against what was to be found in so many events.
func (m *laneMutant) judge(t *testing.T, r audit.Report, events int) {
	t.Helper()
	if len(m.checks) == 0 {
		if !r.Clean() || r.EventsIn != int64(events) || r.Unproved > 0 {
			t.Errorf("findings %v in %d events, %d of them unproved; want none in %d, all proved",
				r.Findings, r.EventsIn, r.Unproved, events)
		}
		return
	}
	if !slices.ContainsFunc(m.checks, func(c audit.Check) bool { return r.Checks[c] > 0 }) {
		t.Errorf("want a finding of %v among %v", m.checks, r.Findings)
	}
	t.Logf("%v", r.Checks)
}

// part is one of the parts that the input of a scenario comes in: partEvents events of five
// visitors, all within one visit.
const partEvents = 20

func part(n int) (records []*kgo.Record) {
	for i := n * partEvents; i < (n+1)*partEvents; i++ {
		at := visitsBegin.Add(time.Duration(i) * time.Second)
		records = append(records, event(partEvent(i), fmt.Sprintf("visitor-%d", i%5), at, `{}`))
	}
	return records
}

func partEvent(i int) string { return fmt.Sprintf("m-%d", i) }

// longBehind are events of some visitors, so much later that all visits before are due.
func longBehind(names ...string) (records []*kgo.Record) {
	for _, name := range names {
		records = append(records, event("behind-"+name, name, visitsBegin.Add(3*time.Hour), `{}`))
	}
	return records
}

var visitsBegin = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

// withoutClock leaves it to the events to end visits.
const withoutClock = "time.idle_after=1h"

// refusedRecord has an event grow too large for the output.
func refusedRecord(t *testing.T, s *stage) {
	t.Helper()
	s.p.createNarrowOutput(t)
	s.p.make(t)
	for _, r := range growing(random(t)) {
		s.p.send(t, r) // each in a batch of its own
	}
	s.runUntilEnd(t)
}

// unreadableBatch has a batch in the input that is too large, once unpacked, for the client: it is
// read record by record, and of the last one there is only a part.
func unreadableBatch(t *testing.T, s *stage) {
	t.Helper()
	s.p.make(t)
	s.p.send(t, part(0)...)
	beside := longBehind("visitor-0")[0]
	body, err := hostile.Compress(kgo.CodecGzip, func(w io.Writer) error {
		if err := hostile.WriteRecord(w, 0, beside.Key, beside.Value, 0, nil); err != nil {
			return err
		}
		const large = 32 << 20
		return hostile.WriteRecord(w, 1, nil, []byte(`{"anonymousId":"`), large, []byte(`"}`))
	})
	if err == nil {
		b := hostile.Batch{Codec: kgo.CodecGzip, Records: body, Count: 2, Time: beside.Timestamp}
		err = s.p.sendBatch(t, b)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.more = 2
	s.p.send(t, part(1)...)
	s.runUntilEnd(t)
}

// oneRun processes the input in one go: with records of an aborted transaction in it, on two
// partitions, and with visits that are due.
func oneRun(t *testing.T, s *stage) {
	t.Helper()
	s.p.make(t)
	s.p.send(t, part(0)...)
	s.p.sendAborted(t, part(1)...)
	s.p.send(t, longBehind("visitor-0", "visitor-1", "visitor-2")...)
	s.runUntilEnd(t)
}

// sendAborted produces records in a transaction that is aborted.
func (p *pipeline) sendAborted(t *testing.T, records ...*kgo.Record) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(p.brokers...), kgo.TransactionalID(p.group+"-input"),
		kgo.DefaultProduceTopic(p.input), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err = cl.BeginTransaction(); err == nil {
		err = cl.ProduceSync(ask(t), records...).FirstErr()
	}
	if err == nil {
		err = cl.EndTransaction(ask(t), kgo.TryAbort)
	}
	if err != nil {
		t.Fatalf("produce records that are aborted: %v", err)
	}
}

// restartBetween processes events, and with another life those that make the visits before due.
func restartBetween(t *testing.T, s *stage) {
	t.Helper()
	s.p.make(t)
	s.p.send(t, part(0)...)
	s.runUntilEnd(t)
	s.p.send(t, longBehind("visitor-0")...)
	s.runUntilEnd(t)
}

// deathBeforeTheEnd kills the program when the offsets are in its transaction and nobody has asked
// for the end of it.
func deathBeforeTheEnd(t *testing.T, s *stage) {
	t.Helper()
	s.p.make(t)
	s.p.send(t, &kgo.Record{Value: []byte("no event"), Timestamp: visitsBegin})
	s.p.send(t, part(0)...)
	s.p.send(t, longBehind("visitor-0")...)
	s.dieAt(t, failpoint.OffsetsSent)
	s.runUntilEnd(t)
}

// deathBehindTheEnd kills the program when its transaction is committed and it knows nothing of it.
func deathBehindTheEnd(t *testing.T, s *stage) {
	t.Helper()
	s.p.make(t)
	s.p.send(t, part(0)...)
	s.runTo(t, partEvent(partEvents-1))
	s.p.send(t, part(1)...)
	s.dieAt(t, failpoint.Committed)
	s.p.send(t, part(2)...)
	s.runTo(t, partEvent(3*partEvents-1))
}

// runThrough starts the program and waits until it has committed the first part.
func (s *stage) runThrough(t *testing.T) *process {
	t.Helper()
	s.p.make(t)
	s.p.send(t, part(0)...)
	proc := s.launch(t, "", "run")
	s.awaitEvent(t, partEvent(partEvents-1))
	return proc
}

// twoTransactions processes one part behind the other.
func twoTransactions(t *testing.T, s *stage) {
	t.Helper()
	proc := s.runThrough(t)
	s.p.send(t, part(1)...)
	s.awaitEvent(t, partEvent(2*partEvents-1))
	proc.stop(t)
}

// abortBetween has the mutants report the first transaction of the second part as aborted. The
// third part comes behind that.
func abortBetween(t *testing.T, s *stage) {
	t.Helper()
	proc := s.runThrough(t)
	s.p.send(t, part(1)...)
	if s.mutant.says != "" {
		proc.says(t, startWithin, s.mutant.says)
	}
	s.p.send(t, part(2)...)
	s.awaitEvent(t, partEvent(3*partEvents-1))
	proc.stop(t)
}

// idleClock leaves a partition to the clock. One visit is due by it in two seconds, and another one
// in an hour and a half; if that is ended too, then in the same transaction at the latest.
func idleClock(t *testing.T, s *stage) {
	t.Helper()
	s.p.make(t)
	now := time.Now()
	s.p.send(t, event("old", "gone", now.Add(-outOfOrder-timeout+2*time.Second), `{}`),
		event("new", "here", now, `{}`))
	proc := s.launch(t, "", "run")
	s.p.awaitVisits(t, drainWithin, 1)
	proc.stop(t)
}

const outOfOrder = time.Hour // in idleClock
