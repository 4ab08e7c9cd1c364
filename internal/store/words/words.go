// Package words says what a word of a message is, how it is compared and what a query asks for. It is said here alone: the engines are given words and know
// nothing of languages, so that all find the same. An engine finds candidates, messages that hold the words; whether one is what the query asks for is seen
// from its text as it stands.
package words

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/parley-im/parley/internal/store/database"
)

// maxWord is how many bytes of a word count.
const maxWord = 256

// kanaMarks make other letters of those before them: they are no accents.
var kanaMarks = [2]rune{'\u3099', '\u309a'}

// plain is text as it is searched: without the difference of case, accents, and of letters that are only shaped differently. Marks that belong to a script
// of their own are no accents: they are its vowels.
func plain(text string) string {
	if isASCII(text) {
		return strings.ToLower(text)
	}
	bare := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) && unicode.Is(unicode.Inherited, r) && !slices.Contains(kanaMarks[:], r) {
			return -1
		}
		return r
	}, norm.NFKD.String(text))
	return norm.NFC.String(strings.ToLower(Fold(bare))) // folding alone leaves Cherokee in two cases
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// span is where a word stands in a text.
type span struct{ from, to int }

// split finds the words of a plain text: runs of letters, digits and marks. Scripts that are written without blanks between words have a word for each
// letter.
func split(text string) []span {
	var words []span
	open, alone := false, false // the last word may go on; it is a letter that stands alone
	for i, r := range text {
		next := i + utf8.RuneLen(r)
		mark := unicode.Is(unicode.M, r)
		switch {
		case !mark && !unicode.IsLetter(r) && !unicode.IsNumber(r):
			open = false
			continue
		case open && (mark || !alone && !unspaced(r)):
			words[len(words)-1].to = next
		default:
			words = append(words, span{i, next})
			alone = unspaced(r)
		}
		open = true
	}
	return words
}

// unspaced reports letters of scripts that are written without blanks between words.
func unspaced(r rune) bool {
	return r >= 0x0e00 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}

// Of are the words of a message, in their order.
func Of(text string) []string {
	text = plain(text)
	spans := split(text)
	words := make([]string, len(spans))
	for i, at := range spans {
		words[i] = cutWord(text[at.from:at.to])
	}
	return words
}

func cutWord(word string) string {
	if len(word) <= maxWord {
		return word
	}
	end := maxWord
	for !utf8.RuneStart(word[end]) {
		end--
	}
	return word[:end]
}

// phrase is a run of words that must stand in a text one after the other; a single word is one too.
type phrase struct {
	words  []string
	prefix bool // the last one is the beginning of a word
}

// Query are the phrases that are wanted: all of them must be in a text. No phrase at all is in none.
type Query []phrase

// quotes are what keyboards make of ".
var quotes = [...]string{"“", `"`, "”", `"`, "„", `"`, "‟", `"`}

// Parse understands any text as a query: "a phrase", word and word*. What is between words makes a phrase of them unless it is a blank: 3.14 is one.
// A quotation without an end goes on to the end.
func Parse(query string) Query {
	var want Query
	query = plain(strings.NewReplacer(quotes[:]...).Replace(query))
	for i, part := range strings.Split(query, `"`) {
		if i%2 == 1 {
			want = want.add(part, false)
			continue
		}
		for _, run := range strings.Fields(part) {
			for piece := range strings.SplitAfterSeq(run, "*") {
				want = want.add(piece, strings.HasSuffix(piece, "*"))
			}
		}
	}
	return want
}

// add wants the words of a text as a phrase; a star counts where it stands right behind a word.
func (w Query) add(text string, star bool) Query {
	spans := split(text)
	if len(spans) == 0 {
		return w
	}
	p := phrase{words: make([]string, len(spans)), prefix: star && spans[len(spans)-1].to == len(text)-1}
	for i, at := range spans {
		p.words[i] = cutWord(text[at.from:at.to])
	}
	return append(w, p)
}

// In reports whether all that is wanted is in the text with these words.
func (w Query) In(words []string) bool {
	for _, p := range w {
		if !p.in(words) {
			return false
		}
	}
	return len(w) > 0
}

func (p phrase) in(words []string) bool {
	last := len(p.words) - 1
	for at := range len(words) - last {
		end := words[at+last]
		if (end == p.words[last] || p.prefix && strings.HasPrefix(end, p.words[last])) && slices.Equal(words[at:at+last], p.words[:last]) {
			return true
		}
	}
	return false
}

// roomWord is the word that stands for a room. No word of a text begins like it.
func roomWord(room string) string { return "_" + room }

// Indexed is what the index is given of a message: its words without repetition and that of its room, parted by blanks; "" for no words.
func Indexed(room string, words []string) string {
	if len(words) == 0 {
		return ""
	}
	words = slices.Compact(slices.Sorted(slices.Values(words)))
	return roomWord(room) + " " + strings.Join(words, " ")
}

// Expression asks an engine for the messages of the rooms that hold every word that is wanted. Words consist of letters, digits and marks: nothing in
// them needs to be escaped. SQLite is not asked for the words that begin with one letter: it would gather those of all rooms before it looked at the first,
// while most messages have one.
func (w Query) Expression(d database.Dialect, rooms []string) string {
	quote, or, and, star := `"`, ` OR `, ` AND `, ` *`
	if d == database.Postgres {
		quote, or, and, star = `'`, ` | `, ` & `, `:*`
	}
	places := make([]string, len(rooms))
	for i, room := range rooms {
		places[i] = quote + roomWord(room) + quote
	}
	terms := []string{"(" + strings.Join(places, or) + ")"}
	for _, p := range w {
		for i, word := range p.words {
			term := quote + word + quote
			if p.prefix && i == len(p.words)-1 {
				if d == database.SQLite && oneLetter(word) {
					continue
				}
				term += star
			}
			if !slices.Contains(terms, term) {
				terms = append(terms, term)
			}
		}
	}
	return strings.Join(terms, and)
}

// oneLetter reports one letter of a script of which many words begin with it.
func oneLetter(word string) bool {
	r, size := utf8.DecodeRuneInString(word)
	return size == len(word) && !unspaced(r)
}

// Fold is text as it is compared where case makes no difference. It is stored, so that both engines fold alike.
func Fold(s string) string { return cases.Fold().String(s) }
