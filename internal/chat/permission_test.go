package chat

import (
	"slices"
	"strings"
	"testing"

	"github.com/parley-im/parley/protocol"
)

// permissions is the table of §4.2 for every kind, method and caller.
//
//   - allowed   = so already   f forbidden   n not_found   b bad_request
//
// Callers: out has no row, ban is banned; mem, mod, adm and own have that role; tmod and tadm have a token's role and no row; mtmod and mtadm are plain
// members with a token's role; srv is a back end acting for itself.
const permissions = `
group            out mem mod adm own tmod tadm mtmod mtadm srv ban
send             n   +   +   +   +   n    n    +     +     f   n
send post=mod    n   f   +   +   +   n    n    +     +     f   n
edit own         n   +   +   +   +   n    n    +     +     f   n
edit other's     n   f   f   f   f   n    n    f     f     f   n
delete own       n   +   +   +   +   n    n    +     +     +   n
delete other's   n   f   +   +   +   n    n    +     +     +   n
react            n   +   +   +   +   n    n    +     +     f   n
unreact          n   =   =   =   =   n    n    =     =     f   n
update           n   f   f   +   +   n    n    f     +     +   n
delete room      n   f   f   f   +   n    n    f     +     +   n
join             n   =   =   =   =   n    n    =     =     b   n
leave            n   +   +   +   +   n    n    +     +     =   n
add              n   +   +   +   +   n    n    +     +     +   n
remove mem       n   f   +   +   +   n    n    +     +     +   n
remove mod       n   f   f   +   +   n    n    f     +     +   n
remove adm       n   f   f   f   +   n    n    f     +     +   n
remove own       n   f   f   f   +   n    n    f     +     +   n
remove stranger  n   f   =   =   =   n    n    =     =     =   n
ban mem          n   f   +   +   +   n    n    +     +     +   n
ban adm          n   f   f   f   +   n    n    f     +     +   n
ban stranger     n   f   +   +   +   n    n    +     +     +   n
unban            n   f   +   +   +   n    n    +     +     +   n
mute mem         n   f   +   +   +   n    n    +     +     +   n
mute mod         n   f   f   +   +   n    n    f     +     +   n
mute own         n   f   f   f   +   n    n    f     +     +   n
make mem mod     n   f   f   +   +   n    n    f     +     +   n
make mem adm     n   f   f   f   +   n    n    f     +     +   n
make mem own     n   f   f   f   +   n    n    f     +     +   n
make mod mem     n   f   f   +   +   n    n    f     +     +   n
make adm mem     n   f   f   f   +   n    n    f     +     +   n
make own mem     n   f   f   f   +   n    n    f     +     +   n

channel          out mem mod adm own tmod tadm mtmod mtadm srv ban
send             f   +   +   +   +   f    f    +     +     f   n
send post=mod    f   f   +   +   +   f    f    +     +     f   n
edit own         f   +   +   +   +   f    f    +     +     f   n
edit other's     f   f   f   f   f   f    f    f     f     f   n
delete own       f   +   +   +   +   +    +    +     +     +   n
delete other's   f   f   +   +   +   +    +    +     +     +   n
react            f   +   +   +   +   f    f    +     +     f   n
unreact          f   =   =   =   =   f    f    =     =     f   n
update           f   f   f   +   +   f    +    f     +     +   n
delete room      f   f   f   f   +   f    +    f     +     +   n
join             +   =   =   =   =   +    +    =     =     b   n
leave            =   +   +   +   +   =    =    +     +     =   n
add              f   f   +   +   +   +    +    +     +     +   n
remove mem       f   f   +   +   +   +    +    +     +     +   n
remove mod       f   f   f   +   +   f    +    f     +     +   n
remove adm       f   f   f   f   +   f    +    f     +     +   n
remove own       f   f   f   f   +   f    +    f     +     +   n
remove stranger  f   f   =   =   =   =    =    =     =     =   n
ban mem          f   f   +   +   +   +    +    +     +     +   n
ban adm          f   f   f   f   +   f    +    f     +     +   n
ban stranger     f   f   +   +   +   +    +    +     +     +   n
unban            f   f   +   +   +   +    +    +     +     +   n
mute mem         f   f   +   +   +   +    +    +     +     +   n
mute mod         f   f   f   +   +   f    +    f     +     +   n
mute own         f   f   f   f   +   f    +    f     +     +   n
make mem mod     f   f   f   +   +   f    +    f     +     +   n
make mem adm     f   f   f   f   +   f    +    f     +     +   n
make mem own     f   f   f   f   +   f    +    f     +     +   n
make mod mem     f   f   f   +   +   f    +    f     +     +   n
make adm mem     f   f   f   f   +   f    +    f     +     +   n
make own mem     f   f   f   f   +   f    +    f     +     +   n

live             out mem mod adm own tmod tadm mtmod mtadm srv ban
send             +   +   +   +   +   +    +    +     +     f   n
send post=mod    f   f   +   +   +   +    +    +     +     f   n
edit own         +   +   +   +   +   +    +    +     +     f   n
edit other's     f   f   f   f   f   f    f    f     f     f   n
delete own       +   +   +   +   +   +    +    +     +     +   n
delete other's   f   f   +   +   +   +    +    +     +     +   n
react            +   +   +   +   +   +    +    +     +     f   n
unreact          =   =   =   =   =   =    =    =     =     f   n
update           f   f   f   +   +   f    +    f     +     +   n
delete room      f   f   f   f   +   f    +    f     +     +   n
join             b   =   =   =   =   b    b    =     =     b   n
leave            =   +   +   +   +   =    =    +     +     =   n
add              f   f   +   +   +   +    +    +     +     +   n
remove mem       f   f   +   +   +   +    +    +     +     +   n
remove own       f   f   f   f   +   f    +    f     +     +   n
ban mem          f   f   +   +   +   +    +    +     +     +   n
ban stranger     f   f   +   +   +   +    +    +     +     +   n
unban            f   f   +   +   +   +    +    +     +     +   n
mute mem         f   f   +   +   +   +    +    +     +     +   n
make mem mod     f   f   f   +   +   f    +    f     +     +   n
make mem own     f   f   f   f   +   f    +    f     +     +   n

direct           out own tmod tadm srv
send             n   +   n    n    f
send post=mod    n   +   n    n    f
edit own         n   +   n    n    f
edit other's     n   f   n    n    f
delete own       n   +   n    n    +
delete other's   n   +   n    n    +
react            n   +   n    n    f
unreact          n   =   n    n    f
update           n   +   n    n    +
delete room      n   +   n    n    +
join             n   =   n    n    b
leave            n   b   n    n    b
add              n   b   n    n    b
remove own       n   b   n    n    b
ban own          n   b   n    n    b
ban stranger     n   b   n    n    b
mute own         n   b   n    n    b
make own mem     n   b   n    n    b
`

func TestPermissions(t *testing.T) {
	var kind protocol.Kind
	var callers []string
	cells := 0
	for line := range strings.Lines(permissions) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0:
			continue
		case protocol.Kind(fields[0]).Valid():
			kind, callers = protocol.Kind(fields[0]), fields[1:]
			continue
		}
		action, wants := strings.Join(fields[:len(fields)-len(callers)], " "), fields[len(fields)-len(callers):]
		for i, who := range callers {
			cells++
			t.Run(strings.Join([]string{string(kind), who, action}, "/"), func(t *testing.T) {
				if got := attempt(t, kind, who, action); got != wants[i] {
					t.Errorf("got %s, want %s", got, wants[i])
				}
			})
		}
	}
	if cells < 900 {
		t.Fatalf("only %d cells: the table was not read", cells)
	}
}

// attempt lets a caller act in a fresh room with a member of each role, and says what came of it.
func attempt(t *testing.T, kind protocol.Kind, who, action string) string {
	w := newWorld(t, kind, as("the-own", protocol.RoleOwner))
	w.state.Users["me"] = true
	for user, role := range map[string]protocol.Role{"the-mem": protocol.RoleMember, "the-mod": protocol.RoleModerator, "the-adm": protocol.RoleAdmin} {
		w.state.Users[user] = true
		if kind != protocol.Direct {
			w.enlist(user, role)
		}
	}
	w.state.Members["banned"] = &Member{Room: theRoom, User: "banned", State: IsBanned, LeftSeq: 1, Role: protocol.RoleMember}
	me := w.caller(who)
	for seq, author := range map[protocol.Seq]string{101: me.User, 102: "the-own"} {
		text := "hello"
		w.state.Messages[seq] = &Message{Seq: seq, N: seq, User: author, Content: Content{Text: &text}, Rev: seq}
	}
	w.state.Head = Head{Seq: 102, N: 102, Last: 102, At: start}
	method, params := w.action(action)
	e, err := w.call(me, method, params)
	switch {
	case err != nil:
		return string(err.Code[:1])
	case e.Event == nil:
		return "="
	}
	return "+"
}

// enlist makes a user a member with a role, without an event.
func (w *world) enlist(user string, role protocol.Role) {
	w.state.Members[user] = &Member{Room: theRoom, User: user, State: IsMember, Role: role, JoinedSeq: 1, Notify: protocol.NotifyAll}
	w.state.Room.Members++
	w.state.Owners += owners(w.state.Members[user])
}

func (w *world) caller(who string) Actor {
	roles := map[string]protocol.Role{
		"mem": protocol.RoleMember, "mod": protocol.RoleModerator, "adm": protocol.RoleAdmin, "own": protocol.RoleOwner,
		"mtmod": protocol.RoleMember, "mtadm": protocol.RoleMember,
	}
	if role, ok := roles[who]; ok {
		w.enlist("me", role)
	}
	switch {
	case who == "srv":
		return server
	case who == "ban":
		return user("banned")
	case strings.HasSuffix(who, "tmod"):
		return withRole("me", protocol.TokenModerator)
	case strings.HasSuffix(who, "tadm"):
		return withRole("me", protocol.TokenAdmin)
	}
	return user("me")
}

// action is a row's method and params.
func (w *world) action(action string) (string, any) {
	words := strings.Fields(action)
	named := "out"
	if len(words) > 1 && slices.Contains([]string{"mem", "mod", "adm", "own"}, words[1]) {
		named = "the-" + words[1]
	}
	seq := protocol.Seq(101)
	if strings.HasSuffix(action, "other's") {
		seq = 102
	}
	switch words[0] {
	case "send":
		if len(words) > 1 {
			w.state.Room.Settings.Post = protocol.PostModerators
		}
		return protocol.MessageSend, w.text("hello")
	case "edit":
		return protocol.MessageEdit, &protocol.MessageEditParams{Room: theRoom, Seq: seq, Text: protocol.Some("changed")}
	case "react":
		return protocol.ReactionAdd, &protocol.ReactionParams{Room: theRoom, Seq: 102, Emoji: "+"}
	case "unreact":
		return protocol.ReactionRemove, &protocol.ReactionParams{Room: theRoom, Seq: 102, Emoji: "+"}
	case "update":
		return protocol.RoomUpdate, &protocol.RoomUpdateParams{Room: theRoom, Name: protocol.Some("new")}
	case "join":
		return protocol.RoomJoin, &protocol.RoomEventParams{Room: theRoom}
	case "leave":
		return protocol.RoomLeave, &protocol.RoomEventParams{Room: theRoom}
	case "add":
		return protocol.MemberAdd, &protocol.MemberAddParams{Room: theRoom, Users: []string{"zoe"}}
	case "remove":
		return protocol.MemberRemove, &protocol.MemberParams{Room: theRoom, User: named}
	case "ban":
		return protocol.MemberBan, &protocol.MemberBanParams{Room: theRoom, User: named}
	case "unban":
		return protocol.MemberUnban, &protocol.MemberParams{Room: theRoom, User: "banned"}
	case "mute":
		return protocol.MemberUpdate, &protocol.MemberUpdateParams{Room: theRoom, User: named, MutedUntil: protocol.Some(start + 1000)}
	case "make":
		role := map[string]protocol.Role{"mem": protocol.RoleMember, "mod": protocol.RoleModerator, "adm": protocol.RoleAdmin, "own": protocol.RoleOwner}[words[2]]
		return protocol.MemberUpdate, &protocol.MemberUpdateParams{Room: theRoom, User: named, Role: role}
	case "delete":
		if words[1] == "room" {
			return protocol.RoomDelete, &protocol.RoomEventParams{Room: theRoom}
		}
		return protocol.MessageDelete, &protocol.MessageParams{Room: theRoom, Seq: seq}
	}
	w.t.Fatalf("no such action: %s", action)
	return "", nil
}
