package presence

import (
	"context"

	"github.com/parley-im/parley/protocol"
)

// Store keeps what outlives sessions. Implementations are used by many goroutines at once.
type Store interface {
	// SetStatus keeps a user's status: online, away or invisible. at is now: who hides is last seen then, until they show themselves and go; who is hidden already
	// stays last seen when they hid.
	SetStatus(ctx context.Context, user string, status protocol.Status, at protocol.Time) error
	// Seen keeps when users were last seen, who have gone. It never goes back, and is nothing to those who are invisible.
	Seen(ctx context.Context, last map[string]protocol.Time) error
	// Lost keeps when users were last seen whose node has died and could not say so: at its last sign of life. node is the caller's own as it begins, what it left
	// behind in a former life included; "" later, when only what has died within minutes is looked at.
	Lost(ctx context.Context, node string) error
	// Visible are those of the pairs in which the viewer may see the user now, in one snapshot: they share a direct or group room, or are the same.
	Visible(ctx context.Context, pairs []Pair) (map[Pair]Kept, error)
	// Invisible are those of the users who are; nil: of all. With nil and a [chat.PartialError] they are those who could be asked about.
	Invisible(ctx context.Context, users []string) ([]string, error)
}

// Pair is a user and one who wants to see them.
type Pair struct{ Viewer, User string }

// Kept is what the store keeps about a user; who never said or did anything is online, and never seen.
type Kept struct {
	Status   protocol.Status // online, away or invisible
	LastSeen protocol.Time   // 0: never
}

// seenBy is how a user is seen by one who may see them. Only they themselves see that they are invisible.
func (k Kept) seenBy(p Pair, online bool) protocol.PresenceData {
	switch {
	case p.Viewer == p.User:
		return protocol.PresenceData{Status: k.Status}
	case !online || k.Status == protocol.StatusInvisible:
		return protocol.PresenceData{Status: protocol.StatusOffline, LastSeen: k.LastSeen}
	}
	return protocol.PresenceData{Status: k.Status}
}
