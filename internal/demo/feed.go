package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// RateDefault is how many events come in a second, in which an hour and a half
// of the shop goes by.
const RateDefault = 8000

const (
	feedEvery = 20 * time.Millisecond
	aheadMax  = 40_000    // events the processor may be behind: memory, and an end in sight
	eventsMax = 2_000_000 // all of them stay in memory, compressed
)

// feed produces events until feeding is done and returns when the broker has
// them all.
func (d *demo) feed(feeding, whole context.Context) error {
	client, err := kgo.NewClient(d.connect(kgo.ProducerBatchCompression(kgo.SnappyCompression()))...)
	if err != nil {
		return fmt.Errorf("connect to the embedded broker: %w", err)
	}
	defer client.Close()
	var failed atomic.Pointer[error] // the first one; a flush that is cut short leaves promises open
	promise := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
			return
		}
		d.in.Add(1)
	}
	flush := func() error {
		err := client.Flush(whole)
		if first := failed.Load(); first != nil {
			err = errors.Join(err, *first)
		}
		return err
	}
	generator, sent := d.generator(), int64(0)
	ticker := time.NewTicker(feedEvery)
	defer ticker.Stop()
	for sent < eventsMax {
		select {
		case <-feeding.Done():
			return flush()
		case <-ticker.C:
		}
		for range int64(d.config.Rate) * int64(feedEvery) / int64(time.Second) {
			if sent-d.done.Load() >= aheadMax {
				break
			}
			e := generator.Next()
			client.Produce(whole, &kgo.Record{
				Topic: d.config.Processor.Input[0], Key: bytes.Clone(e.Key), Value: bytes.Clone(e.Value),
				Timestamp: time.UnixMilli(e.TimestampMs),
			}, promise)
			d.eventMs.Store(e.TimestampMs)
			sent++
		}
	}
	<-feeding.Done()
	return flush()
}

// watch looks at how far the group is, and tells.
func (d *demo) watch(ctx context.Context) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		if err := d.lookUp(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("look up how far the group is: %w", err)
		}
		d.tell()
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// lookUp sums the group's committed offsets. The input is not written in
// transactions: every offset of it is an event.
func (d *demo) lookUp(ctx context.Context) error {
	offsets, err := d.admin.FetchOffsets(ctx, d.config.Processor.Group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil // no processor has joined yet
	}
	if err != nil {
		return err
	}
	sum := int64(0)
	offsets.Each(func(o kadm.OffsetResponse) { sum += max(o.At, 0) })
	d.done.Store(max(sum, d.done.Load()))
	return nil
}

func (d *demo) tell() {
	if d.config.Watch == nil {
		return
	}
	s := Status{
		Phase: d.phase.Load().(Phase), Elapsed: time.Since(d.begun),
		EventTime: time.UnixMilli(d.eventMs.Load()).UTC(),
		In:        d.in.Load(), Done: d.done.Load(), Visits: d.visits.Load(),
		Crashes: d.crashes.Load(), Struck: d.struck.Load(),
	}
	if last := d.lastVisit.Load(); last != nil {
		s.LastVisit = *last
	}
	d.config.Watch(s)
}

// readVisits counts the visits as they become visible.
func (d *demo) readVisits(ctx context.Context) error {
	client, err := kgo.NewClient(d.connect(
		kgo.ConsumeTopics(d.config.Processor.Visits), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		return fmt.Errorf("connect to the embedded broker: %w", err)
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read the visits: %w", err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !bytes.Contains(r.Value, []byte(`"event":"Visit Ended"`)) {
				return // it has only begun
			}
			d.visits.Add(1)
			d.lastVisit.Store(&r.Value)
		})
	}
}
