package sim

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A simulation that finds nothing may be blind. Here faults are planted, one at a time, in the code
// that runs: most in the packages themselves, the ones about the order of a commit in the member
// that stands for the lane. Each must make one of the first seeds fail. Nothing is changed on the
// disk: the compiler is given other files in their places.

var plantedFlag = flag.Bool("planted", false, "plant faults and see that they are found")

// planted is a fault: each old text stands once in the file, and the new one takes its place.
type planted struct {
	name, file string
	changes    []string // old and new in turn
}

func plantedFaults() []planted {
	return []planted{
		{"StateIsConfirmedAheadOfKafka", "internal/sim/commit.go", []string{
			"	b := m.w.broker\n	var offsets",
			"	for _, p := range touched {\n" +
				"		if err := p.task.Commit(p.metaEnd, changelogID()); err != nil {\n" +
				"			return err\n		}\n	}\n	b := m.w.broker\n	var offsets",
			"	m.w.count(cntCommits)\n	for _, p := range touched {",
			"	m.w.count(cntCommits)\n	for _, p := range touched[:0] {",
		}},
		{"TimerOnlyTransactionsCommitNoOffset", "internal/sim/commit.go", []string{
			"		offsets = append(offsets, commitTo{",
			"		was, _ := p.state.Position()\n" +
				"		if was.Offset == p.task.Pending().Offset {\n" +
				"			m.txn.ticks = append(m.txn.ticks, p.ticks...)\n			continue\n		}\n" +
				"		offsets = append(offsets, commitTo{",
		}},
		{"TheTailIsNotRestored", "processor/recovery.go", []string{
			"	if have && r.tailWillDo(local, target) {",
			"	if have && r.tailWillDo(local, target) {\n		return p, nil\n	}\n" +
				"	if have && r.tailWillDo(local, target) {",
		}},
		{"RecordsBelowThePositionAreProcessed", "processor/task.go", []string{
			"	if t.next != unknownOffset && in.Offset < t.next {",
			"	if t.next != unknownOffset && in.Offset < t.next-5 {",
		}},
		{"AnAbortLosesTimers", "state/overlay.go", []string{
			"		s.change = 0\n		p.schedule(c.slot, s, s.due)",
			"		s.change = 0",
		}},
		{"AnAbortLosesTimersThatWereTaken", "state/timers.go", []string{
			"	for _, id := range p.taken {", "	for _, id := range p.taken[:0] {",
		}},
		{"AnAbortedOverlayIsApplied", "state/overlay.go", []string{
			"		s.change = 0\n		p.schedule(c.slot, s, s.due)",
			"		if c.hasRow {\n			p.cache.setRow(s, p.overlay.rowOf(c))\n" +
				"			s.due = c.due\n		}\n		s.change = 0\n		p.schedule(c.slot, s, s.due)",
		}},
		{"ARestorePassesTombstonesBy", "state/restore.go", []string{
			"	key, history, err := SplitChangelogKey(changelogKey)",
			"	if len(value) == 0 {\n		return nil\n	}\n" +
				"	key, history, err := SplitChangelogKey(changelogKey)",
		}},
		{"TheHistoryIsNotKept", "processor/task.go", []string{
			"		t.part.PutHistory(key, t.history)\n", "",
		}},
		{"AGapOfExactlyTheTimeoutEndsAVisit", "session/rules.go", []string{
			"	return Time(timeout)\n", "	return Time(timeout - 1)\n",
		}},
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
	name := filepath.Join(root, filepath.FromSlash(f.file))
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	is := string(text)
	for i := 0; i < len(f.changes); i += 2 {
		if n := strings.Count(is, f.changes[i]); n != 1 {
			t.Fatalf("%s has %q %d times: plant the fault anew", f.file, f.changes[i], n)
		}
		is = strings.Replace(is, f.changes[i], f.changes[i+1], 1)
	}
	dir := t.TempDir()
	changed := filepath.Join(dir, filepath.Base(f.file))
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {name: changed}})
	err = errors.Join(err,
		os.WriteFile(changed, []byte(is), 0o600),
		os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "sim.test")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary,
		"-overlay", filepath.Join(dir, "overlay.json"), "./internal/sim")
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
