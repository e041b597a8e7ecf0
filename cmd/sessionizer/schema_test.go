package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whoever makes a table or a consumer takes the schema from the program that they run.

func TestSchema_WritesTheFilesOfTheRepository(t *testing.T) {
	files := map[string][2]string{
		"session":       {"session.avsc", "session.schema.json"},
		"visit-started": {"visit.avsc", "visit_started.schema.json"},
		"visit-ended":   {"visit.avsc", "visit_ended.schema.json"},
		"dead-letter":   {"dead_letter.avsc", "dead_letter.schema.json"},
	}
	list := sessionizer(t, "", "schema")
	if n := strings.Count(list.stdout, "\n"); list.code != exitFine || n != len(files) {
		t.Errorf("%+v: %d names, want %d", list, n, len(files))
	}
	for name, want := range files {
		if !strings.Contains("\n"+list.stdout, "\n"+name+" ") {
			t.Errorf("%s is not listed", name)
		}
		for i, args := range [][]string{{"schema", name}, {"schema", name, "--json-schema"}} {
			text, err := os.ReadFile(filepath.Join(repository, "schemas", want[i]))
			if err != nil {
				t.Fatal(err)
			}
			r := sessionizer(t, "", args...)
			if r.code != exitFine || r.stderr != "" || r.stdout != string(text) {
				t.Errorf("%v: code %d, %s, got\n%s", args, r.code, r.stderr, r.stdout)
			}
		}
	}
}

func TestSchema_WrongUseExitsWithTwo(t *testing.T) {
	for want, args := range map[string][]string{
		`no such schema: "visit-endet"; did you mean visit-ended?`: {"visit-endet"},
		`no such schema: "x"; want one of session, visit-started, visit-ended, dead-letter`: {
			"x", "--json-schema"},
		"accepts at most 1 arg(s), received 2": {"session", "visit-ended"},
	} {
		r := sessionizer(t, "", append([]string{"schema"}, args...)...)
		if r.code != exitUsage || !strings.Contains(r.stderr, want) || r.stdout != "" {
			t.Errorf("%v: %+v, want %s", args, r, want)
		}
	}
}

func TestSchema_NamesAreCompleted(t *testing.T) {
	r := sessionizer(t, "", "__complete", "schema", "")
	want := "session\nvisit-started\nvisit-ended\ndead-letter\n"
	if !strings.HasPrefix(r.stdout, want) {
		t.Errorf("%+v", r)
	}
	r = sessionizer(t, "", "__complete", "schema", "session", "")
	if strings.Contains(r.stdout, "visit") {
		t.Errorf("a second name is offered: %+v", r)
	}
}
