package processor

import (
	"cmp"
	"errors"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// The hashes are Java's.
func TestGroupPartition(t *testing.T) {
	for group, want := range map[string]int32{
		"sessions": 9, "visits-eu": 23, "größe-ü": 12, "😀 group": 6, "g": 3,
		"polygenelubricants": 0, // its hash has no absolute value
	} {
		if got := groupPartition(group, 50); got != want {
			t.Errorf("%q is kept in partition %d, want %d", group, got, want)
		}
	}
}

// Without epochs of their own transactions are told apart by their place in the changelog.
func TestJudge_WithoutEpochs(t *testing.T) {
	h := &host{abilities: &abilities{describe: true}}
	changelog, output := tp{"changelog", 1}, tp{"out", 1}
	last := &committer{at: changelog, end: 100, producer: 7, epoch: 3}
	for _, c := range []struct {
		name    string
		txn     openTxn
		last    *committer
		certain bool
	}{
		{"nothing was ever committed", openTxn{at: output, producer: 7, epoch: 3}, nil, true},
		{"of another producer", openTxn{at: output, producer: 8, epoch: 3}, last, true},
		{"of a later life", openTxn{at: output, producer: 7, epoch: 4}, last, true},
		{"of this life", openTxn{at: output, producer: 7, epoch: 3}, last, false},
		{"of an earlier life", openTxn{at: output, producer: 7, epoch: 2}, last, false},
		{"behind the commit", openTxn{at: changelog, producer: 7, epoch: 3, start: 100}, last, true},
		{"before its end", openTxn{at: changelog, producer: 7, epoch: 3, start: 99}, last, false},
	} {
		commit, certain, err := h.judge(t.Context(), c.txn, c.last)
		if commit || certain != c.certain || err != nil {
			t.Errorf("%s: commit %t, certain %t, %v; want an abort, certain %t",
				c.name, commit, certain, err, c.certain)
		}
	}
}

// What nobody tells is not taken for settled, and what is denied is neither.
func TestLook_MissesWhatIsNotTold(t *testing.T) {
	topics := kadm.TopicsSet{}
	topics.Add("out", 0, 1, 2)
	topics.Add("dead", 0)
	answer := kadm.DescribedProducersTopics{
		"out": {Topic: "out", Partitions: kadm.DescribedProducersPartitions{
			0: {Topic: "out", ActiveProducers: kadm.DescribedProducers{
				7: {Topic: "out", ProducerID: 7, ProducerEpoch: 3, CurrentTxnStartOffset: 40},
				8: {Topic: "out", ProducerID: 8, ProducerEpoch: 1, CurrentTxnStartOffset: -1},
			}},
			1: {Topic: "out", Partition: 1, Err: kerr.LeaderNotAvailable},
		}},
		"dead": {Topic: "dead", Partitions: kadm.DescribedProducersPartitions{
			0: {Topic: "dead", Err: kerr.TopicAuthorizationFailed},
		}},
	}
	l := look{denied: map[string]error{}}
	if err := l.take(topics, answer, &kadm.ShardErrors{}); err != nil {
		t.Fatal(err)
	}
	if len(l.open) != 1 || l.open[0].producer != 7 || l.open[0].start != 40 {
		t.Errorf("open: %v", l.open)
	}
	slices.SortFunc(l.untold, func(a, b tp) int { return cmp.Compare(a.id, b.id) })
	if want := []tp{{"out", 1}, {"out", 2}}; !slices.Equal(l.untold, want) || l.why == nil {
		t.Errorf("not told: %v (%v), want %v", l.untold, l.why, want)
	}
	if !errors.Is(l.denied["dead"], kerr.TopicAuthorizationFailed) {
		t.Errorf("denied: %v", l.denied)
	}
	if err := l.take(topics, nil, kerr.BrokerNotAvailable); err == nil {
		t.Error("no answer at all is taken for one")
	}
}
