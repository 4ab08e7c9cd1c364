package api

import (
	"context"
	"errors"

	"github.com/parley-im/parley/protocol"
)

// The table of methods sees to it that these calls have a session.

func (s *Server) setPresence(ctx context.Context, c *caller, p *protocol.PresenceSetParams) (protocol.Empty, *protocol.Error) {
	return protocol.Empty{}, s.presenceError(protocol.PresenceSet, s.Presence.Set(ctx, c.User, p.Status))
}

// watchPresence subscribes; the reply goes out before the first signal that it causes.
func (s *Server) watchPresence(ctx context.Context, c *caller, params any, reply answer) {
	err := c.peer.presence.Subscribe(ctx, params.(*protocol.PresenceParams).Users, func(users []protocol.UserPresence) {
		reply(protocol.PresenceResult{Users: users}, nil)
	})
	if err != nil {
		reply(nil, s.presenceError(protocol.PresenceSubscribe, err))
	}
}

func (s *Server) unwatchPresence(ctx context.Context, c *caller, p *protocol.PresenceParams) (protocol.PresenceResult, *protocol.Error) {
	users, err := c.peer.presence.Unsubscribe(ctx, p.Users)
	return protocol.PresenceResult{Users: users}, s.presenceError(protocol.PresenceUnsubscribe, err)
}

// presenceError is what a call answers: what was refused as it is, and of a failure no more than that it may pass.
func (s *Server) presenceError(method string, err error) *protocol.Error {
	var refused *protocol.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return refused
	}
	return s.failure(method, err)
}
