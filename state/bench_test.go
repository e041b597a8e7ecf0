package state

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"sessionizer/session"
)

const (
	benchDue   = session.Time(1 << 40)
	benchBytes = 150 // of a session row
)

func benchKey(buf []byte, n int) []byte {
	// A UUID as the key of a session: a tag and 16 bytes that look random.
	buf = append(buf[:0], 1)
	buf = binary.BigEndian.AppendUint64(buf, uint64(n)*0x9e3779b97f4a7c15)
	return binary.BigEndian.AppendUint64(buf, uint64(n)*0xbf58476d1ce4e5b9)
}

func benchPart(b *testing.B, o Options) (*Store, *Partition) {
	o.Due = testDue
	s, err := Open(b.TempDir(), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s, openPart(b, s)
}

// benchFill commits n rows with one due.
func benchFill(b *testing.B, p *Partition, n int, due session.Time) {
	row := append(testRow(due, ""), make([]byte, benchBytes-8)...)
	var key []byte
	for i := range n {
		key = benchKey(key, i)
		p.Put(key, row, due)
		if i%10_000 == 9_999 {
			testCommit(b, p)
		}
	}
	testCommit(b, p)
	if err := p.Flush(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkGetPutLive is what every event of a live key costs; a commit each 10,000 is not
// counted here but below.
func BenchmarkGetPutLive(b *testing.B) {
	for _, live := range []int{1000, 1_000_000} {
		b.Run(fmt.Sprint("keys=", live), func(b *testing.B) {
			_, p := benchPart(b, Options{})
			benchFill(b, p, live, benchDue)
			row := append(testRow(benchDue, ""), make([]byte, benchBytes-8)...)
			var key []byte
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				if n%10_000 == 0 {
					b.StopTimer()
					testCommit(b, p)
					if err := p.Flush(); err != nil { // the writer is not measured here
						b.Fatal(err)
					}
					b.StartTimer()
				}
				key = benchKey(key, n*7919%live)
				if _, _, err := p.Get(key); err != nil {
					b.Fatal(err)
				}
				p.Put(key, row, benchDue+session.Time(n))
			}
		})
	}
}

// BenchmarkGetStored is a key that is in Pebble only, BenchmarkGetUnknown one nobody has seen.
func BenchmarkGetStored(b *testing.B) {
	benchGet(b, func(n int) int { return n * 7919 % 1_000_000 })
}

func BenchmarkGetUnknown(b *testing.B) { benchGet(b, func(n int) int { return 1_000_000 + n }) }

func benchGet(b *testing.B, number func(int) int) {
	_, p := benchPart(b, Options{Cache: 64 << 20})
	benchFill(b, p, 1_000_000, session.NoTime)
	p.store.rowBudget = 1 // no row stays
	for p.Abort(); p.cache.oldest != 0; p.Abort() {
	}
	var key []byte
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		key = benchKey(key, number(n))
		if _, _, err := p.Get(key); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCommit10k is the digest, the changes and the commit of 10,000 dirty rows, Pebble
// keeping up; and with it the puts before.
func BenchmarkCommit10k(b *testing.B) {
	_, p := benchPart(b, Options{})
	const live, dirty = 200_000, 10_000
	benchFill(b, p, live, benchDue)
	row := append(testRow(benchDue, ""), make([]byte, benchBytes-8)...)
	var key []byte
	b.ReportAllocs()
	n, size := 0, 0
	for b.Loop() {
		for range dirty {
			n++
			key = benchKey(key, n*7919%live)
			binary.BigEndian.PutUint64(row[8:], uint64(n))
			p.Put(key, row, benchDue)
		}
		for key, value := range p.Changes {
			size += len(key) + len(value)
		}
		testCommit(b, p)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*dirty), "ns/row")
}

// BenchmarkFullRestore is per record: 1,000,000 rows of half as many keys each round.
func BenchmarkFullRestore(b *testing.B) {
	const records = 1_000_000
	row := append(testRow(benchDue, ""), make([]byte, benchBytes-8)...)
	var d Digest
	var key, changelogKey []byte
	for i := range records / 2 {
		key = benchKey(key, i)
		d.add(rowHash(keyHash(key), kindRow, row))
	}
	s, p := benchPart(b, Options{})
	rounds := 0
	for b.Loop() {
		if err := p.Close(); err != nil {
			b.Fatal(err)
		}
		if err := s.Drop("events", 3); err != nil {
			b.Fatal(err)
		}
		p = openPart(b, s)
		r, err := p.Restore()
		if err != nil {
			b.Fatal(err)
		}
		for i := range records {
			key = benchKey(key, i%(records/2))
			changelogKey = append(append(changelogKey[:0], kindRow), key...)
			if err := r.Apply(changelogKey, row); err != nil {
				b.Fatal(err)
			}
		}
		rounds++
		if err := r.Finish(Position{Seq: int64(rounds), Digest: d}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rounds*records), "ns/record")
}

// BenchmarkOpenPartition scans 1,000,000 rows with timers.
func BenchmarkOpenPartition(b *testing.B) {
	const live = 1_000_000
	s, p := benchPart(b, Options{})
	benchFill(b, p, live, benchDue)
	for b.Loop() {
		if err := p.Close(); err != nil {
			b.Fatal(err)
		}
		p = openPart(b, s)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*live), "ns/row")
	b.ReportMetric(float64(p.cache.usedBytes())/live, "B/key")
}

// BenchmarkGarbageCollection is one collection with so many live keys in memory.
func BenchmarkGarbageCollection(b *testing.B) {
	for _, live := range []int{1000, 2_000_000} {
		b.Run(fmt.Sprint("keys=", live), func(b *testing.B) {
			_, p := benchPart(b, Options{})
			benchFill(b, p, live, benchDue)
			for b.Loop() {
				runtime.GC()
			}
			runtime.KeepAlive(p)
		})
	}
}

// BenchmarkWriteBehind is the CPU time, with Pebble's flushes and compactions, of transactions as
// 20,000 events of 20,000 customers make them: two thirds of 8,000 keys change, 900 others take
// the place of so many of them in the next transaction, and those have a history then.
func BenchmarkWriteBehind(b *testing.B) {
	const parts, events, live, visitors, puts, leave = 8, 20_000, 20_000, 8_000, 9_000, 900
	s, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	var p [parts]*Partition
	for i := range p {
		if p[i], err = s.Partition("events", int32(i)); err != nil {
			b.Fatal(err)
		}
	}
	r := rand.New(rand.NewPCG(1, 1))
	row, history := benchText(r, 420), benchText(r, 1750)
	var key []byte
	began, first := benchCPU(b), 0
	for b.Loop() {
		for range puts {
			n := (first + r.IntN(visitors)) % live
			key = benchKey(key, n)
			binary.BigEndian.PutUint64(row, r.Uint64())
			p[n%parts].Put(key, row, benchDue)
		}
		for i := range leave {
			n := (first + i) % live
			key = benchKey(key, n)
			binary.BigEndian.PutUint64(history, r.Uint64())
			p[n%parts].PutHistory(key, history)
		}
		first += leave
		for i := range p {
			testCommit(b, p[i])
		}
		s.mu.Lock()
		for s.failed == nil && s.isFull() { // events come more slowly than this
			s.cond.Wait()
		}
		s.mu.Unlock()
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	used := float64(benchCPU(b) - began)
	b.ReportMetric(used/float64(b.N*events), "cpu-ns/event")
}

// benchText is about half as long when it is compressed, as rows are.
func benchText(r *rand.Rand, n int) []byte {
	text := make([]byte, n)
	for i := range text {
		text[i] = byte(r.IntN(256) & -(i / 16 % 2))
	}
	return text
}

func benchCPU(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
