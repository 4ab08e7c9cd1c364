package gateway

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"github.com/parley-im/parley/protocol"
)

// readSide is the reading side of a session. Its fields are its own, but for those at the end: park and work hand them to each other.
type readSide struct {
	s        *Session
	in       *framer               // nil: no part of a message has come
	waiter   func(fd uintptr) bool // readable, made once
	calls    bucket                // calls within the limit
	flood    bucket                // frames, far over the limit
	control  bucket                // pings and pongs
	looked   bool                  // readable has found nothing to read
	deflates bool                  // the client may compress, and takes compressed messages; fixed

	working   atomic.Bool   // work is running: silence is ours, not the client's
	bytes     atomic.Uint64 // that came
	heard     atomic.Int64  // when bytes came last
	messageBy atomic.Int64  // by when the message that has begun must be complete; 0: none has
}

// park waits for something to read and hands over to work. It must stay as flat as it is: its stack is what an idle session costs.
func (r *readSide) park() {
	r.looked = false
	_ = r.s.raw.Read(r.waiter) // an error is one that work will meet too
	go r.work()
}

// readable reports whether there is something to read. The poller tells of changes only, and what it told before is forgotten when RawConn.Read begins: so the
// socket itself must be asked before the first wait. After a wait the poller has told.
func (r *readSide) readable(fd uintptr) bool {
	if r.looked {
		return true
	}
	r.looked = true
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds[:], 0)
	return n > 0 || err != nil
}

// begin starts reading with the bytes that came with the handshake.
func (r *readSide) begin(early []byte) {
	if len(early) > 0 {
		in := r.framer()
		in.feed(early)
		r.carryOut(in)
		r.in = in
	}
	r.work()
}

// work carries out what can be read, and parks when there is nothing more. It is where a session's connection ends.
func (r *readSide) work() {
	r.working.Store(true)
	in := r.in
	if in == nil {
		in = r.framer()
	}
	ended := false
	for {
		n, err := in.readFrom(r.s.conn, r.s.raw)
		r.sendAside()
		if ended = n == 0 && !errors.Is(err, unix.EAGAIN); n == 0 {
			break
		}
		r.heard.Store(int64(r.s.g.wheel.stamp()))
		r.s.g.count.bytesIn.Add(uint64(n))
		r.bytes.Add(uint64(n))
		drained := !in.full()
		r.carryOut(in)
		if drained {
			break
		}
	}
	r.keep(in, ended)
	// What the peer made of the bytes may have taken long, and we have not listened meanwhile.
	r.heard.Store(int64(r.s.g.wheel.stamp()))
	r.working.Store(false)
	if ended {
		r.s.readEnded()
		return
	}
	go r.park()
}

// framer is one for this session.
func (r *readSide) framer() *framer {
	in := r.s.g.framers.Get().(*framer)
	in.deflates = r.deflates
	return in
}

// sendAside sends what reading has made TLS say: an answer to a new key, an alert.
func (r *readSide) sendAside() {
	if tls, ok := r.s.conn.(*records); ok {
		r.s.mu.Lock()
		defer r.s.mu.Unlock()
		r.s.transmit(tls.take())
	}
}

// keep puts the reader away: back into the pool, or aside for the rest of a message, which then must come in time.
func (r *readSide) keep(in *framer, ended bool) {
	if ended || in.idle() {
		in.reset()
		r.s.g.framers.Put(in)
		r.in = nil
		r.messageBy.Store(0)
		return
	}
	r.in = in
	if r.messageBy.Load() == 0 {
		by := r.s.g.wheel.stamp() + messageTimeout
		r.messageBy.Store(int64(by))
		r.s.g.wheel.sooner(r.s, by)
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

// carryOut takes what is complete out of in and carries it out. When the session is closing, everything is thrown away, as is what comes behind the request
// for an event stream.
func (r *readSide) carryOut(in *framer) {
	if r.s.http != nil {
		if r.isFlood() {
			r.s.Close(protocol.CloseRateLimited, retryDelay)
		}
		in.reset()
		return
	}
	for !r.s.Done() {
		f, ok, breach := in.next()
		if ok && in.parts == 0 {
			r.messageBy.Store(0)
		}
		switch {
		case breach != 0:
			r.s.Close(breach, 0)
		case !ok:
			return
		case f.op == ws.OpText:
			r.message(f.payload)
		case f.op == ws.OpClose:
			r.closeFrame(f.payload)
		default:
			r.pingPong(f)
		}
	}
	in.reset()
}

// pingPong answers a ping. Pongs count as bytes heard, and that is all.
func (r *readSide) pingPong(f frame) {
	if r.control.take(r.s.g.wheel.now(), controlInterval, controlBurst*controlInterval) > 0 {
		r.s.Close(protocol.CloseRateLimited, retryDelay)
		return
	}
	if f.op == ws.OpPing {
		r.s.Push(controlWire(ws.OpPong, f.payload))
		r.s.waitForRoom()
	}
}

// closeFrame answers a close frame with the same.
func (r *readSide) closeFrame(payload []byte) {
	code, reason := ws.ParseCloseFrameDataUnsafe(payload)
	switch {
	case len(payload) == 0:
		r.answerClose(closeNoCode, nil)
	case !mayClose(code):
		r.s.Close(protocol.CloseProtocolError, 0)
	case !utf8.ValidString(reason):
		r.s.Close(protocol.CloseInvalidUTF8, 0)
	default:
		r.answerClose(protocol.CloseCode(code), payload[:2])
	}
}

// answerClose is the end that the client asked for: its code comes back.
func (r *readSide) answerClose(code protocol.CloseCode, payload []byte) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if !r.s.state.closing {
		r.s.leave(code, controlWire(ws.OpClose, payload))
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
func (r *readSide) message(text []byte) {
	if !utf8.Valid(text) {
		r.s.Close(protocol.CloseInvalidUTF8, 0)
		return
	}
	empty := true
	for line := range protocol.Lines(text) {
		empty = false
		if !r.frame(line) || !r.s.waitForRoom() {
			return
		}
	}
	if empty && r.isFlood() {
		r.s.Close(protocol.CloseRateLimited, retryDelay)
	}
}

// frame carries out one frame. It reports false when the session is closing.
func (r *readSide) frame(line []byte) bool {
	r.s.g.count.framesIn.Add(1)
	call, err := protocol.ParseCall(line, r.s.g.opts.FrameBytes)
	var refused *protocol.Error
	switch {
	case err != nil && !errors.As(err, &refused):
		r.s.Close(protocol.CloseBadFrame, 0)
		return false
	case refused == nil && slices.Contains(r.s.g.opts.Free, call.Method):
		r.call(call)
		return true
	case r.isFlood():
		r.s.Close(protocol.CloseRateLimited, retryDelay)
		return false
	case refused == nil && call.Heartbeat():
		return true
	}
	if limited := r.rateLimit(); limited != nil {
		refused = limited
	}
	if refused != nil {
		if call.ID != 0 {
			r.s.Reply(protocol.AppendError(nil, call.ID, refused))
		}
		return true
	}
	r.call(call)
	return true
}

// call has the peer carry out a call.
func (r *readSide) call(c protocol.Call) {
	r.s.turn.Lock()
	if !r.s.Done() {
		r.callPeer(c)
	}
	r.s.turn.Unlock()
	r.s.tellDrained()
}

// callPeer calls the peer; a panic of it ends this call and nothing else.
func (r *readSide) callPeer(c protocol.Call) {
	defer func() {
		if cause := recover(); cause != nil {
			r.s.g.panicked("a call", c.Method, r.s.Remote(), cause)
			if c.ID != 0 {
				r.s.Reply(protocol.AppendError(nil, c.ID, internalError()))
			}
		}
	}()
	r.s.peer.Call(c)
}

// isFlood counts a frame of any kind, or a message without one, and reports whether the session has been far over its limit for some time.
func (r *readSide) isFlood() bool {
	perSecond := r.s.g.opts.CallsPerSecond
	if perSecond == 0 {
		return false
	}
	interval := time.Second / time.Duration(perSecond*floodFactor)
	return r.flood.take(r.s.g.wheel.now(), interval, floodTime) > 0
}

// rateLimit counts a call, and returns the refusal of one that is over the limit.
func (r *readSide) rateLimit() *protocol.Error {
	perSecond := r.s.g.opts.CallsPerSecond
	if perSecond == 0 {
		return nil
	}
	wait := r.calls.take(r.s.g.wheel.now(), time.Second/time.Duration(perSecond), burstTime)
	if wait == 0 {
		return nil
	}
	r.s.g.count.rateLimited.Add(1)
	return &protocol.Error{
		Code:         protocol.RateLimited,
		Message:      "This connection makes calls too fast; wait, or spread them over more connections.",
		RetryAfterMS: milliseconds(wait),
		Scope:        protocol.ScopeConnection,
	}
}

// lastHeard is when bytes came last, or, if they were being worked on then, when that was done.
func (r *readSide) lastHeard() time.Duration { return time.Duration(r.heard.Load()) }

// isSilent reports whether nothing has come for two heartbeats, or the rest of a message for 10 s. It says nothing while work is running.
func (r *readSide) isSilent(now time.Duration) bool {
	by := time.Duration(r.messageBy.Load())
	return now >= r.lastHeard()+2*r.s.g.opts.Heartbeat || by > 0 && now >= by
}
