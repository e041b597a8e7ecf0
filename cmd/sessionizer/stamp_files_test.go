package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A redirection can make any two of the command's files one. Whatever the
// combination: refused before a byte of what is there is lost.

const stampable = `{"anonymousId":"a","timestamp":1767225600}` + "\n"

func TestStamp_TouchesNoFileThatItRefuses(t *testing.T) {
	for _, c := range []struct{ line, stderr string }{
		{"stamp --visits in < in", "--visits in is standard input"},
		{"stamp --dead-letters link - < in", "--dead-letters link is standard input"},
		{"stamp < in >> in", "standard output is standard input"},
		{"stamp in >> in", "standard output is the input in"},
		{"stamp link 1<>in", "standard output is the input link"},
		{"stamp --visits out in >> out", "--visits out and standard output are the same file"},
		{"stamp --dead-letters out in >> out",
			"--dead-letters out and standard output are the same file"},
		{"stamp --visits /dev/stdout in >> out",
			"--visits /dev/stdout and standard output are the same file"},
		{"stamp --visits /dev/stdin < in", "--visits /dev/stdin is standard input"},
		{"stamp --visits out --dead-letters ./out in",
			"--visits out and --dead-letters ./out are the same file"},
		{"stamp --visits new --dead-letters ./new in",
			"--visits new and --dead-letters ./new are the same file"},
		{"stamp --visits new --dead-letters here/new in",
			"--visits new and --dead-letters here/new are the same file"},
		{"stamp --visits dangling --dead-letters new in; code=$?; rm new; exit $code",
			"--visits dangling and --dead-letters new are the same file"},
		{"stamp --visits /dev/stdout in | cat; exit ${PIPESTATUS[0]}",
			"--visits /dev/stdout and standard output are the same file"},
	} {
		dir := t.TempDir()
		write(t, dir, "in", stampable)
		write(t, dir, "out", "precious\n")
		for name, target := range map[string]string{"link": "in", "here": ".", "dangling": "new"} {
			if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		r := shell(t, dir, "bin/sessionizer "+c.line)
		if r.code != exitUsage || r.stderr != "sessionizer: "+c.stderr+"\n" || r.stdout != "" {
			t.Errorf("%s: %+v", c.line, r)
		}
		if in, out := read(t, dir, "in"), read(t, dir, "out"); in != stampable || out != "precious\n" {
			t.Errorf("%s: the input is %q, the output %q", c.line, in, out)
		}
		if _, err := os.Stat(filepath.Join(dir, "new")); err == nil {
			t.Errorf("%s: a file was made", c.line)
		}
	}
	dir := t.TempDir()
	write(t, dir, "in", stampable)
	r := shell(t, dir, "bin/sessionizer stamp in --visits err 2>> err")
	want := "sessionizer: --visits err and standard error are the same file\n"
	if r.code != exitUsage || read(t, dir, "err") != want {
		t.Errorf("%+v, %s", r, read(t, dir, "err"))
	}
}

func TestStamp_WritesWhereItDoesNoHarm(t *testing.T) {
	for _, line := range []string{
		"stamp --visits /dev/null --dead-letters /dev/null in",
		"stamp --visits /dev/null --dead-letters ./../../../../../../../dev/null in > /dev/null",
		"stamp --visits /dev/null < in > /dev/null 2>&1",
		"stamp in in > both 2>&1",
		"stamp in - < in",
		"stamp --dead-letters /dev/stderr --json in 2> >(cat > /dev/null)",
		"stamp --visits old in && [ $(wc -l < old) = 1 ]",
		"stamp --visits >(cat > /dev/null) <(cat in)",
	} {
		dir := t.TempDir()
		write(t, dir, "in", stampable)
		write(t, dir, "old", strings.Repeat("something longer than a visit\n", 1000))
		if r := shell(t, dir, "set -o pipefail; bin/sessionizer "+line); r.code != exitFine {
			t.Errorf("%s: %+v", line, r)
		}
	}
}

// What is wrong with the last input is said before the first is read.
func TestStamp_OpensEveryInputBeforeItWrites(t *testing.T) {
	for _, c := range []struct {
		stderr, content string
		mode            os.FileMode
	}{
		{"read last: permission denied", stampable, 0},
		{"read last: it is compressed: unpack it, with zcat or zstdcat", "\x1f\x8b\b", 0o600},
		{"read last: header of the Avro container: the file ends in it, at byte 4", "Obj\x01", 0o600},
	} {
		if c.mode == 0 && os.Getuid() == 0 {
			t.Log("root may read everything")
			continue
		}
		dir := t.TempDir()
		write(t, dir, "in", stampable)
		write(t, dir, "visits", "precious\n")
		if err := os.Chmod(write(t, dir, "last", c.content), c.mode); err != nil {
			t.Fatal(err)
		}
		r := shell(t, dir, "bin/sessionizer stamp --visits visits --dead-letters dead in last")
		if r.code != exitFailed || r.stderr != "sessionizer: "+c.stderr+"\n" || r.stdout != "" {
			t.Errorf("%+v", r)
		}
		if got := read(t, dir, "visits"); got != "precious\n" {
			t.Errorf("the visits are %q", got)
		}
		if _, err := os.Stat(filepath.Join(dir, "dead")); err == nil {
			t.Error("a file was made")
		}
	}
}

// A full disk is told once, by the name of what could not be written.
func TestStamp_AWriteErrorNamesWhatCouldNotBeWritten(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no /dev/full")
	}
	const full = ": no space left on device\n"
	for _, c := range []struct{ line, stderr string }{
		{"stamp in > /dev/full", "write /dev/stdout" + full},
		{"stamp many > /dev/full", "write /dev/stdout" + full},
		{"cat in | bin/sessionizer stamp > /dev/full", "write /dev/stdout" + full},
		{"stamp --visits /dev/full in", "write /dev/full" + full},
		{"stamp --dead-letters /dev/full bad", "write /dev/full" + full},
		{"stamp --dead-letters /dev/full long", "write /dev/full" + full},
		{"stamp --set dead_letters.on.limit=pass long >/dev/full", "write /dev/stdout" + full},
		{"stamp --visits /dev/full in > /dev/full", "write /dev/stdout" + full},
		{"stamp --visits gone/visits in", "write gone/visits: no such file or directory\n"},
		{"stamp many | true; exit ${PIPESTATUS[0]}", "write /dev/stdout: its reader has gone away\n"},
		{"version > /dev/full", "write /dev/stdout" + full},
		{"completion bash > /dev/full", "write /dev/stdout" + full},
	} {
		dir := t.TempDir()
		write(t, dir, "in", stampable)
		write(t, dir, "many", strings.Repeat(stampable, 20_000))
		write(t, dir, "bad", "{\n")
		write(t, dir, "long", strings.Repeat("x", 2<<20))
		if !strings.Contains(c.line, "bin/") {
			c.line = "bin/sessionizer " + c.line
		}
		if r := shell(t, dir, c.line); r.code != exitFailed || r.stderr != "sessionizer: "+c.stderr {
			t.Errorf("%s: code %d, stderr %s", c.line, r.code, r.stderr)
		}
	}
}

// Lines of a file have no record key: with nothing but it every line would be a
// dead letter.
func TestStamp_RefusesToTakeIDsFromRecordKeys(t *testing.T) {
	t.Chdir(t.TempDir())
	r := sessionizer(t, stampable, "stamp", "--set", "paths.anonymous_id=$key")
	if r.code != exitUsage || r.stdout != "" || r.stderr != "sessionizer: paths.anonymous_id is $key "+
		"alone, and lines of a file have no record key: name a path, such as "+
		"--set paths.anonymous_id=anonymousId\n" {
		t.Errorf("%+v", r)
	}
	r = sessionizer(t, stampable, "stamp", "--json", "--set", "paths.anonymous_id=anonymousId,$key")
	if r.code != exitFine || !strings.HasPrefix(r.stderr, "sessionizer: warning: paths.anonymous_id: "+
		"$key finds nothing: lines of a file have no record key\n") {
		t.Errorf("%+v", r)
	}
}
