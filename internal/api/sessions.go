package api

import (
	"context"
	"errors"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/protocol"
)

// leave takes an ended session out of this node; the store is told soon.
func (s *Server) leave(p *peer) {
	id := p.session.ID()
	s.mu.Lock()
	if s.peers[id] == p {
		delete(s.peers, id)
		s.endings = append(s.endings, id)
	}
	s.mu.Unlock()
	select {
	case s.ended <- struct{}{}:
	default:
	}
}

// forget tells the store which sessions have ended. What it cannot tell is told with the next ones; a node that dies is forgotten by its silence.
func (s *Server) forget(ctx context.Context) {
	s.mu.Lock()
	ids := s.endings
	s.endings = nil
	s.mu.Unlock()
	if len(ids) == 0 {
		return
	}
	if err := s.Sessions.End(ctx, ids); err != nil {
		s.Log.Warn("ended sessions could not be forgotten", "sessions", len(ids), "error", err)
		s.mu.Lock()
		s.endings = append(s.endings, ids...)
		s.mu.Unlock()
	}
}

// CheckSessions closes those sessions of this node that were replaced or revoked elsewhere. What the gate knows is brought up to date first, so that
// nothing that is closed here comes back with the same token.
func (s *Server) CheckSessions(ctx context.Context) error {
	if err := s.Gate.Refresh(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	peers := make(map[string]*peer, len(s.peers))
	ids := make([]string, 0, len(s.peers))
	for id, p := range s.peers {
		peers[id] = p
		ids = append(ids, id)
	}
	s.mu.Unlock()
	if len(ids) == 0 {
		return nil
	}
	standing, err := s.Sessions.Standing(ctx, ids)
	if err != nil {
		return err
	}
	for id, p := range peers {
		identity := p.identity.Load()
		switch {
		case s.Gate.Revoked(identity.User, p.device, identity.IssuedAt):
			p.session.Close(protocol.CloseRevoked, 0)
		case !standing[id]:
			p.session.Close(protocol.CloseReplaced, 0)
		}
	}
	return nil
}

// peerOf is the live session of this node with the id, if it is the user's.
func (s *Server) peerOf(session, user string) *peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.peers[session]; p != nil && p.identity.Load().User == user {
		return p
	}
	return nil
}

func (s *Server) listSessions(ctx context.Context, c *caller, params *protocol.SessionListParams) (*protocol.SessionListResult, *protocol.Error) {
	user, err := subject(c, params.User)
	if err != nil {
		return nil, err
	}
	sessions, failed := auth.LiveSessions(ctx, s.Sessions, user)
	if failed != nil {
		return nil, s.failure("session.list", failed)
	}
	for i := range sessions {
		sessions[i].Current = c.Session != "" && sessions[i].Session == c.Session
	}
	return &protocol.SessionListResult{Sessions: sessions}, nil
}

// revoke ends sessions. The caller's own, where it is among them, ends when the call has been answered.
func (s *Server) revoke(ctx context.Context, c *caller, params any, reply answer) {
	ended, err := s.revoked(ctx, c, params.(*protocol.SessionRevokeParams))
	if err != nil {
		reply(nil, err)
		return
	}
	var own *peer
	for _, p := range ended {
		if p == c.peer {
			own = p
		} else {
			p.session.Close(protocol.CloseRevoked, 0)
		}
	}
	s.Hub.Announce()
	reply(protocol.Empty{}, nil)
	if own != nil {
		own.session.Close(protocol.CloseRevoked, 0)
	}
}

// revoked makes it so that the sessions have ended as far as anybody asks, and returns those of this node, which are to be closed.
func (s *Server) revoked(ctx context.Context, c *caller, params *protocol.SessionRevokeParams) ([]*peer, *protocol.Error) {
	user, err := subject(c, params.User)
	if err != nil {
		return nil, err
	}
	here, failed := s.end(ctx, user, params.Session, params.Device)
	switch {
	case errors.Is(failed, auth.ErrNoSession):
		return nil, protocol.Errorf(protocol.NotFound, "session", "There is no such session.")
	case failed != nil:
		return nil, s.failure("session.revoke", failed)
	}
	return here, nil
}

// end revokes the session, or all of the device, or all of the user, and returns those of this node, which are to be closed.
func (s *Server) end(ctx context.Context, user, session, device string) ([]*peer, error) {
	ended, err := s.Sessions.Revoke(ctx, user, session, device, s.Now().Unix())
	if err != nil {
		return nil, err
	}
	// What the gate refuses is known before the first session closes, so that none can come back in between.
	if err := s.Gate.Refresh(ctx); err != nil {
		return nil, err
	}
	var here []*peer
	for _, one := range ended {
		if p := s.peerOf(one.ID, user); p != nil {
			here = append(here, p)
		}
	}
	return here, nil
}

// subject is the user whom a call about sessions or a profile is about: the caller, or whom a back end names.
func subject(c *caller, named string) (string, *protocol.Error) {
	switch {
	case c.User != "" && (named == "" || named == c.User):
		return c.User, nil
	case c.User != "":
		return "", protocol.Errorf(protocol.Forbidden, "user", "Only a back end may name another user.")
	case named == "":
		return "", protocol.Errorf(protocol.BadRequest, "user", "A back end names the user.")
	}
	return named, nil
}
