//go:build synctests

package processor

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sessionizer/internal/proof"
)

// Every error code that Kafka has, as the answer to every kind of request that a process sends: for
// once, and for a quarter of a minute. Kafka's documentation of a request says which codes a
// broker may give (https://kafka.apache.org/protocol and the javadoc of the response classes); the
// others are tried because brokers are not always Kafka, and because new ones are added.
//
// Whatever it is, nothing is lost, nothing is doubled, and a process that does not go on says why:
// what came out of all the faults of a place is compared byte by byte with a run without them.

// action is what becomes of an error, from the harmless to the harmful.
type action uint8

const (
	inside action = iota // the client tries again; nothing is seen of it
	again                // we try again, after a pause, and say so
	abort                // the transaction is aborted and its events are processed again
	reset                // the lane begins anew from the last commit
	stop                 // the process ends and says what to do
	untold               // of a persistent error: not tried
)

func (a action) String() string {
	return [...]string{"inside", "again", "abort", "reset", "stop", "untold"}[a]
}

// Kinds of codes that most requests may be answered with.
var kinds = map[string]string{
	// What is refused however often it is asked: rights, names and settings.
	"refusal": "SASL_AUTHENTICATION_FAILED UNSUPPORTED_SASL_MECHANISM TOPIC_AUTHORIZATION_FAILED " +
		"GROUP_AUTHORIZATION_FAILED CLUSTER_AUTHORIZATION_FAILED TRANSACTIONAL_ID_AUTHORIZATION_FAILED " +
		"INVALID_TRANSACTION_TIMEOUT INVALID_SESSION_TIMEOUT INVALID_GROUP_ID " +
		"INCONSISTENT_GROUP_PROTOCOL OFFSET_METADATA_TOO_LARGE",
	// The coordinator is elsewhere, or not there yet.
	"coordinator": "COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE NOT_COORDINATOR",
	// The group has gone on without us.
	"rebalance": "ILLEGAL_GENERATION UNKNOWN_MEMBER_ID REBALANCE_IN_PROGRESS STALE_MEMBER_EPOCH " +
		"GROUP_ID_NOT_FOUND",
	// The topic is not there, or not the one that was.
	"topic": "UNKNOWN_TOPIC_OR_PARTITION UNKNOWN_TOPIC_ID INCONSISTENT_TOPIC_ID",
	// All that Kafka calls retriable.
	"retriable": "",
	// All others.
	"rest": "",
}

// answer is a row of the table: what becomes of codes at a place. The first row of the place with a
// code counts.
type answer struct {
	place, codes string
	once, always action
}

var answers = []answer{
	{"ApiVersions", "refusal", stop, stop},
	{"ApiVersions", "retriable", inside, again},
	{"ApiVersions", "rest", again, again},

	{"Metadata", "refusal", stop, stop},
	{"Metadata", "rest", again, again},
	{"Metadata of the input", "UNKNOWN_TOPIC_OR_PARTITION UNKNOWN_TOPIC_ID INVALID_TOPIC_EXCEPTION",
		stop, stop},
	{"Metadata of the input", "refusal", stop, stop},
	{"Metadata of the input", "rest", again, again},
	{"Metadata of the input, lane", "refusal", stop, stop},
	{"Metadata of the input, lane", "retriable", inside, inside},
	{"Metadata of the input, lane", "rest", again, again},
	{"DescribeConfigs", "refusal", stop, stop},
	{"DescribeConfigs", "rest", again, again},

	{"FindCoordinator of the group", "GROUP_ID_NOT_FOUND", inside, again},
	{"FindCoordinator of the group", "refusal", stop, stop},
	{"FindCoordinator of the group", "rest", again, again},
	{"FindCoordinator of the group, lane", "refusal FENCED_INSTANCE_ID", stop, stop},
	{"FindCoordinator of the group, lane", "retriable", inside, again},
	{"FindCoordinator of the group, lane", "rest", abort, again},
	// Before the producer is initialised its last transaction is asked about, which may be denied.
	{"FindCoordinator of the transactional id", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED " +
		"CLUSTER_AUTHORIZATION_FAILED TOPIC_AUTHORIZATION_FAILED", inside, stop},
	{"FindCoordinator of the transactional id", "UNSUPPORTED_VERSION TRANSACTIONAL_ID_NOT_FOUND",
		inside, reset},
	{"FindCoordinator of the transactional id", "refusal", stop, stop},
	{"FindCoordinator of the transactional id", "retriable", inside, inside},
	{"FindCoordinator of the transactional id", "rest", reset, reset},

	{"InitProducerID", "coordinator CONCURRENT_TRANSACTIONS", inside, inside},
	{"InitProducerID", "refusal", stop, stop},
	{"InitProducerID", "rest", reset, reset},
	{"InitProducerID, done", "coordinator CONCURRENT_TRANSACTIONS", inside, inside},
	{"InitProducerID, done", "refusal", stop, stop},
	{"InitProducerID, done", "rest", reset, reset},

	// The client asks as fast as it is answered.
	{"JoinGroup", "UNKNOWN_MEMBER_ID MEMBER_ID_REQUIRED", inside, untold},
	{"JoinGroup", "coordinator", inside, again},
	{"JoinGroup", "refusal FENCED_INSTANCE_ID", stop, stop},
	{"JoinGroup", "rest", abort, again},
	{"JoinGroup, done", "UNKNOWN_MEMBER_ID MEMBER_ID_REQUIRED", inside, untold},
	{"JoinGroup, done", "coordinator", inside, again},
	{"JoinGroup, done", "refusal FENCED_INSTANCE_ID", stop, stop},
	{"JoinGroup, done", "rest", abort, again},
	{"SyncGroup", "REBALANCE_IN_PROGRESS", inside, untold}, // likewise
	{"SyncGroup", "coordinator", inside, again},
	{"SyncGroup", "refusal FENCED_INSTANCE_ID", stop, stop},
	{"SyncGroup", "rest", abort, again},
	{"SyncGroup, done", "REBALANCE_IN_PROGRESS", inside, untold}, // likewise
	{"SyncGroup, done", "coordinator", inside, again},
	{"SyncGroup, done", "refusal FENCED_INSTANCE_ID", stop, stop},
	{"SyncGroup, done", "rest", abort, again},
	{"Heartbeat", "REBALANCE_IN_PROGRESS", inside, inside},
	{"Heartbeat", "coordinator", inside, abort},
	{"Heartbeat", "refusal FENCED_INSTANCE_ID", stop, stop},
	{"Heartbeat", "rest", abort, abort},
	{"LeaveGroup", "rest", inside, inside},

	{"OffsetFetch", "refusal", stop, stop},
	{"OffsetFetch", "retriable GROUP_ID_NOT_FOUND", inside, again},
	{"OffsetFetch", "rest", again, again},
	{"OffsetFetch, lane", "refusal FENCED_INSTANCE_ID", stop, stop},
	// The client joins again, as fast as it is answered.
	{"OffsetFetch, lane", "REBALANCE_IN_PROGRESS STALE_MEMBER_EPOCH", inside, untold},
	{"OffsetFetch, lane", "retriable", inside, inside},
	{"OffsetFetch, lane", "rest", again, again},
	{"OffsetFetch of partitions, lane", "UNSTABLE_OFFSET_COMMIT", inside, inside},
	{"OffsetFetch of partitions, lane", "UNKNOWN_TOPIC_ID", inside, stop},
	{"OffsetFetch of partitions, lane", "refusal topic OFFSET_OUT_OF_RANGE", stop, stop},
	{"OffsetFetch of partitions, lane", "rest", again, again},

	{"DescribeProducers", "NOT_LEADER_FOR_PARTITION", inside, again},
	// What is denied of all topics together is asked for of each.
	{"DescribeProducers", "TOPIC_AUTHORIZATION_FAILED CLUSTER_AUTHORIZATION_FAILED " +
		"TRANSACTIONAL_ID_AUTHORIZATION_FAILED", inside, again},
	{"DescribeProducers", "UNSUPPORTED_VERSION", again, again},
	{"DescribeProducers", "refusal", stop, stop},
	{"DescribeProducers", "rest", again, again},
	{"ListTransactions", "CLUSTER_AUTHORIZATION_FAILED TOPIC_AUTHORIZATION_FAILED " +
		"TRANSACTIONAL_ID_AUTHORIZATION_FAILED UNSUPPORTED_VERSION", again, again},
	{"ListTransactions", "refusal", stop, stop},
	{"ListTransactions", "retriable", inside, inside},
	{"ListTransactions", "rest", again, again},
	{"EndTxn of the dead", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED CLUSTER_AUTHORIZATION_FAILED " +
		"TOPIC_AUTHORIZATION_FAILED UNSUPPORTED_VERSION", again, again},
	{"EndTxn of the dead", "coordinator PRODUCER_FENCED INVALID_PRODUCER_EPOCH INVALID_TXN_STATE " +
		"INVALID_PRODUCER_ID_MAPPING CONCURRENT_TRANSACTIONS FENCED_INSTANCE_ID", inside, inside},
	{"EndTxn of the dead", "refusal", stop, stop},
	{"EndTxn of the dead", "rest", again, again},
	{"DescribeTransactions of its own", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED " +
		"CLUSTER_AUTHORIZATION_FAILED TOPIC_AUTHORIZATION_FAILED UNSUPPORTED_VERSION " +
		"TRANSACTIONAL_ID_NOT_FOUND", inside, inside},
	{"DescribeTransactions of its own", "refusal", stop, stop},
	{"DescribeTransactions of its own", "retriable", inside, inside},
	{"DescribeTransactions of its own", "rest", reset, reset},
	{"DescribeTransactions", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED CLUSTER_AUTHORIZATION_FAILED " +
		"TOPIC_AUTHORIZATION_FAILED UNSUPPORTED_VERSION", inside, inside},
	{"DescribeTransactions", "refusal", stop, stop},
	{"DescribeTransactions", "retriable", inside, inside},
	{"DescribeTransactions", "rest", again, again},

	{"ListOffsets of the changelog", "TOPIC_AUTHORIZATION_FAILED GROUP_AUTHORIZATION_FAILED " +
		"CLUSTER_AUTHORIZATION_FAILED TRANSACTIONAL_ID_AUTHORIZATION_FAILED", stop, stop},
	{"ListOffsets of the changelog", "DELEGATION_TOKEN_AUTHORIZATION_FAILED", again, again},
	{"ListOffsets of the changelog", "NOT_LEADER_FOR_PARTITION", inside, inside},
	{"ListOffsets of the changelog", "rest", inside, again},
	{"Fetch of the changelog", "refusal", stop, stop},
	{"Fetch of the changelog", "UNKNOWN_TOPIC_ID", inside, again},
	{"Fetch of the changelog", "retriable", inside, inside},
	{"Fetch of the changelog", "rest", again, again},
	// Likewise.
	{"Fetch", "FETCH_SESSION_ID_NOT_FOUND INVALID_FETCH_SESSION_EPOCH FETCH_SESSION_TOPIC_ID_ERROR " +
		"INCONSISTENT_TOPIC_ID", inside, untold},
	{"Fetch", "rest", inside, inside},
	{"Fetch of partitions", "OFFSET_OUT_OF_RANGE", stop, stop},
	{"Fetch of partitions", "refusal", stop, stop},
	{"Fetch of partitions", "UNKNOWN_TOPIC_ID", inside, stop},
	{"Fetch of partitions", "retriable", inside, inside},
	{"Fetch of partitions", "rest", again, again},
	{"OffsetForLeaderEpoch", "OFFSET_OUT_OF_RANGE", stop, stop},
	{"OffsetForLeaderEpoch", "refusal", stop, stop},
	{"OffsetForLeaderEpoch", "retriable", inside, inside},
	{"OffsetForLeaderEpoch", "rest", again, again},
	{"ListOffsets of the input, idle", "NOT_LEADER_FOR_PARTITION", inside, inside},
	{"ListOffsets of the input, idle", "rest", again, again},
	{"ListOffsets of the input, until the end", "rest", inside, again},

	{"AddPartitionsToTxn", "MESSAGE_TOO_LARGE INVALID_TIMESTAMP refusal", stop, stop},
	{"AddPartitionsToTxn", "retriable CONCURRENT_TRANSACTIONS OPERATION_NOT_ATTEMPTED", inside, reset},
	{"AddPartitionsToTxn", "rest", reset, reset},
	{"AddOffsetsToTxn", "coordinator CONCURRENT_TRANSACTIONS", inside, reset},
	{"AddOffsetsToTxn", "UNKNOWN_SERVER_ERROR", abort, abort},
	{"AddOffsetsToTxn", "refusal", stop, stop},
	{"AddOffsetsToTxn", "rest", reset, reset},

	// A broker that says so has the records: here it would lie.
	{"Produce to the output", "DUPLICATE_SEQUENCE_NUMBER", untold, untold},
	{"Produce to the output", "MESSAGE_TOO_LARGE INVALID_TIMESTAMP refusal", stop, stop},
	{"Produce to the output", "CORRUPT_MESSAGE", reset, reset},
	{"Produce to the output", "UNKNOWN_TOPIC_OR_PARTITION UNKNOWN_TOPIC_ID", inside, stop},
	{"Produce to the output", "retriable CONCURRENT_TRANSACTIONS", inside, reset},
	{"Produce to the output", "rest", reset, reset},
	{"Produce to the changelog", "DUPLICATE_SEQUENCE_NUMBER", untold, untold},
	{"Produce to the changelog", "MESSAGE_TOO_LARGE INVALID_TIMESTAMP refusal", stop, stop},
	{"Produce to the changelog", "CORRUPT_MESSAGE", reset, reset},
	{"Produce to the changelog", "UNKNOWN_TOPIC_OR_PARTITION UNKNOWN_TOPIC_ID", inside, stop},
	{"Produce to the changelog", "retriable CONCURRENT_TRANSACTIONS", inside, reset},
	{"Produce to the changelog", "rest", reset, reset},
	{"Produce, done", "DUPLICATE_SEQUENCE_NUMBER", inside, inside},
	{"Produce, done", "MESSAGE_TOO_LARGE INVALID_TIMESTAMP refusal", stop, stop},
	{"Produce, done", "CORRUPT_MESSAGE", reset, reset},
	{"Produce, done", "UNKNOWN_TOPIC_OR_PARTITION UNKNOWN_TOPIC_ID", inside, stop},
	{"Produce, done", "retriable CONCURRENT_TRANSACTIONS", inside, reset},
	{"Produce, done", "rest", reset, reset},

	{"TxnOffsetCommit", "coordinator", inside, reset},
	{"TxnOffsetCommit", "rebalance CONCURRENT_TRANSACTIONS TRANSACTION_ABORTABLE UNKNOWN_SERVER_ERROR",
		abort, abort},
	{"TxnOffsetCommit", "refusal", stop, stop},
	{"TxnOffsetCommit", "rest", reset, reset},
	{"TxnOffsetCommit, done", "coordinator", inside, reset},
	{"TxnOffsetCommit, done", "rebalance CONCURRENT_TRANSACTIONS TRANSACTION_ABORTABLE " +
		"UNKNOWN_SERVER_ERROR", abort, abort},
	{"TxnOffsetCommit, done", "refusal", stop, stop},
	{"TxnOffsetCommit, done", "rest", reset, reset},
	{"EndTxn", "coordinator CONCURRENT_TRANSACTIONS", inside, reset},
	{"EndTxn", "UNKNOWN_SERVER_ERROR", abort, abort},
	{"EndTxn", "refusal", stop, stop},
	{"EndTxn", "rest", reset, reset},
	// It has committed: only the committed offset tells.
	{"EndTxn, done", "coordinator CONCURRENT_TRANSACTIONS", inside, inside},
	{"EndTxn, done", "refusal", stop, stop},
	{"EndTxn, done", "rest", reset, reset},

	{"DescribeGroups", "rest", reset, reset},
}

// codesAt are the codes of the table's rows for a place.
func codesAt(p place) (codes [][]*kerr.Error, rows []answer) {
	all := everyCode()
	for _, a := range answers {
		if a.place != p.name {
			continue
		}
		var of []*kerr.Error
		rest := all[:0:0]
		for _, c := range all {
			if a.has(c) {
				of = append(of, c)
			} else {
				rest = append(rest, c)
			}
		}
		all = rest
		codes, rows = append(codes, of), append(rows, a)
	}
	return codes, rows
}

func (a answer) has(c *kerr.Error) bool {
	for _, name := range strings.Fields(a.codes) {
		switch {
		case name == "rest", name == "retriable" && c.Retriable, name == c.Message,
			slices.Contains(strings.Fields(kinds[name]), c.Message):
			return true
		}
	}
	return false
}

// everyCode is every code that the client library knows.
func everyCode() (all []*kerr.Error) {
	for code := int16(-1); code < 1000; code++ {
		var e *kerr.Error
		if errors.As(kerr.ErrorForCode(code), &e) && e.Code == code {
			all = append(all, e)
		}
	}
	return all
}

// How many codes of a row are tried when not all are: by a seed that the test prints. LONG=1 tries
// all of them.
const sampledOnce, sampledAlways = 2, 1

func TestCodes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	long := os.Getenv("LONG") != ""
	tried.Store(0)
	t.Cleanup(func() { leaveRecord(t, seed) })
	for _, p := range places {
		for _, persistent := range []bool{false, true} {
			name := p.name + "/once"
			if persistent {
				name = p.name + "/always"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r := rand.New(rand.NewPCG(seed, uint64(p.request)))
				codes, rows := codesAt(p)
				if len(rows) == 0 {
					t.Fatal("the table has no row for it")
				}
				p.run(t, func(x *trial) {
					for i, row := range rows {
						x.tryRow(p, row, codes[i], persistent, long, r)
					}
				})
			})
		}
	}
}

// tried counts the answers that were given.
var tried atomic.Int64

func leaveRecord(t *testing.T, seed uint64) {
	t.Helper()
	record := proof.Record{
		Name: "Error codes", Order: 2, Seed: fmt.Sprint(seed),
		What: "The program in a virtual network whose broker answers a request with an error, once or for " +
			"15 seconds. What it does is what a table says, and the output is that of an undisturbed run.",
		Counts: map[string]int64{
			"answers": tried.Load(), "places": int64(len(places)), "codes of Kafka": int64(len(everyCode())),
		},
	}
	if t.Failed() {
		record.Violations = 1
	}
	if err := record.Write(); err != nil {
		t.Error(err)
	}
}

func (x *trial) tryRow(
	p place, row answer, codes []*kerr.Error, persistent, long bool, r *rand.Rand,
) {
	want, sampled := row.once, sampledOnce
	if persistent {
		want, sampled = row.always, sampledAlways
	}
	if want == untold {
		return
	}
	r.Shuffle(len(codes), func(i, j int) { codes[i], codes[j] = codes[j], codes[i] })
	if !long {
		codes = codes[:min(sampled, len(codes))]
	}
	for _, code := range codes {
		tried.Add(1)
		did, what := x.try(p, code, persistent)
		if p.either && did == again || p.dropped && !persistent && did == inside {
			did = want
		}
		if did != want {
			x.w.t.Errorf("%s answered with %s: %s, want %s %s", p.name, code.Message, did, want, what)
		}
	}
}

// The table has each code once for each place, and speaks of nothing else.
func TestCodesAreAllThere(t *testing.T) {
	all := everyCode()
	if n := len(all); n < 137 {
		t.Errorf("%d codes, there were 137", n)
	}
	known := map[string]bool{}
	for _, c := range all {
		known[c.Message] = true
	}
	for _, a := range answers {
		if !slices.ContainsFunc(places, func(p place) bool { return p.name == a.place }) {
			t.Errorf("the table speaks of %q, which is no place", a.place)
		}
		for _, name := range strings.Fields(a.codes) {
			if _, kind := kinds[name]; !kind && !known[name] {
				t.Errorf("the table speaks of %q, which is no code", name)
			}
		}
	}
	for _, p := range places {
		codes, _ := codesAt(p)
		n := 0
		for _, of := range codes {
			n += len(of)
		}
		if n != len(all) {
			t.Errorf("%s: the rows have %d of %d codes", p.name, n, len(all))
		}
	}
}

// Every kind of request that a process sends has a place in the table, whatever its brokers can do.
func TestEveryRequestHasAPlace(t *testing.T) {
	for _, p := range places {
		if p.name != "AddOffsetsToTxn" && p.name != "DescribeTransactions" && p.name != "LeaveGroup" &&
			p.name != "OffsetForLeaderEpoch" && p.name != "DescribeGroups" {
			continue
		}
		p.run(t, func(x *trial) {
			x.w.cluster.Control(func(r kmsg.Request) (kmsg.Response, error, bool) {
				x.w.cluster.KeepControl()
				key := kmsg.Key(r.Key())
				if key != kmsg.CreateTopics && // the test's own
					!slices.ContainsFunc(places, func(p place) bool { return p.request == key }) {
					t.Errorf("%s has no place", key.Name())
				}
				return nil, nil, false
			})
			x.try(p, kerr.UnknownServerError, false)
		})
	}
}
