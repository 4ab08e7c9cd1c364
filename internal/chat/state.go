package chat

import (
	"github.com/parley-im/parley/internal/tracing"
	"github.com/parley-im/parley/protocol"
)

// Append is one call that wants an event in one room's log. Params is a pointer to the protocol's params type of the method; form and sizes have been
// checked. It is not changed after it was given to a [Log].
type Append struct {
	Actor    Actor
	Method   string        // a method of the protocol that makes an event
	Params   any           // *protocol.MessageSendParams and so on
	Room     string        // for room.create the derived id
	ClientID string        // in its namespace: that of a room.create is apart from those of the room's other calls (§4); "" without one
	Hash     [16]byte      // ContentHash of method and params; zero without ClientID
	New      *NewRoom      // room.create only
	Size     int           // bytes that this append holds in the queue, for its bound
	Span     *tracing.Span // of the call; nil where it is not traced
}

// NewRoom is what a room.create wants when its derived id is free.
type NewRoom struct {
	Room    Room
	Members []protocol.MemberRole
}

// Needs says which rows the log must read, under the room's lock, before Decide can be asked about an append.
type Needs struct {
	Members []string     // users whose member rows are needed, the actor's first; no doubles
	Exist   []string     // users who must be known to exist, where the asker is a user
	Owners  bool         // how many owners the room has
	Target  protocol.Seq // message to be edited, deleted, reacted to or replied to, and with it the root of its thread if that is kept; 0 for none
	Emoji   string       // with Target: whether the actor has set it, and by which event
	Known   bool         // whether (room, actor, client_id) is known
}

// Known is the event that an earlier call with the same client_id made, and what is needed to answer again.
type Known struct {
	Seq  protocol.Seq
	N    uint64
	At   protocol.Time
	Name protocol.Name
	Hash [16]byte
	Data protocol.Raw // for member.add: who was added
}

// State is what has been read of one room under its lock: everything on which decisions about it stand. Maps hold what was asked for with Needs;
// an absent entry means that there is no such row. Decide does not change it, Apply does.
type State struct {
	Room     *Room // nil: there never was such a room
	Head     Head
	Members  map[string]*Member
	Users    map[string]bool // which of Needs.Exist exist
	Owners   int             // members who are owners
	Messages map[protocol.Seq]*Message
	Reacted  map[ReactionKey]protocol.Seq // by which event; absent: not set
	Known    map[ClientKey]Known
}

// ReactionKey names one user's reaction.
type ReactionKey struct {
	Target protocol.Seq
	User   string
	Emoji  string
}

// ClientKey is the namespace of a client_id within a room (§4).
type ClientKey struct {
	User     string
	ClientID string
}

// Effects are what one accepted append changes, and its answer. The store carries them out as they stand; a nil or zero field changes nothing.
// With Event nil nothing is stored: the call was a duplicate or asked for what is already so.
type Effects struct {
	Event     *Event
	Head      Head         // as it shall stand after Event
	Room      *Room        // the room row as it shall stand
	Members   []*Member    // member rows as they shall stand; what a Desk keeps in them is as it was
	Owners    int          // change of the number of members who are owners
	Created   *Message     // what message.created made; the event holds it, so that there is nothing more to store
	Message   *Message     // the overlay row of a message as it shall stand (edit, deletion, reaction, a reply to a thread's root)
	Redact    protocol.Seq // the message whose created and edited events lose their content; its mentions and reactions go
	Mentioned []string     // members for whom a mention row is made at Event.Seq
	React     *Reaction    // a reaction row to make or to take away
	Answer    any          // the protocol's result type of the method, as a value
}

// Reaction is a change of one reaction row.
type Reaction struct {
	ReactionKey
	Remove bool
}

// Rates are the limits on messages (§5). Take is asked for an accepted message.send only, after every other check, and may be asked again for the same
// message when a transaction is repeated; it returns nil, or a rate_limited error with retry_after_ms and scope. It must not block.
type Rates interface {
	Take(now protocol.Time, actor Actor, room string) *protocol.Error
}
