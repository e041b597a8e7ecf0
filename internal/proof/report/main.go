// Command report writes docs/proof.md from the records in a folder.
package main

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

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
		//nolint:gosec // the file is the one that was asked for
		err = os.WriteFile(os.Args[2], []byte(render(records, time.Now())), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(exitFailed)
	}
}

const head = `# Proof

What was done to break it, how often, and what came of it. This page is made by ` + "`make report`" + `
from the records that the tests leave; no figure in it is typed. Times are those of the machine it ran
on, which had %d cores, and hold for no other. Made on %s.

`

// render is the page.
func render(records []proof.Record, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, head, runtime.NumCPU(), now.UTC().Format(time.DateOnly))
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
