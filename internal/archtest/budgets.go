package archtest

import (
	"fmt"
	"go/ast"
)

// A budget is the most that each thing may grow to.
type budget struct {
	fileLines        int
	testFileLines    int
	functionLines    int
	interfaceMethods int
	structFields     int
	typeMethods      int
	packageLines     int
}

// checkBudgets measures everything that a person wrote.
func checkBudgets(m *module, b budget) []violation {
	var found []violation
	spend := func(broken rule, where string, size, most int, unit string) {
		if size > most {
			found = append(found, violation{broken, where, size, fmt.Sprintf("%d %s of at most %d: split it along a seam", size, unit, most)})
		}
	}
	packageLines := map[string]int{}
	typeMethods := map[string]int{}
	m.written(func(p *pkg, f *file) {
		if f.test {
			spend(ruleFile, f.path, f.lines, b.testFileLines, "lines")
		} else {
			spend(ruleFile, f.path, f.lines, b.fileLines, "lines")
			packageLines[p.path] += f.lines
		}
		for _, decl := range f.syntax.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok {
				spend(ruleFunction, p.path+"."+functionName(fn), m.span(fn), b.functionLines, "lines")
				if receiver := receiverName(fn); receiver != "" && !f.test {
					typeMethods[p.path+"."+receiver]++
				}
			}
		}
		eachType(f, func(name string, t ast.Expr) {
			switch t := t.(type) {
			case *ast.InterfaceType:
				spend(ruleInterface, p.path+"."+name, members(t.Methods), b.interfaceMethods, "methods")
			case *ast.StructType:
				spend(ruleStruct, p.path+"."+name, members(t.Fields), b.structFields, "fields")
			}
		})
	})
	for where, size := range packageLines {
		spend(rulePackage, where, size, b.packageLines, "lines")
	}
	for where, size := range typeMethods {
		spend(ruleType, where, size, b.typeMethods, "methods")
	}
	return found
}

// eachType calls visit with every interface and struct of the file, also where it has no name of its own: then the name
// is that of the declaration around it.
func eachType(f *file, visit func(name string, t ast.Expr)) {
	for _, decl := range f.syntax.Decls {
		name := ""
		ast.Inspect(decl, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				name = functionName(n)
			case *ast.TypeSpec:
				name = n.Name.Name
			case *ast.ValueSpec:
				name = n.Names[0].Name
			case *ast.InterfaceType:
				visit(name, n)
			case *ast.StructType:
				visit(name, n)
			}
			return true
		})
	}
}

// members counts names; what is embedded counts as one, so that a large interface may be put together from small ones.
func members(list *ast.FieldList) int {
	n := 0
	for _, field := range list.List {
		n += max(1, len(field.Names))
	}
	return n
}

// functionName is "Name" or "Receiver.Name".
func functionName(fn *ast.FuncDecl) string {
	if receiver := receiverName(fn); receiver != "" {
		return receiver + "." + fn.Name.Name
	}
	return fn.Name.Name
}

// receiverName is the name of the type that fn is a method of, or "".
func receiverName(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return ""
	}
	t := fn.Recv.List[0].Type
	for {
		switch of := t.(type) {
		case *ast.StarExpr:
			t = of.X
		case *ast.ParenExpr:
			t = of.X
		case *ast.IndexExpr:
			t = of.X
		case *ast.IndexListExpr:
			t = of.X
		case *ast.Ident:
			return of.Name
		default:
			return ""
		}
	}
}
