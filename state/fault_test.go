package state

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"sessionizer/session"
)

// A disk that is full or broken has to stop the process before the next Kafka commit. Left to
// itself Pebble tries its flush again for ever and, when its memory is full, blocks the writer.

// faultDeadline bounds a wait that would be without end if the code is wrong.
const faultDeadline = 30 * time.Second

// brokenDisk fails writes of chosen files when it is switched on.
type brokenDisk struct {
	errorfs.Toggle
	injected atomic.Int64
}

func newBrokenDisk(err error, match func(errorfs.Op) bool) *brokenDisk {
	d := &brokenDisk{}
	d.Injector = errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !match(op) {
			return nil
		}
		d.injected.Add(1)
		return err
	})
	return d
}

func writesOf(parts ...string) func(errorfs.Op) bool {
	return func(op errorfs.Op) bool {
		if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || op.Kind == errorfs.OpFileClose {
			return false
		}
		for _, part := range parts {
			if strings.Contains(op.Path, part) {
				return true
			}
		}
		return false
	}
}

// within fails the test if f does not return.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(faultDeadline):
		panic(what + " blocks for ever")
	}
}

func TestFault(t *testing.T) {
	for name, match := range map[string]func(errorfs.Op) bool{
		"ofATable":    writesOf(".sst"),
		"ofAManifest": writesOf("MANIFEST"),
		"ofAnything":  writesOf(""),
	} {
		for _, cause := range []error{syscall.ENOSPC, syscall.EIO} {
			t.Run(fmt.Sprintf("AWrite%s/%v", name, cause), func(t *testing.T) {
				disk := newBrokenDisk(cause, match)
				var calls atomic.Int64
				o := testOptions(errorfs.Wrap(vfs.NewMem(), disk))
				o.Cache = 1 << 20
				o.OnFault = func(err error) {
					calls.Add(1)
					if !errors.Is(err, cause) {
						t.Errorf("fault is %v", err)
					}
				}
				s := openStore(t, o)
				p := openPart(t, s)
				disk.On()
				var err error
				within(t, "commit", func() { err = commitUntilError(p) })
				if !errors.Is(err, cause) || !errors.Is(s.Err(), cause) {
					t.Fatalf("commit: %v, store: %v", err, s.Err())
				}
				if !strings.Contains(s.Err().Error(), testDir) {
					t.Fatalf("%v does not name the directory", s.Err())
				}
				within(t, "flush", func() { err = p.Flush() })
				if !errors.Is(err, cause) {
					t.Fatalf("flush: %v", err)
				}
				within(t, "close", func() { err = s.Close() })
				if !errors.Is(err, cause) {
					t.Fatalf("close: %v", err)
				}
				if disk.injected.Load() == 0 {
					t.Fatal("the fault was never injected")
				}
				if calls.Load() != 1 {
					t.Fatalf("OnFault was called %d times", calls.Load())
				}
			})
		}
	}
}

func TestFaultElsewhere(t *testing.T) {
	t.Run("ARead", func(t *testing.T) {
		disk := newBrokenDisk(syscall.EIO, func(op errorfs.Op) bool {
			return op.Kind == errorfs.OpFileReadAt && strings.Contains(op.Path, ".sst")
		})
		mem := vfs.NewMem()
		s := openStore(t, testOptions(mem))
		p := openPart(t, s)
		put(p, "ana", session.NoTime, "one")
		testCommit(t, p)
		closeStore(t, s)

		o := testOptions(errorfs.Wrap(mem, disk))
		o.Cache = 1 // no block stays in memory
		s = openStore(t, o)
		p = openPart(t, s)
		disk.On()
		_, _, err := p.Get([]byte("ana"))
		if !errors.Is(err, syscall.EIO) || !errors.Is(s.Err(), syscall.EIO) {
			t.Fatalf("get: %v, store: %v", err, s.Err())
		}
		pos, _ := p.Position()
		pos.Seq++
		if err := p.Commit(pos); !errors.Is(err, syscall.EIO) {
			t.Fatalf("commit: %v", err)
		}
		within(t, "close", func() { _ = s.Close() })
		if disk.injected.Load() == 0 {
			t.Fatal("the fault was never injected")
		}
	})
	t.Run("AtOpenIsNotTakenForDamage", func(t *testing.T) {
		disk := newBrokenDisk(syscall.EIO, writesOf("MANIFEST"))
		disk.On()
		_, err := Open(testDir, testOptions(errorfs.Wrap(vfs.NewMem(), disk)))
		if !errors.Is(err, syscall.EIO) || errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
		if disk.injected.Load() == 0 {
			t.Fatal("the fault was never injected")
		}
	})
	t.Run("AFullRestore", func(t *testing.T) {
		disk := newBrokenDisk(syscall.ENOSPC, writesOf("/restore/"))
		s := openStore(t, testOptions(errorfs.Wrap(vfs.NewMem(), disk)))
		p := openPart(t, s)
		r, err := p.Restore()
		if err != nil {
			t.Fatal(err)
		}
		row := testRow(5, "one")
		key := append([]byte{kindRow}, "ana"...)
		if err := r.Apply(key, row); err != nil {
			t.Fatal(err)
		}
		disk.On()
		pos := Position{Seq: 1, Digest: digestOf(rows{string(key): string(row)})}
		within(t, "finish", func() { err = r.Finish(pos) })
		if !errors.Is(err, syscall.ENOSPC) || !errors.Is(s.Err(), syscall.ENOSPC) {
			t.Fatalf("finish: %v, store: %v", err, s.Err())
		}
		if disk.injected.Load() == 0 {
			t.Fatal("the fault was never injected")
		}
		within(t, "close", func() { _ = s.Close() })
	})
}

// commitUntilError commits more than fits into the write buffers, if need be.
func commitUntilError(p *Partition) error {
	for n := range int64(100_000) {
		for i := range 100 {
			key := fmt.Sprint("key", n, "/", i)
			p.Put([]byte(key), testRow(session.NoTime, strings.Repeat("x", 1000)), session.NoTime)
		}
		pos, _ := p.Position()
		pos.Seq++
		pos.Digest = p.Digest()
		if err := p.Commit(pos); err != nil {
			return err
		}
	}
	return errors.New("100,000 commits and no error")
}
