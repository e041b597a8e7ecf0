package state

import "errors"

// errAbandoned is what a store that was abandoned answers from then on.
var errAbandoned = errors.New("the store was abandoned")

// Abandon lets the store go as a crash of the process would: what is not in Pebble yet stays
// unwritten, and nothing is flushed. What it had is closed and its lock is free, so that the
// directory can be opened again in the same process. Nothing else may use the store or its
// partitions meanwhile or later.
func (s *Store) Abandon() {
	s.mu.Lock()
	if s.failed == nil {
		s.failed = errAbandoned
		close(s.faulted)
		s.cond.Broadcast()
	}
	s.mu.Unlock()
	_ = s.Close() // it says no more than that the store was abandoned
}
