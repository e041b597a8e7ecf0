package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"sessionizer/schemas"
)

// Configuration files and profiles come from outside. Whatever is in them, the
// answer is faults, each on one line, or a configuration that can be used and
// that comes out as it went in.

func FuzzLoad(f *testing.F) {
	f.Add(everyDefault, mine, "")
	f.Add("profile: my/mine.yaml\n", withRules, "rules=[{when: {a: {gt: 1}}, end: true}]")
	f.Add("profile: my/mine.yaml\n", mine, "output.fields=id,start")
	for _, name := range schemas.Profiles() {
		p, err := schemas.LoadProfile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add("profile: my/mine.yaml\n", string(p.Source), "lanes=1")
		f.Add("profile: "+name+"\n", "", "session.midnight=Europe/Rome")
	}
	for _, c := range faultCases {
		f.Add(c.w.files[DefaultFile], "", strings.Join(c.w.set, ""))
	}
	text, err := os.ReadFile(filepath.Join("testdata", "faults.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text), mine, "")
	f.Fuzz(func(t *testing.T, file, profile, set string) {
		w := withProfile(profile, file)
		if set != "" {
			w.set = []string{set}
		}
		w.offline = true
		c, _, err := w.load()
		var faults Faults
		if err != nil {
			if !errors.As(err, &faults) || len(faults) == 0 {
				t.Fatalf("%T: %v", err, err)
			}
			for _, fault := range faults {
				if fault.Problem == "" || !utf8.ValidString(fault.Problem) {
					t.Fatalf("a fault that says nothing: %q", fault.String())
				}
			}
			return
		}
		if _, err := c.Codec(); err != nil {
			t.Fatalf("a configuration without a codec: %v", err)
		}
		if _, err := c.SessionRules(); err != nil {
			t.Fatalf("a configuration without rules: %v", err)
		}
		w.set = nil
		before := valuesOf(t, withSet(w, set))
		w.files[DefaultFile] = shownText(t, withSet(w, set))
		if after := valuesOf(t, w); !reflect.DeepEqual(before, after) {
			t.Fatalf("before %v\nafter  %v\n%s", before, after, w.files[DefaultFile])
		}
	})
}

func withSet(w world, set string) world {
	if set != "" {
		w.set = []string{set}
	}
	return w
}

// valuesOf are the values in force, the rules without their places.
func valuesOf(t *testing.T, w world) map[string]any {
	t.Helper()
	settings, _, err := Show(w.sources())
	if err != nil {
		t.Fatalf("%v", err)
	}
	values := map[string]any{}
	for _, s := range settings {
		if rules, ok := s.Value.([]ShownRule); ok {
			for i := range rules {
				rules[i].Origin = ""
			}
		}
		values[s.Key] = s.Value
	}
	return values
}

// A file of the greatest size must be answered, however it is made: nothing
// here may take a time that grows with the square of it.
func TestLoad_LargeFilesAreAnswered(t *testing.T) {
	fill := func(begin, one, end string) string {
		return begin + strings.Repeat(one, (fileBytesMax-len(begin)-len(end))/len(one)) + end
	}
	numbers := func(form string) string {
		var b strings.Builder
		for i := 0; b.Len() < fileBytesMax-100; i++ {
			fmt.Fprintf(&b, form, i)
		}
		return b.String()
	}
	for name, file := range map[string]string{
		"OneKey":     fill("", "k", ": 1"),
		"Keys":       numbers("k%d: 1\n"),
		"Sections":   "kafka:\n" + numbers("  k%d: 1\n"),
		"Nested":     "rules: " + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000),
		"Rules":      fill("rules: [", "{},", "]"),
		"NamedRules": "rules:\n" + numbers(" - {when: {}, name: n%d, end: true}\n"),
		"Conditions": "rules:\n - end: true\n   when:\n" + numbers("    p%d: 1\n"),
		"Values":     "rules:\n - end: true\n   when:\n    p:\n" + numbers("     - v%d\n"),
		"Topics":     "input:\n  topics:\n" + numbers("   - t%d\n"),
		"Fields":     fill("output: {fields: [", "id,", "]}"),
		"Splits":     "session:\n  splits:\n" + numbers("   - s%d\n"),
		"SplitLine":  "session: {splits: [" + numbers("s%d, ") + "]}",
		"Aliases":    "input:\n  topics: [&a x" + strings.Repeat(", *a", 200_000) + "]\n",
	} {
		t.Run(name, func(t *testing.T) {
			if len(file) > fileBytesMax {
				t.Fatalf("%d bytes", len(file))
			}
			_, _, err := inFile(file).load()
			var faults Faults
			if err != nil && !errors.As(err, &faults) {
				t.Fatal(err)
			}
			if name != "Values" && len(faults) == 0 || len(faults) > faultsMax+10 {
				t.Fatalf("%d faults", len(faults))
			}
		})
	}
}
