package delivery

import (
	"context"
	"math"
	"sync"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/protocol"
)

// Source is what delivery asks of the store. Implementations are used by many goroutines at once.
type Source interface {
	// Places are what the user may follow: with rooms nil every direct, group and channel room that they are a member of; otherwise those of the named
	// rooms that they may follow, member or not, live ones too. One snapshot. JoinedSeq is 0 where they are no member. With a [chat.PartialError] the places are those
	// of the rooms that could be asked about.
	Places(ctx context.Context, user string, rooms []string) ([]chat.Place, error)
	// Heads are the heads of rooms, deleted ones too; rooms that never were are left out. With an error they are those that could be read.
	Heads(ctx context.Context, rooms []string) (map[string]protocol.Seq, error)
	// Events are the events of a room with after < seq, ascending, at most limit, of those that are kept. Their content is as it stands now: deleted
	// text is gone. Whatever was committed before the call is there.
	Events(ctx context.Context, room string, after protocol.Seq, limit int) ([]*chat.Event, error)
	// Room is the room object, nil if it does not exist.
	Room(ctx context.Context, room string) (*protocol.Room, error)
	// Changed is everything that changed at or after a position: it may repeat, it cannot miss. With "" only the position of this moment is read.
	Changed(ctx context.Context, since chat.Position) (*Changes, error)
}

// Changes is what changed in the store since a position.
type Changes struct {
	Position chat.Position           // the next question's since
	Heads    map[string]protocol.Seq // rooms whose log grew
	Joined   []Membership            // member rows that changed and stand for a member now
	Cursors  []chat.CursorRow        // of the same rows, Moved set, where others may hear of it or the user's own sessions
	Sessions bool                    // whether any session, revocation or key changed
	More     bool                    // there is more at this Position: ask again at once
}

// Membership is a user who became a member by an event.
type Membership struct {
	Room string
	User string
	Seq  protocol.Seq
}

// Sink is a session as delivery sees it. Offer and Push are called with a room locked: they wait for nothing, and call nothing of this package but Drained.
type Sink interface {
	// ID is the session's id, User its user; fixed.
	ID() string
	User() string
	// Offer queues a batch, unless the queue is over its bound: then nothing is queued, false comes back, and the session's Drained is called
	// (on its Follower) when there is room again. It never blocks.
	Offer(b *Batch) bool
	// Push queues a batch in any case: for the few frames that must not be lost (room.added, room.removed, reset). It never blocks.
	Push(b *Batch)
	// Added is Push for the room.added of a room whose stream goes on behind a position, or begins with a reset: NoPosition.
	Added(b *Batch, room string, after protocol.Seq)
}

// NoPosition is a position from which no stream can go on: a session that comes with it gets `reset`.
const NoPosition protocol.Seq = math.MaxUint64

// Batch is a run of frames, encoded once for everyone who gets it. It is never changed.
type Batch struct {
	Frames []byte // frames separated by newlines
	Wire   []byte // the same as Options.Wire made it, for the transport that most sessions use

	packing sync.Once
	packed  []byte
}

// Packed is the frames in another form, for sessions that take it: pack makes it when it is first asked for, once for all. Everyone gives a pack that makes the
// same.
func (b *Batch) Packed(pack func(frames []byte) []byte) []byte {
	b.packing.Do(func() { b.packed = pack(b.Frames) })
	return b.packed
}

// Entry is a session that enters the node.
type Entry struct {
	Sink   Sink
	All    bool                    // follow every room of the user, those joined later too
	Resume map[string]protocol.Seq // positions to go on from
	// Epoch is that of the positions: a room of which they do not stand gets `reset`. When Ready is called it has become the present one, which the positions are of
	// from then on; but not while one that does not stand is of a room that could not be asked about, and so gets no `reset` yet: it would be taken for good later.
	Epoch string
	Lost  bool // there were more positions than are in Resume, and nobody knows which: every other room gets `reset` too
	// Standing, if it is not nil, is called right before Ready with where the session stands: the last event that it has of each room that it follows, or
	// NoPosition, and the positions of Resume in rooms of which it will be told that they are gone, or that could not be asked about.
	Standing func(map[string]protocol.Seq)
	// Ready is called once, when every room is attached and before the first push: it queues the reply to hello.
	Ready func()
}
