package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"sessionizer/schemas"
)

// A dead letter holds the original whole, even of a line that does not fit
// into memory. It is written in pieces then, and must read as if it were not.

// deadLetterOf is what the tests read of a dead letter.
type deadLetterOf struct {
	File, Reason, Message string
	Line                  int64
	Original              *string
	OriginalBase64        []byte
}

func TestStamp_ALongLineIsWholeInItsDeadLetter(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	long := map[string]string{
		"control":      strings.Repeat("\x01", 2<<20),
		"text":         strings.Repeat("\"a\\é\t\x01\u2028\U0001f600", 300_000) + "\r",
		"not text":     strings.Repeat("x", 2<<20) + "\xff",
		"cut short":    strings.Repeat("é", 1<<20) + "\xc3",
		"not text, 1.": "\xff" + strings.Repeat("x", 2<<20),
	}
	for name, text := range long {
		for _, source := range []string{"file", "stdin"} {
			content := "\ufeff" + stampable + text + "\n" + stampable + text
			write(t, dir, "in", content)
			args, stdin := []string{"stamp", "--dead-letters", "dead", "--json"}, content
			if source == "file" {
				args, stdin = append(args, "in"), ""
			}
			r := sessionizer(t, stdin, args...)
			if r.code != exitFine || strings.Count(r.stdout, "\n") != 2 ||
				!strings.Contains(r.stderr, `"deadLetters":2,"reasons":{"limit":2}`) {
				t.Fatalf("%s from %s: code %d, %s", name, source, r.code, r.stderr)
			}
			dead := strings.Split(strings.TrimSuffix(read(t, dir, "dead"), "\n"), "\n")
			if len(dead) != 2 {
				t.Fatalf("%s from %s: %d dead letters", name, source, len(dead))
			}
			for i, d := range dead {
				var got deadLetterOf
				if err := json.Unmarshal([]byte(d), &got); err != nil {
					t.Fatalf("%s from %s: %v in %.200s", name, source, err, d)
				}
				original := string(got.OriginalBase64)
				if got.Original != nil {
					original = *got.Original
				}
				isText := utf8.ValidString(text) && text[0] != 1
				if original != text || (got.Original != nil) != isText ||
					got.Line != int64(2+2*i) || got.Reason != "limit" {
					t.Errorf("%s from %s: line %d, %d bytes of %d", name, source, got.Line,
						len(original), len(text))
				}
			}
		}
	}
}

// The pieces come out as the codec would write them in one.
func TestEscaper_WritesWhatTheCodecWrites(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for range 2000 {
		var text []byte
		for range random.IntN(30) {
			switch random.IntN(4) {
			case 0:
				text = utf8.AppendRune(text, rune(random.IntN(0x11000)))
			case 1:
				text = append(text, byte(random.IntN(256)))
			default:
				text = append(text, byte(random.IntN(128)))
			}
		}
		var check textCheck
		var got bytes.Buffer
		escape := &escaper{w: &got}
		for rest := text; len(rest) > 0; {
			piece := rest[:1+random.IntN(len(rest))]
			rest = rest[len(piece):]
			for _, w := range []io.Writer{&check, escape} {
				if n, err := w.Write(piece); n != len(piece) || err != nil {
					t.Fatal(n, err)
				}
			}
		}
		whole := schemas.AppendDeadLetterLine(nil, 1, text, &schemas.BadInput{})
		isText := utf8.Valid(text) && got.Len() <= 2*len(text)
		if check.valid() != isText || bytes.Contains(whole, []byte(`"original":`)) != isText {
			t.Fatalf("%q: valid is %t, and it came out as %s", text, check.valid(), whole)
		}
		if check.valid() && !bytes.HasSuffix(whole, []byte(`"original":"`+got.String()+"\"}\n")) {
			t.Fatalf("got %s in %s", got.String(), whole)
		}
	}
}

// Memory stays as it is, however long a line: here 128 MiB of it from a pipe.
func TestStamp_ALongLineIsNotHeldInMemory(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("TMPDIR", t.TempDir())
	const size, heapMax = 128 << 20, 64 << 20
	// What other tests left behind is not counted. What this one makes is, until it is collected.
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	highest := uint64(0)
	var stderr bytes.Buffer
	code := run(context.Background(), []string{"stamp", "--dead-letters", "dead"}, process{
		stdin: &watched{io.LimitReader(endless{}, size), &highest}, stdout: io.Discard, stderr: &stderr,
	})
	info, err := os.Stat("dead")
	if code != exitFine || err != nil || info.Size() < size {
		t.Fatalf("code %d, %v, %s", code, err, stderr.String())
	}
	if highest == 0 || highest > before.HeapInuse+heapMax {
		t.Errorf("the heap grew from %d to %d bytes", before.HeapInuse, highest)
	}
	left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// watched notes how large the heap is when it is read.
type watched struct {
	in      io.Reader
	highest *uint64
}

func (w *watched) Read(p []byte) (int, error) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	*w.highest = max(*w.highest, m.HeapInuse)
	return w.in.Read(p)
}

func TestLongDeadLetter_Base64IsTheStandardOne(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	text := strings.Repeat("\xfe", 1025)
	r := sessionizer(t, text, "stamp", "--dead-letters", "dead", "--set", "limits.record=1KiB")
	want := `"originalBase64":"` + base64.StdEncoding.EncodeToString([]byte(text)) + "\"}\n"
	if r.code != exitFine || !strings.HasSuffix(read(t, dir, "dead"), want) {
		t.Fatalf("%+v, %s", r, read(t, dir, "dead"))
	}
}

// Whatever a line holds, a dead letter takes no more than four times its size and 1 MiB: all that
// is allocated counts, held or not.
func TestStamp_TheMemoryOfADeadLetterIsBoundedByItsLine(t *testing.T) {
	t.Chdir(t.TempDir())
	took := func(line string) uint64 {
		var before, after runtime.MemStats
		in := strings.NewReader(stampable + line + "\n")
		runtime.ReadMemStats(&before)
		code := run(context.Background(), []string{"stamp", "--dead-letters", "dead", "--set",
			"limits.record=64MiB"}, process{stdin: in, stdout: io.Discard, stderr: io.Discard})
		runtime.ReadMemStats(&after)
		info, err := os.Stat("dead")
		if code != exitFine || err != nil || info.Size() < int64(len(line)) {
			t.Fatalf("code %d, %v", code, err)
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	const size = 8<<20 + 1
	took("{") // what is made only once
	small := took("{")
	for name, piece := range map[string]string{
		"control": "\x01", "quotes": `"`, "not text": "\xff", "text": "é",
	} {
		most := small + 4*size + 1<<20
		// What comes from a pipe is copied by its reader before anything sees it.
		most += size + readBytes
		if got := took(strings.Repeat(piece, size/len(piece))); got > most {
			t.Errorf("%s: %d bytes were allocated for a line of %d, at most %d", name, got, size, most)
		}
	}
}
