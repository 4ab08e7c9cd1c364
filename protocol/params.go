package protocol

// The params and results of the methods, in the order of §4. A result that is not here is empty.

// HelloParams open a session (§3).
type HelloParams struct {
	Token  string     `json:"token"`           // a token of the user
	Device string     `json:"device"`          // this installation of a client: made once and kept
	Client string     `json:"client,omitzero"` // free text about the program, for session lists
	Resume *Resume    `json:"resume,omitzero"` // the positions reached before: the streams go on right after them
	Rooms  RoomsToAll `json:"rooms,omitzero"`  // which rooms are followed besides those of resume
}

// RoomsToAll says which rooms a session follows by itself: "all" (also when empty) or "none".
type RoomsToAll string

// The values of hello's rooms.
const (
	RoomsAll  RoomsToAll = "all"
	RoomsNone RoomsToAll = "none"
)

// Resume are the positions that a client has reached, and the epoch they belong to.
type Resume struct {
	Epoch string         `json:"epoch"` // as an earlier hello told it
	Rooms map[string]Seq `json:"rooms"` // the seq of the last event that the client has, by room; 0 is from the beginning
}

// HelloResult is the reply to hello.
type HelloResult struct {
	Session        string `json:"session"` // names this session, as in Parley-Session
	User           string `json:"user"`
	Epoch          string `json:"epoch"` // the life of the stored logs: positions of another one are void
	Node           string `json:"node"`  // the node that serves the session
	ServerTime     Time   `json:"server_time"`
	HeartbeatMS    int64  `json:"heartbeat_ms"` // silence after which the server sends a heartbeat
	Limits         Limits `json:"limits"`
	TokenExpiresAt Time   `json:"token_expires_at"` // the session ends then, unless it is refreshed
}

// SessionRefreshParams bring a fresh token of the same user.
type SessionRefreshParams struct {
	Token string `json:"token"` // a token of the same user
}

// SessionRefreshResult tells the new end of the session.
type SessionRefreshResult struct {
	TokenExpiresAt Time `json:"token_expires_at"` // the new end of the session
}

// SessionListParams ask for the caller's sessions, or, from a back end, for those of User.
type SessionListParams struct {
	User string `json:"user,omitzero"` // whose sessions; from a back end only
}

// SessionListResult are the sessions, newest first.
type SessionListResult struct {
	Sessions []Session `json:"sessions"`
}

// SessionRevokeParams name what to close: one session, a device, or all. User is for a back end.
type SessionRevokeParams struct {
	Session string `json:"session,omitzero"` // one session
	Device  string `json:"device,omitzero"`  // all sessions of a device
	All     bool   `json:"all,omitzero"`     // all sessions of the user
	User    string `json:"user,omitzero"`    // whose; from a back end only
}

// SessionTicketResult is a one-time ticket for an event stream.
type SessionTicketResult struct {
	Ticket    string `json:"ticket"`     // good once, in the URL of an event stream
	ExpiresAt Time   `json:"expires_at"` // 30 s from now
}

// Empty are the params or the result of a method that has none.
type Empty struct{}

// UserGetParams name users.
type UserGetParams struct {
	Users []string `json:"users"` // whose profiles
}

// UsersResult are profiles; unknown users are left out.
type UsersResult struct {
	Users []User `json:"users"`
}

// UserUpdateParams change one's own profile; from a back end, that of User, who exists from then on.
type UserUpdateParams struct {
	User   string      `json:"user,omitzero"` // whose profile; from a back end only
	Name   Opt[string] `json:"name,omitzero"`
	Avatar Opt[string] `json:"avatar,omitzero"` // an http or https URL
	Data   Opt[Raw]    `json:"data,omitzero"`   // the application's own, any JSON
}

// UserUpdateResult is the profile as it stands now.
type UserUpdateResult struct {
	User User `json:"user"`
}

// UserSearchParams look for users by the beginning of their id or name.
type UserSearchParams struct {
	Query string `json:"query"` // how the id or the name begins
	Limit int    `json:"limit,omitzero"`
}

// RoomCreateParams make a room.
type RoomCreateParams struct {
	Kind     Kind           `json:"kind"`
	Name     string         `json:"name,omitzero"`
	Topic    string         `json:"topic,omitzero"`
	Avatar   string         `json:"avatar,omitzero"`    // an http or https URL
	Members  []string       `json:"members,omitempty"`  // besides the caller; of a direct room exactly the other user
	Data     Raw            `json:"data,omitzero"`      // the application's own, any JSON
	Settings *SettingsPatch `json:"settings,omitzero"`  // those that differ from the defaults
	ClientID string         `json:"client_id,omitzero"` // with it a repeat makes no second room
}

// RoomCreateResult is the room, new or as it was.
type RoomCreateResult struct {
	Room      Room `json:"room"`
	Duplicate bool `json:"duplicate,omitzero"` // the room was there already
}

// RoomParams name a room and nothing else.
type RoomParams struct {
	Room string `json:"room"`
}

// RoomEventParams name a room and may carry a client_id: room.delete, room.join, room.leave.
type RoomEventParams struct {
	Room     string `json:"room"`
	ClientID string `json:"client_id,omitzero"`
}

// RoomGetResult is a room as the caller may see it; Me is absent for one who is no member.
type RoomGetResult struct {
	Room         Room   `json:"room"`
	Me           *Me    `json:"me,omitzero"` // the entry of the caller, who is a member
	MembersCount uint64 `json:"members_count"`
	Head         Seq    `json:"head"` // the snapshot holds every event up to it
}

// RoomUpdateParams change a room; absent = unchanged, null = removed (in settings: the default).
type RoomUpdateParams struct {
	Room     string             `json:"room"`
	Name     Opt[string]        `json:"name,omitzero"`
	Topic    Opt[string]        `json:"topic,omitzero"`
	Avatar   Opt[string]        `json:"avatar,omitzero"`   // an http or https URL
	Data     Opt[Raw]           `json:"data,omitzero"`     // the application's own, any JSON
	Settings Opt[SettingsPatch] `json:"settings,omitzero"` // merged into those of the room; null restores a default
	ClientID string             `json:"client_id,omitzero"`
}

// RoomUpdateResult is the room after the change, and the event that made it.
type RoomUpdateResult struct {
	Room      Room `json:"room"`
	Seq       Seq  `json:"seq"` // of the event that made it so
	Duplicate bool `json:"duplicate,omitzero"`
}

// SeqResult is the answer of a method that makes one event.
type SeqResult struct {
	Seq       Seq  `json:"seq"`                // of the event that made it so
	Duplicate bool `json:"duplicate,omitzero"` // it was so already
}

// RoomListParams ask for the inbox.
type RoomListParams struct {
	Since    string `json:"since,omitzero"`    // the token of an earlier list: only what has changed since
	Kinds    []Kind `json:"kinds,omitempty"`   // only rooms of these kinds
	Archived *bool  `json:"archived,omitzero"` // only rooms that are archived, or only others; absent: all
	Limit    int    `json:"limit,omitzero"`
	Page     string `json:"page,omitzero"` // from the page before
}

// RoomListResult is one page of the inbox.
type RoomListResult struct {
	Rooms   []InboxEntry `json:"rooms"`
	Removed []string     `json:"removed"`       // rooms that the user has left since
	Token   string       `json:"token"`         // for since, the next time; the same on every page
	Page    string       `json:"page,omitzero"` // there is a further page
}

// InboxEntry is one room of the inbox.
type InboxEntry struct {
	Room        Room     `json:"room"`
	Head        Seq      `json:"head"` // the snapshot holds every event up to it
	Me          Me       `json:"me"`
	LastMessage *Message `json:"last_message,omitzero"` // the newest message, unless there is none
}

// RoomBrowseParams look for channels.
type RoomBrowseParams struct {
	Query string `json:"query,omitzero"` // how a word of the name begins; empty: all channels
	Limit int    `json:"limit,omitzero"`
	Page  string `json:"page,omitzero"` // from the page before
}

// RoomBrowseResult is one page of channels.
type RoomBrowseResult struct {
	Rooms []Room `json:"rooms"`
	Page  string `json:"page,omitzero"` // there is a further page
}

// RoomJoinResult is the room joined, one's entry in it and the event.
type RoomJoinResult struct {
	Room      Room `json:"room"`
	Seq       Seq  `json:"seq"` // of one's member.joined
	Me        Me   `json:"me"`
	Duplicate bool `json:"duplicate,omitzero"`
}

// MemberAddParams add users to a room.
type MemberAddParams struct {
	Room     string   `json:"room"`
	Users    []string `json:"users"` // who becomes a member
	ClientID string   `json:"client_id,omitzero"`
}

// MemberAddResult names those who were not members before.
type MemberAddResult struct {
	Seq       Seq      `json:"seq"`
	Added     []string `json:"added"` // who was no member before
	Duplicate bool     `json:"duplicate,omitzero"`
}

// MemberParams name one member: member.remove, member.unban.
type MemberParams struct {
	Room     string `json:"room"`
	User     string `json:"user"`
	ClientID string `json:"client_id,omitzero"`
}

// MemberUpdateParams change a member's role or mute them; muted_until null ends a mute.
type MemberUpdateParams struct {
	Room       string    `json:"room"`
	User       string    `json:"user"`
	Role       Role      `json:"role,omitzero"`
	MutedUntil Opt[Time] `json:"muted_until,omitzero"` // until when the member may not send; null ends a mute
	ClientID   string    `json:"client_id,omitzero"`
}

// MemberBanParams ban a user, a member or not.
type MemberBanParams struct {
	Room     string `json:"room"`
	User     string `json:"user"`
	Reason   string `json:"reason,omitzero"` // kept for moderators
	ClientID string `json:"client_id,omitzero"`
}

// PageParams ask for one page of a list of a room: member.list, receipt.list.
type PageParams struct {
	Room  string `json:"room"`
	Limit int    `json:"limit,omitzero"`
	Page  string `json:"page,omitzero"` // from the page before
}

// MemberListResult is one page of members.
type MemberListResult struct {
	Members []Member `json:"members"`
	Head    Seq      `json:"head"`          // the snapshot holds every event up to it
	Page    string   `json:"page,omitzero"` // there is a further page
}

// MemberSettingsParams change one's own entry; no event.
type MemberSettingsParams struct {
	Room     string `json:"room"`
	Notify   Notify `json:"notify,omitzero"` // of what one wants to be told when away
	Pinned   *bool  `json:"pinned,omitzero"`
	Archived *bool  `json:"archived,omitzero"`
}

// RoomSubscribeParams follow a room, from After or from now.
type RoomSubscribeParams struct {
	Room  string `json:"room"`
	After *Seq   `json:"after,omitzero"` // the last seq that the client has; absent: from now on
}

// HeadResult is the head of a room.
type HeadResult struct {
	Head Seq `json:"head"` // the newest seq of the room
}

// MessageSendParams send a message.
type MessageSendParams struct {
	Room        string   `json:"room"`
	ClientID    string   `json:"client_id"`            // made once for each message: a repeat is answered with the first result
	Text        string   `json:"text,omitzero"`        // kept byte for byte; at most 8 KiB of UTF-8
	Data        Raw      `json:"data,omitzero"`        // the application's own, any JSON of at most 16 KiB
	Attachments Raw      `json:"attachments,omitzero"` // objects of the application's own
	ReplyTo     Seq      `json:"reply_to,omitzero"`    // the seq of a message of the room
	Mentions    []string `json:"mentions,omitempty"`   // users who are told, if they are members
}

// MessageSendResult means: durable (promise 1).
type MessageSendResult struct {
	Room      string `json:"room"`
	Seq       Seq    `json:"seq"` // the message's place in the log of the room
	N         uint64 `json:"n"`   // the running number of the message in the room
	At        Time   `json:"at"`
	Duplicate bool   `json:"duplicate,omitzero"` // it was sent before: this is the first result
}

// MessageEditParams change one's own message; absent = unchanged, null = removed.
type MessageEditParams struct {
	Room        string      `json:"room"`
	Seq         Seq         `json:"seq"`                  // of the message
	Text        Opt[string] `json:"text,omitzero"`        // at most 8 KiB of UTF-8
	Data        Opt[Raw]    `json:"data,omitzero"`        // the application's own, any JSON of at most 16 KiB
	Attachments Opt[Raw]    `json:"attachments,omitzero"` // objects of the application's own
	ClientID    string      `json:"client_id,omitzero"`
}

// MessageParams name a message: message.delete.
type MessageParams struct {
	Room     string `json:"room"`
	Seq      Seq    `json:"seq"` // of the message
	ClientID string `json:"client_id,omitzero"`
}

// ReactionParams set or take back a reaction.
type ReactionParams struct {
	Room     string `json:"room"`
	Seq      Seq    `json:"seq"`   // of the message
	Emoji    string `json:"emoji"` // 1–32 bytes of UTF-8
	ClientID string `json:"client_id,omitzero"`
}

// MessageListParams ask for messages around a position; at most one of before, after, around.
type MessageListParams struct {
	Room   string `json:"room"`
	Before *Seq   `json:"before,omitzero"` // messages with a smaller seq
	After  *Seq   `json:"after,omitzero"`  // messages with a larger seq
	Around *Seq   `json:"around,omitzero"` // messages on either side of this seq, with its own
	Limit  int    `json:"limit,omitzero"`
	Thread Seq    `json:"thread,omitzero"` // only replies below this message
}

// MessageListResult are messages as they stand at Head, ascending.
type MessageListResult struct {
	Messages []Message `json:"messages"`
	More     bool      `json:"more"` // there are more in the direction asked
	Head     Seq       `json:"head"` // the snapshot holds every event up to it
}

// MessageSearchParams look for words.
type MessageSearchParams struct {
	Query string `json:"query"`         // all words must occur; "…" is a phrase, word* a prefix
	Room  string `json:"room,omitzero"` // only in this room; absent: in the 200 most recent ones
	Limit int    `json:"limit,omitzero"`
	Page  string `json:"page,omitzero"` // from the page before
}

// MessageSearchResult are the messages found, newest first.
type MessageSearchResult struct {
	Messages []Message `json:"messages"`
	Page     string    `json:"page,omitzero"`    // there is a further page
	Partial  bool      `json:"partial,omitzero"` // not everything could be looked at
}

// EventListParams read the log.
type EventListParams struct {
	Room  string `json:"room"`
	After Seq    `json:"after"` // events with a larger seq; 0 is from the beginning
	Limit int    `json:"limit,omitzero"`
}

// EventListResult are events exactly as they are pushed.
type EventListResult struct {
	Events []Raw `json:"events"`
	Head   Seq   `json:"head"` // the newest seq of the room
}

// ReceiptDeliveredParams move delivered cursors, all or none.
type ReceiptDeliveredParams struct {
	Cursors map[string]Seq `json:"cursors"` // up to which seq everything has arrived, by room
}

// ReceiptReadParams move one read cursor.
type ReceiptReadParams struct {
	Room string `json:"room"`
	Seq  Seq    `json:"seq"` // up to which everything was read
}

// ReceiptReadResult is where one's own cursors stand.
type ReceiptReadResult struct {
	Read      Seq    `json:"read"`
	Delivered Seq    `json:"delivered"`
	Unread    uint64 `json:"unread"`
}

// ReceiptListResult is one page of members' cursors.
type ReceiptListResult struct {
	Members []Cursors `json:"members"`
	Head    Seq       `json:"head"`          // the snapshot holds every event up to it
	Page    string    `json:"page,omitzero"` // there is a further page
}

// Status is how available a user is.
type Status string

// The statuses of presence; offline is only seen, invisible is only set.
const (
	StatusOnline    Status = "online"
	StatusAway      Status = "away"
	StatusInvisible Status = "invisible"
	StatusOffline   Status = "offline"
)

// PresenceSetParams set one's own status.
type PresenceSetParams struct {
	Status Status `json:"status"`
}

// PresenceParams name the users of a subscription.
type PresenceParams struct {
	Users []string `json:"users"` // whom it is about
}

// PresenceResult is how those users are seen now.
type PresenceResult struct {
	Users []UserPresence `json:"users"`
}

// UserPresence is how one user is seen.
type UserPresence struct {
	User     string `json:"user"`
	Status   Status `json:"status"`             // never invisible: that is seen as offline
	LastSeen Time   `json:"last_seen,omitzero"` // when the user was last online
}

// UserExportParams ask for what the deployment keeps of a user.
type UserExportParams struct {
	User  string `json:"user"`
	Limit int    `json:"limit,omitzero"` // about so many records
	Page  string `json:"page,omitzero"`  // from the page before
}

// UserExportResult is a page of it.
type UserExportResult struct {
	Records []ExportRecord `json:"records"`
	Page    string         `json:"page,omitzero"` // there is a further page
}

// UserEraseParams name whom to erase.
type UserEraseParams struct {
	User string `json:"user"`
}
