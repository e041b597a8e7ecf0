package session

// The page about the semantics is the scenario files in an order for reading, so that it cannot say
// what the machine does not do.

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const semanticsPage = "../docs/semantics.md"

// chapters are the scenario files in the order of the page.
var chapters = [...]struct {
	title string
	files []string
}{
	{"Silence", []string{"gap", "boundary_at", "platforms", "out_of_order", "too_late"}},
	{"Who names the session", []string{"adopt", "assign", "enforce", "missing", "server_ids",
		"start"}},
	{"Late events and merges", []string{"merge", "revisions", "history"}},
	{"Splits", []string{"client_start", "user_change", "max_duration", "max_events", "campaign",
		"midnight", "split_reasons"}},
	{"Rules", []string{"rules", "end", "settings"}},
	{"What a session collects", []string{"collections", "dedupe", "started"}},
}

// TestSemanticsPage compares the page with the scenarios; -rewrite, the flag of the scenarios too,
// writes it.
func TestSemanticsPage(t *testing.T) {
	page := semantics(t)
	if flag.Lookup("rewrite").Value.String() == "true" {
		if err := os.WriteFile(semanticsPage, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(semanticsPage)
	if err != nil || !bytes.Equal(got, page) {
		t.Fatalf("%s is not what the scenarios give (%v): run `make docs`", semanticsPage, err)
	}
}

func semantics(t *testing.T) []byte {
	t.Helper()
	head, err := os.ReadFile("testdata/semantics.md")
	if err != nil {
		t.Fatal(err)
	}
	page := bytes.NewBuffer(head)
	fmt.Fprintln(page)
	for _, chapter := range chapters {
		var links []string
		for _, name := range chapter.files {
			links = append(links, fmt.Sprintf("[%s](#%s)", headingOf(name),
				strings.ReplaceAll(name, "_", "-")))
		}
		fmt.Fprintf(page, "- **%s**: %s\n", chapter.title, strings.Join(links, ", "))
	}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, chapter := range chapters {
		fmt.Fprintf(page, "\n## %s\n", chapter.title)
		for _, name := range chapter.files {
			at := slices.Index(files, "testdata/"+name+".txt")
			if at < 0 {
				t.Fatalf("the page names %s, of which there are no scenarios", name)
			}
			files = slices.Delete(files, at, at+1)
			writeScenarios(t, page, name)
		}
	}
	if len(files) > 0 {
		t.Fatalf("the page lacks %q", files)
	}
	return page.Bytes()
}

func headingOf(name string) string { return strings.ReplaceAll(name, "_", " ") }

// writeScenarios writes a file of scenarios as prose and blocks: comments, settings, results.
func writeScenarios(t *testing.T, page *bytes.Buffer, name string) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(page, "\n### %s\n", headingOf(name))
	var prose, given, result []string
	isResult := false
	flush := func() {
		if len(prose) > 0 {
			fmt.Fprintf(page, "\n%s\n", strings.Join(prose, "\n"))
		}
		if len(result) > 0 {
			fmt.Fprintf(page, "\n```\n%s\n```\n", strings.Join(slices.Concat(given, result), "\n"))
		}
		prose, given, result, isResult = nil, nil, nil, false
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "":
			flush()
		case line == "----":
			isResult = true
		case isResult:
			result = append(result, line)
		case word == "#" && strings.HasPrefix(rest, "Conformance: "):
			prose = append(prose, "", "*"+rest+"*")
		case word == "#":
			prose = append(prose, rest)
		case word == "feed" || word == "then":
			given = append(given, settingsOf(word, rest)...)
		case word == "rule":
			given = append(given, line)
		}
	}
	flush()
}

// settingsOf returns the line that says what a scenario sets, if it sets anything.
func settingsOf(command, args string) []string {
	var settings []string
	for _, arg := range strings.Fields(args) {
		if !strings.HasPrefix(arg, "show=") {
			settings = append(settings, arg)
		}
	}
	switch {
	case command == "then":
		return []string{strings.Join(append([]string{"then"}, settings...), " ")}
	case len(settings) > 0:
		return []string{strings.Join(append([]string{"with"}, settings...), " ")}
	default:
		return nil
	}
}
