//go:build failpoint

package failpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var armed = arm(os.Getenv(Variable))

// point is the place where the program is killed.
type point struct {
	name string
	left atomic.Int64 // hits until then
}

func arm(text string) *point {
	p := &point{}
	name, times, _ := strings.Cut(text, ":")
	n, err := strconv.ParseInt(times, 10, 64)
	if text == "" {
		return p
	}
	if err != nil || n < 1 {
		panic(fmt.Sprintf("%s=%s: want NAME:N, such as %s:3", Variable, text, OffsetsSent))
	}
	if err := os.Unsetenv(Variable); err != nil { // it is no key of the configuration
		panic(fmt.Sprintf("unset %s: %v", Variable, err))
	}
	p.name = name
	p.left.Store(n)
	return p
}

// Hit is where the program may be killed. It does not return then.
func Hit(name string) {
	if name != armed.name || armed.left.Add(-1) != 0 {
		return
	}
	fmt.Fprintf(os.Stderr, "failpoint: killed at %s\n", name)
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		panic(fmt.Sprintf("failpoint %s: %v", name, err))
	}
	select {}
}

// Disk is a disk on which a write is in two halves, with HalfWritten between them.
func Disk(fs vfs.FS) vfs.FS { return disk{fs} }

type disk struct{ vfs.FS }

func (d disk) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, category)
	if err != nil {
		return nil, err
	}
	return file{f}, nil
}

type file struct{ vfs.File }

func (f file) Write(b []byte) (int, error) {
	half := len(b) / 2
	n, err := f.File.Write(b[:half])
	if err != nil {
		return n, err
	}
	Hit(HalfWritten)
	m, err := f.File.Write(b[half:])
	return n + m, err
}
