//go:build unix

// Kafka starts and stops a single-node Apache Kafka and a schema registry on the loopback
// interface, for development and for the integration tests.
//
//	kafka start                      start the broker of this work tree, if it does not run
//	kafka stop                       end it
//	kafka stop-all                   end every process of this work tree, whatever its port
//	kafka status                     say where it is
//	kafka topic NAME PARTITIONS      make a topic on it
//	kafka registry start             start the schema registry of this work tree
//	kafka registry stop              end it
//	kafka with COMMAND [ARG...]      run a command with KAFKA_BROKERS set
//
// The port is KAFKA_PORT, 9092 by default; KAFKA_HEAP is the greatest heap. The registry's is
// REGISTRY_PORT, 8081 by default. with takes the brokers
// that KAFKA_BROKERS names, or else runs a broker of its own for the command: fresh, on free ports,
// ended afterwards. Its exit code is the command's.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/internal/kafka"
)

const (
	portDefault         = 9092
	registryPortDefault = 8081
)

// errUsage is wrong usage, exit code 2.
var errUsage = errors.New(
	"usage: kafka start | stop | stop-all | status | topic NAME PARTITIONS | registry start | " +
		"registry stop | with COMMAND [ARG...]")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stderr)
	stop()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		os.Exit(exit.ExitCode())
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "kafka:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, env func(string) string, say io.Writer) error {
	dir, err := kafka.Dir()
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return errUsage
	}
	switch command, args := args[0], args[1:]; {
	case command == "with" && len(args) > 0:
		return with(ctx, dir, args, env, say)
	case command == "start" && len(args) == 0:
		return start(ctx, dir, env, say)
	case command == "topic" && len(args) == 2:
		return topic(ctx, dir, args[0], args[1], env, say)
	case command == "registry" && len(args) == 1 && (args[0] == "start" || args[0] == "stop"):
		return registry(ctx, dir, args[0] == "start", env, say)
	case command == "stop" && len(args) == 0:
		return stop(dir, env, say)
	case command == "stop-all" && len(args) == 0:
		return stopAll(dir, say)
	case command == "status" && len(args) == 0:
		return status(dir, env, say)
	default:
		return errUsage
	}
}

// broker is the broker of this work tree that start, stop, status and topic speak of.
func broker(dir, jars string, env func(string) string) (*kafka.Broker, error) {
	port, err := port("KAFKA_PORT", portDefault, env)
	if err != nil {
		return nil, err
	}
	return kafka.New(kafka.Options{
		Dir:  filepath.Join(dir, "broker-"+strconv.Itoa(port)),
		Jars: jars, Port: port, Heap: env("KAFKA_HEAP"),
	})
}

// port is what an environment variable says, or the usual one.
func port(variable string, usual int, env func(string) string) (int, error) {
	text := env(variable)
	if text == "" {
		return usual, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%s=%s: a port is a number from 1 to 65534", variable, text)
	}
	return int(n), nil
}

func start(ctx context.Context, dir string, env func(string) string, say io.Writer) error {
	jars, err := kafka.Jars(ctx, dir, say)
	if err != nil {
		return err
	}
	b, err := broker(dir, jars, env)
	if err != nil {
		return err
	}
	if err := b.Start(ctx); err != nil {
		return err
	}
	fmt.Fprintf(say, "kafka: answers at %s; its output: %s\n", b.Addr(), b.LogFile())
	return nil
}

func stop(dir string, env func(string) string, say io.Writer) error {
	b, err := broker(dir, "", env)
	if err != nil {
		return err
	}
	if !b.Running() {
		fmt.Fprintf(say, "kafka: none of this work tree runs at %s\n", b.Addr())
		return nil
	}
	if err := b.Stop(); err != nil {
		return err
	}
	fmt.Fprintf(say, "kafka: stopped at %s\n", b.Addr())
	return nil
}

// registry starts or stops the schema registry of this work tree.
func registry(
	ctx context.Context, dir string, up bool, env func(string) string, say io.Writer,
) error {
	port, err := port("REGISTRY_PORT", registryPortDefault, env)
	if err != nil {
		return err
	}
	o := kafka.RegistryOptions{
		Dir: filepath.Join(dir, "registry-"+strconv.Itoa(port)), Port: port,
	}
	if up {
		if o.Jars, err = kafka.RegistryJars(ctx, dir, say); err != nil {
			return err
		}
	}
	r, err := kafka.NewRegistry(o)
	if err != nil {
		return err
	}
	switch {
	case up:
		if err := r.Start(ctx); err != nil {
			return err
		}
		fmt.Fprintf(say, "kafka: the registry answers at %s; its output: %s\n", r.URL(), r.LogFile())
	case !r.Running():
		fmt.Fprintf(say, "kafka: no registry of this work tree runs at %s\n", r.URL())
	default:
		if err := r.Stop(); err != nil {
			return err
		}
		fmt.Fprintf(say, "kafka: the registry at %s is stopped\n", r.URL())
	}
	return nil
}

func stopAll(dir string, say io.Writer) error {
	files, err := filepath.Glob(filepath.Join(dir, "*", "pid"))
	if err != nil {
		return fmt.Errorf("find the brokers in %s: %w", dir, err)
	}
	var faults []error
	for _, file := range files {
		b, err := kafka.New(kafka.Options{Dir: filepath.Dir(file)})
		faults = append(faults, err)
		r, err := kafka.NewRegistry(kafka.RegistryOptions{Dir: filepath.Dir(file)})
		faults = append(faults, err)
		if b == nil || r == nil || !b.Running() && !r.Running() {
			continue
		}
		faults = append(faults, b.Stop(), r.Stop())
		fmt.Fprintf(say, "kafka: stopped what ran in %s\n", filepath.Dir(file))
	}
	return errors.Join(faults...)
}

func status(dir string, env func(string) string, say io.Writer) error {
	b, err := broker(dir, "", env)
	if err != nil {
		return err
	}
	if !b.Running() {
		return fmt.Errorf("none of this work tree runs at %s", b.Addr())
	}
	fmt.Fprintf(say, "kafka: runs at %s; its output: %s\n", b.Addr(), b.LogFile())
	return nil
}

func topic(
	ctx context.Context, dir, name, count string, env func(string) string, say io.Writer,
) error {
	partitions, err := strconv.ParseInt(count, 10, 32)
	if err != nil || partitions < 1 {
		return fmt.Errorf("%w: %s is no number of partitions", errUsage, count)
	}
	b, err := broker(dir, "", env)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()))
	if err != nil {
		return fmt.Errorf("make topic %s: %w", name, err)
	}
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(ctx, int32(partitions), 1, nil, name)
	if err != nil {
		return fmt.Errorf("make topic %s at %s: %w", name, b.Addr(), err)
	}
	fmt.Fprintf(say, "kafka: made topic %s with %d partitions\n", name, partitions)
	return nil
}

// with runs a command beside a broker. The command gets the signals that this process gets; the
// broker is stopped after the command has ended, whatever way it ended.
func with(
	ctx context.Context, dir string, args []string, env func(string) string, say io.Writer,
) (err error) {
	if env("KAFKA_BROKERS") != "" {
		return command(ctx, args, nil)
	}
	jars, err := kafka.Jars(ctx, dir, say)
	if err != nil {
		return err
	}
	b, err := kafka.New(kafka.Options{
		Dir:  filepath.Join(dir, fmt.Sprintf("with-%d", os.Getpid())),
		Jars: jars, Heap: env("KAFKA_HEAP"),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Stop(), b.Remove()) }()
	if err := b.Start(ctx); err != nil {
		return err
	}
	fmt.Fprintf(say, "kafka: answers at %s for %s\n", b.Addr(), args[0])
	return command(ctx, args, []string{"KAFKA_BROKERS=" + b.Addr()})
}

func command(ctx context.Context, args, env []string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return cmd.Run()
}
