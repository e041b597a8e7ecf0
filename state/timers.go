package state

import "sessionizer/session"

// timers is a heap of when to look at which key again. It is lazy: an entry whose key's due
// has moved later stays, and what counts is looked up when it is popped. A due that moves
// earlier pushes a new entry; the old one is told from the new by slot.timer and is skipped
// when its time comes.
type timers struct {
	heap []timer // 4-ary: children of i are 4i+1 .. 4i+4
}

type timer struct {
	due  session.Time
	slot slotID
}

func (t *timers) push(e timer) {
	t.heap = append(t.heap, e)
	i := len(t.heap) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if t.heap[parent].due <= e.due {
			break
		}
		t.heap[i] = t.heap[parent]
		i = parent
	}
	t.heap[i] = e
}

func (t *timers) pop() timer {
	top := t.heap[0]
	last := len(t.heap) - 1
	e := t.heap[last]
	t.heap = t.heap[:last]
	if last > 0 {
		t.heap[0] = e
		t.down(0)
	}
	return top
}

func (t *timers) down(i int) {
	e := t.heap[i]
	for {
		first := 4*i + 1
		if first >= len(t.heap) {
			break
		}
		least := first
		for c := first + 1; c < min(first+4, len(t.heap)); c++ {
			if t.heap[c].due < t.heap[least].due {
				least = c
			}
		}
		if t.heap[least].due >= e.due {
			break
		}
		t.heap[i] = t.heap[least]
		i = least
	}
	t.heap[i] = e
}

// build makes a heap of entries that were appended in any order.
func (t *timers) build() {
	for i := (len(t.heap) - 2) / 4; i >= 0 && len(t.heap) > 1; i-- {
		t.down(i)
	}
}

// currentDue is the due of the key as the open transaction sees it.
func (p *Partition) currentDue(s *slot) session.Time {
	if s.change != 0 {
		return p.overlay.changes[s.change-1].due
	}
	return s.due
}

// schedule sees to it that the key is looked at no later than its due.
func (p *Partition) schedule(id slotID, s *slot, due session.Time) {
	if due == session.NoTime || s.timer != session.NoTime && s.timer <= due {
		return
	}
	s.timer = due
	p.timers.push(timer{due: due, slot: id})
}

// Due appends to dst the keys whose timer is due, that is whose due time, as of the last Put,
// is less than tick: at most limit, the earliest first. A key comes once; a Put arms its timer
// anew. If it is not Put before Commit or Abort, or the transaction aborts, its timer is then as
// it was. The keys are valid until Commit or Abort.
func (p *Partition) Due(tick session.Time, limit int, dst [][]byte) [][]byte {
	p.mustBeReady()
	t := &p.timers
	for limit > 0 && len(t.heap) > 0 && t.heap[0].due < tick {
		e := t.pop()
		s := p.cache.at(e.slot)
		if s.timer != e.due {
			continue // of an earlier schedule, or of the slot's last owner
		}
		s.timer = session.NoTime
		if due := p.currentDue(s); due != e.due {
			p.schedule(e.slot, s, due) // has moved later, or away
			continue
		}
		p.taken = append(p.taken, e.slot)
		dst = append(dst, p.cache.keyOf(s))
		limit--
	}
	return dst
}

// rearm gives the keys that Due took, and that were not put again, their timers back.
func (p *Partition) rearm() {
	for _, id := range p.taken {
		s := p.cache.at(id)
		p.schedule(id, s, s.due)
	}
	p.taken = p.taken[:0]
}
