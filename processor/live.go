package processor

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"sync"

	"sessionizer/session"
)

// Bounds of the states that live at a time.
const (
	liveMax      = 1024
	liveBytesMax = 16 << 20 // beyond it all are written
	liveKeptMax  = 32 << 10 // of one that is used again
)

// alives are states to be used again, by whichever task works next: they are grown, and in a cache.
var alives = sync.Pool{New: func() any { return new(alive) }}

// live holds the states of the keys whose events come one after the other: a key that comes again
// soon is neither read nor written in between. Nothing but Step knows of them: whatever else looks
// at the partition has them written first, by writeLive.
type live struct {
	seed  maphash.Seed
	table []uint16 // by hash: 1 + the position in used; 0: empty. Never more than half full
	used  []*alive // as they came
	bytes int      // of the states in use
	void  error    // a state that was changed in part only: nothing of the transaction is to be used
}

// alive is the state of one key.
type alive struct {
	state session.State
	key   []byte
	hash  uint64
	at    int // in the table
	bytes int
}

// find returns the state of a key; nil, and where it belongs: it has none.
func (l *live) find(hash uint64, key []byte) (x *alive, at int) {
	at = int(hash) & (len(l.table) - 1)
	for l.table[at] != 0 {
		x = l.used[l.table[at]-1]
		if x.hash == hash && bytes.Equal(x.key, key) {
			return x, at
		}
		at = (at + 1) & (len(l.table) - 1)
	}
	return nil, at
}

// add takes a state in.
func (l *live) add(x *alive, hash uint64, key []byte, at int) {
	x.hash, x.key, x.at, x.bytes = hash, append(x.key[:0], key...), at, 0
	l.used = append(l.used, x)
	l.table[at] = uint16(len(l.used))
	l.measure(x)
}

// measure notes how much memory a state takes now.
func (l *live) measure(x *alive) {
	n := x.state.Bytes()
	l.bytes += n - x.bytes
	x.bytes = n
}

// clear forgets the states. Their memory is used again, unless a state takes much of it.
func (l *live) clear() {
	for i, x := range l.used {
		l.table[x.at], l.used[i] = 0, nil
		if x.bytes <= liveKeptMax {
			alives.Put(x)
		}
	}
	l.used, l.bytes, l.void = l.used[:0], 0, nil
}

// enliven returns the state of a key, from its rows if it does not live.
func (t *Task) enliven(key []byte) (*alive, error) {
	l := &t.live
	if l.void != nil {
		return nil, l.void
	}
	if l.table == nil {
		l.seed, l.table = maphash.MakeSeed(), make([]uint16, 2*liveMax)
	}
	if l.bytes > liveBytesMax {
		if err := t.writeLive(); err != nil {
			return nil, err
		}
	}
	hash := maphash.Bytes(l.seed, key)
	x, at := l.find(hash, key)
	if x != nil {
		return x, nil
	}
	if len(l.used) == liveMax {
		if err := t.writeLive(); err != nil {
			return nil, err
		}
		at = int(hash) & (len(l.table) - 1)
	}
	x = alives.Get().(*alive)
	if err := t.load(key, &x.state); err != nil {
		return nil, err
	}
	l.add(x, hash, key, at)
	return x, nil
}

// writeLive puts the rows of what has changed, in the order in which the keys came.
func (t *Task) writeLive() error {
	l := &t.live
	if l.void != nil {
		return l.void
	}
	for _, x := range l.used {
		if x.state.RowChanged || x.state.HistoryChanged {
			t.store(x.key, &x.state)
		}
	}
	l.clear()
	return nil
}

// load reads the rows of a key.
func (t *Task) load(key []byte, s *session.State) error {
	row, history, err := t.part.Get(key)
	if err == nil {
		err = s.Decode(row, history)
	}
	if err != nil {
		return t.unreadable(err)
	}
	return nil
}

func (t *Task) unreadable(err error) error {
	return fmt.Errorf("state of %s/%d: %w", t.topic, t.partition, err)
}
