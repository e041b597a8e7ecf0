package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// loseDisk returns what is left of the disk of a process that ends.
func (w *world) loseDisk(r *rand.Rand, m *member) (*vfs.MemFS, error) {
	expect := func(needs, then counter) { m.after = append(m.after, expectation{needs, then}) }
	switch r.IntN(12) {
	case 0, 1, 2: // the power goes
		expect(cntTail, cntPowerLoss)
		return m.disk.CrashClone(vfs.CrashCloneCfg{}), nil
	case 3, 4: // it goes while Pebble writes
		var torn *vfs.MemFS
		left := 1 + r.IntN(12)
		m.cut = func(op errorfs.Op) {
			if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || torn != nil {
				return
			}
			if left--; left == 0 {
				torn = m.disk.CrashClone(vfs.CrashCloneCfg{})
			}
		}
		for _, p := range m.parts {
			if p != nil {
				if err := p.state.Flush(); err != nil {
					return nil, fmt.Errorf("%s: %w", m.name, err)
				}
				break
			}
		}
		w.settle()
		if m.cut = nil; torn != nil {
			expect(cntTail, cntTornFlush)
			return torn, nil
		}
	case 5:
		expect(cntFull, cntDiskGone)
		return vfs.NewCrashableMem(), nil
	case 6:
		expect(cntFull, cntUnopenable)
		m.damage = r.Uint64() | 1
	case 7: // a copy of the disk is put back
		if m.old != nil {
			expect(cntNone, cntRolledBack)
			return m.old.CrashClone(vfs.CrashCloneCfg{}), nil
		}
	}
	return m.disk, nil
}

// spoil damages the files of a store that is not open, so that it is found out when it is opened:
// it takes the newest MANIFEST away, or leaves the mark of a damage that was met before. Damage in
// a table is for the tests of state: Pebble's compactions try it again without a pause, which no
// step of a simulation would ever see the end of.
func spoil(disk *vfs.MemFS, how uint64) error {
	const mark = "DAMAGED"
	if how>>1&1 == 0 {
		f, err := disk.Create(disk.PathJoin(stateDir, mark), "state")
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	}
	names, err := disk.List(stateDir)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range slices.Backward(names) {
		if strings.HasPrefix(name, "MANIFEST") {
			return disk.Remove(disk.PathJoin(stateDir, name))
		}
	}
	return errors.New("the store has no MANIFEST to take away")
}
