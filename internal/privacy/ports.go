package privacy

import (
	"context"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/protocol"
)

// Estate is what users have left in the store, and which erasures were asked for. Implementations are used by many goroutines at once.
type Estate interface {
	// Traces are rooms with id > after, ascending, in which the user is or was a member, or has written or reacted; at most limit. Deleted rooms are left out.
	Traces(ctx context.Context, user, after string, limit int) ([]string, error)
	// Written are the user's messages of a room with seq > after that are not deleted, as they stand, without reactions, ascending; at most limit.
	Written(ctx context.Context, room, user string, after protocol.Seq, limit int) ([]*chat.Message, error)
	// Reacted are all reactions of the user that stand in a room, by target.
	Reacted(ctx context.Context, room, user string) ([]chat.ReactionKey, error)
	// Blank takes everything out of a user's profile, and out of what finds it. The user exists on.
	Blank(ctx context.Context, user string) error
	// Emptied reports that nothing is left of what a deleted room held, or that there never was such a room.
	Emptied(ctx context.Context, room string) (bool, error)

	// Request asks for an erasure, from now on or anew.
	Request(ctx context.Context, e Subject) error
	// Done notes that what was asked for has been carried out.
	Done(ctx context.Context, e Subject) error
	// Erasures are all that were ever asked for, or those of them that are not carried out, in the order of asking.
	Erasures(ctx context.Context, pending bool) ([]Erasure, error)
}

// Kind says what an erasure is about.
type Kind string

// The kinds.
const (
	User Kind = "user"
	Room Kind = "room"
)

// Subject is a user or a room.
type Subject struct {
	Kind Kind   `json:"kind"`
	ID   string `json:"id"`
}

// Erasure is one that was asked for.
type Erasure struct {
	Subject
	RequestedAt protocol.Time `json:"requested_at"`
	DoneAt      protocol.Time `json:"done_at,omitzero"` // 0: not carried out yet
}
