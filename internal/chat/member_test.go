package chat

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-im/parley/protocol"
)

// §4.2 and §4.4: who joins stands at their member.joined, has nothing unread, and is told about as the table of pushes says.
func TestJoinAndLeave(t *testing.T) {
	w := busyRoom(t, protocol.Channel)
	w.said(user("ann"), "before")
	e := w.must(user("out"), protocol.RoomJoin, &protocol.RoomEventParams{Room: theRoom, ClientID: "j"})
	result := e.Answer.(protocol.RoomJoinResult)
	if string(e.Event.Data) != `{"users":["out"],"role":"member"}` || result.Seq != 3 || result.Room.Head != 3 || result.Duplicate {
		t.Errorf("joined: %s, %+v", e.Event.Data, result)
	}
	if diff := cmp.Diff(protocol.Me{Role: protocol.RoleMember, Read: 3, Delivered: 3, Notify: protocol.NotifyAll}, result.Me); diff != "" {
		t.Errorf("me (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"out"}, e.Event.Joined); diff != "" || w.state.Room.Members != 5 {
		t.Errorf("%d members; joined (-want +got):\n%s", w.state.Room.Members, diff)
	}
	w.said(user("ann"), "one")
	w.said(user("ann"), "two")
	if unread := w.member("out").Unread(w.state.Head.N); unread != 2 {
		t.Errorf("unread = %d, want 2", unread)
	}
	w.said(user("out"), "mine")
	w.said(user("ann"), "three")
	if unread := w.member("out").Unread(w.state.Head.N); unread != 1 {
		t.Errorf("unread = %d after one's own message, want 1", unread)
	}
	again := w.must(user("out"), protocol.RoomJoin, &protocol.RoomEventParams{Room: theRoom}).Answer.(protocol.RoomJoinResult)
	if !again.Duplicate || again.Seq != 3 || again.Room.Head != w.state.Head.Seq || again.Me.Unread != 1 {
		t.Errorf("joined again: %+v", again)
	}

	left := w.must(user("out"), protocol.RoomLeave, &protocol.RoomEventParams{Room: theRoom})
	if string(left.Event.Data) != `{"users":["out"],"reason":"left"}` || left.Event.Reason != protocol.ReasonLeft || !cmp.Equal(left.Event.Left, []string{"out"}) {
		t.Errorf("left: %+v", left.Event)
	}
	if row := w.member("out"); row.State != HasLeft || row.LeftSeq != left.Event.Seq || w.state.Room.Members != 4 {
		t.Errorf("row %+v of %d members", row, w.state.Room.Members)
	}
	if e := w.must(user("out"), protocol.RoomLeave, &protocol.RoomEventParams{Room: theRoom}); e.Answer != (protocol.SeqResult{Seq: left.Event.Seq, Duplicate: true}) {
		t.Errorf("left again: %+v", e.Answer)
	}
	w.now += 1000
	w.said(user("ann"), "four")
	back := w.must(user("out"), protocol.RoomJoin, &protocol.RoomEventParams{Room: theRoom})
	row := w.member("out")
	if row.LeftSeq != 0 || row.JoinedSeq != back.Event.Seq || row.Read != back.Event.Seq || row.Unread(w.state.Head.N) != 0 || row.SentN != 4 || row.JoinedAt != w.now {
		t.Errorf("back: %+v", row)
	}
	if first := w.must(user("out"), protocol.RoomJoin, &protocol.RoomEventParams{Room: theRoom, ClientID: "j"}).Answer.(protocol.RoomJoinResult); first.Seq != 3 || !first.Duplicate {
		t.Errorf("the first join's client_id answers with %d, want its own event", first.Seq)
	}
}

// §4.2: one event for the call, with those who were no members before; all or none.
func TestAdd(t *testing.T) {
	w := busyRoom(t, protocol.Group)
	add := func(users ...string) *protocol.MemberAddParams {
		return &protocol.MemberAddParams{Room: theRoom, Users: users}
	}
	p := add("eve", "cem", "fay", "eve")
	p.ClientID = "a"
	e := w.must(user("dan"), protocol.MemberAdd, p)
	want := protocol.MemberAddResult{Seq: 2, Added: []string{"eve", "fay"}}
	if diff := cmp.Diff(any(want), e.Answer); diff != "" || string(e.Event.Data) != `{"users":["eve","fay"],"role":"member"}` {
		t.Errorf("data %s; answer (-want +got):\n%s", e.Event.Data, diff)
	}
	w.must(user("ann"), protocol.MemberRemove, &protocol.MemberParams{Room: theRoom, User: "eve"})
	want.Duplicate = true
	if diff := cmp.Diff(any(want), w.must(user("dan"), protocol.MemberAdd, p).Answer); diff != "" {
		t.Errorf("repeated (-want +got):\n%s", diff)
	}
	none := w.must(user("dan"), protocol.MemberAdd, add("cem"))
	if diff := cmp.Diff(any(protocol.MemberAddResult{Seq: 3, Added: []string{}, Duplicate: true}), none.Answer); diff != "" || none.Event != nil {
		t.Errorf("nobody new (-want +got):\n%s", diff)
	}
	w.must(user("dan"), protocol.MemberAdd, add("eve")) // removed, and may come back

	w.refused(protocol.NotFound, "users", user("dan"), protocol.MemberAdd, add("zoe", "nobody"))
	w.must(user("ann"), protocol.MemberBan, &protocol.MemberBanParams{Room: theRoom, User: "fay"})
	w.refused(protocol.Conflict, "users", user("ann"), protocol.MemberAdd, add("zoe", "fay"))
	if w.member("zoe") != nil {
		t.Error("a refused call added somebody")
	}
	w.must(user("ben"), protocol.MemberUnban, &protocol.MemberParams{Room: theRoom, User: "fay"})
	w.must(user("dan"), protocol.MemberAdd, add("fay"))
	w.must(server, protocol.MemberAdd, add("nobody-yet"))
	if w.member("nobody-yet").State != IsMember {
		t.Error("a back end could not add whom nobody knew")
	}
}

// §4.2: a ban is the stronger word, and hits those who are no members too.
func TestBan(t *testing.T) {
	w := busyRoom(t, protocol.Channel)
	ban := func(user string) *protocol.MemberBanParams {
		return &protocol.MemberBanParams{Room: theRoom, User: user}
	}
	member := w.must(user("ben"), protocol.MemberBan, ban("cem"))
	stranger := w.must(user("ben"), protocol.MemberBan, ban("out"))
	for _, e := range []*Effects{member, stranger} {
		if e.Event.Name != protocol.MemberLeft || e.Event.Reason != protocol.ReasonBanned || len(e.Event.Left) != 1 {
			t.Errorf("ban: %+v", e.Event)
		}
	}
	if w.state.Room.Members != 3 || stranger.Room != nil {
		t.Errorf("%d members after a member and a stranger were banned", w.state.Room.Members)
	}
	if e := w.must(user("ben"), protocol.MemberBan, ban("cem")); e.Answer != (protocol.SeqResult{Seq: member.Event.Seq, Duplicate: true}) {
		t.Errorf("banned again: %+v", e.Answer)
	}
	if e := w.must(user("ben"), protocol.MemberRemove, &protocol.MemberParams{Room: theRoom, User: "cem"}); e.Event != nil || w.member("cem").State != IsBanned {
		t.Error("removing a banned user ended the ban")
	}
	unban := &protocol.MemberParams{Room: theRoom, User: "out"}
	for _, method := range []string{protocol.RoomJoin, protocol.RoomLeave, protocol.RoomDelete} {
		w.refused(protocol.NotFound, "room", user("out"), method, &protocol.RoomEventParams{Room: theRoom})
	}
	if e := w.must(user("ben"), protocol.MemberUnban, unban); string(e.Event.Data) != `{"user":"out"}` {
		t.Errorf("unban: %s", e.Event.Data)
	}
	if e := w.must(user("ben"), protocol.MemberUnban, unban); e.Event != nil {
		t.Error("a ban that was over ended again")
	}
	w.must(user("out"), protocol.RoomJoin, &protocol.RoomEventParams{Room: theRoom})

	// A removed member of a channel may come back by themselves.
	w.must(user("ben"), protocol.MemberRemove, &protocol.MemberParams{Room: theRoom, User: "out"})
	w.must(user("out"), protocol.RoomJoin, &protocol.RoomEventParams{Room: theRoom})

	for method, params := range map[string]any{
		protocol.MemberBan:    ban("nobody"),
		protocol.MemberRemove: &protocol.MemberParams{Room: theRoom, User: "nobody"},
		protocol.MemberUnban:  &protocol.MemberParams{Room: theRoom, User: "nobody"},
		protocol.MemberUpdate: &protocol.MemberUpdateParams{Room: theRoom, User: "nobody", MutedUntil: protocol.Some(w.now)},
	} {
		w.refused(protocol.NotFound, "user", user("ben"), method, params)
	}
}

// §4.2: the last owner names another first.
func TestLastOwner(t *testing.T) {
	w := busyRoom(t, protocol.Group)
	leave := &protocol.RoomEventParams{Room: theRoom}
	role := func(user string, role protocol.Role) *protocol.MemberUpdateParams {
		return &protocol.MemberUpdateParams{Room: theRoom, User: user, Role: role}
	}
	w.refused(protocol.Conflict, "", user("ann"), protocol.RoomLeave, leave)
	w.refused(protocol.Conflict, "role", user("ann"), protocol.MemberUpdate, role("ann", protocol.RoleAdmin))
	w.refused(protocol.Conflict, "user", user("ann"), protocol.MemberRemove, &protocol.MemberParams{Room: theRoom, User: "ann"})
	w.refused(protocol.Conflict, "user", user("ann"), protocol.MemberBan, &protocol.MemberBanParams{Room: theRoom, User: "ann"})
	e := w.must(user("ann"), protocol.MemberUpdate, role("cem", protocol.RoleOwner))
	if string(e.Event.Data) != `{"user":"cem","role":"owner"}` || e.Owners != 1 || w.state.Owners != 2 {
		t.Errorf("%s, %d owners", e.Event.Data, w.state.Owners)
	}
	if e := w.must(user("ann"), protocol.MemberUpdate, role("cem", protocol.RoleOwner)); e.Event != nil {
		t.Error("the same role again made an event")
	}
	w.must(user("ann"), protocol.MemberUpdate, role("ann", protocol.RoleAdmin))
	w.refused(protocol.Forbidden, "", user("ann"), protocol.MemberUpdate, role("ann", protocol.RoleMember))
	w.must(user("ann"), protocol.RoomLeave, leave)
	w.refused(protocol.Conflict, "", user("cem"), protocol.RoomLeave, leave)

	// From outside a room may be left without an owner, as a back end makes it.
	w.must(server, protocol.MemberBan, &protocol.MemberBanParams{Room: theRoom, User: "cem"})
	if w.state.Owners != 0 {
		t.Errorf("%d owners", w.state.Owners)
	}
	w.must(user("dan"), protocol.RoomLeave, leave)
}

// The two params of member.update each need their own right.
func TestUpdateBoth(t *testing.T) {
	w := busyRoom(t, protocol.Group)
	both := &protocol.MemberUpdateParams{Room: theRoom, User: "cem", Role: protocol.RoleModerator, MutedUntil: protocol.Some(start + 5)}
	w.refused(protocol.Forbidden, "", user("ben"), protocol.MemberUpdate, both)
	e := w.must(user("ann"), protocol.MemberUpdate, both)
	if got := string(e.Event.Data); got != `{"user":"cem","role":"moderator","muted_until":"2023-11-14T22:13:20.005Z"}` {
		t.Errorf("data: %s", got)
	}
	both.Role = protocol.RoleMember
	if got := string(w.must(user("ann"), protocol.MemberUpdate, both).Event.Data); got != `{"user":"cem","role":"member"}` {
		t.Errorf("only what changed is told: %s", got)
	}
}

// What is in the state before a decision is in it after, whatever was decided.
func TestDecideChangesNothing(t *testing.T) {
	w := busyRoom(t, protocol.Group)
	w.said(user("ann"), "hello")
	p := w.text("reply")
	p.ReplyTo = 2
	for method, params := range map[string]any{
		protocol.MessageSend:   p,
		protocol.MessageDelete: &protocol.MessageParams{Room: theRoom, Seq: 2},
		protocol.MessageEdit:   &protocol.MessageEditParams{Room: theRoom, Seq: 2, Text: protocol.Some("x")},
		protocol.ReactionAdd:   &protocol.ReactionParams{Room: theRoom, Seq: 2, Emoji: "+"},
		protocol.MemberAdd:     &protocol.MemberAddParams{Room: theRoom, Users: []string{"zoe"}},
		protocol.MemberRemove:  &protocol.MemberParams{Room: theRoom, User: "cem"},
		protocol.MemberUpdate:  &protocol.MemberUpdateParams{Room: theRoom, User: "cem", Role: protocol.RoleAdmin},
		protocol.RoomUpdate:    &protocol.RoomUpdateParams{Room: theRoom, Name: protocol.Some("x")},
		protocol.RoomDelete:    &protocol.RoomEventParams{Room: theRoom},
	} {
		before := copyState(w.state)
		e, err := w.state.Decide(NewAppend(user("ann"), method, params), w.now, w.rates)
		if err != nil || e.Event == nil {
			t.Errorf("%s: %+v, %v", method, e, err)
		}
		if diff := cmp.Diff(before, w.state); diff != "" {
			t.Errorf("%s changed the state (-before +after):\n%s", method, diff)
		}
	}
}
