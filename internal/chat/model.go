package chat

import (
	"github.com/parley-im/parley/internal/tracing"
	"github.com/parley-im/parley/protocol"
)

// Actor is who asks for something.
type Actor struct {
	User    string             // "" is a back end acting for itself
	Role    protocol.TokenRole // what the token grants in every room that the user may see
	Backend bool               // proved by an API key: under no user limit
	Session string             // the live session that asks, "" over HTTP without one
	Erasing bool               // the user's erasure: it takes back what is theirs in any room, whatever they may see or do there now
}

// server reports a back end that acts for itself. The zero Actor is nobody, and sees nothing.
func (a Actor) server() bool { return a.Backend && a.User == "" }

// Room is a room's wide row. It is read under the lock of its head and written only when the room itself changes.
type Room struct {
	ID        string
	Kind      protocol.Kind
	Name      string
	Topic     string
	Avatar    string
	Data      protocol.Raw
	Settings  protocol.Settings
	CreatedAt protocol.Time
	CreatedBy string // "" is a back end
	First     protocol.Seq
	Members   uint64 // how many members the room has now
	Pair      string // direct rooms: "min|max" of the two users; "" otherwise
	Deleted   bool   // room.deleted is its last event: it does not exist for anyone
}

// Head is a room's narrow row: where its log ends. It is the row that is locked.
type Head struct {
	Seq  protocol.Seq
	N    uint64        // number of the last message
	Last protocol.Seq  // seq of the last message.created, 0 if none
	At   protocol.Time // when the log last grew: the order of the inbox
}

// Membership is what a user is to a room.
type Membership uint8

// The memberships. A row stays as a tombstone when a member goes, for longer than a token of room.list is honoured; a ban stays.
const (
	NotMember Membership = iota // there is no row, or an unbanned one
	IsMember
	HasLeft
	WasRemoved
	IsBanned
)

// Member is one user's row in one room. A row that is NotMember with LeftSeq 0 never was a member's: it keeps SentN and SentAt of one who watches a live
// room with slow mode.
type Member struct {
	Room       string
	User       string
	State      Membership
	Role       protocol.Role
	JoinedAt   protocol.Time
	JoinedSeq  protocol.Seq // the latest event that made them a member
	LeftSeq    protocol.Seq // the event that ended it, 0 while a member
	MutedUntil protocol.Time
	Read       protocol.Seq
	ReadN      uint64 // message number at Read
	Delivered  protocol.Seq
	SentN      uint64        // number of their own last message
	SentAt     protocol.Time // when they sent it: slow mode
	Notify     protocol.Notify
	Pinned     bool
	Archived   bool
	HiddenAt   protocol.Seq // a direct room that its user left: in no list while the head is not past it; 0 for not hidden
}

// Hidden says whether a direct room with this head is out of its user's list. Nothing has to be written for it to come back: its next event is past
// HiddenAt.
func (m *Member) Hidden(head protocol.Seq) bool { return m.HiddenAt != 0 && head <= m.HiddenAt }

// Passed is the number of the last message that the member has passed, by reading it or by sending one themselves: what comes after is unread (§4.4).
func (m *Member) Passed() uint64 { return max(m.ReadN, m.SentN) }

// Unread is how many of the room's n messages the member has not passed.
func (m *Member) Unread(n uint64) uint64 { return n - min(n, m.Passed()) }

// Content is what an author wrote. A nil Text, empty Data and empty Attachments are absent.
type Content struct {
	Text        *string      `json:"text,omitzero"`
	Data        protocol.Raw `json:"data,omitzero"`
	Attachments protocol.Raw `json:"attachments,omitzero"`
}

// Message is a message as it stands: its message.created event and what later events made of it.
type Message struct {
	Seq       protocol.Seq
	N         uint64
	User      string
	ClientID  string
	At        protocol.Time
	ReplyTo   protocol.Seq
	Thread    protocol.Seq // root of its thread, 0 for none
	Mentions  []string
	Content   Content
	Rev       protocol.Seq
	Replies   uint64 // replies in the thread of which it is the root, deleted ones too
	EditedAt  protocol.Time
	DeletedAt protocol.Time
	Reactions []protocol.Reaction // with Mine for the reader; only in lists, not in a State
}

// Event is an event with what the store keeps beside the wire form.
type Event struct {
	protocol.Event
	N        uint64       // the running message number at this event
	ClientID string       // "" when the call had none
	Hash     [16]byte     // of the call's content, when there is a ClientID
	Target   protocol.Seq // the message that an edit, deletion or reaction is about
	Thread   protocol.Seq // message.created only: root of its thread
	Joined   []string     // users whom the event made members (room.created, member.joined)
	Left     []string     // users whose membership it ended, or who were banned (member.left)
	Reason   protocol.LeaveReason
	Span     *tracing.Span // of the call that made it; nil where that is not traced, and for what was read
}
