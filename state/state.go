// Package state remembers: the rows of every key and the position of every
// partition, in one Pebble store per process, the live ones in memory too.
package state

import (
	"errors"

	"github.com/cockroachdb/pebble/v2/vfs"

	"sessionizer/session"
)

var (
	// ErrLocked: another process (or another Store of this one) has the directory open.
	ErrLocked = errors.New("state directory is locked")
	// ErrDamaged: the files do not hold what was once confirmed.
	ErrDamaged = errors.New("state is damaged")
)

// MetaKey is the changelog key of a META record.
var MetaKey = []byte{0}

// Options of a Store. The zero value is a store on disk with the default cache and no timers.
type Options struct {
	FS      vfs.FS                                 // nil: the disk
	Cache   int64                                  // bytes for rows in memory and Pebble's block cache; 0: 256 MiB
	Due     func(row []byte) (session.Time, error) // the due time of a row's timer; nil: no timers
	OnFault func(error)                            // called once, with the error of Err
}

// Digest is an order-independent checksum of the rows of a partition.
type Digest struct {
	Rows uint64 // session and history rows
	Sum  uint64 // sum of a hash of each row, modulo 2^64
}

// Position says which commit the rows of a partition belong to.
type Position struct {
	Seq          int64 // transactions so far
	Offset       int64 // next input offset
	Watermarks   session.Watermarks
	Partitions   int32    // partition count of the input topic
	InputID      [16]byte // topic id of the input
	ChangelogID  [16]byte // topic id of the changelog; zero: unknown
	ChangelogEnd int64    // changelog offset behind the META record of Seq; 0: unknown
	WrittenAt    session.Time
	Digest       Digest
}

// Store is one Pebble database in one directory.
type Store struct{}

// Partition is the state of one input partition. One goroutine at a time uses it.
type Partition struct{}

// Restore takes changelog records of one partition.
type Restore struct{}
