//go:build kafka

package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// askWithin bounds one question to the brokers.
	askWithin = 30 * time.Second
	// drainWithin bounds the wait for all of an input to be processed. It guards against a
	// deadlock; how fast it is, benchmarks say.
	drainWithin = 120 * time.Second

	batchBytesMax = 8 << 20
	idleAfter     = 500 * time.Millisecond
)

// pipeline is an input topic, and topics, group and folders of its own for what run makes of it.
type pipeline struct {
	brokers []string
	cl      *kgo.Client
	adm     *kadm.Client

	group, input, output, visits, dead, changelog string

	partitions int32
	dir        string   // of the processes
	set        []string // configuration of this test, key=value

	mu   sync.Mutex
	sent []*kgo.Record // what was produced, with partitions and offsets
}

// newPipeline makes the input topic. The other topics are made by make, or by hand.
func newPipeline(
	t *testing.T, partitions int32, inputSettings map[string]string, set ...string,
) *pipeline {
	t.Helper()
	return newPipelineAt(t, brokers(), partitions, inputSettings, set...)
}

// newPipelineAt is newPipeline on other brokers.
func newPipelineAt(
	t *testing.T, addresses []string, partitions int32, inputSettings map[string]string,
	set ...string,
) *pipeline {
	t.Helper()
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(addresses...),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerBatchMaxBytes(batchBytesMax),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	name := regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(t.Name(), "-")
	name = fmt.Sprintf("%.60s-%08x", name, rand.Uint32()) // the topics of another run are not ours
	t.Logf("topics: %s-*", name)
	p := &pipeline{
		brokers: addresses,
		cl:      cl, adm: kadm.NewClient(cl), partitions: partitions, dir: t.TempDir(), set: set,
		group: name, input: name + "-in", output: name + "-out", visits: name + "-visits",
		dead: name + "-dead", changelog: name + "-" + name + "-in-changelog",
	}
	settings := map[string]string{"retention.ms": "-1"}
	for k, v := range inputSettings {
		settings[k] = v
	}
	p.create(t, p.input, partitions, settings)
	t.Cleanup(func() { p.remove(t) })
	return p
}

// remove deletes the topics and the group of a test that passed; of another they are evidence.
func (p *pipeline) remove(t *testing.T) {
	t.Helper()
	if t.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	_, err := p.adm.DeleteTopics(ctx, p.input, p.output, p.visits, p.dead, p.changelog)
	if err != nil {
		t.Logf("delete the topics: %v", err)
	}
	if _, err := p.adm.DeleteGroup(ctx, p.group); err != nil {
		t.Logf("delete the group: %v", err) // a killed member is still in it
	}
}

// ask bounds a question to the brokers.
func ask(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	t.Cleanup(cancel)
	return ctx
}

func (p *pipeline) create(
	t *testing.T, topic string, partitions int32, settings map[string]string,
) {
	t.Helper()
	configs := map[string]*string{}
	for k, v := range settings {
		configs[k] = &v
	}
	r, err := p.adm.CreateTopic(ask(t), partitions, 1, configs, topic)
	if err == nil {
		err = r.Err
	}
	if err != nil {
		t.Fatalf("create topic %s: %v", topic, err)
	}
	eventually(t, askWithin, "topic "+topic+" is there", func() (bool, string) {
		d, err := p.adm.ListTopics(ask(t), topic)
		if err != nil {
			return false, err.Error()
		}
		return d[topic].Err == nil && len(d[topic].Partitions) == int(partitions), d[topic].Topic
	})
}

func (p *pipeline) deleteTopic(t *testing.T, topic string) {
	t.Helper()
	r, err := p.adm.DeleteTopic(ask(t), topic)
	if err == nil {
		err = r.Err
	}
	if err != nil {
		t.Fatalf("delete topic %s: %v", topic, err)
	}
	eventually(t, askWithin, "topic "+topic+" is gone", func() (bool, string) {
		d, err := p.adm.ListTopics(ask(t), topic)
		if err != nil {
			return false, err.Error()
		}
		return errors.Is(d[topic].Err, kerr.UnknownTopicOrPartition), fmt.Sprint(d[topic].Err)
	})
	p.cl.PurgeTopicsFromClient(topic) // a topic of the same name would be another one
}

// args are the arguments of a command of one instance. The state directory is the instance's own.
func (p *pipeline) args(instance string, command ...string) []string {
	args := slices.Clone(command)
	set := []string{
		"kafka.brokers=" + strings.Join(p.brokers, ","), "kafka.group=" + p.group,
		"kafka.instance=" + instance, "kafka.session_timeout=6s",
		"input.topics=" + p.input, "output.topic=" + p.output, "visits.topic=" + p.visits,
		"dead_letters.topic=" + p.dead, "state.dir=" + p.stateDir(instance), "state.cache=16MiB",
		"time.idle_after=" + idleAfter.String(), "lanes=1",
	}
	for _, s := range append(set, p.set...) {
		args = append(args, "--set", s)
	}
	return args
}

func (p *pipeline) stateDir(instance string) string {
	return filepath.Join(p.dir, "state-"+instance)
}

// run starts the service. settings come last, so they win.
func (p *pipeline) run(t *testing.T, instance string, settings ...string) *process {
	t.Helper()
	args := p.args(instance, "run")
	for _, s := range settings {
		args = append(args, "--set", s)
	}
	return start(t, "run "+instance, p.dir, args...)
}

// runUntilEnd processes what is there.
func (p *pipeline) runUntilEnd(t *testing.T, instance string) {
	t.Helper()
	proc := start(t, "run --until-end "+instance, p.dir, p.args(instance, "run", "--until-end")...)
	proc.ends(t, drainWithin, 0)
}

// make makes the missing topics as a user would.
func (p *pipeline) make(t *testing.T) {
	t.Helper()
	proc := start(t, "topics --create", p.dir, p.args("setup", "topics", "--create")...)
	proc.ends(t, startWithin, 0)
}

// send produces records to the input and waits until they are there.
func (p *pipeline) send(t *testing.T, records ...*kgo.Record) {
	t.Helper()
	if err := p.trySend(t.Context(), records...); err != nil {
		t.Fatal(err)
	}
}

func (p *pipeline) trySend(ctx context.Context, records ...*kgo.Record) error {
	for _, r := range records {
		r.Topic = p.input
	}
	if err := p.cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("produce to %s: %w", p.input, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, records...)
	return nil
}

func (p *pipeline) sentSoFar() []*kgo.Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.sent)
}

// feed produces the records in small batches over a time, beside the test. The channel has the
// result.
func (p *pipeline) feed(t *testing.T, over time.Duration, records []*kgo.Record) <-chan error {
	t.Helper()
	const every = 50 * time.Millisecond
	steps := max(1, int(over/every))
	size := (len(records) + steps - 1) / steps
	done := make(chan error, 1) // the test may have ended before
	ctx := t.Context()
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for batch := range slices.Chunk(records, size) {
			if err := p.trySend(ctx, batch...); err != nil {
				done <- err
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				done <- ctx.Err()
				return
			}
		}
		done <- nil
	}()
	return done
}

// committed returns the group's committed offset of each partition of the input, -1 for none.
func (p *pipeline) committed(t *testing.T) []int64 {
	t.Helper()
	at, err := p.tryCommitted(ask(t))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func (p *pipeline) tryCommitted(ctx context.Context) ([]int64, error) {
	all, err := p.adm.FetchOffsets(ctx, p.group)
	if err != nil {
		return nil, fmt.Errorf("fetch the offsets of group %s: %w", p.group, err)
	}
	at := make([]int64, p.partitions)
	for i := range at {
		at[i] = -1
		if o, ok := all.Lookup(p.input, int32(i)); ok && o.Err == nil {
			at[i] = o.At
		}
	}
	return at, nil
}

// ends are the offsets behind the last record of each partition of a topic; committed asks for
// what a read_committed reader sees.
func (p *pipeline) ends(t *testing.T, topic string, committed bool) map[int32]int64 {
	t.Helper()
	list := p.adm.ListEndOffsets
	if committed {
		list = p.adm.ListCommittedOffsets
	}
	listed, err := list(ask(t), topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		t.Fatalf("look up the end of %s: %v", topic, err)
	}
	ends := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	return ends
}

// owners returns the partitions of the input that each member of the group holds, by the name it
// joined under, which is GROUP-INSTANCE-LANE.
func (p *pipeline) owners(t *testing.T) (state string, owned map[string][]int32) {
	t.Helper()
	groups, err := p.adm.DescribeGroups(ask(t), p.group)
	if err != nil {
		return err.Error(), nil // a coordinator that has just begun
	}
	g := groups[p.group]
	owned = map[string][]int32{}
	for _, m := range g.Members {
		name := m.MemberID
		if m.InstanceID != nil {
			name = strings.TrimPrefix(*m.InstanceID, p.group+"-")
		}
		assigned, ok := m.Assigned.AsConsumer()
		if !ok {
			continue
		}
		for _, topic := range assigned.Topics {
			owned[name] = append(owned[name], topic.Partitions...)
		}
	}
	return g.State, owned
}

// awaitOwners waits until the group is stable with so many partitions for each lane.
func (p *pipeline) awaitOwners(t *testing.T, within time.Duration, want map[string]int) {
	t.Helper()
	eventually(t, within, fmt.Sprintf("the group is stable with %v", want), func() (bool, string) {
		state, owned := p.owners(t)
		ok := state == "Stable"
		for lane, n := range want {
			ok = ok && len(owned[lane]) == n
		}
		return ok, fmt.Sprintf("%s %v", state, owned)
	})
}
