package terminal

import (
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"
)

// injections are what a message may try to do to a terminal.
var injections = map[string]string{
	"clear the screen":           "\x1b[2J\x1b[H",
	"rename the window":          "\x1b]0;owned\x07",
	"write the clipboard":        "\x1b]52;c;cm0gLXJmIC8=\x07",
	"a link to elsewhere":        "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
	"ask for the cursor":         "\x1b[6n",
	"device control":             "\x1bP$q q\x1b\\",
	"C1 CSI":                     "\u009b2J",
	"C1 OSC":                     "\u009d0;owned\u009c",
	"carriage return":            "harmless\rrm -rf /",
	"backspaces":                 "visible\b\b\b\b\b\b\bhidden!",
	"delete":                     "a\x7fb",
	"bell and null":              "\x07\x00",
	"shift out":                  "\x0e\x0f",
	"vertical moves":             "a\x0b\x0cb",
	"right to left override":     "file\u202Egpj.exe",
	"isolates":                   "\u2066a\u2069\u2067b\u2069",
	"marks of direction":         "\u200e\u200f\u061c",
	"zero width":                 "a\u200bb\ufeffc\u2060d\u00ade",
	"invisible tags":             "hello\U000E0041\U000E0042",
	"line separators":            "a\u2028b\u2029c",
	"interlinear":                "\ufff9a\ufffab\ufffb",
	"a synchronised update":      "\x1b[?2026h",
	"leave the alternate screen": "\x1b[?1049l",
}

func unsafeIn(text string, lines bool) (rune, bool) {
	for _, r := range text {
		if lines && r == '\n' || r == '\u200d' || r == '\u200c' {
			continue
		}
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return r, true
		}
	}
	return 0, false
}

func TestCleanLetsNothingThrough(t *testing.T) {
	for name, text := range injections {
		if r, bad := unsafeIn(Clean(text), true); bad {
			t.Errorf("%s: Clean let %U through", name, r)
		}
		if r, bad := unsafeIn(CleanLine(text), false); bad {
			t.Errorf("%s: CleanLine let %U through", name, r)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		if r, bad := unsafeIn(Clean(text), true); bad {
			t.Fatalf("Clean let %U through", r)
		}
		if once := Clean(text); Clean(once) != once {
			t.Fatalf("Clean of what is clean changed it: %q", once)
		}
	})
}

func TestCleanKeepsWhatPeopleWrite(t *testing.T) {
	for _, text := range []string{"hello", "Grüße, 世界", "مرحبا", "👩‍👩‍👧‍👦 👍🏽 🇨🇭 ❤️", "two\nlines", "नमस्ते", "می\u200cخواهم"} {
		if got := Clean(text); got != text {
			t.Errorf("Clean(%q) = %q", text, got)
		}
	}
	if got := Clean("a\r\nb\tc"); got != "a\nb"+strings.Repeat(" ", tabStop)+"c" {
		t.Errorf("Clean of a tab and a Windows line end: %q", got)
	}
	if got := CleanLine("a\nb"); got != "a b" {
		t.Errorf("CleanLine of two lines: %q", got)
	}
}
