package sim

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"

	"sessionizer/internal/proof"
	"sessionizer/schemas"
)

// A seed fails if anything that was lost, doubled or wrong is on the topics or in the stores after
// all that it did to the members; all seeds together fail if one of the things that can go wrong
// never did. `make sim` runs 2,000 of them, `make test` a few.

var (
	seedFlag   = flag.Uint64("seed", 0, "the one seed to run; 0: many")
	seedsFlag  = flag.Int("seeds", 24, "how many seeds to run, from 1 on")
	eventsFlag = flag.Int("events", 5_000, "events of a seed, at least")
	traceFlag  = flag.String("replay", "", "a trace file to play again")
	firstFlag  = flag.Bool("first", false, "end with the first seed that fails, and write no file")
	tellFlag   = flag.Bool("tell", false, "print what happens in the one seed or trace")
)

// plantedMark is how a seed that fails is told.
const plantedMark = "make sim SEED="

type result struct {
	hash   uint64
	counts counts
	steps  int // ahead of the rest
	err    error
}

// play runs a story in a bubble, where what Pebble does beside is waited for after each step.
func play(t *testing.T, s story, log func(format string, args ...any)) (got result) {
	t.Helper()
	profile, err := schemas.LoadProfile("krenalis")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w, err := newWorld(options{story: s, profile: profile, settle: synctest.Wait, log: log})
		if err != nil {
			t.Fatal(err)
		}
		if got.err = w.run(); got.err == nil {
			got.err = w.verdict()
		}
		w.close()
		got.hash, got.counts, got.steps = w.trace.Sum64(), w.counts, w.played
	})
	return got
}

func TestSim(t *testing.T) {
	switch {
	case *traceFlag != "":
		text, err := os.ReadFile(*traceFlag)
		if err != nil {
			t.Fatal(err)
		}
		s, err := readStory(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		playOne(t, *s)
	case *seedFlag != 0:
		playOne(t, story{seed: *seedFlag, events: *eventsFlag})
	default:
		playMany(t)
	}
}

func playOne(t *testing.T, s story) {
	log := t.Logf
	if !*tellFlag {
		log = nil
	}
	got := play(t, s, log)
	t.Logf("seed %d: %d steps, hash %016x\n%s", s.seed, got.steps, got.hash, got.counts.String())
	if got.err != nil {
		t.Errorf("seed %d: %v", s.seed, got.err)
		writeOut(t, s, got)
	}
}

func playMany(t *testing.T) {
	// Most of what a world leaves behind is garbage.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	shards := runtime.GOMAXPROCS(0)
	all := make([]counts, shards)
	t.Run("Shard", func(t *testing.T) {
		for shard := range shards {
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				for i := shard; i < *seedsFlag && !t.Failed(); i += shards {
					s := story{seed: uint64(i) + 1, events: *eventsFlag}
					got := play(t, s, nil)
					if got.err != nil {
						t.Errorf("%s%d\n%v", plantedMark, s.seed, got.err)
						if !*firstFlag {
							writeOut(t, s, got)
						}
					}
					all[shard].add(&got.counts)
				}
			})
		}
	})
	var sum counts
	for i := range all {
		sum.add(&all[i])
	}
	t.Logf("%d seeds of %d events:\n%s", *seedsFlag, *eventsFlag, sum.String())
	const seedsForAll = 200 // the rarest things need some
	if *firstFlag || *seedsFlag < seedsForAll {
		return
	}
	for _, name := range sum.missing() {
		t.Errorf("in none of %d seeds: %s", *seedsFlag, name)
	}
	record := proof.Record{
		Name: "Simulation", Order: 2, Counts: map[string]int64{"seeds": int64(*seedsFlag)},
		What: "Tasks, state and recovery on one thread, by seeds: crashes at every line of the crash " +
			"matrix, moves, lost answers, clock jumps. Every event's stamp is the oracle's, and nothing is " +
			"lost or doubled.",
	}
	for i := cntOpen; i < cntCount; i++ {
		record.Counts[countNames[i]] = sum[i]
	}
	if t.Failed() {
		record.Violations = 1
	}
	if err := record.Write(); err != nil {
		t.Error(err)
	}
}

// writeOut makes a run that fails as small as some tries allow, and a file of it.
func writeOut(t *testing.T, s story, got result) {
	t.Helper()
	const triesMax = 150
	s.steps = got.steps
	if s.dropped == nil {
		s.dropped = map[int]bool{}
	}
	s.shrink(triesMax, func(less *story) bool { return play(t, *less, nil).err != nil })
	var happens []string
	last := play(t, s, func(format string, args ...any) {
		happens = append(happens, strings.ToValidUTF8(fmt.Sprintf(format, args...), "?"))
	})
	var text bytes.Buffer
	err := errors.Join(last.err, s.write(&text, errors.Join(last.err, got.err), happens))
	name := filepath.Join(os.TempDir(), fmt.Sprintf("sim-seed-%d.trace", s.seed))
	if err := os.WriteFile(name, text.Bytes(), 0o644); err != nil {
		t.Error(err)
		return
	}
	t.Logf("%d of %d steps are left: make sim TRACE=%s\n%v", s.steps-len(s.dropped), s.steps, name,
		err)
}

func TestTheSameSeedIsTheSameRun(t *testing.T) {
	hashes := map[uint64]uint64{}
	for seed := range uint64(4) {
		s := story{seed: 1 << 40 * (seed + 1), events: 2_000}
		a, b := play(t, s, nil), play(t, s, nil)
		if a.err != nil || b.err != nil {
			t.Fatalf("seed %d: %v, %v", s.seed, a.err, b.err)
		}
		if a.hash != b.hash || a.counts != b.counts || a.steps != b.steps {
			t.Errorf("seed %d: %016x and %016x\n%s\n%s", s.seed, a.hash, b.hash, a.counts.String(),
				b.counts.String())
		}
		if other, isThere := hashes[a.hash]; isThere {
			t.Errorf("seeds %d and %d are one run", other, s.seed)
		}
		hashes[a.hash] = s.seed
	}
}

// A run with steps left out is another run, and the same one each time: else neither a trace file
// nor what makes it small would be worth anything.
func TestATraceIsPlayedAgain(t *testing.T) {
	s := story{seed: 7, events: 1_000, steps: 200, dropped: map[int]bool{}}
	whole := play(t, s, nil)
	for step := 20; step < 90; step += 1 + step%3 {
		s.dropped[step] = true
	}
	first := play(t, s, nil)
	if whole.err != nil || first.err != nil || whole.hash == first.hash {
		t.Fatalf("%016x and %016x, %v, %v", whole.hash, first.hash, whole.err, first.err)
	}
	var text bytes.Buffer
	if err := s.write(&text, errors.New("nothing\nis wrong"), []string{"1 feed"}); err != nil {
		t.Fatal(err)
	}
	again, err := readStory(&text)
	if err != nil {
		t.Fatal(err)
	}
	if got := play(t, *again, nil); got.err != nil || got.hash != first.hash || got.steps != 200 {
		t.Errorf("%016x in %d steps, %v; it was %016x", got.hash, got.steps, got.err, first.hash)
	}
	for _, bad := range []string{
		"", "seed 1", "seed x\nevents 1", "seed 1\nevents 2\ndrop 5-3", "sed 1",
	} {
		if _, err := readStory(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was taken for a trace", bad)
		}
	}
}

// What is left of a run is what it fails with.
func TestShrinkLeavesWhatMatters(t *testing.T) {
	s := story{seed: 1, events: 1, steps: 700, dropped: map[int]bool{}}
	s.shrink(math.MaxInt, func(less *story) bool { return !less.dropped[41] && !less.dropped[600] })
	if got := s.droppedText(); got != "1-40 42-599 601-700" {
		t.Errorf("left out: %s", got)
	}
}
