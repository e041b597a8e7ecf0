package ocf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"unicode/utf8"
)

// Reader reads a file block by block.
type Reader struct {
	Header Header

	in     *bufio.Reader
	read   int64 // bytes
	number int64 // of the last block, from 1
	codec  *compressor
	raw    []byte
	block  []byte
}

// Block is a block of a file.
type Block struct {
	Number int64  // from 1
	Offset int64  // where it begins in the file, in bytes
	Count  int64  // of objects, at least one
	Data   []byte // they, one behind the other; valid until the next block is read
}

// Damaged is what is wrong with the objects of a block.
func (b *Block) Damaged(err error) error {
	return &Fault{Block: b.Number, Offset: b.Offset, Err: err}
}

// Fault says where a file is damaged.
type Fault struct {
	Block  int64 // from 1; 0: the header
	Offset int64 // where that begins in the file, in bytes
	Err    error
}

func (f *Fault) Error() string {
	if f.Block == 0 {
		return fmt.Sprintf("header of the Avro container: %v", f.Err)
	}
	return fmt.Sprintf("block %d at byte %d: %v", f.Block, f.Offset, f.Err)
}

func (f *Fault) Unwrap() error { return f.Err }

// NewReader reads the header. An error is a *Fault, or the input's.
func NewReader(in io.Reader) (*Reader, error) {
	const buffered = 256 << 10
	r := &Reader{in: bufio.NewReaderSize(in, buffered)}
	if err := r.header(); err != nil {
		return nil, r.fault(0, err)
	}
	var err error
	if r.codec, err = newCompressor(r.Header.Codec); err != nil {
		return nil, r.fault(0, damage{err})
	}
	return r, nil
}

// Read is how much of the file has been read, in bytes.
func (r *Reader) Read() int64 { return r.read }

// Close frees what the codec needs.
func (r *Reader) Close() { r.codec.close() }

// damage is an error of the file itself, not of reading it.
type damage struct{ error }

func damaged(format string, args ...any) error { return damage{fmt.Errorf(format, args...)} }

// fault makes a *Fault of what is wrong with the file. Where the input ends too early, so it is.
func (r *Reader) fault(offset int64, err error) error {
	var d damage
	switch {
	case errors.As(err, &d):
		err = d.error
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = fmt.Errorf("the file ends in it, at byte %d", r.read)
	default:
		return err
	}
	return &Fault{Block: r.number, Offset: offset, Err: err}
}

func (r *Reader) header() error {
	magic := make([]byte, len(Magic))
	if err := r.fill(magic); err != nil {
		return err
	}
	if string(magic) != Magic {
		return damaged("it does not begin with %q", Magic)
	}
	values := map[string][]byte{}
	for {
		count, err := r.long()
		if err != nil {
			return err
		}
		if count == 0 {
			break
		}
		if count < 0 { // its size, which we need not know
			if _, err := r.long(); err != nil {
				return err
			}
			count = -count
		}
		// Each pair takes two bytes at least: a count that lies ends with the bytes.
		for ; count != 0; count-- {
			key, err := r.bytes()
			if err != nil {
				return err
			}
			value, err := r.bytes()
			if err != nil {
				return err
			}
			values[string(key)] = value
		}
	}
	if err := r.fill(r.Header.Sync[:]); err != nil {
		return err
	}
	schema, ok := values[keySchema]
	if !ok || !utf8.Valid(schema) {
		return damaged("no %s, which is text", keySchema)
	}
	r.Header.Schema, r.Header.Codec = string(schema), "null"
	if codec, ok := values[keyCodec]; ok {
		r.Header.Codec = string(codec)
	}
	return nil
}

// Next reads a block, io.EOF behind the last one. An error is a *Fault, or the input's.
func (r *Reader) Next() (Block, error) {
	offset := r.read
	if _, err := r.in.Peek(1); err != nil {
		return Block{}, err
	}
	r.number++
	b, err := r.next()
	if err != nil {
		return Block{}, r.fault(offset, err)
	}
	b.Number, b.Offset = r.number, offset
	return b, nil
}

func (r *Reader) next() (b Block, err error) {
	if b.Count, err = r.long(); err != nil {
		return b, err
	}
	size, err := r.long()
	if err != nil {
		return b, err
	}
	if b.Count < 0 || size < 0 {
		return b, damaged("%d objects in %d bytes: neither is negative: the block is damaged, or it "+
			"is no block and follows the last one", b.Count, size)
	}
	if size > BlockBytesMax {
		return b, damaged("%d objects in %d bytes: want at most %d bytes", b.Count, size, BlockBytesMax)
	}
	if r.raw, err = r.take(r.raw[:0], size); err != nil {
		return b, err
	}
	var sync [syncBytes]byte
	if err := r.fill(sync[:]); err != nil {
		return b, err
	}
	if sync != r.Header.Sync {
		return b, damaged("the marker behind it is not that of the file")
	}
	if r.block, err = r.codec.expand(r.block[:0], r.raw); err != nil {
		return b, damaged("expand it (%s): %w", r.codec.name, err)
	}
	if int64(len(r.block)) < b.Count {
		return b, damaged("%d objects in %d bytes: there cannot be so many", b.Count, len(r.block))
	}
	b.Data = r.block
	return b, nil
}

// bytes reads bytes with their length, of a header.
func (r *Reader) bytes() ([]byte, error) {
	n, err := r.long()
	if err != nil {
		return nil, err
	}
	if n < 0 || r.read+n > HeaderBytesMax {
		return nil, damaged("it is longer than %d bytes", HeaderBytesMax)
	}
	return r.take(nil, n)
}

// take reads so many bytes into dst, which is empty. Room is made as they come: twice what is
// there, at most what is asked.
func (r *Reader) take(dst []byte, n int64) ([]byte, error) {
	const first = 64 << 10
	for int64(len(dst)) < n {
		if len(dst) == cap(dst) {
			room := min(n, max(first, 2*int64(cap(dst))))
			dst = append(make([]byte, 0, room), dst...)
		}
		part := dst[len(dst):min(int64(cap(dst)), n)]
		if err := r.fill(part); err != nil {
			return dst, err
		}
		dst = dst[:len(dst)+len(part)]
	}
	return dst, nil
}

func (r *Reader) fill(b []byte) error {
	n, err := io.ReadFull(r.in, b)
	r.read += int64(n)
	return err
}

// long reads a number as Avro writes it.
func (r *Reader) long() (int64, error) {
	counter := byteCounter{r: r}
	n, err := binary.ReadVarint(&counter)
	if err != nil && counter.err == nil {
		err = damaged("a number of more than 64 bits")
	}
	return n, err
}

type byteCounter struct {
	r   *Reader
	err error // of the input
}

func (c *byteCounter) ReadByte() (b byte, err error) {
	if b, err = c.r.in.ReadByte(); err == nil {
		c.r.read++
	}
	c.err = err
	return b, err
}

func checksum(b []byte) (sum [checksumBytes]byte) {
	binary.BigEndian.PutUint32(sum[:], crc32.ChecksumIEEE(b))
	return sum
}
