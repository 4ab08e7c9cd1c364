package protocol

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// scanner checks JSON by the grammar in one pass without recursion, and notes on the way the two faults that a frame may have and still be JSON:
// nesting deeper than MaxDepth, and a name that stands twice in one object. It stops at nothing but bad grammar, so that the id of a faulty
// frame is found wherever it stands.
//
// Its cost is linear but for the sort of the names of large objects. Arrays hold what an ordinary frame needs, so that a scanner
// lives on its caller's stack.
type scanner struct {
	b     []byte
	i     int // the next byte
	depth int // open objects and arrays

	brackets [MaxDepth]byte // the opening bracket of each of them
	deeper   []byte         // and of those beyond MaxDepth

	names [24]span            // the names of the open objects that are no deeper than MaxDepth, outermost first
	many  []span              // in place of names when they are too many for it
	named int                 // how many they are
	first [MaxDepth + 1]int32 // by depth: the first that is of the object open there

	params bool // inside the frame's params, at a depth of 2 or more
	param  span // the param that is being read
	fault  *Error
}

// span is a piece of the scanner's input: a name without its quotes.
type span struct {
	from, to int32
	escaped  bool
}

// value scans one value, and whatever white space stands before it. It reports false for what is not JSON.
func (s *scanner) value() bool {
	outside := s.depth
	for {
		s.space()
		if s.i == len(s.b) {
			return false
		}
		switch c := s.b[s.i]; {
		case c == '{' || c == '[':
			s.open(c)
			if s.peek() == c+2 { // '}' and ']' stand two after their opening brackets
				s.close()
				break
			}
			if c == '{' && !s.name() {
				return false
			}
			continue
		case c == '"':
			if _, ok := s.str(); !ok {
				return false
			}
		default:
			if !s.literal(c) {
				return false
			}
		}
		if more, ok := s.after(outside); !ok || !more {
			return ok
		}
	}
}

// after goes on behind a value: it closes what ends there, down to the depth where the scan began, or moves to the next value.
func (s *scanner) after(outside int) (more, ok bool) {
	for s.depth > outside {
		open := s.bracket()
		switch s.peek() {
		case ',':
			s.i++
			return true, open == '[' || s.name()
		case open + 2:
			s.close()
		default:
			return false, false
		}
	}
	return false, true
}

// end reports that nothing but white space is left.
func (s *scanner) end() bool {
	s.space()
	return s.i == len(s.b)
}

// space skips white space.
func (s *scanner) space() {
	for s.i < len(s.b) && isSpace(s.b[s.i]) {
		s.i++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// peek skips white space and shows the next byte; 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.i == len(s.b) {
		return 0
	}
	return s.b[s.i]
}

// open steps into an object or an array.
func (s *scanner) open(bracket byte) {
	s.i++
	s.depth++
	if s.depth <= MaxDepth {
		s.brackets[s.depth-1] = bracket
		s.first[s.depth] = int32(s.named)
		return
	}
	s.deeper = append(s.deeper, bracket)
	s.blame("", "nested deeper than %d: send it flatter", MaxDepth)
}

// close steps out of an object or an array, and looks whether a name stood twice in it.
func (s *scanner) close() {
	s.i++
	if s.depth > MaxDepth {
		s.deeper = s.deeper[:len(s.deeper)-1]
	} else {
		first := int(s.first[s.depth])
		if twice, found := s.twice(s.known()[first:s.named]); found {
			s.blame(twice, "the name %q stands twice in one object", twice)
		}
		s.named = first
	}
	s.depth--
}

// bracket is the opening bracket of the innermost open object or array.
func (s *scanner) bracket() byte {
	if s.depth > MaxDepth {
		return s.deeper[len(s.deeper)-1]
	}
	return s.brackets[s.depth-1]
}

// known is where the names are kept.
func (s *scanner) known() []span {
	if s.many != nil {
		return s.many
	}
	return s.names[:]
}

// name scans the name of a member and the colon behind it.
func (s *scanner) name() bool {
	if s.peek() != '"' {
		return false
	}
	name, ok := s.str()
	if !ok || s.peek() != ':' {
		return false
	}
	s.i++
	if s.depth <= MaxDepth {
		known := s.known()
		if s.named == len(known) {
			s.many = append(make([]span, 0, 4*s.named), known...)[:4*s.named]
			known = s.many
		}
		known[s.named] = name
		s.named++
		if s.depth == 2 {
			s.param = name
		}
	}
	return true
}

// str scans a string, from its opening quote.
func (s *scanner) str() (text span, ok bool) {
	text.from = int32(s.i + 1)
	for i := s.i + 1; i < len(s.b); i++ {
		switch c := s.b[i]; {
		case c == '"':
			text.to = int32(i)
			s.i = i + 1
			return text, true
		case c == '\\':
			text.escaped = true
			n := escape(s.b[i:])
			if n == 0 {
				return text, false
			}
			i += n - 1
		case c < ' ':
			return text, false
		}
	}
	return text, false
}

// escape is the length of the escape sequence with which b begins; 0 if it is none.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return 0
		}
		for _, c := range b[2:6] {
			if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
				return 0
			}
		}
		return 6
	}
	return 0
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// literal scans a number, true, false or null, of which c is the first byte.
func (s *scanner) literal(c byte) bool {
	rest, n := s.b[s.i:], 0
	switch c {
	case 't':
		n = prefix(rest, "true")
	case 'f':
		n = prefix(rest, "false")
	case 'n':
		n = prefix(rest, "null")
	default:
		n = number(rest)
	}
	s.i += n
	return n > 0
}

func prefix(b []byte, word string) int {
	if len(b) >= len(word) && string(b[:len(word)]) == word {
		return len(word)
	}
	return 0
}

// number is the length of the number with which b begins; 0 if it is none.
func number(b []byte) int {
	n := 0
	if n < len(b) && b[n] == '-' {
		n++
	}
	whole := digits(b[n:])
	if whole == 0 || whole > 1 && b[n] == '0' {
		return 0
	}
	n += whole
	if n < len(b) && b[n] == '.' {
		fraction := digits(b[n+1:])
		if fraction == 0 {
			return 0
		}
		n += 1 + fraction
	}
	if n < len(b) && b[n]|0x20 == 'e' {
		n++
		if n < len(b) && (b[n] == '+' || b[n] == '-') {
			n++
		}
		exponent := digits(b[n:])
		if exponent == 0 {
			return 0
		}
		n += exponent
	}
	return n
}

func digits(b []byte) int {
	n := 0
	for n < len(b) && isDigit(b[n]) {
		n++
	}
	return n
}

// few is up to how many names are compared each with each: below it that is faster than to sort them.
const few = 12

// twice finds a name that stands twice among the names of one object.
func (s *scanner) twice(names []span) (name string, found bool) {
	plain := !slices.ContainsFunc(names, func(n span) bool { return n.escaped })
	if plain && len(names) <= few {
		for i, n := range names {
			for _, m := range names[:i] {
				if n.to-n.from == m.to-m.from && bytes.Equal(s.b[n.from:n.to], s.b[m.from:m.to]) {
					return string(s.b[n.from:n.to]), true
				}
			}
		}
		return "", false
	}
	texts := make([]string, len(names))
	for i, n := range names {
		texts[i] = string(s.text(n))
	}
	slices.Sort(texts)
	for i := 1; i < len(texts); i++ {
		if texts[i-1] == texts[i] {
			return texts[i], true
		}
	}
	return "", false
}

// text is what a string says. Lone surrogates become U+FFFD.
func (s *scanner) text(n span) []byte {
	if !n.escaped {
		return s.b[n.from:n.to]
	}
	text, _ := jsontext.AppendUnquote(nil, s.b[n.from-1:n.to+1])
	return text
}

// blame notes the first fault. It is the fault of the param that is being read, or of the frame's own member.
func (s *scanner) blame(member, format string, args ...any) {
	if s.fault != nil {
		return
	}
	field := ""
	switch {
	case s.depth == 1, s.params && s.depth == 2:
		field = member
	case s.params:
		field = string(s.text(s.param))
	}
	s.fault = Errorf(BadRequest, fieldName(field), format, args...)
}

// fieldName cuts a name that a client made up to a length that is fit to be sent back.
func fieldName(name string) string {
	const most = 64
	if len(name) <= most {
		return name
	}
	cut := most
	for !utf8.RuneStart(name[cut]) {
		cut--
	}
	return name[:cut]
}
