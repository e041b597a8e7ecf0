package tidy

import (
	"strings"
	"testing"
)

// A check that finds nothing anywhere looks just like a tidy repository. Here each one must find
// the one fault of a small file, and nothing in the same file without it.

func TestChecks_FindWhatTheyAreFor(t *testing.T) {
	long := strings.Repeat("\n", functionLinesMax)
	for _, c := range []struct{ check, path, bad, good string }{
		{"NothingSleepsInATest", "state/a_test.go",
			"func f() { time.Sleep(1) }", "func f() { clock.Sleep(1) }"},
		{"NothingRunsBeforeMain", "state/a.go", "func init() {}", "func (c c) init() {}"},
		{"FunctionsFitAScreen", "state/a.go",
			"func f() {" + long + "}", "func f() {" + long[1:] + "}"},
		{"FunctionsFitAScreen", "state/a_test.go",
			"func f() { run(func() {" + long + long + "}) }",
			"func f() { run(func() {" + long + "}); run(func() {" + long + "}) }"},
		{"FilesHaveOneSubject", "state/a.go",
			strings.Repeat("\n", fileLinesMax), strings.Repeat("\n", fileLinesMax-10)},
		{"LinesFitTwoAbreast", "state/a.go", "// " + strings.Repeat("x", columnsMax),
			"var s = `" + strings.Repeat("x", columnsMax) + "`"},
		{"OnlyMainExits", "cmd/sessionizer/a.go",
			"func run() { os.Exit(1) }", "func main() { os.Exit(1) }"},
		{"TheClockIsAnArgument", "session/a.go",
			"var t = time.Now()", "var t = time.Unix(0, 0)"},
		{"MustIsForTests", "state/a.go",
			`var r = regexp.MustCompile("a")`, `var r = Mustard("a")`},
		{"NothingIsLeftForLater", "state/a.go", "// TO" + "DO: all of it", "// All of it is done."},
		{"ErrorsSayTheActNotFailed", "state/a.go",
			`var s = "failed ` + `to open"`, `var s = "open: gone"`},
	} {
		t.Run(c.check, func(t *testing.T) {
			if n := len(checks()[c.check](sample(t, c.path, c.bad))); n != 1 {
				t.Errorf("%d findings in\n%s\nwant 1", n, c.bad)
			}
			for _, f := range checks()[c.check](sample(t, c.path, c.good)) {
				t.Errorf("in %s: %v", c.good, f)
			}
		})
	}
}

func TestChecks_FindPackageVariablesThatChange(t *testing.T) {
	for code, want := range map[string]int{
		"var n int":                                       1,
		"var n int; func f() { n++ }":                     2,
		"var n = 1; func f() { n = 2 }":                   1,
		"var n = 1; func f() { n := 2; n = 3; _ = n }":    0,
		"var m = m0; func f() { m[1] = 2 }":               1,
		"var m = m0; func f() { delete(m, 1) }":           1,
		"var v = v0; func f() *t { return &v }":           1,
		"var mu sync.Mutex":                               1,
		"var errEnd = errors.New(`the end`)":              0,
		"var _ io.Reader = (*r)(nil)":                     0,
		"//go:embed a.txt\nvar text string":               0,
		"var version string; func f() { print(version) }": 1,
	} {
		if got := variables([]*source{sample(t, "state/a.go", code)}); len(got) != want {
			t.Errorf("%s: findings %v, want %d", code, got, want)
		}
	}
}

func TestChecks_FindImportsOfTheWrongWay(t *testing.T) {
	for _, c := range []struct {
		path, imported string
		want           int
	}{
		{"session/a.go", "os", 1},
		{"session/a.go", "slices", 0},
		{"session/a_test.go", "os", 0},
		{"session/a.go", "sessionizer/state", 1},
		{"schemas/a.go", "sessionizer/state", 1},
		{"state/a.go", "sessionizer/session", 0},
		{"state/a.go", "github.com/cockroachdb/pebble/v2/vfs", 0},
		{"processor/a.go", "github.com/cockroachdb/pebble/v2/vfs", 1},
		{"processor/a_test.go", "github.com/cockroachdb/pebble/v2/vfs", 0},
		{"session/a.go", "go.uber.org/zap", 1},
		{"cmd/sessionizer/a.go", "sessionizer/internal/config", 0},
		{"processor/a.go", "sessionizer/cmd/sessionizer", 1},
		{"processor/a.go", "github.com/nobody/knows", 1},
		{"processor/a.go", "log/slog", 1},
	} {
		s := sample(t, c.path, `import _ "`+c.imported+`"`)
		if got := imports(s); len(got) != c.want {
			t.Errorf("%s imports %s: findings %v, want %d", c.path, c.imported, got, c.want)
		}
	}
}

func sample(t *testing.T, path, code string) *source {
	t.Helper()
	name := "p"
	if strings.HasPrefix(path, "cmd/") {
		name = "main"
	}
	s, err := parse(path, "package "+name+"\n"+code+"\n")
	if err != nil {
		t.Fatal(err)
	}
	return s
}
