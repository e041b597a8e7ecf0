//go:build kafka

package kafkatest

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	brokersVariable = "KAFKA_BROKERS"
	binaryVariable  = "SESSIONIZER_BIN"
	seedVariable    = "KAFKATEST_SEED"
)

func TestMain(m *testing.M) {
	code, err := prepare(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "kafkatest:", err)
		code = 1
	}
	os.Exit(code)
}

// prepare finds the brokers, the program and the seed, which the tests then read from the
// environment, and runs the tests.
func prepare(m *testing.M) (int, error) {
	if os.Getenv(brokersVariable) == "" {
		return 1, fmt.Errorf("%s names no brokers: `make test-kafka` starts one for the tests, "+
			"`make kafka` one at 127.0.0.1:9092", brokersVariable)
	}
	if os.Getenv(seedVariable) == "" {
		if err := os.Setenv(seedVariable, strconv.FormatInt(time.Now().UnixNano(), 10)); err != nil {
			return 1, err
		}
	}
	if os.Getenv(binaryVariable) == "" {
		dir, err := os.MkdirTemp("", "kafkatest-")
		if err != nil {
			return 1, err
		}
		defer os.RemoveAll(dir)
		binary := filepath.Join(dir, "sessionizer")
		if err := build(binary); err != nil {
			return 1, err
		}
		if err := os.Setenv(binaryVariable, binary); err != nil {
			return 1, err
		}
	}
	return m.Run(), nil
}

// build builds the program.
func build(binary string, flags ...string) error {
	args := append([]string{"build", "-o", binary}, flags...)
	cmd := exec.Command("go", append(args, "sessionizer/cmd/sessionizer")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return nil
}

func brokers() []string { return strings.Split(os.Getenv(brokersVariable), ",") }

// random returns the source of a test's choices. Its seed is in the test's log, and the same
// KAFKATEST_SEED makes the same choices.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	text := os.Getenv(seedVariable)
	seed, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("%s=%s is no seed: %v", seedVariable, text, err)
	}
	t.Logf("seed: %s=%s", seedVariable, text)
	name := fnv.New64a()
	name.Write([]byte(t.Name()))
	return rand.New(rand.NewPCG(uint64(seed), name.Sum64()))
}
