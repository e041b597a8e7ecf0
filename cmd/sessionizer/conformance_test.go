package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the users of four systems expect is written down as cases, one file for each system, and one
// for what only a server meets. They run as they do for whoever writes cases: through the program.
// The names of cases begin with the rows of the table that they were made from.

const conformanceFiles = "testdata/conformance/*.yaml"

// conformanceRows are the rows of the table, by system: Krenalis, RudderStack, Snowplow, Tracardi,
// and X for what concerns all.
func conformanceRows() []string {
	const ranges = "K01-K04 K06-K16 K18 K20-K31 K33-K34 R01-R06 R11-R14 R16-R19 R22 R27 R29-R30 " +
		"R34-R35 R38-R40 S01-S06 S08-S10 S12 S16-S18 S20-S24 V01-V10 V12-V16 X01-X12"
	var rows []string
	for r := range strings.FieldsSeq(ranges) {
		first, last, isRange := strings.Cut(r, "-")
		if !isRange {
			last = first
		}
		var from, to int
		if n, err := fmt.Sscanf(first[1:]+" "+last[1:], "%d %d", &from, &to); n != 2 {
			panic(fmt.Sprintf("the range %q: %v", r, err))
		}
		for i := from; i <= to; i++ {
			rows = append(rows, fmt.Sprintf("%c%02d", first[0], i))
		}
	}
	return rows
}

func conformanceNames(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob(conformanceFiles)
	if err != nil || len(names) == 0 {
		t.Fatalf("%d files %s: %v", len(names), conformanceFiles, err)
	}
	return names
}

func TestConformance_EveryCasePasses(t *testing.T) {
	r := sessionizer(t, "", append([]string{"test"}, conformanceNames(t)...)...)
	if r.code != exitFine {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// A row is tried by a case, or the top of its file says where it is tried, or why not.
func TestConformance_EveryRowIsTried(t *testing.T) {
	tried := map[string]bool{}
	named := regexp.MustCompile(`^(?:[KRSVX][0-9]{2} )+`)
	told := regexp.MustCompile(`(?m)^#   ([KRSVX][0-9]{2})  \S`)
	for _, name := range conformanceNames(t) {
		file, faults := readCases(name, (&app{}).loadCase)
		if len(faults) > 0 {
			t.Fatal(strings.Join(faults, "\n"))
		}
		for _, c := range file.cases {
			rows := named.FindString(c.name)
			if rows == "" {
				t.Errorf("%s:%d: %q does not begin with a row", name, c.line, c.name)
			}
			for row := range strings.FieldsSeq(rows) {
				tried[row] = true
			}
		}
		for _, m := range told.FindAllStringSubmatch(string(file.text), -1) {
			tried[m[1]] = true
		}
	}
	for _, row := range conformanceRows() {
		if !tried[row] {
			t.Errorf("no case tries row %s, and no file says why", row)
		}
		delete(tried, row)
	}
	for _, row := range slices.Sorted(maps.Keys(tried)) {
		t.Errorf("there is no row %s", row)
	}
}

// The machine's own scenarios name the rows that they were made from, too: nothing but rows.
func TestConformance_ScenariosNameRowsThatThereAre(t *testing.T) {
	rows := conformanceRows()
	names, err := filepath.Glob("../../session/testdata/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d scenario files: %v", len(names), err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, list, _ := strings.Cut(string(text), "\n# Conformance: ")
		list, _, _ = strings.Cut(list, "\n")
		for row := range strings.FieldsSeq(list) {
			if !slices.Contains(rows, row) {
				t.Errorf("%s: there is no row %s", name, row)
			}
		}
	}
}
