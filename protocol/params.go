package protocol

// The params and results of the methods, in the order of §4. A result that is not here is empty.

// HelloParams open a session (§3).
type HelloParams struct {
	Token  string     `json:"token"`
	Device string     `json:"device"`
	Client string     `json:"client,omitzero"`
	Resume *Resume    `json:"resume,omitzero"`
	Rooms  RoomsToAll `json:"rooms,omitzero"`
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
	Epoch string         `json:"epoch"`
	Rooms map[string]Seq `json:"rooms"`
}

// HelloResult is the reply to hello.
type HelloResult struct {
	Session        string `json:"session"`
	User           string `json:"user"`
	Epoch          string `json:"epoch"`
	Node           string `json:"node"`
	ServerTime     Time   `json:"server_time"`
	HeartbeatMS    int64  `json:"heartbeat_ms"`
	Limits         Limits `json:"limits"`
	TokenExpiresAt Time   `json:"token_expires_at"`
}

// SessionRefreshParams bring a fresh token of the same user.
type SessionRefreshParams struct {
	Token string `json:"token"`
}

// SessionRefreshResult tells the new end of the session.
type SessionRefreshResult struct {
	TokenExpiresAt Time `json:"token_expires_at"`
}

// SessionListParams ask for the caller's sessions, or, from a back end, for those of User.
type SessionListParams struct {
	User string `json:"user,omitzero"`
}

// SessionListResult are the sessions, newest first.
type SessionListResult struct {
	Sessions []Session `json:"sessions"`
}

// SessionRevokeParams name what to close: one session, a device, or all. User is for a back end.
type SessionRevokeParams struct {
	Session string `json:"session,omitzero"`
	Device  string `json:"device,omitzero"`
	All     bool   `json:"all,omitzero"`
	User    string `json:"user,omitzero"`
}

// SessionTicketResult is a one-time ticket for an event stream.
type SessionTicketResult struct {
	Ticket    string `json:"ticket"`
	ExpiresAt Time   `json:"expires_at"`
}

// Empty are the params or the result of a method that has none.
type Empty struct{}

// UserGetParams name users.
type UserGetParams struct {
	Users []string `json:"users"`
}

// UsersResult are profiles; unknown users are left out.
type UsersResult struct {
	Users []User `json:"users"`
}

// UserUpdateParams change one's own profile; from a back end, that of User, who exists from then on.
type UserUpdateParams struct {
	User   string      `json:"user,omitzero"`
	Name   Opt[string] `json:"name,omitzero"`
	Avatar Opt[string] `json:"avatar,omitzero"`
	Data   Opt[Raw]    `json:"data,omitzero"`
}

// UserUpdateResult is the profile as it stands now.
type UserUpdateResult struct {
	User User `json:"user"`
}

// UserSearchParams look for users by the beginning of their id or name.
type UserSearchParams struct {
	Query string `json:"query"`
	Limit int    `json:"limit,omitzero"`
}

// RoomCreateParams make a room.
type RoomCreateParams struct {
	Kind     Kind           `json:"kind"`
	Name     string         `json:"name,omitzero"`
	Topic    string         `json:"topic,omitzero"`
	Avatar   string         `json:"avatar,omitzero"`
	Members  []string       `json:"members,omitempty"`
	Data     Raw            `json:"data,omitzero"`
	Settings *SettingsPatch `json:"settings,omitzero"`
	ClientID string         `json:"client_id,omitzero"`
}

// RoomCreateResult is the room, new or as it was.
type RoomCreateResult struct {
	Room      Room `json:"room"`
	Duplicate bool `json:"duplicate,omitzero"`
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
	Me           *Me    `json:"me,omitzero"`
	MembersCount uint64 `json:"members_count"`
	Head         Seq    `json:"head"`
}

// RoomUpdateParams change a room; absent = unchanged, null = removed (in settings: the default).
type RoomUpdateParams struct {
	Room     string             `json:"room"`
	Name     Opt[string]        `json:"name,omitzero"`
	Topic    Opt[string]        `json:"topic,omitzero"`
	Avatar   Opt[string]        `json:"avatar,omitzero"`
	Data     Opt[Raw]           `json:"data,omitzero"`
	Settings Opt[SettingsPatch] `json:"settings,omitzero"`
	ClientID string             `json:"client_id,omitzero"`
}

// RoomUpdateResult is the room after the change, and the event that made it.
type RoomUpdateResult struct {
	Room      Room `json:"room"`
	Seq       Seq  `json:"seq"`
	Duplicate bool `json:"duplicate,omitzero"`
}

// SeqResult is the answer of a method that makes one event.
type SeqResult struct {
	Seq       Seq  `json:"seq"`
	Duplicate bool `json:"duplicate,omitzero"`
}

// RoomListParams ask for the inbox.
type RoomListParams struct {
	Since    string `json:"since,omitzero"`
	Kinds    []Kind `json:"kinds,omitempty"`
	Archived *bool  `json:"archived,omitzero"`
	Limit    int    `json:"limit,omitzero"`
	Page     string `json:"page,omitzero"`
}

// RoomListResult is one page of the inbox.
type RoomListResult struct {
	Rooms   []InboxEntry `json:"rooms"`
	Removed []string     `json:"removed"`
	Token   string       `json:"token"`
	Page    string       `json:"page,omitzero"`
}

// InboxEntry is one room of the inbox.
type InboxEntry struct {
	Room        Room     `json:"room"`
	Head        Seq      `json:"head"`
	Me          Me       `json:"me"`
	LastMessage *Message `json:"last_message,omitzero"`
}

// RoomBrowseParams look for channels.
type RoomBrowseParams struct {
	Query string `json:"query,omitzero"`
	Limit int    `json:"limit,omitzero"`
	Page  string `json:"page,omitzero"`
}

// RoomBrowseResult is one page of channels.
type RoomBrowseResult struct {
	Rooms []Room `json:"rooms"`
	Page  string `json:"page,omitzero"`
}

// RoomJoinResult is the room joined, one's entry in it and the event.
type RoomJoinResult struct {
	Room      Room `json:"room"`
	Seq       Seq  `json:"seq"`
	Me        Me   `json:"me"`
	Duplicate bool `json:"duplicate,omitzero"`
}

// MemberAddParams add users to a room.
type MemberAddParams struct {
	Room     string   `json:"room"`
	Users    []string `json:"users"`
	ClientID string   `json:"client_id,omitzero"`
}

// MemberAddResult names those who were not members before.
type MemberAddResult struct {
	Seq       Seq      `json:"seq"`
	Added     []string `json:"added"`
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
	MutedUntil Opt[Time] `json:"muted_until,omitzero"`
	ClientID   string    `json:"client_id,omitzero"`
}

// MemberBanParams ban a user, a member or not.
type MemberBanParams struct {
	Room     string `json:"room"`
	User     string `json:"user"`
	Reason   string `json:"reason,omitzero"`
	ClientID string `json:"client_id,omitzero"`
}

// PageParams ask for one page of a list of a room: member.list, receipt.list.
type PageParams struct {
	Room  string `json:"room"`
	Limit int    `json:"limit,omitzero"`
	Page  string `json:"page,omitzero"`
}

// MemberListResult is one page of members.
type MemberListResult struct {
	Members []Member `json:"members"`
	Head    Seq      `json:"head"`
	Page    string   `json:"page,omitzero"`
}

// MemberSettingsParams change one's own entry; no event.
type MemberSettingsParams struct {
	Room     string `json:"room"`
	Notify   Notify `json:"notify,omitzero"`
	Pinned   *bool  `json:"pinned,omitzero"`
	Archived *bool  `json:"archived,omitzero"`
}

// RoomSubscribeParams follow a room, from After or from now.
type RoomSubscribeParams struct {
	Room  string `json:"room"`
	After *Seq   `json:"after,omitzero"`
}

// HeadResult is the head of a room.
type HeadResult struct {
	Head Seq `json:"head"`
}

// MessageSendParams send a message.
type MessageSendParams struct {
	Room        string   `json:"room"`
	ClientID    string   `json:"client_id"`
	Text        string   `json:"text,omitzero"`
	Data        Raw      `json:"data,omitzero"`
	Attachments Raw      `json:"attachments,omitzero"`
	ReplyTo     Seq      `json:"reply_to,omitzero"`
	Mentions    []string `json:"mentions,omitempty"`
}

// MessageSendResult means: durable (promise 1).
type MessageSendResult struct {
	Room      string `json:"room"`
	Seq       Seq    `json:"seq"`
	N         uint64 `json:"n"`
	At        Time   `json:"at"`
	Duplicate bool   `json:"duplicate,omitzero"`
}

// MessageEditParams change one's own message; absent = unchanged, null = removed.
type MessageEditParams struct {
	Room        string      `json:"room"`
	Seq         Seq         `json:"seq"`
	Text        Opt[string] `json:"text,omitzero"`
	Data        Opt[Raw]    `json:"data,omitzero"`
	Attachments Opt[Raw]    `json:"attachments,omitzero"`
	ClientID    string      `json:"client_id,omitzero"`
}

// MessageParams name a message: message.delete.
type MessageParams struct {
	Room     string `json:"room"`
	Seq      Seq    `json:"seq"`
	ClientID string `json:"client_id,omitzero"`
}

// ReactionParams set or take back a reaction.
type ReactionParams struct {
	Room     string `json:"room"`
	Seq      Seq    `json:"seq"`
	Emoji    string `json:"emoji"`
	ClientID string `json:"client_id,omitzero"`
}

// MessageListParams ask for messages around a position; at most one of before, after, around.
type MessageListParams struct {
	Room   string `json:"room"`
	Before *Seq   `json:"before,omitzero"`
	After  *Seq   `json:"after,omitzero"`
	Around *Seq   `json:"around,omitzero"`
	Limit  int    `json:"limit,omitzero"`
	Thread Seq    `json:"thread,omitzero"`
}

// MessageListResult are messages as they stand at Head, ascending.
type MessageListResult struct {
	Messages []Message `json:"messages"`
	More     bool      `json:"more"`
	Head     Seq       `json:"head"`
}

// MessageSearchParams look for words.
type MessageSearchParams struct {
	Query string `json:"query"`
	Room  string `json:"room,omitzero"`
	Limit int    `json:"limit,omitzero"`
	Page  string `json:"page,omitzero"`
}

// MessageSearchResult are the messages found, newest first.
type MessageSearchResult struct {
	Messages []Message `json:"messages"`
	Page     string    `json:"page,omitzero"`
	Partial  bool      `json:"partial,omitzero"`
}

// EventListParams read the log.
type EventListParams struct {
	Room  string `json:"room"`
	After Seq    `json:"after"`
	Limit int    `json:"limit,omitzero"`
}

// EventListResult are events exactly as they are pushed.
type EventListResult struct {
	Events []Raw `json:"events"`
	Head   Seq   `json:"head"`
}

// ReceiptDeliveredParams move delivered cursors, all or none.
type ReceiptDeliveredParams struct {
	Cursors map[string]Seq `json:"cursors"`
}

// ReceiptReadParams move one read cursor.
type ReceiptReadParams struct {
	Room string `json:"room"`
	Seq  Seq    `json:"seq"`
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
	Head    Seq       `json:"head"`
	Page    string    `json:"page,omitzero"`
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
	Users []string `json:"users"`
}

// PresenceResult is how those users are seen now.
type PresenceResult struct {
	Users []UserPresence `json:"users"`
}

// UserPresence is how one user is seen.
type UserPresence struct {
	User     string `json:"user"`
	Status   Status `json:"status"`
	LastSeen Time   `json:"last_seen,omitzero"`
}
