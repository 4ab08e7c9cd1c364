package main

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/internal/openapi"
	"github.com/parley-im/parley/protocol"
	"github.com/parley-im/parley/protocol/examples"
)

// openAPI makes docs/openapi.json: the HTTP calls, and the schemas of all that is pushed besides.
func openAPI(src *source) ([]byte, error) {
	story, err := examples.Story()
	if err != nil {
		return nil, err
	}
	w := &apiWriter{src: src, story: story, seen: map[reflect.Type]bool{}, bounds: bounds()}
	doc := openapi.Document{
		OpenAPI: openapi.Version,
		Info: openapi.Info{
			Title: "Parley",
			Description: "Every call of the Parley protocol over HTTP. The same methods, with the same params, results and errors, are called over a WebSocket, " +
				"which also pushes what happens: docs/protocol.md says how.",
			License: openapi.License{Name: "Apache 2.0", Identifier: "Apache-2.0"},
			Version: "1",
		},
		Servers: []openapi.Server{{URL: "http://127.0.0.1:8080", Description: "a server on this machine; yours has an address of its own"}},
		Tags:    tags(),
	}
	for _, m := range protocol.Methods() {
		if m.Name == protocol.Hello {
			w.ref(reflect.TypeOf(m.Params), true)
			w.ref(reflect.TypeOf(m.Result), false)
			continue
		}
		doc.Paths.Put("/v1/"+m.Name, openapi.PathItem{Post: w.operation(m)})
	}
	for _, p := range protocol.Pushes() {
		w.ref(reflect.TypeOf(p.Data), false)
	}
	doc.Paths.Put("/v1/events", openapi.PathItem{Get: w.eventStream()})
	doc.Paths.Put("/v1/poll", openapi.PathItem{Post: w.poll()})
	w.schemas.Put("ErrorAnswer", object(openapi.Map[*openapi.Schema]{{Name: "error", Value: w.ref(reflect.TypeFor[protocol.Error](), false)}}))
	doc.Components = openapi.Components{Schemas: w.schemas, Responses: errorResponses(), Parameters: parameters(), SecuritySchemes: security()}
	if w.err != nil {
		return nil, w.err
	}
	return doc.Encode()
}

// apiWriter collects the schemas of types. The first fault stays in err.
type apiWriter struct {
	src     *source
	story   []examples.Scene
	schemas openapi.Map[*openapi.Schema]
	seen    map[reflect.Type]bool
	bounds  map[string]func(*openapi.Schema)
	err     error
}

// tags are the groups of methods, by what stands before the dot.
func tags() []openapi.Tag {
	return []openapi.Tag{
		{Name: "session", Description: "The live connections of a user"},
		{Name: "user", Description: "People and bots"},
		{Name: "room", Description: "Conversations, and the inbox"},
		{Name: "member", Description: "Who is in a room, and what they may do"},
		{Name: "message", Description: "What is said"},
		{Name: "reaction", Description: "Reactions to messages"},
		{Name: "event", Description: "The log of a room"},
		{Name: "receipt", Description: "How far members have got"},
		{Name: "typing", Description: "Who is typing"},
		{Name: "presence", Description: "Who is there"},
		{Name: "transport", Description: "Sessions without a WebSocket"},
	}
}

func (w *apiWriter) operation(m protocol.Method) *openapi.Operation {
	group, _, _ := strings.Cut(m.Name, ".")
	params, result := reflect.TypeOf(m.Params), reflect.TypeOf(m.Result)
	op := &openapi.Operation{
		Tags: []string{group}, Summary: m.Doc, OperationID: operationID(m.Name),
		Description: w.describe(m),
		Security:    []map[string][]openapi.Void{{"token": {}}, {"key": {}}},
		Parameters:  []openapi.Parameter{{Ref: "#/components/parameters/User"}, {Ref: "#/components/parameters/Session"}},
	}
	if m.Backend {
		op.Parameters[0].Ref += "Optional"
	}
	if !m.Session {
		op.Parameters[1].Ref += "Optional"
	}
	asked := openapi.MediaType{Schema: w.ref(params, true)}
	told := openapi.MediaType{Schema: w.ref(result, false)}
	refused := map[protocol.Code]openapi.Map[openapi.Example]{}
	for i, step := range examples.Of(w.story, m.Name) {
		name := fmt.Sprintf("example%d", i+1)
		asked.Examples.Put(name, openapi.Example{Summary: step.Title, Value: step.Params})
		if step.Error == nil {
			told.Examples.Put(name, openapi.Example{Summary: step.Title, Value: step.Result})
			continue
		}
		body, err := json.Marshal(map[string]*protocol.Error{"error": step.Error}, protocol.Encoding())
		if err != nil {
			w.err = err
		}
		of := refused[step.Error.Code]
		of.Put(name, openapi.Example{Summary: step.Title, Value: body})
		refused[step.Error.Code] = of
	}
	op.RequestBody = &openapi.Body{Required: required(params), Content: content(asked)}
	op.Responses.Put("200", openapi.Response{Description: "The call was carried out.", Content: content(told)})
	refuse(op, refused)
	return op
}

// refuse adds the errors that every call may be answered with, some with examples.
func refuse(op *openapi.Operation, examples map[protocol.Code]openapi.Map[openapi.Example]) {
	for _, c := range protocol.Codes() {
		answer := openapi.Response{Ref: "#/components/responses/" + string(c.Code)}
		if of := examples[c.Code]; of != nil {
			answer, _ = errorResponses().Get(string(c.Code))
			answer.Content = content(openapi.MediaType{Schema: &openapi.Schema{Ref: schemas + "ErrorAnswer"}, Examples: of})
		}
		op.Responses.Put(fmt.Sprint(c.Status), answer)
	}
}

// describe says what the table of methods knows besides the one line.
func (w *apiWriter) describe(m protocol.Method) string {
	var notes []string
	switch {
	case m.Backend:
		notes = append(notes, "A back end may call it for itself, without Parley-User.")
	default:
		notes = append(notes, "A back end calls it for a user, with Parley-User.")
	}
	if m.Session {
		notes = append(notes, "It is about one live session: Parley-Session is needed.")
	}
	if m.ClientID != protocol.None {
		notes = append(notes, "A repeat with the same client_id is carried out once, and answered as the first.")
	}
	return strings.Join(notes, " ")
}

// operationID is a method's name as one word: messageSend.
func operationID(method string) string {
	group, verb, _ := strings.Cut(method, ".")
	return group + strings.ToUpper(verb[:1]) + verb[1:]
}

func content(m openapi.MediaType) openapi.Map[openapi.MediaType] {
	return openapi.Map[openapi.MediaType]{{Name: "application/json", Value: m}}
}

// errorResponses are the answers that every call may get.
func errorResponses() openapi.Map[openapi.Response] {
	says := map[protocol.Code]string{
		protocol.BadRequest:      "Mend the call: sent again as it is, it fails again. field names the param at fault.",
		protocol.Unauthenticated: "Come with another token or key.",
		protocol.Forbidden:       "The caller may see the room, but lacks the right.",
		protocol.NotFound:        "It does not exist, or not for the caller.",
		protocol.Conflict:        "It contradicts what already is.",
		protocol.TooLarge:        "Something is over a bound of size.",
		protocol.RateLimited:     "Again after retry_after_ms.",
		protocol.Unavailable:     "Again after retry_after_ms, with the same client_id.",
		protocol.Internal:        "A fault of the server.",
	}
	var all openapi.Map[openapi.Response]
	for _, c := range protocol.Codes() {
		answer := openapi.Response{Description: says[c.Code], Content: content(openapi.MediaType{Schema: &openapi.Schema{Ref: schemas + "ErrorAnswer"}})}
		if c.Status == http.StatusTooManyRequests || c.Status == http.StatusServiceUnavailable {
			seconds := &openapi.Schema{Types: openapi.Types{"integer"}, Minimum: new(int64)}
			answer.Headers = openapi.Map[openapi.Header]{{Name: "Retry-After", Value: openapi.Header{Description: "retry_after_ms in whole seconds", Schema: seconds}}}
		}
		all.Put(string(c.Code), answer)
	}
	return all
}

// parameters are the headers of calls, each in two forms.
func parameters() openapi.Map[openapi.Parameter] {
	text := &openapi.Schema{Types: openapi.Types{"string"}, MinLength: 1}
	user := openapi.Parameter{
		Name: "Parley-User", In: "header", Schema: &openapi.Schema{Types: openapi.Types{"string"}, Pattern: userPattern},
		Description: "With an API key, whose call it is. Needed with a key; refused beside a user's token.",
	}
	optionalUser := user
	optionalUser.Description = "With an API key, whose call it is; without it the back end calls for itself. Refused beside a user's token."
	session := openapi.Parameter{Name: "Parley-Session", In: "header", Required: true, Schema: text, Description: "A live session of the same user, which the call is about."}
	optionalSession := session
	optionalSession.Required = false
	optionalSession.Description = "A live session of the same user, which makes the call."
	return openapi.Map[openapi.Parameter]{
		{Name: "User", Value: user},
		{Name: "UserOptional", Value: optionalUser},
		{Name: "Session", Value: session},
		{Name: "SessionOptional", Value: optionalSession},
	}
}

func security() openapi.Map[openapi.SecurityScheme] {
	return openapi.Map[openapi.SecurityScheme]{
		{Name: "token", Value: openapi.SecurityScheme{
			Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "A user's token, signed with the deployment's secret or by an issuer that it trusts.",
		}},
		{Name: "key", Value: openapi.SecurityScheme{
			Type: "http", Scheme: "bearer", BearerFormat: "pk_…", Description: "An API key of a back end, made by parley key create.",
		}},
	}
}
