package protocol

import "unicode/utf8"

// The checks of each method's params, in the order of §4.

// Check wants a device. The token is a credential, which is looked at before any form.
func (p *HelloParams) Check() *Error {
	if e := first(checkDevice("device", p.Device), checkBytes("client", p.Client, MaxClientBytes)); e != nil {
		return e
	}
	switch p.Rooms {
	case "", RoomsAll, RoomsNone:
	default:
		return Errorf(BadRequest, "rooms", "rooms must be %q or %q", RoomsAll, RoomsNone)
	}
	if p.Resume == nil {
		return nil
	}
	return checkPositions("resume", p.Resume.Rooms, MaxResumeRooms)
}

// Check wants a token.
func (p *SessionRefreshParams) Check() *Error { return checkPresent("token", p.Token) }

// Check wants a user id where there is one.
func (p *SessionListParams) Check() *Error { return checkBackendUser(p.User) }

// Check wants exactly one of session, device and all.
func (p *SessionRevokeParams) Check() *Error {
	named := 0
	for _, given := range []bool{p.Session != "", p.Device != "", p.All} {
		if given {
			named++
		}
	}
	if named != 1 {
		return Errorf(BadRequest, "session", "name exactly one of session, device and all (true)")
	}
	if p.Device != "" {
		if e := checkDevice("device", p.Device); e != nil {
			return e
		}
	}
	return checkBackendUser(p.User)
}

// Check finds nothing to object to.
func (p *Empty) Check() *Error { return nil }

// Check wants 1–200 users.
func (p *UserGetParams) Check() *Error { return checkUsers("users", p.Users, 1, MaxUsersPerCall) }

// Check holds the profile to its bounds.
func (p *UserUpdateParams) Check() *Error {
	return first(
		checkBackendUser(p.User),
		checkChars("name", p.Name.Value, MaxNameChars),
		checkAvatar(p.Avatar.Value),
		checkData(p.Data.Value),
	)
}

// Check wants a query of two characters or more.
func (p *UserSearchParams) Check() *Error {
	if utf8.RuneCountInString(p.Query) < MinQueryChars {
		return Errorf(BadRequest, "query", "query must be at least %d characters", MinQueryChars)
	}
	return first(checkBytes("query", p.Query, MaxQueryBytes), checkLimit(p.Limit))
}

// Check wants a user.
func (p *UserExportParams) Check() *Error {
	return first(checkUser("user", p.User), checkLimit(p.Limit))
}

// Check wants a user.
func (p *UserEraseParams) Check() *Error { return checkUser("user", p.User) }

// Check wants a kind, and for a direct room exactly one member, the other user.
func (p *RoomCreateParams) Check() *Error {
	if !p.Kind.Valid() {
		return Errorf(BadRequest, "kind", "kind must be %q, %q, %q or %q", Direct, Group, Channel, Live)
	}
	if p.Kind == Direct && len(p.Members) != 1 {
		return Errorf(BadRequest, "members", "members of a direct room must be exactly the one other user")
	}
	settings := SettingsPatch{}
	if p.Settings != nil {
		settings = *p.Settings
	}
	return first(
		checkChars("name", p.Name, MaxNameChars),
		checkChars("topic", p.Topic, MaxTopicChars),
		checkAvatar(p.Avatar),
		checkUsers("members", p.Members, 0, MaxUsersPerCall),
		checkData(p.Data),
		checkSettings(settings),
		checkClientID(p.ClientID, Optional),
	)
}

// Check wants a room.
func (p *RoomParams) Check() *Error { return checkRoom(p.Room) }

// Check wants a room.
func (p *RoomEventParams) Check() *Error {
	return first(checkRoom(p.Room), checkClientID(p.ClientID, Optional))
}

// Check wants a room, and holds what is to change to its bounds. To change nothing is allowed: it is so already.
func (p *RoomUpdateParams) Check() *Error {
	return first(
		checkRoom(p.Room),
		checkChars("name", p.Name.Value, MaxNameChars),
		checkChars("topic", p.Topic.Value, MaxTopicChars),
		checkAvatar(p.Avatar.Value),
		checkData(p.Data.Value),
		checkSettings(p.Settings.Value),
		checkClientID(p.ClientID, Optional),
	)
}

// Check wants kinds that there are.
func (p *RoomListParams) Check() *Error {
	for _, kind := range p.Kinds {
		if !kind.Valid() {
			return Errorf(BadRequest, "kinds", "kinds may be %q, %q, %q and %q", Direct, Group, Channel, Live)
		}
	}
	return checkLimit(p.Limit)
}

// Check bounds the query.
func (p *RoomBrowseParams) Check() *Error {
	return first(checkBytes("query", p.Query, MaxQueryBytes), checkLimit(p.Limit))
}

// Check wants a room and 1–200 users.
func (p *MemberAddParams) Check() *Error {
	return first(checkRoom(p.Room), checkUsers("users", p.Users, 1, MaxUsersPerCall), checkClientID(p.ClientID, Optional))
}

// Check wants a room and a user.
func (p *MemberParams) Check() *Error {
	return first(checkRoom(p.Room), checkUser("user", p.User), checkClientID(p.ClientID, Optional))
}

// Check wants a room, a user and, where there is one, a role that there is.
func (p *MemberUpdateParams) Check() *Error {
	if e := first(checkRoom(p.Room), checkUser("user", p.User)); e != nil {
		return e
	}
	if p.Role != "" && p.Role.Rank() == 0 {
		return Errorf(BadRequest, "role", "role must be %q, %q, %q or %q", RoleMember, RoleModerator, RoleAdmin, RoleOwner)
	}
	return checkClientID(p.ClientID, Optional)
}

// Check wants a room and a user, and bounds the reason.
func (p *MemberBanParams) Check() *Error {
	return first(
		checkRoom(p.Room),
		checkUser("user", p.User),
		checkChars("reason", p.Reason, MaxReasonChars),
		checkClientID(p.ClientID, Optional),
	)
}

// Check wants a room.
func (p *PageParams) Check() *Error { return first(checkRoom(p.Room), checkLimit(p.Limit)) }

// Check wants a room and, where there is one, a notify that there is.
func (p *MemberSettingsParams) Check() *Error {
	if e := checkRoom(p.Room); e != nil {
		return e
	}
	switch p.Notify {
	case "", NotifyAll, NotifyMentions, NotifyNone:
		return nil
	}
	return Errorf(BadRequest, "notify", "notify must be %q, %q or %q", NotifyAll, NotifyMentions, NotifyNone)
}

// Check wants a room.
func (p *RoomSubscribeParams) Check() *Error {
	return first(checkRoom(p.Room), checkSeq("after", p.After))
}

// Check wants a room, a client_id and some content, within the bounds.
func (p *MessageSendParams) Check() *Error {
	if e := first(
		checkRoom(p.Room),
		checkClientID(p.ClientID, Required),
		checkBytes("text", p.Text, MaxTextBytes),
		checkData(p.Data),
		checkAttachments(p.Attachments),
	); e != nil {
		return e
	}
	if p.Text == "" && Blank(p.Data) && Blank(p.Attachments) {
		return Errorf(BadRequest, "text", "a message needs at least one of text, data and attachments")
	}
	return first(checkSeq("reply_to", &p.ReplyTo), checkUsers("mentions", p.Mentions, 0, MaxMentions))
}

// Check wants a message and something to change, within the bounds.
func (p *MessageEditParams) Check() *Error {
	if e := first(checkRoom(p.Room), checkTarget("seq", p.Seq)); e != nil {
		return e
	}
	if !p.Text.Set && !p.Data.Set && !p.Attachments.Set {
		return Errorf(BadRequest, "text", "an edit needs at least one of text, data and attachments: a value, or null to remove")
	}
	return first(
		checkBytes("text", p.Text.Value, MaxTextBytes),
		checkData(p.Data.Value),
		checkAttachments(p.Attachments.Value),
		checkClientID(p.ClientID, Optional),
	)
}

// Check wants a message.
func (p *MessageParams) Check() *Error {
	return first(checkRoom(p.Room), checkTarget("seq", p.Seq), checkClientID(p.ClientID, Optional))
}

// Check wants a message and an emoji of 1–32 bytes.
func (p *ReactionParams) Check() *Error {
	if e := first(checkRoom(p.Room), checkTarget("seq", p.Seq)); e != nil {
		return e
	}
	if len(p.Emoji) == 0 || len(p.Emoji) > MaxEmojiBytes {
		return Errorf(BadRequest, "emoji", "emoji must be 1–%d bytes", MaxEmojiBytes)
	}
	return checkClientID(p.ClientID, Optional)
}

// Check wants a room and at most one position.
func (p *MessageListParams) Check() *Error {
	switch {
	case p.After != nil && p.Before != nil:
		return Errorf(BadRequest, "after", "give only one of before, after and around")
	case p.Around != nil && (p.Before != nil || p.After != nil):
		return Errorf(BadRequest, "around", "give only one of before, after and around")
	}
	return first(
		checkRoom(p.Room),
		checkSeq("before", p.Before),
		checkSeq("after", p.After),
		checkSeq("around", p.Around),
		checkSeq("thread", &p.Thread),
		checkLimit(p.Limit),
	)
}

// Check lets any query pass, as any is legal (§4.3): a search need not look beyond its first MaxQueryBytes.
func (p *MessageSearchParams) Check() *Error { return checkLimit(p.Limit) }

// Check wants a room.
func (p *EventListParams) Check() *Error {
	return first(checkRoom(p.Room), checkSeq("after", &p.After), checkLimit(p.Limit))
}

// Check wants cursors, though there may be none in it.
func (p *ReceiptDeliveredParams) Check() *Error {
	if p.Cursors == nil {
		return Errorf(BadRequest, "cursors", "cursors is missing: an object with a seq for each room")
	}
	return checkPositions("cursors", p.Cursors, MaxCursorsPerCall)
}

// Check wants a room and a seq.
func (p *ReceiptReadParams) Check() *Error {
	return first(checkRoom(p.Room), checkTarget("seq", p.Seq))
}

// Check wants a status that can be set.
func (p *PresenceSetParams) Check() *Error {
	switch p.Status {
	case StatusOnline, StatusAway, StatusInvisible:
		return nil
	}
	return Errorf(BadRequest, "status", "status must be %q, %q or %q", StatusOnline, StatusAway, StatusInvisible)
}

// Check wants users, though the list may be empty.
func (p *PresenceParams) Check() *Error {
	if p.Users == nil {
		return Errorf(BadRequest, "users", "users is missing: an array of user ids")
	}
	return checkUsers("users", p.Users, 0, MaxUsersPerCall)
}
