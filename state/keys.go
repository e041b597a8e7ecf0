package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2"
)

// The keys in Pebble, by their first byte:
//
//	0x00                                                   -> version of this layout
//	0x01 topic                                             -> number of the topic, uvarint
//	0x10 topic-number partition length(key) key kind       -> a row, or the position
//
// topic-number, partition and length are uvarints. Lengths stand before keys so that no key is
// a prefix of another and the two rows of a key are neighbours: one seek, and one probe of a
// bloom filter over all but the kind, finds or rules out both.
const (
	spaceLayout = 0x00
	spaceTopic  = 0x01
	spaceRows   = 0x10
)

const layoutVersion = 1

// Kinds of rows. They end the key in Pebble and begin the key in the changelog.
const (
	kindMeta    = 0x00 // the position; its key is empty
	kindRow     = 0x01 // the open sessions
	kindHistory = 0x02 // the ended and the forgotten ones
)

// MetaKey is the changelog key of a META record.
var MetaKey = []byte{kindMeta}

// IsMeta tells whether a changelog record is a META record, which holds a Position.
func IsMeta(changelogKey []byte) bool { return bytes.Equal(changelogKey, MetaKey) }

// SplitChangelogKey takes the key of a changelog record apart.
func SplitChangelogKey(changelogKey []byte) (key []byte, history bool, err error) {
	if len(changelogKey) < 2 ||
		(changelogKey[0] != kindRow && changelogKey[0] != kindHistory) {
		return nil, false, fmt.Errorf("changelog key of %d bytes is of no known kind",
			len(changelogKey))
	}
	return changelogKey[1:], changelogKey[0] == kindHistory, nil
}

func appendPrefix(dst []byte, topicNumber uint64, id int32) []byte {
	dst = append(dst, spaceRows)
	dst = binary.AppendUvarint(dst, topicNumber)
	return binary.AppendUvarint(dst, uint64(uint32(id)))
}

// appendStoreKey appends the Pebble key of a row; without the kind it is the part that the
// bloom filter knows.
func appendStoreKey(dst, prefix, key []byte, kind byte) []byte {
	dst = append(dst, prefix...)
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	dst = append(dst, key...)
	return append(dst, kind)
}

func positionKey(prefix []byte) []byte { return appendStoreKey(nil, prefix, nil, kindMeta) }

// prefixBounds are the first key of a partition and the first behind it.
func prefixBounds(prefix []byte) (start, end []byte) {
	start = append(bytes.Clone(prefix), 0)
	end = bytes.Clone(prefix)
	end[len(end)-1]++ // the last byte of a uvarint is below 0x80
	return start, end
}

var errStoreKey = errors.New("a key has not the form of one")

// splitStoreKey takes the Pebble key of a row apart; prefixLen is the length of the
// partition's prefix.
func splitStoreKey(storeKey []byte, prefixLen int) (key []byte, kind byte, err error) {
	if len(storeKey) <= prefixLen {
		return nil, 0, errStoreKey
	}
	b := storeKey[prefixLen:]
	size, n := binary.Uvarint(b)
	if n <= 0 || size >= uint64(len(b)-n) || len(b)-n != int(size)+1 {
		return nil, 0, errStoreKey
	}
	return b[n : n+int(size)], b[len(b)-1], nil
}

// newComparer is the default order of bytes. Only Split is ours: it cuts the kind off a row's
// key. Because keys carry their length, the order of bytes is also the order of prefixes first,
// then of kinds, which Pebble asks for.
func newComparer() *pebble.Comparer {
	c := *pebble.DefaultComparer
	c.Name = "sessionizer.state.1"
	c.Split = splitKind
	return &c
}

func splitKind(storeKey []byte) int {
	if len(storeKey) == 0 || storeKey[0] != spaceRows {
		return len(storeKey)
	}
	at := 1
	var size uint64
	for range 3 { // topic number, partition, length of the key
		v, n := binary.Uvarint(storeKey[at:])
		if n <= 0 {
			return len(storeKey)
		}
		size, at = v, at+n
	}
	if size > uint64(len(storeKey)-at) {
		return len(storeKey)
	}
	return at + int(size)
}

func keyHash(key []byte) uint64 { return xxhash.Sum64(key) }

// rowHash is a row's part in the Digest: XXH64 of the key and of the value, mixed with the
// kind by the finalizer of MurmurHash3.
func rowHash(keyHash uint64, kind byte, value []byte) uint64 {
	h := keyHash*0x9e3779b97f4a7c15 + bits.RotateLeft64(xxhash.Sum64(value), 29) + uint64(kind)
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
