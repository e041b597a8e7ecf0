package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// caseSuite is all files and what came of their cases.
type caseSuite struct {
	files   []*caseFile
	results []*caseResult
}

func (s *caseSuite) failed() int {
	n := 0
	for _, r := range s.results {
		if len(r.failures) > 0 {
			n++
		}
	}
	return n
}

// stopped is the error of cases that cannot be updated: the processor would stop in them.
func (s *caseSuite) stopped() error {
	for _, r := range s.results {
		if len(r.steps) != len(r.c.steps)+1 {
			return fmt.Errorf("%s:%d: %s: %s", r.c.file.name, r.c.line, r.c.name, r.failures[0].got)
		}
	}
	return nil
}

// of returns the results of a file.
func (s *caseSuite) of(f *caseFile) (results []*caseResult, failed int) {
	for _, r := range s.results {
		if r.c.file == f {
			results = append(results, r)
			if len(r.failures) > 0 {
				failed++
			}
		}
	}
	return results, failed
}

// write tells of the cases that failed, and a line of each file.
func (s *caseSuite) write(w io.Writer) error {
	var b strings.Builder
	for _, f := range s.files {
		results, failed := s.of(f)
		for _, r := range results {
			if len(r.failures) > 0 {
				fmt.Fprintf(&b, "FAIL  %s:%d: %s\n%s", f.name, r.c.line, r.c.name, r.text("      "))
			}
		}
		switch {
		case len(results) == 0:
		case failed > 0:
			fmt.Fprintf(&b, "FAIL  %s  %s failed\n", f.name, countOf(failed, len(results), "case"))
		default:
			fmt.Fprintf(&b, "ok    %s  %s\n", f.name, counted(len(results), "case"))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// text is the failures of a case.
func (r *caseResult) text(indent string) string {
	var b strings.Builder
	for _, f := range r.failures {
		fmt.Fprintf(&b, "%sline %d: %s\n%s    want  %s\n%s    got   %s\n",
			indent, f.line, f.place, indent, f.want, indent, f.got)
	}
	return b.String()
}

// suiteReport is the report as JSON.
type suiteReport struct {
	Cases  int          `json:"cases"`
	Failed int          `json:"failed"`
	Files  []fileReport `json:"files"`
}

type fileReport struct {
	File  string       `json:"file"`
	Cases []caseReport `json:"cases"`
}

type caseReport struct {
	Name     string          `json:"name"`
	Line     int             `json:"line"`
	Passed   bool            `json:"passed"`
	Failures []failureReport `json:"failures,omitempty"`
}

type failureReport struct {
	Line  int    `json:"line"`
	Place string `json:"place"`
	Want  string `json:"want"`
	Got   string `json:"got"`
}

func (s *caseSuite) report() suiteReport {
	report := suiteReport{Cases: len(s.results), Failed: s.failed()}
	for _, f := range s.files {
		file := fileReport{File: f.name, Cases: []caseReport{}}
		results, _ := s.of(f)
		for _, r := range results {
			c := caseReport{Name: r.c.name, Line: r.c.line, Passed: len(r.failures) == 0}
			for _, f := range r.failures {
				c.Failures = append(c.Failures, failureReport{f.line, f.place, f.want, f.got})
			}
			file.Cases = append(file.Cases, c)
		}
		report.Files = append(report.Files, file)
	}
	return report
}

// The form of JUnit's reports that Jenkins, GitLab and GitHub's actions read.
type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	File    string        `xml:"file,attr"`
	Line    int           `xml:"line,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitFailure `xml:"failure,omitempty"`
}

type junitFailure struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
	Text    string `xml:",cdata"`
}

func (s *caseSuite) writeJUnit(name string) error {
	all := junitSuites{Name: "sessionizer", Tests: len(s.results), Failures: s.failed()}
	var total time.Duration
	for _, f := range s.files {
		results, failed := s.of(f)
		suite := junitSuite{Name: f.name, Tests: len(results), Failures: failed}
		var took time.Duration
		for _, r := range results {
			took += r.took
			suite.Cases = append(suite.Cases, r.junit())
		}
		suite.Time = seconds(took)
		total += took
		all.Suites = append(all.Suites, suite)
	}
	all.Time = seconds(total)
	text, err := xml.MarshalIndent(all, "", "  ")
	if err == nil {
		err = os.WriteFile(name, []byte(xml.Header+string(text)+"\n"), 0o666)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, cause(err))
	}
	return nil
}

func (r *caseResult) junit() junitCase {
	c := junitCase{
		Class: r.c.file.name, Name: r.c.name, File: r.c.file.name, Line: r.c.line, Time: seconds(r.took),
	}
	if len(r.failures) > 0 {
		f := r.failures[0]
		c.Failure = &junitFailure{
			Type: "mismatch", Text: "\n" + r.text(""),
			Message: fmt.Sprintf("line %d: %s: want %s, got %s", f.line, f.place, f.want, f.got),
		}
	}
	return c
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
