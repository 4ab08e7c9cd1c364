package e2e

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// TestMessageBounds sends messages at and beyond every bound of §4.3 and §5, as JSON that no encoder would write.
func TestMessageBounds(t *testing.T) {
	t.Parallel()
	for _, c := range clusters() {
		t.Run(c.name, func(t *testing.T) { messageBounds(t, c.start(t)[0]) })
	}
}

func messageBounds(t *testing.T, s *server) {
	b := s.backend()
	room := b.newRoom("group", "alice", "bob")
	alice := s.caller("alice")
	deleted := alice.session.send(room, "deleted", "soon gone")
	alice.session.call("message.delete", object{"room": room, "seq": deleted})
	here := alice.session.send(room, "here", "still here")

	for i, c := range boundCases(here, deleted) {
		params := fmt.Sprintf(`{"room":%q,"client_id":"case %d"%s}`, room, i, c.params)
		_, body := alice.ask(t, s, "message.send", json.RawMessage(params))
		if got := verdict(body); got != c.want {
			t.Errorf("%s: %s was expected, this came: %.300s", c.name, c.want, body)
		}
		_, err := alice.session.try("message.send", json.RawMessage(params))
		if got := wireVerdict(asWireError(err)); got != c.want {
			t.Errorf("%s, over the socket: %s was expected, this came: %v", c.name, c.want, err)
		}
	}
	for name, c := range map[string]struct{ params, want string }{
		"no client_id":               {`"text":"x"`, "bad_request client_id"},
		"the longest client_id":      {`"text":"x","client_id":"` + letters(64) + `"`, "ok"},
		"a longer client_id":         {`"text":"x","client_id":"` + letters(65) + `"`, "bad_request client_id"},
		"a client_id beyond ASCII":   {`"text":"x","client_id":"é"`, "bad_request client_id"},
		"a client_id of two lines":   {`"text":"x","client_id":"a\nb"`, "bad_request client_id"},
		"a client_id that is a null": {`"text":"x","client_id":null`, "bad_request client_id"},
	} {
		if _, body := alice.ask(t, s, "message.send", json.RawMessage(fmt.Sprintf(`{"room":%q,%s}`, room, c.params))); verdict(body) != c.want {
			t.Errorf("%s: %s was expected, this came: %.300s", name, c.want, body)
		}
	}
	keptAsSent(t, s, alice, room)
}

// boundCase is a message at a bound or beyond it: its params but for room and client_id, and the verdict.
type boundCase struct{ name, params, want string }

func letters(n int) string { return strings.Repeat("x", n) }

// boundCases are about a room in which one message is to be replied to and another was deleted.
func boundCases(here, deleted uint64) []boundCase {
	users := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf(`"user%d"`, i)
		}
		return "[" + strings.Join(list, ",") + "]"
	}
	attachments := func(n int) string { return "[" + strings.Repeat("{},", n-1) + "{}]" }
	return []boundCase{
		{"nothing", ``, "bad_request text"},
		{"nothing but empty things", `,"text":"","data":null,"attachments":[]`, "bad_request text"},
		{"only empty data", `,"data":{}`, "bad_request text"},
		{"only white space", `,"text":" "`, "ok"},
		{"the longest text", `,"text":"` + letters(8192) + `"`, "ok"},
		{"a longer text", `,"text":"` + letters(8193) + `"`, "too_large text"},
		{"the longest text in bytes, not characters", `,"text":"` + strings.Repeat("é", 4096) + `"`, "ok"},
		{"a longer text in bytes", `,"text":"` + strings.Repeat("é", 4096) + `x"`, "too_large text"},
		{"the longest text, written in escapes", `,"text":"` + strings.Repeat(`\u00e9`, 4096) + `"`, "ok"},
		{"U+0000", `,"text":"a\u0000b"`, "bad_request text"},
		{"a control character", `,"text":"a\u0001\u001f\u007f\u2028b"`, "ok"},
		{"a lone surrogate", `,"text":"\ud800"`, "bad_request text"},
		{"surrogates in the wrong order", `,"text":"\udc00\ud800"`, "bad_request text"},
		{"a pair of surrogates", `,"text":"\ud83d\ude00"`, "ok"},
		{"not a character, but a code point", `,"text":"\uffff\ufffe"`, "ok"},
		{"a number for a text", `,"text":7`, "bad_request text"},
		{"the largest data", `,"data":"` + letters(16<<10-2) + `"`, "ok"},
		{"larger data", `,"data":"` + letters(16<<10-1) + `"`, "too_large data"},
		{"the largest data with white space", `,"data": [ ` + strings.Repeat(" ", 30_000) + `"` + letters(16<<10-4) + `" ]`, "ok"},
		{"data that is no object", `,"data":false`, "ok"},
		{"large numbers", `,"data":{"n":12345678901234567890123456789.10e-400}`, "ok"},
		{"U+0000 in data", `,"data":{"a\u0000":"\u0000"}`, "ok"},
		{"a lone surrogate in data", `,"data":{"a":"\ud800"}`, "bad_request data"},
		{"a name twice in data", `,"data":{"a":[{"b":1,"b":1}]}`, "bad_request data"},
		{"ten attachments", `,"attachments":` + attachments(10), "ok"},
		{"eleven attachments", `,"attachments":` + attachments(11), "too_large attachments"},
		{"attachments that are no objects", `,"attachments":["x"]`, "bad_request attachments"},
		{"fifty mentions", `,"text":"x","mentions":` + users(50), "ok"},
		{"fifty-one mentions", `,"text":"x","mentions":` + users(51), "too_large mentions"},
		{"a mention that is no user", `,"text":"x","mentions":["no user"]`, "bad_request mentions"},
		{"only mentions", `,"mentions":["bob"]`, "bad_request text"},
		{"a reply", fmt.Sprint(`,"text":"x","reply_to":`, here), "ok"},
		{"a reply to nothing", `,"text":"x","reply_to":999999`, "not_found reply_to"},
		{"a reply to what is no message", `,"text":"x","reply_to":1`, "not_found reply_to"},
		{"a reply to a deleted message", fmt.Sprint(`,"text":"x","reply_to":`, deleted), "not_found reply_to"},
		{"a reply to the end of numbers", `,"text":"x","reply_to":9223372036854775807`, "not_found reply_to"},
		{"a reply to what is no seq", `,"text":"x","reply_to":1.5`, "bad_request reply_to"},
		{"a reply to less than nothing", `,"text":"x","reply_to":-1`, "bad_request reply_to"},
	}
}

// keptAsSent looks at what becomes of content: text byte for byte, data as it was but for white space, mentions without doubles.
func keptAsSent(t *testing.T, s *server, alice *caller, room string) {
	t.Helper()
	const (
		text = `"\r\n\u0001 \"é\" \ud83d\ude00 <b>&amp;</b> \u2028 a\u0301 "`
		data = `{ "z" : 1.50e+2 , "a" : [ 1 , 12345678901234567890123 , "\u0000" ] , "é" : "è" }`
		kept = `{"z":1.50e+2,"a":[1,12345678901234567890123,"\u0000"],"é":"è"}`
	)
	params := fmt.Sprintf(`{"room":%q,"client_id":"kept","text":%s,"data":%s,"mentions":["bob","nobody","bob","alice"]}`, room, text, data)
	seq := uint64(alice.session.call("message.send", json.RawMessage(params))["seq"].(float64))
	f := alice.session.expect("the message", event(room, seq))
	var pushed struct {
		Text     string
		Data     json.RawMessage
		Mentions []string
	}
	if err := json.Unmarshal(f.Data, &pushed); err != nil {
		t.Fatal(err)
	}
	var want string
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	if pushed.Text != want || string(pushed.Data) != kept || !reflect.DeepEqual(pushed.Mentions, []string{"bob", "nobody", "alice"}) {
		t.Errorf("the message became %s", f.Data)
	}
	_, body := alice.ask(t, s, "message.list", object{"room": room, "around": seq, "limit": 1})
	var list struct {
		Messages []struct {
			Text     string
			Data     json.RawMessage
			Mentions []string
		}
	}
	if err := json.Unmarshal(body, &list); err != nil || len(list.Messages) != 1 {
		t.Fatalf("%v: %s", err, body)
	}
	if m := list.Messages[0]; m.Text != want || string(m.Data) != kept || len(m.Mentions) != 3 {
		t.Errorf("the message is listed as %s", body)
	}
}
