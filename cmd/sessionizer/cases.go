package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sessionizer/internal/config"
)

// casesOptions are the flags and arguments of the test command.
type casesOptions struct {
	run    string
	update bool
	junit  string
	json   bool
	files  []string
}

func (a *app) testCommand() *cobra.Command {
	var o casesOptions
	c := command(&cobra.Command{
		Use:   "test FILE...",
		Short: "Try the rules on cases written in YAML",
		Long: "Runs the cases of test files through the very engine of run, in virtual time: events with\n" +
			"times go in, and the sessions and visits that come out are compared with what the case\n" +
			"says. The configuration is the one of run; a file or a case may change keys of it. Exit\n" +
			"code 1: a case failed; 2: a file has faults.",
		Example: "  sessionizer test cases.yaml\n" +
			"  sessionizer test --run 'mobile|background' --junit report.xml cases.yaml\n" +
			"  sessionizer test --update cases.yaml",
		Args: wantArgs(-1, "FILE, one or more, such as: sessionizer test cases.yaml"),
	}, func(cmd *cobra.Command, args []string) error {
		o.files = args
		return a.test(cmd.Context(), &o)
	})
	c.Flags().StringVar(&o.run, "run", "", "only the cases whose name `REGEX` finds")
	c.Flags().BoolVar(&o.update, "update", false,
		"write what came out into the files as what is expected, and nothing else")
	c.Flags().StringVar(&o.junit, "junit", "", "write a report for CI systems to `FILE`, as JUnit XML")
	c.Flags().BoolVar(&o.json, "json", false, "report as JSON")
	return c
}

func (a *app) test(ctx context.Context, o *casesOptions) error {
	named, err := regexp.Compile(o.run)
	if err != nil {
		return usageError{fmt.Errorf("--run %s: %w", o.run, err)}
	}
	if o.update && (o.json || o.junit != "") {
		return usageError{errors.New("--update writes no report: leave --json and --junit out")}
	}
	files, err := a.readCaseFiles(o.files)
	if err != nil {
		return err
	}
	suite := &caseSuite{files: files}
	for _, f := range files {
		for _, c := range f.cases {
			if !named.MatchString(c.name) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return errors.New("interrupted")
			}
			result, err := runCase(c)
			if err != nil {
				return err
			}
			suite.results = append(suite.results, result)
		}
	}
	if len(suite.results) == 0 {
		return usageError{fmt.Errorf("--run %s: no case has such a name", o.run)}
	}
	if o.update {
		changes, files, err := suite.update(a.loadCase)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.stderr, "%s in %s rewritten\n", counted(changes, "expectation"),
			counted(files, "file"))
		return suite.stopped()
	}
	return a.tell(suite, o)
}

// readCaseFiles reads all files and tells everything that is wrong with them.
func (a *app) readCaseFiles(names []string) ([]*caseFile, error) {
	var files []*caseFile
	var faults []string
	for _, name := range names {
		f, wrong := readCases(name, a.loadCase)
		for _, fault := range wrong {
			if !slices.Contains(faults, fault) { // of the configuration, each case has the same
				faults = append(faults, fault)
			}
		}
		files = append(files, f)
	}
	switch len(faults) {
	case 0:
		return files, nil
	case 1:
		return nil, usageError{errors.New(faults[0])}
	}
	return nil, usageError{fmt.Errorf("%d faults:\n%s", len(faults), strings.Join(faults, "\n"))}
}

// loadCase reads the configuration of a case.
func (a *app) loadCase(overrides ...config.Override) (*config.Config, error) {
	sources := a.sources(true)
	sources.Overrides = overrides
	c, _, err := config.Load(sources)
	return c, err
}

// tell writes the reports.
func (a *app) tell(suite *caseSuite, o *casesOptions) error {
	if o.junit != "" {
		if err := suite.writeJUnit(o.junit); err != nil {
			return err
		}
	}
	var err error
	if o.json {
		err = json.NewEncoder(a.stdout).Encode(suite.report())
	} else {
		err = suite.write(a.stdout)
	}
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	failed := suite.failed()
	if failed > 0 {
		return fmt.Errorf("%s failed", countOf(failed, len(suite.results), "case"))
	}
	fmt.Fprintf(a.stderr, "%s passed\n", counted(len(suite.results), "case"))
	return nil
}

// counted writes 1 case, 2 cases.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%s %ss", grouped(int64(n)), noun)
}

// countOf writes 1 of 3 cases.
func countOf(n, all int, noun string) string {
	return fmt.Sprintf("%s of %s", grouped(int64(n)), counted(all, noun))
}

// replaceFile writes a file beside the old one and puts it in its place.
func replaceFile(name string, text []byte) (err error) {
	target, err := filepath.EvalSymlinks(name)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, cause(err))
	}
	info, err := os.Stat(target)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, cause(err))
	}
	f, err := os.CreateTemp(filepath.Dir(target), ".sessionizer-")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, cause(err))
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(info.Mode().Perm())
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), target)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", name, cause(err))
	}
	return nil
}
