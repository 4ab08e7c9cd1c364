package api

import (
	"context"
	"time"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/protocol"
)

// vouchedFor is how long a session lasts whose ticket a back end got for its user: there is no token whose end could count.
const vouchedFor = time.Hour

// ticket is session.ticket (§4.1). A back end that calls for a user vouches for them from now on.
func (s *Server) ticket(ctx context.Context, c *caller, _ *protocol.Empty) (*protocol.SessionTicketResult, *protocol.Error) {
	id := c.identity
	if id == nil {
		now := s.Now()
		id = &auth.Identity{User: c.User, Role: c.Role, IssuedAt: now.Unix(), ExpiresAt: protocol.At(now.Add(vouchedFor))}
	}
	ticket, expiresAt, err := s.Gate.Ticket(ctx, id)
	if err != nil {
		return nil, s.failure(protocol.SessionTicket, err)
	}
	return &protocol.SessionTicketResult{Ticket: ticket, ExpiresAt: expiresAt}, nil
}
