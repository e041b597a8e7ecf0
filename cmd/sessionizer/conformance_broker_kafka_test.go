//go:build kafka

package main

import (
	"os"
	"strings"
	"testing"
)

// conformanceBrokers are those of a real Kafka: `make test-kafka` starts one and names it.
func conformanceBrokers(t *testing.T) []string {
	t.Helper()
	const variable = "KAFKA_BROKERS"
	if os.Getenv(variable) == "" {
		t.Fatalf("%s names no brokers: `make test-kafka` starts one", variable)
	}
	return strings.Split(os.Getenv(variable), ",")
}
