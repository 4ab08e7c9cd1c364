package chat

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/parley-im/parley/protocol"
)

// RoomObject is the room as the wire shows it (§4.2).
func RoomObject(room *Room, head Head) protocol.Room {
	return protocol.Room{
		ID:        room.ID,
		Kind:      room.Kind,
		Name:      room.Name,
		Topic:     room.Topic,
		Avatar:    room.Avatar,
		Data:      room.Data,
		Settings:  room.Settings,
		CreatedAt: room.CreatedAt,
		CreatedBy: userOrNull(room.CreatedBy),
		First:     max(room.First, 1),
		Head:      head.Seq,
		Messages:  head.N,
	}
}

// MeObject is a member's own entry of the room (§4.2). There is no unread in live rooms.
func MeObject(room *Room, head Head, m *Member, mentions uint64) protocol.Me {
	me := protocol.Me{
		Role:       m.Role,
		Read:       m.Read,
		Delivered:  m.Delivered,
		Unread:     m.Unread(head.N),
		Mentions:   mentions,
		MutedUntil: m.MutedUntil,
		Notify:     m.Notify,
		Pinned:     m.Pinned,
		Archived:   m.Archived,
	}
	if room.Kind == protocol.Live {
		me.Unread, me.Mentions = 0, 0
	}
	return me
}

// MemberObject is one row of member.list.
func MemberObject(m *Member) protocol.Member {
	return protocol.Member{User: m.User, Role: m.Role, JoinedAt: m.JoinedAt, MutedUntil: m.MutedUntil}
}

// MessageObject is a message of the room as it stands (§4.3). A deleted one shows no content and no reactions.
func MessageObject(m *Message, room string) protocol.Message {
	o := protocol.Message{
		Room:      room,
		Seq:       m.Seq,
		Rev:       m.Rev,
		N:         m.N,
		User:      userOrNull(m.User),
		ClientID:  m.ClientID,
		ReplyTo:   m.ReplyTo,
		Thread:    m.Thread,
		Replies:   m.Replies,
		Mentions:  []string{},
		Reactions: []protocol.Reaction{},
		At:        m.At,
		EditedAt:  m.EditedAt,
		DeletedAt: m.DeletedAt,
	}
	if m.DeletedAt != 0 {
		return o
	}
	o.Text, o.Data, o.Attachments = m.Content.Text, m.Content.Data, m.Content.Attachments
	if m.Mentions != nil {
		o.Mentions = m.Mentions
	}
	if m.Reactions != nil {
		o.Reactions = m.Reactions
	}
	return o
}

func userOrNull(user string) *string {
	if user == "" {
		return nil
	}
	return &user
}

// encode is the data of an event. The application's own JSON keeps its spelling.
func encode(data any) (protocol.Raw, error) {
	return json.Marshal(data, protocol.Encoding(), jsontext.PreserveRawStrings(true))
}
