package mutate_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sessionizer/internal/mutate"
)

func TestOverlay_ChangesOnePlaceForOneMutant(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	source := filepath.Join(root, "pkg", "a.go")
	if err := os.Mkdir(filepath.Dir(source), 0o700); err != nil {
		t.Fatal(err)
	}
	text := "package pkg\n\nfunc f(a, b int) bool { return a < b || g.Done() }\n"
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	change := func(name, old, text string) mutate.Mutant {
		place := mutate.Change{File: "pkg/a.go", Old: old, New: text}
		return mutate.Mutant{Name: name, Changes: []mutate.Change{place}}
	}
	overlay, err := mutate.Overlay(root, dir, []mutate.Mutant{
		change("x", "a < b", "a < b+oneMutant()"), change("y", "g.Done()", "isMutant() || g.Done()"),
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(overlay)
	var o struct{ Replace map[string]string }
	if err == nil {
		err = json.Unmarshal(b, &o)
	}
	if err != nil {
		t.Fatal(err)
	}
	changed, err := os.ReadFile(o.Replace[source])
	want := "package pkg\n\nfunc f(a, b int) bool { return a < b+oneMutant(\"x\") || " +
		"isMutant(\"y\") || g.Done() }\n"
	if err != nil || string(changed) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, changed, want)
	}
	functions, err := os.ReadFile(o.Replace[filepath.Join(root, "pkg", "mutants.go")])
	if err != nil || !strings.HasPrefix(string(functions), "package pkg\n") {
		t.Errorf("%v\n%s", err, functions)
	}

	for name, m := range map[string]mutate.Mutant{
		"a place that is not there":  change("z", "a > b", ""),
		"a place that is there more": change("z", "b", ""),
	} {
		if _, err := mutate.Overlay(root, dir, []mutate.Mutant{m}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
