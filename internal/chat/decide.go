package chat

import (
	"github.com/go-json-experiment/json"

	"github.com/parley-im/parley/protocol"
)

// Decide answers an append: with what it changes, or with the reason why it is refused. It changes nothing itself, and asks no one but the rates.
//
// The order of checks is that of §3: whether the room exists for the actor; whether the client_id is known, which answers with the first result
// whatever has become of anything since; rights, and whether what is named exists; rate.
func (s *State) Decide(a *Append, now protocol.Time, rates Rates) (*Effects, *protocol.Error) {
	d := &decision{State: s, call: a, me: s.Members[a.Actor.User], now: now, rates: rates}
	if a.New != nil && s.Room == nil {
		return d.createRoom(a.New)
	}
	if !visible(s.Room, d.me, a.Actor) {
		return nil, protocol.RoomNotFound()
	}
	if a.ClientID != "" {
		if known, ok := s.Known[ClientKey{a.Actor.User, a.ClientID}]; ok {
			return d.repeat(known)
		}
	}
	switch a.Method {
	case protocol.RoomCreate:
		return already(protocol.RoomCreateResult{Room: RoomObject(d.Room, d.Head), Duplicate: true})
	case protocol.RoomUpdate:
		return d.updateRoom(a.Params.(*protocol.RoomUpdateParams))
	case protocol.RoomDelete:
		return d.deleteRoom()
	case protocol.RoomJoin:
		return d.joinRoom()
	case protocol.RoomLeave:
		return d.leaveRoom()
	case protocol.MemberAdd:
		return d.addMembers(a.Params.(*protocol.MemberAddParams))
	case protocol.MemberRemove:
		return d.removeMember(a.Params.(*protocol.MemberParams))
	case protocol.MemberUpdate:
		return d.updateMember(a.Params.(*protocol.MemberUpdateParams))
	case protocol.MemberBan:
		return d.banMember(a.Params.(*protocol.MemberBanParams))
	case protocol.MemberUnban:
		return d.unbanMember(a.Params.(*protocol.MemberParams))
	case protocol.MessageSend:
		return d.sendMessage(a.Params.(*protocol.MessageSendParams))
	case protocol.MessageEdit:
		return d.editMessage(a.Params.(*protocol.MessageEditParams))
	case protocol.MessageDelete:
		return d.deleteMessage(a.Params.(*protocol.MessageParams))
	case protocol.ReactionAdd:
		return d.addReaction(a.Params.(*protocol.ReactionParams))
	case protocol.ReactionRemove:
		return d.removeReaction(a.Params.(*protocol.ReactionParams))
	}
	return nil, protocol.Errorf(protocol.BadRequest, "method", "%s makes no event.", a.Method)
}

// decision is one append held against the state of its room: what the functions that decide have in common.
type decision struct {
	*State
	call  *Append
	me    *Member // the actor's row, nil if there is none
	now   protocol.Time
	rates Rates
}

// repeat answers a call whose client_id is known (§1, promise 2).
func (d *decision) repeat(known Known) (*Effects, *protocol.Error) {
	if known.Hash != d.call.Hash {
		return nil, protocol.Errorf(protocol.Conflict, "client_id",
			"This client_id was used for another call: make a new one for each thing to send, and repeat a call without a change.")
	}
	switch d.call.Method {
	case protocol.MessageSend:
		return already(protocol.MessageSendResult{Room: d.call.Room, Seq: known.Seq, N: known.N, At: known.At, Duplicate: true})
	case protocol.RoomCreate:
		return already(protocol.RoomCreateResult{Room: RoomObject(d.Room, d.Head), Duplicate: true})
	case protocol.RoomUpdate:
		return already(protocol.RoomUpdateResult{Room: RoomObject(d.Room, d.Head), Seq: known.Seq, Duplicate: true})
	case protocol.RoomJoin:
		return already(d.joined(known.Seq))
	case protocol.MemberAdd:
		var joined protocol.MemberJoinedData
		if err := json.Unmarshal(known.Data, &joined); err != nil {
			return nil, internal()
		}
		return already(protocol.MemberAddResult{Seq: known.Seq, Added: joined.Users, Duplicate: true})
	}
	return alreadySince(known.Seq)
}

// already answers without an event: what was asked for is so.
func already(answer any) (*Effects, *protocol.Error) {
	return &Effects{Answer: answer}, nil
}

// alreadySince answers a method whose result is a seq alone: what was asked for is so since that event.
func alreadySince(seq protocol.Seq) (*Effects, *protocol.Error) {
	return already(protocol.SeqResult{Seq: seq, Duplicate: true})
}

// event begins the effects of an append: the room's next event, answered with its seq alone.
func (d *decision) event(name protocol.Name, data any) (*Effects, *protocol.Error) {
	raw, err := encode(data)
	if err != nil {
		return nil, internal()
	}
	head := d.Head
	head.Seq++
	head.At = d.now
	return &Effects{
		Event: &Event{
			Event:    protocol.Event{Room: d.call.Room, Seq: head.Seq, Name: name, At: d.now, User: d.call.Actor.User, Data: raw},
			N:        head.N,
			ClientID: d.call.ClientID,
			Hash:     d.call.Hash,
		},
		Head:   head,
		Answer: protocol.SeqResult{Seq: head.Seq},
	}, nil
}

// rank is what the actor counts as here.
func (d *decision) rank() int { return rank(d.call.Actor, d.me) }

// atLeast refuses an actor below the role.
func (d *decision) atLeast(role protocol.Role) *protocol.Error {
	if d.rank() < role.Rank() {
		return protocol.Errorf(protocol.Forbidden, "", "This needs the role %s or one above it in the room.", role)
	}
	return nil
}

// row is a copy of a user's row to be changed, or the beginning of one.
func (d *decision) row(user string) *Member {
	if m := d.Members[user]; m != nil {
		row := *m
		return &row
	}
	return newMember(d.call.Room, user)
}

func newMember(room, user string) *Member {
	return &Member{Room: room, User: user, Role: protocol.RoleMember, Notify: protocol.NotifyAll}
}

// unknown refuses an append that names a user who does not exist.
func (d *decision) unknown(field string, users ...string) *protocol.Error {
	for _, user := range d.call.named(users) {
		if !d.Users[user] {
			return protocol.Errorf(protocol.NotFound, field, "There is no user %s.", user)
		}
	}
	return nil
}

// internal is the answer to what cannot happen with params whose form was checked.
func internal() *protocol.Error {
	return protocol.Errorf(protocol.Internal, "", "Something went wrong on the server.")
}

// Apply makes the state as it is after the effects, so that the next append of the same batch is decided right.
func (s *State) Apply(e *Effects) {
	if e.Event == nil {
		return
	}
	s.Head = e.Head
	s.Owners += e.Owners
	if e.Room != nil {
		s.Room = e.Room
	}
	for _, m := range e.Members {
		put(&s.Members, m.User, m)
	}
	for _, m := range []*Message{e.Created, e.Message} {
		if m != nil {
			put(&s.Messages, m.Seq, m)
		}
	}
	if e.React != nil && e.React.Remove {
		delete(s.Reacted, e.React.ReactionKey)
	} else if e.React != nil {
		put(&s.Reacted, e.React.ReactionKey, e.Event.Seq)
	}
	if e.Event.ClientID != "" {
		put(&s.Known, ClientKey{e.Event.User, e.Event.ClientID}, Known{
			Seq: e.Event.Seq, N: e.Event.N, At: e.Event.At, Name: e.Event.Name, Hash: e.Event.Hash, Data: e.Event.Data,
		})
	}
}

func put[K comparable, V any](m *map[K]V, key K, value V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[key] = value
}
