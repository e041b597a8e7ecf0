package audit_test

import (
	"os/exec"
	"strings"
	"testing"
)

// A proof by the code that is to be proved is none: nothing of the engine is reached from here.
func TestAudit_SharesNothingWithTheEngine(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for dep := range strings.Lines(string(out)) {
		dep = strings.TrimSpace(dep)
		found = found || dep == "sessionizer/internal/audit"
		if strings.HasPrefix(dep, "sessionizer/") && dep != "sessionizer/internal/audit" ||
			strings.Contains(dep, "cockroachdb/pebble") {
			t.Errorf("internal/audit reaches %s", dep)
		}
	}
	if !found {
		t.Error("go list does not know internal/audit: the test looks in the wrong place")
	}
}
