package processor

import (
	"runtime/debug"
	"time"
)

const (
	restAfter = 10 * time.Second // without a batch that was decompressed or read aside
	// restBytes is how much garbage is worth a collection of its own. The runtime, which sees
	// nothing allocated any more, collects after two minutes, and gives pages back later still.
	restBytes = 64 << 20
)

// rest is what a lane remembers to give memory back when it has nothing to do.
type rest struct {
	seen  int64     // bytes that had come so far
	since time.Time // that many
	given int64     // of them whose memory was given back
}

// giveBack lets go of the memory of batches when none has come for a while.
func (l *lane) giveBack(now time.Time) {
	came := l.inflater.served.Load() + l.asided
	r := &l.rest
	switch {
	case came != r.seen || len(l.held) > 0:
		r.seen, r.since = came, now
	case came == r.given || now.Sub(r.since) < restAfter:
	default:
		l.inflater.drop()
		if came-r.given >= restBytes {
			l.host.workers.Go(debug.FreeOSMemory)
		}
		r.given = came
	}
}
