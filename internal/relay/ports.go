package relay

import (
	"context"
	"errors"
	"time"

	"github.com/parley-im/parley/protocol"
)

// Source is the store as the relay sees it. Errors are `unavailable` when the store cannot be used just now; any other error is the fault of what was asked.
type Source interface {
	// Lease renews the node's share of the rooms for a time, and returns it. A time of 0 gives it back.
	Lease(ctx context.Context, node string, ttl time.Duration) (Share, error)
	// Behind are rooms of the share whose log goes on past their mark, by id, from the one after a room, at most limit.
	Behind(ctx context.Context, share Share, after string, limit int) ([]Backlog, error)
	// Apply does what follows from the events of the spans, of which no two are of one room, and moves the rooms' marks, in one transaction. Of very large
	// events it takes fewer than asked, but one at least; it returns how many. ErrOvertaken means that nothing was done.
	Apply(ctx context.Context, spans []Span) (events int, err error)
}

// ErrOvertaken means that a room's mark is not where the span begins: another relay has been there.
var ErrOvertaken = errors.New("another relay has applied these events")

// Share is the rooms that a relay looks after: those with one of these groups of slots. What a group is the store knows.
type Share []string

// Backlog is a room that is behind.
type Backlog struct {
	Room  string
	Mark  protocol.Seq  // up to which its events have been applied
	Head  protocol.Seq  // the end of its log
	Since protocol.Time // of the first event past the mark
}

// Span is the events of a room with After < seq <= UpTo. After is the room's mark.
type Span struct {
	Room  string
	After protocol.Seq
	UpTo  protocol.Seq
}
