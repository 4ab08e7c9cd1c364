package gateway

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/parley-im/parley/protocol"
)

// Offer sends wire, which Session.Wire has made (or Wire, where it makes the same), after everything queued before. It queues nothing and returns false when more
// than Options.QueueBytes wait already, in which case Peer.Drained follows once half of that has gone, or when the session is closing. It keeps wire and
// never changes it; neither may the caller.
func (s *Session) Offer(wire []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.closing {
		return false
	}
	if s.out.waiting() > s.g.opts.QueueBytes {
		s.state.refused = true
		s.g.count.refusedOffers.Add(1)
		return false
	}
	s.write(wire)
	return true
}

// Push is Offer for what must not be lost. A session for which far too much waits (8 MiB over Options.QueueBytes) is closed instead; once a session is
// closing, Push does nothing.
func (s *Session) Push(wire []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.push(wire)
}

// Reply pushes one JSON frame, which it copies.
func (s *Session) Reply(frame []byte) {
	s.Push(s.Wire(frame))
}

// Wire is frames, separated by newlines, as Offer and Push take them: over a WebSocket in messages, compressed if that was agreed on, over the other transports
// as they are. It is the same for all sessions for which Deflates, or Bare, is true, and for the others it is what the function Wire makes. The result shares no
// memory with frames.
func (s *Session) Wire(frames []byte) []byte {
	switch {
	case s.Bare():
		return bytes.Clone(frames)
	case s.Deflates():
		return s.g.deflaters.wire(frames)
	}
	return Wire(frames)
}

// Bare reports whether the session takes frames as they are.
func (s *Session) Bare() bool { return s.http != nil }

// Deflates reports whether the session has agreed on compression.
func (s *Session) Deflates() bool { return s.read.deflates }

// push is Push with mu held.
func (s *Session) push(wire []byte) {
	switch {
	case s.state.closing:
	case s.out.waiting() > 0 && s.out.waiting()+len(wire) > s.g.opts.QueueBytes+maxPushBytes:
		s.close(protocol.CloseOverloaded, retryDelay)
	default:
		s.write(wire)
	}
}

// write sends wire, or queues what the socket does not take, with mu held.
func (s *Session) write(wire []byte) {
	if len(wire) == 0 {
		return
	}
	s.sent = s.g.wheel.stamp()
	if s.http != nil {
		s.http.write(wire)
	} else {
		s.send(wire)
	}
}

// send is the way of bytes that are framed, with mu held.
func (s *Session) send(p []byte) {
	if r, ok := s.conn.(*records); ok {
		r.seal(p)
		p = r.take()
	}
	s.transmit(p)
}

// transmit is the way of all bytes to the socket, or into the queue for it, with mu held.
func (s *Session) transmit(p []byte) {
	if len(p) == 0 {
		return
	}
	if s.out != nil || s.raw == nil {
		s.enqueue(p)
		return
	}
	w := s.g.writers.Get().(*writer)
	n, err := w.write(s, p)
	s.written += uint64(n)
	s.g.writers.Put(w)
	switch {
	case err != nil:
		s.abort()
	case n < len(p):
		s.enqueue(p[n:])
		s.g.running.Go(s.drain)
	}
}

// enqueue adds to the queue, with mu held.
func (s *Session) enqueue(wire []byte) {
	if s.out == nil {
		s.out = &outbox{progress: s.g.wheel.stamp()}
	}
	s.out.wires = append(s.out.wires, wire)
	s.out.bytes += len(wire)
	s.g.count.queueBytes.Add(int64(len(wire)))
}

// A writer makes one attempt to write. It exists so that an attempt allocates nothing.
type writer struct {
	attempt func(fd uintptr) bool // w.try, made once
	wire    []byte
	n       int
	err     error
}

func newWriter() *writer {
	w := &writer{}
	w.attempt = w.try
	return w
}

// write writes what the socket takes at once. n < len(wire) without an error means that the rest must wait.
func (w *writer) write(s *Session, wire []byte) (n int, err error) {
	w.wire, w.n, w.err = wire, 0, nil
	if err := s.raw.Write(w.attempt); err != nil {
		w.err = err
	}
	w.wire = nil
	if w.n > 0 {
		s.g.count.writes.Add(1)
		s.g.count.bytesOut.Add(uint64(w.n))
	}
	return w.n, w.err
}

func (w *writer) try(fd uintptr) bool {
	w.n, w.err = unix.Write(int(fd), w.wire)
	for errors.Is(w.err, unix.EINTR) {
		w.n, w.err = unix.Write(int(fd), w.wire)
	}
	w.n = max(0, w.n)
	if errors.Is(w.err, unix.EAGAIN) {
		w.err = nil
	}
	return true
}

// outbox is what waits for a socket.
type outbox struct {
	wires    [][]byte // the first may have been written in part, and begins with the rest
	bytes    int
	progress time.Duration // when the socket last took some
}

// isStuck reports whether the client has taken nothing of what waits for it for some time.
func (o *outbox) isStuck(now, patience time.Duration) bool {
	return o != nil && now >= o.progress+patience
}

// waiting is how many bytes are queued; nil: none.
func (o *outbox) waiting() int {
	if o == nil {
		return 0
	}
	return o.bytes
}

// taken takes what the socket took off the queue.
func (o *outbox) taken(n int) {
	o.bytes -= n
	whole := 0
	for ; whole < len(o.wires) && n >= len(o.wires[whole]); whole++ {
		n -= len(o.wires[whole])
	}
	o.wires = slices.Delete(o.wires, 0, whole)
	if n > 0 {
		o.wires[0] = o.wires[0][n:]
	}
}

// maxJoined is how many messages are written with one system call.
const maxJoined = 64

// drain writes the queue as fast as the socket takes it, and ends when it is empty.
func (s *Session) drain() {
	var failed error
	err := s.raw.Write(func(fd uintptr) bool {
		var done bool
		done, failed = s.flush(int(fd))
		return done
	})
	s.mu.Lock()
	if err != nil || failed != nil {
		s.abort()
		s.g.count.queueBytes.Add(-int64(s.out.bytes))
		s.out = nil
	}
	s.finish()
	s.mu.Unlock()
	s.release()
}

// flush writes until the queue is empty (done: out is nil), the socket has failed (done, with the error), or it takes no more.
func (s *Session) flush(fd int) (done bool, err error) {
	var joined [maxJoined][]byte
	for {
		s.mu.Lock()
		n := copy(joined[:], s.out.wires)
		s.mu.Unlock()
		wrote, err := unix.Writev(fd, joined[:n])
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return false, nil
		case err != nil:
			return true, err
		case s.advance(wrote):
			return true, nil
		}
	}
}

// advance takes what was written off the queue, and reports whether nothing is left. Then out is nil already: the next writer may go straight to the socket,
// but only once this goroutine has left RawConn.Write.
func (s *Session) advance(wrote int) (empty bool) {
	s.g.count.writes.Add(1)
	s.g.count.bytesOut.Add(uint64(wrote))
	s.g.count.queueBytes.Add(-int64(wrote))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written += uint64(wrote)
	out := s.out
	out.progress = s.g.wheel.stamp()
	out.taken(wrote)
	if out.bytes == 0 {
		s.out = nil
	}
	if out.bytes <= s.g.opts.QueueBytes/2 {
		s.makeRoom()
	}
	return out.bytes == 0
}

// makeRoom wakes those who wait for room in the queue, with mu held.
func (s *Session) makeRoom() {
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
	if s.state.refused && !s.state.closing {
		s.state.refused = false
		s.drained.Store(true)
		s.g.running.Go(s.tellDrained)
	}
}

// waitForRoom blocks while more than Options.QueueBytes wait, so that a client that does not read its replies is not given more. It reports whether the
// session is still open.
func (s *Session) waitForRoom() bool {
	s.mu.Lock()
	if s.state.closing || s.out.waiting() <= s.g.opts.QueueBytes {
		defer s.mu.Unlock()
		return !s.state.closing
	}
	room := make(chan struct{})
	s.room = room
	s.mu.Unlock()
	<-room
	return !s.Done()
}
