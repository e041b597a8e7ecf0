package processor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// recordHeadroom is how much larger than an input record its stamped form, or its dead letter
// with the headers that say why, may be: what topics made by CreateTopics allow for.
const recordHeadroom = 64 << 10

// changelogRecordBytes is the record size a changelog topic needs: the largest history of a key.
const changelogRecordBytes = 8 << 20

// TopicPlan is a topic that the processor needs, and what it must be like.
type TopicPlan struct {
	Name       string
	Role       string // output, visits, dead letters, changelog
	Partitions int32
	Configs    map[string]string // of a topic that is made
}

// Finding is something about a topic that Run refuses.
type Finding struct {
	Topic, Role, Problem string
	Missing              bool // the topic is not there; CreateTopics can make it
}

func (f Finding) String() string {
	return fmt.Sprintf("%s topic %s: %s", f.Role, f.Topic, f.Problem)
}

// Topology is the cluster as Run finds it.
type Topology struct {
	Partitions int32 // of every input topic
	Plans      []TopicPlan
	Findings   []Finding

	topics  kadm.TopicDetails
	configs map[string]map[string]string
}

// ID returns the topic id the broker gave a topic; zero for one that is not there.
func (t *Topology) ID(topic string) [16]byte { return t.topics[topic].ID }

// Count is the number of partitions of a topic; 0 for one that is not there.
func (t *Topology) Count(topic string) int32 {
	if d, ok := t.topics[topic]; ok && d.Err == nil {
		return int32(len(d.Partitions))
	}
	return 0
}

// Config is a topic's setting as the broker reports it, "" where it does not.
func (t *Topology) Config(topic, name string) string { return t.configs[topic][name] }

// Int is Config as a number.
func (t *Topology) Int(topic, name string) (int64, bool) {
	n, err := strconv.ParseInt(t.Config(topic, name), 10, 64)
	return n, err == nil
}

// Inspect looks at all topics of a configuration. The error is the broker's; what is wrong with
// the topics is in Findings.
func Inspect(ctx context.Context, adm *kadm.Client, c *Config) (*Topology, error) {
	names := append([]string{}, c.Input...)
	names = append(names, c.Output, c.Visits, c.DeadLetters)
	for _, in := range c.Input {
		names = append(names, c.ChangelogTopic(in))
	}
	details, err := adm.ListTopics(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("look up the topics: %w", err)
	}
	for _, n := range names {
		if err := details[n].Err; err != nil && !notThere(err) {
			return nil, fmt.Errorf("look up the topic %s: %w", n, err)
		}
	}
	t := &Topology{topics: details, configs: map[string]map[string]string{}}
	var there []string
	for _, n := range names {
		if t.Count(n) > 0 {
			there = append(there, n)
		}
	}
	if len(there) > 0 {
		rcs, err := adm.DescribeTopicConfigs(ctx, there...)
		if err != nil {
			return nil, fmt.Errorf("look up the topics' settings: %w", err)
		}
		for _, rc := range rcs {
			if rc.Err != nil {
				return nil, fmt.Errorf("look up the settings of topic %s: %w", rc.Name, rc.Err)
			}
			m := map[string]string{}
			for _, kv := range rc.Configs {
				m[kv.Key] = kv.MaybeValue()
			}
			t.configs[rc.Name] = m
		}
	}
	t.inspectInput(c)
	t.plan(c)
	for _, p := range t.Plans {
		t.inspect(c, p)
	}
	return t, nil
}

// notThere reports whether an error of a topic says that there is none of that name. Any other says
// nothing about it: a topic that has no leader for a while is there.
func notThere(err error) bool {
	return errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID) ||
		errors.Is(err, kerr.InvalidTopicException)
}

func (t *Topology) inspectInput(c *Config) {
	for _, in := range c.Input {
		d := t.topics[in]
		switch n := t.Count(in); {
		case n == 0 && d.Err != nil:
			t.find(in, "input", fmt.Sprintf("not there (%v)", d.Err), false)
		case n == 0:
			t.find(in, "input", "not there", false)
		case t.Partitions == 0:
			t.Partitions = n
		case n != t.Partitions:
			t.find(in, "input", fmt.Sprintf(
				"has %d partitions and %s has %d; all input topics need the same number",
				n, c.Input[0], t.Partitions), false)
		}
	}
}

// plan says what the topics must be like, from what the input is like.
func (t *Topology) plan(c *Config) {
	var retention, record int64
	for _, in := range c.Input {
		if ms, ok := t.Int(in, "retention.ms"); ok {
			retention = longer(retention, ms)
		}
		if n, ok := t.Int(in, "max.message.bytes"); ok {
			record = max(record, n)
		}
	}
	events := func() map[string]string {
		m := map[string]string{"cleanup.policy": "delete", "message.timestamp.type": "CreateTime"}
		if retention != 0 {
			m["retention.ms"] = strconv.FormatInt(retention, 10)
		}
		if record != 0 {
			m["max.message.bytes"] = strconv.FormatInt(record+recordHeadroom, 10)
		}
		return m
	}
	t.Plans = append(t.Plans,
		TopicPlan{c.Output, "output", t.Partitions, events()},
		TopicPlan{c.Visits, "visits", t.Partitions, events()},
		TopicPlan{c.DeadLetters, "dead-letter", t.Partitions, events()})
	for _, in := range c.Input {
		t.Plans = append(t.Plans, TopicPlan{c.ChangelogTopic(in), "changelog", t.Partitions,
			map[string]string{
				"cleanup.policy":         "compact",
				"message.timestamp.type": "CreateTime",
				"max.message.bytes":      strconv.Itoa(changelogRecordBytes),
			}})
	}
}

// longer compares two retentions in ms, of which -1 is for ever.
func longer(a, b int64) int64 {
	if a == -1 || b == -1 {
		return -1
	}
	return max(a, b)
}

func (t *Topology) find(topic, role, problem string, missing bool) {
	t.Findings = append(t.Findings, Finding{topic, role, problem, missing})
}

func (t *Topology) inspect(c *Config, p TopicPlan) {
	n := t.Count(p.Name)
	if n == 0 {
		t.find(p.Name, p.Role, "not there", true)
		return
	}
	if t.Partitions > 0 && n != t.Partitions && p.Role != "dead-letter" {
		t.find(p.Name, p.Role, fmt.Sprintf("has %d partitions, the input has %d", n, t.Partitions), false)
	}
	if p.Role == "changelog" {
		if got := t.Config(p.Name, "cleanup.policy"); got != "compact" {
			t.find(p.Name, p.Role, fmt.Sprintf("cleanup.policy is %q and must be \"compact\"", got), false)
		}
		return
	}
	if t.Config(p.Name, "message.timestamp.type") == "LogAppendTime" && p.Role != "visits" {
		t.find(p.Name, p.Role, "message.timestamp.type is LogAppendTime, "+
			"which would replace the events' timestamps", false)
	}
	if p.Role == "visits" {
		return
	}
	for _, in := range c.Input {
		t.inspectAgainst(in, p)
	}
}

// inspectAgainst compares what must be at least the input's: records keep their timestamps, so
// with a shorter retention a replay of history would vanish from the output.
func (t *Topology) inspectAgainst(in string, p TopicPlan) {
	want, ok1 := t.Int(in, "retention.ms")
	got, ok2 := t.Int(p.Name, "retention.ms")
	deletes := strings.Contains(t.Config(p.Name, "cleanup.policy"), "delete")
	if ok1 && ok2 && deletes && longer(want, got) != got {
		t.find(p.Name, p.Role, fmt.Sprintf(
			"retention.ms is %d, the input %s has %d", got, in, want), false)
	}
	want, ok1 = t.Int(in, "max.message.bytes")
	got, ok2 = t.Int(p.Name, "max.message.bytes")
	if ok1 && ok2 && got < want {
		t.find(p.Name, p.Role, fmt.Sprintf(
			"max.message.bytes is %d, the input %s has %d", got, in, want), false)
	}
}

// CreateTopics makes the topics that are not there and returns their names. It changes no other.
func CreateTopics(ctx context.Context, adm *kadm.Client, t *Topology) ([]string, error) {
	if t.Partitions == 0 {
		return nil, &StopError{What: "the input topic is not there: its number of partitions is not known",
			Do: "create the input topic first"}
	}
	var made []string
	for _, p := range t.Plans {
		if t.Count(p.Name) > 0 {
			continue
		}
		configs := map[string]*string{}
		for k, v := range p.Configs {
			configs[k] = &v
		}
		r, err := adm.CreateTopic(ctx, p.Partitions, -1, configs, p.Name)
		if err == nil {
			err = r.Err
		}
		if err != nil {
			return made, fmt.Errorf("create %s topic %s: %w", p.Role, p.Name, err)
		}
		made = append(made, p.Name)
	}
	slices.Sort(made)
	return made, nil
}

// grown reports whether the state was made for another number of input partitions.
func (t *Topology) grown() bool {
	return slices.ContainsFunc(t.Plans, func(p TopicPlan) bool {
		n := t.Count(p.Name)
		return p.Role == "changelog" && n > 0 && t.Partitions > 0 && n != t.Partitions
	})
}

// Refusal turns findings into the error of a Run that does not begin, nil if there are none.
func (t *Topology) Refusal() error {
	if len(t.Findings) == 0 {
		return nil
	}
	var b strings.Builder
	b.WriteString("the topics are not as the processor needs them:")
	missing := false
	for _, f := range t.Findings {
		b.WriteString("\n  " + f.String())
		missing = missing || f.Missing
	}
	do := "mend them as listed; `sessionizer topics` shows what each needs"
	switch {
	case t.Partitions == 0:
		do = "create the input topic first, then the others with `sessionizer topics --create`"
	case t.grown():
		do = rescale
	case missing:
		do = "run `sessionizer topics --create` with the same configuration to make the missing ones"
	}
	return &StopError{What: b.String(), Do: do}
}

// Client returns a client for look-ups with a configuration's brokers and credentials.
func Client(c *Config, more ...kgo.Opt) (*kgo.Client, error) {
	cl, err := kgo.NewClient(append(c.clientOpts(), more...)...)
	if err != nil {
		return nil, &StopError{What: "make the Kafka client", Cause: err}
	}
	return cl, nil
}

// Await inspects until every broker that answers knows the topics that were just made.
func Await(ctx context.Context, adm *kadm.Client, c *Config, made []string) (*Topology, error) {
	const every = 50 * time.Millisecond
	for {
		t, err := Inspect(ctx, adm, c)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(made, func(name string) bool { return t.Count(name) == 0 }) {
			return t, nil
		}
		timer := time.NewTimer(every)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("wait for the topics %v: %w", made, ctx.Err())
		}
	}
}
