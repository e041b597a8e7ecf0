package processor

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sessionizer/schemas"
)

// batches reads the record batches of a fetch response one record at a time, so that the memory it
// takes does not depend on what they decompress to. It is for batches that the client gave up.
//
// The format: https://kafka.apache.org/documentation/#recordbatch
type batches struct {
	at      tp
	max     int   // bytes of a record, and of a codec's window
	next    int64 // the first offset that was not read
	rest    []byte
	aborted map[int64][]int64 // by producer id: first offsets of aborted transactions, ascending

	batch kmsg.RecordBatch
	codec kgo.CompressionCodecType
	body  *bufio.Reader // the open batch's records; nil: none is open
	close func()
	left  int32  // records of it that were not read
	raw   []byte // a record is read into it, and copied then
}

// piece is a record, or, with bad, what is known of the records from its offset up to last that
// cannot be handled whole.
type piece struct {
	record *kgo.Record
	bad    *schemas.BadInput
	last   int64
	bytes  int // of memory
}

const (
	batchOverhead = 12       // bytes of a batch in front of what its length counts
	batchCRCAt    = 21       // what the checksum counts begins here
	headBytes     = 64 << 10 // of a record that is larger than max are kept
	// readStep is by how much a buffer grows for a length that a batch merely says.
	readStep = 64 << 10
)

// newBatches reads what lies at from or behind it.
func newBatches(
	at tp, rp *kmsg.FetchResponseTopicPartition, from int64, bytesMax int,
) *batches {
	b := &batches{at: at, max: bytesMax, rest: rp.RecordBatches,
		next: max(from, rp.LogStartOffset), aborted: map[int64][]int64{}}
	for _, a := range rp.AbortedTransactions {
		b.aborted[a.ProducerID] = append(b.aborted[a.ProducerID], a.FirstOffset)
	}
	for _, firsts := range b.aborted {
		slices.Sort(firsts)
	}
	return b
}

// read returns the next record that is committed; nil: there is none in the response. An error is
// of the log: a batch that is not what its producer sent.
func (b *batches) read() (*piece, error) {
	for {
		if b.body == nil {
			if more, err := b.open(); !more || err != nil {
				return nil, err
			}
			if b.body == nil {
				continue // nothing of it counts
			}
		}
		if b.left == 0 {
			b.shut()
			continue
		}
		x, err := b.record()
		switch {
		case err != nil && b.next > b.last():
			b.shut() // it says that it has more records than it has offsets
			continue
		case err != nil:
			// It cannot be told where a record behind this one begins.
			x = b.lost(err)
			b.shut()
		default:
			if b.left--; x.record.Offset < b.next {
				continue
			}
		}
		b.next = max(b.next, x.last+1)
		return x, nil
	}
}

// last is the last offset of the open batch.
func (b *batches) last() int64 { return b.batch.FirstOffset + int64(b.batch.LastOffsetDelta) }

func (b *batches) shut() {
	b.next = max(b.next, b.last()+1)
	b.close()
	b.body, b.close = nil, nil
}

// open takes the next batch of the response. A batch that was cut off at its end is none.
func (b *batches) open() (more bool, err error) {
	if len(b.rest) < batchOverhead {
		return false, nil
	}
	size := int64(int32(binary.BigEndian.Uint32(b.rest[8:]))) + batchOverhead
	if size > int64(len(b.rest)) {
		return false, nil
	}
	offset := int64(binary.BigEndian.Uint64(b.rest))
	if size <= batchCRCAt {
		return false, b.damaged(offset, "its length is wrong")
	}
	raw := b.rest[:size]
	const magicAt, magic = 16, 2
	if raw[magicAt] != magic {
		return false, b.damaged(offset, fmt.Sprintf("it has the unknown format %d", raw[magicAt]))
	}
	b.batch = kmsg.RecordBatch{}
	if err := b.batch.ReadFrom(raw); err != nil {
		return false, b.damaged(offset, "it is cut off")
	}
	sum := crc32.Checksum(raw[batchCRCAt:], crc32.MakeTable(crc32.Castagnoli))
	if uint32(b.batch.CRC) != sum {
		return false, b.damaged(offset, "its checksum is wrong")
	}
	b.rest = b.rest[size:]
	if b.last() < b.next {
		return true, nil
	}
	if b.skips() {
		b.next = b.last() + 1
		return true, nil
	}
	const codecBits = 0x7
	b.codec = kgo.CompressionCodecType(b.batch.Attributes & codecBits)
	b.left = b.batch.NumRecords
	r, done, err := b.stream()
	if err != nil {
		r, done = failing{err}, func() {} // said with its records
	}
	b.body, b.close = bufio.NewReader(r), done
	if b.left < 1 {
		b.shut()
	}
	return true, nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// skips reports whether the batch holds no events: it is a transaction's marker, or of one that was
// aborted. The marker of an abort ends it, as Java's consumer has it.
func (b *batches) skips() bool {
	const transactional, control = 0x10, 0x20
	firsts := b.aborted[b.batch.ProducerID]
	aborted := b.batch.Attributes&transactional != 0 && len(firsts) > 0 &&
		b.batch.FirstOffset >= firsts[0]
	if b.batch.Attributes&control == 0 {
		return aborted
	}
	if aborted {
		b.aborted[b.batch.ProducerID] = firsts[1:]
	}
	return true
}

func (b *batches) damaged(offset int64, what string) error {
	return fmt.Errorf("the batch of %s at offset %d is damaged: %s", b.at, offset, what)
}

// lost stands for the records of the open batch that were not read.
func (b *batches) lost(err error) *piece {
	bad := &schemas.BadInput{Reason: schemas.Malformed}
	if errors.Is(err, errBatchLarge) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
		bad.Reason = schemas.Limit
	}
	from := max(b.next, b.batch.FirstOffset)
	bad.Message = fmt.Sprintf("the records from offset %d to %d cannot be read out of their batch "+
		"(%s): %v", from, b.last(), codecName(b.codec), err)
	r := &kgo.Record{
		Topic: b.at.topic, Partition: b.at.id, Offset: from, Value: []byte{},
		Timestamp: time.UnixMilli(b.batch.MaxTimestamp), LeaderEpoch: b.batch.PartitionLeaderEpoch,
	}
	return &piece{record: r, bad: bad, last: max(from, b.last())}
}

func codecName(c kgo.CompressionCodecType) string {
	names := [...]string{"not compressed", "gzip", "snappy", "lz4", "zstd"}
	if c < 0 || int(c) >= len(names) {
		return fmt.Sprintf("codec %d", c)
	}
	return names[c]
}

// record reads the next record of the open batch.
func (b *batches) record() (*piece, error) {
	size, err := binary.ReadVarint(b.body)
	switch {
	case err != nil:
		return nil, unexpected(err)
	case size < 0:
		return nil, fmt.Errorf("a record of %d bytes", size)
	case size > int64(b.max):
		return b.large(size)
	}
	if b.raw, err = readAll(b.raw, b.body, int(size)); err != nil {
		return nil, unexpected(err)
	}
	raw := bytes.Clone(b.raw)
	in := kbin.Reader{Src: raw}
	in.Int8() // attributes, unused
	sent, delta := in.Varlong(), in.Varint()
	r := b.made(sent, delta)
	r.Key, r.Value = in.VarintBytes(), in.VarintBytes()
	if n := int(in.VarintArrayLen()); n > 0 {
		r.Headers = make([]kgo.RecordHeader, n)
		for i := range r.Headers {
			r.Headers[i] = kgo.RecordHeader{Key: in.VarintString(), Value: in.VarintBytes()}
		}
	}
	if !in.Ok() || r.Offset > b.last() {
		return nil, errors.New("a record is not what its length says")
	}
	return &piece{record: r, last: r.Offset, bytes: len(raw)}, nil
}

// large reads a record that is larger than what is held in memory: its key and the beginning of
// its value.
func (b *batches) large(size int64) (*piece, error) {
	in := &io.LimitedReader{R: b.body, N: size}
	v := bufio.NewReader(in)
	if _, err := v.ReadByte(); err != nil { // attributes, unused
		return nil, unexpected(err)
	}
	var n [4]int64 // timestamp delta, offset delta, length of the key, length of the value
	r := &kgo.Record{}
	for i := range n {
		var err error
		if n[i], err = binary.ReadVarint(v); err != nil {
			return nil, unexpected(err)
		}
		if i < 2 || n[i] < 0 {
			continue
		}
		head, err := readAll(nil, v, int(min(n[i], headBytes)))
		if err == nil {
			_, err = io.CopyN(io.Discard, v, n[i]-int64(len(head)))
		}
		if err != nil {
			return nil, unexpected(err)
		}
		if i == 2 {
			r.Key = head
		} else {
			r.Value = head
		}
	}
	if _, err := io.Copy(io.Discard, v); err != nil {
		return nil, err
	}
	if in.N > 0 {
		return nil, io.ErrUnexpectedEOF
	}
	whole := b.made(n[0], int32(n[1]))
	whole.Key, whole.Value = r.Key, append([]byte{}, r.Value...)
	if whole.Offset > b.last() {
		return nil, errors.New("a record is not what its length says")
	}
	return &piece{record: whole, last: whole.Offset, bytes: 2 * headBytes, bad: &schemas.BadInput{
		Reason: schemas.Limit,
		Message: fmt.Sprintf("the record has %d bytes, limits.batch is %d: it is not here whole",
			size, b.max),
	}}, nil
}

func (b *batches) made(sent int64, delta int32) *kgo.Record {
	const appendTime = 0x8
	at := b.batch.FirstTimestamp + sent
	if b.batch.Attributes&appendTime != 0 {
		at = b.batch.MaxTimestamp
	}
	return &kgo.Record{
		Topic: b.at.topic, Partition: b.at.id, Offset: b.batch.FirstOffset + int64(delta),
		Timestamp: time.UnixMilli(at), LeaderEpoch: b.batch.PartitionLeaderEpoch,
	}
}

// readAll reads n bytes into buf, which grows, but not for bytes that do not come.
func readAll(buf []byte, r io.Reader, n int) ([]byte, error) {
	buf = buf[:0]
	for len(buf) < n {
		at := len(buf)
		buf = slices.Grow(buf, min(n-at, max(readStep, at)))
		buf = buf[:at+min(n-at, max(readStep, at))]
		if _, err := io.ReadFull(r, buf[at:]); err != nil {
			return buf, err
		}
	}
	return buf, nil
}

// unexpected is the error of an end where none may be.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// stream opens the records of the batch.
func (b *batches) stream() (io.Reader, func(), error) {
	src := bytes.NewReader(b.batch.Records)
	none := func() {}
	switch b.codec {
	case kgo.CodecNone:
		return src, none, nil
	case kgo.CodecGzip:
		z, err := gzip.NewReader(src)
		return z, none, err
	case kgo.CodecSnappy:
		return &snappyReader{src: b.batch.Records, max: b.max}, none, nil
	case kgo.CodecLz4:
		return lz4.NewReader(src), none, nil
	case kgo.CodecZstd:
		const windowMin = 8 << 20 // what every decoder should take: RFC 8878, section 3.1.1.1.2
		z, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(uint64(max(b.max, windowMin))))
		if err != nil {
			return nil, none, err
		}
		return z, z.Close, nil
	}
	return nil, none, fmt.Errorf("unknown compression codec %d", b.codec)
}

// snappyReader decodes a block at a time.
type snappyReader struct {
	src   []byte
	begun bool
	max   int // bytes of a block
	block []byte
	at    int // of it was read
}

func (r *snappyReader) Read(p []byte) (int, error) {
	for r.at == len(r.block) {
		if len(r.src) == 0 {
			return 0, io.EOF
		}
		block := r.src
		if r.begun || bytes.HasPrefix(r.src, xerialMagic) && len(r.src) > xerialHeaderBytes {
			if !r.begun {
				r.src = r.src[xerialHeaderBytes:]
			}
			r.begun = true
			var err error
			if block, r.src, err = xerialBlock(r.src); err != nil {
				return 0, err
			}
		} else {
			r.src = nil
		}
		n, err := snappySize(block)
		switch {
		case err != nil:
			return 0, err
		case n > r.max:
			return 0, errBatchLarge
		}
		if r.block, err = s2.Decode(r.block[:cap(r.block)], block); err != nil {
			return 0, err
		}
		r.at = 0
	}
	n := copy(p, r.block[r.at:])
	r.at += n
	return n, nil
}
