package chat

import (
	"context"
	"errors"
	"sort"

	"github.com/parley-im/parley/protocol"
)

// createScope keeps the client_ids of room.create apart from those of the room's other calls (§4). A client_id holds no tab.
const createScope = "create\t"

// CreateRoom is room.create. The id is derived, so that both of a pair who create at once, and one who repeats a call, get the one room.
func (s *Service) CreateRoom(ctx context.Context, actor Actor, p *protocol.RoomCreateParams) (protocol.RoomCreateResult, *protocol.Error) {
	if p.Kind == protocol.Direct {
		return s.createDirect(ctx, actor, p)
	}
	id := s.ports.Names.Random()
	if p.ClientID != "" {
		id = s.ports.Names.Created(actor.User, p.ClientID)
	}
	members := make([]protocol.MemberRole, 0, len(p.Members)+1)
	if actor.User != "" {
		members = append(members, protocol.MemberRole{User: actor.User, Role: protocol.RoleOwner})
	}
	for _, user := range protocol.Distinct(p.Members) {
		if user != actor.User {
			members = append(members, protocol.MemberRole{User: user, Role: protocol.RoleMember})
		}
	}
	return s.create(ctx, newRoomAppend(actor, p, id, "", members))
}

// createDirect makes the room of a pair, or finds it. A deleted one is followed by one of the next generation.
func (s *Service) createDirect(ctx context.Context, actor Actor, p *protocol.RoomCreateParams) (protocol.RoomCreateResult, *protocol.Error) {
	var none protocol.RoomCreateResult
	if actor.User == "" {
		return none, protocol.Errorf(protocol.BadRequest, "Parley-User", "A direct room is between its creator and one other user: say with Parley-User who creates it.")
	}
	one, other := actor.User, p.Members[0]
	if one == other {
		return none, protocol.Errorf(protocol.BadRequest, "members", "A direct room is between two users: name the other one.")
	}
	one, other = min(one, other), max(one, other)
	members := []protocol.MemberRole{{User: one, Role: protocol.RoleOwner}, {User: other, Role: protocol.RoleOwner}}
	for range createAttempts {
		generation, err := s.generation(ctx, actor, one, other)
		if err != nil {
			return none, err
		}
		id := s.ports.Names.Direct(one, other, generation)
		result, err := s.create(ctx, newRoomAppend(actor, p, id, one+"|"+other, members))
		if err != nil && *err == *protocol.RoomNotFound() {
			continue // it was deleted since: there is a next generation
		}
		return result, err
	}
	return none, unavailable()
}

// createAttempts bounds how often a direct room is asked for that is deleted each time before it is found.
const createAttempts = 5

// generation is the first generation of the pair's room that is not deleted. All before it are, so that doubling and halving find it.
func (s *Service) generation(ctx context.Context, actor Actor, one, other string) (int, *protocol.Error) {
	var fault *protocol.Error
	stands := func(generation int) bool {
		stands := true
		err := s.view(ctx, actor, s.ports.Names.Direct(one, other, generation), func(sc *Scene, _ Snapshot) error {
			stands = sc.Room == nil || !sc.Room.Deleted
			return nil
		})
		if err != nil {
			fault = err
		}
		return stands
	}
	low, step := 0, 1
	for !stands(low + step - 1) {
		low, step = low+step, step*2
	}
	generation := low + sort.Search(step-1, func(i int) bool { return stands(low + i) })
	return generation, fault
}

func newRoomAppend(actor Actor, p *protocol.RoomCreateParams, id, pair string, members []protocol.MemberRole) *Append {
	settings := protocol.DefaultSettings()
	if p.Settings != nil {
		settings = patch(settings, protocol.Some(*p.Settings))
	}
	a := &Append{
		Actor: actor, Method: protocol.RoomCreate, Params: p, Room: id,
		New: &NewRoom{
			Room: Room{
				Kind: p.Kind, Name: p.Name, Topic: p.Topic, Avatar: p.Avatar, Data: newContent("", p.Data, nil).Data, Settings: settings, Pair: pair,
			},
			Members: members,
		},
		Size: appendSize + len(p.Name) + len(p.Topic) + len(p.Avatar) + len(p.Data) + len(members)*protocol.MaxUserBytes,
	}
	if p.ClientID != "" {
		a.ClientID, a.Hash = createScope+p.ClientID, protocol.ContentHash(protocol.RoomCreate, p)
	}
	return a
}

func (s *Service) create(ctx context.Context, a *Append) (protocol.RoomCreateResult, *protocol.Error) {
	answer, err := await(ctx, func(done func(any, *protocol.Error)) { s.append(ctx, a, done) })
	if err != nil {
		return protocol.RoomCreateResult{}, err
	}
	return answer.(protocol.RoomCreateResult), nil
}

// GetRoom is room.get.
func (s *Service) GetRoom(ctx context.Context, actor Actor, p *protocol.RoomParams) (protocol.RoomGetResult, *protocol.Error) {
	var result protocol.RoomGetResult
	err := s.view(ctx, actor, p.Room, func(sc *Scene, snap Snapshot) error {
		if err := sc.Visible(actor); err != nil {
			return err
		}
		result = protocol.RoomGetResult{Room: RoomObject(sc.Room, sc.Head), MembersCount: sc.Room.Members, Head: sc.Head.Seq}
		if !sc.Me.current() {
			return nil
		}
		me, err := entry(ctx, sc, snap)
		result.Me = &me
		return err
	})
	return result, err
}

// entry is the asker's own entry of the room; they have a row.
func entry(ctx context.Context, sc *Scene, snap Snapshot) (protocol.Me, error) {
	mentions := uint64(0)
	if sc.Room.Kind != protocol.Live && sc.Me.Unread(sc.Head.N) > 0 {
		var err error
		if mentions, err = snap.Mentions(ctx, sc.From(), sc.Me.Passed()); err != nil {
			return protocol.Me{}, err
		}
	}
	return MeObject(sc.Room, sc.Head, sc.Me, mentions), nil
}

// JoinRoom is room.join.
func (s *Service) JoinRoom(ctx context.Context, actor Actor, p *protocol.RoomEventParams) (protocol.RoomJoinResult, *protocol.Error) {
	answer, err := s.Do(ctx, actor, protocol.RoomJoin, p)
	if err != nil {
		return protocol.RoomJoinResult{}, err
	}
	result := answer.(protocol.RoomJoinResult)
	if !result.Duplicate {
		return result, nil
	}
	err = s.view(ctx, actor, p.Room, func(sc *Scene, snap Snapshot) error { // the log does not count mentions
		if err := sc.Visible(actor); err != nil {
			return err
		}
		result.Room = RoomObject(sc.Room, sc.Head)
		if !sc.Me.current() {
			return nil
		}
		var err error
		result.Me, err = entry(ctx, sc, snap)
		return err
	})
	return result, err
}

// LeaveRoom is room.leave. A direct room is hidden, which is no event: it is answered with the head.
func (s *Service) LeaveRoom(ctx context.Context, actor Actor, p *protocol.RoomEventParams) (protocol.SeqResult, *protocol.Error) {
	var direct, hidden bool
	var head protocol.Seq
	err := s.view(ctx, actor, p.Room, func(sc *Scene, _ Snapshot) error {
		if err := sc.Visible(actor); err != nil {
			return err
		}
		direct, head = sc.Room.Kind == protocol.Direct, sc.Head.Seq
		hidden = sc.Me != nil && sc.Me.Hidden(head)
		return nil
	})
	switch {
	case err != nil:
		return protocol.SeqResult{}, err
	case hidden:
		return protocol.SeqResult{Seq: head, Duplicate: true}, nil
	case direct:
		return protocol.SeqResult{Seq: head}, s.desk(ctx, s.ports.Desk.Hide(ctx, p.Room, actor.User))
	}
	answer, err := s.Do(ctx, actor, protocol.RoomLeave, p)
	if err != nil {
		return protocol.SeqResult{}, err
	}
	return answer.(protocol.SeqResult), nil
}

// desk turns the error of a Desk into one of the protocol: who was a member a moment ago is none any more.
func (s *Service) desk(ctx context.Context, err error) *protocol.Error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNoMember):
		return membersOnly()
	}
	return s.fault(ctx, err)
}

// Place is where a session that subscribes to the room would follow it: room.subscribe, for whoever may read it.
func (s *Service) Place(ctx context.Context, actor Actor, room string) (Place, *protocol.Error) {
	var place Place
	err := s.view(ctx, actor, room, func(sc *Scene, _ Snapshot) error {
		if err := sc.Readable(actor); err != nil {
			return err
		}
		place = Place{Room: room, Kind: sc.Room.Kind, Head: sc.Head.Seq, First: sc.Room.First, From: sc.From()}
		if sc.Me.current() {
			place.JoinedSeq = sc.Me.JoinedSeq
		}
		return nil
	})
	return place, err
}
