package main

import (
	"strings"
	"testing"
)

func TestNothingGeneratedIsStale(t *testing.T) {
	if err := run(true); err != nil {
		t.Error(err)
	}
}

func TestReplaceTables(t *testing.T) {
	made, err := replaceTables([]byte("a\n<!-- generated: x -->\nold\n<!-- end -->\nb\n"), map[string]string{"x": "new\n"})
	if want := "a\n<!-- generated: x -->\nnew\n<!-- end -->\nb\n"; err != nil || string(made) != want {
		t.Errorf("%q, %v", made, err)
	}
	for _, page := range []string{
		"no mark",
		"<!-- generated: x -->\nno end",
		"<!-- generated: y -->\n<!-- end -->",
		strings.Repeat("<!-- generated: x -->\n<!-- end -->\n", 2),
	} {
		if _, err := replaceTables([]byte(page), map[string]string{"x": ""}); err == nil {
			t.Errorf("%q is taken", page)
		}
	}
}
