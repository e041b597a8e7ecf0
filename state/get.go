package state

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Limits of evictions in one call, so that none takes long.
const (
	evictStepMax   = 16
	evictCommitMax = 1 << 10
)

// Get returns the rows of a key as the open transaction sees them: its session row and its
// history, each nil if the key has none.
func (p *Partition) Get(key []byte) (row, history []byte, err error) {
	p.mustBeReady()
	id := p.locate(key)
	if id == 0 {
		return nil, nil, fmt.Errorf("get a row of %s: %w", p.name, p.err)
	}
	s := p.cache.at(id)
	if s.historyLen == unloaded && !p.loadHistory(s) {
		return nil, nil, fmt.Errorf("get a row of %s: %w", p.name, p.err)
	}
	row, history = p.cache.rowOf(s), p.cache.historyOf(s)
	if s.change != 0 {
		c := &p.overlay.changes[s.change-1]
		if c.hasRow {
			row = p.overlay.rowOf(c)
		}
		if c.hasHistory {
			history = p.overlay.historyOf(c)
		}
	}
	return row, history, nil
}

// locate finds the slot of a key, from Pebble if need be; 0: that did not work, p.err says why.
func (p *Partition) locate(key []byte) slotID {
	if p.err != nil {
		return 0
	}
	hash := keyHash(key)
	if id := p.cache.find(hash, key); id != 0 {
		p.cache.used(id, p.cache.at(id))
		return id
	}
	return p.fetch(hash, key)
}

// fetch brings a key that is not in memory from Pebble. It has no timer: those that have one
// are in memory. All its commits are in Pebble: it could not have been evicted before.
func (p *Partition) fetch(hash uint64, key []byte) slotID {
	if len(key) == 0 || len(key) > keyBytesMax {
		panic(fmt.Sprintf("state: a key of %s has %d bytes", p.name, len(key)))
	}
	p.evict(evictStepMax)
	id := p.cache.insert(hash, key)
	s := p.cache.at(id)
	p.cache.list(id)
	if !p.seek(s, kindRow) {
		p.cache.remove(id)
		return 0
	}
	return id
}

// loadHistory brings the history of a key whose session row alone is in memory.
func (p *Partition) loadHistory(s *slot) bool { return p.seek(s, kindHistory) }

// seek copies the rows of a key, from the given kind on, from Pebble to the cache.
func (p *Partition) seek(s *slot, from byte) bool {
	i, err := p.freshReader()
	if err == nil {
		p.scratch = appendStoreKey(p.scratch[:0], p.prefix, p.cache.keyOf(s), from)
		for ok := i.SeekPrefixGE(p.scratch); ok && err == nil; ok = i.Next() {
			var value []byte
			if value, err = i.ValueAndErr(); err != nil {
				break
			}
			found := i.Key()
			if found[len(found)-1] == kindRow {
				p.cache.setRow(s, value)
			} else {
				p.cache.setHistory(s, value)
			}
		}
		err = errors.Join(err, i.Error())
	}
	if err != nil {
		p.err = p.store.fail(err)
		return false
	}
	return true
}

// freshReader is an iterator that sees every key that is not in memory as it is now.
func (p *Partition) freshReader() (*pebble.Iterator, error) {
	if p.reader != nil && p.evicted <= p.readerSees {
		return p.reader, nil
	}
	p.closeReader()
	p.readerSees = p.applied.Load()
	r, err := p.newReader()
	p.reader = r
	return r, err
}

func (p *Partition) newReader() (*pebble.Iterator, error) {
	start, end := prefixBounds(p.prefix)
	return p.store.db.NewIter(&pebble.IterOptions{
		LowerBound: start, UpperBound: end,
		UseL6Filters: true, // ids never seen before are the usual case of a look-up
	})
}

// closeReader drops what the iterator says at last: each of its errors was returned before.
func (p *Partition) closeReader() {
	if p.reader != nil {
		_ = p.reader.Close()
		p.reader = nil
	}
}

// evict makes room: the keys that were used longest ago go first. Never one with a timer, in
// the overlay, or with a commit that is not in Pebble yet.
func (p *Partition) evict(limit int) {
	quota := p.store.rowBudget / max(1, p.store.opened.Load())
	for ; limit > 0 && p.cache.oldest != 0 && p.cache.usedBytes() > quota; limit-- {
		id := p.cache.oldest
		s := p.cache.at(id)
		if s.commit > p.applied.Load() {
			return
		}
		p.evicted = max(p.evicted, s.commit)
		p.cache.remove(id)
	}
}
