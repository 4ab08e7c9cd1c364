// Package archtest holds the architecture still: which package may import what, how big things may grow, and the few
// habits that keep the code readable. rules.go has every table that one edits; the other files know no package by name.
//
// The module is read and parsed in process. A test that asks the go command instead is answered from the test cache,
// which does not see the files that the go command read, and so passes over what it should find.
package archtest

import (
	"cmp"
	"fmt"
	"slices"
)

// A rule is the name of something that is checked, as the table of exceptions has it.
type rule string

const (
	ruleTable     rule = "table"      // a row of rules.go makes no sense
	ruleRow       rule = "row"        // a package has no row
	ruleImport    rule = "import"     // an import of this module that the row does not list
	ruleLibrary   rule = "library"    // an import of another module that the row does not list
	ruleStdlib    rule = "stdlib"     // an import from the standard library that the row excludes
	ruleTestsOnly rule = "tests-only" // code that is no test imports a package made for tests

	ruleFile      rule = "file"      // too many lines in a file
	ruleFunction  rule = "function"  // too many lines in a function
	ruleInterface rule = "interface" // too many methods in an interface
	ruleStruct    rule = "struct"    // too many fields in a struct
	ruleType      rule = "type"      // too many methods on a type
	rulePackage   rule = "package"   // too many lines in a package

	ruleDoc   rule = "doc"   // an exported name or a package without a comment
	ruleInit  rule = "init"  // a func init
	ruleName  rule = "name"  // a package or file named for nothing in particular
	ruleState rule = "state" // a package variable that is made to be changed
	ruleWord  rule = "word"  // a text that speaks of the machine it was written on
)

// A violation is one breach of one rule.
type violation struct {
	rule  rule
	where string // a file, a package, or "package.Name": what an exception names
	size  int    // what was measured, for the rules that are budgets
	what  string // what is wrong and how to mend it
}

func (v violation) String() string { return fmt.Sprintf("%s: %s: %s", v.rule, v.where, v.what) }

// An exception excuses the violations of one rule in one place.
type exception struct {
	rule   rule
	where  string
	upTo   int // for a budget: the size that is excused, so that nothing grows further unseen
	reason string
}

func (e exception) excuses(v violation) bool {
	return e.rule == v.rule && e.where == v.where && v.size <= e.upTo
}

// check returns every breach of every rule in m, sorted.
func check(m *module, t tables) []violation {
	found := slices.Concat(
		checkTables(t),
		checkImports(m, t),
		checkBudgets(m, t.budget),
		checkDocs(m),
		checkHabits(m, t.vagueNames),
		checkWords(m, t.words),
	)
	slices.SortFunc(found, func(a, b violation) int {
		return cmp.Or(cmp.Compare(a.rule, b.rule), cmp.Compare(a.where, b.where), cmp.Compare(a.what, b.what))
	})
	return found
}

// excuse takes the excused violations out of found, and tells which exceptions excused nothing.
func excuse(found []violation, exceptions []exception) (left []violation, idle []exception) {
	used := make([]bool, len(exceptions))
	for _, v := range found {
		excused := false
		for i, e := range exceptions {
			if e.excuses(v) {
				used[i], excused = true, true
			}
		}
		if !excused {
			left = append(left, v)
		}
	}
	for i, e := range exceptions {
		if !used[i] {
			idle = append(idle, e)
		}
	}
	return left, idle
}
