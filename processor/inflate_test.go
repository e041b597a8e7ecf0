package processor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sessionizer/internal/hostile"
	"sessionizer/schemas"
)

// A few kilobytes on the wire may be gigabytes in memory, or say that they are. What is read of
// them takes no more than its bound.

var codecs = []kgo.CompressionCodecType{
	kgo.CodecNone, kgo.CodecGzip, kgo.CodecSnappy, kgo.CodecLz4, kgo.CodecZstd,
}

func TestInflater_ReadsEveryCodec(t *testing.T) {
	const most = 1 << 20
	for _, codec := range codecs {
		for _, size := range []int{1, 1000, 64 << 10, 64<<10 + 1, most - 1, most} {
			t.Run(fmt.Sprint(codecName(codec), "/", size), func(t *testing.T) {
				d := testInflater(t, most)
				want := bytes.Repeat([]byte("abcdefg\n"), size/8+1)[:size]
				out, err := d.Decompress(packed(t, codec, want), codec)
				if err != nil || !bytes.Equal(out, want) {
					t.Fatalf("%d bytes, error %v; want %d", len(out), err, len(want))
				}
				if codec == kgo.CodecNone {
					return
				}
				if d.sum.Load() < int64(len(want)) {
					t.Errorf("%d bytes are counted, %d are out", d.sum.Load(), len(want))
				}
				d.PutDecompressBytes(out)
				if d.sum.Load() != 0 {
					t.Errorf("%d bytes are still counted", d.sum.Load())
				}
			})
		}
	}
}

func TestInflater_RefusesWhatIsLargerThanItMayBe(t *testing.T) {
	const most = 1 << 20
	for _, codec := range codecs[1:] {
		for _, size := range []int64{most + 1, 4 * most, 512 << 20} {
			t.Run(fmt.Sprint(codecName(codec), "/", size), func(t *testing.T) {
				d := testInflater(t, most)
				bomb := letters(t, codec, size)
				took := allocated(func() {
					out, err := d.Decompress(bomb, codec)
					if !errors.Is(err, errUnreadable) || errors.Is(err, kgo.ErrMaxDecompress) || out != nil {
						t.Errorf("%d bytes of %d, error %v", len(out), size, err)
					}
				})
				if took > 16*most {
					t.Errorf("%d bytes were allocated for it, the limit is %d", took, most)
				}
				if d.sum.Load() != 0 {
					t.Errorf("%d bytes are still counted", d.sum.Load())
				}
			})
		}
	}
}

func TestInflater_RefusesLies(t *testing.T) {
	const most = 8 << 20
	for _, lie := range hostile.Lies() {
		t.Run(lie.Name, func(t *testing.T) {
			d := testInflater(t, most)
			took := allocated(func() {
				out, err := d.Decompress(lie.Bytes, lie.Codec)
				if len(lie.Bytes) == 0 && err == nil && len(out) == 0 {
					return // nothing, which is what it is
				}
				if !errors.Is(err, errUnreadable) || errors.Is(err, kgo.ErrMaxDecompress) {
					t.Errorf("%d bytes, error %v", len(out), err)
				}
			})
			if took > 12<<20 {
				t.Errorf("%d bytes were allocated for %d", took, len(lie.Bytes))
			}
		})
	}
}

func TestInflatedClass_WastesAQuarterAtMost(t *testing.T) {
	last := -1
	for size := 1; size <= 1<<30; size += 1 + size/7 {
		class, room := inflatedClass(size)
		again, same := inflatedClass(int(room))
		switch {
		case room < int64(size), room > inflatedClassMin && room > int64(size)+int64(size)/4+1:
			t.Errorf("%d bytes get %d", size, room)
		case again != class || same != room:
			t.Errorf("a buffer of %d bytes is of class %d and is put back into %d", room, class, again)
		case class < last || class >= inflatedClasses:
			t.Errorf("%d bytes are of class %d, fewer of %d", size, class, last)
		}
		last = class
	}
}

func TestInflater_HoldsNoMoreThanItsSum(t *testing.T) {
	d := testInflater(t, 1<<20)
	d.sumMax = 4 << 20
	bomb := letters(t, kgo.CodecZstd, 1<<20-100)
	var out [][]byte
	for {
		b, err := d.Decompress(bomb, kgo.CodecZstd)
		if err != nil {
			if !errors.Is(err, errInflatedFull) || errors.Is(err, errUnreadable) {
				t.Fatal(err)
			}
			break
		}
		out = append(out, b)
	}
	if len(out) < 2 || d.sum.Load() > d.sumMax {
		t.Errorf("%d batches, %d bytes are out, at most %d", len(out), d.sum.Load(), d.sumMax)
	}
	d.PutDecompressBytes(out[0])
	if _, err := d.Decompress(bomb, kgo.CodecZstd); err != nil {
		t.Errorf("there is room again: %v", err)
	}
	// One that alone is larger passes: nothing could make room for it.
	alone := testInflater(t, 1<<20)
	alone.sumMax = 1
	if _, err := alone.Decompress(bomb, kgo.CodecZstd); err != nil {
		t.Errorf("the only batch: %v", err)
	}
}

// Who only looks at the end of a log, again and again while a partition is silent, leaves the room
// as it was: else none would be left for what is polled.
func TestInflater_GivesBackWhatWasLookedAt(t *testing.T) {
	const size = 1000
	for _, codec := range codecs[1:] {
		t.Run(codecName(codec), func(t *testing.T) {
			d := testInflater(t, 1<<20)
			b := hostile.Batch{
				Codec: codec, Records: letters(t, codec, size), Count: 1, Time: time.UnixMilli(0),
			}
			rp := &kmsg.FetchResponseTopicPartition{RecordBatches: b.Encode(), LastStableOffset: 1}
			for range 3 {
				fp, first, next := d.look(tp{"events", 0}, rp, 0)
				if fp.Err != nil || first != 0 || next != 1 {
					t.Fatalf("the first record is %d, the next %d, error %v", first, next, fp.Err)
				}
			}
			if d.served.Load() == 0 || d.sum.Load() != 0 {
				t.Errorf("%d bytes were given out and %d are counted", d.served.Load(), d.sum.Load())
			}
		})
	}
}

// Buffers are kept to be used again, but not more than a bound, and none when nobody has needed one
// for a while.
func TestInflater_KeepsLittleAndGivesItBack(t *testing.T) {
	const size = 1 << 20
	d := testInflater(t, size)
	d.keptMax = 4 * size
	l := &lane{host: &host{}, inflater: d}
	bomb := letters(t, kgo.CodecZstd, size-100)
	held := func() int64 {
		sum := int64(0)
		for _, class := range d.free {
			for _, b := range class {
				sum += int64(cap(b))
			}
		}
		return sum
	}
	fetch := func(n int) {
		var out [][]byte
		for range n {
			b, err := d.Decompress(bomb, kgo.CodecZstd)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, b)
		}
		for _, b := range out {
			d.put(b)
		}
	}
	now := time.Unix(0, 0)
	for round := range 2 {
		fetch(10)
		l.giveBack(now)
		got := held()
		if got == 0 || got > 4*size || got != d.kept {
			t.Errorf("round %d: %d bytes are kept, counted %d, want at most %d", round, got, d.kept, 4*size)
		}
		if fetch(1); held() != got {
			t.Errorf("round %d: %d bytes are kept when one was used again, before %d", round, held(), got)
		}
		l.giveBack(now.Add(restAfter - 1)) // it was used a moment ago
		now = now.Add(2*restAfter - 2)
		if l.giveBack(now); held() == 0 {
			t.Errorf("round %d: nothing is kept any more %s after the last batch", round, restAfter-1)
		}
		now = now.Add(1)
		if l.giveBack(now); held() != 0 || d.kept != 0 {
			t.Errorf("round %d: %d bytes are kept, counted %d, with nothing to do", round, held(), d.kept)
		}
	}
	if _, err := d.Decompress(bomb, kgo.CodecZstd); err != nil {
		t.Error(err)
	}
}

// What the batch has is read record by record, in memory that does not depend on its size.
func TestBatches_ReadsABombInLittleMemory(t *testing.T) {
	const most = 1 << 20
	for _, codec := range codecs[1:] {
		t.Run(codecName(codec), func(t *testing.T) {
			const size = 256 << 20
			body, err := hostile.Compress(codec, func(w io.Writer) error {
				if _, err := w.Write(hostile.AppendRecord(nil, 0, []byte("k"), []byte("first"))); err != nil {
					return err
				}
				head, tail := []byte(`{"x":"`), []byte(`"}`)
				if err := hostile.WriteRecord(w, 1, []byte("k"), head, size, tail); err != nil {
					return err
				}
				_, err := w.Write(hostile.AppendRecord(nil, 2, []byte("k"), []byte("last")))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			b := reading(most, hostile.Batch{Codec: codec, Records: body, Count: 3})
			var got []*piece
			took := allocated(func() { got = all(t, b) })
			if len(got) != 3 || got[0].bad != nil || got[2].bad != nil ||
				string(got[0].record.Value) != "first" || string(got[2].record.Value) != "last" {
				t.Fatalf("%d records: %+v", len(got), got)
			}
			x := got[1]
			if x.bad == nil || x.bad.Reason != schemas.Limit || x.last != 1 || x.record.Offset != 1 ||
				string(x.record.Key) != "k" || !bytes.HasPrefix(x.record.Value, []byte(`{"x":"aaa`)) {
				t.Errorf("the large one is %+v, %s", x.record, x.bad)
			}
			const window = 8 << 20 // of zstd, twice
			if took > 4*most+2*window {
				t.Errorf("%d bytes were allocated for %d compressed ones", took, len(body))
			}
		})
	}
}

func TestBatches_SaysWhichRecordsALieTakesAlong(t *testing.T) {
	for _, lie := range hostile.Lies() {
		t.Run(lie.Name, func(t *testing.T) {
			b := reading(8<<20, hostile.Batch{Codec: lie.Codec, Records: lie.Bytes, Count: 7})
			var got []*piece
			took := allocated(func() { got = all(t, b) })
			if len(got) != 1 || got[0].bad == nil || got[0].record.Offset != 0 || got[0].last != 6 {
				t.Fatalf("%d pieces: %+v", len(got), got)
			}
			if got[0].record.Value == nil {
				t.Error("the dead letter would be a tombstone")
			}
			if took > 12<<20 {
				t.Errorf("%d bytes were allocated for %d", took, len(lie.Bytes))
			}
			if b.next != 7 {
				t.Errorf("it goes on at %d, want 7", b.next)
			}
		})
	}
}

// Every record that is whole is read, whatever comes behind it.
func TestBatches_ReadsUpToTheFault(t *testing.T) {
	var body []byte
	for i := range 3 {
		body = hostile.AppendRecord(body, i, nil, fmt.Appendf(nil, "value %d", i))
	}
	for name, c := range map[string]struct {
		tail  []byte
		count int32
		want  string
	}{
		"Whole":          {nil, 3, "0 1 2 next 3"},
		"MoreThanItSays": {hostile.AppendRecord(nil, 3, nil, []byte("hidden")), 3, "0 1 2 next 3"},
		"CutOff":         {[]byte{100, 0, 0}, 5, "0 1 2 lost 3-4 next 5"},
		"NegativeLength": {[]byte{1, 0, 0}, 5, "0 1 2 lost 3-4 next 5"},
		"EndlessLength":  {[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 5, "0 1 2 lost 3-4 next 5"},
		"NoRecord":       {[]byte{2, 0}, 5, "0 1 2 lost 3-4 next 5"},
		"OffsetBeyond":   {hostile.AppendRecord(nil, 70, nil, []byte("x")), 5, "0 1 2 lost 3-4 next 5"},
		"OffsetBefore":   {hostile.AppendRecord(nil, 0, nil, []byte("x")), 4, "0 1 2 next 4"},
		"NegativeOffset": {hostile.AppendRecord(nil, -9, nil, []byte("x")), 4, "0 1 2 next 4"},
		"HugeKeyLength": {
			[]byte{20, 0, 0, 6, 0xfe, 0xff, 0xff, 0xff, 0xf, 1, 1, 1}, 5, "0 1 2 lost 3-4 next 5",
		},
	} {
		t.Run(name, func(t *testing.T) {
			raw := hostile.Batch{Records: append(bytes.Clone(body), c.tail...), Count: c.count}
			b := reading(1<<20, raw)
			got := ""
			for _, x := range all(t, b) {
				switch {
				case x.bad != nil:
					got += fmt.Sprintf("lost %d-%d ", x.record.Offset, x.last)
				default:
					got += fmt.Sprintf("%d ", x.record.Offset)
				}
			}
			if got += fmt.Sprintf("next %d", b.next); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func FuzzBatches(f *testing.F) {
	for _, codec := range codecs {
		body, err := hostile.Compress(codec, func(w io.Writer) error {
			_, err := w.Write(hostile.AppendRecord(nil, 0, []byte("k"), []byte("v")))
			return err
		})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(codec), body, int32(1))
	}
	for _, lie := range hostile.Lies() {
		f.Add(uint8(lie.Codec), lie.Bytes, int32(3))
	}
	f.Fuzz(func(t *testing.T, codec uint8, body []byte, count int32) {
		count &= 0xfff
		const most = 1 << 16
		b := reading(most, hostile.Batch{
			Codec: kgo.CompressionCodecType(codec & 7), Records: body, Count: count,
		})
		next := int64(0)
		for _, x := range all(t, b) {
			if x.record.Offset < next || x.last < x.record.Offset || x.last >= int64(count) {
				t.Fatalf("offset %d to %d behind %d, of %d", x.record.Offset, x.last, next, count)
			}
			next = x.last + 1
		}
		if b.next != int64(count) {
			t.Fatalf("it goes on at %d, want %d", b.next, count)
		}
		d, err := newInflater(most)
		if err != nil {
			t.Fatal(err)
		}
		out, err := d.Decompress(body, kgo.CompressionCodecType(codec&7))
		if err == nil && codec&7 != 0 {
			if len(out) > most {
				t.Fatalf("%d bytes of at most %d", len(out), most)
			}
			d.put(out)
		}
		if d.sum.Load() != 0 {
			t.Fatalf("%d bytes are still counted", d.sum.Load())
		}
	})
}

func testInflater(t *testing.T, most int) *inflater {
	t.Helper()
	d, err := newInflater(most)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// reading reads one batch.
func reading(most int, b hostile.Batch) *batches {
	b.Time = time.UnixMilli(0)
	rp := &kmsg.FetchResponseTopicPartition{RecordBatches: b.Encode()}
	return newBatches(tp{"events", 0}, rp, 0, most)
}

func all(t *testing.T, b *batches) []*piece {
	t.Helper()
	var got []*piece
	for {
		x, err := b.read()
		if err != nil {
			t.Fatal(err)
		}
		if x == nil {
			return got
		}
		got = append(got, x)
	}
}

func packed(t *testing.T, codec kgo.CompressionCodecType, text []byte) []byte {
	t.Helper()
	out, err := hostile.Compress(codec, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// letters compresses a text of one letter.
func letters(t *testing.T, codec kgo.CompressionCodecType, size int64) []byte {
	t.Helper()
	out, err := hostile.Compress(codec, func(w io.Writer) error {
		return hostile.WriteRecord(w, 0, nil, nil, size, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// allocated returns how many bytes f allocates, in this process.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
