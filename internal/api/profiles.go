package api

import (
	"context"
	"sync"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/protocol"
)

// profile carries a token's name and avatar into the user's profile, where they say something new (§3).
func (s *Server) profile(ctx context.Context, id *auth.Identity) error {
	if id.Name == nil && id.Avatar == nil {
		return nil
	}
	users, err := s.Users.Get(ctx, []string{id.User})
	if err != nil {
		return err
	}
	same := func(claim *string, now string) bool { return claim == nil || *claim == now }
	if len(users) == 1 && same(id.Name, users[0].Name) && same(id.Avatar, users[0].Avatar) {
		return nil
	}
	_, err = s.Users.Update(ctx, id.User, id.Name, id.Avatar, nil)
	return err
}

// knownUsers makes users exist with their first call, and remembers whom it need not ask about.
type knownUsers struct {
	users chat.Users

	mu   sync.Mutex
	seen map[string]struct{}
}

// maxKnownUsers bounds what is remembered; past it, all is forgotten and asked again: one write of the store that changes nothing for each.
const maxKnownUsers = 100_000

func newKnownUsers(users chat.Users) *knownUsers {
	return &knownUsers{users: users, seen: map[string]struct{}{}}
}

func (k *knownUsers) ensure(ctx context.Context, user string) error {
	k.mu.Lock()
	_, seen := k.seen[user]
	k.mu.Unlock()
	if seen {
		return nil
	}
	if err := k.users.Ensure(ctx, user); err != nil {
		return err
	}
	k.mu.Lock()
	if len(k.seen) >= maxKnownUsers {
		clear(k.seen)
	}
	k.seen[user] = struct{}{}
	k.mu.Unlock()
	return nil
}

func (k *knownUsers) size() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.seen)
}

// failure is what a call answers when the store failed; the cause goes to the log only.
func (s *Server) failure(what string, err error) *protocol.Error {
	s.Log.Error("a call failed", "method", what, "error", err)
	return overloaded()
}
