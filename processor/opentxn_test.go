package processor

import "testing"

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
