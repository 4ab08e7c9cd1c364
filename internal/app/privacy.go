package app

import (
	"context"

	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/privacy"
	"github.com/parley-im/parley/protocol"
)

// openPrivacy makes erasure, which asks the api that is made after it and knows it too, and export.
func (a *App) openPrivacy(core *chat.Service) *privacy.Exporter {
	a.eraser = privacy.NewEraser(privacy.Options{
		Estate: a.store, Chat: core, Log: a.log,
		SignOut: func(ctx context.Context, user string) error { return a.api.SignOut(ctx, user) },
	})
	return &privacy.Exporter{
		Estate: a.store, Snapshots: a.store, Users: a.store,
		Sessions: func(ctx context.Context, user string) ([]protocol.Session, error) {
			return auth.LiveSessions(ctx, a.store, user)
		},
	}
}

// eraseFirst carries out what was asked for before anyone can read it: of a restored store, what was erased since the backup.
func (a *App) eraseFirst(ctx context.Context) {
	if err := a.eraser.Pending(ctx); err != nil {
		a.log.Error("an erasure that was asked for is not done, and is tried again", "error", err)
	}
}
