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
	for range kills {
		c.sleep(t, time.Duration(c.rng.Int64N(int64(400*time.Millisecond))))
		proc.kill()
		c.fault("SIGKILL")
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
	c.p.awaitOwners(t, startWithin, map[string]int{"one-0": 4, "two-0": 4})
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
		c.p.awaitOwners(t, startWithin, map[string]int{"one-0": 4, "two-0": 4})
		c.awaitCommit(t, commitWithin, c.offsets(t))
	}
	for _, proc := range m.procs {
		proc.stop(t)
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

// damaged hurts the store of a dead member. It is healed from the changelog, or refused by name:
// then an operator deletes it, as the message says.
func (m *pair) damaged(t *testing.T, victim string) {
	t.Helper()
	m.procs[victim].kill()
	what := m.damage(t, victim)
	t.Logf("%s: %s", victim, what)
	m.start(t, victim)
	refused := false
	eventually(t, startWithin, victim+" works or refuses", func() (bool, string) {
		state, owned := m.p.owners(t)
		refused = !m.procs[victim].alive()
		return refused || len(owned[victim+"-0"]) == 4, fmt.Sprint(state, owned)
	})
	if !refused {
		return
	}
	m.procs[victim].ends(t, stopWithin, 1, m.p.stateDir(victim))
	m.fault("damage refused by name")
	if err := os.RemoveAll(m.p.stateDir(victim)); err != nil {
		t.Fatal(err)
	}
	m.start(t, victim)
}

// zombie stops a member longer than its session and its transaction may last.
func (m *pair) zombie(t *testing.T, victim string) {
	t.Helper()
	if err := m.procs[victim].signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	m.p.awaitOwners(t, startWithin, map[string]int{other(victim) + "-0": 8})
	m.sleep(t, 5*time.Second) // the transaction's timeout passes too
	if err := m.procs[victim].signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

func (m *pair) leave(t *testing.T, victim string) {
	t.Helper()
	m.procs[victim].stop(t)
	m.start(t, victim)
}
