package sim

import (
	"errors"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

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
