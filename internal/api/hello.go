package api

import (
	"context"
	"errors"
	"time"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/delivery"
	"github.com/parley-im/parley/protocol"
)

// expiryNotice is how long before its token ends a session is told so (§4.1).
const expiryNotice = time.Minute

// hello opens the session (§3).
func (p *peer) hello(c protocol.Call) {
	if c.ID == 0 {
		p.session.Close(protocol.CloseBadFrame, 0)
		return
	}
	if p.identity.Load() != nil {
		p.refuse(c.ID, protocol.Errorf(protocol.BadRequest, "method", "This session is open already: hello is its first call and is said once."))
		return
	}
	began := p.server.Now()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	code, err := p.open(ctx, c)
	p.server.answered(nil, protocol.Hello, false, began, err)
	if err == nil {
		p.server.Log.Debug("session opened", "session", p.logged(), "user", p.identity.Load().User, "remote", p.session.Remote())
	} else {
		if err.Code == protocol.Unauthenticated {
			p.server.logRefused(protocol.Hello, p.session.Remote(), err)
		}
		p.refuse(c.ID, err)
		if code != 0 {
			p.session.Close(code, time.Duration(err.RetryAfterMS)*time.Millisecond)
		}
	}
}

// open does what hello asks for. With an error it says how the session is closed, 0 for not at all.
func (p *peer) open(ctx context.Context, c protocol.Call) (protocol.CloseCode, *protocol.Error) {
	s := p.server
	params := &protocol.HelloParams{}
	if err := protocol.DecodeParams(c.Params, params); err != nil {
		if err.Field == "token" { // whatever is wrong with a token, this is what it means
			err.Code = protocol.Unauthenticated
			return protocol.CloseUnauthenticated, err
		}
		return 0, err
	}
	id, err := s.Gate.Token(ctx, params.Token, params.Device)
	if err != nil {
		refused := unauthenticated(err)
		if refused.Code == protocol.Unavailable { // which says nothing about the token
			return protocol.CloseOverloaded, refused
		}
		return protocol.CloseUnauthenticated, refused
	}
	if err := params.Check(); err != nil {
		return 0, err
	}
	entry := &delivery.Entry{Ready: func() {
		p.session.Authenticated()
		p.session.Reply(protocol.AppendResult(nil, c.ID, p.helloResult()))
	}}
	resume(entry, params.Resume)
	return p.join(ctx, id, params, entry)
}

// resume has a session go on from the positions that a client names.
func resume(entry *delivery.Entry, from *protocol.Resume) {
	if from != nil {
		entry.Resume, entry.Epoch = from.Rooms, from.Epoch
	}
}

// join is what hello does once it is known whose the session is and what it wants (§3). The entry says where it goes on and what it is told first.
func (p *peer) join(ctx context.Context, id *auth.Identity, params *protocol.HelloParams, entry *delivery.Entry) (protocol.CloseCode, *protocol.Error) {
	s := p.server
	p.device = params.Device
	if code, err := s.enter(ctx, p, id, params); err != nil {
		return code, err
	}
	defer p.entering.Done()
	p.presence = s.Presence.Enter(id.User, func(frames []byte) bool { return p.session.Offer(p.session.Wire(frames)) })
	entry.All = params.Rooms != protocol.RoomsNone
	to := sink{p.session, id.User}
	entry.Sink = &to
	if p.track != nil {
		entry.Sink = &streamSink{to, p.track}
	}
	ready := entry.Ready
	entry.Ready = func() {
		p.epoch = entry.Epoch
		ready()
	}
	follower, err := s.Hub.Enter(ctx, entry)
	if err != nil {
		s.Log.Warn("a session could not follow its rooms", "error", err)
		return protocol.CloseOverloaded, overloaded()
	}
	p.follower = follower
	p.watchExpiry()
	return 0, nil
}

// sayHello is Entry.Ready over HTTP: what is the reply to hello over a WebSocket comes as a signal.
func (p *peer) sayHello() {
	p.session.Authenticated()
	p.session.Reply(protocol.AppendSignal(nil, protocol.SignalHello, "", "", p.helloResult()))
}

// enter makes the session known to the store and this node, in the place of an older one.
func (s *Server) enter(ctx context.Context, p *peer, id *auth.Identity, params *protocol.HelloParams) (protocol.CloseCode, *protocol.Error) {
	replaced, err := s.Sessions.Open(ctx, &auth.Session{
		ID: p.session.ID(), User: id.User, Device: params.Device, Client: params.Client, Node: s.Node,
		CreatedAt: protocol.At(s.Now()), IssuedAt: id.IssuedAt,
	})
	switch {
	case errors.Is(err, auth.ErrRevoked):
		return protocol.CloseUnauthenticated, unauthenticated(err)
	case errors.Is(err, auth.ErrTooMany):
		return protocol.CloseRateLimited, &protocol.Error{
			Code: protocol.RateLimited, Scope: protocol.ScopeUser, RetryAfterMS: 60_000,
			Message: "This user has as many sessions as are allowed: close one on another device, or revoke it with session.revoke.",
		}
	case err != nil:
		s.Log.Warn("a session could not be opened", "error", err)
		return protocol.CloseOverloaded, overloaded()
	}
	p.entering.Add(1)
	s.mu.Lock()
	p.identity.Store(id)
	s.peers[p.session.ID()] = p
	older := s.peers[replaced]
	s.mu.Unlock()
	if older != nil {
		older.session.Close(protocol.CloseReplaced, 0)
	} else if replaced != "" {
		s.Hub.Announce()
	}
	if err := s.profile(ctx, id); err != nil {
		s.Log.Warn("a profile could not be updated", "error", err)
	}
	return 0, nil
}

func (p *peer) helloResult() *protocol.HelloResult {
	s := p.server
	return &protocol.HelloResult{
		Session: p.session.ID(), User: p.identity.Load().User, Epoch: p.epoch, Node: s.Node, ServerTime: protocol.At(s.Now()),
		HeartbeatMS: s.Heartbeat.Milliseconds(), Limits: s.Limits, TokenExpiresAt: p.identity.Load().ExpiresAt,
	}
}

// watchExpiry has the session told a minute before its token ends, and closed when it has.
func (p *peer) watchExpiry() {
	end := p.identity.Load().ExpiresAt.Go()
	p.session.Alarm(end.Add(-expiryNotice), func() {
		p.session.Reply(protocol.AppendSignal(nil, protocol.SignalTokenExpiring, "", "", protocol.TokenExpiringData{ExpiresAt: protocol.At(end)}))
		p.session.Alarm(end, func() { p.session.Close(protocol.CloseUnauthenticated, 0) })
	})
}

// refresh goes on with a fresh token of the same user (§4.1).
func (s *Server) refresh(ctx context.Context, c *caller, params *protocol.SessionRefreshParams) (*protocol.SessionRefreshResult, *protocol.Error) {
	if c.peer == nil {
		return nil, sessionNeeded()
	}
	id, err := s.Gate.Token(ctx, params.Token, c.peer.device)
	if err != nil {
		return nil, unauthenticated(err)
	}
	if id.User != c.User {
		return nil, protocol.Errorf(protocol.Forbidden, "token", "This token is another user's.")
	}
	c.peer.identity.Store(id)
	c.peer.watchExpiry()
	return &protocol.SessionRefreshResult{TokenExpiresAt: id.ExpiresAt}, nil
}

// unauthenticated is what a caller whose credential was refused is told.
func unauthenticated(err error) *protocol.Error {
	var refused *protocol.Error
	switch {
	case errors.Is(err, auth.ErrRevoked):
		return protocol.Errorf(protocol.Unauthenticated, "", "The token was revoked: sign in again.")
	case errors.As(err, &refused):
		return refused
	}
	return overloaded()
}

func overloaded() *protocol.Error {
	return &protocol.Error{Code: protocol.Unavailable, Message: "The server cannot do this just now; try again.", RetryAfterMS: 1000}
}

func sessionNeeded() *protocol.Error {
	return protocol.Errorf(protocol.BadRequest, "session", "This call is about a live session: name it with the header Parley-Session.")
}
