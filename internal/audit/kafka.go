package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Kafka is the log of topics on brokers, as consumers of committed records see it, up to a frontier
// that is taken when it is opened. The topics may go on moving behind it.
type Kafka struct {
	connect Connect
	tell    func(string)
	client  *kgo.Client
	admin   *kadm.Client
	group   string
	topics  Topics

	starts, ends kadm.ListedOffsets
	frontier     kadm.OffsetResponses
	compacted    map[string]bool
}

// Connect makes a client: how the brokers are reached, and what is asked for here.
type Connect func(more ...kgo.Opt) (*kgo.Client, error)

// reachMax bounds the first look at the brokers: where nobody answers the address may be wrong, and
// people should not wait minutes to hear that.
const reachMax = 15 * time.Second

// OpenKafka takes the frontier. The caller closes what is returned. Whoever looks on is told what
// is waited for, if it takes long.
//
// The order matters. First the committed offsets, stable ones: what they cover has been decided,
// and its records lie below the ends of the other topics as they are afterwards, though the marker
// of the last transaction may still be on its way to some of them; so the ends are those of all
// records, and reading waits until the transactions below them are over. The ends of the input come
// last: every record of the output is of one below them.
func OpenKafka(
	ctx context.Context, connect Connect, group string, t Topics, tell func(string),
) (_ *Kafka, err error) {
	k := &Kafka{connect: connect, tell: tell, group: group, topics: t, compacted: map[string]bool{}}
	if k.client, err = connect(); err != nil {
		return nil, err
	}
	k.admin = kadm.NewClient(k.client)
	if err := k.look(ctx); err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

// Close gives the connections back.
func (k *Kafka) Close() { k.client.Close() }

func (k *Kafka) look(ctx context.Context) (err error) {
	others := []string{k.topics.Output, k.topics.Visits, k.topics.DeadLetters}
	all := slices.Concat(others, k.topics.Input)
	if err := k.settings(ctx, all); err != nil {
		return err
	}
	if k.frontier, err = k.offsets(ctx, func(string, int32) bool { return true }); err != nil {
		return err
	}
	if k.ends, err = k.listed(ctx, "ends", others, k.admin.ListEndOffsets); err != nil {
		return err
	}
	inputs, err := k.listed(ctx, "ends", k.topics.Input, k.admin.ListCommittedOffsets)
	if err != nil {
		return err
	}
	for topic, partitions := range inputs {
		k.ends[topic] = partitions
	}
	k.starts, err = k.listed(ctx, "starts", all, k.admin.ListStartOffsets)
	return err
}

// settings looks at how the topics let go of records. A cleaner takes them from anywhere: of the
// visits the last of each session is left, which is enough; of all else nobody could tell
// afterwards what the cleaner took from what was lost.
func (k *Kafka) settings(ctx context.Context, topics []string) error {
	first, cancel := context.WithTimeout(ctx, reachMax)
	defer cancel()
	described, err := k.admin.DescribeTopicConfigs(first, topics...)
	if err != nil {
		return fmt.Errorf("look up the settings of %v: %w", topics, err)
	}
	for _, d := range described {
		if errors.Is(d.Err, kerr.TopicAuthorizationFailed) {
			return fmt.Errorf("look up the settings of %s, which takes DescribeConfigs on the topic: %w",
				d.Name, d.Err)
		}
		if d.Err != nil {
			return fmt.Errorf("look up the settings of %s: %w", d.Name, d.Err)
		}
		for _, c := range d.Configs {
			if c.Key != "cleanup.policy" || c.Value == nil || !strings.Contains(*c.Value, "compact") {
				continue
			}
			if d.Name != k.topics.Visits {
				return fmt.Errorf("topic %s has cleanup.policy=%s: compaction takes records from the "+
					"midst of it, and what it took cannot be told from what was lost, so nothing can be proved. "+
					"Set cleanup.policy=delete on it; verify can judge what is written from then on, once "+
					"retention has deleted what was compacted, or a pipeline over a copy in a new topic",
					d.Name, *c.Value)
			}
			k.compacted[d.Name] = true
		}
	}
	return nil
}

func (k *Kafka) listed(
	ctx context.Context, what string, topics []string,
	list func(context.Context, ...string) (kadm.ListedOffsets, error),
) (o kadm.ListedOffsets, err error) {
	err = k.patiently(ctx, fmt.Sprintf("look up the %s of %v", what, topics),
		func(ctx context.Context) error {
			if o, err = list(ctx, topics...); err == nil {
				err = o.Error()
			}
			return err
		})
	return o, err
}

// offsets are the committed ones of the input partitions that are wanted. They are asked for until
// each was stable once: without RequireStable an old one comes back while one is pending, and on a
// pipeline at work some partition nearly always has one pending.
func (k *Kafka) offsets(
	ctx context.Context, wanted func(topic string, partition int32) bool,
) (kadm.OffsetResponses, error) {
	stable := kadm.OffsetResponses{}
	what := "look up the committed offsets of group " + k.group
	err := k.patiently(ctx, what, func(ctx context.Context) error {
		all, err := k.admin.FetchOffsets(kadm.RequireStable(ctx), k.group)
		if errors.Is(err, kerr.GroupIDNotFound) {
			return nil // nobody ever committed
		}
		if err != nil {
			return err
		}
		for _, o := range all.Sorted() {
			if !slices.Contains(k.topics.Input, o.Topic) || !wanted(o.Topic, o.Partition) {
				continue
			}
			if _, known := stable.Lookup(o.Topic, o.Partition); known {
				continue
			}
			if o.Err != nil {
				err = firstError(err, fmt.Errorf("%s/%d: %w", o.Topic, o.Partition, o.Err))
				continue
			}
			stable.Add(o)
		}
		return err
	})
	return stable, err
}

// Partitions is how many a topic has.
func (k *Kafka) Partitions(topic string) int32 { return int32(len(k.ends[topic])) }

// Frontier is the committed offset of an input partition as it was at the beginning.
func (k *Kafka) Frontier(topic string, partition int32) int64 {
	if o, ok := k.frontier.Lookup(topic, partition); ok {
		return o.At
	}
	return -1
}

// Committed is the committed offset as it is now.
func (k *Kafka) Committed(ctx context.Context, topic string, partition int32) (int64, error) {
	all, err := k.offsets(ctx, func(t string, p int32) bool { return t == topic && p == partition })
	if err != nil {
		return 0, err
	}
	if o, ok := all.Lookup(topic, partition); ok {
		return o.At, nil
	}
	return -1, nil
}

// Compacted reports whether a topic may lose records other than the oldest.
func (k *Kafka) Compacted(topic string) bool { return k.compacted[topic] }

// Records is about how many records there are to read.
func (k *Kafka) Records() (n int64) {
	for topic, partitions := range k.ends {
		times := int64(1)
		if topic == k.topics.Visits {
			times = int64(len(k.topics.Input))
		}
		for p, end := range partitions {
			if start, ok := k.starts.Lookup(topic, p); ok {
				n += times * (end.Offset - start.Offset)
			}
		}
	}
	return n
}
