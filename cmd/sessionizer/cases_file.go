package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v3"

	"sessionizer/internal/config"
	"sessionizer/session"
)

// caseFileBytesMax bounds a test file: what is larger has not been written by hand.
const caseFileBytesMax = 16 << 20

// casesStart is what 0s stands for where nothing else is said: 2026-01-01T00:00:00Z.
const casesStart session.Time = 1_767_225_600_000

// visitorKey is the anonymous id of events that name none.
const visitorKey = "visitor"

// caseFile is a test file.
type caseFile struct {
	name  string
	text  []byte
	cases []*testCase
}

// testCase is one case of a file.
type testCase struct {
	file       *caseFile
	name       string
	line       int
	cfg        *config.Config
	isDoubtful bool // the configuration has faults: cfg is the default one
	start      session.Time
	strict     bool // visits that no expectation names are failures
	steps      []caseStep
	end        *wantVisits // nil: nothing is said of the visits at the end
	node       *yaml.Node  // the mapping
}

// caseStep is an event, or time that passes.
type caseStep struct {
	node     *yaml.Node // the mapping
	label    string     // 30m1s page
	idle     bool       // no event: the partition is idle until at
	at       session.Time
	received session.Time // the record's timestamp
	key      string
	value    []byte
	want     *wantStamp
	visits   *wantVisits
}

// caseFault is something wrong with a test file.
type caseFault struct {
	file    string
	line    int
	key     string
	problem string
	nearest string
}

func (f caseFault) String() string {
	text := f.file
	if f.line > 0 {
		text = fmt.Sprintf("%s:%d", f.file, f.line)
	}
	if f.key != "" {
		text += ": " + f.key
	}
	text += ": " + f.problem
	if f.nearest != "" {
		text += "; did you mean " + f.nearest + "?"
	}
	return text
}

// caseReader reads a test file and collects what is wrong with it.
type caseReader struct {
	file   *caseFile
	load   func(...config.Override) (*config.Config, error)
	faults []string
}

// readCases reads a test file. The faults are one line each.
func readCases(
	name string, load func(...config.Override) (*config.Config, error),
) (*caseFile, []string) {
	r := &caseReader{file: &caseFile{name: name}, load: load}
	text, err := os.ReadFile(name)
	if err == nil && len(text) > caseFileBytesMax {
		err = fmt.Errorf("it has %d bytes, at most %d", len(text), caseFileBytesMax)
	}
	if err != nil {
		return nil, []string{fmt.Sprintf("read %s: %v", name, cause(err))}
	}
	r.read(text)
	slices.SortStableFunc(r.faults, func(a, b string) int {
		return cmp.Compare(faultLine(name, a), faultLine(name, b))
	})
	return r.file, r.faults
}

// faultLine is the line that a fault of a file names; 0: none, or another file's.
func faultLine(name, fault string) int {
	rest, _ := strings.CutPrefix(fault, name+":")
	line, err := strconv.Atoi(rest[:max(strings.IndexByte(rest, ':'), 0)])
	if err != nil {
		return 0
	}
	return line
}

// syntaxError takes the parser's "yaml: line 3: " off an error.
func syntaxError(err error) (line int, problem string) {
	problem = strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(problem, "line "); ok {
		if number, text, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(number); err == nil {
				line, problem = n, text
			}
		}
	}
	return line, "is no YAML: " + problem
}

func (r *caseReader) fault(line int, key, problem, nearest string) {
	f := caseFault{r.file.name, line, key, problem, nearest}
	r.faults = append(r.faults, f.String())
}

func (r *caseReader) read(text []byte) {
	r.file.text = text
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var root, second yaml.Node
	err := decoder.Decode(&root)
	if err == nil {
		if err = decoder.Decode(&second); err == nil {
			r.fault(second.Line, "", "a second document begins here: want one", "")
			return
		}
	}
	if root.Kind == 0 || !errors.Is(err, io.EOF) {
		line, problem := 0, "is empty: want a mapping with cases"
		if !errors.Is(err, io.EOF) {
			line, problem = syntaxError(err)
		}
		r.fault(line, "", problem, "")
		return
	}
	top := r.mapping(root.Content[0], "", []string{"config", "start", "cases"})
	if top == nil {
		return
	}
	start := casesStart
	if e, ok := top["start"]; ok {
		start = r.startOf(e.value, "start")
	}
	cases := top["cases"].value
	if cases == nil || cases.Kind != yaml.SequenceNode || len(cases.Content) == 0 {
		r.fault(root.Content[0].Line, "cases", "want a list of cases", "")
		return
	}
	var overrides []config.Override
	if node := top["config"].value; node != nil && r.isMapping(node, "config") {
		overrides = append(overrides,
			config.Override{Name: r.file.name, Key: "config", Node: node})
	}
	names := map[string]int{}
	for i, node := range cases.Content {
		c := r.testCase(node, fmt.Sprintf("cases[%d]", i), start, overrides)
		if c == nil {
			continue
		}
		if first, ok := names[c.name]; ok {
			r.fault(c.line, c.name, fmt.Sprintf("the name is given twice, first at line %d", first), "")
		}
		names[c.name] = c.line
		r.file.cases = append(r.file.cases, c)
	}
}

// mapping returns the values of a mapping by their names, of which there are only these; nil: it is
// no mapping.
func (r *caseReader) mapping(node *yaml.Node, key string, names []string) map[string]caseEntry {
	values := map[string]caseEntry{}
	for _, e := range r.entries(node, key) {
		if !slices.Contains(names, e.name) {
			r.fault(e.line, joined(key, e.name), "no such key", config.Nearest(e.name, names))
			continue
		}
		values[e.name] = e
	}
	if node.Kind != yaml.MappingNode {
		return nil
	}
	return values
}

// caseEntry is an entry of a mapping.
type caseEntry struct {
	name  string
	line  int
	key   *yaml.Node
	value *yaml.Node
}

// entries returns the entries of a mapping, each name once.
func (r *caseReader) entries(node *yaml.Node, key string) (entries []caseEntry) {
	if !r.isMapping(node, key) {
		return nil
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		if name.Kind != yaml.ScalarNode || name.ShortTag() == "!!merge" {
			r.fault(name.Line, key, "aliases and merge keys are not understood: write the keys out", "")
			continue
		}
		if first, ok := seen[name.Value]; ok {
			r.fault(name.Line, joined(key, name.Value),
				fmt.Sprintf("given twice, first at line %d", first), "")
			continue
		}
		seen[name.Value] = name.Line
		if value.Kind == yaml.AliasNode {
			r.fault(value.Line, joined(key, name.Value),
				"aliases are not understood: write the value out", "")
			continue
		}
		entries = append(entries, caseEntry{name.Value, name.Line, name, value})
	}
	return entries
}

func joined(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

func (r *caseReader) isMapping(node *yaml.Node, key string) bool {
	if node.Kind != yaml.MappingNode {
		r.fault(node.Line, key, "want a mapping of keys, found "+nodeText(node), "")
		return false
	}
	return true
}

// nodeText names what was found where something else was wanted.
func nodeText(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.MappingNode:
		return "a mapping"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case node.ShortTag() == "!!null":
		return "nothing"
	}
	const shownMax = 40
	if len(node.Value) > shownMax {
		return fmt.Sprintf("%q...", strings.ToValidUTF8(node.Value[:shownMax], ""))
	}
	return fmt.Sprintf("%q", node.Value)
}

func (r *caseReader) startOf(node *yaml.Node, key string) session.Time {
	t, ok := session.ParseTime([]byte(node.Value))
	if node.Kind != yaml.ScalarNode || !ok {
		r.fault(node.Line, key, "want a time such as 2026-01-01T00:00:00Z, found "+nodeText(node), "")
		return casesStart
	}
	return t
}

// testCase reads a case; nil: it is none.
func (r *caseReader) testCase(
	node *yaml.Node, key string, start session.Time, overrides []config.Override,
) *testCase {
	values := r.mapping(node, key, []string{"name", "config", "start", "strict", "events", "visits"})
	if values == nil {
		return nil
	}
	c := &testCase{file: r.file, line: node.Line, start: start, strict: true, node: node}
	if name := values["name"].value; name == nil || name.Kind != yaml.ScalarNode || name.Value == "" {
		r.fault(node.Line, key+".name", "want the name of the case", "")
	} else {
		c.name = name.Value
	}
	if node := values["start"].value; node != nil {
		c.start = r.startOf(node, key+".start")
	}
	if node := values["strict"].value; node != nil {
		if err := node.Decode(&c.strict); err != nil {
			r.fault(node.Line, key+".strict", "want true or false, found "+nodeText(node), "")
		}
	}
	if node := values["config"].value; node != nil && r.isMapping(node, key+".config") {
		overrides = append(slices.Clip(overrides),
			config.Override{Name: r.file.name, Key: key + ".config", Node: node})
	}
	r.configure(c, overrides)
	r.steps(c, values["events"].value, key)
	if e, ok := values["visits"]; ok {
		c.end = r.wantVisits(e, key+".visits")
	}
	return c
}

// configure makes the configuration of a case. Where it has faults its events are still read, by
// the defaults.
func (r *caseReader) configure(c *testCase, overrides []config.Override) {
	cfg, err := r.load(overrides...)
	var faults config.Faults
	switch {
	case err == nil:
		c.cfg = cfg
		return
	case errors.As(err, &faults):
		for _, f := range faults {
			if !slices.Contains(r.faults, f.String()) {
				r.faults = append(r.faults, f.String())
			}
		}
	default:
		r.fault(c.line, c.name, err.Error(), "")
	}
	defaults := config.Defaults()
	c.cfg, c.isDoubtful = &defaults, true
}
