package terminal

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-im/parley/protocol"
)

// takeAnswer takes the answer to a call. What a call changed in a log comes as an event; here is what does not.
func takeAnswer(m *Model, a Answer) []Effect {
	switch a.Call.Method {
	case protocol.RoomCreate, protocol.RoomGet, protocol.RoomBrowse, protocol.RoomJoin, protocol.RoomSubscribe:
		m.going = m.going && a.Call.Silent
	}
	if a.Err != nil {
		return takeRefusal(m, a)
	}
	switch params := a.Call.Params.(type) {
	case protocol.MessageListParams:
		takePage(m, params, a.Result.(protocol.MessageListResult), a.Call.Life)
	case protocol.PageParams:
		return takePeople(m, params.Room, a)
	case protocol.RoomParams:
		return takeRoom(m, params.Room, a)
	case protocol.RoomSubscribeParams:
		return m.show(params.Room)
	case protocol.RoomBrowseParams:
		return takeChannels(m, params.Query, a.Result.(protocol.RoomBrowseResult))
	case protocol.RoomCreateParams:
		m.added(a.Result.(protocol.RoomCreateResult).Room)
		return append(m.show(a.Result.(protocol.RoomCreateResult).Room.ID), m.name()...)
	case protocol.RoomEventParams:
		return takeMembership(m, params.Room, a)
	case protocol.MemberAddParams:
		m.notice = fmt.Sprintf("%d added", len(a.Result.(protocol.MemberAddResult).Added))
	case protocol.MemberSettingsParams:
		m.room(params.Room).me.Notify = params.Notify
		m.notice = map[bool]string{true: "muted", false: "no longer muted"}[params.Notify == protocol.NotifyNone]
	case protocol.MessageSearchParams:
		showFound(m, params.Query, a.Result.(protocol.MessageSearchResult))
	case protocol.PresenceSetParams:
		m.notice = "you are seen as " + string(params.Status)
	case protocol.PresenceParams:
		for _, u := range a.Result.(protocol.PresenceResult).Users {
			m.presence[u.User] = u.Status
		}
	}
	return nil
}

// takeRefusal takes an error in place of an answer.
func takeRefusal(m *Model, a Answer) []Effect {
	if !a.Call.Silent {
		m.notice = explain(a.Err)
	}
	switch params := a.Call.Params.(type) {
	case protocol.MessageListParams:
		if r := m.rooms[params.Room]; r != nil && r.timeline.life == a.Call.Life {
			r.timeline.failed()
		}
	case protocol.PageParams:
		m.naming = m.naming && a.Call.Method != protocol.MemberList
	case protocol.PresenceParams:
		refusal := new(protocol.Error)
		m.noPresence = errors.As(a.Err, &refusal) && refusal.Code == protocol.BadRequest
	}
	return nil
}

func takePage(m *Model, p protocol.MessageListParams, result protocol.MessageListResult, life uint64) {
	r := m.rooms[p.Room]
	if r == nil || r.timeline.life != life {
		return
	}
	r.timeline.page(p, result, m.me)
	r.head = max(r.head, result.Head)
	r.outgoing = slices.DeleteFunc(r.outgoing, func(o outgoing) bool {
		return o.seq > 0 && o.seq <= r.timeline.high || r.timeline.has(m.me, o.message.ClientID)
	})
}

// takePeople takes who is in a room: for its name, its ticks, or to be read.
func takePeople(m *Model, id string, a Answer) []Effect {
	r := m.rooms[id]
	switch result := a.Result.(type) {
	case protocol.MemberListResult:
		if a.Call.Silent {
			m.naming = false
		}
		if r == nil {
			return m.name()
		}
		if r.info.Kind == protocol.Direct {
			for _, member := range result.Members {
				if member.User != m.me {
					r.peer = member.User
				}
			}
		}
		if !a.Call.Silent {
			showMembers(m, r, result)
		}
		return append(m.watch([]string{r.peer}), m.name()...)
	case protocol.ReceiptListResult:
		if r == nil || result.Page != "" {
			return nil // too many to wait for
		}
		users := r.listed(result.Members)
		if r.info.Kind != protocol.Channel {
			return m.watch(users)
		}
	}
	return nil
}

// watch asks to be told how people are seen, where that is not known yet.
func (m *Model) watch(users []string) []Effect {
	users = slices.DeleteFunc(slices.Clone(users), func(u string) bool {
		_, known := m.presence[u]
		return u == "" || u == m.me || known
	})
	if m.noPresence || len(users) == 0 {
		return nil
	}
	users = users[:min(len(users), protocol.MaxUsersPerCall)]
	return []Effect{Call{Method: protocol.PresenceSubscribe, Params: protocol.PresenceParams{Users: users}, Silent: true}}
}

func showMembers(m *Model, r *room, list protocol.MemberListResult) {
	var lines []string
	for _, member := range list.Members {
		line := m.dot(member.User) + author(member.User)
		if member.Role != protocol.RoleMember {
			line += " · " + string(member.Role)
		}
		lines = append(lines, line)
	}
	if list.Page != "" {
		lines = append(lines, "… and more")
	}
	m.overlay = &overlay{title: "members of " + r.title(), lines: lines}
}

// takeRoom takes a room that was asked for, subscribed to or unsubscribed from.
func takeRoom(m *Model, id string, a Answer) []Effect {
	if a.Call.Method == protocol.RoomUnsubscribe {
		return m.leftRoom(id)
	}
	result, ok := a.Result.(protocol.RoomGetResult)
	if !ok {
		return nil // of the typing
	}
	if a.Call.Silent { // what it is, and what is unread now
		if r := m.rooms[id]; r != nil && result.Me != nil {
			r.info, r.member = result.Room, true
			r.count(result.Head, *result.Me)
		}
		return m.name()
	}
	switch {
	case result.Me != nil || m.rooms[id] != nil:
		r := m.room(id)
		r.info, r.member = result.Room, result.Me != nil
		return m.show(id)
	case result.Room.Kind == protocol.Live:
		r := m.room(id)
		r.info, r.active = result.Room, max(r.active, protocol.At(m.now))
		return m.goBy(Call{Method: protocol.RoomSubscribe, Params: protocol.RoomSubscribeParams{Room: id}}) // then load, so that nothing lies in between
	}
	return m.goBy(Call{Method: protocol.RoomJoin, Params: protocol.RoomEventParams{Room: id, ClientID: m.newID()}})
}

func takeChannels(m *Model, query string, result protocol.RoomBrowseResult) []Effect {
	for _, r := range result.Rooms {
		if r.Name == query || len(result.Rooms) == 1 {
			return m.goBy(Call{Method: protocol.RoomJoin, Params: protocol.RoomEventParams{Room: r.ID, ClientID: m.newID()}})
		}
	}
	if len(result.Rooms) == 0 {
		m.notice = "there is no channel whose name begins so"
		return nil
	}
	var lines []string
	for _, r := range result.Rooms {
		lines = append(lines, CleanLine(r.Name)+"  "+r.ID)
	}
	m.overlay = &overlay{title: "channels like " + CleanLine(query), lines: lines}
	return nil
}

func takeMembership(m *Model, id string, a Answer) []Effect {
	result, joined := a.Result.(protocol.RoomJoinResult)
	if !joined {
		return m.leftRoom(id)
	}
	m.added(result.Room)
	m.room(id).count(result.Seq, result.Me)
	return m.show(id)
}

// leftRoom takes a room away that was left, and shows another.
func (m *Model) leftRoom(id string) []Effect {
	m.gone(id)
	if all := m.order(); m.open == "" && len(all) > 0 {
		return m.show(all[0].info.ID)
	}
	return nil
}

func showFound(m *Model, query string, result protocol.MessageSearchResult) {
	var lines []string
	for _, msg := range result.Messages {
		who := backEnd
		if msg.User != nil {
			who = author(*msg.User)
		}
		where := CleanLine(msg.Room)
		if r := m.rooms[msg.Room]; r != nil {
			where = r.title()
		}
		text := CleanLine(content(msg.Text, msg.Data, msg.Attachments, msg.DeletedAt != 0))
		lines = append(lines, fmt.Sprintf("%s  %s  %s: %s", msg.At.Go().In(m.zone).Format(time.DateTime), where, who, text))
	}
	if len(lines) == 0 {
		lines = []string{"nothing"}
	}
	if result.Page != "" || result.Partial {
		lines = append(lines, "… and more")
	}
	m.overlay = &overlay{title: "found: " + CleanLine(query), lines: lines}
}
