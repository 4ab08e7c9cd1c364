package e2e

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The opcodes of RFC 6455.
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

// fin is the bit of a frame's first byte that says that the message ends with it.
const fin = 0x80

// rawConn is a WebSocket connection driven byte by byte, for what no library would do. It answers nothing by itself and is for one goroutine.
type rawConn struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

// rawDial opens a connection, without a handshake. A receive buffer of 0 is what the system gives.
func (s *server) rawDial(receiveBuffer int) *rawConn {
	s.t.Helper()
	c, err := s.tryRawDial(receiveBuffer)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// tryRawDial is rawDial for any goroutine; who calls it closes the connection.
func (s *server) tryRawDial(receiveBuffer int) (*rawConn, error) {
	dialer := net.Dialer{Timeout: patience, Control: func(_, _ string, raw syscall.RawConn) error {
		if receiveBuffer == 0 {
			return nil
		}
		return setReceiveBuffer(raw, receiveBuffer)
	}}
	conn, err := dialer.Dial("tcp", s.addr)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	return &rawConn{s.t, conn, bufio.NewReader(conn)}, nil
}

func setReceiveBuffer(raw syscall.RawConn, bytes int) (err error) {
	failed := raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, bytes) })
	return errors.Join(failed, err)
}

// raw opens a WebSocket.
func (s *server) raw() *rawConn {
	s.t.Helper()
	c := s.rawDial(0)
	c.upgrade(s.addr)
	return c
}

// handshake is the request that opens a WebSocket.
func handshake(host string, headers ...string) string {
	return "GET /v1/ws HTTP/1.1\r\nHost: " + host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + strings.Join(append(headers, "", ""), "\r\n")
}

func (c *rawConn) upgrade(host string) {
	c.t.Helper()
	if _, err := io.WriteString(c, handshake(host, "Sec-WebSocket-Protocol: parley.v1")); err != nil {
		c.t.Fatal(err)
	}
	if err := c.upgraded(); err != nil {
		c.t.Fatal(err)
	}
}

// upgraded reads the answer to the handshake.
func (c *rawConn) upgraded() error {
	for first := true; ; first = false {
		line, err := c.in.ReadString('\n')
		switch {
		case err != nil:
			return err
		case first && !strings.HasPrefix(line, "HTTP/1.1 101 "):
			return errors.New("the handshake was answered with " + line)
		case line == "\r\n":
			return nil
		}
	}
}

// masked is a frame as a client sends it: its first byte and its payload.
func masked(first byte, payload []byte) []byte {
	return append(maskedHeader(first, len(payload)), payload...) // the mask is 0: it changes nothing
}

// maskedHeader is a frame's header with a mask of 0.
func maskedHeader(first byte, length int) []byte {
	b := []byte{first}
	switch {
	case length < 126:
		b = append(b, 0x80|byte(length))
	case length < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(length))
	}
	return append(b, 0, 0, 0, 0)
}

// put sends bytes as they are. That the server has closed already is no error: what it said is read later.
func (c *rawConn) put(b []byte) { _, _ = c.Write(b) }

// text sends a text message.
func (c *rawConn) text(message string) { c.put(masked(fin|opText, []byte(message))) }

// hello opens the session and returns its result.
func (c *rawConn) hello(token, device string) object {
	c.t.Helper()
	c.text(helloFrame(token, device, nil))
	f, err := c.frame()
	if err != nil || f.Error != nil {
		c.t.Fatalf("hello: %+v, %v", f, err)
	}
	return f.Result
}

// helloFrame is a hello with the id 1.
func helloFrame(token, device string, resume any) string {
	params := object{"token": token, "device": device}
	if resume != nil {
		params["resume"] = resume
	}
	frame, err := json.Marshal(object{"id": 1, "method": "hello", "params": params})
	if err != nil {
		panic(err)
	}
	return string(frame)
}

// message reads one WebSocket frame of the server.
func (c *rawConn) message() (op byte, payload []byte, err error) {
	var header [2]byte
	if _, err := io.ReadFull(c.in, header[:]); err != nil {
		return 0, nil, err
	}
	length := uint64(header[1])
	extended := make([]byte, map[uint64]int{126: 2, 127: 8}[length])
	if _, err := io.ReadFull(c.in, extended); err != nil {
		return 0, nil, err
	}
	if len(extended) > 0 {
		length = binary.BigEndian.Uint64(append(make([]byte, 8-len(extended)), extended...))
	}
	if length > 8<<20 {
		return 0, nil, fmt.Errorf("the server sends %d bytes at once", length)
	}
	payload = make([]byte, length)
	_, err = io.ReadFull(c.in, payload)
	return header[0] & 0x0f, payload, err
}

// frame reads the next message, of one frame.
func (c *rawConn) frame() (f frame, err error) {
	op, payload, err := c.message()
	if err != nil {
		return f, err
	}
	if op != opText {
		return f, fmt.Errorf("a frame of kind %d: %q", op, payload)
	}
	return f, json.Unmarshal(payload, &f)
}

// ending reads to the end and returns the frames that came, the code of the close frame and of the `closing` before it; 0 for one that did not come.
func (c *rawConn) ending() (frames []frame, closing, code int) {
	c.t.Helper()
	for {
		op, payload, err := c.message()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
			return frames, closing, code
		}
		if err != nil {
			c.t.Errorf("the connection does not end: %v", err)
			return frames, closing, code
		}
		switch op {
		case opText:
			for line := range bytes.Lines(payload) {
				var f frame
				if err := json.Unmarshal(line, &f); err != nil {
					c.t.Errorf("not a frame: %q", line)
				}
				frames = append(frames, f)
				if f.Event == "closing" {
					closing = int(f.data()["code"].(float64))
				}
			}
		case opClose:
			if len(payload) >= 2 {
				code = int(binary.BigEndian.Uint16(payload))
			}
			c.put(masked(fin|opClose, payload[:min(2, len(payload))]))
		}
	}
}
