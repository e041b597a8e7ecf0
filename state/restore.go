package state

import (
	"context"
	"errors"
	"fmt"

	"sessionizer/session"
)

// tailBytesMax bounds the memory of a tail restore: above it, rows go to Pebble before their
// position is known, and the old position is taken away with them.
const tailBytesMax = 64 << 20

// Restore brings a partition up to a position by the records of its changelog: a tail restore
// goes on from the confirmed rows, a full one begins with none. Use it as the Partition, which
// is not to be used itself until Finish or Abort.
type Restore struct {
	p       *Partition
	sorter  *sorter // of a full restore
	spilled bool    // rows of a tail restore are in Pebble already
}

// Restore begins a restore, and aborts the open transaction. It goes on from Position if there
// is one; the records to Apply are then those from its ChangelogEnd on. Otherwise it is a full
// one, from the first record; it is the way after Drop, and three times as fast as Put would be.
func (p *Partition) Restore() (*Restore, error) {
	p.mustBeReady()
	p.Abort()
	r := &Restore{p: p}
	if !p.confirmed {
		s, err := newSorter(p.store, p.prefix)
		if err != nil {
			return nil, fmt.Errorf("restore %s: %w", p.name, p.store.fail(err))
		}
		r.sorter = s
		p.reset() // the cache may know of keys that they are absent
	}
	p.restore = r
	return r, nil
}

// Full tells whether it has to be given the changelog from its first record on.
func (r *Restore) Full() bool { return r.sorter != nil }

// Apply takes the next changelog record: key and value as Changes gave them, a nil value is a
// tombstone. META records are passed over. Both slices are copied. After an error only Abort
// is left.
func (r *Restore) Apply(changelogKey, value []byte) error {
	r.mustBeOpen()
	if IsMeta(changelogKey) {
		return nil
	}
	if err := r.apply(changelogKey, value); err != nil {
		return fmt.Errorf("restore %s: %w", r.p.name, err)
	}
	return nil
}

func (r *Restore) apply(changelogKey, value []byte) error {
	key, history, err := SplitChangelogKey(changelogKey)
	if err != nil {
		return err
	}
	if len(key) > keyBytesMax {
		return fmt.Errorf("a key has %d bytes", len(key))
	}
	p := r.p
	if r.sorter != nil {
		p.scratch = appendStoreKey(p.scratch[:0], p.prefix, key, changelogKey[0])
		return r.sorter.add(p.scratch, value)
	}
	due := session.NoTime
	if !history && len(value) > 0 {
		if due, err = p.store.due(value); err != nil {
			return fmt.Errorf("due time of a row of %d bytes: %w", len(value), err)
		}
	}
	id := p.locate(key)
	if id == 0 {
		return p.err
	}
	if history {
		p.putHistory(id, value)
	} else {
		p.put(id, value, due)
	}
	if p.err != nil {
		return p.err
	}
	if p.overlay.bytes > p.store.limits.tailBytes {
		r.spilled = true
		return p.confirm(nil)
	}
	return nil
}

// Finish makes the rows and pos the confirmed state and arms the timers. The digest of the rows
// has to be that of pos, else errors.Is(err, ErrDamaged) and the partition is as before the
// restore, or without a position if some rows could not be kept in memory: Drop it and restore
// all. After an error the Restore is at its end too.
func (r *Restore) Finish(pos Position) error {
	r.mustBeOpen()
	err := r.finish(pos)
	if err == nil {
		r.p.restore = nil
		return nil
	}
	return fmt.Errorf("restore %s to seq %d: %w", r.p.name, pos.Seq, errors.Join(err, r.Abort()))
}

func (r *Restore) finish(pos Position) error {
	p := r.p
	if r.sorter != nil {
		return r.finishFull(pos)
	}
	if pos.Seq < p.position.Seq {
		return fmt.Errorf("%w: the changelog ends before seq %d, which is confirmed here",
			ErrDamaged, p.position.Seq)
	}
	if d := p.Digest(); d != pos.Digest {
		return fmt.Errorf("%w: the changelog leads to %s, its META says %s",
			ErrDamaged, d, pos.Digest)
	}
	return p.confirm(&pos)
}

// finishFull brings rows to Pebble as files, then the position in a batch. A crash between the
// two leaves rows without a position, which the next open drops.
func (r *Restore) finishFull(pos Position) error {
	p := r.p
	l := loader{p: p}
	paths, err := r.sorter.build(&l)
	if err != nil {
		return p.store.fail(err)
	}
	if err := l.finish(pos.Digest); err != nil {
		return err
	}
	// With nothing of the partition in memtables the ingest needs no flush, for which it would
	// wait without end if the disk is full.
	if err := p.store.flush(); err != nil {
		return err
	}
	if len(paths) > 0 {
		if err := p.store.db.Ingest(context.Background(), paths); err != nil {
			return p.store.fail(err)
		}
		r.spilled = true
	}
	if err := p.confirm(&pos); err != nil {
		return err
	}
	if err := p.store.awaitApplied(p); err != nil {
		return err
	}
	return errors.Join(p.store.flush(), r.sorter.close())
}

// Abort gives the restore up: the partition is as before it. If rows are in Pebble already it
// cannot be used any more, only closed; opened again it is without a position, or damaged, and
// then to be dropped.
func (r *Restore) Abort() error {
	if r.p.restore != r {
		return nil
	}
	p := r.p
	p.restore = nil
	p.Abort()
	if r.spilled {
		p.confirmed = false
		p.broken = errors.New("a restore was given up half-way")
	}
	if r.sorter == nil {
		return nil
	}
	p.reset()
	if err := r.sorter.close(); err != nil {
		return fmt.Errorf("give up the restore of %s: %w", p.name, err)
	}
	return nil
}

func (r *Restore) mustBeOpen() {
	if r.p.restore != r {
		panic(fmt.Sprintf("state: the restore of %s is at its end", r.p.name))
	}
}
