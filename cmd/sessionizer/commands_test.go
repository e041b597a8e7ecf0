package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cockroachdb/datadriven"
)

// The cases under testdata/commands are what a user sees of the commands that need no broker. Their
// commands:
//
//	file name=a.yaml     the input is written to a file; "." in the first column of a
//	                     line stands for a blank one
//	run args=(...)       the program; what it writes follows, by where it went: out, err.
//	                     A semicolon in an argument stands for a comma
//	cat name=a.yaml      what is in a file; times that were measured are T
func TestCommands(t *testing.T) {
	datadriven.Walk(t, "testdata/commands", func(t *testing.T, path string) {
		cases, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Chdir(t.TempDir())
		datadriven.RunTest(t, cases, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "file":
				text := regexp.MustCompile(`(?m)^\.$`).ReplaceAllString(d.Input, "")
				write(t, ".", argument(t, d, "name"), text+"\n")
				return ""
			case "cat":
				text := read(t, ".", argument(t, d, "name"))
				text = regexp.MustCompile(`time="[0-9.]+"`).ReplaceAllString(text, `time="T"`)
				return regexp.MustCompile(`(?m)^$`).ReplaceAllString(strings.TrimSuffix(text, "\n"), ".") + "\n"
			case "run":
				return commandCase(t, d)
			}
			d.Fatalf(t, "no such command")
			return ""
		})
	})
}

func argument(t *testing.T, d *datadriven.TestData, name string) (value string) {
	t.Helper()
	d.ScanArgs(t, name, &value)
	return value
}

func commandCase(t *testing.T, d *datadriven.TestData) string {
	var args []string
	for _, a := range d.CmdArgs {
		if a.Key == "args" {
			for _, v := range a.Vals {
				args = append(args, strings.ReplaceAll(v, ";", ","))
			}
		}
	}
	r := sessionizer(t, d.Input, args...)
	var b strings.Builder
	for line := range strings.Lines(r.stdout) {
		fmt.Fprintf(&b, "out  %s\n", strings.TrimRight(line, "\n"))
	}
	for line := range strings.Lines(r.stderr) {
		fmt.Fprintf(&b, "err  %s\n", strings.TrimRight(line, "\n"))
	}
	fmt.Fprintf(&b, "exit %d\n", r.code)
	return b.String()
}

// Whoever updates a file that cannot be written keeps the old one.
func TestTest_AnUpdateReplacesTheFileAsAWhole(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write(t, dir, "a.yaml", "cases: [{name: a, events: [{at: 0s, expect: {index: 7}}]}]\n")
	if err := os.Chmod("a.yaml", 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a.yaml", "link.yaml"); err != nil {
		t.Fatal(err)
	}
	if r := sessionizer(t, "", "test", "--update", "link.yaml"); r.code != exitFine {
		t.Fatal(r)
	}
	want := "cases: [{name: a, events: [{at: 0s, expect: {index: 1}}]}]\n"
	info, err := os.Stat("a.yaml")
	if got := read(t, dir, "a.yaml"); err != nil || got != want || info.Mode().Perm() != 0o640 {
		t.Fatalf("%v, %v: %s", err, info.Mode(), got)
	}
	if to, err := os.Readlink("link.yaml"); err != nil || to != "a.yaml" {
		t.Fatalf("the link is %q, %v", to, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Fatalf("%v, %v", left, err)
	}
}

// A terminal of 120 columns shows an explanation as it is.
func TestExplain_FitsATerminal(t *testing.T) {
	lines := 0
	for line := range strings.Lines(read(t, "testdata/commands", "explain.txt")) {
		text, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "out  ")
		if !ok || strings.HasPrefix(text, "{") {
			continue
		}
		if lines++; utf8.RuneCountInString(text) > 120 {
			t.Errorf("%d columns: %s", utf8.RuneCountInString(text), text)
		}
	}
	if lines == 0 {
		t.Error("no explanation found")
	}
}
