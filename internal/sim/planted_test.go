package sim

import (
	"context"
	"flag"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sessionizer/internal/mutate"
)

// A simulation that finds nothing may be blind. Here faults are planted, one at a time, in the code
// that runs: most in the packages themselves, the ones about the order of a commit in the member
// that stands for the lane. Each must make one of the first seeds fail. Nothing is changed on the
// disk: the compiler is given other files in their places.

var plantedFlag = flag.Bool("planted", false, "plant faults and see that they are found")

// planted is a fault.
type planted struct {
	name    string
	changes []change
}

// change is one place of it: old stands once in the file, and new takes its place.
type change struct{ file, old, new string }

func plantedFaults() []planted {
	const commit, task, overlay = "internal/sim/commit.go", "processor/task.go", "state/overlay.go"
	return []planted{
		{"StateIsConfirmedAheadOfKafka", []change{{
			commit, "	b := m.w.broker\n	var offsets",
			"	for _, p := range touched {\n" +
				"		if err := p.task.Commit(p.metaEnd, changelogID()); err != nil {\n" +
				"			return err\n		}\n	}\n	b := m.w.broker\n	var offsets",
		}, {
			commit, "	m.w.count(cntCommits)\n	for _, p := range touched {",
			"	m.w.count(cntCommits)\n	for _, p := range touched[:0] {",
		}}},
		{"TimerOnlyTransactionsCommitNoOffset", []change{{
			commit, "		offsets = append(offsets, commitTo{",
			"		was, _ := p.state.Position()\n" +
				"		if was.Offset == p.task.Pending().Offset {\n" +
				"			m.txn.ticks = append(m.txn.ticks, p.ticks...)\n			continue\n		}\n" +
				"		offsets = append(offsets, commitTo{",
		}}},
		{"TheTailIsNotRestored", []change{{
			"processor/recovery.go", "	if have && r.tailWillDo(local, target) {",
			"	if have && r.tailWillDo(local, target) {\n		return p, nil\n	}\n" +
				"	if have && r.tailWillDo(local, target) {",
		}}},
		{"RecordsBelowThePositionAreProcessed", []change{{
			task, "	if t.next != unknownOffset && in.Offset < t.next {",
			"	if t.next != unknownOffset && in.Offset < t.next-5 {",
		}}},
		{"AnAbortLosesTimers", []change{{
			overlay, "		s.change = 0\n		p.schedule(c.slot, s, s.due)", "		s.change = 0",
		}, {
			"state/timers.go", "	for _, id := range p.taken {", "	for _, id := range p.taken[:0] {",
		}}},
		{"TimersAreNotArmedWhenAPartitionOpens", []change{{
			"state/partition.go", "	s.due, s.timer = due, due\n" +
				"	l.p.timers.heap = append(l.p.timers.heap, timer{due: due, slot: l.last})",
			"	s.due = due",
		}}},
		{"AnAbortedOverlayIsApplied", []change{{
			overlay, "		s.change = 0\n		p.schedule(c.slot, s, s.due)",
			"		if c.hasRow {\n			p.cache.setRow(s, p.overlay.rowOf(c))\n" +
				"			s.due = c.due\n		}\n		s.change = 0\n		p.schedule(c.slot, s, s.due)",
		}}},
		{"ARestorePassesTombstonesBy", []change{{
			"state/restore.go", "	key, history, err := SplitChangelogKey(changelogKey)",
			"	if len(value) == 0 {\n		return nil\n	}\n" +
				"	key, history, err := SplitChangelogKey(changelogKey)",
		}}},
		{"TheHistoryIsNotKept", []change{{task, "		t.part.PutHistory(key, t.history)\n", ""}}},
		{"AGapOfExactlyTheTimeoutEndsAVisit", []change{{
			"session/rules.go", "	return Time(timeout)\n", "	return Time(timeout - 1)\n",
		}}},
	}
}

func TestPlantedFaultsAreFound(t *testing.T) {
	if !*plantedFlag {
		t.Skip("each needs the packages compiled anew: make sim does it")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range plantedFaults() {
		t.Run(f.name, func(t *testing.T) { f.mustBeFound(t, root) })
	}
}

func (f *planted) mustBeFound(t *testing.T, root string) {
	t.Helper()
	const seeds, patience = "40", 4 * time.Minute
	dir := t.TempDir()
	planted := mutate.Mutant{Name: f.name}
	for _, c := range f.changes {
		planted.Changes = append(planted.Changes, mutate.Change{File: c.file, Old: c.old, New: c.new})
	}
	overlay, err := mutate.Overlay(root, dir, []mutate.Mutant{planted})
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "sim.test")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary,
		"-overlay", overlay, "./internal/sim")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := exec.CommandContext(ctx, binary, "-test.run", "^TestSim$", "-seeds", seeds,
		"-events", "2000", "-first")
	out, err := run.CombinedOutput()
	found := strings.Contains(string(out), plantedMark)
	if err == nil || !found {
		t.Fatalf("no seed has found it: %v\n%.2000s", err, out)
	}
	_, why, _ := strings.Cut(string(out), plantedMark)
	t.Logf("%.300s", why)
}
