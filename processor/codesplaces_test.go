//go:build synctests

package processor

import (
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sessionizer/session"
)

// place is a kind of request and an occasion on which the process sends it.
type place struct {
	name    string
	request kmsg.Key
	level   level
	fault   kfake.Fault             // of a refusal: which requests
	when    func(kmsg.Request) bool // of a refusal: which of them; nil: all
	provoke func(x *trial, arm func(*faultNet))

	setup   func(*trial)  // nil: nothing
	after   time.Duration // that the fault stays when it has hit
	old     bool          // a broker that has partitions added to transactions first
	brokers int           // 0: one
	// dropped: the client drops what it has fetched when a transaction ends just then, an error too,
	// and asks again: for once, it may be inside.
	dropped bool
	either  bool // which of the clients asks first is not certain: again is as good
}

// level is what an error stands for.
type level uint8

const (
	refused     level = iota // the broker has done nothing, but where Kafka does it all the same
	applied                  // the broker has done it and says otherwise
	appliedPart              // the same for the partitions of an answer
)

// Occasions.

// flow is a process at work.
func flow(x *trial, arm func(*faultNet)) {
	arm(x.m.net)
	x.feed()
}

// starting is a process from its first look at the cluster on.
func starting(x *trial, arm func(*faultNet)) {
	x.restart(arm)
	x.feed()
}

// laneStarting is starting behind the first look at the cluster.
func laneStarting(x *trial, arm func(*faultNet)) { startingAt(kmsg.InitProducerID, x, arm) }

// laneJoining is starting with what the first look asks for last.
func laneJoining(x *trial, arm func(*faultNet)) { startingAt(kmsg.OffsetFetch, x, arm) }

func startingAt(first kmsg.Key, x *trial, arm func(*faultNet)) {
	x.restart(func(net *faultNet) {
		net.rule(&rule{key: first, fate: seen, then: func() { arm(net) }})
	})
	x.feed()
}

// restoring is starting on an empty disk.
func restoring(x *trial, arm func(*faultNet)) {
	x.stop()
	x.c.State.FS = vfs.NewCrashableMem()
	x.begin(arm)
	x.feed()
}

// ending is a run that ends by itself.
func ending(x *trial, arm func(*faultNet)) {
	x.stop()
	x.feed()
	x.c.UntilEnd = true
	x.begin(arm)
	select {
	case <-x.m.done:
	case <-time.After(20 * time.Second):
	}
}

// moving is the leaders of the input going elsewhere.
func moving(x *trial, arm func(*faultNet)) {
	arm(x.m.net)
	for p := range x.w.parts {
		to := 1 - x.w.cluster.LeaderFor("events", p)
		if err := x.w.cluster.MoveTopicPartition("events", p, to); err != nil {
			x.w.t.Fatal(err)
		}
	}
	x.feed()
}

// takingOver is a process that finds the transaction of a dead one open.
func takingOver(x *trial, arm func(*faultNet)) {
	m := x.m
	m.net.rule(&rule{key: kmsg.EndTxn, fate: lost, then: func() { go m.kill() }})
	x.feed()
	<-m.done
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = x.c.Group
	dead := kmsg.NewLeaveGroupRequestMember()
	dead.InstanceID = kmsg.StringPtr(x.c.TransactionalID(0))
	req.Members = append(req.Members, dead)
	if _, err := req.RequestWith(x.w.t.Context(), x.cl); err != nil {
		x.w.t.Fatal(err)
	}
	x.c.Instance = map[string]string{"a": "b", "b": "a"}[x.c.Instance]
	x.begin(arm)
}

// takenOver is takingOver behind the end of that transaction.
func takenOver(x *trial, arm func(*faultNet)) {
	takingOver(x, func(net *faultNet) {
		net.rule(&rule{key: kmsg.EndTxn, fate: seen, then: func() { arm(net) }})
	})
}

func longTransactions(x *trial) { x.c.TransactionTimeout = 25 * time.Second }

// fencing is a process that is told that its transaction is not its own any more.
func fencing(x *trial, arm func(*faultNet)) {
	x.w.cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.InvalidProducerEpoch,
	})
	flow(x, arm)
}

// idleSoon makes the wall clock end visits after seconds.
func idleSoon(x *trial) {
	x.w.rules = func(r *session.Rules) { r.Timeout, r.MobileTimeout, r.OutOfOrder = 2000, 2000, 0 }
	x.c = x.w.config(x.c.Instance)
	x.c.IdleAfter, x.live = time.Second, true
}

func top(f kfake.Fault) kfake.Fault { f.TopLevel = true; return f }

var (
	anyTop    = top(kfake.Fault{})
	ofInput   = kfake.Fault{Topic: "events"}
	changelog = kfake.Fault{Topic: "g-events-changelog"}
	ofGroup   = kfake.Fault{Group: "g"}
	ofTxn     = kfake.Fault{TxnID: "g-a-0"}
)

// Every request that a process sends, as a run with all of these occasions records them.
var places = []place{
	{name: "ApiVersions", request: kmsg.ApiVersions, fault: anyTop, provoke: starting},
	{name: "Metadata", request: kmsg.Metadata, fault: anyTop, provoke: starting},
	{name: "Metadata of the input", request: kmsg.Metadata, fault: ofInput, provoke: starting},
	{name: "Metadata of the input, lane", request: kmsg.Metadata, fault: ofInput,
		provoke: laneStarting,
		either:  true},
	{name: "DescribeConfigs", request: kmsg.DescribeConfigs, provoke: starting},
	{name: "FindCoordinator of the group", request: kmsg.FindCoordinator, fault: ofGroup,
		provoke: starting},
	{name: "FindCoordinator of the group, lane", request: kmsg.FindCoordinator, fault: ofGroup,
		provoke: laneJoining},
	{name: "FindCoordinator of the transactional id", request: kmsg.FindCoordinator, fault: ofTxn,
		provoke: starting},
	{name: "InitProducerID", request: kmsg.InitProducerID, fault: ofTxn, provoke: starting},
	{name: "InitProducerID, done", request: kmsg.InitProducerID, level: applied,
		provoke: starting},
	{name: "JoinGroup", request: kmsg.JoinGroup, fault: anyTop, provoke: starting},
	{name: "JoinGroup, done", request: kmsg.JoinGroup, level: applied, provoke: starting},
	{name: "SyncGroup", request: kmsg.SyncGroup, fault: anyTop, provoke: starting},
	{name: "SyncGroup, done", request: kmsg.SyncGroup, level: applied, provoke: starting},
	{name: "Heartbeat", request: kmsg.Heartbeat, fault: anyTop, provoke: flow},
	{name: "LeaveGroup", request: kmsg.LeaveGroup, fault: anyTop, provoke: ending},
	{name: "OffsetFetch", request: kmsg.OffsetFetch, fault: ofGroup, provoke: starting},
	{name: "OffsetFetch, lane", request: kmsg.OffsetFetch, fault: ofGroup,
		provoke: laneStarting},
	{name: "OffsetFetch of partitions, lane", request: kmsg.OffsetFetch, level: appliedPart,
		provoke: laneStarting},
	{name: "DescribeProducers", request: kmsg.DescribeProducers, provoke: starting},
	{name: "ListTransactions", request: kmsg.ListTransactions, fault: anyTop,
		provoke: takingOver,
		setup:   longTransactions},
	{name: "EndTxn of the dead", request: kmsg.EndTxn, fault: anyTop, provoke: takingOver,
		setup: longTransactions, when: aborts},
	{name: "DescribeTransactions of its own", request: kmsg.DescribeTransactions, provoke: starting},
	{name: "DescribeTransactions", request: kmsg.DescribeTransactions, provoke: takenOver,
		setup: longTransactions},
	{name: "ListOffsets of the changelog", request: kmsg.ListOffsets, fault: changelog,
		provoke: restoring},
	{name: "Fetch of the changelog", request: kmsg.Fetch, fault: changelog, provoke: restoring},
	{name: "Fetch", request: kmsg.Fetch, fault: anyTop, provoke: flow},
	{name: "Fetch of partitions", request: kmsg.Fetch, fault: ofInput, provoke: flow, dropped: true},
	{name: "OffsetForLeaderEpoch", request: kmsg.OffsetForLeaderEpoch,
		provoke: moving, brokers: 2,
		dropped: true},
	{name: "ListOffsets of the input, idle", request: kmsg.ListOffsets, fault: ofInput,
		provoke: flow,
		setup:   idleSoon, after: 4 * time.Second},
	{name: "ListOffsets of the input, until the end", request: kmsg.ListOffsets, fault: ofInput,
		provoke: ending},
	{name: "AddPartitionsToTxn", request: kmsg.AddPartitionsToTxn, provoke: flow, old: true},
	{name: "AddOffsetsToTxn", request: kmsg.AddOffsetsToTxn, fault: anyTop,
		provoke: flow, old: true},
	{name: "Produce to the output", request: kmsg.Produce, fault: kfake.Fault{Topic: "out"},
		provoke: flow},
	{name: "Produce to the changelog", request: kmsg.Produce, fault: changelog, provoke: flow},
	{name: "Produce, done", request: kmsg.Produce, level: appliedPart, provoke: flow},
	{name: "TxnOffsetCommit", request: kmsg.TxnOffsetCommit, provoke: flow},
	{name: "TxnOffsetCommit, done", request: kmsg.TxnOffsetCommit, level: appliedPart,
		provoke: flow},
	{name: "EndTxn", request: kmsg.EndTxn, fault: anyTop, provoke: flow},
	{name: "EndTxn, done", request: kmsg.EndTxn, level: applied, provoke: flow},
	{name: "DescribeGroups", request: kmsg.DescribeGroups, fault: ofGroup, provoke: fencing},
}

func aborts(r kmsg.Request) bool {
	end, ok := r.(*kmsg.EndTxnRequest)
	return ok && !end.Commit
}
