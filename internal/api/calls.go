package api

import (
	"context"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/protocol"
)

// handlers says what carries out each method. A method of the protocol that is not here is not served by this version.
func (s *Server) handlers() map[string]handler {
	c := s.Chat
	return map[string]handler{
		protocol.SessionRefresh: direct(s.refresh),
		protocol.SessionList:    direct(s.listSessions),
		protocol.SessionRevoke:  {run: s.revoke},
		protocol.SessionTicket:  direct(s.ticket),

		protocol.UserGet: direct(func(ctx context.Context, _ *caller, p *protocol.UserGetParams) (protocol.UsersResult, *protocol.Error) {
			return c.GetUsers(ctx, p)
		}),
		protocol.UserSearch: direct(func(ctx context.Context, _ *caller, p *protocol.UserSearchParams) (protocol.UsersResult, *protocol.Error) {
			return c.SearchUsers(ctx, p)
		}),
		protocol.UserUpdate: core(c.UpdateUser),
		protocol.UserExport: direct(privacyCalls{s}.exportUser),
		protocol.UserErase:  direct(privacyCalls{s}.eraseUser),

		protocol.RoomCreate: core(c.CreateRoom),
		protocol.RoomGet:    core(c.GetRoom),
		protocol.RoomUpdate: s.logged(protocol.RoomUpdate),
		protocol.RoomDelete: s.settled(protocol.RoomDelete),
		protocol.RoomList:   core(c.ListRooms),
		protocol.RoomBrowse: core(c.Browse),
		protocol.RoomJoin:   core(c.JoinRoom),
		protocol.RoomLeave:  direct(s.leaveRoom),

		protocol.MemberAdd:      s.logged(protocol.MemberAdd),
		protocol.MemberRemove:   s.settled(protocol.MemberRemove),
		protocol.MemberUpdate:   s.logged(protocol.MemberUpdate),
		protocol.MemberBan:      s.settled(protocol.MemberBan),
		protocol.MemberUnban:    s.logged(protocol.MemberUnban),
		protocol.MemberList:     core(c.ListMembers),
		protocol.MemberSettings: core(nothing(c.SetMember)),

		protocol.RoomSubscribe:   {run: s.subscribe},
		protocol.RoomUnsubscribe: direct(s.unsubscribe),

		protocol.MessageSend:    s.logged(protocol.MessageSend),
		protocol.MessageEdit:    s.logged(protocol.MessageEdit),
		protocol.MessageDelete:  s.settled(protocol.MessageDelete),
		protocol.ReactionAdd:    s.logged(protocol.ReactionAdd),
		protocol.ReactionRemove: s.logged(protocol.ReactionRemove),
		protocol.MessageList:    core(c.ListMessages),
		protocol.MessageSearch:  core(c.SearchMessages),
		protocol.EventList:      core(c.ListEvents),

		protocol.ReceiptDelivered: s.logged(protocol.ReceiptDelivered),
		protocol.ReceiptRead:      s.logged(protocol.ReceiptRead),
		protocol.ReceiptList:      core(c.ListReceipts),
		protocol.TypingStart:      direct(s.typing(true)),
		protocol.TypingStop:       direct(s.typing(false)),

		protocol.PresenceSet:         direct(s.setPresence),
		protocol.PresenceSubscribe:   {run: s.watchPresence},
		protocol.PresenceUnsubscribe: direct(s.unwatchPresence),
	}
}

// direct makes a handler of a function that blocks until it knows the answer.
func direct[P, R any](f func(context.Context, *caller, *P) (R, *protocol.Error)) handler {
	return handler{run: func(ctx context.Context, c *caller, params any, reply answer) {
		result, err := f(ctx, c, params.(*P))
		reply(result, err)
	}}
}

// core makes a handler of a use case of the core.
func core[P, R any](f func(context.Context, chat.Actor, *P) (R, *protocol.Error)) handler {
	return direct(func(ctx context.Context, c *caller, p *P) (R, *protocol.Error) { return f(ctx, c.Actor, p) })
}

// nothing gives a use case without a result an empty one.
func nothing[P any](f func(context.Context, chat.Actor, *P) *protocol.Error) func(context.Context, chat.Actor, *P) (protocol.Empty, *protocol.Error) {
	return func(ctx context.Context, actor chat.Actor, p *P) (protocol.Empty, *protocol.Error) {
		return protocol.Empty{}, f(ctx, actor, p)
	}
}

// logged makes a handler that hands the call to the log and does not wait for the commit.
func (s *Server) logged(name string) handler {
	return handler{pipelined: true, run: func(ctx context.Context, c *caller, params any, reply answer) {
		s.Chat.Submit(ctx, c.Actor, name, params, reply)
	}}
}

// settled makes a handler whose answer waits until this node's delivery has carried out what was committed: after it nothing of a deleted message, and
// nothing to a removed member, leaves this node (§4.2, §4.3).
func (s *Server) settled(name string) handler {
	return handler{run: func(ctx context.Context, c *caller, params any, reply answer) {
		result, err := s.Chat.Do(ctx, c.Actor, name, params)
		if done, ok := result.(protocol.SeqResult); ok && err == nil {
			err = s.applied(ctx, chat.NewAppend(c.Actor, name, params).Room, done.Seq)
		}
		reply(result, err)
	}}
}

func (s *Server) applied(ctx context.Context, room string, seq protocol.Seq) *protocol.Error {
	if err := s.Hub.Applied(ctx, room, seq); err != nil {
		return s.failure("delivery", err) // it is committed: sent again with its client_id, the call finds that out
	}
	return nil
}

func (s *Server) leaveRoom(ctx context.Context, c *caller, p *protocol.RoomEventParams) (protocol.SeqResult, *protocol.Error) {
	result, err := s.Chat.LeaveRoom(ctx, c.Actor, p)
	if err == nil {
		err = s.applied(ctx, p.Room, result.Seq)
	}
	return result, err
}

// subscribe follows a room; the reply goes out before the first event that it causes (§2.1).
func (s *Server) subscribe(ctx context.Context, c *caller, params any, reply answer) {
	p := params.(*protocol.RoomSubscribeParams)
	if _, err := s.Chat.Place(ctx, c.Actor, p.Room); err != nil {
		reply(nil, err)
		return
	}
	err := c.peer.follower.Subscribe(ctx, p.Room, p.After, c.peer.epoch, func(head protocol.Seq) {
		if c.peer.track != nil {
			after := head
			if p.After != nil {
				after = *p.After
			}
			c.peer.track.follows(p.Room, after)
		}
		reply(protocol.HeadResult{Head: head}, nil)
	})
	if err != nil {
		reply(nil, err)
	}
}

func (s *Server) unsubscribe(ctx context.Context, c *caller, p *protocol.RoomParams) (protocol.Empty, *protocol.Error) {
	if c.peer.follower.Follows(p.Room) {
		c.peer.follower.Unsubscribe(p.Room)
		if c.peer.track != nil {
			c.peer.track.leaves(p.Room)
		}
		return protocol.Empty{}, nil
	}
	_, err := s.Chat.GetRoom(ctx, c.Actor, p) // not followed is as asked; not visible is an error
	return protocol.Empty{}, err
}

func (s *Server) typing(active bool) func(context.Context, *caller, *protocol.RoomParams) (protocol.Empty, *protocol.Error) {
	return func(ctx context.Context, c *caller, p *protocol.RoomParams) (protocol.Empty, *protocol.Error) {
		told, err := s.Chat.Typing(ctx, c.Actor, p.Room)
		if err == nil && told && !s.Presence.Hidden(c.User) {
			s.Hub.Typing(p.Room, c.User, c.Session, active)
		}
		return protocol.Empty{}, err
	}
}
