//go:build unix

package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 90 * time.Second // a cold machine needs 10 s
	stopTimeout  = 30 * time.Second // then the process is killed
	askTimeout   = 2 * time.Second  // one try at a server that may not be up yet
	pollInterval = 50 * time.Millisecond
	logTailBytes = 4 << 10 // how much of a dead server's output an error shows
)

// process is a Java server with its own folder, in which its id, its output and its data are.
type process struct {
	name string // for messages
	dir  string
	// mark is a path below dir that its command line names: a pid in the folder's file counts only
	// while that is so. After a reboot it may be anybody's.
	mark string
	log  string // the name of the file of what it prints
}

func (p *process) file(name string) string { return filepath.Join(p.dir, name) }

func (p *process) running() bool { return p.pid() != 0 }

// start starts the server and returns when ready says that it answers.
func (p *process) start(
	ctx context.Context, java string, args []string, ready func(context.Context) bool,
) error {
	out, err := os.Create(p.file(p.log))
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	defer out.Close()
	cmd := exec.Command(java, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Dir = p.dir
	// Its own session: a Ctrl-C at the terminal is for our caller, which then stops the server in
	// good order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	exited := make(chan error, 1) // 1: the waiter must never hang on a caller that has gone
	go func() { exited <- cmd.Wait() }()
	pid := strconv.Itoa(cmd.Process.Pid)
	if err := os.WriteFile(p.file("pid"), []byte(pid+"\n"), 0o644); err != nil {
		return errors.Join(fmt.Errorf("start %s: %w", p.name, err), cmd.Process.Kill())
	}
	if err := p.await(ctx, exited, ready); err != nil {
		return errors.Join(err, p.end(syscall.SIGKILL))
	}
	return nil
}

// await returns when the server answers, or with the reason why it will not. exited, where there is
// one, tells of the end of its process.
func (p *process) await(
	ctx context.Context, exited <-chan error, ready func(context.Context) bool,
) error {
	for {
		ask, cancel := context.WithTimeout(ctx, askTimeout)
		up := ready(ask)
		cancel()
		if up {
			return nil
		}
		select {
		case err := <-exited:
			// A process that ended before it answered has failed, whatever its exit code.
			return errors.Join(fmt.Errorf("start %s: it ended; %s ends with:\n%s",
				p.name, p.file(p.log), p.logTail()), err)
		case <-ctx.Done():
			return fmt.Errorf("start %s: no answer in time: %w; see %s", p.name, ctx.Err(), p.file(p.log))
		case <-time.After(pollInterval):
		}
	}
}

// end signals the process and returns when it is gone; one that does not end is killed after half
// a minute. A process that does not run is fine.
func (p *process) end(sig syscall.Signal) error {
	if !p.running() {
		return nil
	}
	if err := p.signal(sig); err != nil {
		return err
	}
	for deadline := time.Now().Add(stopTimeout); p.running(); time.Sleep(pollInterval) {
		if time.Now().After(deadline) {
			deadline = deadline.Add(stopTimeout)
			if err := p.signal(syscall.SIGKILL); err != nil {
				return err
			}
		}
	}
	return os.Remove(p.file("pid"))
}

func (p *process) signal(sig syscall.Signal) error {
	pid := p.pid()
	if pid == 0 {
		return fmt.Errorf("signal %s in %s: it is not running", p.name, p.dir)
	}
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %s, process %d: %w", p.name, pid, err)
	}
	return nil
}

// pid is the id of the process, 0 if there is none.
func (p *process) pid() int {
	text, err := os.ReadFile(p.file("pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 0 {
		return 0
	}
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		// No /proc: another Unix, or the process is gone.
		command, err = exec.Command("ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	}
	if err != nil || !bytes.Contains(command, []byte(p.file(p.mark))) {
		return 0
	}
	return pid
}

// remove deletes the folder with all its data. The process must not be running.
func (p *process) remove() error {
	if p.running() {
		return fmt.Errorf("remove %s in %s: it is running", p.name, p.dir)
	}
	return os.RemoveAll(p.dir)
}

func (p *process) logTail() string {
	text, err := os.ReadFile(p.file(p.log))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-logTailBytes):])
}

// portsFree finds a foreign listener before the server does: its own message is hard to read.
func (p *process) portsFree(ports ...int) error {
	for _, port := range ports {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return fmt.Errorf("start %s: port %d is taken by another program: %w", p.name, port, err)
		}
		if err := l.Close(); err != nil {
			return fmt.Errorf("start %s: port %d: %w", p.name, port, err)
		}
	}
	return nil
}

// freePorts returns two ports that nothing listens on.
func freePorts() (first, second int, err error) {
	a, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, 0, fmt.Errorf("find a free port: %w", err)
	}
	defer a.Close() // held until the second is known, so that they differ
	b, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, 0, fmt.Errorf("find a free port: %w", err)
	}
	defer b.Close()
	return a.Addr().(*net.TCPAddr).Port, b.Addr().(*net.TCPAddr).Port, nil
}
