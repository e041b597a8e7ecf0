package processor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"sync"

	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

// lz4Workers bounds the goroutines that compress one batch.
const lz4Workers = 4

// lz4Batches is kgo's Compressor for lz4. It leaves out the checksum of the frame, a fifth of the
// work: a batch has its own. And it compresses the blocks of a batch side by side, of 64 KiB each
// as Java's clients make them: a client makes its batches one after the other, and the end of a
// transaction waits for them.
type lz4Batches struct{ writers sync.Pool } // of *lz4.Writer

// compression is how the client compresses.
func compression(codec kgo.CompressionCodec) kgo.ProducerOpt {
	if codec == kgo.Lz4Compression() {
		return kgo.WithCompressor(newLz4Batches())
	}
	return kgo.ProducerBatchCompression(codec, kgo.NoCompression())
}

func newLz4Batches() *lz4Batches {
	options := []lz4.Option{
		lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false),
		lz4.ConcurrencyOption(min(runtime.GOMAXPROCS(0), lz4Workers)),
	}
	return &lz4Batches{sync.Pool{New: func() any {
		w := lz4.NewWriter(nil)
		_ = w.Apply(options...) // without them it compresses too
		return w
	}}}
}

// Compress is kgo's.
func (c *lz4Batches) Compress(
	dst *bytes.Buffer, src []byte, _ ...kgo.CompressFlag,
) ([]byte, kgo.CompressionCodecType) {
	w := c.writers.Get().(*lz4.Writer)
	defer c.writers.Put(w)
	w.Reset(dst)
	_, err := w.Write(src)
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, kgo.CodecError
	}
	return dst.Bytes(), kgo.CodecLz4
}

// lz4Blocks decompresses the usual frame: blocks that stand alone, each into its place. Anything
// else, damage too, is left to the library's reader, which copies what it decompresses and computes
// the checksum of the frame anew (false). The format:
// https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
func (d *inflater) lz4Blocks(src []byte) ([]byte, bool) {
	f, ok := lz4Head(src)
	if !ok {
		return nil, false
	}
	buf, err := d.get(min(inflateGuess*len(src), d.max))
	for at := 0; err == nil; {
		block, packed, ok := f.next()
		if !ok {
			break
		}
		if block == nil {
			return buf[:at], true
		}
		buf, at, err = d.lz4Block(buf, at, block, packed, f.blockMax)
	}
	d.put(buf)
	return nil, false
}

// lz4Block appends a block to the first at bytes of buf. The buffer it returns is to be put back,
// with an error too.
func (d *inflater) lz4Block(
	buf []byte, at int, block []byte, packed bool, most int,
) ([]byte, int, error) {
	for {
		room := buf[at:min(cap(buf), d.max, at+most)]
		var n int
		var err error
		switch {
		case packed:
			n, err = lz4.UncompressBlock(block, room)
		case len(block) <= len(room):
			n = copy(room, block)
		default:
			err = lz4.ErrInvalidSourceShortBuffer
		}
		if err == nil || len(room) >= most || cap(buf) >= d.max {
			return buf, at + n, err
		}
		if buf, err = d.grow(buf, min(2*cap(buf), d.max)); err != nil {
			return buf, at, err
		}
	}
}

// lz4Frame is what is left of a frame of blocks.
type lz4Frame struct {
	rest     []byte
	blockMax int
	blockSum bool // each block is followed by its checksum
	sum      bool // the last one is followed by that of the content
}

const lz4SumBytes = 4

// lz4Head reads the head of a frame; false: it is not one of the usual.
func lz4Head(src []byte) (lz4Frame, bool) {
	const (
		magic     = 0x184d2204
		headBytes = 7
		usual     = 0x60 // version 1, blocks that stand alone
		blockSum  = 0x10
		sum       = 0x04
	)
	if len(src) < headBytes || binary.LittleEndian.Uint32(src) != magic {
		return lz4Frame{}, false
	}
	flags, size := src[4], src[5]>>4 // 4 is 64 KiB, each more is four times as much
	if flags&^(blockSum|sum) != usual || src[5]&0x8f != 0 || size < 4 {
		return lz4Frame{}, false
	}
	return lz4Frame{src[headBytes:], 1 << (8 + 2*size), flags&blockSum != 0, flags&sum != 0}, true
}

// next returns the next block and whether it is compressed; nil behind the last one; false if the
// frame is damaged or something follows it.
func (f *lz4Frame) next() (block []byte, packed, ok bool) {
	const lengthBytes, stored = 4, 1 << 31
	if len(f.rest) < lengthBytes {
		return nil, false, false
	}
	length := binary.LittleEndian.Uint32(f.rest)
	f.rest = f.rest[lengthBytes:]
	if length == 0 {
		return nil, false, len(f.rest) == sumBytesIf(f.sum)
	}
	packed = length&stored == 0
	n := int(length &^ stored)
	end := n + sumBytesIf(f.blockSum)
	if n == 0 || n > f.blockMax || end > len(f.rest) {
		return nil, false, false
	}
	block, f.rest = f.rest[:n], f.rest[end:]
	return block, packed, true
}

func sumBytesIf(is bool) int {
	if is {
		return lz4SumBytes
	}
	return 0
}
