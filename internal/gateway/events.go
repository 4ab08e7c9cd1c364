package gateway

import (
	"bytes"
	"net/http"
	"time"

	"github.com/parley-im/parley/protocol"
)

// Transport is how a session is carried.
type Transport int

// The transports of §2.
const (
	WebSocket Transport = iota
	EventStream
	LongPoll
	transports = iota // how many there are
)

// String is the transport's name in metrics.
func (t Transport) String() string {
	return [transports]string{"websocket", "event_stream", "long_poll"}[t]
}

// Transport is how the session is carried; it stays the same.
func (s *Session) Transport() Transport {
	if s.http == nil {
		return WebSocket
	}
	return s.http.transport
}

// HTTPSide is what a session has that an HTTP request has opened: an event stream, or polls.
type HTTPSide struct {
	*Session
	transport Transport
	remote    string
	label     func(frame []byte) string // of an event stream
	mailbox
}

// Opening says what kind of session an HTTP request opens.
type Opening struct {
	Transport Transport
	// Label is the id of the message of an event stream that carries a frame, "" for none. It is called for every frame in the order in which they are sent,
	// with the session locked: it must not block, and may not call the session.
	Label func(frame []byte) string
	// Enter carries out what hello is over a WebSocket, with the Peer that Handler.Opened has made; Peer is called after it. What it has the session send
	// waits until there is somebody to take it.
	Enter func(Peer) *protocol.Error
}

// Open opens a session for an HTTP request. Where it is refused, by Enter, because too many come from the address, or because the node is full or draining,
// the answer is the error and nothing of it remains. It blocks as Enter does.
//
// The caller goes on with Stream, or with Poll.
func (g *Gateway) Open(r *http.Request, o Opening) (*HTTPSide, *protocol.Error) {
	if refused := g.admitFrom(r); refused != nil {
		return nil, refused
	}
	s := g.newSession()
	h := &HTTPSide{Session: s, transport: o.Transport, remote: r.RemoteAddr, label: o.Label}
	s.http = h
	s.state.readDone = true // unless there is a connection to read from
	if o.Transport == LongPoll {
		g.mu.Lock()
		g.polls[s.id] = h
		g.mu.Unlock()
		h.quietBy = g.wheel.stamp() + pollTimeout
	}
	s.turn.Lock()
	g.begin(s)
	refused := o.Enter(s.peer)
	s.turn.Unlock()
	if refused != nil {
		h.abandon()
		return nil, refused
	}
	s.tellDrained()
	return h, nil
}

// abandon ends a session that nobody will hear of.
func (h *HTTPSide) abandon() {
	h.mu.Lock()
	h.abort()
	h.mu.Unlock()
	h.release()
}

// forget is the end of what waits for nobody, and of a session that is closing, with mu held.
func (h *HTTPSide) forget() {
	if h.out != nil {
		h.g.count.queueBytes.Add(-int64(h.out.bytes))
		h.out = nil
	}
	h.wake()
	if h.state.closing && !h.state.released {
		h.g.running.Go(h.release)
	}
}

// write is the way of frames, with mu held.
func (h *HTTPSide) write(frames []byte) {
	if h.transport == EventStream {
		h.send(h.events(frames))
	} else {
		h.post(frames)
	}
}

// heartbeatFrame is a heartbeat before it is framed; in an event stream it becomes a comment.
var heartbeatFrame = []byte("{}")

// events frames what an event stream sends (§2.5).
func (h *HTTPSide) events(frames []byte) []byte {
	var wire bytes.Buffer
	wire.Grow(len(frames) + 64)
	for frame := range protocol.Lines(frames) {
		if len(frame) == len(heartbeatFrame) {
			wire.WriteString(":\n\n")
			continue
		}
		if id := h.label(frame); id != "" {
			wire.WriteString("id: ")
			wire.WriteString(id)
			wire.WriteByte('\n')
		}
		wire.WriteString("data: ")
		wire.Write(frame)
		wire.WriteString("\n\n")
	}
	return wire.Bytes()
}

// Stream answers the request of an event stream that Open has opened: it takes the connection over, with the headers that w has been given, and sends what
// waits. Nothing of the HTTP server stays. The end of the stream is the end of the connection: so it needs no framing of its own, and passes proxies that
// speak HTTP/1.0 to the server. Where the connection cannot be taken over, the session ends and the client gets nothing.
func (h *HTTPSide) Stream(w http.ResponseWriter) {
	header := w.Header().Clone()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // nginx and those who have learned it from there
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Connection", "close")
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 200 OK\r\n")
	_ = header.Write(&head) // a buffer takes everything
	head.WriteString("\r\n")

	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		h.abandon()
		return
	}
	sock, raw, ok := h.g.carry(conn, h.remote)
	if !ok {
		_ = conn.Close()
		h.abandon()
		return
	}
	h.mu.Lock()
	if h.state.released {
		h.mu.Unlock()
		_ = conn.Close()
		return
	}
	h.conn, h.raw, h.state.readDone = sock, raw, false
	waiting := h.out
	h.out = nil
	h.send(head.Bytes())
	if waiting != nil {
		h.g.count.queueBytes.Add(-int64(waiting.bytes))
		for _, wire := range waiting.wires {
			h.send(wire)
		}
	}
	if h.out.waiting() <= h.g.opts.QueueBytes/2 {
		h.makeRoom() // what the socket takes at once, nobody drains
	}
	if h.state.closing { // while it was opened
		h.finish()
	}
	h.mu.Unlock()
	go h.read.begin(nil)
}

// Nudge has Peer.Drained called soon, from another goroutine, as when the queue has room again.
func (s *Session) Nudge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.state.closing {
		s.drained.Store(true)
		s.g.running.Go(s.tellDrained)
	}
}

// pollTimeout is how long a session of LongPoll lasts without a poll (§2.6).
const pollTimeout = 60 * time.Second
