package auth

import (
	"context"

	"github.com/parley-im/parley/protocol"
)

// LiveSessions are the live sessions of a user as the protocol shows them, newest first; none of them is Current.
func LiveSessions(ctx context.Context, s Sessions, user string) ([]protocol.Session, error) {
	found, err := s.Sessions(ctx, user)
	live := make([]protocol.Session, len(found))
	for i, one := range found {
		live[i] = protocol.Session{Session: one.ID, Device: one.Device, Client: one.Client, CreatedAt: one.CreatedAt}
	}
	return live, err
}
