package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"sessionizer/internal/config"
	"sessionizer/processor"
	"sessionizer/schemas"
	"sessionizer/session"
)

// silenceMax is how long a partition may say nothing below the end that it had: what is left there
// was compacted away.
const silenceMax = 15 * time.Second

// stretch is what there is to read of a partition: [from, to).
type stretch struct {
	topic     string
	partition int32
	from, to  int64
}

func (s stretch) String() string { return fmt.Sprintf("%s/%d", s.topic, s.partition) }

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
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	cl, err := processor.Client(&t.kafka)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	starts, err := adm.ListStartOffsets(ctx, t.kafka.Input...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("look up the begin of %v: %w", t.kafka.Input, err)
	}
	ends, err := adm.ListCommittedOffsets(ctx, t.kafka.Input...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("look up the end of %v: %w", t.kafka.Input, err)
	}
	var all []stretch
	for _, topic := range t.kafka.Input {
		t.counts[topic] = len(starts[topic])
		if t.o.partition >= int32(len(starts[topic])) {
			return nil, usageError{fmt.Errorf("--partition %d: %s has %s", t.o.partition, topic,
				counted(len(starts[topic]), "partition"))}
		}
		for p := range int32(len(starts[topic])) {
			if t.o.partition < 0 || t.o.partition == p {
				all = append(all, stretch{topic, p, starts[topic][p].Offset, ends[topic][p].Offset})
			}
		}
	}
	return all, nil
}

// follow explains the key's events of one partition and returns how many there were.
func (t *topicsReader) follow(ctx context.Context, s stretch) (events int64, err error) {
	f, err := newFollower(t.cfg, t.o, s.topic, s.partition)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.engine.close()) }()
	show := t.app.reading(s)
	f.tell = func(x *explained) error {
		show.end()
		return t.tell(x)
	}
	err = t.read(ctx, []stretch{s}, func(r *kgo.Record) error {
		if r.Offset%1024 == 0 {
			show.at(r.Offset)
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
	has := map[stretch]bool{}
	var scanned schemas.Scanned
	err = t.read(ctx, rest, func(r *kgo.Record) error {
		if r.Attrs.IsControl() {
			return nil
		}
		t.scans++
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

// read hands over the committed records of some stretches, those of a partition in their order.
func (t *topicsReader) read(
	ctx context.Context, stretches []stretch, take func(*kgo.Record) error,
) error {
	from := map[string]map[int32]kgo.Offset{}
	left := map[string]map[int32]int64{} // ends
	n := 0
	for _, s := range stretches {
		if s.from >= s.to {
			continue
		}
		if from[s.topic] == nil {
			from[s.topic], left[s.topic] = map[int32]kgo.Offset{}, map[int32]int64{}
		}
		from[s.topic][s.partition] = kgo.NewOffset().At(s.from)
		left[s.topic][s.partition] = s.to
		n++
	}
	if n == 0 {
		return nil
	}
	cl, err := processor.Client(&t.kafka, kgo.ConsumePartitions(from),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	if err != nil {
		return err
	}
	defer cl.Close()
	for n > 0 {
		poll, cancel := context.WithTimeout(ctx, silenceMax)
		fetches := cl.PollFetches(poll)
		cancel()
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		if fetches.NumRecords() == 0 && errors.Is(fetches.Err0(), context.DeadlineExceeded) {
			fmt.Fprintf(t.app.stderr, "sessionizer: nothing more came within %v, below the end of %s\n",
				silenceMax, counted(n, "partition"))
			return nil
		}
		if err := fetchError(fetches); err != nil {
			return err
		}
		for records := fetches.RecordIter(); !records.Done(); {
			r := records.Next()
			end, ok := left[r.Topic][r.Partition]
			if !ok {
				continue
			}
			if r.Offset < end {
				if err := take(r); err != nil {
					return fmt.Errorf("%s/%d, offset %d: %w", r.Topic, r.Partition, r.Offset, err)
				}
			}
			if r.Offset+1 >= end {
				delete(left[r.Topic], r.Partition)
				n--
			}
		}
	}
	return nil
}

// fetchError is what is wrong with a partition for good.
func fetchError(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		return fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err)
	}
	return nil
}

// readingProgress says on a terminal how far a partition has been read.
type readingProgress struct {
	*progress
	s stretch
}

func (a *app) reading(s stretch) *readingProgress {
	return &readingProgress{newProgress(a.stderr, nil, nil), s}
}

func (p *readingProgress) at(offset int64) {
	if p.progress == nil || time.Since(p.shown) < progressEvery {
		return
	}
	p.shown = time.Now()
	p.draw(fmt.Sprintf("reading %v  %3d %%  %s of %s records", p.s,
		100*(offset-p.s.from)/max(p.s.to-p.s.from, 1), grouped(offset-p.s.from),
		grouped(p.s.to-p.s.from)))
}
