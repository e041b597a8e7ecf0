// Package hostile makes input that means harm, for the tests: record batches that a broker takes
// and that are larger than they look or not what they say, and events of the same kind.
package hostile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Batch is a record batch of format 2.
type Batch struct {
	Codec   kgo.CompressionCodecType
	Records []byte // compressed
	Count   int32  // how many records it says it has
	Time    time.Time
}

// Encode returns the bytes of the batch. Its checksum is right.
func (b Batch) Encode() []byte {
	const behindLength = 49 // bytes of a batch's head that its length counts
	at := b.Time.UnixMilli()
	raw := binary.BigEndian.AppendUint64(nil, 0) // first offset
	raw = binary.BigEndian.AppendUint32(raw, uint32(behindLength+len(b.Records)))
	raw = binary.BigEndian.AppendUint32(raw, ^uint32(0)) // leader epoch
	const magic, crcAt, crcEnd = 2, 17, 21
	raw = append(raw, magic, 0, 0, 0, 0)
	raw = binary.BigEndian.AppendUint16(raw, uint16(b.Codec))
	raw = binary.BigEndian.AppendUint32(raw, uint32(b.Count-1)) // last offset delta
	raw = binary.BigEndian.AppendUint64(raw, uint64(at))
	raw = binary.BigEndian.AppendUint64(raw, uint64(at))
	raw = binary.BigEndian.AppendUint64(raw, ^uint64(0)) // producer id
	raw = binary.BigEndian.AppendUint16(raw, ^uint16(0))
	raw = binary.BigEndian.AppendUint32(raw, ^uint32(0))
	raw = binary.BigEndian.AppendUint32(raw, uint32(b.Count))
	raw = append(raw, b.Records...)
	sum := crc32.Checksum(raw[crcEnd:], crc32.MakeTable(crc32.Castagnoli))
	binary.BigEndian.PutUint32(raw[crcAt:], sum)
	return raw
}

// AppendRecord appends a record as it stands in a batch before compression.
func AppendRecord(dst []byte, delta int, key, value []byte) []byte {
	var b bytes.Buffer
	if err := WriteRecord(&b, delta, key, value, 0, nil); err != nil {
		panic(fmt.Sprint("write to memory: ", err))
	}
	return append(dst, b.Bytes()...)
}

// WriteRecord writes a record whose value is head, so many letters, and tail: of any size, in
// little memory.
func WriteRecord(w io.Writer, delta int, key, head []byte, letters int64, tail []byte) error {
	front := []byte{0}                    // attributes
	front = binary.AppendVarint(front, 0) // timestamp delta
	front = binary.AppendVarint(front, int64(delta))
	front = binary.AppendVarint(front, int64(len(key)))
	front = append(front, key...)
	front = binary.AppendVarint(front, int64(len(head)+len(tail))+letters)
	front = append(front, head...)
	tail = binary.AppendVarint(bytes.Clone(tail), 0) // headers
	size := binary.AppendVarint(nil, int64(len(front)+len(tail))+letters)
	if _, err := w.Write(append(size, front...)); err != nil {
		return err
	}
	if _, err := io.CopyN(w, &alike{}, letters); err != nil {
		return err
	}
	_, err := w.Write(tail)
	return err
}

// alike is a text of one letter without an end.
type alike struct{}

func (*alike) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

// Compress compresses what write writes as a producer of that codec would. Snappy has the frames of
// Java's clients.
func Compress(codec kgo.CompressionCodecType, write func(io.Writer) error) ([]byte, error) {
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch codec {
	case kgo.CodecNone:
		w = nopCloser{&out}
	case kgo.CodecGzip:
		w, err = gzip.NewWriterLevel(&out, gzip.BestSpeed)
	case kgo.CodecSnappy:
		w = &xerial{dst: &out}
	case kgo.CodecLz4:
		w = lz4.NewWriter(&out)
	case kgo.CodecZstd:
		w, err = zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1),
			zstd.WithEncoderLevel(zstd.SpeedFastest))
	default:
		err = fmt.Errorf("unknown codec %d", codec)
	}
	if err != nil {
		return nil, err
	}
	// lz4's own ReadFrom does not go with writes before it.
	if err := write(struct{ io.Writer }{w}); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// xerial writes snappy in blocks with their lengths in front.
type xerial struct {
	dst *bytes.Buffer
	buf []byte
}

const xerialBlockBytes = 32 << 10

func (w *xerial) Write(p []byte) (int, error) {
	w.buf = append(w.buf, p...)
	for len(w.buf) >= xerialBlockBytes {
		w.flush(w.buf[:xerialBlockBytes])
		w.buf = w.buf[:copy(w.buf, w.buf[xerialBlockBytes:])]
	}
	return len(p), nil
}

func (w *xerial) flush(block []byte) {
	if w.dst.Len() == 0 {
		w.dst.Write([]byte{130, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1})
	}
	packed := s2.EncodeSnappy(nil, block)
	w.dst.Write(binary.BigEndian.AppendUint32(nil, uint32(len(packed))))
	w.dst.Write(packed)
}

func (w *xerial) Close() error {
	if len(w.buf) > 0 {
		w.flush(w.buf)
	}
	return nil
}

// Lie is a compressed text that is not what it says.
type Lie struct {
	Name  string
	Codec kgo.CompressionCodecType
	Bytes []byte
}

// Lies returns texts that claim to be far larger than they are, or that break off.
func Lies() []Lie {
	// A block of snappy that says it has 4 GiB - 1, alone and in a frame.
	block := append(binary.AppendUvarint(nil, 1<<32-1), 0, 'a')
	frame := append([]byte{130, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1},
		binary.BigEndian.AppendUint32(nil, uint32(len(block)))...)
	// Frames of zstd (RFC 8878, section 3.1.1): a window of 2 GiB + 1/8, and a content of 2^62
	// bytes, with a last raw block of one byte behind.
	const zstdMagic = "\x28\xb5\x2f\xfd"
	last := "\x09\x00\x00a"
	content := string(binary.LittleEndian.AppendUint64(nil, 1<<62))
	// A frame of lz4 with the flag of a content size, which it says to be 2^62; the checksum of the
	// descriptor is not looked at before its size is.
	lz4Frame := "\x04\x22\x4d\x18\x68\x70" + content + "\x00" +
		"\x01\x00\x00\x80a" + "\x00\x00\x00\x00"
	return []Lie{
		{"SnappyLength", kgo.CodecSnappy, block},
		{"SnappyLengthFramed", kgo.CodecSnappy, append(frame, block...)},
		{"SnappyFrameLength", kgo.CodecSnappy, append(frame[:16:16], 0xff, 0xff, 0xff, 0xff, 0)},
		{"ZstdWindow", kgo.CodecZstd, []byte(zstdMagic + "\x00\xa9" + last)},
		{"ZstdContentSize", kgo.CodecZstd, []byte(zstdMagic + "\xe0" + content + last)},
		{"Lz4ContentSize", kgo.CodecLz4, []byte(lz4Frame)},
		{"GzipBreaksOff", kgo.CodecGzip, []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")},
		{"NothingAtAll", kgo.CodecZstd, []byte{}},
		{"NoCodecOfTheName", kgo.CodecGzip, []byte("these are not the bytes of a gzip stream")},
	}
}
