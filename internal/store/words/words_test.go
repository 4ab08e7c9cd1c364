package words

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestWordsAreCut(t *testing.T) {
	for _, text := range []string{strings.Repeat("x", 5000), strings.Repeat("ж", 3000), "\ufdfa" + strings.Repeat("مممم", 1000)} {
		for _, word := range Of(text) {
			if len(word) > maxWord || !strings.Contains(plain(text), word) {
				t.Errorf("a word of %d bytes: %q", len(word), word)
			}
		}
		if !Parse(text).In(Of(text)) {
			t.Errorf("%.10q… is not found by itself", text)
		}
	}
}

// What an engine is asked for and what it was given must agree on what a word is: only letters, digits and marks are in it.
func TestWordsNeedNoEscape(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		words := Of(text)
		for _, word := range words {
			if word == "" || strings.ContainsAny(word, " '\"\\:*&|!()<>_\x00") {
				t.Fatalf("the word %q", word)
			}
			if again := Of(word); !slices.Equal(again, []string{word}) {
				t.Fatalf("%q is %q when it is split again", word, again)
			}
		}
		if given := strings.Fields(Indexed("r_room", words)); len(words) > 0 && (given[0] != "_r_room" || len(given) > len(words)+1) {
			t.Fatalf("the index gets %q for %q", given, words)
		}
	})
}

// A message is found by any run of its words, by their beginnings, and by nothing that it does not hold.
func TestWanted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[a-c]{1,3}`), 1, 12).Draw(t, "words")
		from := rapid.IntRange(0, len(words)-1).Draw(t, "from")
		to := rapid.IntRange(from+1, len(words)).Draw(t, "to")
		run := strings.Join(words[from:to], " ")
		for _, query := range []string{run, `"` + run + `"`, strings.ReplaceAll(run, " ", "-"), run[:len(run)-1] + "*", run + "*"} {
			if want := Parse(query); len(want) > 0 && !want.In(words) && !strings.HasSuffix(query, " *") {
				t.Fatalf("%q is not found by %q", words, query)
			}
		}
		other := rapid.StringMatching(`[a-d]{1,3}`).Draw(t, "another word")
		if got := Parse(run + " " + other).In(words); got != slices.Contains(words, other) {
			t.Fatalf("with %q in %q: %v", other, words, got)
		}
	})
}
