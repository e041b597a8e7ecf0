//go:build !kafka

package main

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// conformanceBrokers is a broker within the test. With the build tag kafka it is a real one.
func conformanceBrokers(t *testing.T) []string {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{
		// Nobody else is going to join: the first member need not be waited for.
		"group.initial.rebalance.delay.ms": "0",
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()
}
