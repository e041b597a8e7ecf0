//go:build kafka

package kafkatest

import (
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"sessionizer/internal/hostile"
	"sessionizer/internal/kafka"
)

// A transaction that its coordinator knows nothing of, as Kafka leaves them behind where it ends
// one while the leader of a partition is offline. Here a broker that does not ask the coordinator
// takes its records.

func TestHanging_WhatWasNotCommittedIsAborted(t *testing.T) {
	t.Parallel()
	outcome(t, "transaction without a marker: ended")
	p := forgetful(t)
	records := customers(random(t), 20, 1_000)
	p.send(t, records[:400]...)
	p.runUntilEnd(t, "one")
	for _, topic := range []string{p.output, p.visits, p.changelog} {
		p.hang(t, topic, 0)
	}
	p.send(t, records[400:]...)
	proc := p.run(t, "one")
	p.awaitVisits(t, drainWithin, len(records))
	proc.stop(t)
	proc.ends(t, stopWithin, 0, "completed without a marker", p.output, p.visits, p.changelog)
	p.audit(t).matches(t, batch(t, records, timeout))
}

// Of a transaction that is not younger than the committed offset nobody knows what became of it.
func TestHanging_WhatMayBeCommittedIsLeftToAnOperator(t *testing.T) {
	t.Parallel()
	outcome(t, "transaction without a marker, of which nobody knows: refused")
	p := forgetful(t)
	records := customers(random(t), 20, 1_000)
	p.send(t, records[:400]...)
	p.runUntilEnd(t, "one")
	h := p.hang(t, p.dead, 100)
	p.send(t, records[400:]...)
	p.run(t, "one").ends(t, startWithin, 1, p.group+"-one-0", p.dead+"/0", "may have been committed",
		"OPERATING.md", "Hanging transactions")

	topics := kadm.TopicsSet{}
	topics.Add(p.dead, 0)
	h.Topics = topics
	if _, err := p.adm.WriteTxnMarkers(ask(t), h); err != nil {
		t.Fatal(err)
	}
	proc := p.run(t, "one")
	p.awaitVisits(t, drainWithin, len(records))
	proc.stop(t)
	p.audit(t).matches(t, batch(t, records, timeout))
}

// forgetful is a pipeline of one partition on a broker that lets a transaction hang.
func forgetful(t *testing.T) *pipeline {
	t.Helper()
	b := startBroker(t, kafka.Options{
		Properties: map[string]string{"transaction.partition.verification.enable": "false"}})
	p := newPipelineAt(t, []string{b.Addr()}, 1, nil)
	p.make(t)
	return p
}

// hang writes a record of a transaction to a topic, of which the lane's coordinator never hears.
// Its epoch is so many before the newest.
func (p *pipeline) hang(t *testing.T, topic string, before int16) kadm.TxnMarkers {
	t.Helper()
	id := p.group + "-one-0"
	cl, err := kgo.NewClient(kgo.SeedBrokers(p.brokers...), kgo.TransactionalID(id))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	producer, epoch, err := cl.ProducerID(ask(t))
	if err != nil {
		t.Fatal(err)
	}
	epoch = max(epoch-before, 0)
	r := kmsg.NewRecord()
	r.Key, r.Value = []byte("nobody"), []byte(`{"anonymousId":"nobody"}`)
	raw := r.AppendTo(nil)
	r.Length = int32(len(raw) - 1)
	raw = hostile.Batch{Records: r.AppendTo(nil), Count: 1, Time: time.Now()}.Encode()
	const crcAt, attributesAt, producerAt, transactional = 17, 21, 43, 1 << 4
	raw[attributesAt+1] |= transactional
	binary.BigEndian.PutUint64(raw[producerAt:], uint64(producer))
	binary.BigEndian.PutUint16(raw[producerAt+8:], uint16(epoch))
	binary.BigEndian.PutUint32(raw[producerAt+10:], 0) // sequence
	binary.BigEndian.PutUint32(raw[crcAt:],
		crc32.Checksum(raw[attributesAt:], crc32.MakeTable(crc32.Castagnoli)))

	req := kmsg.NewPtrProduceRequest()
	req.TransactionID, req.Acks, req.TimeoutMillis = &id, -1, int32(askWithin.Milliseconds())
	to := kmsg.NewProduceRequestTopic()
	to.Topic = topic
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = raw
	to.Partitions = append(to.Partitions, part)
	req.Topics = append(req.Topics, to)
	const byName = 11 // the version before brokers tell the coordinator
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(req.Key(), byName)
	pinned, err := kgo.NewClient(kgo.SeedBrokers(p.brokers...), kgo.MaxVersions(versions))
	if err != nil {
		t.Fatal(err)
	}
	defer pinned.Close()
	leader := p.leader(t, topic)
	resp, err := pinned.Broker(leader).Request(ask(t), req)
	if err == nil {
		err = kerr.ErrorForCode(resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		t.Fatalf("write to %s: %v", topic, err)
	}
	return kadm.TxnMarkers{ProducerID: producer, ProducerEpoch: epoch}
}

func (p *pipeline) leader(t *testing.T, topic string) int {
	t.Helper()
	d, err := p.adm.ListTopics(ask(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	return int(d[topic].Partitions[0].Leader)
}
