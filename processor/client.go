package processor

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// begin makes the client. The producer id is initialised first thing: it aborts what a dead
// predecessor left open, whose pending offsets would otherwise hold back the first fetch until
// its transaction times out.
func (l *lane) begin(ctx context.Context) error {
	c := l.host.cfg
	l.parts, l.open, l.dirty = map[tp]*part{}, false, false
	l.held, l.asideBytes, l.full, l.fullSince = nil, 0, false, time.Time{}
	l.calls = newCalls()
	l.failed = &failures{}
	l.firstEpoch = noEpoch
	l.unsettled.Store(true)
	open, err := l.settleBegin(ctx)
	if err != nil {
		return err
	}
	clientCtx, kill := context.WithCancel(context.Background())
	l.kill = kill
	if l.inflater != nil {
		l.asided += l.inflater.served.Load() // what is to be given back outlives the client
	}
	if l.inflater, err = newInflater(c.batchBytes()); err != nil {
		return &StopError{What: "make the client of lane " + l.txn, Cause: err}
	}
	opts := append(c.clientOpts(), kgo.WithContext(clientCtx))
	sess, err := kgo.NewGroupTransactSession(append(opts, l.groupOpts()...)...)
	if err != nil {
		return &StopError{What: "make the client of lane " + l.txn, Cause: err}
	}
	l.sess = sess
	idCtx, cancel := l.host.bound(ctx, c.TransactionTimeout+c.SessionTimeout)
	defer cancel()
	if _, _, err := sess.Client().ProducerID(idCtx); err != nil {
		defer l.discard()
		if stop := refusal("initialise the producer id of "+l.txn, err); stop != nil {
			return stop
		}
		return &resetError{"initialise the producer id of " + l.txn, err}
	}
	if err := l.settleOpen(ctx, open); err != nil {
		l.discard()
		return err
	}
	return nil
}

func (l *lane) groupOpts() []kgo.Opt {
	c := l.host.cfg
	beat := min(heartbeatInterval, c.SessionTimeout/3)
	return []kgo.Opt{
		kgo.ConsumerGroup(c.Group),
		kgo.InstanceID(l.txn),
		kgo.ConsumeTopics(c.Input...),
		kgo.Balancers(balancer{kgo.CooperativeStickyBalancer(), l.calls}),
		kgo.SessionTimeout(c.SessionTimeout),
		kgo.HeartbeatInterval(beat),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(l.calls.assigned),
		kgo.OnPartitionsRevoked(l.calls.left),
		kgo.OnPartitionsLost(l.calls.left),
		kgo.OnPartitionsCallbackBlocked(l.calls.blocked),
		kgo.AdjustFetchOffsetsFn(l.calls.told),
		kgo.WithHooks(l.calls, l.inflater),
		kgo.DisableAutoCommit(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // they say how far a partition was read
		kgo.ConsumeResetOffset(kgo.NoResetOffset().AtStart()),
		kgo.FetchMaxWait(fetchMaxWait),
		kgo.FetchMaxBytes(fetchBytesMax),
		kgo.WithDecompressor(l.inflater),
		kgo.WithPools(l.inflater),
		// Batches that we make are no larger than those we take.
		kgo.MaxDecompressBatchBytes(c.batchBytes()),
		kgo.TransactionalID(l.txn),
		kgo.TransactionTimeout(c.TransactionTimeout),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(producerLinger),
		compression(c.Compression),
		// Where the client compresses itself a batch is as large as the broker takes it once compressed:
		// a sixth of the batches, which are what a broker's work is counted in.
		kgo.StreamingCompression(),
		kgo.ProducerBatchMaxBytesFn(l.host.batchBytes),
		kgo.MaxBufferedRecords(txnRecordsMax),
		kgo.MaxBufferedBytes(txnBytesMax),
		kgo.RecordPartitioner(newPartitioner(c.DeadLetters)),
	}
}
