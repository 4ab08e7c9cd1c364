package terminal

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// tabStop is how many spaces stand for a tab.
const tabStop = 4

// Clean makes text safe to write to a terminal: what would move the cursor, colour, rename the window, reverse the direction of writing or hide
// is replaced by something that can be seen. Lines stay lines; a tab becomes spaces.
func Clean(text string) string {
	return clean(text, "\n")
}

// CleanLine is Clean for what must stay on one line: a line break becomes a space.
func CleanLine(text string) string {
	return clean(text, " ")
}

func clean(text, lineBreak string) string {
	if plain(text) {
		return text
	}
	text = strings.ReplaceAll(text, "\r\n", "\n")
	var b strings.Builder
	b.Grow(len(text))
	for _, r := range text {
		switch {
		case r == '\n', r == '\u2028', r == '\u2029':
			b.WriteString(lineBreak)
		case r == '\t':
			b.WriteString(strings.Repeat(" ", tabStop))
		case r < ' ':
			b.WriteRune(0x2400 + r) // its picture
		case r == 0x7F:
			b.WriteRune('␡')
		case harmful(r):
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// plain reports text of printable ASCII, which is most of it.
func plain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] >= 0x7F {
			return false
		}
	}
	return true
}

// harmful reports C1 controls and invisible formatting: marks of direction above all. The joiners that emoji and scripts are written with may stay.
func harmful(r rune) bool {
	const joiner, nonJoiner = '\u200D', '\u200C'
	return r != joiner && r != nonJoiner && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co)
}
