//go:build unix

// Package kafka starts and stops real Apache Kafka brokers and schema registries on the loopback
// interface, for development and for the integration tests. A broker is one node, broker and
// controller in one process. Each process has its own folder: configuration, data, output and its
// id. Nothing but that process is ever signalled.
package kafka

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const heapDefault = "1g"

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
	process
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
	controller := o.Port + 1
	if o.Port == 0 {
		if o.Port, controller, err = freePorts(); err != nil {
			return nil, err
		}
	}
	return &Broker{
		process: process{name: "Kafka", dir: dir, mark: "server.properties", log: "broker.log"},
		o:       o, controller: controller,
	}, nil
}

// Addr is the address for clients, host:port.
func (b *Broker) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(b.o.Port)) }

// LogFile is the file of what the broker prints.
func (b *Broker) LogFile() string { return b.file("broker.log") }

// Start starts the broker and returns when it answers; one that runs already is only waited for.
// The broker outlives this process, and a broker of the same folder finds its data again.
func (b *Broker) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()))
	if err != nil {
		return fmt.Errorf("ask Kafka at %s: %w", b.Addr(), err)
	}
	defer client.Close()
	// It answers when it counts itself among the brokers.
	answers := func(ctx context.Context) bool {
		meta, err := kadm.NewClient(client).BrokerMetadata(ctx)
		return err == nil && len(meta.Brokers) > 0
	}
	if b.Running() {
		return b.await(ctx, nil, answers)
	}
	if err := b.portsFree(b.o.Port, b.controller); err != nil {
		return err
	}
	java, err := java(ctx)
	if err != nil {
		return err
	}
	if err := b.configure(ctx, java); err != nil {
		return err
	}
	return b.start(ctx, java, b.args("kafka.Kafka", b.file("server.properties")), answers)
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
func (b *Broker) Running() bool { return b.running() }

// Remove deletes the broker's folder with all its data. It must not be running.
func (b *Broker) Remove() error { return b.remove() }

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
