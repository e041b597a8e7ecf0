package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/internal/dlq"
	"sessionizer/processor"
)

// shownRefusals are told on standard error, each with why.
const shownRefusals = 10

type dlqRedriveOptions struct {
	dlqFilter
	limit       int64
	rate        int64 // a second; 0: as fast as it goes
	attemptsMax int
	yes         bool
	json        bool
}

func (a *app) dlqRedriveCommand() *cobra.Command {
	var o dlqRedriveOptions
	c := command(&cobra.Command{
		Use:   "redrive",
		Short: "Send dead letters back to the input, each once",
		Long: "Sends dead letters back to the topic and partition that they came from, with the key, value,\n" +
			"headers and timestamp that they had, and remembers which: none goes twice, whatever happens\n" +
			"in between. Without --yes it only says what it would do. Mend first what was wrong: a record\n" +
			"that fails again is a dead letter again.",
		Args: cobra.NoArgs,
	}, func(cmd *cobra.Command, _ []string) error { return a.dlqRedrive(cmd.Context(), &o) })
	o.flags(c)
	c.Flags().Int64Var(&o.limit, "limit", 1000, "send no more than `N`; 0: all")
	c.Flags().Int64Var(&o.rate, "rate", 0, "send no more than `N` a second (default: no bound)")
	c.Flags().IntVar(&o.attemptsMax, "max-attempts", 3, "leave those that came back `N` times")
	c.Flags().BoolVar(&o.yes, "yes", false, "do it")
	c.Flags().BoolVar(&o.json, "json", false, "report as JSON")
	return c
}

func (o *dlqRedriveOptions) validate() error {
	switch {
	case o.limit < 0:
		return usageError{fmt.Errorf("--limit %d: want 0 or more", o.limit)}
	case o.rate < 0:
		return usageError{fmt.Errorf("--rate %d: want 0 or more", o.rate)}
	case o.attemptsMax < 1:
		return usageError{fmt.Errorf("--max-attempts %d: want 1 or more", o.attemptsMax)}
	}
	return nil
}

func (a *app) dlqRedrive(ctx context.Context, o *dlqRedriveOptions) (err error) {
	want, err := o.filter(time.Now())
	if err == nil {
		err = o.validate()
	}
	if err != nil {
		return err
	}
	d, err := a.openDeadLetters()
	if err != nil {
		return err
	}
	defer d.client.Close()
	r := &redrive{deadLetters: d, o: o, report: redriveReport{
		DryRun: !o.yes, Reasons: map[string]int64{}, Refused: map[string]int64{},
	}}
	err = d.fault(r.run(ctx, want))
	if !o.json {
		r.tellRefusals(a.stderr)
	}
	if r.looked && (err == nil || r.report.Redriven > 0) {
		err = errors.Join(err, r.report.write(a.stdout, o))
		d.tellForeign(a.stderr)
	}
	return err
}

// redrive is a run of the command.
type redrive struct {
	*deadLetters
	o      *dlqRedriveOptions
	inputs dlq.Inputs
	sender *dlq.Redriver // nil: a dry run
	begun  time.Time
	looked bool // the report has something to say

	batch      []*dlq.Letter
	batchBytes int
	refusals   []string
	report     redriveReport
}

// redriveReport is what the command did, or would do.
type redriveReport struct {
	DryRun   bool             `json:"dryRun"`
	Redriven int64            `json:"redriven"` // in a dry run: would be
	Reasons  map[string]int64 `json:"reasons"`  // of those
	Before   int64            `json:"redrivenBefore"`
	Refused  map[string]int64 `json:"refused"` // by what is in the way
	Left     int64            `json:"left"`    // beyond the limit
}

func (r *redrive) run(ctx context.Context, want *dlq.Filter) error {
	ends := committedEnds
	limits, err := r.lookUpInputs(ctx)
	if err != nil {
		return err
	}
	if r.o.yes {
		// The marks of a redrive before this one are behind dead letters that run may be writing: only
		// with all that was written up to now read, none is missed.
		ends, r.isStrict = allEnds, true
		cl, err := r.producer(limits)
		if err != nil {
			return err
		}
		defer cl.Close()
		if r.sender, err = dlq.NewRedriver(ctx, cl, r.kafka.TransactionTimeout); err != nil {
			return err
		}
	}
	r.stretches, err = lookUpStretches(ctx, r.client, []string{r.kafka.DeadLetters}, ends)
	if err != nil {
		return err
	}
	if err := r.readMarks(ctx); err != nil {
		return err
	}
	r.looked, r.begun = true, time.Now()
	err = r.each(ctx, func(l *dlq.Letter, isRedriven bool) error {
		if !want.Takes(l) {
			return nil
		}
		return r.take(ctx, l, isRedriven)
	})
	if err != nil {
		return err
	}
	return r.send(ctx)
}

// lookUpInputs finds the input topics, and how large a record of each topic may be.
func (r *redrive) lookUpInputs(ctx context.Context) (recordMax map[string]int32, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	adm := kadm.NewClient(r.client)
	details, err := adm.ListTopics(ctx, r.kafka.Input...)
	if err != nil {
		return nil, fmt.Errorf("look up %v: %w", r.kafka.Input, err)
	}
	r.inputs = dlq.Inputs{}
	for _, topic := range r.kafka.Input {
		if err := details[topic].Err; err != nil {
			return nil, fmt.Errorf("look up %s: %w", topic, err)
		}
		r.inputs[topic] = int32(len(details[topic].Partitions))
	}
	// Without the right to see the settings the client's own limit holds.
	recordMax = map[string]int32{}
	topics := append(slices.Clone(r.kafka.Input), r.kafka.DeadLetters)
	configs, err := adm.DescribeTopicConfigs(ctx, topics...)
	if err != nil {
		return recordMax, nil //nolint:nilerr // the client's own limit holds then
	}
	for _, rc := range configs {
		for _, kv := range rc.Configs {
			if kv.Key != "max.message.bytes" {
				continue
			}
			if n, err := strconv.ParseInt(kv.MaybeValue(), 10, 64); err == nil && n > 0 {
				recordMax[rc.Name] = int32(min(n, 64<<20))
			}
		}
	}
	return recordMax, nil
}

// producer makes the client that sends. All redrives of a group have one transactional id.
func (r *redrive) producer(recordMax map[string]int32) (*kgo.Client, error) {
	const usual = 1_000_012 // the client's default
	return processor.Client(&r.kafka,
		kgo.TransactionalID(r.kafka.Group+"-redrive"),
		kgo.TransactionTimeout(r.kafka.TransactionTimeout),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(r.kafka.Compression, kgo.NoCompression()),
		kgo.StreamingCompression(), // a record that compresses well may be larger than its topic takes
		kgo.ProducerBatchMaxBytesFn(func(topic string) int32 {
			if n, ok := recordMax[topic]; ok {
				return n
			}
			return usual
		}))
}

// take decides about one dead letter.
func (r *redrive) take(ctx context.Context, l *dlq.Letter, isRedriven bool) error {
	if isRedriven {
		r.report.Before++
		return nil
	}
	if word, why := r.inputs.Refuse(l, r.o.attemptsMax); word != "" {
		r.report.Refused[word]++
		if len(r.refusals) < shownRefusals {
			r.refusals = append(r.refusals,
				printable(fmt.Sprintf("%v, from %v (%s): %s", l.At, l.From, l.Reason, why)))
		}
		return nil
	}
	if r.o.limit > 0 && r.report.Redriven+int64(len(r.batch)) >= r.o.limit {
		r.report.Left++
		return nil
	}
	r.batch = append(r.batch, l)
	r.batchBytes += len(l.Record.Value)
	most := int64(dlq.BatchLetters)
	if r.o.rate > 0 {
		most = min(most, r.o.rate)
	}
	if int64(len(r.batch)) < most && r.batchBytes < dlq.BatchBytes {
		return nil
	}
	return r.send(ctx)
}

// send sends what has been gathered.
func (r *redrive) send(ctx context.Context) error {
	if len(r.batch) == 0 {
		return nil
	}
	if r.sender != nil {
		if err := r.pace(ctx); err != nil {
			return err
		}
		if err := r.sender.Send(ctx, r.batch); err != nil {
			return err
		}
	}
	for _, l := range r.batch {
		r.report.Redriven++
		r.report.Reasons[l.Reason]++
	}
	r.batch, r.batchBytes = nil, 0
	return nil
}

// pace waits until what was sent so far is no more than the rate allows.
func (r *redrive) pace(ctx context.Context) error {
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if r.o.rate == 0 {
		return nil
	}
	seconds := float64(r.report.Redriven) / float64(r.o.rate)
	timer := time.NewTimer(time.Until(r.begun.Add(time.Duration(seconds * float64(time.Second)))))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errors.New("interrupted")
	}
}

func (r *redrive) tellRefusals(w io.Writer) {
	for _, text := range r.refusals {
		fmt.Fprintf(w, "refused: %s\n", text)
	}
	if n := sum(r.report.Refused) - int64(len(r.refusals)); n > 0 {
		fmt.Fprintf(w, "and %s more are refused: sessionizer dlq show --pending lists them\n", grouped(n))
	}
}

func (r *redriveReport) write(w io.Writer, o *dlqRedriveOptions) error {
	if o.json {
		return writeJSONLine(w, r)
	}
	var b strings.Builder
	line := func(what string, n int64, by map[string]int64) {
		fmt.Fprintf(&b, "%-17s %s", what, grouped(n))
		if n > 0 && len(by) > 0 {
			fmt.Fprintf(&b, " (%s)", printable(listed(by)))
		}
		b.WriteByte('\n')
	}
	if r.DryRun {
		line("to be sent back", r.Redriven, r.Reasons)
	} else {
		line("sent back", r.Redriven, r.Reasons)
	}
	line("sent back before", r.Before, nil)
	line("refused", sum(r.Refused), r.Refused)
	if r.Left > 0 {
		fmt.Fprintf(&b, "%-17s %s, beyond --limit %d\n", "left", grouped(r.Left), o.limit)
	}
	switch {
	case r.DryRun && r.Redriven > 0:
		b.WriteString("nothing was written: --yes does it\n")
	case r.Redriven == 0:
		b.WriteString("there is nothing to send back\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
