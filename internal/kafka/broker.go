//go:build unix

// Package kafka starts and stops real Apache Kafka brokers on the loopback interface, for
// development and for the integration tests. A broker is one node, broker and controller in one
// process, with its own folder: configuration, data, output and the id of its process. Nothing but
// that process is ever signalled.
package kafka

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
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

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	startTimeout = 90 * time.Second // a cold machine needs 10 s
	stopTimeout  = 30 * time.Second // then the process is killed
	askTimeout   = 2 * time.Second  // one try at a broker that may not be up yet
	pollInterval = 50 * time.Millisecond
	heapDefault  = "1g"
	logTailBytes = 4 << 10 // how much of a dead broker's output an error shows
)

// Options say which broker.
type Options struct {
	Dir        string            // the broker's own folder; made where it is missing
	Jars       string            // the folder that Jars returned
	Port       int               // on 127.0.0.1; the controller has the next one. 0: free ones
	Heap       string            // the greatest heap as java takes it; default 1g
	Properties map[string]string // added to server.properties, over the defaults
}

// Broker is one broker, running or not. Its methods are for one goroutine at a time.
type Broker struct {
	o          Options
	controller int
}

// New describes a broker and starts nothing. It has the same ports for its whole life.
func New(o Options) (*Broker, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("locate the broker's folder: %w", err)
	}
	o.Dir = dir
	if o.Heap == "" {
		o.Heap = heapDefault
	}
	if o.Port != 0 {
		return &Broker{o: o, controller: o.Port + 1}, nil
	}
	client, controller, err := freePorts()
	if err != nil {
		return nil, err
	}
	o.Port = client
	return &Broker{o: o, controller: controller}, nil
}

// Addr is the address for clients, host:port.
func (b *Broker) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(b.o.Port)) }

// LogFile is the file of what the broker prints.
func (b *Broker) LogFile() string { return b.file("broker.log") }

func (b *Broker) file(name string) string { return filepath.Join(b.o.Dir, name) }

// Start starts the broker and returns when it answers; one that runs already is only waited for.
// The broker outlives this process, and a broker of the same folder finds its data again.
func (b *Broker) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if b.Running() {
		return b.await(ctx, nil)
	}
	if err := b.portsFree(); err != nil {
		return err
	}
	java, err := java(ctx)
	if err != nil {
		return err
	}
	if err := b.configure(ctx, java); err != nil {
		return err
	}
	out, err := os.Create(b.LogFile())
	if err != nil {
		return fmt.Errorf("start Kafka: %w", err)
	}
	defer out.Close()
	cmd := exec.Command(java, b.args("kafka.Kafka", b.file("server.properties"))...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Dir = b.o.Dir
	// Its own session: a Ctrl-C at the terminal is for our caller, which then stops the broker in
	// good order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start Kafka: %w", err)
	}
	exited := make(chan error, 1) // 1: the waiter must never hang on a caller that has gone
	go func() { exited <- cmd.Wait() }()
	pid := strconv.Itoa(cmd.Process.Pid)
	if err := os.WriteFile(b.file("pid"), []byte(pid+"\n"), 0o644); err != nil {
		return errors.Join(fmt.Errorf("start Kafka: %w", err), cmd.Process.Kill())
	}
	if err := b.await(ctx, exited); err != nil {
		return errors.Join(err, b.Kill())
	}
	return nil
}

// Stop ends the broker in good order, or kills it when that takes longer than half a minute. It
// returns when the process is gone; a broker that does not run is fine.
func (b *Broker) Stop() error { return b.end(syscall.SIGTERM) }

// Kill ends the broker as a crash would.
func (b *Broker) Kill() error { return b.end(syscall.SIGKILL) }

// Pause stops the broker's process where it is, until Continue.
func (b *Broker) Pause() error { return b.signal(syscall.SIGSTOP) }

// Continue lets a paused broker run on.
func (b *Broker) Continue() error { return b.signal(syscall.SIGCONT) }

// Running reports whether the broker's process is there.
func (b *Broker) Running() bool { return b.pid() != 0 }

// Remove deletes the broker's folder with all its data. It must not be running.
func (b *Broker) Remove() error {
	if b.Running() {
		return fmt.Errorf("remove the broker in %s: it is running", b.o.Dir)
	}
	return os.RemoveAll(b.o.Dir)
}

func (b *Broker) end(sig syscall.Signal) error {
	if !b.Running() {
		return nil
	}
	if err := b.signal(sig); err != nil {
		return err
	}
	for deadline := time.Now().Add(stopTimeout); b.Running(); time.Sleep(pollInterval) {
		if time.Now().After(deadline) {
			deadline = deadline.Add(stopTimeout)
			if err := b.signal(syscall.SIGKILL); err != nil {
				return err
			}
		}
	}
	return os.Remove(b.file("pid"))
}

func (b *Broker) signal(sig syscall.Signal) error {
	pid := b.pid()
	if pid == 0 {
		return fmt.Errorf("signal the broker in %s: it is not running", b.o.Dir)
	}
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal the broker, process %d: %w", pid, err)
	}
	return nil
}

// pid is the id of the broker's process, 0 if there is none. The id in the file counts only while
// that process's command line names our properties: after a reboot it may be anybody's.
func (b *Broker) pid() int {
	text, err := os.ReadFile(b.file("pid"))
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
	if err != nil || !bytes.Contains(command, []byte(b.file("server.properties"))) {
		return 0
	}
	return pid
}

// args begin with what Kafka's own kafka-run-class.sh and kafka-server-start.sh give to java.
func (b *Broker) args(class string, args ...string) []string {
	return append([]string{
		"-server", "-Xms" + b.o.Heap, "-Xmx" + b.o.Heap, "-XX:+UseG1GC",
		"-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
		"-XX:+ExplicitGCInvokesConcurrent", "-XX:MaxInlineLevel=15", "-Djava.awt.headless=true",
		"-Dlog4j2.configurationFile=" + b.file("log4j2.xml"),
		"-cp", filepath.Join(b.o.Jars, "*"), class,
	}, args...)
}

// configure writes the configuration and, the first time, formats the data folder.
func (b *Broker) configure(ctx context.Context, java string) error {
	if err := os.MkdirAll(b.o.Dir, 0o755); err != nil {
		return fmt.Errorf("configure Kafka: %w", err)
	}
	for name, text := range map[string]string{
		"server.properties": b.properties(),
		"log4j2.xml":        log4j,
	} {
		if err := os.WriteFile(b.file(name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("configure Kafka: %w", err)
		}
	}
	if _, err := os.Stat(b.file("data/meta.properties")); err == nil {
		return nil
	}
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return fmt.Errorf("configure Kafka: %w", err)
	}
	id[0] &= 0x7f // a cluster id must not begin with a dash: it would be read as a flag
	cmd := exec.CommandContext(ctx, java, b.args("kafka.tools.StorageTool", "format",
		"-t", base64.RawURLEncoding.EncodeToString(id), "-c", b.file("server.properties"))...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("format %s: %w\n%s", b.file("data"), err, out)
	}
	return nil
}

// properties are those of a single node that is small and quick: few partitions for its internal
// topics, no wait for a group's first members, and no topics that nobody asked for.
func (b *Broker) properties() string {
	controller := net.JoinHostPort("127.0.0.1", strconv.Itoa(b.controller))
	lines := []string{fmt.Sprintf(propertiesForm, b.Addr(), controller, b.file("data"))}
	for key, value := range b.o.Properties {
		lines = append(lines, key+"="+value) // the last of a key counts
	}
	return strings.Join(lines, "\n")
}

// propertiesForm takes the address for clients, the controller's, and the data folder.
const propertiesForm = `process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://%[1]s,CONTROLLER://%[2]s
advertised.listeners=PLAINTEXT://%[1]s
controller.listener.names=CONTROLLER
controller.quorum.voters=1@%[2]s
log.dirs=%[3]s
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
`

// await returns when the broker answers and counts itself among the brokers, or with the reason
// why it will not. exited, where there is one, tells of the end of its process.
func (b *Broker) await(ctx context.Context, exited <-chan error) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()))
	if err != nil {
		return fmt.Errorf("ask Kafka at %s: %w", b.Addr(), err)
	}
	defer client.Close()
	for {
		ask, cancel := context.WithTimeout(ctx, askTimeout)
		meta, err := kadm.NewClient(client).BrokerMetadata(ask)
		cancel()
		if err == nil && len(meta.Brokers) > 0 {
			return nil
		}
		select {
		case err := <-exited:
			// A process that ended before it answered has failed, whatever its exit code.
			return errors.Join(
				fmt.Errorf("start Kafka: it ended; %s ends with:\n%s", b.LogFile(), b.logTail()), err)
		case <-ctx.Done():
			return fmt.Errorf("start Kafka: no answer at %s in time: %w; see %s",
				b.Addr(), ctx.Err(), b.LogFile())
		case <-time.After(pollInterval):
		}
	}
}

func (b *Broker) logTail() string {
	text, err := os.ReadFile(b.LogFile())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-logTailBytes):])
}

// portsFree finds a foreign listener before Kafka does: its own message is hard to read.
func (b *Broker) portsFree() error {
	for _, port := range []int{b.o.Port, b.controller} {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return fmt.Errorf("start Kafka: port %d is taken by another program: %w", port, err)
		}
		if err := l.Close(); err != nil {
			return fmt.Errorf("start Kafka: port %d: %w", port, err)
		}
	}
	return nil
}

// freePorts returns two ports that nothing listens on.
func freePorts() (client, controller int, err error) {
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, 0, fmt.Errorf("find a free port: %w", err)
	}
	defer first.Close() // held until the second is known, so that they differ
	second, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, 0, fmt.Errorf("find a free port: %w", err)
	}
	defer second.Close()
	return first.Addr().(*net.TCPAddr).Port, second.Addr().(*net.TCPAddr).Port, nil
}
