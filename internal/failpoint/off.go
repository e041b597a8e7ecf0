//go:build !failpoint

package failpoint

import "github.com/cockroachdb/pebble/v2/vfs"

// Hit passes by.
func Hit(string) {}

// Disk is the disk as it is.
func Disk(fs vfs.FS) vfs.FS { return fs }
