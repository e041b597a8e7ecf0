package processor

import "github.com/twmb/franz-go/pkg/kgo"

// newPartitioner returns a partitioner that keeps the partition number a record names. The
// dead-letter topic may have fewer partitions than the input: a record beyond them goes by key.
func newPartitioner(deadLetters string) kgo.Partitioner {
	return partitioner{deadLetters, kgo.StickyKeyPartitioner(nil), kgo.ManualPartitioner()}
}

type partitioner struct {
	deadLetters   string
	byKey, manual kgo.Partitioner
}

func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	if topic != p.deadLetters {
		return p.manual.ForTopic(topic)
	}
	return deadLetterPartitioner{p.byKey.ForTopic(topic)}
}

type deadLetterPartitioner struct{ byKey kgo.TopicPartitioner }

func (deadLetterPartitioner) RequiresConsistency(*kgo.Record) bool { return true }

func (p deadLetterPartitioner) Partition(r *kgo.Record, n int) int {
	if int(r.Partition) < n {
		return int(r.Partition)
	}
	return p.byKey.Partition(r, n)
}
