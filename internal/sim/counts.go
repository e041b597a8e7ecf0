package sim

import (
	"fmt"
	"strings"
)

// counter is something that a run must not pass by.
type counter uint8

// The counters. The first ones are the lines of the crash matrix of ARCHITECTURE, each counted when
// what the matrix says comes then has come.
const (
	cntNone          counter = iota
	cntOpen                  // crash while processing: its transaction was aborted
	cntOffsetsSent           // offsets sent, the end not: aborted by the new owner
	cntLostAborted           // answer lost, aborted: nothing was to be restored
	cntLostDone              // answer lost, committed: the tail was restored
	cntUnconfirmed           // committed, the state did not know: the tail was restored
	cntPowerLoss             // an older consistent prefix: the tail was restored
	cntTornFlush             // the power went in mid-flush, and the state was restored
	cntUnopenable            // damaged: all was restored
	cntZombie                // SIGSTOP past the session timeout: its commit was fenced
	cntZombieTimer           // likewise, one that ended visits only
	cntDiskGone              // all was restored
	cntRolledBack            // an old copy of the disk was put back
	cntSaidAborted           // reported as aborted, and committed
	cntCommits               //
	cntAborts                //
	cntResets                //
	cntRebalances            //
	cntCrashes               //
	cntTail                  // restores of the tail
	cntFull                  // of all
	cntNotRestored           // partitions whose state was there
	cntCutRestores           // restores that broke off half-way
	cntTakeOvers             // transactions of former owners that were ended
	cntTimeouts              // transactions that the broker timed out
	cntFencedByEpoch         //
	cntFencedByGroup         //
	cntPoison                // records that the broker refused
	cntWiped                 // stores that could not be opened
	cntJumps                 // of the wall clock
	cntCompacted             // changelog records that were compacted away
	cntInputAborted          // transactions of the input that were aborted
	cntSteps                 // records that tasks were given
	cntSkipped               // of these, below the position
	cntIdleTicks             // of the wall clock
	cntForgotten             // keys that sweeps deleted
	cntEvents                // below: of the reference
	cntLate                  //
	cntTooLate               //
	cntMerges                //
	cntEvictions             //
	cntRevisions             // second and later ones
	cntSplits                //
	cntResumed               //
	cntDuplicates            //
	cntDead                  // dead letters
	cntVisits                //
	cntCount
)

var countNames = [cntCount]string{
	"", "crash_open_transaction", "crash_offsets_sent", "answer_lost_aborted",
	"answer_lost_committed", "crash_unconfirmed", "power_loss", "power_loss_in_flush", "unopenable",
	"zombie", "zombie_timers_only", "disk_gone", "disk_rolled_back", "said_aborted_is_committed",
	"commits", "aborts", "resets", "rebalances", "crashes", "restores_tail", "restores_full",
	"restores_none", "restores_cut_short", "take_overs", "timeouts", "fenced_by_epoch",
	"fenced_by_generation", "records_refused", "stores_wiped", "clock_jumps",
	"compacted", "input_aborted", "records", "skipped", "idle_ticks", "forgotten",
	"events", "late", "too_late", "merges", "evictions", "revisions", "splits", "resumed",
	"duplicates", "dead_letters", "visits",
}

// counts says how often each thing happened.
type counts [cntCount]int64

func (w *world) count(c counter) { w.counts[c]++ }

// add adds those of another run.
func (c *counts) add(other *counts) {
	for i := range c {
		c[i] += other[i]
	}
}

// missing names what did not happen once.
func (c *counts) missing() []string {
	var names []string
	for i := cntOpen; i < cntCount; i++ {
		if c[i] == 0 {
			names = append(names, countNames[i])
		}
	}
	return names
}

func (c *counts) String() string {
	var b strings.Builder
	for i := cntOpen; i < cntCount; i++ {
		fmt.Fprintf(&b, "%-26s %12d\n", countNames[i], c[i])
	}
	return b.String()
}

// expectation is what a fault lets expect of the member's next recoveries.
type expectation struct {
	needs counter // how a partition comes back; cntNone: in any way
	then  counter // what is counted when it does
}
