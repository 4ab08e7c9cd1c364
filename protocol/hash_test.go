package protocol_test

import (
	"encoding/hex"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-im/parley/protocol"
)

// hashOf decodes params as a call of the method would, and hashes them.
func hashOf(t testing.TB, method, params string) [16]byte {
	t.Helper()
	m, ok := protocol.Lookup(method)
	if !ok {
		t.Fatalf("no method %s", method)
	}
	into := m.New()
	if e := protocol.DecodeParams(protocol.Raw(params), into); e != nil {
		t.Fatalf("%s %s: %v", method, params, e)
	}
	return protocol.ContentHash(method, into)
}

func TestContentHashOfEqualContent(t *testing.T) { // §4
	for _, tt := range []struct{ method, a, b string }{
		{"message.send", `{"room":"r","client_id":"1","text":"hi"}`, `{"text":"\u0068i","client_id":"2","room":"r","unknown":1}`},
		{"message.send", `{"room":"r","text":"hi"}`, `{"room":"r","text":"hi","data":null,"attachments":[],"mentions":[],"reply_to":0}`},
		{"message.send", `{"room":"r","text":"hi"}`, `{"room":"r","text":"hi","data":{ },"attachments":null,"mentions":null,"reply_to":null}`},
		{"message.send", `{"room":"r","data":{"a":[1,{"x":1,"y":2}],"b":1e2}}`, `{"room":"r","text":"","data":{"b":100.0,"a":[1.0,{"y":2,"x":1}]}}`},
		{"message.send", `{"room":"r","data":"\/"}`, `{"room":"r","data":"/"}`},
		{"message.edit", `{"room":"r","seq":1,"text":"a"}`, `{"room":"r","seq":1,"text":"a","data":null}`},
		{"room.create", `{"kind":"group"}`, `{"kind":"group","name":"","members":[],"settings":{},"data":null}`},
		{"member.add", `{"room":"r","users":["a","b"]}`, `{"users":["a","b"],"room":"r"}`},
	} {
		if hashOf(t, tt.method, tt.a) != hashOf(t, tt.method, tt.b) {
			t.Errorf("%s: not the same content:\n%s\n%s", tt.method, tt.a, tt.b)
		}
	}
}

func TestContentHashOfOtherContent(t *testing.T) { // §4
	seen := map[[16]byte]string{}
	for _, call := range []struct{ method, params string }{
		{"message.send", `{"room":"r","text":"hi"}`},
		{"message.send", `{"room":"s","text":"hi"}`},
		{"message.send", `{"room":"r","text":"hi "}`},
		{"message.send", `{"room":"r","text":"hi","reply_to":1}`},
		{"message.send", `{"room":"r","text":"hi","mentions":["a"]}`},
		{"message.send", `{"room":"r","text":"hi","mentions":["a","b"]}`},
		{"message.send", `{"room":"r","text":"hi","mentions":["b","a"]}`},
		{"message.send", `{"room":"r","text":"hi","data":1}`},
		{"message.send", `{"room":"r","text":"hi","data":"1"}`},
		{"message.send", `{"room":"r","text":"hi","data":false}`},
		{"message.send", `{"room":"r","text":"hi","data":[null]}`},
		{"message.send", `{"room":"r","text":"hi","data":{"a":null}}`},
		{"message.send", `{"room":"r","text":"hi\n\"room\":\"r\""}`},
		{"message.edit", `{"room":"r","seq":1,"text":"hi"}`},
		{"message.delete", `{"room":"r","seq":1}`},
		{"reaction.add", `{"room":"r","seq":1,"emoji":"x"}`},
		{"reaction.remove", `{"room":"r","seq":1,"emoji":"x"}`},
		{"member.update", `{"room":"r","user":"a","role":"admin"}`},
		{"room.update", `{"room":"r","settings":{"receipts":false}}`},
		{"room.update", `{"room":"r","settings":{"receipts":null}}`},
	} {
		sum := hashOf(t, call.method, call.params)
		if other, twice := seen[sum]; twice {
			t.Errorf("the same content:\n%s\n%s", other, call.params)
		}
		seen[sum] = call.params
	}
}

// The hash is stored beside the event for 90 days, so that a release that computed it in another way would answer repeats with conflict.
func TestContentHashStaysAsItIs(t *testing.T) {
	for _, tt := range []struct{ method, params, want string }{
		{"message.send", `{"room":"r_1","client_id":"c","text":"hé\n"}`, "bc261dcef181ed17da0c96fb67840e82"},
		{"message.send", `{"room":"r_1","client_id":"c","text":"x","data":{"b":1,"a":[]},"mentions":["bob"]}`, "a9d5a4a6df35ac644ea3523cf7a9d952"},
	} {
		sum := hashOf(t, tt.method, tt.params)
		if got := hex.EncodeToString(sum[:]); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.params, got, tt.want)
		}
	}
}

// A message of text alone takes a short way, which must end where the long one does.
func TestContentHashByTheShortWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &protocol.MessageSendParams{
			Room:     rapid.String().Draw(t, "room"),
			ClientID: rapid.String().Draw(t, "client_id"),
			Text:     rapid.String().Draw(t, "text"),
		}
		short := protocol.ContentHash(protocol.MessageSend, p)
		p.Data = protocol.Raw(`null`) // says nothing, but is not plain
		if long := protocol.ContentHash(protocol.MessageSend, p); short != long {
			t.Fatalf("%x by the short way, %x by the long one", short, long)
		}
	})
}

func BenchmarkContentHash(b *testing.B) {
	p := &protocol.MessageSendParams{Room: "r_01hzy8x4k2", ClientID: "0b7e3a52", Text: "Shall we meet at noon at the usual place?"}
	for _, bench := range []struct {
		name string
		data protocol.Raw
	}{{"text", nil}, {"data", protocol.Raw(`{"kind":"poll","options":["a","b"]}`)}} {
		b.Run(bench.name, func(b *testing.B) {
			p.Data = bench.data
			b.ReportAllocs()
			for b.Loop() {
				protocol.ContentHash(protocol.MessageSend, p)
			}
		})
	}
}
