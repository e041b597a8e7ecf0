// Command report writes docs/proof.md from the records in a folder.
package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"sessionizer/internal/proof"
)

const (
	exitFailed = 1
	exitUsage  = 2
	arguments  = 3
)

func main() {
	if len(os.Args) != arguments {
		fmt.Fprintln(os.Stderr, "usage: report RECORDS-FOLDER OUTPUT-FILE")
		os.Exit(exitUsage)
	}
	records, err := proof.Read(os.Args[1])
	if err == nil {
		err = complete(records)
	}
	if err == nil {
		//nolint:gosec // the file is the one that was asked for
		err = os.WriteFile(os.Args[2], []byte(render(records)), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(exitFailed)
	}
}

// sections are the records that a report consists of; those of long campaigns come to them.
func sections() []string {
	return []string{
		"Disk full", "Failpoints", "Kills", "Mixed", "Network", "Clock jumps", "Outages and losses",
		"Error codes", "Simulation", "Damaged stores",
		"Mutants of the lane", "Mutants of the machine", "Mutants of topics",
	}
}

// complete refuses a report that lacks a section.
func complete(records []proof.Record) error {
	var missing []string
	for _, name := range sections() {
		if !slices.ContainsFunc(records, func(r proof.Record) bool { return r.Name == name }) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("there is no record of %s: run all that `make report` runs",
			strings.Join(missing, ", "))
	}
	return nil
}

const head = `# Proof

What was done to break it, how often, and what came of it. This page is made from the
records that the tests leave, as ` + "`make report`" + ` does; no figure in it is typed. Times are those of the machine it ran
on, which had %s cores, and hold for no other. Made on %s.

`

// render is the page.
func render(records []proof.Record) string {
	var b strings.Builder
	cores, days := map[string]bool{}, map[string]bool{}
	for _, r := range records {
		cores[fmt.Sprint(r.Cores)], days[r.Made] = true, true
	}
	fmt.Fprintf(&b, head, strings.Join(slices.Sorted(maps.Keys(cores)), " or "),
		strings.Join(slices.Sorted(maps.Keys(days)), " and "))
	violations := 0
	b.WriteString("| | done | violations |\n|---|---|---|\n")
	for _, r := range records {
		violations += r.Violations
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %d |\n", r.Name,
			strings.ReplaceAll(strings.ToLower(r.Name), " ", "-"), counts(r.Counts), r.Violations)
	}
	fmt.Fprintf(&b, "| all | | **%d** |\n", violations)
	for _, r := range records {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", r.Name, r.What)
		for _, name := range slices.Sorted(maps.Keys(r.Counts)) {
			fmt.Fprintf(&b, "- %s: %d\n", name, r.Counts[name])
		}
		for _, name := range slices.Sorted(maps.Keys(r.TimesMs)) {
			t := r.TimesMs[name]
			fmt.Fprintf(&b, "- %s: p50 %d ms, p99 %d ms, greatest %d ms, of %d\n", name,
				proof.Percentile(t, 50), proof.Percentile(t, 99), proof.Percentile(t, 100), len(t))
		}
		fmt.Fprintf(&b, "- violations: %d\n", r.Violations)
		if r.SHA256 != "" {
			fmt.Fprintf(&b, "- SHA-256 of the output, as of an undisturbed run: `%s`\n", r.SHA256)
		}
		if r.Seed != "" {
			fmt.Fprintf(&b, "- seed: `%s`\n", r.Seed)
		}
	}
	return b.String()
}

// counts are the counts in one line.
func counts(c map[string]int64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		parts = append(parts, fmt.Sprintf("%d %s", c[name], name))
	}
	return strings.Join(parts, ", ")
}
