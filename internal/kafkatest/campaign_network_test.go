//go:build kafka

package kafkatest

import (
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"sessionizer/internal/kafka"
)

const outagesShort, outagesLong = 9, 120

// TestCampaign_Network cuts two members off from their broker, for moments and for longer than
// sessions and transactions may last.
func TestCampaign_Network(t *testing.T) {
	t.Parallel()
	outages := count(outagesShort, outagesLong)
	port := lowPorts(t)
	b := brokerBehind(t, port)
	front := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	net := newProxy(t, front, b.Addr())
	c := newCampaignAt(t, "Network", []string{front}, 8, 8*outages)
	procs := []*process{c.p.run(t, "one"), c.p.run(t, "two")}
	c.p.awaitOwners(t, startWithin, map[string]int{"one-0": 4, "two-0": 4})
	kinds := []struct {
		name   string
		state  proxyState
		length time.Duration
	}{
		{"connections cut", refusing, 0},
		{"broker unreachable for a moment", refusing, 1500 * time.Millisecond},
		{"no answers for a moment", holding, 2500 * time.Millisecond},
		{"broker unreachable beyond every timeout", refusing, 13 * time.Second},
		{"connections cut", refusing, 0},
		{"no answers beyond every timeout", holding, 13 * time.Second},
	}
	for n := range outages {
		kind := kinds[n%len(kinds)]
		c.sleep(t, time.Duration(c.rng.Int64N(int64(time.Second))))
		t.Logf("%d: %s", n, kind.name)
		net.set(kind.state)
		c.sleep(t, kind.length)
		net.set(passing)
		c.fault(kind.name)
		c.awaitCommit(t, commitWithin, c.offsets(t))
		for _, proc := range procs {
			if !proc.alive() {
				t.Fatalf("%s was ended by %s", proc.name, kind.name)
			}
		}
		c.p.awaitOwners(t, startWithin, map[string]int{"one-0": 4, "two-0": 4})
	}
	if net.cuts == 0 {
		t.Error("no connection was cut")
	}
	for _, proc := range procs {
		proc.stop(t)
	}
	c.finish(t, "one")
}

// brokerBehind starts a broker of its own that tells its clients another port.
func brokerBehind(t *testing.T, port int) *kafka.Broker {
	t.Helper()
	return startBroker(t, kafka.Options{Heap: "512m", Properties: map[string]string{
		"advertised.listeners": fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", port),
	}})
}
