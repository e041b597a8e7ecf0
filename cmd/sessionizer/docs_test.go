package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// What the documents show is tried as their readers would: the commands are
// run, the JSON is compared to the byte, and no key or command is made up.
// Whether the YAML is accepted and the make targets are there, internal/tidy
// sees.

const repository = "../.."

// documents are the texts that show how the program is used, by name.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, name := range []string{"README.md", "OPERATING.md", "docs/testing.md",
		"docs/schemas.md", "docs/verify.md"} {
		texts[name] = read(t, repository, name)
	}
	return texts
}

// block is what stands between two fences of a document.
type block struct{ language, text string }

func blocks(document string) (all []block) {
	fenced := regexp.MustCompile("(?ms)^```(\\w*)\n(.*?\n)```$")
	for _, m := range fenced.FindAllStringSubmatch(document, -1) {
		all = append(all, block{m[1], m[2]})
	}
	return all
}

func TestDocs_TheEngineMakesTheOutputOfTheInput(t *testing.T) {
	var shown []string
	for _, b := range blocks(read(t, repository, "README.md")) {
		if b.language == "json" {
			shown = append(shown, b.text)
		}
	}
	if len(shown) != 2 {
		t.Fatalf("%d blocks of JSON, want what goes in and what comes out", len(shown))
	}
	t.Chdir(t.TempDir())
	r := sessionizer(t, shown[0], "stamp")
	if r.code != exitFine || r.stdout != shown[1] {
		t.Fatalf("code %d, %s, got\n%s", r.code, r.stderr, r.stdout)
	}
}

// writeEvents makes the files that examples read.
func writeEvents(t *testing.T, dir, event string) {
	t.Helper()
	write(t, dir, "events.ndjson", event)
	write(t, dir, "cases.yaml", casesShown(t))
	write(t, dir, "event.avsc", eventSchema)
	events := shopEvents(rand.New(rand.NewPCG(1, 1)), 10)
	write(t, dir, "events.avro", asContainer(t, eventSchema, "null", events))
}

// brokerless says which commands can be run here; of the others only the flags
// are tried. The demo has its tests.
func brokerless(command, line string) bool {
	isOfFiles := strings.Contains(line, "events.ndjson") || strings.Contains(line, "events.avro")
	if command == "explain" && isOfFiles {
		return true
	}
	if strings.Contains(line, "--register") {
		return false
	}
	return slices.Contains([]string{"stamp", "version", "completion", "config", "test",
		"schema"}, command)
}

// casesShown is the file of cases that the documents show.
func casesShown(t *testing.T) string {
	t.Helper()
	for _, b := range blocks(read(t, repository, "docs/testing.md")) {
		if b.language == "yml" {
			return b.text
		}
	}
	t.Fatal("docs/testing.md shows no cases")
	return ""
}

func TestDocs_EveryCommandRuns(t *testing.T) {
	event := blocks(read(t, repository, "README.md"))[0].text
	program := regexp.MustCompile(`bin/sessionizer (\S+)`)
	ran := map[string]int{}
	for name, text := range documents(t) {
		for _, b := range blocks(text) {
			dir := t.TempDir() // what one line writes the next may read
			writeEvents(t, dir, event)
			for line := range strings.Lines(b.text) {
				line, _, _ = strings.Cut(strings.TrimRight(line, "\n"), "  #")
				m := program.FindStringSubmatch(line)
				if m == nil {
					continue
				}
				if !brokerless(m[1], line) {
					line += " --help"
				}
				ran[m[1]]++
				if r := shell(t, dir, "set -o pipefail; "+line); r.code != exitFine {
					t.Errorf("%s: %s: code %d, %s", name, line, r.code, r.stderr)
				}
			}
			if b.language == "" && strings.Contains(b.text, "> stamped.ndjson") {
				stamped, visits := read(t, dir, "stamped.ndjson"), read(t, dir, "visits.ndjson")
				if !strings.Contains(stamped, `"session":{"id":`) ||
					!strings.Contains(visits, `"reason":"inactivity"`) {
					t.Errorf("%s: stamped %s, visits %s", name, stamped, visits)
				}
			}
		}
	}
	if ran["stamp"] == 0 || ran["run"] == 0 || ran["topics"] == 0 {
		t.Errorf("the examples found are %v", ran)
	}
}

// The examples that --help shows are documents too.
func TestDocs_TheExamplesOfTheCommandsRun(t *testing.T) {
	event := blocks(read(t, repository, "README.md"))[0].text
	ran := 0
	var all []*cobra.Command
	for _, c := range (&app{}).commands() {
		all = append(append(all, c), c.Commands()...)
	}
	for _, c := range all {
		for line := range strings.Lines(c.Example) {
			dir := t.TempDir()
			writeEvents(t, dir, event)
			setup := "gzip -k events.ndjson; HOME=$PWD; mkdir -p .config/fish/completions; set -e\n"
			line = strings.ReplaceAll(strings.TrimSpace(line), "sessionizer ", "bin/sessionizer ")
			if r := shell(t, dir, setup+line); r.code != exitFine {
				t.Errorf("%s: code %d, %s", line, r.code, r.stderr)
			}
			ran++
		}
	}
	if ran == 0 {
		t.Error("no command has an example")
	}
}

func TestDocs_ListTheCommandsThatThereAre(t *testing.T) {
	text := read(t, repository, "README.md")
	_, table, _ := strings.Cut(text, "## Commands\n")
	table, after, _ := strings.Cut(table, "\n## Not yet\n")
	var listed, there []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z]+)` \\|").FindAllStringSubmatch(table, -1) {
		listed = append(listed, m[1])
	}
	for _, c := range (&app{}).commands() {
		there = append(there, c.Name())
	}
	slices.Sort(listed)
	slices.Sort(there)
	if !slices.Equal(listed, there) {
		t.Errorf("the README lists %v, the program has %v", listed, there)
	}
	_, absent, found := strings.Cut(after, "These commands are planned and do not exist:")
	absent, _, _ = strings.Cut(absent, ".")
	names := regexp.MustCompile("`([a-z]+)`").FindAllStringSubmatch(absent, -1)
	if !found || len(names) == 0 {
		t.Fatal("the README does not list what is planned")
	}
	for _, m := range names {
		if slices.Contains(there, m[1]) {
			t.Errorf("the README says that %s does not exist", m[1])
		}
	}
}

// What a document says that explain says.
func TestDocs_TheExplanationIsTheOneShown(t *testing.T) {
	shown := map[string]string{}
	for _, b := range blocks(read(t, repository, "docs/testing.md")) {
		shown[b.language] = b.text
	}
	t.Chdir(t.TempDir())
	write(t, ".", "monday.ndjson", shown["ndjson"])
	r := sessionizer(t, "", "explain", "ana", "--file", "monday.ndjson")
	if r.code != exitFine || r.stdout != shown["text"] {
		t.Fatalf("code %d, %s, got\n%s", r.code, r.stderr, r.stdout)
	}
}

// A key that a document names in the running text must be one: the program is
// asked, which tells an unknown key from a wrong value.
func TestDocs_NameOnlyKeysThatThereAre(t *testing.T) {
	texts := documents(t)
	delete(texts, "docs/schemas.md") // session.id is a member there
	t.Chdir(t.TempDir())
	sections := "kafka|input|output|visits|dead_letters|registry|paths|session|time|state|commit|" +
		"limits|http|log"
	key := regexp.MustCompile("`((?:" + sections + `)\.[a-z_.]+[a-z])(?:: [^` + "`]*)?`")
	variable := regexp.MustCompile(`SESSIONIZER_[A-Z_]+[A-Z]`)
	names := 0
	for document, text := range texts {
		for _, m := range key.FindAllStringSubmatch(text, -1) {
			names++
			r := sessionizer(t, "", "stamp", "--set", m[1]+"=")
			if strings.Contains(r.stderr, m[1]+": no such key") {
				t.Errorf("%s: %s", document, r.stderr)
			}
		}
		for _, name := range variable.FindAllString(text, -1) {
			names++
			var stderr strings.Builder
			a := &app{process: process{environ: []string{name + "="}, stderr: &stderr}}
			_, _, err := a.load(true)
			if err != nil && strings.Contains(err.Error(), "no key goes by this name") {
				t.Errorf("%s: %v", document, err)
			}
		}
	}
	if names < 10 {
		t.Errorf("only %d keys and variables found", names)
	}
}

// A made-up document must be found out by what the tests above look with.
func TestDocs_BlocksAreFoundWithTheirLanguage(t *testing.T) {
	got := blocks("a\n```json\n{}\n```\n\n```\nmake x\n  y\n```\n`b`\n")
	if !slices.Equal(got, []block{{"json", "{}\n"}, {"", "make x\n  y\n"}}) {
		t.Fatalf("%q", got)
	}
	if _, err := os.Stat(filepath.Join(repository, "go.mod")); err != nil {
		t.Fatal(err)
	}
}
