package retention

import "context"

// Source is the store as the sweep sees it. Errors are `unavailable` when the store cannot be used just now; any other error is the fault of the room.
type Source interface {
	// Claim takes rooms that are due, at most limit, the most overdue first: they are due for nobody else for ten minutes. It says how many were due in all.
	Claim(ctx context.Context, limit int) (rooms []string, due int, err error)
	// Prune is one transaction: it takes away the oldest events of a room, as far as they are to be kept no longer, with everything that was made of them,
	// or more of what a deleted room has left. When nothing more is to be done now it sets the time when the room is due next.
	Prune(ctx context.Context, room string) (Batch, error)
	// Forget is one transaction that takes away some of what was remembered for its time. It returns how much; 0 when there is nothing more.
	Forget(ctx context.Context) (rows int, err error)
}

// Batch is what one transaction has pruned.
type Batch struct {
	Events int
	More   bool // there is more to do in this room now
}
