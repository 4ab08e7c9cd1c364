package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"

	"github.com/parley-im/parley/client"
	"github.com/parley-im/parley/protocol"
)

// raw is a connection whose server end is bytes: the handshake is done, the rest is the test's.
func raw(t *testing.T, o client.ConnOptions) (*client.Conn, net.Conn) {
	t.Helper()
	ours, theirs := net.Pipe()
	o.Dial = func(context.Context, string, string) (net.Conn, error) { return ours, nil }
	shaken := make(chan error)
	go func() {
		_, err := ws.Upgrader{Protocol: func(p []byte) bool { return string(p) == protocol.Version }}.Upgrade(theirs)
		shaken <- err
	}()
	c, err := client.DialConn(t.Context(), "ws://pipe/v1/ws", o)
	if err := errors.Join(err, <-shaken); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ours.Close()
		theirs.Close()
	})
	return c, theirs
}

func compiled(frames ...ws.Frame) []byte {
	var b []byte
	for _, f := range frames {
		b = append(b, ws.MustCompileFrame(f)...)
	}
	return b
}

// frames reads what the client writes, unmasked, and closes the channel at the end.
func frames(theirs net.Conn) <-chan ws.Frame {
	out := make(chan ws.Frame, 100)
	go func() {
		defer close(out)
		for {
			h, err := ws.ReadHeader(theirs)
			if err != nil {
				return
			}
			payload := make([]byte, h.Length)
			if _, err := io.ReadFull(theirs, payload); err != nil {
				return
			}
			ws.Cipher(payload, h.Mask, 0)
			out <- ws.Frame{Header: h, Payload: payload}
		}
	}()
	return out
}

func TestConnReadsMessagesHoweverTheyArrive(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 5000)   // more than the pool's largest buffer
	huge := strings.Repeat("0123456789abcdef", 1<<17) // 2 MiB
	wire := compiled(
		ws.NewTextFrame([]byte("one")),
		ws.NewTextFrame(nil),
		ws.NewFrame(ws.OpText, false, []byte("two, ")),
		ws.NewPingFrame([]byte("between")),
		ws.NewFrame(ws.OpContinuation, false, []byte("in ")),
		ws.NewFrame(ws.OpContinuation, true, []byte("pieces")),
		ws.NewTextFrame([]byte(big)),
		ws.NewPongFrame(nil),
		ws.NewTextFrame([]byte(huge)),
		ws.NewTextFrame([]byte("last")),
		ws.NewCloseFrame(ws.NewCloseFrameBody(4403, "revoked")),
	)
	want := []string{"one", "", "two, in pieces", big, huge, "last"}
	for name, size := range map[string]int{"bytes": 1, "scraps": 7, "pieces": 700, "at once": len(wire)} {
		for _, buffer := range []int{0, 16, 1 << 17} {
			t.Run(name, func(t *testing.T) {
				c, theirs := raw(t, client.ConnOptions{ReadBuffer: buffer})
				sent := frames(theirs)
				go func() {
					for rest := wire; len(rest) > 0; {
						n := min(size, len(rest))
						if size < 100 && len(rest) > 200 && len(rest) < len(wire)-200 {
							n = min(64<<10, len(rest)-200) // the inside of what is large takes too long byte by byte
						}
						if _, err := theirs.Write(rest[:n]); err != nil {
							return
						}
						rest = rest[n:]
					}
				}()
				var got []string
				err := c.Read(func(message []byte) error {
					got = append(got, string(message))
					return nil
				})
				var closed *client.CloseError
				if !errors.As(err, &closed) || closed.Code != protocol.CloseRevoked || closed.Reason != "revoked" {
					t.Errorf("Read ended with %v", err)
				}
				same(t, "messages", got, want)
				if pong := <-sent; pong.Header.OpCode != ws.OpPong || string(pong.Payload) != "between" {
					t.Errorf("the ping was answered with %+v", pong.Header)
				}
				if last := <-sent; last.Header.OpCode != ws.OpClose || !last.Header.Masked {
					t.Errorf("the close was answered with %+v", last.Header)
				}
			})
		}
	}
}

func TestConnRefusesWhatBreaksTheStandard(t *testing.T) {
	for name, wire := range map[string][]byte{
		"masked":                    compiled(ws.MaskFrame(ws.NewTextFrame([]byte("x")))),
		"binary":                    compiled(ws.NewBinaryFrame([]byte("x"))),
		"reserved bits":             {0xc1, 1, 'x'},
		"reserved opcode":           {0x83, 0},
		"continuation of nothing":   compiled(ws.NewFrame(ws.OpContinuation, true, nil)),
		"a message within another":  compiled(ws.NewFrame(ws.OpText, false, nil), ws.NewTextFrame(nil)),
		"a fragmented ping":         {0x09, 0},
		"a long ping":               append([]byte{0x89, 126, 0, 200}, make([]byte, 200)...),
		"a huge message":            {0x81, 127, 0, 0, 0, 0, 0x10, 0, 0, 0},
		"a length beyond all bound": {0x81, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			c, theirs := raw(t, client.ConnOptions{})
			sent := frames(theirs)
			go theirs.Write(wire)
			if err := c.Read(func([]byte) error { return nil }); err == nil {
				t.Error("Read took it")
			}
			if last := <-sent; last.Header.OpCode != ws.OpClose {
				t.Errorf("it was answered with %+v", last.Header)
			}
		})
	}
}

func TestConnSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, theirs := raw(t, client.ConnOptions{})
		c.SetSilence(10 * time.Second)
		begin := time.Now()
		go func() {
			for range 5 {
				time.Sleep(9 * time.Second)
				theirs.Write(compiled(ws.NewTextFrame([]byte("x"))))
			}
		}()
		heard := 0
		err := c.Read(func([]byte) error { heard++; return nil })
		silence := time.Since(begin) - 45*time.Second
		if !errors.Is(err, client.ErrSilent) || heard != 5 || silence < 10*time.Second || silence > 13*time.Second {
			t.Errorf("after %d messages and a silence of %v: %v", heard, silence, err)
		}
	})
}

func TestConnWritesDoNotHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := raw(t, client.ConnOptions{}) // nobody reads at the other end
		begin := time.Now()
		if err := c.Write([]byte("x")); err == nil || time.Since(begin) > 21*time.Second {
			t.Errorf("Write: %v after %v", err, time.Since(begin))
		}
		if err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after a failure: %v", err)
		}
		c.Close(protocol.CloseNormal)
	})
}

func TestReadGoesOnAfterTheHandlerStoppedIt(t *testing.T) {
	c, theirs := raw(t, client.ConnOptions{})
	go theirs.Write(compiled(ws.NewTextFrame([]byte("one")), ws.NewTextFrame([]byte("two"))))
	enough := errors.New("enough")
	for _, want := range []string{"one", "two"} {
		err := c.Read(func(message []byte) error {
			same(t, "message", string(message), want)
			return enough
		})
		if !errors.Is(err, enough) {
			t.Errorf("Read: %v", err)
		}
	}
}

// Over TCP, with another implementation, in both directions, also at once.
func TestConnOverTCP(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Refuse") != "" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{protocol.Version}})
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.CloseNow()
		conn.SetReadLimit(1 << 20)
		for {
			_, message, err := conn.Read(r.Context())
			if err != nil {
				return
			}
			if err := conn.Write(r.Context(), websocket.MessageText, message); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	url := "ws" + strings.TrimPrefix(server.URL, "http")
	_, err := client.DialConn(t.Context(), url, client.ConnOptions{Header: http.Header{"Refuse": {"yes"}}})
	var refused *client.HandshakeError
	if !errors.As(err, &refused) || refused.Status != http.StatusForbidden {
		t.Errorf("a refusal: %v", err)
	}

	c, err := client.DialConn(t.Context(), url, client.ConnOptions{ReadBuffer: 64})
	if err != nil {
		t.Fatal(err)
	}
	const messages = 300
	go func() {
		for i := range messages {
			if err := c.Write(bytes.Repeat([]byte{byte('a' + i%26)}, i*i)); err != nil {
				t.Error(err)
			}
		}
	}()
	n := 0
	done := errors.New("done")
	err = c.Read(func(message []byte) error {
		if want := bytes.Repeat([]byte{byte('a' + n%26)}, n*n); !bytes.Equal(message, want) {
			t.Errorf("message %d came back with %d bytes", n, len(message))
		}
		if n++; n == messages {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Error(err)
	}
	c.Close(protocol.CloseNormal)
	if err := c.Read(func([]byte) error { return nil }); err == nil {
		t.Error("Read goes on after Close")
	}
}

// Whatever bytes a server sends, reading ends or waits: nothing panics.
func FuzzConnRead(f *testing.F) {
	f.Add(compiled(ws.NewTextFrame([]byte("x")), ws.NewFrame(ws.OpText, false, nil), ws.NewFrame(ws.OpContinuation, true, nil)))
	f.Add(compiled(ws.NewPingFrame(nil), ws.NewCloseFrame(ws.NewCloseFrameBody(1000, ""))))
	f.Add([]byte{0x81, 126, 1, 0})
	f.Fuzz(func(t *testing.T, wire []byte) {
		c, theirs := raw(t, client.ConnOptions{ReadBuffer: 16})
		go io.Copy(io.Discard, theirs)
		go func() {
			theirs.Write(wire)
			theirs.Close()
		}()
		c.Read(func([]byte) error { return nil })
	})
}

func BenchmarkConnRead(b *testing.B) {
	event := protocol.AppendEvent(nil, &protocol.Event{
		Room: "r_abcdefghijklmnopqrstuvwxyz", Seq: 123456, Name: protocol.MessageCreated, User: "bench-12",
		Data: protocol.Raw(`{"client_id":"1-12-123","n":123455,"text":"a message of some words as people write them"}`),
	})
	joined := bytes.Repeat(append(event, '\n'), 10)
	ours, theirs := net.Pipe()
	go ws.Upgrader{Protocol: func([]byte) bool { return true }}.Upgrade(theirs)
	c, err := client.DialConn(b.Context(), "ws://pipe/", client.ConnOptions{
		Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil },
	})
	if err != nil {
		b.Fatal(err)
	}
	wire := bytes.Repeat(compiled(ws.NewTextFrame(joined)), 10)
	go func() {
		for {
			if _, err := theirs.Write(wire); err != nil {
				return
			}
		}
	}()
	defer ours.Close()
	b.ReportAllocs()
	done := errors.New("done")
	n := 0
	b.ResetTimer()
	c.Read(func(message []byte) error {
		for range protocol.Lines(message) {
			n++
		}
		if n >= b.N {
			return done
		}
		return nil
	})
}
