package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"sessionizer/internal/config"
)

// Whatever a test file holds: it has faults, or its cases run, and an update of it either passes or
// is refused.
func FuzzCases(f *testing.F) {
	for i := range uint64(20) {
		w := &caseWriter{Rand: rand.New(rand.NewPCG(1, i))}
		f.Add([]byte(w.file()))
	}
	f.Add([]byte("cases: [{name: a, events: [{raw: x, idle: 3m}, {payload: {a: [1, {b: ~}]}, a.0.b: .5}]}]"))
	dir := f.TempDir()
	load := func(overrides ...config.Override) (*config.Config, error) {
		c, _, err := config.Load(config.Sources{
			Overrides: overrides, Offline: true,
			ReadFile: func(string) ([]byte, error) { return nil, os.ErrNotExist },
			Hostname: func() (string, error) { return "host", nil },
		})
		return c, err
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		const textBytesMax, stepsMax = 4 << 10, 50
		if len(text) > textBytesMax {
			return
		}
		r := &caseReader{file: &caseFile{name: filepath.Join(dir, "a.yaml")}, load: load}
		r.read(text)
		if len(r.faults) > 0 {
			return
		}
		suite := &caseSuite{files: []*caseFile{r.file}}
		for _, c := range r.file.cases {
			if len(c.steps) > stepsMax {
				return
			}
			result, err := runCase(c)
			if err != nil {
				t.Fatal(err)
			}
			suite.results = append(suite.results, result)
		}
		var report bytes.Buffer
		if err := suite.write(&report); err != nil || report.Len() == 0 {
			t.Fatalf("%v: %s", err, report.Bytes())
		}
		changed, n, err := updated(r.file, suite.results)
		if err == nil && n > 0 {
			err = proves(r.file, changed, suite.results, load)
		}
		if err != nil && !bytes.Contains([]byte(err.Error()), []byte("by hand")) {
			t.Fatal(err)
		}
	})
}
