package audit_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sessionizer/internal/audit"
	"sessionizer/internal/mutate"
)

// Mutants of the machine itself, and of the task around it: builds with one thing wrong, which
// internal/mutate makes. Those of the lane need a broker: internal/kafkatest has them.

// machineMutant changes a place of a source.
type machineMutant struct {
	name      string
	file      string
	old, text string
	checks    []audit.Check // one of these finds it
}

func machineMutants() []machineMutant {
	of := func(checks ...audit.Check) []audit.Check { return checks }
	return []machineMutant{
		{"a-timeout-is-a-millisecond-longer", "session/split.go",
			`case t > r.expiry(x) || t <`, `case t > r.expiry(x)+Time(oneMutant()) || t <`,
			of(audit.CheckSession)},
		{"the-boundary-is-the-other", "session/rules.go",
			`if r.BoundaryAt {`, `if r.BoundaryAt != isMutant() {`, of(audit.CheckSession)},
		{"a-session-starts-again", "session/apply.go",
			`if !x.Started {`, `if !x.Started || isMutant() && x.EventIndex%3 == 0 {`, of(audit.CheckStart)},
		{"screens-have-no-number", "session/collect.go",
			`x.EventIndex++`, `x.EventIndex += 1 - uint64(oneMutant())*uint64(e.Kind&KindScreen>>1)`,
			of(audit.CheckEventIndex)},
		{"an-id-is-given-again", "session/open.go",
			"n := max(int64(e.Time), s.MaxServerID+1, serverIDLeast)\n",
			"n := max(int64(e.Time), s.MaxServerID+1, serverIDLeast)\n" +
				"\tif isMutant() && s.MaxServerID > 0 {\n\t\treturn ID{Int: s.MaxServerID}\n\t}\n",
			of(audit.CheckReused)},
		{"a-visit-ends-before-its-time", "session/step.go",
			"if x.Revision == 0 {\n\t\treturn r.expiry(x)",
			"if x.Revision == 0 {\n\t\treturn r.expiry(x) - 60_000*Time(oneMutant())", of(audit.CheckEarly)},
		{"the-session-before-is-another", "session/open.go",
			`x.Last > l.last ||`, `x.Last > l.last && !isMutant() ||`,
			of(audit.CheckPreviousID)},
		{"no-time-is-active", "session/apply.go", `if gap <= r.reachTowards(x, e) {`,
			`if gap <= r.reachTowards(x, e) && !isMutant() {`, of(audit.CheckTotals)},
		{"a-merge-forgets-events", "session/collect.go",
			`x.Events += y.Events`, `x.Events += y.Events * uint64(1-oneMutant())`, of(audit.CheckTotals)},
		{"a-split-has-no-bound", "session/apply.go", `x.NotAfter = max(x.Last, t-1)`,
			`x.NotAfter = max(x.Last, t-1, MaxTime*Time(oneMutant()))`,
			of(audit.CheckSession, audit.CheckTotals)},
		{"sessions-are-forgotten-early", "session/step.go",
			`watermark > r.activeUntil(x)+Time(r.Lateness)`,
			`watermark > r.activeUntil(x)+Time(r.Lateness)/(1+99*Time(oneMutant()))`,
			of(audit.CheckSession, audit.CheckPreviousID, audit.CheckFields)},
		{"the-watermark-runs-ahead", "session/step.go", `w.Event = max(w.Event, t-Time(outOfOrder))`,
			`w.Event = max(w.Event, t-Time(outOfOrder)+120_000*Time(oneMutant()))`, of(audit.CheckEarly)},
		{"a-revision-is-left-out", "session/step.go",
			"x.Revision++\n\tx.Open = false", "x.Revision += 1 + uint32(oneMutant())\n\tx.Open = false",
			of(audit.CheckRevision)},
		{"a-merge-names-itself", "session/apply.go", `MergedInto:     survivor.ID,`,
			`MergedInto:     map[bool]ID{true: x.ID, false: survivor.ID}[isMutant()],`,
			of(audit.CheckMerged)},
		{"records-are-processed-again", "processor/task.go",
			`if t.next != unknownOffset && in.Offset < t.next {`,
			`if t.next != unknownOffset && in.Offset < t.next && !isMutant() {`,
			of(audit.CheckDoubled)},
	}
}

// buildMutants returns the program made of all mutants.
func buildMutants(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var all []mutate.Mutant
	for _, m := range machineMutants() {
		all = append(all, mutate.Mutant{Name: m.name,
			Changes: []mutate.Change{{File: m.file, Old: m.old, New: m.text}}})
	}
	dir := t.TempDir()
	overlay, err := mutate.Overlay(root, dir, all)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "mutants")
	build := exec.Command("go", "test", "-c", "-vet=off", "-o", program, "-overlay", overlay, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the mutants: %v\n%s", err, out)
	}
	return program
}

// worldsOf are the runs in which the mutants have to show.
func worldsOf(t *testing.T) (r audit.Report) {
	t.Helper()
	for seed := range uint64(3) {
		w := newWorld(t, rich, seed)
		w.draw(t, 700)
		w.run(t)
		one := w.verify(t)
		r.Findings = append(r.Findings, one.Findings...)
	}
	return r
}

// TestMachineMutant is what a mutant runs: it prints what the audit finds.
func TestMachineMutant(t *testing.T) {
	name, ok := os.LookupEnv(mutate.Variable)
	if !ok {
		t.Skip("run by TestMutants_EachOfTheMachineIsFound, as a mutant")
	}
	r := worldsOf(t)
	b, err := json.Marshal(r.Findings)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("\n%s %s\n", name, b)
}

func TestMutants_EachOfTheMachineIsFound(t *testing.T) {
	if _, ok := os.LookupEnv(mutate.Variable); ok {
		t.Skip("a mutant")
	}
	program := buildMutants(t)
	leaveRecord(t, "Mutants of the machine", "The program is built with one fault each",
		len(machineMutants()))
	all := append(machineMutants(), machineMutant{name: "none"})
	for _, m := range all {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(program, "-test.run", "^TestMachineMutant$")
			cmd.Env = append(os.Environ(), mutate.Variable+"="+m.name)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			var findings []audit.Finding
			for line := range strings.Lines(string(out)) {
				if text, ok := strings.CutPrefix(line, m.name+" "); ok {
					err = json.Unmarshal([]byte(text), &findings)
				}
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			found := slices.ContainsFunc(findings, func(f audit.Finding) bool {
				return slices.Contains(m.checks, f.Check)
			})
			if m.name == "none" {
				found = len(findings) == 0
			}
			if !found {
				t.Errorf("want a finding of %v among %v", m.checks, findings)
			}
		})
	}
}
