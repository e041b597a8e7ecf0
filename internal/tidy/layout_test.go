package tidy

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// folders are the packages' homes, as DESIGN.md tells them.
func folders() []string {
	return []string{
		"cmd/sessionizer/", "console/", "internal/", "processor/", "schemas/", "session/", "state/",
	}
}

func TestLayout_EveryPackageIsAtHome(t *testing.T) {
	var findings []finding
	for _, s := range sources(t) {
		home := slices.ContainsFunc(folders(), func(f string) bool {
			return under(s.folder(), f)
		})
		if !home {
			findings = append(findings, s.at(s.file.Package,
				"Go files live in %s", strings.Join(folders(), ", ")))
		}
		name := strings.TrimSuffix(s.file.Name.Name, "_test")
		if name != "main" && name != path.Base(s.folder()) {
			findings = append(findings, s.at(s.file.Name.Pos(),
				"package %s: name it after its folder, %s", name, path.Base(s.folder())))
		}
	}
	report(t, findings)
}

// A package named after nothing in particular ends up holding everything.
func TestLayout_NoFolderIsCalledUtil(t *testing.T) {
	vague := []string{"common", "helper", "helpers", "misc", "shared", "types", "util", "utils"}
	for _, s := range sources(t) {
		if slices.Contains(vague, path.Base(s.folder())) {
			t.Errorf("%s: name the package after what it does", s.path)
		}
	}
}
