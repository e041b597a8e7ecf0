package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"sessionizer/internal/config"
	"sessionizer/processor"
	"sessionizer/schemas"
	"sessionizer/session"
)

// topicsReader finds and reads the partitions of the input. It commits nothing.
type topicsReader struct {
	app    *app
	cfg    *config.Config
	kafka  processor.Config
	o      *explainOptions
	tell   func(*explained) error
	scans  int64 // records looked at
	counts map[string]int
}

func (a *app) explainTopics(
	ctx context.Context, cfg *config.Config, log *zap.Logger, o *explainOptions,
	tell func(*explained) error,
) error {
	kafka, err := processorConfig(cfg, log.WithOptions(zap.IncreaseLevel(zap.ErrorLevel)))
	if err != nil {
		return err
	}
	t := &topicsReader{app: a, cfg: cfg, kafka: kafka, o: o, tell: tell, counts: map[string]int{}}
	all, err := t.stretches(ctx)
	if err != nil {
		return fmt.Errorf("brokers %v: %w", kafka.Brokers, err)
	}
	// Where the events are if the producers put them by their key, as they should.
	likely := slices.Clone(all)
	if o.partition < 0 {
		likely = slices.DeleteFunc(likely, func(s stretch) bool {
			return s.partition != t.byKey(s.topic)
		})
	}
	found := false
	for _, s := range likely {
		n, err := t.follow(ctx, s)
		if err != nil {
			return err
		}
		found = found || n > 0
	}
	if !found && o.partition < 0 {
		if found, err = t.elsewhere(ctx, all, likely); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("explain %s: no event of this key in %s of %v, %s", o.key,
			counted(len(all), "partition"), kafka.Input, counted(int(t.scans), "record"))
	}
	return nil
}

// byKey is the partition that Kafka's default partitioner gives the key.
func (t *topicsReader) byKey(topic string) int32 {
	p := kgo.StickyKeyPartitioner(nil).ForTopic(topic)
	return int32(p.Partition(&kgo.Record{Key: []byte(t.o.key)}, t.counts[topic]))
}

// stretches looks up what there is to read now.
func (t *topicsReader) stretches(ctx context.Context) ([]stretch, error) {
	cl, err := processor.Client(&t.kafka)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	every, err := lookUpStretches(ctx, cl, t.kafka.Input, committedEnds)
	if err != nil {
		return nil, err
	}
	for _, s := range every {
		t.counts[s.topic]++
	}
	for _, topic := range t.kafka.Input {
		if n := t.counts[topic]; t.o.partition >= int32(n) {
			return nil, usageError{fmt.Errorf("--partition %d: %s has %s", t.o.partition, topic,
				counted(n, "partition"))}
		}
	}
	return slices.DeleteFunc(every, func(s stretch) bool {
		return t.o.partition >= 0 && t.o.partition != s.partition
	}), nil
}

// read hands over the committed records of some stretches. What was compacted away at an end is
// not waited for.
func (t *topicsReader) read(
	ctx context.Context, stretches []stretch, take func(*kgo.Record) error,
) error {
	return readStretches(ctx, &t.kafka, stretches, take, func(partitions int) error {
		fmt.Fprintf(t.app.stderr, "sessionizer: nothing more came within %v, below the end of %s\n",
			silenceMax, counted(partitions, "partition"))
		return nil
	})
}

// follow explains the key's events of one partition and returns how many there were.
func (t *topicsReader) follow(ctx context.Context, s stretch) (events int64, err error) {
	f := &follower{}
	defer func() { err = errors.Join(err, f.engine.close()) }()
	if err := f.begin(t.cfg, t.o, s.topic, s.partition); err != nil {
		return 0, err
	}
	school, err := t.school(f.engine.codec)
	if err != nil {
		return 0, err
	}
	defer school.close()
	show := t.app.reading(s)
	f.tell = func(x *explained) error {
		show.end()
		return t.tell(x)
	}
	err = t.read(ctx, []stretch{s}, func(r *kgo.Record) error {
		if r.Offset%1024 == 0 {
			show.at(r.Offset)
		}
		if err := school.learn(ctx, r.Value); err != nil {
			return err
		}
		return f.step(r, explainedPlace{Topic: s.topic, Partition: &s.partition, Offset: &r.Offset})
	})
	show.end()
	t.scans += f.read
	if err != nil || f.events == 0 {
		return 0, err
	}
	if s.from > 0 {
		fmt.Fprintf(t.app.stderr, "sessionizer: %v begins at offset %s: what was before it is gone, "+
			"and what it had left behind is not seen here\n", s, grouped(s.from))
	}
	return f.events, f.end(false)
}

// elsewhere looks through the other partitions, without the engine, and explains those that have
// events of the key.
func (t *topicsReader) elsewhere(ctx context.Context, all, but []stretch) (found bool, err error) {
	rest := slices.DeleteFunc(slices.Clone(all), func(s stretch) bool {
		return slices.Contains(but, s)
	})
	_, codec, err := engine(t.cfg)
	if err != nil {
		return false, err
	}
	school, err := t.school(codec)
	if err != nil {
		return false, err
	}
	defer school.close()
	has := map[stretch]bool{}
	var scanned schemas.Scanned
	err = t.read(ctx, rest, func(r *kgo.Record) error {
		if r.Attrs.IsControl() {
			return nil
		}
		t.scans++
		if err := school.learn(ctx, r.Value); err != nil {
			return err
		}
		at := schemas.Record{Key: r.Key, Timestamp: session.Time(r.Timestamp.UnixMilli())}
		if r.Value == nil || codec.Scan(r.Value, at, &scanned) != nil ||
			string(scanned.Event.AnonymousID) != t.o.key {
			return nil
		}
		i := slices.IndexFunc(rest, func(s stretch) bool {
			return s.topic == r.Topic && s.partition == r.Partition
		})
		has[rest[i]] = true
		return nil
	})
	if err != nil {
		return false, err
	}
	for _, s := range rest {
		if !has[s] {
			continue
		}
		fmt.Fprintf(t.app.stderr, "sessionizer: the key is in %v, where its hash does not put it: "+
			"its records have another key\n", s)
		n, err := t.follow(ctx, s)
		if err != nil {
			return false, err
		}
		found = found || n > 0
	}
	return found, nil
}
