package audit

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"path/filepath"
)

// fact is what the audit of a key needs of one event, or of one record about a visit. Facts of a
// key are kept in the order in which things were decided.
type fact struct {
	visit  *visit // nil: an event
	key    string // source, NUL, anonymous id
	offset int64  // in the input; of a visit decidedAt
	at     int64  // offset of the record in the output, or in the visits topic

	watermark int64 // the event watermark behind the event; of a visit that of its decidedAt
	fate      fate
	absent    bool   // there is no record of it in the output
	dead      bool   // it is a dead letter instead
	problem   string // the reason that a dead letter gives
	certain   bool   // the log holds the key's past
	settled   bool   // or at least enough of it to know the watermark

	ms, timeoutMs, maxDurationMs int64
	class                        string
	start, ruleStart, end        bool
	invalid, clamped             bool
	client, user, message        string
	kind, lifecycle              byte
	texts                        [textCount]string
	stamp                        [fieldCount]string // what the output says; empty: nothing
}

// The texts that sessions collect.
const (
	textPlace = iota
	textReferrer
	textCampaign
	textContext
	textCount
)

// encoder writes facts compactly: most of their fields are empty.
type encoder struct{ b []byte }

func (e *encoder) int(n int64)     { e.b = binary.AppendVarint(e.b, n) }
func (e *encoder) text(s string)   { e.b = append(binary.AppendUvarint(e.b, uint64(len(s))), s...) }
func (e *encoder) flags(f ...bool) { e.int(packed(f)) }

func packed(flags []bool) (n int64) {
	for i, f := range flags {
		if f {
			n |= 1 << i
		}
	}
	return n
}

// decoder reads them back. A fact that cannot be read is damage of a temporary file.
type decoder struct {
	b   []byte
	err error
}

var errDamaged = errors.New("a temporary file is damaged")

func (d *decoder) int() int64 {
	n, size := binary.Varint(d.b)
	if size <= 0 {
		d.err, d.b = errDamaged, nil
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) text() string {
	n, size := binary.Uvarint(d.b)
	if size <= 0 || n > uint64(len(d.b)-size) {
		d.err, d.b = errDamaged, nil
		return ""
	}
	s := string(d.b[size : size+int(n)])
	d.b = d.b[size+int(n):]
	return s
}

func (d *decoder) flags(f ...*bool) {
	n := d.int()
	for i := range f {
		*f[i] = n>>i&1 != 0
	}
}

func (e *encoder) fact(f *fact) {
	e.flags(f.visit != nil, f.absent, f.dead, f.certain, f.settled, f.start, f.ruleStart, f.end,
		f.invalid, f.clamped)
	e.text(f.key)
	e.int(f.offset)
	e.int(f.at)
	e.int(f.watermark)
	if f.visit != nil {
		e.visit(f.visit)
		return
	}
	for _, n := range [...]int64{int64(f.fate), f.ms, f.timeoutMs, f.maxDurationMs, int64(f.kind),
		int64(f.lifecycle)} {
		e.int(n)
	}
	for _, s := range [...]string{f.problem, f.class, f.client, f.user, f.message} {
		e.text(s)
	}
	for _, s := range f.texts {
		e.text(s)
	}
	for _, s := range f.stamp {
		e.text(s)
	}
}

func (d *decoder) fact() (f fact) {
	isVisit := false
	d.flags(&isVisit, &f.absent, &f.dead, &f.certain, &f.settled, &f.start, &f.ruleStart,
		&f.end, &f.invalid, &f.clamped)
	f.key = d.text()
	f.offset, f.at, f.watermark = d.int(), d.int(), d.int()
	if isVisit {
		f.visit = d.visit()
		return f
	}
	f.fate = fate(d.int())
	f.ms, f.timeoutMs, f.maxDurationMs = d.int(), d.int(), d.int()
	f.kind, f.lifecycle = byte(d.int()), byte(d.int())
	for _, s := range [...]*string{&f.problem, &f.class, &f.client, &f.user, &f.message} {
		*s = d.text()
	}
	for i := range f.texts {
		f.texts[i] = d.text()
	}
	for i := range f.stamp {
		f.stamp[i] = d.text()
	}
	return f
}

func (e *encoder) visit(v *visit) {
	e.flags(v.begins)
	for _, s := range v.fields() {
		e.text(*s)
	}
	for _, n := range v.numbers() {
		e.int(*n)
	}
}

func (d *decoder) visit() *visit {
	v := &visit{}
	d.flags(&v.begins)
	for _, s := range v.fields() {
		*s = d.text()
	}
	for _, n := range v.numbers() {
		*n = d.int()
	}
	return v
}

// The most that is kept of facts in memory, and how many buckets there are. A key's facts are all
// in one bucket; the audit of a bucket holds the sessions of its keys in memory, and no events.
const (
	spillBytesDefault = 64 << 20
	buckets           = 512
)

// spill holds the facts of one partition, by the hash of their keys: in memory, and in files where
// they are too many.
type spill struct {
	dir   string // of the files; empty: none was needed
	where string
	max   int
	seed  maphash.Seed
	parts [buckets]bytes.Buffer
	size  int
	enc   encoder
}

func newSpill(where string, bytesMax int) *spill {
	if bytesMax == 0 {
		bytesMax = spillBytesDefault
	}
	return &spill{where: where, max: bytesMax, seed: maphash.MakeSeed()}
}

func (s *spill) add(f *fact) error {
	s.enc.b = s.enc.b[:0]
	s.enc.fact(f)
	part := &s.parts[maphash.String(s.seed, f.key)%buckets]
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], uint64(len(s.enc.b)))
	part.Write(length[:n])
	part.Write(s.enc.b)
	if s.size += n + len(s.enc.b); s.size > s.max {
		return s.flush()
	}
	return nil
}

func (s *spill) file(i int) string { return filepath.Join(s.dir, fmt.Sprintf("facts-%03d", i)) }

func (s *spill) flush() (err error) {
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp(s.where, "sessionizer-verify-"); err != nil {
			return fmt.Errorf("make a directory for temporary files: %w", err)
		}
	}
	for i := range s.parts {
		part := &s.parts[i]
		if part.Len() == 0 {
			continue
		}
		f, err := os.OpenFile(s.file(i), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("open a temporary file: %w", err)
		}
		_, err = f.Write(part.Bytes())
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("write the temporary file %s: %w", f.Name(), err)
		}
		part.Reset()
	}
	s.size = 0
	return nil
}

// isEmpty reports whether nothing was added to a bucket; with files it may not know.
func (s *spill) isEmpty(i int) bool { return s.dir == "" && s.parts[i].Len() == 0 }

// each hands over the facts of a bucket in the order they were added, the files' first.
func (s *spill) each(i int, take func(*fact)) (err error) {
	var from io.Reader = bytes.NewReader(s.parts[i].Bytes())
	if s.dir != "" {
		f, err := os.Open(s.file(i))
		if err == nil {
			defer func() { err = errors.Join(err, f.Close()) }()
			from = io.MultiReader(f, from)
		} else if !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("open a temporary file: %w", err)
		}
	}
	r := bufio.NewReaderSize(from, 64<<10)
	var room []byte
	for {
		n, err := binary.ReadUvarint(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			room = append(room[:0], make([]byte, n)...)
			_, err = io.ReadFull(r, room)
		}
		d := decoder{b: room}
		f := fact{}
		if err == nil {
			f = d.fact()
			err = d.err
		}
		if err != nil {
			return fmt.Errorf("read what was set aside of the facts: %w", err)
		}
		take(&f)
	}
}

// close removes the files.
func (s *spill) close() error {
	if s.dir == "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}
