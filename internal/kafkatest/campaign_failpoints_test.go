//go:build kafka

package kafkatest

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"sessionizer/internal/failpoint"
)

const (
	failpointTimesShort, failpointTimesLong = 5, 50

	// offsetsTopic is where the offsets of groups are, pending ones too.
	offsetsTopic = "__consumer_offsets"
)

// failpointPlace is one line of the table of crashes.
type failpointPlace struct {
	name    string
	hitsMax int // it is killed at one of so many hits
	// settings make it come to the place soon.
	settings []string
	// stopped: it comes to the place for certain when it is asked to stop.
	stopped bool
	// holds asserts what Kafka holds after the death at the n-th hit.
	holds func(c *campaign, t *testing.T, n int, before []int64)
}

func failpointPlaces() []failpointPlace {
	return []failpointPlace{
		{name: failpoint.OpenTransaction, hitsMax: 400, holds: (*campaign).holdsRecords},
		{name: failpoint.OffsetsSent, hitsMax: 4, holds: (*campaign).holdsPendingOffsets},
		{name: failpoint.EndSent, hitsMax: 4, holds: (*campaign).holdsAnEnd},
		{name: failpoint.Committed, hitsMax: 4, holds: (*campaign).holdsACommit},
		// The store lets commits gather: there must be many of them.
		{name: failpoint.WriteBehind, hitsMax: 4, settings: []string{"commit.interval=20ms"}},
		// Two files are written when it is opened, a table, the MANIFEST and the log when it is closed.
		{name: failpoint.HalfWritten, hitsMax: 5, stopped: true},
	}
}

// TestCampaign_Failpoints kills the only process at each line of the table of crashes, at a random
// one of the first times that it comes there.
func TestCampaign_Failpoints(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "sessionizer-failpoint")
	if err := build(binary, "-tags", "failpoint"); err != nil {
		t.Fatal(err)
	}
	places, times := failpointPlaces(), count(failpointTimesShort, failpointTimesLong)
	c := newCampaign(t, "Failpoints", 8, 4*times*len(places))
	for range times {
		for _, place := range places {
			c.dieAt(t, binary, place)
			c.succeed(t, place.name)
		}
	}
	c.finish(t, "one")
	if c.record.Counts["records never committed"] == 0 {
		t.Error("no death was inside a transaction")
	}
}

// dieAt starts the process and sees it die at the place and nowhere else.
func (c *campaign) dieAt(t *testing.T, binary string, place failpointPlace) {
	t.Helper()
	n := 1 + c.rng.IntN(place.hitsMax)
	point := fmt.Sprintf("%s:%d", place.name, n)
	args := c.p.args("one", "run")
	for _, s := range place.settings {
		args = append(args, "--set", s)
	}
	before := c.settled(t, "one") // what moves from here on is the process's own work
	proc, err := launchProgram(t, binary, []string{failpoint.Variable + "=" + point}, point, c.p.dir,
		args...)
	if err != nil {
		t.Fatal(err)
	}
	if place.stopped {
		c.stopSoon(t, proc, before)
	}
	proc.ends(t, commitWithin, -1, "failpoint: killed at "+place.name)
	status, ok := proc.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("%s ended with %s, want a SIGKILL", proc.name, proc.cmd.ProcessState)
	}
	c.fault(place.name)
	if place.holds != nil {
		place.holds(c, t, n, before)
	}
}

// stopSoon asks the process to stop after its first commit, unless it dies before.
func (c *campaign) stopSoon(t *testing.T, proc *process, from []int64) {
	t.Helper()
	eventually(t, commitWithin, "a commit or a death", func() (bool, string) {
		now := c.offsets(t)
		return !proc.alive() || !slices.Equal(now, from), fmt.Sprint(now)
	})
	if err := proc.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// succeed starts a successor, without failpoints, and stops it in good order after a commit.
func (c *campaign) succeed(t *testing.T, place string) {
	t.Helper()
	from := c.settled(t, "one")
	began := time.Now()
	proc := c.p.run(t, "one")
	c.took(recovery, c.awaitCommit(t, commitWithin, from).Sub(began))
	// A commit that the dead one asked for may come as late as this: only a process that works
	// can be asked to stop.
	proc.says(t, startWithin, "partition taken")
	proc.stop(t)
	text, _ := proc.stderr.read()
	switch {
	case strings.Contains(text, "the state directory is damaged"):
		c.fault(place + ": all of the changelog read")
	case strings.Contains(text, "state restored"):
		c.fault(place + ": the tail of the changelog read")
	}
	behind := place == failpoint.Committed || place == failpoint.WriteBehind
	if behind && !strings.Contains(text, "state restored") {
		t.Errorf("%s: the store was behind, and nothing was restored:\n%s", place, proc.tail())
	}
}

// transaction is what the coordinator says of the process's transaction.
func (c *campaign) transaction(t *testing.T) kadm.DescribedTransaction {
	t.Helper()
	txn, err := c.describe(t, "one")
	if err != nil {
		t.Fatalf("describe the transaction of the process: %v", err)
	}
	return txn
}

// holdsRecords: records of an open transaction, and no offsets in it.
func (c *campaign) holdsRecords(t *testing.T, _ int, _ []int64) {
	t.Helper()
	txn := c.transaction(t)
	_, offsets := txn.Topics[offsetsTopic]
	if txn.State != "Ongoing" || len(txn.Topics) == 0 || offsets {
		t.Errorf("the transaction is %s on %v, want records of an open one", txn.State, txn.Topics)
	}
}

// holdsPendingOffsets: an open transaction with offsets in it, which are not committed.
func (c *campaign) holdsPendingOffsets(t *testing.T, n int, before []int64) {
	t.Helper()
	txn := c.transaction(t)
	if _, offsets := txn.Topics[offsetsTopic]; txn.State != "Ongoing" || !offsets {
		t.Errorf("the transaction is %s on %v, want an open one with offsets", txn.State, txn.Topics)
	}
	if now := c.offsets(t); n == 1 && !slices.Equal(now, before) {
		t.Errorf("%v is committed, want %v as before the only transaction", now, before)
	}
}

// holdsAnEnd: the transaction ends, although nobody knows.
func (c *campaign) holdsAnEnd(t *testing.T, _ int, before []int64) {
	t.Helper()
	state := c.ended(t)
	if state == "CompleteCommit" && slices.Equal(c.offsets(t), before) {
		t.Errorf("the transaction is committed and the offsets are still %v", before)
	}
	c.fault(fmt.Sprintf("%s: %s", failpoint.EndSent, state))
}

// holdsACommit: the transaction is committed.
func (c *campaign) holdsACommit(t *testing.T, _ int, before []int64) {
	t.Helper()
	if state := c.ended(t); state != "CompleteCommit" || slices.Equal(c.offsets(t), before) {
		t.Errorf("the transaction is %s and %v committed, want more than %v in a CompleteCommit", state,
			c.offsets(t), before)
	}
}

// ended waits for the end of the transaction: the transaction's timeout sees to it if nobody else.
func (c *campaign) ended(t *testing.T) string {
	t.Helper()
	state := ""
	eventually(t, askWithin, "the transaction has ended", func() (bool, string) {
		state = c.transaction(t).State
		return strings.HasPrefix(state, "Complete"), state
	})
	return state
}
