// Package openapi is as much of an OpenAPI 3.1 document as Parley's own needs, as Go types: protocol/gen writes docs/openapi.json with them, and
// internal/reference reads it again. What is read and written back is the same document, the order of its members included.
//
// The package does no I/O and holds no state. Every function may be called from any goroutine.
package openapi

import (
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Version is the version of OpenAPI that a Document is of.
const Version = "3.1.1"

// Document is a whole document.
type Document struct {
	OpenAPI    string        `json:"openapi"`
	Info       Info          `json:"info"`
	Servers    []Server      `json:"servers"`
	Tags       []Tag         `json:"tags"`
	Paths      Map[PathItem] `json:"paths"`
	Components Components    `json:"components"`
}

// Info says what is described. Version is that of the interface, not of a server.
type Info struct {
	Title       string  `json:"title"`
	Description string  `json:"description"`
	License     License `json:"license"`
	Version     string  `json:"version"`
}

// License is under which the interface may be used, by its SPDX identifier.
type License struct {
	Name       string `json:"name"`
	Identifier string `json:"identifier"`
}

// Server is where calls go.
type Server struct {
	URL         string `json:"url"`
	Description string `json:"description"`
}

// Tag is a group of operations.
type Tag struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

// PathItem is what one path answers: every call is a POST, an event stream is asked for with GET.
type PathItem struct {
	Get  *Operation `json:"get,omitzero"`
	Post *Operation `json:"post,omitzero"`
}

// Operation is one call.
type Operation struct {
	Tags        []string            `json:"tags"`
	Summary     string              `json:"summary"`
	Description string              `json:"description,omitzero"`
	OperationID string              `json:"operationId"`
	Security    []map[string][]Void `json:"security"`
	Parameters  []Parameter         `json:"parameters,omitempty"`
	RequestBody *Body               `json:"requestBody,omitzero"`
	Responses   Map[Response]       `json:"responses"`
}

// Void is the element of a list that is always empty.
type Void struct{}

// Parameter is a header of a call, or a part of its query.
type Parameter struct {
	Ref         string  `json:"$ref,omitzero"`
	Name        string  `json:"name,omitzero"`
	In          string  `json:"in,omitzero"`
	Required    bool    `json:"required,omitzero"`
	Description string  `json:"description,omitzero"`
	Schema      *Schema `json:"schema,omitzero"`
}

// Body is what a call carries.
type Body struct {
	Required bool           `json:"required,omitzero"`
	Content  Map[MediaType] `json:"content"`
}

// Response is an answer.
type Response struct {
	Ref         string         `json:"$ref,omitzero"`
	Description string         `json:"description,omitzero"`
	Headers     Map[Header]    `json:"headers,omitempty"`
	Content     Map[MediaType] `json:"content,omitempty"`
}

// Header is a header of an answer.
type Header struct {
	Description string  `json:"description"`
	Schema      *Schema `json:"schema"`
}

// MediaType is the form of a body, with examples by their names.
type MediaType struct {
	Schema   *Schema      `json:"schema"`
	Examples Map[Example] `json:"examples,omitempty"`
}

// Example is one body as it goes over the wire.
type Example struct {
	Summary string         `json:"summary"`
	Value   jsontext.Value `json:"value"`
}

// Components are what other parts refer to by name.
type Components struct {
	Schemas         Map[*Schema]        `json:"schemas"`
	Responses       Map[Response]       `json:"responses"`
	Parameters      Map[Parameter]      `json:"parameters"`
	SecuritySchemes Map[SecurityScheme] `json:"securitySchemes"`
}

// SecurityScheme is a way to say who calls.
type SecurityScheme struct {
	Type         string `json:"type"`
	Scheme       string `json:"scheme"`
	BearerFormat string `json:"bearerFormat"`
	Description  string `json:"description"`
}

// Schema says what a JSON value looks like. The zero Schema takes any value.
type Schema struct {
	Ref                  string         `json:"$ref,omitzero"`
	Description          string         `json:"description,omitzero"`
	Types                Types          `json:"type,omitempty"`
	Const                string         `json:"const,omitzero"`
	Enum                 []string       `json:"enum,omitempty"`
	Default              jsontext.Value `json:"default,omitzero"`
	Format               string         `json:"format,omitzero"`
	Pattern              string         `json:"pattern,omitzero"`
	MinLength            int            `json:"minLength,omitzero"`
	MaxLength            int            `json:"maxLength,omitzero"`
	Minimum              *int64         `json:"minimum,omitzero"`
	Maximum              *int64         `json:"maximum,omitzero"`
	MinItems             int            `json:"minItems,omitzero"`
	MaxItems             int            `json:"maxItems,omitzero"`
	MaxProperties        int            `json:"maxProperties,omitzero"`
	Properties           Map[*Schema]   `json:"properties,omitempty"`
	Required             []string       `json:"required,omitempty"`
	AdditionalProperties *Schema        `json:"additionalProperties,omitzero"`
	Items                *Schema        `json:"items,omitzero"`
	AnyOf                []*Schema      `json:"anyOf,omitempty"`
}

// Types are the JSON types that a value may have; none is any.
type Types []string

// MarshalJSONTo writes one type as a string and more as an array.
func (t Types) MarshalJSONTo(enc *jsontext.Encoder) error {
	if len(t) == 1 {
		return enc.WriteToken(jsontext.String(t[0]))
	}
	return json.MarshalEncode(enc, []string(t))
}

// UnmarshalJSONFrom reads either form.
func (t *Types) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() == '[' {
		return json.UnmarshalDecode(dec, (*[]string)(t))
	}
	*t = make(Types, 1)
	return json.UnmarshalDecode(dec, &(*t)[0])
}

// Map is a JSON object whose members keep their order. A name must not come twice.
type Map[T any] []Entry[T]

// Entry is one member of a Map.
type Entry[T any] struct {
	Name  string
	Value T
}

// Get finds a member by its name.
func (m Map[T]) Get(name string) (value T, ok bool) {
	for _, e := range m {
		if e.Name == name {
			return e.Value, true
		}
	}
	return value, false
}

// Put appends a member.
func (m *Map[T]) Put(name string, value T) { *m = append(*m, Entry[T]{name, value}) }

// MarshalJSONTo writes an object.
func (m Map[T]) MarshalJSONTo(enc *jsontext.Encoder) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, e := range m {
		if err := enc.WriteToken(jsontext.String(e.Name)); err != nil {
			return err
		}
		if err := json.MarshalEncode(enc, e.Value); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

// UnmarshalJSONFrom reads an object.
func (m *Map[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() != '{' {
		return errors.New("openapi: an object is wanted")
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	*m = nil
	for dec.PeekKind() != '}' {
		var e Entry[T]
		if err := json.UnmarshalDecode(dec, &e.Name); err != nil {
			return err
		}
		if err := json.UnmarshalDecode(dec, &e.Value); err != nil {
			return err
		}
		*m = append(*m, e)
	}
	_, err := dec.ReadToken()
	return err
}

// Encode writes the document, indented, with a newline at its end.
func (d *Document) Encode() ([]byte, error) {
	b, err := json.Marshal(d, jsontext.WithIndent("  "), jsontext.EscapeForHTML(false))
	return append(b, '\n'), err
}

// Decode reads a document that Encode wrote.
func Decode(b []byte) (*Document, error) {
	d := new(Document)
	return d, json.Unmarshal(b, d)
}
