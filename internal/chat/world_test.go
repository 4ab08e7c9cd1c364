package chat

import (
	"fmt"
	"maps"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-im/parley/protocol"
)

// world is one room whose state always holds every row there is, and those who act in it.
type world struct {
	t     rapid.TB
	state *State
	now   protocol.Time
	rates rateFunc
	log   []*Event
	calls int
}

// rateFunc lets a test refuse messages; nil refuses none.
type rateFunc func(now protocol.Time, actor Actor, room string) *protocol.Error

func (f rateFunc) Take(now protocol.Time, actor Actor, room string) *protocol.Error {
	if f == nil {
		return nil
	}
	return f(now, actor, room)
}

const theRoom = "r_room"

// start is the time at which every world begins.
const start = protocol.Time(1_700_000_000_000)

func user(id string) Actor { return Actor{User: id, Role: protocol.TokenUser} }

func withRole(id string, role protocol.TokenRole) Actor { return Actor{User: id, Role: role} }

var server = Actor{Backend: true, Role: protocol.TokenUser}

// newWorld makes a room of members with any roles; the first one creates it.
func newWorld(t rapid.TB, kind protocol.Kind, members ...protocol.MemberRole) *world {
	t.Helper()
	w := &world{t: t, now: start, state: &State{Users: map[string]bool{}, Messages: map[protocol.Seq]*Message{}}}
	for _, id := range []string{"ann", "ben", "cem", "dan", "eve", "fay", "zoe", "out", "banned"} {
		w.state.Users[id] = true
	}
	for _, m := range members {
		w.state.Users[m.User] = true
	}
	p := &protocol.RoomCreateParams{Kind: kind}
	for _, m := range members {
		p.Members = append(p.Members, m.User)
	}
	a := newRoomAppend(user(members[0].User), p, theRoom, "", members)
	if _, err := w.append(a); err != nil {
		t.Fatalf("room.create: %v", err)
	}
	return w
}

func as(id string, role protocol.Role) protocol.MemberRole {
	return protocol.MemberRole{User: id, Role: role}
}

// append decides and applies, and keeps what was stored. It holds the decision against one that knows no more than what the append says it needs.
func (w *world) append(a *Append) (*Effects, *protocol.Error) {
	w.t.Helper()
	e, err := w.state.Decide(a, w.now, w.rates)
	needed, refusal := w.needed(a).Decide(a, w.now, w.rates)
	if diff := cmp.Diff(e, needed) + cmp.Diff(err, refusal); diff != "" {
		w.t.Fatalf("%s needs more than Needs says (-all rows +rows needed):\n%s", a.Method, diff)
	}
	if err != nil {
		return nil, err
	}
	w.state.Apply(e)
	if e.Event != nil {
		w.log = append(w.log, e.Event)
	}
	return e, nil
}

// needed is a state with the rows that a log reads for an append.
func (w *world) needed(a *Append) *State {
	n, all := a.Needs(), w.state
	s := &State{
		Room: all.Room, Head: all.Head, Members: map[string]*Member{}, Users: map[string]bool{}, Messages: map[protocol.Seq]*Message{},
		Reacted: map[ReactionKey]protocol.Seq{}, Known: map[ClientKey]Known{},
	}
	for _, user := range n.Members {
		if m := all.Members[user]; m != nil {
			s.Members[user] = m
		}
	}
	for _, user := range n.Exist {
		s.Users[user] = all.Users[user]
	}
	if n.Owners {
		s.Owners = all.Owners
	}
	if target := all.Messages[n.Target]; target != nil {
		s.Messages[target.Seq] = target
		if root := all.Messages[target.Thread]; root != nil {
			s.Messages[root.Seq] = root
		}
	}
	reaction := ReactionKey{n.Target, a.Actor.User, n.Emoji}
	if seq, set := all.Reacted[reaction]; set && n.Emoji != "" {
		s.Reacted[reaction] = seq
	}
	client := ClientKey{a.Actor.User, a.ClientID}
	if known, ok := all.Known[client]; ok && n.Known {
		s.Known[client] = known
	}
	return s
}

func (w *world) call(actor Actor, method string, params any) (*Effects, *protocol.Error) {
	return w.append(NewAppend(actor, method, params))
}

// must is call where a refusal ends the test.
func (w *world) must(actor Actor, method string, params any) *Effects {
	w.t.Helper()
	e, err := w.call(actor, method, params)
	if err != nil {
		w.t.Fatalf("%s by %s: %v", method, actor.User, err)
	}
	return e
}

// refused is call where anything but that refusal fails the test.
func (w *world) refused(code protocol.Code, field string, actor Actor, method string, params any) *protocol.Error {
	w.t.Helper()
	e, err := w.call(actor, method, params)
	switch {
	case err == nil:
		w.t.Fatalf("%s by %q: accepted with %+v, want %s", method, actor.User, e.Answer, code)
	case err.Code != code || err.Field != field:
		w.t.Fatalf("%s by %q: %v, want %s (%s)", method, actor.User, err, code, field)
	}
	return err
}

// said sends a text and returns its seq.
func (w *world) said(actor Actor, text string) protocol.Seq {
	w.t.Helper()
	return w.must(actor, protocol.MessageSend, w.text(text)).Event.Seq
}

// text are the params of a message with a client_id of its own.
func (w *world) text(text string) *protocol.MessageSendParams {
	w.calls++
	return &protocol.MessageSendParams{Room: theRoom, ClientID: fmt.Sprintf("c%d", w.calls), Text: text}
}

// member is the row of a user.
func (w *world) member(id string) *Member { return w.state.Members[id] }

// settings changes the room's settings from outside.
func (w *world) settings(p protocol.SettingsPatch) {
	w.t.Helper()
	w.must(Actor{User: w.owner(), Role: protocol.TokenAdmin}, protocol.RoomUpdate,
		&protocol.RoomUpdateParams{Room: theRoom, Settings: protocol.Some(p)})
}

func (w *world) owner() string {
	for id, m := range w.state.Members {
		if owners(m) == 1 {
			return id
		}
	}
	w.t.Fatal("the room has no owner")
	return ""
}

// copyState is a copy that shares nothing which Decide or Apply could change.
func copyState(s *State) *State {
	c := *s
	if s.Room != nil {
		room := *s.Room
		c.Room = &room
	}
	c.Members = map[string]*Member{}
	for id, m := range s.Members {
		row := *m
		c.Members[id] = &row
	}
	c.Messages = map[protocol.Seq]*Message{}
	for seq, m := range s.Messages {
		row := *m
		c.Messages[seq] = &row
	}
	c.Users, c.Reacted, c.Known = maps.Clone(s.Users), maps.Clone(s.Reacted), maps.Clone(s.Known)
	return &c
}
