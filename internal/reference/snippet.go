package reference

import (
	"fmt"
	"go/format"
	"html/template"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/parley-im/parley/protocol"
	"github.com/parley-im/parley/protocol/examples"
)

// languages are the forms of a call, the first being shown unless another is chosen.
func languages() []language {
	return []language{{"curl", "curl"}, {"websocket", "WebSocket"}, {"typescript", "TypeScript"}, {"go", "Go"}}
}

// write is the call of a step in a language. Over HTTP there is no hello: it is shown as its frame.
func write(language string, m protocol.Method, step examples.Step) (string, error) {
	if m.Name == protocol.Hello && language != "go" {
		language = "websocket"
	}
	switch language {
	case "curl":
		return writeCurl(m, step), nil
	case "typescript":
		return writeTypeScript(m, step), nil
	case "go":
		return writeGo(m, step)
	}
	return indented(fmt.Appendf(nil, `{"id":1,"method":%q,"params":%s}`, m.Name, step.Params)), nil
}

func writeCurl(m protocol.Method, step examples.Step) string {
	var b strings.Builder
	fmt.Fprintf(&b, "curl http://127.0.0.1:8080/v1/%s \\\n", m.Name)
	if step.As == "" {
		b.WriteString(`  -H "Authorization: Bearer $KEY"`)
	} else {
		b.WriteString(`  -H "Authorization: Bearer $TOKEN"`)
	}
	if m.Session {
		b.WriteString(" \\\n  -H \"Parley-Session: $SESSION\"")
	}
	fmt.Fprintf(&b, " \\\n  -d '%s'", strings.NewReplacer("'", `'\''`, "\n", "\n  ").Replace(indented(step.Params)))
	return b.String()
}

func writeTypeScript(m protocol.Method, step examples.Step) string {
	credential := "token"
	if step.As == "" {
		credential = "key"
	}
	session := ""
	if m.Session {
		session = `, "Parley-Session": session`
	}
	return fmt.Sprintf("const params: Methods[%q][\"params\"] = %s;\nconst answer = await fetch(`${url}/v1/%s`, {\n  method: \"POST\",\n"+
		"  headers: { Authorization: `Bearer ${%s}`%s },\n  body: JSON.stringify(params),\n});\n"+
		"const result: Methods[%[1]q][\"result\"] = await answer.json();", m.Name, indented(step.Params), m.Name, credential, session)
}

// writeGo is a call with the Go SDK.
func writeGo(m protocol.Method, step examples.Step) (string, error) {
	params := m.New()
	if err := protocol.DecodeParams(step.Params, params); err != nil {
		return "", fmt.Errorf("%s: %w", m.Name, err)
	}
	if m.Name == protocol.Hello {
		p := params.(*protocol.HelloParams)
		more := ""
		if p.Rooms != "" {
			more += fmt.Sprintf("\n\tRooms: %q,", p.Rooms)
		}
		if p.Resume != nil {
			more += "\n\tResume: &kept, // from Client.Positions"
		}
		return fmt.Sprintf("c, err := client.Connect(ctx, client.Options{\n\tURL:    url,\n\tToken:  token, // asks the back end for one\n\tDevice: %q,%s\n})",
			p.Device, more), nil
	}
	declared, into := "", "nil"
	if result := reflect.TypeOf(m.Result); result != reflect.TypeFor[protocol.Empty]() {
		declared, into = "var result protocol."+result.Name()+"\n", "&result"
	}
	literal := "nil"
	if v := reflect.ValueOf(params).Elem(); v.NumField() > 0 {
		literal = goLiteral(v, "")
	}
	source, err := format.Source(fmt.Appendf(nil, "%serr := c.Call(ctx, %q, %s, %s)", declared, m.Name, literal, into))
	return string(source), err
}

// goLiteral writes a value of package protocol as Go source.
func goLiteral(v reflect.Value, indent string) string {
	switch v.Kind() {
	case reflect.Pointer:
		if v.Elem().Kind() == reflect.Struct {
			return "&" + goLiteral(v.Elem(), indent)
		}
		return "new(" + goType(v.Type().Elem()) + "(" + goLiteral(v.Elem(), indent) + "))"
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[protocol.Raw]() {
			return "protocol.Raw(`" + string(v.Bytes()) + "`)"
		}
		var items []string
		for i := range v.Len() {
			items = append(items, goLiteral(v.Index(i), indent))
		}
		return goType(v.Type()) + "{" + strings.Join(items, ", ") + "}"
	case reflect.Map:
		var items []string
		for _, key := range v.MapKeys() {
			items = append(items, goLiteral(key, indent)+": "+goLiteral(v.MapIndex(key), indent))
		}
		return goType(v.Type()) + "{" + strings.Join(items, ", ") + "}"
	case reflect.Struct:
		if null := v.FieldByName("Null"); null.IsValid() && null.Bool() {
			return goType(v.Type()) + "{Set: true, Null: true}"
		} else if null.IsValid() {
			return "protocol.Some(" + typed(v.FieldByName("Value"), indent) + ")"
		}
		var b strings.Builder
		b.WriteString(goType(v.Type()) + "{\n")
		for field, value := range v.Fields() {
			if !value.IsZero() {
				b.WriteString(indent + "\t" + field.Name + ": " + goLiteral(value, indent+"\t") + ",\n")
			}
		}
		return b.String() + indent + "}"
	case reflect.String:
		return strconv.Quote(v.String())
	}
	return fmt.Sprint(v.Interface())
}

// typed is a literal whose type can be seen from it.
func typed(v reflect.Value, indent string) string {
	literal := goLiteral(v, indent)
	if v.Kind() != reflect.Struct && v.Kind() != reflect.Slice && v.Type() != reflect.TypeFor[string]() && v.Type() != reflect.TypeFor[bool]() {
		return goType(v.Type()) + "(" + literal + ")"
	}
	return literal
}

// goType is the name of a type as another package writes it.
func goType(t reflect.Type) string {
	return strings.ReplaceAll(strings.ReplaceAll(t.String(), "github.com/parley-im/parley/", ""), "jsontext.Value", "protocol.Raw")
}

// typeName is the name of a type in the document.
func typeName(of any) string { return reflect.TypeOf(of).Name() }

func errorBody(e *protocol.Error) protocol.Raw {
	b, err := json.Marshal(map[string]*protocol.Error{"error": e}, protocol.Encoding())
	if err != nil {
		panic(err) // errors are made of strings and numbers
	}
	return b
}

// indented is JSON as people read it. Short objects and arrays stay on their line.
func indented(raw protocol.Raw) string {
	v := append(protocol.Raw(nil), raw...)
	if err := v.Indent(jsontext.WithIndent("  ")); err != nil {
		return string(raw)
	}
	return short.ReplaceAllStringFunc(string(v), func(text string) string {
		if line := spaces.ReplaceAllString(text, " "); len(line) <= 72 {
			return line
		}
		return text
	})
}

var (
	short  = regexp.MustCompile(`\{[^{}\[\]]*\}|\[[^{}\[\]]*\]`)
	spaces = regexp.MustCompile(`\s*\n\s*`)
	tokens = regexp.MustCompile("\"(?:[^\"\\\\\\n]|\\\\.)*\"(\\s*:)?|`[^`]*`|\\b(?:const|await|var|new|true|false|null|nil|err|curl)\\b|\\b\\d+\\b|//[^\\n]*")
)

// highlight marks strings, names, numbers and words of code, whatever the language: each only with a class.
func highlight(code string) template.HTML {
	var b strings.Builder
	last := 0
	for _, at := range tokens.FindAllStringSubmatchIndex(code, -1) {
		text := code[at[0]:at[1]]
		class := "w"
		switch {
		case strings.HasPrefix(text, "//"):
			if at[0] > 0 && code[at[0]-1] == ':' {
				continue // of a URL
			}
			class = "c"
		case at[2] >= 0:
			class = "k"
		case text[0] == '"' || text[0] == '`':
			class = "s"
		case text[0] >= '0' && text[0] <= '9':
			class = "n"
		}
		b.WriteString(template.HTMLEscapeString(code[last:at[0]]))
		fmt.Fprintf(&b, `<span class="%s">%s</span>`, class, template.HTMLEscapeString(text))
		last = at[1]
	}
	return template.HTML(b.String() + template.HTMLEscapeString(code[last:]))
}
