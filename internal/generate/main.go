// Generate sends made-up customer events to a Kafka topic, as they would come from the browsers and
// apps of a shop: a source for trying the processor out. It goes on until it is stopped.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/internal/events"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, say io.Writer) error {
	flags := flag.NewFlagSet("generate", flag.ContinueOnError)
	flags.SetOutput(say)
	brokers := flags.String("brokers", "localhost:9092", "brokers, host:port,...")
	topic := flags.String("topic", "events", "topic to send to")
	customers := flags.Int("customers", 1_000, "customers of the shop")
	gap := flags.Duration("gap", 2*time.Minute, "how long a customer stays away between visits")
	seed := flags.Uint64("seed", 1, "the same seed gives the same customers")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *customers < 1 {
		return fmt.Errorf("-customers %d: at least one is needed", *customers)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(*brokers, ",")...),
		kgo.DefaultProduceTopic(*topic))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", *brokers, err)
	}
	defer client.Close()
	config := events.Standard(*seed, *customers, time.Now().UnixMilli())
	config.MeanGapMs = gap.Milliseconds()
	fmt.Fprintf(say, "generate: %d customers send to topic %s at %s\n", *customers, *topic, *brokers)
	return send(ctx, client, events.New(config))
}

// send hands each event over when its time has come: the generator's clock begins at this moment
// and runs as fast as ours.
func send(ctx context.Context, client *kgo.Client, generator *events.Generator) error {
	failed := make(chan error, 1) // 1: the first failure is enough, a later one is dropped
	for {
		r := generator.Next()
		select {
		case <-time.After(time.Until(time.UnixMilli(r.TimestampMs))):
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		record := &kgo.Record{
			Key: append([]byte(nil), r.Key...), Value: append([]byte(nil), r.Value...),
		}
		client.Produce(ctx, record, func(_ *kgo.Record, err error) {
			if err == nil {
				return
			}
			select {
			case failed <- fmt.Errorf("send to %s: %w", record.Topic, err):
			default:
			}
		})
	}
}
