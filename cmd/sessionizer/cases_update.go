package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	yaml "go.yaml.in/yaml/v3"

	"sessionizer/internal/config"
)

// An update changes the bytes of the expectations alone: an encoder would write the whole file
// anew, without its blank lines and with its own idea of indentation. Where a node ends is not in
// the tree; sourceText finds it in the text.

// errByHand says that an expectation has a form that is not rewritten.
var errByHand = errors.New("its form cannot be rewritten: change it by hand")

// sourceText is the text of a test file with the places of its nodes.
type sourceText struct {
	text  []byte
	lines []int // offset of each line
}

func newSourceText(text []byte) *sourceText {
	s := &sourceText{text: text, lines: []int{0}}
	for i, c := range text {
		if c == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// start is the offset of a node. Its column counts characters.
func (s *sourceText) start(node *yaml.Node) int {
	at := s.lines[min(node.Line, len(s.lines))-1]
	for range node.Column - 1 {
		_, size := utf8.DecodeRune(s.text[at:])
		at += size
	}
	return at
}

// end is the offset behind a node.
func (s *sourceText) end(node *yaml.Node) (int, error) {
	start := s.start(node)
	switch {
	case node.Kind == yaml.ScalarNode:
		return s.scalarEnd(node, start)
	case node.Style&yaml.FlowStyle != 0:
		return s.flowEnd(start)
	case len(node.Content) == 0:
		return 0, errByHand
	}
	return s.lastEnd(node)
}

// lastEnd is where the last value of a block ends; of an empty one its key, with the colon.
func (s *sourceText) lastEnd(node *yaml.Node) (int, error) {
	last := node.Content[len(node.Content)-1]
	if node.Kind == yaml.MappingNode && isNull(last) && last.Value == "" {
		return s.colon(node.Content[len(node.Content)-2])
	}
	return s.end(last)
}

func (s *sourceText) scalarEnd(node *yaml.Node, start int) (int, error) {
	rest := s.text[start:]
	switch node.Style {
	case 0, yaml.TaggedStyle:
		if !bytes.HasPrefix(rest, []byte(node.Value)) {
			return 0, errByHand // it goes on over several lines
		}
		return start + len(node.Value), nil
	case yaml.SingleQuotedStyle, yaml.DoubleQuotedStyle:
		return start + quotedEnd(rest), nil
	}
	return 0, errByHand
}

// quotedEnd is the length of the quoted scalar that a text begins with.
func quotedEnd(text []byte) int {
	quote := text[0]
	for i := 1; i < len(text); i++ {
		switch {
		case quote == '"' && text[i] == '\\':
			i++
		case text[i] == quote && quote == '\'' && i+1 < len(text) && text[i+1] == quote:
			i++
		case text[i] == quote:
			return i + 1
		}
	}
	return len(text)
}

// flowEnd is the offset behind the bracket that closes the one at start.
func (s *sourceText) flowEnd(start int) (int, error) {
	depth := 0
	before := byte(' ') // the last one that is no white space, which tells where a scalar begins
	for i := start; i < len(s.text); i++ {
		c := s.text[i]
		switch {
		case (c == '"' || c == '\'') && strings.IndexByte("{[,:", before) >= 0:
			i += quotedEnd(s.text[i:]) - 1
		case c == '#' && strings.IndexByte(" \t\n", s.text[i-1]) >= 0:
			for i < len(s.text) && s.text[i] != '\n' {
				i++
			}
			continue
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return i + 1, nil
			}
		}
		if c > ' ' {
			before = c
		}
	}
	return 0, errByHand
}

// colon is the offset behind the colon of a key.
func (s *sourceText) colon(key *yaml.Node) (int, error) {
	at, err := s.scalarEnd(key, s.start(key))
	if err != nil {
		return 0, err
	}
	colon := bytes.IndexByte(s.text[at:], ':')
	if colon < 0 {
		return 0, errByHand
	}
	return at + colon + 1, nil
}

// lineEnd is the offset of the line feed behind an offset.
func (s *sourceText) lineEnd(at int) int {
	if end := bytes.IndexByte(s.text[at:], '\n'); end >= 0 {
		return at + end
	}
	return len(s.text)
}

// splice is a change of the text.
type splice struct {
	from, to int
	text     string
}

// apply makes the changes; those at one place in the order they were found.
func (s *sourceText) apply(splices []splice) []byte {
	slices.SortStableFunc(splices, func(a, b splice) int { return cmp.Compare(a.from, b.from) })
	var out []byte
	at := 0
	for _, p := range splices {
		out = append(out, s.text[at:max(at, p.from)]...)
		out = append(out, p.text...)
		at = max(at, p.to)
	}
	return append(out, s.text[at:]...)
}

// update writes what came out into the files as what is expected, and returns how many
// expectations of how many files it changed.
func (s *caseSuite) update(
	load func(...config.Override) (*config.Config, error),
) (changes, files int, err error) {
	for _, f := range s.files {
		results, _ := s.of(f)
		text, n, err := updated(f, results)
		if err != nil {
			return changes, files, err
		}
		if n == 0 {
			continue
		}
		if err := proves(f, text, results, load); err != nil {
			return changes, files, err
		}
		if err := replaceFile(f.name, text); err != nil {
			return changes, files, err
		}
		changes, files = changes+n, files+1
	}
	return changes, files, nil
}

// updated returns the text of a file with the expectations of these cases rewritten.
func updated(f *caseFile, results []*caseResult) (text []byte, changes int, err error) {
	u := caseUpdate{source: newSourceText(f.text)}
	for _, r := range results {
		if len(r.steps) != len(r.c.steps)+1 {
			continue // it stopped
		}
		u.r = r
		u.result()
		if u.err != nil {
			return nil, 0, fmt.Errorf("update %s:%d: %s: %w", f.name, u.line, r.c.name, u.err)
		}
	}
	if len(u.splices) == 0 {
		return f.text, 0, nil
	}
	return u.source.apply(u.splices), len(u.splices), nil
}

// proves runs the new text: nothing is written unless its cases pass.
func proves(
	f *caseFile, text []byte, results []*caseResult,
	load func(...config.Override) (*config.Config, error),
) error {
	r := &caseReader{file: &caseFile{name: f.name}, load: load}
	r.read(text)
	if len(r.faults) > 0 {
		return fmt.Errorf("update %s: it would have a fault: %s: change it by hand", f.name, r.faults[0])
	}
	for _, before := range results {
		i := slices.IndexFunc(r.file.cases, func(c *testCase) bool { return c.name == before.c.name })
		if i < 0 || len(before.steps) != len(before.c.steps)+1 {
			continue
		}
		after, err := runCase(r.file.cases[i])
		if err != nil {
			return err
		}
		if len(after.failures) > 0 {
			return fmt.Errorf("update %s:%d: %s: its form cannot be rewritten: change it by hand",
				f.name, before.c.line, before.c.name)
		}
	}
	return nil
}
