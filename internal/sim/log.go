package sim

import (
	"slices"
	"sort"
)

// entry is one record of a log, or the marker that ends a transaction in it.
type entry struct {
	offset  int64
	txn     *txn // nil: of no transaction
	marker  bool
	key     []byte
	value   []byte // nil: a tombstone
	headers []byte // all of them, in one text
	time    int64  // the record's own timestamp, ms
	at      int64  // the broker's clock when it was written, ms
}

// plog is the log of one partition of a topic.
type plog struct {
	topic   string
	id      int32
	entries []entry // by offset; compaction leaves gaps
	start   int64   // records below it were deleted
	next    int64   // the offset of the next record
	open    []openTxn
}

// openTxn is a transaction that has records in a log and has not ended.
type openTxn struct {
	txn   *txn
	first int64
}

// txn is one transaction of a producer.
type txn struct {
	name      string // transactional id
	epoch     int
	state     txnState
	logs      []*plog // that it has records in
	offsets   []commitTo
	ticks     []tickAt // what the wall clock and the watermarks did in it, for the reference
	beganAt   int64
	announced bool // the offsets were sent
}

type txnState uint8

const (
	txnOpen txnState = iota
	txnCommitted
	txnAborted
)

// commitTo is an offset that a transaction commits for an input partition.
type commitTo struct {
	partition int32
	offset    int64
	metadata  string
}

// append adds a record and returns its offset.
func (l *plog) append(e entry) int64 {
	e.offset = l.next
	l.next++
	if t := e.txn; t != nil && !slices.Contains(t.logs, l) {
		t.logs = append(t.logs, l)
		l.open = append(l.open, openTxn{t, e.offset})
	}
	l.entries = append(l.entries, e)
	return e.offset
}

// end writes the marker of a transaction.
func (l *plog) end(t *txn, now int64) {
	l.open = slices.DeleteFunc(l.open, func(o openTxn) bool { return o.txn == t })
	l.entries = append(l.entries, entry{offset: l.next, txn: t, marker: true, at: now})
	l.next++
}

// stable is the end of what readers of committed records see.
func (l *plog) stable() int64 {
	end := l.next
	for _, o := range l.open {
		end = min(end, o.first)
	}
	return end
}

// isVisible reports whether a reader of committed records gets an entry that is below the stable
// end. A marker is one: it says how far the log was read.
func (e *entry) isVisible() bool { return e.marker || e.txn == nil || e.txn.state == txnCommitted }

// from is the place of the first entry at an offset or behind it.
func (l *plog) from(offset int64) int {
	return sort.Search(len(l.entries), func(i int) bool { return l.entries[i].offset >= offset })
}

// committed yields what a reader of committed records gets, below an offset.
func (l *plog) committed(from, below int64, yield func(e *entry) bool) {
	below = min(below, l.stable())
	for i := l.from(from); i < len(l.entries) && l.entries[i].offset < below; i++ {
		if e := &l.entries[i]; e.isVisible() && !yield(e) {
			return
		}
	}
}

// compact drops what a broker may drop below an offset: records of aborted transactions, those that
// a later one of the same key has replaced, and tombstones that are older than keep.
func (l *plog) compact(below, now, keep int64) (dropped int) {
	below = min(below, l.stable())
	last := map[string]int64{}
	for i := range l.entries {
		e := &l.entries[i]
		if e.offset < l.stable() && !e.marker && e.isVisible() {
			last[string(e.key)] = e.offset
		}
	}
	kept := l.entries[:0]
	for _, e := range l.entries {
		isGone := e.offset < below && (e.marker || !e.isVisible() ||
			last[string(e.key)] != e.offset || e.value == nil && now-e.at > keep)
		if isGone {
			dropped++
			continue
		}
		kept = append(kept, e)
	}
	clear(l.entries[len(kept):])
	l.entries = kept
	return dropped
}
