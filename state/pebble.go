package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/sstable/block"
)

const (
	blockCacheShare = 4        // Pebble's block cache gets one part in so many of Options.Cache
	memTableShare   = 16       // and a memtable one in so many
	memTableMin     = 1 << 20  // bytes
	memTableMax     = 64 << 20 // bytes

	// bloomBits per key make one in a hundred look-ups of a key that is not there read a block.
	bloomBits = 10

	// Pebble's own stalls block a write for as long as flushes meet errors, for ever on a full
	// disk. They are out of reach; memTablesMax and sublevelsMax take their place, and a fault
	// ends the wait.
	stallNever   = 1 << 20
	memTablesMax = 4
	sublevelsMax = 32

	// A compaction of L0 rewrites most of what is below it while that is small. It waits until
	// half as many sublevels have come together as this says; a look-up passes over them by
	// their bloom filters.
	l0Threshold = 8

	// Pebble spends some microseconds on each block it writes, and a read unpacks all of one.
	// What is in L0 is soon written again and seldom read: its blocks are large and not
	// compressed.
	blockBytes   = 8 << 10
	blockBytesL0 = 32 << 10
)

func (s *Store) openPebble(cacheBytes int64) (err error) {
	if cacheBytes <= 0 {
		cacheBytes = CacheDefault
	}
	if _, err := s.fs.Stat(s.fs.PathJoin(s.dir, damagedName)); err == nil {
		return fmt.Errorf("%w: a damage was met when it was last in use", ErrDamaged)
	}
	if err := s.fs.RemoveAll(s.fs.PathJoin(s.dir, restoreName)); err != nil {
		return err
	}
	s.rowBudget = cacheBytes - cacheBytes/blockCacheShare
	cache := pebble.NewCache(cacheBytes / blockCacheShare)
	defer cache.Unref() // the database holds it as long as it is open
	s.options = s.pebbleOptions(cacheBytes)
	s.options.Cache = cache

	// A damaged file may hold anything; what Pebble makes of it may be a panic.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: panic: %v", ErrDamaged, r)
		}
	}()
	db, err := pebble.Open(s.dir, s.options)
	if err != nil {
		return classifyOpen(err)
	}
	s.db = db
	return nil
}

func (s *Store) pebbleOptions(cacheBytes int64) *pebble.Options {
	o := &pebble.Options{
		FS:                          s.fs,
		Lock:                        s.lock,
		Comparer:                    newComparer(),
		DisableWAL:                  true,
		FormatMajorVersion:          pebble.FormatTableFormatV6,
		MemTableSize:                memTableSize(cacheBytes),
		MemTableStopWritesThreshold: stallNever,
		L0StopWritesThreshold:       stallNever,
		L0CompactionThreshold:       l0Threshold,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		Logger:                      logger{s},
		EventListener: &pebble.EventListener{
			BackgroundError: s.fault,
			DataCorruption: func(info pebble.DataCorruptionInfo) {
				s.fault(fmt.Errorf("%w: %s: %w",
					ErrDamaged, info.Path, firstLine{info.Details}))
			},
			FlushEnd:      func(pebble.FlushInfo) { s.flushed() },
			CompactionEnd: func(pebble.CompactionInfo) { s.flushed() },
		},
	}
	// Without a write-ahead log an ingest that waits in memory would not be durable.
	o.Experimental.DisableIngestAsFlushable = func() bool { return true }
	o.Experimental.EnableColumnarBlocks = func() bool { return true }
	o.Experimental.SpanPolicyFunc = rowsTogether
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBits)
		o.Levels[i].BlockSize = blockBytes
		o.Levels[i].Compression = func() *block.CompressionProfile { return block.SnappyCompression }
	}
	o.Levels[0].BlockSize = blockBytesL0
	o.Levels[0].Compression = func() *block.CompressionProfile { return block.NoCompression }
	o.EnsureDefaults()
	return o
}

// tableOptions are those of a table to ingest: it stays as it is, often in the last level.
func (s *Store) tableOptions() sstable.WriterOptions {
	o := s.options.MakeWriterOptions(1, s.db.TableFormat())
	o.DisableValueBlocks = true // as rowsTogether says
	return o
}

// rowsTogether keeps a key's history beside its session row: Pebble takes keys of one prefix for
// versions, and would set the second aside in blocks that it holds in memory until a table ends.
func rowsTogether([]byte) (policy pebble.SpanPolicy, end []byte, err error) {
	return pebble.SpanPolicy{DisableValueSeparationBySuffix: true}, nil, nil
}

func memTableSize(cacheBytes int64) uint64 {
	return uint64(min(max(cacheBytes/memTableShare, memTableMin), memTableMax))
}

// logger drops what Pebble logs. Pebble calls Fatalf where it cannot go on, above all when the
// MANIFEST cannot be written, and returns an error where Fatalf returns.
type logger struct{ s *Store }

func (logger) Infof(string, ...any)  {}
func (logger) Errorf(string, ...any) {}
func (l logger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	for _, a := range args {
		if cause, ok := a.(error); ok {
			err = cause
		}
	}
	l.s.fault(err)
}

// classify marks what only a damage explains.
func classify(err error) error {
	if errors.Is(err, ErrDamaged) {
		return err
	}
	if pebble.IsCorruptionError(err) || errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrDamaged, firstLine{err})
	}
	return err
}

// firstLine leaves out what Pebble carries in the further lines of a corruption's message.
type firstLine struct{ error }

func (e firstLine) Error() string {
	line, _, _ := strings.Cut(e.error.Error(), "\n")
	return line
}

func (e firstLine) Unwrap() error { return e.error }

// classifyOpen takes every error for a damage that is not one of the operating system: Pebble
// reports many kinds of damage without a mark.
func classifyOpen(err error) error {
	var number syscall.Errno
	if errors.As(err, &number) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if errors.Is(err, ErrDamaged) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, firstLine{err})
}

// checkLayout writes the version of the layout to a new store and checks that of another.
func (s *Store) checkLayout() error {
	value, err := s.get([]byte{spaceLayout})
	if err != nil {
		return err
	}
	if value == nil {
		return s.beginLayout()
	}
	version, n := binary.Uvarint(value)
	if n != len(value) {
		return fmt.Errorf("%w: the version of its layout is %x", ErrDamaged, value)
	}
	if version != layoutVersion {
		return fmt.Errorf("unknown layout version %d, this program knows %d",
			version, layoutVersion)
	}
	return nil
}

func (s *Store) beginLayout() error {
	i, err := s.db.NewIter(nil)
	if err != nil {
		return classify(err)
	}
	some := i.First()
	if err := errors.Join(i.Error(), i.Close()); err != nil {
		return classify(err)
	}
	if some {
		return fmt.Errorf("%w: there are keys but no version of their layout", ErrDamaged)
	}
	return s.db.Set([]byte{spaceLayout}, binary.AppendUvarint(nil, layoutVersion), pebble.NoSync)
}

// get copies the value of one key; nil: there is none.
func (s *Store) get(key []byte) ([]byte, error) {
	value, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, classify(err)
	}
	value = append(make([]byte, 0, len(value)), value...)
	return value, closer.Close()
}

// topicNumber is the number of a topic; one that has none yet gets the next.
func (s *Store) topicNumber(topic string) (uint64, error) {
	s.topics.Lock()
	defer s.topics.Unlock()
	i, err := s.db.NewIter(&pebble.IterOptions{
		LowerBound: []byte{spaceTopic}, UpperBound: []byte{spaceTopic + 1},
	})
	if err != nil {
		return 0, classify(err)
	}
	var found, greatest uint64
	for ok := i.First(); ok; ok = i.Next() {
		number, n := binary.Uvarint(i.Value())
		if n <= 0 || number == 0 {
			return 0, errors.Join(fmt.Errorf("%w: a topic has the number %x",
				ErrDamaged, i.Value()), i.Close())
		}
		greatest = max(greatest, number)
		if bytes.Equal(i.Key()[1:], []byte(topic)) {
			found = number
		}
	}
	if err := errors.Join(i.Error(), i.Close()); err != nil {
		return 0, classify(err)
	}
	if found != 0 {
		return found, nil
	}
	key := append([]byte{spaceTopic}, topic...)
	value := binary.AppendUvarint(nil, greatest+1)
	return greatest + 1, s.db.Set(key, value, pebble.NoSync)
}
