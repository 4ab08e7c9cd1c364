package protocol_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/protocol"
)

// The golden files hold an example of everything that goes over the wire. Other implementations read them too.

// goldenMethod is a row of methods.jsonl.
type goldenMethod struct {
	Method string       `json:"method"`
	Params protocol.Raw `json:"params"`
	Result protocol.Raw `json:"result"`
}

// again decodes JSON as the type of sample, of which it must know every member, and encodes it.
func again(t *testing.T, what string, sample any, text protocol.Raw) any {
	t.Helper()
	into := reflect.New(reflect.TypeOf(sample))
	if err := json.Unmarshal(text, into.Interface(), json.RejectUnknownMembers(true)); err != nil {
		t.Errorf("%s: %v", what, err)
		return into.Elem().Interface()
	}
	b, err := json.Marshal(into.Interface(), protocol.Encoding())
	if err != nil || string(b) != string(text) {
		t.Errorf("%s: %v\n%s, want\n%s", what, err, b, text)
	}
	return into.Elem().Interface()
}

func TestGoldenMethods(t *testing.T) { // §4
	seen := map[string]bool{}
	for i, row := range rows[goldenMethod](t, "methods.jsonl") {
		m, ok := protocol.Lookup(row.Method)
		if !ok {
			t.Errorf("%s is no method", row.Method)
			continue
		}
		seen[m.Name] = true
		id := uint64(i + 1)

		line := fmt.Sprintf(`{"id":%d,"method":%q,"params":%s}`, id, m.Name, row.Params)
		call, err := protocol.ParseCall([]byte(line), 0)
		if err != nil || call.ID != id || call.Method != m.Name || string(call.Params) != string(row.Params) {
			t.Errorf("%s: %+v, %v", line, call, err)
		}
		params := m.New()
		if e := protocol.DecodeParams(call.Params, params); e != nil {
			t.Errorf("%s: %v", line, e)
		} else if e := params.Check(); e != nil {
			t.Errorf("%s: %v", line, e)
		}
		again(t, m.Name+" params", m.Params, row.Params)

		result := again(t, m.Name+" result", m.Result, row.Result)
		reply := protocol.AppendResult(nil, id, result)
		if want := fmt.Sprintf(`{"id":%d,"result":%s}`, id, row.Result); string(reply) != want {
			t.Errorf("%s: reply\n%s, want\n%s", m.Name, reply, want)
		}
		f, err := protocol.ParseFrame(reply)
		if err != nil || f.ID != id || string(f.Result) != string(row.Result) {
			t.Errorf("%s: %+v, %v", reply, f, err)
		}
	}
	for _, m := range protocol.Methods() {
		if !seen[m.Name] {
			t.Errorf("%s has no row in methods.jsonl", m.Name)
		}
	}
}

func TestGoldenPushes(t *testing.T) { // §5
	seen := map[protocol.Name]bool{}
	pushes := map[protocol.Name]protocol.Push{
		protocol.SignalHello: {Name: protocol.SignalHello, Data: protocol.HelloResult{}},
	}
	for _, p := range protocol.Pushes() {
		pushes[p.Name] = p
	}
	for _, line := range rows[protocol.Raw](t, "pushes.jsonl") {
		f, err := protocol.ParseFrame(line)
		p, ok := pushes[f.Event]
		if err != nil || !ok {
			t.Errorf("%s: %v, a known push %v", line, err, ok)
			continue
		}
		seen[p.Name] = true
		data := again(t, string(p.Name), p.Data, f.Data)
		var got []byte
		if p.Event {
			got = protocol.AppendEvent(nil, &protocol.Event{Room: f.Room, Seq: f.Seq, Name: f.Event, At: f.At, User: f.User, Data: f.Data})
		} else {
			got = protocol.AppendSignal(nil, f.Event, f.Room, f.User, data)
		}
		if string(got) != string(line) {
			t.Errorf("%s\nwant\n%s", got, line)
		}
	}
	for name := range pushes {
		if !seen[name] {
			t.Errorf("%s has no row in pushes.jsonl", name)
		}
	}
}

func TestGoldenErrors(t *testing.T) { // §3
	seen := map[protocol.Code]bool{}
	for _, line := range rows[protocol.Raw](t, "errors.jsonl") {
		f, err := protocol.ParseFrame(line)
		if err != nil || f.Error == nil {
			t.Errorf("%s: %+v, %v", line, f, err)
			continue
		}
		seen[f.Error.Code] = true
		if got := protocol.AppendError(nil, f.ID, f.Error); string(got) != string(line) {
			t.Errorf("%s\nwant\n%s", got, line)
		}
	}
	for _, c := range protocol.Codes() {
		if !seen[c.Code] {
			t.Errorf("%s has no row in errors.jsonl", c.Code)
		}
	}
}

// The table says the truth about the params: a client_id exactly where one is taken.
func TestTheTableAgreesWithTheTypes(t *testing.T) {
	for _, m := range protocol.Methods() {
		_, has := reflect.TypeOf(m.Params).FieldByName("ClientID")
		if has != (m.ClientID != protocol.None) {
			t.Errorf("%s: client_id in the table %v, in its params %v", m.Name, m.ClientID != protocol.None, has)
		}
	}
}
