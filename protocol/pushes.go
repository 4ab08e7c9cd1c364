package protocol

// Name is the name of a push: an event of a room's log, or a signal (§5).
type Name string

// The events: what is in a room's log.
const (
	RoomCreated     Name = "room.created"
	RoomUpdated     Name = "room.updated"
	RoomDeleted     Name = "room.deleted"
	MemberJoined    Name = "member.joined"
	MemberLeft      Name = "member.left"
	MemberUpdated   Name = "member.updated"
	MemberUnbanned  Name = "member.unbanned"
	MessageCreated  Name = "message.created"
	MessageEdited   Name = "message.edited"
	MessageDeleted  Name = "message.deleted"
	ReactionAdded   Name = "reaction.added"
	ReactionRemoved Name = "reaction.removed"
)

// The signals: what is in no log.
const (
	SignalHello         Name = "hello" // the first frame of an event stream or a poll
	SignalReceipt       Name = "receipt"
	SignalTyping        Name = "typing"
	SignalPresence      Name = "presence"
	SignalRoomAdded     Name = "room.added"
	SignalRoomRemoved   Name = "room.removed"
	SignalReset         Name = "reset"
	SignalSkipped       Name = "skipped"
	SignalTokenExpiring Name = "token.expiring"
	SignalReconnect     Name = "reconnect"
	SignalClosing       Name = "closing"
	SignalAudience      Name = "audience"
)

// LeaveReason says why somebody is no longer a member, or a room is gone for a session.
type LeaveReason string

// The reasons of member.left (the first three) and room.removed (all).
const (
	ReasonLeft    LeaveReason = "left"
	ReasonRemoved LeaveReason = "removed"
	ReasonBanned  LeaveReason = "banned"
	ReasonDeleted LeaveReason = "deleted"
	ReasonGone    LeaveReason = "gone"
)

// RoomCreatedData is seq 1 of every room.
type RoomCreatedData struct {
	Room    Room         `json:"room"`
	Members []MemberRole `json:"members"`
}

// RoomUpdatedData holds what a room.update changed, as it stands now.
type RoomUpdatedData struct {
	Name     *string   `json:"name,omitzero"`
	Topic    *string   `json:"topic,omitzero"`
	Avatar   *string   `json:"avatar,omitzero"`
	Data     Opt[Raw]  `json:"data,omitzero"`
	Settings *Settings `json:"settings,omitzero"`
}

// MemberJoinedData names who became a member, and as what.
type MemberJoinedData struct {
	Users []string `json:"users"`
	Role  Role     `json:"role"`
}

// MemberLeftData names who is no longer a member, and why.
type MemberLeftData struct {
	Users  []string    `json:"users"`
	Reason LeaveReason `json:"reason"`
}

// MemberUpdatedData is a changed role or mute; muted_until null ends a mute.
type MemberUpdatedData struct {
	User       string    `json:"user"`
	Role       Role      `json:"role,omitzero"`
	MutedUntil Opt[Time] `json:"muted_until,omitzero"`
}

// MemberUnbannedData names whose ban ended.
type MemberUnbannedData struct {
	User string `json:"user"`
}

// MessageCreatedData is a message as it was sent. Deleted stands in for the content once the message is deleted.
type MessageCreatedData struct {
	ClientID    string   `json:"client_id,omitzero"`
	N           uint64   `json:"n"`
	Text        *string  `json:"text,omitzero"`
	Data        Raw      `json:"data,omitzero"`
	Attachments Raw      `json:"attachments,omitzero"`
	ReplyTo     Seq      `json:"reply_to,omitzero"`
	Thread      Seq      `json:"thread,omitzero"`
	Mentions    []string `json:"mentions,omitempty"`
	Deleted     bool     `json:"deleted,omitzero"`
}

// MessageEditedData is a message's whole content as it stands after the edit.
type MessageEditedData struct {
	Target      Seq     `json:"target"`
	Text        *string `json:"text,omitzero"`
	Data        Raw     `json:"data,omitzero"`
	Attachments Raw     `json:"attachments,omitzero"`
	Deleted     bool    `json:"deleted,omitzero"`
}

// MessageDeletedData names the message that is gone.
type MessageDeletedData struct {
	Target Seq `json:"target"`
}

// ReactionData names the message and the emoji.
type ReactionData struct {
	Target Seq    `json:"target"`
	Emoji  string `json:"emoji"`
}

// ReceiptData are cursors that moved.
type ReceiptData struct {
	Members []Cursors `json:"members"`
}

// TypingData says whether the user of the signal is typing.
type TypingData struct {
	Active    bool  `json:"active"`
	ExpiresMS int64 `json:"expires_ms"`
}

// PresenceData is how the user of the signal is seen.
type PresenceData struct {
	Status   Status `json:"status"`
	LastSeen Time   `json:"last_seen,omitzero"`
}

// RoomAddedData is the room that the session's user has become a member of.
type RoomAddedData struct {
	Room Room `json:"room"`
}

// RoomRemovedData says why the room is gone for the session.
type RoomRemovedData struct {
	Reason LeaveReason `json:"reason"`
}

// ResetData tells where the stream of the room goes on: at head + 1.
type ResetData struct {
	Head Seq `json:"head"`
}

// SkippedData names the events left out, both ends included.
type SkippedData struct {
	From Seq `json:"from"`
	To   Seq `json:"to"`
}

// TokenExpiringData is when the session's token ends.
type TokenExpiringData struct {
	ExpiresAt Time `json:"expires_at"`
}

// ReconnectData asks a client to go elsewhere after a delay.
type ReconnectData struct {
	DelayMS int64 `json:"delay_ms"`
}

// ClosingData is the close that follows, because proxies lose close codes.
type ClosingData struct {
	Code         CloseCode `json:"code"`
	Reason       string    `json:"reason"`
	RetryAfterMS int64     `json:"retry_after_ms,omitzero"`
}

// AudienceData is how many sessions watch a live room.
type AudienceData struct {
	Watching uint64 `json:"watching"`
}

// Push is one row of the tables of §5.
type Push struct {
	Name  Name
	Event bool   // in a room's log, with a seq
	Data  any    // a zero value of the type of its data
	Doc   string // to whom and when, for the documentation
}

// Pushes lists every push of §5.
func Pushes() []Push {
	return []Push{
		{RoomCreated, true, RoomCreatedData{}, "the first event of a room, with its first members"},
		{RoomUpdated, true, RoomUpdatedData{}, "what changed, as it stands now"},
		{RoomDeleted, true, Empty{}, "the last event of a room"},
		{MemberJoined, true, MemberJoinedData{}, "users became members"},
		{MemberLeft, true, MemberLeftData{}, "users are no longer members"},
		{MemberUpdated, true, MemberUpdatedData{}, "a role or a mute changed"},
		{MemberUnbanned, true, MemberUnbannedData{}, "a ban ended"},
		{MessageCreated, true, MessageCreatedData{}, "a message"},
		{MessageEdited, true, MessageEditedData{}, "a message's content, whole, as it stands"},
		{MessageDeleted, true, MessageDeletedData{}, "a message is gone"},
		{ReactionAdded, true, ReactionData{}, "a reaction was set"},
		{ReactionRemoved, true, ReactionData{}, "a reaction was taken back"},
		{SignalReceipt, false, ReceiptData{}, "members of rooms of up to 100, at most one frame a second per room; the user's own other sessions always"},
		{SignalTyping, false, TypingData{}, "the other members' sessions"},
		{SignalPresence, false, PresenceData{}, "sessions subscribed to a user that they may see"},
		{SignalRoomAdded, false, RoomAddedData{}, "every session of a user who has become a member, before the event that made them one"},
		{SignalRoomRemoved, false, RoomRemovedData{}, "the sessions of a user who is no longer a member; the last frame about the room"},
		{SignalReset, false, ResetData{}, "a session too far behind in a room; the stream goes on at head + 1"},
		{SignalSkipped, false, SkippedData{}, "a watcher of a sampled live room, in place of the events left out"},
		{SignalTokenExpiring, false, TokenExpiringData{}, "the session, 60 s before its token ends"},
		{SignalReconnect, false, ReconnectData{}, "every session of a node being drained"},
		{SignalClosing, false, ClosingData{}, "a session that the server is about to close"},
		{SignalAudience, false, AudienceData{}, "watchers of a live room, when it changes, at most once a second"},
	}
}
