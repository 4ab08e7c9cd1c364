package gateway

import (
	"crypto/rand"
	"encoding/base64"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/parley-im/parley/protocol"
)

// Session is one live push connection, over any transport. All methods but Poll may be called from any goroutine, at any time, and do not block.
type Session struct {
	g     *Gateway
	conn  socket          // *records: TLS. A stream that has not begun and a poll have none
	raw   syscall.RawConn // of the socket
	http  *HTTPSide       // nil: a WebSocket
	id    string
	spoke spoke // the wheel's

	turn sync.Mutex // held while peer is called
	peer Peer

	read    readSide
	drained atomic.Bool // the peer is to be told that there is room

	mu       sync.Mutex // guards what follows
	state    state
	out      *outbox       // what waits to be written; nil: nothing, and no drain goroutine
	room     chan struct{} // not nil: work waits until there is room in out; closed then
	written  uint64        // bytes
	sent     time.Duration // when something was last queued or written
	beat     time.Duration // when the last heartbeat was
	deadline time.Duration // of the hello, of the turn, of the end; 0: none
	alarmAt  int64         // Unix milliseconds; with alarm nil: none
	alarm    func()
}

// state is what has happened to a session.
type state struct {
	closing  bool               // no longer open: the last frames are queued, the peer is being told
	hello    bool               // Authenticated was called
	turned   bool               // has been given its turn to leave
	refused  bool               // an Offer was, and the queue has had no room since
	readDone bool               // nothing more will be read
	released bool               // gone, or going
	code     protocol.CloseCode // with closing: why
}

// open makes a session of a connection whose handshake is done and that comes from the address remote; early bytes came with it, and
// deflates tells whether compression was agreed on. It reports whether the
// connection can carry one.
func (g *Gateway) open(conn net.Conn, remote string, deflates bool, early []byte) bool {
	sock, raw, ok := g.carry(conn, remote)
	if !ok {
		return false
	}
	s := g.newSession()
	s.conn, s.raw, s.read.deflates = sock, raw, deflates
	go s.serve(early)
	return true
}

// carry is carrier for a connection that a session takes over.
func (g *Gateway) carry(conn net.Conn, remote string) (socket, syscall.RawConn, bool) {
	sock, raw, ok := carrier(conn, remote)
	if ok {
		// A peer that is gone without a word is noticed also while bytes are on their way to it. A unix socket does not know this option, and does not need it.
		timeout := int(2 * g.opts.Heartbeat / time.Millisecond)
		_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, timeout) })
	}
	return sock, raw, ok
}

// newSession makes a session whose hello is due.
func (g *Gateway) newSession() *Session {
	s := &Session{g: g, id: newID(g.opts.Tag)}
	s.read.s, s.read.waiter = s, s.read.readable
	now := g.wheel.stamp()
	s.read.heard.Store(int64(now))
	s.sent, s.deadline = now, now+helloTimeout
	return s
}

// newID makes an id that nobody can guess.
func newID(tag string) string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	id := base64.RawURLEncoding.EncodeToString(random[:])
	if tag != "" {
		id += "." + tag
	}
	return id
}

// serve is the life of a WebSocket.
func (s *Session) serve(early []byte) {
	s.turn.Lock()
	s.g.begin(s)
	s.turn.Unlock()
	s.read.begin(early)
}

// begin begins the life of a session, with turn held.
func (g *Gateway) begin(s *Session) {
	s.peer = g.handler.Opened(s)
	g.mu.Lock()
	g.opened++
	g.sessions[s.Transport()]++
	g.mu.Unlock()
	g.wheel.add(s)
	if g.isDraining() { // Drain and Stop may have come before the wheel knew of us
		s.Close(protocol.CloseRestart, 0)
		s.cut()
	}
}

// ID is the session's id: opaque, unguessable, safe in a URL.
func (s *Session) ID() string { return s.id }

// Remote is the address that the connection comes from, as the handshake's http.Request had it: the client's, or that of a proxy whose word is not believed.
func (s *Session) Remote() string {
	if s.http != nil {
		return s.http.remote
	}
	return s.conn.RemoteAddr().String()
}

// Ending is how a session has ended, 0 for one that is open, and how many bytes it has read and written so far, as Stats counts them.
func (s *Session) Ending() (code protocol.CloseCode, read, written uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.code, s.read.bytes.Load(), s.written
}

// Done reports whether the session has ended or is being closed: nothing that is queued now will be sent, and no call begins.
func (s *Session) Done() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.closing
}

// Authenticated tells that the session has said hello. Until then it gets no heartbeat, and it is closed 10 s after the handshake.
func (s *Session) Authenticated() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.hello || s.state.closing {
		return
	}
	s.state.hello = true
	s.g.authenticated()
	if !s.state.turned {
		s.deadline = 0
	}
	s.sent = s.g.wheel.stamp()
	s.g.wheel.sooner(s, s.due())
}

// Alarm has f called once at a time, or up to 200 ms later, on a goroutine of its own. A session has one alarm: the next replaces it, nil takes it away,
// and so does the end of the session.
func (s *Session) Alarm(at time.Time, f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.closing {
		return
	}
	s.alarmAt, s.alarm = at.UnixMilli(), f
	if f != nil {
		// Where that is, the next tick knows: it brings the time of day.
		s.g.wheel.sooner(s, 0)
	}
}

// Close ends the session: it queues `closing` (with retryAfter, unless that is 0) and the close frame, after which nothing is sent. What is queued has 5 s
// to go out. Peer.Closed is called soon, from another goroutine, after the call that is being carried out. Closing again does nothing.
func (s *Session) Close(code protocol.CloseCode, retryAfter time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.close(code, retryAfter)
}

// close is Close with mu held.
func (s *Session) close(code protocol.CloseCode, retryAfter time.Duration) {
	if !s.state.closing {
		s.leave(code, closingWire(code, retryAfter, s.Bare()))
	}
}

// abort is the end of a session whose connection has failed, with mu held: nothing more is written.
func (s *Session) abort() {
	if !s.state.closing {
		s.leave(closeCutDown, nil)
	}
	s.shutdown(unix.SHUT_RDWR)
}

// leave is the one step out of the open state, with mu held: last is the last that is written.
func (s *Session) leave(code protocol.CloseCode, last []byte) {
	s.state.closing, s.state.code = true, code
	s.g.closed(code)
	if !s.state.hello {
		s.g.authenticated()
	}
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
	s.alarm = nil
	s.deadline = s.g.wheel.stamp() + closeTimeout
	s.g.wheel.sooner(s, s.deadline)
	s.g.running.Go(func() { // after the call that the peer is in
		s.turn.Lock()
		defer s.turn.Unlock()
		s.peer.Closed()
	})
	if len(last) > 0 {
		s.write(last)
		if r, ok := s.conn.(*records); ok {
			r.sealEnd()
			s.transmit(r.take())
		}
	}
	s.finish()
}

// finish ends the writing side of a session that is closing, once everything is written, with mu held. The client answers by closing its side; until it
// has, the reading side goes on and throws away what comes: closing the socket with bytes unread would take our last frames from the client.
func (s *Session) finish() {
	if s.state.closing && s.out == nil {
		s.shutdown(unix.SHUT_WR)
	}
}

// cut ends the connection at once.
func (s *Session) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shutdown(unix.SHUT_RDWR)
}

// shutdown ends one side of the connection or both, with mu held; it wakes who waits for them. Unlike conn.Close it waits for nobody. Where there is no
// connection, there is nobody to take what waits.
func (s *Session) shutdown(how int) {
	if s.raw == nil {
		if how == unix.SHUT_RDWR {
			s.http.forget()
		}
		return
	}
	_ = s.raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), how) })
}

// release lets go of a session that has nothing left to read or to write. It is called wherever one of the two ends, and acts once.
func (s *Session) release() {
	s.mu.Lock()
	last := s.state.readDone && s.out == nil && s.state.closing && !s.state.released
	s.state.released = s.state.released || last
	conn := s.conn
	s.mu.Unlock()
	if last {
		s.g.wheel.remove(s)
		if conn != nil {
			_ = conn.Close()
		}
		s.g.leaves(s)
	}
}

// tellDrained tells the peer that there is room, unless it is being called: then who calls it sees to this afterwards.
func (s *Session) tellDrained() {
	for s.drained.Load() && s.turn.TryLock() {
		if s.drained.CompareAndSwap(true, false) && !s.Done() {
			s.peer.Drained()
		}
		s.turn.Unlock()
	}
}

// giveTurn has the session leave, for another node, after a time.
func (s *Session) giveTurn(after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.closing {
		return
	}
	s.state.turned = true
	if !s.state.hello {
		after = 0
	}
	s.deadline = s.g.wheel.stamp() + after
	s.g.wheel.sooner(s, s.deadline)
	if s.state.hello {
		s.push(s.Wire(protocol.AppendSignal(nil, protocol.SignalReconnect, "", "", protocol.ReconnectData{DelayMS: milliseconds(after)})))
	}
}

// takeTurn closes the session once every call that it has begun is answered.
func (s *Session) takeTurn() {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.peer.Settle()
	s.Close(protocol.CloseRestart, 0)
}

// check does what is due. The wheel calls it.
func (s *Session) check(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.g.wheel.now()
	expired := s.deadline > 0 && now >= s.deadline
	switch {
	case s.state.closing && expired:
		s.deadline = 0
		s.shutdown(unix.SHUT_RDWR)
	case s.state.closing:
	case expired && s.state.turned:
		s.deadline = 0
		s.g.running.Go(s.takeTurn)
	case !s.read.working.Load() && (expired || s.http == nil && s.read.isSilent(now)), s.raw != nil && s.out.isStuck(now, 2*s.g.opts.Heartbeat):
		s.close(protocol.CloseTimeout, 0)
	case s.http.isForgotten(now):
		s.leave(protocol.CloseTimeout, nil)
		s.http.forget()
	default:
		s.beatIfQuiet(now)
	}
	if s.alarm != nil && at.UnixMilli() >= s.alarmAt {
		s.g.running.Go(s.alarm)
		s.alarm = nil
	}
	due := s.due()
	if s.alarm != nil {
		due = min(due, now+min(time.UnixMilli(s.alarmAt).Sub(at), time.Hour))
	}
	s.g.wheel.sooner(s, due)
}

// beatIfQuiet sends a heartbeat when nothing was sent or, over a WebSocket, heard for the time of one; where nothing is heard, once. A poll ends by itself.
func (s *Session) beatIfQuiet(now time.Duration) {
	if !s.state.hello || s.Transport() == LongPoll {
		return
	}
	unanswered := s.read.lastHeard() + s.g.opts.Heartbeat
	if now >= s.sent+s.g.opts.Heartbeat || s.http == nil && now >= unanswered && s.beat < unanswered {
		s.beat = s.g.wheel.stamp()
		if s.http == nil {
			s.push(s.g.heartbeat)
		} else {
			s.push(heartbeatFrame)
		}
	}
}

// due is when the session must be looked at again, but for its alarm.
func (s *Session) due() time.Duration {
	heartbeat := s.g.opts.Heartbeat
	due := s.g.wheel.now() + 2*heartbeat
	sooner := func(at time.Duration, counts bool) {
		if counts {
			due = min(due, at)
		}
	}
	sooner(s.deadline, s.deadline > 0)
	if s.state.closing {
		return due
	}
	if heard := s.read.lastHeard(); s.http == nil {
		by := time.Duration(s.read.messageBy.Load())
		sooner(by, by > 0)
		sooner(heard+heartbeat, s.state.hello && s.beat < heard+heartbeat)
		sooner(heard+2*heartbeat, true)
	} else {
		sooner(s.http.quietBy, s.http.quietBy > 0)
	}
	sooner(s.sent+heartbeat, s.state.hello)
	if s.out != nil {
		sooner(s.out.progress+2*heartbeat, true)
	}
	return due
}
