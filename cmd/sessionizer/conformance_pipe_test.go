package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// wirePipe is a broker, on which every group of cases gets topics of its own.
type wirePipe struct {
	brokers []string
	name    string
	cl      *kgo.Client
	adm     *kadm.Client
}

func newWirePipe(t *testing.T) *wirePipe {
	t.Helper()
	p := &wirePipe{
		brokers: conformanceBrokers(t), name: fmt.Sprintf("conformance-%08x", rand.Uint32()),
	}
	var err error
	p.cl, err = kgo.NewClient(kgo.SeedBrokers(p.brokers...), kgo.DisableClientMetrics(),
		kgo.MetadataMinAge(20*time.Millisecond), // the topics have just been made,
		kgo.UnknownTopicRetries(100),            // and not every broker knows it yet
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.cl.Close)
	p.adm = kadm.NewClient(p.cl)
	return p
}

// closingKey is whose event closes a partition: at its time every visit is due.
const closingKey = "the last one"

// topic makes an input topic, of a name that no other test has.
func (p *wirePipe) topic(t *testing.T, name string, partitions int) string {
	t.Helper()
	topic := p.name + "-" + name
	forever := "-1" // the events are older than any broker keeps them by itself
	if _, err := p.adm.CreateTopic(t.Context(), int32(partitions), 1,
		map[string]*string{"retention.ms": &forever}, topic); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			return // of a failed test they are evidence
		}
		if _, err := p.adm.DeleteTopics(context.Background(), topic, topic+"-out", topic+"-visits",
			topic+"-dead", topic+"-"+topic+"-changelog"); err != nil {
			t.Error(err)
		}
	})
	return topic
}

// process runs the program over all that is in an input topic.
func (p *wirePipe) process(t *testing.T, topic, config string) {
	t.Helper()
	args := []string{
		"--config", write(t, t.TempDir(), "sessionizer.yaml", config), "--log-level", "error",
		"--set", "kafka.brokers=" + strings.Join(p.brokers, ","), "--set", "kafka.group=" + topic,
		"--set", "kafka.instance=one", "--set", "lanes=1", "--set", "state.dir=" + t.TempDir(),
		"--set", "input.topics=" + topic, "--set", "output.topic=" + topic + "-out",
		"--set", "visits.topic=" + topic + "-visits", "--set", "dead_letters.topic=" + topic + "-dead",
	}
	for _, command := range [][]string{{"topics", "--create"}, {"run", "--until-end"}} {
		if r := sessionizer(t, "", append(command, args...)...); r.code != exitFine {
			t.Fatalf("%v: exit code %d: %s\n%s", command, r.code, r.stderr, config)
		}
	}
}

func (p *wirePipe) produce(t *testing.T, records ...*kgo.Record) {
	t.Helper()
	if err := p.cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// run runs a group of cases through the program and returns what came out, by case. They come in
// so many lots, each for a process that has nothing but what the ones before left in the topics.
func (p *wirePipe) run(t *testing.T, number int, g *wireGroup, lots int) []wireOutcome {
	t.Helper()
	topic := p.topic(t, strconv.Itoa(number), len(g.cases))
	for lot := range lots {
		for i, c := range g.cases {
			records := wireRecords(t, topic, int32(i), c)
			p.produce(t, records[lot*len(records)/lots:(lot+1)*len(records)/lots]...)
		}
		p.process(t, topic, g.config)
	}
	outcomes := make([]wireOutcome, len(g.cases))
	for i, records := range p.read(t, topic+"-out") {
		outcomes[i].events = values(records)
	}
	for i, records := range p.read(t, topic+"-visits") {
		outcomes[i].visits, outcomes[i].begun = finalVisits(t, values(records))
	}
	for i, records := range p.read(t, topic+"-dead") {
		for _, r := range records {
			outcomes[i].dead = append(outcomes[i].dead,
				string(badInput(r.Headers).Reason)+" "+string(r.Value))
		}
	}
	return outcomes
}

// values are the values of records, without what is of the event that closes the partition.
func values(records []*kgo.Record) (all []string) {
	for _, r := range records {
		if !bytes.Contains(r.Value, []byte(closingKey)) {
			all = append(all, string(r.Value))
		}
	}
	return all
}

// wireRecords are the events of a case, and behind them one that closes the partition.
func wireRecords(t *testing.T, topic string, partition int32, c *testCase) []*kgo.Record {
	t.Helper()
	var records []*kgo.Record
	latest := c.start
	for i := range c.steps {
		step := &c.steps[i]
		if step.idle {
			continue
		}
		latest = max(latest, step.received)
		records = append(records, &kgo.Record{
			Topic: topic, Partition: partition, Key: []byte(step.key), Value: step.value,
			Timestamp: time.UnixMilli(int64(step.received)),
		})
	}
	const month = 30 * 24 * 3_600_000
	latest += month
	places, err := c.cfg.Places()
	if err != nil {
		t.Fatal(err)
	}
	paths, payload := eventPaths(places), &jsonObject{}
	payload.put(paths.first("anonymous_id"), rawText(closingKey))
	payload.put(paths.first("timestamp"), rawText(formatTime(latest)))
	return append(records, &kgo.Record{
		Topic: topic, Partition: partition, Key: []byte(closingKey), Value: appendJSON(nil, payload),
		Timestamp: time.UnixMilli(int64(latest)),
	})
}

// read returns the committed records of a topic, by partition. All have been produced, but a broker
// may still be about to write that the last transaction is committed: the reader waits for that.
func (p *wirePipe) read(t *testing.T, topic string) map[int32][]*kgo.Record {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(p.brokers...), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ends, err := p.adm.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	left := map[int32]int64{}
	for partition, o := range ends[topic] {
		if o.Offset > 0 {
			left[partition] = o.Offset
		}
	}
	all := map[int32][]*kgo.Record{}
	for len(left) > 0 {
		fetches := cl.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				all[r.Partition] = append(all[r.Partition], r)
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return all
}
