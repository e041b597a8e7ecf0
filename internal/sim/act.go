package sim

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// action is one kind of step, with how often it comes.
type action struct {
	name   string
	weight int
	do     func(w *world, r *rand.Rand) error
}

func actions() []action {
	return []action{
		{"feed", 30, (*world).feed},
		{"work", 40, (*world).work},
		{"commit", 22, (*world).commit},
		{"idle", 6, (*world).idle},
		{"sweep", 2, (*world).sweep},
		{"flush", 2, (*world).flush},
		{"crash", 2, (*world).crash},
		{"restart", 8, (*world).restart},
		{"move", 2, (*world).move},
		{"pause", 1, (*world).pause},
		{"resume", 4, (*world).resume},
		{"compact", 1, (*world).compact},
		{"jump", 1, (*world).jump},
		{"end input", 3, (*world).endInput},
	}
}

// act draws one step and carries it out.
func (w *world) act(r *rand.Rand, isDropped bool) error {
	total := 0
	all := actions()
	for i := range all {
		total += all[i].weight
	}
	n := r.IntN(total)
	for i := range all {
		if n -= all[i].weight; n >= 0 {
			continue
		}
		if isDropped {
			return nil
		}
		w.advance(r.Int64N(12))
		w.say("%s", all[i].name)
		err := all[i].do(w, r)
		w.settle()
		if err != nil {
			return fmt.Errorf("%s: %w", all[i].name, err)
		}
		return nil
	}
	return nil
}

// anyOf draws one of the members that are so; nil: none is.
func (w *world) anyOf(r *rand.Rand, is func(m *member) bool) *member {
	var some []*member
	for _, m := range w.members {
		if is(m) {
			some = append(some, m)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return some[r.IntN(len(some))]
}

func runs(m *member) bool      { return m.store != nil && !m.paused }
func isDown(m *member) bool    { return m.store == nil }
func isStopped(m *member) bool { return m.store != nil && m.paused }

// feed brings some events, sometimes in a transaction, which may stay open for a while.
func (w *world) feed(r *rand.Rand) error {
	const most = 30
	var t *txn
	if r.IntN(8) == 0 && w.broker.open["feed"] == nil {
		t, _ = w.broker.begin("feed", w.broker.initialise("feed"))
	}
	for range 1 + r.IntN(most) {
		s := w.feeder.next(r)
		h := fnv.New32a()
		_, _ = h.Write(s.key)
		id := h.Sum32() % uint32(w.set.partitions)
		l := w.broker.input[id]
		l.append(entry{txn: t, key: s.key, value: s.value, time: s.time, at: w.now})
		w.noteEntry("feed", l, &l.entries[len(l.entries)-1])
		for int64(len(w.sent[id])) < l.next-1 {
			w.sent[id] = append(w.sent[id], sent{})
		}
		w.sent[id] = append(w.sent[id], s)
	}
	if t != nil && r.IntN(2) == 0 {
		return w.endInput(r)
	}
	return nil
}

// endInput ends the transaction of the feed.
func (w *world) endInput(r *rand.Rand) error {
	t := w.broker.open["feed"]
	if t == nil {
		return nil
	}
	if r.IntN(3) == 0 {
		w.count(cntInputAborted)
		return w.broker.endTxn(t, false)
	}
	return w.broker.endTxn(t, true)
}

// work lets a member poll. If a rebalance waits it may come too late to notice.
func (w *world) work(r *rand.Rand) error {
	m := w.anyOf(r, runs)
	if m == nil {
		return nil
	}
	if m.generation != w.broker.generation && r.IntN(3) == 0 {
		if err := w.handle(m, m.commit(pointNone)); err != nil || m.store == nil {
			return err
		}
	}
	if err := w.handle(m, m.arrange(r.IntN(20) == 0)); err != nil || m.store == nil {
		return err
	}
	for _, p := range m.parts {
		if p == nil || r.IntN(4) == 0 {
			continue
		}
		back := int64(0)
		if r.IntN(10) == 0 {
			back = r.Int64N(30)
		}
		err := m.poll(p, 1+r.IntN(60), back)
		if err != nil {
			return w.handle(m, err)
		}
	}
	return nil
}

// commit lets a member end its transaction; sometimes that goes wrong.
func (w *world) commit(r *rand.Rand) error {
	m := w.anyOf(r, runs)
	if m == nil || m.txn == nil {
		return nil
	}
	until := pointNone
	if r.IntN(8) == 0 {
		until = pick(r, pointLostAborted, pointLostDone, pointSaidAborted, pointCleanAbort)
	}
	err := m.commit(until)
	switch {
	case errors.Is(err, errLost) && until == pointLostDone:
		m.after = append(m.after, expectation{cntTail, cntLostDone})
	case errors.Is(err, errLost):
		m.after = append(m.after, expectation{cntNotRestored, cntLostAborted})
	case errors.Is(err, errRebirth):
		m.after = append(m.after, expectation{cntTail, cntSaidAborted})
	}
	return w.handle(m, err)
}

// idle lets a member look at its silent partitions.
func (w *world) idle(r *rand.Rand) error {
	m := w.anyOf(r, runs)
	if m == nil {
		return nil
	}
	w.advance(r.Int64N(200))
	for _, p := range m.parts {
		if p == nil {
			continue
		}
		if err := m.idle(p); err != nil {
			return w.handle(m, err)
		}
	}
	return nil
}

func (w *world) sweep(r *rand.Rand) error {
	m := w.anyOf(r, runs)
	if m == nil {
		return nil
	}
	for _, p := range m.parts {
		if p != nil && !p.task.Touched() {
			if err := m.sweep(p); err != nil {
				return w.handle(m, err)
			}
		}
	}
	return nil
}

// flush makes what a member has confirmed durable, or only brings it to Pebble.
func (w *world) flush(r *rand.Rand) error {
	m := w.anyOf(r, runs)
	if m == nil {
		return nil
	}
	if err := m.writeOut(); err != nil || r.IntN(2) == 0 {
		return w.handle(m, err)
	}
	for _, p := range m.parts {
		if p != nil {
			if err := p.state.Flush(); err != nil {
				return w.handle(m, err)
			}
			break
		}
	}
	w.settle()
	if r.IntN(3) == 0 {
		m.old = m.disk.CrashClone(vfs.CrashCloneCfg{})
	}
	return nil
}

// crash ends a process, at any place of a commit, and sometimes takes something of its disk along.
func (w *world) crash(r *rand.Rand) error {
	m := w.anyOf(r, runs)
	if m == nil {
		return nil
	}
	t := m.txn
	until := pick(r, pointNone, pointClosed, pointOffsets, pointUnconfirmed, pointConfirmed)
	if until != pointNone {
		if err := m.commit(until); !errors.Is(err, errCrash) {
			return w.handle(m, err)
		}
	}
	w.count(cntCrashes)
	w.say("%s dies at %d", m.name, until)
	m.after = nil
	switch {
	case until == pointUnconfirmed:
		m.after = append(m.after, expectation{cntTail, cntUnconfirmed})
	case t != nil && len(t.logs) > 0 && t.state == txnOpen:
		w.dying = append(w.dying, t)
	}
	disk, err := w.loseDisk(r, m)
	if err != nil {
		return err
	}
	m.stop(disk)
	if r.IntN(3) == 0 {
		w.expel(r, m)
	}
	return nil
}

// expel gives the partitions of a member that the group does not hear of any more to others.
func (w *world) expel(r *rand.Rand, m *member) {
	others := slices.DeleteFunc(slices.Clone(w.members), func(x *member) bool { return !runs(x) })
	for id, owner := range w.broker.owner {
		if owner == m.id && len(others) > 0 {
			w.count(cntRebalances)
			w.broker.assign(int32(id), others[r.IntN(len(others))].id)
		}
	}
}

// restart starts a process again.
func (w *world) restart(r *rand.Rand) error {
	m := w.anyOf(r, isDown)
	if m == nil {
		return nil
	}
	return m.restart()
}

// move gives a partition to another member.
func (w *world) move(r *rand.Rand) error {
	id := r.IntN(w.set.partitions)
	to := r.IntN(len(w.members))
	if to == w.broker.owner[id] || w.members[to].store == nil || w.members[to].paused {
		return nil
	}
	w.count(cntRebalances)
	w.broker.assign(int32(id), to)
	return nil
}

// pause stops a process as SIGSTOP does. Mostly that is longer than its session lasts.
func (w *world) pause(r *rand.Rand) error {
	m := w.anyOf(r, runs)
	if m == nil {
		return nil
	}
	m.paused = true
	if r.IntN(4) == 0 {
		return nil
	}
	w.expel(r, m)
	return nil
}

// resume lets a stopped process go on: it does not know yet what has happened meanwhile.
func (w *world) resume(r *rand.Rand) error {
	m := w.anyOf(r, isStopped)
	if m == nil {
		return nil
	}
	m.paused = false
	isZombie := m.generation != w.broker.generation
	before := w.counts[cntFencedByEpoch] + w.counts[cntFencedByGroup]
	isTimer := m.txn == nil
	w.advance(w.set.idleAfter)
	for _, p := range m.parts {
		if p == nil {
			continue
		}
		if err := m.idle(p); err != nil {
			return w.handle(m, err)
		}
	}
	isTimer = isTimer && m.txn != nil
	if err := w.handle(m, m.commit(pointNone)); err != nil {
		return err
	}
	if after := w.counts[cntFencedByEpoch] + w.counts[cntFencedByGroup]; isZombie && after > before {
		w.count(cntZombie)
		if isTimer {
			w.count(cntZombieTimer)
		}
	}
	return nil
}

// compact lets the broker compact a changelog.
func (w *world) compact(r *rand.Rand) error {
	l := w.broker.changelogs[r.IntN(w.set.partitions)]
	n := l.compact(r.Int64N(l.next+1), w.now, w.set.tombstones)
	w.counts[cntCompacted] += int64(n)
	w.say("compacted %d", n)
	return nil
}

// jump sets the members' clocks.
func (w *world) jump(r *rand.Rand) error {
	w.count(cntJumps)
	w.skew = pick[int64](r, 0, 0, 40, -40, 5_000, -5_000, 3_600_000, -3_600_000, 90_000_000)
	return nil
}
