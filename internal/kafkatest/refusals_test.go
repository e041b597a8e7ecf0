//go:build kafka

package kafkatest

import (
	"fmt"
	"maps"
	"net"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// What cannot go on without loss or doubles must stop, say why, and leave the topics as they are.

// unusedAddress is an address that nothing listens on.
func unusedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// written is how far the topics that run writes have come.
func (p *pipeline) written(t *testing.T) string {
	t.Helper()
	return fmt.Sprint(p.ends(t, p.output, false), p.ends(t, p.visits, false), p.ends(t, p.dead, false),
		p.ends(t, p.changelog, false))
}

// refuses starts the service of an instance and expects it to end at once, with nothing written.
func (p *pipeline) refuses(t *testing.T, instance string, words ...string) {
	t.Helper()
	before := p.written(t)
	p.run(t, instance).ends(t, startWithin, 1, words...)
	if after := p.written(t); after != before {
		t.Errorf("it wrote before it refused: the ends were %s and are %s", before, after)
	}
}

// processed makes a pipeline that has done something and is at rest.
func processed(t *testing.T, partitions int32) *pipeline {
	t.Helper()
	rng := random(t)
	p := newPipeline(t, partitions, nil)
	p.make(t)
	p.send(t, customers(rng, 30, 500)...)
	p.runUntilEnd(t, "one")
	p.awaitMarkers(t)
	return p
}

// awaitMarkers waits for the markers of the last transaction: a broker confirms its end before it
// writes them.
func (p *pipeline) awaitMarkers(t *testing.T) {
	t.Helper()
	for _, topic := range []string{p.output, p.visits, p.dead, p.changelog} {
		eventually(t, askWithin, "the last markers are in "+topic, func() (bool, string) {
			all, stable := p.ends(t, topic, false), p.ends(t, topic, true)
			return maps.Equal(all, stable), fmt.Sprint(all, " and stable ", stable)
		})
	}
}

func TestRefusal_OfMorePartitions(t *testing.T) {
	t.Parallel()
	outcome(t, "partitions added: refused")
	p := processed(t, 2)
	proc := p.run(t, "one")
	p.awaitOwners(t, startWithin, map[string]int{"one-0": 2})
	p.grow(t, p.input)
	began := time.Now()
	proc.ends(t, stopWithin, 1, "rescale", p.input)
	t.Logf("noticed after %s", time.Since(began).Round(time.Millisecond))

	at := time.Date(2024, 6, 1, 12, 0, 0, 0, time.UTC)
	for i := range 30 { // some of them in the new partition
		p.send(t, event(fmt.Sprintf("new-%d", i), fmt.Sprintf("new-customer-%d", i), at, `{}`))
	}
	if p.ends(t, p.input, false)[2] == 0 {
		t.Fatal("nothing is in the new partition")
	}
	t.Run("ANewStart", func(t *testing.T) { p.refuses(t, "one", "rescale") })
	t.Run("AnotherInstance", func(t *testing.T) { p.refuses(t, "two", "rescale") })
	t.Run("WhenAllTopicsHaveGrown", func(t *testing.T) {
		// Nothing but the state tells now, and the new partition has none.
		for _, topic := range []string{p.output, p.visits, p.dead, p.changelog} {
			p.grow(t, topic)
		}
		p.refuses(t, "one", "rescale")
		p.refuses(t, "three", "rescale")
	})
}

// The topics that are written have grown first, as a careful operator would do it: nothing but the
// count says that keys have moved to the new partition, away from their state.
func TestRefusal_TakesNoPartitionThatWasNotThereAtTheStart(t *testing.T) {
	t.Parallel()
	outcome(t, "partitions added while it runs: refused")
	p := processed(t, 2)
	proc := p.run(t, "one")
	p.awaitOwners(t, startWithin, map[string]int{"one-0": 2})
	for _, topic := range []string{p.output, p.visits, p.dead, p.changelog, p.input} {
		p.grow(t, topic)
	}
	at := time.Date(2024, 6, 1, 12, 0, 0, 0, time.UTC)
	for i := range 30 {
		p.send(t, event(fmt.Sprintf("new-%d", i), fmt.Sprintf("new-customer-%d", i), at, `{}`))
	}
	proc.ends(t, stopWithin, 1, "rescale", p.input)
	if stamped := p.all(t, p.output)[2]; len(stamped) > 0 {
		t.Errorf("%d events of the new partition were processed without the state of their keys",
			len(stamped))
	}
}

// grow adds a partition.
func (p *pipeline) grow(t *testing.T, topic string) {
	t.Helper()
	before := len(p.ends(t, topic, false))
	grown, err := p.adm.CreatePartitions(ask(t), 1, topic)
	if err == nil {
		err = grown.Error()
	}
	if err != nil {
		t.Fatalf("add a partition to %s: %v", topic, err)
	}
	p.cl.ForceMetadataRefresh()
	eventually(t, askWithin, "the new partition of "+topic+" is there", func() (bool, string) {
		listed, err := p.adm.ListEndOffsets(ask(t), topic)
		n := len(listed[topic])
		return err == nil && listed.Error() == nil && n == before+1, fmt.Sprint(n, " partitions, ", err)
	})
}

func TestRefusal_OfAGroupWithoutItsOffsets(t *testing.T) {
	t.Parallel()
	outcome(t, "the group's offsets deleted: refused")
	p := processed(t, 2)
	committed := p.committed(t)
	if _, err := p.adm.DeleteGroup(ask(t), p.group); err != nil {
		t.Fatal(err)
	}
	p.refuses(t, "one", "no committed offset", "--reset-offsets", "--to-offset", p.group, p.input)

	t.Run("WithoutTheStateDirectoryToo", func(t *testing.T) {
		if err := os.RemoveAll(p.stateDir("one")); err != nil {
			t.Fatal(err)
		}
		p.refuses(t, "one", "no committed offset", "--reset-offsets", "--to-offset")
	})
	t.Run("AWrongOffset", func(t *testing.T) {
		p.setOffsets(t, []int64{committed[0] - 1, committed[1] - 1})
		p.refuses(t, "one", "committed offset", p.input)
	})
	t.Run("SetBackAsSaidItGoesOn", func(t *testing.T) {
		p.setOffsets(t, committed)
		at := time.Date(2024, 6, 1, 12, 0, 0, 0, time.UTC)
		p.send(t, event("new", "customer-1", at, `{}`))
		proc := p.run(t, "one")
		p.awaitVisits(t, drainWithin, len(p.sentSoFar()))
		proc.stop(t)
		p.audit(t).matches(t, batch(t, p.sentSoFar(), timeout))
	})
}

// setOffsets sets the group's offsets as an operator would. A process that refused is a member
// until its session has timed out.
func (p *pipeline) setOffsets(t *testing.T, at []int64) {
	t.Helper()
	var offsets kadm.Offsets
	for id, o := range at {
		offsets.AddOffset(p.input, int32(id), o, -1)
	}
	eventually(t, startWithin, "the offsets are set", func() (bool, string) {
		set, err := p.adm.CommitOffsets(ask(t), p.group, offsets)
		if err == nil {
			err = set.Error()
		}
		return err == nil, fmt.Sprint(err)
	})
}

func TestRefusal_OfALostChangelog(t *testing.T) {
	t.Parallel()
	outcome(t, "changelog missing: refused")
	p := processed(t, 2)
	p.deleteTopic(t, p.changelog)
	proc := p.run(t, "one")
	proc.ends(t, startWithin, 1, "topics --create", p.changelog)

	p.make(t) // the command that was named makes an empty one
	t.Run("MadeAnew", func(t *testing.T) { p.refuses(t, "one", "changelog", "OPERATING.md") })
	t.Run("MadeAnewWithoutAStateDirectory", func(t *testing.T) {
		p.refuses(t, "two", "changelog", "OPERATING.md")
	})
}

func TestRefusal_OfAnInputMadeAnew(t *testing.T) {
	t.Parallel()
	outcome(t, "input deleted and made anew: refused")
	p := processed(t, 2)
	proc := p.run(t, "one")
	p.awaitOwners(t, startWithin, map[string]int{"one-0": 2})
	p.deleteTopic(t, p.input)
	p.create(t, p.input, 2, map[string]string{"retention.ms": "-1"})
	proc.ends(t, stopWithin, 1, p.input, "deleted")

	at := time.Date(2024, 6, 1, 12, 0, 0, 0, time.UTC)
	for i := range 20 {
		p.send(t, event(fmt.Sprintf("new-%d", i), fmt.Sprintf("customer-%d", i), at, `{}`))
	}
	t.Run("ANewStart", func(t *testing.T) { p.refuses(t, "one", "deleted and created again") })
	t.Run("AnotherInstance", func(t *testing.T) { p.refuses(t, "two", "deleted and created again") })
}

func TestRefusal_OfInputThatIsGone(t *testing.T) {
	t.Parallel()
	outcome(t, "input retention passed: refused")
	p := processed(t, 2)
	rng := random(t)
	p.send(t, customers(rng, 30, 500)...)
	// Retention takes what was not processed yet.
	listed, err := p.adm.ListEndOffsets(ask(t), p.input)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.adm.DeleteRecords(ask(t), listed.Offsets()); err != nil {
		t.Fatal(err)
	}
	p.refuses(t, "one", p.input, "OPERATING.md")
}
