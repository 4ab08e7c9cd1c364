package main

import (
	"reflect"

	"github.com/parley-im/parley/internal/openapi"
	"github.com/parley-im/parley/protocol"
)

// poll is POST /v1/poll, which is no method: it has a session of its own and is never called over a WebSocket.
func (w *apiWriter) poll() *openapi.Operation {
	op := &openapi.Operation{
		Tags: []string{"transport"}, Summary: "open a session that is polled, or take what it was pushed", OperationID: "poll",
		Description: "The first poll has no session and is answered at once, with the frame hello. Each next one repeats session, and cursor as ack: frames that are not " +
			"acknowledged come again. A session that is not polled for a minute has ended, and polling it is not_found. An API key opens none.",
		Security:    []map[string][]openapi.Void{{"token": {}}},
		RequestBody: &openapi.Body{Content: content(openapi.MediaType{Schema: w.ref(reflect.TypeFor[protocol.PollParams](), true)})},
	}
	op.Responses.Put("200", openapi.Response{
		Description: "What was pushed.", Content: content(openapi.MediaType{Schema: w.ref(reflect.TypeFor[protocol.PollResult](), false)}),
	})
	refuse(op, nil)
	return op
}

// eventStream is GET /v1/events.
func (w *apiWriter) eventStream() *openapi.Operation {
	asked := func(name, in, says string, s *openapi.Schema) openapi.Parameter {
		return openapi.Parameter{Name: name, In: in, Required: name == "device", Description: says, Schema: s}
	}
	text := func(bound func(*openapi.Schema)) *openapi.Schema {
		s := &openapi.Schema{Types: openapi.Types{"string"}}
		bound(s)
		return s
	}
	op := &openapi.Operation{
		Tags: []string{"transport"}, Summary: "open a session that is pushed to by server-sent events", OperationID: "events",
		Description: "Each message is one frame as data, with an id from which any node goes on when it comes back as Last-Event-ID. The first frame is hello. Where the client " +
			"cannot set Authorization, session.ticket makes a ticket for it. The request has no body. An API key opens none.",
		Security: []map[string][]openapi.Void{{"token": {}}, {}},
		Parameters: []openapi.Parameter{
			asked("device", "query", "this installation of a client: made once and kept", text(pattern(devicePattern))),
			asked("client", "query", "free text about the program, for session lists", text(atMost(protocol.MaxClientBytes))),
			asked("rooms", "query", "which rooms are followed by themselves", text(func(s *openapi.Schema) {
				s.Enum = w.src.values[reflect.TypeFor[protocol.RoomsToAll]().Name()]
				byDefault(`"all"`)(s)
			})),
			asked("ticket", "query", "a one-time ticket, in place of a token", text(notEmpty)),
			asked("Last-Event-ID", "header", "the id of the last message that arrived: what came after it is pushed first", text(notEmpty)),
		},
	}
	frames := openapi.MediaType{Schema: &openapi.Schema{Types: openapi.Types{"string"}, Description: "data: FRAME, again and again"}}
	op.Responses.Put("200", openapi.Response{
		Description: "The stream, which lasts.", Content: openapi.Map[openapi.MediaType]{{Name: "text/event-stream", Value: frames}},
	})
	refuse(op, nil)
	return op
}
