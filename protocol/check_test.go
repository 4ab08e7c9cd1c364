package protocol_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/parley-im/parley/protocol"
)

// judge decodes and checks params as a server does.
func judge(t testing.TB, method, params string) (protocol.Checker, *protocol.Error) {
	t.Helper()
	m, ok := protocol.Lookup(method)
	if !ok {
		t.Fatalf("no method %s", method)
	}
	into := m.New()
	if e := protocol.DecodeParams(protocol.Raw(params), into); e != nil {
		return into, e
	}
	return into, into.Check()
}

func TestBadParamsAreRefused(t *testing.T) { // §3, §4, §5
	for _, tt := range rows[badParams](t, "bad_params.jsonl") {
		shown := tt.Params[:min(len(tt.Params), 120)]
		_, e := judge(t, tt.Method, tt.Params)
		if e == nil || string(e.Code) != tt.Want || e.Field != tt.Field {
			t.Errorf("%s %s: %v; want %s (%s)", tt.Method, shown, e, tt.Want, tt.Field)
		} else if e.Message == "" || len(e.Message) > 400 {
			t.Errorf("%s %s: message %q", tt.Method, shown, e.Message)
		}
	}
}

func TestGoodParamsPass(t *testing.T) { // §3, §4, §5
	long := func(n int, s string) string { return `"` + strings.Repeat(s, n) + `"` }
	for _, tt := range []struct{ method, params string }{
		{"session.ticket", ``},
		{"session.ticket", ` `},
		{"session.ticket", ` {"unknown":{"a":"\u0000"}} `},
		{"hello", `{"token":"","device":" ~","resume":{"rooms":{"r":0,"s":9007199254740991}},"rooms":"none"}`},
		{"message.send", `{"room":"","room ":1,"room":"any thing","client_id":"c","text":" "}`[:0] + `{"room":"any thing","client_id":" ","text":" "}`},
		{"message.send", `{"room":"r","client_id":"c","text":` + long(protocol.MaxTextBytes/2, "é") + `}`},
		{"message.send", `{"room":"r","client_id":"c","data":` + long(protocol.MaxDataBytes-2, "x") + `}`},
		{"message.send", `{"room":"r","client_id":"c","data":[` + strings.Repeat(" ", protocol.MaxDataBytes) + `1]}`},
		{"message.send", `{"room":"r","client_id":"c","data":0}`},
		{"message.send", `{"room":"r","client_id":"c","data":{"a":"\u0000","b":1e999}}`},
		{"message.send", `{"room":"r","client_id":"c","data":` + strings.Repeat("[", 62) + strings.Repeat("]", 62) + `}`},
		{"message.send", `{"room":"r","client_id":"c","text":"\\u0000 \ud83d\ude00"}`},
		{"message.send", `{"room":"r","client_id":"c","attachments":[{},{"url":"x"}],"mentions":["a","a","A-Z_0.9:@"]}`},
		{"message.edit", `{"room":"r","seq":1,"text":null}`},
		{"message.edit", `{"room":"r","seq":1,"attachments":null}`},
		{"message.list", `{"room":"r","around":0,"limit":1000000}`},
		{"message.search", `{"query":` + long(20_000, "x") + `}`},
		{"message.search", `{}`},
		{"member.update", `{"room":"r","user":"a","muted_until":null}`},
		{"member.update", `{"room":"r","user":"a","muted_until":"2030-01-01T00:00:00+02:00"}`},
		{"receipt.delivered", `{"cursors":{}}`},
		{"receipt.read", `{"room":"r","seq":9223372036854775807}`},
		{"room.update", `{"room":"r"}`},
		{"room.update", `{"room":"r","name":` + long(protocol.MaxNameChars, "😀") + `,"settings":null,"avatar":"http://x"}`},
		{"room.create", `{"kind":"direct","members":["b"],"settings":{"history":null,"slow_mode_s":86400}}`},
		{"presence.subscribe", `{"users":[]}`},
		{"session.revoke", `{"all":true,"session":null}`},
	} {
		if _, e := judge(t, tt.method, tt.params); e != nil {
			t.Errorf("%s %.120s: %v", tt.method, tt.params, e)
		}
	}
}

func TestEveryMethodChecksItsParams(t *testing.T) {
	for _, m := range protocol.Methods() {
		_ = m.New().Check() // New panics for params without a check
	}
}

func TestNullIsAbsent(t *testing.T) { // §4
	got, e := judge(t, "message.send", `{"room":"r","client_id":"c","text":"x","data":null,"attachments":null,"mentions":null,"reply_to":null}`)
	if p := got.(*protocol.MessageSendParams); e != nil || p.Data != nil || p.Attachments != nil || p.Mentions != nil || p.ReplyTo != 0 {
		t.Errorf("%+v, %v", p, e)
	}
}

func TestDecodedParamsAreTheirOwn(t *testing.T) {
	params := protocol.Raw(`{"room":"r","client_id":"c","text":"hello","data":{"a":1}}`)
	var p protocol.MessageSendParams
	if e := protocol.DecodeParams(params, &p); e != nil {
		t.Fatal(e)
	}
	for i := range params {
		params[i] = 'x'
	}
	if p.Room != "r" || p.Text != "hello" || string(p.Data) != `{"a":1}` {
		t.Errorf("%+v", p)
	}
}

func TestCompactKeepsWhatWasSent(t *testing.T) { // §4.3
	for in, want := range map[string]string{
		` { "b" : 1.0 , "a" : [ "x  \u0041" ,1e2] } `: `{"b":1.0,"a":["x  \u0041",1e2]}`,
		`{"a":1}`: `{"a":1}`,
		`"a b"`:   `"a b"`,
		``:        ``,
	} {
		if got := protocol.Compact(protocol.Raw(in)); string(got) != want {
			t.Errorf("Compact(%s) = %s, want %s", in, got, want)
		}
	}
}

func TestBlank(t *testing.T) { // §4
	for _, v := range []string{"", " ", "null", `""`, "[]", "[ ]", " {} ", "{\n}"} {
		if !protocol.Blank(protocol.Raw(v)) {
			t.Errorf("%q says something", v)
		}
	}
	for _, v := range []string{"0", "false", `" "`, "[null]", `{"a":null}`} {
		if protocol.Blank(protocol.Raw(v)) {
			t.Errorf("%q says nothing", v)
		}
	}
}

func TestDistinctKeepsTheOrder(t *testing.T) { // §4.3
	if got := protocol.Distinct([]string{"b", "a", "b", "c", "a"}); !slices.Equal(got, []string{"b", "a", "c"}) {
		t.Error(got)
	}
}

func TestClampCutsLargerLimits(t *testing.T) { // §4.3
	for _, tt := range [][2]int{{0, 50}, {1, 1}, {200, 200}, {201, 200}} {
		if got := protocol.Clamp(tt[0], 50, 200); got != tt[1] {
			t.Errorf("Clamp(%d) = %d, want %d", tt[0], got, tt[1])
		}
	}
}

func BenchmarkDecodeParams(b *testing.B) {
	params := protocol.Raw(`{"room":"r_01hzy8x4k2","client_id":"0b7e3a52-6f0a-4d3e-9a56","text":"Shall we meet at noon at the usual place?"}`)
	b.ReportAllocs()
	for b.Loop() {
		var p protocol.MessageSendParams
		if e := protocol.DecodeParams(params, &p); e != nil {
			b.Fatal(e)
		}
		if e := p.Check(); e != nil {
			b.Fatal(e)
		}
	}
}
