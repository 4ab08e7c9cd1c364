package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/internal/gateway"
	"github.com/parley-im/parley/protocol"
)

// What a handshake may and may not contain, and how it is refused.
func TestHandshake(t *testing.T) {
	n := start(t, gateway.Options{Origins: []string{"https://chat.example.com"}})
	without := func(name string) string {
		var kept []string
		for line := range strings.SplitSeq(handshake(n.addr), "\r\n") {
			if !strings.HasPrefix(line, name+":") {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "\r\n")
	}
	replaced := func(old, new string) string { return strings.Replace(handshake(n.addr), old, new, 1) }
	for _, c := range []struct {
		name    string
		request string
		status  int
		header  string // "Name: value" that the answer must hold
	}{
		{"plain", handshake(n.addr), 101, "Upgrade: websocket"},
		{"with our subprotocol", handshake(n.addr, "Sec-WebSocket-Protocol: parley.v1"), 101, "Sec-Websocket-Protocol: parley.v1"},
		{"ours among others", handshake(n.addr, "Sec-WebSocket-Protocol: chat, parley.v1,mqtt"), 101, "Sec-Websocket-Protocol: parley.v1"},
		{"ours in a second header", handshake(n.addr, "Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: parley.v1"), 101, "Sec-Websocket-Protocol: parley.v1"},
		{"other subprotocols", handshake(n.addr, "Sec-WebSocket-Protocol: chat, parley.v2"), 400, "Content-Type: application/json"},
		{"an empty subprotocol", handshake(n.addr, "Sec-WebSocket-Protocol:"), 400, ""},
		{"compression is not negotiated", handshake(n.addr, "Sec-WebSocket-Extensions: permessage-deflate"), 101, "Sec-Websocket-Extensions: "},
		{"own origin", handshake(n.addr, "Origin: http://"+n.addr), 101, ""},
		{"listed origin", handshake(n.addr, "Origin: https://chat.example.com"), 101, ""},
		{"listed origin in capitals", handshake(n.addr, "Origin: HTTPS://Chat.Example.com"), 101, ""},
		{"listed origin with another scheme", handshake(n.addr, "Origin: http://chat.example.com"), 403, ""},
		{"listed origin with another port", handshake(n.addr, "Origin: https://chat.example.com:8443"), 403, ""},
		{"origin that only begins like a listed one", handshake(n.addr, "Origin: https://chat.example.com.evil.example"), 403, ""},
		{"foreign origin", handshake(n.addr, "Origin: https://evil.example"), 403, "Content-Type: application/json"},
		{"origin null", handshake(n.addr, "Origin: null"), 403, ""},
		{"empty origin", handshake(n.addr, "Origin:"), 403, ""},
		{"two origins", handshake(n.addr, "Origin: http://"+n.addr, "Origin: https://evil.example"), 403, ""},
		{"POST", replaced("GET ", "POST "), 405, "Allow: GET"},
		{"HTTP/1.0", replaced("HTTP/1.1", "HTTP/1.0"), 505, ""},
		{"a body", handshake(n.addr, "Content-Length: 4") + "abcd", 400, ""},
		{"a chunked body", handshake(n.addr, "Transfer-Encoding: chunked") + "0\r\n\r\n", 400, ""},
		{"no upgrade", without("Upgrade"), 400, ""},
		{"no connection", without("Connection"), 400, ""},
		{"no key", without("Sec-WebSocket-Key"), 400, ""},
		{"a short key", replaced("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), 400, ""},
		{"no version", without("Sec-WebSocket-Version"), 400, ""},
		{"version 12", replaced("Version: 13", "Version: 12"), 426, "Sec-Websocket-Version: 13"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := dial(t, n.addr)
			client.send([]byte(c.request))
			resp, err := http.ReadResponse(client.in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != c.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, c.status)
			}
			if name, value, ok := strings.Cut(c.header, ": "); ok && resp.Header.Get(name) != value {
				t.Errorf("%s: %q, want %q", name, resp.Header.Get(name), value)
			}
			if c.status == 101 {
				client.ping("works")
			}
		})
	}
}

// The body of a refusal is the error object that every client knows.
func TestRefusalIsAnError(t *testing.T) {
	n := start(t, gateway.Options{MaxConnections: 1})
	n.connect()
	client := dial(t, n.addr)
	client.send([]byte(handshake(n.addr)))
	resp, err := http.ReadResponse(client.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var refusal struct {
		Error protocol.Error `json:"error"`
	}
	if err := json.Unmarshal(body, &refusal); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "2" || refusal.Error.Code != protocol.Unavailable || refusal.Error.RetryAfterMS != 2000 {
		t.Errorf("%d, Retry-After %q, %s", resp.StatusCode, resp.Header.Get("Retry-After"), body)
	}
}

// status does a handshake and returns how it was answered.
func (n *node) status() int {
	n.t.Helper()
	client := dial(n.t, n.addr)
	client.send([]byte(handshake(n.addr)))
	resp, err := http.ReadResponse(client.in, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	return resp.StatusCode
}

func TestMaxConnections(t *testing.T) {
	n := start(t, gateway.Options{MaxConnections: 3, MaxUnauthenticated: 3})
	first, p := n.connect()
	n.connect()
	n.connect()
	if got := n.status(); got != 503 {
		t.Errorf("one too many: %d", got)
	}
	if got := n.Stats(); got.Connections != 3 || got.Refused != 1 {
		t.Errorf("%+v", got)
	}
	first.send(closeFrame(1000, ""))
	first.wantClose(1000)
	first.conn.Close()
	wait(t, "Closed", p.closed)
	for n.Count() == 3 { // the place is free a moment after Closed
		runtime.Gosched()
	}
	if got := n.status(); got != 101 {
		t.Errorf("after one has left: %d", got)
	}
}

func TestMaxUnauthenticated(t *testing.T) {
	n := start(t, gateway.Options{MaxUnauthenticated: 2})
	n.dial(t)
	second := n.dial(t)
	if got := n.status(); got != 503 {
		t.Errorf("a third without hello: %d", got)
	}
	second.text(`{"id":1,"method":"hello"}`)
	second.nextText()
	if got := n.status(); got != 101 {
		t.Errorf("after a hello: %d", got)
	}
}

// A handshake that fails gives its place back.
func TestFailedHandshakesLeaveRoom(t *testing.T) {
	n := start(t, gateway.Options{MaxConnections: 2, MaxUnauthenticated: 2})
	for range 10 {
		client := dial(t, n.addr)
		client.send([]byte(strings.Replace(handshake(n.addr), "Version: 13", "Version: 99", 1)))
		resp, err := http.ReadResponse(client.in, nil)
		if err != nil || resp.StatusCode != 426 {
			t.Fatalf("%v, %v", resp, err)
		}
		client.conn.Close()
	}
	if got := n.status(); got != 101 {
		t.Errorf("status %d", got)
	}
}

// Half a request is the HTTP server's affair: it takes no place here.
func TestHalfHandshakes(t *testing.T) {
	n := start(t, gateway.Options{MaxConnections: 1, MaxUnauthenticated: 1})
	request := handshake(n.addr)
	for _, cut := range []int{0, 1, 30, len(request) - 2, len(request) - 1} {
		dial(t, n.addr).send([]byte(request[:cut]))
	}
	if got := n.status(); got != 101 {
		t.Errorf("status %d", got)
	}
}

// A client need not wait for the answer to its handshake.
func TestFramesBehindTheHandshake(t *testing.T) {
	n := start(t, gateway.Options{})
	hello := masked(0x80|opText, []byte(`{"id":1,"method":"hello"}`))
	for _, cut := range []int{len(hello), len(hello) - 1, 7, 1} {
		client := dial(t, n.addr)
		client.send(join([]byte(handshake(n.addr)), hello[:cut]))
		client.upgraded()
		client.send(hello[cut:])
		client.wantText(`{"id":1,"result":{}}`)
	}
	bad := dial(t, n.addr)
	bad.send(join([]byte(handshake(n.addr)), masked(0x80|opBinary, nil)))
	bad.upgraded()
	bad.wantClosing(protocol.CloseUnsupported)
}

// The session's id is opaque and its own; Remote is where it comes from.
func TestSessionNames(t *testing.T) {
	n := start(t, gateway.Options{})
	ids := map[string]bool{}
	for range 50 {
		c, p := n.connect()
		if p.s.Remote() != c.conn.LocalAddr().String() {
			t.Errorf("Remote %s of %s", p.s.Remote(), c.conn.LocalAddr())
		}
		if len(p.s.ID()) < 22 || strings.Trim(p.s.ID(), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Errorf("id %q", p.s.ID())
		}
		ids[p.s.ID()] = true
	}
	if len(ids) != 50 {
		t.Errorf("%d ids for 50 sessions", len(ids))
	}
	seen := 0
	n.Each(func(s *gateway.Session) {
		if ids[s.ID()] {
			seen++
		}
	})
	if seen != 50 || n.Count() != 50 {
		t.Errorf("Each saw %d, Count is %d", seen, n.Count())
	}
}

// A client that shares no code with this package.
func TestIndependentClient(t *testing.T) {
	modes := map[string]websocket.CompressionMode{
		"nothing": websocket.CompressionDisabled, "each message": websocket.CompressionNoContextTakeover, "the stream": websocket.CompressionContextTakeover,
	}
	for name, mode := range modes {
		for _, compression := range []bool{false, true} {
			t.Run(fmt.Sprintf("client compresses %s, server may: %t", name, compression), func(t *testing.T) {
				talkIndependently(t, start(t, gateway.Options{Compression: compression}), mode)
			})
		}
	}
}

func talkIndependently(t *testing.T, n *node, mode websocket.CompressionMode) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws://"+n.addr+"/v1/ws", &websocket.DialOptions{
		Subprotocols: []string{protocol.Version}, CompressionMode: mode, CompressionThreshold: 100,
	})
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(1 << 20)
	if conn.Subprotocol() != protocol.Version {
		t.Errorf("subprotocol %q", conn.Subprotocol())
	}
	for _, size := range []int{60, 200, 4096, 65536} {
		frame, reply := callOf(size)
		if err := conn.Write(ctx, websocket.MessageText, []byte(frame)); err != nil {
			t.Fatal(err)
		}
		kind, got, err := conn.Read(ctx)
		if err != nil || kind != websocket.MessageText || string(got) != string(reply.payload) {
			t.Fatalf("%d bytes: %v %.100q %v", size, kind, got, err)
		}
	}
	reading := conn.CloseRead(ctx)
	if err := conn.Ping(ctx); err != nil {
		t.Error(err)
	}
	if err := conn.Close(websocket.StatusNormalClosure, "done"); err != nil {
		t.Errorf("closing: %v", err)
	}
	<-reading.Done()
	wait(t, "Closed", (<-n.opened).closed)
	if got := n.Stats().Closes[protocol.CloseNormal]; got != 1 {
		t.Errorf("%d sessions closed with 1000", got)
	}
}

// The independent client understands how we close.
func TestIndependentClientIsClosed(t *testing.T) {
	n := start(t, gateway.Options{})
	conn, _, err := websocket.Dial(t.Context(), "ws://"+n.addr+"/v1/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	(<-n.opened).s.Close(protocol.CloseReplaced, 0)
	if _, closing, err := conn.Read(t.Context()); err != nil || !strings.Contains(string(closing), `"code":4409`) {
		t.Errorf("%s, %v", closing, err)
	}
	if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != 4409 {
		t.Errorf("got %v, want 4409", err)
	}
}

// The same over a unix socket, where a proxy on the same machine may come from.
func TestUnixSocket(t *testing.T) {
	n := start(t, gateway.Options{})
	path := filepath.Join(t.TempDir(), "parley")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(n.Gateway)
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	defer server.Close()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(handshake("localhost") + string(masked(0x80|opText, []byte(call("a")))))); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v, %v", resp, err)
	}
	c := client{t: t, in: in}
	if got := c.next(); string(got.payload) != string(answer("a").payload) {
		t.Errorf("got %s", got.payload)
	}
}
