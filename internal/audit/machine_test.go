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
)

// Mutants of the machine itself, and of the task around it: builds with one thing wrong. Their
// sources are made here, from the true ones, and the go command is told to take them instead
// (-overlay); so the machine holds nothing of them. All mutants are in one program, which the
// environment tells which one to be.

const mutantVariable = "SESSIONIZER_MUTANT"

// machineMutant changes a place of a source. In the new text mutated reports whether the program is
// this mutant, and one is 1 if it is, else 0.
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
			`case t > r.expiry(x) || t <`, `case t > r.expiry(x)+Time(one()) || t <`, of(audit.CheckSession)},
		{"the-boundary-is-the-other", "session/rules.go",
			`if r.BoundaryAt {`, `if r.BoundaryAt != mutated() {`, of(audit.CheckSession)},
		{"a-session-starts-again", "session/apply.go",
			`if !x.Started {`, `if !x.Started || mutated() && x.EventIndex%3 == 0 {`, of(audit.CheckStart)},
		{"screens-have-no-number", "session/collect.go",
			`x.EventIndex++`, `x.EventIndex += 1 - uint64(one())*uint64(e.Kind&KindScreen>>1)`,
			of(audit.CheckEventIndex)},
		{"an-id-is-given-again", "session/apply.go",
			"n := max(int64(e.Time), s.MaxServerID+1, serverIDLeast)\n",
			"n := max(int64(e.Time), s.MaxServerID+1, serverIDLeast)\n" +
				"\tif mutated() && s.MaxServerID > 0 {\n\t\treturn ID{Int: s.MaxServerID}\n\t}\n",
			of(audit.CheckReused)},
		{"a-visit-ends-before-its-time", "session/step.go",
			"if x.Revision == 0 {\n\t\treturn r.expiry(x)",
			"if x.Revision == 0 {\n\t\treturn r.expiry(x) - 60_000*Time(one())", of(audit.CheckEarly)},
		{"the-session-before-is-another", "session/apply.go",
			`x.Last > previous.Last ||`, `x.Last > previous.Last && !mutated() ||`,
			of(audit.CheckPreviousID)},
		{"no-time-is-active", "session/apply.go", `if gap <= r.reachTowards(x, e) {`,
			`if gap <= r.reachTowards(x, e) && !mutated() {`, of(audit.CheckTotals)},
		{"a-merge-forgets-events", "session/collect.go",
			`x.Events += y.Events`, `x.Events += y.Events * uint64(1-one())`, of(audit.CheckTotals)},
		{"a-split-has-no-bound", "session/apply.go", `x.NotAfter = max(x.Last, t-1)`,
			`x.NotAfter = max(x.Last, t-1, MaxTime*Time(one()))`,
			of(audit.CheckSession, audit.CheckTotals)},
		{"sessions-are-forgotten-early", "session/step.go",
			`watermark > r.activeUntil(x)+Time(r.Lateness)`,
			`watermark > r.activeUntil(x)+Time(r.Lateness)/(1+99*Time(one()))`,
			of(audit.CheckSession, audit.CheckPreviousID, audit.CheckFields)},
		{"the-watermark-runs-ahead", "session/step.go", `w.Event = max(w.Event, t-Time(outOfOrder))`,
			`w.Event = max(w.Event, t-Time(outOfOrder)+120_000*Time(one()))`, of(audit.CheckEarly)},
		{"a-revision-is-left-out", "session/step.go",
			"x.Revision++\n\tx.Open = false", "x.Revision += 1 + uint32(one())\n\tx.Open = false",
			of(audit.CheckRevision)},
		{"a-merge-names-itself", "session/apply.go", `MergedInto:     survivor.ID,`,
			`MergedInto:     map[bool]ID{true: x.ID, false: survivor.ID}[mutated()],`,
			of(audit.CheckMerged)},
		{"records-are-processed-again", "processor/task.go",
			`if t.next != unknownOffset && in.Offset < t.next {`,
			`if t.next != unknownOffset && in.Offset < t.next && !mutated() {`,
			of(audit.CheckDoubled)},
	}
}

// mutantFunctions is what a package of mutants has more than its own.
const mutantFunctions = `package %s

import "os"

func isMutant(name string) bool { return os.Getenv(%q) == name }

func oneIf(name string) int {
	if isMutant(name) {
		return 1
	}
	return 0
}
`

// buildMutants writes the sources of all mutants and returns the program made of them.
func buildMutants(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{}
	for _, pkg := range []string{"session", "processor"} {
		sources[pkg+"/mutants.go"] = fmt.Sprintf(mutantFunctions, pkg, mutantVariable)
	}
	for _, m := range machineMutants() {
		text, ok := sources[m.file]
		if !ok {
			b, err := os.ReadFile(filepath.Join(root, m.file))
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
		}
		if n := strings.Count(text, m.old); n != 1 {
			t.Fatalf("mutant %s: %s has %q %d times, want once", m.name, m.file, m.old, n)
		}
		changed := strings.NewReplacer("mutated()", fmt.Sprintf("isMutant(%q)", m.name),
			"one()", fmt.Sprintf("oneIf(%q)", m.name)).Replace(m.text)
		sources[m.file] = strings.Replace(text, m.old, changed, 1)
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for name, text := range sources {
		to := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[filepath.Join(root, name)] = to
	}
	b, err := json.Marshal(overlay)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "overlay.json"), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "mutants")
	build := exec.Command("go", "test", "-c", "-vet=off", "-o", program,
		"-overlay", filepath.Join(dir, "overlay.json"), ".")
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
	name, ok := os.LookupEnv(mutantVariable)
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
	if _, ok := os.LookupEnv(mutantVariable); ok {
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
			cmd.Env = append(os.Environ(), mutantVariable+"="+m.name)
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
