package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"unicode"
)

// promisedElsewhere are methods whose promise the standard library has written down; they need no comment.
const promisedElsewhere = "As Error Is Len Less LogValue MarshalJSON MarshalJSONTo MarshalText Scan ServeHTTP " +
	"String Swap UnmarshalJSON UnmarshalJSONFrom UnmarshalText Unwrap Value"

// checkDocs finds packages, and exported names of packages that can be imported, that promise nothing in a comment.
// Fields are left to the comment of their struct.
func checkDocs(m *module) []violation {
	var found []violation
	complain := func(where, what string) {
		found = append(found, violation{rule: ruleDoc, where: where, what: what})
	}
	documented := map[string]bool{}
	m.written(func(p *pkg, f *file) {
		if f.test {
			return
		}
		documented[p.path] = documented[p.path] || f.syntax.Doc != nil
		if f.syntax.Name.Name == "main" {
			return
		}
		for _, decl := range f.syntax.Decls {
			for _, name := range undocumented(decl) {
				complain(p.path+"."+name, fmt.Sprintf("is exported and has no comment that says what it promises (%s)", f.path))
			}
		}
	})
	for _, p := range m.packages {
		hasCode := slices.ContainsFunc(p.files, func(f *file) bool { return !f.test && !f.generated })
		if hasCode && !documented[p.path] {
			complain(p.path, "has no package comment that states its rules")
		}
	}
	return found
}

// undocumented lists the exported names that decl declares without a comment.
func undocumented(decl ast.Decl) []string {
	var names []string
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		receiver := receiverName(decl)
		reachable := decl.Name.IsExported() && (receiver == "" || ast.IsExported(receiver))
		if reachable && decl.Doc == nil && (receiver == "" || !lists(promisedElsewhere, decl.Name.Name)) {
			names = append(names, functionName(decl))
		}
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				doc := spec.Doc
				if doc == nil && !decl.Lparen.IsValid() { // a comment on a group of types speaks of the group
					doc = decl.Doc
				}
				if spec.Name.IsExported() {
					if doc == nil {
						names = append(names, spec.Name.Name)
					}
					names = append(names, undocumentedMethods(spec, doc)...)
				}
			case *ast.ValueSpec:
				// One comment may promise for a group of constants or variables.
				if spec.Doc == nil && spec.Comment == nil && decl.Doc == nil {
					names = append(names, exported(spec.Names)...)
				}
			}
		}
	}
	return names
}

// undocumentedMethods lists the exported methods of an interface that no comment in it names: a method may be explained by
// its own comment, by that of a neighbour, or by that of the interface. The comment on an interface of one method is that
// method's.
func undocumentedMethods(spec *ast.TypeSpec, doc *ast.CommentGroup) []string {
	contract, ok := spec.Type.(*ast.InterfaceType)
	if !ok || members(contract.Methods) < 2 {
		return nil
	}
	comments := doc.Text()
	for _, method := range contract.Methods.List {
		comments += "\n" + method.Doc.Text()
	}
	words := strings.FieldsFunc(comments, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' })
	var names []string
	for _, method := range contract.Methods.List {
		for _, name := range exported(method.Names) {
			if method.Doc == nil && method.Comment == nil && !slices.Contains(words, name) {
				names = append(names, spec.Name.Name+"."+name)
			}
		}
	}
	return names
}

func exported(idents []*ast.Ident) []string {
	var names []string
	for _, ident := range idents {
		if token.IsExported(ident.Name) {
			names = append(names, ident.Name)
		}
	}
	return names
}
