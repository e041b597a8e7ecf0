package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"sessionizer/session"
)

// Digest is an order-independent checksum of the rows of a partition: two sets of rows with
// the same Digest are taken for the same. The zero Digest is that of no rows.
type Digest struct {
	Rows uint64 // session rows and history rows
	Sum  uint64 // sum of the row hashes (see rowHash), modulo 2^64
}

// String is for error messages.
func (d Digest) String() string { return fmt.Sprintf("%d rows with sum %016x", d.Rows, d.Sum) }

func (d *Digest) add(hash uint64) { d.Rows++; d.Sum += hash }
func (d *Digest) sub(hash uint64) { d.Rows--; d.Sum -= hash }

// Position says which commit the rows of a partition belong to. It is written with the rows,
// and to the changelog as the META record behind a transaction's rows.
type Position struct {
	Seq        int64 // transactions so far
	Offset     int64 // next input offset
	Watermarks session.Watermarks
	Partitions int32 // partition count of the input topic

	// Provenance: which topics the numbers speak of, and how old they are.
	InputID     [16]byte // topic id of the input; zero: unknown
	ChangelogID [16]byte // topic id of the changelog; zero: unknown
	// ChangelogEnd is the changelog offset behind the META record of Seq; 0: unknown, as in
	// the META record itself, which is encoded before it has an offset.
	ChangelogEnd int64
	WrittenAt    session.Time // the caller's wall clock at this commit

	Digest Digest // of the rows after this commit
}

// metaVersion is the first byte of an encoded Position.
const metaVersion = 1

// AppendMeta appends the value of a META record: a version byte (1); zigzag varints Seq,
// Offset, event watermark, tick watermark, Partitions, ChangelogEnd, WrittenAt; the two topic
// ids, 16 bytes each; uvarint Digest.Rows; Digest.Sum, 8 bytes big endian.
func AppendMeta(dst []byte, p Position) []byte {
	dst = append(dst, metaVersion)
	for _, v := range [...]int64{p.Seq, p.Offset, int64(p.Watermarks.Event),
		int64(p.Watermarks.Tick), int64(p.Partitions), p.ChangelogEnd, int64(p.WrittenAt)} {
		dst = binary.AppendVarint(dst, v)
	}
	dst = append(dst, p.InputID[:]...)
	dst = append(dst, p.ChangelogID[:]...)
	dst = binary.AppendUvarint(dst, p.Digest.Rows)
	return binary.BigEndian.AppendUint64(dst, p.Digest.Sum)
}

// DecodeMeta is the inverse of AppendMeta. It never panics, whatever the bytes.
func DecodeMeta(value []byte) (Position, error) {
	p, err := decodeMeta(value)
	if err != nil {
		return Position{}, fmt.Errorf("decode META of %d bytes: %w", len(value), err)
	}
	return p, nil
}

func decodeMeta(value []byte) (Position, error) {
	if len(value) == 0 {
		return Position{}, errors.New("it is empty")
	}
	if value[0] != metaVersion {
		return Position{}, fmt.Errorf("unknown version %d, this program knows %d",
			value[0], metaVersion)
	}
	b := value[1:]
	var numbers [7]int64
	for i := range numbers {
		v, n := binary.Varint(b)
		if n <= 0 {
			return Position{}, fmt.Errorf("number %d of %d is cut off", i+1, len(numbers))
		}
		numbers[i], b = v, b[n:]
	}
	var p Position
	p.Seq, p.Offset = numbers[0], numbers[1]
	p.Watermarks.Event = session.Time(numbers[2])
	p.Watermarks.Tick = session.Time(numbers[3])
	p.Partitions = int32(numbers[4])
	p.ChangelogEnd, p.WrittenAt = numbers[5], session.Time(numbers[6])
	if p.Seq < 0 || p.Offset < 0 || p.ChangelogEnd < 0 ||
		p.Partitions < 0 || int64(p.Partitions) != numbers[4] {
		return Position{}, fmt.Errorf("out of range: seq %d, offset %d, partitions %d, "+
			"changelog end %d", p.Seq, p.Offset, numbers[4], p.ChangelogEnd)
	}
	if len(b) < 2*len(p.InputID) {
		return Position{}, errors.New("topic ids are cut off")
	}
	b = b[copy(p.InputID[:], b):]
	b = b[copy(p.ChangelogID[:], b):]
	rows, n := binary.Uvarint(b)
	if n <= 0 || len(b) != n+8 {
		return Position{}, errors.New("the digest has not its length")
	}
	p.Digest = Digest{Rows: rows, Sum: binary.BigEndian.Uint64(b[n:])}
	return p, nil
}

// storedVersion is the first byte of the position's value in Pebble.
const storedVersion = 1

// encodeStored is what Pebble holds at a partition's position key: a version byte (1),
// the topic's name with its length as a uvarint before it, the partition as a varint, then
// AppendMeta. Topic and partition are there so that rows found under a wrong number, after the
// numbers of the topics were lost, are not taken for those of another topic.
func encodeStored(topic string, id int32, p Position) []byte {
	dst := []byte{storedVersion}
	dst = binary.AppendUvarint(dst, uint64(len(topic)))
	dst = append(dst, topic...)
	dst = binary.AppendVarint(dst, int64(id))
	return AppendMeta(dst, p)
}

func decodeStored(value []byte, topic string, id int32) (Position, error) {
	if len(value) == 0 || value[0] != storedVersion {
		return Position{}, fmt.Errorf("decode position: unknown version, this program knows %d",
			storedVersion)
	}
	b := value[1:]
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return Position{}, errors.New("decode position: the topic's name is cut off")
	}
	name := b[n : n+int(size)]
	b = b[n+int(size):]
	number, n := binary.Varint(b)
	if n <= 0 {
		return Position{}, errors.New("decode position: the partition is cut off")
	}
	if !bytes.Equal(name, []byte(topic)) || number != int64(id) {
		return Position{}, fmt.Errorf("decode position: it belongs to %q/%d", name, number)
	}
	return DecodeMeta(b[n:])
}
