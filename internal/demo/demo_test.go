//go:build synctests

package demo

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"sessionizer/internal/audit/setup"
	"sessionizer/internal/config"
	"sessionizer/processor"
)

// The demo is the first thing a user sees, and the only place where the real
// processor, its crashes and the auditor meet on every run. Its minutes are
// virtual here.

func demoConfig(t *testing.T, yaml string) Config {
	t.Helper()
	c, _, err := config.Load(config.Sources{
		File: "demo.yaml", Offline: true, Hostname: func() (string, error) { return "demo", nil },
		ReadFile: func(string) ([]byte, error) { return []byte(yaml), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	rules, err := c.SessionRules()
	if err != nil {
		t.Fatal(err)
	}
	codec, err := c.Codec()
	if err != nil {
		t.Fatal(err)
	}
	audited, err := setup.From(c)
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Seed: 1, Rate: 1000, Network: &kfake.VirtualNetwork{},
		Processor: processor.Config{
			Group: "sessionizer", Instance: "demo", SessionTimeout: 10 * time.Second,
			TransactionTimeout: 10 * time.Second, Input: c.Input.Topics, Output: c.Output.Topic,
			Visits: c.Visits.Topic, DeadLetters: c.DeadLetters.Topic, Headers: c.Output.Headers,
			Compression: kgo.SnappyCompression(), Rules: rules,
			Codec: codec, IdleAfter: 10 * time.Second, CommitInterval: 200 * time.Millisecond,
			Lanes: 2, Log: zap.NewNop(),
		},
		Audit: audited,
	}
}

func TestRun_CrashesAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := demoConfig(t, `{}`)
		c.For = 12 * time.Second
		phases := map[Phase]int{}
		c.Watch = func(s Status) { phases[s.Phase]++ }
		v, err := Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Err(); err != nil {
			t.Errorf("%v: %v", err, v.Findings)
		}
		if v.Crashes < 2 || v.Struck < 2 || v.EventsIn < 10_000 || v.DeadLetters == 0 ||
			v.EventsOut+v.DeadLetters != v.EventsIn || v.Visits < v.Sessions/2 {
			t.Errorf("%+v", v)
		}
		if phases[Feeding] == 0 {
			t.Errorf("phases %v", phases)
		}
	})
}

// Rules, announced visits and headers through crashes: identify calls are attached to the session
// they touch, screens go nowhere.
func TestRun_RulesHoldThroughCrashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := demoConfig(t, `{output: {headers: true}, visits: {started: true}, rules: [
			{when: {type: identify}, class: attach}, {when: {type: screen}, drop: true}]}`)
		c.For = 8 * time.Second
		v, err := Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Err(); err != nil {
			t.Errorf("%v: %v", err, v.Findings)
		}
		if v.Dropped == 0 || v.Attached == 0 || v.Started != v.Sessions ||
			v.EventsOut+v.DeadLetters+v.Dropped != v.EventsIn {
			t.Errorf("%+v", v)
		}
	})
}

func TestRun_AHaltEndsItAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := demoConfig(t, `{}`)
		c.For = time.Hour
		halt := make(chan struct{})
		c.Halt = halt
		c.Watch = func(s Status) {
			if s.Elapsed > 3*time.Second && halt != nil {
				close(halt)
				halt = nil
			}
		}
		if _, err := Run(t.Context(), c); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	})
}

func TestVerdict_ARunWithoutACrashProvesNothing(t *testing.T) {
	v := Verdict{Crashes: 3}
	if v.Err() == nil {
		t.Error("no crash hit an open transaction, and all is well")
	}
	v.Struck = 1
	if err := v.Err(); err != nil {
		t.Error(err)
	}
	v.Lost = 1
	if v.Err() == nil {
		t.Error("an event is lost, and all is well")
	}
}
