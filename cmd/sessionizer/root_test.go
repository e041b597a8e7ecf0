package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// result is what a run of the program left behind.
type result struct {
	code           int
	stdout, stderr string
}

// sessionizer runs the program in an empty directory with nothing in the
// environment.
func sessionizer(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), args, process{
		stdin: strings.NewReader(stdin), stdout: &stdout, stderr: &stderr,
	})
	return result{code, stdout.String(), stderr.String()}
}

func TestRun_WrongUsageExitsWithTwo(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		name, stderr string
		args         []string
	}{
		{"NoCommand", "sessionizer: which command?\n", nil},
		{"AnUnknownCommand", `sessionizer: unknown command "rum" for "sessionizer"`, []string{"rum"}},
		{"AnUnknownFlag", "sessionizer: unknown flag: --jason\n", []string{"version", "--jason"}},
		{"AnArgumentTooMany", `sessionizer: unknown command "x" for "sessionizer version"`,
			[]string{"version", "x"}},
		{"AShellThatIsNotKnown", "sessionizer: completion: want one of bash, fish, powershell, zsh, " +
			"found \"tcsh\"\n", []string{"completion", "tcsh"}},
		{"NoShell", "sessionizer: completion: want one of bash, fish, powershell, zsh, found nothing\n",
			[]string{"completion"}},
		{"TwoShells", "sessionizer: completion: want one of bash, fish, powershell, zsh, " +
			"found \"bash zsh\"\n", []string{"completion", "bash", "zsh"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := sessionizer(t, "", c.args...)
			if r.code != exitUsage || !strings.Contains(r.stderr, c.stderr) || r.stdout != "" {
				t.Fatalf("code %d, stdout %q, stderr %q", r.code, r.stdout, r.stderr)
			}
		})
	}
}

func TestRun_VersionIsDataOnStandardOutput(t *testing.T) {
	t.Chdir(t.TempDir())
	r := sessionizer(t, "", "version")
	if r.code != exitFine || !strings.HasPrefix(r.stdout, "sessionizer ") || r.stderr != "" {
		t.Fatalf("%+v", r)
	}
	var b build
	r = sessionizer(t, "", "version", "--json")
	if err := json.Unmarshal([]byte(r.stdout), &b); err != nil || b.Go == "" || b.Version == "" {
		t.Fatalf("%v in %q", err, r.stdout)
	}
}

func TestRun_CompletionKnowsEveryShell(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, shell := range shells() {
		r := sessionizer(t, "", "completion", shell)
		if r.code != exitFine || !strings.Contains(r.stdout, "sessionizer") || r.stderr != "" {
			t.Errorf("%s: code %d, stderr %q", shell, r.code, r.stderr)
		}
	}
}

func TestLoad_ReportsEveryFaultAndExitsWithTwo(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	text := "lanes: many\nkafka:\n  grup: x\n"
	if err := os.WriteFile(filepath.Join(dir, "sessionizer.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	a := &app{process: process{stderr: &stderr}, set: []string{"x=1"}, logLevel: "loud"}
	_, _, err := a.load(true)
	if code := a.exitCode(err); code != exitUsage {
		t.Fatalf("code %d", code)
	}
	want := `sessionizer: the configuration has 4 faults:
sessionizer.yaml:1: lanes: want a whole number, found "many"
sessionizer.yaml:3: kafka.grup: no such key; did you mean kafka.group?
--set: x: no such key
--set: log.level: want debug, info, warn or error, found "loud"
`
	if stderr.String() != want {
		t.Fatalf("got\n%s", stderr.String())
	}
}
