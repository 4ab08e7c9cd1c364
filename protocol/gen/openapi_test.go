package main

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/pb33f/libopenapi/datamodel"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/parley-im/parley/internal/openapi"
	"github.com/parley-im/parley/protocol"
	"github.com/parley-im/parley/protocol/examples"
)

// document is the generated document, for programs and for a validator.
type document struct {
	*openapi.Document
	any      any
	compiler *jsonschema.Compiler
	src      *source
}

func generate(t *testing.T) *document {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	src, err := readSource(filepath.Join(root, "protocol"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := openAPI(src)
	if err != nil {
		t.Fatal(err)
	}
	d := &document{compiler: jsonschema.NewCompiler(), src: src}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	if d.Document, err = openapi.Decode(text); err != nil {
		t.Fatal(err)
	}
	d.any = value(t, string(text))
	if err := d.compiler.AddResource("openapi.json", d.any); err != nil {
		t.Fatal(err)
	}
	return d
}

// schema is one of the document's, by its name.
func (d *document) schema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	s, err := d.compiler.Compile("openapi.json" + schemas + name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// value reads JSON in the form that the validator takes.
func value(t *testing.T, text string) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v: %.200s", err, text)
	}
	return v
}

func TestDocumentIsOpenAPI(t *testing.T) {
	d := generate(t)
	meta := jsonschema.NewCompiler()
	if err := meta.AddResource("oas.json", value(t, datamodel.OpenAPI31SchemaData)); err != nil {
		t.Fatal(err)
	}
	s, err := meta.Compile("oas.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(d.any); err != nil {
		t.Error(err)
	}
	broken := value(t, `{"openapi":"3.1.1","info":{"title":"x"},"paths":{}}`)
	if s.Validate(broken) == nil {
		t.Error("a document without a version is taken: nothing was checked")
	}
	if len(d.Paths) != len(protocol.Methods())-1+2 { // no hello, but event streams and polls
		t.Errorf("%d paths for %d methods", len(d.Paths), len(protocol.Methods()))
	}
}

// The examples are what the schemas say.
func TestExamplesFitTheSchemas(t *testing.T) {
	d := generate(t)
	story, err := examples.Story()
	if err != nil {
		t.Fatal(err)
	}
	fits := func(schema string, example protocol.Raw) {
		if err := d.schema(t, schema).Validate(value(t, string(example))); err != nil {
			t.Errorf("%s: %v: %s", schema, err, example)
		}
	}
	for _, m := range protocol.Methods() {
		for _, step := range examples.Of(story, m.Name) {
			if step.Error == nil {
				fits(typeName(reflect.TypeOf(m.Params)), step.Params)
				fits(typeName(reflect.TypeOf(m.Result)), step.Result)
			}
		}
	}
	for _, p := range protocol.Pushes() {
		frame, _, _ := examples.Push(story, p.Name)
		var push struct{ Data protocol.Raw }
		if err := json.Unmarshal(frame, &push, json.MatchCaseInsensitiveNames(true)); err != nil {
			t.Errorf("%s: %v", p.Name, err)
			continue
		}
		fits(typeName(reflect.TypeOf(p.Data)), push.Data)
		if p.Event {
			fits("RoomEvent", frame)
		}
	}
}

// At every bound of every param the schema and protocol.Checker say the same.
func TestBoundsAreThoseOfCheck(t *testing.T) {
	d := generate(t)
	compared := 0
	for _, m := range protocol.Methods() {
		name := typeName(reflect.TypeOf(m.Params))
		declared, _ := d.Components.Schemas.Get(name)
		compiled := d.schema(t, name)
		for _, member := range declared.Properties {
			for _, text := range d.probes(member.Name, member.Value) {
				if skip(m.Name, member.Name, text, slices.Contains(declared.Required, member.Name)) {
					continue
				}
				params := with(m.Name, member.Name, text)
				refused := refusedBy(m, member.Name, params)
				invalid := compiled.Validate(value(t, params)) != nil
				compared++
				if refused != invalid {
					t.Errorf("%s %.120s: Check refuses %s: %v, the schema: %v", m.Name, params, member.Name, refused, invalid)
				}
			}
		}
	}
	if compared < 3000 {
		t.Errorf("only %d values were compared", compared)
	}
}

// base are params that are good, as few as there can be. Where one of several must be there, it is one without a bound.
var base = map[string]map[string]string{
	"message.send":   {"data": "1"},
	"message.edit":   {"data": "1"},
	"session.revoke": {"all": "true"},
}

var filled = map[string]string{
	"room": `"r_1"`, "user": `"bob"`, "users": `["bob"]`, "seq": "1", "emoji": `"x"`, "client_id": `"c"`, "kind": `"group"`, "query": `"abc"`,
	"status": `"away"`, "cursors": "{}", "after": "0", "token": `"t"`, "device": `"d"`,
}

// with makes params of a method in which one member has a value.
func with(method, member, text string) string {
	m, _ := protocol.Lookup(method)
	all := maps.Clone(base[method])
	if all == nil {
		all = map[string]string{}
	}
	for _, of := range members(reflect.TypeOf(m.Params)) {
		if !of.optional {
			all[of.name] = filled[of.name]
		}
	}
	all[member] = text
	var b strings.Builder
	for i, name := range slices.Sorted(maps.Keys(all)) {
		b.WriteString(map[bool]string{true: "{", false: ","}[i == 0] + strconv.Quote(name) + ":" + all[name])
	}
	return b.String() + "}"
}

// refusedBy reports whether the server refuses the params for the sake of the member.
func refusedBy(m protocol.Method, member, text string) bool {
	params := m.New()
	err := protocol.DecodeParams(protocol.Raw(text), params)
	if err == nil {
		err = params.Check()
	}
	return err != nil && strings.HasPrefix(err.Field, member)
}

// skip leaves out what the schema does not say: empty is absent in what is optional, which params may not stand together, and the bytes of data.
func skip(method, member, text string, required bool) bool {
	switch {
	case member == "data", member == "token":
		return true
	case text == `""` && (!required || member == "client_id"):
		return member != "client_id" || !required
	case method == "session.revoke" && member != "user":
		return true // exactly one of the others
	case member == "limit" && len(text) > 18:
		return true // no number that Go has
	}
	return false
}

// probes are values at and around every bound that there is, of a type that the schema allows.
func (d *document) probes(name string, s *openapi.Schema) []string {
	if to, ok := strings.CutPrefix(s.Ref, schemas); ok {
		s, _ = d.Components.Schemas.Get(to)
	}
	for _, other := range s.AnyOf {
		if len(other.Types) == 0 {
			return d.probes(name, other)
		}
	}
	sizes := []int{0, 1, 2, 3}
	for _, b := range d.src.bounds {
		if n, err := strconv.Atoi(b.value); err == nil && n <= 20000 {
			sizes = append(sizes, n, n+1)
		}
	}
	slices.Sort(sizes)
	var made []string
	of := ""
	if len(s.Types) > 0 {
		of = s.Types[0]
	}
	switch of {
	case "string":
		made = append(made, `""`, `"a b"`, `"é"`, `"\u007f"`, `"a\nb"`, `"@.:-_"`, `"nonsense"`, "7", "true", "[]", "{}")
		for _, value := range s.Enum {
			made = append(made, strconv.Quote(value))
		}
		prefix := ""
		if name == "avatar" {
			prefix = "https://e/"
			made = append(made, `"https://e/x"`, `"HTTP://e"`, `"ftp://e"`, `"x"`, `"https://"`, `"https:///x"`, `"mailto:a@e"`)
		}
		for _, n := range sizes[1:] {
			made = append(made, strconv.Quote(prefix+strings.Repeat("a", max(0, n-len(prefix)))))
		}
	case "integer":
		made = append(made, "-1", "9223372036854775807", "9223372036854775808", `"1"`, "true")
		for _, n := range sizes {
			made = append(made, strconv.Itoa(n))
		}
	case "boolean":
		made = append(made, "true", "1", `"true"`)
	case "array":
		made = append(made, `"bob"`, "{}", "7")
		for _, n := range sizes {
			if n <= 1001 {
				made = append(made, "["+strings.TrimSuffix(strings.Repeat(item(s.Items)+",", n), ",")+"]")
			}
		}
		for _, item := range d.probes(name, s.Items) {
			made = append(made, "["+item+"]")
		}
	case "object":
		made = append(made, "[]", "7")
		if s.AdditionalProperties != nil {
			for _, n := range []int{0, 1, 999, 1000, 1001} {
				made = append(made, numbered(n))
			}
		}
		for _, member := range s.Properties {
			for _, text := range d.probes(member.Name, member.Value) {
				if member.Name == "rooms" || s.Required == nil {
					made = append(made, fmt.Sprintf(`{"epoch":"e",%q:%s}`, member.Name, text))
				}
			}
		}
	}
	return made
}

// item is a good element of a list.
func item(s *openapi.Schema) string {
	switch {
	case slices.Contains(s.Types, "object"):
		return "{}"
	case s.Ref != "":
		return `"group"`
	}
	return `"bob"`
}

// numbered is an object with n members.
func numbered(n int) string {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := range n {
		fmt.Fprintf(&b, `%s"r_%d":1`, map[bool]string{true: "", false: ","}[i == 0], i)
	}
	b.WriteByte('}')
	return b.String()
}
