package gateway

import (
	"errors"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"github.com/parley-im/parley/protocol"
)

// readSide is what only the reading side of a session touches; park and work hand it to each other.
type readSide struct {
	in      *reader               // nil: no part of a message has come
	waiter  func(fd uintptr) bool // readable, made once
	looked  bool                  // readable has found nothing to read
	calls   bucket                // calls within the limit
	flood   bucket                // frames, far over the limit
	control bucket                // pings and pongs
}

// park waits for something to read and hands over to work. It must stay as flat as it is: its stack is what an idle session costs.
func (s *Session) park() {
	s.read.looked = false
	_ = s.raw.Read(s.read.waiter) // an error is one that work will meet too
	go s.work()
}

// readable reports whether there is something to read. The poller tells of changes only, and what it told before is forgotten when RawConn.Read begins: so the
// socket itself must be asked before the first wait. After a wait the poller has told.
func (s *Session) readable(fd uintptr) bool {
	if s.read.looked {
		return true
	}
	s.read.looked = true
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds[:], 0)
	return n > 0 || err != nil
}

// begin starts reading with the bytes that came with the handshake.
func (s *Session) begin(early []byte) {
	if len(early) > 0 {
		in := s.g.readers.Get().(*reader)
		in.feed(early)
		s.carryOut(in)
		s.read.in = in
	}
	s.work()
}

// work carries out what can be read, and parks when there is nothing more. It is where a session's connection ends.
func (s *Session) work() {
	s.working.Store(true)
	in := s.read.in
	if in == nil {
		in = s.g.readers.Get().(*reader)
	}
	ended := false
	for {
		n, err := in.readFrom(s.raw)
		if ended = n == 0 && !errors.Is(err, unix.EAGAIN); n == 0 {
			break
		}
		s.heard.Store(int64(s.g.wheel.stamp()))
		s.g.count.bytesIn.Add(uint64(n))
		drained := !in.full()
		s.carryOut(in)
		if drained {
			break
		}
	}
	s.keep(in, ended)
	// What the peer made of the bytes may have taken long, and we have not listened meanwhile.
	s.heard.Store(int64(s.g.wheel.stamp()))
	s.working.Store(false)
	if ended {
		s.readEnded()
		return
	}
	go s.park()
}

// keep puts the reader away: back into the pool, or aside for the rest of a message, which then must come in time.
func (s *Session) keep(in *reader, ended bool) {
	if ended || in.idle() {
		in.reset()
		s.g.readers.Put(in)
		s.read.in = nil
		s.messageBy.Store(0)
		return
	}
	s.read.in = in
	if s.messageBy.Load() == 0 {
		by := s.g.wheel.stamp() + messageTimeout
		s.messageBy.Store(int64(by))
		s.g.wheel.sooner(s, by)
	}
}

// readEnded is the end of reading, and with it of the session unless there is a rest to be written.
func (s *Session) readEnded() {
	s.mu.Lock()
	s.state.readDone = true
	if !s.state.closing {
		s.abort()
	}
	s.mu.Unlock()
	s.release()
}

// carryOut takes what is complete out of in and carries it out. When the session is closing, everything is thrown away.
func (s *Session) carryOut(in *reader) {
	for !s.Done() {
		f, ok, breach := in.next()
		if ok && in.parts == 0 {
			s.messageBy.Store(0)
		}
		switch {
		case breach != 0:
			s.Close(breach, 0)
		case !ok:
			return
		case f.op == ws.OpText:
			s.message(f.payload)
		case f.op == ws.OpClose:
			s.closeFrame(f.payload)
		default:
			s.pingPong(f)
		}
	}
	in.reset()
}

// pingPong answers a ping. Pongs count as bytes heard, and that is all.
func (s *Session) pingPong(f frame) {
	if s.read.control.take(s.g.wheel.now(), controlInterval, controlBurst*controlInterval) > 0 {
		s.Close(protocol.CloseRateLimited, retryDelay)
		return
	}
	if f.op == ws.OpPing {
		s.Push(controlWire(ws.OpPong, f.payload))
		s.waitForRoom()
	}
}

// closeFrame answers a close frame with the same.
func (s *Session) closeFrame(payload []byte) {
	code, reason := ws.ParseCloseFrameDataUnsafe(payload)
	switch {
	case len(payload) == 0:
		s.answerClose(closeNoCode, nil)
	case !mayClose(code):
		s.Close(protocol.CloseProtocolError, 0)
	case !utf8.ValidString(reason):
		s.Close(protocol.CloseInvalidUTF8, 0)
	default:
		s.answerClose(protocol.CloseCode(code), payload[:2])
	}
}

// mayClose reports whether a close frame may carry the code: those of RFC 6455 and its registry that are meant to be sent, and the applications'.
func mayClose(code ws.StatusCode) bool {
	switch {
	case code >= 3000 && code <= 4999:
		return true
	default:
		return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014
	}
}

// message carries out the frames of a message one by one.
func (s *Session) message(text []byte) {
	if !utf8.Valid(text) {
		s.Close(protocol.CloseInvalidUTF8, 0)
		return
	}
	empty := true
	for line := range protocol.Lines(text) {
		empty = false
		if !s.frame(line) || !s.waitForRoom() {
			return
		}
	}
	if empty && s.isFlood() {
		s.Close(protocol.CloseRateLimited, retryDelay)
	}
}

// frame carries out one frame. It reports false when the session is closing.
func (s *Session) frame(line []byte) bool {
	s.g.count.framesIn.Add(1)
	call, err := protocol.ParseCall(line, s.g.opts.FrameBytes)
	var refused *protocol.Error
	switch {
	case err != nil && !errors.As(err, &refused):
		s.Close(protocol.CloseBadFrame, 0)
		return false
	case s.isFlood():
		s.Close(protocol.CloseRateLimited, retryDelay)
		return false
	case refused == nil && call.Heartbeat():
		return true
	}
	if limited := s.rateLimit(); limited != nil {
		refused = limited
	}
	if refused != nil {
		if call.ID != 0 {
			s.Reply(protocol.AppendError(nil, call.ID, refused))
		}
		return true
	}
	s.call(call)
	return true
}

// call has the peer carry out a call.
func (s *Session) call(c protocol.Call) {
	s.turn.Lock()
	if !s.Done() {
		s.peer.Call(c)
	}
	s.turn.Unlock()
	s.tellDrained()
}

// isFlood counts a frame of any kind, or a message without one, and reports whether the session has been far over its limit for some time.
func (s *Session) isFlood() bool {
	perSecond := s.g.opts.CallsPerSecond
	if perSecond == 0 {
		return false
	}
	interval := time.Second / time.Duration(perSecond*floodFactor)
	return s.read.flood.take(s.g.wheel.now(), interval, floodTime) > 0
}

// rateLimit counts a call, and returns the refusal of one that is over the limit.
func (s *Session) rateLimit() *protocol.Error {
	perSecond := s.g.opts.CallsPerSecond
	if perSecond == 0 {
		return nil
	}
	wait := s.read.calls.take(s.g.wheel.now(), time.Second/time.Duration(perSecond), burstTime)
	if wait == 0 {
		return nil
	}
	s.g.count.rateLimited.Add(1)
	return &protocol.Error{
		Code:         protocol.RateLimited,
		Message:      "This connection makes calls too fast; wait, or spread them over more connections.",
		RetryAfterMS: milliseconds(wait),
		Scope:        protocol.ScopeConnection,
	}
}
