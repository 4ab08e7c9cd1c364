package protocol

import (
	"bytes"
	"iter"
	"unicode/utf8"
)

// Lines yields the frames of a WebSocket message: its lines, without those that hold nothing but white space (§2.1). They share the message's memory.
func Lines(message []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(message) > 0 {
			var line []byte
			line, message, _ = bytes.Cut(message, []byte{'\n'})
			if line = bytes.TrimRight(line, " \t\r"); len(line) > 0 && !yield(line) {
				return
			}
		}
	}
}

// ParseCall reads one frame from a client (§2.1). A frame of more than frameLimit bytes is not looked at; 0 is no limit.
//
// The error is ErrNotFrame, for which the session is closed with CloseBadFrame; or an *Error, which is the answer to the call whose ID is returned
// with it, and of which nothing else may be used. A frame without an id cannot be answered, so that every fault in one is ErrNotFrame. Whether
// there is such a method is asked with Lookup; params are read with DecodeParams. The call's Params share memory with line.
//
// The cost is linear in the length of the line but for the sort of the names of large objects, and there is no recursion. It allocates nothing for a sound frame whose method is in the table.
func ParseCall(line []byte, frameLimit int) (Call, error) {
	if frameLimit > 0 && len(line) > frameLimit || !utf8.Valid(line) {
		return Call{}, ErrNotFrame
	}
	p := callParser{scanner: scanner{b: line}}
	if !p.frame() {
		return Call{}, ErrNotFrame
	}
	if p.fault == nil {
		p.judge()
	}
	if p.fault != nil {
		if p.call.ID == 0 {
			return Call{}, ErrNotFrame
		}
		return Call{ID: p.call.ID}, p.fault
	}
	return p.call, nil
}

// callParser reads the members of a client's frame that mean something.
type callParser struct {
	scanner
	call      Call
	hasMethod bool
	badMethod bool // present, but no string
	badParams bool // present, but no object
}

// frame scans the whole line. It reports false for what is no frame, whatever else may be wrong with it.
func (p *callParser) frame() bool {
	if p.peek() != '{' {
		return false
	}
	p.open('{')
	if p.peek() == '}' {
		p.close()
		return p.end()
	}
	for {
		if !p.name() || !p.member(p.known()[p.named-1]) {
			return false
		}
		switch p.peek() {
		case ',':
			p.i++
		case '}':
			p.close()
			return p.end()
		default:
			return false
		}
	}
}

// member scans the value of one member of the frame. It reports false for what is not JSON and for an id that cannot be read, or not once.
func (p *callParser) member(name span) bool {
	key := p.text(name)
	p.params = string(key) == "params"
	p.space()
	from := p.i
	if !p.value() {
		return false
	}
	value := p.b[from:p.i]
	switch string(key) {
	case "id":
		if p.call.ID != 0 {
			return false
		}
		p.call.ID, _ = whole(value, MaxCallID)
		return p.call.ID != 0
	case "method":
		p.hasMethod = true
		p.badMethod = value[0] != '"'
		if !p.badMethod {
			p.call.Method = p.method(value)
		}
	case "params":
		p.badParams = value[0] != '{'
		p.call.Params = value
	}
	p.params = false
	return true
}

// method is what the string says, without an allocation where it is the name of a method.
func (p *callParser) method(quoted []byte) string {
	text := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(text, '\\') >= 0 {
		text = p.text(span{from: int32(p.i - len(quoted) + 1), to: int32(p.i - 1), escaped: true})
	}
	if m, ok := index[string(text)]; ok {
		return m.Name
	}
	return string(text)
}

// judge looks for the faults that lie in the meaning of a frame.
func (p *callParser) judge() {
	switch {
	case !p.hasMethod && p.call.ID == 0: // a heartbeat, whatever else is in it
		p.call = Call{}
	case !p.hasMethod:
		p.fault = Errorf(BadRequest, "method", "a call needs a method: its name, such as %q", MessageSend)
	case p.badMethod:
		p.fault = Errorf(BadRequest, "method", "method must be a string: the name of a method, such as %q", MessageSend)
	case p.call.Method == "":
		p.fault = Errorf(BadRequest, "method", "method must not be empty: it is the name of a method, such as %q", MessageSend)
	case p.badParams:
		p.fault = Errorf(BadRequest, "params", "params must be an object, or left out where there are none")
	}
}

// index finds a method by its name. It is never written to.
var index = func() map[string]Method {
	m := make(map[string]Method)
	for _, method := range Methods() {
		m[method.Name] = method
	}
	return m
}()

// Lookup finds a method of the table by its name.
func Lookup(name string) (Method, bool) {
	m, ok := index[name]
	return m, ok
}
