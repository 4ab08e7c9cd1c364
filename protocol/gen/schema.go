package main

import (
	"fmt"
	"reflect"

	"github.com/parley-im/parley/internal/openapi"
	"github.com/parley-im/parley/protocol"
)

// schemas is where the document keeps the schemas that others refer to.
const schemas = "#/components/schemas/"

// ref is the schema of a type where it is used: by its name if it has one, after its declaration was made.
func (w *apiWriter) ref(t reflect.Type, asked bool) *openapi.Schema {
	switch t {
	case reflect.TypeFor[protocol.Raw]():
		return &openapi.Schema{}
	case reflect.TypeFor[protocol.Time]():
		return &openapi.Schema{Types: openapi.Types{"string"}, Format: "date-time"}
	}
	switch t.Kind() {
	case reflect.Bool:
		return &openapi.Schema{Types: openapi.Types{"boolean"}}
	case reflect.Int, reflect.Int64:
		return &openapi.Schema{Types: openapi.Types{"integer"}}
	case reflect.Uint16, reflect.Uint64:
		return &openapi.Schema{Types: openapi.Types{"integer"}, Minimum: new(int64)}
	case reflect.Float64:
		return &openapi.Schema{Types: openapi.Types{"number"}}
	case reflect.Pointer:
		return w.ref(t.Elem(), asked)
	case reflect.Slice:
		return &openapi.Schema{Types: openapi.Types{"array"}, Items: w.ref(t.Elem(), asked)}
	case reflect.Map:
		return &openapi.Schema{Types: openapi.Types{"object"}, AdditionalProperties: w.ref(t.Elem(), asked)}
	case reflect.String:
		if t.PkgPath() == "" {
			return &openapi.Schema{Types: openapi.Types{"string"}}
		}
		values := w.src.values[t.Name()]
		return w.declared(t, func() *openapi.Schema { return &openapi.Schema{Types: openapi.Types{"string"}, Enum: values} })
	case reflect.Struct:
		return w.declared(t, func() *openapi.Schema { return w.structure(t, asked) })
	}
	w.err = fmt.Errorf("no schema for %v", t)
	return nil
}

// declared refers to a type's declaration, and makes it the first time.
func (w *apiWriter) declared(t reflect.Type, declare func() *openapi.Schema) *openapi.Schema {
	name := typeName(t)
	if !w.seen[t] {
		w.seen[t] = true
		s := declare()
		s.Description = w.src.docs[t.Name()]
		w.schemas.Put(name, s)
	}
	return &openapi.Schema{Ref: schemas + name}
}

// structure is the schema of a struct. What is asked of the server is bounded as it checks it, and may leave out what is optional; what it tells is as
// it is. Unknown members are ignored by both sides.
func (w *apiWriter) structure(t reflect.Type, asked bool) *openapi.Schema {
	s := object(nil)
	for _, m := range members(t) {
		member := w.ref(m.of, asked)
		switch {
		case m.of == reflect.TypeFor[protocol.Raw]() && m.name == "attachments":
			member = &openapi.Schema{Types: openapi.Types{"array"}, Items: object(nil)}
			m.null = true
		case t == reflect.TypeFor[protocol.EventListResult]() && m.name == "events":
			member.Items = w.event()
		}
		if asked {
			narrow(member, t, m.name, w.bounds)
		}
		if m.null {
			member = orNull(member)
		}
		if doc := w.src.docs[t.Name()+"."+m.field]; doc != "" && member.Description == "" {
			member.Description = doc
		}
		s.Properties.Put(m.name, member)
		if !m.optional {
			s.Required = append(s.Required, m.name)
		}
	}
	return s
}

// object is the schema of an object whose members are all required.
func object(members openapi.Map[*openapi.Schema]) *openapi.Schema {
	s := &openapi.Schema{Types: openapi.Types{"object"}, Properties: members}
	for _, m := range members {
		s.Required = append(s.Required, m.Name)
	}
	return s
}

func orNull(s *openapi.Schema) *openapi.Schema {
	switch {
	case s.Ref != "":
		return &openapi.Schema{AnyOf: []*openapi.Schema{s, {Types: openapi.Types{"null"}}}}
	case len(s.Types) == 1:
		s.Types = append(s.Types, "null")
	}
	return s
}

// event is the schema of an entry of a room's log: one for each name.
func (w *apiWriter) event() *openapi.Schema {
	const name = "RoomEvent"
	if _, ok := w.schemas.Get(name); ok {
		return &openapi.Schema{Ref: schemas + name}
	}
	text := func() *openapi.Schema { return &openapi.Schema{Types: openapi.Types{"string"}} }
	either := &openapi.Schema{Description: "One entry of a room's log, exactly as it is pushed."}
	w.schemas.Put(name, either)
	for _, p := range protocol.Pushes() {
		if !p.Event {
			continue
		}
		either.AnyOf = append(either.AnyOf, object(openapi.Map[*openapi.Schema]{
			{Name: "event", Value: &openapi.Schema{Const: string(p.Name), Description: p.Doc}},
			{Name: "room", Value: text()},
			{Name: "seq", Value: w.ref(reflect.TypeFor[protocol.Seq](), false)},
			{Name: "at", Value: w.ref(reflect.TypeFor[protocol.Time](), false)},
			{Name: "user", Value: orNull(text())},
			{Name: "data", Value: w.ref(reflect.TypeOf(p.Data), false)},
		}))
	}
	return &openapi.Schema{Ref: schemas + name}
}

// required reports whether a type has members that must be given.
func required(t reflect.Type) bool {
	for _, m := range members(t) {
		if !m.optional {
			return true
		}
	}
	return false
}
