package app

import (
	"context"
	"errors"
	"strings"
	"time"
)

// ErrMoved is what Run returns when the store has become another copy of what it was: a promoted replica, or a restored server. Whatever this server knew was
// of the old one, so that it is to be opened anew, by Reopen. So it is when a shard is there that was away when the server was opened.
var ErrMoved = errors.New("the store is another copy of what it was")

const (
	movedDrain  = time.Second // over which sessions are told to come back
	reopenAfter = time.Second // an attempt that failed
)

// Reopen opens a server anew after Run has returned ErrMoved, with the same configuration and at the same addresses. It tries until it can be done or ctx ends.
// Sessions that come back find out by the epoch which positions still stand.
func (a *App) Reopen(ctx context.Context) (*App, error) {
	cfg := *a.cfg
	if strings.HasSuffix(cfg.Listen, ":0") {
		cfg.Listen = a.Addr()
	}
	if strings.HasSuffix(cfg.AdminListen, ":0") {
		cfg.AdminListen = a.AdminAddr()
	}
	for {
		next, err := New(ctx, &cfg, a.log, a.metrics.version)
		if err == nil {
			return next, nil
		}
		a.log.Warn("the server cannot be opened anew yet", "error", err)
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		case <-time.After(reopenAfter):
		}
	}
}

// moved has Run return; it is of size 1.
type moved chan struct{}

// tell is a store.Options.Moved.
func (m moved) tell(string) {
	select {
	case m <- struct{}{}:
	default: // another shard was first
	}
}
