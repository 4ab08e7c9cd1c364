package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
)

// checkHabits finds func init, names that mean nothing, and package variables that are made to be changed.
func checkHabits(m *module, vagueNames []string) []violation {
	var found []violation
	complain := func(broken rule, where, format string, args ...any) {
		found = append(found, violation{rule: broken, where: where, what: fmt.Sprintf(format, args...)})
	}
	m.written(func(p *pkg, f *file) {
		if name := strings.TrimSuffix(f.syntax.Name.Name, "_test"); slices.Contains(vagueNames, name) {
			complain(ruleName, f.path, "package %s: name it for what it is about", name)
		}
		if name := strings.TrimSuffix(strings.TrimSuffix(path.Base(f.path), ".go"), "_test"); slices.Contains(vagueNames, name) {
			complain(ruleName, f.path, "name the file for what it is about")
		}
		for _, decl := range f.syntax.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Recv == nil && decl.Name.Name == "init" {
					complain(ruleInit, f.path, "func init runs unasked: let the one who needs the result call a function")
				}
			case *ast.GenDecl:
				for _, name := range changeable(f, decl) {
					if !f.test {
						complain(ruleState, p.path+"."+name, "is a package variable made to be changed (%s): give it an owner, make it a function or a switch, or excuse it with a reason", f.path)
					}
				}
			}
		}
	})
	return found
}

// changeable lists the variables of a package-level declaration that hold something made to be changed: a map, a channel,
// what make or new of such a thing returned, or a type of sync or sync/atomic. Other variables are left to the reader.
func changeable(f *file, decl *ast.GenDecl) []string {
	if decl.Tok != token.VAR {
		return nil
	}
	var names []string
	for _, spec := range decl.Specs {
		spec, ok := spec.(*ast.ValueSpec)
		if !ok {
			continue
		}
		for i, name := range spec.Names {
			byType := spec.Type != nil && isChangeable(f, spec.Type)
			byValue := i < len(spec.Values) && makesChangeable(f, spec.Values[i])
			if name.Name != "_" && (byType || byValue) {
				names = append(names, name.Name)
			}
		}
	}
	return names
}

func makesChangeable(f *file, value ast.Expr) bool {
	switch value := value.(type) {
	case *ast.CompositeLit:
		return isChangeable(f, value.Type)
	case *ast.UnaryExpr:
		return makesChangeable(f, value.X)
	case *ast.ParenExpr:
		return makesChangeable(f, value.X)
	case *ast.CallExpr:
		switch builtin, _ := value.Fun.(*ast.Ident); {
		case builtin == nil:
			return false
		case builtin.Name == "make":
			return true
		case builtin.Name == "new" && len(value.Args) == 1:
			return isChangeable(f, value.Args[0])
		}
	}
	return false
}

func isChangeable(f *file, t ast.Expr) bool {
	switch t := t.(type) {
	case *ast.MapType, *ast.ChanType:
		return true
	case *ast.StarExpr:
		return isChangeable(f, t.X)
	case *ast.ParenExpr:
		return isChangeable(f, t.X)
	case *ast.ArrayType:
		return isChangeable(f, t.Elt)
	case *ast.IndexExpr:
		return isChangeable(f, t.X)
	case *ast.SelectorExpr:
		from, ok := t.X.(*ast.Ident)
		return ok && (importedAs(f, from.Name) == "sync" || importedAs(f, from.Name) == "sync/atomic")
	}
	return false
}

// importedAs is the path that the file has imported under the name, as far as the path tells.
func importedAs(f *file, name string) string {
	for _, spec := range f.syntax.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		known := path.Base(imported)
		if spec.Name != nil {
			known = spec.Name.Name
		}
		if known == name {
			return imported
		}
	}
	return ""
}

// checkWords finds texts that mention what the project does not speak of. Lock files name registries by their nature.
func checkWords(m *module, words []string) []violation {
	var found []violation
	for _, t := range m.texts {
		if base := path.Base(t.path); base == "go.sum" || base == "package-lock.json" {
			continue
		}
		for _, word := range words {
			if at := strings.Index(t.content, word); at >= 0 {
				line := 1 + strings.Count(t.content[:at], "\n")
				found = append(found, violation{rule: ruleWord, where: t.path, what: fmt.Sprintf("line %d mentions %s", line, word)})
			}
		}
	}
	return found
}
