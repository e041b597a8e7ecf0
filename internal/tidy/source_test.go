package tidy

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the top of the repository as seen from this package's folder.
const root = "../.."

// source is one parsed Go file.
type source struct {
	path  string // from the top of the repository, with slashes
	text  string
	fset  *token.FileSet
	file  *ast.File
	lines []string
}

// finding is one thing that is not as it should be, and what to do about it.
type finding struct {
	path string
	line int
	what string
}

func (f finding) String() string { return fmt.Sprintf("%s:%d: %s", f.path, f.line, f.what) }

func parse(path, text string) (*source, error) {
	s := &source{path: path, text: text, fset: token.NewFileSet()}
	file, err := parser.ParseFile(s.fset, path, text, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	s.file = file
	s.lines = strings.Split(text, "\n")
	return s, nil
}

func (s *source) line(p token.Pos) int { return s.fset.Position(p).Line }

func (s *source) at(p token.Pos, format string, args ...any) finding {
	return finding{path: s.path, line: s.line(p), what: fmt.Sprintf(format, args...)}
}

func (s *source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// folder is the package's folder from the top of the repository.
func (s *source) folder() string {
	if i := strings.LastIndex(s.path, "/"); i >= 0 {
		return s.path[:i]
	}
	return "."
}

// sources parses every Go file of the root module. Files of a folder with a go.mod of its own, of
// testdata and of hidden folders are not ours to judge.
func sources(t *testing.T) []*source {
	t.Helper()
	var all []*source
	walk(t, func(path string) {
		if !strings.HasSuffix(path, ".go") {
			return
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		s, err := parse(path, string(text))
		if err != nil {
			t.Errorf("%v: the file does not parse", err)
			return
		}
		all = append(all, s)
	})
	if len(all) == 0 {
		t.Fatal("no Go file found: the tests look in the wrong place")
	}
	return all
}

// walk calls visit with the path, from the top and with slashes, of every file of the root module.
func walk(t *testing.T, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != root {
			_, noModule := os.Stat(filepath.Join(path, "go.mod"))
			if strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || noModule == nil {
				return filepath.SkipDir
			}
		}
		if d.IsDir() {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		visit(filepath.ToSlash(rel))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// report fails the test with every finding, in order.
func report(t *testing.T, findings []finding) {
	t.Helper()
	slices.SortFunc(findings, func(a, b finding) int {
		if a.path != b.path {
			return strings.Compare(a.path, b.path)
		}
		return a.line - b.line
	})
	for _, f := range findings {
		t.Error(f)
	}
}
