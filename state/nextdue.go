package state

import "sessionizer/session"

// NextDue returns a time before which no timer is due, NoTime if none is armed. Entries are lazy:
// at that time there may turn out to be nothing to do, which Due finds out.
func (p *Partition) NextDue() session.Time {
	p.mustBeReady()
	if len(p.timers.heap) == 0 {
		return session.NoTime
	}
	return p.timers.heap[0].due
}
