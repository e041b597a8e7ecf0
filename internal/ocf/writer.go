package ocf

import (
	"encoding/binary"
	"io"
)

// blockBytes is how large a block becomes before it is compressed.
const blockBytes = 64 << 10

// Writer writes a file.
type Writer struct {
	w     io.Writer
	sync  [syncBytes]byte
	codec *compressor
	count int64
	block []byte
	out   []byte
}

// NewWriter writes a header. Nothing of the file depends on chance: whoever gives the same marker
// writes the same bytes.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	codec, err := newCompressor(h.Codec)
	if err != nil {
		return nil, err
	}
	b := []byte(Magic)
	b = binary.AppendVarint(b, 2)
	for _, pair := range [...][2]string{{keyCodec, h.Codec}, {keySchema, h.Schema}} {
		for _, text := range pair {
			b = binary.AppendVarint(b, int64(len(text)))
			b = append(b, text...)
		}
	}
	b = binary.AppendVarint(b, 0)
	b = append(b, h.Sync[:]...)
	_, err = w.Write(b)
	return &Writer{w: w, sync: h.Sync, codec: codec}, err
}

// Append adds an object, in Avro's binary encoding.
func (w *Writer) Append(object []byte) error {
	// A large object is a block by itself, which is not copied.
	if len(object) >= blockBytes {
		if err := w.Flush(); err != nil {
			return err
		}
		return w.write(1, object)
	}
	w.block = append(w.block, object...)
	w.count++
	if len(w.block) < blockBytes {
		return nil
	}
	return w.Flush()
}

// Flush ends the block, if there is anything in it. It must be called at the end.
func (w *Writer) Flush() error {
	if w.count == 0 {
		return nil
	}
	err := w.write(w.count, w.block)
	w.count, w.block = 0, w.block[:0]
	return err
}

// write writes a block of so many objects.
func (w *Writer) write(count int64, block []byte) error {
	packed, err := w.codec.compress(w.out[:0], block)
	if err != nil {
		return err
	}
	if w.codec.name != "null" && cap(packed) <= 4*blockBytes {
		w.out = packed // what a large one took is not kept
	}
	head := binary.AppendVarint(nil, count)
	head = binary.AppendVarint(head, int64(len(packed)))
	for _, b := range [][]byte{head, packed, w.sync[:]} {
		if _, err := w.w.Write(b); err != nil {
			return err
		}
	}
	return nil
}
