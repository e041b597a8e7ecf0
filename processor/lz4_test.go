package processor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

// text compresses somewhat.
func text(seed uint64, size int) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	var b []byte
	for len(b) < size {
		b = fmt.Appendf(b, `{"messageId":"%x","event":"Order Completed"}`, r.Uint64())
	}
	return b[:size]
}

func TestLz4Batches_AnyReaderReads(t *testing.T) {
	c := newLz4Batches()
	var wg sync.WaitGroup
	for i, size := range []int{0, 1, 1000, 256 << 10, 256<<10 + 1, 1 << 20, 5 << 20} {
		wg.Go(func() {
			want := text(uint64(i), size)
			out, codec := c.Compress(new(bytes.Buffer), want)
			if codec != kgo.CodecLz4 || size > 1000 && len(out) > size {
				t.Errorf("%d bytes become %d of codec %d", size, len(out), codec)
			}
			got, err := io.ReadAll(lz4.NewReader(bytes.NewReader(out)))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes come back as %d, error %v", size, len(got), err)
			}
		})
	}
	wg.Wait()
}

// lz4Written is a text in frames as clients write them.
func lz4Written(t testing.TB, want []byte, options ...lz4.Option) []byte {
	t.Helper()
	var out bytes.Buffer
	w := lz4.NewWriter(&out)
	err := w.Apply(options...)
	if err == nil {
		_, err = w.Write(want)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestInflater_Lz4BlocksIntoTheirPlace(t *testing.T) {
	random := make([]byte, 300<<10)
	for i, r := 0, rand.New(rand.NewPCG(1, 1)); i < len(random); i++ {
		random[i] = byte(r.Uint32())
	}
	texts := map[string][]byte{
		"Nothing": {}, "Short": []byte("a"), "Text": text(7, 3<<20), "Random": random,
		"Repeated": bytes.Repeat([]byte("event"), 600<<10),
	}
	for name, want := range texts {
		for _, size := range []lz4.BlockSize{
			lz4.Block64Kb, lz4.Block256Kb, lz4.Block1Mb, lz4.Block4Mb,
		} {
			for _, sums := range []bool{false, true} {
				t.Run(fmt.Sprint(name, "/", size, "/", sums), func(t *testing.T) {
					src := lz4Written(t, want, lz4.BlockSizeOption(size), lz4.ChecksumOption(sums),
						lz4.BlockChecksumOption(sums))
					d := testInflater(t, 4<<20)
					out, ok := d.lz4Blocks(src)
					if !ok || !bytes.Equal(out, want) {
						t.Fatalf("%d bytes of %d, %v", len(out), len(want), ok)
					}
					d.PutDecompressBytes(out)
					if d.sum.Load() != 0 {
						t.Errorf("%d bytes are still counted", d.sum.Load())
					}
				})
			}
		}
	}
}

func TestInflater_Lz4FramesThatAreNotUsual(t *testing.T) {
	want := text(3, 200<<10)
	sized := lz4Written(t, want, lz4.SizeOption(uint64(len(want))))
	twice := append(lz4Written(t, want), lz4Written(t, want)...)
	for name, c := range map[string]struct {
		src  []byte
		want []byte
	}{
		"Sized": {sized, want},
		"Two":   {twice, append(bytes.Clone(want), want...)},
	} {
		t.Run(name, func(t *testing.T) {
			d := testInflater(t, 4<<20)
			if _, ok := d.lz4Blocks(c.src); ok {
				t.Error("it is taken for a usual one")
			}
			out, err := d.Decompress(c.src, kgo.CodecLz4)
			if err != nil || !bytes.Equal(out, c.want) {
				t.Errorf("%d bytes of %d, error %v", len(out), len(c.want), err)
			}
		})
	}
}

// FuzzLz4Blocks: what is read without the library's reader is what that reads, but for checksums of
// the frame.
func FuzzLz4Blocks(f *testing.F) {
	f.Add([]byte{})
	for _, want := range [][]byte{{}, text(1, 100), text(2, 70<<10)} {
		f.Add(lz4Written(f, want))
		f.Add(lz4Written(f, want, lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false),
			lz4.BlockChecksumOption(true)))
	}
	wide := lz4Written(f, text(4, 200<<10), lz4.BlockSizeOption(lz4.Block256Kb))
	// A block has more than the head says.
	copy(wide[4:7], lz4Written(f, nil, lz4.BlockSizeOption(lz4.Block64Kb))[4:7])
	f.Add(wide)
	const most = 1 << 20
	f.Fuzz(func(t *testing.T, src []byte) {
		d := &inflater{max: most, sumMax: 3 * most} // it needs nothing else
		out, ok := d.lz4Blocks(src)
		if !ok {
			if out != nil || d.sum.Load() != 0 {
				t.Fatalf("refused with %d bytes, %d are counted", len(out), d.sum.Load())
			}
			return
		}
		if len(out) > most {
			t.Fatalf("%d bytes, at most %d", len(out), most)
		}
		want, err := io.ReadAll(io.LimitReader(lz4.NewReader(bytes.NewReader(src)), most+1))
		switch {
		case errors.Is(err, lz4.ErrInvalidHeaderChecksum), errors.Is(err, lz4.ErrInvalidFrameChecksum),
			errors.Is(err, lz4.ErrInvalidBlockChecksum):
		case err != nil || !bytes.Equal(out, want):
			t.Fatalf("%d bytes, the library reads %d, error %v", len(out), len(want), err)
		}
	})
}
