package client

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/protocol"
)

const (
	// helloTime bounds the way to a session: the handshake, and hello's answer.
	helloTime = 10 * time.Second
	// retireTime is how long a session that another has replaced may still answer calls. The server ends it soon by itself.
	retireTime = 5 * time.Second
	helloID    = 1
)

// session is one connection of a link, from its handshake to its end.
type session struct {
	link   *Link
	conn   *Conn
	number uint64
	token  string
	ctx    context.Context // ends with the session
	end    context.CancelFunc
	before *session                // while this one's hello is not answered: the session that it shall replace
	next   atomic.Pointer[session] // a connection to another node, made while this session goes on
	moving bool

	// Guarded by link.handling.
	live    bool
	retired bool // only replies count
	since   time.Time
	closing *protocol.ClosingData
	told    time.Duration // the delay that `reconnect` told
	refusal *protocol.Error
}

// run is the life of the link.
func (l *Link) run() {
	var last ending
	for l.ctx.Err() == nil {
		l.tell(State{Phase: Connecting, Reason: last.reason, Code: last.code, Err: last.err})
		s, err := l.connect()
		if s != nil {
			last = l.serve(s)
		} else {
			last = judgeAttempt(err)
		}
		if l.ctx.Err() != nil {
			break
		}
		if last.final {
			l.tell(State{Phase: Stopped, Reason: last.reason, Code: last.code, Err: last.err})
			return
		}
		wait := last.after + l.o.Backoff.withDefaults().delay(l.attempt)
		l.attempt++
		l.tell(State{Phase: Waiting, Reason: last.reason, Code: last.code, Err: last.err, Retry: wait})
		pause(l.ctx, wait)
	}
	l.tell(State{Phase: Stopped, Reason: ReasonShutdown})
}

func (l *Link) tell(s State) {
	l.handling.Lock()
	defer l.handling.Unlock()
	l.handler.State(s)
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// connect asks for a token and opens a connection. The session that it returns has not said hello.
func (l *Link) connect() (*session, error) {
	token, err := l.o.Token(l.ctx)
	if err != nil {
		return nil, tokenError{err}
	}
	dialing, done := context.WithTimeout(l.ctx, helloTime)
	defer done()
	conn, err := DialConn(dialing, l.url, l.o.Conn)
	if err != nil {
		return nil, err
	}
	s := &session{link: l, conn: conn, token: token}
	s.ctx, s.end = context.WithCancel(l.ctx)
	l.running.Add(1)
	context.AfterFunc(s.ctx, func() {
		conn.Close(protocol.CloseNormal)
		l.running.Done()
	})
	return s, nil
}

// serve reads from the session, and from those that replace it without a break, and tells how the last of them ended.
func (l *Link) serve(s *session) ending {
	l.greet(s)
	for {
		err := s.conn.Read(s.message)
		if errors.Is(err, errInterrupted) {
			if next := s.next.Swap(nil); next != nil {
				next.before = s
				s = next
				l.greet(s)
			}
			continue
		}
		last := l.judge(s, err)
		l.finish(s)
		if s.before == nil || s.before.ctx.Err() != nil {
			return last
		}
		// The other node did not take the session: this one still has it.
		s = s.before
		s.move(last.after + l.o.Backoff.withDefaults().delay(1))
	}
}

// greet says hello. An error of the network is left to the reader to find.
func (l *Link) greet(s *session) {
	l.sessions++
	s.number = l.sessions
	s.conn.SetSilence(helloTime)
	hello := protocol.HelloParams{Token: s.token, Device: l.o.Device, Client: l.o.Client, Rooms: l.o.Rooms, Resume: l.resume()}
	if frame, err := callFrame(helloID, protocol.Hello, hello); err == nil { // a token that is no UTF-8 does not encode: the silence ends it
		s.conn.Write(frame)
	}
}

func (l *Link) resume() *protocol.Resume {
	l.handling.Lock()
	defer l.handling.Unlock()
	return l.handler.Resume()
}

// finish ends a session for good. Nothing of it reaches the handler afterwards.
func (l *Link) finish(s *session) {
	s.end()
	l.current.CompareAndSwap(s, nil)
	if next := s.next.Swap(nil); next != nil {
		next.end()
	}
	l.handling.Lock()
	defer l.handling.Unlock()
	if s.live {
		l.handler.Ended(s.number)
	}
	if s.live && time.Since(s.since) >= l.o.Backoff.withDefaults().Stable {
		l.attempt = 0
	}
}

// message handles one message of the server.
func (s *session) message(message []byte) error {
	s.link.handling.Lock()
	defer s.link.handling.Unlock()
	for line := range protocol.Lines(message) {
		if err := s.frame(line); err != nil {
			return err
		}
	}
	return nil
}

// frame does what concerns the link and hands on the rest.
func (s *session) frame(line []byte) error {
	name, push := pushName(line)
	switch {
	case push && len(name) == 0:
		return s.conn.Write(heartbeat)
	case !s.live:
		return asViolation(s.helloAnswered(line))
	case push && s.retired:
		return nil
	case push:
		if err := s.notice(name, line); err != nil {
			return violation{err}
		}
	}
	return asViolation(s.link.handler.Frame(line))
}

// heartbeat is the frame of §2.2. Nobody writes to it.
var heartbeat = []byte("{}")

// errRefused ends the reading of a session whose hello was refused.
var errRefused = errors.New("client: hello was refused")

// helloAnswered takes the first frame of the server, after which the session is live or refused.
func (s *session) helloAnswered(line []byte) error {
	frame, err := protocol.ParseFrame(line)
	if err != nil {
		return fmt.Errorf("client: the server's first frame: %w", err)
	}
	if frame.Event == protocol.SignalClosing {
		return s.notice([]byte(frame.Event), line)
	}
	if frame.ID != helloID {
		return errors.New("client: the server's first frame is not the reply to hello")
	}
	if frame.Error != nil {
		s.refusal = frame.Error
		return errRefused
	}
	hello := new(protocol.HelloResult)
	if err := json.Unmarshal(frame.Result, hello); err != nil {
		return fmt.Errorf("client: the reply to hello: %w", err)
	}
	s.live, s.since = true, time.Now()
	s.conn.SetSilence(2 * time.Duration(hello.HeartbeatMS) * time.Millisecond)
	l := s.link
	l.current.Store(s)
	if s.before != nil {
		s.before.retire()
		s.before = nil
	}
	l.handler.State(State{Phase: Live, Session: s.number, Hello: hello})
	return nil
}

// retire lets a session that was replaced answer its calls, in a goroutine of its own, until the server ends it.
func (s *session) retire() {
	s.retired = true
	l := s.link
	l.running.Go(func() {
		late := time.AfterFunc(retireTime, s.end)
		defer late.Stop()
		for errors.Is(s.conn.Read(s.message), errInterrupted) {
		}
		l.finish(s)
	})
}

// notice acts on the pushes that speak of the session itself.
func (s *session) notice(name, line []byte) error {
	switch protocol.Name(name) {
	case protocol.SignalClosing:
		s.closing = new(protocol.ClosingData)
		return pushData(line, s.closing)
	case protocol.SignalReconnect:
		var data protocol.ReconnectData
		if err := pushData(line, &data); err != nil {
			return err
		}
		if !s.moving {
			s.moving = true
			s.told = time.Duration(data.DelayMS) * time.Millisecond
			s.move(s.told)
		}
	case protocol.SignalTokenExpiring:
		s.link.running.Go(s.refresh)
	}
	return nil
}

// move opens a connection to another node after the delay, while the session goes on, and has the reader say hello there. It tries again until it has
// one or the session has ended.
func (s *session) move(delay time.Duration) {
	s.link.running.Go(func() {
		backoff := s.link.o.Backoff.withDefaults()
		for attempt := 1; ; attempt++ {
			pause(s.ctx, delay)
			if s.ctx.Err() != nil {
				return
			}
			next, err := s.link.connect()
			if err == nil {
				s.offer(next)
				return
			}
			delay = judgeAttempt(err).after + backoff.delay(attempt)
		}
	})
}

// offer has the reader go on with another session, if this one has not ended yet.
func (s *session) offer(next *session) {
	s.next.Store(next)
	if s.ctx.Err() == nil {
		s.conn.interrupt()
	} else if next := s.next.Swap(nil); next != nil {
		next.end() // finish has not seen it
	}
}

// refresh brings the server a fresh token on the open session. If that fails the session ends with its token, and the link comes back with another.
func (s *session) refresh() {
	token, err := s.link.o.Token(s.ctx)
	if err != nil {
		return
	}
	if frame, err := callFrame(0, protocol.SessionRefresh, protocol.SessionRefreshParams{Token: token}); err == nil {
		s.conn.Write(frame)
	}
}
