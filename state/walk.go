package state

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"sessionizer/session"
)

// Walk yields keys as Pebble holds them: those behind the cursor that the last Walk returned, from
// the first one if it is empty, until so many rows or bytes of rows were read. It returns the
// cursor to go on from, empty behind the last key. row and history are nil where the key has none;
// all three are valid during the yield only, which calls no method of the partition.
//
// Pebble may be behind what is confirmed, and knows nothing of the open transaction: Get says what
// a key has come to. A key that is not in Pebble yet is met by a later walk.
func (p *Partition) Walk(
	cursor string, rowsMax, bytesMax int, yield func(key, row, history []byte) error,
) (next string, err error) {
	p.mustBeReady()
	w := walk{p: p, rowsLeft: rowsMax, bytesLeft: bytesMax}
	i, err := p.newReader()
	if err == nil {
		next, err = w.run(i, cursor, yield)
		err = errors.Join(err, i.Close())
	}
	if err != nil {
		return "", fmt.Errorf("walk through the rows of %s: %w", p.name, err)
	}
	return next, nil
}

// WriteOut brings all that is confirmed to Pebble, where commits otherwise gather first.
func (p *Partition) WriteOut() error {
	if err := p.store.awaitApplied(p); err != nil {
		return fmt.Errorf("write out %s: %w", p.name, err)
	}
	return nil
}

// FlushSoon asks for what Pebble holds in memory to be written to disk, and does not wait for it.
// Deleted keys are a burden to a Walk, which has to step over them, until that has been done and
// they were compacted away: half a million of them are half a second.
func (p *Partition) FlushSoon() error {
	if _, err := p.store.db.AsyncFlush(); err != nil {
		return fmt.Errorf("flush state of %s: %w", p.name, p.store.fail(err))
	}
	return nil
}

// Written is the event watermark of the last commit that is in Pebble, or of an earlier one: what a
// Walk that begins now does not meet was put later.
func (p *Partition) Written() session.Time { return session.Time(p.written.Load()) }

type walk struct {
	p                   *Partition
	rowsLeft, bytesLeft int
	key, row, history   []byte // of the key in hand; its bytes are copies
	rowRoom, oldRoom    []byte
}

func (w *walk) run(
	i *pebble.Iterator, cursor string, yield func(key, row, history []byte) error,
) (string, error) {
	const lastKind = 0xff // behind every row of a key
	start := []byte(cursor)
	if cursor == "" {
		start = appendStoreKey(nil, w.p.prefix, nil, lastKind) // behind the position
	}
	some := false
	ok := i.SeekGE(start)
	for ; ok; ok = i.Next() {
		key, kind, err := splitStoreKey(i.Key(), len(w.p.prefix))
		if err != nil {
			return "", w.p.store.fail(fmt.Errorf("%w: the key %x: %w", ErrDamaged, i.Key(), err))
		}
		value, err := i.ValueAndErr()
		if err != nil {
			return "", w.p.store.fail(err)
		}
		if some && string(key) != string(w.key) {
			if err := yield(w.key, w.row, w.history); err != nil {
				return "", err
			}
			if some = false; w.rowsLeft <= 0 || w.bytesLeft <= 0 {
				break
			}
		}
		if !some {
			some, w.row, w.history = true, nil, nil
			w.key = append(w.key[:0], key...)
		}
		w.keep(kind, value)
	}
	if err := i.Error(); err != nil {
		return "", w.p.store.fail(err)
	}
	if some {
		return "", yield(w.key, w.row, w.history)
	}
	if !ok {
		return "", nil
	}
	return string(appendStoreKey(nil, w.p.prefix, w.key, lastKind)), nil
}

// keep copies a row: the iterator may move on to the key's other one before they are yielded.
func (w *walk) keep(kind byte, value []byte) {
	w.rowsLeft--
	w.bytesLeft -= len(w.key) + len(value)
	if kind == kindRow {
		w.rowRoom = append(w.rowRoom[:0], value...)
		w.row = w.rowRoom
		return
	}
	w.oldRoom = append(w.oldRoom[:0], value...)
	w.history = w.oldRoom
}
