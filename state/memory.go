package state

import "github.com/cockroachdb/pebble/v2/vfs"

// Memory returns an empty file system for Options.FS that is gone with the process.
func Memory() vfs.FS { return vfs.NewMem() }
