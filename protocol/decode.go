package protocol

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxParamsDepth is what MaxDepth leaves to the params, which stand one deep in their frame. It holds over HTTP too, where they are the whole body,
// so that the same params are good on every transport.
const maxParamsDepth = MaxDepth - 1

// DecodeParams reads the params of a call, from a frame or an HTTP body, into a params struct (into is a pointer to a zero one). Types are strict,
// unknown members are ignored, names are case-sensitive, and empty params are an empty object (§2.1). The error is a bad_request that names
// the param at fault.
//
// Refused are, besides what is not JSON or of another type: a name that stands twice, nesting over the bound, lone surrogates anywhere, and U+0000 in
// any text, though not within the application's own JSON (a Raw param). What is decoded shares no memory with params. The bounds of the values are those of Check.
func DecodeParams(params Raw, into any) *Error {
	trimmed := bytes.TrimLeft(params, " \t\r\n")
	switch {
	case len(trimmed) == 0:
		return nil
	case !utf8.Valid(params):
		return Errorf(BadRequest, "", "the params are not UTF-8")
	case trimmed[0] != '{':
		return Errorf(BadRequest, "params", "params must be an object")
	}
	if e := tooDeep(params); e != nil {
		return e
	}
	if err := json.Unmarshal(params, into); err != nil {
		return explain(err)
	}
	if bytes.Contains(params, []byte(`\u0000`)) {
		if e := findNUL(params, into); e != nil {
			return e
		}
	}
	if n, ok := into.(interface{ dropNull() }); ok {
		n.dropNull()
	}
	return nil
}

// tooDeep reports nesting beyond the bound. Params with few brackets cannot have it, and need no scan.
func tooDeep(params Raw) *Error {
	if bytes.Count(params, []byte{'{'})+bytes.Count(params, []byte{'['}) <= maxParamsDepth {
		return nil
	}
	s := scanner{b: params, depth: MaxDepth - maxParamsDepth, params: true}
	if !s.value() {
		return nil // the decoder says better what is wrong
	}
	return s.fault
}

// explain puts an error of the decoder into words, and into terms of the params.
func explain(err error) *Error {
	semantic, syntactic := new(json.SemanticError), new(jsontext.SyntacticError)
	switch {
	case errors.As(err, &syntactic):
		at := syntactic.JSONPointer
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return Errorf(BadRequest, topLevel(at), "the name %q stands twice in one object", at.LastToken())
		}
		why := strings.ToValidUTF8(syntactic.Err.Error(), "…") // it may quote the half of a character
		if at == "" {
			return Errorf(BadRequest, "", "the params are not JSON: %s", why)
		}
		return Errorf(BadRequest, topLevel(at), "%s is not JSON: %s", path(at), why)
	case errors.As(err, &semantic) && semantic.JSONPointer != "":
		at := semantic.JSONPointer
		return Errorf(BadRequest, topLevel(at), "%s must be %s, not %s", path(at), wanted(semantic.GoType), found(semantic))
	}
	return Errorf(BadRequest, "", "the params cannot be read: %s", strings.ToValidUTF8(err.Error(), "…"))
}

// topLevel is the param in which a pointer points.
func topLevel(at jsontext.Pointer) string {
	for token := range at.Tokens() {
		return fieldName(token)
	}
	return ""
}

// path is a pointer as people write it: settings.slow_mode_s, mentions.3.
func path(at jsontext.Pointer) string {
	return fieldName(strings.Join(slices.Collect(at.Tokens()), "."))
}

// wanted says what a Go type of the params stands for in JSON.
func wanted(t reflect.Type) string {
	switch {
	case t == nil:
		return "of another type"
	case t == reflect.TypeFor[Time]():
		return "a time of RFC 3339, such as 2006-01-02T15:04:05.000Z"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Uint64:
		return "a whole number from 0"
	case reflect.Slice:
		return "an array"
	case reflect.Map, reflect.Struct:
		return "an object"
	case reflect.Pointer:
		return wanted(t.Elem())
	}
	return "of another type"
}

// found says what came in its place.
func found(e *json.SemanticError) string {
	switch e.JSONKind {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '[':
		return "an array"
	case '{':
		return "an object"
	}
	if text := string(e.JSONValue); text != "" && len(text) <= 40 {
		return text
	}
	if e.JSONKind == '"' {
		return "a string"
	}
	return "a number"
}

// findNUL finds U+0000 in a string that the params struct knows and that is not within a Raw param: the application's own JSON is kept as sent.
// Params are known to be sound.
func findNUL(params Raw, into any) *Error {
	typed := typedParams(reflect.TypeOf(into).Elem())
	dec := jsontext.NewDecoder(bytes.NewReader(params))
	for {
		token, err := dec.ReadToken()
		if err != nil {
			return nil
		}
		if token.Kind() != '"' || !strings.ContainsRune(token.String(), 0) {
			continue
		}
		if field := topLevel(dec.StackPointer()); slices.Contains(typed, field) {
			return Errorf(BadRequest, field, "%s contains U+0000, which no text may", strings.ReplaceAll(path(dec.StackPointer()), "\x00", `\u0000`))
		}
	}
}

// typedParams lists the params of a struct that are not the application's own JSON.
func typedParams(t reflect.Type) []string {
	var names []string
	for field := range t.Fields() {
		if field.Type != reflect.TypeFor[Raw]() && field.Type != reflect.TypeFor[Opt[Raw]]() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			names = append(names, name)
		}
	}
	return names
}

// dropNull makes null what it is the same as: absent (§4).
func (p *MessageSendParams) dropNull() {
	p.Data, p.Attachments = absentIfNull(p.Data), absentIfNull(p.Attachments)
}

// dropNull makes null what it is the same as: absent (§4).
func (p *RoomCreateParams) dropNull() { p.Data = absentIfNull(p.Data) }

func absentIfNull(v Raw) Raw {
	if v.Kind() == 'n' {
		return nil
	}
	return v
}

// Blank reports a value that says nothing: absent, null, or an empty string, array or object, which are the same (§4).
func Blank(v Raw) bool {
	v = bytes.TrimSpace(v)
	switch v.Kind() {
	case 0, 'n':
		return true
	case '"':
		return len(v) == 2
	case '[', '{':
		return len(bytes.TrimSpace(v[1:len(v)-1])) == 0
	}
	return false
}

// Compact is the value without white space between its tokens, and otherwise as it was sent: order of members, spelling of numbers and strings (§4.3).
// The result shares memory with v where there was nothing to take out. What is not JSON is returned as it is.
func Compact(v Raw) Raw {
	if !bytes.ContainsAny(v, " \t\r\n") {
		return v
	}
	c := v.Clone()
	if c.Compact() != nil {
		return v
	}
	return c
}
