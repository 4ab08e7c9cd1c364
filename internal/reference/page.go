package reference

import (
	"cmp"
	"fmt"
	"html/template"
	"regexp"
	"slices"
	"strings"

	"github.com/parley-im/parley/docs"
	"github.com/parley-im/parley/internal/openapi"
	"github.com/parley-im/parley/protocol"
	"github.com/parley-im/parley/protocol/examples"
)

// page is what the layout shows.
type page struct {
	Style     template.CSS
	Script    template.JS
	Languages []language
	Groups    []group
	Pushes    []push
	Objects   []object
	Codes     []code
	Closes    []protocol.Close
}

// language is one form in which an example's call is shown.
type language struct{ ID, Name string }

// group is the methods before one dot.
type group struct {
	Name, Doc string
	Methods   []method
}

type method struct {
	Name, Doc string
	Notes     []string
	Params    []field
	Result    []field
	Examples  []example
}

// field is a member of an object.
type field struct {
	Name     string
	Type     template.HTML
	Optional bool
	Doc      string
	Bounds   []string
}

// example is a call in every language, and its answer.
type example struct {
	Title  string
	Who    string
	Calls  []call
	Answer template.HTML
	Failed bool
}

type call struct {
	Language string
	Code     template.HTML
}

type push struct {
	Name, Kind, Doc string
	Data            []field
	Frame           template.HTML
	Cause           string // the method that caused the frame
}

// object is a type that methods and pushes share: its members, or its values.
type object struct {
	Name, Doc string
	Fields    []field
	Values    []string
}

type code struct {
	protocol.CodeStatus
	Doc string
}

const refPrefix = "#/components/schemas/"

// builder makes the page from the document and the story.
type builder struct {
	doc    *openapi.Document
	story  []examples.Scene
	shared map[string]bool // the schemas that have a place of their own
	err    error
}

func newPage() (*page, error) {
	doc, err := openapi.Decode(docs.OpenAPI())
	if err != nil {
		return nil, err
	}
	story, err := examples.Story()
	if err != nil {
		return nil, err
	}
	b := &builder{doc: doc, story: story, shared: map[string]bool{}}
	p := &page{Languages: languages(), Closes: protocol.Closes(), Objects: b.objects(), Groups: b.groups(), Pushes: b.pushes()}
	for _, c := range protocol.Codes() {
		answer, _ := doc.Components.Responses.Get(string(c.Code))
		p.Codes = append(p.Codes, code{c, answer.Description})
	}
	return p, b.err
}

// objects are the schemas that are neither the params or the result of one method nor the data of one push.
func (b *builder) objects() []object {
	own := map[string]bool{"ErrorAnswer": true, "ErrorBody": true, "RoomEvent": true, typeName(protocol.PollParams{}): true, typeName(protocol.PollResult{}): true}
	for _, m := range protocol.Methods() {
		own[typeName(m.Params)], own[typeName(m.Result)] = true, true
	}
	for _, p := range protocol.Pushes() {
		own[typeName(p.Data)] = true
	}
	for _, e := range b.doc.Components.Schemas {
		b.shared[e.Name] = !own[e.Name]
	}
	var all []object
	for _, e := range b.doc.Components.Schemas {
		if b.shared[e.Name] {
			all = append(all, object{Name: e.Name, Doc: withoutName(e.Value.Description, e.Name), Fields: b.fields(e.Name), Values: e.Value.Enum})
		}
	}
	slices.SortFunc(all, func(x, y object) int { return cmp.Compare(x.Name, y.Name) })
	return all
}

// section is how comments cite the contract.
var section = regexp.MustCompile(` \(§[^)]*\)`)

// withoutName is a Go comment without the name that it begins with.
func withoutName(doc, name string) string {
	rest, ok := strings.CutPrefix(section.ReplaceAllString(doc, ""), name+" ")
	if !ok {
		return rest
	}
	for _, verb := range []string{"is ", "are "} {
		rest = strings.TrimPrefix(rest, verb)
	}
	return rest
}

func (b *builder) groups() []group {
	all := []group{{Name: "hello", Doc: "The first frame of a WebSocket"}}
	for _, tag := range b.doc.Tags {
		all = append(all, group{Name: tag.Name, Doc: tag.Description})
	}
	for _, m := range protocol.Methods() {
		prefix, _, _ := strings.Cut(m.Name, ".")
		i := slices.IndexFunc(all, func(g group) bool { return g.Name == prefix })
		if i < 0 {
			b.err = fmt.Errorf("reference: no group for %s", m.Name)
			return nil
		}
		all[i].Methods = append(all[i].Methods, b.method(m))
	}
	return slices.DeleteFunc(all, func(g group) bool { return len(g.Methods) == 0 })
}

func (b *builder) method(m protocol.Method) method {
	made := method{Name: m.Name, Doc: m.Doc, Params: b.fields(typeName(m.Params)), Result: b.fields(typeName(m.Result))}
	if path, ok := b.doc.Paths.Get("/v1/" + m.Name); ok {
		for note := range strings.SplitSeq(strings.TrimSuffix(path.Post.Description, "."), ". ") {
			made.Notes = append(made.Notes, note+".")
		}
	} else {
		made.Notes = []string{"The frame needs an id."}
	}
	for _, step := range examples.Of(b.story, m.Name) {
		made.Examples = append(made.Examples, b.example(m, step))
	}
	return made
}

func (b *builder) example(m protocol.Method, step examples.Step) example {
	e := example{Title: step.Title, Who: cmp.Or(step.Caller(), "the back end"), Failed: step.Error != nil}
	for _, l := range languages() {
		text, err := write(l.ID, m, step)
		if err != nil {
			b.err = err
		}
		e.Calls = append(e.Calls, call{Language: l.ID, Code: highlight(text)})
	}
	answer := step.Result
	if step.Error != nil {
		answer = errorBody(step.Error)
	}
	e.Answer = highlight(indented(answer))
	return e
}

func (b *builder) pushes() []push {
	var all []push
	for _, p := range protocol.Pushes() {
		made := push{Name: string(p.Name), Kind: "signal", Doc: p.Doc, Data: b.fields(typeName(p.Data))}
		if p.Event {
			made.Kind = "event"
		}
		if frame, cause, ok := examples.Push(b.story, p.Name); ok {
			made.Frame, made.Cause = highlight(indented(frame)), cause.Method
		}
		all = append(all, made)
	}
	return all
}

// fields lists the members of a schema.
func (b *builder) fields(name string) []field {
	s, ok := b.doc.Components.Schemas.Get(name)
	if !ok {
		b.err = fmt.Errorf("reference: no schema %s", name)
		return nil
	}
	var all []field
	for _, member := range s.Properties {
		f := field{Name: member.Name, Type: b.typeOf(member.Value), Doc: member.Value.Description, Bounds: bounds(member.Value)}
		f.Optional = !slices.Contains(s.Required, member.Name)
		if to, isRef := strings.CutPrefix(member.Value.Ref, refPrefix); isRef && !b.shared[to] && f.Doc == "" {
			f.Doc = "as in " + to
		}
		all = append(all, f)
	}
	return all
}

// typeOf names the type of a value; shared types are links.
func (b *builder) typeOf(s *openapi.Schema) template.HTML {
	if to, ok := strings.CutPrefix(s.Ref, refPrefix); ok {
		switch {
		case b.shared[to]:
			return template.HTML(`<a href="#type-` + template.HTMLEscapeString(to) + `">` + template.HTMLEscapeString(to) + `</a>`)
		case to == "RoomEvent":
			return `<a href="#pushes">event</a>`
		}
		return template.HTML(template.HTMLEscapeString(to))
	}
	var either []string
	for _, other := range s.AnyOf {
		either = append(either, string(b.typeOf(other)))
	}
	for _, name := range s.Types {
		switch {
		case name == "array" && s.Items != nil:
			either = append(either, string(b.typeOf(s.Items))+"[]")
		case name == "object" && s.AdditionalProperties != nil:
			either = append(either, "{room: "+string(b.typeOf(s.AdditionalProperties))+"}")
		case name == "string" && s.Format == "date-time":
			either = append(either, "time")
		default:
			either = append(either, template.HTMLEscapeString(name))
		}
	}
	return template.HTML(cmp.Or(strings.Join(either, " | "), "any JSON"))
}

// bounds says in words what a schema narrows.
func bounds(s *openapi.Schema) []string {
	var all []string
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if s.Pattern != "" {
		say("%s", s.Pattern)
	}
	switch {
	case s.MinLength > 1 || s.MinLength == 1 && s.MaxLength > 0:
		say("%d–%d characters", s.MinLength, s.MaxLength)
	case s.MaxLength > 0:
		say("at most %d characters", s.MaxLength)
	}
	switch {
	case s.MinItems > 0:
		say("%d–%d", s.MinItems, s.MaxItems)
	case s.MaxItems > 0:
		say("at most %d", s.MaxItems)
	case s.MaxProperties > 0:
		say("at most %d", s.MaxProperties)
	}
	switch {
	case s.Minimum != nil && *s.Minimum > 0:
		say("%d or more", *s.Minimum)
	case s.Maximum != nil && *s.Maximum < 1<<53:
		say("0–%d", *s.Maximum)
	}
	for _, value := range s.Enum {
		say("%q", value)
	}
	if len(s.Default) > 0 {
		say("default %s", s.Default)
	}
	if s.Items != nil {
		all = append(all, bounds(s.Items)...)
	}
	return all
}
