//go:build kafka

package kafkatest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sessionizer/internal/mutate"
)

const (
	jumpsShort, jumpsLong = 16, 200
	clockVariable         = "CLOCK"
)

// TestCampaign_ClockJumps sets the clock of the only process forward and back, by seconds and by
// days, while it works and while it restarts. Only the wall clock jumps, as it does when a machine
// is set: what is measured goes on as before.
func TestCampaign_ClockJumps(t *testing.T) {
	t.Parallel()
	binary := buildWithClock(t)
	jumps := count(jumpsShort, jumpsLong)
	c := newCampaign(t, "Clock jumps", 8, 2*jumps)
	clock := filepath.Join(t.TempDir(), "clock")
	run := func() *process {
		proc, err := launchProgram(t, binary, []string{clockVariable + "=" + clock}, "run one", c.p.dir,
			c.p.args("one", "run")...)
		if err != nil {
			t.Fatal(err)
		}
		return proc
	}
	proc := run()
	kinds := []time.Duration{time.Hour, -time.Hour, time.Second, -time.Second, 48 * time.Hour,
		-48 * time.Hour, 400 * 24 * time.Hour, 0}
	for n := range jumps {
		jump := kinds[n%len(kinds)]
		set(t, clock, jump)
		if n%2 == 0 {
			proc.kill()
			from := c.settled(t, "one")
			proc = run()
			c.awaitCommit(t, commitWithin, from)
		}
		eventually(t, startWithin, "the process has the time", func() (bool, string) {
			seen, err := os.ReadFile(clock + ".seen")
			return string(seen) == seconds(jump), fmt.Sprintf("%s %v", seen, err)
		})
		c.awaitCommit(t, commitWithin, c.offsets(t))
		if !proc.alive() {
			t.Fatalf("%s was ended by a jump of %s", proc.name, jump)
		}
		c.fault("clock set by " + jump.String())
	}
	proc.stop(t)
	c.finish(t, "one")
}

// set tells the processes what their clocks are to be off.
func set(t *testing.T, clock string, jump time.Duration) {
	t.Helper()
	err := os.WriteFile(clock+".new", []byte(seconds(jump)), 0o600)
	if err == nil {
		err = os.Rename(clock+".new", clock)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }

// jumpingClock is time.Now with another wall clock: a Time keeps the seconds of that one above the
// 30 bits of its nanoseconds, and the steady clock apart.
const jumpingClock = `package processor

import (
	"os"
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"
)

var clockJump atomic.Int64

func init() {
	file := os.Getenv("` + clockVariable + `")
	go func() {
		for range time.Tick(5 * time.Millisecond) {
			b, err := os.ReadFile(file)
			if n, e := strconv.ParseInt(string(b), 10, 64); err == nil && e == nil {
				clockJump.Store(n)
				os.WriteFile(file+".seen", b, 0o600)
			}
		}
	}()
}

func jumpingNow() time.Time {
	t := time.Now()
	*(*uint64)(unsafe.Pointer(&t)) += uint64(clockJump.Load()) << 30
	return t
}
`

// buildWithClock builds the program with a clock that can be set.
func buildWithClock(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{}
	files, err := filepath.Glob(filepath.Join(root, "processor", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "time.Now()") && !strings.HasSuffix(name, "_test.go") {
			text := strings.ReplaceAll(string(b), "time.Now()", "jumpingNow()")
			sources["processor/"+filepath.Base(name)] = text +
				"\nvar _ = time.Now // it may need the package no more\n"
		}
	}
	if len(sources) == 0 {
		t.Fatal("the processor asks no clock")
	}
	sources["processor/clock.go"] = jumpingClock
	binary := filepath.Join(dir, "sessionizer-clock")
	overlay, err := mutate.Replace(root, dir, sources)
	if err == nil {
		err = build(binary, "-overlay", overlay)
	}
	if err != nil {
		t.Fatal(err)
	}
	return binary
}
