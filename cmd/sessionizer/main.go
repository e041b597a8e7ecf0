// Command sessionizer gives every customer event its session, from one Kafka
// topic to another, exactly once.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // zones of session.midnight, where the host has none
)

func main() {
	// A reader that goes away ends a write with an error, like everything else
	// that can go wrong with it, and not the process.
	signal.Ignore(syscall.SIGPIPE)
	ctx, halt, stop := signals()
	code := run(ctx, os.Args[1:], process{
		environ: os.Environ(), halt: halt,
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
	})
	stop()
	os.Exit(code)
}

// signals returns a context that the first SIGINT or SIGTERM cancels, and a
// channel that the second one closes.
func signals() (context.Context, <-chan struct{}, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	halt := make(chan struct{})
	stopped := make(chan struct{})
	ended := make(chan struct{})
	// Two signals may be on their way before the goroutine looks.
	caught := make(chan os.Signal, 2)
	signal.Notify(caught, os.Interrupt, syscall.SIGTERM)
	go func() {
		defer close(ended)
		for _, act := range []func(){cancel, func() { close(halt) }} {
			select {
			case <-caught:
				act()
			case <-stopped:
				return
			}
		}
	}()
	return ctx, halt, func() {
		signal.Stop(caught)
		close(stopped)
		<-ended
		cancel()
	}
}
