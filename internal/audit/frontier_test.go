package audit_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"sessionizer/internal/audit"
)

// Topics that move, and topics that have lost something, are no violations: what is behind the
// frontier may be there or not, and what is gone proves nothing. Both are said.

// verifyMoving audits as on topics that go on moving.
func (w *world) verifyMoving(t *testing.T) audit.Report {
	t.Helper()
	c := w.audit
	c.SpillDir, c.SpillBytes = t.TempDir(), 10_000 // the files are used too
	r, err := audit.Run(t.Context(), c, w)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(c.SpillDir); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
	return r
}

func TestFrontier_AnywhereIsClean(t *testing.T) {
	for i, yaml := range configs() {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, yaml, 7)
			w.draw(t, 600)
			w.run(t)
			ends := map[topicPartition]int64{}
			for at, end := range w.committed {
				ends[at] = end
			}
			for range 6 {
				frontier := int64(0)
				for at, end := range ends {
					w.committed[at] = w.random.Int64N(end + 1)
					frontier += w.committed[at]
				}
				w.later = ends
				if r := w.verifyMoving(t); !r.Clean() || r.EventsIn != frontier || r.Unproved > 0 {
					t.Errorf("frontiers %v: %d events, %v", w.committed, r.EventsIn, r.Findings)
				}
			}
		})
	}
}

// cut takes the beginning of a partition away, as retention does.
func (w *world) cut(at topicPartition, share int) {
	list := w.records[at]
	n := len(list) * share / 100
	if n == 0 {
		return
	}
	w.starts[at] = list[n].Offset
	w.records[at] = list[n:]
}

func TestRetention_ProvesNothingAndSaysSo(t *testing.T) {
	for i, yaml := range configs() {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			for seed, shares := range [][3]int{
				{20, 0, 0}, {0, 20, 0}, {0, 0, 20}, {30, 20, 10}, {10, 30, 30},
			} {
				w := newWorld(t, yaml, uint64(seed))
				w.draw(t, 600)
				w.run(t)
				topics := append(slices.Clone(w.config.Input.Topics), w.config.Output.Topic,
					w.config.Visits.Topic)
				for k, topic := range topics {
					for p := range int32(partitions) {
						w.cut(topicPartition{topic, p}, shares[max(k-len(topics)+3, 0)])
					}
				}
				r := w.verifyMoving(t)
				if !r.Clean() {
					t.Errorf("%v: %v", shares, r.Findings)
				}
				if !strings.Contains(strings.Join(r.NotProvable, "\n"), "begins at") {
					t.Errorf("%v: it says %q", shares, r.NotProvable)
				}
			}
		})
	}
}

func TestCompaction_OfTheVisitsLeavesTheLastRevisions(t *testing.T) {
	for seed := range uint64(3) {
		w := newWorld(t, rich, seed)
		w.draw(t, 600)
		w.run(t)
		for p := range int32(partitions) {
			at := topicPartition{w.config.Visits.Topic, p}
			last := map[string]int64{}
			for _, r := range w.records[at] {
				last[string(r.Key)] = r.Offset
			}
			w.records[at] = slices.DeleteFunc(slices.Clone(w.records[at]), func(r audit.Record) bool {
				return last[string(r.Key)] != r.Offset
			})
		}
		if r := w.verify(t); r.Clean() {
			t.Errorf("seed %d: nobody said that the topic is compacted, and nothing is missed", seed)
		}
		w.compacted = w.config.Visits.Topic
		if r := w.verify(t); !r.Clean() || len(r.NotProvable) == 0 {
			t.Errorf("seed %d: %v, %v", seed, r.Findings, r.NotProvable)
		}
	}
}

// Without committed offsets nobody knows what had to come out; what did is judged.
func TestFrontier_AGroupWithoutOffsetsIsJudgedByWhatCameOut(t *testing.T) {
	w := newWorld(t, rich, 1)
	w.draw(t, 300)
	w.run(t)
	at := topicPartition{w.config.Input.Topics[0], 0}
	extra := w.records[at][0]
	w.append(at.topic, at.partition, extra)
	clear(w.committed)
	r := w.verifyMoving(t)
	if !r.Clean() || !strings.Contains(strings.Join(r.NotProvable, "\n"), "no committed offset") {
		t.Errorf("%v, %v", r.Findings, r.NotProvable)
	}
	w.records[topicPartition{w.config.Output.Topic, 0}][20].TimestampMs++
	if r := w.verifyMoving(t); r.Checks[audit.CheckTimestamp] == 0 {
		t.Errorf("the changed record was not found: %v", r.Findings)
	}
}
