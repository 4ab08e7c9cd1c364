package chat

import (
	"slices"

	"github.com/parley-im/parley/protocol"
)

// NewAppend makes the append of a method other than room.create from its params, which are not changed from then on. The form of the params has been
// checked.
func NewAppend(actor Actor, method string, params any) *Append {
	a := &Append{Actor: actor, Method: method, Params: params, Size: appendSize}
	switch p := params.(type) {
	case *protocol.MessageSendParams:
		a.Room, a.ClientID = p.Room, p.ClientID
		a.Size += len(p.Text) + len(p.Data) + len(p.Attachments) + len(p.Mentions)*protocol.MaxUserBytes
	case *protocol.MessageEditParams:
		a.Room, a.ClientID = p.Room, p.ClientID
		a.Size += len(p.Text.Value) + len(p.Data.Value) + len(p.Attachments.Value)
	case *protocol.MessageParams:
		a.Room, a.ClientID = p.Room, p.ClientID
	case *protocol.ReactionParams:
		a.Room, a.ClientID = p.Room, p.ClientID
	case *protocol.RoomUpdateParams:
		a.Room, a.ClientID = p.Room, p.ClientID
		a.Size += len(p.Name.Value) + len(p.Topic.Value) + len(p.Avatar.Value) + len(p.Data.Value)
	case *protocol.RoomEventParams:
		a.Room, a.ClientID = p.Room, p.ClientID
	case *protocol.MemberAddParams:
		a.Room, a.ClientID = p.Room, p.ClientID
		a.Size += len(p.Users) * protocol.MaxUserBytes
	case *protocol.MemberParams:
		a.Room, a.ClientID = p.Room, p.ClientID
	case *protocol.MemberUpdateParams:
		a.Room, a.ClientID = p.Room, p.ClientID
	case *protocol.MemberBanParams:
		a.Room, a.ClientID = p.Room, p.ClientID
		a.Size += len(p.Reason)
	}
	if a.ClientID != "" {
		a.Hash = protocol.ContentHash(method, params)
	}
	return a
}

// appendSize is what an append holds in the queue beside the variable parts of its params: itself, the params, the answer's callback.
const appendSize = 1 << 10

// Needs says which rows of the append's room Decide looks at.
func (a *Append) Needs() Needs {
	n := Needs{Known: a.ClientID != ""}
	n.member(a.Actor.User)
	switch p := a.Params.(type) {
	case *protocol.MessageSendParams:
		n.member(p.Mentions...)
		n.Target = p.ReplyTo
	case *protocol.MessageEditParams:
		n.Target = p.Seq
	case *protocol.MessageParams:
		n.Target = p.Seq
	case *protocol.ReactionParams:
		n.Target, n.Emoji = p.Seq, p.Emoji
	case *protocol.RoomEventParams:
		n.Owners = a.Method == protocol.RoomLeave
	case *protocol.MemberAddParams:
		n.member(p.Users...)
		n.Exist = a.named(p.Users)
	case *protocol.MemberParams:
		n.member(p.User)
		n.Exist = a.named(a.users())
		n.Owners = a.Method == protocol.MemberRemove
	case *protocol.MemberBanParams:
		n.member(p.User)
		n.Exist = a.named(a.users())
		n.Owners = true
	case *protocol.MemberUpdateParams:
		n.member(p.User)
		n.Owners = true
	case *protocol.RoomCreateParams:
		n.Exist = a.named(p.Members)
	}
	return n
}

func (n *Needs) member(users ...string) {
	for _, user := range users {
		if user != "" && !slices.Contains(n.Members, user) {
			n.Members = append(n.Members, user)
		}
	}
}

// named are those of the users who have to exist for the actor to name them: a back end makes exist whom it names (§3).
func (a *Append) named(users []string) []string {
	if a.Actor.server() {
		return nil
	}
	var others []string
	for _, user := range protocol.Distinct(users) {
		if user != a.Actor.User {
			others = append(others, user)
		}
	}
	return others
}

// users are those whom the append names, and whom a back end so makes exist (§3).
func (a *Append) users() []string {
	switch p := a.Params.(type) {
	case *protocol.RoomCreateParams:
		return p.Members
	case *protocol.MemberAddParams:
		return p.Users
	case *protocol.MemberParams:
		return []string{p.User}
	case *protocol.MemberUpdateParams:
		return []string{p.User}
	case *protocol.MemberBanParams:
		return []string{p.User}
	}
	return nil
}
