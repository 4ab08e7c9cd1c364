package protocol

import (
	"bytes"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Heartbeat reports a frame with neither id nor event, which a client answers with one of its own (§2.2).
func (f Frame) Heartbeat() bool { return f.ID == 0 && f.Event == "" }

// ParseFrame reads one frame from a server (§2.1): what clients do. Unknown members are ignored; Result and Data are known to be JSON, are not looked
// into, and share memory with line. The error wraps ErrNotFrame.
//
// Events in the order of members that AppendEvent writes are read without a look at anything twice; other frames may have any order.
func ParseFrame(line []byte) (Frame, error) {
	if !utf8.Valid(line) {
		return Frame{}, fmt.Errorf("%w: invalid UTF-8", ErrNotFrame)
	}
	if f, ok := parseEvent(line); ok {
		return f, nil
	}
	return parseMembers(line)
}

// parseEvent reads what AppendEvent writes, and gives up at anything else.
func parseEvent(line []byte) (f Frame, ok bool) {
	r := fixedOrder{rest: line}
	r.skip(`{"event":"`)
	event := r.word()
	r.skip(`,"room":"`)
	room := r.word()
	r.skip(`,"seq":`)
	seq, ok := whole(r.take(digits(r.rest)), math.MaxInt64)
	r.skip(`,"at":"`)
	at := r.word()
	var user []byte
	if bytes.HasPrefix(r.rest, []byte(`,"user":null`)) {
		r.skip(`,"user":null`)
	} else {
		r.skip(`,"user":"`)
		user = r.word()
	}
	r.skip(`,"data":`)
	if r.failed || !ok || f.At.UnmarshalText(at) != nil {
		return Frame{}, false
	}
	s := scanner{b: r.rest, depth: 1}
	s.brackets[0] = '{'
	if !s.value() {
		return Frame{}, false
	}
	f.Data = r.rest[:s.i:s.i]
	if s.peek() != '}' {
		return Frame{}, false
	}
	s.i++
	f.Event, f.Room, f.Seq, f.User = intern(event), string(room), seq, string(user)
	return f, s.end()
}

// fixedOrder reads a frame whose next bytes are known.
type fixedOrder struct {
	rest   []byte
	failed bool
}

// skip steps over what must stand here.
func (r *fixedOrder) skip(text string) {
	if n := prefix(r.rest, text); n > 0 {
		r.rest = r.rest[n:]
	} else {
		r.failed = true
	}
}

// take steps over n bytes and returns them.
func (r *fixedOrder) take(n int) []byte {
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

// word steps over the rest of a string, its quote included, in which nothing is escaped.
func (r *fixedOrder) word() []byte {
	for i, c := range r.rest {
		switch {
		case c == '"':
			return r.take(i + 1)[:i]
		case c == '\\' || c < ' ':
			r.failed = true
			return nil
		}
	}
	r.failed = true
	return nil
}

// parseMembers reads a frame with its members in any order. Where a name stands twice, the last counts.
func parseMembers(line []byte) (Frame, error) {
	s := scanner{b: line}
	var f Frame
	if s.peek() != '{' {
		return Frame{}, fmt.Errorf("%w: no JSON object", ErrNotFrame)
	}
	s.open('{')
	more := s.peek() != '}'
	for more {
		if !s.name() {
			return Frame{}, fmt.Errorf("%w: bad JSON at byte %d", ErrNotFrame, s.i)
		}
		name := s.known()[s.named-1]
		s.space()
		from := s.i
		if !s.value() {
			return Frame{}, fmt.Errorf("%w: bad JSON at byte %d", ErrNotFrame, s.i)
		}
		if err := f.set(string(s.text(name)), line[from:s.i:s.i]); err != nil {
			return Frame{}, err
		}
		if more = s.peek() == ','; more {
			s.i++
		}
	}
	if s.peek() != '}' {
		return Frame{}, fmt.Errorf("%w: bad JSON at byte %d", ErrNotFrame, s.i)
	}
	s.i++
	if !s.end() {
		return Frame{}, fmt.Errorf("%w: something behind the object", ErrNotFrame)
	}
	return f, nil
}

// set takes one member of a frame. Null is absent, but for what holds any JSON.
func (f *Frame) set(name string, value Raw) error {
	ok := true
	switch name {
	case "result":
		f.Result = value
		return nil
	case "data":
		f.Data = value
		return nil
	case "error":
		f.Error = nil
		ok = json.Unmarshal(value, &f.Error, jsontext.AllowDuplicateNames(true)) == nil
	case "id":
		f.ID, ok = wholeOrNull(value, MaxCallID)
	case "seq":
		f.Seq, ok = wholeOrNull(value, math.MaxInt64)
	case "event":
		var event string
		event, ok = textOrNull(value)
		f.Event = intern([]byte(event))
	case "room":
		f.Room, ok = textOrNull(value)
	case "user":
		f.User, ok = textOrNull(value)
	case "at":
		var at string
		at, ok = textOrNull(value)
		if f.At = 0; at != "" {
			ok = f.At.UnmarshalText([]byte(at)) == nil
		}
	}
	if !ok {
		return fmt.Errorf("%w: %s is of another type", ErrNotFrame, name)
	}
	return nil
}

func wholeOrNull(value Raw, most int64) (uint64, bool) {
	if value.Kind() == 'n' {
		return 0, true
	}
	return whole(value, most)
}

func textOrNull(value Raw) (string, bool) {
	if value.Kind() == 'n' {
		return "", true
	}
	if value.Kind() != '"' {
		return "", false
	}
	text, _ := jsontext.AppendUnquote(nil, value) // lone surrogates become U+FFFD
	return string(text), true
}

// whole reads a number of digits alone, up to most; (0, false) for anything else.
func whole(b []byte, most int64) (n uint64, ok bool) {
	const longest = 19 // digits: no int64 has more, and no uint64 overflows by them
	if len(b) == 0 || len(b) > longest || len(b) > 1 && b[0] == '0' {
		return 0, false
	}
	for _, c := range b {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	if n > uint64(most) {
		return 0, false
	}
	return n, true
}

// intern is the name of a push, without an allocation for those of the table.
func intern(name []byte) Name {
	if n, ok := pushNames[string(name)]; ok {
		return n
	}
	return Name(name)
}

// pushNames are the names of the pushes by their text. It is never written to.
var pushNames = func() map[string]Name {
	names := make(map[string]Name)
	for _, p := range Pushes() {
		names[string(p.Name)] = p.Name
	}
	return names
}()
