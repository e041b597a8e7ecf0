//go:build kafka

package kafkatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// startWithin bounds the wait for a process to come up or to say something, on a machine
	// that is busy with other tests.
	startWithin = 60 * time.Second
	// stopWithin is the promise for SIGTERM and for a refusal.
	stopWithin = 30 * time.Second
	// logTailBytes is how much of a process's output a failed test shows.
	logTailBytes = 4 << 10
)

// process is a started program with its output.
type process struct {
	name   string
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr transcript
	exited chan struct{} // closed when it has ended
}

// transcript collects what is written to it and tells those who wait for more.
type transcript struct {
	mu   sync.Mutex
	text []byte
	more chan struct{} // closed at the next write
}

func (w *transcript) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	if w.more != nil {
		close(w.more)
		w.more = nil
	}
	return len(p), nil
}

// read returns all that was written, and a channel that is closed when there is more.
func (w *transcript) read() (string, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.more == nil {
		w.more = make(chan struct{})
	}
	return string(w.text), w.more
}

// launch starts the program. It belongs to the caller alone: nothing but its own process is ever
// signalled, and the test's end kills it if it is still there.
func launch(t *testing.T, name, dir string, args ...string) (*process, error) {
	t.Helper()
	return launchProgram(t, os.Getenv(binaryVariable), nil, name, dir, args...)
}

// launchProgram is launch of another build of the program, with more in its environment.
func launchProgram(
	t *testing.T, binary string, env []string, name, dir string, args ...string,
) (*process, error) {
	t.Helper()
	p := &process{name: name, exited: make(chan struct{})}
	p.cmd = exec.Command(binary, args...)
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	p.cmd.Env = append([]string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}, env...)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.exited)
		// The exit code is read from the process state; a kill is no error of the test.
		_ = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		killed := !p.alive() && p.cmd.ProcessState.ExitCode() < 0 // by the test: it tells nothing
		p.kill()
		if t.Failed() && !killed {
			t.Logf("%s (process %d) %s:\n%s", name, p.cmd.Process.Pid, p.cmd.ProcessState, p.tail())
		}
	})
	return p, nil
}

func start(t *testing.T, name, dir string, args ...string) *process {
	t.Helper()
	p, err := launch(t, name, dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *process) tail() string {
	text, _ := p.stderr.read()
	if cut := len(text) - logTailBytes; cut > 0 {
		text = fmt.Sprintf("... %d bytes more ...%s", cut, text[cut:])
	}
	return text
}

// kill ends the process as a crash would and waits until it is gone.
func (p *process) kill() {
	_ = p.signal(syscall.SIGKILL)
	<-p.exited
}

func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}

// alive reports whether the process has not ended.
func (p *process) alive() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// wait returns the exit code, negative after a kill.
func (p *process) wait(t *testing.T, within time.Duration) int {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-deadline.C:
		t.Fatalf("%s does not end within %s", p.name, within)
		return 0
	}
}

// ends waits for an exit code and for words on standard error.
func (p *process) ends(t *testing.T, within time.Duration, code int, words ...string) {
	t.Helper()
	if got := p.wait(t, within); got != code {
		t.Fatalf("%s ended with exit code %d, want %d; it said:\n%s", p.name, got, code, p.tail())
	}
	text, _ := p.stderr.read()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s did not say %q; it said:\n%s", p.name, w, p.tail())
		}
	}
}

// says waits until standard error holds the words.
func (p *process) says(t *testing.T, within time.Duration, words string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for {
		text, more := p.stderr.read()
		if strings.Contains(text, words) {
			return
		}
		select {
		case <-more:
		case <-p.exited:
			if text, _ := p.stderr.read(); strings.Contains(text, words) {
				return
			}
			t.Fatalf("%s ended (%s) before it said %q:\n%s", p.name, p.cmd.ProcessState, words, p.tail())
		case <-ctx.Done():
			t.Fatalf("%s did not say %q within %s:\n%s", p.name, words, within, p.tail())
		}
	}
}

// stop ends the process with SIGTERM, in good order and in time.
func (p *process) stop(t *testing.T) {
	t.Helper()
	began := time.Now()
	if err := p.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.ends(t, stopWithin, 0)
	t.Logf("%s ended %s after SIGTERM", p.name, time.Since(began).Round(time.Millisecond))
}

// eventually asks until the answer is yes, for what can neither be read nor waited for.
func eventually(t *testing.T, within time.Duration, what string, ask func() (bool, string)) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		yes, seen := ask()
		if yes {
			return
		}
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("%s: not within %s; last seen: %s", what, within, seen)
		}
	}
}
