package tidy

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The direction of imports is what keeps the machine free of clocks and disks, and each technology
// behind one package: cmd -> processor -> {schemas, state} -> session.

const module = "sessionizer"

// own says which packages of this repository a package may import; a trailing slash stands for all
// packages below. What is not listed may import none. Test files may import internal/ too.
func own() map[string][]string {
	return map[string][]string{
		"session":          {},
		"schemas":          {"session"},
		"schemas/registry": {"schemas"},
		"state":            {"session", "internal/failpoint"},
		"processor":        {"session", "schemas/", "state", "internal/failpoint"},
		"console":          {"session", "schemas/", "state", "processor"},
		"internal/":        {"session", "schemas/", "state", "processor", "console", "internal/"},
		"cmd/":             {"session", "schemas/", "state", "processor", "console", "internal/"},
	}
}

// libraries says which packages may import a library. Everywhere: a package that is not listed here
// is not imported. Test files and internal/ may import all that are listed.
func libraries() map[string][]string {
	return map[string][]string{
		"github.com/cespare/xxhash/v2":          {"schemas", "state", "processor"},
		"github.com/cockroachdb/datadriven":     {}, // tests
		"github.com/cockroachdb/pebble/v2":      {"state"},
		"github.com/klauspost/compress":         {"processor"},
		"github.com/linkedin/goavro/v2":         {"schemas"}, // and internal/audit: DESIGN says why
		"github.com/santhosh-tekuri/jsonschema": {},          // tests
		"github.com/pierrec/lz4/v4":             {"processor"},
		"github.com/spf13/cobra":                {"cmd/"},
		"github.com/spf13/pflag":                {"cmd/"},
		"github.com/twmb/avro":                  {}, // tests: compatibility of schemas
		"github.com/twmb/franz-go/pkg/kadm":     {"processor", "cmd/"},
		"github.com/twmb/franz-go/pkg/kbin":     {"processor"},
		"github.com/twmb/franz-go/pkg/kerr":     {"processor", "cmd/"},
		"github.com/twmb/franz-go/pkg/kfake":    {"cmd/"},
		"github.com/twmb/franz-go/pkg/kgo":      {"processor", "cmd/"},
		"github.com/twmb/franz-go/pkg/kmsg":     {"processor", "cmd/"},
		"github.com/twmb/franz-go/pkg/kversion": {"processor", "cmd/"},
		"github.com/twmb/franz-go/pkg/sasl":     {"processor", "cmd/"},
		"github.com/twmb/franz-go/pkg/sr":       {"schemas/registry"},
		"go.uber.org/zap":                       {"processor", "console", "cmd/"},
		"go.yaml.in/yaml/v3":                    {"schemas", "cmd/"},
		"golang.org/x/sync":                     {"state", "processor", "console", "cmd/"},
		"golang.org/x/term":                     {"cmd/"},
	}
}

// pure are the parts of the standard library that the machine may use: no clock is read, no file,
// socket or environment touched. time is here for its zones; its clock is held by TestClock.
func pure() []string {
	return []string{
		"bytes", "cmp", "crypto/sha256", "encoding/binary", "encoding/hex", "errors", "fmt", "hash",
		"hash/maphash", "iter", "maps", "math", "math/bits", "slices", "sort", "strconv", "strings",
		"time", "unicode", "unicode/utf8", "unsafe",
	}
}

func TestImports_PointOneWay(t *testing.T) {
	var findings []finding
	for _, s := range sources(t) {
		findings = append(findings, imports(s)...)
	}
	report(t, findings)
}

func imports(s *source) []finding {
	var findings []finding
	for _, spec := range s.file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		switch {
		case path == module || strings.HasPrefix(path, module+"/"):
			target := strings.TrimPrefix(path, module+"/")
			if target != s.folder() && !mayImport(s, target) {
				findings = append(findings, s.at(spec.Pos(),
					"%s may not import %s: see the direction in DESIGN.md", s.folder(), target))
			}
		case path == "log" || path == "log/slog":
			findings = append(findings, s.at(spec.Pos(),
				"%s is not used here: return the error, or log with zap where logging is allowed", path))
		case standard(path):
			if s.folder() == "session" && !s.isTest() && !slices.Contains(pure(), path) {
				findings = append(findings, s.at(spec.Pos(),
					"session may not import %s: the machine has no clock and no I/O", path))
			}
		default:
			if what := library(s, path); what != "" {
				findings = append(findings, s.at(spec.Pos(), "%s", what))
			}
		}
	}
	return findings
}

func mayImport(s *source, target string) bool {
	for from, targets := range own() {
		if !under(s.folder(), from) {
			continue
		}
		if s.isTest() {
			targets = append(targets, "internal/")
		}
		return slices.ContainsFunc(targets, func(to string) bool { return under(target, to) })
	}
	return false
}

// library says what is wrong with an import of a library, or nothing.
func library(s *source, path string) string {
	for prefix, users := range libraries() {
		if path != prefix && !strings.HasPrefix(path, prefix+"/") {
			continue
		}
		if s.isTest() || under(s.folder(), "internal/") ||
			slices.ContainsFunc(users, func(user string) bool { return under(s.folder(), user) }) {
			return ""
		}
		return s.folder() + " may not import " + path + ": it belongs to " +
			strings.Join(append(users, "tests"), ", ")
	}
	return path + " is a new dependency: " +
		"name its users in internal/tidy and its reason in DESIGN.md, or do without"
}

// under reports whether a folder is the one named, or below it where the name ends in a slash.
func under(folder, name string) bool {
	if strings.HasSuffix(name, "/") {
		return strings.HasPrefix(folder+"/", name)
	}
	return folder == name
}

func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// What a package reaches through others counts too: no road leads from the machine out of the
// standard library, or from one technology's package to another's.
func TestImports_ReachNothingForbidden(t *testing.T) {
	forbidden := map[string][]string{
		module + "/session": {"."}, // nothing with a dot in it: no library at all
		module + "/schemas": {"github.com/twmb/", "github.com/cockroachdb/pebble", "go.uber.org/zap",
			module + "/state"},
		module + "/schemas/registry": {"github.com/cockroachdb/pebble", "go.uber.org/zap",
			"github.com/twmb/franz-go/pkg/kgo", module + "/state"},
		module + "/state": {"github.com/twmb/", "github.com/linkedin/", "go.uber.org/zap",
			module + "/schemas"},
		module + "/processor": {"github.com/spf13/", "github.com/twmb/franz-go/pkg/kfake"},
	}
	found := 0
	for _, p := range listPackages(t) {
		bad, ok := forbidden[p.ImportPath]
		if !ok {
			continue
		}
		found++
		for _, dep := range p.Deps {
			for _, prefix := range bad {
				if strings.HasPrefix(dep, prefix) || prefix == "." && !standard(dep) {
					t.Errorf("%s reaches %s: go list -deps ./%s | grep %s; break that road",
						p.ImportPath, dep, strings.TrimPrefix(p.ImportPath, module+"/"), dep)
				}
			}
		}
	}
	if found == 0 {
		t.Error("none of the packages with rules was found: the test looks in the wrong place")
	}
}

type listed struct {
	ImportPath string   `json:"ImportPath"`
	Deps       []string `json:"Deps"`
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Deps", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		all = append(all, p)
	}
}
