package gateway_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/protocol"
)

// The opcodes of RFC 6455.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// patience is how long a test waits for what must come. It is long, because it only ever ends a test that has failed.
const patience = time.Minute

// client speaks raw frames: it can break every rule.
type client struct {
	t    testing.TB
	conn *net.TCPConn
	link net.Conn // conn, or TLS over it
	in   *bufio.Reader
	peer *peer // the other side, where the test has it

	deflates bool // compressed messages may come
}

// inFrame is a frame as the server sent it.
type inFrame struct {
	op      byte
	payload []byte
}

// dial connects and says nothing.
func dial(t testing.TB, addr string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &client{t: t, conn: conn.(*net.TCPConn), link: conn, in: bufio.NewReader(conn)}
}

// secure begins to speak TLS.
func (c *client) secure(config *tls.Config) {
	c.t.Helper()
	link := tls.Client(c.link, config)
	if err := link.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.link, c.in = link, bufio.NewReader(link)
}

// handshake is a request that is accepted, with extra header lines.
func handshake(addr string, header ...string) string {
	lines := append([]string{
		"GET /v1/ws HTTP/1.1", "Host: " + addr, "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}, header...)
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// upgraded reads the answer to the handshake.
func (c *client) upgraded() *http.Response {
	c.t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatalf("answer to the handshake: %v", err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		c.t.Fatalf("handshake: %s", resp.Status)
	}
	if got := resp.Header.Get("Sec-WebSocket-Accept"); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		c.t.Fatalf("Sec-WebSocket-Accept: %q", got)
	}
	return resp
}

// send writes bytes as they are. A server that has closed may refuse them.
func (c *client) send(p []byte) {
	_, _ = c.link.Write(p)
}

// text sends one text message.
func (c *client) text(message string) { c.send(masked(0x80|opText, []byte(message))) }

// ping makes sure that everything sent before has been carried out: it returns when the pong is there and the session waits again. What comes before the
// pong is returned.
func (c *client) ping(payload string) []inFrame {
	c.t.Helper()
	c.send(masked(0x80|opPing, []byte(payload)))
	var before []inFrame
	for {
		f := c.next()
		if f.op == opPong && string(f.payload) == payload {
			c.settle()
			return before
		}
		before = append(before, f)
	}
}

// settle waits until what was read has been worked off to the end.
func (c *client) settle() {
	for c.peer != nil && !c.peer.s.Parked() {
		runtime.Gosched()
	}
}

// next reads a frame and fails the test if there is none.
func (c *client) next() inFrame {
	c.t.Helper()
	f, err := c.read()
	if err != nil {
		c.t.Fatalf("waiting for a frame: %v", err)
	}
	return f
}

// nextText reads a frame that must be a text message.
func (c *client) nextText() string {
	c.t.Helper()
	f := c.next()
	if f.op != opText {
		c.t.Fatalf("got frame %#x %q, want a text message", f.op, f.payload)
	}
	return string(f.payload)
}

// wantText reads a text message and compares it.
func (c *client) wantText(want string) {
	c.t.Helper()
	if got := c.nextText(); got != want {
		c.t.Fatalf("got %s\nwant %s", got, want)
	}
}

// wantClosing reads the signal and the close frame of a session that the server closes, and the end of the connection.
func (c *client) wantClosing(code protocol.CloseCode) protocol.ClosingData {
	c.t.Helper()
	text := c.nextText()
	var signal struct {
		Event protocol.Name        `json:"event"`
		Data  protocol.ClosingData `json:"data"`
	}
	if err := json.Unmarshal([]byte(text), &signal); err != nil || signal.Event != protocol.SignalClosing || signal.Data.Code != code || signal.Data.Reason == "" {
		c.t.Fatalf("got %s, want closing with %d", text, code)
	}
	c.wantClose(code)
	return signal.Data
}

// wantClose reads a close frame with a code (0: without one) and the end of the connection.
func (c *client) wantClose(code protocol.CloseCode) {
	c.t.Helper()
	f := c.next()
	got := protocol.CloseCode(0)
	if len(f.payload) >= 2 {
		got = protocol.CloseCode(binary.BigEndian.Uint16(f.payload))
	}
	if f.op != opClose || got != code || len(f.payload) == 1 {
		c.t.Fatalf("got frame %#x with %d %q, want close with %d", f.op, got, f.payload, code)
	}
	c.wantEnd()
}

// wantEnd expects the server to end the connection in good order.
func (c *client) wantEnd() {
	c.t.Helper()
	if f, err := c.read(); !errors.Is(err, io.EOF) {
		c.t.Fatalf("got frame %#x %q, %v; want the end", f.op, f.payload, err)
	}
}

// read reads a frame and checks that a server may send it.
func (c *client) read() (inFrame, error) {
	var head [2]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return inFrame{}, err
	}
	compressed := head[0]&0x40 != 0 && head[0]&0xF == opText && c.deflates
	if head[0]&0x70 != 0 && !compressed || head[0]&0x30 != 0 || head[1]&0x80 != 0 || head[0]&0x80 == 0 {
		return inFrame{}, fmt.Errorf("server sent the header %x", head)
	}
	size := uint64(head[1])
	switch size {
	case 126:
		var long [2]byte
		if _, err := io.ReadFull(c.in, long[:]); err != nil {
			return inFrame{}, err
		}
		size = uint64(binary.BigEndian.Uint16(long[:]))
	case 127:
		var long [8]byte
		if _, err := io.ReadFull(c.in, long[:]); err != nil {
			return inFrame{}, err
		}
		size = binary.BigEndian.Uint64(long[:])
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(c.in, payload); err != nil {
		return inFrame{}, err
	}
	if compressed {
		var err error
		if payload, err = inflated(payload); err != nil {
			return inFrame{}, err
		}
	}
	return inFrame{head[0] & 0xF, payload}, nil
}

// masked is a frame of a client; first is its first byte.
func masked(first byte, payload []byte) []byte {
	return maskedAs(first, payload, lengthBytes(len(payload)))
}

// lengthBytes is the shortest form of a length: 7, 16 or 64 bits.
func lengthBytes(n int) int {
	switch {
	case n < 126:
		return 0
	case n < 1<<16:
		return 2
	default:
		return 8
	}
}

// maskedAs is masked with the length in so many extra bytes.
func maskedAs(first byte, payload []byte, lengthBytes int) []byte {
	b := header(first, len(payload), lengthBytes)
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b = append(b, mask[:]...)
	for i, c := range payload {
		b = append(b, c^mask[i%4])
	}
	return b
}

// unmasked is a frame that a client must not send.
func unmasked(first byte, payload []byte) []byte {
	b := header(first, len(payload), lengthBytes(len(payload)))
	b[1] &^= 0x80
	return append(b, payload...)
}

// header is the beginning of a masked frame, up to the mask.
func header(first byte, length, lengthBytes int) []byte {
	b := []byte{first, 0x80 | byte(length)}
	switch lengthBytes {
	case 2:
		b[1] = 0x80 | 126
		b = binary.BigEndian.AppendUint16(b, uint16(length))
	case 8:
		b[1] = 0x80 | 127
		b = binary.BigEndian.AppendUint64(b, uint64(length))
	}
	return b
}

// closeFrame is a close frame of a client.
func closeFrame(code uint16, reason string) []byte {
	return masked(0x80|opClose, append(binary.BigEndian.AppendUint16(nil, code), reason...))
}

// join puts bytes behind each other.
func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
