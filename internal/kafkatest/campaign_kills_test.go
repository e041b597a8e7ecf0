//go:build kafka

package kafkatest

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"
)

const (
	killsShort, killsLong   = 100, 2_000
	faultsShort, faultsLong = 24, 400
	pipelinesLong           = 4

	// within which a campaign's next commit must come, whatever was done: it guards against a
	// deadlock; how fast it is, the record says.
	commitWithin = 60 * time.Second
)

func count(short, longer int) int {
	if long() {
		return longer
	}
	return short
}

// TestCampaign_Kills kills the only process at random moments of its life and starts it again. The
// long campaign goes on in several pipelines side by side.
func TestCampaign_Kills(t *testing.T) {
	t.Parallel()
	kills, pipelines := count(killsShort, killsLong), count(1, pipelinesLong)
	for i := range pipelines {
		name := "Kills"
		if pipelines > 1 {
			name = fmt.Sprintf("Kills %d of %d", i+1, pipelines)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			killed(t, name, kills/pipelines)
		})
	}
}

func killed(t *testing.T, name string, kills int) {
	t.Helper()
	c := newCampaign(t, name, 8, kills)
	from := c.offsets(t)
	proc := c.p.run(t, "one")
	c.awaitCommit(t, commitWithin, from)
	const startKillEvery = 5
	for n := range kills {
		c.sleep(t, time.Duration(c.rng.Int64N(int64(400*time.Millisecond))))
		proc.kill()
		c.fault("SIGKILL")
		if n%startKillEvery == 0 {
			proc = c.p.run(t, "one")
			c.sleep(t, time.Duration(c.rng.Int64N(int64(250*time.Millisecond))))
			proc.kill()
			c.fault("SIGKILL of a successor while it starts")
		}
		from = c.settled(t, "one")
		began := time.Now()
		proc = c.p.run(t, "one")
		c.took(recovery, c.awaitCommit(t, commitWithin, from).Sub(began))
	}
	proc.stop(t)
	c.finish(t, "one")
	if c.record.Counts["records never committed"] == 0 {
		t.Error("no kill hit an open transaction")
	}
}

// sleep lets the processes work for a time that the seed has chosen: the moment is the fault.
func (c *campaign) sleep(t *testing.T, d time.Duration) {
	t.Helper()
	over := time.NewTimer(d)
	defer over.Stop()
	select {
	case <-over.C:
	case <-t.Context().Done():
	}
}

// TestCampaign_Mixed does one of everything that can happen to two members, again and again.
func TestCampaign_Mixed(t *testing.T) {
	t.Parallel()
	faults := count(faultsShort, faultsLong)
	c := newCampaign(t, "Mixed", 8, 8*faults)
	m := &pair{campaign: c, procs: map[string]*process{}}
	for _, name := range []string{"one", "two"} {
		m.procs[name] = c.p.run(t, name)
	}
	m.share(t)
	kinds := []struct {
		name string
		do   func(t *testing.T, victim string)
	}{
		{"killed, the other takes over", m.takeover},
		{"killed, state directory deleted", m.deleted},
		{"killed, state directory damaged", m.damaged},
		{"stopped past its session", m.zombie},
		{"left and came back", m.leave},
		{"killed and back at once", m.back},
	}
	for n := range faults {
		kind := kinds[n%len(kinds)]
		victim := []string{"one", "two"}[c.rng.IntN(2)]
		t.Logf("%d: %s: %s", n, victim, kind.name)
		kind.do(t, victim)
		c.fault(kind.name)
		m.share(t)
		c.awaitCommit(t, commitWithin, c.offsets(t))
	}
	for _, name := range []string{"one", "two"} {
		m.stop(t, name)
	}
	c.finish(t, "one")
}

// pair is a campaign against two processes, by their names.
type pair struct {
	*campaign
	procs map[string]*process
}

func (m *pair) start(t *testing.T, name string) {
	t.Helper()
	m.procs[name] = m.p.run(t, name)
}

// await waits until the group is stable with so many partitions for each of the processes.
func (m *pair) await(t *testing.T, want map[string]int) {
	t.Helper()
	what := fmt.Sprintf("the group is stable with %v", want)
	eventually(t, startWithin, what, func() (bool, string) {
		for name := range want {
			m.supervise(t, name)
		}
		state, owned := m.p.owners(t)
		ok := state == "Stable"
		for name, n := range want {
			ok = ok && len(owned[name+"-0"]) == n
		}
		return ok, fmt.Sprint(state, owned)
	})
}

func (m *pair) share(t *testing.T) {
	t.Helper()
	m.await(t, map[string]int{"one": 4, "two": 4})
}

// supervise starts a process again that has ended because its store is damaged, which may be found
// long after the damage was done.
func (m *pair) supervise(t *testing.T, name string) {
	t.Helper()
	if m.procs[name].alive() {
		return
	}
	m.procs[name].ends(t, stopWithin, 1, m.p.stateDir(name), "is damaged", "start again")
	m.fault("damage found at work: ended, and started again")
	m.start(t, name)
}

// stop is SIGTERM for a process that may be about to find its store damaged.
func (m *pair) stop(t *testing.T, name string) {
	t.Helper()
	proc := m.procs[name]
	if err := proc.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if proc.wait(t, stopWithin) != 0 {
		m.supervise(t, name)
		m.procs[name].stop(t)
	}
}

func other(name string) string {
	if name == "one" {
		return "two"
	}
	return "one"
}

// takeover kills a member and waits until the other one commits what the dead one's partitions got.
func (m *pair) takeover(t *testing.T, victim string) {
	t.Helper()
	_, owned := m.p.owners(t)
	m.procs[victim].kill()
	killed := time.Now()
	from := m.settled(t, victim)
	deadline := time.NewTimer(commitWithin)
	defer deadline.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		m.supervise(t, other(victim))
		now, moved := m.offsets(t), 0
		for _, id := range owned[victim+"-0"] {
			if now[id] != from[id] {
				moved++
			}
		}
		if moved > 0 {
			break
		}
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("%s has committed nothing of %s's partitions within %s", other(victim), victim,
				commitWithin)
		}
	}
	m.took(takeover, time.Since(killed))
	m.start(t, victim)
}

func (m *pair) back(t *testing.T, victim string) {
	t.Helper()
	m.procs[victim].kill()
	m.start(t, victim)
}

func (m *pair) deleted(t *testing.T, victim string) {
	t.Helper()
	m.procs[victim].kill()
	if err := os.RemoveAll(m.p.stateDir(victim)); err != nil {
		t.Fatal(err)
	}
	m.start(t, victim)
}

// damaged hurts the store of a dead member. It is healed from the changelog when the process
// starts, or when the damage is found.
func (m *pair) damaged(t *testing.T, victim string) {
	t.Helper()
	m.procs[victim].kill()
	t.Logf("%s: %s", victim, m.damage(t, victim))
	m.start(t, victim)
}

// zombie stops a member longer than its session and its transaction may last.
func (m *pair) zombie(t *testing.T, victim string) {
	t.Helper()
	if err := m.procs[victim].signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	m.await(t, map[string]int{other(victim): 8})
	m.sleep(t, 5*time.Second) // the transaction's timeout passes too
	if err := m.procs[victim].signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

func (m *pair) leave(t *testing.T, victim string) {
	t.Helper()
	m.stop(t, victim)
	m.start(t, victim)
}
