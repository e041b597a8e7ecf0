package sim

import (
	"errors"
	"fmt"
)

// point is a place on the way of a commit where something can go wrong.
type point uint8

// The places, in their order.
const (
	pointNone        point = iota
	pointClosed            // the changelog records are produced, no offset is sent
	pointOffsets           // the offsets are sent, the end is not
	pointLostAborted       // the answer to the end is lost, and the broker has aborted
	pointLostDone          // likewise, and it has committed
	pointSaidAborted       // it is reported as aborted, and the broker has committed
	pointCleanAbort        // a rebalance came between: it is aborted
	pointUnconfirmed       // committed, and the state does not know yet
	pointConfirmed         // the state knows, Pebble does not
	pointCount
)

// errCrash is the end of a process at a point of a commit.
var errCrash = errors.New("the process ends here")

// commit ends the open transaction, as far as a point. It is what lane.commit does.
func (m *member) commit(until point) error {
	if m.txn == nil {
		return nil
	}
	touched, err := m.close()
	switch {
	case err != nil:
		return err
	case len(touched) == 0:
		return m.abort(nil) // nothing to commit
	case until == pointClosed:
		return errCrash
	case until == pointCleanAbort:
		return m.abort(touched)
	}
	b := m.w.broker
	var offsets []commitTo
	for _, p := range touched {
		offsets = append(offsets, commitTo{p.id, p.task.Pending().Offset, p.task.Metadata(p.metaEnd)})
		m.txn.ticks = append(m.txn.ticks, p.ticks...)
	}
	if err := b.sendOffsets(m.txn, m.generation, offsets); err != nil {
		if errors.Is(err, errGeneration) {
			m.w.count(cntFencedByGroup)
			return m.abort(touched)
		}
		return err
	}
	switch until {
	case pointOffsets:
		return errCrash
	case pointLostAborted:
		return errors.Join(b.endTxn(m.txn, false), errLost)
	}
	if err := b.endTxn(m.txn, true); err != nil {
		return err
	}
	m.txn = nil
	switch until {
	case pointLostDone:
		return errLost
	case pointSaidAborted:
		return m.mustBeAborted(touched)
	case pointUnconfirmed:
		return errCrash
	}
	m.w.count(cntCommits)
	for _, p := range touched {
		if err := p.task.Commit(p.metaEnd, changelogID()); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		p.ticks = p.ticks[:0]
	}
	m.w.settle()
	if until == pointConfirmed {
		return errCrash
	}
	return nil
}

// close adds the changelog records of every partition the transaction has touched.
func (m *member) close() ([]*part, error) {
	var touched []*part
	for _, p := range m.parts {
		if p == nil || !p.task.Touched() {
			continue
		}
		if err := p.task.Sweep(m.w.clock()); err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		touched = append(touched, p)
	}
	if err := m.writeOut(); err != nil {
		return nil, err
	}
	for _, p := range touched {
		if _, err := p.task.Close(int32(m.w.set.partitions), inputID(), m.w.clock()); err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		if err := m.produce(p); err != nil {
			return nil, err
		}
	}
	return touched, nil
}

// abort goes back to the confirmed state. A partition without a committed offset has nothing to go
// back to: the lane begins anew.
func (m *member) abort(touched []*part) error {
	m.w.count(cntAborts)
	if err := m.w.broker.endTxn(m.txn, false); err != nil {
		return err
	}
	m.txn = nil
	isFresh := false
	for _, p := range touched {
		p.task.Abort()
		p.ticks = p.ticks[:0]
		isFresh = isFresh || p.task.Next() < 0
	}
	if isFresh {
		return m.reset()
	}
	return nil
}

// mustBeAborted looks whether a transaction that was reported as aborted is: the metadata of the
// committed offset is that of one transaction alone.
func (m *member) mustBeAborted(touched []*part) error {
	for _, p := range touched {
		at, err := m.w.broker.committedOffset(p.id)
		if err != nil {
			return err
		}
		if at.metadata == p.task.Metadata(p.metaEnd) {
			return errRebirth
		}
	}
	return fmt.Errorf("%s: a transaction that has committed is not the group's last", m.name)
}
