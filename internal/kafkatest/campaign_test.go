//go:build kafka

package kafkatest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/internal/proof"
)

// A campaign breaks a pipeline over and over while events come in, and asks at the end whether it
// made any difference: the auditor reads the topics, and the output is compared by its digest with
// that of a run that nobody disturbed.

// longVariable: 1 asks for the campaign of hours.
const longVariable = "LONG"

// campaign is one, and its record.
type campaign struct {
	record proof.Record
	p      *pipeline
	rng    *rand.Rand
	fed    chan struct{} // closed to end the feed
	feeds  <-chan error
}

// Times of a record.
const (
	recovery = "from the start of a killed process's successor to its first commit"
	takeover = "from a kill without a successor to the first commit of those who take over"
)

// outcomes is the record of the faults that have a test of their own.
var outcomes struct {
	mu     sync.Mutex
	counts map[string]int64
	failed int
}

// outcome notes at the end of a test what it has seen the program do.
func outcome(t *testing.T, name string) {
	t.Helper()
	t.Cleanup(func() {
		outcomes.mu.Lock()
		defer outcomes.mu.Unlock()
		if outcomes.counts == nil {
			outcomes.counts = map[string]int64{}
		}
		outcomes.counts[name]++
		if t.Failed() {
			outcomes.failed++
		}
		r := proof.Record{
			Name: "Outages and losses", Order: 1, Counts: outcomes.counts, Violations: outcomes.failed,
			What: "The program on Apache Kafka, once for each. What goes on is checked by the auditor, what " +
				"is refused names what to do.",
		}
		if err := r.Write(); err != nil {
			t.Error(err)
		}
	})
}

func (c *campaign) fault(name string) { c.record.Counts[name]++ }

func (c *campaign) took(what string, d time.Duration) {
	c.record.TimesMs[what] = append(c.record.TimesMs[what], d.Milliseconds())
}

// newCampaign makes the topics and begins to feed them; the feed goes on until finish.
func newCampaign(t *testing.T, name string, partitions int32, faults int) *campaign {
	t.Helper()
	return newCampaignAt(t, name, brokers(), partitions, faults)
}

// newCampaignAt is newCampaign on other brokers.
func newCampaignAt(
	t *testing.T, name string, addresses []string, partitions int32, faults int,
) *campaign {
	t.Helper()
	c := campaignOf(t, name, newPipelineAt(t, addresses, partitions, nil))
	c.feeds = c.feed(t, faults)
	return c
}

// newIdleCampaign is newCampaign without the feed.
func newIdleCampaign(t *testing.T, name string, partitions int32) *campaign {
	t.Helper()
	c := campaignOf(t, name, newPipeline(t, partitions, nil))
	fed := make(chan error, 1)
	fed <- nil
	c.feeds = fed
	return c
}

func campaignOf(t *testing.T, name string, p *pipeline) *campaign {
	t.Helper()
	p.make(t)
	return &campaign{
		rng: random(t), p: p, fed: make(chan struct{}),
		record: proof.Record{
			Name: name, Order: 1, Seed: os.Getenv(seedVariable),
			What: "The program on Apache Kafka, while events come in. The auditor reads the topics, the " +
				"visits are those of the events sorted by time, and the output is that of an undisturbed run.",
			Counts: map[string]int64{}, TimesMs: map[string][]int64{},
		},
	}
}

// feed produces events at a steady pace until finish, so that there is always something to commit.
// There are enough of them for so many faults.
func (c *campaign) feed(t *testing.T, faults int) <-chan error {
	t.Helper()
	const (
		every          = 25 * time.Millisecond
		people         = 300
		perFault, most = 2_000, 600_000
	)
	events := min(faults*perFault, most)
	perTick := 1 + events/(faults*perFault/20) // a fault may take two and a half seconds
	feeder := rand.New(rand.NewPCG(c.rng.Uint64(), 2))
	done := make(chan error, 1) // the test may have ended before
	ctx := t.Context()
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for batch := range slices.Chunk(customers(feeder, people, events), perTick) {
			select {
			case <-tick.C:
			case <-c.fed:
				done <- nil
				return
			case <-ctx.Done():
				done <- ctx.Err()
				return
			}
			if err := c.p.trySend(ctx, batch...); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	return done
}

// long reports whether the long campaign is asked for.
func long() bool { return os.Getenv(longVariable) == "1" }

// awaitCommit waits until the group's offsets have moved from where they were, and returns when.
func (c *campaign) awaitCommit(t *testing.T, within time.Duration, from []int64) time.Time {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		if now := c.offsets(t); !slices.Equal(now, from) {
			return time.Now()
		}
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("no commit within %s of %v", within, from)
		}
	}
}

// offsets are the group's committed offsets, from a coordinator that may be away for a moment.
func (c *campaign) offsets(t *testing.T) []int64 {
	t.Helper()
	var at []int64
	eventually(t, askWithin, "the group's offsets are there", func() (bool, string) {
		var err error
		at, err = c.p.tryCommitted(ask(t))
		return err == nil, fmt.Sprint(err)
	})
	return at
}

// settled returns the committed offsets once the transaction of a dead process can not move them
// any more: what its coordinator was asked to commit is committed moments after the death.
func (c *campaign) settled(t *testing.T, instance string) []int64 {
	t.Helper()
	eventually(t, askWithin, "no end of the dead one's is in work", func() (bool, string) {
		txn, err := c.describe(t, instance)
		if errors.Is(err, kerr.TransactionalIDNotFound) {
			return true, "" // it died before it had one
		}
		return err == nil && !strings.HasPrefix(txn.State, "Prepare"), fmt.Sprint(txn.State, err)
	})
	return c.offsets(t)
}

// describe asks the coordinator for the transaction of an instance's only lane.
func (c *campaign) describe(t *testing.T, instance string) (kadm.DescribedTransaction, error) {
	t.Helper()
	id := c.p.group + "-" + instance + "-0"
	all, err := c.p.adm.DescribeTransactions(ask(t), id)
	if err == nil {
		err = all[id].Err
	}
	return all[id], err
}

// finish ends the feed, lets one process do what is left, and compares everything.
func (c *campaign) finish(t *testing.T, instance string) {
	t.Helper()
	close(c.fed)
	if err := <-c.feeds; err != nil {
		t.Fatal(err)
	}
	records := c.p.takeInput(t) // a producer that was cut off need not know all that it has sent
	c.record.Counts["events"] = int64(len(records))
	last := c.p.run(t, instance)
	c.p.awaitVisits(t, drainWithin, len(records))
	last.stop(t)
	v := c.p.audit(t)
	v.matches(t, batch(t, records, timeout))
	c.record.Counts["records never committed"] = int64(c.p.aborted(t, c.p.output))
	c.record.SHA256 = digest(v.output)
	if want := c.undisturbed(t); c.record.SHA256 != want {
		t.Errorf("the output has the SHA-256 %s, that of an undisturbed run is %s",
			c.record.SHA256, want)
	}
	if t.Failed() {
		c.record.Violations = 1
	}
	for what, took := range c.record.TimesMs {
		t.Logf("%s: p50 %d ms, p99 %d ms, greatest %d ms, of %d", what, proof.Percentile(took, 50),
			proof.Percentile(took, 99), proof.Percentile(took, 100), len(took))
	}
	t.Logf("%v", c.record.Counts)
	if err := c.record.Write(); err != nil {
		t.Error(err)
	}
}

// undisturbed processes the same input once more, in one go and with a group and topics of its own,
// and returns the digest of the output.
func (c *campaign) undisturbed(t *testing.T) string {
	t.Helper()
	calm := &pipeline{
		brokers: c.p.brokers, cl: c.p.cl, adm: c.p.adm, partitions: c.p.partitions, dir: t.TempDir(),
		set: c.p.set, input: c.p.input,
		group: c.p.group + "-calm", output: c.p.output + "-calm", visits: c.p.visits + "-calm",
		dead: c.p.dead + "-calm", changelog: c.p.group + "-calm-" + c.p.input + "-changelog",
	}
	calm.make(t)
	calm.runUntilEnd(t, "calm")
	sum := digest(calm.all(t, calm.output))
	if !t.Failed() {
		_, err := calm.adm.DeleteTopics(ask(t), calm.output, calm.visits, calm.dead, calm.changelog)
		if err != nil {
			t.Logf("delete the topics: %v", err)
		}
	}
	return sum
}

// digest is the SHA-256 of the records of a topic in the order of partitions and offsets: keys,
// values, headers and timestamps, each with its length in front.
func digest(records map[int32][]*kgo.Record) string {
	h := sha256.New()
	add := func(b []byte) {
		h.Write(binary.AppendUvarint(nil, uint64(len(b))))
		h.Write(b)
	}
	for _, id := range slices.Sorted(maps.Keys(records)) {
		h.Write(binary.AppendUvarint(nil, uint64(id)))
		for _, r := range records[id] {
			add(r.Key)
			add(r.Value)
			h.Write(binary.AppendVarint(nil, r.Timestamp.UnixMilli()))
			h.Write(binary.AppendUvarint(nil, uint64(len(r.Headers))))
			for _, header := range r.Headers {
				add([]byte(header.Key))
				add(header.Value)
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// damage changes the state directory of an instance that does not run, as failing disks do, and
// returns what it did.
func (c *campaign) damage(t *testing.T, instance string) string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(c.p.stateDir(instance), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != "LOCK" {
			files = append(files, path)
		}
		return err
	})
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && len(files) == 0:
		return "nothing: it died before it had files"
	case err != nil:
		t.Fatalf("find the files of %s: %v", instance, err)
	}
	path := files[c.rng.IntN(len(files))]
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	switch kind := c.rng.IntN(3); {
	case kind == 0:
		err = os.Remove(path)
		return done(t, err, "remove "+filepath.Base(path))
	case kind == 1 || len(content) == 0:
		err = os.Truncate(path, int64(c.rng.IntN(len(content)+1)))
		return done(t, err, "truncate "+filepath.Base(path))
	default:
		at := c.rng.IntN(len(content))
		content[at] ^= 1 << c.rng.IntN(8)
		err = os.WriteFile(path, content, 0o644)
		return done(t, err, fmt.Sprintf("flip a bit of byte %d of %s", at, filepath.Base(path)))
	}
}

func done(t *testing.T, err error, what string) string {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return what
}
