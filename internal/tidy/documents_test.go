package tidy

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sessionizer/internal/config"
)

// What a document shows must work: its configuration is accepted, its make targets and the files
// that it points to are there.

func TestDocuments_ShowWhatIsThere(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	walk(t, func(path string) {
		if !strings.HasSuffix(path, ".md") {
			return
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		seen++
		for _, f := range documentFaults(path, string(text), string(makefile)) {
			t.Error(f)
		}
	})
	if seen == 0 {
		t.Error("no document found")
	}
}

func TestDocuments_EveryFaultIsFound(t *testing.T) {
	for text, want := range map[string]string{
		"see [that](gone.md)":                     "gone.md is not there",
		"run `make nothing` first":                "no target nothing",
		"```\nmake nothing\n```":                  "no target nothing",
		"```yaml\nsession:\n  timeout: soon\n```": "session.timeout",
		"```yaml\nsession:\n  timeoot: 30m\n```":  "timeoot",
	} {
		faults := documentFaults("x.md", text, "test: ## tests\n")
		if len(faults) != 1 || !strings.Contains(faults[0].what, want) {
			t.Errorf("%q: faults %v, want one that says %q", text, faults, want)
		}
	}
	fine := "[x](#here) [y](https://example.org) `make test`\n```yaml\nsession:\n  timeout: 30m\n```"
	for _, f := range documentFaults("x.md", fine, "test: ## tests\n") {
		t.Errorf("in a document without a fault: %v", f)
	}
}

func documentFaults(path, text, makefile string) (faults []finding) {
	at := func(offset int, what string) {
		line := 1 + strings.Count(text[:offset], "\n")
		faults = append(faults, finding{path, line, what})
	}
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for _, m := range link.FindAllStringSubmatchIndex(text, -1) {
		file := text[m[2]:m[3]]
		if _, err := os.Stat(filepath.Join(root, filepath.Dir(path), file)); err != nil {
			at(m[0], file+" is not there")
		}
	}
	target := regexp.MustCompile("(?m)(?:^|`|&& )make ([a-z-]+)")
	for _, m := range target.FindAllStringSubmatchIndex(text, -1) {
		name := text[m[2]:m[3]]
		if !regexp.MustCompile(`(?m)^` + name + `:`).MatchString(makefile) {
			at(m[0], "the Makefile has no target "+name)
		}
	}
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	for _, m := range block.FindAllStringSubmatchIndex(text, -1) {
		_, _, err := config.Load(config.Sources{
			File: path, Offline: true,
			Hostname: func() (string, error) { return "host", nil },
			ReadFile: func(string) ([]byte, error) { return []byte(text[m[2]:m[3]]), nil },
		})
		if err != nil {
			at(m[0], "the configuration shown is refused: "+err.Error())
		}
	}
	slices.SortStableFunc(faults, func(a, b finding) int { return a.line - b.line })
	return faults
}

// A message that sends its reader to a chapter of a document must not send them into the dark.
func TestDocuments_HaveTheChaptersThatMessagesName(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "OPERATING.md"))
	if err != nil {
		t.Fatal(err)
	}
	reference := regexp.MustCompile(`OPERATING\.md, \\"([^"\\]+)\\"`)
	for _, s := range sources(t) {
		for i, line := range s.lines {
			for _, m := range reference.FindAllStringSubmatch(line, -1) {
				chapter := regexp.MustCompile(`(?m)^#+ ` + regexp.QuoteMeta(m[1]) + `$`)
				if !chapter.Match(text) {
					t.Error(finding{s.path, i + 1, "OPERATING.md has no chapter " + m[1]})
				}
			}
		}
	}
}
