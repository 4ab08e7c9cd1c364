package client

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/gobwas/pool/pbytes"
	"github.com/gobwas/ws"

	"github.com/parley-im/parley/protocol"
)

// ConnOptions say how to reach a server. The zero value is right for most.
type ConnOptions struct {
	Dial       func(ctx context.Context, network, addr string) (net.Conn, error) // nil: TCP
	TLS        *tls.Config                                                       // for wss; nil: the system's roots
	Header     http.Header                                                       // more headers for the handshake
	ReadBuffer int                                                               // bytes that an idle connection holds; 0: 4,096
}

const (
	readBuffer = 4 << 10
	// roomyBuffer is what a connection borrows while a message does not fit its own buffer: the largest that the pool keeps.
	roomyBuffer = 64 << 10
	// maxMessage is the longest message that is taken from a server: one frame of the greatest size.
	maxMessage = protocol.MaxServerFrame + 1<<10
	// A write that is not done in writeTime has failed, and one that is done has had at least half of it.
	writeTime = 20 * time.Second
	// keptOutput is how large a buffer for writing a connection keeps between writes.
	keptOutput = 1 << 10
)

// ErrSilent is returned by Conn.Read when nothing was heard for as long as SetSilence allows.
var ErrSilent = errors.New("client: nothing was heard from the server for two heartbeats")

// errInterrupted is returned by Conn.Read after interrupt; reading may go on.
var errInterrupted = errors.New("client: reading was interrupted")

// CloseError is the end of a connection that the server has given a reason for.
type CloseError struct {
	Code   protocol.CloseCode
	Reason string
}

// Error is the code and the reason.
func (e *CloseError) Error() string {
	return fmt.Sprintf("client: the server closed the connection: %d %s", e.Code, e.Reason)
}

// HandshakeError is a server's refusal to open a WebSocket. Err is what it says about it, nil if it is no answer of Parley's.
type HandshakeError struct {
	Status     int
	RetryAfter time.Duration // 0: not said
	Err        *protocol.Error
}

// Error is the status and what the server says.
func (e *HandshakeError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("client: the server refused the connection: %d %v", e.Status, e.Err)
	}
	return fmt.Sprintf("client: the server refused the connection: %d %s", e.Status, http.StatusText(e.Status))
}

// Conn is one WebSocket connection, as a stream of text messages: no session, no calls, no reconnecting. It starts no goroutine, holds one small
// buffer while it waits, and allocates nothing per message, so that one process can have thousands.
//
// One goroutine at a time may call Read; everything else may be called by any number at once.
type Conn struct {
	conn net.Conn

	// The reader's alone: what was read and not handled yet is buf[start:end]. buf is own, or borrowed while a message does not fit.
	own, buf   []byte
	borrowed   bool
	start, end int
	fragments  []byte // the message that is arriving in fragments, so far
	fragmented bool

	reading     sync.Mutex // guards the read deadline
	silence     time.Duration
	readUntil   time.Time
	interrupted bool

	writing    sync.Mutex // guards the write side
	writeUntil time.Time
	out        bytes.Buffer
	head       [ws.MaxHeaderSize]byte
	closed     bool
}

// DialConn opens a WebSocket to url (ws:// or wss://, the whole address) with the subprotocol of this version. A refusal of the server is a
// *HandshakeError.
func DialConn(ctx context.Context, url string, o ConnOptions) (*Conn, error) {
	var refusal *HandshakeError
	d := ws.Dialer{
		Protocols: []string{protocol.Version},
		NetDial:   o.Dial,
		TLSConfig: o.TLS,
		Header:    ws.HandshakeHeaderHTTP(o.Header),
		OnStatusError: func(status int, _ []byte, response io.Reader) {
			refusal = readRefusal(status, response)
		},
	}
	conn, early, _, err := d.Dial(ctx, url)
	if err != nil {
		if refusal != nil {
			return nil, refusal
		}
		return nil, fmt.Errorf("client: connecting to %s: %w", url, err)
	}
	size := o.ReadBuffer
	if size <= 0 {
		size = readBuffer
	}
	c := &Conn{conn: conn, own: make([]byte, size)}
	c.buf = c.own
	if early != nil {
		err = c.takeEarly(early)
	}
	return c, err
}

// takeEarly keeps what the server sent together with its answer to the handshake.
func (c *Conn) takeEarly(early *bufio.Reader) error {
	defer ws.PutReader(early)
	n := early.Buffered()
	if n > len(c.buf) {
		c.borrow(n)
	}
	read, err := io.ReadFull(early, c.buf[:n])
	c.end = read
	return err
}

func readRefusal(status int, r io.Reader) *HandshakeError {
	e := &HandshakeError{Status: status}
	response, err := http.ReadResponse(bufio.NewReader(r), nil)
	if err != nil {
		return e
	}
	defer response.Body.Close()
	if s, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	var body struct {
		Error *protocol.Error `json:"error"`
	}
	if json.UnmarshalRead(io.LimitReader(response.Body, 1<<12), &body) == nil && body.Error != nil {
		e.Err = body.Error
		if ms := body.Error.RetryAfterMS; ms > 0 {
			e.RetryAfter = time.Duration(ms) * time.Millisecond
		}
	}
	return e
}

// SetSilence bounds how long Read waits for the next byte; 0 is for ever. It may wait a quarter longer. It takes effect with the next wait.
func (c *Conn) SetSilence(d time.Duration) {
	c.reading.Lock()
	defer c.reading.Unlock()
	c.silence = d
	c.readUntil = time.Time{}
}

// Read gives every message that arrives to handle, in order, until the connection ends, and returns why: a *CloseError, ErrSilent, the error
// of the network, or what handle returned; after that last one Read may be called again for the messages that follow. The message is handle's only
// until it returns. Pings are answered on the way.
func (c *Conn) Read(handle func(message []byte) error) error {
	for {
		h, size, err := c.header()
		if err != nil {
			return c.fail(ws.StatusProtocolError, err)
		}
		if size == 0 || c.end-c.start < size {
			if err := c.fill(size); err != nil {
				return err
			}
			continue
		}
		payload := c.buf[c.start+size-int(h.Length) : c.start+size]
		c.start += size
		if err := c.frame(h, payload, handle); err != nil {
			return err
		}
	}
}

// header reads the header of the next frame of RFC 6455, and how long the frame is with it; 0 while the header is not whole.
func (c *Conn) header() (h ws.Header, size int, err error) {
	b := c.buf[c.start:c.end]
	if len(b) < 2 {
		return h, 0, nil
	}
	h = ws.Header{Fin: b[0]&0x80 != 0, Rsv: b[0] >> 4 & 7, OpCode: ws.OpCode(b[0] & 0xf), Masked: b[1]&0x80 != 0, Length: int64(b[1] & 0x7f)}
	size = 2
	switch h.Length {
	case 126:
		size = 4
		if len(b) < size {
			return h, 0, nil
		}
		h.Length = int64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		size = 10
		if len(b) < size {
			return h, 0, nil
		}
		h.Length = int64(binary.BigEndian.Uint64(b[2:]))
	}
	state := ws.StateClientSide
	if c.fragmented {
		state |= ws.StateFragmented
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return h, 0, err
	}
	if h.Length < 0 || h.Length+int64(len(c.fragments)) > maxMessage {
		return h, 0, fmt.Errorf("client: a message of more than %d bytes", maxMessage)
	}
	return h, size + int(h.Length), nil
}

// frame carries out one frame.
func (c *Conn) frame(h ws.Header, payload []byte, handle func([]byte) error) error {
	switch h.OpCode {
	case ws.OpText:
		if h.Fin {
			return handle(payload)
		}
		c.fragmented = true
		c.fragments = append(c.fragments, payload...)
	case ws.OpContinuation:
		c.fragments = append(c.fragments, payload...)
		if h.Fin {
			message := c.fragments
			c.fragments, c.fragmented = nil, false
			return handle(message)
		}
	case ws.OpPing:
		c.send(ws.OpPong, payload)
	case ws.OpPong:
	case ws.OpClose:
		code, reason := ws.ParseCloseFrameData(payload)
		c.close(payload[:min(2, len(payload))])
		return &CloseError{Code: protocol.CloseCode(code), Reason: reason}
	default:
		return c.fail(ws.StatusUnsupportedData, fmt.Errorf("client: a frame with the opcode %d, which is not part of the protocol", h.OpCode))
	}
	return nil
}

// fail ends the connection for a breach of RFC 6455 by the server.
func (c *Conn) fail(code ws.StatusCode, err error) error {
	c.close(ws.NewCloseFrameBody(code, ""))
	return err
}

// fill reads what there is, at least a byte. size is the length of the frame that is wanted, as far as it is known.
func (c *Conn) fill(size int) error {
	c.makeRoom(size)
	if err := c.arm(); err != nil {
		return err
	}
	n, err := c.conn.Read(c.buf[c.end:])
	c.end += n
	switch {
	case n > 0 || err == nil:
		return nil // an error beside bytes comes again with the next read
	case errors.Is(err, os.ErrDeadlineExceeded):
		if err := c.arm(); err != nil {
			return err
		}
		c.conn.Close()
		return ErrSilent
	}
	c.conn.Close()
	return fmt.Errorf("client: the connection was lost: %w", err)
}

// makeRoom gives back a borrowed buffer that is empty, and sees to it that there is room for the frame of the given size.
func (c *Conn) makeRoom(size int) {
	switch {
	case c.start == c.end:
		c.start, c.end = 0, 0
		if c.borrowed {
			pbytes.Put(c.buf)
			c.buf, c.borrowed = c.own, false
		}
	case size > len(c.buf):
		c.borrow(size)
	case c.end == len(c.buf) || c.start+size > len(c.buf):
		c.end = copy(c.buf, c.buf[c.start:c.end])
		c.start = 0
	}
}

// borrow replaces the buffer by one for a frame of the given size.
func (c *Conn) borrow(size int) {
	roomy := pbytes.GetLen(max(size, roomyBuffer))
	c.end = copy(roomy, c.buf[c.start:c.end])
	c.start = 0
	if c.borrowed {
		pbytes.Put(c.buf)
	}
	c.buf, c.borrowed = roomy, true
}

// arm keeps the read deadline at least the silence that is allowed away; setting it costs more than a read, so that it is set ahead.
func (c *Conn) arm() error {
	c.reading.Lock()
	defer c.reading.Unlock()
	if c.interrupted {
		c.interrupted = false
		c.readUntil = time.Time{}
		c.conn.SetReadDeadline(time.Time{})
		return errInterrupted
	}
	if c.silence == 0 {
		return nil
	}
	if now := time.Now(); c.readUntil.Sub(now) < c.silence {
		c.readUntil = now.Add(c.silence + c.silence/4)
		c.conn.SetReadDeadline(c.readUntil)
	}
	return nil
}

// interrupt makes Read return errInterrupted, now or when it waits next.
func (c *Conn) interrupt() {
	c.reading.Lock()
	defer c.reading.Unlock()
	c.interrupted = true
	c.conn.SetReadDeadline(time.Unix(1, 0))
}

// Write sends one text message, which may hold several frames, each on a line. It blocks while the network takes no more, 20 s at most; after an
// error the connection is closed. The message is the caller's again when it returns.
func (c *Conn) Write(message []byte) error { return c.send(ws.OpText, message) }

func (c *Conn) send(op ws.OpCode, payload []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.sendLocked(op, payload)
}

func (c *Conn) sendLocked(op ws.OpCode, payload []byte) error {
	if c.closed {
		return net.ErrClosed
	}
	if now := time.Now(); c.writeUntil.Sub(now) < writeTime/2 {
		c.writeUntil = now.Add(writeTime)
		c.conn.SetWriteDeadline(c.writeUntil)
	}
	if c.out.Cap() > keptOutput {
		c.out = bytes.Buffer{}
	}
	c.out.Reset()
	h := ws.Header{Fin: true, OpCode: op, Masked: true, Mask: ws.NewMask(), Length: int64(len(payload))}
	if err := ws.WriteHeaderBuffer(&c.out, h, c.head[:]); err != nil {
		return err
	}
	c.out.Write(payload)
	ws.Cipher(c.out.Bytes()[c.out.Len()-len(payload):], h.Mask, 0)
	if _, err := c.conn.Write(c.out.Bytes()); err != nil {
		c.closed = true
		c.conn.Close()
		return fmt.Errorf("client: the connection was lost: %w", err)
	}
	return nil
}

// Close says goodbye with the code and closes the connection. A Read that waits returns. Closing again does nothing.
func (c *Conn) Close(code protocol.CloseCode) {
	c.close(ws.NewCloseFrameBody(ws.StatusCode(code), ""))
}

// close sends a close frame with the body, if that can be done at once, and closes the connection.
func (c *Conn) close(body []byte) {
	// Whoever is writing may be blocked for long: the deadline makes room.
	c.conn.SetWriteDeadline(time.Now().Add(time.Second))
	c.writing.Lock()
	defer c.writing.Unlock()
	if !c.closed {
		c.writeUntil = time.Now().Add(writeTime)
		c.sendLocked(ws.OpClose, body)
		c.closed = true
	}
	c.conn.Close()
}

// Cut breaks the connection off without a word, as a failing network does.
func (c *Conn) Cut() {
	if tcp, ok := c.conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.conn.Close()
}
