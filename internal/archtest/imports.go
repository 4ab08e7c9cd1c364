package archtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// checkTables finds rows that contradict themselves or name what is not there.
func checkTables(t tables) []violation {
	var found []violation
	complain := func(where, format string, args ...any) {
		found = append(found, violation{rule: ruleTable, where: where, what: fmt.Sprintf(format, args...)})
	}
	for i, r := range t.layout {
		if slices.ContainsFunc(t.layout[:i], func(other row) bool { return other.pkg == r.pkg }) {
			complain(r.pkg, "has two rows")
		}
		for _, name := range strings.Fields(r.imports) {
			if name != "*" && rowOf(t.layout, name) == nil {
				complain(r.pkg, "its row imports %s, which has no row", name)
			}
		}
		for _, name := range strings.Fields(r.libs) {
			if name != "*" && !slices.ContainsFunc(t.libraries, func(l library) bool { return l.name == name }) {
				complain(r.pkg, "its row has the library %s, which is not in the table of libraries", name)
			}
		}
	}
	for _, e := range t.exceptions {
		if e.reason == "" {
			complain(e.where, "its exception from %q has no reason", e.rule)
		}
	}
	return found
}

// checkImports holds the imports of every file that is no test against the row of its package.
func checkImports(m *module, t tables) []violation {
	var found []violation
	for _, p := range m.packages {
		r := rowOf(t.layout, p.path)
		if r == nil {
			found = append(found, violation{rule: ruleRow, where: p.path, what: fmt.Sprintf(
				"is not in the layout: add {pkg: %q, imports: \"…\", libs: \"…\"} to internal/archtest/rules.go, where it belongs between the inside and the outside",
				p.path)})
			continue
		}
		for _, f := range p.files {
			if f.test {
				continue
			}
			for _, spec := range f.syntax.Imports {
				imported, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					continue // the parser accepts nothing of the kind
				}
				if broken, what := r.judge(imported, m.path, t); what != "" {
					found = append(found, violation{rule: broken, where: f.path, what: what})
				}
			}
		}
	}
	return found
}

// judge returns the rule that the import breaks in r's package, and how; what is empty when it breaks none.
func (r *row) judge(imported, modulePath string, t tables) (broken rule, what string) {
	if inner, ok := strings.CutPrefix(imported, modulePath+"/"); ok {
		if to := rowOf(t.layout, inner); to != nil && to.tests && !r.tests {
			return ruleTestsOnly, fmt.Sprintf("imports %s, which is for tests", inner)
		}
		if !lists(r.imports, inner) {
			return ruleImport, fmt.Sprintf("imports %s; %s may import: %s", inner, r.pkg, orNothing(r.imports))
		}
		return "", ""
	}
	if host, _, _ := strings.Cut(imported, "/"); strings.Contains(host, ".") {
		for _, l := range t.libraries {
			if (imported == l.path || strings.HasPrefix(imported, l.path+"/")) && lists(r.libs, l.name) {
				return "", ""
			}
		}
		if r.libs == "*" {
			return "", ""
		}
		return ruleLibrary, fmt.Sprintf("imports %s; the libraries of %s: %s", imported, r.pkg, orNothing(r.libs))
	}
	excluded := strings.Fields(r.without)
	if !r.tests {
		excluded = append(excluded, "testing/...")
	}
	for _, pattern := range excluded {
		below, whole := strings.CutSuffix(pattern, "/...")
		if imported == below || whole && strings.HasPrefix(imported, below+"/") {
			return ruleStdlib, fmt.Sprintf("imports %s, which %s does without", imported, r.pkg)
		}
	}
	return "", ""
}

func rowOf(layout []row, pkg string) *row {
	for i := range layout {
		if layout[i].pkg == pkg {
			return &layout[i]
		}
	}
	return nil
}

// lists tells whether name is in a list of a row.
func lists(list, name string) bool {
	return list == "*" || slices.Contains(strings.Fields(list), name)
}

func orNothing(list string) string {
	if list == "" {
		return "nothing"
	}
	return list
}
