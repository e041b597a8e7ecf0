package main

import (
	"strings"
	"testing"

	"sessionizer/internal/proof"
)

func TestTheReportSaysAllThatTheRecordsDo(t *testing.T) {
	page := render([]proof.Record{
		{Name: "Kills", What: "One is killed.", Seed: "7", SHA256: "abc", Violations: 2,
			Made: "2026-01-02", Cores: 2,
			Counts:  map[string]int64{"SIGKILL": 100},
			TimesMs: map[string][]int64{"recovery": {300, 100, 200}}},
		{Name: "Damage", What: "A store is hurt.", Violations: 1, Made: "2026-01-03", Cores: 2},
	})
	for _, want := range []string{
		"which had 2 cores", "Made on 2026-01-02 and 2026-01-03",
		"| [Kills](#kills) | 100 SIGKILL | 2 |", "| all | | **3** |",
		"One is killed.", "- SIGKILL: 100", "p50 200 ms, p99 300 ms, greatest 300 ms, of 3",
		"seed: `7`", "`abc`", "A store is hurt.",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

func TestAReportWithoutASectionIsRefused(t *testing.T) {
	var records []proof.Record
	for _, name := range sections() {
		records = append(records, proof.Record{Name: name})
	}
	if err := complete(records); err != nil {
		t.Error(err)
	}
	if err := complete(records[1:]); err == nil || !strings.Contains(err.Error(), sections()[0]) {
		t.Errorf("without %s: %v", sections()[0], err)
	}
}
