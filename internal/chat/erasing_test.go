package chat

import (
	"testing"

	"github.com/parley-im/parley/protocol"
)

// The actor of an erasure takes back what is theirs, whatever they are to the room now; another user's they do not.
func TestErasing(t *testing.T) {
	gone := func(state Membership) *State {
		return &State{
			Room:     &Room{ID: "r_1", Kind: protocol.Group, Settings: protocol.DefaultSettings(), Members: 1},
			Head:     Head{Seq: 9, N: 2},
			Members:  map[string]*Member{"bob": {Room: "r_1", User: "bob", State: state, Role: protocol.RoleMember, LeftSeq: 8, MutedUntil: 1 << 50}},
			Messages: map[protocol.Seq]*Message{2: {Seq: 2, N: 1, User: "bob"}, 3: {Seq: 3, N: 2, User: "alice"}},
			Reacted:  map[ReactionKey]protocol.Seq{{Target: 3, User: "bob", Emoji: "👍"}: 4},
		}
	}
	for _, state := range []Membership{NotMember, HasLeft, WasRemoved, IsBanned} {
		for _, erasing := range []bool{false, true} {
			actor := Actor{User: "bob", Backend: true, Erasing: erasing}
			calls := []struct {
				method string
				params any
				want   bool
			}{
				{protocol.MessageDelete, &protocol.MessageParams{Room: "r_1", Seq: 2}, erasing},
				{protocol.MessageDelete, &protocol.MessageParams{Room: "r_1", Seq: 3}, false},
				{protocol.ReactionRemove, &protocol.ReactionParams{Room: "r_1", Seq: 3, Emoji: "👍"}, erasing},
			}
			for _, c := range calls {
				effects, err := gone(state).Decide(NewAppend(actor, c.method, c.params), 1, nil)
				if made := err == nil && effects.Event != nil; made != c.want {
					t.Errorf("%s %+v by one who is %d, erasing %v: %v, want done: %v", c.method, c.params, state, erasing, err, c.want)
				}
			}
		}
	}
	owner := gone(IsMember)
	owner.Members["bob"].Role, owner.Owners = protocol.RoleOwner, 1
	leave := &protocol.RoomEventParams{Room: "r_1"}
	if _, err := owner.Decide(NewAppend(Actor{User: "bob"}, protocol.RoomLeave, leave), 1, nil); err == nil {
		t.Error("the last owner leaves")
	}
	if _, err := owner.Decide(NewAppend(Actor{User: "bob", Backend: true, Erasing: true}, protocol.RoomLeave, leave), 1, nil); err != nil {
		t.Errorf("the last owner is erased: %v", err)
	}
}
