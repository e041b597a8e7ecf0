package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/datadriven"

	"sessionizer/internal/events"
)

// The cases under testdata/stamp are what a user sees: the lines that go in,
// and all that comes out. Their commands:
//
//	file name=a.ndjson              the input is written to a file; the escapes
//	                                \r \n \t \xff and \\ stand for their bytes,
//	                                and "no-newline" leaves out the last line feed
//	stamp args=(...)                the program, with the input as standard input;
//	                                a semicolon in an argument stands for a comma
//
// A line of the output begins with where it went: out, visits, dead, err.
func TestStamp(t *testing.T) {
	datadriven.Walk(t, "testdata/stamp", func(t *testing.T, path string) {
		cases, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Chdir(t.TempDir())
		datadriven.RunTest(t, cases, func(t *testing.T, d *datadriven.TestData) string {
			input := unescape(d.Input) + "\n"
			if d.HasArg("no-newline") || d.Input == "" {
				input = strings.TrimSuffix(input, "\n")
			}
			switch d.Cmd {
			case "file":
				var name string
				d.ScanArgs(t, "name", &name)
				if err := os.WriteFile(name, []byte(input), 0o600); err != nil {
					t.Fatal(err)
				}
				return ""
			case "stamp":
				return stampCase(t, d, input)
			}
			d.Fatalf(t, "no such command")
			return ""
		})
	})
}

func unescape(s string) string {
	return strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\t`, "\t", `\xff`, "\xff", `\x01`, "\x01",
		`\bom`, "\ufeff", `\\`, `\`).Replace(s)
}

func stampCase(t *testing.T, d *datadriven.TestData, input string) string {
	args := []string{"stamp"}
	for _, a := range d.CmdArgs {
		if a.Key == "args" {
			for _, v := range a.Vals {
				args = append(args, strings.ReplaceAll(v, ";", ","))
			}
		}
	}
	r := sessionizer(t, input, args...)
	var b strings.Builder
	section := func(name, text string) {
		for part := range strings.Lines(text) {
			end := ""
			if !strings.HasSuffix(part, "\n") {
				end = " (no line feed)"
			}
			fmt.Fprintf(&b, "%s %s%s\n", name, strings.TrimRight(part, "\n"), end)
		}
	}
	section("out   ", strings.ReplaceAll(r.stdout, "\r", `\r`))
	for _, name := range []string{"visits", "dead"} {
		content, err := os.ReadFile(name)
		if err == nil {
			section(fmt.Sprintf("%-6s", name), string(content))
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	section("err   ", r.stderr)
	fmt.Fprintf(&b, "exit %d\n", r.code)
	return b.String()
}

// A log that is stamped in parts of any size must come out as one: the reader's
// buffers are no part of the meaning.
func TestLineReader_FindsTheSameLinesHoweverTheyArrive(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	const limit = 100
	for range 200 {
		var text strings.Builder
		for range random.IntN(20) {
			text.WriteString(strings.Repeat("x", random.IntN(3*limit)))
			text.WriteByte('\n')
		}
		text.WriteString(strings.Repeat("y", random.IntN(2)))
		r := newLineReader(nil, limit)
		r.in.Reset(&drip{strings.NewReader(text.String()), random})
		var got strings.Builder
		cut := 0
		for {
			l, err := r.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got.Write(l.text)
			if l.cut {
				cut++
				if n, err := r.rest(&got); err != nil || n == 0 {
					t.Fatalf("rest of %d bytes, %v", n, err)
				}
			}
			got.WriteByte('\n')
		}
		want := text.String()
		if want != "" && !strings.HasSuffix(want, "\n") {
			want += "\n"
		}
		if got.String() != want || r.bytes != int64(text.Len()) {
			t.Fatalf("%d bytes, got\n%s\nwant\n%s", r.bytes, got.String(), want)
		}
		long := 0
		for l := range strings.Lines(text.String()) {
			if len(strings.TrimSuffix(l, "\n")) > limit {
				long++
			}
		}
		if cut != long {
			t.Fatalf("%d lines are cut, %d are long", cut, long)
		}
	}
}

// drip yields a few bytes at a time.
type drip struct {
	r      io.Reader
	random *rand.Rand
}

func (d *drip) Read(p []byte) (int, error) {
	return d.r.Read(p[:min(len(p), 1+d.random.IntN(40))])
}

func TestLineReader_HoldsNoMoreOfALineThanTheLimit(t *testing.T) {
	const limit, size = 1000, 64 << 20
	r := newLineReader(io.LimitReader(endless{}, size), limit)
	l, err := r.next()
	if err != nil || !l.cut || len(l.text) != limit {
		t.Fatalf("%d bytes, cut %t, %v", len(l.text), l.cut, err)
	}
	if _, err := r.next(); !errors.Is(err, io.EOF) || r.bytes != size {
		t.Fatalf("%d bytes read, %v", r.bytes, err)
	}
	if cap(r.text) > limit+2*readBytes {
		t.Fatalf("the reader holds %d bytes", cap(r.text))
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestStamp_EndsWhenItsReaderIsGone(t *testing.T) {
	t.Chdir(t.TempDir())
	var stderr bytes.Buffer
	code := run(context.Background(), []string{"stamp"}, process{
		stdin: strings.NewReader(`{"anonymousId":"a","timestamp":1}` + "\n"), stdout: closedPipe{},
		stderr: &stderr,
	})
	if code != exitFailed ||
		stderr.String() != "sessionizer: write /dev/stdout: its reader has gone away\n" {
		t.Fatalf("code %d, stderr %q", code, stderr.String())
	}
}

type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}
}

// A signal must end the command even while it waits for input that never comes.
func TestStamp_ASignalEndsTheWaiting(t *testing.T) {
	t.Chdir(t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	in, out := io.Pipe()
	defer out.Close()
	var stdout, stderr bytes.Buffer
	done := make(chan int)
	go func() {
		done <- run(ctx, []string{"stamp", "-"}, process{stdin: in, stdout: &stdout, stderr: &stderr})
	}()
	if _, err := io.WriteString(out, `{"anonymousId":"a","timestamp":1}`+"\n"); err != nil {
		t.Fatal(err)
	}
	cancel()
	if code := <-done; code != exitFailed ||
		!strings.HasPrefix(stderr.String(), "sessionizer: interrupted in -:") {
		t.Fatalf("code %d, stderr %q", code, stderr.String())
	}
}

func TestStamp_RefusesToWriteWhatItReads(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("in", []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link("in", "link"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		stderr string
		code   int
		args   []string
	}{
		{"--visits link is the input in", exitUsage, []string{"--visits", "link", "in"}},
		{"--dead-letters in is the input in", exitUsage, []string{"--dead-letters", "in", "in"}},
		{"--visits x and --dead-letters x are the same file", exitUsage,
			[]string{"--visits", "x", "--dead-letters", "x"}},
		{"standard output is for the stamped lines: name a file", exitUsage, []string{"--visits", "-"}},
		{"standard input is named twice", exitUsage, []string{"-", "-"}},
		{"read gone: no such file or directory", exitFailed, []string{"gone"}},
		{"read .: it is a directory", exitFailed, []string{"."}},
	} {
		r := sessionizer(t, "", append([]string{"stamp"}, c.args...)...)
		if r.code != c.code || r.stderr != "sessionizer: "+c.stderr+"\n" || r.stdout != "" {
			t.Errorf("%v: %+v", c.args, r)
		}
	}
	if content, err := os.ReadFile("in"); err != nil || string(content) != "{}\n" {
		t.Fatalf("the input is %q, %v", content, err)
	}
}

// Every event comes out in its order, the session aside, however many there
// are: here more than a batch of the state.
func TestStamp_EveryLineComesOut(t *testing.T) {
	t.Chdir(t.TempDir())
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	g := events.New(events.Standard(11, 300, 1_767_225_600_000))
	var input bytes.Buffer
	var usable int
	for range 3 * offlineBatchRecords {
		r := g.Next()
		input.Write(r.Value)
		input.WriteByte('\n')
		if r.Usable {
			usable++
		}
	}
	r := sessionizer(t, input.String(), "stamp", "--json", "--dead-letters", "dead")
	if r.code != exitFine {
		t.Fatal(r.stderr)
	}
	if out := strings.Count(r.stdout, "\n"); out != usable {
		t.Fatalf("%d lines out of %d usable ones: %s", out, usable, r.stderr)
	}
	if starts := strings.Count(r.stdout, `"start":true,"uuid"`); starts < 300 ||
		!strings.Contains(r.stderr, `"stamped":`+fmt.Sprint(usable)+`,`) {
		t.Fatalf("%d starts, %s", starts, r.stderr)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Fatalf("the state is left behind: %v, %v", left, err)
	}
}

func TestProgressText_SaysHowFarItIs(t *testing.T) {
	for _, c := range []struct {
		bytes, total int64
		want         string
	}{
		{50, 200, "[######..................]  25 %  1,234,567 lines  617,283 lines/s"},
		{300, 200, "[########################] 100 %  1,234,567 lines  617,283 lines/s"},
		{50, -1, "1,234,567 lines  617,283 lines/s"},
	} {
		if got := progressText(c.bytes, c.total, 1_234_567, "lines", 2e9); got != c.want {
			t.Errorf("got %q", got)
		}
	}
}
