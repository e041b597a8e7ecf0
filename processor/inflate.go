package processor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A batch of a few hundred bytes can decompress to gigabytes, and a broker takes it:
// max.message.bytes counts what is compressed. So there are two bounds. One batch decompresses into
// no more than limits.batch; a larger one is read record by record (batches). And all that a lane's
// client has decompressed and that no transaction has let go of yet is held below a sum: what does
// not fit is fetched again when there is room.
const (
	batchBytesDefault = 64 << 20
	// inflatedBytesMax is the sum for one lane, unless limits.batch needs more.
	inflatedBytesMax = 256 << 20
	inflatedKeptMax  = 64 << 20 // of it that is kept while nobody needs it
	inflatedClassMin = 64 << 10 // the smallest buffer
	// inflatedClasses, four from one power of two to the next, reach above the largest limits.batch.
	inflatedClasses = 64
	// inflateGuess is how many times as large as it is compressed a batch is taken to be at first.
	inflateGuess = 8
	// snappyRatioMax bounds what snappy can make of a byte: a copy of three bytes gives 64. A length
	// above that is a lie, and nothing is allocated for it.
	snappyRatioMax = 22
)

// errInflatedFull says that there is no room for a batch until others were let go of.
var errInflatedFull = errors.New("no room for a decompressed batch yet")

// errBatchLarge says that a batch has more bytes than it may.
var errBatchLarge = errors.New("it decompresses to more than limits.batch")

// inflater decompresses what one client fetches, into buffers that are used again when every record
// of a batch was recycled. It is kgo's Decompressor and its pool in one.
type inflater struct {
	max    int   // bytes of a batch
	sumMax int64 // bytes of all buffers given out
	// keptMax bounds the bytes of buffers that wait to be used again.
	keptMax int64
	sum     atomic.Int64

	served atomic.Int64 // bytes of all buffers that were ever given out

	mu   sync.Mutex
	free [inflatedClasses][][]byte // to be used again
	kept int64                     // bytes of them, at most keptMax

	gzips sync.Pool // of *gzip.Reader
	lz4s  sync.Pool // of *lz4.Reader
	zstds *zstd.Decoder
}

func newInflater(batchMax int) (*inflater, error) {
	d := &inflater{max: batchMax, sumMax: max(inflatedBytesMax, 3*int64(batchMax)),
		keptMax: inflatedKeptMax}
	var err error
	// DecodeAll writes into the capacity it is given and has no window of its own.
	d.zstds, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true),
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, fmt.Errorf("make a decompressor: %w", err)
	}
	return d, nil
}

// errUnreadable says that a batch cannot be decompressed, now or later.
var errUnreadable = errors.New("a batch cannot be decompressed")

// Decompress is kgo's. What it says of a batch that is too large or damaged is not
// kgo.ErrMaxDecompress: with that the client reads nothing of the partition any more until
// SetOffsets moves it. It says so once, not at all if it throws the fetch away or the partition is
// paused, and SetOffsets moves no partition that stands where it is to go, as one does after an
// abort. With any other error it tries again, until the partition is paused and we look at the
// batch ourselves.
func (d *inflater) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	if codec == kgo.CodecNone {
		return src, nil
	}
	out, err := d.inflate(src, codec)
	if err != nil && !errors.Is(err, errInflatedFull) {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return out, err
}

func (d *inflater) inflate(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	switch codec {
	case kgo.CodecGzip:
		z, ok := d.gzips.Get().(*gzip.Reader)
		if !ok {
			z = new(gzip.Reader)
		}
		defer d.gzips.Put(z)
		if err := z.Reset(bytes.NewReader(src)); err != nil {
			return nil, err
		}
		return d.fill(z, len(src))
	case kgo.CodecLz4:
		if out, ok := d.lz4Blocks(src); ok {
			return out, nil
		}
		z, ok := d.lz4s.Get().(*lz4.Reader)
		if !ok {
			z = lz4.NewReader(nil)
		}
		defer d.lz4s.Put(z)
		z.Reset(bytes.NewReader(src))
		return d.fill(z, len(src))
	case kgo.CodecSnappy:
		return d.snappy(src)
	case kgo.CodecZstd:
		return d.zstd(src)
	}
	return nil, fmt.Errorf("unknown compression codec %d", codec)
}

// fill reads all of r into a buffer that grows.
func (d *inflater) fill(r io.Reader, compressed int) ([]byte, error) {
	buf, err := d.get(min(inflateGuess*compressed, d.max))
	for n := 0; err == nil; {
		var k int
		k, err = r.Read(buf[n:cap(buf)])
		if n += k; n > d.max {
			err = errBatchLarge
		}
		if errors.Is(err, io.EOF) {
			return buf[:n], nil
		}
		if err == nil && n == cap(buf) {
			buf, err = d.grow(buf, cap(buf)+1)
		}
	}
	d.put(buf)
	return nil, err
}

// grow moves a buffer that is too small into one of at least size bytes. It returns the old one
// with an error.
func (d *inflater) grow(full []byte, size int) ([]byte, error) {
	wider, err := d.get(size)
	if err != nil {
		return full, err
	}
	copy(wider, full)
	d.put(full)
	return wider, nil
}

func (d *inflater) snappy(src []byte) ([]byte, error) {
	size := 0
	err := eachSnappyBlock(src, func(block []byte) error {
		n, err := snappySize(block)
		size += n
		if err == nil && size > d.max {
			err = errBatchLarge
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	buf, err := d.get(size)
	if err != nil {
		return nil, err
	}
	at := 0
	err = eachSnappyBlock(src, func(block []byte) error {
		n, err := snappySize(block)
		if err == nil {
			_, err = s2.Decode(buf[at:at+n:at+n], block)
		}
		at += n
		return err
	})
	if err != nil {
		d.put(buf)
		return nil, err
	}
	return buf[:size], nil
}

func (d *inflater) zstd(src []byte) ([]byte, error) {
	guess := inflateGuess * len(src)
	var h zstd.Header
	if h.Decode(src) == nil && h.HasFCS {
		if h.FrameContentSize > uint64(d.max) {
			return nil, errBatchLarge
		}
		guess = int(h.FrameContentSize)
	}
	buf, err := d.get(min(guess, d.max))
	for err == nil {
		var out []byte
		out, err = d.zstds.DecodeAll(src, buf[:0])
		switch {
		case err == nil && len(out) > d.max:
			err = errBatchLarge
		case err == nil:
			return out, nil
		case !errors.Is(err, zstd.ErrDecoderSizeExceeded):
		case cap(buf) >= d.max:
			err = errBatchLarge
		default:
			// What it wrote is not worth a copy: it begins anew with more room.
			d.put(buf)
			buf, err = d.get(min(4*cap(buf), d.max))
		}
	}
	d.put(buf)
	return nil, err
}

// inflatedClass is the class of the buffers for so many bytes, and their size, which is at most a
// quarter more: what is guessed of a full batch is often a little more than a power of two.
func inflatedClass(size int) (class int, room int64) {
	octave := bits.Len(uint(max(size, 1)-1) / inflatedClassMin)
	if octave == 0 {
		return 0, inflatedClassMin
	}
	least := inflatedClassMin << (octave - 1) // less than size, which is at most twice that
	step := least / 4
	steps := (size - least + step - 1) / step
	return 4*(octave-1) + steps, int64(least + steps*step)
}

// get returns a buffer of at least size bytes.
func (d *inflater) get(size int) ([]byte, error) {
	class, room := inflatedClass(size)
	// The only one passes, whatever its size: nothing could make more room for it.
	if sum := d.sum.Add(room); sum > d.sumMax && sum > room {
		d.sum.Add(-room)
		return nil, errInflatedFull
	}
	d.served.Add(room)
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.free[class]); n > 0 {
		b := d.free[class][n-1]
		d.free[class][n-1], d.free[class] = nil, d.free[class][:n-1]
		d.kept -= room
		return b, nil
	}
	return make([]byte, room), nil
}

// put takes a buffer back; nil is fine.
func (d *inflater) put(b []byte) {
	if b = b[:cap(b)]; len(b) == 0 {
		return
	}
	d.sum.Add(-int64(len(b)))
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kept+int64(len(b)) > d.keptMax {
		return
	}
	class, _ := inflatedClass(len(b))
	d.free[class] = append(d.free[class], b)
	d.kept += int64(len(b))
}

// drop lets go of the buffers that wait to be used again.
func (d *inflater) drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free, d.kept = [inflatedClasses][][]byte{}, 0
}

// GetDecompressBytes is kgo's and not called: Decompress takes the buffers itself.
func (d *inflater) GetDecompressBytes([]byte, kgo.CompressionCodecType) []byte { return nil }

// PutDecompressBytes is kgo's: the records of a batch were all recycled.
func (d *inflater) PutDecompressBytes(b []byte) { d.put(b) }

// OnFetchRecordUnbuffered is kgo's hook for a record that leaves the client. One that was not
// polled is gone with a rebalance, and with it what it lay in.
func (d *inflater) OnFetchRecordUnbuffered(r *kgo.Record, polled bool) {
	if !polled {
		r.Recycle()
	}
}

// xerialMagic begins the framing that Java's clients put around blocks of snappy: it, two versions
// of four bytes, then blocks with their lengths, big-endian, in front.
var xerialMagic = []byte{130, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHeaderBytes = 16

// eachSnappyBlock calls f with every block of a framed text, or with all of one that is not framed.
func eachSnappyBlock(src []byte, f func(block []byte) error) error {
	if len(src) <= xerialHeaderBytes || !bytes.HasPrefix(src, xerialMagic) {
		return f(src)
	}
	for src = src[xerialHeaderBytes:]; len(src) > 0; {
		block, rest, err := xerialBlock(src)
		if err == nil {
			err = f(block)
		}
		if err != nil {
			return err
		}
		src = rest
	}
	return nil
}

func xerialBlock(src []byte) (block, rest []byte, err error) {
	const lengthBytes = 4
	if len(src) >= lengthBytes {
		if n := uint64(binary.BigEndian.Uint32(src)); n <= uint64(len(src)-lengthBytes) {
			return src[lengthBytes : lengthBytes+n], src[lengthBytes+n:], nil
		}
	}
	return nil, nil, errors.New("a block of snappy is cut off")
}

// snappySize is the length that a block says it decodes to.
func snappySize(block []byte) (int, error) {
	n, err := s2.DecodedLen(block)
	if err == nil && n > snappyRatioMax*len(block) {
		err = fmt.Errorf("%d bytes of snappy cannot be %d", len(block), n)
	}
	return n, err
}
