package protocol

import (
	"bytes"
	"crypto/sha256"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ContentHash is equal for two calls of one client_id exactly when they have the same content (§4): the method and its other params, compared as
// JSON values. The order of members and the spelling of strings and numbers are no difference; a param that is absent, null or empty
// (a string, array or object) is the same; unknown members do not count. Params is a pointer to a params struct as DecodeParams leaves it.
//
// It is the beginning of the SHA-256 of the params as canonical JSON (RFC 8785) and is stored, so that what it is computed from must not change.
// As in RFC 8785, numbers are compared as double-precision ones.
func ContentHash(method string, params any) [16]byte {
	content := make([]byte, 0, 512)
	content = append(content, method...)
	if p, ok := params.(*MessageSendParams); ok && p.plain() {
		content = appendParam(content, "room", p.Room)
		content = appendParam(content, "text", p.Text)
	} else {
		content = appendContent(content, params)
	}
	sum := sha256.Sum256(content)
	return [16]byte(sum[:16])
}

// plain reports a message of text alone, as most are.
func (p *MessageSendParams) plain() bool {
	return len(p.Data) == 0 && len(p.Attachments) == 0 && p.ReplyTo == 0 && len(p.Mentions) == 0
}

// appendParam appends one param that is a string, as appendContent does.
func appendParam(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, '\n', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	b, _ = jsontext.AppendQuote(b, value) // what was decoded is UTF-8
	return b
}

// appendContent appends the params that say something, in the order of their names, each as a line of canonical JSON.
func appendContent(b []byte, params any) []byte {
	encoded, err := json.Marshal(params, Encoding())
	canonical := Raw(encoded)
	if err == nil {
		err = canonical.Canonicalize()
	}
	if err != nil {
		panic("protocol: params that do not encode: " + err.Error())
	}
	dec := jsontext.NewDecoder(bytes.NewReader(canonical))
	if _, err = dec.ReadToken(); err != nil { // {
		panic("protocol: params that are no object: " + err.Error())
	}
	for dec.PeekKind() == '"' {
		name, _ := dec.ReadValue()
		name = name.Clone()
		value, _ := dec.ReadValue()
		if string(name) == `"client_id"` || Blank(value) {
			continue
		}
		b = append(b, '\n')
		b = append(b, name...)
		b = append(b, ':')
		b = append(b, value...)
	}
	return b
}
