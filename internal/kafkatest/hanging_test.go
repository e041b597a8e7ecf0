//go:build kafka

package kafkatest

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"net"
	"strconv"
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

// What lies on top of a transaction that may be committed is not ended with it.
func TestHanging_TwoOnTopOfEachOtherAreLeftToAnOperator(t *testing.T) {
	t.Parallel()
	outcome(t, "two transactions without a marker on top of each other: refused")
	p := forgetful(t)
	p.send(t, customers(random(t), 20, 400)...)
	p.runUntilEnd(t, "one")
	d := p.awaitCommitted(t, p.group+"-one-0")
	p.produceOpen(t, d.TxnID, d.ProducerID, d.ProducerEpoch-1, p.dead)
	p.produceOpen(t, d.TxnID, d.ProducerID, d.ProducerEpoch, p.dead)
	p.run(t, "two").ends(t, startWithin, 1, p.group+"-one-0", p.dead+"/0", "may have been committed")
}

const authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"

// Who may not look at what others have pending runs all the same.
func TestHanging_WithoutTheRights(t *testing.T) {
	t.Parallel()
	for name, right := range map[string]kadm.ACLOperation{
		"nothing": kadm.OpAlter, "Describe": kadm.OpDescribe,
	} {
		t.Run(name+" on offsets", func(t *testing.T) {
			t.Parallel()
			outcome(t, "no right to see hanging transactions: went on")
			b := forgetfulBroker(t, map[string]string{
				"authorizer.class.name": authorizer, "allow.everyone.if.no.acl.found": "true",
			})
			p := newPipelineAt(t, []string{b.Addr()}, 1, nil)
			p.make(t)
			made, err := p.adm.CreateACLs(ask(t), kadm.NewACLs().Allow("User:ANONYMOUS").AllowHosts("*").
				Topics("__consumer_offsets").ResourcePatternType(kadm.ACLPatternLiteral).Operations(right))
			if err == nil {
				err = made[0].Err
			}
			if err != nil {
				t.Fatal(err)
			}
			records := customers(random(t), 20, 400)
			p.send(t, records[:200]...)
			p.runUntilEnd(t, "one")
			p.send(t, records[200:300]...)
			p.runUntilEnd(t, "one")
			id := p.group + "-three-0"
			cl := p.transactional(t, id)
			producer, epoch := p.addOffsets(t, cl, id)
			p.offsetsPending(t, id, producer, epoch, 300, "")
			p.send(t, records[300:]...)
			proc := p.run(t, "two")
			p.awaitVisits(t, drainWithin, len(records))
			proc.stop(t)
			proc.ends(t, stopWithin, 0, "about to replace")
			p.audit(t).matches(t, batch(t, records, timeout))
		})
	}
}

// A transaction of the epoch that committed the offset is the one that did.
func TestHanging_WhatTheOffsetProvesIsCommitted(t *testing.T) {
	t.Parallel()
	outcome(t, "transaction without a marker, of the last commit: committed")
	p := forgetful(t)
	p.send(t, customers(random(t), 20, 400)...)
	p.runUntilEnd(t, "one")
	const initialisedAndEnded = 2 // how far the epoch has gone since
	p.hang(t, p.dead, initialisedAndEnded)
	proc := p.run(t, "one")
	proc.says(t, startWithin, "partition taken")
	proc.stop(t)
	proc.ends(t, stopWithin, 0, "completed without a marker", `"with":"commit"`, p.dead)
	if got := len(p.all(t, p.dead)[0]); got != 1 {
		t.Errorf("%d dead letters are committed, want the one that hung", got)
	}
}

// What the coordinator has ended is ended everywhere: by the successor before it initialises the
// producer, which makes the coordinator forget, and by whoever takes the partition over. Here the
// offsets hang, which nobody could be told.
func TestHanging_WhatTheCoordinatorKnowsIsEnded(t *testing.T) {
	t.Parallel()
	for _, instance := range []string{"one", "two"} {
		t.Run("by "+instance, func(t *testing.T) {
			t.Parallel()
			outcome(t, "pending offsets without a marker: committed by "+instance)
			p := forgetful(t)
			records := customers(random(t), 20, 1_000)
			p.send(t, records[:400]...)
			p.runUntilEnd(t, "two")
			id := p.group + "-one-0"
			p.commitElsewhere(t, id)
			d := p.awaitCommitted(t, id)
			offsets, err := p.adm.FetchOffsets(ask(t), p.group)
			if err != nil {
				t.Fatal(err)
			}
			o, _ := offsets.Lookup(p.input, 0)
			p.offsetsPending(t, id, d.ProducerID, d.ProducerEpoch-1, o.At, o.Metadata)

			p.send(t, records[400:]...)
			proc := p.run(t, instance)
			p.awaitVisits(t, drainWithin, len(records))
			proc.stop(t)
			proc.ends(t, stopWithin, 0, "completed without a marker", `"with":"commit"`,
				"__consumer_offsets")
			p.audit(t).matches(t, batch(t, records, timeout))
		})
	}
}

// A lane that goes on after its connections broke looks behind itself.
func TestHanging_WhatTheLaneCommittedIsCommitted(t *testing.T) {
	t.Parallel()
	outcome(t, "transaction without a marker, of a lane at work: committed")
	port := lowPorts(t)
	b := forgetfulBroker(t, map[string]string{
		"advertised.listeners": fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", port),
	})
	front := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	network := newProxy(t, front, b.Addr())
	p := newPipelineAt(t, []string{front}, 1, nil)
	p.make(t)
	records := customers(random(t), 20, 1_000)
	p.send(t, records[:400]...)
	proc := p.run(t, "one")
	p.awaitVisits(t, drainWithin, 400)
	id := p.group + "-one-0"
	d := p.awaitCommitted(t, id)
	p.produceOpen(t, id, d.ProducerID, d.ProducerEpoch-1, p.dead)

	network.set(refusing)
	network.set(passing)
	p.send(t, records[400:]...)
	proc.says(t, drainWithin, `"with":"commit"`)
	p.awaitVisits(t, drainWithin, len(records))
	proc.stop(t)
	if got := len(p.all(t, p.dead)[0]); got != 1 {
		t.Errorf("%d dead letters are committed, want the one that hung", got)
	}
}

// A partition whose first offset is pending has begun: nobody begins it again.
func TestHanging_AFirstOffsetThatIsPendingIsWaitedFor(t *testing.T) {
	t.Parallel()
	outcome(t, "first offset pending: waited for")
	p := forgetful(t)
	records := customers(random(t), 20, 400)
	p.send(t, records...)
	id := p.group + "-two-0"
	cl := p.transactional(t, id)
	producer, epoch := p.addOffsets(t, cl, id)
	p.offsetsPending(t, id, producer, epoch, 100, "")
	proc := p.run(t, "one")
	p.awaitVisits(t, drainWithin, len(records))
	proc.stop(t)
	proc.ends(t, stopWithin, 0, "about to replace", id)
	p.audit(t).matches(t, batch(t, records, timeout))
}

// Of a transaction that is not younger than the committed offset nobody knows what became of it.
func TestHanging_WhatMayBeCommittedIsLeftToAnOperator(t *testing.T) {
	t.Parallel()
	outcome(t, "transaction without a marker, of which nobody knows: refused")
	p := forgetful(t)
	records := customers(random(t), 20, 1_000)
	p.send(t, records[:300]...)
	p.runUntilEnd(t, "one")
	p.send(t, records[300:400]...)
	p.runUntilEnd(t, "one")
	const older = 100
	h := p.hang(t, p.dead, older)
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

// forgetfulBroker lets a transaction hang.
func forgetfulBroker(t *testing.T, properties map[string]string) *kafka.Broker {
	t.Helper()
	all := map[string]string{"transaction.partition.verification.enable": "false"}
	maps.Copy(all, properties)
	return startBroker(t, kafka.Options{Properties: all})
}

// forgetful is a pipeline of one partition on such a broker.
func forgetful(t *testing.T) *pipeline {
	t.Helper()
	b := forgetfulBroker(t, nil)
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
	p.produceOpen(t, id, producer, epoch, topic)
	return kadm.TxnMarkers{ProducerID: producer, ProducerEpoch: epoch}
}

// produceOpen writes a record without a word to the coordinator.
func (p *pipeline) produceOpen(
	t *testing.T, id string, producer int64, epoch int16, topic string,
) {
	t.Helper()
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
}

func (p *pipeline) leader(t *testing.T, topic string) int {
	t.Helper()
	d, err := p.adm.ListTopics(ask(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	return int(d[topic].Partitions[0].Leader)
}

// transactional is a client whose transactions time out soon.
func (p *pipeline) transactional(t *testing.T, id string) *kgo.Client {
	t.Helper()
	const lasts = 15 * time.Second
	cl, err := kgo.NewClient(kgo.SeedBrokers(p.brokers...), kgo.TransactionalID(id),
		kgo.TransactionTimeout(lasts))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// addOffsets begins a transaction that the coordinator expects offsets of.
func (p *pipeline) addOffsets(
	t *testing.T, cl *kgo.Client, id string,
) (producer int64, epoch int16) {
	t.Helper()
	producer, epoch, err := cl.ProducerID(ask(t))
	if err != nil {
		t.Fatal(err)
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = id, producer, epoch, p.group
	added, err := add.RequestWith(ask(t), cl)
	if err == nil {
		err = kerr.ErrorForCode(added.ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
	return producer, epoch
}

// commitElsewhere commits a transaction that writes to a topic of no pipeline.
func (p *pipeline) commitElsewhere(t *testing.T, id string) {
	t.Helper()
	topic := p.group + "-elsewhere"
	p.create(t, topic, 1, nil)
	cl, err := kgo.NewClient(kgo.SeedBrokers(p.brokers...), kgo.TransactionalID(id))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	err = cl.ProduceSync(ask(t), &kgo.Record{Topic: topic, Value: []byte("{}")}).FirstErr()
	if err == nil {
		err = cl.EndTransaction(ask(t), kgo.TryCommit)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// awaitCommitted waits until the last transaction of an id is committed everywhere.
func (p *pipeline) awaitCommitted(t *testing.T, id string) (d kadm.DescribedTransaction) {
	t.Helper()
	eventually(t, startWithin, "the transaction is committed", func() (bool, string) {
		all, err := p.adm.DescribeTransactions(ask(t), id)
		if err != nil {
			return false, err.Error()
		}
		d = all[id]
		return d.State == "CompleteCommit", d.State
	})
	return d
}

// offsetsPending commits an offset of partition 0 within a transaction, without a word to its
// coordinator.
func (p *pipeline) offsetsPending(
	t *testing.T, id string, producer int64, epoch int16, at int64, metadata string,
) {
	t.Helper()
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group = id, p.group
	req.ProducerID, req.ProducerEpoch, req.Generation = producer, epoch, -1
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic = p.input
	part := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	part.Offset, part.Metadata = at, &metadata
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	const byCoordinator = 4 // the version before brokers tell the coordinator
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(req.Key(), byCoordinator)
	pinned, err := kgo.NewClient(kgo.SeedBrokers(p.brokers...), kgo.MaxVersions(versions))
	if err != nil {
		t.Fatal(err)
	}
	defer pinned.Close()
	eventually(t, startWithin, "the group is empty", func() (bool, string) {
		resp, err := req.RequestWith(ask(t), pinned)
		if err == nil {
			err = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
		}
		return err == nil, fmt.Sprint(err)
	})
}
