package chat

import (
	"github.com/parley-im/parley/protocol"
)

// Who may see, read and do what (§4.2). Both ways, of Decide and of a Scene, end in the functions of this file.

// visible reports whether the room exists for the actor. Ranks of a token do not make a room visible.
func visible(room *Room, me *Member, actor Actor) bool {
	switch {
	case room == nil || room.Deleted:
		return false
	case actor.server() || actor.Erasing || me.current():
		return true
	case actor.User == "":
		return false
	case me != nil && me.State == IsBanned:
		return false
	}
	return room.Kind == protocol.Channel || room.Kind == protocol.Live
}

// rank is what the actor counts as in a room that they see: 0 for one who is no member.
func rank(actor Actor, me *Member) int {
	r := 0
	if me.current() {
		r = me.Role.Rank()
	}
	switch {
	case actor.server() || actor.Role == protocol.TokenAdmin:
		return protocol.RoleOwner.Rank()
	case actor.Role == protocol.TokenModerator:
		return max(r, protocol.RoleModerator.Rank())
	}
	return r
}

// from is the first seq that the one with this row may see.
func from(room *Room, me *Member) protocol.Seq {
	first := max(room.First, 1)
	if room.Settings.History == protocol.HistorySinceJoin && me.current() {
		return max(first, me.JoinedSeq)
	}
	return first
}

// current reports whether the row, which may be nil, is that of a member.
func (m *Member) current() bool { return m != nil && m.State == IsMember }

// Visible refuses an actor for whom the room does not exist: room.get.
func (sc *Scene) Visible(actor Actor) *protocol.Error {
	if !visible(sc.Room, sc.Me, actor) {
		return protocol.RoomNotFound()
	}
	return nil
}

// Readable refuses an actor who may not read the log: message.list, event.list, room.subscribe. Of a channel, others than members read only when all of
// its history is open.
func (sc *Scene) Readable(actor Actor) *protocol.Error {
	if err := sc.Visible(actor); err != nil {
		return err
	}
	closed := sc.Room.Kind == protocol.Channel && sc.Room.Settings.History != protocol.HistoryAll
	if closed && !actor.server() && !sc.Me.current() {
		return protocol.Errorf(protocol.Forbidden, "", "The history of this channel is open to its members only: join it with room.join.")
	}
	return nil
}

// People refuses an actor who may not see who is in the room: member.list, member.settings.
func (sc *Scene) People(actor Actor) *protocol.Error {
	if err := sc.Visible(actor); err != nil {
		return err
	}
	if !actor.server() && !sc.Me.current() {
		return membersOnly()
	}
	return nil
}

// Receipts refuses an actor who may not see how far the members have got, or that they are typing: receipt.*, typing.*.
func (sc *Scene) Receipts(actor Actor) *protocol.Error {
	if err := sc.Visible(actor); err != nil {
		return err
	}
	if sc.Room.Kind == protocol.Live {
		return protocol.Errorf(protocol.BadRequest, "room", "A live room has no receipts, no unread counts and no typing.")
	}
	return sc.People(actor)
}

// From is the first seq of the log that the asker may see, at least 1: with history since_join that of a member's latest member.joined.
func (sc *Scene) From() protocol.Seq { return from(sc.Room, sc.Me) }

func membersOnly() *protocol.Error {
	return protocol.Errorf(protocol.Forbidden, "", "This is for members of the room only.")
}
