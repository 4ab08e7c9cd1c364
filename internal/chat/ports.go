package chat

import (
	"context"

	"github.com/parley-im/parley/protocol"
)

// Log is the durable log of every room. Implementations are used by many goroutines at once.
type Log interface {
	// Append gives the log one append. It never blocks: when the queue is full (bounded in bytes) done is called at once with `unavailable`.
	// Otherwise done is called exactly once, from a goroutine of the log that it must not block, when the fate of the append is known:
	// with the Effects' Answer once they are durable, or with a *protocol.Error. Appends of one room are decided in the order given.
	// Where a transaction's outcome is unknown the log finds out before it calls done, or says `unavailable`.
	Append(a *Append, done func(answer any, err *protocol.Error))

	// Move gives the log a move of one user's cursors, all or none, in the same way. Cursors past the head are cut to it and never go back.
	// done gets the rows as they stand, durable, in the order of the rooms given; a room not visible makes it `not_found`, a visible room that the
	// user is no member of `forbidden`, a live room `bad_request`, each with Field as told by the move.
	Move(m *Move, done func(rows []CursorRow, err *protocol.Error))
}

// Move is a move of one user's cursors in some rooms.
type Move struct {
	Actor Actor
	Field string // the param that errors name: "room" or "cursors"
	Rooms []RoomCursor
}

// RoomCursor is where a cursor shall be at least.
type RoomCursor struct {
	Room      string
	Read      protocol.Seq // 0: only delivered moves; reading carries delivered
	Delivered protocol.Seq
}

// CursorRow is where a member's cursors stand.
type CursorRow struct {
	Room      string
	User      string
	Session   string // whose report moved it: that session is told nothing
	Delivered protocol.Seq
	Read      protocol.Seq
	Unread    uint64
	Moved     bool // false: the report changed nothing
	Private   bool // settings.receipts is off, or the room is too large: only the user's own sessions hear of it
}

// Commit is what one transaction of the log made durable, told to the [Committed] hook before anyone is answered.
type Commit struct {
	Events  []*Event // in the order of seq within each room
	Cursors []CursorRow
}

// Committed is told of every commit, one call at a time per shard, in commit order. It must not block.
type Committed func(*Commit)

// Scene is what every access to one room starts from, read in one snapshot.
type Scene struct {
	Room *Room // nil: there never was such a room
	Head Head
	Me   *Member // the asker's row, tombstones too; nil: none
}

// Snapshots reads rooms.
type Snapshots interface {
	// View runs fn on one consistent snapshot of the store with the scene of the room for the user (Me is nil for user ""). The snapshot ends when fn
	// returns; fn's error is returned as it is. Errors of the store come back as they are, or as `unavailable` when trying again may help.
	View(ctx context.Context, room, user string, fn func(*Scene, Snapshot) error) error
}

// Snapshot reads one room at one moment. Lists never return more than asked for. It is for one goroutine, and only until View's fn returns.
type Snapshot interface {
	// Events are the events with after < seq <= upTo (0: the head), ascending, at most limit.
	Events(ctx context.Context, after, upTo protocol.Seq, limit int) ([]*Event, error)
	// Messages are messages as they stand, ascending, with reactions as the View's user sees them.
	Messages(ctx context.Context, q MessageQuery) (messages []*Message, more bool, err error)
	// Members are the members whose id > after, ascending by id, at most limit.
	Members(ctx context.Context, after string, limit int) ([]*Member, error)
	// Member is one user's row, nil if there is none.
	Member(ctx context.Context, user string) (*Member, error)
	// Mentions counts the messages with seq >= from and number > n that name the View's user and are not deleted.
	Mentions(ctx context.Context, from protocol.Seq, n uint64) (uint64, error)
}

// MessageQuery selects messages of a room; positions are exclusive but Around's own.
type MessageQuery struct {
	From   protocol.Seq // nothing before it is visible
	Before protocol.Seq // 0: not asked
	After  *protocol.Seq
	Around protocol.Seq
	Thread protocol.Seq // only replies of this root
	Limit  int
}

// Inbox reads a user's list of rooms.
type Inbox interface {
	// List reads one page, newest activity first, from one snapshot (tombstones and hidden rooms are in Removed when q.Since is set, else nowhere).
	// ErrPosition for a Since that cannot be honoured.
	List(ctx context.Context, user string, q InboxQuery) (*InboxPage, error)
	// Memberships are all rooms that the user is a member of now, with heads, in one snapshot; live rooms too.
	Memberships(ctx context.Context, user string) ([]Place, error)
	// Browse are channels that the user is not banned from, whose name holds the words of the query, by name; after is the key of the last one.
	Browse(ctx context.Context, user, query, after string, limit int) (rooms []*Scene, next string, err error)
}

// Place is one room of one member.
type Place struct {
	Room      string
	Kind      protocol.Kind
	Head      protocol.Seq
	JoinedSeq protocol.Seq
	First     protocol.Seq // the first seq that the room keeps
	From      protocol.Seq // the first seq that the member may see

	SamplePerS int64 // settings.sample_per_s of a live room as of Head; 0: every event is pushed
}

// Position is a place in the order of commits: "everything that changed since". Opaque outside the store.
type Position string

// InboxQuery selects the inbox. Page is what InboxPage.Next was.
type InboxQuery struct {
	Since    Position // "": everything
	Kinds    []protocol.Kind
	Archived *bool
	Limit    int
	Page     string
}

// InboxPage is one page.
type InboxPage struct {
	Entries  []InboxEntry
	Removed  []string
	Position Position // the moment of this snapshot
	Next     string   // "" on the last page
}

// InboxEntry is one room with one's own row.
type InboxEntry struct {
	Scene    Scene
	Mentions uint64
	Last     *Message // nil: no message visible
}

// Search finds messages by their words.
type Search interface {
	// Recent are the rooms that the user is a member of, those with the newest events first, at most limit; more tells whether there are others.
	Recent(ctx context.Context, user string, limit int) (places []Place, more bool, err error)
	// FindMessages reads messages as they stand, with reactions as the user sees them, newest first. When the context's deadline passes before it is done
	// that is no error: the page is Partial.
	FindMessages(ctx context.Context, user string, q SearchQuery) (*SearchPage, error)
}

// SearchQuery selects messages. Any text is a query (§4.3). Page is what SearchPage.Next was.
type SearchQuery struct {
	Query string
	Rooms []Place // of which Room and From count
	Limit int
	Page  string
}

// SearchPage is one page of what was found.
type SearchPage struct {
	Found   []Found
	Next    string // "" on the last page
	Partial bool   // there may be more than was found, for want of time
}

// Found is a message and its room.
type Found struct {
	Room    string
	Message *Message
}

// Desk is what members keep about themselves, outside the log.
type Desk interface {
	// Settings changes one's own entry; nil = unchanged. ErrNoMember if the user is no member now.
	Settings(ctx context.Context, room, user string, notify *protocol.Notify, pinned, archived *bool) error
	// Hide takes a direct room out of its user's list until its next event: it sets HiddenAt to the head. ErrNoMember if the user is no member now.
	Hide(ctx context.Context, room, user string) error
}

// Users are the profiles.
type Users interface {
	// Ensure makes the users exist.
	Ensure(ctx context.Context, users ...string) error
	// Update changes a profile (nil = unchanged), which exists from then on, and returns it.
	Update(ctx context.Context, user string, name, avatar *string, data *protocol.Raw) (*protocol.User, error)
	// Get returns those that exist, in the order asked for.
	Get(ctx context.Context, users []string) ([]protocol.User, error)
	// Search finds users whose id or name begins with the query, case folded, by id.
	Search(ctx context.Context, query string, limit int) ([]protocol.User, error)
}

// Names derives the ids of rooms from the store's secret (docs/architecture.md, "Room ids").
type Names interface {
	// Direct is the id of the pair's room of a generation; 0 is the first.
	Direct(a, b string, generation int) string
	// Created is the id of the room that the user's room.create with this client_id makes.
	Created(user, clientID string) string
	// Random is an id that nobody has.
	Random() string
}
