package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Over Kafka an explanation has to find the partition by itself, must see what run would see, and
// must leave nothing behind: it is asked on production clusters.

// explainCluster is a broker with the topic events of four partitions.
func explainCluster(t *testing.T) (address string, cl *kgo.Client) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, "events"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	address = cluster.ListenAddrs()[0]
	cl, err = kgo.NewClient(kgo.SeedBrokers(address), kgo.TransactionalID("feed"),
		kgo.RecordPartitioner(partitionOrKey{kgo.StickyKeyPartitioner(nil)}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return address, cl
}

// partitionOrKey puts a record where its header says, else by its key.
type partitionOrKey struct{ kgo.Partitioner }

func (p partitionOrKey) ForTopic(topic string) kgo.TopicPartitioner {
	return partitionOrKeyTopic{p.Partitioner.ForTopic(topic)}
}

type partitionOrKeyTopic struct{ kgo.TopicPartitioner }

func (p partitionOrKeyTopic) Partition(r *kgo.Record, n int) int {
	if len(r.Headers) > 0 {
		return int(r.Headers[0].Value[0] - '0')
	}
	return p.TopicPartitioner.Partition(r, n)
}

// feed produces events of a key, minutes after midnight, in a transaction.
func feed(t *testing.T, cl *kgo.Client, commit bool, key, id, partition string, minutes ...int) {
	t.Helper()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for _, m := range minutes {
		at := time.Date(2026, 1, 1, 0, m, 0, 0, time.UTC)
		r := &kgo.Record{
			Topic: "events", Key: []byte(key), Timestamp: at,
			Value: fmt.Appendf(nil, `{"anonymousId":%q,"type":"page","timestamp":%q}`, id,
				at.Format(time.RFC3339)),
		}
		if partition != "" {
			r.Headers = []kgo.RecordHeader{{Key: "partition", Value: []byte(partition)}}
		}
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if err := cl.EndTransaction(t.Context(), kgo.TransactionEndTry(commit)); err != nil {
		t.Fatal(err)
	}
}

func TestExplain_FindsTheKeysPartitionAndLeavesNothingBehind(t *testing.T) {
	t.Chdir(t.TempDir())
	address, cl := explainCluster(t)
	feed(t, cl, true, "ana", "ana", "", 0, 10)
	feed(t, cl, false, "ana", "ana", "", 12)    // aborted: never happened
	feed(t, cl, true, "bob", "bob", "3", 0, 90) // where it does not belong
	feed(t, cl, true, "ana", "ana", "", 50)
	brokers := []string{"--set", "kafka.brokers=" + address}

	r := sessionizer(t, "", append([]string{"explain", "ana"}, brokers...)...)
	want := `   offset  time (UTC)    type and event                   gap  timeout  session  decision
events/0
           2026-01-01
        0  00:00:00.000  page                                      30m  #1       opened: first
        1  00:10:00.000  page                             10m      30m  #1       joined
           Visit Ended    #1  inactivity, 2026-01-01 00:00:00.000 to 00:10:00.000, 2 events
        5  00:50:00.000  page                             40m      30m  #2       opened: inactivity

#1     id 1767225600000  2026-01-01 00:00:00.000 to 00:10:00.000  2 events  ended: inactivity
#2     id 1767228600000  2026-01-01 00:50:00.000 to 00:50:00.000  1 event  open until 2026-01-01 01:21:00.000
`
	if r.code != exitFine || r.stderr != "" || r.stdout != want {
		t.Errorf("code %d, %s\n%s", r.code, r.stderr, r.stdout)
	}

	elsewhere := sessionizer(t, "", append([]string{"explain", "bob", "--json"}, brokers...)...)
	if elsewhere.code != exitFine || !strings.Contains(elsewhere.stderr, "the key is in events/3") ||
		strings.Count(elsewhere.stdout, `{"kind":"event","topic":"events","partition":3,"offset":`) != 2 {
		t.Errorf("%+v", elsewhere)
	}
	named := sessionizer(t, "",
		append([]string{"explain", "bob", "--partition", "3", "--json"}, brokers...)...)
	if named.stdout != elsewhere.stdout || named.stderr != "" {
		t.Errorf("%+v", named)
	}

	groups, err := kadm.NewClient(cl).ListGroups(t.Context())
	if err != nil || len(groups) != 0 {
		t.Errorf("%v, groups %v", err, groups.Groups())
	}
	topics, err := kadm.NewClient(cl).ListTopics(t.Context())
	if err != nil || len(topics.Names()) != 1 {
		t.Errorf("%v, topics %v", err, topics.Names())
	}
}

func TestExplain_SaysWhatItDoesNotFind(t *testing.T) {
	t.Chdir(t.TempDir())
	address, cl := explainCluster(t)
	feed(t, cl, true, "ana", "ana", "", 0, 10)
	for _, c := range []struct {
		code   int
		stderr string
		args   []string
	}{
		{exitFailed, "explain zoe: no event of this key in 4 partitions of [events], 2 records",
			[]string{"zoe"}},
		{exitFailed, "explain ana: no event of this key in 4 partitions of [events], 2 records",
			[]string{"ana", "--source", "shop"}},
		{exitUsage, "--partition 4: events has 4 partitions", []string{"ana", "--partition", "4"}},
		{exitUsage, "--partition -7: want 0 or more", []string{"ana", "--partition", "-7"}},
		{exitFailed, "events2", []string{"ana", "--set", "input.topics=events2"}},
	} {
		args := append([]string{"explain", "--set", "kafka.brokers=" + address}, c.args...)
		r := sessionizer(t, "", args...)
		if r.code != c.code || r.stdout != "" || !strings.Contains(r.stderr, c.stderr) {
			t.Errorf("%v: %+v", c.args, r)
		}
	}
}

func TestExplain_NeedsNoMoreThanToReadTheInput(t *testing.T) {
	t.Chdir(t.TempDir())
	var acls []kfake.ACL
	for _, a := range documentedACLs() {
		isRead := a.Operation == kmsg.ACLOperationRead || a.Operation == kmsg.ACLOperationDescribe
		if a.Resource == kmsg.ACLResourceTypeTopic && a.Name == "events" && isRead {
			acls = append(acls, a)
		}
	}
	address, ca := secureCluster(t, nil, acls...)
	r := sessionizer(t, "", append([]string{"explain", "a"}, secured(t, address, ca, password)...)...)
	if len(acls) != 2 || r.code != exitFine || !strings.Contains(r.stdout, "opened: first") {
		t.Fatalf("%+v", r)
	}
	address, ca = secureCluster(t, nil)
	r = sessionizer(t, "", append([]string{"explain", "a"}, secured(t, address, ca, password)...)...)
	if r.code != exitFailed || !strings.Contains(r.stderr, "not authorized") &&
		!strings.Contains(r.stderr, "AUTHORIZATION") {
		t.Fatalf("%+v", r)
	}
}
