package tidy

import (
	"go/ast"
	"go/token"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	functionLinesMax     = 70  // a screen
	testFunctionLinesMax = 100 // with its table
	fileLinesAim         = 400
	fileLinesMax         = 500
	testFileLinesMax     = 700
	columnsMax           = 100 // two abreast
	excusedLiteral       = 60  // columns of a string literal that may push its line over the edge
)

// checks are the rules that look at one file at a time.
func checks() map[string]func(*source) []finding {
	return map[string]func(*source) []finding{
		"NothingSleepsInATest":     sleeps,
		"NothingRunsBeforeMain":    inits,
		"FunctionsFitAScreen":      longFunctions,
		"FilesHaveOneSubject":      longFiles,
		"LinesFitTwoAbreast":       longLines,
		"OnlyMainExits":            exits,
		"TheClockIsAnArgument":     clocks,
		"MustIsForTests":           musts,
		"NothingIsLeftForLater":    leftovers,
		"ErrorsSayTheActNotFailed": failedTo,
	}
}

func TestStyle(t *testing.T) {
	all := sources(t)
	for name, check := range checks() {
		t.Run(name, func(t *testing.T) {
			var findings []finding
			for _, s := range all {
				findings = append(findings, check(s)...)
			}
			report(t, findings)
		})
	}
}

func TestStyle_FilesAim(t *testing.T) {
	for _, s := range sources(t) {
		if n := len(s.lines) - 1; n > fileLinesAim && !s.isTest() {
			t.Logf("%s: %d lines, the aim is %d: is it one subject?", s.path, n, fileLinesAim)
		}
	}
}

// calls visits every use of a package's name: pkg.Name, where pkg is not shadowed by a variable.
func calls(s *source, pkg string, visit func(sel *ast.SelectorExpr)) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == pkg && x.Obj == nil {
			visit(sel)
		}
		return true
	})
}

func sleeps(s *source) (findings []finding) {
	if !s.isTest() {
		return nil
	}
	calls(s, "time", func(sel *ast.SelectorExpr) {
		if sel.Sel.Name == "Sleep" {
			findings = append(findings, s.at(sel.Pos(),
				"no sleeping in a test: wait for the event itself, or use testing/synctest"))
		}
	})
	return findings
}

func clocks(s *source) (findings []finding) {
	if s.isTest() || !(s.folder() == "session" || s.folder() == "schemas" || s.folder() == "state") {
		return nil
	}
	clock := regexp.MustCompile(`^(Now|Since|Until|Sleep|After|AfterFunc|Tick|NewTimer|NewTicker)$`)
	calls(s, "time", func(sel *ast.SelectorExpr) {
		if clock.MatchString(sel.Sel.Name) {
			findings = append(findings, s.at(sel.Pos(),
				"no time.%s in %s: take the time as an argument", sel.Sel.Name, s.folder()))
		}
	})
	return findings
}

func inits(s *source) (findings []finding) {
	for _, d := range s.file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if ok && f.Recv == nil && f.Name.Name == "init" {
			findings = append(findings, s.at(f.Pos(), "no init(): let the caller construct it"))
		}
	}
	return findings
}

// longFunctions measures functions. In a test a function literal counts for itself, not for the
// function around it: that one is a list of cases.
func longFunctions(s *source) (findings []finding) {
	limit := functionLinesMax
	if s.isTest() {
		limit = testFunctionLinesMax
	}
	measure := func(name string, f ast.Node) {
		n := s.line(f.End()) - s.line(f.Pos()) + 1
		if s.isTest() {
			for _, lit := range literals(f) {
				n -= s.line(lit.End()) - s.line(lit.Pos())
			}
		}
		if n > limit {
			findings = append(findings, s.at(f.Pos(),
				"%s has %d lines, the limit is %d: split it", name, n, limit))
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			measure(n.Name.Name, n)
		case *ast.FuncLit:
			measure("the function", n)
		}
		return true
	})
	return findings
}

// literals are the function literals directly inside a function.
func literals(f ast.Node) (found []*ast.FuncLit) {
	ast.Inspect(f, func(n ast.Node) bool {
		lit, ok := n.(*ast.FuncLit)
		if !ok || n == f {
			return true
		}
		found = append(found, lit)
		return false
	})
	return found
}

func longFiles(s *source) []finding {
	limit := fileLinesMax
	if s.isTest() {
		limit = testFileLinesMax
	}
	if n := len(s.lines) - 1; n > limit {
		return []finding{{s.path, n, "the limit is " + itoa(limit) + " lines: one subject a file"}}
	}
	return nil
}

func longLines(s *source) (findings []finding) {
	excused := excusedLines(s)
	for i, line := range s.lines {
		n := utf8.RuneCountInString(line) // a tab counts as one, as linters count
		if n > columnsMax && !excused[i+1] && !strings.HasPrefix(line, "//go:") {
			findings = append(findings, finding{s.path, i + 1,
				itoa(n) + " columns, the limit is " + itoa(columnsMax) + ": break the line"})
		}
	}
	return findings
}

// excusedLines are those that cannot be broken well: inside raw strings, of struct tags, and with
// one long string literal or address.
func excusedLines(s *source) map[int]bool {
	excused := map[int]bool{}
	ast.Inspect(s.file, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		if strings.HasPrefix(lit.Value, "`") || len(lit.Value) >= excusedLiteral {
			for l := s.line(lit.Pos()); l <= s.line(lit.End()); l++ {
				excused[l] = true
			}
		}
		return true
	})
	for i, line := range s.lines {
		if strings.Contains(line, "https://") {
			excused[i+1] = true
		}
	}
	return excused
}

func exits(s *source) (findings []finding) {
	var main ast.Node = s.file.Name // contains no call: where there is no main, none is allowed
	for _, d := range s.file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if ok && s.file.Name.Name == "main" && f.Recv == nil && f.Name.Name == "main" {
			main = f
		}
	}
	calls(s, "os", func(sel *ast.SelectorExpr) {
		inMain := main.Pos() <= sel.Pos() && sel.Pos() < main.End()
		testMain := s.isTest() && strings.Contains(s.text, "func TestMain(")
		if sel.Sel.Name == "Exit" && !inMain && !testMain {
			findings = append(findings, s.at(sel.Pos(), "only main exits: return an error"))
		}
	})
	return findings
}

func musts(s *source) (findings []finding) {
	if s.isTest() {
		return nil
	}
	must := regexp.MustCompile(`^Must[A-Z]`)
	ast.Inspect(s.file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		name := ""
		switch f := call.Fun.(type) {
		case *ast.Ident:
			name = f.Name
		case *ast.SelectorExpr:
			name = f.Sel.Name
		}
		if must.MatchString(name) {
			findings = append(findings, s.at(call.Pos(), "no %s outside tests: return the error", name))
		}
		return true
	})
	return findings
}

func leftovers(s *source) (findings []finding) {
	later := regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b|(?i)\b(for now|not implemented|placeholder)\b`)
	for _, group := range s.file.Comments {
		for _, c := range group.List {
			if word := later.FindString(c.Text); word != "" {
				findings = append(findings, s.at(c.Pos(), "%q: do it, or say why it is as it is", word))
			}
		}
	}
	return findings
}

func failedTo(s *source) (findings []finding) {
	if s.isTest() {
		return nil
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if ok && lit.Kind == token.STRING && strings.Contains(lit.Value, "failed to ") {
			findings = append(findings, s.at(lit.Pos(),
				"errors say act, object, cause: \"restore %%s/%%d: %%w\", not that something failed"))
		}
		return true
	})
	return findings
}
