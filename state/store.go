// Package state remembers: the rows of every key and the position of every partition, in one
// Pebble store per process, those of live keys in memory too.
//
// What may be where. The rows of the open transaction are in an overlay, in memory only. Commit
// makes them confirmed: they move to the row cache and to a queue, from which one goroutine
// writes them to Pebble, the rows of a commit and its position in one batch, in the order of
// the commits. So Pebble never holds what is not confirmed, may be some commits behind, and
// after a crash holds for each partition all of one earlier commit and nothing of a later one;
// the changelog topic has the rest. There is no write-ahead log.
//
// A Store may be used by many goroutines. A Partition may not: one goroutine at a time uses it,
// different partitions are independent of each other.
//
// The package never logs and reads no clock.
package state

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"sessionizer/internal/failpoint"
	"sessionizer/session"
)

var (
	// ErrLocked means that another process, or another Store of this one, has the directory.
	ErrLocked = errors.New("the state directory is in use")
	// ErrDamaged means that the files do not hold what was once written to them. The changelog
	// heals it: if it comes from Open, or Store.Err is not nil, Close, Wipe the directory and
	// Open it again; else Drop the partition it comes from. Then restore.
	ErrDamaged = errors.New("the state is damaged")
)

// Options of a Store. The zero value is a store on disk with a cache of CacheDefault and no
// timers.
type Options struct {
	FS vfs.FS // nil: the disk

	// Cache is the memory, in bytes, for rows and for Pebble's blocks. Rows of keys with an
	// armed timer stay in memory even if they are more; write buffers come on top.
	Cache int64

	// Due says when the timer of a row is due (session.NoTime: never) as it is read from disk
	// or changelog; nil: no timers. It must be safe for concurrent use and gives what the
	// caller passes to Put for the same row.
	Due func(row []byte) (session.Time, error)

	// OnFault is called once, with what Err returns from then on. It may be called on any
	// goroutine, with locks of Pebble held: it must neither block nor call anything of the
	// Store but Err.
	OnFault func(error)
}

// CacheDefault is the Cache of the zero Options.
const CacheDefault = 256 << 20

const (
	// damagedName is a file that tells the next Open that a damage was met while running.
	damagedName = "DAMAGED"
	// restoreName is a directory for the files of restores; Open empties it.
	restoreName = "restore"
	lockName    = "LOCK"
)

// Store is one Pebble database in one directory.
type Store struct {
	dir       string
	fs        vfs.FS
	db        *pebble.DB
	options   *pebble.Options
	lock      *pebble.Lock
	due       func(row []byte) (session.Time, error)
	onFault   func(error)
	rowBudget int64         // bytes of Options.Cache that are for rows
	faulted   chan struct{} // closed with the first fault
	written   chan struct{} // closed when the write-behind goroutine has returned

	limits limits

	opened atomic.Int64 // open partitions, which share rowBudget equally

	topics sync.Mutex // held while a topic gets its number

	mu   sync.Mutex
	cond sync.Cond // something below has changed
	// failed is the first fault.
	failed     error
	partitions map[string]*Partition // by name; nil: about to be opened
	queue      []*job                // in order of commits, the one in hand included
	waiting    int                   // callers that the write-behind goroutine keeps waiting
	queued     int64                 // bytes of the queue
	flushes    int64                 // flushes and compactions that Pebble has ended
	closing    bool
	chunks     [][]byte // free arena chunks
	changes    [][]change
}

// limits are constants but for tests, which reach them sooner.
type limits struct {
	behindBytes   int64 // writeBehindBytesMax
	behindCommits int   // writeBehindCommitsMax
	tailBytes     int   // tailBytesMax
	runBytes      int   // runBytesMax
	tableBytes    uint64
}

// Open opens the store in a directory, which is made if it is not there.
// errors.Is(err, ErrLocked): another Store has it. errors.Is(err, ErrDamaged): Wipe it and
// restore. Any other error is of the world: rights, disk, a layout of a later version.
func Open(dir string, o Options) (*Store, error) {
	s, err := open(dir, o)
	if err != nil {
		return nil, fmt.Errorf("open state directory %q: %w", dir, err)
	}
	return s, nil
}

func open(dir string, o Options) (*Store, error) {
	s := &Store{
		dir: dir, fs: o.fileSystem(), due: o.Due, onFault: o.OnFault,
		faulted: make(chan struct{}), written: make(chan struct{}),
		partitions: make(map[string]*Partition),
		limits: limits{
			behindBytes: writeBehindBytesMax, behindCommits: writeBehindCommitsMax,
			tailBytes: tailBytesMax, runBytes: runBytesMax, tableBytes: tableBytesMax,
		},
	}
	s.cond.L = &s.mu
	if s.due == nil {
		s.due = func([]byte) (session.Time, error) { return session.NoTime, nil }
	}
	if err := makeDir(s.fs, dir); err != nil {
		return nil, err
	}
	lock, err := lockDir(s.fs, dir)
	if err != nil {
		return nil, err
	}
	s.lock = lock
	if err := s.openPebble(o.Cache); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if err := s.checkLayout(); err != nil {
		return nil, errors.Join(err, s.db.Close(), lock.Close())
	}
	go s.writeBehind()
	return s, nil
}

func (o *Options) fileSystem() vfs.FS {
	if o.FS == nil {
		return failpoint.Disk(vfs.Default)
	}
	return o.FS
}

// makeDir makes a directory that outlives a power loss: each parent of a new one is synced.
func makeDir(fsys vfs.FS, dir string) error {
	var parents []string
	for d := filepath.Clean(dir); ; d = fsys.PathDir(d) {
		if _, err := fsys.Stat(d); err == nil || fsys.PathDir(d) == d {
			break
		}
		parents = append(parents, fsys.PathDir(d))
	}
	if err := fsys.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, parent := range parents {
		if err := syncDir(fsys, parent); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(fsys vfs.FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lockDir takes the lock that Pebble takes too. A file that cannot be made is told from one that
// is locked: only the first is a path error.
func lockDir(fsys vfs.FS, dir string) (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(dir, fsys)
	var path *fs.PathError
	if err != nil && !errors.As(err, &path) {
		return nil, fmt.Errorf("%w: another process holds %q: %w",
			ErrLocked, fsys.PathJoin(dir, lockName), err)
	}
	return lock, err
}

// Wipe empties the directory of a damaged store. It takes the lock while it does.
func Wipe(dir string, o Options) error {
	if err := wipe(o.fileSystem(), dir); err != nil {
		return fmt.Errorf("wipe state directory %q: %w", dir, err)
	}
	return nil
}

func wipe(fsys vfs.FS, dir string) error {
	if err := makeDir(fsys, dir); err != nil {
		return err
	}
	lock, err := lockDir(fsys, dir)
	if err != nil {
		return err
	}
	names, err := fsys.List(dir)
	for _, name := range names {
		// The mark of a damage goes last: a wipe that is cut short is not taken for a store.
		if name != lockName && name != damagedName {
			err = errors.Join(err, fsys.RemoveAll(fsys.PathJoin(dir, name)))
		}
	}
	if err == nil {
		err = fsys.RemoveAll(fsys.PathJoin(dir, damagedName))
	}
	return errors.Join(err, syncDir(fsys, dir), lock.Close())
}

// Err is the first fault of the store, nil while there is none: Pebble could not write or read
// (disk full, I/O error), or met damage (ErrDamaged). It stays: nothing is written any more.
// Check it before a Kafka transaction is committed.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// fault keeps the first error, wakes who waits, and tells the caller of Open.
func (s *Store) fault(err error) {
	err = classify(err)
	s.mu.Lock()
	first := s.failed == nil
	if first {
		s.failed = fmt.Errorf("state directory %q: %w", s.dir, err)
		close(s.faulted)
		s.cond.Broadcast()
	}
	failed := s.failed
	s.mu.Unlock()
	if first && s.onFault != nil {
		s.onFault(failed)
	}
}

// fail is a fault that the caller returns.
func (s *Store) fail(err error) error {
	s.fault(err)
	return classify(err)
}

// Close closes the partitions that are open, writes what is confirmed and closes the store.
// Nothing else may use the store or its partitions meanwhile or later. After a fault it only
// lets go: what is not written yet is in the changelog.
func (s *Store) Close() error {
	var errs []error
	s.mu.Lock()
	open := make([]*Partition, 0, len(s.partitions))
	for _, p := range s.partitions {
		if p != nil {
			open = append(open, p)
		}
	}
	s.mu.Unlock()
	for _, p := range open {
		errs = append(errs, p.Close())
	}
	s.mu.Lock()
	s.closing = true
	s.cond.Broadcast()
	s.mu.Unlock()
	<-s.written
	if s.Err() == nil {
		errs = append(errs, s.flush())
	}
	errs = append(errs, s.db.Close(), s.lock.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close state directory %q: %w", s.dir, err)
	}
	return nil
}

// flush makes all that was applied to Pebble durable. Pebble tries a flush that met an error
// again without end, so a fault ends the wait.
func (s *Store) flush() error {
	if err := s.Err(); err != nil {
		return err
	}
	done, err := s.db.AsyncFlush()
	if err != nil {
		return s.fail(err)
	}
	select {
	case <-done:
		return nil
	case <-s.faulted:
		return s.Err()
	}
}
