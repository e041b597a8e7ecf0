//go:build synctests

package audit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sessionizer/internal/audit"
)

// A verdict over half-read topics is worse than none: "clean" would be a lie, and so would "lost".
// Here brokers stand still, go away, hold transactions open and hand out offsets that are not yet
// stable, in virtual time: either everything is read, or there is no verdict and a reason.

const kafkaGroup = "sessionizer"

var kafkaTopics = audit.Topics{
	Input: []string{"events"}, Output: "out", Visits: "visits", DeadLetters: "dead",
}

// brokers are an embedded broker with the topics of a pipeline, and what verify tells of it.
type brokers struct {
	t       *testing.T
	cluster *kfake.Cluster
	network *kfake.VirtualNetwork
	client  *kgo.Client
	told    []string
}

func inBubble(t *testing.T, test func(t *testing.T, b *brokers)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &brokers{t: t, network: &kfake.VirtualNetwork{}}
		var err error
		b.cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.ListenFn(b.network.Listen),
			kfake.SeedTopics(1, "events", "out", "visits", "dead"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.cluster.Close)
		if b.client, err = b.connect(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.client.Close)
		test(t, b)
	})
}

func (b *brokers) connect(more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(b.cluster.ListenAddrs()...), kgo.Dialer(b.network.DialContext),
		kgo.DisableClientMetrics(),
	}, more...)...)
}

func (b *brokers) produce(cl *kgo.Client, topic string, n int) {
	b.t.Helper()
	for i := range n {
		r := &kgo.Record{Topic: topic, Key: []byte("k"), Value: fmt.Appendf(nil, "%d", i)}
		if err := cl.ProduceSync(b.t.Context(), r).FirstErr(); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *brokers) commit(at int64) {
	b.t.Helper()
	offsets := kadm.Offsets{}
	offsets.AddOffset("events", 0, at, -1)
	adm := kadm.NewClient(b.client)
	if _, err := adm.CommitOffsets(b.t.Context(), kafkaGroup, offsets); err != nil {
		b.t.Fatal(err)
	}
}

func (b *brokers) open() (*audit.Kafka, error) {
	b.t.Helper()
	k, err := audit.OpenKafka(b.t.Context(), b.connect, kafkaGroup, kafkaTopics,
		func(text string) { b.told = append(b.told, text) })
	if err == nil {
		b.t.Cleanup(k.Close)
	}
	return k, err
}

func (b *brokers) mustOpen() *audit.Kafka {
	b.t.Helper()
	k, err := b.open()
	if err != nil {
		b.t.Fatal(err)
	}
	return k
}

// read counts the records of a partition and says how long that took.
func (b *brokers) read(k *audit.Kafka, topic string) (n int, took time.Duration, _ error) {
	b.t.Helper()
	begun := time.Now()
	s, err := k.Open(b.t.Context(), topic, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	defer s.Close()
	for {
		r, err := s.Next(b.t.Context())
		if err != nil || r == nil {
			return n, time.Since(begun), err
		}
		n++
	}
}

// wantStuck holds an error to be that there is no verdict, after minutes and not many.
func wantStuck(t *testing.T, err error, took time.Duration, at string, words ...string) {
	t.Helper()
	var stuck *audit.StuckError
	if !errors.As(err, &stuck) {
		t.Fatalf("after %v the error is %v", took, err)
	}
	if took < 5*time.Minute || took > 6*time.Minute {
		t.Errorf("it took %v", took)
	}
	if stuck.Topic != "" {
		if got := fmt.Sprintf("%s/%d@%d", stuck.Topic, stuck.Partition, stuck.Offset); got != at {
			t.Errorf("stuck at %s, want %s", got, at)
		}
	}
	for _, word := range append(words, at) {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not say %q: %v", word, err)
		}
	}
}

func TestKafka_ABrokerThatStandsStillIsWaitedFor(t *testing.T) {
	for name, before := range map[string]int{"from the beginning": 0, "in the middle": 1} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *brokers) {
				const records = 10
				for range records { // two fill a fetch
					r := &kgo.Record{Topic: "out", Value: make([]byte, 600_000)}
					if err := b.bulk().ProduceSync(t.Context(), r).FirstErr(); err != nil {
						t.Fatal(err)
					}
				}
				k := b.mustOpen()
				s, err := k.Open(t.Context(), "out", 0)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				n := 0
				for ; n < before; n++ {
					if r, err := s.Next(t.Context()); r == nil || err != nil {
						t.Fatal(r, err)
					}
				}
				held := b.standStill(130 * time.Second)
				begun := time.Now()
				for {
					r, err := s.Next(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if r == nil {
						break
					}
					n++
				}
				if took := time.Since(begun); n != records || took < 130*time.Second {
					t.Errorf("%d records after %v", n, took)
				}
				if held.Load() == 0 {
					t.Error("the broker never stood still")
				}
				if len(b.told) != 1 || !strings.Contains(b.told[0], "read out/0 at ") {
					t.Errorf("told: %q", b.told)
				}
			})
		})
	}
}

// bulk is a client whose batches are not compressed.
func (b *brokers) bulk() *kgo.Client {
	b.t.Helper()
	cl, err := b.connect(kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(cl.Close)
	return cl
}

// standStill lets the broker answer nothing for a while.
func (b *brokers) standStill(d time.Duration) (held *atomic.Int64) {
	held = new(atomic.Int64)
	thawed := make(chan struct{})
	timer := time.AfterFunc(d, func() { close(thawed) })
	b.t.Cleanup(func() {
		if timer.Stop() {
			close(thawed)
		}
	})
	b.cluster.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		held.Add(1)
		<-thawed
		return nil, nil, false
	})
	return held
}

func TestKafka_ABrokerThatStaysAwayMeansNoVerdict(t *testing.T) {
	inBubble(t, func(t *testing.T, b *brokers) {
		b.produce(b.client, "out", 2000)
		k := b.mustOpen()
		var dropped atomic.Int64
		b.cluster.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
			b.cluster.KeepControl()
			dropped.Add(1)
			return nil, io.ErrClosedPipe, true
		})
		n, took, err := b.read(k, "out")
		wantStuck(t, err, took, "out/0@0", "the broker does not answer")
		if n != 0 || dropped.Load() == 0 {
			t.Errorf("%d records, %d requests dropped", n, dropped.Load())
		}
		if len(b.told) != 1 {
			t.Errorf("told: %q", b.told)
		}
	})
}

// foreign begins a transaction of somebody else in a topic, and returns its end.
func (b *brokers) foreign(topic string) (end func(kgo.TransactionEndTry)) {
	b.t.Helper()
	other, err := b.connect(kgo.TransactionalID("foreign"), kgo.TransactionTimeout(14*time.Minute))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(other.Close)
	if err := other.BeginTransaction(); err != nil {
		b.t.Fatal(err)
	}
	b.produce(other, topic, 1)
	return func(how kgo.TransactionEndTry) {
		if err := other.EndTransaction(context.Background(), how); err != nil {
			b.t.Error(err)
		}
	}
}

func TestKafka_AnOpenTransactionIsWaitedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, b *brokers) {
		b.produce(b.client, "out", 10)
		end := b.foreign("out")
		b.produce(b.client, "out", 20)
		k := b.mustOpen()
		time.AfterFunc(2*time.Minute, func() { end(kgo.TryAbort) })
		n, took, err := b.read(k, "out")
		if err != nil || n != 30 || took < 2*time.Minute {
			t.Errorf("%d records after %v, %v", n, took, err)
		}
		if len(b.told) != 1 || !strings.Contains(b.told[0], "behind offset 10") {
			t.Errorf("told: %q", b.told)
		}
	})
}

func TestKafka_ATransactionThatStaysOpenIsNamed(t *testing.T) {
	inBubble(t, func(t *testing.T, b *brokers) {
		b.produce(b.client, "out", 10)
		b.foreign("out")
		b.produce(b.client, "out", 20)
		n, took, err := b.read(b.mustOpen(), "out")
		wantStuck(t, err, took, "out/0@10", "since offset 10", `transactional id "foreign"`,
			"Hanging transactions", "read up to 31")
		if n != 10 {
			t.Errorf("%d records", n)
		}
	})
}

// tail answers fetches from an offset on as a log does whose last batches are gone.
func (b *brokers) tail(from, stable, end int64) (asked *atomic.Int64) {
	asked = new(atomic.Int64)
	b.cluster.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		req := r.(*kmsg.FetchRequest)
		if len(req.Topics) != 1 || len(req.Topics[0].Partitions) != 1 ||
			req.Topics[0].Partitions[0].FetchOffset < from {
			return nil, nil, false
		}
		asked.Add(1)
		if req.MaxWaitMillis > 0 && req.MinBytes > 0 { // the consumer is told nothing at all
			return nil, io.ErrClosedPipe, true
		}
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		t := kmsg.NewFetchResponseTopic()
		t.Topic, t.TopicID = req.Topics[0].Topic, req.Topics[0].TopicID
		p := kmsg.NewFetchResponseTopicPartition()
		p.HighWatermark, p.LastStableOffset, p.LogStartOffset = end, stable, 0
		t.Partitions = append(t.Partitions, p)
		resp.Topics = append(resp.Topics, t)
		return resp, nil, true
	})
	return asked
}

func TestKafka_AnEndThatWasCompactedAwayIsProved(t *testing.T) {
	inBubble(t, func(t *testing.T, b *brokers) {
		b.produce(b.client, "visits", 10)
		k := b.mustOpen()
		asked := b.tail(0, 10, 10)
		n, took, err := b.read(k, "visits")
		if err != nil || n != 0 || took > 15*time.Second {
			t.Errorf("%d records after %v, %v", n, took, err)
		}
		if asked.Load() == 0 || len(b.told) > 0 {
			t.Errorf("asked %d times, told %q", asked.Load(), b.told)
		}
	})
}

// Nothing is there, says a broker that does not know of the end yet: that proves nothing.
func TestKafka_ALeaderThatHasNotCaughtUpProvesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, b *brokers) {
		b.produce(b.client, "out", 10)
		k := b.mustOpen()
		b.tail(0, 7, 7)
		n, took, err := b.read(k, "out")
		wantStuck(t, err, took, "out/0@0", "ends at 7")
		if n != 0 {
			t.Errorf("%d records", n)
		}
	})
}

// The offsets of a pipeline at work are pending most of the time.
func TestKafka_OffsetsAreAskedForUntilTheyAreStable(t *testing.T) {
	for _, code := range []*kerr.Error{
		kerr.UnstableOffsetCommit, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator,
	} {
		t.Run(code.Message, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *brokers) {
				b.produce(b.client, "events", 9)
				b.commit(7)
				faults := b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: code, Count: 20})
				k := b.mustOpen()
				if got := k.Frontier("events", 0); got != 7 || faults.Hits() != 20 {
					t.Errorf("frontier %d after %d faults", got, faults.Hits())
				}
				b.commit(9)
				faults = b.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: code, Count: 20})
				got, err := k.Committed(t.Context(), "events", 0)
				if err != nil || got != 9 || faults.Hits() != 20 {
					t.Errorf("committed %d, %v after %d faults", got, err, faults.Hits())
				}
			})
		})
	}
}

func TestKafka_OffsetsThatNeverGetStableMeanNoVerdict(t *testing.T) {
	inBubble(t, func(t *testing.T, b *brokers) {
		b.commit(0)
		b.cluster.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.UnstableOffsetCommit, Count: -1,
		})
		begun := time.Now()
		_, err := b.open()
		wantStuck(t, err, time.Since(begun), "group sessionizer", "UNSTABLE_OFFSET_COMMIT")
		if len(b.told) != 1 {
			t.Errorf("told: %q", b.told)
		}
	})
}

// What the cleaner took cannot be told from what was lost.
func TestKafka_CompactedTopicsAreRefusedByName(t *testing.T) {
	for _, policy := range []string{"compact", "compact,delete"} {
		for _, topic := range []string{"events", "out", "dead", "visits"} {
			t.Run(topic+" "+policy, func(t *testing.T) {
				inBubble(t, func(t *testing.T, b *brokers) {
					_, err := kadm.NewClient(b.client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{
						{Name: "cleanup.policy", Value: &policy},
					}, topic)
					if err != nil {
						t.Fatal(err)
					}
					k, err := b.open()
					if topic == "visits" {
						if err != nil || !k.Compacted("visits") {
							t.Errorf("the visits may be compacted: %v", err)
						}
						return
					}
					if err == nil || !strings.Contains(err.Error(), "topic "+topic+" has cleanup.policy="+policy) {
						t.Errorf("the error is %v", err)
					}
				})
			})
		}
	}
}
