package protocol

// Method is one row of the table of methods (§4).
type Method struct {
	Name     string
	Params   any      // a zero value of the type of its params
	Result   any      // a zero value of the type of its result
	ClientID Presence // whether it takes a client_id
	Backend  bool     // an API key may call it for itself, without Parley-User (§3)
	Session  bool     // over HTTP it needs Parley-Session (§2.4)
	Doc      string   // one line for the documentation
}

// Presence says whether a param is none of the method's, may be given or must be.
type Presence int

// The degrees of Presence.
const (
	None Presence = iota
	Optional
	Required
)

// The names of the methods of §4, and hello.
const (
	Hello               = "hello"
	SessionRefresh      = "session.refresh"
	SessionList         = "session.list"
	SessionRevoke       = "session.revoke"
	SessionTicket       = "session.ticket"
	UserGet             = "user.get"
	UserUpdate          = "user.update"
	UserSearch          = "user.search"
	RoomCreate          = "room.create"
	RoomGet             = "room.get"
	RoomUpdate          = "room.update"
	RoomDelete          = "room.delete"
	RoomList            = "room.list"
	RoomBrowse          = "room.browse"
	RoomJoin            = "room.join"
	RoomLeave           = "room.leave"
	MemberAdd           = "member.add"
	MemberRemove        = "member.remove"
	MemberUpdate        = "member.update"
	MemberBan           = "member.ban"
	MemberUnban         = "member.unban"
	MemberList          = "member.list"
	MemberSettings      = "member.settings"
	RoomSubscribe       = "room.subscribe"
	RoomUnsubscribe     = "room.unsubscribe"
	MessageSend         = "message.send"
	MessageEdit         = "message.edit"
	MessageDelete       = "message.delete"
	ReactionAdd         = "reaction.add"
	ReactionRemove      = "reaction.remove"
	MessageList         = "message.list"
	MessageSearch       = "message.search"
	EventList           = "event.list"
	ReceiptDelivered    = "receipt.delivered"
	ReceiptRead         = "receipt.read"
	ReceiptList         = "receipt.list"
	TypingStart         = "typing.start"
	TypingStop          = "typing.stop"
	PresenceSet         = "presence.set"
	PresenceSubscribe   = "presence.subscribe"
	PresenceUnsubscribe = "presence.unsubscribe"
	UserExport          = "user.export"
	UserErase           = "user.erase"
)

// Methods is the table: every method of §4 in its order, with hello first. The slice is the caller's own.
func Methods() []Method {
	return []Method{
		{Hello, HelloParams{}, HelloResult{}, None, false, false, "open a session (WebSocket only)"},
		{SessionRefresh, SessionRefreshParams{}, SessionRefreshResult{}, None, false, true, "go on with a fresh token of the same user"},
		{SessionList, SessionListParams{}, SessionListResult{}, None, true, false, "the live sessions of the user"},
		{SessionRevoke, SessionRevokeParams{}, Empty{}, None, true, false, "close sessions and refuse the tokens they were opened with"},
		{SessionTicket, Empty{}, SessionTicketResult{}, None, false, false, "a one-time ticket for an event stream"},
		{UserGet, UserGetParams{}, UsersResult{}, None, true, false, "profiles"},
		{UserUpdate, UserUpdateParams{}, UserUpdateResult{}, None, true, false, "change a profile"},
		{UserSearch, UserSearchParams{}, UsersResult{}, None, true, false, "find users by the beginning of their id or name"},
		{RoomCreate, RoomCreateParams{}, RoomCreateResult{}, Optional, true, false, "make a room"},
		{RoomGet, RoomParams{}, RoomGetResult{}, None, true, false, "one room as the caller sees it"},
		{RoomUpdate, RoomUpdateParams{}, RoomUpdateResult{}, Optional, false, false, "change a room"},
		{RoomDelete, RoomEventParams{}, SeqResult{}, Optional, true, false, "delete a room for good"},
		{RoomList, RoomListParams{}, RoomListResult{}, None, false, false, "the inbox, newest activity first"},
		{RoomBrowse, RoomBrowseParams{}, RoomBrowseResult{}, None, false, false, "channels that the user may find"},
		{RoomJoin, RoomEventParams{}, RoomJoinResult{}, Optional, false, false, "become a member of a channel"},
		{RoomLeave, RoomEventParams{}, SeqResult{}, Optional, false, false, "stop being a member"},
		{MemberAdd, MemberAddParams{}, MemberAddResult{}, Optional, true, false, "add members"},
		{MemberRemove, MemberParams{}, SeqResult{}, Optional, true, false, "remove a member"},
		{MemberUpdate, MemberUpdateParams{}, SeqResult{}, Optional, true, false, "change a member's role or mute them"},
		{MemberBan, MemberBanParams{}, SeqResult{}, Optional, true, false, "ban a user from a room"},
		{MemberUnban, MemberParams{}, SeqResult{}, Optional, true, false, "end a ban"},
		{MemberList, PageParams{}, MemberListResult{}, None, true, false, "the members of a room"},
		{MemberSettings, MemberSettingsParams{}, Empty{}, None, false, false, "one's own settings for a room"},
		{RoomSubscribe, RoomSubscribeParams{}, HeadResult{}, None, false, true, "follow a room"},
		{RoomUnsubscribe, RoomParams{}, Empty{}, None, false, true, "stop following a room"},
		{MessageSend, MessageSendParams{}, MessageSendResult{}, Required, false, false, "send a message"},
		{MessageEdit, MessageEditParams{}, SeqResult{}, Optional, false, false, "edit one's own message"},
		{MessageDelete, MessageParams{}, SeqResult{}, Optional, false, false, "delete a message for good"},
		{ReactionAdd, ReactionParams{}, SeqResult{}, Optional, false, false, "set a reaction"},
		{ReactionRemove, ReactionParams{}, SeqResult{}, Optional, false, false, "take back a reaction"},
		{MessageList, MessageListParams{}, MessageListResult{}, None, false, false, "messages as they stand"},
		{MessageSearch, MessageSearchParams{}, MessageSearchResult{}, None, false, false, "find messages by their words"},
		{EventList, EventListParams{}, EventListResult{}, None, false, false, "the log of a room"},
		{ReceiptDelivered, ReceiptDeliveredParams{}, Empty{}, None, false, false, "move delivered cursors"},
		{ReceiptRead, ReceiptReadParams{}, ReceiptReadResult{}, None, false, false, "move a read cursor"},
		{ReceiptList, PageParams{}, ReceiptListResult{}, None, false, false, "how far the members of a room have got"},
		{TypingStart, RoomParams{}, Empty{}, None, false, false, "tell the others that one is typing"},
		{TypingStop, RoomParams{}, Empty{}, None, false, false, "tell the others that one has stopped"},
		{PresenceSet, PresenceSetParams{}, Empty{}, None, false, true, "set one's own status"},
		{PresenceSubscribe, PresenceParams{}, PresenceResult{}, None, false, true, "hear of users' presence"},
		{PresenceUnsubscribe, PresenceParams{}, PresenceResult{}, None, false, true, "stop hearing of it"},
		{UserExport, UserExportParams{}, UserExportResult{}, None, true, false, "what the deployment keeps of a user; for a back end"},
		{UserErase, UserEraseParams{}, Empty{}, None, true, false, "take away what the deployment keeps of a user; for a back end"},
	}
}
