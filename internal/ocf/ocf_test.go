package ocf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/linkedin/goavro/v2"
)

// Container files come from other programs, whole, cut off and forged. What goavro writes is read
// and what is written here goavro reads; anything else is refused with the place, and costs no more
// room than the file has bytes.

const schema = `{"type":"record","name":"r","fields":[{"name":"s","type":"string"}]}`

// texts are the objects of a file: a few blocks of them.
func texts() (all []string) {
	for i := range 4000 {
		all = append(all, fmt.Sprintf("object %d %s", i, strings.Repeat("x", i%100)))
	}
	return append(all, "")
}

// object is a text as a record of the schema.
func object(text string) []byte {
	return append(binary.AppendVarint(nil, int64(len(text))), text...)
}

// readAll reads the texts of a file.
func readAll(file []byte) (all []string, err error) {
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for {
		b, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		for data := b.Data; len(data) > 0; {
			n, w := binary.Varint(data)
			all, data = append(all, string(data[w:w+int(n)])), data[w+int(n):]
		}
	}
}

// written is a file of the texts.
func written(t *testing.T, codec string) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := NewWriter(&file, Header{Schema: schema, Codec: codec, Sync: [16]byte{1, 2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range texts() {
		if err := w.Append(object(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Flush(), w.Flush()); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func same(t *testing.T, what string, got []string, err error) {
	t.Helper()
	want := texts()
	if err != nil || len(got) != len(want) {
		t.Fatalf("%s: %d objects, want %d: %v", what, len(got), len(want), err)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%s: object %d is %q, want %q", what, i, got[i], want[i])
		}
	}
}

func TestFiles_AreWhatGoavroReadsAndWrites(t *testing.T) {
	for _, codec := range []string{"null", "deflate", "snappy"} {
		r, err := goavro.NewOCFReader(bytes.NewReader(written(t, codec)))
		if err != nil {
			t.Fatalf("%s: %v", codec, err)
		}
		var got []string
		for r.Scan() {
			native, err := r.Read()
			if err != nil {
				t.Fatalf("%s: %v", codec, err)
			}
			got = append(got, native.(map[string]any)["s"].(string))
		}
		same(t, codec+" read by goavro", got, r.Err())
		if r.CompressionName() != codec {
			t.Errorf("%s: it says %s", codec, r.CompressionName())
		}

		var file bytes.Buffer
		w, err := goavro.NewOCFWriter(goavro.OCFConfig{W: &file, Schema: schema, CompressionName: codec})
		if err != nil {
			t.Fatal(err)
		}
		var natives []any
		for _, text := range texts() {
			natives = append(natives, map[string]any{"s": text})
		}
		for len(natives) > 0 {
			n := min(len(natives), 700)
			if err := w.Append(natives[:n]); err != nil {
				t.Fatal(err)
			}
			natives = natives[n:]
		}
		got, err = readAll(file.Bytes())
		same(t, codec+" written by goavro", got, err)
	}
}

func TestFiles_AreReadAsTheyWereWritten(t *testing.T) {
	for _, codec := range codecs() {
		file := written(t, codec)
		got, err := readAll(file)
		same(t, codec, got, err)
		if !bytes.Equal(file, written(t, codec)) {
			t.Errorf("%s: the same objects make another file", codec)
		}
	}
}

// However a file is cut off, what is in front of the cut comes out, and the error says where.
func TestReader_NamesWhereAFileEndsTooEarly(t *testing.T) {
	for _, codec := range codecs() {
		file := written(t, codec)
		whole := 0
		for cut := 0; cut < len(file); cut += 1 + len(file)/99 {
			got, err := readAll(file[:cut])
			var fault *Fault
			switch {
			case err == nil:
				whole++ // between two blocks
			case !errors.As(err, &fault) || !strings.Contains(err.Error(), "ends in it"):
				t.Fatalf("%s cut at %d: %v", codec, cut, err)
			}
			for i, text := range texts()[:len(got)] {
				if got[i] != text {
					t.Fatalf("%s cut at %d: object %d is %q", codec, cut, i, got[i])
				}
			}
		}
		if whole > 3 {
			t.Errorf("%s: %d cuts were not found out", codec, whole)
		}
	}
}

// A bit that fell over is found by the marker, the checksum or the compression, or is in an object;
// it never takes the program down.
func TestReader_SurvivesEveryBit(t *testing.T) {
	for _, codec := range codecs() {
		file := written(t, codec)
		refused := 0
		for at := 0; at < len(file); at += 1 + len(file)/199 {
			broken := bytes.Clone(file)
			broken[at] ^= 1 << (at % 8)
			r, err := NewReader(bytes.NewReader(broken))
			for err == nil {
				_, err = r.Next()
			}
			if !errors.Is(err, io.EOF) {
				refused++
				if fault := (*Fault)(nil); !errors.As(err, &fault) {
					t.Fatalf("%s, byte %d: %v", codec, at, err)
				}
			}
		}
		// null and deflate have no checksum.
		if (codec == "snappy" || codec == "zstandard") && refused < 180 {
			t.Errorf("%s: %d of 200 were found out", codec, refused)
		}
	}
}

// forged is a file of one block that lies.
func forged(codec string, count, size int64, block []byte) []byte {
	var file bytes.Buffer
	w, err := NewWriter(&file, Header{Schema: schema, Codec: "null"})
	if err != nil {
		panic(err)
	}
	b := bytes.Replace(file.Bytes(), []byte("\x08null"), append(binary.AppendVarint(nil,
		int64(len(codec))), codec...), 1)
	b = binary.AppendVarint(b, count)
	b = binary.AppendVarint(b, size)
	b = append(b, block...)
	return append(b, w.sync[:]...)
}

func TestReader_AllocatesForNoClaim(t *testing.T) {
	zeros := make([]byte, BlockBytesMax+1)
	bombs := map[string][]byte{}
	for _, codec := range []string{"deflate", "zstandard"} {
		c, err := newCompressor(codec)
		if err != nil {
			t.Fatal(err)
		}
		if bombs[codec], err = c.compress(nil, zeros); err != nil {
			t.Fatal(err)
		}
		c.close()
	}
	snappy := append(binary.AppendUvarint(nil, 1<<30), make([]byte, 8)...)
	for name, c := range map[string]struct {
		file []byte
		want string
		room uint64 // bytes
	}{
		"a size that is not there": {forged("null", 1, BlockBytesMax, nil), "ends in it", 2 << 20},
		"a size beyond the limit":  {forged("null", 1, 1<<40, nil), "want at most", 2 << 20},
		"a negative size":          {forged("null", 1, -1, nil), "neither is negative", 2 << 20},
		"a negative count":         {forged("null", -1, 1, []byte{0}), "-1 objects", 2 << 20},
		"a count of nothing":       {forged("null", 1<<62, 1, []byte{0}), "cannot be so many", 2 << 20},
		"snappy that claims":       {forged("snappy", 1, 13, snappy), "expand it", 2 << 20},
		"a bomb of deflate": {forged("deflate", 1, int64(len(bombs["deflate"])), bombs["deflate"]),
			"larger than", 2 << 20},
		"a bomb of zstandard": {forged("zstandard", 1, int64(len(bombs["zstandard"])),
			bombs["zstandard"]), "larger than", 6 * BlockBytesMax},
		"another codec": {forged("xz", 1, 1, []byte{0}), `its codec is "xz"`, 2 << 20},
		"a header too big": {append([]byte(Magic), binary.AppendVarint([]byte{2}, 1<<30)...),
			"longer than", 2 << 20},
		"an endless count": {append([]byte(Magic), bytes.Repeat([]byte{0xff}, 20)...),
			"64 bits", 2 << 20},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := readAll(c.file)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if room := after.TotalAlloc - before.TotalAlloc; room > c.room {
			t.Errorf("%s: %d bytes allocated", name, room)
		}
	}
}

// What is read into grows to the size of the block and no further, and is there once.
func TestReader_ALargeBlockIsHeldOnce(t *testing.T) {
	const size = 16<<20 + 1
	for codec, most := range map[string]uint64{
		"null": 4 * size, "deflate": 2 * size, "snappy": 2 * size,
	} {
		c, err := newCompressor(codec)
		if err != nil {
			t.Fatal(err)
		}
		packed, err := c.compress(nil, make([]byte, size))
		if err != nil {
			t.Fatal(err)
		}
		file := forged(codec, 1, int64(len(packed)), packed)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := NewReader(bytes.NewReader(file))
		if err == nil {
			_, err = r.Next()
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; err != nil || took > most+1<<20 {
			t.Errorf("%s: %v, %d bytes allocated for a block of %d", codec, err, took, size)
		}
	}
}

// What the input says of itself is no damage of the file.
func TestReader_ReturnsTheInputsError(t *testing.T) {
	gone := errors.New("the disk is gone")
	file := written(t, "null")
	for _, at := range []int{0, 3, 30, len(file) / 2, len(file) - 1} {
		r, err := NewReader(io.MultiReader(bytes.NewReader(file[:at]), failing{gone}))
		for err == nil {
			_, err = r.Next()
		}
		if fault := (*Fault)(nil); !errors.Is(err, gone) || errors.As(err, &fault) {
			t.Errorf("at %d: %v", at, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
