package main

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"

	"github.com/parley-im/parley/protocol"
)

// tables are the generated tables of docs/protocol.md, by their names.
func tables(src *source) map[string]string {
	return map[string]string{
		"methods":     methodTable(),
		"pushes":      pushTable(),
		"error codes": codeTable(),
		"close codes": closeTable(),
		"bounds":      boundTable(src),
	}
}

func methodTable() string {
	t := newTable("method", "params", "result", "what it does")
	for _, m := range protocol.Methods() {
		var notes []string
		if m.Backend {
			notes = append(notes, "an API key may call it for itself")
		}
		if m.Session {
			notes = append(notes, "over HTTP with `Parley-Session`")
		}
		what := m.Doc
		if len(notes) > 0 {
			what += " · " + strings.Join(notes, " · ")
		}
		t.row("`"+m.Name+"`", shape(m.Params), shape(m.Result), what)
	}
	return t.String()
}

func pushTable() string {
	t := newTable("push", "kind", "data", "what it says, or to whom")
	for _, p := range pushes() {
		kind := "signal"
		if p.Event {
			kind = "event"
		}
		t.row(fmt.Sprintf("`%s`", p.Name), kind, shape(p.Data), p.Doc)
	}
	return t.String()
}

func codeTable() string {
	t := newTable("code", "HTTP status")
	for _, c := range protocol.Codes() {
		t.row(fmt.Sprintf("`%s`", c.Code), fmt.Sprint(c.Status))
	}
	return t.String()
}

func closeTable() string {
	t := newTable("code", "reason", "reconnect?")
	for _, c := range protocol.Closes() {
		t.row(fmt.Sprint(c.Code), c.Reason, string(c.Reconnect))
	}
	return t.String()
}

func boundTable(src *source) string {
	t := newTable("bound", "value", "of")
	for _, b := range src.bounds {
		t.row("`"+b.name+"`", b.value, b.doc)
	}
	return t.String()
}

// shape is an object in the notation of the contract: {room, text?, …}.
func shape(of any) string {
	var names []string
	for _, m := range members(reflect.TypeOf(of)) {
		name := m.name
		if m.optional {
			name += "?"
		}
		names = append(names, name)
	}
	return "`{" + strings.Join(names, ", ") + "}`"
}

// table is a table of Markdown.
type table struct{ strings.Builder }

func newTable(columns ...string) *table {
	t := new(table)
	t.row(columns...)
	t.WriteString(strings.Repeat("| --- ", len(columns)) + "|\n")
	return t
}

func (t *table) row(cells ...string) {
	for _, cell := range cells {
		t.WriteString("| " + strings.ReplaceAll(cell, "|", `\|`) + " ")
	}
	t.WriteString("|\n")
}

const (
	markBefore, markAfter = "<!-- generated: ", " -->\n"
	markEnd               = "<!-- end -->"
)

// replaceTables puts each table in the place that is marked with its name. Every table must have exactly one.
func replaceTables(page []byte, tables map[string]string) ([]byte, error) {
	var made bytes.Buffer
	left := len(tables)
	for {
		before, rest, found := bytes.Cut(page, []byte(markBefore))
		made.Write(before)
		if !found {
			break
		}
		name, rest, _ := bytes.Cut(rest, []byte(markAfter))
		_, rest, ended := bytes.Cut(rest, []byte(markEnd))
		text, known := tables[string(name)]
		if !ended || !known {
			return nil, fmt.Errorf("the mark %q has no end, or no such table is made", name)
		}
		made.WriteString(markBefore + string(name) + markAfter + text + markEnd)
		page = rest
		left--
	}
	if left != 0 {
		return nil, fmt.Errorf("%d marks for %d tables", len(tables)-left, len(tables))
	}
	return made.Bytes(), nil
}
