// Package ocf reads and writes Avro object container files (Avro 1.12, "Object Container Files") by
// the block. What an object is it does not know: see schemas.
//
// It trusts no file: nothing is allocated for what a length claims, a block may take so much room
// and no more, compressed and not, and a damaged one is named. goavro, whose reader and writer are
// the reference in tests, does none of that, and writes the entries of maps in another order each
// time.
package ocf

import (
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// Magic is what a container file begins with.
const Magic = "Obj\x01"

// Limits of a file.
const (
	HeaderBytesMax = 4 << 20  // of the header, with the schema
	BlockBytesMax  = 64 << 20 // of a block, before and after decompression
)

// syncBytes is the size of the marker behind the header and each block.
const syncBytes = 16

// The keys of a header.
const (
	keySchema = "avro.schema"
	keyCodec  = "avro.codec"
)

// Header is what a file says of itself.
type Header struct {
	Schema string // JSON text
	Codec  string // null, deflate, snappy, zstandard
	Sync   [syncBytes]byte
}

// codecs are those that can be read and written.
func codecs() []string { return []string{"null", "deflate", "snappy", "zstandard"} }

// compressor is what a reader and a writer keep of a codec.
type compressor struct {
	name    string
	deflate *flate.Writer
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

func newCompressor(name string) (c *compressor, err error) {
	c = &compressor{name: name}
	switch name {
	case "null", "snappy":
	case "deflate":
		c.deflate, err = flate.NewWriter(io.Discard, flate.DefaultCompression)
	case "zstandard":
		c.encoder, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
		if err == nil {
			c.decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1),
				zstd.WithDecoderMaxMemory(BlockBytesMax))
		}
	default:
		err = fmt.Errorf("its codec is %q: want one of %q", name, codecs())
	}
	return c, err
}

// expand returns what a block held before it was compressed: in dst if there is room, or the block
// itself.
func (c *compressor) expand(dst, block []byte) ([]byte, error) {
	switch c.name {
	case "deflate":
		return c.inflate(dst, block)
	case "snappy":
		return expandSnappy(dst, block)
	case "zstandard":
		out, err := c.decoder.DecodeAll(block, dst)
		if errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
			err = errTooLarge
		}
		return out, err
	}
	return block, nil
}

// compress returns a block compressed, in dst if there is room, or the block itself.
func (c *compressor) compress(dst, block []byte) ([]byte, error) {
	switch c.name {
	case "deflate":
		w := appender{dst}
		c.deflate.Reset(&w)
		_, err := c.deflate.Write(block)
		return w.to, errors.Join(err, c.deflate.Close())
	case "snappy":
		return compressSnappy(dst, block), nil
	case "zstandard":
		return c.encoder.EncodeAll(block, dst), nil
	}
	return block, nil
}

// close ends what a codec may have running.
func (c *compressor) close() {
	if c.decoder != nil {
		c.decoder.Close()
	}
}

var errTooLarge = fmt.Errorf("it is larger than %d bytes", BlockBytesMax)

// inflate reads no further than a block may be large. It reads twice: first how much there is,
// which takes no memory, and then that into memory of this size.
func (c *compressor) inflate(dst, block []byte) ([]byte, error) {
	in := flate.NewReader(&bytesReader{block})
	n, err := io.Copy(io.Discard, io.LimitReader(in, BlockBytesMax+1))
	if err == nil && n > BlockBytesMax {
		err = errTooLarge
	}
	if err := errors.Join(err, in.Close()); err != nil {
		return nil, err
	}
	in = flate.NewReader(&bytesReader{block})
	dst = roomOf(dst, n)[:n]
	_, err = io.ReadFull(in, dst)
	return dst, errors.Join(err, in.Close())
}

// roomOf is a buffer with room for n bytes: b, or one of just that size.
func roomOf(b []byte, n int64) []byte {
	if int64(cap(b)) >= n {
		return b[:0]
	}
	return make([]byte, 0, n)
}

type appender struct{ to []byte }

func (a *appender) Write(b []byte) (int, error) {
	a.to = append(a.to, b...)
	return len(b), nil
}

// bytesReader reads bytes one by one too, so that nothing is buffered once more.
type bytesReader struct{ b []byte }

func (r *bytesReader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	return n, nil
}

func (r *bytesReader) ReadByte() (byte, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c, nil
}

// A block of snappy ends with a checksum of what it held: CRC-32, the big end first.
const checksumBytes = 4

func expandSnappy(dst, block []byte) ([]byte, error) {
	if len(block) < checksumBytes {
		return nil, errors.New("it is too short for its checksum")
	}
	packed, sum := block[:len(block)-checksumBytes], block[len(block)-checksumBytes:]
	n, err := s2.DecodedLen(packed)
	if err != nil {
		return nil, err
	}
	if n > BlockBytesMax {
		return nil, errTooLarge
	}
	// Snappy makes at most 64 bytes of 3: what claims more lies.
	if n > 32*len(packed)+64 {
		return nil, fmt.Errorf("%d bytes cannot hold the %d that they claim", len(packed), n)
	}
	out, err := s2.Decode(roomOf(dst, int64(n))[:n], packed)
	if err != nil {
		return nil, err
	}
	if checksum(out) != [checksumBytes]byte(sum) {
		return nil, errors.New("its checksum does not fit")
	}
	return out, nil
}

func compressSnappy(dst, block []byte) []byte {
	sum := checksum(block)
	dst = s2.EncodeSnappy(dst[:cap(dst)], block)
	return append(dst, sum[:]...)
}
