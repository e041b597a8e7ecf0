package main

import (
	"strings"
	"testing"
	"time"

	"sessionizer/internal/proof"
)

func TestTheReportSaysAllThatTheRecordsDo(t *testing.T) {
	page := render([]proof.Record{
		{Name: "Kills", What: "One is killed.", Seed: "7", SHA256: "abc", Violations: 2,
			Counts:  map[string]int64{"SIGKILL": 100},
			TimesMs: map[string][]int64{"recovery": {300, 100, 200}}},
		{Name: "Damage", What: "A store is hurt.", Violations: 1},
	}, time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC))
	for _, want := range []string{
		"Made on 2026-01-02", "| [Kills](#kills) | 100 SIGKILL | 2 |", "| all | | **3** |",
		"One is killed.", "- SIGKILL: 100", "p50 200 ms, p99 300 ms, greatest 300 ms, of 3",
		"seed: `7`", "`abc`", "A store is hurt.",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}
