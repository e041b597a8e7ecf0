//go:build kafka

package kafkatest

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestCampaign_DiskFull fills the disk below the state directory. The process ends with an error
// that names it, commits nothing beyond, and goes on where it was once there is room.
func TestCampaign_DiskFull(t *testing.T) {
	t.Parallel()
	const customersOfEvent, roomBytes = 60_000, 2 << 20
	c := newIdleCampaign(t, "Disk full", 4)
	records := make([]*kgo.Record, customersOfEvent)
	began := time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)
	for i := range records {
		records[i] = event(fmt.Sprintf("m-%d", i), fmt.Sprintf("customer-%d", i),
			began.Add(time.Duration(i)*time.Millisecond), `{"n":1}`)
	}
	for batch := range slices.Chunk(records, 1_000) {
		c.p.send(t, batch...)
	}
	if err := os.MkdirAll(c.p.stateDir("one"), 0o755); err != nil {
		t.Fatal(err)
	}
	size := fmt.Sprintf("size=%d", roomBytes)
	err := syscall.Mount("tmpfs", c.p.stateDir("one"), "tmpfs", 0, size)
	if errors.Is(err, syscall.EPERM) {
		t.Skip("SKIPPED: a disk that is full needs the right to mount a file system: run as root")
	}
	if err != nil {
		t.Fatalf("mount a file system of %d bytes: %v", roomBytes, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(c.p.stateDir("one"), syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	proc := c.p.run(t, "one")
	last := c.lastCommit(t, proc)
	c.took("from the last commit to the exit", time.Since(last))
	proc.ends(t, drainWithin, 1, "no space left on device", c.p.stateDir("one"))
	c.fault("disk full")
	at := c.settled(t, "one")
	again := c.p.run(t, "one")
	again.ends(t, drainWithin, 1, "no space left on device")
	c.fault("disk full")
	t.Logf("it ended at %v, and at %v", at, c.settled(t, "one"))
	err = syscall.Mount("tmpfs", c.p.stateDir("one"), "tmpfs", syscall.MS_REMOUNT, "size=512m")
	if err != nil {
		t.Fatalf("make room: %v", err)
	}
	c.finish(t, "one")
}

// lastCommit waits for the end of a process, and returns when it has committed something last.
func (c *campaign) lastCommit(t *testing.T, proc *process) time.Time {
	t.Helper()
	last, at := time.Now(), c.offsets(t)
	eventually(t, drainWithin, proc.name+" has ended", func() (bool, string) {
		if now := c.offsets(t); !slices.Equal(now, at) {
			last, at = time.Now(), now
		}
		return !proc.alive(), fmt.Sprint(at)
	})
	return last
}
