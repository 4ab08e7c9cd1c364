package terminal

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// editor is the text that is being written, and where the cursor is. What moves and deletes does so by what people see as one character.
type editor struct {
	marks []string // one grapheme each; a line break is one
	pos   int      // before marks[pos]
}

// graphemes are what people see as characters.
func graphemes(text string) []string {
	var all []string
	for text != "" {
		mark, _ := ansi.FirstGraphemeCluster(text, ansi.GraphemeWidth)
		if mark == "" {
			break
		}
		all = append(all, mark)
		text = text[len(mark):]
	}
	return all
}

func (e *editor) text() string { return strings.Join(e.marks, "") }

func (e *editor) set(text string) {
	e.marks = graphemes(Clean(text))
	e.pos = len(e.marks)
}

// insert puts text at the cursor. It is cleaned as if somebody else had written it: a clipboard may hold anything.
func (e *editor) insert(text string) {
	before, after := strings.Join(e.marks[:e.pos], "")+Clean(text), strings.Join(e.marks[e.pos:], "")
	e.pos = len(graphemes(before))
	e.marks = graphemes(before + after)
	e.pos = min(e.pos, len(e.marks)) // the parts may have joined
}

// cut deletes the marks from i up to j and leaves the cursor there.
func (e *editor) cut(i, j int) {
	e.marks = append(e.marks[:i:i], e.marks[j:]...)
	e.pos = i
}

// lineStart and lineEnd bound the line that the cursor is in.
func (e *editor) lineStart() int {
	i := e.pos
	for i > 0 && e.marks[i-1] != "\n" {
		i--
	}
	return i
}

func (e *editor) lineEnd() int {
	i := e.pos
	for i < len(e.marks) && e.marks[i] != "\n" {
		i++
	}
	return i
}

// wordStart is where the word before the cursor begins.
func (e *editor) wordStart() int {
	i := e.pos
	for i > 0 && strings.TrimSpace(e.marks[i-1]) == "" {
		i--
	}
	for i > 0 && strings.TrimSpace(e.marks[i-1]) != "" {
		i--
	}
	return i
}

// key carries out a key, and reports false for one that means nothing here.
func (e *editor) key(k Key) bool {
	switch k.Name {
	case "backspace":
		e.cut(max(e.pos-1, 0), e.pos)
	case "delete", "ctrl+d":
		e.cut(e.pos, min(e.pos+1, len(e.marks)))
	case "ctrl+w", "alt+backspace":
		e.cut(e.wordStart(), e.pos)
	case "ctrl+u":
		e.cut(e.lineStart(), e.pos)
	case "ctrl+k":
		e.cut(e.pos, e.lineEnd())
	case "alt+enter", "shift+enter", "ctrl+j":
		e.insert("\n")
	default:
		return e.move(k) || e.write(k)
	}
	return true
}

func (e *editor) move(k Key) bool {
	switch k.Name {
	case "left", "ctrl+b":
		e.pos = max(e.pos-1, 0)
	case "right", "ctrl+f":
		e.pos = min(e.pos+1, len(e.marks))
	case "home", "ctrl+a":
		e.pos = e.lineStart()
	case "end", "ctrl+e":
		e.pos = e.lineEnd()
	case "up":
		column := e.pos - e.lineStart()
		e.pos = max(e.lineStart()-1, 0)
		e.pos = min(e.lineStart()+column, e.pos)
	case "down":
		column := e.pos - e.lineStart()
		e.pos = min(e.lineEnd()+1, len(e.marks))
		e.pos = min(e.pos+column, e.lineEnd())
	default:
		return false
	}
	return true
}

func (e *editor) write(k Key) bool {
	if k.Text == "" {
		return false
	}
	e.insert(k.Text)
	return true
}

// rows are the text in rows of a width, and where the cursor is in them.
func (e *editor) rows(width int) (rows []string, x, y int) {
	var row strings.Builder
	used := 0
	for i := 0; ; i++ {
		if i == e.pos {
			x, y = used, len(rows)
		}
		if i == len(e.marks) {
			break
		}
		mark := e.marks[i]
		w := ansi.StringWidth(mark)
		if mark == "\n" || used+w > width {
			rows = append(rows, row.String())
			row.Reset()
			used = 0
			if mark == "\n" {
				continue
			}
			if i == e.pos {
				x, y = 0, len(rows)
			}
		}
		row.WriteString(mark)
		used += w
	}
	return append(rows, row.String()), x, y
}
