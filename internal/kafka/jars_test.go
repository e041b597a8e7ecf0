//go:build unix

package kafka

import "testing"

func TestJavaMajor_ReadsWhatJavaPrints(t *testing.T) {
	for out, want := range map[string]int{
		`openjdk version "17.0.15" 2025-04-15`:                                     17,
		"Picked up JAVA_TOOL_OPTIONS: -Da=b\n" + `openjdk version "25" 2025-09-16`: 25,
		`java version "1.8.0_392"`:                                                 1,
		`java version "x"`:                                                         0,
		"no java here":                                                             0,
	} {
		got, err := javaMajor(out)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: Java %d, error %v; want %d", out, got, err, want)
		}
	}
}
