package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionizer/internal/config"
	"sessionizer/processor"
	"sessionizer/schemas"
	"sessionizer/session"
	"sessionizer/state"
)

// The names under which an offline engine hands over its records.
const (
	outputRecords = "output"
	visitRecords  = "visits"
	deadRecords   = "dead letters"
)

const (
	offlineBatchRecords = 10_000   // records between two commits of the state
	offlineBatchBytes   = 16 << 20 // bytes of them
	casesCacheBytes     = 8 << 20  // of a state in memory
)

// offline is the engine without Kafka: the task of one partition on a state of its own. take gets
// every record it makes, in their order; a record is valid until take returns.
type offline struct {
	rules *session.Rules
	codec *schemas.Codec
	task  *processor.Task
	take  func(*kgo.Record) error

	visitsAvro bool // visits are Avro, else JSON

	dir   string // of the state, gone with the engine; empty: it is in memory
	store *state.Store
}

// offlineOptions say where an offline engine works.
type offlineOptions struct {
	topic     string
	partition int32
	memory    bool // the state needs no disk: there are few events
	byKey     bool // the record key of visits is the anonymous id
	endures   bool // where a policy says fail, there is a dead letter

	visitsAsConfigured bool // false: visits are JSON, whatever visits.format says
}

// newOffline makes the engine that run has, of the same configuration.
func newOffline(cfg *config.Config, o offlineOptions) (*offline, error) {
	if !o.visitsAsConfigured {
		asJSON := *cfg
		asJSON.Visits.Format = schemas.FormatJSON.String()
		cfg = &asJSON
	}
	rules, codec, err := engine(cfg)
	if err != nil {
		return nil, err
	}
	return newOfflineOf(rules, codec, cfg, o)
}

// newOfflineOf makes an engine of rules and a codec.
func newOfflineOf(
	rules *session.Rules, codec *schemas.Codec, cfg *config.Config, o offlineOptions,
) (e *offline, err error) {
	e = &offline{
		rules: rules, codec: codec, visitsAvro: cfg.Visits.Format == schemas.FormatAvro.String(),
	}
	store := state.Options{Cache: cfg.State.Cache, Due: processor.DueOf(rules)}
	dir := "state"
	if o.memory {
		store.FS, store.Cache = state.Memory(), casesCacheBytes
	} else {
		if e.dir, err = os.MkdirTemp("", "sessionizer-state-"); err != nil {
			return nil, fmt.Errorf("make a directory for the state: %w", err)
		}
		dir = e.dir
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	if e.store, err = state.Open(dir, store); err != nil {
		return nil, fmt.Errorf("open the state: %w", err)
	}
	part, err := e.store.Partition(o.topic, o.partition)
	if err != nil {
		return nil, fmt.Errorf("open the state: %w", err)
	}
	on := policy(cfg)
	for reason, action := range on.On {
		if o.endures && action == processor.Fail {
			on.On[reason] = processor.DeadLetter
		}
	}
	e.task = processor.NewTask(rules, codec, part, o.topic, o.partition, processor.Topics{
		Output: outputRecords, Visits: visitRecords, DeadLetters: deadRecords,
		VisitsByAnonymousID: o.byKey, Headers: cfg.Output.Headers,
	}, on)
	return e, nil
}

// line processes a line of a file.
func (e *offline) line(r *kgo.Record) error {
	greatest := e.task.Watermark()
	if greatest != session.NoTime {
		greatest += session.Time(e.rules.OutOfOrder)
	}
	return e.task.StepLine(r, greatest)
}

// drain hands over what the task has made.
func (e *offline) drain() error {
	for _, r := range e.task.Ready() {
		if err := e.take(r); err != nil {
			return err
		}
	}
	return nil
}

// full says that it is time to commit.
func (e *offline) full() bool {
	records, bytes, _ := e.task.Load()
	return records > offlineBatchRecords || bytes > offlineBatchBytes
}

// tick ends the visits that are due at a tick watermark.
func (e *offline) tick(at session.Time) error {
	for {
		n, err := e.task.Tick(at)
		if err == nil {
			err = e.drain()
		}
		if err != nil || n == 0 {
			return err
		}
	}
}

// commit confirms the state of what has been handed over.
func (e *offline) commit() error {
	if !e.task.Touched() {
		return nil
	}
	if _, err := e.task.Close(1, [16]byte{}, time.Unix(0, 0)); err != nil {
		return err
	}
	return errors.Join(e.task.Commit(0, [16]byte{}), e.store.Err())
}

// finish ends every open visit as if time ran on.
func (e *offline) finish() error {
	for {
		n, err := e.task.Tick(session.MaxTime)
		if err == nil {
			err = e.drain()
		}
		if err == nil {
			err = e.commit()
		}
		if err != nil || n == 0 {
			return err
		}
	}
}

// close removes the state. Nil has nothing to close.
func (e *offline) close() error {
	if e == nil {
		return nil
	}
	var errs []error
	if e.store != nil {
		errs = append(errs, e.store.Close())
	}
	if e.dir != "" {
		errs = append(errs, os.RemoveAll(e.dir))
	}
	return errors.Join(errs...)
}

// badInput reads back what the engine wrote into a dead letter's headers.
func badInput(headers []kgo.RecordHeader) *schemas.BadInput {
	bad := &schemas.BadInput{}
	for _, h := range headers {
		switch h.Key {
		case schemas.HeaderErrorReason:
			bad.Reason = schemas.Reason(h.Value)
		case schemas.HeaderErrorMessage:
			bad.Message = string(h.Value)
		}
	}
	return bad
}

// visitFacts reads back from a record about a visit what is counted.
func (e *offline) visitFacts(record []byte) (revision int, isMerged bool) {
	format := schemas.FormatJSON
	if e.visitsAvro {
		format = schemas.FormatAvro
	}
	return schemas.VisitFacts(record, format)
}
