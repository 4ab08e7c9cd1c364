package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// nested is a value of so many arrays within each other.
func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

// badFrame is a message of a client that is wrong, and what becomes of it: replies in the words of the table ("id code field" or "id ok"), and the code
// with which the session ends, 0 if it goes on.
type badFrame struct {
	name    string
	message string
	replies []string
	code    int
}

func badFrames() []badFrame {
	const call = `{"id":2,"method":"user.get","params":{"users":["alice"]}}`
	return []badFrame{
		{"not JSON", "nonsense", nil, 4400},
		{"an array of calls", "[" + call + "]", nil, 4400},
		{"what came before is carried out", call + "\n" + `{"id":3,"method":"room.list"}` + "\nnonsense\n" + call, []string{"2 ok", "3 ok"}, 4400},
		{"empty lines", "\n\n" + call + "\n\r\n\n", []string{"2 ok"}, 0},
		{"two frames in a line", call + call, nil, 4400},
		{"an id that is a text", `{"id":"2","method":"room.list"}`, nil, 4400},
		{"the largest id", `{"id":9007199254740991,"method":"room.list"}`, []string{"9007199254740991 ok"}, 0},
		{"a larger id", `{"id":9007199254740992,"method":"room.list"}`, nil, 4400},
		{"a reply", `{"id":2,"result":{}}`, []string{"2 bad_request method"}, 0},
		{"an event is a heartbeat", `{"event":"message.created","room":"r","seq":1}`, nil, 0},
		{"unknown members", `{"id":2,"method":"user.get","jsonrpc":"2.0","params":{"users":["alice"],"more":[{}]}}`, []string{"2 ok"}, 0},
		{"no method", `{"id":2,"params":{}}`, []string{"2 bad_request method"}, 0},
		{"an unknown method", `{"id":2,"method":"room.explode"}`, []string{"2 bad_request method"}, 0},
		{"a method in capitals", `{"id":2,"method":"Room.List"}`, []string{"2 bad_request method"}, 0},
		{"a method that is no text", `{"id":2,"method":["room.list"]}`, []string{"2 bad_request method"}, 0},
		{"a very long method", `{"id":2,"method":"` + strings.Repeat("m", 60_000) + `"}`, []string{"2 bad_request method"}, 0},
		{"params that are an array", `{"id":2,"method":"user.get","params":["alice"]}`, []string{"2 bad_request params"}, 0},
		{"params that are null", `{"id":2,"method":"user.get","params":null}`, []string{"2 bad_request params"}, 0},
		{"no params", `{"id":2,"method":"room.list"}`, []string{"2 ok"}, 0},
		{"a second hello", `{"id":2,"method":"hello","params":{"token":"x","device":"d"}}`, []string{"2 bad_request method"}, 0},
		{"a method twice", `{"id":2,"method":"room.list","method":"room.list"}`, []string{"2 bad_request method"}, 0},
		{"a param twice", `{"id":2,"method":"user.get","params":{"users":["alice"],"users":["bob"]}}`, []string{"2 bad_request users"}, 0},
		{"nested as deep as may be", `{"id":2,"method":"room.list","params":{"x":` + nested(62) + `}}`, []string{"2 ok"}, 0},
		{"nested deeper", `{"id":2,"method":"room.list","params":{"x":` + nested(63) + `}}`, []string{"2 bad_request x"}, 0},
		{"nested very deep", `{"id":2,"method":"room.list","params":{"x":` + nested(30_000) + `}}`, []string{"2 bad_request x"}, 0},
		{"nested very deep, and not JSON", `{"id":2,"method":"room.list","params":` + strings.Repeat(`{"x":[`, 10_000), nil, 4400},
		{"nothing asked, nothing answered", `{"method":"user.get","params":{"users":[]}}`, nil, 0},
		{"a fault that cannot be answered", `{"method":7}`, nil, 4400},
	}
}

// TestBadFrames sends every kind of frame that is none to the real server: a clear answer or a clear end, and never more (§2.1).
func TestBadFrames(t *testing.T) {
	t.Parallel()
	s := start(t, unlimited...)
	token := s.token("alice")
	check := func(t *testing.T, bad badFrame) {
		c := s.raw()
		c.hello(token, t.Name()[max(0, len(t.Name())-60):])
		c.text(bad.message)
		if bad.code == 0 {
			bad.replies = append(bad.replies, "4444 ok")
			c.text(`{"id":4444,"method":"room.browse"}`)
			c.text("") // a message without a frame is none
			defer c.Close()
		}
		for _, want := range bad.replies {
			f, err := c.frame()
			if got := fmt.Sprint(f.ID, " ", wireVerdict(f.Error)); got != want || err != nil {
				t.Fatalf("the reply is %s (%v), %v; %s was expected", got, f.Error, err, want)
			}
		}
		if bad.code != 0 {
			c.wantEnd(t, bad.code)
		}
	}
	for _, bad := range badFrames() {
		t.Run(bad.name, func(t *testing.T) { check(t, bad) })
	}
	for i, line := range corpus(t, "bad_frames.jsonl") {
		var entry struct {
			Why, Frame, Want, Field string
			ID                      int
		}
		if err := json.Unmarshal(line, &entry); err != nil {
			t.Fatal(err)
		}
		bad := badFrame{name: fmt.Sprint("corpus ", i+1), message: entry.Frame}
		if entry.Want == "4400" {
			bad.code = 4400
		} else {
			bad.replies = []string{strings.TrimSpace(fmt.Sprint(entry.ID, " ", entry.Want, " ", entry.Field))}
		}
		if entry.Frame != "" { // an empty line is no frame
			t.Run(bad.name, func(t *testing.T) { check(t, bad) })
		}
	}
}

// wantEnd reads to the end of a connection that the server closes, with `closing` before the close frame and nothing else.
func (c *rawConn) wantEnd(t *testing.T, code int) {
	t.Helper()
	frames, closing, closed := c.ending()
	if closing != code || closed != code || len(frames) != 1 {
		t.Errorf("the session ended with closing %d and the code %d, after %+v; %d was expected", closing, closed, frames, code)
	}
}

// corpus are the lines of a file of the protocol's examples.
func corpus(t *testing.T, name string) [][]byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "protocol", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSpace(text), []byte("\n"))
}

// TestBadBeginnings is about what comes before hello, and a hello that is refused (§2.1, §3).
func TestBadBeginnings(t *testing.T) {
	t.Parallel()
	s := start(t, unlimited...)
	key := s.key("hello")
	for _, c := range []struct {
		name, message, reply string
		code                 int // 0: one may try again
	}{
		{"a call before hello", `{"id":5,"method":"room.list"}`, "unauthenticated", 4401},
		{"an unknown method before hello", `{"id":5,"method":"nope"}`, "unauthenticated", 4401},
		{"a hello without an id", `{"method":"hello","params":{"token":"x","device":"d"}}`, "", 4400},
		{"not a frame", "hello", "", 4400},
		{"no token", `{"id":5,"method":"hello","params":{"device":"d"}}`, "unauthenticated", 4401},
		{"a token that is none", `{"id":5,"method":"hello","params":{"token":"x","device":"d"}}`, "unauthenticated", 4401},
		{"a token of another type", `{"id":5,"method":"hello","params":{"token":7,"device":"d"}}`, "unauthenticated token", 4401},
		{"an API key", `{"id":5,"method":"hello","params":{"token":"` + key + `","device":"d"}}`, "unauthenticated", 4401},
		{"no device", `{"id":5,"method":"hello","params":{"token":"` + s.token("alice") + `"}}`, "bad_request device", 0},
		{"no params", `{"id":5,"method":"hello"}`, "unauthenticated", 4401},
		{"neither a good token nor a device", `{"id":5,"method":"hello","params":{"token":"x"}}`, "unauthenticated", 4401},
		{"rooms of another kind", `{"id":5,"method":"hello","params":{"token":"` + s.token("alice") + `","device":"d","rooms":"some"}}`, "bad_request rooms", 0},
		{"a resume of another type", `{"id":5,"method":"hello","params":{"token":"` + s.token("alice") + `","device":"d","resume":{"rooms":{"r":-1}}}}`, "bad_request resume", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := s.raw()
			conn.text(c.message)
			if c.reply != "" {
				f, err := conn.frame()
				if got := wireVerdict(f.Error); err != nil || f.ID != 5 || got != c.reply {
					t.Fatalf("the reply is %s, %v; %s was expected", got, err, c.reply)
				}
			}
			if c.code != 0 {
				conn.wantEnd(t, c.code)
				return
			}
			conn.hello(s.token("alice"), "d")
		})
	}
}

// TestBadWebSocket is about breaches of RFC 6455 and limits of size, on a session and before its hello.
func TestBadWebSocket(t *testing.T) {
	t.Parallel()
	s := start(t, append([]string{"--limits-frame-bytes=8192"}, unlimited...)...)
	token := s.token("alice")
	long := bytes.Repeat([]byte(" "), 8193)
	unmasked := []byte{fin | opText, 2, '{', '}'}
	for _, c := range []struct {
		name string
		send []byte
		code int
	}{
		{"a binary message", masked(fin|opBinary, []byte("{}")), 1003},
		{"a binary message in parts", append(masked(opBinary, []byte("{")), masked(fin, []byte("}"))...), 1003},
		{"invalid UTF-8", masked(fin|opText, []byte("{\"a\":\"\xff\"}")), 1007},
		{"half a character at the end", masked(fin|opText, []byte("{\"a\":\"\xc3")), 1007},
		{"a surrogate in UTF-8", append(masked(opText, []byte("{\"a\":\"\xed")), masked(fin, []byte("\xa0\x80\"}"))...), 1007},
		{"a frame without a mask", unmasked, 1002},
		{"a reserved bit", masked(fin|0x40|opText, []byte("{}")), 1002},
		{"an opcode that is none", masked(fin|3, []byte("{}")), 1002},
		{"a continuation of nothing", masked(fin|opContinuation, []byte("{}")), 1002},
		{"a message within a message", append(masked(opText, []byte("{")), masked(fin|opText, []byte("}"))...), 1002},
		{"a ping in parts", masked(opPing, nil), 1002},
		{"a long ping", masked(fin|opPing, long[:126]), 1002},
		{"a close frame of one byte", masked(fin|opClose, []byte{3}), 1002},
		{"a message that is too long", masked(fin|opText, long), 1009},
		{"a header that announces too much", maskedHeader(fin|opText, 8193), 1009},
		{"a header that announces everything", maskedHeader(fin|opText, 1<<62), 1009},
		{"parts that are too long together", append(masked(opText, long[:8000]), masked(fin, long[:193])...), 1009},
	} {
		for _, greeted := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, hello %v", c.name, greeted), func(t *testing.T) {
				conn := s.raw()
				if greeted {
					conn.hello(token, fmt.Sprint(len(c.name), c.code))
				}
				conn.put(c.send)
				conn.wantEnd(t, c.code)
			})
		}
	}
	conn := s.raw()
	conn.hello(token, "d")
	conn.put(append(masked(opText, []byte(`{"id":2,`)), masked(fin|opPing, []byte("are you there?"))...))
	conn.put(masked(fin, append([]byte(`"method":"room.list"}`), long[:8000]...)))
	if op, payload, err := conn.message(); op != opPong || string(payload) != "are you there?" || err != nil {
		t.Errorf("a ping within a message is answered with a frame of kind %d: %q, %v", op, payload, err)
	}
	if f, err := conn.frame(); f.ID != 2 || f.Error != nil || err != nil {
		t.Errorf("a message in parts is answered with %+v, %v", f, err)
	}
	conn.put(masked(fin|opClose, []byte{3, 232}))
	if op, payload, err := conn.message(); op != opClose || !bytes.Equal(payload, []byte{3, 232}) || err != nil {
		t.Errorf("a close frame is answered with a frame of kind %d: %q, %v", op, payload, err)
	}
}
