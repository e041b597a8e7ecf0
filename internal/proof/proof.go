// Package proof keeps what tests that break things did: how many faults of which kind, what it took
// to recover, and whether anything was wrong at the end. A test writes its record where PROOF_DIR
// says, and `make report` makes docs/proof.md of the records: no figure in it is typed.
package proof

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Variable names the folder that records are written to. Without it nothing is written.
const Variable = "PROOF_DIR"

// Record is what one test did.
type Record struct {
	Name  string // of the test, for people
	What  string // a sentence: what was run, and what decides whether it is right
	Seed  string `json:",omitempty"` // the same one makes the same choices
	Order int    // among the records of a report

	Counts     map[string]int64   // what was done how often
	TimesMs    map[string][]int64 `json:",omitempty"` // what took how long, each time
	Violations int                // losses, doubles and wrong results
	SHA256     string             `json:",omitempty"` // of the output, the same as undisturbed

	Made  string // the day, filled in by Write
	Cores int    // of the machine, likewise
}

// Write leaves the record where a report finds it, in place of an earlier one of the same name.
func (r Record) Write() error {
	dir := os.Getenv(Variable)
	if dir == "" {
		return nil
	}
	r.Made, r.Cores = time.Now().UTC().Format(time.DateOnly), runtime.NumCPU()
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the record of %s: %w", r.Name, err)
	}
	name := strings.ReplaceAll(strings.ToLower(r.Name), " ", "-") + ".json"
	//nolint:gosec // the folder is where whoever runs the tests wants the records
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write the record of %s: %w", r.Name, err)
	}
	//nolint:gosec // likewise
	if err := os.WriteFile(filepath.Join(dir, name), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the record of %s: %w", r.Name, err)
	}
	return nil
}

var errNoRecords = errors.New("no records")

// Read returns the records of a folder in the order of a report.
func Read(dir string) ([]Record, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err == nil && len(files) == 0 {
		err = errNoRecords
	}
	if err != nil {
		return nil, fmt.Errorf("read the records in %s: %w", dir, err)
	}
	var records []Record
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read a record: %w", err)
		}
		var r Record
		if err := json.Unmarshal(text, &r); err != nil {
			return nil, fmt.Errorf("read the record %s: %w", file, err)
		}
		records = append(records, r)
	}
	slices.SortStableFunc(records, func(a, b Record) int { return a.Order - b.Order })
	return records, nil
}

// Percentile returns the least value that p percent of the values do not exceed (nearest rank).
func Percentile(values []int64, p int) int64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}
