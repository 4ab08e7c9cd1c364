package chat

import (
	"github.com/parley-im/parley/protocol"
)

// joinRoom decides room.join.
func (d *decision) joinRoom() (*Effects, *protocol.Error) {
	if d.me.current() {
		return already(d.joined(d.me.JoinedSeq))
	}
	if d.Room.Kind != protocol.Channel || d.call.Actor.User == "" {
		return nil, protocol.Errorf(protocol.BadRequest, "room", "Only a channel is joined; follow a live room with room.subscribe.")
	}
	e, err := d.admit([]string{d.call.Actor.User})
	if err != nil {
		return nil, err
	}
	e.Answer = protocol.RoomJoinResult{Room: RoomObject(e.Room, e.Head), Seq: e.Event.Seq, Me: MeObject(e.Room, e.Head, e.Members[0], 0)}
	return e, nil
}

// joined is the answer to a room.join of one who has joined before. How many mentions they have is not known here.
func (d *decision) joined(seq protocol.Seq) protocol.RoomJoinResult {
	return protocol.RoomJoinResult{
		Room: RoomObject(d.Room, d.Head), Seq: seq, Me: MeObject(d.Room, d.Head, d.row(d.call.Actor.User), 0), Duplicate: true,
	}
}

// leaveRoom decides room.leave. A direct room does not come here: it is hidden, which is no event.
func (d *decision) leaveRoom() (*Effects, *protocol.Error) {
	if d.Room.Kind == protocol.Direct {
		return nil, notInDirect()
	}
	if !d.me.current() {
		return alreadySince(goneSince(d.me, d.Head.Seq))
	}
	if err := d.keepsOwner(d.me, ""); err != nil {
		return nil, err
	}
	return d.dismiss(d.me.User, HasLeft, protocol.ReasonLeft)
}

// addMembers decides member.add: by every member of a group, elsewhere by moderators.
func (d *decision) addMembers(p *protocol.MemberAddParams) (*Effects, *protocol.Error) {
	if d.Room.Kind == protocol.Direct {
		return nil, notInDirect()
	}
	adder := protocol.RoleModerator
	if d.Room.Kind == protocol.Group {
		adder = protocol.RoleMember
	}
	if err := d.atLeast(adder); err != nil {
		return nil, err
	}
	if err := d.unknown("users", p.Users...); err != nil {
		return nil, err
	}
	added := []string{}
	for _, user := range protocol.Distinct(p.Users) {
		m := d.Members[user]
		if m != nil && m.State == IsBanned {
			return nil, protocol.Errorf(protocol.Conflict, "users", "%s is banned from this room: end the ban with member.unban first.", user)
		}
		if !m.current() {
			added = append(added, user)
		}
	}
	if len(added) == 0 {
		return already(protocol.MemberAddResult{Seq: d.Head.Seq, Added: added, Duplicate: true})
	}
	e, err := d.admit(added)
	if err != nil {
		return nil, err
	}
	e.Answer = protocol.MemberAddResult{Seq: e.Event.Seq, Added: added}
	return e, nil
}

// removeMember decides member.remove.
func (d *decision) removeMember(p *protocol.MemberParams) (*Effects, *protocol.Error) {
	target, err := d.subject(p.User)
	if err != nil {
		return nil, err
	}
	if !target.current() {
		return alreadySince(goneSince(target, d.Head.Seq))
	}
	if err := d.mayDismiss(target); err != nil {
		return nil, err
	}
	return d.dismiss(p.User, WasRemoved, protocol.ReasonRemoved)
}

// banMember decides member.ban, of a member or of anybody else.
func (d *decision) banMember(p *protocol.MemberBanParams) (*Effects, *protocol.Error) {
	target, err := d.subject(p.User)
	if err != nil {
		return nil, err
	}
	if target != nil && target.State == IsBanned {
		return alreadySince(target.LeftSeq)
	}
	if err := d.mayDismiss(target); err != nil {
		return nil, err
	}
	return d.dismiss(p.User, IsBanned, protocol.ReasonBanned)
}

// unbanMember decides member.unban.
func (d *decision) unbanMember(p *protocol.MemberParams) (*Effects, *protocol.Error) {
	target, err := d.subject(p.User)
	if err != nil {
		return nil, err
	}
	if target == nil || target.State != IsBanned {
		return alreadySince(d.Head.Seq)
	}
	e, err := d.event(protocol.MemberUnbanned, protocol.MemberUnbannedData{User: p.User})
	if err != nil {
		return nil, err
	}
	row := d.row(p.User)
	row.State = NotMember
	e.Members = []*Member{row}
	return e, nil
}

// updateMember decides member.update: a role, a mute, or both.
func (d *decision) updateMember(p *protocol.MemberUpdateParams) (*Effects, *protocol.Error) {
	if d.Room.Kind == protocol.Direct {
		return nil, notInDirect()
	}
	changer := protocol.RoleModerator
	if p.Role != "" {
		changer = protocol.RoleAdmin
	}
	if err := d.atLeast(changer); err != nil {
		return nil, err
	}
	target := d.Members[p.User]
	if !target.current() {
		return nil, protocol.Errorf(protocol.NotFound, "user", "%s is no member of this room.", p.User)
	}
	if !d.outranks(target.Role) {
		return nil, belowOnly("")
	}
	row, data := d.row(p.User), protocol.MemberUpdatedData{User: p.User}
	if p.Role != "" && p.Role != target.Role {
		if !d.outranks(p.Role) {
			return nil, belowOnly("role")
		}
		if err := d.keepsOwner(target, "role"); err != nil {
			return nil, err
		}
		row.Role, data.Role = p.Role, p.Role
	}
	if p.MutedUntil.Set && p.MutedUntil.Value != target.MutedUntil {
		row.MutedUntil = p.MutedUntil.Value
		data.MutedUntil = protocol.Opt[protocol.Time]{Set: true, Null: row.MutedUntil == 0, Value: row.MutedUntil}
	}
	if *row == *target {
		return alreadySince(d.Head.Seq)
	}
	e, err := d.event(protocol.MemberUpdated, data)
	if err != nil {
		return nil, err
	}
	e.Members, e.Owners = []*Member{row}, owners(row)-owners(target)
	return e, nil
}

// subject is the row of whom a moderator would remove, ban or unban; nil if there is none.
func (d *decision) subject(user string) (*Member, *protocol.Error) {
	if d.Room.Kind == protocol.Direct {
		return nil, notInDirect()
	}
	if err := d.atLeast(protocol.RoleModerator); err != nil {
		return nil, err
	}
	if err := d.unknown("user", user); err != nil {
		return nil, err
	}
	return d.Members[user], nil
}

// mayDismiss refuses to remove or ban a member who is above that.
func (d *decision) mayDismiss(target *Member) *protocol.Error {
	if !target.current() {
		return nil
	}
	if !d.outranks(target.Role) {
		return belowOnly("")
	}
	return d.keepsOwner(target, "user")
}

// outranks reports whether the actor may act on one who has the role, or give it: roles below one's own, an owner owners too.
func (d *decision) outranks(role protocol.Role) bool {
	mine := d.rank()
	return mine > role.Rank() || mine == protocol.RoleOwner.Rank()
}

// keepsOwner refuses to let the last owner give up the room by their own act. From outside, a back end or the deployment's admin may take it from them,
// and so does their erasure.
func (d *decision) keepsOwner(target *Member, field string) *protocol.Error {
	if target.User == d.call.Actor.User && owners(target) == 1 && d.Owners == 1 && !d.call.Actor.Erasing {
		return protocol.Errorf(protocol.Conflict, field,
			"You are the last owner of this room: make another member an owner with member.update first, or delete the room with room.delete.")
	}
	return nil
}

// owners is how much the row adds to the number of owners.
func owners(m *Member) int {
	if m.current() && m.Role == protocol.RoleOwner {
		return 1
	}
	return 0
}

// goneSince is the event since which one with this row is no member, or the head.
func goneSince(m *Member, head protocol.Seq) protocol.Seq {
	if m != nil && m.LeftSeq != 0 {
		return m.LeftSeq
	}
	return head
}

// admit makes users members by one event. A mute, what they sent before and their own settings outlast their absence.
func (d *decision) admit(users []string) (*Effects, *protocol.Error) {
	e, err := d.event(protocol.MemberJoined, protocol.MemberJoinedData{Users: users, Role: protocol.RoleMember})
	if err != nil {
		return nil, err
	}
	for _, user := range users {
		row := d.row(user)
		row.enter(protocol.RoleMember, e.Event)
		e.Members = append(e.Members, row)
	}
	room := *d.Room
	room.Members += uint64(len(users))
	e.Room, e.Event.Joined = &room, users
	return e, nil
}

// enter makes the row that of one who becomes a member by the event: their cursors stand there (§4.4).
func (m *Member) enter(role protocol.Role, by *Event) {
	m.State, m.Role = IsMember, role
	m.JoinedAt, m.JoinedSeq, m.LeftSeq = by.At, by.Seq, 0
	m.Read, m.Delivered, m.ReadN = by.Seq, by.Seq, by.N
}

// dismiss ends a membership, or keeps one who has none from the room.
func (d *decision) dismiss(user string, as Membership, reason protocol.LeaveReason) (*Effects, *protocol.Error) {
	e, err := d.event(protocol.MemberLeft, protocol.MemberLeftData{Users: []string{user}, Reason: reason})
	if err != nil {
		return nil, err
	}
	row := d.row(user)
	if row.current() {
		room := *d.Room
		room.Members--
		e.Room, e.Owners = &room, -owners(row)
	}
	row.State, row.LeftSeq = as, e.Event.Seq
	e.Members, e.Event.Left, e.Event.Reason = []*Member{row}, []string{user}, reason
	return e, nil
}

func notInDirect() *protocol.Error {
	return protocol.Errorf(protocol.BadRequest, "room", "The members of a direct room are two for good: nobody is added, removed or changed.")
}

func belowOnly(field string) *protocol.Error {
	return protocol.Errorf(protocol.Forbidden, field, "You may act only on roles below your own, and give only such.")
}
