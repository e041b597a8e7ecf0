package tidy

import (
	"fmt"
	"go/ast"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Package variables that change are state that no caller can see. Without types it can only be told
// in part: what has no value to begin with, is a lock or a map, or is assigned to somewhere.
func TestStyle_NoPackageVariableChanges(t *testing.T) {
	packages := map[string][]*source{}
	for _, s := range sources(t) {
		if !s.isTest() {
			packages[s.folder()] = append(packages[s.folder()], s)
		}
	}
	var findings []finding
	for _, files := range packages {
		findings = append(findings, variables(files)...)
	}
	report(t, findings)
}

// variables looks at the files of one package.
func variables(files []*source) (findings []finding) {
	names := map[string]bool{}
	for _, s := range files {
		for _, spec := range packageVars(s) {
			for _, name := range spec.Names {
				names[name.Name] = name.Name != "_" // that one nobody can change
				if why := suspicious(s, spec, name); why != "" {
					findings = append(findings, s.at(name.Pos(),
						"package variable %s %s: keep it in a struct", name.Name, why))
				}
			}
		}
	}
	for _, s := range files {
		ast.Inspect(s.file, func(n ast.Node) bool {
			for _, target := range targets(n) {
				if name := base(target); name != nil && names[name.Name] && isPackageVar(s, name) {
					findings = append(findings, s.at(name.Pos(),
						"package variable %s is changed here: keep it in a struct", name.Name))
				}
			}
			return true
		})
	}
	return findings
}

// packageVars are the variables of a file, without those that an embed directive or the linker
// fills: the version is the only one of the latter.
func packageVars(s *source) (specs []*ast.ValueSpec) {
	for _, d := range s.file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR || g.Doc != nil && strings.Contains(rawDoc(g.Doc), "//go:embed") {
			continue
		}
		for _, spec := range g.Specs {
			v, ok := spec.(*ast.ValueSpec)
			embedded := ok && v.Doc != nil && strings.Contains(rawDoc(v.Doc), "//go:embed")
			if ok && !embedded && !(s.folder() == "cmd/sessionizer" && v.Names[0].Name == "version") {
				specs = append(specs, v)
			}
		}
	}
	return specs
}

func rawDoc(g *ast.CommentGroup) string {
	var text strings.Builder
	for _, c := range g.List {
		text.WriteString(c.Text + "\n")
	}
	return text.String()
}

func suspicious(s *source, spec *ast.ValueSpec, name *ast.Ident) string {
	if name.Name == "_" {
		return ""
	}
	if spec.Type != nil {
		text := s.text[s.fset.Position(spec.Type.Pos()).Offset:s.fset.Position(spec.Type.End()).Offset]
		for _, prefix := range []string{"sync.", "atomic.", "*", "chan ", "map["} {
			if strings.HasPrefix(text, prefix) {
				return fmt.Sprintf("is a %s", text)
			}
		}
	}
	if len(spec.Values) == 0 {
		return "has no value to begin with, so something must change it"
	}
	return ""
}

// targets are the expressions that a statement changes or hands out for changing.
func targets(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return n.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			return []ast.Expr{n.X}
		}
	case *ast.CallExpr:
		f, ok := n.Fun.(*ast.Ident)
		if ok && (f.Name == "delete" || f.Name == "clear") && len(n.Args) > 0 {
			return n.Args[:1]
		}
	}
	return nil
}

// base is the variable that an expression such as v.f[i] is a part of.
func base(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// isPackageVar reports whether a name is not one of the function's own. The parser resolves names
// within a file; one that it leaves open is of another file of the package.
func isPackageVar(s *source, name *ast.Ident) bool {
	return name.Obj == nil || s.file.Scope.Lookup(name.Name) == name.Obj
}
