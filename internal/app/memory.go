package app

import (
	"context"
	"runtime/debug"
	"time"
)

// What a storm of sessions leaves behind in the heap is taken back only by the next collection, which a quiet server does not come to for minutes, and is given
// back to the system more slowly still. After a storm, once it is quiet, one collection does both.
const (
	tideLook  = 5 * time.Second
	tideQuiet = 2    // looks without new sessions or much traffic
	tideStorm = 1000 // sessions opened since the last time that make it worth while
	tideMuch  = 500  // events between two looks
)

// ebb gives memory back after storms, until ctx ends.
func (a *App) ebb(ctx context.Context) {
	ticker := time.NewTicker(tideLook)
	defer ticker.Stop()
	var released, opened, events uint64
	quiet := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		nowOpened, nowEvents := a.gateway.Stats().Opened, a.hub.Stats().Events
		if nowOpened == opened && nowEvents-events < tideMuch {
			quiet++
		} else {
			quiet = 0
		}
		opened, events = nowOpened, nowEvents
		if quiet == tideQuiet && opened-released >= tideStorm {
			debug.FreeOSMemory()
			released = opened
		}
	}
}
