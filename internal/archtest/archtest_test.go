package archtest

import (
	"os"
	"testing"
)

// TestArchitecture holds this module to the rules.
func TestArchitecture(t *testing.T) {
	m, err := read(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	left, idle := excuse(check(m, ours), ours.exceptions)
	for _, v := range left {
		t.Error(v)
	}
	for _, e := range idle {
		t.Errorf("exception from %q for %s excuses nothing any more: remove it from rules.go", e.rule, e.where)
	}
	for _, r := range ours.layout {
		if !m.has(r.pkg) {
			t.Logf("%s has a row and is not there yet", r.pkg)
		}
	}
}

func (m *module) has(folder string) bool {
	for _, p := range m.packages {
		if p.path == folder {
			return true
		}
	}
	return false
}
