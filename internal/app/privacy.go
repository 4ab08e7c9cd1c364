package app

import (
	"context"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/presence"
	"github.com/parley-im/parley/internal/privacy"
	"github.com/parley-im/parley/protocol"
)

// People is a store as far as it is about what users have left in it.
type People interface {
	privacy.Estate
	chat.Snapshots
	chat.Users
	auth.Sessions
	presence.Store
}

// newEraser makes what erases. It asks the api, which is made after it and knows it too.
func (a *App) newEraser(core *chat.Service) *privacy.Eraser {
	return privacy.NewEraser(privacy.Options{
		Estate: a.store, Chat: core, Log: a.log,
		SignOut: func(ctx context.Context, user string) error { return a.api.SignOut(ctx, user) },
	})
}

// NewExporter makes what exports from a store, for a server and for the commands that read a store beside one.
func NewExporter(s People) *privacy.Exporter {
	return &privacy.Exporter{
		Estate: s, Snapshots: s, Users: s,
		Presence: func(ctx context.Context, user string) (protocol.PresenceData, error) {
			oneself := presence.Pair{Viewer: user, User: user}
			kept, err := s.Visible(ctx, []presence.Pair{oneself})
			return protocol.PresenceData{Status: kept[oneself].Status, LastSeen: kept[oneself].LastSeen}, err
		},
		Sessions: func(ctx context.Context, user string) ([]protocol.Session, error) {
			return auth.LiveSessions(ctx, s, user)
		},
	}
}

// eraseFirst carries out what was asked for before anyone can read it: of a restored store, what was erased since the backup.
func (a *App) eraseFirst(ctx context.Context) {
	if err := a.eraser.Pending(ctx); err != nil {
		a.log.Error("an erasure that was asked for is not done, and is tried again", "error", err)
	}
}
