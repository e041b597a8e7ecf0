// Package mutate makes builds with one thing wrong, for tests that have to find them. The sources
// are made of the true ones, and the go command is told to take them instead (-overlay): the code
// that is spoiled holds nothing of it. All mutants are in one program, which the environment tells
// which one to be.
package mutate

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Variable tells the program which mutant it is. It does not begin like the keys of the
// configuration that come from the environment.
const Variable = "MUTANT"

// Mutant is a program with one thing wrong, at one place or several.
type Mutant struct {
	Name    string
	Changes []Change
}

// Change is one place: Old stands once in the file, and New takes its place. In New isMutant()
// reports whether the program is this mutant, and oneMutant() is 1 if it is and else 0. With names
// in it isMutant reports whether the program is one of those, and onceMutant does so only once.
type Change struct {
	File     string // from the top of the repository, with slashes
	Old, New string
}

// functions are what a package has more than its own.
const functions = `package %s

import (
	"os"
	"slices"
	"sync/atomic"
)

func isMutant(names ...string) bool { return slices.Contains(names, os.Getenv(%q)) }

func oneMutant(name string) int {
	if isMutant(name) {
		return 1
	}
	return 0
}

var mutations atomic.Int64

func onceMutant(names ...string) bool { return isMutant(names...) && mutations.Add(1) == 1 }
`

// Overlay writes the sources of all mutants of the repository at root to dir, and returns the file
// that the go command's -overlay takes.
func Overlay(root, dir string, mutants []Mutant) (string, error) {
	sources := map[string]string{}
	for _, m := range mutants {
		for _, c := range m.Changes {
			text, ok := sources[c.File]
			if !ok {
				b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(c.File)))
				if err != nil {
					return "", fmt.Errorf("mutant %s: %w", m.Name, err)
				}
				text = string(b)
			}
			if n := strings.Count(text, c.Old); n != 1 {
				return "", fmt.Errorf("mutant %s: %s has %q %d times, want once: change it anew",
					m.Name, c.File, c.Old, n)
			}
			changed := strings.ReplaceAll(c.New, "Mutant()", fmt.Sprintf("Mutant(%q)", m.Name))
			sources[c.File] = strings.Replace(text, c.Old, changed, 1)
			if strings.Contains(changed, "Mutant(") {
				folder := path.Dir(c.File)
				sources[folder+"/mutants.go"] = fmt.Sprintf(functions, path.Base(folder), Variable)
			}
		}
	}
	return Replace(root, dir, sources)
}

// Replace writes sources to dir that the go command takes instead of those of the repository at
// root, or beside them, and returns the file that its -overlay takes. They are named from the top
// of the repository, with slashes.
func Replace(root, dir string, sources map[string]string) (string, error) {
	replace := map[string]string{}
	for name, text := range sources {
		to := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("write the sources of an overlay: %w", err)
		}
		replace[filepath.Join(root, filepath.FromSlash(name))] = to
	}
	b, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	overlay := filepath.Join(dir, "overlay.json")
	if err == nil {
		err = os.WriteFile(overlay, b, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("write the sources of an overlay: %w", err)
	}
	return overlay, nil
}
