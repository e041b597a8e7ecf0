package main

import (
	"context"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"go.uber.org/zap"

	"sessionizer/internal/config"
	"sessionizer/processor"
	"sessionizer/schemas"
	"sessionizer/state"
)

func (a *app) runCommand() *cobra.Command {
	var untilEnd bool
	c := command(&cobra.Command{
		Use:   "run",
		Short: "Process the input topic: the service",
		Long: "Reads events from the input topics, gives each its session, and writes them to the output\n" +
			"topic with one Visit Ended record for each session, exactly once. It goes on until SIGTERM\n" +
			"or SIGINT, which finish the transaction in hand; a second signal stops at once.",
		Args: cobra.NoArgs,
	}, func(cmd *cobra.Command, _ []string) error {
		cfg, log, err := a.load(false)
		if err != nil {
			return err
		}
		p, err := processorConfig(cfg, log)
		if err != nil {
			return err
		}
		if p.Registry != nil {
			defer p.Registry.Client.Close()
		}
		p.UntilEnd, p.Halt = untilEnd, a.halt
		log.Info("starting", zap.Strings("input", p.Input), zap.String("output", p.Output),
			zap.String("group", p.Group), zap.String("instance", p.Instance), zap.Int("lanes", p.Lanes))
		if err := processor.Run(cmd.Context(), p); err != nil {
			return err
		}
		log.Info("stopped")
		return nil
	})
	c.Flags().BoolVar(&untilEnd, "until-end", false,
		"process up to the end offsets seen at the start, end no visit by the wall clock, and exit")
	return c
}

// processorConfig turns the configuration into what the processor needs.
func processorConfig(c *config.Config, log *zap.Logger) (processor.Config, error) {
	rules, codec, err := engine(c)
	if err != nil {
		return processor.Config{}, err
	}
	schemaRegistry, err := learner(c, codec, subjectOf(c.Output.Topic))
	if err != nil {
		return processor.Config{}, err
	}
	visitsSchema := ""
	if c.Visits.Format == "avro" && schemaRegistry != nil {
		visitsSchema = schemas.VisitSchema()
	}
	mechanism, err := saslMechanism(c.Kafka.SASL)
	if err != nil {
		return processor.Config{}, err
	}
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression().WithLevel(1),
	}
	visitKey := processor.BySession
	if c.Visits.Key == "anonymous_id" {
		visitKey = processor.ByAnonymousID
	}
	return processor.Config{
		Brokers: c.Kafka.Brokers, Group: c.Kafka.Group, Instance: c.Kafka.Instance,
		TLS: c.Kafka.TLS.Client(), SASL: mechanism,
		SessionTimeout: c.Kafka.SessionTimeout, TransactionTimeout: c.Kafka.TransactionTimeout,
		Input: c.Input.Topics, Output: c.Output.Topic, Visits: c.Visits.Topic,
		DeadLetters: c.DeadLetters.Topic, VisitKey: visitKey,
		Headers: c.Output.Headers, Compression: codecs[c.Output.Compression],
		BatchBytes: int(c.Limits.Batch),
		Rules:      rules, Codec: codec, Policy: policy(c),
		Registry: schemaRegistry, VisitsSchema: visitsSchema,
		IdleAfter: c.Time.IdleAfter, CommitInterval: c.Commit.Interval,
		Lanes:    c.LaneCount(runtime.NumCPU()),
		StateDir: c.State.Dir, State: state.Options{Cache: c.State.Cache},
		Log: log,
	}, nil
}

// policy is what becomes of bad events, by reason.
func policy(c *config.Config) processor.Policy {
	actions := map[config.Policy]processor.Action{
		config.PolicyPass: processor.Pass, config.PolicyFail: processor.Fail,
	}
	p := processor.Policy{On: map[schemas.Reason]processor.Action{}}
	for reason, name := range c.DeadLetters.On {
		p.On[schemas.Reason(reason)] = actions[name]
	}
	return p
}

func saslMechanism(s config.SASL) (sasl.Mechanism, error) {
	user, password := s.Username, s.Password.Reveal()
	switch s.Mechanism {
	case "":
		return nil, nil
	case "PLAIN":
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			return plain.Auth{User: user, Pass: password}, nil
		}), nil
	case "SCRAM-SHA-256":
		return scram.Sha256(func(context.Context) (scram.Auth, error) {
			return scram.Auth{User: user, Pass: password}, nil
		}), nil
	case "SCRAM-SHA-512":
		return scram.Sha512(func(context.Context) (scram.Auth, error) {
			return scram.Auth{User: user, Pass: password}, nil
		}), nil
	}
	return nil, usageError{fmt.Errorf("kafka.sasl.mechanism %q is not known", s.Mechanism)}
}
