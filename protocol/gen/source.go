package main

import (
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// source is what only the source of package protocol tells.
type source struct {
	docs   map[string]string   // comments, by "Type" and "Type.Field"
	values map[string][]string // the constants of a string type, in order
	bounds []bound             // the constants of bounds.go, in order
}

// bound is one constant of bounds.go.
type bound struct {
	name  string
	value string // in decimal
	doc   string
}

// readSource parses the package in the folder, without its tests.
func readSource(dir string) (*source, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	src := &source{docs: map[string]string{}, values: map[string][]string{}}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, decl := range file.Decls {
			if decl, ok := decl.(*ast.GenDecl); ok {
				if err := src.read(decl, filepath.Base(name) == "bounds.go"); err != nil {
					return nil, err
				}
			}
		}
	}
	return src, nil
}

// read takes the comments and constants of one declaration.
func (s *source) read(decl *ast.GenDecl, bounds bool) error {
	for _, spec := range decl.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			s.readType(spec, decl.Doc)
		case *ast.ValueSpec:
			if decl.Tok != token.CONST {
				continue
			}
			if bounds {
				if err := s.readBound(spec); err != nil {
					return err
				}
			}
			s.readValue(spec)
		}
	}
	return nil
}

func (s *source) readType(spec *ast.TypeSpec, doc *ast.CommentGroup) {
	s.docs[spec.Name.Name] = oneLine(doc)
	fields, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, field := range fields.Fields.List {
		for _, name := range field.Names {
			s.docs[spec.Name.Name+"."+name.Name] = oneLine(field.Comment)
		}
	}
}

func (s *source) readValue(spec *ast.ValueSpec) {
	of, ok := spec.Type.(*ast.Ident)
	if !ok {
		return
	}
	for _, value := range spec.Values {
		if lit, ok := value.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil {
				s.values[of.Name] = append(s.values[of.Name], text)
			}
		}
	}
}

func (s *source) readBound(spec *ast.ValueSpec) error {
	value, err := types.Eval(token.NewFileSet(), nil, token.NoPos, types.ExprString(spec.Values[0]))
	if err != nil {
		return err
	}
	number := constant.ToInt(value.Value).ExactString()
	s.bounds = append(s.bounds, bound{name: spec.Names[0].Name, value: number, doc: oneLine(spec.Comment)})
	return nil
}

// oneLine is the text of a comment without its line breaks.
func oneLine(doc *ast.CommentGroup) string { return strings.Join(strings.Fields(doc.Text()), " ") }
